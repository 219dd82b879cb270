"""What a message service says of a message on its way, as a neighbour's word (B1.4.2 KV Meddelandestatus; sdk.md §10).

Why this exists: services show different parts of one list of states, in different spellings, and tell why in events
whose names differ between text, examples and the OpenAPI file. All of it is read here, tolerantly; what is not known is
in progress, never delivered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from adapters.sdk.faults import reason_of
from gateway.neighbours import Reason, Telling, Told

FINAL_ACCEPTED: Final = "ACCEPTED"
FINAL_FAILED: Final = "MESSAGE_EXCHANGE_ERROR"
FINAL_NEW: Final = "NEW"
#: The only states in which a message may be deleted (B1.4.2).
FINAL: Final = frozenset({FINAL_ACCEPTED, FINAL_FAILED, FINAL_NEW})
IN_PROGRESS: Final = frozenset(
    {
        "SCHEDULED",
        "SUBMITTED",
        "SCHEDULED_FOR_RESEND",
        "ACKNOWLEDGE",
        "WAITING_FOR_ACKNOWLEDGE",
        "WAITING_FOR_RECEIPT",
        "REJECTED",  # leads on to MESSAGE_EXCHANGE_ERROR
        "ERROR",  # the same
        "RETRIEVED",
        "RECEIPT_SENT",
    }
)


def told(attributes: Mapping[str, Any], reference: str) -> Told:
    """The neighbour's word for the attributes of an outgoing message."""
    status = str(attributes.get("messageStatus", "")).upper()
    if status == FINAL_ACCEPTED:
        return Told(Telling.DELIVERED, reference=reference, detail=status)
    if status == FINAL_FAILED:
        return Told(Telling.REFUSED, reason(attributes), reference, status)
    detail = status if status in IN_PROGRESS else "unknown status"
    return Told(Telling.IN_TRANSIT, reference=reference, detail=detail)


def reason(attributes: Mapping[str, Any]) -> Reason:
    """Why a message failed: the receipt's codes where an event has them, else what the events speak of."""
    spoken = ""
    for issue in issues(attributes):
        why, detail = str(issue.get("typeCode", "")).upper(), str(issue.get("title", ""))
        if why in ("SV", "BV", "SIG"):
            return reason_of(why, detail)
        spoken += f" {detail} {issue.get('detail', '')}"
    spoken = spoken.lower()
    if "receipt" in spoken or "kvittens" in spoken:
        return Reason.NO_RECEIPT
    if "smp" in spoken or "not found" in spoken or "not_serviced" in spoken:
        return Reason.NOT_CONNECTED
    return Reason.UNREACHABLE


def issues(attributes: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The event issues, newest first, whichever of the published spellings a service uses (§10.2)."""
    events = attributes.get("events", attributes.get("event", []))
    for event in events if isinstance(events, list) else [events]:
        if not isinstance(event, Mapping):
            continue
        found = event.get("eventIssues", event.get("eventsIssue", []))
        for issue in found if isinstance(found, list) else [found]:
            if isinstance(issue, Mapping):
                yield issue
