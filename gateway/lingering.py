"""Lingering: what a neighbour still keeps of ours though it has said its last word, looked for now and then.

Why this exists: an outcome is made durable here before the neighbour may forget it, and a process can end in between; a
notice to a party outside is told when it was taken for transport, and may be refused there after all. Both would lie at
the neighbour for ever: the first is let go, the second becomes work for a person (docs/channels.md §2.4, §2.7).

Rules: only what is over here is let go, and what nobody here knows is somebody else's; a receipt that is still waited
for is never taken away unread.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from gateway.aftermath import KEPT
from gateway.announcements import Announcements
from gateway.channels import HAND_OVER_S, Channels
from gateway.errors import GatewayError, StoreUnavailableError
from gateway.model.base import Instant
from gateway.model.path import Channel, Delivery, Envelope, Notice
from gateway.neighbours import Reason, Telling, Told
from gateway.ports import Clock, Store
from gateway.states import DeliveryState

ARRIVED: Final = frozenset({DeliveryState.DELIVERED, DeliveryState.OPENED, DeliveryState.RELAYED})
ENDED: Final = frozenset({DeliveryState.FAILED, DeliveryState.EXPIRED, DeliveryState.CANCELLED})
MOST: Final = 1_000
log = structlog.get_logger()


class Lingering:
    """Asks neighbours what they still keep of ours."""

    def __init__(self, store: Store, channels: Channels, announcements: Announcements, clock: Clock) -> None:
        self._store = store
        self._channels = channels
        self._announcements = announcements
        self._clock = clock

    async def run_once(self, channel: Channel) -> int:
        """Let go what is over; returns how much was."""
        neighbour, gone = self._channels.neighbours[channel], 0
        if not self._channels.circuit(channel).closed(self._clock.now()):
            return 0
        kept: list[tuple[str, Told]] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(HAND_OVER_S):
                kept = list((await neighbour.lingering()).items())
        for reference, told in kept[:MOST]:
            try:
                if not await self._over(channel, reference, told):
                    continue
            except StoreUnavailableError:
                raise
            except GatewayError as trouble:
                log.warning("what a neighbour keeps is looked at again", channel=str(channel), code=trouble.code)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(HAND_OVER_S):
                    await neighbour.settled(reference)
            gone += 1
        return gone

    async def _over(self, channel: Channel, reference: str, told: Told) -> bool:
        notice = await self._store.get(Notice, reference)
        if notice is not None:
            if told.telling is Telling.REFUSED and notice.state == "told":
                await self._announcements.refused(notice)
            return notice.state in ("told", "by_hand")
        envelope = await self._store.get(Envelope, reference)
        if envelope is None:
            return False
        rows = [
            row
            for row in await self._store.deliveries_of(envelope.message)
            if row.envelope == envelope.id and row.channel is channel
        ]
        return bool(rows) and all(map(self._is_over, rows))

    def _is_over(self, row: Delivery) -> bool:
        """Whether nothing is waited for; a receipt that may come late is, for as long as the key is kept."""
        if row.state in ARRIVED:
            return True
        waits = row.reason == Reason.NO_RECEIPT and self._clock.now() < Instant(row.changed_at + KEPT)
        return row.state in ENDED and not waits
