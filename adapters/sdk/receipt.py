"""The message receipt (meddelandekvittens): a reduced UBL ApplicationResponse (C3.2.4).

Why this exists: it is the only word on whether the other side took a message. It is written to pass the rules that it
will be read with, and read for what it is: accepted, or refused with codes that we turn into our own reasons. Its texts
are ours in both directions: what a neighbour writes as a reason is kept for operators, never shown as content.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from lxml import etree

from adapters.sdk.faults import Detail, Fault, RejectedError, Why, reason_of
from adapters.sdk.xml import Element, parse, schema
from gateway.model.base import Instant
from gateway.neighbours import Reason

SCHEMA: Final = "Response-2.1.xsd"
APP: Final = "urn:oasis:names:specification:ubl:schema:xsd:ApplicationResponse-2"
CAC: Final = "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2"
CBC: Final = "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2"
CUSTOMIZATION: Final = "urn:fdc:digg.se:edelivery:messagetype:response:1"
PROFILE: Final = "bdx:noprocess"
SCHEME: Final = "iso6523-actorid-upis"
ACCEPTED: Final = "ACCEPTED"
REJECTED: Final = "REJECTED"
_NS: Final = {"a": APP, "c": CAC, "b": CBC}
_ZONED: Final = re.compile(r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Accepted when there are no faults. `message` is the id of the message that is answered."""

    id: str
    issued: Instant
    sender: str  # who answers, "0203:…"
    receiver: str
    message: str
    faults: tuple[Fault, ...] = ()

    @property
    def accepted(self) -> bool:
        return not self.faults

    @property
    def reason(self) -> Reason:
        """The first fault in our words."""
        return reason_of(self.faults[0].why, self.faults[0].detail) if self.faults else Reason.NONE


def write(receipt: Receipt) -> bytes:
    """The octets of a receipt; it is validated before it is sent (TM-B §2.9.3 b).

    Raises:
        RejectedError: it would break a rule.
    """
    root = etree.Element(f"{{{APP}}}ApplicationResponse", nsmap={None: APP, "cac": CAC, "cbc": CBC})
    moment = datetime.fromtimestamp(receipt.issued / 1_000_000, UTC)
    for name, value in (
        ("CustomizationID", CUSTOMIZATION),
        ("ProfileID", PROFILE),
        ("ID", receipt.id),
        ("IssueDate", f"{moment:%Y-%m-%d}"),
        ("IssueTime", f"{moment:%H:%M:%S}Z"),
    ):
        _b(root, name, value)
    for name, party in (("SenderParty", receipt.sender), ("ReceiverParty", receipt.receiver)):
        _b(_c(root, name), "EndpointID", party).set("schemeID", SCHEME)
    response = _c(root, "DocumentResponse")
    _b(_c(response, "Response"), "ResponseCode", ACCEPTED if receipt.accepted else REJECTED)
    _b(_c(response, "DocumentReference"), "ID", receipt.message)
    for fault in receipt.faults:
        line = _c(response, "LineResponse")
        _b(_c(line, "LineReference"), "LineID", fault.place or "NA")
        answer = _c(line, "Response")
        _b(answer, "ResponseCode", fault.why)
        status = _c(answer, "Status")
        if fault.detail:
            _b(status, "StatusReasonCode", fault.detail)
        _b(status, "StatusReason", fault.text)
    _check(root)
    octets: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    return octets


def read(octets: bytes) -> Receipt:
    """The receipt in `octets`. Any detail code is taken: it is free text by schema.

    Raises:
        NotWellFormedError, TooLargeError: no XML that we read.
        RejectedError: it breaks a rule; a receipt is never itself receipted (TM-B §3.2 d), so this is for the log.
    """
    root = parse(octets)
    _check(root)
    return Receipt(
        id=_text(root, "b:ID"),
        issued=_issued(_text(root, "b:IssueDate"), _text(root, "b:IssueTime")),
        sender=_text(root, "c:SenderParty/b:EndpointID"),
        receiver=_text(root, "c:ReceiverParty/b:EndpointID"),
        message=_text(root, "c:DocumentResponse/c:DocumentReference/b:ID").lower(),
        faults=tuple(_fault(line) for line in root.findall("c:DocumentResponse/c:LineResponse", _NS)),
    )


