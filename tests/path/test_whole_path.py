"""The whole path: a referral from a case worker to both seats, the joint answer back, and stage 2 to the unit."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.audit import AuditAction
from gateway.model.classes import Category
from gateway.model.path import Case, ReceiptKind
from gateway.states import CaseState, DeliveryState
from tests.county import ALVESTA, SEAT_E, SEAT_N, UNIT_E, County, a_county


@pytest.fixture
async def county() -> AsyncIterator[County]:
    async with a_county() as ready:
        yield ready


async def _pdf() -> AsyncIterator[bytes]:
    yield b"%PDF-1.7\n" + b"Utdrag ur utredningen. " * 400


async def test_a_referral_reaches_both_seats_is_answered_by_both_and_stage_two_reaches_the_unit(county: County) -> None:
    gateway = county.gateway
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    draft = await gateway.drafts.create(worker, ALVESTA, case.id, "placement_referral", 1, county_values(county))
    await gateway.attachments.add(worker, draft.id, "utdrag.pdf", Category.SOCIAL, _pdf())
    preview = await gateway.sending.preview(worker, draft.id, ["remissgrupp"])
    assert "identity_number" in preview.held_back[SEAT_E]
    sent = await gateway.sending.send_draft(worker, draft.id, ["remissgrupp"], idempotency_key="k1")
    assert await gateway.sending.send_draft(worker, draft.id, ["remissgrupp"], idempotency_key="k1") == type(sent)(
        sent.message, repeated=True
    )
    await county.deliver()

    ekeliden, novus = await county.sign_in("ek-chef"), await county.sign_in("no-chef")
    [line] = await gateway.inboxes.page(ekeliden, SEAT_E)
    assert not line.read
    opened = await county.open(ekeliden, SEAT_E, sent.message)
    fields = opened.opened.body["fields"]
    assert isinstance(fields, dict)
    assert "need_summary" in fields
    assert not {"individual_name", "identity_number", "medication"} & fields.keys()
    assert opened.opened.attachments == ()  # attachments are stage 2
    await county.open(novus, SEAT_N, sent.message)
    stands = await county.store.get(Case, case.id)
    assert stands is not None
    assert stands.state is CaseState.RECEIVED

    proposal = await gateway.answers.propose(ekeliden, SEAT_E, sent.message, county.answer())
    await county.deliver()
    answer = await gateway.answers.confirm(novus, SEAT_N, proposal.message)
    await county.deliver()

    read = await county.open(worker, ALVESTA, answer.message)
    assert [e.administration for e in read.opened.endorsements] == ["region.hsv", "vaxjo.nav"]
    assert read.opened.body["statement"] == "Svaret är en samordning av plats, inte ett biståndsbeslut."
    gateway.ports.sealer.check_document(
        dict(read.opened.body["fields"]),
        read.opened.document,
        read.opened.document_blind,  # type: ignore[call-overload]
    )
    stands = await county.store.get(Case, case.id)
    assert stands is not None
    assert (stands.state, stands.matched_units) == (CaseState.MATCHED, ("ekeliden",))

    draft = await gateway.drafts.create(worker, ALVESTA, case.id, "placement_referral", 1, county_values(county))
    await gateway.attachments.add(worker, draft.id, "utdrag.pdf", Category.SOCIAL, _pdf())
    second = await gateway.sending.send_draft(worker, draft.id, [UNIT_E])
    await county.deliver()
    await county.step_up(ekeliden, UNIT_E)
    unit = await county.open(ekeliden, UNIT_E, second.message)
    fields = unit.opened.body["fields"]
    assert isinstance(fields, dict)
    assert fields["identity_number"] == {"kind": "personnummer", "value": "199006022397"}
    assert "medication" not in fields  # stage 3
    [file] = unit.opened.attachments
    told, stream = await gateway.opening.attachment(ekeliden, await county.envelope(UNIT_E, second.message), file.id)
    plain = b"".join([piece async for piece in stream])
    assert (told.name, plain[:8], len(plain)) == ("utdrag.pdf", b"%PDF-1.7", file.size)

    view = await gateway.cases.view(worker, ALVESTA, case.id)
    assert {d.state for d in view.deliveries} == {DeliveryState.OPENED}
    for receipt in view.receipts:
        await gateway.ports.sealer.check_receipt(receipt)
    assert {r.kind for r in view.receipts} == {ReceiptKind.DELIVERED, ReceiptKind.OPENED}

    await gateway.integrator.flush()
    [report] = await gateway.review.verify()
    assert report.exit_code == 0, report.faults
    assert report.unpublished == 0
    reviewer = await county.sign_in("gransk")
    events = await gateway.review.events(reviewer, report.log, start=0, limit=200)
    assert {AuditAction.SENT, AuditAction.OPENED, AuditAction.ANSWER_CONFIRMED} <= {e.action for e in events}


def county_values(county: County) -> dict[str, object]:
    from gateway.forms.demo import demo_referral

    return demo_referral(county.today)
