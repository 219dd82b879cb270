"""One contract for every neighbour (docs/adapters.md): each end of a channel keeps the same promises to the gateway.

A new adapter adds one entry to LINKS: two gateways joined by it over real connections, and how its far end goes away.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.smtp.relay import Hop, Relay, Security
from gateway.channel_watch import OUTWARD, Probed
from gateway.model.base import Instant
from gateway.model.path import Channel
from gateway.neighbours import OF_THE_WAY, Answer, Arrived, Neighbour, Parcel, Reason, Seen, Telling, Told
from tests.county import SEAT_E, County
from tests.neighbours import a_pair
from tests.sdk.federation import a_federation
from tests.smtp.federation import a_post

pytestmark = pytest.mark.slow
#: A port of loopback on which nobody listens.
CLOSED = 1


@dataclass
class Link:
    """Two gateways and the neighbour of each; `away` makes the far end of the first one's not answer."""

    first: County
    second: County
    one: Neighbour
    two: Neighbour
    away: Callable[[], None]


@asynccontextmanager
async def a_wire(folder: Path) -> AsyncIterator[Link]:
    async with a_pair() as pair:
        yield Link(pair.first, pair.second, pair.one, pair.two, lambda: setattr(pair.one, "away", 99))


@asynccontextmanager
async def sdk(folder: Path) -> AsyncIterator[Link]:
    async with a_federation() as found:
        faults = found.service.faults
        yield Link(found.pair.first, found.pair.second, found.one, found.two, lambda: setattr(faults, "away", 99))


@asynccontextmanager
async def smime(folder: Path) -> AsyncIterator[Link]:
    async with a_post(folder) as found:
        gone = Relay(Hop("127.0.0.1", CLOSED, Security.NONE))
        yield Link(found.first, found.second, found.one, found.two, lambda: setattr(found.one, "_relay", gone))


LINKS: Mapping[str, Callable[[Path], AbstractAsyncContextManager[Link]]] = {
    "wire": a_wire,
    "sdk": sdk,
    "smime": smime,
}


@pytest.fixture(params=LINKS)
async def link(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Link]:
    async with LINKS[request.param](tmp_path) as made:
        yield made


