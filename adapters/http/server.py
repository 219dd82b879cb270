"""The aiohttp application: reads the route table, authenticates, parses, calls, and answers.

Why this exists: everything that is the same for every route happens here once: a correlation id, the bearer session,
the request model with all its faults at once, problem responses, and headers that keep answers out of caches. A handler
sees only good input and a signed caller; a bug in it becomes one sentence and an id, never a traceback.
"""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog
from aiohttp import web
from pydantic import BaseModel, ValidationError

from adapters.http.problems import plain, problem
from adapters.http.routes import Access, Call, Route, check
from gateway.errors import (
    FieldError,
    GatewayError,
    InvalidFormError,
    InvalidRequestError,
    SessionEndedError,
    SetupError,
)
from gateway.sessions import Signed
from gateway.usecases import Gateway

MAX_BODY: Final = 2 * 1024 * 1024
HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}
log = structlog.get_logger()


def application(gateway: Gateway, routes: Sequence[Route]) -> web.Application:
    """The application over a route table.

    Raises:
        SetupError: a route leaves a column empty.
    """
    check(routes)
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_answer])
    for route in routes:
        app.router.add_route(route.method, route.path, _handler(gateway, route))
    app.on_response_prepare.append(_headers)
    return app


@asynccontextmanager
async def listening(app: web.Application, host: str, port: int) -> AsyncIterator[str]:
    """Serve `app` while the context lasts; gives the address.

    Raises:
        SetupError: the port is in use.
    """
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=60)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as trouble:
            raise SetupError(
                f"port {port} is in use",
                swedish=f"Port {port} används redan av ett annat program.",
                next_step="Välj en annan port (SAMBUD_PORT eller --port), eller stoppa det andra programmet.",
            ) from trouble
        name, number = runner.addresses[0][:2]
        yield f"http://{'localhost' if name == '127.0.0.1' else name}:{number}"
    finally:
        await runner.cleanup()


async def _headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
    response.headers["Server"] = "sambud"


@web.middleware
async def _answer(request: web.Request, handler):  # type: ignore[no-untyped-def]
    correlation = str(uuid.uuid4())
    with structlog.contextvars.bound_contextvars(correlation=correlation):
        try:
            return await handler(request)
        except GatewayError as error:
            log.info("refused", code=error.code, status=error.status, method=request.method)
            return problem(error, correlation)
        except web.HTTPRequestEntityTooLarge:
            return plain(
                "too-large", "Det som skickades är för stort.", 413, correlation, "Korta texten eller bifoga en fil."
            )
        except web.HTTPException as error:
            titles = {404: "Adressen finns inte.", 405: "Adressen tar inte emot det anropet."}
            title = titles.get(error.status, "Anropet går inte att förstå.")
            return plain("http", title, error.status, correlation)
        except Exception as bug:
            # The text of an unexpected error may quote its input, so only its kind and place are logged.
            log.error("unexpected", kind=type(bug).__name__, method=request.method, where=_where(bug))
            return plain(
                "unexpected",
                "Något gick fel hos oss.",
                500,
                correlation,
                "Försök igen. Ange numret om du kontaktar oss.",
            )


def _where(bug: Exception) -> list[str]:
    lines, trace = [], bug.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        lines.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}")
        trace = trace.tb_next
    return lines[-6:]


def _handler(gateway: Gateway, route: Route):  # type: ignore[no-untyped-def]
    async def handle(request: web.Request) -> web.StreamResponse:
        signed = await _signed(gateway, request) if route.access is Access.SESSION else None
        body = await _body(route, request)
        result = await route.handler(Call(gateway, request, body, signed))
        if isinstance(result, web.StreamResponse):
            return result
        if result is None:
            return web.Response(status=204)
        return json_response(result, route.status)

    return handle


def json_response(model: BaseModel, status: int = 200) -> web.Response:
    return web.Response(body=model.model_dump_json().encode(), status=status, content_type="application/json")


async def _signed(gateway: Gateway, request: web.Request) -> Signed:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise SessionEndedError(
            "no bearer token",
            swedish="Du är inte inloggad.",
            next_step="Logga in först. Dina utkast är kvar.",
        )
    return await gateway.sessions.authenticate(token.strip())


async def _body(route: Route, request: web.Request) -> BaseModel | None:
    if route.takes is None:
        return None
    if request.content_type != "application/json":
        raise InvalidRequestError(
            "the body is not JSON", swedish="Anropet ska vara JSON.", next_step="Sätt Content-Type: application/json."
        )
    octets = await request.read()
    try:
        return route.takes.model_validate_json(octets)
    except ValidationError as invalid:
        faults = [
            FieldError(
                "/" + "/".join(str(part) for part in fault["loc"]),
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


def address_block(request: web.Request) -> str:
    """The caller's /32 or /64, for the tally of refusals; never the whole IPv6 address."""
    try:
        address = ipaddress.ip_address(request.remote or "")
    except ValueError:
        return ""
    prefix = 32 if address.version == 4 else 64
    return str(ipaddress.ip_network((address, prefix), strict=False))
