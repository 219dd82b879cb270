"""A second reader of backups, written from docs/backup.md alone: shares no code with the gateway's own."""

from __future__ import annotations

import hashlib
import json
import struct
from typing import Any

from cryptography.cobblestone import Cobblestone256Decryptor
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ed25519, mlkem, x25519

SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


def ctx(label: str, *fields: bytes) -> bytes:
    return b"sambud/v1/" + label.encode() + b"\0" + b"".join(struct.pack(">I", len(f)) + f for f in fields)


def sha(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()


def read(octets: bytes, seed: bytes) -> tuple[dict[str, Any], dict[str, list[tuple[Any, ...]]]]:
    """Manifest and tables of a backup, everything of §2 to §4 checked that needs no root key."""
    body, trailer = octets[:-44], octets[-44:]
    assert trailer == b"SBBE" + struct.pack(">Q", len(body)) + sha(body)
    assert body[:4] == b"SBB1"
    (length,) = struct.unpack_from(">I", body, 4)
    head, at = body[8 : 8 + length], 8 + length
    count, at = body[at], at + 1
    stretched = hashlib.shake_256(seed).digest(96)
    kem, curve = (
        mlkem.MLKEM768PrivateKey.from_seed_bytes(stretched[:64]),
        x25519.X25519PrivateKey.from_private_bytes(stretched[64:]),
    )
    public = kem.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
    mine, key = sha(ctx("backup-recipient", public)), b""
    for _ in range(count):
        recipient, (size,) = body[at : at + 32], struct.unpack_from(">H", body, at + 32)
        wrapped, at = body[at + 34 : at + 34 + size], at + 34 + size
        if recipient == mine:
            info = ctx("backup-wrap", b"\x00\x10", sha(head), mine)
            key = SUITE.decrypt(wrapped, hpke.MLKEM768X25519PrivateKey(kem, curve), info=info)
    stream = Cobblestone256Decryptor(key, ctx("backup", b"\x00\x10", sha(head)))
    return parsed(head, stream.update(body[at:]) + stream.finalize())


def parsed(head: bytes, plain: bytes) -> tuple[dict[str, Any], dict[str, list[tuple[Any, ...]]]]:
    tables: dict[str, list[tuple[Any, ...]]] = {}
    digests: dict[str, Any] = {}
    at, name, columns, manifest, start = 0, "", 0, b"", 0
    while at < len(plain):
        kind, size = struct.unpack_from(">BI", plain, at)
        octets = plain[at + 5 : at + 5 + size]
        if kind == 1:
            told = json.loads(octets)
            name, columns = told["name"], len(told["columns"])
            tables[name], digests[name] = [], hashlib.sha256()
        elif kind == 2:
            digests[name].update(octets)
            tables[name] += rows(octets, columns)
        elif kind == 5:
            manifest, start = octets, at
        elif kind == 6:
            told = json.loads(manifest)
            assert (told["octets"], told["sha256"]) == (start, hashlib.sha256(plain[:start]).hexdigest())
            assert told["tables"] == [[n, len(tables[n]), digests[n].hexdigest()] for n in tables]
            signed = b"sambud/v1/backup\0" + sha(ctx("backup-manifest", sha(head), manifest))
            ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(told["signer"])).verify(octets, signed)
            assert at + 5 + size == len(plain)
            return told, tables
        at += 5 + size
    raise AssertionError("no signature")


def rows(octets: bytes, columns: int) -> list[tuple[Any, ...]]:
    found: list[Any] = []
    at = 0
    while at < len(octets):
        tag = octets[at]
        if tag == 0:
            value, at = None, at + 1
        elif tag == 1:
            value, at = struct.unpack_from(">q", octets, at + 1)[0], at + 9
        else:
            (size,) = struct.unpack_from(">I", octets, at + 1)
            value, at = octets[at + 5 : at + 5 + size], at + 5 + size
            value = value.decode() if tag == 2 else value
        found.append(value)
    return [tuple(found[i : i + columns]) for i in range(0, len(found), columns)]
