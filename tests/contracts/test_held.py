"""What waits for a registrator lies in one place at every moment, on every store (docs/channels.md §3.2)."""

from __future__ import annotations

import pytest

from gateway.errors import ConflictError
from gateway.model.keys import EnvelopeWrap
from gateway.model.path import Arrival, Envelope, Held
from gateway.neighbours import ArrivedFile
from gateway.ports import Insert, Store, Work
from gateway.states import HeldState
from tests.clock import ManualClock
from tests.county import ALVESTA
from tests.holding import INTAKE, REGISTRATOR, a_collecting_county, to_the_municipality
from tests.neighbours import WIRE


async def test_what_is_held_is_listed_by_its_inbox_its_state_and_its_conversation_until_it_is_placed(
    store: Store, clock: ManualClock
) -> None:
    octets = b"%PDF-1.7\n" + b"ett exempel " * 40
    file = ArrivedFile(name="underlag.pdf", media_type="application/pdf", octets=octets)
    async with a_collecting_county(store=store, clock=clock) as county:
        for number in ("1", "2"):
            clock.advance(1_000_000)
            assert (await county.gateway.intake.take(to_the_municipality(id=number, files=(file,)))).taken
        clock.advance(1_000_000)
        assert (await county.gateway.intake.take(to_the_municipality(id="3", conversation="another"))).taken
        waiting = await store.held(HeldState.WAITING, limit=50)
        assert [row.arrival for row in waiting] == ["1", "2", "3"]
        assert await store.held_at(REGISTRATOR, HeldState.WAITING, limit=2) == waiting[:2]
        assert await store.held_at(INTAKE, HeldState.WAITING, limit=50) == []
        assert await store.held_in(WIRE, "conversation-1", ALVESTA) == waiting[:2]
        assert await store.held_in(WIRE, "conversation-1", INTAKE) == []
        with pytest.raises(ConflictError):
            await store.commit(Work(changes=(Insert(waiting[0]),)))
        blobs = {row.blob for one in waiting for row in await store.attachments_under(one.envelope)}
        assert await store.blobs_in_use(sorted(blobs)) == blobs

        await county.gateway.triage.order(await county.sign_in("vx-reg"), waiting[0].envelope, INTAKE)
        assert await county.gateway.placing.run_once() == 4

        assert await store.held(HeldState.WAITING, limit=50) == waiting[2:]
        for one in waiting[:2]:
            row = await store.get(Held, one.envelope)
            assert row is not None
            assert (row.state, row.to) == (HeldState.FORWARDED, INTAKE)
            assert await store.get(Envelope, one.envelope) is None
            assert await store.get(EnvelopeWrap, one.envelope) is None
            arrival = await store.get(Arrival, WIRE, one.arrival)
            assert arrival is not None
            assert arrival.inbox == INTAKE
        assert await store.blobs_in_use(sorted(blobs)) == {
            row.blob for row in await store.attachments_under(waiting[2].envelope)
        }
        assert len(await county.gateway.inboxes.page(await county.sign_in("vx-bf"), INTAKE)) == 2
