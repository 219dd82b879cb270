"""What leaves and what comes in, between two gateways: docs/channels.md, sentence by sentence."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.audit import AuditAction
from gateway.documents import DocumentError
from gateway.errors import EnvelopeError, RefusedError
from gateway.model.base import MINUTE, SECOND, InboxId, MessageId
from gateway.model.classes import Category
from gateway.model.keys import EnvelopeWrap
from gateway.model.path import Case, Channel, Consent, Origin, Way
from gateway.neighbours import Answer, Arrived, ArrivedFile, Parcel, Reason, Telling, Told
from gateway.ports import Update, Work
from gateway.sessions import Signed
from gateway.states import AnswerState, CaseState, ConsentState, DeliveryState
from tests.county import ALVESTA, SEAT_E, SEAT_N, UNIT_E, VAXJO, County
from tests.neighbours import WIRE, Pair, Wire, a_pair, address_of, as_arrival, proposed_over_the_border


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with a_pair() as ready:
        await ready.pin()
        yield ready


async def _pdf() -> AsyncIterator[bytes]:
    yield b"%PDF-1.7\n" + b"Utdrag ur utredningen. " * 400


async def test_the_whole_path_goes_between_two_gateways(pair: Pair) -> None:
    """A referral out, the joint answer of two seats back, stage 2 with its file to the matched unit."""
    first, second = pair.first, pair.second
    worker = await first.sign_in("al-sos")
    case, _ = await first.consented_case(worker)
    sent = await first.send_referral(worker, case.id)
    await pair.exchange()

    states = {d.inbox: (d.channel, d.state) for d in await first.store.deliveries_of(sent.message)}
    assert states == {
        SEAT_E: (Channel.SDK, DeliveryState.DELIVERED),
        SEAT_N: (Channel.SDK, DeliveryState.DELIVERED),
    }
    ekeliden, novus = await second.sign_in("ek-chef"), await second.sign_in("no-chef")
    read = await second.open(ekeliden, SEAT_E, sent.message)
    assert read.message.origin == "sdk-mk"
    assert "need_summary" in read.opened.body["fields"]  # type: ignore[operator]
    assert "identity_number" not in read.opened.body["fields"]  # type: ignore[operator]
    await second.open(novus, SEAT_N, sent.message)

    proposal = await second.gateway.answers.propose(ekeliden, SEAT_E, sent.message, second.answer())
    await second.deliver()
    await second.gateway.answers.confirm(novus, SEAT_N, proposal.message)
    await pair.exchange()

    ours = await first.store.get(Case, case.id)
    assert ours is not None
    assert (ours.state, ours.matched_units) == (CaseState.MATCHED, ("ekeliden",))
    [line] = await first.gateway.inboxes.page(worker, ALVESTA)
    answer = await first.gateway.opening.open(worker, line.item.envelope)
    assert answer.opened.body["fields"]["result"] == "EKELIDEN"  # type: ignore[index]
    assert answer.message.in_reply_to == sent.message

    values = (await first.open(worker, ALVESTA, sent.message)).opened.body["fields"]
    draft = await first.gateway.drafts.create(worker, ALVESTA, case.id, "placement_referral", 1, values)  # type: ignore[arg-type]
    await first.gateway.attachments.add(worker, draft.id, "utdrag.pdf", Category.SOCIAL, _pdf())
    stage_2 = await first.gateway.sending.send_draft(worker, draft.id, [UNIT_E])
    await pair.exchange()
    await second.step_up(ekeliden, UNIT_E)
    unit = await second.open(ekeliden, UNIT_E, stage_2.message)
    assert unit.opened.body["fields"]["identity_number"]["value"] == "199006022397"  # type: ignore[index]
    [file] = unit.opened.attachments
    envelope = await second.envelope(UNIT_E, stage_2.message)
    _, stream = await second.gateway.opening.attachment(ekeliden, envelope, file.id)
    assert b"".join([piece async for piece in stream])[:8] == b"%PDF-1.7"
    for county in (first, second):
        await county.gateway.integrator.flush()
        [report] = await county.gateway.review.verify()
        assert report.faults == []


async def _sent(pair: Pair, recipients: tuple[str, ...] = ("remissgrupp",)) -> tuple[Signed, MessageId]:
    worker = await pair.first.sign_in("al-sos")
    case, _ = await pair.first.consented_case(worker)
    return worker, (await pair.first.send_referral(worker, case.id, recipients)).message


async def _states(county: County, message: MessageId) -> set[tuple[Channel, DeliveryState, str]]:
    return {(d.channel, d.state, d.reason) for d in await county.store.deliveries_of(message)}


@pytest.mark.slow
async def test_a_neighbour_that_is_away_delays_and_then_gets_the_stored_octets(pair: Pair) -> None:
    """§2: a neighbour that is away is delayed and tried again; nothing is sealed anew."""
    pair.one.away = 1
    _, message = await _sent(pair, (SEAT_E,))
    [before] = [e.octets for e in await pair.first.store.envelopes_of(message) if e.inbox == SEAT_E]
    await pair.first.gateway.channels.run_once(WIRE)
    assert await _states(pair.first, message) == {(WIRE, DeliveryState.QUEUED, "unreachable")}

    await pair.exchange()

    assert await _states(pair.first, message) == {(WIRE, DeliveryState.DELIVERED, "")}
    [after] = [e.octets for e in await pair.first.store.envelopes_of(message) if e.inbox == SEAT_E]
    assert after == before


async def test_trouble_of_our_own_with_one_parcel_delays_it_and_holds_up_no_other(pair: Pair) -> None:
    """A page that cannot be made is nobody's fault outside: kept, tried again, and the others go."""
    first = pair.first
    worker = await first.sign_in("al-sos")
    case, _ = await first.consented_case(worker)

    class Stumbling(Wire):
        async def hand_over(self, parcel: Parcel) -> Told:
            if parcel.recipient.id == SEAT_E:
                raise DocumentError("no memory")
            return await super().hand_over(parcel)

    first.gateway.channels.connect(Stumbling(other=pair.two))
    sent = await first.send_referral(worker, case.id)
    await first.gateway.channels.run_once(WIRE)
    states = {row.inbox: (row.state, row.attempts) for row in await first.store.deliveries_of(sent.message)}
    assert states == {SEAT_E: (DeliveryState.QUEUED, 1), SEAT_N: (DeliveryState.IN_TRANSIT, 1)}
    first.gateway.channels.connect(pair.one)
    await pair.exchange()
    assert {row.state for row in await first.store.deliveries_of(sent.message) if row.inbox == SEAT_E} == {
        DeliveryState.DELIVERED
    }


