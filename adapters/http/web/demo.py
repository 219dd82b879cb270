"""The demo's desk: one press signs in as any function, and the codes stand beside.

Why this exists: a newcomer should try every role without fifteen code apps. The page is mounted only when the demo
serves, over a store that bears its mark, and answers only callers on the same machine.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from adapters.http.address import from_this_machine
from adapters.http.routes import Call, Handler, Rate, Route, Scope
from adapters.http.web.frame import Desk
from adapters.http.web.rows import page_row
from adapters.http.web.signin import signed_in
from adapters.http.web.words import N_
from gateway.errors import NotFoundError


def _desk(call: Call) -> Desk:
    desk = call.web.desk
    if desk is None or not from_this_machine(call.request):
        raise NotFoundError("no demo here", swedish="Här finns ingen demo.")
    return desk


async def show(call: Call) -> web.Response:
    desk = _desk(call)
    people = [(one, desk.code(one.login)) for one in await desk.people()]
    return await call.web.page(call, "demo.html", title=call.tr("Prova Sambud"), people=people, outside=desk.outside)


async def sign_in(call: Call) -> web.Response:
    return signed_in(call, await _desk(call).sign_in(call.field("login")))


def _row(method: str, path: str, handler: Handler, audit: str, rate: Rate | None = None) -> Route:
    return page_row(method, path, handler, N_("Prova Sambud"), audit=audit, scope=Scope.NONE, rate=rate)


DEMO_PAGES: Final = (
    _row("GET", "/demo", show, "none: the demo's own"),
    _row("POST", "/demo/logga-in", sign_in, "signed_in", Rate.SIGN_IN),
)
