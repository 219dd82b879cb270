"""What must go wrong well: wrong recipients, forms and consents, rows changed past the gateway, damaged files."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.memory import MemoryBlobs, MemoryStore
from gateway.audit import AuditAction
from gateway.errors import (
    AttachmentError,
    ConflictError,
    EnvelopeError,
    GatewayError,
    IllegalTransitionError,
    IntegrityError,
    InvalidFormError,
    NotFoundError,
    RecipientError,
    RefusedError,
    SessionEndedError,
    UnknownFormError,
)
from gateway.forms.demo import demo_referral
from gateway.model.base import DAY, MINUTE, Instant
from gateway.model.classes import Category
from gateway.model.directory import Inbox
from gateway.model.identity import Membership, MembershipRole, MembershipState
from gateway.model.keys import EnvelopeWrap
from gateway.model.log import AuditSide
from gateway.model.path import Channel, Consent, Delivery, Envelope
from gateway.states import DeliveryState
from tests.county import ALVESTA, SEAT_E, SEAT_N, UNIT_E, VAXJO, County, a_county


@pytest.fixture
async def county() -> AsyncIterator[County]:
    async with a_county() as ready:
        yield ready


def memory(county: County) -> MemoryStore:
    assert isinstance(county.store, MemoryStore)
    return county.store


def flipped(octets: bytes, *, at: int = -1) -> bytes:
    """`octets` with one bit changed: never by chance the same."""
    changed = bytearray(octets)
    changed[at] ^= 1
    return bytes(changed)


async def states(county: County, message: Any) -> set[DeliveryState]:
    return {row.state for row in await county.store.deliveries_of(message)}


# --- recipients, forms, consents ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipients", "error"),
    [
        (("no.such.inbox",), RecipientError),
        (("region.registrator",), RecipientError),  # takes messages, not referrals
        ((), RecipientError),
        (("remissgrupp",) * 70, RecipientError),
        (("ekeliden.enhet",), RefusedError),  # not matched: no stage 2 yet
        (("remissgrupp", "ekeliden.enhet"), GatewayError),
    ],
)
async def test_a_wrong_recipient_is_refused_before_anything_is_sealed(
    county: County, recipients: tuple[str, ...], error: type[GatewayError]
) -> None:
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    with pytest.raises(error) as refused:
        await county.send_referral(worker, case.id, recipients)
    assert refused.value.swedish != str(refused.value)
    assert refused.value.next_step
    assert memory(county).all(Envelope) == []
    assert len(await county.gateway.drafts.list(worker, ALVESTA, after=None, limit=9)) == 1


async def test_an_inbox_that_nobody_reads_yet_is_named(county: County) -> None:
    from gateway.sending import Submission

    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    submission = Submission(
        case=case.id,
        form_type="case_message",
        form_version=1,
        values={"text": "Hej.", "categories": ["NEED"]},
        recipients=("region.piva",),
    )
    with pytest.raises(RecipientError, match="no members"):
        await county.gateway.sending.send(worker, ALVESTA, submission)


async def test_an_unknown_form_version_and_a_protected_person_are_refused(county: County) -> None:
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    with pytest.raises(UnknownFormError) as unknown:
        await county.gateway.drafts.create(worker, ALVESTA, case.id, "placement_referral", 2, {})
    with pytest.raises(RefusedError, match="D0") as protected:
        await county.send_referral(worker, case.id, protected_identity="MARKED")
    for error in (unknown.value, protected.value):
        assert error.swedish != str(error)
        assert error.next_step


async def test_a_consent_with_faults_is_not_recorded(county: County) -> None:
    worker = await county.sign_in("al-sos")
    with pytest.raises(InvalidFormError) as invalid:
        await county.consented_case(worker, valid_to="2028-01-01", informed_points=["WHO"], parties=[])
    assert {fault.pointer for fault in invalid.value.faults} >= {"/valid_to", "/informed_points", "/parties"}
    assert memory(county).all(Consent) == []


async def test_a_second_referral_while_one_waits_is_not_possible(county: County) -> None:
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    await county.send_referral(worker, case.id)
    with pytest.raises(IllegalTransitionError):
        await county.send_referral(worker, case.id)


async def test_within_the_same_board_a_missing_consent_warns_and_does_not_stop(county: County) -> None:
    worker = await county.sign_in("vx-sos")
    case = await county.gateway.cases.open(worker, VAXJO)
    values = demo_referral(county.today)
    draft = await county.gateway.drafts.create(worker, VAXJO, case.id, "placement_referral", 1, values)
    preview = await county.gateway.sending.preview(worker, draft.id, ["seat.novus"])
    [decided] = preview.decision.recipients
    assert decided.warnings and not decided.denied


async def test_undo_takes_back_what_is_queued_and_says_when_it_is_too_late(county: County) -> None:
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    sent = await county.send_referral(worker, case.id, undo_seconds=10)
    assert await county.gateway.recalls.take_back(worker, ALVESTA, sent.message) == 2
    with pytest.raises(ConflictError, match="nothing is queued"):
        await county.gateway.recalls.take_back(worker, ALVESTA, sent.message)


async def test_two_seats_cannot_both_propose_and_a_disagreement_sends_nothing(county: County) -> None:
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    sent = await county.send_referral(worker, case.id)
    await county.deliver()
    ekeliden, novus = await county.sign_in("ek-chef"), await county.sign_in("no-chef")
    await county.open(ekeliden, SEAT_E, sent.message)
    proposal = await county.gateway.answers.propose(ekeliden, SEAT_E, sent.message, county.answer())
    with pytest.raises(ConflictError):
        await county.gateway.answers.propose(novus, SEAT_N, sent.message, county.answer())
    await county.deliver()
    await county.gateway.answers.disagree(novus, SEAT_N, proposal.message)
    with pytest.raises(ConflictError):
        await county.gateway.answers.confirm(novus, SEAT_N, proposal.message)
    assert await county.gateway.inboxes.page(worker, ALVESTA) == []
    again = await county.gateway.answers.propose(novus, SEAT_N, sent.message, county.answer(result="NEED_MORE_INFO"))
    await county.deliver()
    await county.gateway.answers.confirm(ekeliden, SEAT_E, again.message)
    await county.send_referral(worker, case.id)  # completion_requested: sent again


async def test_racing_confirmations_make_one_answer(county: County) -> None:
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    sent = await county.send_referral(worker, case.id)
    await county.deliver()
    ekeliden, novus = await county.sign_in("ek-chef"), await county.sign_in("no-chef")
    await county.open(ekeliden, SEAT_E, sent.message)
    proposal = await county.gateway.answers.propose(ekeliden, SEAT_E, sent.message, county.answer())
    await county.deliver()
    done = await asyncio.gather(
        *(county.gateway.answers.confirm(novus, SEAT_N, proposal.message) for _ in range(10)), return_exceptions=True
    )
    assert sum(not isinstance(result, BaseException) for result in done) == 1


# --- rows changed past the gateway -------------------------------------------------------------------------------------


async def _sent(county: County) -> tuple[Any, Any, Any, Any]:
    worker = await county.sign_in("al-sos")
    case, consent = await county.consented_case(worker)
    sent = await county.send_referral(worker, case.id)
    await county.deliver()
    return worker, case, consent, sent


async def test_a_consent_widened_by_sql_is_refused(county: County) -> None:
    """Catalogue C14."""
    worker = await county.sign_in("al-sos")
    case, consent = await county.consented_case(worker)
    for forged in (
        dataclasses.replace(consent, valid_to=Instant(consent.valid_to + DAY)),
        dataclasses.replace(consent, case=case.id, sealed=flipped(consent.sealed)),
    ):
        memory(county).tamper(forged)
        with pytest.raises(IntegrityError):
            await county.send_referral(worker, case.id)
    assert memory(county).all(Envelope) == []


async def test_a_planted_membership_session_or_route_opens_nothing(county: County) -> None:
    """Catalogue C14."""
    _, _, _, sent = await _sent(county)
    thief = await county.sign_in("vx-sos")
    now = county.clock.now()
    planted = Membership(
        administration=thief.user.administration,
        inbox=SEAT_E,
        user=thief.user.id,
        role=MembershipRole.MEMBER,
        state=MembershipState.ACTIVE,
        proposed_at=now,
        mac=bytes(32),
    )
    memory(county).tamper(planted)
    with pytest.raises((NotFoundError, IntegrityError)):
        await county.open(thief, SEAT_E, sent.message)

    chief = await county.sign_in("ek-chef")
    stolen = dataclasses.replace(thief.session, user=chief.user.id)
    memory(county).tamper(stolen)
    with pytest.raises(SessionEndedError):
        await county.gateway.sessions.still_active(dataclasses.replace(thief, session=stolen))

    inbox = await county.store.get(Inbox, SEAT_E)
    assert inbox is not None
    memory(county).tamper(dataclasses.replace(inbox, administration=thief.user.administration))
    county.gateway.directory._snapshot = None  # a new process reads the rows again
    with pytest.raises(IntegrityError):
        await county.gateway.directory.current()


async def test_an_altered_or_swapped_envelope_wrap_or_key_record_shows_nothing_and_raises_an_alarm(
    county: County,
) -> None:
    """Catalogue C01, C04, C14."""
    _, _, _, sent = await _sent(county)
    chief = await county.sign_in("ek-chef")
    store = memory(county)
    envelopes = {e.inbox: e for e in await store.envelopes_of(sent.message)}
    mine, other = envelopes[SEAT_E], envelopes[SEAT_N]
    wrap, other_wrap = await store.get(EnvelopeWrap, mine.id), await store.get(EnvelopeWrap, other.id)
    assert wrap is not None and other_wrap is not None
    forged: list[Any] = [
        dataclasses.replace(mine, octets=flipped(mine.octets, at=900)),
        dataclasses.replace(mine, octets=other.octets, transcript=other.transcript),
        dataclasses.replace(wrap, locked=other_wrap.locked, shred_key=other_wrap.shred_key),
        dataclasses.replace(wrap, locked=flipped(wrap.locked)),
    ]
    whole = {Envelope: mine, EnvelopeWrap: wrap}
    for row in forged:
        store.tamper(row)
        with pytest.raises((EnvelopeError, IntegrityError)):
            await county.open(chief, SEAT_E, sent.message)
        store.tamper(whole[type(row)])
    assert any(side.action == AuditAction.ALARM for side in store.all(AuditSide))
    assert (await county.open(chief, SEAT_E, sent.message)).opened.body["fields"]


async def test_a_damaged_attachment_is_never_released_whole(county: County) -> None:
    """Catalogue C05 from the route's side."""
    worker, case, _, sent = await _sent(county)
    ekeliden, novus = await county.sign_in("ek-chef"), await county.sign_in("no-chef")
    await county.open(ekeliden, SEAT_E, sent.message)
    proposal = await county.gateway.answers.propose(ekeliden, SEAT_E, sent.message, county.answer())
    await county.deliver()
    await county.gateway.answers.confirm(novus, SEAT_N, proposal.message)
    values = demo_referral(county.today)
    draft = await county.gateway.drafts.create(worker, ALVESTA, case.id, "placement_referral", 1, values)

    async def pdf() -> AsyncIterator[bytes]:
        yield b"%PDF-1.7\n" + b"z" * 400_000

    await county.gateway.attachments.add(worker, draft.id, "a.pdf", Category.SOCIAL, pdf())
    second = await county.gateway.sending.send_draft(worker, draft.id, [UNIT_E])
    await county.deliver()
    await county.step_up(ekeliden, UNIT_E)
    envelope = await county.envelope(UNIT_E, second.message)
    opened = await county.gateway.opening.open(ekeliden, envelope)
    blobs = county.gateway.ports.blobs
    assert isinstance(blobs, MemoryBlobs)
    [(name, octets)] = blobs._blobs.items()
    for damaged in (octets[:-1], flipped(octets, at=100), flipped(octets)):
        blobs._blobs[name] = damaged
        _, stream = await county.gateway.opening.attachment(ekeliden, envelope, opened.opened.attachments[0].id)
        released = b""
        with pytest.raises(EnvelopeError):
            async for piece in stream:
                released += piece
        assert len(released) < 400_009


