"""Aftermath: what an ended delivery still needs: the end of its key, and an ear for a receipt that comes late.

Why this exists: what leaves is sealed to a key that a process holds, so that key must not stay longer than it is of
use (docs/channels.md §2.7); and a neighbour that owed its receipt may give it after we went another way. Both are about
what is over, so both stand here, beside the worker of what is under way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.model.base import DAY, EnvelopeId, Instant, MessageId
from gateway.model.keys import EnvelopeWrap
from gateway.model.path import Delivery
from gateway.ports import Clock, ShredKeys, Store
from gateway.states import DeliveryState

#: How long a person may try again what failed, and a late receipt is waited for.
KEPT: Final = 14 * DAY
#: When what has nothing left to wait for is looked at: an ended delivery's `due_at`.
NEVER: Final = Instant(2**62)
OPEN: Final = frozenset({DeliveryState.QUEUED, DeliveryState.ATTEMPTING, DeliveryState.IN_TRANSIT})
AGAIN: Final = frozenset({DeliveryState.FAILED, DeliveryState.EXPIRED})
ARRIVED: Final = frozenset({DeliveryState.DELIVERED, DeliveryState.OPENED})


class Aftermath:
    """Ends keys."""

    def __init__(self, store: Store, shred: ShredKeys, clock: Clock) -> None:
        self._store = store
        self._shred = shred
        self._clock = clock

    async def forget(self, deliveries: Sequence[Delivery]) -> bool:
        """Destroy the key of an envelope, given all its deliveries, when it can be of no more use; True when it went.

        The sender's own copy is the record. Destroying what is gone is no error.
        """
        if not over(deliveries, self._clock.now()):
            return False
        wrap = await self._store.get(EnvelopeWrap, deliveries[0].envelope)
        if wrap is not None:
            await self._shred.destroy([wrap.shred_key])
        return True

    async def ended(self, delivery: Delivery) -> bool:
        """`forget` for the envelope of a delivery that has just ended."""
        return await self.forget(await of_envelope(self._store, delivery.message, delivery.envelope))


async def of_envelope(store: Store, message: MessageId, envelope: EnvelopeId) -> list[Delivery]:
    """Every delivery of one envelope: the ways that were gone, and the one that is."""
    return [row for row in await store.deliveries_of(message) if row.envelope == envelope]


def over(deliveries: Sequence[Delivery], now: Instant) -> bool:
    """Whether nobody will open this envelope again on its way: nothing of it is open, and it has arrived, or nothing
    ended that a person may still try again (§2.5)."""
    if not deliveries or any(row.state in OPEN for row in deliveries):
        return False
    if any(row.state in ARRIVED for row in deliveries):
        return True
    return all(row.state not in AGAIN or now >= row.changed_at + KEPT for row in deliveries)
