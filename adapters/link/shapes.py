"""What stands on the wire: bodies of the simulator's operations, COS's referral, and three shapes of errors.

Why this exists: Cambio Open Services answers errors in three shapes (V2), from whichever layer refused, and a client
that knows only one of them reads the others as success or as a crash. Here they are one `Refusal`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from gateway.collaboration import (
    Actor,
    ActorKind,
    CaseKind,
    LinkCase,
    LinkEnvelope,
    LinkMessage,
    LinkStatus,
    PlanType,
    Refusal,
    Trouble,
)
from gateway.model.base import Instant

STATUS: Final[Mapping[Trouble, int]] = {
    Trouble.AWAY: 503,
    Trouble.BUSY: 429,
    Trouble.FORBIDDEN: 403,
    Trouble.SESSION: 401,
    Trouble.NOT_FOUND: 404,
    Trouble.CLOSED: 409,
    Trouble.INVALID: 400,
}
_TROUBLE: Final = {status: trouble for trouble, status in STATUS.items()}
RETRY_AFTER_S: Final = 5
#: Names the function that a question is asked for (ours, INF: no published call has a place for it).
ACTING: Final = "Sambud-Acting-Function"
#: People write references, and a path is made of them: nothing with slashes, dots alone, or the shape of an identity.
_REFERENCE: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def refusal_of(status: int, body: Any, retry_after: str = "") -> Refusal:
    """The refusal that an answer is, whichever of the three shapes it has; a shape that is none of them as well."""
    told = _told(body)
    trouble = _TROUBLE.get(told or status) or _TROUBLE.get(status)
    if trouble is None:
        trouble = Trouble.AWAY if status >= 500 else Trouble.INVALID
    wait = int(retry_after) if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 6 else 0
    seconds = (wait or RETRY_AFTER_S) if trouble is Trouble.BUSY else wait
    return Refusal(trouble, seconds, str(told or status))


def _told(body: Any) -> int:
    """The status that an error's body names: of the gateway, of the application, of a FHIR OperationOutcome; or 0."""
    if not isinstance(body, Mapping):
        return 0
    for name in ("statusCode", "status"):
        if isinstance(body.get(name), int):
            return int(body[name])
    issues = body.get("issue")
    if body.get("resourceType") == "OperationOutcome" and isinstance(issues, list):
        codes = {"forbidden": 403, "login": 401, "throttled": 429, "not-found": 404, "conflict": 409, "invalid": 400}
        found = [codes.get(str(one.get("code")), 0) for one in issues if isinstance(one, Mapping)]
        return next((code for code in found if code), 0)
    return 0


def error(shape: str, refusal: Refusal, path: str, now: Instant) -> dict[str, Any]:
    """An error's body in one of the three shapes: gateway, app or fhir."""
    status = STATUS[refusal.trouble]
    if shape == "gateway":
        return {"statusCode": status, "message": str(refusal.trouble)}
    if shape == "fhir":
        codes = {403: "forbidden", 401: "login", 429: "throttled", 404: "not-found", 409: "conflict", 400: "invalid"}
        issue = {"severity": "error", "code": codes.get(status, "exception")}
        return {"resourceType": "OperationOutcome", "issue": [issue]}
    return {"error": str(refusal.trouble), "path": path, "status": status, "timestamp": now}


# --- bodies ----------------------------------------------------------------------------------------------------------


def told_envelope(one: LinkEnvelope) -> dict[str, Any]:
    return {
        "case": one.case,
        "kind": one.kind,
        "inbox": one.inbox,
        "administration": one.administration,
        "unit": one.unit,
        "received": one.received,
        "masked": one.masked,
    }


def read_envelope(told: Mapping[str, Any]) -> LinkEnvelope:
    """Raises KeyError, TypeError, ValueError: not one."""
    return LinkEnvelope(
        case=_text(told["case"]),
        kind=CaseKind(told["kind"]),
        inbox=_text(told["inbox"]),
        administration=_text(told["administration"]),
        unit=_text(told["unit"]),
        received=_instant(told["received"]),
        masked=told["masked"] is True,
    )


def told_case(one: LinkCase) -> dict[str, Any]:
    return {
        "ref": one.ref,
        "kind": one.kind,
        "status": one.status,
        "patient": one.patient,
        "actors": [[actor.kind, actor.name] for actor in one.actors],
        "messages": [[m.id, m.sender, m.at, m.text, m.read_at] for m in one.messages],
        "plans": [list(plan) for plan in one.plans],
        "version": one.version,
    }


def read_case(told: Mapping[str, Any]) -> LinkCase:
    """Raises KeyError, TypeError, ValueError: not one."""
    return LinkCase(
        ref=_text(told["ref"]),
        kind=CaseKind(told["kind"]),
        status=LinkStatus(told["status"]),
        patient=_text(told["patient"]),
        actors=tuple(Actor(ActorKind(kind), _text(name)) for kind, name in told["actors"]),
        messages=tuple(
            LinkMessage(
                id=_text(identifier),
                sender=_text(sender),
                at=_instant(at),
                text=_text(text),
                read_at=None if read is None else _instant(read),
            )
            for identifier, sender, at, text, read in told["messages"]
        ),
        plans=tuple((PlanType(kind), _text(text)) for kind, text in told["plans"]),
        version=_number(told["version"]),
    )


def is_reference(text: str) -> bool:
    """Whether this can be what a case is called there; how Link names cases is unknown, so digits alone are none."""
    return _REFERENCE.fullmatch(text) is not None


def told_status(one: LinkCase) -> dict[str, Any]:
    return {"ref": one.ref, "status": one.status}


def status_of(told: Any, case: str) -> LinkStatus | Refusal:
    """A state that is known here, of the case that was asked for; everything else is an answer that says nothing."""
    if not isinstance(told, Mapping) or told.get("ref") != case:
        return Refusal(Trouble.UNKNOWN)
    known = {str(one): one for one in LinkStatus}
    return known.get(str(told.get("status")), Refusal(Trouble.UNKNOWN))


def parsed(octets: bytes) -> Any:
    """JSON, or None for what is none."""
    try:
        return json.loads(octets)
    except (ValueError, RecursionError):
        return None


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 100_000:
        raise TypeError("not a text")
    return value


def _number(value: Any) -> int:
    if type(value) is not int:
        raise TypeError("not a number")
    return value


def _instant(value: Any) -> Instant:
    return Instant(_number(value))
