"""What the log keeps: leaves, erasable side rows, checkpoints (RFC 6962, C2SP, security-decisions H5)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar

from gateway.model.base import AdministrationId, Instant, Row, ShredKeyId


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLeaf(Row):
    """One leaf of a log: `leaf` is canonical JSON with commitments only; `hash` its RFC 6962 leaf hash."""

    TABLE: ClassVar[str] = "audit_leaf"
    KEY: ClassVar[tuple[str, ...]] = ("log", "number")

    log: str
    number: int
    leaf: bytes
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSide(Row):
    """What the leaf commits to, erasable: indexed pseudonyms, and the rest sealed under K1.a and a shred key."""

    TABLE: ClassVar[str] = "audit_side"
    KEY: ClassVar[tuple[str, ...]] = ("log", "number")

    log: str
    number: int
    at: Instant
    action: str
    actor: bytes  # pseudonym, HMAC under P of the year; empty when nobody is signed in
    object: str  # opaque id
    scope: str  # case id or administration: names the side key
    shred_key: ShredKeyId
    sealed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint(Row):
    """A signed tree head as it was published."""

    TABLE: ClassVar[str] = "checkpoint"
    KEY: ClassVar[tuple[str, ...]] = ("log", "size")

    log: str
    size: int
    root: bytes
    note: str
    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """A leaf before the store has numbered it, with its side row; the store writes both in the caller's transaction."""

    administration: AdministrationId
    log: str
    leaf: bytes
    at: Instant
    action: str
    actor: bytes
    object: str
    scope: str
    shred_key: ShredKeyId
    sealed: bytes

    @property
    def hash(self) -> bytes:
        """The RFC 6962 §2.1 leaf hash: SHA-256(0x00 | leaf)."""
        return hashlib.sha256(b"\x00" + self.leaf).digest()
