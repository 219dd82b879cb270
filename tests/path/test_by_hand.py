"""What people carry: docs/channels.md §2.6 and §2.7, sentence by sentence."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from gateway.audit import AuditAction
from gateway.carried import CHECKS, Said
from gateway.errors import (
    ActCodeRequiredError,
    ConflictError,
    EnvelopeError,
    ForbiddenError,
    IllegalTransitionError,
    IntegrityError,
    InvalidFormError,
    NotFoundError,
    RefusedError,
)
from gateway.model.base import DAY, HOUR, MessageId
from gateway.model.carrying import HandOver, Manner, Obstacle
from gateway.model.keys import EnvelopeWrap
from gateway.model.path import Case, Channel, Consent, Delivery, Notice, Way
from gateway.ports import Update, Work
from gateway.printing import Paper
from gateway.sessions import Signed
from gateway.states import DeliveryState, HandOverState
from gateway.workers import by_hand
from tests.clock import ManualClock
from tests.county import ALVESTA, SEAT_E, VAXJO, County, a_county
from tests.neighbours import seen_from

ADDRESS = "Registrator, Storgatan 1, Växjö"


@dataclass
class Carried:
    """Alvesta's gateway, where Ekeliden is reached on paper alone; a referral to it was sent."""

    county: County
    worker: Signed
    case: Case
    consent: Consent
    message: MessageId

    @property
    def carrying(self):  # type: ignore[no-untyped-def]
        return self.county.gateway.carrying

    @property
    def printing(self):  # type: ignore[no-untyped-def]
        return self.county.gateway.printing

    async def delivery(self) -> Delivery:
        [row] = await self.county.store.deliveries_of(self.message)
        return row

    def said(self, **changes: object) -> Said:
        told = Said(
            manner=Manner.IN_PERSON,
            handed_at=self.county.clock.now(),
            given_to="registrator",
            checks=frozenset(CHECKS[Channel.HANDOVER]),
        )
        return dataclasses.replace(told, **changes)  # type: ignore[arg-type]

    async def taken(self) -> str:
        delivery = (await self.delivery()).id
        await self.printing.take(self.worker, ALVESTA, delivery)
        return delivery

    async def printed(self, delivery: str) -> Paper:
        """Printed with the code that each print asks for."""
        await self.county.permit_print(self.worker, ALVESTA, delivery)
        return await self.printing.print(self.worker, ALVESTA, delivery)  # type: ignore[no-any-return]

    async def actions(self, object: str) -> list[str]:
        log = self.county.gateway.auditor.origin(self.county.clock.now())
        sides = await self.county.store.sides(log, 0, await self.county.store.log_size(log))
        return [side.action for side in sides if side.object == object]


def on_paper(channel: str = "handover") -> str:
    """The county as Alvesta sees it, with everybody else on paper."""
    text = seen_from(("alvesta.ifo",), also={channel: f"{ADDRESS} "})
    parts = text.split("[[route]]\n")
    kept = [part for part in parts[1:] if 'channel = "sdk"' not in part or 'inbox = "alvesta.' in part]
    return parts[0] + "".join(f"[[route]]\n{part}" for part in kept)


@pytest.fixture
async def carried() -> AsyncIterator[Carried]:
    async with a_county(clock=ManualClock(), directory=on_paper()) as county:
        worker = await county.sign_in("al-sos")
        case, consent = await county.consented_case(worker)
        sent = await county.send_referral(worker, case.id, (SEAT_E,))
        yield Carried(county, worker, case, consent, sent.message)


async def test_a_message_waits_is_taken_out_printed_and_handed_over_by_people(carried: Carried) -> None:
    """§2.6: nothing says delivered before a person does, and the log comes first at every step."""
    [load] = (await carried.carrying.waiting(carried.worker, ALVESTA)).loads
    assert (load.delivery.state, load.delivery.channel) == (DeliveryState.QUEUED, Channel.HANDOVER)
    delivery = await carried.taken()
    assert (await carried.delivery()).state is DeliveryState.IN_TRANSIT

    paper = await carried.printed(delivery)

    assert "need_summary" in paper.opened.body["fields"]
    assert "identity_number" not in paper.opened.body["fields"]  # the recipient's projection, not the sender's copy
    assert paper.way == Way(Channel.HANDOVER, f"{ADDRESS} {SEAT_E}")
    assert (await carried.delivery()).state is DeliveryState.IN_TRANSIT
    handed = await carried.carrying.hand_over(carried.worker, ALVESTA, delivery, carried.said())
    row = await carried.delivery()
    assert (row.state, row.delivered_at) == (DeliveryState.DELIVERED, carried.county.clock.now())
    assert (handed.state, handed.settled_by) == (HandOverState.DONE, carried.worker.user.id)
    assert await carried.actions(row.envelope) == [AuditAction.DISPATCHED, AuditAction.CARRIED]
    assert (await carried.actions(delivery)) == [AuditAction.STEPPED_UP, AuditAction.PRINTED]
    assert await carried.carrying.said(handed) == ("registrator", "")
    board = await carried.carrying.waiting(carried.worker, ALVESTA)
    assert (board.loads, [one.id for one, _ in board.done]) == ([], [delivery])


