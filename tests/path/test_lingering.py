"""What a neighbour still keeps though it has said its last word: let go when it is over here, and heard when it is not."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator

import pytest

from gateway.aftermath import KEPT
from gateway.audit import AuditAction
from gateway.model.base import DAY, HOUR, InboxId, MessageId
from gateway.model.path import Delivery, Notice
from gateway.neighbours import Reason, Telling, Told
from gateway.states import DeliveryState, HandOverState
from tests.county import ALVESTA, SEAT_E, SEAT_N
from tests.neighbours import WIRE, Pair, Wire, a_pair

pytestmark = pytest.mark.slow


@dataclasses.dataclass
class Forgetful(Wire):
    """A wire that is cut each time it is told that an outcome is durable, as if the process had ended just before."""

    cut: bool = True

    async def settled(self, reference: str) -> None:
        if self.cut:
            raise TimeoutError
        await super().settled(reference)


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with a_pair() as ready:
        wire = Forgetful(other=ready.two)
        ready.two.other = ready.one = wire
        ready.first.gateway.channels.connect(wire)
        yield ready


async def sent(pair: Pair) -> MessageId:
    worker = await pair.first.sign_in("al-sos")
    case, _ = await pair.first.consented_case(worker)
    return (await pair.first.send_referral(worker, case.id, (SEAT_E,))).message


async def only(pair: Pair, message: MessageId) -> Delivery:
    [row] = await pair.first.store.deliveries_of(message)
    return row


async def test_what_is_delivered_here_is_let_go_though_the_process_ended_before_it_could_say_so(pair: Pair) -> None:
    message = await sent(pair)
    await pair.exchange()
    row = await only(pair, message)
    assert row.state is DeliveryState.DELIVERED
    assert pair.one.forgotten == []
    pair.one.cut = False  # type: ignore[attr-defined]
    assert await pair.first.gateway.lingering.run_once(WIRE) == 1
    assert pair.one.forgotten == [row.envelope]
    assert await pair.first.gateway.lingering.run_once(WIRE) == 0


async def test_a_last_word_that_nobody_here_has_heard_yet_is_left_to_be_heard(pair: Pair) -> None:
    message = await sent(pair)
    await pair.first.gateway.channels.run_once(WIRE)
    await pair.second.gateway.arriving.taken_in(pair.two)  # receipted there, not asked for here
    pair.one.cut = False  # type: ignore[attr-defined]
    assert await pair.first.gateway.lingering.run_once(WIRE) == 0
    assert (await only(pair, message)).state is DeliveryState.IN_TRANSIT
    assert pair.one.forgotten == []


async def test_a_receipt_that_came_late_is_let_go_only_when_it_is_waited_for_no_longer(pair: Pair) -> None:
    message = await sent(pair)
    await pair.first.gateway.channels.run_once(WIRE)
    pair.first.clock.advance(2 * DAY)
    await pair.first.gateway.channels.run_once(WIRE)
    row = await only(pair, message)
    assert (row.state, row.reason) == (DeliveryState.FAILED, str(Reason.NO_RECEIPT))
    await pair.second.gateway.arriving.taken_in(pair.two)  # now it is there, and closing has not asked yet
    pair.one.cut = False  # type: ignore[attr-defined]
    assert await pair.first.gateway.lingering.run_once(WIRE) == 0
    pair.first.clock.advance(KEPT + HOUR)
    assert await pair.first.gateway.lingering.run_once(WIRE) == 1
    assert pair.one.forgotten == [row.envelope]


async def test_what_nobody_here_knows_is_somebody_elses_and_stays(pair: Pair) -> None:
    pair.one.outcomes["5e2c9d1e-0000-4000-8000-000000000000"] = Told(Telling.DELIVERED)
    pair.one.cut = False  # type: ignore[attr-defined]
    assert await pair.first.gateway.lingering.run_once(WIRE) == 0
    assert pair.one.forgotten == []


async def test_a_party_that_was_thought_told_of_a_withdrawal_and_refused_it_is_told_by_a_person(pair: Pair) -> None:
    """A withdrawal that did not arrive lets the other side go on: somebody must say it (docs/channels.md §2.4)."""
    worker = await pair.first.sign_in("al-sos")
    case, consent = await pair.first.consented_case(worker)
    await pair.first.send_referral(worker, case.id, ("remissgrupp",))
    await pair.exchange()
    await pair.first.gateway.consents.withdraw(worker, ALVESTA, consent.id)
    await pair.first.gateway.announcements.run_once()
    notices = {name: row for name in pair.one.outcomes if (row := await pair.first.store.get(Notice, name)) is not None}
    assert {row.inbox: row.state for row in notices.values()} == {SEAT_E: "told", SEAT_N: "told"}
    [refused] = [name for name, row in notices.items() if row.inbox == SEAT_E]
    pair.one.outcomes[refused] = Told(Telling.REFUSED, Reason.TYPE, refused)
    pair.one.cut = False  # type: ignore[attr-defined]
    await pair.first.gateway.lingering.run_once(WIRE)
    notice = await pair.first.store.get(Notice, refused)
    assert notice is not None
    assert notice.state == "by_hand"
    [to_say] = await pair.first.store.hand_overs_of(InboxId(ALVESTA), HandOverState.WAITING, limit=9)
    assert (to_say.id, to_say.party, to_say.what) == (refused, SEAT_E, notice.kind)
    assert refused in pair.one.forgotten
    [log] = await pair.first.store.logs()
    told = await pair.first.store.sides_page(
        log, action=AuditAction.ANNOUNCED, administration="", object=refused, before=10**9, limit=9
    )
    assert len(told) == 2
    # The other one was told, and lies there no longer once its receipt has come.
    await pair.second.gateway.arriving.taken_in(pair.two)
    await pair.first.gateway.lingering.run_once(WIRE)
    assert set(notices) <= set(pair.one.forgotten)
