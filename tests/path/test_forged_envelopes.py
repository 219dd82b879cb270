"""Forged envelopes: mutated, spliced, signed by others; each test prints how many cases it tried.

The attacker here can write to the database: whatever row stands beside an envelope says what suits him (the transcript,
the ids, the message row). What is left against him is the signature and the keys.
"""

from __future__ import annotations

import dataclasses
import hashlib
import random
import secrets
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from gateway import envelope as form
from gateway.errors import EnvelopeError
from gateway.model.base import GATEWAY, AdministrationId, DecisionId, EnvelopeId, InboxId, Instant, MessageId
from gateway.model.keys import KeyRecordKind
from gateway.model.path import Envelope, Message
from keys import suites
from tests.path.test_seal import BODY, Post, a_letter, a_post
from tests.properties.test_envelope import ENVELOPES
from tests.world import HSV, NAV

LABEL = b"sambud/v1/envelope\x00"
ORDER = 2**252 + 27742317777372353535851937790883648493  # of edwards25519 (RFC 8032 §5.1)
SEED = 20260302


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    async with a_post() as ready:
        yield ready


def beside(post: Post, octets: bytes) -> tuple[Envelope, Message]:
    """The rows that an attacker would put beside `octets`: they say whatever the header and the transcript say."""
    try:
        parts = form.parse(octets)
    except form.MalformedError:
        return dataclasses.replace(post.envelope, octets=octets), post.message
    header = parts.header
    envelope = dataclasses.replace(
        post.envelope,
        administration=header.administration,
        id=header.envelope,
        message=header.message,
        inbox=header.recipient,
        sender_copy=header.sender_copy,
        created_at=header.created,
        transcript=parts.transcript,
        octets=octets,
    )
    message = dataclasses.replace(
        post.message,
        administration=header.sealer,
        id=header.message,
        form_type=header.form_type,
        sender=header.sender,
        origin=header.origin,
        decision=header.decision,
        document=header.document,
        created_at=header.created,
    )
    return envelope, message


async def refused(post: Post, octets: bytes) -> tuple[str, str, str]:
    """What is told outside when `octets`, with rows that fit them, are refused; fails when they are not."""
    with pytest.raises(EnvelopeError) as caught:
        await post.world.keyring.opener.verify(*beside(post, octets))
    return str(caught.value), caught.value.swedish, caught.value.next_step


def whole(parts: form.Parts, signatures: list[bytes] | None = None, **changed: object) -> bytes:
    """The octets of `parts` with some of them changed."""
    new = dataclasses.replace(parts, **changed)  # type: ignore[arg-type]
    header = form.encode_header(new.header) if "header" in changed else new.header_octets
    return form.assemble(
        new.suite,
        header,
        new.atts_octets,
        new.body,
        new.content_commitment,
        list(parts.signatures) if signatures is None else signatures,
    )


# --- C02: mutations and splices ----------------------------------------------------------------------------------------


def mutated(rng: random.Random, octets: bytes, others: list[bytes]) -> bytes:
    """`octets`, changed in one of many ways; some of them leave them as they were."""
    out = bytearray(octets)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at, length = rng.randrange(len(out) + 1), rng.choice((1, 2, 4, 16, 64, 300))
        other = rng.choice(others)
        match rng.randrange(9):
            case 0:
                out[at : at + length] = rng.randbytes(length)
            case 1:
                out[at:at] = rng.randbytes(length)
            case 2:
                del out[at : at + length]
            case 3:
                out[at : at + length] = other[at : at + length]  # another envelope's octets, in the same place
            case 4:
                out = out[:at] + other[at:]  # head of one, tail of the other
            case 5:
                out[at:at] = out[at : at + length]  # doubled
            case 6:
                other_at = rng.randrange(len(out) + 1)
                piece = out[other_at : other_at + length]
                out[at : at + len(piece)] = piece
            case 7:
                out = out[: rng.randrange(len(out) + 1)]
            case _:
                parts, theirs = form.parse(octets), form.parse(other)
                names = ("header_octets", "atts_octets", "body", "content_commitment", "signatures")
                taken = {name: getattr(theirs, name) for name in rng.sample(names, rng.randrange(1, 5))}
                new = dataclasses.replace(parts, **taken)
                out = bytearray(whole(new, list(new.signatures)))
    return bytes(out)


