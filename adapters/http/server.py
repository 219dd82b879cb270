"""The aiohttp application: reads the route table, authenticates, parses, calls, and answers.

Why this exists: everything that is the same for every route happens here once: a correlation id, the session (a bearer
token for the API, a cookie for pages), the request model with all its faults at once, problem responses or error pages,
and headers that keep answers out of caches. A handler sees only good input and a signed caller; a bug in it becomes one
sentence and an id, never a traceback.
"""

from __future__ import annotations

import asyncio
import errno
import uuid
from collections.abc import Awaitable, Sequence
from contextlib import ExitStack
from typing import Final

import structlog
from aiohttp import web
from pydantic import BaseModel, ValidationError

from adapters.http import bodies, parameters
from adapters.http.address import NAMES, Names, UnclearTargetError, is_secure
from adapters.http.address import address_block as address_block
from adapters.http.admission import GATE, Gate, TooSlowError, UnansweredError
from adapters.http.deadlines import connection_of
from adapters.http.headers import API_POLICY, HSTS
from adapters.http.headers import HEADERS as HEADERS
from adapters.http.headers import PAGE_HEADERS as PAGE_HEADERS
from adapters.http.headers import PAGE_POLICY as PAGE_POLICY
from adapters.http.limits import Limits
from adapters.http.listeners import CONNECTIONS as CONNECTIONS
from adapters.http.listeners import DUTY_PHONES
from adapters.http.listeners import listening as listening
from adapters.http.measured import measuring
from adapters.http.problems import allowing, of_status, plain, problem
from adapters.http.routes import PROBES, Access, Call, Rate, Route, check, is_page, location_of, methods_of
from adapters.http.web import entry, mishaps
from adapters.http.web.assets import PREFIX, TEMPLATE
from adapters.http.web.frame import Web
from gateway.errors import (
    FieldError,
    GatewayError,
    InvalidFormError,
    InvalidRequestError,
    SessionEndedError,
    SetupError,
    StoreUnavailableError,
)
from gateway.logs import place_of
from gateway.measures import Counted, Metrics
from gateway.sessions import Signed
from gateway.usecases import Gateway

RENDERER: Final = web.AppKey("renderer", Web)
DEADLINE: Final = web.RequestKey("deadline", asyncio.Timeout)
METRICS: Final = web.AppKey("metrics", Metrics)
log = structlog.get_logger()


def application(
    gateway: Gateway,
    routes: Sequence[Route],
    renderer: Web | None = None,
    *,
    limits: Limits | None = None,
    names: Names | None = None,
) -> web.Application:
    """The application over a route table; with pages in the table, `renderer` makes them.

    Args:
        names: what the gateway is called; without, it answers to the names of this machine only.

    Raises:
        SetupError: a route leaves a column empty, or is a page and nothing renders pages.
    """
    check(routes)
    gate = Gate(limits or Limits())
    app = web.Application(client_max_size=gate.limits.body, middlewares=[measuring(gateway.ports.metrics), _answer])
    app[METRICS] = gateway.ports.metrics
    app[GATE], app[NAMES] = gate, names or Names()
    app[DUTY_PHONES] = renderer.duty_phones if renderer is not None else {}
    if renderer is not None:
        app[RENDERER] = renderer
        app.router.add_route("GET", TEMPLATE, renderer.assets.serve)
    for route in routes:
        if route.page and renderer is None:
            raise SetupError(f"{route.path} is a page, and nothing renders pages")
        handler = _page_handler(renderer, route, gate) if renderer and route.page else _handler(gateway, route, gate)
        for method in methods_of(route):
            app.router.add_route(method, route.path, handler)
    app.on_response_prepare.append(_headers)

    async def stop(_: web.Application) -> None:
        gateway.presence.close()  # streams would keep the server waiting for their readers

    async def start(_: web.Application) -> None:
        gateway.presence.open()

    app.on_startup.append(start)
    app.on_shutdown.append(stop)
    return app


