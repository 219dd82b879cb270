"""Channels: bring what is addressed outside to the neighbour, and find out what became of it (docs/channels.md §2).

Why this exists: a neighbour can be away for days and may answer long after, and the sender still needs one honest
status. So an attempt is logged before anything is opened, the neighbour's word becomes a state, and stored octets are
tried again; nothing is ever sealed anew. S authorises, C opens, the log comes first.

Rules: only ways that the sender signed are gone; the consents that a delivery rests on are re-read in the transaction
that logs its dispatch; one neighbour that is away holds up nobody else's deliveries.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Final

import structlog

from gateway import failpoints
from gateway.aftermath import OPEN, Aftermath
from gateway.alarms import Alarms
from gateway.audit import AuditAction, Auditor
from gateway.deliver import BATCH, back_off, consent_fact, holds, moved_delivery, undelivered, withdrawn_on_the_way
from gateway.directory import Directory, Snapshot
from gateway.envelope import parse
from gateway.errors import (
    ConflictError,
    DecisionStaleError,
    EnvelopeError,
    FileWaitsError,
    GatewayError,
    IntegrityError,
    StoreUnavailableError,
)
from gateway.filetypes import FileRefusedError
from gateway.forms import FormCatalogue
from gateway.integrity import Integrity
from gateway.model.base import HOUR, MINUTE, SECOND, Fact, Instant
from gateway.model.carrying import BY_HAND
from gateway.model.keys import EnvelopeWrap
from gateway.model.path import Channel, Conversation, Delivery, Envelope, Message, Way
from gateway.neighbours import PACES, Circuit, Neighbour, Reason, Telling, Told
from gateway.parcels import Parcels
from gateway.ports import (
    AttachmentSealer,
    Blobs,
    Change,
    Clock,
    Insert,
    Opener,
    ShredKeys,
    Store,
    Update,
    Vault,
    Work,
)
from gateway.quarantine import Asker, Quarantine
from gateway.states import DeliveryEvent, DeliveryState
from gateway.unforeseen import Strikes
from gateway.ways import Ways

LEASE: Final = 10 * MINUTE
#: No hand-over takes longer; what was begun is found again by its id.
HAND_OVER_S: Final = 300.0
ASK_AGAIN: Final = SECOND  # the first time; then as long again as it has been on its way
ASK_AGAIN_LATEST: Final = HOUR
#: How long a neighbour may owe its receipt before the way counts as gone.
RECEIPT_WITHIN: Final = 24 * HOUR
#: Delays that say nothing about the neighbour: it is there, or the reason lies with us.
NOT_THE_NEIGHBOURS: Final = frozenset({Reason.BUSY, Reason.INSECURE, Reason.FILE_WAITS, Reason.FAULT})
log = structlog.get_logger()


class Channels:
    """The worker of everything that leaves."""

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        directory: Directory,
        forms: FormCatalogue,
        integrity: Integrity,
        opener: Opener,
        attachments: AttachmentSealer,
        shred: ShredKeys,
        vault: Vault,
        quarantine: Quarantine,
        auditor: Auditor,
        clock: Clock,
        *,
        owner: str,
    ) -> None:
        self._store = store
        self._directory = directory
        self._integrity = integrity
        self._ways = Ways(store, integrity, clock)
        self._opener = opener
        self._parcels = Parcels(store, blobs, forms, attachments, vault, quarantine)
        self._aftermath = Aftermath(store, shred, clock)
        self._auditor = auditor
        self._alarms = Alarms(store, integrity, auditor, clock)
        self._strikes = Strikes()
        self._clock = clock
        self._owner = owner
        self._neighbours: dict[Channel, Neighbour] = {}
        self._circuits: dict[Channel, Circuit] = {}

    def connect(self, neighbour: Neighbour) -> None:
        """Use this neighbour for its channel from now on."""
        self._neighbours[neighbour.channel] = neighbour
        self._circuits[neighbour.channel] = Circuit()

    @property
    def neighbours(self) -> Mapping[Channel, Neighbour]:
        return self._neighbours

    def circuit(self, channel: Channel) -> Circuit:
        return self._circuits[channel]

    async def run_once(self, channel: Channel) -> int:
        """Hand over what is due on a channel and ask about what is in transit; returns how many were looked at."""
        now = self._clock.now()
        if channel in BY_HAND or channel not in self._neighbours or not self._circuits[channel].closed(now):
            return 0
        most = self._circuits[channel].most(BATCH)
        claimed = await self._store.claim_due(
            channel, now=now, lease_until=Instant(now + LEASE), owner=self._owner, limit=most
        )
        waiting = await self._store.in_transit(channel, now=now, limit=most)
        async with asyncio.TaskGroup() as group:
            for delivery in claimed:
                group.create_task(self._guarded(delivery, self._hand_over(delivery)))
            for delivery in waiting:
                group.create_task(self._guarded(delivery, self._ask(delivery)))
        return len(claimed) + len(waiting)

    async def _guarded(self, delivery: Delivery, work: Coroutine[None, None, None]) -> None:
        """Trouble of one delivery stays with it, a bug too: tried again, and set aside the third time."""
        try:
            told = await self._trouble(delivery, work)
            if told is not None:
                await self._settle(delivery, told)
        except (ConflictError, DecisionStaleError):
            log.info("delivery moved while it was tried", delivery=delivery.id)
        except GatewayError as trouble:
            log.warning("delivery stays leased", delivery=delivery.id, code=trouble.code)
        except Exception as bug:  # telling of it failed too: the lease lapses, and the rest goes on
            self._strikes.last(delivery.id, bug)

    async def _trouble(self, delivery: Delivery, work: Coroutine[None, None, None]) -> Told | None:
        """What a try that did not end by itself makes of the delivery; None when it ended, or is to stay leased."""
        try:
            await work
        except (ConflictError, DecisionStaleError, StoreUnavailableError):
            raise
        except EnvelopeError:
            return Told(Telling.REFUSED, Reason.SIGNATURE)
        except GatewayError as trouble:
            log.warning("delivery delayed", delivery=delivery.id, code=trouble.code)
            return Told(Telling.DELAYED, Reason.UNREACHABLE)
        except Exception as bug:  # see gateway/unforeseen.py
            last = self._strikes.last(delivery.id, bug)
            if delivery.state is DeliveryState.IN_TRANSIT:  # it has left: it is asked about until its time ends
                await self._ask_later(delivery, self._clock.now())
                return None
            if not last:
                return Told(Telling.DELAYED, Reason.FAULT)
            await self._alarms.set_aside(delivery.id)
            return Told(Telling.REFUSED, Reason.FAULT)
        return None

    # --- handing over ------------------------------------------------------------------------------------------------

    async def _hand_over(self, delivery: Delivery) -> None:
        now = self._clock.now()
        if delivery.expires_at <= now:
            await self._record(delivery, DeliveryEvent.TIMED_OUT, Told(Telling.REFUSED, Reason.UNREACHABLE))
            return
        envelope = await self._store.get(Envelope, delivery.envelope)
        message = await self._store.get(Message, delivery.message)
        wrap = await self._store.get(EnvelopeWrap, delivery.envelope)
        if envelope is None or message is None or wrap is None:
            raise EnvelopeError("a delivery without its envelope")
        await self._opener.verify(envelope, message)
        consents = [await self._integrity.check(row) for row in await self._store.consents_under(envelope.id)]
        if not all(holds(consent, now) for consent in consents):
            await self._record(delivery, DeliveryEvent.CANCELLED, Told(Telling.REFUSED, Reason.REFUSED, "", "consent"))
            return
        directory = await self._directory.current()
        way = _way(envelope, delivery.channel)
        dispatched = await self._dispatched(delivery, envelope, directory, tuple(map(consent_fact, consents)))
        failpoints.reached("channel.dispatched")
        # From here on trouble is that of the dispatched row: the one that was claimed is a version behind.
        await self._guarded(dispatched, self._carry(dispatched, envelope, wrap, message, way, directory))

    async def _carry(
        self,
        dispatched: Delivery,
        envelope: Envelope,
        wrap: EnvelopeWrap,
        message: Message,
        way: Way,
        directory: Snapshot,
    ) -> None:
        """Open what may leave, hand it over, and record what the neighbour said."""
        opened = await self._opener.open_leaving(envelope, wrap, way)
        asker = Asker(inbox=directory.inbox(message.sender), role="worker", channel=dispatched.channel)
        parcel = await self._parcels.of(envelope, message, way, opened, directory, asker)
        parcel = dataclasses.replace(parcel, again=dispatched.attempts > 1)
        neighbour = self._neighbours[dispatched.channel]
        try:
            for file in parcel.files:
                await file.cleared()
        except (FileWaitsError, IntegrityError):  # ours, and not the neighbour's: its circuit stays closed
            await self._settle(dispatched, Told(Telling.DELAYED, Reason.FILE_WAITS))
            return
        except FileRefusedError as refused:
            await self._settle(dispatched, Told(Telling.REFUSED, refused.reason))
            return
        try:
            async with asyncio.timeout(HAND_OVER_S):
                told = await neighbour.hand_over(parcel)
        except TimeoutError:
            told = Told(Telling.DELAYED, Reason.UNREACHABLE)
        failpoints.reached("channel.handed_over")
        await self._settle(dispatched, told)

    async def _dispatched(
        self, delivery: Delivery, envelope: Envelope, directory: Snapshot, facts: tuple[Fact, ...]
    ) -> Delivery:
        """Log that it leaves, before it is opened; the sender is told from now on that it may have left.

        Two first messages of one conversation may leave at once: the second finds it begun, and waits for nothing.
        """
        conversation = await self._parcels.conversation(envelope, delivery.channel)
        begun = await self._store.get(Conversation, *conversation.key) is not None
        try:
            return await self._logged(
                delivery, envelope, facts=(directory.fact, *facts), new=None if begun else conversation
            )
        except ConflictError:
            if begun or await self._store.get(Conversation, *conversation.key) is None:
                raise
            return await self._logged(delivery, envelope, facts=(directory.fact, *facts), new=None)

    async def _logged(
        self, delivery: Delivery, envelope: Envelope, *, facts: tuple[Fact, ...], new: Conversation | None
    ) -> Delivery:
        now = self._clock.now()
        following = dataclasses.replace(
            delivery,
            attempts=delivery.attempts + 1,
            reason="dispatched",
            changed_at=now,
            version=delivery.version + 1,
        )
        entry = await self._auditor.entry(
            AuditAction.DISPATCHED,
            administration=delivery.administration,
            actor=None,
            role="worker",
            object=envelope.id,
            case=envelope.case,
            outcome=str(delivery.channel),
            detail={"transcript": envelope.transcript.hex(), "attempt": following.attempts},
        )
        changes: list[Change] = [Update(following)]
        if new is not None:
            changes.append(Insert(new))
        await self._store.commit(Work(expects=facts, changes=tuple(changes), entries=(entry,)))
        return following

    # --- what the neighbour said -------------------------------------------------------------------------------------

    async def _ask(self, delivery: Delivery) -> None:
        now = self._clock.now()
        if delivery.expires_at <= now:
            await self._record(delivery, DeliveryEvent.TIMED_OUT, Told(Telling.REFUSED, Reason.NO_RECEIPT))
            return
        neighbour = self._neighbours[delivery.channel]
        try:
            async with asyncio.timeout(HAND_OVER_S):
                told = await neighbour.outcome(delivery.reference)
        except TimeoutError:
            told = Told(Telling.DELAYED, Reason.UNREACHABLE, delivery.reference)
        if told.telling in (Telling.IN_TRANSIT, Telling.DELAYED):
            self._judge(delivery.channel, told)
            await self._ask_later(delivery, now)
            return
        await self._settle(delivery, told)
        with suppress(TimeoutError):  # its own word is durable here; what it still keeps hurts nobody
            async with asyncio.timeout(HAND_OVER_S):
                await neighbour.settled(delivery.reference)

    async def _ask_later(self, delivery: Delivery, now: Instant) -> None:
        waited = now - delivery.changed_at
        if waited > RECEIPT_WITHIN:
            await self._record(delivery, DeliveryEvent.REFUSED, Told(Telling.REFUSED, Reason.NO_RECEIPT))
            return
        pause = min(max(waited, ASK_AGAIN), ASK_AGAIN_LATEST)
        later = dataclasses.replace(delivery, due_at=Instant(now + pause), version=delivery.version + 1)
        await self._store.commit(Work(changes=(Update(later),)))

    async def _settle(self, delivery: Delivery, told: Told) -> None:
        """The neighbour's word as a state."""
        self._judge(delivery.channel, told)
        if told.detail:
            log.info("a neighbour said", delivery=delivery.id, telling=str(told.telling), detail=told.detail)
        if told.reason is Reason.INSECURE:
            await self._alarms.insecure(delivery.channel)
        event = {
            Telling.DELIVERED: DeliveryEvent.ACCEPTED,
            Telling.IN_TRANSIT: DeliveryEvent.HANDED_OVER,
            Telling.DELAYED: DeliveryEvent.DELAYED,
            Telling.REFUSED: DeliveryEvent.REFUSED,
        }[told.telling]
        await self._record(delivery, event, told)

    def _judge(self, channel: Channel, told: Told) -> None:
        circuit = self._circuits[channel]
        if told.telling is Telling.DELAYED and told.reason not in NOT_THE_NEIGHBOURS:
            circuit.failed(self._clock.now())
        else:
            circuit.worked()

    async def _record(self, delivery: Delivery, event: DeliveryEvent, told: Told) -> None:
        now = self._clock.now()
        following = dataclasses.replace(
            moved_delivery(delivery, event, now),
            reference=told.reference or delivery.reference,
            reason=str(told.reason),
        )
        if following.state is DeliveryState.QUEUED:
            following = self._again_later(following, now)
        elif following.state is DeliveryState.IN_TRANSIT:
            following = dataclasses.replace(following, due_at=Instant(now + ASK_AGAIN))
        elif following.state is DeliveryState.DELIVERED:
            following = dataclasses.replace(following, delivered_at=now)
        envelope = await self._store.get(Envelope, delivery.envelope)
        message = await self._store.get(Message, delivery.message)
        if envelope is None or message is None:
            raise EnvelopeError("a delivery without its envelope")
        changes: list[Change] = [Update(following)]
        after = None
        ended = following.state in (DeliveryState.FAILED, DeliveryState.EXPIRED, DeliveryState.CANCELLED)
        if ended:
            after = await self._ways.after(following, envelope, told)
            if after is not None:
                changes += after.changes
            else:
                sender = (await self._directory.current()).inbox(message.sender)
                changes.append(Insert(undelivered(sender, message, now)))
        elif following.state is DeliveryState.DELIVERED:
            consents = await self._store.consents_under(envelope.id)
            changes += withdrawn_on_the_way(following, consents, now)
        entry = await self._auditor.entry(
            _ACTIONS.get(following.state, AuditAction.NOT_DELIVERED),
            administration=delivery.administration,
            actor=None,
            role="worker",
            object=envelope.id,
            case=envelope.case,
            outcome=str(told.reason) or str(following.state),
            detail={"channel": str(delivery.channel), "state": str(following.state)},
        )
        facts = after.facts if after is not None else ()
        await self._store.commit(Work(expects=facts, changes=tuple(changes), entries=(entry,)))
        if following.state not in OPEN:
            await self._aftermath.ended(following)

    def _again_later(self, delivery: Delivery, now: Instant) -> Delivery:
        """Due again at the channel's own pace, for as long as the channel is worth trying."""
        pace = PACES.get(delivery.channel)
        if pace is None:
            return dataclasses.replace(delivery, due_at=Instant(now + back_off(delivery.attempts)))
        return dataclasses.replace(
            delivery,
            due_at=Instant(now + pace.pause(delivery.attempts)),
            expires_at=pace.ends(delivery.expires_at, delivery.attempts, now),
        )


_ACTIONS: Final[Mapping[DeliveryState, AuditAction]] = {
    DeliveryState.IN_TRANSIT: AuditAction.HANDED_TO_NEIGHBOUR,
    DeliveryState.DELIVERED: AuditAction.DELIVERED,
}


def _way(envelope: Envelope, channel: Channel) -> Way:
    """The way of this channel that the signed header lists."""
    way = next((way for way in parse(envelope.octets).header.ways if way.channel is channel), None)
    if way is None:
        raise EnvelopeError("the header does not list this way")
    return way
