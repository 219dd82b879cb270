"""Gateways of one county, and wires between them: the far side is another gateway, its time and its faults set."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from adapters.memory import MemoryStore
from gateway.canonical import dumps
from gateway.demo_federated import pinned, sdk_address
from gateway.demo_federated import seen_from as seen
from gateway.model.base import SECOND, Instant, MessageId
from gateway.model.keys import KeyRecordKind
from gateway.model.path import Case, Channel, Origin
from gateway.neighbours import Answer, Arrived, ArrivedFile, Parcel, Reason, Seen, Telling, Told
from gateway.screening import Screening
from gateway.sessions import Signed
from keys.records import fingerprint
from tests.clock import ManualClock
from tests.county import ALVESTA, DEMO_DIRECTORY, SEAT_E, SEAT_N, VAXJO, County, a_county, password_of

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
    forgotten: list[str] = field(default_factory=list)  # references whose outcome is durable at the other side
    left: dict[str, Reason] = field(default_factory=dict)  # this wire tells its sender: nothing is left

    async def hand_over(self, parcel: Parcel) -> Told:
        if self.away:
            self.away -= 1
            return Told(Telling.DELAYED, Reason.UNREACHABLE)
        self.carried.append(str(parcel.id))
        if str(parcel.id) not in self.outcomes:
            self.outcomes[str(parcel.id)] = Told(Telling.IN_TRANSIT, reference=str(parcel.id))
            self.end(parcel.address).waiting.append(await as_arrival(parcel))
        return self.outcomes[str(parcel.id)]

    async def outcome(self, reference: str) -> Told:
        return self.outcomes[reference]

    async def settled(self, reference: str) -> None:
        self.forgotten.append(reference)

    async def lingering(self) -> Mapping[str, Told]:
        last = (Telling.DELIVERED, Telling.REFUSED)
        return {
            name: told for name, told in self.outcomes.items() if told.telling in last and name not in self.forgotten
        }

    async def arrivals(self) -> AsyncIterator[Arrived]:
        for arrived in list(self.waiting):
            yield arrived

    async def acknowledge(self, arrived: Arrived, answer: Answer) -> None:
        self.answers.append((arrived.id, answer))
        self.waiting = [one for one in self.waiting if one.id != arrived.id]
        told = Telling.DELIVERED if answer.taken else Telling.REFUSED
        self.end(arrived.sender).outcomes[arrived.id] = Told(told, answer.reason, arrived.id)

    def end(self, address: str) -> Wire:
        """The wire of the gateway that hosts an address."""
        assert self.other is not None
        return self.other

    async def look_up(self, address: str) -> Seen:
        return Seen(exists=None)

    def expires(self) -> Instant | None:
        return None


@dataclass
class Branch(Wire):
    """One end of a net of more than two."""

    net: dict[str, Wire] = field(default_factory=dict)  # by address

    def end(self, address: str) -> Wire:
        return self.net[address]


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


def an_arrival(sender: str = ALVESTA, recipient: str = SEAT_E, **changes: Any) -> Arrived:
    """A letter in plain words from one inbox to another, as a foreign client would send it."""
    letter = Arrived(
        channel=WIRE,
        origin=Origin.SDK,
        id="arrival-1",
        sender=address_of(sender),
        recipient=address_of(recipient),
        conversation="conversation-1",
        replies_to="",
        reference="",
        subject="Fråga",
        text="Vem tar emot det här?",
        created=Instant(1),
        original=b"arrival-1",
    )
    return dataclasses.replace(letter, **changes)


@dataclass
class Pair:
    """Two gateways and the wire between them."""

    first: County
    second: County
    one: Wire
    two: Wire
    directories: tuple[str, str] = ("", "")

    async def pin(self) -> None:
        """Each directory names the other's signing keys: from now on their signatures count."""
        await pin_keys([(self.first, self.directories[0]), (self.second, self.directories[1])])

    async def exchange(self) -> None:
        """Everything that can move in a minute, in both directions."""
        for _ in range(6):
            for county, wire in ((self.first, self.one), (self.second, self.two)):
                await county.deliver()
                await county.gateway.arriving.taken_in(wire)
                await county.gateway.channels.run_once(WIRE)
                await county.gateway.announcements.run_once()
            self.first.clock.advance(10 * SECOND)