async def test_a_twenty_first_or_too_large_attachment_is_refused_and_the_rest_is_kept(county: County) -> None:
    from gateway.usecases import Options

    async with a_county(options=Options(attachment_max_bytes=1000)) as small:
        worker = await small.sign_in("al-sos")
        case, _ = await small.consented_case(worker)
        draft = await small.gateway.drafts.create(worker, ALVESTA, case.id, "placement_referral", 1, {})

        async def pdf(size: int) -> AsyncIterator[bytes]:
            yield b"%PDF-1.7\n" + b"z" * size

        with pytest.raises(AttachmentError, match="too-large"):
            await small.gateway.attachments.add(worker, draft.id, "a.pdf", Category.SOCIAL, pdf(2000))
        for number in range(20):
            await small.gateway.attachments.add(worker, draft.id, f"{number}.pdf", Category.SOCIAL, pdf(9))
        with pytest.raises(AttachmentError, match="too-many"):
            await small.gateway.attachments.add(worker, draft.id, "x.pdf", Category.SOCIAL, pdf(9))
        assert len(await small.store.attachments_of(draft.id)) == 20


async def test_a_crashed_worker_leaves_a_lease_that_the_next_one_takes_back(county: County) -> None:
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    sent = await county.send_referral(worker, case.id)
    now = county.clock.now()
    await county.store.claim_due(Channel.LOCAL, now=now, lease_until=Instant(now + MINUTE), owner="dead", limit=9)
    await county.deliver()
    assert await states(county, sent.message) == {DeliveryState.ATTEMPTING}
    county.clock.advance(2 * MINUTE)
    await county.deliver()
    assert await states(county, sent.message) == {DeliveryState.DELIVERED}
    assert all(isinstance(row, Delivery) for row in await county.store.deliveries_of(sent.message))
