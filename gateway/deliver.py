"""Deliver: bring each queued envelope to its inbox, once, and say so in a receipt the recipient's authority signed.

Why this exists: accepting and delivering are two acts, so that an undo, a withdrawal or a crash in between has one
answer. A worker claims under a lease, tries, and commits the outcome; a crash leaves an expired lease, and one rule
(LEASE_LOST: queue again) repairs it. Retries carry stored octets; nothing is ever sealed again.

Rules: the consents that a delivery rests on are re-read in the transaction that delivers it; the commit is the moment
that counts. A delivered message is *received* (TF 2:9), opened or not.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import random
import uuid
from collections.abc import Iterable
from typing import Final

import structlog

from gateway import failpoints
from gateway.alarms import Alarms
from gateway.audit import AuditAction, Auditor
from gateway.directory import Directory
from gateway.errors import ConflictError, DecisionStaleError, EnvelopeError, GatewayError, StoreUnavailableError
from gateway.forms.names import ANSWER, REFERRAL
from gateway.integrity import Integrity
from gateway.measures import Counted, Step, timed
from gateway.model.base import DAY, HOUR, MINUTE, SECOND, DeliveryId, Fact, Instant, fact
from gateway.model.directory import Inbox, InboxKind
from gateway.model.path import (
    Channel,
    Consent,
    Delivery,
    Envelope,
    Message,
    Notice,
    Receipt,
    ReceiptKind,
    SeatAnswer,
)
from gateway.model.queue import Task
from gateway.neighbours import Reason
from gateway.ports import UNMEASURED, Change, Clock, Insert, Metrics, Opener, Sealer, Store, Update, Work
from gateway.states import DELIVERY, ConsentState, DeliveryEvent, DeliveryState, TaskState, step
from gateway.unforeseen import Strikes

LEASE: Final = MINUTE
BATCH: Final = 32
FIRST_RETRY: Final = 5 * SECOND
LONGEST_RETRY: Final = 15 * MINUTE
#: Nothing is ever dated further ahead than this by a clock that agrees with ours: a retry, a lease, an undo of an hour.
FURTHEST: Final = HOUR + LONGEST_RETRY
#: What the board answers at the latest at its next weekly meeting (S004 §5.2.2).
ANSWER_WITHIN: Final = {REFERRAL: 7 * DAY, ANSWER: 7 * DAY}
log = structlog.get_logger()


class Outbox:
    """The worker of the LOCAL channel: claim, verify, deliver, receipt."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        integrity: Integrity,
        sealer: Sealer,
        opener: Opener,
        auditor: Auditor,
        clock: Clock,
        *,
        owner: str,
        metrics: Metrics = UNMEASURED,
    ) -> None:
        self._store = store
        self._directory = directory
        self._integrity = integrity
        self._sealer = sealer
        self._opener = opener
        self._auditor = auditor
        self._clock = clock
        self._owner = owner
        self._alarms = Alarms(store, integrity, auditor, clock)
        self._strikes = Strikes()
        self._looked_at: Instant | None = None
        self._metrics = metrics

    async def run_once(self) -> int:
        """Deliver what is due now; returns how many deliveries were looked at."""
        await self._take_back_lapsed()
        await self._take_back_postdated()
        now = self._clock.now()
        claimed = await self._store.claim_due(
            Channel.LOCAL, now=now, lease_until=Instant(now + LEASE), owner=self._owner, limit=BATCH
        )
        failpoints.reached("deliver.after_claim")
        async with asyncio.TaskGroup() as group:
            for delivery in claimed:
                group.create_task(self._attempt(delivery))
        return len(claimed)

    async def _attempt(self, delivery: Delivery) -> None:
        """Try once. Trouble becomes a state, a bug too; cancellation passes through and lets the lease lapse."""
        try:
            with structlog.contextvars.bound_contextvars(delivery=delivery.id):
                await self._tried(delivery)
        except (ConflictError, DecisionStaleError):
            log.info("delivery moved while it was tried", delivery=delivery.id)  # withdrawn or taken back: that stands
        except StoreUnavailableError:
            log.warning("store unavailable, delivery stays leased", delivery=delivery.id)
        except Exception as bug:  # telling of it failed too: the lease lapses, and the rest goes on
            self._strikes.last(delivery.id, bug)

    async def _tried(self, delivery: Delivery) -> None:
        try:
            with timed(self._metrics, Step.DELIVER):
                await self._deliver(delivery)
        except (ConflictError, DecisionStaleError, StoreUnavailableError):
            raise
        except EnvelopeError:
            await self._finish(delivery, DeliveryEvent.REFUSED, outcome="envelope-rejected")
        except GatewayError as trouble:
            log.warning("delivery delayed", code=trouble.code)
            await self._finish(delivery, DeliveryEvent.DELAYED, outcome=trouble.code)
        except Exception as bug:  # see gateway/unforeseen.py
            if self._strikes.last(delivery.id, bug):
                await self._alarms.set_aside(delivery.id)
                await self._finish(delivery, DeliveryEvent.REFUSED, outcome="set-aside", reason=Reason.FAULT)
            else:
                await self._finish(delivery, DeliveryEvent.DELAYED, outcome="unforeseen")

    async def _deliver(self, delivery: Delivery) -> None:
        now = self._clock.now()
        if delivery.expires_at <= now:
            await self._finish(delivery, DeliveryEvent.TIMED_OUT, outcome="expired")
            return
        envelope = await self._store.get(Envelope, delivery.envelope)
        message = await self._store.get(Message, delivery.message)
        if envelope is None or message is None:
            raise EnvelopeError("a delivery without its envelope")
        await self._opener.verify(envelope, message)
        consents = [await self._integrity.check(row) for row in await self._store.consents_under(envelope.id)]
        if not all(holds(consent, now) for consent in consents):
            # What was given and has not begun, begins: the clock was set back since the decision (Q09).
            later = all(holds(consent, max(now, consent.valid_from)) for consent in consents)
            event = DeliveryEvent.DELAYED if later else DeliveryEvent.CANCELLED
            await self._finish(delivery, event, outcome="consent-not-begun" if later else "consent-ended")
            return
        receipt = await self._sealer.receipt(envelope, ReceiptKind.DELIVERED, at=now)
        delivered = dataclasses.replace(
            moved_delivery(delivery, DeliveryEvent.ACCEPTED, now), delivered_at=now, attempts=delivery.attempts + 1
        )
        entry = await self._auditor.entry(
            AuditAction.DELIVERED,
            administration=delivery.administration,
            actor=None,
            role="worker",
            object=envelope.id,
            case=envelope.case,
            outcome="delivered",
            detail={"transcript": envelope.transcript.hex()},
        )
        failpoints.reached("deliver.before_commit")
        await self._store.commit(
            Work(
                expects=tuple(consent_fact(consent) for consent in consents),
                changes=(
                    Update(delivered),
                    Insert(receipt),
                    Insert(await self._task(envelope, message, now)),
                    Insert(notice(envelope, "message_received", now)),
                ),
                entries=(entry,),
            )
        )
        self._metrics.count(Counted.DELIVERIES, DeliveryEvent.ACCEPTED)
        failpoints.reached("deliver.after_commit")

    async def _task(self, envelope: Envelope, message: Message, now: Instant) -> Task:
        """The work that a delivered envelope is to its inbox.

        The signed answer comes back to the seat that proposed it as a copy for its files: nothing is left to do.
        """
        task = delivered_task(envelope, message, now)
        if message.form_type == ANSWER and await self._store.get(SeatAnswer, message.id) is None:  # not a proposal
            copy = (await self._directory.current()).inbox(envelope.inbox).kind is InboxKind.SEAT
            return dataclasses.replace(task, due_at=None, state=TaskState.DONE if copy else TaskState.OPEN)
        return task

    async def _finish(
        self, delivery: Delivery, event: DeliveryEvent, *, outcome: str, reason: Reason = Reason.NONE
    ) -> None:
        """Record an outcome other than delivered; the sender finds it in the case."""
        now = self._clock.now()
        moved = moved_delivery(delivery, event, now)
        moved = dataclasses.replace(moved, attempts=delivery.attempts + 1, reason=str(reason))
        if moved.state is DeliveryState.QUEUED:
            moved = dataclasses.replace(moved, due_at=Instant(now + back_off(moved.attempts)))
        changes: list[Change] = [Update(moved)]
        message = await self._store.get(Message, delivery.message)
        if message is not None and moved.state is not DeliveryState.QUEUED:
            sender = (await self._directory.current()).inbox(message.sender)
            changes.append(Insert(undelivered(sender, message, now)))
        entry = await self._auditor.entry(
            AuditAction.NOT_DELIVERED,
            administration=delivery.administration,
            actor=None,
            role="worker",
            object=delivery.envelope,
            case=message.case if message else None,
            outcome=outcome,
        )
        try:
            await self._store.commit(Work(changes=tuple(changes), entries=(entry,)))
        except ConflictError:
            log.info("delivery moved while its outcome was recorded", delivery=delivery.id)
            return
        self._metrics.count(Counted.DELIVERIES, event)

    async def _take_back_postdated(self) -> None:
        """A clock that was wrong and is right again must not hold deliveries until the wrong time comes (Q09).

        Looked for once a minute, and whenever our own clock goes backwards.
        """
        now = self._clock.now()
        if self._looked_at is not None and 0 <= now - self._looked_at < MINUTE:
            return
        self._looked_at = now
        after = Instant(now + FURTHEST)
        found = [await self._store.postdated(channel, after=after, limit=BATCH) for channel in Channel]
        for delivery in itertools.chain.from_iterable(found):
            log.warning("a delivery was dated by another clock", delivery=delivery.id)
            if delivery.state is DeliveryState.ATTEMPTING:
                back = dataclasses.replace(moved_delivery(delivery, DeliveryEvent.LEASE_LOST, now), due_at=now)
            else:
                back = dataclasses.replace(delivery, due_at=now, changed_at=now, version=delivery.version + 1)
            self._looked_at = None  # there may be more than one batch of them
            try:
                await self._store.commit(Work(changes=(Update(back),)))
            except ConflictError:
                continue

    async def _take_back_lapsed(self) -> None:
        now = self._clock.now()
        for delivery in await self._store.lapsed_leases(now=now, limit=BATCH):
            back = dataclasses.replace(moved_delivery(delivery, DeliveryEvent.LEASE_LOST, now), due_at=now)
            try:
                await self._store.commit(Work(changes=(Update(back),)))
            except ConflictError:
                continue  # its worker was only slow
            self._metrics.count(Counted.DELIVERIES, DeliveryEvent.LEASE_LOST)


