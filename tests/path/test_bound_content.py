"""One envelope, one content, one recipient: two-key bodies, false commitments, and every key at every other's envelope.

Here the sealer itself is false: it holds the sender's signing key and makes envelopes by hand (docs/envelope.md §4, §5).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import secrets
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from cryptography.cobblestone import Cobblestone256Decryptor
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway import envelope as form
from gateway.errors import EnvelopeError
from gateway.model.base import MessageId
from gateway.model.keys import EnvelopeWrap, KeyRecordKind
from gateway.model.path import Envelope
from gateway.ports import Work
from keys import suites
from tests.path.test_seal import BODY, Post, a_letter, a_post, rows_of
from tests.vectors.second_reader import cobblestone_parts, cobblestone_seal
from tests.world import HSV, a_world, an_inbox

LABEL = b"sambud/v1/envelope\x00"
REDUCTION = 0xE1 << 120  # of GF(2^128) as GCM writes it (NIST SP 800-38D §6.3)


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    async with a_post() as ready:
        yield ready


# --- a ciphertext with two keys ----------------------------------------------------------------------------------------


def times(one: int, other: int) -> int:
    """The product in GF(2^128), bits as in NIST SP 800-38D."""
    product = 0
    for bit in range(127, -1, -1):
        if other >> bit & 1:
            product ^= one
        one = one >> 1 ^ (REDUCTION if one & 1 else 0)
    return product


def power(base: int, exponent: int) -> int:
    result = 1 << 127  # the neutral element
    while exponent:
        if exponent & 1:
            result = times(result, base)
        base, exponent = times(base, base), exponent >> 1
    return result


def block(key: bytes, octets: bytes) -> int:
    """One AES block, as a number."""
    cipher = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return int.from_bytes(cipher.update(octets) + cipher.finalize())


def with_two_keys(first: tuple[bytes, bytes], second: tuple[bytes, bytes], blocks: int) -> bytes:
    """A ciphertext and tag that AES-GCM takes under both (key, nonce): the salamander.

    The tag is linear in the ciphertext, so one block can be chosen to make both tags equal.
    """
    cipher = [int.from_bytes(secrets.token_bytes(16)) for _ in range(blocks)]
    cipher[0] = 0
    hashes = [block(key, bytes(16)) for key, _ in (first, second)]
    masks = [block(key, nonce + b"\x00\x00\x00\x01") for key, nonce in (first, second)]
    length = blocks * 128
    tags = []
    for h, mask in zip(hashes, masks, strict=True):
        total = 0
        for value in [*cipher, length]:
            total = times(total ^ value, h)
        tags.append(total ^ mask)
    weights = [power(h, blocks + 1) for h in hashes]
    cipher[0] = times(tags[0] ^ tags[1], power(weights[0] ^ weights[1], 2**128 - 2))
    tag = tags[0] ^ times(cipher[0], weights[0])
    return b"".join(value.to_bytes(16) for value in cipher) + tag.to_bytes(16)


def opens(key: bytes, context: bytes, sealed: bytes) -> bool:
    decryptor = Cobblestone256Decryptor(key, context)
    try:
        bytes(decryptor.update(sealed)) + bytes(decryptor.finalize())
    except (InvalidTag, ValueError):
        return False
    return True


def test_a_body_that_aes_gcm_would_open_with_two_keys_opens_with_at_most_one() -> None:
    """Catalogue C15; C2SP chunked-encryption: the commitment after the salt belongs to one key."""
    cases = 0
    for number in range(12):
        context, salt = f"body {number}".encode(), secrets.token_bytes(24)
        keys = (secrets.token_bytes(32), secrets.token_bytes(32))
        parts = [cobblestone_parts(key, salt, context) for key in keys]
        chunk = with_two_keys(parts[0][:2], parts[1][:2], blocks=2 + number)
        plain = [AESGCM(key).decrypt(nonce, chunk, b"") for key, nonce, _ in parts]  # plain GCM opens both
        assert plain[0] != plain[1]
        mixed = bytes(a ^ b for a, b in zip(parts[0][2], parts[1][2], strict=True))
        for commitment in (parts[0][2], parts[1][2], mixed, bytes(32), parts[0][2][:31] + b"\x00"):
            opened = [opens(key, context, salt + commitment + chunk) for key in keys]
            assert opened == [commitment == part[2] for part in parts]
            cases += 2
    print(f"C15: {cases} openings of two-key bodies, none with both")


# --- what a false sealer can make --------------------------------------------------------------------------------------


async def by_hand(
    post: Post,
    *,
    payload: bytes | None = None,
    padded: bytes | None = None,
    content: Callable[[bytes, bytes, bytes], bytes] = form.content_commitment,
    body: Callable[[bytes, bytes], bytes] | None = None,
    wrapped_key: bytes | None = None,
) -> tuple[Envelope, EnvelopeWrap]:
    """A rightly signed envelope to the recipient, with parts of the false sealer's choice.

    Args:
        content: (header hash, blind, payload) -> the commitment.
        body: (K4, context) -> the body's octets, when it is not what Cobblestone makes.
        wrapped_key: what the recipient gets instead of K4.
    """
    keyring = post.world.keyring
    letter = a_letter(post.world, post.sender, post.recipient)
    recipient = await keyring.records.newest(KeyRecordKind.INBOX, post.recipient.id)
    signer = await keyring.records.signing(post.sender.administration)
    [shred_key] = await keyring.shred.take(1)
    header = form.encode_header(form.header_of(letter, signer.id))
    header_hash = hashlib.sha256(header).digest()
    blind, k4 = bytes(range(32)), secrets.token_bytes(32)
    payload = form.encode_payload(letter, blind) if payload is None else payload
    context = form.ctx("body", form.u16(form.SUITE), header_hash)
    padded = form.pad(payload) if padded is None else padded
    sealed = body(k4, context) if body else cobblestone_seal(k4, secrets.token_bytes(24), context, padded)
    committed = content(header_hash, blind, payload)
    atts = form.encode_atts(())
    name = form.transcript(form.SUITE, header_hash, hashlib.sha256(sealed).digest(), committed, atts)
    seed = await keyring.records.signing_seed(post.sender.administration)
    octets = form.assemble(form.SUITE, header, atts, sealed, committed, [suites.sign(seed, LABEL + name)])
    info = form.ctx(
        "wrap",
        form.u16(form.SUITE),
        header_hash,
        post.recipient.administration.encode(),
        post.recipient.id.encode(),
        form.u32(recipient.epoch),
    )
    wrapped = suites.HPKE.encrypt(wrapped_key or k4, suites.public_key(recipient.public_key), info=info)
    lock = form.ctx("lock", form.uuid_octets(letter.envelope), shred_key.id.encode())
    envelope = dataclasses.replace(
        post.envelope, id=letter.envelope, message=letter.message, transcript=name, octets=octets
    )
    wrap = dataclasses.replace(
        post.sealed.wrap,
        envelope=letter.envelope,
        shred_key=shred_key.id,
        batch=shred_key.batch,
        locked=suites.lock(shred_key.key, wrapped, lock),
    )
    return envelope, wrap


async def opened(post: Post, made: tuple[Envelope, EnvelopeWrap]) -> dict[str, Any]:
    return dict((await post.world.keyring.opener.open(*made, post.reader.id)).body)


async def refused(post: Post, made: tuple[Envelope, EnvelopeWrap]) -> tuple[str, str]:
    with pytest.raises(EnvelopeError) as caught:
        await opened(post, made)
    return str(caught.value), caught.value.swedish


async def test_an_envelope_made_by_hand_as_specified_opens(post: Post) -> None:
    """Otherwise the refusals below would prove nothing."""
    assert await opened(post, await by_hand(post)) == BODY


async def test_content_that_is_not_what_the_envelope_commits_to_is_refused_at_opening(post: Post) -> None:
    """Catalogue C15; docs/envelope.md §4.4: rightly signed, rightly encrypted, another content than was shown."""
    blind = bytes(range(32))
    honest = form.encode_payload(a_letter(post.world, post.sender, post.recipient), blind)
    told = honest.replace(b"SOON", b"WAIT")
    assert told != honest
    false: list[Callable[[bytes, bytes, bytes], bytes]] = [
        lambda header, blind, payload: form.content_commitment(header, blind, told),
        lambda header, blind, payload: form.content_commitment(header, bytes(32), payload),
        lambda header, blind, payload: form.content_commitment(bytes(32), blind, payload),
        lambda header, blind, payload: form.content_commitment(blind, header, payload),
        lambda header, blind, payload: form.document_commitment(json.loads(payload), blind),
        lambda header, blind, payload: hashlib.sha256(payload).digest(),
        lambda header, blind, payload: bytes(32),
        lambda header, blind, payload: secrets.token_bytes(32),
    ]
    outward = {await refused(post, await by_hand(post, content=commitment)) for commitment in false}
    print(f"C15: {len(false)} false commitments refused")
    assert len(outward) == 1


async def test_a_payload_in_any_other_shape_than_specified_is_refused_at_opening(post: Post) -> None:
    """docs/envelope.md §8 step 9: padding, canonical JSON, form type, attachments equal to the list."""
    honest = form.encode_payload(a_letter(post.world, post.sender, post.recipient), bytes(range(32)))
    value = json.loads(honest)
    file = {"id": str(uuid.uuid4()), "key": "00" * 32, "name": "a.pdf", "type": "application/pdf", "size": 1}
    listed = {**file, "sealed_size": 1, "sealed_sha256": "00" * 32}
    shapes = [
        {"form": ["consent", 1]},
        {"form": []},
        {"form": {}},
        {"attachments": [listed]},  # the clear list names none
        {"attachments": [file]},
        {"attachments": None},
        {"attachments": [listed, listed]},
        {"blind": "zz"},
        {"blind": None},
        {"siblings": [["x"]]},
        {"document_blind": 7},
        {"more": 1},
        {"body": []},
        {"body": None},
        {"body": "text"},
        {"form": ["placement_referral"]},
        {"form": ["placement_referral", "1"]},
        {"form": ["placement_referral", True]},
        {"form": ["placement_referral", 1, 1]},
    ]
    payloads = [form.canonical({**value, **shape}) for shape in shapes]
    payloads += [form.canonical({name: value[name] for name in value if name != gone}) for gone in value]
    payloads += [
        json.dumps(value, indent=1).encode(),
        json.dumps(value).encode(),
        honest + b" ",
        honest[:-1],
        b"",
        b"[]",
        b"null",
        b"\xff" * 100,
        b"[" * 60_000,
        honest.replace(b'"body":{', b'"body":{"a":1.5,'),  # canonical, but no payload holds a float
        honest.replace(b'"body":{', b'"body":{"a":9007199254740993,'),
        honest.replace(b'"urgency":"SOON"', b'"urgency":"SOON","urgency":"SOON"'),
    ]
    paddings = [
        form.pad(honest) + bytes(4096),
        form.pad(honest)[:-1] + b"\x01",
        form.u32(2**32 - 1) + honest,
        form.u32(len(honest) + 1) + form.pad(honest)[4:],
        form.pad(honest)[:-1],
        b"\x00" * 3,
        b"",
    ]
    outward = {await refused(post, await by_hand(post, payload=payload)) for payload in payloads}
    outward |= {await refused(post, await by_hand(post, payload=honest, padded=padded)) for padded in paddings}
    print(f"C15: {len(payloads) + len(paddings)} payloads in another shape refused")
    assert len(outward) == 1


async def test_a_recipient_who_is_given_another_key_or_a_two_key_body_reads_nothing(post: Post) -> None:
    """Catalogue C15: the sender cannot have two recipients read two contents in one body."""
    outward = set()
    other = secrets.token_bytes(32)

    def two_keys(k4: bytes, context: bytes) -> bytes:
        salt = secrets.token_bytes(24)
        mine, theirs = cobblestone_parts(k4, salt, context), cobblestone_parts(other, salt, context)
        return salt + mine[2] + with_two_keys(mine[:2], theirs[:2], blocks=256)

    outward.add(await refused(post, await by_hand(post, body=two_keys, wrapped_key=other)))
    keys = [other, bytes(32), other[:31], other + b"\x00", other[:16]]
    for key in keys:
        outward.add(await refused(post, await by_hand(post, wrapped_key=key)))
    print(f"C15: {1 + len(keys)} wrong keys in a right wrap refused")
    assert len(outward) == 1


# --- keys of others ----------------------------------------------------------------------------------------------------


async def test_no_member_opens_another_recipients_envelope_with_any_wrap_of_the_message() -> None:
    """Catalogue C17: every member × every envelope × every wrap of one message to four inboxes."""
    world = await a_world()
    writer = await world.user("vx-sos")
    sender = await world.inbox(an_inbox(), [writer])
    message = MessageId(str(uuid.uuid4()))
    people, envelopes, wraps = [], [], []
    for number in range(4):
        people.append(await world.user(f"ek-{number}", HSV))
        inbox = await world.inbox(an_inbox(f"seat.{number}", HSV), [people[-1]])
        letter = a_letter(world, sender, inbox, message=message)
        sealed = await world.keyring.sealer.seal(letter)
        envelopes.append(rows_of(letter, sealed)[0])
        wraps.append(sealed.wrap)
    cases = 0
    for reader, person in enumerate([*people, writer]):
        for target, envelope in enumerate(envelopes):
            for source, wrap in enumerate(wraps):
                for moved in (wrap, dataclasses.replace(wrap, envelope=envelope.id, inbox=envelope.inbox)):
                    if reader == target == source:
                        assert (await world.keyring.opener.open(envelope, moved, person.id)).body == BODY
                        continue
                    with pytest.raises(EnvelopeError):
                        await world.keyring.opener.open(envelope, moved, person.id)
                    cases += 1
    print(f"C17: {cases} openings with somebody else's key or wrap refused")
    assert cases == 5 * 4 * 4 * 2 - 8
    await world.keyring.close()


async def test_ten_re_wraps_keep_the_signatures_of_every_envelope_before_and_between(post: Post) -> None:
    """Catalogue C16: whoever is admitted reads all of them; signatures never cover a wrap."""
    kept = [(post.envelope, post.message, post.sealed.wrap)]
    checks = 0
    for number in range(10):
        user = await post.world.user(f"ek-extra-{number}", HSV)
        at = post.world.clock.now()
        made = await post.world.keyring.maker.admit(post.recipient, user.id, by=post.reader.id, at=at)
        await post.world.store.commit(Work(changes=made.changes))
        for envelope, message, wrap in kept:
            await post.world.keyring.opener.verify(envelope, message)
            assert (await post.world.keyring.opener.open(envelope, wrap, user.id)).body == BODY
            checks += 1
        letter = a_letter(post.world, post.sender, post.recipient)
        sealed = await post.world.keyring.sealer.seal(letter)
        kept.append((*rows_of(letter, sealed), sealed.wrap))
    print(f"C16: 10 re-wraps, {checks} envelopes verified and opened")
    assert checks == 55
