"""Small secrets and authenticity under an administration's own keys: the Vault port.

MACs and fingerprints under K1.i, fields under K1.i, side rows under K1.a with a shred key, notes under L, passwords by
Argon2id (RFC 9106; 19 MiB, t = 2, p = 1). Each use has a key of its own by HKDF, so that no value of one kind can be
taken for another.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from typing import Final

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from gateway.envelope import ctx
from gateway.model.base import GATEWAY, AdministrationId, ShredKeyId, UserId
from gateway.model.keys import KeyLabel
from gateway.ports import ShredKeys
from keys import suites
from keys.hierarchy import Hierarchy

ARGON2_MEMORY_KIB: Final = 19 * 1024
ARGON2_TIME: Final = 2
_ED25519_NOTE: Final = b"\x01"  # C2SP signed-note: signature type of Ed25519


class KeyVault:
    """The Vault port over K1.i, K1.a and L."""

    def __init__(self, hierarchy: Hierarchy, shred: ShredKeys) -> None:
        self._hierarchy = hierarchy
        self._shred = shred

    async def mac(self, administration: AdministrationId, octets: bytes) -> bytes:
        key = await self._hierarchy.derived(administration, KeyLabel.INDEX, "mac")
        return hmac.digest(key, octets, "sha256")

    async def fingerprint(self, administration: AdministrationId, purpose: str, octets: bytes) -> bytes:
        key = await self._hierarchy.derived(administration, KeyLabel.INDEX, f"fingerprint/{purpose}")
        return hmac.digest(key, octets, "sha256")

    async def seal_field(self, administration: AdministrationId, context: str, plaintext: bytes) -> bytes:
        key = await self._hierarchy.derived(administration, KeyLabel.INDEX, "field")
        return suites.lock(key, plaintext, ctx("field", administration.encode(), context.encode()))

    async def open_field(self, administration: AdministrationId, context: str, sealed: bytes) -> bytes:
        key = await self._hierarchy.derived(administration, KeyLabel.INDEX, "field")
        return suites.unlock(key, sealed, ctx("field", administration.encode(), context.encode()), what="sealed field")

    async def pseudonym(self, administration: AdministrationId, year: int, user: UserId) -> bytes:
        key = await self._hierarchy.derived(administration, KeyLabel.AUDIT, f"pseudonym/{year}")
        return hmac.digest(key, user.encode(), "sha256")[:16]

    async def seal_side(
        self, administration: AdministrationId, shred_key: ShredKeyId, context: str, plaintext: bytes
    ) -> bytes:
        key = await self._side_key(administration, shred_key)
        return suites.lock(key, plaintext, ctx("side", administration.encode(), context.encode()))

    async def open_side(
        self, administration: AdministrationId, shred_key: ShredKeyId, context: str, sealed: bytes
    ) -> bytes:
        key = await self._side_key(administration, shred_key)
        return suites.unlock(key, sealed, ctx("side", administration.encode(), context.encode()), what="log side row")

    async def _side_key(self, administration: AdministrationId, shred_key: ShredKeyId) -> bytes:
        base = await self._hierarchy.derived(administration, KeyLabel.AUDIT, "side")
        return hmac.digest(base, await self._shred.get(shred_key), "sha256")

    async def sign_note(self, origin: str, text: str) -> str:
        """The signed note of `text` under L (C2SP signed-note); `text` ends with a newline."""
        seed = await self._hierarchy.derived(GATEWAY, KeyLabel.LOG, "note")
        key_id = note_key_id(origin, suites.signing_public(seed))
        signature = base64.b64encode(key_id + suites.sign(seed, text.encode())).decode()
        return f"{text}\n— {origin} {signature}\n"

    async def note_key(self, origin: str) -> str:
        """The verifier key: name+hash+base64(type | public key)."""
        public = suites.signing_public(await self._hierarchy.derived(GATEWAY, KeyLabel.LOG, "note"))
        key_id = note_key_id(origin, public)
        return f"{origin}+{key_id.hex()}+{base64.b64encode(_ED25519_NOTE + public).decode()}"

    def check_note(self, note: str, vkey: str) -> bool:
        """Whether `note` bears a signature that holds under `vkey`."""
        name, _, rest = vkey.partition("+")
        key_id, _, encoded = rest.partition("+")
        public = base64.b64decode(encoded)[1:]
        text, _, signatures = note.rpartition("\n\n")
        for line in signatures.splitlines():
            prefix = f"— {name} "
            if line.startswith(prefix):
                try:
                    octets = base64.b64decode(line.removeprefix(prefix), validate=True)
                except ValueError:
                    continue
                if octets[:4].hex() == key_id and suites.verifies(public, octets[4:], f"{text}\n".encode()):
                    return True
        return False

    def hash_password(self, password: str) -> bytes:
        return _argon2(os.urandom(16)).derive_phc_encoded(password.encode()).encode()

    def check_password(self, password: str, phc: bytes) -> bool:
        try:
            Argon2id.verify_phc_encoded(password.encode(), phc.decode())
        except (InvalidKey, ValueError):
            return False
        return True


def note_key_id(name: str, public: bytes) -> bytes:
    """The first four octets of SHA-256(name | newline | type | public key) (C2SP signed-note)."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519_NOTE + public).digest()[:4]


def _argon2(salt: bytes) -> Argon2id:
    return Argon2id(salt=salt, length=32, iterations=ARGON2_TIME, lanes=1, memory_cost=ARGON2_MEMORY_KIB)