def status_of(delivery: Delivery, receipts: list[Receipt]) -> str:
    """What the sender is told: derived from the state and the receipts, so that it only moves forward."""
    kinds = {receipt.kind for receipt in receipts if receipt.envelope == delivery.envelope}
    if ReceiptKind.OPENED in kinds or delivery.state is DeliveryState.OPENED:
        return "opened"
    if ReceiptKind.DELIVERED in kinds or delivery.state is DeliveryState.DELIVERED:
        return "delivered"
    return str(delivery.state)


def new_delivery_id() -> DeliveryId:
    return DeliveryId(str(uuid.uuid4()))


def moved_delivery(delivery: Delivery, event: DeliveryEvent, now: Instant) -> Delivery:
    """The delivery after `event`, its lease ended."""
    return dataclasses.replace(
        delivery,
        state=step(DELIVERY, delivery.state, event),
        lease_until=None,
        lease_owner="",
        changed_at=now,
        version=delivery.version + 1,
    )


def holds(consent: Consent, now: Instant) -> bool:
    """Whether a consent carries a disclosure at this instant."""
    return consent.state is ConsentState.GIVEN and consent.valid_from <= now < consent.valid_to


def consent_fact(consent: Consent) -> Fact:
    """That the consent still is as it was read, and has not ended."""
    return fact(consent, valid_until=consent.valid_to)


