"""Addresses that say which mail they came from: `studs+b<id>-<mark>@domain` (VERP).

Why this exists: a bounce is written by machines that need not repeat anything of the mail. The address it comes back to
is the one thing that they all keep, so it names the mail. The mark is a MAC: whoever has seen a Message-ID cannot say
"delivered" in another's name.

A parcel has two of them, a notice the first alone. Bounces come to its envelope sender, which every server on the way
reads. Receipts come to an address that stands inside the encryption only: who answers there has decrypted the mail.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import uuid
from enum import StrEnum
from pathlib import Path
from typing import Final

from adapters.smtp.addresses import checked

MARK_OCTETS: Final = 8
KEY_OCTETS: Final = 32


class Back(StrEnum):
    """What comes back to an address."""

    BOUNCE = "b"
    RECEIPT = "r"
    NOTICE = "n"  # bounces of notices to members: there is no delivery that they could move


class Verp:
    """Makes and reads addresses under one of ours, whose local part has at most 13 octets.

    Raises:
        UnsafeTextError: the address is no plain one, or too long to name mails.
    """

    def __init__(self, address: str, key: bytes) -> None:
        self._local, _, self._domain = checked(address).rpartition("@")
        self._key = key
        self.address(str(uuid.UUID(int=0)), Back.BOUNCE)

    def address(self, identifier: str, back: Back) -> str:
        """Where what comes back of the mail with this id, which is a UUID, is sent."""
        name = back + uuid.UUID(identifier).hex
        return checked(f"{self._local}+{name}-{self._mark(name)}@{self._domain}")

    def read(self, address: str) -> tuple[str, Back] | None:
        """Which mail an address of ours speaks of, and what comes there; None when it is not one that we made."""
        local, _, domain = address.rpartition("@")
        beginning, _, named = local.partition("+")
        name, _, mark = named.partition("-")
        if (beginning, domain.lower()) != (self._local, self._domain):
            return None
        if not hmac.compare_digest(mark.encode(), self._mark(name).encode()):
            return None
        return str(uuid.UUID(name[1:])), Back(name[0])

    def _mark(self, name: str) -> str:
        return hmac.digest(self._key, b"sambud/v1/verp\0" + name.encode(), hashlib.sha256)[:MARK_OCTETS].hex()


def kept_key(file: Path) -> bytes:
    """The key of this gateway's marks, made at the first use."""
    if not file.exists():
        fresh = file.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
            opened.write(secrets.token_bytes(KEY_OCTETS))
            opened.flush()
            os.fsync(opened.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(fresh, file)  # whole or not at all; the first one stays
        fresh.unlink()
    return file.read_bytes()
