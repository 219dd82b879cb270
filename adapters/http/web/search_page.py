"""The search page: a case by its name in the address, a person by number in a form that leaves no trace in addresses.

Why this exists: identity numbers never stand in an address, a history or a log (domain.md §13), so that search is a
POST whose answer is the page itself. Which cases may be found, and how often, is `gateway.search`'s to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web

from adapters.http.routes import Call, Rate, Scope
from adapters.http.web.nav import NavItem
from adapters.http.web.rows import page_row
from adapters.http.web.words import N_
from gateway.errors import FieldError, InvalidFormError, NotFoundError
from gateway.model.base import InboxId
from gateway.model.directory import Inbox, InboxKind
from gateway.model.identity import Role
from gateway.model.path import Case

WHO: Final = frozenset({Role.CASE_WORKER, Role.UNIT_MANAGER, Role.COORDINATOR, Role.KEY_WORKER})
KINDS: Final = (
    ("personnummer", N_("Personnummer")),
    ("samordningsnummer", N_("Samordningsnummer")),
    ("reservnummer", N_("Reservnummer")),
)


async def show(call: Call) -> web.Response:
    """The page, and with `namn` in the address the case of that name."""
    name = call.request.query.get("namn", "").strip()[:60]
    boxes = await call.gateway.inboxes.mine(call.signed)
    found = None
    if name:
        found = [
            (case, box) for box in boxes for case in await call.gateway.search.reference(call.signed, box.id, name)
        ]
    return await _page(call, boxes, name=name, found=found)


async def by_number(call: Call) -> web.Response:
    """Search by identity number; the answer is the page."""
    boxes = await call.gateway.inboxes.mine(call.signed)
    box = next((box for box in boxes if box.id == call.field("inkorg")), None)
    if box is None:
        raise NotFoundError("no such inbox", swedish="Inkorgen finns inte, eller är inte din.")
    asked = {"kind": call.field("kind"), "value": call.field("identity_number")}
    try:
        cases = await call.gateway.search.identity(call.signed, InboxId(box.id), asked, call.field("purpose"))
    except InvalidFormError as wrong:
        return await _page(call, boxes, status=422, faults=wrong.faults, typed=call)
    return await _page(call, boxes, found=[(case, box) for case in cases])


async def _page(
    call: Call,
    boxes: Sequence[Inbox],
    *,
    name: str = "",
    found: list[tuple[Case, Inbox]] | None = None,
    status: int = 200,
    faults: Sequence[FieldError] = (),
    typed: Call | None = None,
) -> web.Response:
    def kept(field: str) -> str:
        return typed.field(field) if typed else ""

    context: dict[str, Any] = {
        "boxes": [(box.id, box.name) for box in boxes],
        "kinds": [(kind, call.tr(text)) for kind, text in KINDS],
        "name": name,
        "found": None if found is None else [(case, box, _href(call, case, box)) for case, box in found],
        "kept": kept,
    }
    return await call.web.page(call, "search.html", title=call.tr("Sök"), status=status, faults=faults, **context)


def _href(call: Call, case: Case, box: Inbox) -> str:
    if box.kind is InboxKind.CASEWORK and call.web.has("GET", "/arenden/{case}"):
        return f"/arenden/{case.id}"
    return f"/inkorg/{box.id}" if call.web.has("GET", "/inkorg/{inbox}") else ""


NAV: Final = (NavItem(path="/sok", label=N_("Sök"), roles=WHO, order=80),)
ROUTES: Final = (
    page_row("GET", "/sok", show, N_("Sök"), audit="none: a case's name says nothing", help_="sok", scope=Scope.OWN),
    page_row("POST", "/sok", by_number, N_("Sök"), audit="searched", help_="sok", rate=Rate.READ),
)
