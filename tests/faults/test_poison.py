"""Q12: a message that meets a bug each time is set aside for a person, and everybody else's flows (gateway/unforeseen.py)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from adapters.memory import MemoryStore
from gateway.errors import IntegrityError
from gateway.filetypes import Fault
from gateway.forms.names import NOTICE
from gateway.model.base import DAY, HOUR, MINUTE, EnvelopeId, InboxId, MessageId
from gateway.model.path import Delivery, Envelope, Held
from gateway.neighbours import Answer, Arrived, ArrivedFile, Parcel, Reason, Told
from gateway.screening import Screening
from gateway.sessions import Signed
from gateway.states import DeliveryState, HeldState
from gateway.unforeseen import STRIKES
from tests.clock import ManualClock
from tests.county import ALVESTA, SEAT_E, SEAT_N, County, a_county
from tests.faults.tally import tally
from tests.holding import INTAKE, a_collecting_county, to_the_municipality
from tests.neighbours import WIRE, Wire, a_pair, address_of, an_arrival

#: What a bug may look like: our own code's, a library's, the interpreter's.
BUGS: list[Exception] = [
    KeyError("fields"),
    TypeError("unhashable"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    RecursionError("maximum recursion depth exceeded"),
    MemoryError(),
]
each_bug = pytest.mark.parametrize("bug", BUGS, ids=lambda bug: type(bug).__name__)


class Damaged(MemoryStore):
    """A store in which reading one envelope meets a bug, as a row that no code of ours wrote would."""

    bug: Exception | None = None
    poison: EnvelopeId | None = None

    async def get(self, row: type[Any], *key: str | int) -> Any:
        if self.bug is not None and row is Envelope and key == (self.poison,):
            raise self.bug
        return await super().get(row, *key)


@dataclass
class Trapped(Wire):
    """A wire that meets a bug with one parcel, one receipt, or one acknowledgement."""

    bug: Exception | None = None
    at: str = ""
    poison: str = ""
    met: list[str] = field(default_factory=list)

    def _trap(self, at: str, what: str) -> None:
        if self.bug is not None and (at, what) == (self.at, self.poison):
            self.met.append(what)
            raise self.bug

    async def hand_over(self, parcel: Parcel) -> Told:
        self._trap("hand-over", str(parcel.id))
        if parcel.form.id == NOTICE:
            self._trap("tell", parcel.address)
        return await super().hand_over(parcel)

    async def outcome(self, reference: str) -> Told:
        self._trap("outcome", reference)
        return await super().outcome(reference)

    async def acknowledge(self, arrived: Arrived, answer: Answer) -> None:
        self._trap("acknowledge", arrived.id)
        await super().acknowledge(arrived, answer)


@dataclass
class Brittle:
    """An examiner of files that meets a bug in one of them."""

    bug: Exception
    marks: bytes = b"POISON"

    async def examine(self, media_type: str, size: int, pieces: AsyncIterator[bytes]) -> Fault | None:
        if self.marks in b"".join([piece async for piece in pieces]):
            raise self.bug
        return None


async def _alarms(county: County) -> int:
    [log] = await county.store.logs()
    return len(await county.store.sides_page(log, action="alarm", administration="", object="", before=10**9, limit=50))


async def _sent(county: County, worker: Signed, seats: tuple[str, ...] = (SEAT_E,)) -> MessageId:
    case, _ = await county.consented_case(worker)
    return (await county.send_referral(worker, case.id, seats)).message


async def _delivery(county: County, message: MessageId, inbox: str = SEAT_E) -> Delivery:
    [row] = [row for row in await county.store.deliveries_of(message) if row.inbox == inbox]
    return row


@each_bug
async def test_inside_the_third_try_sets_it_aside_its_sender_is_told_and_the_rest_is_delivered_at_once(
    bug: Exception,
) -> None:
    clock = ManualClock()
    store = Damaged(clock)
    async with a_county(store, clock=clock) as county:
        worker = await county.sign_in("al-sos")
        sound = [await _sent(county, worker) for _ in range(2)]
        poison = await _sent(county, worker)
        store.poison, store.bug = (await _delivery(county, poison)).envelope, bug
        sound.append(await _sent(county, worker))
        clock.advance(HOUR)
        await county.gateway.outbox.run_once()
        assert {(await _delivery(county, one)).state for one in sound} == {DeliveryState.DELIVERED}
        for tries in range(2, STRIKES + 1):
            assert (await _delivery(county, poison)).state is DeliveryState.QUEUED
            assert (await _delivery(county, poison)).attempts == tries - 1
            clock.advance(15 * MINUTE)
            await county.gateway.outbox.run_once()
        row = await _delivery(county, poison)
        tally("Q12", cases=1, acknowledged_lost=row.state is not DeliveryState.FAILED)
        assert (row.state, row.reason) == (DeliveryState.FAILED, str(Reason.FAULT))
        assert await _alarms(county) == 1

        store.bug = None
        await county.gateway.retries.again(worker, ALVESTA, poison, row.envelope)
        await county.gateway.outbox.run_once()
        assert {one.state for one in await store.deliveries_of(poison)} == {
            DeliveryState.FAILED,
            DeliveryState.DELIVERED,
        }


@each_bug
async def test_on_its_way_out_it_is_set_aside_and_neither_the_rest_nor_the_neighbour_suffers(bug: Exception) -> None:
    async with a_pair() as pair:
        wire = Trapped(bug=bug, at="hand-over", other=pair.two)
        pair.two.other = pair.one = wire
        pair.first.gateway.channels.connect(wire)
        worker = await pair.first.sign_in("al-sos")
        poison = await _sent(pair.first, worker)
        wire.poison = str((await _delivery(pair.first, poison)).envelope)
        sound = [await _sent(pair.first, worker) for _ in range(3)]
        pair.first.clock.advance(HOUR)
        for _ in range(STRIKES):
            await pair.first.gateway.channels.run_once(WIRE)
            assert pair.first.gateway.channels.circuit(WIRE).closed(pair.first.clock.now())
            pair.first.clock.advance(15 * MINUTE)
        row = await _delivery(pair.first, poison)
        tally("Q12", cases=1, acknowledged_lost=row.state is not DeliveryState.FAILED)
        assert (row.state, row.reason) == (DeliveryState.FAILED, str(Reason.FAULT))
        assert len(wire.met) == STRIKES
        assert await _alarms(pair.first) == 1
        await pair.exchange()
        pair.first.clock.advance(2 * HOUR)
        await pair.exchange()
        assert {(await _delivery(pair.first, one)).state for one in sound} == {DeliveryState.DELIVERED}

        wire.bug = None
        await pair.first.gateway.retries.again(worker, ALVESTA, poison, row.envelope)
        await pair.exchange()
        states = {one.state for one in await pair.first.store.deliveries_of(poison)}
        assert states == {DeliveryState.FAILED, DeliveryState.DELIVERED}


@each_bug
async def test_what_has_left_is_asked_about_again_and_is_never_called_failed_for_a_bug(bug: Exception) -> None:
    async with a_pair() as pair:
        wire = Trapped(bug=bug, at="outcome", other=pair.two)
        pair.two.other = pair.one = wire
        pair.first.gateway.channels.connect(wire)
        worker = await pair.first.sign_in("al-sos")
        poison, sound = await _sent(pair.first, worker), await _sent(pair.first, worker)
        wire.poison = str((await _delivery(pair.first, poison)).envelope)
        await pair.exchange()
        assert (await _delivery(pair.first, sound)).state is DeliveryState.DELIVERED
        row = await _delivery(pair.first, poison)
        assert len(wire.met) >= STRIKES
        assert row.state is DeliveryState.IN_TRANSIT
        wire.bug = None
        pair.first.clock.advance(HOUR)
        await pair.exchange()
        row = await _delivery(pair.first, poison)
        tally("Q12", cases=1, acknowledged_lost=row.state is not DeliveryState.DELIVERED)
        assert row.state is DeliveryState.DELIVERED


def _letter(number: int, octets: bytes = b"%PDF-1.7\n") -> Arrived:
    file = ArrivedFile(name="brev.pdf", media_type="application/pdf", octets=octets)
    return an_arrival(id=f"arrival-{number}", original=f"{number}".encode(), files=(file,))


@each_bug
async def test_what_comes_in_is_set_aside_the_third_time_with_an_alarm_and_the_rest_comes_in(bug: Exception) -> None:
    async with a_pair(screening=Screening(examiner=Brittle(bug))) as pair:
        poison = _letter(1, b"%PDF-1.7\n POISON")
        pair.two.waiting = [_letter(0), poison, _letter(2)]
        await pair.second.gateway.arriving.taken_in(pair.two)
        assert [identifier for identifier, _ in pair.two.answers] == ["arrival-0", "arrival-2"]
        for _ in range(STRIKES - 1):
            assert pair.two.waiting == [poison]
            await pair.second.gateway.arriving.taken_in(pair.two)
        tally("Q12", cases=1, acknowledged_lost=pair.two.answers[-1][1].taken)
        assert pair.two.answers[2:] == [("arrival-1", Answer(Reason.FAULT))]
        assert await _alarms(pair.second) == 1
        # The same again gets the same answer, and no second alarm.
        pair.two.waiting = [poison]
        await pair.second.gateway.arriving.taken_in(pair.two)
        assert pair.two.answers[-1] == ("arrival-1", Answer(Reason.FAULT, repeated=True))
        assert await _alarms(pair.second) == 1


async def test_an_arrival_about_a_row_that_was_altered_waits_and_the_rest_comes_in() -> None:
    """Before, one row that did not verify kept everything behind it at the neighbour."""
    async with a_pair(screening=Screening(examiner=Brittle(IntegrityError("a row")))) as pair:
        poison = _letter(1, b"%PDF-1.7\n POISON")
        pair.two.waiting = [poison, _letter(2)]
        for _ in range(STRIKES + 1):
            await pair.second.gateway.arriving.taken_in(pair.two)
        tally("Q12", cases=1)
        assert [identifier for identifier, _ in pair.two.answers] == ["arrival-2"]
        assert pair.two.waiting == [poison]


async def test_an_acknowledgement_that_meets_a_bug_is_made_again_and_the_message_is_one() -> None:
    async with a_pair() as pair:
        wire = Trapped(
            bug=BUGS[0], at="acknowledge", poison="arrival-1", other=pair.one, waiting=[_letter(1), _letter(2)]
        )
        for _ in range(2):
            await pair.second.gateway.arriving.taken_in(wire)
        assert [one.id for one in wire.waiting] == ["arrival-1"]
        wire.bug = None
        await pair.second.gateway.arriving.taken_in(wire)
        received = await pair.second.gateway.inboxes.page(await pair.second.sign_in("ek-chef"), SEAT_E)
        tally("Q12", cases=1, doubled=len(received) - 2)
        assert wire.waiting == []
        assert wire.answers[-1] == ("arrival-1", Answer(Reason.NONE, repeated=True))
        assert len(received) == 2


async def test_what_a_registrator_ordered_waits_again_the_third_time_and_the_rest_is_placed() -> None:
    """docs/channels.md §3.2: it comes back to the registrator, with the reason."""
    brittle = Brittle(BUGS[3], marks=b"nothing yet")
    async with a_collecting_county(screening=Screening(examiner=brittle)) as county:
        gateway, kept = county.gateway, []
        for number, octets in enumerate((b"%PDF-1.7\n POISON", b"%PDF-1.7\n")):
            file = ArrivedFile(name="brev.pdf", media_type="application/pdf", octets=octets)
            arrived = to_the_municipality(id=f"{number}", conversation=f"{number}", files=(file,))
            assert (await gateway.intake.take(arrived)).taken
            kept += await county.store.held_in(WIRE, f"{number}", ALVESTA)
        registrator = await county.sign_in("vx-reg")
        for row in kept:
            await gateway.triage.order(registrator, row.envelope, INTAKE)
        brittle.marks = b"POISON"
        for _ in range(STRIKES):
            await gateway.placing.run_once()
        [poison, sound] = [await county.store.get(Held, row.envelope) for row in kept]
        assert poison is not None
        assert sound is not None
        tally("Q12", cases=1, acknowledged_lost=poison.state is not HeldState.WAITING)
        assert (poison.state, poison.reason) == (HeldState.WAITING, str(Reason.FAULT))
        assert sound.state is HeldState.FORWARDED
        assert await _alarms(county) == 1

        brittle.marks = b"mended"
        await gateway.triage.order(registrator, poison.envelope, INTAKE)
        await gateway.placing.run_once()
        assert len(await gateway.inboxes.page(await county.sign_in("vx-bf"), INTAKE)) == 2


async def test_a_party_that_is_to_be_told_is_told_though_telling_another_meets_a_bug() -> None:
    async with a_pair() as pair:
        wire = Trapped(bug=BUGS[0], at="tell", other=pair.two)
        pair.two.other = pair.one = wire
        pair.first.gateway.channels.connect(wire)
        worker = await pair.first.sign_in("al-sos")
        case, consent = await pair.first.consented_case(worker)
        await pair.first.send_referral(worker, case.id, ("remissgrupp",))
        await pair.exchange()
        await pair.first.gateway.consents.withdraw(worker, ALVESTA, consent.id)
        wire.poison = address_of(SEAT_E)
        await pair.exchange()
        assert len(wire.met) >= STRIKES
        [waits] = await pair.first.store.notices_waiting(InboxId(SEAT_E), limit=50)
        assert await pair.first.store.notices_waiting(InboxId(SEAT_N), limit=50) == []
        wire.bug = None
        await pair.exchange()
        tally("Q12", cases=1, acknowledged_lost=len(await pair.first.store.notices_waiting(waits.inbox, limit=50)))
        assert await pair.first.store.notices_waiting(waits.inbox, limit=50) == []


async def test_a_late_receipt_that_meets_a_bug_is_asked_for_again() -> None:
    async with a_pair() as pair:
        wire = Trapped(at="outcome", other=pair.two)
        pair.two.other = pair.one = wire
        pair.first.gateway.channels.connect(wire)
        message = await _sent(pair.first, await pair.first.sign_in("al-sos"))
        pair.first.clock.advance(HOUR)
        await pair.first.gateway.channels.run_once(WIRE)
        pair.first.clock.advance(2 * DAY)
        await pair.first.gateway.channels.run_once(WIRE)
        row = await _delivery(pair.first, message)
        assert (row.state, row.reason) == (DeliveryState.FAILED, str(Reason.NO_RECEIPT))
        wire.bug, wire.poison = BUGS[1], str(row.envelope)
        await pair.second.gateway.arriving.taken_in(pair.two)  # it had arrived all the time
        for _ in range(STRIKES + 1):
            pair.first.clock.advance(DAY)
            await pair.first.gateway.closing.run_once()
        assert len(wire.met) == STRIKES + 1
        wire.bug = None
        pair.first.clock.advance(DAY)
        await pair.first.gateway.closing.run_once()
        row = await _delivery(pair.first, message)
        tally("Q12", cases=1, acknowledged_lost=row.state is not DeliveryState.DELIVERED)
        assert row.state is DeliveryState.DELIVERED
