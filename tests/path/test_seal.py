"""Seal: one envelope, one recipient; sealed first, then signed (docs/envelope.md)."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway import envelope as form
from gateway.errors import EnvelopeError, IntegrityError
from gateway.model.base import AttachmentId, CaseId, DecisionId, EnvelopeId, Instant, MessageId
from gateway.model.directory import Inbox
from gateway.model.identity import User
from gateway.model.path import Envelope, Message, Origin, ReceiptKind
from gateway.ports import AttachmentKey, Letter, Sealed
from keys import suites
from tests.world import HSV, NAV, World, a_world, an_inbox

BODY = {"need_summary": "Behöver lugn miljö och struktur i vardagen.", "urgency": "SOON"}


@dataclasses.dataclass
class Post:
    """A sealed letter and everything around it."""

    world: World
    writer: User
    reader: User
    sender: Inbox
    recipient: Inbox
    letter: Letter
    sealed: Sealed
    envelope: Envelope
    message: Message


def a_letter(world: World, sender: Inbox, recipient: Inbox, **changes: object) -> Letter:
    letter = Letter(
        envelope=EnvelopeId(str(uuid.uuid4())),
        message=MessageId(str(uuid.uuid4())),
        sender=sender,
        recipient=recipient,
        sender_copy=False,
        origin=Origin.LOCAL,
        form_type="placement_referral",
        form_version=1,
        created=world.clock.now(),
        decision=DecisionId(str(uuid.uuid4())),
        not_after=Instant(world.clock.now() + 1),
        body=BODY,
    )
    return dataclasses.replace(letter, **changes)  # type: ignore[arg-type]


def rows_of(letter: Letter, sealed: Sealed) -> tuple[Envelope, Message]:
    case = CaseId(str(uuid.uuid4()))
    envelope = Envelope(
        administration=letter.recipient.administration,
        id=letter.envelope,
        message=letter.message,
        case=case,
        inbox=letter.recipient.id,
        sender_copy=letter.sender_copy,
        transcript=sealed.transcript,
        created_at=letter.created,
        octets=sealed.octets,
    )
    message = Message(
        administration=letter.sender.administration,
        id=letter.message,
        case=case,
        form_type=letter.form_type,
        form_version=letter.form_version,
        sender=letter.sender.id,
        origin=letter.origin,
        decision=letter.decision,
        document=letter.document,
        created_at=letter.created,
    )
    return envelope, message


@asynccontextmanager
async def a_post() -> AsyncIterator[Post]:
    """Two administrations, an inbox in each, and one letter between them."""
    world = await a_world()
    writer, reader = await world.user("vx-sos"), await world.user("ek-chef", HSV)
    sender = await world.inbox(an_inbox(), [writer])
    recipient = await world.inbox(an_inbox("seat.ekeliden", HSV), [reader])
    letter = a_letter(world, sender, recipient)
    sealed = await world.keyring.sealer.seal(letter)
    yield Post(world, writer, reader, sender, recipient, letter, sealed, *rows_of(letter, sealed))
    await world.keyring.close()


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    async with a_post() as ready:
        yield ready


async def test_a_member_of_the_recipient_inbox_opens_what_was_sealed_to_it(post: Post) -> None:
    """docs/envelope.md §8."""
    await post.world.keyring.opener.verify(post.envelope, post.message)
    opened = await post.world.keyring.opener.open(post.envelope, post.sealed.wrap, post.reader.id)

    assert opened.body == BODY


async def test_a_user_without_a_wrap_opens_nothing(post: Post) -> None:
    """docs/envelope.md §8: outwardly every failure is one and the same error."""
    with pytest.raises(EnvelopeError):
        await post.world.keyring.opener.open(post.envelope, post.sealed.wrap, post.writer.id)


async def test_the_same_words_sealed_twice_share_no_octets_but_the_header(post: Post) -> None:
    again = await post.world.keyring.sealer.seal(post.letter)

    assert form.parse(again.octets).body != form.parse(post.sealed.octets).body
    assert again.transcript != post.sealed.transcript


@pytest.mark.slow
async def test_every_flipped_bit_of_an_envelope_is_rejected_with_one_error(post: Post) -> None:
    """Catalogue C01. The layout is small; the body's ciphertext is covered by its digest, so it is sampled."""
    octets = post.sealed.octets
    body_at = octets.index(form.parse(octets).body)
    bits = [bit for bit in range(len(octets) * 8) if not (body_at + 64 < bit // 8 < body_at + 4000) or bit % 61 == 0]
    messages = set()
    for bit in bits:
        flipped = bytearray(octets)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(EnvelopeError) as caught:
            changed = dataclasses.replace(post.envelope, octets=bytes(flipped))
            await post.world.keyring.opener.verify(changed, post.message)
        messages.add(str(caught.value))
    print(f"C01: {len(bits)} bits flipped, {len(messages)} outward error")
    assert len(messages) == 1
    assert len(bits) > 5000


@pytest.mark.parametrize("part", ["envelope", "message", "inbox", "administration", "created_at", "sender_copy"])
async def test_a_row_beside_the_envelope_that_says_otherwise_is_rejected(post: Post, part: str) -> None:
    """Catalogue C04: moved between message, inbox and administration."""
    other = {
        "envelope": {"id": EnvelopeId(str(uuid.uuid4()))},
        "message": {"message": MessageId(str(uuid.uuid4()))},
        "inbox": {"inbox": post.sender.id},
        "administration": {"administration": NAV},
        "created_at": {"created_at": Instant(post.envelope.created_at + 1)},
        "sender_copy": {"sender_copy": True},
    }[part]
    with pytest.raises(EnvelopeError):
        await post.world.keyring.opener.verify(dataclasses.replace(post.envelope, **other), post.message)  # type: ignore[arg-type]


async def test_a_wrap_of_another_envelope_opens_nothing(post: Post) -> None:
    """Catalogue C04, C17."""
    letter = a_letter(post.world, post.sender, post.recipient)
    other = await post.world.keyring.sealer.seal(letter)
    moved = dataclasses.replace(other.wrap, envelope=post.envelope.id)
    with pytest.raises(EnvelopeError):
        await post.world.keyring.opener.open(post.envelope, moved, post.reader.id)


async def test_an_endorsed_document_is_checked_without_any_key_and_binds_its_content(post: Post) -> None:
    """docs/envelope.md §7: both authorities sign one blinded commitment."""
    sealer = post.world.keyring.sealer
    document, blind = sealer.commit_document(BODY)
    both = (await sealer.endorse(NAV, document), await sealer.endorse(HSV, document))
    letter = a_letter(
        post.world, post.sender, post.recipient, document=document, document_blind=blind, endorsements=both
    )
    sealed = await sealer.seal(letter)
    envelope, message = rows_of(letter, sealed)
    await post.world.keyring.opener.verify(envelope, message)
    opened = await post.world.keyring.opener.open(envelope, sealed.wrap, post.reader.id)
    sealer.check_document(BODY, opened.document, opened.document_blind)
    with pytest.raises(EnvelopeError):
        sealer.check_document({**BODY, "urgency": "URGENT"}, opened.document, opened.document_blind)

    for wrong in ((both[0], both[0]), (both[0], dataclasses.replace(both[1], administration=NAV))):
        # Two signatures of one authority are not two authorities'.
        letter = dataclasses.replace(letter, endorsements=wrong)
        sealed = await sealer.seal(letter)
        with pytest.raises(EnvelopeError):
            await post.world.keyring.opener.verify(*rows_of(letter, sealed))
    forged = dataclasses.replace(both[1], administration=NAV)
    letter = dataclasses.replace(letter, endorsements=(both[0], forged))
    sealed = await sealer.seal(letter)
    with pytest.raises(EnvelopeError):
        await post.world.keyring.opener.verify(*rows_of(letter, sealed))


async def test_a_receipt_is_signed_by_the_recipients_administration(post: Post) -> None:
    receipt = await post.world.keyring.sealer.receipt(post.envelope, ReceiptKind.OPENED, at=post.world.clock.now())
    await post.world.keyring.sealer.check_receipt(receipt)
    with pytest.raises(EnvelopeError):
        await post.world.keyring.sealer.check_receipt(dataclasses.replace(receipt, at=Instant(receipt.at + 1)))


async def test_re_wrapping_to_more_members_keeps_every_signature(post: Post) -> None:
    """Catalogue C16: ten admissions, and the first envelope still verifies and opens for each."""
    for number in range(10):
        user = await post.world.user(f"ek-extra-{number}", HSV)
        made = await post.world.keyring.maker.admit(
            post.recipient, user.id, by=post.reader.id, at=post.world.clock.now()
        )
        from gateway.ports import Work

        await post.world.store.commit(Work(changes=made.changes))
        await post.world.keyring.opener.verify(post.envelope, post.message)
        opened = await post.world.keyring.opener.open(post.envelope, post.sealed.wrap, user.id)
        assert opened.body == BODY


async def test_an_inbox_epoch_planted_by_sql_is_refused_when_sealing(post: Post) -> None:
    """Catalogue C14: a bare row in key_record or key_head makes nobody a reader."""
    from gateway.model.keys import KeyHead, KeyRecord, KeyRecordKind

    [record] = await post.world.store.key_records(KeyRecordKind.INBOX, post.recipient.id)
    planted = dataclasses.replace(
        record, id=str(uuid.uuid4()), epoch=2, public_key=suites.public_octets(bytes(32)), previous="0" * 64
    )
    post.world.store.tamper(planted)
    head = await post.world.store.get(KeyHead, KeyRecordKind.INBOX, post.recipient.id)
    assert head is not None
    post.world.store.tamper(dataclasses.replace(head, epoch=2, record=planted.id, version=2))
    with pytest.raises(IntegrityError):
        await post.world.keyring.sealer.seal(a_letter(post.world, post.sender, post.recipient))
    assert isinstance(planted, KeyRecord)


def test_public_keys_of_small_order_prove_nothing() -> None:
    """Catalogue C20; RFC 8032 leaves the check to the protocol."""
    for public in suites.SMALL_ORDER:
        assert len(public) == 32
        assert not suites.verifies(public, public + bytes(32), b"anything")


async def _pieces(octets: bytes, size: int = 4096) -> AsyncIterator[bytes]:
    for start in range(0, len(octets), size):
        yield octets[start : start + size]


async def _sealed_file(post: Post, plain: bytes) -> tuple[AttachmentKey, bytes]:
    import hashlib

    streams = post.world.keyring.attachments
    key, identifier = streams.new_key(), AttachmentId(str(uuid.uuid4()))
    sealed = b"".join([piece async for piece in streams.seal(key, NAV, identifier, _pieces(plain))])
    file = AttachmentKey(
        id=identifier,
        key=key,
        name="utredning.pdf",
        media_type="application/pdf",
        size=len(plain),
        sealed_size=len(sealed),
        sealed_sha256=hashlib.sha256(sealed).digest(),
    )
    return file, sealed


async def test_an_attachment_comes_back_whole_and_not_at_all_when_cut_swapped_or_lengthened(post: Post) -> None:
    """Catalogue C05: truncation at every chunk boundary, reorder, duplicate, append."""
    plain = bytes(i % 251 for i in range(5 * 16384 + 77))
    file, sealed = await _sealed_file(post, plain)
    streams = post.world.keyring.attachments
    whole = b"".join([piece async for piece in streams.open(file, NAV, _pieces(sealed))])
    assert whole == plain

    chunk, head = 16384 + 16, 56
    cuts = [sealed[: head + n * chunk + extra] for n in range(6) for extra in (0, 1, 15, 16)]
    swapped = sealed[:head] + sealed[head + chunk : head + 2 * chunk] + sealed[head : head + chunk]
    wrong = [*cuts, swapped + sealed[head + 2 * chunk :], sealed + b"\x00", sealed + sealed[-93:], b""]
    for octets in wrong:
        released = b""
        with pytest.raises(EnvelopeError):
            async for piece in streams.open(file, NAV, _pieces(octets)):
                released += piece
        assert released != plain
    with pytest.raises(EnvelopeError):
        async for _ in streams.open(file, HSV, _pieces(sealed)):
            pass
    print(f"C05: {len(wrong) + 1} cases")