async def _headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
    if not request.path.startswith(PREFIX) or response.status != 200:
        response.headers["Cache-Control"] = "no-store"
    if RENDERER in request.app and is_page(request.path):
        response.headers.update(PAGE_HEADERS)
        response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
    else:
        response.headers["Content-Security-Policy"] = API_POLICY
    if is_secure(request):
        response.headers["Strict-Transport-Security"] = HSTS
    if (deadline := request.get(DEADLINE)) is not None:
        # The answer begins. A stream has no end, anything else goes on for as long as its reader takes it.
        endless = response.content_type == "text/event-stream"
        deadline.reschedule(None if endless else _in(request.app[GATE].limits.file_s))


@web.middleware
async def _answer(request: web.Request, handler):  # type: ignore[no-untyped-def]
    correlation = str(uuid.uuid4())
    request[entry.CORRELATION] = correlation
    renderer = request.app.get(RENDERER) if is_page(request.path) else None
    connection = connection_of(request)
    if connection is not None:
        connection.began(request)
    with structlog.contextvars.bound_contextvars(correlation=correlation):
        try:
            return await _exhausted(_bounded(request, handler))
        except GatewayError as error:
            request.app[METRICS].count(Counted.REFUSALS, error.code)
            log.info("refused", code=error.code, status=error.status, method=request.method)
            told = await mishaps.refused(renderer, request, error) if renderer else problem(error, correlation)
            if isinstance(error, UnclearTargetError):
                told.force_close()
            return told
        except web.HTTPException as error:
            if renderer is not None:
                return allowing(error, await mishaps.failed(renderer, request, error.status))
            return allowing(error, of_status(error.status, correlation))
        except (ConnectionError, web.RequestPayloadError):
            log.info("caller left", method=request.method)
            return of_status(400, correlation)
        except Exception as bug:
            # The text of an unexpected error may quote its input, so only its kind and place are logged.
            request.app[METRICS].count(Counted.REFUSALS, "unexpected")
            log.error("unexpected", method=request.method, **place_of(bug))
            if renderer is not None:
                return await mishaps.failed(renderer, request, 500)
            return plain(
                "unexpected",
                "Något gick fel hos oss.",
                500,
                correlation,
                "Försök igen. Ange numret om du kontaktar oss.",
            )
        finally:
            if connection is not None:
                connection.ended()


async def _exhausted(answer: Awaitable[web.StreamResponse]) -> web.StreamResponse:
    """What the machine lacks for a moment (memory, open files, threads) is no bug: 503, and the caller tries again."""
    try:
        return await answer
    except (MemoryError, OSError, RuntimeError) as trouble:
        if isinstance(trouble, OSError) and trouble.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise
        if isinstance(trouble, RuntimeError) and "can't start new thread" not in str(trouble):
            raise
        log.error("exhausted", kind=type(trouble).__name__)
        raise StoreUnavailableError(
            "the machine has no memory, files or threads to spare",
            swedish="Det går inte att svara just nu.",
        ) from trouble


async def _bounded(request: web.Request, handler) -> web.StreamResponse:  # type: ignore[no-untyped-def]
    """The handler's answer, for a request to us, of a caller within bounds, within the time that there is.

    A commit that waits is not undone by the bound: it may still be carried out, and the text says so.
    """
    gate = request.app[GATE]
    request.app[NAMES].check(request)
    if request.path not in PROBES:
        gate.block(address_block(request))
    deadline = asyncio.timeout(gate.limits.request_s)
    try:
        async with deadline:
            request[DEADLINE] = deadline
            try:
                answer: web.StreamResponse = await handler(request)
            finally:
                del request[DEADLINE]
            return answer
    except TimeoutError:
        if not deadline.expired():
            raise
        if request.content.is_eof():
            raise UnansweredError from None
        raise TooSlowError from None


