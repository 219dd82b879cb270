"""Two gateways of one county, and a wire between them: the far side is another gateway, its time and its faults set."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from adapters.memory import MemoryStore
from gateway.canonical import dumps
from gateway.demo_federated import sdk_address
from gateway.demo_federated import seen_from as seen
from gateway.model.base import SECOND, Instant
from gateway.model.path import Channel, Origin
from gateway.neighbours import Answer, Arrived, ArrivedFile, Parcel, Reason, Seen, Telling, Told
from tests.clock import ManualClock
from tests.county import DEMO_DIRECTORY, County, a_county

WIRE = Channel.SDK


def address_of(inbox: str) -> str:
    return sdk_address(inbox)


def seen_from(hosted: Collection[str], *, also: Mapping[str, str] | None = None) -> str:
    return seen(hosted, DEMO_DIRECTORY, also=also)


@dataclass
class Wire:
    """One end of a wire to another gateway. What is put in lies there until it is acknowledged."""

    channel: Channel = WIRE
    other: Wire | None = None
    waiting: list[Arrived] = field(default_factory=list)
    outcomes: dict[str, Told] = field(default_factory=dict)
    away: int = 0  # so many hand-overs fail before the next works
    carried: list[str] = field(default_factory=list)  # ids, as often as they were handed over
    answers: list[tuple[str, Answer]] = field(default_factory=list)
    left: dict[str, Reason] = field(default_factory=dict)  # this wire tells its sender: nothing is left

    async def hand_over(self, parcel: Parcel) -> Told:
        if self.away:
            self.away -= 1
            return Told(Telling.DELAYED, Reason.UNREACHABLE)
        assert self.other is not None
        self.carried.append(str(parcel.id))
        if str(parcel.id) not in self.outcomes:
            self.outcomes[str(parcel.id)] = Told(Telling.IN_TRANSIT, reference=str(parcel.id))
            self.other.waiting.append(await as_arrival(parcel))
        return self.outcomes[str(parcel.id)]

    async def outcome(self, reference: str) -> Told:
        return self.outcomes[reference]

    async def arrivals(self) -> AsyncIterator[Arrived]:
        for arrived in list(self.waiting):
            yield arrived

    async def acknowledge(self, arrived: Arrived, answer: Answer) -> None:
        assert self.other is not None
        self.answers.append((arrived.id, answer))
        self.waiting = [one for one in self.waiting if one.id != arrived.id]
        told = Telling.DELIVERED if answer.taken else Telling.REFUSED
        self.other.outcomes[arrived.id] = Told(told, answer.reason, arrived.id)

    async def look_up(self, address: str) -> Seen:
        return Seen(exists=None)

    def expires(self) -> Instant | None:
        return None


async def as_arrival(parcel: Parcel) -> Arrived:
    files = []
    for file in parcel.files:
        octets = b"".join([piece async for piece in file.read()])
        files.append(ArrivedFile(name=file.name, media_type=file.media_type, octets=octets))
    data = dict(parcel.data)
    return Arrived(
        channel=WIRE,
        origin=Origin.SDK,
        id=str(parcel.id),
        sender=parcel.sender_address,
        recipient=parcel.address,
        conversation=parcel.conversation,
        replies_to=parcel.replies_to,
        reference=parcel.case_reference,
        subject=parcel.form.title,
        text="",
        created=parcel.created,
        original=dumps(data),
        data=data,
        files=tuple(files),
    )


@dataclass
class Pair:
    """Two gateways and the wire between them."""

    first: County
    second: County
    one: Wire
    two: Wire

    async def exchange(self) -> None:
        """Everything that can move in a minute, in both directions."""
        for _ in range(6):
            for county, wire in ((self.first, self.one), (self.second, self.two)):
                await county.deliver()
                await take_in(county, wire)
                await county.gateway.channels.run_once(WIRE)
                await county.gateway.announcements.run_once()
            self.first.clock.advance(10 * SECOND)


async def take_in(county: County, wire: Wire) -> None:
    async for arrived in wire.arrivals():
        answer = await county.gateway.intake.take(arrived)
        await wire.acknowledge(arrived, answer)


@asynccontextmanager
async def a_pair(
    hosted: Collection[str] = ("alvesta.ifo",), *, also: Mapping[str, str] | None = None
) -> AsyncIterator[Pair]:
    """A gateway that hosts `hosted`, and one that hosts the rest of the county."""
    clock = ManualClock()
    everybody = set(re.findall(r'\[\[administration\]\]\nid = "([^"]+)"', DEMO_DIRECTORY))
    rest = everybody - set(hosted)
    one, two = Wire(), Wire()
    one.other, two.other = two, one
    async with (
        a_county(MemoryStore(clock), clock=clock, directory=seen_from(hosted, also=also)) as first,
        a_county(MemoryStore(clock), clock=clock, directory=seen_from(rest, also=also)) as second,
    ):
        first.gateway.channels.connect(one)
        second.gateway.channels.connect(two)
        yield Pair(first, second, one, two)
