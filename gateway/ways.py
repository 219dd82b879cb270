"""Ways: which one comes after a way that is gone, and what a delivery on it rests on (docs/channels.md §2.2).

Why this exists: the sender signed an order of ways, and a message goes the next one without anybody being asked. It
rests on the same consents as the first did, so the row that says so is made in the same transaction as the delivery:
a withdrawal finds the second way as it found the first.
"""

from __future__ import annotations

import dataclasses
import uuid
from dataclasses import dataclass

from gateway.deliver import consent_fact, holds, new_delivery_id
from gateway.envelope import parse
from gateway.errors import EnvelopeError
from gateway.integrity import Integrity
from gateway.model.base import Fact, Instant
from gateway.model.carrying import BY_HAND
from gateway.model.path import Delivery, DeliveryConsent, Envelope, Message, Notice
from gateway.neighbours import OF_THE_WAY, Told
from gateway.ports import Change, Clock, Insert, Store
from gateway.states import DeliveryState


@dataclass(frozen=True, slots=True)
class Following:
    """The delivery on the next way with its consents, and the facts that its transaction expects."""

    changes: tuple[Change, ...]
    facts: tuple[Fact, ...]


class Ways:
    """Finds the next way."""

    def __init__(self, store: Store, integrity: Integrity, clock: Clock) -> None:
        self._store = store
        self._integrity = integrity
        self._clock = clock

    async def after(self, ended: Delivery, envelope: Envelope, told: Told) -> Following | None:
        """A delivery on the way that the sender listed after `ended`, when the way was at fault; else None.

        None as well when a consent that it would rest on holds no more: nothing new rests on it (GDPR Art. 7(3)).
        """
        if ended.state is DeliveryState.CANCELLED or told.reason not in OF_THE_WAY:
            return None
        now = self._clock.now()
        ways = [way.channel for way in parse(envelope.octets).header.ways]
        tried = {
            row.channel for row in await self._store.deliveries_of(envelope.message) if row.envelope == envelope.id
        }
        following = next((channel for channel in ways if channel not in tried), None)
        if following is None or ended.expires_at <= now:
            return None
        consents = [await self._integrity.check(row) for row in await self._store.consents_under(envelope.id)]
        if not all(holds(consent, now) for consent in consents):
            return None
        delivery = dataclasses.replace(
            ended,
            id=new_delivery_id(),
            channel=following,
            state=DeliveryState.QUEUED,
            attempts=0,
            due_at=now,
            reference="",
            reason="",
            version=1,
        )
        rests = [
            Insert(DeliveryConsent(administration=consent.administration, delivery=delivery.id, consent=consent.id))
            for consent in consents
        ]
        waits = [Insert(await self._waits(envelope, now))] if following in BY_HAND else []
        return Following((Insert(delivery), *rests, *waits), tuple(map(consent_fact, consents)))

    async def _waits(self, envelope: Envelope, now: Instant) -> Notice:
        """What the sender's people are told: this now waits for one of them."""
        message = await self._store.get(Message, envelope.message)
        if message is None:
            raise EnvelopeError("an envelope without its message")
        return Notice(
            administration=message.administration,
            id=str(uuid.uuid4()),
            inbox=message.sender,
            kind="hand_over_waits",
            case=envelope.case,
            created_at=now,
        )
