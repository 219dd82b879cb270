"""Quarantine for whoever operates the gateway and whoever reviews it: whose files wait, and what was refused.

Why this exists: a scanner that is away keeps files from people who need them, and somebody must see that. The page
knows functions, sizes and times; no name of a file, no case and no word of what is in one.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from adapters.http.routes import Call, Scope
from adapters.http.web.nav import NavItem
from adapters.http.web.rows import page_row
from adapters.http.web.words import N_
from gateway.model.identity import Role
from gateway.states import QuarantineState


async def show(call: Call) -> web.Response:
    found = await call.gateway.quarantine.listed(call.signed)
    inboxes = (await call.gateway.directory.current()).inboxes
    rows = [(inboxes[row.inbox].name if row.inbox in inboxes else row.inbox, row) for row in found]
    return await call.web.page(
        call,
        "quarantine.html",
        title=call.tr("Karantän"),
        waiting=[one for one in rows if one[1].state is QuarantineState.WAITING],
        refused=[one for one in rows if one[1].state is QuarantineState.REFUSED],
        answers=await call.gateway.quarantine.scanner_answers(),
    )


ROUTES: Final = (
    page_row(
        "GET",
        "/drift/karantan",
        show,
        N_("Karantän"),
        audit="transport_read",
        help_="karantan",
        scope=Scope.GATEWAY,
    ),
)
NAV: Final = (
    NavItem(
        path="/drift/karantan",
        label=N_("Karantän"),
        roles=frozenset({Role.SYSTEM_ADMINISTRATOR, Role.AUDITOR}),
        order=22,
    ),
)
