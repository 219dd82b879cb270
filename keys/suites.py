"""The algorithms of suite 0x10, by the exact calls of `cryptography` (docs/envelope.md §2).

HPKE in base mode with X-Wing, AES-256-GCM and HKDF-SHA256; Ed25519; Cobblestone-256 stands in `sealing` and
`attachments`. An X-Wing key is kept as its 32-octet seed, expanded by SHAKE-256 as the draft (and age) does.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric import ed25519, mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESGCMSIV
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.errors import IntegrityError

SUITE_ID: Final = 0x0010
PUBLIC_KEY: Final = 1216  # ML-KEM-768 1,184 + X25519 32
NONCE: Final = 12
HPKE: Final = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)

# The points of small order on edwards25519 in every encoding that decoders accept: a signature under one of them
# proves nothing, and OpenSSL takes them (RFC 8032 §5.1.7 leaves the check to the protocol).
SMALL_ORDER: Final = frozenset(
    bytes.fromhex(point)
    for point in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    )
)

PrivateKey = hpke.MLKEM768X25519PrivateKey
PublicKey = hpke.MLKEM768X25519PublicKey
SigningKey = ed25519.Ed25519PrivateKey


def private_key(seed: bytes) -> PrivateKey:
    """The X-Wing private key of a 32-octet seed. Costs about 0.3 ms: keep the result."""
    expanded = hashlib.shake_256(seed).digest(96)
    return hpke.MLKEM768X25519PrivateKey(
        mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:64]),
        x25519.X25519PrivateKey.from_private_bytes(expanded[64:]),
    )


def public_octets(seed: bytes) -> bytes:
    """The 1,216 octets of the public key of a seed: ML-KEM-768, then X25519."""
    expanded = hashlib.shake_256(seed).digest(96)
    kem = mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:64]).public_key().public_bytes_raw()
    return kem + x25519.X25519PrivateKey.from_private_bytes(expanded[64:]).public_key().public_bytes_raw()


def public_key(octets: bytes) -> PublicKey:
    """A public key from its octets; ValueError when they are not one."""
    if len(octets) != PUBLIC_KEY:
        raise ValueError("an X-Wing public key has 1,216 octets")
    return hpke.MLKEM768X25519PublicKey(
        mlkem.MLKEM768PublicKey.from_public_bytes(octets[:1184]),
        x25519.X25519PublicKey.from_public_bytes(octets[1184:]),
    )


def derive(secret: bytes, label: str) -> bytes:
    """A 32-octet key for one use, HKDF-SHA256 (RFC 5869): one secret never serves two purposes."""
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"sambud/v1/" + label.encode()).derive(secret)


def lock(key: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """nonce || AES-256-GCM-SIV (RFC 8452)."""
    nonce = secrets.token_bytes(NONCE)
    return nonce + AESGCMSIV(key).encrypt(nonce, plaintext, aad)


def unlock(key: bytes, sealed: bytes, aad: bytes, *, what: str) -> bytes:
    """The plaintext of `lock`.

    Raises:
        IntegrityError: altered, moved, or locked by another key. `what` names the kind of value, no content.
    """
    try:
        return AESGCMSIV(key).decrypt(sealed[:NONCE], sealed[NONCE:], aad)
    except (InvalidTag, ValueError) as fault:
        raise broken(what) from fault


def wrap_gcm(key: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """nonce || AES-256-GCM, for K2 under K1.m: hardware tokens have no GCM-SIV."""
    nonce = secrets.token_bytes(NONCE)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, aad)


def unwrap_gcm(key: bytes, sealed: bytes, aad: bytes, *, what: str) -> bytes:
    """The plaintext of `wrap_gcm`; IntegrityError as in `unlock`."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE], sealed[NONCE:], aad)
    except (InvalidTag, ValueError) as fault:
        raise broken(what) from fault


def broken(what: str) -> IntegrityError:
    """A stored value does not verify."""
    return IntegrityError(
        f"{what} does not verify",
        swedish="En nyckel eller en skyddad uppgift har ändrats utanför systemet.",
        next_step="Inget har lämnats ut. Kontakta den som ansvarar för säkerheten.",
    )


def signing_key(seed: bytes) -> SigningKey:
    """The Ed25519 private key of a seed. Costs as much as a signature: keep the result."""
    return ed25519.Ed25519PrivateKey.from_private_bytes(seed)


def sign(seed: bytes, octets: bytes) -> bytes:
    """Ed25519 (RFC 8032) over `octets`, which start with a label of their use."""
    return signing_key(seed).sign(octets)


def signing_public(seed: bytes) -> bytes:
    return ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def verifies(public: bytes, signature: bytes, octets: bytes) -> bool:
    """Whether the signature holds under a public key that is not of small order."""
    if public in SMALL_ORDER:
        return False
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signature, octets)
    except (InvalidSignature, ValueError):
        return False
    return True
