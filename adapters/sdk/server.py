"""The SDK API as we serve it: a case system uses this gateway as its message service (B1.4.2; ADR-0009).

Why this exists: the official description says four calls and little of what they mean. How a call is read and answered
stands in `service`, for the simulator and for us; what a system may do stands in `gateway.systems`, `system_post` and
`system_list`; here the one is put into the words of the other.

Rules:
- Errors are `application/json` in the description's shape (§10.2): 400, 401 and 404 as it names them, and 429 and 503
  with Retry-After, which it does not know but HTTP does. A fault names a field, never a value.
- A body of the greatest size takes four times as much while it becomes a message, so that is done one at a time. Four
  can be received meanwhile: whoever sends slowly keeps nobody else from being read.
- The sender's subject, its references and whom it names are part of what it says: they travel in the text.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from aiohttp import web

from adapters.http.address import address_block, is_secure
from adapters.http.routes import Access, Call, Csrf, Rate, Route, Scope
from adapters.sdk.api_model import attributes
from adapters.sdk.faults import TOLD
from adapters.sdk.model import DIARY_ROOT, Attention, Document, File, Identifier, Message, Party, Reference
from adapters.sdk.neighbour import said
from adapters.sdk.service import (
    MAX_BODY,
    MAX_MESSAGE,
    CallError,
    Filter,
    answer,
    created,
    event,
    is_uuid,
    problem,
    shown,
)
from adapters.sdk.status import FINAL_ACCEPTED, FINAL_FAILED, FINAL_NEW
from gateway.errors import GatewayError, InvalidFormError, NotFoundError, TooManyAttemptsError
from gateway.neighbours import Reason
from gateway.readable import markdown
from gateway.states import DeliveryState
from gateway.system_list import Fetched, Listed
from gateway.system_places import Operation, Place, may, scope_of
from gateway.system_post import Outgoing

MESSAGES: Final = "/sdk/messages"
RECEIVED_AT_ONCE: Final = 4
TOKEN: Final = "/sdk/token"  # noqa: S105  (an address)
#: A reference with this root says what a message speaks of (a consent category); it stays here.
CATEGORY_ROOT: Final = "https://sambud.example/category"
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_SCOPES: Final[Mapping[str, Operation]] = {
    "urn:sdk.api:sendmessages": Operation.SEND,
    "urn:sdk.api:sendmessage": Operation.SEND,  # the description has it both ways
    "urn:sdk.api:getmessagebyfilter": Operation.LIST,
    "urn:sdk.api:getmessage": Operation.READ,
    "urn:sdk.api:deletemessage": Operation.DELETE,
}
#: In a scope: a function that the token is to speak for, as the recommendation's claim is called.
_FUNCTION: Final = "urn:sdk.digg.se:auth_id:"
_STATUS: Final[Mapping[DeliveryState, str]] = {
    DeliveryState.QUEUED: "SCHEDULED",
    DeliveryState.ATTEMPTING: "SUBMITTED",
    DeliveryState.IN_TRANSIT: "WAITING_FOR_RECEIPT",
    DeliveryState.DELIVERED: FINAL_ACCEPTED,
    DeliveryState.OPENED: FINAL_ACCEPTED,
}
#: What a client knows our fields by.
_NAMES: Final[Mapping[str, str]] = {"text": "contentTextBody", "categories": "senderAttention"}


class TokenError(Exception):
    """RFC 6749 §5.2."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


class SdkServer:
    """The calls."""

    def __init__(self) -> None:
        self._receiving = asyncio.Semaphore(RECEIVED_AT_ONCE)
        self._large = asyncio.Semaphore(1)

    async def token(self, call: Call) -> web.Response:
        """Client credentials with a signed assertion (RFC 6749 §4.4, RFC 7523 §2.2)."""
        try:
            form = dict(parse_qsl((await _octets(call, 16 * 1024)).decode("ascii", "replace"), max_num_fields=16))
            if form.get("grant_type") != "client_credentials":
                raise TokenError("unsupported_grant_type")
            if form.get("client_assertion_type") != _ASSERTION or not form.get("client_assertion"):
                raise TokenError("invalid_request")
            scope = await _scope(call, form.get("scope", ""))
        except (TokenError, ValueError, CallError) as fault:
            error = fault.error if isinstance(fault, TokenError) else "invalid_request"
            return web.json_response({"error": error}, status=400)
        done = await call.gateway.systems.token(
            form["client_assertion"],
            audience={f"{'https' if is_secure(call.request) else 'http'}://{call.request.host}{TOKEN}"},
            scope=scope,
            source=address_block(call.request),
        )
        lasts = (done.session.ends_at - done.session.started_at) // 1_000_000
        return web.json_response({"access_token": done.token, "token_type": "Bearer", "expires_in": lasts})

    async def send(self, call: Call) -> web.Response:
        """createMessage."""
        _allowed(call, Operation.SEND)
        async with self._receiving:
            octets = await _octets(call, MAX_BODY)
            async with self._large:
                message, told = created(octets, at=call.gateway.ports.clock.now())
                del octets
                done = await call.gateway.system_post.send(call.signed, _outgoing(message, told))
        return web.Response(status=201, headers={"Location": f"{MESSAGES}/{done}"})

    async def list(self, call: Call) -> web.Response:
        """getMessageByFilter: opens nothing."""
        _allowed(call, Operation.LIST)
        wanted = Filter.of(call.request.query.items())
        found = []
        for one in await call.gateway.system_list.listed(call.signed):
            status, told = _status(one), _attributes(one)
            if wanted.takes(told, status):
                found.append(shown(told, status, whole=False, events=_events(one)))
        return web.json_response(answer(found, MESSAGES))

    async def get(self, call: Call) -> web.Response:
        """getMessageById: opens what was received, and is logged as everybody's opening is."""
        _allowed(call, Operation.READ)
        async with self._large:
            found = await call.gateway.system_list.fetch(call.signed, _id(call))
            one = found.listed
            told = {**_attributes(one), **(await _document(found))}
            body = answer(shown(told, _status(one), whole=True, events=_events(one)), f"{MESSAGES}/{one.id}")
            return web.json_response(body)

    async def delete(self, call: Call) -> web.Response:
        """deleteMessageById: off this client's list."""
        _allowed(call, Operation.DELETE)
        await call.gateway.system_list.let_go(call.signed, _id(call))
        return web.Response(status=202)


