"""A message service that behaves, and misbehaves, as told: the SDK API, a token endpoint, and counterparts.

Why this exists: no test environment can be reached from a developer's desk or a build, and none can be told to lose a
receipt. So the service's side of interface D stands here, with time from outside and faults from a small JSON API. It
is built from the specification (B1.4.2; sdk.md §10), not from our client, and stores nothing on disk.

Not simulated: envelopes, signatures and access points; between two organisations here there is no network.
"""

from __future__ import annotations

import json
import secrets
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key

from adapters.sdk.api_model import message_of
from adapters.sdk.faults import RejectedError
from adapters.sdk.model import Message
from adapters.sdk.status import FINAL
from gateway.model.base import SECOND, Instant
from gateway.ports import Clock

BASE: Final = "/sdk-api/v1/"
MAX_BODY: Final = 45_000_000


@dataclass(slots=True)
class Faults:
    """What the next messages meet. Set by POST /simulator/faults with the same names."""

    reject: str = ""  # "SV/structure": the counterpart refuses with this code
    lose_receipt: int = 0  # so many messages arrive, and their receipts do not
    duplicate: int = 0  # so many messages arrive twice
    delay_s: int = 0  # how long a receipt takes
    away: int = 0  # so many calls are answered 503
    drop_answers: int = 0  # so many POSTs are taken and their answers cut
    expire_tokens: bool = False  # every token ends at once


@dataclass(slots=True)
class Kept:
    """A message at the service, for one client."""

    attributes: dict[str, Any]
    status: str
    since: Instant
    events: list[dict[str, Any]] = field(default_factory=list)

    def shown(self, *, whole: bool) -> dict[str, Any]:
        told = {**self.attributes, "messageStatus": self.status}
        if self.events:
            told["events"] = self.events
        if not whole:
            told.pop("digitalDocument", None)
        return told