@dataclass
class Net:
    """Gateways of one county that share none of their administrations, and their wires."""

    counties: list[County]
    wires: list[Branch]
    directories: list[str] = field(default_factory=list)

    async def pin(self) -> None:
        """As `Pair.pin`."""
        await pin_keys(list(zip(self.counties, self.directories, strict=True)))

    async def exchange(self) -> None:
        for _ in range(6):
            for county, wire in zip(self.counties, self.wires, strict=True):
                await county.deliver()
                await county.gateway.arriving.taken_in(wire)
                await county.gateway.channels.run_once(WIRE)
                await county.gateway.announcements.run_once()
            self.counties[0].clock.advance(10 * SECOND)


@asynccontextmanager
async def a_pair(
    hosted: Collection[str] = ("alvesta.ifo",),
    *,
    also: Mapping[str, str] | None = None,
    screening: Screening | None = None,
    store: MemoryStore | None = None,
) -> AsyncIterator[Pair]:
    """A gateway that hosts `hosted`, and one that hosts the rest of the county."""
    clock = ManualClock()
    everybody = set(re.findall(r'\[\[administration\]\]\nid = "([^"]+)"', DEMO_DIRECTORY))
    rest = everybody - set(hosted)
    one, two = Wire(), Wire()
    one.other, two.other = two, one
    ours, theirs = seen_from(hosted, also=also), seen_from(rest, also=also)
    async with (
        a_county(MemoryStore(clock), clock=clock, directory=ours) as first,
        a_county(MemoryStore(clock), clock=clock, directory=theirs, screening=screening) as second,
    ):
        first.gateway.channels.connect(one)
        second.gateway.channels.connect(two)
        yield Pair(first, second, one, two, (ours, theirs))


@asynccontextmanager
async def a_net(*hosted: Collection[str], also: str = "") -> AsyncIterator[Net]:
    """A gateway for each group of administrations; `also` is added to each one's directory."""
    clock = ManualClock()
    wires = [Branch() for _ in hosted]
    net: dict[str, Wire] = {}
    for wire, group in zip(wires, hosted, strict=True):
        wire.net = net
        net.update({address_of(inbox): wire for inbox in inboxes_of(group)})
    async with AsyncExitStack() as stack:
        counties = []
        texts = [seen_from(group) + also for group in hosted]
        for wire, text in zip(wires, texts, strict=True):
            county = a_county(MemoryStore(clock), clock=clock, directory=text)
            counties.append(await stack.enter_async_context(county))
            counties[-1].gateway.channels.connect(wire)
        yield Net(counties, wires, texts)


async def pin_keys(sides: list[tuple[County, str]]) -> None:
    """Every directory names the signing keys of the administrations that the others host."""
    keys = {}
    for county, _ in sides:
        for row in (await county.gateway.directory.current()).administrations.values():
            if not row.outside:
                record = await county.keyring.records.newest(KeyRecordKind.SIGNING, row.administration)
                keys[str(row.administration)] = fingerprint(record.public_key)
    for county, text in sides:
        known = (await county.gateway.directory.current()).administrations
        others = {name: key for name, key in keys.items() if name in known and known[name].outside}
        await county.gateway.register.apply(pinned(text, others), passwords=password_of, by="test")


def inboxes_of(administrations: Collection[str]) -> list[str]:
    data = tomllib.loads(DEMO_DIRECTORY)
    owners = {unit["id"]: unit["administration"] for unit in data["unit"]}
    return [inbox["id"] for inbox in data["inbox"] if owners[inbox["unit"]] in administrations]


async def proposed_over_the_border(pair: Pair, *, pinned: bool = True) -> tuple[Signed, Signed, Case, MessageId]:
    """Växjö's worker asks; Ekeliden, at the region's gateway, proposes; the proposal has come to Novus, at Växjö's."""
    if pinned:
        await pair.pin()
    vaxjo, region = pair.first, pair.second
    worker = await vaxjo.sign_in("vx-sos")
    units = ("vaxjo.vuxen", "ekeliden", "novus")
    parties = [{"from": one, "to": other} for one in units for other in units if one != other]
    case, _ = await vaxjo.consented_case(worker, VAXJO, parties=parties)
    sent = await vaxjo.send_referral(worker, case.id, inbox=VAXJO)
    await pair.exchange()
    ekeliden, novus = await region.sign_in("ek-chef"), await vaxjo.sign_in("no-chef")
    await region.open(ekeliden, SEAT_E, sent.message)
    await vaxjo.open(novus, SEAT_N, sent.message)
    proposal = await region.gateway.answers.propose(ekeliden, SEAT_E, sent.message, region.answer())
    await pair.exchange()
    return worker, novus, case, proposal.message
