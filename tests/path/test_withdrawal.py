"""A withdrawal meets a delivery in each of its states (design: queued is cancelled, received stays, opened is untouched)."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.memory import MemoryStore
from gateway.audit import AuditAction
from gateway.errors import DecisionStaleError, GatewayError, IllegalTransitionError, RefusedError
from gateway.model.base import DAY, MINUTE, Instant
from gateway.model.path import Channel, Consent, Envelope, Notice
from gateway.ports import Committed, Work
from gateway.states import ConsentState, DeliveryState
from gateway.store import Accepted
from tests.clock import ManualClock
from tests.county import ALVESTA, SEAT_E, SEAT_N, County, a_county


@pytest.fixture
async def county() -> AsyncIterator[County]:
    async with a_county() as ready:
        yield ready


def memory(county: County) -> MemoryStore:
    assert isinstance(county.store, MemoryStore)
    return county.store


async def states(county: County, message: Any) -> set[DeliveryState]:
    return {row.state for row in await county.store.deliveries_of(message)}


async def brought_to(county: County, state: DeliveryState, sent: Accepted) -> None:
    """Bring the deliveries of `sent` to `state`, by what leads there in life."""
    now = county.clock.now()
    if state is DeliveryState.ATTEMPTING:
        lease = Instant(now + MINUTE)
        await county.store.claim_due(Channel.LOCAL, now=now, lease_until=lease, owner="w", limit=9)
    elif state is DeliveryState.CANCELLED:
        await county.gateway.recalls.take_back(await county.sign_in("al-sos"), ALVESTA, sent.message)
    elif state is DeliveryState.FAILED:
        for envelope in await county.store.envelopes_of(sent.message):
            memory(county).tamper(dataclasses.replace(envelope, octets=envelope.octets[:-1]))
        await county.deliver()
    elif state in {DeliveryState.DELIVERED, DeliveryState.OPENED}:
        await county.deliver()
    if state is DeliveryState.OPENED:
        await county.open(await county.sign_in("ek-chef"), SEAT_E, sent.message)
        await county.open(await county.sign_in("no-chef"), SEAT_N, sent.message)


@pytest.mark.parametrize(
    ("state", "after", "told"),
    [
        (DeliveryState.QUEUED, DeliveryState.CANCELLED, set()),
        (DeliveryState.ATTEMPTING, DeliveryState.CANCELLED, set()),
        (DeliveryState.DELIVERED, DeliveryState.DELIVERED, {SEAT_E, SEAT_N}),
        (DeliveryState.OPENED, DeliveryState.OPENED, {SEAT_E, SEAT_N}),
        (DeliveryState.CANCELLED, DeliveryState.CANCELLED, set()),
        (DeliveryState.FAILED, DeliveryState.FAILED, set()),
    ],
)
async def test_a_withdrawal_in_every_state_of_a_delivery(
    county: County, state: DeliveryState, after: DeliveryState, told: set[str]
) -> None:
    """Nothing new is delivered, nothing received is taken, and only those who have the message are told."""
    worker = await county.sign_in("al-sos")
    case, consent = await county.consented_case(worker)
    sent = await county.send_referral(worker, case.id)
    await brought_to(county, state, sent)
    assert {row.state for row in await county.store.deliveries_of(sent.message)} == {state}

    withdrawn = await county.gateway.consents.withdraw(worker, ALVESTA, consent.id)

    assert withdrawn.state is ConsentState.WITHDRAWN
    county.clock.advance(10 * MINUTE)
    await county.deliver()
    assert {row.state for row in await county.store.deliveries_of(sent.message)} == {after}
    assert {n.inbox for n in memory(county).all(Notice) if n.kind == "consent_withdrawn"} == told
    assert len([e for e in memory(county).all(Envelope) if e.message == sent.message]) == 3  # nothing is lost


async def test_a_delivery_whose_time_is_out_is_not_made_and_a_withdrawal_after_it_changes_nothing(
    county: County,
) -> None:
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    sent = await county.send_referral(worker, case.id)
    county.clock.advance(400 * DAY)
    await county.deliver()
    ended = {row.state for row in await county.store.deliveries_of(sent.message)}
    assert ended == {DeliveryState.EXPIRED}
    assert [n.inbox for n in memory(county).all(Notice) if n.kind == "undelivered"] == [ALVESTA, ALVESTA]


async def test_what_comes_after_a_withdrawal_is_refused_and_says_what_to_do(county: County) -> None:
    """Sending, opening and withdrawing again: each says what happened and the next step, and the draft is kept."""
    worker = await county.sign_in("al-sos")
    case, consent = await county.consented_case(worker)
    sent = await county.send_referral(worker, case.id)
    await county.deliver()
    await county.gateway.consents.withdraw(worker, ALVESTA, consent.id)
    told: list[GatewayError] = []
    with pytest.raises(RefusedError) as unopened:
        await county.open(await county.sign_in("ek-chef"), SEAT_E, sent.message)
    with pytest.raises(IllegalTransitionError) as again:
        await county.gateway.consents.withdraw(worker, ALVESTA, consent.id)
    other, second = await county.consented_case(worker)
    await county.gateway.consents.withdraw(worker, ALVESTA, second.id)
    with pytest.raises(RefusedError) as sending:
        await county.send_referral(worker, other.id)
    told += [unopened.value, again.value, sending.value]
    for error in told:
        assert error.swedish != str(error)
        assert error.next_step
    assert "kvar" in sending.value.next_step
    assert len(await county.gateway.drafts.list(worker, ALVESTA, after=None, limit=9)) == 1
    kept = await county.store.get(Consent, consent.id)
    assert kept is not None
    assert kept.state is ConsentState.WITHDRAWN


# --- one by one --------------------------------------------------------------------------------------------------------


async def test_a_withdrawal_cancels_what_is_queued_and_nothing_is_delivered(county: County) -> None:
    worker = await county.sign_in("al-sos")
    case, consent = await county.consented_case(worker)
    sent = await county.send_referral(worker, case.id, undo_seconds=10)
    await county.gateway.consents.withdraw(worker, ALVESTA, consent.id)
    county.clock.advance(MINUTE)
    await county.deliver()
    assert await states(county, sent.message) == {DeliveryState.CANCELLED}
    assert await county.gateway.inboxes.page(await county.sign_in("ek-chef"), SEAT_E) == []


async def test_a_withdrawal_while_a_worker_holds_the_delivery_wins(county: County) -> None:
    """The commit is the moment that counts."""
    worker = await county.sign_in("al-sos")
    case, consent = await county.consented_case(worker)
    sent = await county.send_referral(worker, case.id)
    now = county.clock.now()
    claimed = await county.store.claim_due(
        Channel.LOCAL, now=now, lease_until=Instant(now + MINUTE), owner="w", limit=9
    )
    await county.gateway.consents.withdraw(worker, ALVESTA, consent.id)
    for delivery in claimed:
        await county.gateway.outbox._attempt(delivery)
    assert await states(county, sent.message) == {DeliveryState.CANCELLED}


async def test_a_withdrawal_before_opening_refuses_the_members_and_tells_without_content(county: County) -> None:
    worker = await county.sign_in("al-sos")
    case, consent = await county.consented_case(worker)
    sent = await county.send_referral(worker, case.id)
    await county.deliver()
    await county.gateway.consents.withdraw(worker, ALVESTA, consent.id)
    chief = await county.sign_in("ek-chef")
    with pytest.raises(RefusedError) as refused:
        await county.open(chief, SEAT_E, sent.message)
    assert "Registratorn" in refused.value.next_step
    assert await states(county, sent.message) == {DeliveryState.DELIVERED}  # received, never deleted
    assert {n.inbox for n in memory(county).all(Notice) if n.kind == "consent_withdrawn"} == {SEAT_E, SEAT_N}


async def test_a_withdrawal_after_opening_leaves_what_was_received(county: County) -> None:
    worker = await county.sign_in("al-sos")
    case, consent = await county.consented_case(worker)
    sent = await county.send_referral(worker, case.id)
    await county.deliver()
    chief = await county.sign_in("ek-chef")
    await county.open(chief, SEAT_E, sent.message)
    await county.gateway.consents.withdraw(worker, ALVESTA, consent.id)
    assert (await county.open(chief, SEAT_E, sent.message)).opened.body["fields"]
    with pytest.raises(IllegalTransitionError):
        await county.gateway.consents.withdraw(worker, ALVESTA, consent.id)


async def test_a_consent_that_ends_before_delivery_is_not_relied_on(county: County) -> None:
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    sent = await county.send_referral(worker, case.id, undo_seconds=3600)
    county.clock.advance(120 * DAY)
    await county.deliver()
    assert await states(county, sent.message) == {DeliveryState.EXPIRED}


class WithdrawsFirst(MemoryStore):
    """A store into which a withdrawal slips between the decision and the commit of a sending."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.before: Any = None

    async def commit(self, work: Work) -> Committed:
        if self.before is not None and any(entry.action == AuditAction.SENT for entry in work.entries):
            act, self.before = self.before, None
            await act()
        return await super().commit(work)


async def test_a_decision_whose_consent_moved_before_the_commit_sends_nothing() -> None:
    """Catalogue H-race in one schedule: an earlier withdrawal wins."""
    clock = ManualClock()
    store = WithdrawsFirst(clock)
    async with a_county(store, clock=clock) as county:
        worker = await county.sign_in("al-sos")
        case, consent = await county.consented_case(worker)

        async def withdraw() -> None:
            await county.gateway.consents.withdraw(worker, ALVESTA, consent.id)

        store.before = withdraw
        with pytest.raises(DecisionStaleError) as stale:
            await county.send_referral(worker, case.id)
        assert "utkastet är kvar" in stale.value.next_step
        assert store.all(Envelope) == []
        assert len(await county.gateway.drafts.list(worker, ALVESTA, after=None, limit=9)) == 1
