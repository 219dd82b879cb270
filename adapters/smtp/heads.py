"""What stands in the head of a delivered mail, and what reports and receipts say: from anybody, so read with care.

Why this exists: the mail server writes who it was for and who sent it (Delivered-To, Return-Path) above all that the
sender wrote; only the first of each is the server's. Below that everything may be forged, so it decides nothing but
whether we are silent.

Rules: only the beginning of a mail is looked at; the parser is the one that keeps what it does not understand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32
from email.utils import getaddresses
from typing import Final

from adapters.smtp.addresses import UnsafeTextError, checked
from adapters.smtp.verdicts import reason_of
from gateway.neighbours import Reason, Telling, Told

HEAD_OCTETS: Final = 64 * 1024
REPORT_OCTETS: Final = 256 * 1024
_ENDS: Final = re.compile(rb"\r?\n\r?\n")
_LISTS: Final = ("List-Id", "List-Unsubscribe", "List-Post", "Feedback-ID", "X-Auto-Response-Suppress")
_MACHINES: Final = re.compile(
    r"(mailer-daemon|postmaster|no-?reply|owner-.*|.*-request|.*-bounces?|bounces?)(\+.*)?@.*"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """`recipient` and `back` are the mail server's word; `back` is empty for the null sender. `sender` is claimed."""

    recipient: str
    back: str
    sender: str
    message_id: str
    media_type: str
    encoding: str
    automatic: bool  # RFC 3834 §2: not by a person, or to many: never answered
    body_at: int


def head_of(octets: bytes) -> Head:
    """The head of a mail; fields that are missing, doubled where they must not be, or unsafe are empty."""
    found = _ENDS.search(octets[:HEAD_OCTETS])
    body_at = found.end() if found else len(octets)
    fields = BytesHeaderParser(policy=compat32).parsebytes(octets[: min(body_at, HEAD_OCTETS)])
    back = _address([str(one) for one in fields.get_all("Return-Path", [])][:1])
    submitted = str(fields.get("Auto-Submitted", "no")).partition(";")[0].strip().lower()
    automatic = (
        submitted != "no"
        or str(fields.get("Precedence", "")).strip().lower() in ("bulk", "junk", "list")
        or any(name in fields for name in _LISTS)
        or _MACHINES.fullmatch(back.lower()) is not None
        or fields.get_content_type() == "multipart/report"
    )
    return Head(
        recipient=_address([str(one) for one in fields.get_all("Delivered-To", [])][:1]),
        back=back,
        sender=_address([str(one) for one in fields.get_all("From", [])]),
        message_id=str(fields.get("Message-ID", "")).strip(),
        media_type=fields.get_content_type(),
        encoding=str(fields.get("Content-Transfer-Encoding", "7bit")).strip().lower(),
        automatic=automatic,
        body_at=body_at,
    )


def _address(fields: list[str]) -> str:
    """The one plain address of these fields; empty when there is none, or more than one."""
    found = [address for _, address in getaddresses(fields) if address]
    try:
        return checked(found[0]) if len(found) == 1 else ""
    except UnsafeTextError:
        return ""


def report_of(octets: bytes) -> Told | None:
    """What a delivery status notification says (RFC 3464); None when it says nothing final, or is none."""
    for block in _blocks(octets, "message/delivery-status"):
        action = str(block.get("Action", "")).strip().lower()
        status = str(block.get("Status", "")).split("(")[0].strip()
        if action == "failed":
            # 4.x.x of a report that failed: the queue of somebody on the way gave up.
            reason = Reason.UNREACHABLE if status.startswith("4") else reason_of(status)
            return Told(Telling.REFUSED, reason, detail=status)
        if action == "delivered":
            return Told(Telling.DELIVERED, detail=status)
    return None


def receipt_of(octets: bytes) -> Told | None:
    """What a disposition notification says (RFC 8098 §3.2.6); None when it is none."""
    for block in _blocks(octets, "message/disposition-notification"):
        _, _, disposition = str(block.get("Disposition", "")).partition(";")
        kind, _, modifier = disposition.strip().lower().partition("/")
        if kind not in ("displayed", "processed", "dispatched", "deleted"):
            continue
        if modifier.strip() != "error":
            return Told(Telling.DELIVERED, detail=kind)
        told = str(block.get("Error", "")).strip()
        known = told in set(Reason) and told not in ("", Reason.BUSY, Reason.FILE_WAITS)
        return Told(Telling.REFUSED, Reason(told) if known else Reason.REFUSED, detail=kind)
    return None


def _blocks(octets: bytes, media_type: str) -> list[Message]:
    """The blocks of fields in a report's part of this type."""
    whole = message_from_bytes(octets[:REPORT_OCTETS], policy=compat32)
    if whole.get_content_type() != "multipart/report":
        return []
    parts = [part for part in _inside(whole) if part.get_content_type() == media_type]
    return [block for part in parts for block in _inside(part)]


def _inside(part: Message) -> list[Message]:
    payload = part.get_payload()
    return [one for one in payload if isinstance(one, Message)] if isinstance(payload, list) else []
