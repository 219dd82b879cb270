"""Fördelning: a registrator says where mail goes that names no function, by its outside alone.

Why this exists: a municipality's one address must not become an inbox that everybody reads. So this page knows when, by
which way, from whom and how large; no subject, no text, no name of a file. Rules are `gateway.triage`'s.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from adapters.http.routes import Call, Scope
from adapters.http.web.again import with_window
from adapters.http.web.inbox import done_text
from adapters.http.web.nav import Link, NavItem
from adapters.http.web.rows import acts, shows
from adapters.http.web.words import N_
from gateway.errors import FieldError, NotFoundError
from gateway.holding import late
from gateway.model.base import EnvelopeId, InboxId
from gateway.model.directory import InboxKind
from gateway.model.identity import Role
from gateway.model.path import Held
from gateway.neighbours import Reason
from gateway.states import HeldState

HELP: Final = "fordelning"
PATH: Final = "/fordelning"
#: Why the inbox that was chosen could not have it.
CAME_BACK: Final = {
    Reason.NOT_FOUND: N_("Den valda inkorgen är stängd."),
    Reason.TYPE: N_("Den valda inkorgen tar inte emot en bilaga av den typen."),
    Reason.TOO_LARGE: N_("Den valda inkorgen tar inte emot en så stor bilaga."),
    Reason.MALWARE: N_("Viruskontrollen stoppade en bilaga. Kontakta den som ansvarar för säkerheten."),
    Reason.SIGNATURE: N_("En signatur stämde inte. Kontakta den som ansvarar för säkerheten."),
}
OTHERWISE: Final = N_("Den valda inkorgen kunde inte ta emot meddelandet.")


async def show(call: Call) -> web.Response:
    """What waits at one of the caller's registries, the longest first."""
    mine = [box for box in await call.gateway.inboxes.mine(call.signed) if box.kind is InboxKind.REGISTRATOR]
    wanted = call.request.query.get("registratur", "")
    box = next((one for one in mine if not wanted or one.id == wanted), None)
    if box is None:
        raise NotFoundError("no registrator's inbox", swedish="Du är inte registrator i någon förvaltning.")
    desk = await call.gateway.triage.desk(call.signed, box.id)
    directory = await call.gateway.directory.current()
    now = call.gateway.ports.clock.now()
    return await call.web.page(
        call,
        "triage.html",
        title=call.tr("Fördelning"),
        box=box,
        boxes=mine,
        waiting=desk.waiting,
        late={row.envelope for row in desk.waiting if late(row, now)},
        came_back={row.envelope for row in desk.waiting if row.reason},
        ordered=desk.ordered,
        names={inbox.id: inbox.name for inbox in directory.inboxes.values()},
        organisations={
            inbox.id: directory.administration(inbox.administration).name for inbox in directory.inboxes.values()
        },
        done=done_text(call),
    )


async def show_one(call: Call) -> web.Response:
    return await _one_page(call)


async def forward(call: Call) -> web.Response:
    """Say where one of them goes; a worker carries it there."""
    box, envelope, to = InboxId(call.part("inbox")), EnvelopeId(call.part("envelope")), call.field("to")
    if not to:
        return await _one_page(call, [FieldError("/to", "missing", call.tr("Välj vart meddelandet ska lämnas."))])
    await _mine(call)
    await call.gateway.triage.order(call.signed, envelope, InboxId(to))
    return call.web.redirect(f"{PATH}?registratur={box}&klart=fordelat")


async def _mine(call: Call) -> Held:
    row = await call.gateway.triage.one(call.signed, EnvelopeId(call.part("envelope")))
    if row.inbox != call.part("inbox"):
        raise NotFoundError("no such item", swedish="Meddelandet finns inte, eller är inte ert att fördela.")
    return row


async def _one_page(call: Call, faults: list[FieldError] | None = None) -> web.Response:
    row = await _mine(call)
    targets = await call.gateway.triage.targets(call.signed, row.envelope)
    directory = await call.gateway.directory.current()
    sender = directory.inbox(row.sender)
    return await call.web.page(
        call,
        "triage_one.html",
        title=call.tr("Fördela"),
        status=422 if faults else 200,
        faults=faults or (),
        fault_translated=True,
        row=row,
        box=row.inbox,
        sender=sender.name,
        organisation=directory.administration(sender.administration).name,
        addressed=directory.inbox(row.addressed).name if row.addressed != row.inbox else "",
        chosen=directory.inbox(row.to).name if row.to else "",
        came_back=call.tr(_came_back(row)) if row.reason else "",
        together=len(await call.gateway.triage.together(row)),
        targets=[(one.id, f"{one.name}, {directory.administration(one.administration).name}") for one in targets],
        waits=row.state is HeldState.WAITING,
        back=Link(f"{PATH}?registratur={row.inbox}", call.tr("Fördelning")),
    )


def _came_back(row: Held) -> str:
    return CAME_BACK.get(Reason(row.reason), OTHERWISE)


ROUTES: Final = (
    shows(PATH, show, N_("Fördelning"), HELP, audit="register_read", scope=Scope.OWN),
    shows("/fordelning/{inbox}/{envelope}", show_one, N_("Fördela"), HELP),
    acts("/fordelning/{inbox}/{envelope}", with_window(forward), N_("Fördela"), HELP, audit="forwarded"),
)
NAV: Final = (
    NavItem(
        path=PATH,
        label=N_("Fördelning"),
        roles=frozenset({Role.REGISTRATOR}),
        kinds=frozenset({InboxKind.REGISTRATOR}),
        order=31,
    ),
)