def _fault(line: Element) -> Fault:
    why = _text(line, "c:Response/b:ResponseCode")
    return Fault(
        Why(why),
        _text(line, "c:Response/c:Status/b:StatusReasonCode")[:128],
        _text(line, "c:LineReference/b:LineID")[:256],
        _text(line, "c:Response/c:Status/b:StatusReason")[:1000],
    )


def _check(root: Element) -> None:
    compiled = schema(SCHEMA)
    if root.tag != f"{{{APP}}}ApplicationResponse" or not compiled.validate(root):
        raise RejectedError([Fault(Why.STRUCTURE, Detail.STRUCTURE, "NA", "Kvittensen följer inte schemat.")])
    found = list(_broken(root))
    if found:
        raise RejectedError(found)


def _broken(root: Element) -> Iterator[Fault]:
    """R1-APP (the schema), R2–R9-APP, and what the published rules let through (SOURCES.txt, note 6)."""

    def rule(name: str, place: str, sentence: str) -> Fault:
        return Fault(Why.RULE, Detail.INVARIANT, place, f"{name}: {sentence}")

    for element in root.iter():
        if not len(element) and not (element.text or "").strip():
            yield rule("R2-APP", str(element.tag).rpartition("}")[2], "Tomma element får inte anges.")
    if _text(root, "b:CustomizationID") != CUSTOMIZATION:
        yield rule("R3-APP", "CustomizationID", "Fel värde.")
    if _text(root, "b:ProfileID") != PROFILE:
        yield rule("R4-APP", "ProfileID", "Fel värde.")
    code = _text(root, "c:DocumentResponse/c:Response/b:ResponseCode")
    if code not in (ACCEPTED, REJECTED):
        yield rule("R5-APP", "ResponseCode", "Okänd kvittenskod.")
    lines = root.findall("c:DocumentResponse/c:LineResponse", _NS)
    for line in lines:
        if _text(line, "c:Response/b:ResponseCode") not in set(Why):
            yield rule("R6-APP", "LineResponse", "Okänd orsakskod.")
        if line.find("c:Response/c:Status", _NS) is None:
            yield rule("R9-APP", "LineResponse/Response/Status", "Obligatoriskt element saknas.")
    if code == ACCEPTED and lines:
        yield rule("R7-APP", "LineResponse", "En accepterad kvittens har inga orsaker.")
    if code == REJECTED and not lines:
        yield rule("R8-APP", "LineResponse", "En avvisad kvittens har minst en orsak.")
    for party in ("SenderParty", "ReceiverParty"):
        endpoint = root.find(f"c:{party}/b:EndpointID", _NS)
        if endpoint is None or endpoint.get("schemeID") != SCHEME:
            yield rule("text-C3.2.4", f"{party}/EndpointID", f"schemeID ska vara {SCHEME}.")
    if not _ZONED.fullmatch(_text(root, "b:IssueTime")):
        yield rule("text-C3.2.4", "IssueTime", "Tiden ska ha tidszon.")


def _issued(day: str, time: str) -> Instant:
    moment = datetime.fromisoformat(f"{day}T{time.replace('Z', '+00:00')}")
    return Instant(int(moment.timestamp() * 1_000_000))


def _text(element: Element, path: str) -> str:
    found = element.find(path, _NS)
    return (found.text or "").strip() if found is not None else ""


def _b(parent: Element, name: str, value: str) -> Element:
    child = etree.SubElement(parent, f"{{{CBC}}}{name}")
    child.text = value
    return child


def _c(parent: Element, name: str) -> Element:
    return etree.SubElement(parent, f"{{{CAC}}}{name}")
