"""What changes while somebody writes: the consent is withdrawn, a newer form comes; nothing is sent, nothing is lost."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.errors import UnknownFormError
from gateway.forms.demo import demo_referral
from gateway.model.base import ConsentId
from gateway.states import DeliveryState
from tests.county import ALVESTA, a_county
from tests.path.test_case_pages import Browser, checked, consented, opened_case, sending, submit, worker, written

__all__ = ["worker"]  # the fixture


async def test_a_consent_that_is_withdrawn_while_the_last_look_is_open_stops_the_sending(worker: Browser) -> None:
    """The commit is the moment that counts: the page showed a yes, the person has said no since."""
    case = await opened_case(worker)
    await consented(worker, case)
    where = await written(worker, case)
    page = await checked(worker, where)
    assert "Skicka till Remissgruppen" in page.text
    [row] = await worker.county.store.consents_of(case.rpartition("/")[2])  # type: ignore[arg-type]
    colleague = await worker.county.sign_in("al-sos")
    await worker.county.gateway.consents.withdraw(colleague, ALVESTA, ConsentId(row.id))

    reply = await submit(worker, where.replace("/mottagare", "/skicka"), sending(page), page)

    assert reply.status in (403, 409)
    assert "Samtycket har återkallats" in reply.text
    assert await worker.county.store.messages_of(case.rpartition("/")[2], limit=9) == []  # type: ignore[arg-type]
    again = await worker.get(where.replace("/mottagare", ""))
    assert again.status == 303  # the draft is there, and goes on where it was
    assert again.headers["Location"] == where


async def test_a_form_that_was_begun_is_sent_in_its_own_version_when_a_newer_one_has_come() -> None:
    """Old versions stay: what was written in one is whole in it."""
    async with a_county() as county:
        worker = await county.sign_in("al-sos")
        case, _ = await county.consented_case(worker)
        draft = await county.gateway.drafts.create(
            worker, ALVESTA, case.id, "placement_referral", 1, demo_referral(county.today)
        )
        old = county.gateway.forms.get("placement_referral", 1)
        newer = dataclasses.replace(old, version=2)
        county.gateway.forms._forms["placement_referral", 2] = newer

        sent = await county.gateway.sending.send_draft(worker, draft.id, ["remissgrupp"])
        await county.deliver()

        [message] = await county.store.messages_of(case.id, limit=9)
        assert (message.id, message.form_version) == (sent.message, 1)
        assert {d.state for d in await county.store.deliveries_of(sent.message)} == {DeliveryState.DELIVERED}
        chief = await county.sign_in("ek-chef")
        assert (await county.open(chief, "seat.ekeliden", sent.message)).opened.form_version == 1  # type: ignore[arg-type]


async def test_a_version_that_is_not_known_any_more_is_named_and_the_draft_is_kept() -> None:
    async with a_county() as county:
        worker = await county.sign_in("al-sos")
        case, _ = await county.consented_case(worker)
        draft = await county.gateway.drafts.create(worker, ALVESTA, case.id, "case_message", 1, {"text": "Ett utkast"})
        county.gateway.forms._forms.pop(("case_message", 1))
        with pytest.raises(UnknownFormError) as refused:
            await county.gateway.sending.send_draft(worker, draft.id, ["remissgrupp"])
        assert "Utkastet är kvar" in refused.value.next_step
        assert (await county.gateway.drafts.open(worker, draft.id)).values == {"text": "Ett utkast"}
