"""The rules of a message that are not in the XSD: the Schematron's, one by one, and those that neither holds.

Why this exists: the published files let much through that the text forbids (SOURCES.md: altered copies were tried), and
a receiver that follows the files alone accepts what a stricter one refuses. Each rule has its id: the Schematron
pattern's own, or ours beginning with `text-` and the paragraph of the content specification B1.3.3.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from adapters.sdk.faults import Detail, Fault, Why
from adapters.sdk.model import FUNCTION_ROOT, ORGANISATION_ROOT
from adapters.sdk.xml import Element

NAMESPACE: Final = "urn:riv:infrastructure:messaging:MessageWithAttachments:3"
MAX_LABEL: Final = 256
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}", re.ASCII)
#: The pattern's dot stands for any character in the published file; only a full stop is a fraction (xs:dateTime).
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{1,3}Z", re.ASCII)
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]*={0,2}")


def tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def find(element: Element, path: str) -> Element | None:
    return element.find("/".join(tag(part) for part in path.split("/")))


def text(element: Element, path: str) -> str:
    found = find(element, path)
    return (found.text or "").strip() if found is not None else ""


def faults(payload: Element) -> Iterator[Fault]:
    """Every rule that the payload breaks, in the order of the document."""
    yield from _empty(payload)
    header = find(payload, "message/messageHeader")
    body = find(payload, "message/messageBody")
    if header is None or body is None:
        return  # the schema has told it
    yield from _header(header)
    for side, number in (("recipient", "recipientID"), ("sender", "senderID")):
        yield from _party(header, side, number)
    yield from _documents(body)


def _rule(place: str, sentence: str) -> Fault:
    return Fault(Why.RULE, Detail.INVARIANT, place, sentence)


def _empty(payload: Element) -> Iterator[Fault]:
    """verifyNonEmptyElements: what is included has a value."""
    for element in payload.iter(f"{{{NAMESPACE}}}*"):
        if element is not payload and not any((part or "").strip() for part in element.itertext()):
            yield _rule(_place(element), "Elementet är tomt.")


def _header(header: Element) -> Iterator[Fault]:
    if not _TIME.fullmatch(text(header, "creationDateTime")):
        yield _rule("messageHeader/creationDateTime", "Tiden ska vara UTC med Z och en till tre decimaler.")
    for name, required in (("messageId", True), ("conversationId", True), ("refToMessageId", False)):
        value = text(header, name)
        if (value or required) and not _UUID.fullmatch(value):
            yield _rule(f"messageHeader/{name}", "Värdet ska vara en UUID.")
    label = find(header, "label")
    if label is None:
        yield _rule("messageHeader/label", "Ämnet saknas.")  # text-4.3.1: 1..1, the XSD says 0..1
    elif len(label.text or "") > MAX_LABEL:
        # B1.3.3 §5.3: of the header's label BV/structure, of other labels SV/structure (the XSD tells those).
        yield Fault(Why.RULE, Detail.STRUCTURE, "messageHeader/label", "Ämnet är längre än 256 tecken.")


def _party(header: Element, side: str, number: str) -> Iterator[Fault]:
    if text(header, f"{side}/{number}/root") != ORGANISATION_ROOT:
        yield _rule(f"{side}/{number}/root", f"Kodverket ska vara {ORGANISATION_ROOT}.")
    if not text(header, f"{side}/{number}/extension").startswith("0203:"):
        yield _rule(f"{side}/{number}/extension", "Organisationens id ska börja med 0203:.")  # text-4.3.2.1
    if find(header, f"{side}/attention") is None:
        yield _rule(f"{side}/attention", "Funktionen saknas.")  # text-4.3.2: 1..1, the XSD says 0..1 for the sender
    elif text(header, f"{side}/attention/subOrganization/organizationId/root") != FUNCTION_ROOT:
        yield _rule(f"{side}/attention/subOrganization/organizationId/root", f"Kodverket ska vara {FUNCTION_ROOT}.")


def _documents(body: Element) -> Iterator[Fault]:
    documents = body.findall(tag("documents"))
    for number, document in enumerate(documents, start=1):
        place = f"messageBody/documents[{number}]"
        if find(document, "ContentFiles") is None and find(document, "ContentText") is None:
            yield _rule(place, "Dokumentet har varken text eller fil.")  # text-4.3.3
        index = text(document, "index")
        if (index or len(documents) > 1) and not (index.isascii() and index.isdigit()):
            yield _rule(f"{place}/index", "Ordningen ska vara ett tal när dokumenten är flera.")  # text-4.3.3
        for file in document.findall(tag("ContentFiles")):
            if decoded(text(file, "content")) is None:
                yield _rule(f"{place}/ContentFiles/content", "Innehållet är inte base64.")  # RFC 4648; text-4.3.3.1
    indexes = [text(document, "index") for document in documents]
    if len(documents) > 1 and len(set(indexes)) != len(indexes):
        yield _rule("messageBody/documents/index", "Två dokument har samma ordning.")


def decoded(content: str) -> bytes | None:
    """The octets of base64 (RFC 4648); line breaks and blanks may stand in it, nothing else."""
    if len(content) % 4 == 0:
        with suppress(ValueError):  # as most write it: no copies, which matters at 40 MB
            return binascii.a2b_base64(content, strict_mode=True)
    octets = content.encode("ascii", "replace").translate(None, b" \t\r\n")
    if len(octets) % 4 or not _BASE64.fullmatch(octets):
        return None
    try:
        return base64.b64decode(octets, validate=True)
    except binascii.Error:
        return None


def _place(element: Element) -> str:
    names = [str(one.tag).rpartition("}")[2] for one in (*reversed(list(element.iterancestors())), element)]
    return "/".join(names[-4:])
