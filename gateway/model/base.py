"""The ground the nouns stand on: identifiers, instants, rows and facts.

Why this exists: every store (memory, SQLite, PostgreSQL) keeps the same frozen values, and a decision
names the versions of the values it rests on. Both need one idea of what a kept value is, so it stands here.

Rules it keeps: a `Row` holds only text, integers, booleans, bytes and tuples of text; a row that changes has a
`version` that grows by one; a row that decides has a `mac`; every row names the administration that owns it.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final, NewType

Instant = NewType("Instant", int)  # microseconds since 1970-01-01T00:00:00Z
OrganisationId = NewType("OrganisationId", str)
AdministrationId = NewType("AdministrationId", str)
UnitId = NewType("UnitId", str)
InboxId = NewType("InboxId", str)
BoardId = NewType("BoardId", str)
UserId = NewType("UserId", str)
SessionId = NewType("SessionId", str)  # SHA-256 of the bearer token, hexadecimal
CaseId = NewType("CaseId", str)
ConsentId = NewType("ConsentId", str)
DecisionId = NewType("DecisionId", str)
DraftId = NewType("DraftId", str)
AttachmentId = NewType("AttachmentId", str)
MessageId = NewType("MessageId", str)
EnvelopeId = NewType("EnvelopeId", str)
DeliveryId = NewType("DeliveryId", str)
ReceiptId = NewType("ReceiptId", str)
KeyRecordId = NewType("KeyRecordId", str)
ShredKeyId = NewType("ShredKeyId", str)
ShredBatchId = NewType("ShredBatchId", str)

#: Owner of rows that belong to the gateway itself: the directory, the log, events before sign-in.
GATEWAY: Final = AdministrationId("sambud")

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A value that a Store keeps. Subclasses set TABLE (its name) and KEY (the fields that identify it)."""

    TABLE: ClassVar[str]
    KEY: ClassVar[tuple[str, ...]]

    administration: AdministrationId

    @property
    def key(self) -> tuple[str | int, ...]:
        """The values of the KEY fields, in their order."""
        return tuple(getattr(self, name) for name in self.KEY)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionedRow(Row):
    """A row that may change. `version` is 1 when inserted and grows by one with every update."""

    version: int = 1


#: Metadata of a field that a later version added to a kind of DecidingRow: `field(default=…, metadata=ADDED)`.
LATER: Final = "later"
ADDED: Final = MappingProxyType({LATER: True})


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidingRow(VersionedRow):
    """A row that decides who may do what, so it carries a MAC under K1.i of its administration.

    The MAC covers table, key, version and all other fields (security-decisions S3). `gateway.integrity` writes and
    checks it; a row whose MAC does not hold is refused and raises an alarm. Rollback of a whole row to an earlier
    state with its earlier MAC is not prevented here: the log shows it.
    """

    mac: bytes = b""


@dataclass(frozen=True, slots=True)
class Fact:
    """The version of one row that a decision rests on; a commit re-reads it under its own transaction.

    Args:
        row: the kind of row.
        key: its key values.
        version: the version that was read; 0 says that no such row existed.
        valid_until: when given, the transaction's time must be before it (a consent's `valid_to`).
    """

    row: type[VersionedRow]
    key: tuple[str | int, ...]
    version: int
    valid_until: Instant | None = None


def fact(row: VersionedRow, *, valid_until: Instant | None = None) -> Fact:
    """The fact that `row` is as it was read."""
    return Fact(type(row), row.key, row.version, valid_until)