# --- the table -------------------------------------------------------------------------------------------------------


def routes() -> tuple[Route, ...]:
    """The rows of the SDK API."""
    server = SdkServer()

    def row(method: str, path: str, handler: Any, summary: str, *, audit: str, rate: Rate) -> Route:
        public = path == TOKEN
        return Route(
            method=method,
            path=path,
            handler=_told(handler),
            access=Access.PUBLIC if public else Access.SYSTEM,
            scope=Scope.NONE if public else Scope.INBOX,
            csrf=Csrf.SAFE if method == "GET" else Csrf.BEARER,
            rate=rate,
            audit=audit,
            takes=None,
            gives=None,
            summary=summary,
            tells=_refused_token if public else refused,
        )

    return (
        row("POST", TOKEN, server.token, "SDK API: logga in", audit="signed_in", rate=Rate.SIGN_IN),
        row("POST", MESSAGES, server.send, "SDK API: skicka", audit="sent", rate=Rate.UPLOAD),
        row("GET", MESSAGES, server.list, "SDK API: lista", audit="none: a list without content", rate=Rate.READ),
        row("GET", f"{MESSAGES}/{{id}}", server.get, "SDK API: hämta", audit="opened", rate=Rate.READ),
        row("DELETE", f"{MESSAGES}/{{id}}", server.delete, "SDK API: ta bort", audit="system_let_go", rate=Rate.WRITE),
    )


def _told(handler: Any) -> Any:
    async def handle(call: Call) -> web.Response:
        try:
            told: web.Response = await handler(call)
        except CallError as fault:
            return _fault(fault)
        return told

    return handle


def refused(error: GatewayError) -> web.Response:
    """An error of ours in the shape of the description."""
    if isinstance(error, NotFoundError):
        return web.Response(status=404)
    if error.status == 401:
        return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})
    headers = {}
    if isinstance(error, TooManyAttemptsError):
        headers["Retry-After"] = str(error.retry_after_s)
    elif error.status in (503, 507):
        headers["Retry-After"] = "5"
    places = ["NA"]
    if isinstance(error, InvalidFormError):
        named = [fault.pointer.rpartition("/")[2] for fault in error.faults]
        places = [_NAMES.get(name, name) for name in named]
    status = error.status if error.status == 429 or error.status >= 500 else 400
    body = problem(CallError(status, "Bad Request" if status == 400 else "Try Again"))
    body["eventIssues"] = [
        {"typeCode": error.code, "title": error.swedish[:120], "detail": error.next_step[:128], "in": place}
        for place in places
    ]
    return web.json_response(body, status=status, headers=headers)


def _fault(fault: CallError) -> web.Response:
    if fault.status == 404:
        return web.Response(status=404)  # the description has no body for it
    return web.json_response(problem(fault), status=fault.status)


def _refused_token(error: GatewayError) -> web.Response:
    """RFC 6749 §5.2: which of client, key, audience, time and repetition was wrong is not said."""
    if error.status == 401:
        return web.json_response({"error": "invalid_client"}, status=401)
    return refused(error)


def _allowed(call: Call, operation: Operation) -> None:
    if not may(call.signed, operation):
        raise CallError(400, "Bad Request", ["scope"])


def _id(call: Call) -> str:
    """The id in the path. What is no UUID is the id of nothing."""
    identifier = call.part("id").lower()
    if not is_uuid(identifier):
        raise CallError(404, "Not Found")
    return identifier