def delivered_task(envelope: Envelope, message: Message, now: Instant) -> Task:
    """The open work that an envelope is, with the day to answer by where the form has one."""
    within = ANSWER_WITHIN.get(message.form_type)
    return Task(
        administration=envelope.administration,
        envelope=envelope.id,
        inbox=envelope.inbox,
        message=message.id,
        case=envelope.case,
        form_type=message.form_type,
        state=TaskState.OPEN,
        received_at=now,
        due_at=Instant(now + within) if within else None,
        changed_at=now,
    )


def undelivered(sender: Inbox, message: Message, now: Instant) -> Notice:
    """What the sender's inbox is told of a message that ended without arriving."""
    return Notice(
        administration=sender.administration,
        id=str(uuid.uuid4()),
        inbox=sender.id,
        kind="undelivered",
        case=message.case,
        created_at=now,
    )


def notice(envelope: Envelope, kind: str, now: Instant) -> Notice:
    """What an inbox is told of an envelope, without content."""
    return Notice(
        administration=envelope.administration,
        id=str(uuid.uuid4()),
        inbox=envelope.inbox,
        kind=kind,
        case=envelope.case,
        created_at=now,
    )


def withdrawn(delivery: Delivery, consent: Consent, now: Instant) -> Notice:
    """What the inbox of a delivery is told of a consent that it rests on and that was withdrawn."""
    return Notice(
        administration=delivery.administration,
        id=str(uuid.uuid4()),
        inbox=delivery.inbox,
        kind="consent_withdrawn",
        case=consent.case,
        about=consent.id,
        created_at=now,
    )


def stopped_in_hand(message: Message, now: Instant) -> Notice:
    """What the sender's people are told: a paper that lies with one of them shall not be handed over."""
    return Notice(
        administration=message.administration,
        id=str(uuid.uuid4()),
        inbox=message.sender,
        kind="hand_over_stopped",
        case=message.case,
        created_at=now,
    )


def withdrawn_on_the_way(delivery: Delivery, consents: Iterable[Consent], now: Instant) -> list[Insert]:
    """What must be told with an arrival: a consent was withdrawn after it had left, so nobody was told of it then."""
    return [Insert(withdrawn(delivery, one, now)) for one in consents if one.state is ConsentState.WITHDRAWN]


def back_off(attempts: int) -> int:
    """Doubling from five seconds to a quarter of an hour, with jitter so that retries do not march in step."""
    return int(min(FIRST_RETRY * 2 ** min(attempts, 16), LONGEST_RETRY) * random.uniform(0.5, 1.0))  # noqa: S311
