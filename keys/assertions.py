"""What a system proves itself with: a signed assertion, and the public key that it fits (RFC 7515, 7517, 7523).

Why this exists: whether a signature holds is a question of keys, and joserfc answers it; here stands which algorithms
and keys are good enough, and that the key decides the algorithm: an assertion never chooses how it is checked
(RFC 8725 §3.1).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from gateway.canonical import dumps

MIN_RSA: Final = 2048
MAX_RSA: Final = 8192
MAX_ASSERTION: Final = 8192  # octets
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class JoseAssertions:
    """The Assertions port."""

    def public_key(self, key: Mapping[str, Any]) -> bytes:
        """The key as it is kept: canonical JSON of the members that make it.

        Raises:
            ValueError: no RSA key of 2,048 to 8,192 bits and no P-256 key, or a private one.
        """
        if _PRIVATE & key.keys():
            raise ValueError("a private key")
        parts = {name: key.get(name) for name in ("kty", "crv", "e", "n", "x", "y")}
        kept = {name: value for name, value in parts.items() if isinstance(value, str) and len(value) < 2048}
        _key(kept)
        return dumps(kept)

    def read_key(self, octets: bytes) -> Mapping[str, Any]:
        """The public key in a file, PEM or JWK, as a JWK.

        Raises:
            ValueError: neither, or a private key: that one stays with its system.
        """
        if octets.lstrip().startswith(b"{"):
            told = json.loads(octets)
            if not isinstance(told, dict):
                raise ValueError("not a key")
            self.public_key(told)
            return told
        if b"PRIVATE" in octets:
            raise ValueError("a private key")
        for kind in (ECKey, RSAKey):
            try:
                return kind.import_key(octets).as_dict(private=False)
            except (JoseError, ValueError, TypeError, KeyError):
                continue
        raise ValueError("not a key")

    def issuer(self, assertion: str) -> str:
        """Whom the assertion says it is of; nothing is checked. Raises ValueError: it is none."""
        if len(assertion) > MAX_ASSERTION or not assertion.isascii():
            raise ValueError("not an assertion")
        try:
            claims = json.loads(jws.extract_compact(assertion.encode()).payload)
        except (JoseError, ValueError, RecursionError) as fault:
            raise ValueError("not an assertion") from fault
        issuer = claims.get("iss") if isinstance(claims, dict) else None
        if not isinstance(issuer, str):
            raise ValueError("no issuer")
        return issuer

    def claims(self, assertion: str, key: bytes) -> Mapping[str, Any]:
        """What it says, once its signature holds under `key`. Raises ValueError: it does not."""
        known, algorithm = _key(json.loads(key))
        try:
            return jwt.decode(assertion, known, algorithms=[algorithm]).claims
        except (JoseError, ValueError, RecursionError) as fault:
            raise ValueError("the signature does not hold") from fault


def _key(told: Mapping[str, Any]) -> tuple[RSAKey | ECKey, str]:
    """The key, and the one algorithm that it is used with."""
    try:
        if told.get("kty") == "RSA":
            if len(told["n"]) * 6 < MIN_RSA:
                raise ValueError("the wrong size")
            rsa = RSAKey.import_key(dict(told))
            if not MIN_RSA <= rsa.public_key.key_size <= MAX_RSA:
                raise ValueError("the wrong size")
            return rsa, "RS256"
        if told.get("kty") == "EC" and told.get("crv") == "P-256":
            point = ECKey.import_key(dict(told))
            point.public_key.public_numbers()  # a point on the curve, or it raises
            return point, "ES256"
    except (JoseError, TypeError, KeyError) as fault:
        raise ValueError("not a key") from fault
    raise ValueError("a kind of key that is not used here")
