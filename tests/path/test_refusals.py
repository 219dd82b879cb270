"""A later no is not outdone by an earlier yes (OSL 12 kap. 2 §; GDPR Art. 7(3): as easy to withdraw as to give)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.errors import DecisionStaleError, RefusedError
from gateway.forms.demo import demo_consent
from gateway.model.base import MINUTE
from gateway.model.path import Consent, Notice
from gateway.states import ConsentState, DeliveryState
from tests.county import ALVESTA, SEAT_E, County, a_county


@pytest.fixture
async def county() -> AsyncIterator[County]:
    async with a_county() as ready:
        yield ready


async def refuse(county: County, worker: Any, case: Any, **changes: Any) -> Consent:
    values = {**demo_consent(county.today), **changes}
    return await county.gateway.consents.record(worker, ALVESTA, case.id, values, refused=True)


async def test_a_refusal_withdraws_the_consent_that_says_otherwise_and_cancels_what_is_queued(county: County) -> None:
    worker = await county.sign_in("al-sos")
    case, consent = await county.consented_case(worker)
    sent = await county.send_referral(worker, case.id, undo_seconds=10)

    refusal = await refuse(county, worker, case)

    county.clock.advance(MINUTE)
    await county.deliver()
    before = await county.store.get(Consent, consent.id)
    assert before is not None
    assert (before.state, refusal.state) == (ConsentState.WITHDRAWN, ConsentState.REFUSED)
    assert {d.state for d in await county.store.deliveries_of(sent.message)} == {DeliveryState.CANCELLED}
    actions = [event.action for event in await _events(county)]
    assert actions.count("consent_refused") == actions.count("consent_withdrawn") == 1


async def test_after_a_refusal_nothing_is_sent_until_the_person_says_yes_again(county: County) -> None:
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    await refuse(county, worker, case)

    with pytest.raises(RefusedError) as refused:
        await county.send_referral(worker, case.id)
    assert "sagt nej" in refused.value.swedish or "återkallats" in refused.value.swedish

    await county.gateway.consents.record(worker, ALVESTA, case.id, demo_consent(county.today))
    assert (await county.send_referral(worker, case.id)).message


async def test_a_refusal_of_something_else_leaves_the_consent_alone(county: County) -> None:
    worker = await county.sign_in("al-sos")
    case, consent = await county.consented_case(worker)

    await refuse(county, worker, case, data_categories=["ECONOMY"])

    after = await county.store.get(Consent, consent.id)
    assert after is not None
    assert after.state is ConsentState.GIVEN
    assert (await county.send_referral(worker, case.id)).message


async def test_a_refusal_between_decision_and_commit_sends_nothing(county: County) -> None:
    """The commit is the moment that counts: the refusal moved the consent that the decision rested on."""
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    sealing = county.gateway.sending._sealing
    seal = sealing.seal

    async def then_refused(*arguments: Any, **named: Any) -> Any:
        sealed = await seal(*arguments, **named)
        await refuse(county, worker, case)
        return sealed

    sealing.seal = then_refused  # type: ignore[method-assign]
    with pytest.raises(DecisionStaleError):
        await county.send_referral(worker, case.id)
    assert await county.store.messages_of(case.id, limit=9) == []


async def test_a_withdrawal_tells_only_those_who_have_the_message(county: County) -> None:
    """An inbox that a cancelled message never reached does not learn of the case."""
    worker = await county.sign_in("al-sos")
    case, consent = await county.consented_case(worker)
    sent = await county.send_referral(worker, case.id, undo_seconds=10)
    await county.gateway.recalls.take_back(worker, ALVESTA, sent.message)

    await county.gateway.consents.withdraw(worker, ALVESTA, consent.id)

    assert [n for n in county.store.all(Notice) if n.kind == "consent_withdrawn"] == []  # type: ignore[attr-defined]
    assert await county.gateway.inboxes.page(await county.sign_in("ek-chef"), SEAT_E) == []


async def _events(county: County) -> list[Any]:
    auditor = await county.sign_in("gransk")
    name = county.gateway.auditor.origin(county.clock.now())
    return await county.gateway.review.events(auditor, name, start=0, limit=200)
