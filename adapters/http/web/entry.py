"""How a request becomes the Call of a page: where it came from, who signed in, which form, whose token.

Why this exists: the order matters. First where the form was made, so that a stranger's form does not even keep a
session alive; then the session; then the token. A page takes the cookie and never a bearer token, the API the
other way round.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Final

from aiohttp import web
from multidict import MultiDict, MultiDictProxy

from adapters.http import bodies
from adapters.http.address import address_block
from adapters.http.admission import GATE
from adapters.http.routes import Access, Call, Csrf, Rate, Route
from adapters.http.web import security
from adapters.http.web.frame import Web
from gateway.errors import GatewayError, InvalidRequestError, SessionEndedError, SetupError
from gateway.sessions import Signed, ended

CORRELATION: Final = web.RequestKey("correlation", str)


async def call_of(renderer: Web, route: Route, request: web.Request, bound: int, held: ExitStack) -> Call:
    """The call that the handler of a page sees.

    Args:
        bound: the largest form, in octets.
        held: ends when the form is no longer needed.

    Raises:
        TooManyRequestsError: this user, or this address, asks too often.
        SessionEndedError: the page needs a session, and there is none.
        ForgedFormError: the form was not made by our page for this browser.
        InvalidRequestError: a body that no page of ours sends.
    """
    unsafe = route.csrf is Csrf.FORM
    if unsafe:
        security.check_place(request)
    signed = await _signed(renderer, request, needed=route.access is Access.SESSION, touch=not route.background)
    user = str(signed.user.id) if signed else ""
    request.app[GATE].caller(route, user, address_block(request))
    form = await _form(route, request, bound, user, held) if unsafe else MultiDictProxy[str](MultiDict())
    return bare_call(renderer, request, signed, route=route, form=form)


def bare_call(
    renderer: Web,
    request: web.Request,
    signed: Signed | None,
    *,
    route: Route | None = None,
    form: MultiDictProxy[str] | None = None,
) -> Call:
    """A call as pages see it; without route and form for error pages."""
    return Call(
        renderer.gateway,
        request,
        None,
        signed,
        form=form if form is not None else MultiDictProxy(MultiDict()),
        lang=renderer.language(request),
        correlation=request.get(CORRELATION, ""),
        route=route,
        renderer=renderer,
    )


def after(route: Route, request: web.Request) -> None:
    """Raises SetupError when the handler of a form with files read it without `security.parts_of`: a bug of ours."""
    if route.csrf is Csrf.FORM and not request.get(security.CHECKED):
        raise SetupError(f"{route.path} took a form without checking its token")


async def who(renderer: Web, request: web.Request) -> Signed | None:
    """Who is signed in, for pages that do not need anybody to be."""
    try:
        return await _signed(renderer, request, needed=False)
    except GatewayError:  # the page will tell of the trouble; it can do so to a stranger as well
        return None


async def _signed(renderer: Web, request: web.Request, *, needed: bool, touch: bool = True) -> Signed | None:
    token = request.cookies.get(security.SESSION, "")
    if not token:
        if needed:
            raise ended()
        return None
    try:
        return await renderer.gateway.sessions.authenticate(token, touch=touch)
    except SessionEndedError:
        if needed:
            raise
        return None


async def _form(route: Route, request: web.Request, bound: int, user: str, held: ExitStack) -> MultiDictProxy[str]:
    kind = request.content_type
    if kind == "multipart/form-data":
        if route.rate is not Rate.UPLOAD:
            raise InvalidRequestError(
                "a form with files is not taken here", swedish="Här går det inte att bifoga filer."
            )
        return MultiDictProxy(MultiDict())  # its token is checked by security.parts_of, before any file is read
    fields = MultiDictProxy[str](MultiDict())
    if kind == "application/x-www-form-urlencoded":
        fields = bodies.fields_of(await bodies.whole(request, bound, user, held), request.app[GATE].limits)
    security.check_token(request, request.headers.get(security.HEADER) or fields.get(security.FIELD) or "")
    request[security.CHECKED] = True
    return fields