@pytest.mark.slow
async def test_the_printed_text_is_the_same_each_time_and_its_hash_is_kept(carried: Carried) -> None:
    delivery = await carried.taken()
    first = await carried.printed(delivery)
    again = await carried.printed(delivery)
    assert first.digest == again.digest == hashlib.sha256(first.text.encode()).hexdigest()
    row = await carried.county.store.get(HandOver, delivery)
    assert row is not None
    assert first.digest.encode() not in row.sealed


@pytest.mark.slow
async def test_nothing_is_printed_before_it_is_taken_out_nor_after_it_was_handed_over(carried: Carried) -> None:
    delivery = (await carried.delivery()).id
    with pytest.raises(NotFoundError):
        await carried.printed(delivery)
    with pytest.raises(NotFoundError):
        await carried.carrying.hand_over(carried.worker, ALVESTA, delivery, carried.said())
    await carried.taken()
    await carried.printed(delivery)
    await carried.carrying.hand_over(carried.worker, ALVESTA, delivery, carried.said())
    with pytest.raises(NotFoundError):
        await carried.printed(delivery)
    with pytest.raises(IllegalTransitionError):
        await carried.carrying.hand_over(carried.worker, ALVESTA, delivery, carried.said())


@pytest.mark.slow
async def test_the_key_goes_when_it_was_handed_over_and_the_senders_copy_stays(carried: Carried) -> None:
    """§2.7."""
    delivery = await carried.taken()
    await carried.carrying.hand_over(carried.worker, ALVESTA, delivery, carried.said())
    row = await carried.delivery()
    envelope = next(e for e in await carried.county.store.envelopes_of(carried.message) if e.id == row.envelope)
    wrap = await carried.county.store.get(EnvelopeWrap, envelope.id)
    assert wrap is not None
    with pytest.raises(EnvelopeError):
        await carried.county.gateway.ports.opener.open_leaving(
            envelope, wrap, Way(Channel.HANDOVER, f"{ADDRESS} {SEAT_E}")
        )
    assert (await carried.county.open(carried.worker, ALVESTA, carried.message)).opened.body["fields"]


@pytest.mark.slow
async def test_printing_asks_for_a_fresh_second_factor(carried: Carried) -> None:
    delivery = await carried.taken()
    await carried.county.step_up(carried.worker, ALVESTA)  # a window for reading is none for printing
    with pytest.raises(ActCodeRequiredError):
        await carried.printing.print(carried.worker, ALVESTA, delivery)
    assert (await carried.printed(delivery)).text


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"checks": frozenset(list(CHECKS[Channel.HANDOVER])[1:])}, "/kontroll"),
        ({"manner": Manner.PHONE}, "/satt"),
        ({"manner": Manner.REGISTERED_POST}, "/referens"),
        ({"given_to": " "}, "/till"),
        ({"given_to": "x" * 201}, "/till"),
        ({"reference": "a\u202eb"}, "/referens"),
        ({"handed_at": 0}, "/nar"),
        ({"handed_at": 2**60}, "/nar"),
    ],
)
@pytest.mark.slow
async def test_a_hand_over_counts_only_with_every_answer(
    carried: Carried, change: dict[str, object], pointer: str
) -> None:
    delivery = await carried.taken()
    with pytest.raises(InvalidFormError) as refused:
        await carried.carrying.hand_over(carried.worker, ALVESTA, delivery, carried.said(**change))
    assert [fault.pointer for fault in refused.value.faults] == [pointer]
    assert (await carried.delivery()).state is DeliveryState.IN_TRANSIT