async def _octets(call: Call, most: int) -> bytes:
    octets = bytearray()
    async for piece in call.request.content.iter_any():
        octets += piece
        if len(octets) > most:
            raise CallError(400, "Payload Too Large", ["Request message must not be larger than 30 MB"])
    return bytes(octets)


async def _scope(call: Call, asked: str) -> tuple[str, ...]:
    operations, functions = [], []
    for one in asked.split():
        if one.lower().startswith(_FUNCTION):
            functions.append(one[len(_FUNCTION) :])
        elif one.lower() in _SCOPES:
            operations.append(_SCOPES[one.lower()])
        else:
            raise TokenError("invalid_scope")
    found = scope_of(await call.gateway.directory.current(), operations, functions)
    if found is None:
        raise TokenError("invalid_scope")
    return tuple(dict.fromkeys(found))


# --- in --------------------------------------------------------------------------------------------------------------


def _outgoing(message: Message, told: Mapping[str, Any]) -> Outgoing:
    """What the gateway is asked to send. The time of a repeated call may be another: it is no part of what is asked."""
    kept = {name: value for name, value in told.items() if name != "digitalDocument"}
    asked = {name: value for name, value in told.items() if name != "creationDateTime"}
    references = message.sender.attention.references
    return Outgoing(
        id=message.id,
        conversation=message.conversation,
        replies_to=message.refers_to,
        sender=_address(message.sender),
        recipient=_address(message.recipient),
        text=_text(message),
        files=[(file.name, file.octets) for document in message.documents for file in document.files],
        categories=[one.id.extension for one in references if one.id.root == CATEGORY_ROOT],
        said=kept,
        digest=hashlib.sha256(said(asked)).digest(),
    )


def _text(message: Message) -> str:
    """What the recipient reads: the subject, whom it is meant for, the text, and what the sender calls the matter."""
    persons = [one.label for one in message.recipient.attention.persons if one.label]
    references = [one for one in message.sender.attention.references if one.id.root != CATEGORY_ROOT]
    parts = [
        message.label,
        *([f"Till: {', '.join(persons)}"] if persons else []),
        *(text for document in message.documents for text in document.texts),
        *([f"Vår beteckning: {', '.join(one.id.extension for one in references)}"] if references else []),
    ]
    return "\n\n".join(parts)


def _address(party: Party) -> str:
    return f"{party.id}#{party.attention.function}"


# --- out -------------------------------------------------------------------------------------------------------------


def _status(one: Listed) -> str:
    return _STATUS.get(one.state, FINAL_FAILED) if one.sent else FINAL_NEW


def _attributes(one: Listed) -> dict[str, Any]:
    """What a message says of itself without being opened; what a client sent comes back as it was sent."""
    if one.said is not None:
        return dict(one.said)
    theirs = (Reference(id=Identifier(DIARY_ROOT, one.reference), label=one.reference),)
    message = Message(
        id=one.id,
        conversation=one.conversation,
        created=one.at,
        label=f"{one.title}, {one.reference}",
        confidential=True,
        sender=_party(one.sender, theirs),
        recipient=_party(one.recipient),
        documents=(),
        refers_to=one.replies_to,
    )
    told = attributes(message)
    del told["digitalDocument"]
    return told


def _party(place: Place, references: tuple[Reference, ...] = ()) -> Party:
    organisation, _, function = place.address.partition("#")
    return Party(
        id=organisation, attention=Attention(function=function, label=place.inbox.name[:256], references=references)
    )


def _events(one: Listed) -> Mapping[str, Any] | None:
    """Why something that was sent did not arrive: the receipt's codes, or that nobody was reached (§10.2)."""
    if _status(one) != FINAL_FAILED:
        return None
    reason = Reason(one.reason) if one.reason in tuple(Reason) else Reason.NONE
    fault = TOLD.get(reason)
    if fault is not None:
        return event(one.id, fault.why, fault.detail)
    return event(one.id, FINAL_FAILED, str(reason or one.state))


async def _document(found: Fetched) -> dict[str, Any]:
    """Text and files of a received message; a client has what it sent itself.

    Raises:
        CallError: more than the API carries; members read it in the inbox.
    """
    if found.form is None:
        return {}
    if sum(file.size for file, _ in found.files) * 4 // 3 > MAX_MESSAGE:
        raise CallError(400, "Payload Too Large", ["contentFiles"])
    files = []
    for file, chunks in found.files:
        octets = b"".join([chunk async for chunk in chunks])
        files.append(File(name=file.name, media_type=file.media_type, octets=octets))
    document = Document(id="1", name=found.form.title, index="1", texts=(markdown(found.form, found.body),))
    return {
        "digitalDocument": [
            {
                "documentId": document.id,
                "documentName": document.name,
                "index": document.index,
                "contentTextBody": list(document.texts),
                "contentFiles": [
                    {
                        "fileName": file.name,
                        "contentType": file.media_type,
                        "content": base64.b64encode(file.octets).decode(),
                    }
                    for file in files
                ],
            }
        ]
    }