class Simulator:
    """One message service for several organisations, each known by its client key and its functional addresses."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._clients: dict[str, tuple[frozenset[str], Key]] = {}  # client id -> organisations, public key
        self._addresses: dict[str, str] = {}  # functional address -> client id
        self._boxes: dict[str, dict[str, Kept]] = {}
        self._tokens: dict[str, tuple[str, Instant]] = {}
        self._moving: deque[tuple[str, str, Instant]] = deque()  # client, id, when its receipt is due
        self._seen: set[str] = set()
        self.faults = Faults()
        self.accepted = 0
        self.delivered = 0

    def join(self, client_id: str, key: Key, addresses: Iterable[str]) -> None:
        """A client and the addresses (`organisation#function`) that it represents; a shared solution has several."""
        listed = [address.lower().partition("#") for address in addresses]
        self._clients[client_id] = (frozenset(organisation for organisation, _, _ in listed), key)
        self._boxes.setdefault(client_id, {})
        self._addresses.update({function: client_id for _, _, function in listed})

    def application(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_post("/token", self._token)
        app.router.add_post(f"{BASE}sdk/messages", self._send)
        app.router.add_get(f"{BASE}sdk/messages", self._list)
        app.router.add_get(f"{BASE}sdk/messages/{{id}}", self._get)
        app.router.add_delete(f"{BASE}sdk/messages/{{id}}", self._delete)
        app.router.add_post("/simulator/faults", self._set_faults)
        return app

    # --- the API -----------------------------------------------------------------------------------------------------

    async def _token(self, request: web.Request) -> web.Response:
        form = dict([pair async for pair in _form(request)])
        client = self._clients.get(form.get("client_id", ""))
        try:
            if client is None or form.get("grant_type") != "client_credentials":
                raise ValueError
            claims = jwt.decode(form["client_assertion"], client[1], algorithms=["RS256", "ES256"]).claims
            if claims["sub"] != form["client_id"] or claims["exp"] * SECOND < self._clock.now():
                raise ValueError
        except (JoseError, KeyError, ValueError, TypeError):
            return web.json_response({"error": "invalid_client"}, status=401)
        token = secrets.token_urlsafe(24)
        life = 0 if self.faults.expire_tokens else 600
        self.faults.expire_tokens = False
        self._tokens[token] = (form["client_id"], Instant(self._clock.now() + life * SECOND))
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": 600})

    async def _send(self, request: web.Request) -> web.Response:
        client = self._caller(request)
        octets = await request.read()
        try:
            told = json.loads(octets)["data"]["attributes"]
            message = message_of(told)
        except RejectedError as refused:
            return _problem(400, "Bad Request", [fault.place for fault in refused.faults])
        except (ValueError, KeyError, TypeError):
            return _problem(400, "Bad Request", ["body"])
        if len(octets) > 30_000_000:
            return _problem(400, "Payload Too Large", ["must not be larger than 30 MB"])
        if message.sender.id.lower() not in self._clients[client][0]:
            return _problem(400, "Bad Request", ["sender"])
        if message.id in self._seen:
            return _problem(400, "Bad Request", ["messageId is not unique"])
        self._seen.add(message.id)
        self.accepted += 1
        self._boxes[client][message.id] = Kept(dict(told), "WAITING_FOR_RECEIPT", self._clock.now())
        self._forward(client, message, told)
        if self.faults.drop_answers:
            self.faults.drop_answers -= 1
            if request.transport is not None:
                request.transport.abort()
        return web.Response(status=201, headers={"Location": f"{BASE}sdk/messages/{message.id}"})

    async def _list(self, request: web.Request) -> web.Response:
        client = self._caller(request)
        self.tick()
        function = request.query.get("filter[recipientAttention.subOrganization.extension]", "").lower()
        wanted = request.query.get("filter[messageStatus]", "")
        found = [
            {"type": "messages", "id": name, "attributes": kept.shown(whole=False)}
            for name, kept in self._boxes[client].items()
            if (not wanted or kept.status == wanted) and (not function or _function(kept.attributes) == function)
        ]
        return web.json_response({"meta": {"version": "sdk api 1.0.0"}, "links": {}, "data": found})

    async def _get(self, request: web.Request) -> web.Response:
        client = self._caller(request)
        self.tick()
        name = request.match_info["id"]
        kept = self._boxes[client].get(name)
        if kept is None:
            return _problem(404, "Not Found", [])
        data = {"type": "messages", "id": name, "attributes": kept.shown(whole=True)}
        return web.json_response({"meta": {"version": "sdk api 1.0.0"}, "links": {}, "data": data})

    async def _delete(self, request: web.Request) -> web.Response:
        client = self._caller(request)
        kept = self._boxes[client].get(request.match_info["id"])
        if kept is None:
            return _problem(404, "Not Found", [])
        if kept.status not in FINAL:
            return _problem(400, "Bad Request", ["not in a final state"])
        del self._boxes[client][request.match_info["id"]]
        return web.Response(status=202)

    async def _set_faults(self, request: web.Request) -> web.Response:
        told = await request.json()
        for name, value in told.items():
            if not hasattr(self.faults, name):
                return _problem(400, "Bad Request", [name])
            setattr(self.faults, name, value)
        return web.json_response({})

    def _caller(self, request: web.Request) -> str:
        if self.faults.away:
            self.faults.away -= 1
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "5"})
        _, _, token = request.headers.get("Authorization", "").partition(" ")
        client, ends = self._tokens.get(token, ("", Instant(0)))
        if not client or ends <= self._clock.now():
            raise web.HTTPUnauthorized
        return client

    # --- what happens between the organisations ----------------------------------------------------------------------

    def _forward(self, client: str, message: Message, told: Mapping[str, Any]) -> None:
        now = self._clock.now()
        there = self._addresses.get(message.recipient.attention.function.lower())
        refused = self.faults.reject or ("BV/not-found" if there is None else "")
        if refused:
            self.faults.reject = ""
            self._fail(client, message.id, refused)
            return
        if there is not None:
            box = self._boxes[there]
            box[message.id] = Kept(dict(told), "NEW", now)
            self.delivered += 1
            if self.faults.duplicate:
                # The same message again after it was taken: a service that forgot, or a network that repeats.
                self.faults.duplicate -= 1
                self._moving.append((f"again {there}", message.id, now))
        if self.faults.lose_receipt:
            self.faults.lose_receipt -= 1
            return
        self._moving.append((client, message.id, Instant(now + self.faults.delay_s * SECOND)))

    def _fail(self, client: str, name: str, code: str) -> None:
        why, _, detail = code.partition("/")
        kept = self._boxes[client][name]
        kept.status = "MESSAGE_EXCHANGE_ERROR"
        kept.events = [
            {
                "type": "urn:event-type:sdk:message",
                "title": "MESSAGE_EXCHANGE_ERROR",
                "eventIssues": [{"typeCode": why, "title": detail, "detail": "", "in": "NA"}],
            }
        ]

    def tick(self) -> None:
        """Let receipts arrive whose time has come, and repeated messages come again."""
        now = self._clock.now()
        for _ in range(len(self._moving)):
            client, name, due = self._moving.popleft()
            if due > now:
                self._moving.append((client, name, due))
            elif client.startswith("again "):
                self._again(client.removeprefix("again "), name, due)
            elif name in self._boxes[client]:
                self._boxes[client][name].status = "ACCEPTED"

    def _again(self, client: str, name: str, due: Instant) -> None:
        sender = next((box[name] for who, box in self._boxes.items() if who != client and name in box), None)
        if name in self._boxes[client]:
            self._moving.append((f"again {client}", name, due))  # once the first was taken
        elif sender is not None:
            self._boxes[client][name] = Kept(dict(sender.attributes), "NEW", self._clock.now())


@asynccontextmanager
async def serving(service: Simulator, port: int = 0) -> AsyncIterator[str]:
    """The service on loopback while the context lasts; gives its address."""
    runner = web.AppRunner(service.application(), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _form(request: web.Request):  # type: ignore[no-untyped-def]
    from urllib.parse import parse_qsl

    for pair in parse_qsl((await request.content.read(64 * 1024)).decode("ascii", "replace")):
        yield pair


def _function(attributes: Mapping[str, Any]) -> str:
    place = attributes.get("recipientAttention", {}).get("subOrganization", {})
    return str(place.get("extension", "")).lower()


def _problem(code: int, title: str, issues: list[str]) -> web.Response:
    """Errors are application/json here, not application/problem+json (sdk.md §10.2)."""
    body = {
        "type": "urn:problem-type:sdk:badRequest",
        "title": title,
        "status": code,
        "detail": "",
        "instance": "",
        "eventIssues": [{"typeCode": "", "title": one, "detail": "", "in": ""} for one in issues],
    }
    return web.json_response(body, status=code)
