"""The simulator over HTTP: the SDK API, a token endpoint, an address book, and the calls that make faults.

Why this exists: a client is tried over a real connection, with cut answers and refused calls; what the service does
with a message stands in `simulator`, how it is asked and answered stands here (docs/sdk-simulator.md §§1, 3, 4).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import parse_qsl

from aiohttp import web

from adapters.sdk.counterpart import FUNCTIONS, NAME, ORGANISATION
from adapters.sdk.model import File
from adapters.sdk.service import MAX_BODY, CallError, Filter, answer, problem
from adapters.sdk.simulator import TOKEN_LIFE_S, Simulator

BASE: Final = "/sdk-api/v1/"
BOOK: Final = "/addressbook/v1/organizations"
_MESSAGES: Final = f"{BASE}sdk/messages"
MOST: Final = 10_000


def application(service: Simulator) -> web.Application:
    calls = _Calls(service)
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_told])
    app.add_routes(
        [
            web.post("/token", calls.token),
            web.post(_MESSAGES, calls.send),
            web.get(_MESSAGES, calls.list),
            web.get(_MESSAGES + "/{id}", calls.get),
            web.delete(_MESSAGES + "/{id}", calls.delete),
            web.get(BOOK, calls.book),
            web.get("/simulator", calls.state),
            web.get("/simulator/faults", calls.faults),
            web.post("/simulator/faults", calls.set_faults),
            web.post("/simulator/clock", calls.advance),
            web.post("/simulator/messages", calls.arrive),
        ]
    )
    return app


@asynccontextmanager
async def serving(service: Simulator, port: int = 0) -> AsyncIterator[str]:
    """The service on loopback while the context lasts; gives its address. Raises OSError: the port is taken."""
    runner = web.AppRunner(application(service), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@web.middleware
async def _told(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except CallError as fault:
        if fault.status in (401, 404):
            return web.Response(status=fault.status)  # the description has no body for these
        headers = {"Retry-After": "5"} if fault.status == 503 else None
        return web.json_response(problem(fault), status=fault.status, headers=headers)


class _Calls:
    def __init__(self, service: Simulator) -> None:
        self._service = service

    async def token(self, request: web.Request) -> web.Response:
        form = dict(parse_qsl((await request.read()).decode("ascii", "replace")))
        try:
            token = self._service.token(form)
        except CallError as fault:
            return web.json_response({"error": fault.title}, status=401)  # RFC 6749 §5.2
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_LIFE_S})

    # --- the SDK API -------------------------------------------------------------------------------------------------

    async def send(self, request: web.Request) -> web.Response:
        message = self._service.send(self._caller(request), await request.read())
        if self._service.faults.takes("drop_answers") and request.transport is not None:
            request.transport.abort()
        return web.Response(status=201, headers={"Location": f"{_MESSAGES}/{message.id}"})

    async def list(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        return web.json_response(answer(self._service.listed(caller, Filter.of(request.query.items())), _MESSAGES))

    async def get(self, request: web.Request) -> web.Response:
        found = self._service.get(self._caller(request), request.match_info["id"])
        return web.json_response(answer(found, f"{_MESSAGES}/{found['id']}"))

    async def delete(self, request: web.Request) -> web.Response:
        self._service.delete(self._caller(request), request.match_info["id"])
        return web.Response(status=202)

    def _caller(self, request: web.Request) -> str:
        return self._service.caller(request.headers.get("Authorization", "").partition(" ")[2])

    # --- the address book, and what makes faults ---------------------------------------------------------------------

    async def book(self, request: web.Request) -> web.Response:
        return web.json_response(book(self._service))

    async def state(self, request: web.Request) -> web.Response:
        service = self._service
        service.tick()
        boxes = {
            client: {"states": Counter(kept.status for kept in box.values()), "messages": list(box)}
            for client, box in service.boxes.items()
        }
        counts = {"accepted": service.accepted, "delivered": service.delivered, "refused": service.refused}
        return web.json_response({**counts, "boxes": boxes})

    async def faults(self, request: web.Request) -> web.Response:
        faults = self._service.faults
        return web.json_response({name: getattr(faults, name) for name in faults.__slots__})

    async def set_faults(self, request: web.Request) -> web.Response:
        self._service.faults.set(await _object(request))
        return await self.faults(request)

    async def advance(self, request: web.Request) -> web.Response:
        self._service.advance(_number(await _object(request), "advance_s", 10**9))
        return web.json_response({})

    async def arrive(self, request: web.Request) -> web.Response:
        told = await _object(request)
        files = tuple(map(_file, told.get("files", ())))
        made = [
            self._service.arrive(
                str(told.get("to", "")),
                label=str(told.get("label", "Meddelande")),
                text=str(told.get("text", "")),
                files=files,
            )
            for _ in range(_number({"count": 1, **told}, "count", MOST))
        ]
        return web.json_response({"messages": made}, status=201)


async def _object(request: web.Request) -> Mapping[str, Any]:
    try:
        told = json.loads(await request.read())
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise CallError(400, "Bad Request", ["body"])
    return told


def _number(told: Mapping[str, Any], name: str, most: int) -> int:
    value = told.get(name)
    if type(value) is not int or not 0 <= value <= most:
        raise CallError(400, "Bad Request", [name])
    return value


def _file(told: Any) -> File:
    try:
        octets = base64.b64decode(told["content"], validate=True)
        return File(name=str(told["fileName"]), media_type=str(told["contentType"]), octets=octets)
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise CallError(400, "Bad Request", ["files"]) from None


def book(service: Simulator) -> dict[str, Any]:
    """The address book: the counterpart, and every client's organisation."""
    listed = [(ORGANISATION, NAME, {function: label for function, (label, _) in FUNCTIONS.items()})]
    listed += [
        (organisation, organisation.partition(":")[2], {one: one for one in functions})
        for organisation, functions in service.book.items()
    ]
    return {"data": [_organisation(*one) for one in listed]}


def _organisation(identifier: str, name: str, functions: Mapping[str, str]) -> dict[str, Any]:
    """An organisation with the fields of B1.3.6 and its functions; the number is right in form and nobody's."""
    return {
        "type": "organizations",
        "id": identifier,
        "attributes": {
            "participantIdentifier": identifier,
            "organizationNumber": "2021000001",
            "name": name,
            "addresses": [{"identifier": one, "name": label} for one, label in functions.items()],
        },
    }
