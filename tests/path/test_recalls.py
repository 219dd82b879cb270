"""Undo while it is here, ask back when it has arrived, and the register of what came (TF 2 kap. 9 §; design.md §3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.errors import ConflictError, ForbiddenError, IllegalTransitionError, NotFoundError, RefusedError
from gateway.forms.demo import demo_consent, demo_referral
from gateway.model.base import HOUR, InboxId
from gateway.model.path import Case, CaseParty, Notice
from gateway.states import CaseState, DeliveryState, RecallState
from tests.county import ALVESTA, SEAT_E, SEAT_N, County, a_county

REGION = InboxId("region.registrator")
VAXJO_REGISTRATOR = InboxId("vaxjo.registrator")


@pytest.fixture
async def county() -> AsyncIterator[County]:
    async with a_county() as ready:
        yield ready


async def drafted(county: County, worker: Any, case: Any) -> Any:
    values = demo_referral(county.today)
    return await county.gateway.drafts.create(worker, ALVESTA, case.id, "placement_referral", 1, values)


async def test_an_undone_sending_leaves_the_case_and_the_draft_as_they_were_and_can_be_sent_again(
    county: County,
) -> None:
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    draft = await drafted(county, worker, case)
    before = await county.gateway.drafts.open(worker, draft.id)
    sent = await county.gateway.sending.send_draft(
        worker, draft.id, ["remissgrupp"], idempotency_key="one", undo_seconds=10
    )
    assert await county.gateway.drafts.list(worker, ALVESTA, after=None, limit=9) == []
    repeated = await county.gateway.sending.send_draft(
        worker, draft.id, ["remissgrupp"], idempotency_key="one", undo_seconds=10
    )
    assert (repeated.message, repeated.repeated) == (sent.message, True)

    assert await county.gateway.recalls.take_back(worker, ALVESTA, sent.message) == 2

    after = await county.gateway.drafts.open(worker, draft.id)
    assert after.values == before.values
    found = await county.store.get(Case, case.id)
    assert found is not None
    assert found.state is CaseState.INVESTIGATING
    parties = {row.inbox for row in county.store.all(CaseParty)}  # type: ignore[attr-defined]
    assert parties == {ALVESTA}  # the seats never learned of the case
    again = await county.gateway.sending.send_draft(worker, draft.id, ["remissgrupp"], idempotency_key="two")
    await county.deliver()
    assert {d.state for d in await county.store.deliveries_of(again.message)} == {DeliveryState.DELIVERED}


async def test_a_draft_whose_undo_time_is_over_is_swept_and_cannot_be_edited_meanwhile(county: County) -> None:
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    draft = await drafted(county, worker, case)
    await county.gateway.sending.send_draft(worker, draft.id, ["remissgrupp"], undo_seconds=10)
    with pytest.raises(ConflictError):
        await county.gateway.drafts.save(worker, draft.id, draft.version + 1, {})
    assert await county.gateway.drafts.sweep() == 0
    county.clock.advance(2 * HOUR)
    assert await county.gateway.drafts.sweep() == 1
    with pytest.raises(NotFoundError):
        await county.gateway.drafts.find(await county.sign_in("al-sos"), draft.id)


async def test_an_urgent_form_does_not_wait_for_an_undo(county: County) -> None:
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    sent = await county.send_referral(worker, case.id, undo_seconds=10, urgency="URGENT")
    await county.deliver()
    assert {d.state for d in await county.store.deliveries_of(sent.message)} == {DeliveryState.DELIVERED}


async def test_what_never_arrived_may_be_sent_again(county: County) -> None:
    """A withdrawal cancelled it; with a new consent the case goes on."""
    worker = await county.sign_in("al-sos")
    case, consent = await county.consented_case(worker)
    await county.send_referral(worker, case.id, undo_seconds=10)
    await county.gateway.consents.withdraw(worker, ALVESTA, consent.id)
    county.clock.advance(HOUR)
    await county.gateway.consents.record(worker, ALVESTA, case.id, demo_consent(county.today))
    assert (await county.send_referral(worker, case.id)).message
    await county.deliver()
    with pytest.raises(IllegalTransitionError):
        await county.send_referral(worker, case.id)


async def sent_to_seats(county: County) -> tuple[Any, Any]:
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    sent = await county.send_referral(worker, case.id)
    await county.deliver()
    return worker, sent


async def test_what_is_asked_back_unopened_is_closed_to_members_until_the_registrator_decides(county: County) -> None:
    worker, sent = await sent_to_seats(county)
    recalls = await county.gateway.recalls.request(worker, ALVESTA, sent.message)
    assert {row.state for row in recalls} == {RecallState.REQUESTED}
    assert {n.inbox for n in county.store.all(Notice) if n.kind == "recall_requested"} == {  # type: ignore[attr-defined]
        REGION,
        VAXJO_REGISTRATOR,
    }
    assert await county.gateway.recalls.request(worker, ALVESTA, sent.message)  # asking twice records nothing new
    chief = await county.sign_in("ek-chef")
    with pytest.raises(RefusedError) as refused:
        await county.open(chief, SEAT_E, sent.message)
    assert "registrator" in refused.value.next_step

    registrator = await county.sign_in("re-reg")
    [asked] = await county.gateway.recalls.asked(registrator, REGION)
    await county.gateway.recalls.decide(registrator, REGION, asked.envelope, uphold=False)
    assert (await county.open(chief, SEAT_E, sent.message)).opened.body["fields"]
    with pytest.raises(IllegalTransitionError):
        await county.gateway.recalls.decide(registrator, REGION, asked.envelope, uphold=True)

    other = await county.sign_in("vx-reg")
    [theirs] = await county.gateway.recalls.asked(other, VAXJO_REGISTRATOR)
    await county.gateway.recalls.decide(other, VAXJO_REGISTRATOR, theirs.envelope, uphold=True)
    with pytest.raises(RefusedError):
        await county.open(await county.sign_in("no-chef"), SEAT_N, sent.message)
    states = {d.inbox: d.state for d in await county.store.deliveries_of(sent.message)}
    assert states[SEAT_N] is DeliveryState.DELIVERED  # received, never deleted
    with pytest.raises(NotFoundError):
        await county.gateway.recalls.decide(other, VAXJO_REGISTRATOR, asked.envelope, uphold=True)


async def test_what_was_opened_is_recorded_as_an_incident_and_stays_readable(county: County) -> None:
    worker, sent = await sent_to_seats(county)
    chief = await county.sign_in("ek-chef")
    await county.open(chief, SEAT_E, sent.message)
    recalls = {row.inbox: row.state for row in await county.gateway.recalls.request(worker, ALVESTA, sent.message)}
    assert recalls == {SEAT_E: RecallState.INCIDENT, SEAT_N: RecallState.REQUESTED}
    assert (await county.open(chief, SEAT_E, sent.message)).opened.body["fields"]


async def test_a_recall_and_an_opening_at_once_have_one_order(county: County) -> None:
    """Either it was opened first and is an incident, or it was asked back first and nobody opens it."""
    outcomes = set()
    for turn in range(12):
        worker, sent = await sent_to_seats(county)
        chief = await county.sign_in("ek-chef")
        opening = county.open(chief, SEAT_E, sent.message)
        asking = county.gateway.recalls.request(worker, ALVESTA, sent.message)
        both = (asking, opening) if turn % 2 else (opening, asking)
        results = await asyncio.gather(*both, return_exceptions=True)
        opened = not any(isinstance(result, Exception) for result in results)
        [recall] = [r for r in await county.gateway.recalls.of_message(sent.message) if r.inbox == SEAT_E]
        assert recall.state is (RecallState.INCIDENT if opened else RecallState.REQUESTED)
        outcomes.add(recall.state)
    assert outcomes


async def test_only_the_sender_asks_and_only_what_has_arrived(county: County) -> None:
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    sent = await county.send_referral(worker, case.id, undo_seconds=10)
    with pytest.raises(ConflictError):
        await county.gateway.recalls.request(worker, ALVESTA, sent.message)
    chief = await county.sign_in("ek-chef")
    with pytest.raises(NotFoundError):
        await county.gateway.recalls.request(chief, SEAT_E, sent.message)


async def test_a_registrator_sees_envelopes_of_the_own_administration_and_no_content(county: County) -> None:
    worker = await county.sign_in("al-sos")
    case, consent = await county.consented_case(worker)
    await county.send_referral(worker, case.id)
    await county.deliver()
    registrator = await county.sign_in("re-reg")
    [line] = await county.gateway.traffic.received(registrator, REGION)
    assert (line.line.inbox, line.line.sender, line.line.case_reference) == (SEAT_E, ALVESTA, case.reference)
    assert not line.consent_ended
    assert await county.gateway.traffic.stopped(registrator, REGION) == []

    await county.gateway.consents.withdraw(worker, ALVESTA, consent.id)
    [stopped] = await county.gateway.traffic.stopped(registrator, REGION)
    assert stopped.consent_ended
    with pytest.raises(NotFoundError):
        await county.gateway.traffic.received(registrator, VAXJO_REGISTRATOR)
    with pytest.raises(ForbiddenError):
        await county.gateway.traffic.received(await county.sign_in("ek-chef"), SEAT_E)


async def test_an_operator_sees_states_by_opaque_ids_and_each_reading_is_logged(county: County) -> None:
    worker, sent = await sent_to_seats(county)
    operator = await county.sign_in("it")
    found = await county.gateway.traffic.transport(operator, state="delivered")
    assert {d.message for d in found} == {sent.message}
    assert await county.gateway.traffic.transport(operator, state="failed") == []
    assert len(await county.gateway.traffic.transport(operator, message=sent.message)) == 2
    with pytest.raises(ForbiddenError):
        await county.gateway.traffic.transport(worker)
    auditor = await county.sign_in("gransk")
    name = county.gateway.auditor.origin(county.clock.now())
    assert len(await county.gateway.review.search(auditor, name, action="transport_read")) == 3
    one = await county.gateway.review.search(auditor, name, object=str(sent.message))
    assert {event.action for event in one} >= {"sent", "decided"}
    page = await county.gateway.review.search(auditor, name, administration="region.hsv", limit=2)
    assert len(page) == 2
    more = await county.gateway.review.search(auditor, name, administration="region.hsv", before=page[-1].number)
    assert more[0].number < page[-1].number