async def check_mutations(post: Post, count: int) -> None:
    """Every mutation of an envelope is refused, or is an envelope that this sealer made."""
    genuine = [post.sealed.octets]
    for _ in range(6):
        genuine.append((await post.world.keyring.sealer.seal(a_letter(post.world, post.sender, post.recipient))).octets)
    others = genuine + [octets for octets in ENVELOPES if len(octets) < 10_000][:12]
    rng = random.Random(SEED)
    told: set[tuple[str, str, str]] = set()
    same = 0
    for _ in range(count):
        octets = mutated(rng, rng.choice(genuine), others)
        if octets in genuine:
            await post.world.keyring.opener.verify(*beside(post, octets))
            same += 1
        else:
            told.add(await refused(post, octets))
    print(f"C02: {count} cases (seed {SEED}), {same} identical, {len(told)} outward error")
    assert len(told) == 1


async def test_a_mutated_or_spliced_envelope_is_refused_or_is_the_very_same(post: Post) -> None:
    """Catalogue C02: whoever writes to the database may change all rows, and still makes no envelope."""
    await check_mutations(post, 2500)


@pytest.mark.full
async def test_ten_thousand_mutated_envelopes_are_refused(post: Post) -> None:
    """Catalogue C02, the campaign."""
    await check_mutations(post, 10_000)


# --- C03: signatures ---------------------------------------------------------------------------------------------------


def other_signatures(post: Post, parts: form.Parts, foreign: list[bytes]) -> Iterator[list[bytes]]:
    """Lists of signatures that are not the one the sealer made."""
    [real] = parts.signatures
    scalar = int.from_bytes(real[32:], "little")
    yield []
    yield [real, real]
    yield [real, foreign[0]]
    yield [foreign[0], real]
    yield [real[:63]]
    yield [real + b"\x00"]
    yield [bytes(64)]
    yield [b"\xff" * 64]
    yield [b"\x01" + bytes(63)]  # R = the neutral element, S = 0
    yield [real[32:] + real[:32]]
    yield [real[:32] + bytes(32)]
    yield [real[:32] + foreign[0][32:]]
    yield [foreign[0][:32] + real[32:]]
    yield [real[:32] + (scalar + ORDER).to_bytes(32, "little")]  # the same scalar, written otherwise
    yield [real[:32] + (ORDER - scalar).to_bytes(32, "little")]
    for signature in foreign:
        yield [signature]


async def signed_by_others(post: Post, parts: form.Parts) -> list[bytes]:
    """Signatures over this transcript by every other key, and by the right key over something else."""
    records = post.world.keyring.records
    seed, name = await records.signing_seed(NAV), parts.transcript
    header_hash, body_hash = parts.header_hash, hashlib.sha256(parts.body).digest()
    strangers = [await records.signing_seed(HSV), await records.signing_seed(GATEWAY), secrets.token_bytes(32)]
    found = [suites.sign(stranger, LABEL + name) for stranger in strangers]
    found.append(suites.sign(bytes(32), LABEL + name))
    content, atts = parts.content_commitment, parts.atts_octets
    transcripts = [
        form.transcript(0x0012, header_hash, body_hash, content, atts),
        form.transcript(0x0020, header_hash, body_hash, content, atts),
        form.transcript(form.SUITE, body_hash, header_hash, content, atts),
        form.transcript(form.SUITE, header_hash, bytes(32), content, atts),
        form.transcript(form.SUITE, header_hash, body_hash, bytes(32), atts),
        form.transcript(form.SUITE, header_hash, body_hash, content, b""),
        header_hash,
        body_hash,
        content,
        bytes(32),
        hashlib.sha256(post.sealed.octets).digest(),
    ]
    found += [suites.sign(seed, LABEL + other) for other in transcripts]
    for label in (b"", b"sambud/v1/receipt\x00", b"sambud/v1/endorsement\x00", b"sambud/v1/key-record\x00", LABEL[:-1]):
        found.append(suites.sign(seed, label + name))
    private = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    found.append(private.sign(post.sealed.octets[:-65]))
    for _ in range(3):  # other envelopes of the same sealer, from the same inbox to the same inbox
        again = await post.world.keyring.sealer.seal(a_letter(post.world, post.sender, post.recipient))
        found += form.parse(again.octets).signatures
    return found


