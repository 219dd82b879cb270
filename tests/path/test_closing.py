"""What is over: docs/channels.md §2.7. Keys that go, and receipts that come late."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from gateway.aftermath import KEPT, NEVER
from gateway.audit import AuditAction
from gateway.errors import ConflictError
from gateway.model.base import DAY, HOUR, MINUTE, MessageId
from gateway.model.keys import EnvelopeWrap
from gateway.model.path import Channel, Consent, Envelope
from gateway.neighbours import Reason, Telling, Told
from gateway.sessions import Signed
from gateway.states import DeliveryState
from tests import paper
from tests.county import ALVESTA, SEAT_E
from tests.neighbours import WIRE, Pair, a_pair
from tests.path.test_channels import _states

pytestmark = pytest.mark.slow  # each is two gateways and days of time


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """Alvesta reaches Ekeliden over a wire first, on paper second."""
    async with a_pair(also={"handover": "Postadress "}) as ready:
        yield ready


async def sent(pair: Pair) -> tuple[Signed, Consent, MessageId]:
    """A referral that the neighbour has taken for transport, and confirms when told to."""
    worker = await pair.first.sign_in("al-sos")
    case, consent = await pair.first.consented_case(worker)
    message = (await pair.first.send_referral(worker, case.id, (SEAT_E,))).message
    await pair.first.gateway.channels.run_once(WIRE)
    return worker, consent, message


async def without_a_receipt(pair: Pair) -> tuple[Signed, MessageId]:
    """The same, a day later: the way counts as gone and the second waits."""
    _worker, _, message = await sent(pair)
    pair.first.clock.advance(DAY + HOUR)
    await pair.first.gateway.channels.run_once(WIRE)
    assert await _states(pair.first, message) == {
        (WIRE, DeliveryState.FAILED, "no-receipt"),
        (Channel.HANDOVER, DeliveryState.QUEUED, ""),
    }
    return await again(pair), message


async def again(pair: Pair) -> Signed:
    """A day has passed: sign in anew."""
    return await pair.first.sign_in("al-sos")


def confirm(pair: Pair) -> None:
    pair.one.outcomes = {key: Told(Telling.DELIVERED, Reason.NONE, key) for key in pair.one.outcomes}


async def has_key(pair: Pair, message: MessageId) -> bool:
    [envelope] = [e for e in await pair.first.store.envelopes_of(message) if not e.sender_copy]
    wrap = await pair.first.store.get(EnvelopeWrap, envelope.id)
    assert wrap is not None
    try:
        await pair.first.gateway.ports.shred.get(wrap.shred_key)
    except Exception:
        return False
    return True


async def settled(pair: Pair) -> bool:
    """Whether nothing is left to look at, however long one waits."""
    await pair.first.gateway.closing.run_once()
    pair.first.clock.advance(400 * DAY)
    return await pair.first.gateway.closing.run_once() == 0


async def test_a_receipt_that_comes_late_is_heard_and_the_way_that_nobody_began_is_cancelled(pair: Pair) -> None:
    worker, message = await without_a_receipt(pair)
    assert await has_key(pair, message)
    confirm(pair)

    await pair.first.gateway.closing.run_once()

    assert await _states(pair.first, message) == {
        (WIRE, DeliveryState.DELIVERED, ""),
        (Channel.HANDOVER, DeliveryState.CANCELLED, "duplicate"),
    }
    assert not await has_key(pair, message)
    assert (await pair.first.gateway.carrying.waiting(worker, ALVESTA)).loads == []
    log = pair.first.gateway.auditor.origin(pair.first.clock.now())
    leaves = await pair.first.store.sides(log, 0, await pair.first.store.log_size(log))
    assert [side.action for side in leaves][-1] == AuditAction.DELIVERED
    assert await settled(pair)


async def test_a_late_receipt_beside_a_hand_over_is_one_message_with_two_receipts(pair: Pair) -> None:
    worker, message = await without_a_receipt(pair)
    second = next(d for d in await pair.first.store.deliveries_of(message) if d.channel is Channel.HANDOVER)
    await pair.first.gateway.printing.take(worker, ALVESTA, second.id)
    await pair.first.gateway.carrying.hand_over(worker, ALVESTA, second.id, paper.said(pair.first))
    pair.first.clock.advance(HOUR)
    confirm(pair)
    await pair.first.gateway.closing.run_once()

    assert {(c, s) for c, s, _ in await _states(pair.first, message)} == {
        (WIRE, DeliveryState.DELIVERED),
        (Channel.HANDOVER, DeliveryState.DELIVERED),
    }
    worker = await again(pair)
    [envelope] = [e for e in await pair.first.store.envelopes_of(message) if not e.sender_copy]
    file = await pair.first.gateway.casework.file(worker, envelope.case)
    [leg] = file.entry(message).legs
    assert (leg.delivery.channel, [one.channel for one in leg.others]) == (Channel.HANDOVER, [WIRE])


async def test_a_way_that_was_begun_is_not_cancelled_by_a_late_receipt(pair: Pair) -> None:
    worker, message = await without_a_receipt(pair)
    second = next(d for d in await pair.first.store.deliveries_of(message) if d.channel is Channel.HANDOVER)
    await pair.first.gateway.printing.take(worker, ALVESTA, second.id)
    confirm(pair)
    await pair.first.gateway.closing.run_once()
    assert (Channel.HANDOVER, DeliveryState.IN_TRANSIT, "dispatched") in await _states(pair.first, message)


async def test_a_way_without_a_receipt_is_asked_about_ever_more_seldom_and_fourteen_days_at_most(pair: Pair) -> None:
    await without_a_receipt(pair)
    asked: list[str] = []

    async def outcome(reference: str) -> Told:
        asked.append(reference)
        return Told(Telling.IN_TRANSIT, reference=reference)

    pair.one.outcome = outcome  # type: ignore[method-assign]
    for _ in range(20 * 24):
        pair.first.clock.advance(HOUR)
        await pair.first.gateway.closing.run_once()
    assert 14 <= len(asked) <= 24
    confirm(pair)
    before = len(asked)
    pair.first.clock.advance(DAY)
    await pair.first.gateway.closing.run_once()
    assert len(asked) == before


async def test_what_failed_can_be_tried_again_for_fourteen_days_and_then_its_key_goes() -> None:
    async with a_pair() as pair:
        worker, _, message = await sent(pair)
        pair.one.outcomes = {key: Told(Telling.REFUSED, Reason.NOT_CONNECTED, key) for key in pair.one.outcomes}
        pair.first.clock.advance(MINUTE)
        await pair.first.gateway.channels.run_once(WIRE)
        [row] = await pair.first.store.deliveries_of(message)
        assert row.state is DeliveryState.FAILED

        pair.first.clock.advance(KEPT - HOUR)
        await pair.first.gateway.closing.run_once()
        assert await has_key(pair, message)
        pair.first.clock.advance(2 * HOUR)
        await pair.first.gateway.closing.run_once()
        assert not await has_key(pair, message)
        worker = await again(pair)
        with pytest.raises(ConflictError):
            await pair.first.gateway.retries.again(worker, ALVESTA, message, row.envelope)
        assert await settled(pair)


async def test_what_a_withdrawal_cancelled_loses_its_key(pair: Pair) -> None:
    worker = await pair.first.sign_in("al-sos")
    case, consent = await pair.first.consented_case(worker)
    message = (await pair.first.send_referral(worker, case.id, (SEAT_E,))).message
    await pair.first.gateway.consents.withdraw(worker, ALVESTA, consent.id)
    await pair.first.gateway.closing.run_once()
    assert not await has_key(pair, message)
    assert (await pair.first.open(worker, ALVESTA, message)).opened.body["fields"]
    assert await settled(pair)


async def test_a_withdrawal_while_it_was_on_its_way_is_told_when_it_arrives_late(pair: Pair) -> None:
    worker, consent, message = await sent(pair)
    await pair.first.gateway.consents.withdraw(worker, ALVESTA, consent.id)
    pair.first.clock.advance(DAY + HOUR)
    await pair.first.gateway.channels.run_once(WIRE)
    confirm(pair)
    await pair.first.gateway.closing.run_once()
    [notice] = await pair.first.store.notices_waiting(SEAT_E, limit=9)
    assert (notice.kind, notice.about) == ("consent_withdrawn", consent.id)
    assert {state for _, state, _ in await _states(pair.first, message)} == {DeliveryState.DELIVERED}


async def test_what_came_in_keeps_its_key(pair: Pair) -> None:
    """The key of an inbox's envelope is no channel's: only a form that leaves is closed."""
    _, _, message = await sent(pair)
    await pair.exchange()
    [row] = await pair.second.store.deliveries_of(message)
    assert row.due_at == NEVER
    await pair.second.gateway.closing.run_once()
    pair.second.clock.advance(60 * DAY)
    await pair.second.gateway.closing.run_once()
    reader = await pair.second.sign_in("ek-chef")
    assert (await pair.second.open(reader, SEAT_E, message)).opened.body["fields"]


async def test_a_crash_between_the_state_and_the_key_leaves_the_key_to_the_next_turn(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, message = await sent(pair)
    confirm(pair)
    pair.first.clock.advance(MINUTE)

    async def crash(*_: object) -> bool:
        raise asyncio.CancelledError

    with monkeypatch.context() as broken, contextlib.suppress(asyncio.CancelledError):
        broken.setattr("gateway.aftermath.Aftermath.ended", crash)
        await pair.first.gateway.channels.run_once(WIRE)
    [row] = await pair.first.store.deliveries_of(message)
    assert row.state is DeliveryState.DELIVERED
    assert await has_key(pair, message)
    await pair.first.gateway.closing.run_once()
    assert not await has_key(pair, message)
    assert await pair.first.store.get(Envelope, row.envelope) is not None
