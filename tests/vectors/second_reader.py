"""A second reader of envelopes, written from docs/envelope.md alone: primitives only, nothing shared with the product.

It holds the inbox epoch secret and the signer's public key, and opens what the specification says it must.
"""

from __future__ import annotations

import hashlib
import json
import struct
from typing import Any

from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric import ed25519, mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESGCMSIV
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

CHUNK = 16384


class Rejected(Exception):
    """The octets are not what the specification says."""


def sha(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()


def context(label: str, *fields: bytes) -> bytes:
    return b"sambud/v1/" + label.encode() + b"\x00" + b"".join(struct.pack(">I", len(f)) + f for f in fields)


def cobblestone_parts(key: bytes, salt: bytes, ctx: bytes) -> tuple[bytes, bytes, bytes]:
    """key, base nonce, commitment (C2SP chunked-encryption, AES-256-GCM, SHA-512)."""
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00" + salt + ctx
    out = HKDFExpand(algorithm=hashes.SHA512(), length=32 + 12 + 32, info=info).derive(key)
    return out[:32], out[32:44], out[44:]


def _nonce(base: bytes, number: int) -> bytes:
    return bytes(a ^ b for a, b in zip(base, number.to_bytes(12), strict=True))


def cobblestone_seal(key: bytes, salt: bytes, ctx: bytes, plaintext: bytes) -> bytes:
    chunk_key, base, commitment = cobblestone_parts(key, salt, ctx)
    out = [salt, commitment]
    for number in range(len(plaintext) // CHUNK + 1):
        piece = plaintext[number * CHUNK : (number + 1) * CHUNK]
        out.append(AESGCM(chunk_key).encrypt(_nonce(base, number), piece, b""))
    return b"".join(out)


def cobblestone_open(key: bytes, ctx: bytes, sealed: bytes) -> bytes:
    chunk_key, base, commitment = cobblestone_parts(key, sealed[:24], ctx)
    if sealed[24:56] != commitment:
        raise Rejected("commitment")
    out, rest, number = b"", sealed[56:], 0
    while True:
        piece, rest = rest[: CHUNK + 16], rest[CHUNK + 16 :]
        out += AESGCM(chunk_key).decrypt(_nonce(base, number), piece, b"")
        number += 1
        if len(piece) < CHUNK + 16:
            if rest:
                raise Rejected("a short chunk in the middle")
            return out
        if not rest:
            raise Rejected("truncated")


def fields(header: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = last = 0
    while at < len(header):
        tag, length = struct.unpack_from(">HI", header, at)
        if tag <= last or tag > 17:
            raise Rejected("tags")
        value = header[at + 6 : at + 6 + length]
        if len(value) != length:
            raise Rejected("cut")
        found[tag], at, last = value, at + 6 + length, tag
    return found


def inbox_private(secret: bytes) -> Any:
    """K3 epoch secret -> HKDF 'kem' -> X-Wing seed -> SHAKE-256 -> ML-KEM-768 and X25519."""
    seed = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"sambud/v1/kem").derive(secret)
    out = hashlib.shake_256(seed).digest(96)
    return hpke.MLKEM768X25519PrivateKey(
        mlkem.MLKEM768PrivateKey.from_seed_bytes(out[:64]), x25519.X25519PrivateKey.from_private_bytes(out[64:])
    )


def read(
    octets: bytes, *, signer: bytes, secret: bytes, epoch: int, shred_key: bytes, shred_key_id: str, locked: bytes
) -> dict[str, Any]:
    """Open an envelope as §8 says; raises for anything that must be rejected."""
    if octets[:4] != b"SBD1" or octets[4:6] != b"\x00\x10":
        raise Rejected("magic or suite")
    at, parts = 6, []
    for limit in (16 * 1024, 1 + 20 * 56, 1_310_720):
        length = int.from_bytes(octets[at : at + 4])
        part = octets[at + 4 : at + 4 + length]
        if length > limit or len(part) != length:
            raise Rejected("length")
        parts.append(part)
        at += 4 + length
    header, atts, body = parts
    cc, count, signature = octets[at : at + 32], octets[at + 32], octets[at + 33 :]
    if count != 1 or len(signature) != 64:
        raise Rejected("signatures")
    head = fields(header)
    transcript = sha(context("envelope", b"\x00\x10", sha(header), sha(body), cc, atts))
    ed25519.Ed25519PublicKey.from_public_bytes(signer).verify(signature, b"sambud/v1/envelope\x00" + transcript)

    aad = context("lock", head[1], shred_key_id.encode())
    wrapped = AESGCMSIV(shred_key).decrypt(locked[:12], locked[12:], aad)
    info = context("wrap", b"\x00\x10", sha(header), head[9], head[10], struct.pack(">I", epoch))
    suite = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    k4 = suite.decrypt(wrapped, inbox_private(secret), info=info)
    padded = cobblestone_open(k4, context("body", b"\x00\x10", sha(header)), body)
    size = int.from_bytes(padded[:4])
    payload = padded[4 : 4 + size]
    if len(padded) % 4096 or any(padded[4 + size :]) or len(padded) - 4 - size >= 4096:
        raise Rejected("padding")
    value: dict[str, Any] = json.loads(payload)
    if sha(context("content", sha(header), bytes.fromhex(value["blind"]), payload)) != cc:
        raise Rejected("commitment to the content")
    if value["form"][0] != head[11].decode():
        raise Rejected("form type")
    listed = sorted(
        bytes.fromhex(file["id"].replace("-", ""))
        + int(file["sealed_size"]).to_bytes(8)
        + bytes.fromhex(file["sealed_sha256"])
        for file in value["attachments"]
    )
    if bytes([len(listed)]) + b"".join(listed) != atts:
        raise Rejected("attachments")
    return value
