"""Q08: whatever comes early, late, twice, in another order or never, both sides end with one truth about each message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.aftermath import KEPT
from gateway.channels import RECEIPT_WITHIN
from gateway.model.base import DAY, HOUR, MINUTE, Instant
from gateway.model.path import Case
from gateway.neighbours import Answer, Arrived, Parcel, Reason, Telling, Told
from gateway.states import CaseState, DeliveryState
from tests.county import ALVESTA, SEAT_N
from tests.faults.tally import tally
from tests.neighbours import WIRE, Wire, a_pair, as_arrival

NEVER = 10**6  # hours


@dataclass(frozen=True)
class Fate:
    """What happens to one message: failed tries first, hours until it arrives and how often, hours until its receipt."""

    tries: tuple[str, ...] = ()
    arrives_h: int = 0
    times: int = 1
    receipt_h: int = 0

    @property
    def arrives(self) -> bool:
        return self.arrives_h < NEVER


HOURS = st.sampled_from([0, 0, 1, 5, 23, 25, 24 * 7, 24 * 8, NEVER])
fates = st.builds(
    Fate,
    tries=st.lists(st.sampled_from(["away", "busy", "cut"]), max_size=3).map(tuple),
    arrives_h=HOURS,
    times=st.integers(1, 3),
    receipt_h=st.sampled_from([0, 0, 1, 12, 23, 30, 24 * 3, 24 * 7, 24 * 12, NEVER]),
)


@dataclass
class Fateful(Wire):
    """A wire on which each message has a fate; a cut try has handed it over all the same."""

    fates: dict[str, Fate] = field(default_factory=dict)
    to_come: list[Fate] = field(default_factory=list)
    begun: dict[str, Instant] = field(default_factory=dict)
    lying: list[tuple[Instant, int, Arrived]] = field(default_factory=list)
    tried: dict[str, int] = field(default_factory=dict)
    clock: object = None

    def now(self) -> Instant:
        return self.clock.now()  # type: ignore[attr-defined, no-any-return]

    async def hand_over(self, parcel: Parcel) -> Told:
        name = str(parcel.id)
        fate = self.fates.setdefault(name, self.to_come.pop(0) if self.to_come else Fate())
        number = self.tried[name] = self.tried.get(name, 0) + 1
        said = fate.tries[number - 1] if number <= len(fate.tries) else ""
        if said in ("", "cut") and name not in self.begun:
            self.begun[name] = self.now()
            if fate.arrives:
                due = Instant(self.now() + fate.arrives_h * HOUR)
                arrived = await as_arrival(parcel)
                self.lying += [(Instant(due + copy * HOUR), copy, arrived) for copy in range(fate.times)]
        if said == "busy":
            return Told(Telling.DELAYED, Reason.BUSY)
        if said:
            return Told(Telling.DELAYED, Reason.UNREACHABLE)
        return await self.outcome(name)

    async def outcome(self, reference: str) -> Told:
        if self.receipt_due(reference) <= self.now() and reference in self.outcomes:
            return self.outcomes[reference]
        return Told(Telling.IN_TRANSIT, reference=reference)

    def receipt_due(self, reference: str) -> Instant:
        fate = self.fates[reference]
        return Instant(self.begun[reference] + (fate.arrives_h + fate.receipt_h) * HOUR)

    async def acknowledge(self, arrived: Arrived, answer: Answer) -> None:
        self.answers.append((arrived.id, answer))
        sender = self.end(arrived.sender)
        told = Telling.DELIVERED if answer.taken else Telling.REFUSED
        sender.outcomes.setdefault(arrived.id, Told(told, answer.reason, arrived.id))


@dataclass
class Mailbox(Wire):
    """The far end: what is due comes the newest first, so that the order is another than the sender's."""

    near: Fateful | None = None

    async def arrivals(self) -> AsyncIterator[Arrived]:
        assert self.near is not None
        due = [row for row in self.near.lying if row[0] <= self.near.now()]
        self.near.lying = [row for row in self.near.lying if row[0] > self.near.now()]
        for _, _, arrived in sorted(due, key=lambda row: (-row[0], row[1])):
            yield arrived

    async def acknowledge(self, arrived: Arrived, answer: Answer) -> None:
        assert self.near is not None
        await self.near.acknowledge(arrived, answer)


