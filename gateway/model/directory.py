"""Who exists: organisations, administrations, units, inboxes and boards (design.md §2).

The Administration is the authority in secrecy law (OSL 8:1) and owns every row of its inboxes. An Inbox is a
function, never a person. A Board is a view over one seat inbox per member authority, with no key of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Final

from gateway.model.base import (
    ADDED,
    BoardId,
    DecidingRow,
    InboxId,
    Instant,
    OrganisationId,
    UnitId,
    VersionedRow,
)
from gateway.model.path import Channel

DIRECTORY: Final = "directory"
POLICIES: Final = "policies"


class InboxKind(StrEnum):
    """What an inbox is for; access rules ask for the kind, never for the name."""

    CASEWORK = "casework"  # case workers: send referrals, hold cases
    SEAT = "seat"  # one authority's seat in a board
    UNIT = "unit"  # a residential unit, receives stage 2
    REGISTRATOR = "registrator"
    INTAKE = "intake"  # child & family intake, duty service, clinics


class SecrecyRegime(StrEnum):
    """The chapter of OSL that a unit applies; data per unit, never inferred (domain.md §7.2; JUR)."""

    OSL_25 = "OSL_25"
    OSL_26 = "OSL_26"


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation(DecidingRow):
    """A principal (huvudman). `number` is its public organisation number."""

    TABLE: ClassVar[str] = "organisation"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: OrganisationId
    name: str
    number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Administration(DecidingRow):
    """An authority: the secrecy domain. Its id is the `administration` that it owns rows under."""

    TABLE: ClassVar[str] = "administration"
    KEY: ClassVar[tuple[str, ...]] = ("administration",)

    organisation: OrganisationId
    name: str
    #: Hosted by another gateway, or by none: nobody here is a member.
    outside: bool = field(default=False, metadata=ADDED)
    #: Of one outside: SHA-256 (hexadecimal) of the key S that its joint answers are signed with.
    signing_key: str = field(default="", metadata=ADDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit(DecidingRow):
    """A part of an administration that a consent can name as party."""

    TABLE: ClassVar[str] = "unit"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: UnitId
    name: str
    secrecy_regime: SecrecyRegime
    legal_form: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbox(DecidingRow):
    """A function that receives and sends. `accepts` lists form types; others are refused before sealing."""

    TABLE: ClassVar[str] = "inbox"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: InboxId
    unit: UnitId
    name: str
    kind: InboxKind
    accepts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(DecidingRow):
    """Where an inbox is reached on a channel: of an inbox outside, or the address neighbours write to ours under.

    `rank` orders the ways to one inbox, the lowest first. `pin` is the SHA-256 (hexadecimal) of the certificate that
    an S/MIME recipient must have; empty elsewhere. `serves` makes it a collecting address (docs/channels.md §3.2): the
    administrations whose functions a registrator may choose for what comes to it; the owner's own always among them.
    """

    TABLE: ClassVar[str] = "route"
    KEY: ClassVar[tuple[str, ...]] = ("inbox", "channel")

    inbox: InboxId
    channel: Channel
    address: str
    rank: int
    pin: str = ""
    serves: tuple[str, ...] = field(default=(), metadata=ADDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Board(DecidingRow):
    """The remissgrupp: a message to it becomes one envelope for each seat."""

    TABLE: ClassVar[str] = "board"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: BoardId
    name: str
    seats: tuple[str, ...]  # inbox ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(VersionedRow):
    """A functional address as a network's address book has it: a copy that people are told from; it routes nothing.

    `address` is in lower case, as it is compared. `gone_at` says when the book no longer had it.
    """

    TABLE: ClassVar[str] = "listing"
    KEY: ClassVar[tuple[str, ...]] = ("channel", "address")

    channel: Channel
    address: str
    organisation: str
    number: str  # the organisation's, ten digits
    name: str
    gone_at: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BookReading(VersionedRow):
    """When the address book of a channel was read last, and what it was."""

    TABLE: ClassVar[str] = "book_reading"
    KEY: ClassVar[tuple[str, ...]] = ("channel",)

    channel: Channel
    digest: str  # SHA-256 of the book, hexadecimal
    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation(DecidingRow):
    """How many times a whole has changed: `name` is DIRECTORY or POLICIES. `digest` names its content."""

    TABLE: ClassVar[str] = "generation"
    KEY: ClassVar[tuple[str, ...]] = ("name",)

    name: str
    digest: str
