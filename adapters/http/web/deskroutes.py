"""Rows of the route table for the social worker's pages, and small things that several of them need.

Why this exists: each row says all of its columns, but most of them follow from GET or POST; and which words stand for
whose turn, or which page a missing code leads to, must be the same on every page.
"""

from __future__ import annotations

from datetime import date
from typing import Final
from urllib.parse import quote

from aiohttp import web

from adapters.http.api.shapes import cursor_text
from adapters.http.routes import Call, Handler, Rate, Route
from adapters.http.web.locale import filters, local
from adapters.http.web.rows import page_row
from adapters.http.web.words import N_
from gateway.casefile import Progress, Turn
from gateway.model.base import InboxId
from gateway.ports import Cursor

#: Whose turn it is, in words; %(unit)s is the unit that was proposed, %(day)s the day to answer by.
TURNS: Final = {
    Turn.SEND: N_("Din tur: skicka uppdraget"),
    Turn.SEND_AGAIN: N_("Din tur: uppdraget kom inte fram, skicka igen"),
    Turn.NOT_OPENED: N_("Remissgruppen har inte öppnat än"),
    Turn.ANSWER: N_("Remissgruppen ska svara"),
    Turn.COMPLETE: N_("Din tur: komplettera"),
    Turn.STAGE_2: N_("Din tur: skicka steg 2 till %(unit)s"),
    Turn.UNIT: N_("%(unit)s har steg 2"),
    Turn.GO_ON: N_("Din tur: inte lämplig inom vårdkedjan, gå vidare"),
}
ANSWER_BY: Final = N_("Remissgruppen svarar senast %(day)s")


def page(path: str, handler: Handler, title: str, *, help_: str = "arenden", audit: str = "") -> Route:
    return page_row("GET", path, handler, title, audit=audit or "none: states and times, no content", help_=help_)


def act(
    path: str, handler: Handler, title: str, audit: str, *, rate: Rate = Rate.WRITE, help_: str = "arenden"
) -> Route:
    return page_row("POST", path, handler, title, audit=audit, rate=rate, help_=help_)


def today(call: Call) -> date:
    """The Swedish calendar day."""
    return local(call.gateway.ports.clock.now()).date()


def turn_words(call: Call, progress: Progress) -> str:
    """Whose turn it is, in the reader's words."""
    if progress.turn is Turn.ANSWER and progress.due_at is not None:
        day = filters(call.lang, call.gateway.ports.clock.now)["day"](progress.due_at)
        return call.tr(ANSWER_BY, day=day.striptags())
    return call.tr(TURNS[progress.turn], unit=progress.unit)


def to_code(call: Call, inbox: InboxId, back: str) -> web.Response:
    """On to the page that asks for a code, and from there back to `back`."""
    return call.web.redirect(f"/inkorg/{quote(inbox, safe='')}/kod?next={quote(back, safe='')}")


def following(cursor: Cursor | None) -> str:
    return cursor_text(cursor.at, cursor.id) if cursor else ""
