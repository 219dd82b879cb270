"""A way that has ended is taken out by a person, and what goes by it goes on (docs/operations.md)."""

from __future__ import annotations

import pytest

from gateway.errors import NotFoundError
from gateway.model.base import HOUR, InboxId
from gateway.model.directory import Route
from gateway.model.path import Channel
from gateway.states import DeliveryState
from tests.county import SEAT_E
from tests.neighbours import WIRE, a_pair

pytestmark = pytest.mark.slow


async def test_what_is_on_its_way_goes_on_and_what_is_sent_next_takes_the_next_way() -> None:
    async with a_pair(also={"handover": "Postadress "}) as pair:
        first = pair.first
        worker = await first.sign_in("al-sos")
        pair.one.away = 1

        async def sent() -> tuple[Channel, DeliveryState]:
            case, _ = await first.consented_case(worker)
            message = (await first.send_referral(worker, case.id, (SEAT_E,))).message
            await first.gateway.channels.run_once(WIRE)
            [row] = await first.store.deliveries_of(message)
            return row.channel, row.state

        assert await sent() == (WIRE, DeliveryState.QUEUED)
        assert await first.gateway.register.close_way(InboxId(SEAT_E), WIRE, by="test", confirmed=False) == 1
        assert await first.store.get(Route, SEAT_E, WIRE) is not None

        assert await first.gateway.register.close_way(InboxId(SEAT_E), WIRE, by="test", confirmed=True) == 1
        assert await first.store.get(Route, SEAT_E, WIRE) is None
        assert await sent() == (Channel.HANDOVER, DeliveryState.QUEUED)
        first.clock.advance(HOUR)
        await pair.exchange()
        first.clock.advance(2 * HOUR)
        await pair.exchange()
        assert len(pair.one.carried) == 1
        received = await pair.second.gateway.inboxes.page(await pair.second.sign_in("ek-chef"), InboxId(SEAT_E))
        assert len(received) == 1
        [log] = await first.store.logs()
        closed = await first.store.sides_page(
            log, action="directory_applied", administration="", object=f"{SEAT_E}/sdk", before=10**9, limit=5
        )
        assert len(closed) == 1


async def test_a_way_that_is_not_there_is_said_and_nothing_is_changed() -> None:
    async with a_pair() as pair:
        for inbox, channel in ((SEAT_E, Channel.SMIME), ("nowhere", WIRE)):
            with pytest.raises(NotFoundError, match="no such way"):
                await pair.first.gateway.register.close_way(InboxId(inbox), channel, by="test", confirmed=True)
