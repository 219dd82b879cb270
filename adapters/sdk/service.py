"""The service's side of the SDK API: what is asked, read strictly, and what is answered (B1.4.2; sdk.md §10).

Why this exists: whoever answers this API must say the same things in the same shapes, whether it simulates a service or
is one. So reading a call and writing an answer stand here, without a word of where messages are kept.

Rules: a fault names a field, never a value; what a client may leave out is filled in; errors are `application/json`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from adapters.sdk.api_model import instant_of, message_of
from adapters.sdk.faults import RejectedError
from adapters.sdk.message import time_text
from adapters.sdk.model import Message
from gateway.model.base import Instant

VERSION: Final = "sdk api 1.0.0"
MAX_MESSAGE: Final = 30_000_000
#: What is read of a body at all: a message of the greatest size, and room to say that one is too large.
MAX_BODY: Final = 45_000_000
#: The filters that a service must know (B1.4.2), in lower case: the text and the OpenAPI file differ there.
_FILTERS: Final = {
    "filter[messagestatus]": "status",
    "filter[recipientattention.suborganization.extension]": "recipient",
    "filter[senderattention.suborganization.extension]": "sender",
    "filter[creationdatetimestart]": "start",
    "filter[creationdatetimestop]": "stop",
}


class CallError(Exception):
    """The call cannot be answered as asked. `issues` name fields."""

    def __init__(self, status: int, title: str, issues: Iterable[str] = ()) -> None:
        super().__init__(f"{status} {title}")
        self.status = status
        self.title = title
        self.issues = tuple(issues)


def created(octets: bytes, *, at: Instant) -> tuple[Message, dict[str, Any]]:
    """The message of a createMessage body, and its attributes with what the client left out.

    Raises:
        CallError: too large, no JSON of this shape, or a rule of the specification is broken.
    """
    if len(octets) > MAX_MESSAGE:
        raise CallError(400, "Payload Too Large", ["Request message must not be larger than 30 MB"])
    try:
        data = json.loads(octets)["data"]
        told = dict(data["attributes"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise CallError(400, "Bad Request", ["data"]) from None
    if "messageStatus" in told:
        raise CallError(400, "Bad Request", ["messageStatus"])  # the service's word, never the client's
    identifier = told.get("messageId") or data.get("id") or str(uuid.uuid4())
    told = {
        **told,
        "messageId": identifier,
        "conversationId": told.get("conversationId") or identifier,
        "creationDateTime": told.get("creationDateTime") or time_text(at),
    }
    for name in ("messageId", "conversationId"):
        if not is_uuid(told[name]):
            raise CallError(400, "Bad Request", [name])
    if not isinstance(told.get("confidentiality"), bool):
        raise CallError(400, "Bad Request", ["confidentiality"])
    try:
        message = message_of(told)
    except RejectedError as refused:
        raise CallError(400, "Bad Request", [fault.place for fault in refused.faults]) from None
    return message, {**told, "messageId": message.id, "conversationId": message.conversation}


def is_uuid(value: object) -> bool:
    try:
        return isinstance(value, str) and str(uuid.UUID(value)) == value.lower()
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which messages a list holds; what is empty is not asked about. Functions are compared without regard to case."""

    status: str = ""
    recipient: str = ""
    sender: str = ""
    start: Instant | None = None
    stop: Instant | None = None

    @classmethod
    def of(cls, query: Iterable[tuple[str, str]]) -> Filter:
        """From a query's pairs. Values may stand in quotes, as in the example of the recommendation.

        Raises:
            CallError: a filter that is not one of the five, or a time that is none.
        """
        found = dict.fromkeys(_FILTERS.values(), "")
        for name, value in query:
            known = _FILTERS.get(name.lower())
            if known is None:
                raise CallError(400, "Bad Request", ["filter"])
            found[known] = value.strip('"')
        return cls(
            status=found["status"].upper(),
            recipient=found["recipient"].lower(),
            sender=found["sender"].lower(),
            start=_moment(found["start"]),
            stop=_moment(found["stop"]),
        )

    def takes(self, attributes: Mapping[str, Any], status: str) -> bool:
        created = instant_of(str(attributes.get("creationDateTime", ""))) or Instant(0)
        return (
            self.status in ("", status)
            and self.recipient in ("", function_of(attributes, "recipientAttention"))
            and self.sender in ("", function_of(attributes, "senderAttention"))
            and (self.start is None or created >= self.start)
            and (self.stop is None or created <= self.stop)
        )


def _moment(written: str) -> Instant | None:
    found = instant_of(written)
    if written and found is None:
        raise CallError(400, "Bad Request", ["creationDateTime"])
    return found


def function_of(attributes: Mapping[str, Any], side: str) -> str:
    """The functional address of a side, in lower case; "" for none."""
    attention = attributes.get(side)
    place = attention.get("subOrganization") if isinstance(attention, Mapping) else None
    return str(place.get("extension", "")).lower() if isinstance(place, Mapping) else ""


def shown(attributes: Mapping[str, Any], status: str, *, whole: bool, events: Mapping[str, Any] | None) -> Any:
    """A message as an answer shows it; a list is always without texts and files."""
    told = {**attributes, "messageStatus": status, **({"events": dict(events)} if events else {})}
    if not whole:
        told.pop("digitalDocument", None)
    return {"type": "messages", "id": told["messageId"], "attributes": told}


def answer(data: Any, link: str) -> dict[str, Any]:
    """The body of a 200, for one message or for a list."""
    return {"meta": {"version": VERSION}, "links": {"self": link}, "data": data}


def event(identifier: str, why: str, detail: str) -> dict[str, Any]:
    """Why a message was not delivered: a receipt's codes, or the service's own words (§10.2)."""
    issue = {"typeCode": why, "title": detail, "detail": "NA", "in": "NA"}
    return {
        "type": "urn:event-type:sdk:message",
        "title": "MESSAGE_EXCHANGE_ERROR",
        "detail": "MESSAGE_EXCHANGE_ERROR",
        "instance": f"urn:uuid:{identifier}",
        "eventIssues": [issue],
    }


def problem(fault: CallError) -> dict[str, Any]:
    """The body of an error (§10.2): application/json here, not application/problem+json."""
    return {
        "type": "urn:problem-type:sdk:badRequest",
        "title": fault.title,
        "status": fault.status,
        "detail": "MESSAGE_EXCHANGE_ERROR",
        "instance": f"urn:uuid:{uuid.uuid4()}",
        "eventIssues": [{"typeCode": "MESSAGE_EXCHANGE_ERROR", "title": one, "in": one} for one in fault.issues],
    }
