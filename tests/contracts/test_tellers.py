"""The contract of neighbours (docs/adapters.md), for one that only brings: Cosmic Link hands nothing over (docs/link.md)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest

from adapters.link.client import LinkAccess, LinkClient
from adapters.link.neighbour import LinkNeighbour
from adapters.link.simulator import Inboxes, Simulator
from adapters.link.simulator_http import serving
from gateway.channel_watch import OUTWARD
from gateway.collaboration import CaseKind
from gateway.model.base import HOUR, Instant
from gateway.neighbours import Answer, Arrived, Reason, Seen, Telling
from tests.clock import ManualClock

pytestmark = pytest.mark.slow  # real connections
INBOX = "vaxjo.nav"


@dataclass
class Teller:
    sim: Simulator
    neighbour: LinkNeighbour

    def case(self) -> str:
        return self.sim.arrive(CaseKind.OUTPATIENT_SIP, INBOX, "vaxjo.vuxen", "199006022397", text="Om boendet.")

    async def waiting(self) -> list[Arrived]:
        return [arrived async for arrived in self.neighbour.arrivals()]


@pytest.fixture
async def teller() -> AsyncIterator[Teller]:
    clock = ManualClock()
    sim = Simulator(clock, Inboxes.PER_ADMINISTRATION)
    sim.add_user("vuxen", INBOX, "vaxjo.vuxen")
    sim.users["vuxen"].from_ = clock.now()
    async with serving(sim) as base, aiohttp.ClientSession() as session:
        yield Teller(sim, LinkNeighbour(LinkClient(LinkAccess(base=base, user="vuxen"), session), [INBOX]))


async def test_it_names_its_channel_and_leaves_nothing_before_it_has_begun(teller: Teller) -> None:
    """Promise 1."""
    assert teller.neighbour.channel in OUTWARD
    assert dict(teller.neighbour.left) == {}
    assert teller.neighbour.expires() is None
    assert isinstance(await teller.neighbour.look_up("okänd"), Seen)


async def test_an_arrival_comes_again_until_it_is_acknowledged_and_then_never(teller: Teller) -> None:
    """Promises 2 and 3: the same id each time, so that it is one message."""
    teller.case()
    [first], [again] = await teller.waiting(), await teller.waiting()
    assert (again.id, again.original) == (first.id, first.original)
    await teller.neighbour.acknowledge(again, Answer())
    assert await teller.waiting() == []


async def test_what_is_refused_comes_no_more_and_is_left_for_a_person(teller: Teller) -> None:
    """Promise 4: Link takes no answer, so it lies in `left`, by its reference and nothing else."""
    ref = teller.case()
    [arrived] = await teller.waiting()
    await teller.neighbour.acknowledge(arrived, Answer(Reason.UNTRUSTED))
    assert await teller.waiting() == []
    assert dict(teller.neighbour.left) == {ref: Reason.UNTRUSTED}


async def test_a_far_end_that_is_away_is_no_exception_and_loses_nothing(teller: Teller) -> None:
    """Promise 5."""
    teller.case()
    teller.sim.faults.away_until = Instant(teller.sim.clock.now() + HOUR)
    assert await teller.waiting() == []
    teller.sim.faults.away_until = Instant(0)
    assert len(await teller.waiting()) == 1


async def test_a_reference_that_nobody_knows_is_a_value_and_no_success(teller: Teller) -> None:
    """Promise 6."""
    assert (await teller.neighbour.outcome("LINK-99999")).telling is not Telling.DELIVERED


async def test_a_look_that_is_cancelled_ends_and_the_next_one_finds_all(teller: Teller) -> None:
    """Promise 7."""
    teller.case()
    task = asyncio.create_task(teller.waiting())
    await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=10)
    assert done == {task}
    assert len(await teller.waiting()) == 1