async def _lived(two: tuple[Fate, Fate]) -> None:
    async with a_pair() as pair:
        near = Fateful(to_come=list(two), clock=pair.first.clock)
        far = Mailbox(near=near)
        near.other, far.other = near, near
        pair.first.gateway.channels.connect(near)
        worker = await pair.first.sign_in("al-sos")
        case, _ = await pair.first.consented_case(worker)
        messages = [(await pair.first.send_referral(worker, case.id, (SEAT_N,))).message]
        words = {"text": "En komplettering.", "categories": ["NEED"]}
        draft = await pair.first.gateway.drafts.create(worker, ALVESTA, case.id, "case_message", 1, words)
        messages.append((await pair.first.gateway.sending.send_draft(worker, draft.id, [SEAT_N])).message)
        seen: dict[str, DeliveryState] = {}
        for step in [MINUTE] * 10 + [15 * MINUTE] * 12 + [HOUR] * 30 + [12 * HOUR] * 60:
            pair.first.clock.advance(step)
            await pair.second.gateway.arriving.taken_in(far)
            await pair.first.gateway.channels.run_once(WIRE)
            await pair.first.gateway.closing.run_once()
            for message in messages:
                for row in await pair.first.store.deliveries_of(message):
                    before = seen.get(row.id)
                    # What has arrived has arrived: nothing takes it back.
                    assert before is not DeliveryState.DELIVERED or row.state is DeliveryState.DELIVERED
                    seen[row.id] = row.state
        doubled = lost = 0
        for message in messages:
            [row] = await pair.first.store.deliveries_of(message)
            name = str(row.envelope)
            there = [one for one in await pair.second.store.envelopes_of(message) if one.inbox == SEAT_N]
            fate = near.fates[name]
            doubled += len(there) - min(len(there), 1)
            lost += fate.arrives and not there
            waited = (fate.arrives_h + fate.receipt_h) * HOUR
            if fate.arrives and waited < RECEIPT_WITHIN - 2 * HOUR:
                assert row.state is DeliveryState.DELIVERED, (fate, row)
            elif fate.arrives and waited < KEPT - DAY:
                assert row.state is DeliveryState.DELIVERED, (fate, row)  # late, and the same message
            elif waited > RECEIPT_WITHIN + KEPT + DAY:
                assert (row.state, row.reason) == (DeliveryState.FAILED, str(Reason.NO_RECEIPT)), (fate, row)
            assert row.state in (DeliveryState.DELIVERED, DeliveryState.FAILED)
        tally("Q08", cases=1, acknowledged_lost=lost, doubled=doubled)
        assert (lost, doubled) == (0, 0)
        if near.fates and all(fate.arrives for fate in near.fates.values()):
            [mirror] = await pair.second.store.cases_of(SEAT_N, after=None, limit=3)  # type: ignore[arg-type]
            assert isinstance(mirror, Case)
            assert mirror.state is CaseState.REQUESTED


def _campaign(examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.tuples(fates, fates))
    @example((Fate(receipt_h=NEVER), Fate(arrives_h=NEVER)))
    @example((Fate(arrives_h=5, times=3), Fate(arrives_h=0, receipt_h=24 * 7)))
    @example((Fate(tries=("cut", "cut", "cut"), receipt_h=30), Fate(tries=("busy", "away", "cut"), arrives_h=25)))
    def tried(two: tuple[Fate, Fate]) -> None:
        asyncio.run(_lived(two))

    tried()


@pytest.mark.slow
def test_every_life_ends_in_one_truth() -> None:
    _campaign(25)


@pytest.mark.full
def test_a_thousand_lives_do() -> None:
    _campaign(1_000)
