"""Read and write MessageWithAttachments:3 (docs/sdk-conformance.md).

Why this exists: what we write must be accepted by the strictest receiver, and what we read may come from the loosest
sender. Out: milliseconds and Z always, no empty element, the order of the schema. In: elements of other namespaces are
skipped, everything else is held to the schema, the Schematron's rules and those of the text (adapters.sdk.rules).
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Final

from lxml import etree

from adapters.sdk import rules
from adapters.sdk.faults import Detail, Fault, RejectedError, Why
from adapters.sdk.model import (
    FUNCTION_ROOT,
    ORGANISATION_ROOT,
    Attention,
    Document,
    File,
    Identifier,
    Message,
    Party,
    Person,
    Reference,
)
from adapters.sdk.rules import NAMESPACE, tag, text
from adapters.sdk.xml import MAX_OCTETS, Element, TooLargeError, parse, schema
from gateway.model.base import Instant

SCHEMA: Final = "infrastructure_messaging_MessageWithAttachments_3.0.xsd"


def write(message: Message) -> bytes:
    """The octets of a message.

    Raises:
        RejectedError: it breaks a rule; nothing was written. The faults say which, without content.
        TooLargeError: more than 30 000 000 octets with its files.
    """
    payload = etree.Element(tag("messagePayload"), nsmap={None: NAMESPACE})
    parent = _add(payload, "message")
    _write_header(_add(parent, "messageHeader"), message)
    body = _add(parent, "messageBody")
    for document in message.documents:
        _write_document(_add(body, "documents"), document)
    _check(payload)
    octets: bytes = etree.tostring(payload, xml_declaration=True, encoding="UTF-8")
    if len(octets) > MAX_OCTETS:
        raise TooLargeError("the message is larger than 30 000 000 octets")
    return octets


def read(octets: bytes) -> Message:
    """The message in `octets`.

    Raises:
        NotWellFormedError: no XML that we read; SDK sends no receipt for it.
        RejectedError: with every fault, as its receipt tells them.
    """
    try:
        payload = parse(octets)
    except TooLargeError:
        raise RejectedError([Fault(Why.RULE, Detail.TOO_LONG, "NA", "Meddelandet är större än 30 MB.")]) from None
    _check(payload)
    header = payload[0][0]
    return Message(
        id=text(header, "messageId").lower(),
        conversation=text(header, "conversationId").lower(),
        created=_instant(text(header, "creationDateTime")),
        label=text(header, "label"),
        confidential=text(header, "confidentiality") in ("true", "1"),
        sender=_party(header, "sender", "senderID"),
        recipient=_party(header, "recipient", "recipientID"),
        documents=tuple(_document(one) for one in payload.iter(tag("documents"))),
        refers_to=text(header, "refToMessageId").lower(),
        generating_system=_identifier(header, "generatingSystem"),
    )


def _check(payload: Element) -> None:
    """Schema first: what has no shape has no rules."""
    if payload.tag != tag("messagePayload"):
        raise RejectedError([Fault(Why.STRUCTURE, Detail.STRUCTURE, "NA", "Rotelementet är ett annat.")])
    found: list[Fault] = []
    compiled = schema(SCHEMA)
    if not compiled.validate(payload):
        # The validator's own sentence quotes values, so only the place is told.
        places = {str(entry.path or "NA")[:200] for entry in compiled.error_log}
        found = [Fault(Why.STRUCTURE, Detail.STRUCTURE, place, "Följer inte schemat.") for place in sorted(places)[:20]]
    found = found or list(rules.faults(payload))
    if found:
        raise RejectedError(found)


# --- writing ---------------------------------------------------------------------------------------------------------


def _add(parent: Element, name: str, value: str = "") -> Element:
    child = etree.SubElement(parent, tag(name))
    if value:
        child.text = value
    return child


def _write_header(header: Element, message: Message) -> None:
    _add(header, "creationDateTime", time_text(message.created))
    _add(header, "messageId", message.id)
    _add(header, "conversationId", message.conversation)
    if message.refers_to:
        _add(header, "refToMessageId", message.refers_to)
    _add(header, "label", message.label)
    _add(header, "confidentiality", "true" if message.confidential else "false")
    if message.generating_system is not None:
        _write_identifier(_add(header, "generatingSystem"), message.generating_system)
    _write_party(_add(header, "recipient"), "recipientID", message.recipient)
    _write_party(_add(header, "sender"), "senderID", message.sender)


def _write_party(element: Element, number: str, party: Party) -> None:
    _write_identifier(_add(element, number), Identifier(ORGANISATION_ROOT, party.id))
    if party.label:
        _add(element, "label", party.label)
    attention = _add(element, "attention")
    for person in party.attention.persons:
        child = _add(attention, "person")
        if person.id is not None:
            _write_identifier(_add(child, "personId"), person.id)
        if person.label:
            _add(child, "label", person.label)
    function = _add(attention, "subOrganization")
    _write_identifier(_add(function, "organizationId"), Identifier(FUNCTION_ROOT, party.attention.function))
    if party.attention.label:
        _add(function, "label", party.attention.label)
    for reference in party.attention.references:
        child = _add(attention, "reference")
        _write_identifier(_add(child, "referenceId"), reference.id)
        if reference.label:
            _add(child, "label", reference.label)


def _write_identifier(element: Element, identifier: Identifier) -> None:
    _add(element, "root", identifier.root)
    _add(element, "extension", identifier.extension)


def _write_document(element: Element, document: Document) -> None:
    _add(element, "documentID", document.id)
    if document.name:
        _add(element, "documentName", document.name)
    if document.index:
        _add(element, "index", document.index)
    for file in document.files:
        child = _add(element, "ContentFiles")
        _add(child, "fileName", file.name)
        _add(child, "contentType", file.media_type)
        _add(child, "content", base64.b64encode(file.octets).decode("ascii"))
    for one in document.texts:
        _add(_add(element, "ContentText"), "characterSequence", one)


def time_text(at: Instant) -> str:
    """A time as SDK writes it: UTC, milliseconds, Z."""
    moment = datetime.fromtimestamp(at // 1_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at // 1000 % 1000:03d}Z"


# --- reading ---------------------------------------------------------------------------------------------------------


def _instant(value: str) -> Instant:
    """A time that the rules have passed."""
    whole, _, fraction = value.removesuffix("Z").partition(".")
    moment = datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    return Instant(int(moment.timestamp()) * 1_000_000 + int(fraction.ljust(3, "0")) * 1000)


def _identifier(element: Element, path: str) -> Identifier | None:
    found = rules.find(element, path)
    return Identifier(text(found, "root"), text(found, "extension")) if found is not None else None


def _party(header: Element, side: str, number: str) -> Party:
    element = rules.find(header, side)
    attention = rules.find(header, f"{side}/attention")
    if element is None or attention is None:
        raise RejectedError([Fault(Why.RULE, Detail.INVARIANT, side, "Parten saknas.")])
    return Party(
        id=text(element, f"{number}/extension"),
        label=text(element, "label"),
        attention=Attention(
            function=text(attention, "subOrganization/organizationId/extension"),
            label=text(attention, "subOrganization/label"),
            persons=tuple(
                Person(id=_identifier(one, "personId"), label=text(one, "label"))
                for one in attention.findall(tag("person"))
            ),
            references=tuple(
                Reference(
                    id=Identifier(text(one, "referenceId/root"), text(one, "referenceId/extension")),
                    label=text(one, "label"),
                )
                for one in attention.findall(tag("reference"))
            ),
        ),
    )


def _document(element: Element) -> Document:
    return Document(
        id=text(element, "documentID"),
        name=text(element, "documentName"),
        index=text(element, "index"),
        files=tuple(
            File(
                name=text(one, "fileName"),
                media_type=text(one, "contentType"),
                octets=rules.decoded(text(one, "content")) or b"",
            )
            for one in element.findall(tag("ContentFiles"))
        ),
        texts=tuple((one.findtext(tag("characterSequence")) or "") for one in element.findall(tag("ContentText"))),
    )
