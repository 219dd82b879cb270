"""Mina aviseringar: whether, where and when one is told by e-mail that something lies in an inbox.

Why this exists: a notice that comes at the wrong time, or to a telephone that others read, does harm. So the page says
what a notice says, in which case it says less, and lets each person set the hours.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from adapters.http.routes import Call, Route, Scope
from adapters.http.web.rows import page_row
from adapters.http.web.words import N_
from gateway.errors import FieldError, InvalidFormError
from gateway.model.base import UserId
from gateway.notice_choices import Shown
from gateway.notice_times import Choice, When

PATH: Final = "/aviseringar"
_HOURS: Final = range(24)


async def show(call: Call) -> web.Response:
    shown = await call.gateway.notice_choices.mine(call.signed)
    return await _page(call, shown, shown.choice)


async def save(call: Call) -> web.Response:
    choice = Choice(
        when=_one(When, call.field("when")),
        address=call.field("address").strip(),
        language="en" if call.field("language") == "en" else "sv",
        digest_at=_minute(call.field("digest_at")),
        quiet_from=_minute(call.field("quiet_from")),
        quiet_to=_minute(call.field("quiet_to")),
        weekends=call.field("weekends") == "yes",
        away_from=call.field("away_from").strip(),
        away_to=call.field("away_to").strip(),
        deputy=UserId(call.field("deputy")) or None,
    )
    try:
        await call.gateway.notice_choices.choose(call.signed, choice)
    except InvalidFormError as invalid:
        return await _page(call, await call.gateway.notice_choices.mine(call.signed), choice, invalid.faults)
    return call.web.redirect(f"{PATH}?klart=ja")


def _one(kind: type[When], told: str) -> When:
    return kind(told) if told in set(kind) else When.OFF


def _minute(told: str) -> int:
    return int(told) * 60 if told.isascii() and told.isdigit() and int(told) in _HOURS else 0


async def _page(call: Call, shown: Shown, choice: Choice, faults: tuple[FieldError, ...] = ()) -> web.Response:
    return await call.web.page(
        call,
        "notices.html",
        title=call.tr("Mina aviseringar"),
        status=422 if faults else 200,
        faults=faults,
        offered=call.gateway.notice_choices.offered,
        saved=call.request.query.get("klart", "") == "ja",
        shown=shown,
        choice=choice,
        hours=[(str(hour), f"{hour:02}.00") for hour in _HOURS],
        deputies=[("", call.tr("Ingen"))] + [(user.id, user.title) for user in shown.deputies],
    )


ROUTES: Final[tuple[Route, ...]] = (
    page_row("GET", PATH, show, N_("Mina aviseringar"), audit="none: one's own", help_="aviseringar", scope=Scope.OWN),
    page_row("POST", PATH, save, N_("Mina aviseringar"), audit="notices_chosen", help_="aviseringar", scope=Scope.OWN),
)
