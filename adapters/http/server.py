"""The aiohttp application: reads the route table, authenticates, parses, calls, and answers.

Why this exists: everything that is the same for every route happens here once: a correlation id, the session (a bearer
token for the API, a cookie for pages), the request model with all its faults at once, problem responses or error pages,
and headers that keep answers out of caches. A handler sees only good input and a signed caller; a bug in it becomes one
sentence and an id, never a traceback.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog
from aiohttp import web
from pydantic import BaseModel, ValidationError

from adapters.http import parameters
from adapters.http.address import address_block as address_block
from adapters.http.problems import plain, problem
from adapters.http.routes import Access, Call, Route, check, is_page, location_of
from adapters.http.web import entry, mishaps
from adapters.http.web.assets import PREFIX
from adapters.http.web.frame import Web
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
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "sambud",
}
API_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
#: Own files only, nothing inline. Images may be data: since the design system draws its icons in its style sheet.
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
PAGE_HEADERS: Final = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}
RENDERER: Final = web.AppKey("renderer", Web)
log = structlog.get_logger()


def application(gateway: Gateway, routes: Sequence[Route], renderer: Web | None = None) -> web.Application:
    """The application over a route table; with pages in the table, `renderer` makes them.

    Raises:
        SetupError: a route leaves a column empty, or is a page and nothing renders pages.
    """
    check(routes)
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_answer])
    if renderer is not None:
        app[RENDERER] = renderer
        app.router.add_route("GET", PREFIX + "{digest}/{name}", renderer.assets.serve)
    for route in routes:
        if not route.page:
            app.router.add_route(route.method, route.path, _handler(gateway, route))
        elif renderer is not None:
            app.router.add_route(route.method, route.path, _page_handler(renderer, route))
        else:
            raise SetupError(f"{route.path} is a page, and nothing renders pages")
    app.on_response_prepare.append(_headers)

    async def stop(_: web.Application) -> None:
        gateway.presence.close()  # streams would keep the server waiting for their readers

    app.on_shutdown.append(stop)
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
    if not request.path.startswith(PREFIX) or response.status != 200:
        response.headers["Cache-Control"] = "no-store"
    if RENDERER in request.app and is_page(request.path):
        response.headers.update(PAGE_HEADERS)
        response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
    else:
        response.headers["Content-Security-Policy"] = API_POLICY
    if request.secure:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"


@web.middleware
async def _answer(request: web.Request, handler):  # type: ignore[no-untyped-def]
    correlation = str(uuid.uuid4())
    request[entry.CORRELATION] = correlation
    renderer = request.app.get(RENDERER) if is_page(request.path) else None
    with structlog.contextvars.bound_contextvars(correlation=correlation):
        try:
            return await handler(request)
        except GatewayError as error:
            log.info("refused", code=error.code, status=error.status, method=request.method)
            if renderer is not None:
                return await mishaps.refused(renderer, request, error)
            return problem(error, correlation)
        except web.HTTPException as error:
            if renderer is not None:
                return await mishaps.failed(renderer, request, error.status)
            return _plain(error.status, correlation)
        except Exception as bug:
            # The text of an unexpected error may quote its input, so only its kind and place are logged.
            log.error("unexpected", kind=type(bug).__name__, method=request.method, where=_where(bug))
            if renderer is not None:
                return await mishaps.failed(renderer, request, 500)
            return plain(
                "unexpected",
                "Något gick fel hos oss.",
                500,
                correlation,
                "Försök igen. Ange numret om du kontaktar oss.",
            )


def _plain(status: int, correlation: str) -> web.Response:
    if status == 413:
        return plain(
            "too-large", "Det som skickades är för stort.", 413, correlation, "Korta texten eller bifoga en fil."
        )
    titles = {404: "Adressen finns inte.", 405: "Adressen tar inte emot det anropet."}
    return plain("http", titles.get(status, "Anropet går inte att förstå."), status, correlation)


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
        args = parameters.read(route.query, request)
        result = await route.handler(Call(gateway, request, body, signed, args=args))
        if isinstance(result, web.StreamResponse):
            return result
        if result is None:
            return web.Response(status=204)
        return json_response(result, route.status, location_of(route, request, result))

    return handle


def _page_handler(renderer: Web, route: Route):  # type: ignore[no-untyped-def]
    async def handle(request: web.Request) -> web.StreamResponse:
        call = await entry.call_of(renderer, route, request)
        result = await route.handler(call)
        entry.after(route, request)
        if not isinstance(result, web.StreamResponse):
            raise SetupError(f"{route.path} is a page and gave none")
        return result

    return handle


def json_response(model: BaseModel, status: int = 200, location: str = "") -> web.Response:
    headers = {"Location": location} if location else None
    body = model.model_dump_json().encode()
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


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
