"""The whole path between two gateways by signed and encrypted mail alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.model.base import InboxId, MessageId
from gateway.model.path import Case, Channel, Consent
from gateway.neighbours import Reason, Telling
from gateway.sessions import Signed
from gateway.states import CaseState, ConsentState, DeliveryState
from tests.county import ALVESTA, SEAT_E, SEAT_N, County
from tests.holding import INTAKE, REGISTRATOR
from tests.smtp.federation import Post, a_post
from tests.smtp.parcels import a_parcel

pytestmark = pytest.mark.slow
PERSON = b"199006022397"  # a test number, as in tests/test_clear_columns.py


async def _sent(post: Post) -> tuple[Signed, Case, Consent, MessageId]:
    worker = await post.first.sign_in("al-sos")
    case, consent = await post.first.consented_case(worker)
    return worker, case, consent, (await post.first.send_referral(worker, case.id)).message


async def _states(county: County, message: MessageId) -> set[tuple[DeliveryState, str]]:
    return {(row.state, row.reason) for row in await county.store.deliveries_of(message)}


async def test_a_referral_goes_out_its_receipts_come_back_and_so_does_the_joint_answer(tmp_path: Path) -> None:
    """In transit until the receipt from inside the encryption; the answer finds its case by what its ids say."""
    async with a_post(tmp_path) as post:
        worker, case, consent, message = await _sent(post)
        await post.exchange(1)
        assert await _states(post.first, message) == {(DeliveryState.IN_TRANSIT, "")}
        await post.exchange()
        assert await _states(post.first, message) == {(DeliveryState.DELIVERED, "")}
        ekeliden, novus = await post.second.sign_in("ek-chef"), await post.second.sign_in("no-chef")
        read = await post.second.open(ekeliden, SEAT_E, message)
        assert read.message.origin == "smime"
        assert "need_summary" in read.opened.body["fields"]  # type: ignore[operator]
        await post.second.open(novus, SEAT_N, message)
        proposal = await post.second.gateway.answers.propose(ekeliden, SEAT_E, message, post.second.answer())
        await post.second.deliver()
        await post.second.gateway.answers.confirm(novus, SEAT_N, proposal.message)
        await post.exchange()
        ours = await post.first.store.get(Case, case.id)
        assert ours is not None
        assert ours.state is CaseState.MATCHED
        [line] = await post.first.gateway.inboxes.page(worker, ALVESTA)
        assert line.item.form_type == "board_response"

        await post.first.gateway.consents.withdraw(worker, ALVESTA, consent.id)
        await post.exchange()
        theirs = await post.second.store.get(Consent, consent.id)
        assert theirs is not None
        assert theirs.state is ConsentState.WITHDRAWN
        assert all(PERSON not in octets for octets in post.office.carried)
        assert post.one.left == post.two.left == {}


async def test_a_mail_that_is_delivered_twice_is_one_message_with_one_answer(tmp_path: Path) -> None:
    """Q06: a relay that never heard our 250 delivers again; at least once on the way, once in the inbox."""
    async with a_post(tmp_path) as post:
        post.office.twice = True
        _, _, _, message = await _sent(post)
        await post.exchange()
        assert await _states(post.first, message) == {(DeliveryState.DELIVERED, "")}
        rows = [row for row in await post.second.store.envelopes_of(message) if row.inbox == SEAT_E]
        assert len(rows) == 1


async def test_what_the_other_gateway_refuses_ends_with_its_reason(tmp_path: Path) -> None:
    """The receipt says why; a sender is never told "delivered" of what was refused."""
    async with a_post(tmp_path, unknown=SEAT_E) as post:
        _, _, _, message = await _sent(post)
        await post.exchange()
        rows = {row.inbox: (row.state, row.reason) for row in await post.first.store.deliveries_of(message)}
        assert rows == {
            SEAT_E: (DeliveryState.FAILED, str(Reason.NOT_FOUND)),
            SEAT_N: (DeliveryState.DELIVERED, ""),
        }


async def test_mail_to_a_registrar_s_address_waits_sealed_and_is_read_by_whom_it_was_given_to(tmp_path: Path) -> None:
    """docs/channels.md §3.2 over e-mail: receipted as arrived, opened by no registrator, one message in the end."""
    async with a_post(tmp_path, collecting=REGISTRATOR) as post:
        inbox = f"{ALVESTA}@alvesta.example"
        directory = await post.first.gateway.directory.current()
        [pin] = [route.pin for route in directory.ways_to(InboxId(REGISTRATOR))]
        parcel = a_parcel(sender_address=inbox, address=f"{REGISTRATOR}@region.example", pin=pin)
        assert (await post.one.hand_over(parcel)).telling is Telling.IN_TRANSIT
        await post.exchange()
        assert (await post.one.outcome(str(parcel.id))).telling is Telling.DELIVERED
        registrator = await post.second.sign_in("vx-reg")
        [waits] = (await post.second.gateway.triage.desk(registrator, InboxId(REGISTRATOR))).waiting
        assert (waits.channel, waits.sender) == (Channel.SMIME, ALVESTA)
        assert "Uppdragsblankett" not in repr(waits)
        assert await post.second.gateway.inboxes.page(registrator, InboxId(REGISTRATOR)) == []

        await post.second.gateway.triage.order(registrator, waits.envelope, INTAKE)
        await post.second.gateway.placing.run_once()
        reader = await post.second.sign_in("vx-bf")
        [line] = await post.second.gateway.inboxes.page(reader, INTAKE)
        opened = await post.second.gateway.opening.open(reader, line.item.envelope)
        assert opened.message.origin == "smime"
        assert post.two.left == {}