def _in(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


def _handler(gateway: Gateway, route: Route, gate: Gate):  # type: ignore[no-untyped-def]
    bound = bodies.bound_of(route, gateway, gate.limits)

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await answered(request)
        except GatewayError as error:
            if route.tells is None:
                raise
            request.app[METRICS].count(Counted.REFUSALS, error.code)
            log.info("refused", code=error.code, status=error.status, method=request.method)
            return route.tells(error)

    async def answered(request: web.Request) -> web.StreamResponse:
        bodies.check_announced(request, bound)
        signed = await _signed(gateway, route, request)
        user = str(signed.user.id) if signed else ""
        gate.caller(route, user, address_block(request))
        _longer_for_files(route, request, gate)
        with ExitStack() as held:
            body = await _body(route, request, bound, user, held)
            args = {} if route.tells else parameters.read(route.query, request)
            held.enter_context(gate.lane(route, user))
            result = await route.handler(Call(gateway, request, body, signed, args=args))
        if isinstance(result, web.StreamResponse):
            return result
        if result is None:
            return web.Response(status=204)
        return json_response(result, route.status, location_of(route, request, result))

    return handle


def _page_handler(renderer: Web, route: Route, gate: Gate):  # type: ignore[no-untyped-def]
    bound = bodies.bound_of(route, renderer.gateway, gate.limits)

    async def handle(request: web.Request) -> web.StreamResponse:
        bodies.check_announced(request, bound)
        _longer_for_files(route, request, gate)
        with ExitStack() as held:
            call = await entry.call_of(renderer, route, request, bound, held)
            held.enter_context(gate.lane(route, str(call.signed_in.user.id) if call.signed_in else ""))
            result = await route.handler(call)
        entry.after(route, request)
        if not isinstance(result, web.StreamResponse):
            raise SetupError(f"{route.path} is a page and gave none")
        return result

    return handle


def _longer_for_files(route: Route, request: web.Request, gate: Gate) -> None:
    if route.rate is Rate.UPLOAD and (deadline := request.get(DEADLINE)) is not None:
        deadline.reschedule(_in(gate.limits.file_s))


def json_response(model: BaseModel, status: int = 200, location: str = "") -> web.Response:
    headers = {"Location": location} if location else None
    body = model.model_dump_json().encode()
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


async def _signed(gateway: Gateway, route: Route, request: web.Request) -> Signed | None:
    if route.access is Access.PUBLIC:
        return None
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise SessionEndedError(
            "no bearer token",
            swedish="Du är inte inloggad.",
            next_step="Logga in först. Dina utkast är kvar.",
        )
    if route.access is Access.SYSTEM:
        return await gateway.sessions.authenticate_system(token.strip())
    return await gateway.sessions.authenticate(token.strip())


async def _body(route: Route, request: web.Request, bound: int, user: str, held: ExitStack) -> BaseModel | None:
    if route.takes is None:
        return None
    if request.content_type != "application/json":
        raise InvalidRequestError(
            "the body is not JSON", swedish="Anropet ska vara JSON.", next_step="Sätt Content-Type: application/json."
        )
    octets = await bodies.whole(request, bound, user, held)
    try:
        return route.takes.model_validate_json(octets)
    except ValidationError as invalid:
        faults = [
            FieldError(
                _pointer(fault["type"], fault["loc"]),
                fault["type"],
                "Uppgiften saknas eller har fel form.",
            )
            for fault in invalid.errors(include_input=False, include_url=False, include_context=False)
        ]
        raise InvalidFormError(
            "the request does not fit its model",
            faults,
            swedish=f"Anropet har {len(faults)} fel.",
            next_step="Rätta fälten och skicka igen. Inget har ändrats.",
        ) from None


def _pointer(kind: str, place: tuple[int | str, ...]) -> str:
    """Where a fault is (RFC 6901). The name of an unknown member is the caller's own word: not echoed."""
    known = place[:-1] if kind == "extra_forbidden" else place
    return "/" + "/".join(str(part) for part in known)
