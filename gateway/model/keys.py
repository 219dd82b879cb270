"""What is kept of keys: wrapped private halves, signed records of public halves, locked wraps.

Hierarchy (security-decisions S6, §4): K0 root > K1.m/c/s/i/a per administration > K2 member > K3 inbox epoch >
wrap of K4, locked by a shred key that lives in another store. Nothing in these rows opens anything without K0.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from gateway.model.base import (
    EnvelopeId,
    InboxId,
    Instant,
    KeyRecordId,
    Row,
    ShredBatchId,
    ShredKeyId,
    UserId,
    VersionedRow,
)


class KeyLabel(StrEnum):
    """The independent keys of one administration, and L, which only the gateway itself has."""

    MEMBERS = "m"
    CHANNELS = "c"
    SIGNING = "s"
    INDEX = "i"
    AUDIT = "a"
    LOG = "l"


class KeyRecordKind(StrEnum):
    SIGNING = "signing"  # S of an administration, owner = administration
    MEMBER = "member"  # K2 of a user
    INBOX = "inbox"  # K3 epoch of an inbox, with its wrap set
    CHANNEL = "channel"  # what leaves (or waits) over a channel, owner = "administration/out" or "…/hold"
    INTAKE = "intake"  # signs what came in from outside, owner = administration; never an outbound seal


@dataclass(frozen=True, slots=True, kw_only=True)
class AdministrationKey(Row):
    """K1.<label>, wrapped by K0."""

    TABLE: ClassVar[str] = "administration_key"
    KEY: ClassVar[tuple[str, ...]] = ("administration", "label", "epoch")

    label: KeyLabel
    epoch: int
    wrapped: bytes
    created_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord(Row):
    """A public key that somebody may rely on: signed by the administration's S and entered in the log (S3).

    `wraps` names who can open: for INBOX the ordered pairs "member record id=SHA-256 of the wrap" (hexadecimal).
    `previous` is the hash of the former record of the same (kind, owner), "" for epoch 1.
    """

    TABLE: ClassVar[str] = "key_record"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: KeyRecordId
    kind: KeyRecordKind
    owner: str
    epoch: int
    revision: int  # grows when the wrap set of an epoch grows
    suite: int
    public_key: bytes
    wraps: tuple[str, ...]
    added_by: str
    approval: str  # "bootstrap", or the user id of the admitting member
    previous: str
    created_at: Instant
    signer: KeyRecordId
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHead(VersionedRow):
    """The newest record of one (kind, owner): what an epoch fact in a Decision points at."""

    TABLE: ClassVar[str] = "key_head"
    KEY: ClassVar[tuple[str, ...]] = ("kind", "owner")

    kind: KeyRecordKind
    owner: str
    epoch: int
    record: KeyRecordId


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberKey(Row):
    """K2: the member's secret, wrapped by K1.m."""

    TABLE: ClassVar[str] = "member_key"
    KEY: ClassVar[tuple[str, ...]] = ("user", "epoch")

    user: UserId
    epoch: int
    record: KeyRecordId
    wrapped: bytes
    created_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxWrap(Row):
    """K3 of one epoch, HPKE-wrapped to one member's K2."""

    TABLE: ClassVar[str] = "inbox_wrap"
    KEY: ClassVar[tuple[str, ...]] = ("inbox", "epoch", "user")

    inbox: InboxId
    epoch: int
    user: UserId
    member_record: KeyRecordId
    wrapped: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvelopeWrap(Row):
    """K4, HPKE-wrapped to one inbox epoch and locked by a shred key. Not part of the envelope, never signed."""

    TABLE: ClassVar[str] = "envelope_wrap"
    KEY: ClassVar[tuple[str, ...]] = ("envelope",)

    envelope: EnvelopeId
    inbox: InboxId
    epoch: int
    record: KeyRecordId
    shred_key: ShredKeyId
    batch: ShredBatchId
    locked: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelKey(Row):
    """The private half of a channel key, wrapped by K1.c: a worker with it reads what is leaving, never an inbox."""

    TABLE: ClassVar[str] = "channel_key"
    KEY: ClassVar[tuple[str, ...]] = ("owner", "epoch")

    owner: str  # "administration/out" or "administration/hold"
    epoch: int
    record: KeyRecordId
    wrapped: bytes
    created_at: Instant


class ShredBatchState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShredBatch(VersionedRow):
    """A batch of shred keys that were durable in the key store before the first was used (§4(c)).

    Accept expects it OPEN; the sweeper closes it here before it deletes keys that nothing refers to.
    """

    TABLE: ClassVar[str] = "shred_batch"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: ShredBatchId
    state: ShredBatchState
    created_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class SideKey(Row):
    """Which shred key locks the audit side rows of one scope (a case, or an administration) and year (H5)."""

    TABLE: ClassVar[str] = "side_key"
    KEY: ClassVar[tuple[str, ...]] = ("scope", "year")

    scope: str
    year: int
    shred_key: ShredKeyId