async def test_what_has_left_is_logged_before_it_is_opened(pair: Pair) -> None:
    """S authorises, C opens, the log comes first."""
    _, message = await _sent(pair, (SEAT_E,))
    seen: list[str] = []

    async def hand_over(parcel: Parcel) -> Told:
        log = pair.first.gateway.auditor.origin(pair.first.clock.now())
        sides = await pair.first.store.sides(log, 0, await pair.first.store.log_size(log))
        seen.extend(side.action for side in sides if side.object == parcel.id)
        return Told(Telling.DELAYED, Reason.UNREACHABLE)

    pair.one.hand_over = hand_over  # type: ignore[method-assign]
    await pair.first.gateway.channels.run_once(WIRE)
    assert seen == [AuditAction.DISPATCHED]
    assert {row.attempts for row in await pair.first.store.deliveries_of(message)} == {1}


@pytest.mark.slow
@pytest.mark.parametrize("step", ["channel.dispatched", "channel.handed_over"])
async def test_a_worker_that_ends_in_the_middle_hands_the_same_message_over_again(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Q05: a crash and a cancel leave the same state, and one rule repairs both: queue again, the same id."""
    _, message = await _sent(pair, (SEAT_E,))

    def reached(name: str) -> None:
        if name == step:
            raise asyncio.CancelledError

    with monkeypatch.context() as broken, contextlib.suppress(asyncio.CancelledError):
        broken.setattr("gateway.channels.failpoints.reached", reached)
        await pair.first.gateway.channels.run_once(WIRE)
    assert await _states(pair.first, message) == {(WIRE, DeliveryState.ATTEMPTING, "dispatched")}

    pair.first.clock.advance(11 * MINUTE)
    await pair.exchange()

    assert await _states(pair.first, message) == {(WIRE, DeliveryState.DELIVERED, "")}
    assert len([e for e in await pair.second.store.envelopes_of(message) if e.inbox == SEAT_E]) == 1


@pytest.mark.slow
async def test_the_same_arrival_a_hundred_times_at_once_is_one_message_with_one_answer(pair: Pair) -> None:
    """Q06: one message; the stored answer is given again."""
    _, message = await _sent(pair, (SEAT_E,))
    await pair.first.gateway.channels.run_once(WIRE)
    [arrived] = pair.two.waiting
    answers = await asyncio.gather(*(pair.second.gateway.intake.take(arrived) for _ in range(100)))
    assert {answer.reason for answer in answers} == {Reason.NONE}
    assert sum(not answer.repeated for answer in answers) == 1
    assert len([e for e in await pair.second.store.envelopes_of(message) if e.inbox == SEAT_E]) == 1


@pytest.mark.slow
async def test_another_content_under_a_known_id_is_refused_and_the_first_stays(pair: Pair) -> None:
    """Q07."""
    await _sent(pair, (SEAT_E,))
    await pair.first.gateway.channels.run_once(WIRE)
    [arrived] = pair.two.waiting
    assert (await pair.second.gateway.intake.take(arrived)).taken
    forged = dataclasses.replace(arrived, original=b"something else", text="något annat")
    assert await pair.second.gateway.intake.take(forged) == Answer(Reason.DUPLICATE)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"recipient": "0203:okand.example#sdk:inkorg:okand"}, Reason.NOT_FOUND),
        ({"sender": "0203:okand.example#sdk:inkorg:okand"}, Reason.UNTRUSTED),
        ({"files": (ArrivedFile(name="spel.exe", media_type="application/pdf", octets=b"MZ\x90\x00"),)}, Reason.TYPE),
        ({"files": (ArrivedFile(name="../x.pdf", media_type="application/pdf", octets=b"%PDF-1.7\n"),)}, Reason.TYPE),
    ],
)
@pytest.mark.slow
async def test_what_may_not_come_in_is_refused_with_its_reason_and_nothing_is_kept(
    pair: Pair, change: dict[str, Any], reason: Reason
) -> None:
    """§3, steps 2 to 4: one fault refuses the whole, and the same again gets the same answer."""
    _, message = await _sent(pair, (SEAT_E,))
    await pair.first.gateway.channels.run_once(WIRE)
    arrived = dataclasses.replace(pair.two.waiting[0], **change)
    for _ in range(2):
        assert (await pair.second.gateway.intake.take(arrived)).reason is reason
    assert await pair.second.store.envelopes_of(message) == []


@pytest.mark.slow
async def test_a_readable_message_from_a_foreign_client_becomes_a_message_in_a_case(pair: Pair) -> None:
    """§3, step 5: what is no form of ours is a message with its text and files, never nothing."""
    await _sent(pair, (SEAT_E,))
    await pair.first.gateway.channels.run_once(WIRE)
    foreign = dataclasses.replace(
        pair.two.waiting[0], data=None, subject="Fråga om plats", text="Har ni plats i mars?", reference="SN-2026-17"
    )
    assert (await pair.second.gateway.intake.take(foreign)).taken
    ekeliden = await pair.second.sign_in("ek-chef")
    [line] = await pair.second.gateway.inboxes.page(ekeliden, SEAT_E)
    opened = await pair.second.gateway.opening.open(ekeliden, line.item.envelope)
    assert opened.opened.body["fields"] == {
        "subject": "Fråga om plats",
        "sender_reference": "SN-2026-17",
        "text": "Har ni plats i mars?",
    }


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"form": 1},
        {"form": ["x", 1], "body": {}},
        {"form": ["placement_referral", 1], "body": {"stage": "S1", "fields": {"made_up": 1}}},
    ],
)
@pytest.mark.slow
async def test_data_that_is_no_form_at_its_stage_is_never_taken_for_one(pair: Pair, broken: dict[str, Any]) -> None:
    await _sent(pair, (SEAT_E,))
    await pair.first.gateway.channels.run_once(WIRE)
    arrived = dataclasses.replace(pair.two.waiting[0], data=broken, text="Se bilaga.")
    assert (await pair.second.gateway.intake.take(arrived)).taken
    ekeliden = await pair.second.sign_in("ek-chef")
    [line] = await pair.second.gateway.inboxes.page(ekeliden, SEAT_E)
    assert line.item.form_type == "outside_message"


@pytest.mark.slow
async def test_a_copied_conversation_opens_a_case_of_its_own(pair: Pair) -> None:
    """A conversation counts only together with the party that it was held with."""
    await _sent(pair, (SEAT_E,))
    await pair.exchange()
    ekeliden = await pair.second.sign_in("ek-chef")
    [first] = await pair.second.gateway.inboxes.page(ekeliden, SEAT_E)
    [row] = await pair.second.store.conversations_of(first.item.case)
    stranger = Arrived(
        channel=WIRE,
        origin=Origin.SDK,
        id=str(uuid.UUID(int=7)),
        sender=address_of("alvesta.barnfamilj.mottagning"),
        recipient=address_of(SEAT_E),
        conversation=row.id,
        replies_to="",
        reference="",
        subject="",
        text="Hej",
        created=pair.second.clock.now(),
        original=b"x",
    )
    assert (await pair.second.gateway.intake.take(stranger)).taken
    newest = (await pair.second.gateway.inboxes.page(ekeliden, SEAT_E))[0]
    assert newest.item.case != first.item.case


@pytest.mark.slow
async def test_when_a_way_is_gone_the_next_one_that_was_signed_is_tried_and_a_late_receipt_still_counts() -> None:
    """§2.2: one message identity over both ways."""
    async with a_pair(also={"handover": "Postadress "}) as pair:
        _, message = await _sent(pair, (SEAT_E,))
        await pair.first.gateway.channels.run_once(WIRE)
        pair.one.outcomes = {key: Told(Telling.REFUSED, Reason.NOT_CONNECTED, key) for key in pair.one.outcomes}
        pair.first.clock.advance(MINUTE)
        await pair.first.gateway.channels.run_once(WIRE)
        assert await _states(pair.first, message) == {
            (WIRE, DeliveryState.FAILED, "not-connected"),
            (Channel.HANDOVER, DeliveryState.QUEUED, ""),
        }
        assert len({row.envelope for row in await pair.first.store.deliveries_of(message)}) == 1


@pytest.mark.slow
@pytest.mark.parametrize("withdrawn", ["while the first is on its way", "when the second waits"])
async def test_the_second_way_rests_on_the_consents_of_the_first(withdrawn: str) -> None:
    """§2.2, GDPR Art. 7(3): a withdrawal cancels what waits on the second way, and begins no new one."""
    async with a_pair(also={"handover": "Postadress "}) as pair:
        worker = await pair.first.sign_in("al-sos")
        case, consent = await pair.first.consented_case(worker)
        message = (await pair.first.send_referral(worker, case.id, (SEAT_E,))).message
        await pair.first.gateway.channels.run_once(WIRE)
        if withdrawn == "while the first is on its way":
            await pair.first.gateway.consents.withdraw(worker, ALVESTA, consent.id)
        pair.one.outcomes = {key: Told(Telling.REFUSED, Reason.NOT_CONNECTED, key) for key in pair.one.outcomes}
        pair.first.clock.advance(MINUTE)
        await pair.first.gateway.channels.run_once(WIRE)
        if withdrawn == "when the second waits":
            await pair.first.gateway.consents.withdraw(worker, ALVESTA, consent.id)

        states = await _states(pair.first, message)
        assert (WIRE, DeliveryState.FAILED, "not-connected") in states
        second = {state for channel, state, _ in states if channel is Channel.HANDOVER}
        assert second == ({DeliveryState.CANCELLED} if withdrawn == "when the second waits" else set())


@pytest.mark.slow
async def test_a_fault_of_the_message_is_for_a_person_and_tries_no_other_way() -> None:
    async with a_pair(also={"handover": "Postadress "}) as pair:
        _, message = await _sent(pair, (SEAT_E,))
        await pair.first.gateway.channels.run_once(WIRE)
        pair.one.outcomes = {key: Told(Telling.REFUSED, Reason.TYPE, key) for key in pair.one.outcomes}
        pair.first.clock.advance(MINUTE)
        await pair.first.gateway.channels.run_once(WIRE)
        assert await _states(pair.first, message) == {(WIRE, DeliveryState.FAILED, "type-not-accepted")}


@pytest.mark.slow
async def test_a_way_that_the_sender_did_not_sign_is_not_gone(pair: Pair) -> None:
    """Whoever writes to the database cannot send a message another way."""
    _, message = await _sent(pair, (SEAT_E,))
    [row] = await pair.first.store.deliveries_of(message)
    moved = dataclasses.replace(row, channel=Channel.SMIME, version=row.version + 1)
    await pair.first.store.commit(Work(changes=(Update(moved),)))
    mail = Wire(channel=Channel.SMIME, other=pair.two)
    pair.first.gateway.channels.connect(mail)
    await pair.first.gateway.channels.run_once(Channel.SMIME)
    assert mail.carried == []
    assert await _states(pair.first, message) == {(Channel.SMIME, DeliveryState.FAILED, "signature")}


@pytest.mark.slow
async def test_a_withdrawal_before_it_has_left_keeps_it_here(pair: Pair) -> None:
    """Design §3: queued deliveries are cancelled; afterwards it may have left."""
    worker = await pair.first.sign_in("al-sos")
    case, consent = await pair.first.consented_case(worker)
    sent = await pair.first.send_referral(worker, case.id, (SEAT_E,))
    await pair.first.gateway.consents.withdraw(worker, ALVESTA, consent.id)
    await pair.exchange()
    assert pair.one.carried == []
    assert await _states(pair.first, sent.message) == {(WIRE, DeliveryState.CANCELLED, "")}


@pytest.mark.slow
async def test_three_failures_open_the_circuit_and_the_queue_waits_unclaimed(pair: Pair) -> None:
    """§2.3."""
    pair.one.away = 3
    for _ in range(3):
        await _sent(pair, (SEAT_E,))
    await pair.first.gateway.channels.run_once(WIRE)
    assert not pair.first.gateway.channels.circuit(WIRE).closed(pair.first.clock.now())
    pair.first.clock.advance(10 * SECOND)
    assert await pair.first.gateway.channels.run_once(WIRE) == 0
    pair.first.clock.advance(30 * SECOND)
    pair.one.away = 1
    assert await pair.first.gateway.channels.run_once(WIRE) == 1  # one for all
    assert not pair.first.gateway.channels.circuit(WIRE).closed(pair.first.clock.now())
    pair.first.clock.advance(61 * SECOND)
    assert await pair.first.gateway.channels.run_once(WIRE) == 1
    assert await pair.first.gateway.channels.run_once(WIRE) > 1


async def test_a_channel_envelope_opens_for_no_member_and_an_inbox_envelope_for_no_worker(pair: Pair) -> None:
    """C18: worker credentials open no inbox envelope; members none that leaves."""
    worker, message = await _sent(pair, (SEAT_E,))
    opener = pair.first.gateway.ports.opener
    for envelope in await pair.first.store.envelopes_of(message):
        wrap = await pair.first.store.get(EnvelopeWrap, envelope.id)
        assert wrap is not None
        if envelope.sender_copy:
            for way in (Way(WIRE, address_of(SEAT_E)), Way(WIRE, "")):
                with pytest.raises(EnvelopeError):
                    await opener.open_leaving(envelope, wrap, way)
        else:
            with pytest.raises(EnvelopeError):
                await opener.open(envelope, wrap, worker.user.id)


@pytest.mark.slow
async def test_what_has_arrived_can_no_longer_be_opened_on_its_way_and_the_senders_copy_stays(pair: Pair) -> None:
    """§4: on the final state the shred key of the channel envelope is deleted."""
    worker, message = await _sent(pair, (SEAT_E,))
    await pair.exchange()
    [envelope] = [e for e in await pair.first.store.envelopes_of(message) if e.inbox == SEAT_E]
    wrap = await pair.first.store.get(EnvelopeWrap, envelope.id)
    assert wrap is not None
    with pytest.raises(EnvelopeError):
        await pair.first.gateway.ports.opener.open_leaving(envelope, wrap, Way(WIRE, address_of(SEAT_E)))
    assert (await pair.first.open(worker, ALVESTA, message)).opened.body["fields"]


@pytest.mark.slow
async def test_a_withdrawal_reaches_the_parties_outside_and_ends_what_they_would_rest_on(pair: Pair) -> None:
    """§2.4: told without content; the receiver's own disclosure can no longer rest on it."""
    worker = await pair.first.sign_in("al-sos")
    case, consent = await pair.first.consented_case(worker)
    sent = await pair.first.send_referral(worker, case.id)
    await pair.exchange()
    ekeliden = await pair.second.sign_in("ek-chef")
    await pair.second.open(ekeliden, SEAT_E, sent.message)
    mirrored = await pair.second.store.get(Consent, consent.id)
    assert mirrored is not None
    assert mirrored.state is ConsentState.GIVEN

    await pair.first.gateway.consents.withdraw(worker, ALVESTA, consent.id)
    await pair.exchange()

    mirrored = await pair.second.store.get(Consent, consent.id)
    assert mirrored is not None
    assert mirrored.state is ConsentState.WITHDRAWN
    with pytest.raises(RefusedError):
        await pair.second.gateway.answers.propose(ekeliden, SEAT_E, sent.message, pair.second.answer())
    newest = (await pair.second.gateway.inboxes.page(ekeliden, SEAT_E))[0]
    told = await pair.second.gateway.opening.open(ekeliden, newest.item.envelope)
    assert told.message.form_type == "case_notice"
    assert told.opened.body["fields"]["kind"] == "CONSENT_WITHDRAWN"  # type: ignore[index]


@pytest.mark.slow
async def test_nobody_outside_withdraws_a_consent_that_was_recorded_here(pair: Pair) -> None:
    worker = await pair.first.sign_in("al-sos")
    case, consent = await pair.first.consented_case(worker)
    await pair.first.send_referral(worker, case.id)
    await pair.exchange()
    changes, entries = await pair.first.gateway.consents.ended_outside(case.id, consent.id)
    assert (changes, entries) == ([], [])


@pytest.mark.slow
async def test_a_joint_answer_is_signed_by_two_authorities_that_share_no_gateway() -> None:
    """Design §2: a proposal seat to seat, a confirmation over the same commitment, one message to the case worker."""
    async with a_pair(("vaxjo.nav", "alvesta.ifo")) as pair:
        vaxjo, region = pair.first, pair.second
        worker, novus, case, proposal = await proposed_over_the_border(pair)

        answer = await vaxjo.gateway.answers.confirm(novus, SEAT_N, proposal)
        await pair.exchange()

        read = await vaxjo.open(worker, VAXJO, answer.message)
        assert [one.administration for one in read.opened.endorsements] == ["vaxjo.nav"]
        [outside] = read.opened.body["endorsed_outside"]  # type: ignore[misc]
        assert outside["administration"] == "region.hsv"
        assert outside["known"] is True  # the directory pins the region's key
        ours, theirs = await vaxjo.store.get(Case, case.id), await _case_of(region, SEAT_E)
        assert ours is not None
        assert (ours.state, ours.matched_units) == (theirs.state, theirs.matched_units)
        assert ours.state is CaseState.MATCHED
        for county in (vaxjo, region):
            [row] = await county.store.answers_of((await _case_of(county, SEAT_E)).id)
            assert (row.state, row.proposal, row.answer) == (AnswerState.CONFIRMED, proposal, answer.message)


async def _case_of(county: County, party: str) -> Case:
    [case] = await county.store.cases_of(InboxId(party), after=None, limit=2)
    return case


@pytest.mark.slow
async def test_two_first_messages_of_a_conversation_leave_at_once_and_neither_waits(pair: Pair) -> None:
    """The second finds the conversation begun by the first: no lease of ten minutes has to lapse."""
    sent = await _referral_and_message(pair, cases=4)
    await pair.exchange()
    rows = [row for message in sent for row in await pair.first.store.deliveries_of(message)]
    assert {row.state for row in rows} == {DeliveryState.DELIVERED}
    assert len(pair.one.carried) == len(sent) == 8


async def test_a_referral_that_comes_after_a_message_about_it_is_still_the_request(pair: Pair) -> None:
    """Q08: what comes out of order ends in the same state."""
    await _referral_and_message(pair, cases=1)
    await pair.first.deliver()
    await pair.first.gateway.channels.run_once(WIRE)
    pair.two.waiting.sort(key=lambda arrived: arrived.subject == "Uppdragsblankett")
    assert [arrived.data is not None and arrived.data["form"][0] for arrived in pair.two.waiting] == [
        "case_message",
        "placement_referral",
    ]
    await pair.exchange()
    [mirror] = await pair.second.store.cases_of(SEAT_N, after=None, limit=3)
    assert mirror.state is CaseState.REQUESTED


async def _referral_and_message(pair: Pair, *, cases: int) -> list[MessageId]:
    """A referral and a message about it to Novus for each case, queued and not yet handed over."""
    worker, sent = await pair.first.sign_in("al-sos"), []
    for _ in range(cases):
        case, _ = await pair.first.consented_case(worker)
        sent.append((await pair.first.send_referral(worker, case.id, (SEAT_N,))).message)
        words = {"text": "En komplettering.", "categories": ["NEED"]}
        draft = await pair.first.gateway.drafts.create(worker, ALVESTA, case.id, "case_message", 1, words)
        sent.append((await pair.first.gateway.sending.send_draft(worker, draft.id, [SEAT_N])).message)
    return sent


async def test_a_disagreement_stays_between_the_seats_and_both_gateways_know_it() -> None:
    async with a_pair(("vaxjo.nav", "alvesta.ifo")) as pair:
        vaxjo, region = pair.first, pair.second
        worker, novus, _, proposal = await proposed_over_the_border(pair)
        before = len(await vaxjo.gateway.inboxes.page(worker, VAXJO))
        await vaxjo.gateway.answers.disagree(novus, SEAT_N, proposal)
        await pair.exchange()
        for county in (vaxjo, region):
            [row] = await county.store.answers_of((await _case_of(county, SEAT_E)).id)
            assert row.state is AnswerState.DISAGREED
        assert len(await vaxjo.gateway.inboxes.page(worker, VAXJO)) == before


@pytest.mark.slow
@pytest.mark.parametrize("change", ["words", "signature", "blind", "none"])
async def test_a_proposal_whose_words_are_not_the_ones_that_were_signed_is_refused(change: str) -> None:
    """What both sign is a commitment to the words: another word, another blind, another signature is refused."""
    async with a_pair(("vaxjo.nav", "alvesta.ifo")) as pair:
        taken: list[Arrived] = []
        held = pair.two.hand_over

        async def keep(parcel: Parcel) -> Told:
            taken.append(parcel)  # type: ignore[arg-type]
            return await held(parcel)

        pair.two.hand_over = keep  # type: ignore[method-assign]
        await proposed_over_the_border(pair)
        [arrived] = [await as_arrival(one) for one in taken if one.form.id == "board_response"]  # type: ignore[attr-defined]
        data: dict[str, Any] = json.loads(json.dumps(arrived.data))
        if change == "words":
            data["body"]["fields"]["result"] = "NOVUS"
        elif change == "signature":
            data["endorsements"][0]["signature"] = "00" * 64
        elif change == "blind":
            data["blind"] = "00" * 32
        else:
            data["endorsements"] = []
        forged = dataclasses.replace(arrived, id=str(uuid.UUID(int=9)), data=data, original=b"forged")
        assert await pair.first.gateway.intake.take(forged) == Answer(Reason.SIGNATURE)