class Taking:
    """Takes what the gateway would hand over, so that a test can do so itself."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.left: Mapping[str, Reason] = {}
        self.parcels: list[Parcel] = []

    async def hand_over(self, parcel: Parcel) -> Told:
        self.parcels.append(parcel)
        return Told(Telling.DELAYED, Reason.BUSY)

    async def outcome(self, reference: str) -> Told:
        raise AssertionError

    async def arrivals(self) -> AsyncIterator[Arrived]:
        return
        yield

    async def acknowledge(self, arrived: Arrived, answer: Answer) -> None:
        raise AssertionError

    async def look_up(self, address: str) -> Seen:
        raise AssertionError

    def expires(self) -> Instant | None:
        return None


async def a_parcel(link: Link) -> Parcel:
    """A referral on its way to one seat, as the gateway makes it."""
    taking = Taking(link.one.channel)
    link.first.gateway.channels.connect(taking)
    worker = await link.first.sign_in("al-sos")
    case, _ = await link.first.consented_case(worker)
    await link.first.send_referral(worker, case.id)
    await link.first.gateway.channels.run_once(link.one.channel)
    return next(parcel for parcel in taking.parcels if parcel.recipient.id == SEAT_E)


async def waiting(neighbour: Neighbour) -> list[Arrived]:
    return [arrived async for arrived in neighbour.arrivals()]


async def test_it_names_its_channel_and_leaves_nothing_before_it_has_begun(link: Link) -> None:
    assert link.one.channel in OUTWARD
    assert link.one.channel is link.two.channel
    assert dict(link.one.left) == {}
    ends = link.one.expires()
    assert ends is None or ends > 0
    assert isinstance(await link.one.look_up("okänd#adress"), Seen)


async def test_the_same_parcel_handed_over_again_is_one_message_under_our_id(link: Link) -> None:
    """A worker that ended in the middle hands over again; the sender's id is the message's (docs/channels.md §2)."""
    parcel = await a_parcel(link)
    for _ in range(3):
        told = await link.one.hand_over(parcel)
        assert told.telling in (Telling.IN_TRANSIT, Telling.DELIVERED), told
        assert told.reference
    names = set()
    for _ in range(4):  # e-mail comes as often as it was sent
        for arrived in await waiting(link.two):
            names.add(arrived.id.partition("@")[0])  # e-mail adds our domain
            answer = await link.second.gateway.intake.take(arrived)
            assert answer.taken
            await link.two.acknowledge(arrived, answer)
    assert names == {str(parcel.id)}
    rows = [row for row in await link.second.store.envelopes_of(parcel.message) if row.inbox == SEAT_E]
    assert len(rows) == 1
    assert await waiting(link.two) == []


async def test_an_arrival_comes_again_until_it_is_acknowledged_and_then_never(link: Link) -> None:
    """At least once: what was not durable when a process ended is not lost (§3)."""
    parcel = await a_parcel(link)
    await link.one.hand_over(parcel)
    [first] = await waiting(link.two)
    [again] = await waiting(link.two)
    assert (again.id, again.original) == (first.id, first.original)
    assert (first.channel, first.sender, first.recipient) == (
        link.two.channel,
        parcel.sender_address,
        parcel.address,
    )
    await link.two.acknowledge(again, await link.second.gateway.intake.take(again))
    assert await waiting(link.two) == []


async def test_what_is_refused_comes_no_more_and_either_its_sender_hears_it_or_it_is_left_for_a_person(
    link: Link,
) -> None:
    parcel = await a_parcel(link)
    told = await link.one.hand_over(parcel)
    [arrived] = await waiting(link.two)
    await link.two.acknowledge(arrived, Answer(Reason.UNTRUSTED))
    assert await waiting(link.two) == []
    for _ in range(3):
        await waiting(link.one)  # what comes back may come as an arrival does
        heard = await link.one.outcome(told.reference)
    assert heard.telling is Telling.REFUSED or link.two.left, heard
    assert heard.telling is not Telling.DELIVERED or link.two.left


async def test_what_it_keeps_of_ours_is_named_with_its_last_word_until_it_may_forget(link: Link) -> None:
    """§2.7: nothing lies there for ever, and nothing is named that may still change."""
    parcel = await a_parcel(link)
    told = await link.one.hand_over(parcel)
    assert all(word.telling in (Telling.DELIVERED, Telling.REFUSED) for word in (await link.one.lingering()).values())
    [arrived] = await waiting(link.two)
    await link.two.acknowledge(arrived, Answer(Reason.NONE))
    for _ in range(3):
        await waiting(link.one)
        heard = await link.one.outcome(told.reference)
    assert heard.telling is Telling.DELIVERED, heard
    kept = await link.one.lingering()
    assert kept.get(told.reference, heard).telling is Telling.DELIVERED
    await link.one.settled(told.reference)
    assert told.reference not in await link.one.lingering()


async def test_a_far_end_that_is_away_is_a_delay_about_the_way_and_never_an_exception(link: Link) -> None:
    parcel = await a_parcel(link)
    link.away()
    told = await link.one.hand_over(parcel)
    assert told.telling is Telling.DELAYED, told
    assert told.reason in OF_THE_WAY
    assert isinstance(await waiting(link.one), list)
    if isinstance(link.one, Probed):
        assert (await link.one.probe()).telling is not Telling.DELIVERED
    assert await waiting(link.two) == []


async def test_a_reference_that_nobody_knows_is_a_value_and_no_success(link: Link) -> None:
    if link.one.channel is Channel.SDK and not isinstance(link.one, Probed):
        pytest.skip("the wire of the tests knows what it carried")
    told = await link.one.outcome("5e2c9d1e-0000-4000-8000-000000000000")
    assert told.telling is not Telling.DELIVERED


async def test_a_caller_that_is_cancelled_ends_the_hand_over(link: Link) -> None:
    parcel = await a_parcel(link)
    task = asyncio.create_task(link.one.hand_over(parcel))
    await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=10)
    assert done == {task}