@pytest.mark.slow
@pytest.mark.parametrize("taken", [False, True])
@pytest.mark.parametrize("why", Obstacle)
async def test_what_could_not_be_handed_over_ends_with_its_reason_and_the_sender_is_told(
    carried: Carried, why: Obstacle, taken: bool
) -> None:
    delivery = await carried.taken() if taken else (await carried.delivery()).id
    ended = await carried.carrying.give_up(carried.worker, ALVESTA, delivery, why)
    stopped = why is Obstacle.STOPPED
    assert ended.state is (DeliveryState.CANCELLED if stopped else DeliveryState.FAILED)
    told = [n for n in carried.county.store.all(Notice) if n.kind == "undelivered"]  # type: ignore[attr-defined]
    assert [n.inbox for n in told] == [ALVESTA]
    assert AuditAction.NOT_DELIVERED in await carried.actions(ended.envelope)


@pytest.mark.slow
async def test_what_came_back_and_arrived_after_all_has_arrived(carried: Carried) -> None:
    delivery = await carried.taken()
    await carried.carrying.give_up(carried.worker, ALVESTA, delivery, Obstacle.RETURNED)
    handed = await carried.carrying.hand_over(carried.worker, ALVESTA, delivery, carried.said())
    assert handed.state is HandOverState.DONE
    assert (await carried.delivery()).state is DeliveryState.DELIVERED


@pytest.mark.slow
async def test_a_withdrawal_cancels_what_nobody_has_taken_out(carried: Carried) -> None:
    await carried.county.gateway.consents.withdraw(carried.worker, ALVESTA, carried.consent.id)
    row = await carried.delivery()
    assert row.state is DeliveryState.CANCELLED
    with pytest.raises(ConflictError):
        await carried.printing.take(carried.worker, ALVESTA, row.id)


@pytest.mark.slow
async def test_a_withdrawal_while_the_paper_lies_with_a_person_prints_nothing_more_and_the_person_is_told(
    carried: Carried,
) -> None:
    """§2.6: nothing more is printed; what had been handed over stands as it was, and then the party must be told."""
    delivery = await carried.taken()
    await carried.printed(delivery)
    await carried.county.gateway.consents.withdraw(carried.worker, ALVESTA, carried.consent.id)

    kinds = {(n.kind, n.inbox) for n in carried.county.store.all(Notice)}  # type: ignore[attr-defined]
    assert ("hand_over_stopped", ALVESTA) in kinds
    [load] = (await carried.carrying.waiting(carried.worker, ALVESTA)).loads
    assert load.stopped
    with pytest.raises(RefusedError):
        await carried.printed(delivery)
    await carried.carrying.hand_over(carried.worker, ALVESTA, delivery, carried.said())
    await by_hand(carried.county.gateway)
    [(saying, _)] = (await carried.carrying.waiting(carried.worker, ALVESTA)).sayings
    assert (saying.what, saying.party) == ("consent_withdrawn", SEAT_E)


@pytest.mark.slow
async def test_a_consent_that_ran_out_stops_what_waits_when_somebody_would_take_it(carried: Carried) -> None:
    delivery = (await carried.delivery()).id
    expired = dataclasses.replace(carried.consent, valid_to=carried.county.clock.now(), version=2)
    signed = await carried.county.gateway.integrity.sign(expired)
    await carried.county.store.commit(Work(changes=(Update(signed),)))
    with pytest.raises(RefusedError):
        await carried.printing.take(carried.worker, ALVESTA, delivery)
    assert (await carried.delivery()).state is DeliveryState.CANCELLED


@pytest.mark.slow
async def test_a_party_on_paper_counts_as_told_when_a_person_says_that_it_was_said(carried: Carried) -> None:
    """§2.6: never before, however often the worker runs."""
    delivery = await carried.taken()
    await carried.carrying.hand_over(carried.worker, ALVESTA, delivery, carried.said())
    await carried.county.gateway.consents.withdraw(carried.worker, ALVESTA, carried.consent.id)
    for _ in range(3):
        await by_hand(carried.county.gateway)
    [notice] = [n for n in carried.county.store.all(Notice) if n.kind == "consent_withdrawn"]  # type: ignore[attr-defined]
    assert notice.state == "by_hand"
    [(saying, case)] = (await carried.carrying.waiting(carried.worker, ALVESTA)).sayings
    assert (saying.id, case.id) == (notice.id, carried.case.id)

    with pytest.raises(InvalidFormError):
        await carried.carrying.say(carried.worker, ALVESTA, saying.id, carried.said(manner=Manner.COURIER))
    await carried.carrying.say(carried.worker, ALVESTA, saying.id, carried.said(manner=Manner.PHONE))

    told = await carried.county.store.get(Notice, notice.id)
    assert told is not None
    assert told.state == "told"
    assert await carried.actions(notice.id) == [AuditAction.ANNOUNCED, AuditAction.ANNOUNCED]
    with pytest.raises(IllegalTransitionError):
        await carried.carrying.say(carried.worker, ALVESTA, saying.id, carried.said(manner=Manner.PHONE))