async def test_a_signature_that_is_missing_moved_doubled_or_somebody_elses_is_refused(post: Post) -> None:
    """Catalogue C03; docs/envelope.md §4.5 and §8 step 5."""
    parts = form.parse(post.sealed.octets)
    told = set()
    cases = 0
    for signatures in other_signatures(post, parts, await signed_by_others(post, parts)):
        assert signatures != list(parts.signatures)
        told.add(await refused(post, whole(parts, signatures)))
        cases += 1
    print(f"C03: {cases} cases of signatures")
    assert cases >= 30
    assert len(told) == 1


async def test_a_header_that_names_another_signer_or_says_anything_else_is_refused(post: Post) -> None:
    """Catalogue C03: the record named in tag 5 must be the sealer's own signing key, valid when it was sealed."""
    records, store = post.world.keyring.records, post.world.store
    parts = form.parse(post.sealed.octets)
    header = parts.header
    foreign = await records.signing(HSV)
    member = (await store.key_records(KeyRecordKind.MEMBER, post.writer.id))[0]
    inbox = (await store.key_records(KeyRecordKind.INBOX, post.sender.id))[0]
    own = await records.signing(NAV)
    changed = [
        {"signer": foreign.id},
        {"signer": (await records.signing(GATEWAY)).id},
        {"signer": member.id},
        {"signer": inbox.id},
        {"signer": header.envelope},
        {"signer": foreign.id, "sealer": NAV},
        {"sealer": HSV},
        {"sealer": GATEWAY},
        {"sealer": AdministrationId("no.such.board")},
        {"created": Instant(own.created_at - 1)},  # sealed before its key existed
        {"created": Instant(header.created + 1)},
        {"envelope": EnvelopeId(str(uuid.uuid4()))},
        {"message": MessageId(str(uuid.uuid4()))},
        {"decision": DecisionId(str(uuid.uuid4()))},
        {"sender_copy": True},
        {"sender": InboxId("vaxjo.registrator")},
        {"administration": NAV},
        {"recipient": InboxId("seat.novus")},
        {"form_type": "consent"},
        {"not_after": Instant(header.not_after + 1)},
        {"document": bytes(32)},
    ]
    seeds = [await records.signing_seed(who) for who in (NAV, HSV, GATEWAY)]
    told = set()
    cases = 0
    for change in changed:
        octets = whole(parts, header=dataclasses.replace(header, **change))  # type: ignore[arg-type]
        told.add(await refused(post, octets))  # the old signature
        forged = form.parse(octets)
        for seed in seeds[1:]:
            told.add(await refused(post, whole(forged, [suites.sign(seed, LABEL + forged.transcript)])))
        cases += 3
    for change in changed[:10]:  # here not even the sealer's own key makes it right
        forged = form.parse(whole(parts, header=dataclasses.replace(header, **change)))  # type: ignore[arg-type]
        told.add(await refused(post, whole(forged, [suites.sign(seeds[0], LABEL + forged.transcript)])))
        cases += 1
    print(f"C03: {cases} cases of headers")
    assert cases >= 40
    assert len(told) == 1


async def test_an_endorsement_that_is_moved_forged_or_of_another_authority_is_refused(post: Post) -> None:
    """Catalogue C03; docs/envelope.md §7: also when the sealer itself signs over it."""
    sealer, records = post.world.keyring.sealer, post.world.keyring.records
    document, blind = sealer.commit_document(BODY)
    other, _ = sealer.commit_document(BODY)  # the same words, another blind
    mine, theirs = await sealer.endorse(NAV, document), await sealer.endorse(HSV, document)
    seed = await records.signing_seed(NAV)
    forged = [
        await sealer.endorse(HSV, other),
        dataclasses.replace(theirs, administration=NAV),
        dataclasses.replace(theirs, administration=GATEWAY),
        dataclasses.replace(theirs, signer=mine.signer),
        dataclasses.replace(mine, administration=HSV),
        dataclasses.replace(mine, administration=HSV, signer=theirs.signer),
        dataclasses.replace(theirs, signature=mine.signature),
        dataclasses.replace(theirs, signature=bytes(64)),
        dataclasses.replace(theirs, signature=suites.sign(seed, LABEL + form.endorsement_hash(HSV, document))),
        dataclasses.replace(theirs, signer=(await records.signing(GATEWAY)).id),
    ]
    told = set()
    for wrong in forged:
        letter = a_letter(
            post.world, post.sender, post.recipient, document=document, document_blind=blind, endorsements=(mine, wrong)
        )
        told.add(await refused(post, (await sealer.seal(letter)).octets))
    print(f"C03: {len(forged)} cases of endorsements")
    assert len(told) == 1
