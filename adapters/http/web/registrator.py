"""The registrator's desk: what the administration has received, from the outside of the envelopes.

Why this exists: what is received is registered as soon as it has come (OSL 5 kap. 1-2 §§), whoever reads it; and what
members are kept from, since a consent ended or a sender asked it back, must be in somebody's hands. Nothing here opens
anything: what came to the registrator is forwarded unread (`gateway.forwarding`).
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from adapters.http.routes import Call, Scope
from adapters.http.web.again import with_window
from adapters.http.web.inbox import cursor_of, done_text
from adapters.http.web.nav import Link, NavItem
from adapters.http.web.rows import acts, shows
from adapters.http.web.words import N_
from gateway.errors import FieldError, NotFoundError
from gateway.model.base import EnvelopeId, InboxId
from gateway.model.directory import InboxKind
from gateway.model.identity import Role
from gateway.states import DeliveryState, RecallState, TaskState
from gateway.traffic import PAGE

HELP: Final = "registrator"
PATH: Final = "/registrator"


async def show(call: Call) -> web.Response:
    """The register, what is stopped, and what senders ask back."""
    mine = [box for box in await call.gateway.inboxes.mine(call.signed) if box.kind is InboxKind.REGISTRATOR]
    wanted = call.request.query.get("registratur", "")
    box = next((one for one in mine if not wanted or one.id == wanted), None)
    if box is None:
        raise NotFoundError("no registrator's inbox", swedish="Du är inte registrator i någon förvaltning.")
    after = cursor_of(call.request.query.get("efter", ""))
    lines, stopped = await call.gateway.traffic.desk(call.signed, box.id, after=after)
    asked = await call.gateway.recalls.asked(call.signed, box.id)
    directory = await call.gateway.directory.current()
    last = lines[-1].line if len(lines) == PAGE else None
    return await call.web.page(
        call,
        "registrator.html",
        title=call.tr("Registratur"),
        box=box,
        boxes=mine,
        lines=lines,
        names={inbox.id: inbox.name for inbox in directory.inboxes.values()},
        stopped=stopped,
        waiting=[one for one in asked if one.state is RecallState.REQUESTED] if after is None else (),
        decided=[one for one in asked if one.state is not RecallState.REQUESTED] if after is None else (),
        next_page=f"{PATH}?registratur={box.id}&efter={last.delivered_at}.{last.delivery}" if last else "",
        first=after is None,
        unread=DeliveryState.DELIVERED,
        done=done_text(call),
    )


async def show_recall(call: Call) -> web.Response:
    return await _recall_page(call)


async def decide(call: Call) -> web.Response:
    """Decide on what a sender asks back."""
    box, envelope = InboxId(call.part("inbox")), EnvelopeId(call.part("envelope"))
    choice = call.field("avgor")
    if choice not in ("hall", "slapp"):
        return await _recall_page(call, [FieldError("/avgor", "missing", call.tr("Välj om meddelandet får öppnas."))])
    recall = await call.gateway.recalls.one(call.signed, box, envelope)
    wanted = RecallState.UPHELD if choice == "hall" else RecallState.DECLINED
    if recall.state is not wanted:  # the same choice pressed twice is one decision
        await call.gateway.recalls.decide(call.signed, box, envelope, uphold=choice == "hall")
    return call.web.redirect(f"{PATH}?registratur={box}&klart=avgjort")


async def show_forward(call: Call) -> web.Response:
    return await _forward_page(call)


async def forward(call: Call) -> web.Response:
    """Forward what came to the registrator, unread, to an inbox of the same administration."""
    box, envelope, to = InboxId(call.part("inbox")), EnvelopeId(call.part("envelope")), call.field("to")
    line = await call.gateway.queue.task(call.signed, envelope)
    pressed_twice = line.task.state is TaskState.DONE and line.task.changed_by == call.signed.user.id
    if not to:
        return await _forward_page(call, [FieldError("/to", "missing", call.tr("Välj vart meddelandet ska lämnas."))])
    if not pressed_twice:
        await call.gateway.forwarding.forward(call.signed, envelope, InboxId(to))
    return call.web.redirect(f"{PATH}?registratur={box}&klart=vidare")


async def _forward_page(call: Call, faults: list[FieldError] | None = None) -> web.Response:
    box, envelope = InboxId(call.part("inbox")), EnvelopeId(call.part("envelope"))
    line = await call.gateway.queue.task(call.signed, envelope)
    if line.task.inbox != box:
        raise NotFoundError("no such item", swedish="Meddelandet finns inte, eller är inte ert.")
    targets = await call.gateway.forwarding.targets(call.signed, box, line.task.form_type)
    directory = await call.gateway.directory.current()
    return await call.web.page(
        call,
        "registrator_forward.html",
        title=call.tr("Lämna vidare"),
        status=422 if faults else 200,
        faults=faults or (),
        fault_translated=True,
        line=line,
        box=box,
        sender=directory.inbox(line.sender).name,
        targets=targets,
        waits=line.task.state is TaskState.OPEN,
        back=Link(f"{PATH}?registratur={box}", call.tr("Registratur")),
    )


async def _recall_page(call: Call, faults: list[FieldError] | None = None) -> web.Response:
    box, envelope = InboxId(call.part("inbox")), EnvelopeId(call.part("envelope"))
    recall = await call.gateway.recalls.one(call.signed, box, envelope)
    directory = await call.gateway.directory.current()
    return await call.web.page(
        call,
        "registrator_recall.html",
        title=call.tr("Begäran om återtagande"),
        status=422 if faults else 200,
        faults=faults or (),
        fault_translated=True,
        recall=recall,
        box=box,
        sender=directory.inbox(recall.sender).name,
        recipient=directory.inbox(recall.inbox).name,
        waits=recall.state is RecallState.REQUESTED,
        back=Link(f"{PATH}?registratur={box}", call.tr("Registratur")),
    )


ROUTES: Final = (
    shows(PATH, show, N_("Registratur"), HELP, audit="register_read", scope=Scope.OWN),
    shows("/registrator/{inbox}/{envelope}", show_recall, N_("Begäran om återtagande"), HELP),
    acts("/registrator/{inbox}/{envelope}", decide, N_("Avgör begäran"), HELP, audit="recall_decided"),
    shows("/registrator/{inbox}/{envelope}/vidare", show_forward, N_("Lämna vidare"), HELP),
    acts("/registrator/{inbox}/{envelope}/vidare", with_window(forward), N_("Lämna vidare"), HELP, audit="forwarded"),
)
NAV: Final = (
    NavItem(
        path=PATH,
        label=N_("Registratur"),
        roles=frozenset({Role.REGISTRATOR}),
        kinds=frozenset({InboxKind.REGISTRATOR}),
        order=30,
    ),
)