@pytest.mark.slow
async def test_asking_back_what_lies_with_a_party_on_paper_is_said_by_a_person(carried: Carried) -> None:
    delivery = await carried.taken()
    await carried.carrying.hand_over(carried.worker, ALVESTA, delivery, carried.said())
    await carried.county.gateway.recalls.request(carried.worker, ALVESTA, carried.message)
    await by_hand(carried.county.gateway)
    [(saying, _)] = (await carried.carrying.waiting(carried.worker, ALVESTA)).sayings
    assert (saying.what, saying.party) == ("recall_requested", SEAT_E)


@pytest.mark.slow
async def test_what_nobody_carried_in_time_ends_as_expired(carried: Carried) -> None:
    row = await carried.delivery()
    carried.county.clock.advance(row.expires_at - carried.county.clock.now() + HOUR)
    await by_hand(carried.county.gateway)
    assert (await carried.delivery()).state is DeliveryState.EXPIRED


@pytest.mark.slow
async def test_whoever_writes_to_the_database_hands_nothing_over(carried: Carried) -> None:
    """The row of a person's word carries a MAC."""
    delivery = await carried.taken()
    row = await carried.county.store.get(HandOver, delivery)
    assert row is not None
    forged = dataclasses.replace(row, taken_by=None, version=row.version + 1)
    await carried.county.store.commit(Work(changes=(Update(forged),)))
    with pytest.raises(IntegrityError):
        await carried.carrying.hand_over(carried.worker, ALVESTA, delivery, carried.said())


@pytest.mark.slow
async def test_only_members_of_the_sending_inbox_whose_role_reads_may_carry(carried: Carried) -> None:
    delivery = await carried.taken()
    delegate = await carried.county.sign_in("al-del")
    with pytest.raises(ForbiddenError):
        await carried.printing.print(delegate, ALVESTA, delivery)
    for act in (carried.printing.print, carried.printing.take, carried.carrying.find):
        with pytest.raises(NotFoundError):
            await act(carried.worker, VAXJO, delivery)


@pytest.mark.slow
async def test_a_party_that_no_machine_could_tell_for_a_day_is_told_by_a_person() -> None:
    """§2.6: a neighbour that is away must not keep a withdrawal from whoever rests on the consent."""
    from tests.neighbours import WIRE, a_pair

    async with a_pair() as pair:
        first = pair.first
        worker = await first.sign_in("al-sos")
        case, consent = await first.consented_case(worker)
        await first.send_referral(worker, case.id, (SEAT_E,))
        await pair.exchange()
        pair.one.away = 10**6
        await first.gateway.consents.withdraw(worker, ALVESTA, consent.id)
        await by_hand(first.gateway)
        assert await first.store.hand_overs_of(ALVESTA, HandOverState.WAITING, limit=10) == []
        first.clock.advance(DAY)
        await by_hand(first.gateway)
        [saying] = await first.store.hand_overs_of(ALVESTA, HandOverState.WAITING, limit=10)
        assert (saying.what, saying.party) == ("consent_withdrawn", SEAT_E)
        assert WIRE in first.gateway.channels.neighbours


@pytest.mark.slow
async def test_an_operator_is_told_of_a_way_of_people_and_of_no_missing_neighbour(carried: Carried) -> None:
    watch = carried.county.gateway.channel_watch
    state = await watch.state(Channel.HANDOVER)
    assert (state.by_hand, state.used, state.in_state(DeliveryState.QUEUED)) == (True, True, 1)
    directory = await carried.county.gateway.directory.current()
    assert [path.by_hand for path in await watch.paths(directory.inbox(SEAT_E))] == [True]
