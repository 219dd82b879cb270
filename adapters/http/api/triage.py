"""Triage over the API: what waits for a registrator to say where to, from its outside, and the choice.

Why this exists: registries have systems of their own. Nothing here opens anything; rules are `gateway.triage`'s.
"""

from __future__ import annotations

from typing import Final

from adapters.http.api.post import OPENING
from adapters.http.api.registrator import ForwardTo, Target, TargetList
from adapters.http.api.rows import call_row
from adapters.http.api.shapes import At, Id, InboxName
from adapters.http.routes import Call, Model, Tag
from gateway.errors import IllegalTransitionError, RecipientError
from gateway.holding import late
from gateway.model.base import EnvelopeId, InboxId
from gateway.model.path import Channel, Held
from gateway.states import HeldState


class HeldLine(Model):
    """What waits, from its outside. `late`: over a working day. `to` is the inbox that was chosen, or empty."""

    envelope: Id
    inbox: InboxName
    addressed: InboxName
    sender: InboxName
    channel: Channel
    size: int
    files: int
    known: bool
    state: HeldState
    since: At
    late: bool
    to: str
    reason: str


class HeldList(Model):
    held: list[HeldLine]


async def list_held(call: Call) -> HeldList:
    desk = await call.gateway.triage.desk(call.signed, InboxId(call.part("inbox")))
    return HeldList(held=[_line(call, row) for row in (*desk.waiting, *desk.ordered)])


async def list_held_targets(call: Call) -> TargetList:
    found = await call.gateway.triage.targets(call.signed, EnvelopeId(call.part("envelope")))
    return TargetList(targets=[Target.of(box) for box in found])


async def forward_held(call: Call) -> HeldLine:
    body: ForwardTo = call.body
    row = await call.gateway.triage.order(call.signed, EnvelopeId(call.part("envelope")), InboxId(body.to))
    return _line(call, row)


def _line(call: Call, row: Held) -> HeldLine:
    return HeldLine(
        envelope=row.envelope,
        inbox=row.inbox,
        addressed=row.addressed,
        sender=row.sender,
        channel=row.channel,
        size=row.size,
        files=row.files,
        known=row.known,
        state=row.state,
        since=row.since,
        late=late(row, call.gateway.ports.clock.now()),
        to=row.to or "",
        reason=row.reason,
    )


ROUTES: Final = (
    call_row(
        "GET",
        "/inboxes/{inbox}/held",
        list_held,
        "Det som väntar på att en registrator säger vart det ska",
        tag=Tag.DELIVER,
        audit="register_read",
        gives=HeldList,
    ),
    call_row(
        "GET",
        "/held/{envelope}/targets",
        list_held_targets,
        "Vart det som väntar kan fördelas",
        tag=Tag.DELIVER,
        audit="none: from the directory",
        gives=TargetList,
    ),
    call_row(
        "POST",
        "/held/{envelope}/forward",
        forward_held,
        "Fördela oläst till en inkorg som adressen gäller för",
        tag=Tag.DELIVER,
        audit="forwarded",
        takes=ForwardTo,
        gives=HeldLine,
        fails=(RecipientError, IllegalTransitionError, *OPENING),
    ),
)
