"""Deliveries over the API, for whoever operates the gateway and whoever reviews it: ids, functions, states, times."""

from __future__ import annotations

from typing import Final

from adapters.http.api.rows import call_row
from adapters.http.api.shapes import At, Id, InboxName, Next, cursor, cursor_text
from adapters.http.parameters import AFTER, UUID, choice, limit, text
from adapters.http.routes import Call, Model, Scope, Tag
from gateway.model.base import MessageId
from gateway.model.path import Channel, Delivery, ReceiptKind
from gateway.states import DeliveryState


class Transported(Model):
    """One delivery from its outside. `sender` is empty when the message is gone."""

    id: Id
    message: Id
    envelope: Id
    sender: str
    inbox: InboxName
    channel: str
    state: DeliveryState
    reason: str
    attempts: int
    due_at: At
    delivered_at: At | None
    changed_at: At


class DeliveryPage(Model):
    deliveries: list[Transported]
    next: Next


class ReceiptTime(Model):
    envelope: Id
    kind: ReceiptKind
    at: At


class Journey(Model):
    message: Id
    sender: InboxName
    created_at: At
    deliveries: list[Transported]
    receipts: list[ReceiptTime]


class ReasonLine(Model):
    """So many deliveries in a state for a reason; the reason is empty when there is none."""

    state: DeliveryState
    reason: str
    count: int


class ChannelLine(Model):
    """A way out. `certificate_ends` is null when it needs none; `closed_until` while its neighbour is not asked."""

    channel: Channel
    connected: bool
    closed_until: At | None
    certificate_ends: At | None
    left: int
    deliveries: list[ReasonLine]


class UnfetchedLine(Model):
    """An inbox in which work has lain unopened for too long."""

    inbox: InboxName
    count: int
    oldest: At


class ChannelList(Model):
    channels: list[ChannelLine]
    unfetched: list[UnfetchedLine]


async def list_channels(call: Call) -> ChannelList:
    found = await call.gateway.channel_watch.overview(call.signed)
    return ChannelList(
        channels=[
            ChannelLine(
                channel=one.channel,
                connected=one.connected,
                closed_until=one.closed_until,
                certificate_ends=one.expires,
                left=len(one.left),
                deliveries=[ReasonLine.of(row) for row in one.counts],
            )
            for one in found.states
        ],
        unfetched=[UnfetchedLine.of(one) for one in found.unfetched],
    )


async def list_deliveries(call: Call) -> DeliveryPage:
    most = call.number("limit")
    found = await call.gateway.traffic.lines(
        call.signed, state=call.text("state"), message=call.text("message"), after=cursor(call), limit=most
    )
    last = found[-1].delivery if len(found) == most else None
    return DeliveryPage(
        deliveries=[_line(one.delivery, one.sender) for one in found],
        next=cursor_text(last.changed_at, last.id) if last else "",
    )


async def show_journey(call: Call) -> Journey:
    found = await call.gateway.traffic.journey(call.signed, MessageId(call.part("message")))
    return Journey(
        message=found.message,
        sender=found.sender,
        created_at=found.created_at,
        deliveries=[_line(row, found.sender) for row in found.deliveries],
        receipts=[
            ReceiptTime(envelope=envelope, kind=kind, at=at)
            for envelope, times in found.receipts.items()
            for kind, at in times.items()
        ],
    )


def _line(row: Delivery, sender: str) -> Transported:
    return Transported(
        id=row.id,
        message=row.message,
        envelope=row.envelope,
        sender=sender,
        inbox=row.inbox,
        channel=row.channel,
        state=row.state,
        reason=row.reason,
        attempts=row.attempts,
        due_at=row.due_at,
        delivered_at=row.delivered_at,
        changed_at=row.changed_at,
    )


ROUTES: Final = (
    call_row(
        "GET",
        "/deliveries",
        list_deliveries,
        "Leveranser, efter senaste ändring",
        tag=Tag.DELIVER,
        audit="transport_read",
        gives=DeliveryPage,
        scope=Scope.GATEWAY,
        query=(
            choice("state", "Bara leveranser i det läget.", DeliveryState),
            text("message", "Bara det meddelandets leveranser.", pattern=UUID),
            AFTER,
            limit(),
        ),
    ),
    call_row(
        "GET",
        "/channels",
        list_channels,
        "Kanalerna, och inkorgar som ingen hämtar",
        tag=Tag.DELIVER,
        audit="transport_read",
        gives=ChannelList,
        scope=Scope.GATEWAY,
    ),
    call_row(
        "GET",
        "/messages/{message}/deliveries",
        show_journey,
        "Ett meddelandes väg",
        tag=Tag.DELIVER,
        audit="transport_read",
        gives=Journey,
        scope=Scope.GATEWAY,
    ),
)
