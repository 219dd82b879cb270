"""Golden envelopes open in this release and in a reader of its own; published vectors hold."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.cobblestone import Cobblestone256Decryptor
from cryptography.exceptions import InvalidSignature, InvalidTag

from gateway import envelope as form
from keys import suites
from keys.memberkeys import inbox_key
from tests.vectors import second_reader

DATA = Path(__file__).parent.parent / "data"
GOLDEN: dict[str, Any] = json.loads((DATA / "envelopes" / "golden.json").read_text("utf-8"))
CHANNELS: dict[str, Any] = json.loads((DATA / "envelopes" / "golden-channels.json").read_text("utf-8"))
VECTORS: dict[str, Any] = json.loads((DATA / "cobblestone.json").read_text("utf-8"))


def octets(text: str) -> bytes:
    return base64.b64decode(text)


def second(item: dict[str, Any], **changes: Any) -> dict[str, Any]:
    arguments = {
        "octets": octets(item["octets"]),
        "signer": octets(GOLDEN["signer"]),
        "secret": octets(GOLDEN["inbox_secret"]),
        "epoch": item["epoch"],
        "shred_key": octets(item["shred_key"]),
        "shred_key_id": item["shred_key_id"],
        "locked": octets(item["locked"]),
    }
    arguments |= changes
    whole = arguments.pop("octets")
    return second_reader.read(whole, **arguments)


def test_there_are_fifty_golden_envelopes_and_both_readers_agree_on_each() -> None:
    assert len(GOLDEN["envelopes"]) == 50
    key = inbox_key(octets(GOLDEN["inbox_secret"]))
    for item in GOLDEN["envelopes"]:
        theirs = second(item)
        parts = form.parse(octets(item["octets"]))
        assert parts.transcript.hex() == item["transcript"]
        assert suites.verifies(
            octets(GOLDEN["signer"]), parts.signatures[0], b"sambud/v1/envelope\x00" + parts.transcript
        )
        header = parts.header
        aad = form.ctx("lock", form.uuid_octets(header.envelope), item["shred_key_id"].encode())
        wrapped = suites.unlock(octets(item["shred_key"]), octets(item["locked"]), aad, what="wrap")
        info = form.ctx(
            "wrap",
            form.u16(form.SUITE),
            parts.header_hash,
            header.administration.encode(),
            header.recipient.encode(),
            form.u32(item["epoch"]),
        )
        k4 = suites.HPKE.decrypt(wrapped, key.kem, info=info)
        decryptor = Cobblestone256Decryptor(k4, form.ctx("body", form.u16(form.SUITE), parts.header_hash))
        payload = form.unpad(bytes(decryptor.update(parts.body)) + bytes(decryptor.finalize()))
        opened, blind = form.decode_payload(payload, parts)
        assert form.content_commitment(parts.header_hash, blind, payload) == parts.content_commitment
        assert dict(opened.body) == theirs["body"]
        assert theirs["body"]["number"] == item["number"]


def test_no_golden_envelope_opens_with_another_wrap_key_or_signer() -> None:
    """Catalogue C04, C17: every neighbour's wrap, shred key and a wrong epoch or signer."""
    items = GOLDEN["envelopes"]
    cases = 0
    for item, other in zip(items, [*items[1:], items[0]], strict=True):
        for changes in (
            {"locked": octets(other["locked"])},
            {
                "locked": octets(other["locked"]),
                "shred_key": octets(other["shred_key"]),
                "shred_key_id": other["shred_key_id"],
            },
            {"shred_key": octets(other["shred_key"])},
            {"epoch": 2},
            {"secret": bytes(32)},
            {"signer": bytes(31) + b"\x02"},
            {"octets": octets(item["octets"])[:-1]},
            {"octets": octets(item["octets"]) + b"\x00"},
        ):
            with pytest.raises((InvalidTag, InvalidSignature, second_reader.Rejected, ValueError)):
                second(item, **changes)
            cases += 1
    print(f"C04/C17: {cases} swaps refused")


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: str(vector["length"]))
def test_the_vectors_of_chunked_encryption_hold_in_both_implementations(vector: dict[str, Any]) -> None:
    plaintext = bytes(n % 251 for n in range(vector["length"]))
    key, context = bytes.fromhex(VECTORS["key"]), VECTORS["context"].encode()
    sealed = second_reader.cobblestone_seal(key, bytes.fromhex(VECTORS["salt"]), context, plaintext)
    assert len(sealed) == vector["sealed"]
    assert hashlib.sha256(sealed).hexdigest() == vector["sha256"]
    decryptor = Cobblestone256Decryptor(key, context)
    assert bytes(decryptor.update(sealed)) + bytes(decryptor.finalize()) == plaintext
    assert second_reader.cobblestone_open(key, context, sealed) == plaintext


@pytest.mark.parametrize(("name", "kind"), [("leaving", 2), ("held", 3)])
def test_golden_envelopes_of_channels_open_with_the_channel_key_in_both_readers_and_with_no_other(
    name: str, kind: int
) -> None:
    """Envelope §4.1: what leaves is kind 2 and names its ways; what is held is kind 3 and came from outside."""
    items = CHANNELS[name]
    assert len(items) == 6
    for item, other in zip(items, [*items[1:], items[0]], strict=True):
        header = form.parse(octets(item["octets"])).header
        assert (bool(header.ways), header.hold) == (kind == 2, kind == 3)
        assert (header.origin == "local") == (kind == 2)
        own = {"signer": octets(item["signer"]), "secret": octets(item["secret"])}
        theirs = second(item, **own)
        assert theirs["form"][0] == header.form_type
        parts = form.parse(octets(item["octets"]))
        assert parts.transcript.hex() == item["transcript"]
        info = form.ctx(
            "wrap",
            form.u16(form.SUITE),
            parts.header_hash,
            header.administration.encode(),
            header.recipient.encode(),
            form.u32(item["epoch"]),
        )
        aad = form.ctx("lock", form.uuid_octets(header.envelope), item["shred_key_id"].encode())
        wrapped = suites.unlock(octets(item["shred_key"]), octets(item["locked"]), aad, what="wrap")
        k4 = suites.HPKE.decrypt(wrapped, suites.private_key(suites.derive(octets(item["secret"]), "kem")), info=info)
        decryptor = Cobblestone256Decryptor(k4, form.ctx("body", form.u16(form.SUITE), parts.header_hash))
        payload = form.unpad(bytes(decryptor.update(parts.body)) + bytes(decryptor.finalize()))
        opened, _ = form.decode_payload(payload, parts)
        assert dict(opened.body) == theirs["body"]
        for changes in (
            {"secret": octets(GOLDEN["inbox_secret"])},
            {"signer": octets(GOLDEN["signer"])},
            {"locked": octets(other["locked"])},
            {"epoch": item["epoch"] + 1},
        ):
            with pytest.raises((InvalidTag, InvalidSignature, second_reader.Rejected, ValueError)):
                second(item, **{**own, **changes})
