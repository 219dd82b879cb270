"""Closing: what has ended is looked at until nothing of it is owed: its key goes, and a late receipt is still heard.

Why this exists: a neighbour that gave no receipt in time may have delivered all the same, and then we told the sender
less than the truth, or went a second way for nothing. So it is asked on for as long as the key is kept; what arrived
late is delivered, and the same message (docs/channels.md §2.7).

Rules: a way that nobody has begun is cancelled by a late receipt, one that was begun is not; what has nothing left to
wait for is never looked at again, so that a turn costs what has ended lately and not what has ever ended.
"""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import suppress
from typing import Final

import structlog

from gateway.aftermath import AGAIN, KEPT, NEVER, Aftermath, of_envelope
from gateway.audit import AuditAction, Auditor
from gateway.channels import HAND_OVER_S, Channels
from gateway.deliver import moved_delivery, withdrawn_on_the_way
from gateway.directory import Directory
from gateway.errors import ConflictError, GatewayError, StoreUnavailableError
from gateway.integrity import Integrity
from gateway.model.base import DAY, HOUR, Instant
from gateway.model.path import Channel, Delivery, Message
from gateway.neighbours import Neighbour, Reason, Telling, Told
from gateway.ports import Change, Clock, Store, Update, Work
from gateway.states import DeliveryEvent, DeliveryState
from gateway.unforeseen import Strikes

BATCH: Final = 100
ASKED_EVERY: Final = HOUR
ASKED_LATEST: Final = DAY
log = structlog.get_logger()


class Closing:
    """The worker of what is over."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        integrity: Integrity,
        channels: Channels,
        aftermath: Aftermath,
        auditor: Auditor,
        clock: Clock,
    ) -> None:
        self._store = store
        self._directory = directory
        self._integrity = integrity
        self._channels = channels
        self._aftermath = aftermath
        self._auditor = auditor
        self._clock = clock
        self._strikes = Strikes()

    async def run_once(self) -> int:
        """Look at what ended on each way out and is due; returns how many were looked at."""
        directory, looked_at = await self._directory.current(), 0
        for channel in Channel:
            if channel is Channel.LOCAL:
                continue
            for row in await self._store.ended_due(channel, now=self._clock.now(), limit=BATCH):
                try:
                    if directory.is_outside(directory.inbox(row.inbox)):
                        await self._look(row)
                    else:
                        await self._again_at(row, NEVER)  # it came in: its key is its inbox's
                except ConflictError:
                    pass  # moved in this moment: it is looked at again
                except StoreUnavailableError:
                    raise
                except GatewayError as trouble:
                    log.warning("what ended is looked at again", delivery=row.id, code=trouble.code)
                looked_at += 1
        return looked_at

    async def _look(self, row: Delivery) -> None:
        now = self._clock.now()
        neighbour = self._channels.neighbours.get(row.channel)
        if row.state in AGAIN and row.reason == Reason.NO_RECEIPT and now < row.changed_at + KEPT:
            if neighbour is not None and await self._came_late(neighbour, row):
                return
            waited = now - row.changed_at
            await self._again_at(row, Instant(now + min(max(waited, ASKED_EVERY), ASKED_LATEST)))
            return
        if await self._aftermath.ended(row):
            await self._again_at(row, NEVER)
        else:
            until = row.changed_at + KEPT if row.state in AGAIN else now + DAY
            await self._again_at(row, Instant(max(until, now + HOUR)))

    async def _came_late(self, neighbour: Neighbour, row: Delivery) -> bool:
        """Whether the receipt has come after all; then it is recorded."""
        if not row.reference or not self._channels.circuit(row.channel).closed(self._clock.now()):
            return False
        told = Told(Telling.DELAYED)
        try:
            async with asyncio.timeout(HAND_OVER_S):
                told = await neighbour.outcome(row.reference)
        except TimeoutError:
            pass
        except Exception as bug:  # asked about later (gateway/unforeseen.py)
            self._strikes.last(row.id, bug)
        if told.telling is not Telling.DELIVERED:
            return False
        await self._delivered(row)
        with suppress(TimeoutError):
            async with asyncio.timeout(HAND_OVER_S):
                await neighbour.settled(row.reference)
        return True

    async def _delivered(self, row: Delivery) -> None:
        now = self._clock.now()
        message = await self._store.get(Message, row.message)
        arrived = dataclasses.replace(
            moved_delivery(row, DeliveryEvent.ACCEPTED, now), delivered_at=now, due_at=now, reason=""
        )
        changes: list[Change] = [Update(arrived)]
        for other in await of_envelope(self._store, row.message, row.envelope):
            if other.state is DeliveryState.QUEUED:
                stopped = moved_delivery(other, DeliveryEvent.CANCELLED, now)
                changes.append(Update(dataclasses.replace(stopped, reason=str(Reason.DUPLICATE))))
        consents = [await self._integrity.check(one) for one in await self._store.consents_under(row.envelope)]
        changes += withdrawn_on_the_way(arrived, consents, now)
        entry = await self._auditor.entry(
            AuditAction.DELIVERED,
            administration=row.administration,
            actor=None,
            role="worker",
            object=row.envelope,
            case=message.case if message is not None else None,
            outcome="late-receipt",
            detail={"channel": str(row.channel), "cancelled": len(changes) - 1},
        )
        await self._store.commit(Work(changes=tuple(changes), entries=(entry,)))
        log.info("a receipt came late", delivery=row.id)
        await self._aftermath.ended(arrived)

    async def _again_at(self, row: Delivery, at: Instant) -> None:
        await self._store.commit(Work(changes=(Update(dataclasses.replace(row, due_at=at, version=row.version + 1)),)))
