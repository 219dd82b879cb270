"""What a shared inbox works with: tasks, claims, worksheet rows and recalls (design.md §2, security-decisions S7).

Tasks and claims are coordination state, P0–P1 and in clear: which item, whether it is open, who has said "I take it".
What members add about the matter itself (notes, priority, reasons) stands sealed in Worksheet rows of their own inbox.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from gateway.model.base import CaseId, EnvelopeId, InboxId, Instant, MessageId, Row, UserId, VersionedRow
from gateway.states import RecallState, TaskState


class Sheet(StrEnum):
    """What a worksheet row holds."""

    PRIORITY = "priority"  # one per envelope: class, reasons, rule version
    NOTE = "note"  # an internal note about the case; never leaves the inbox
    HAND_OVER = "hand_over"  # what goes with a claim that is handed over
    DEPUTY = "deputy"  # why a deputy acted


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(VersionedRow):
    """A received envelope as work: open until it is answered or closed. `due_at` is a day to answer by, if any."""

    TABLE: ClassVar[str] = "task"
    KEY: ClassVar[tuple[str, ...]] = ("envelope",)

    envelope: EnvelopeId
    inbox: InboxId
    message: MessageId
    case: CaseId
    form_type: str
    state: TaskState
    received_at: Instant
    due_at: Instant | None = None
    changed_at: Instant
    changed_by: UserId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(VersionedRow):
    """A label that says who takes an item. It locks nothing: it tells the others.

    `scope` is the board for seats, so that both authorities see one label, else the inbox itself.
    """

    TABLE: ClassVar[str] = "claim"
    KEY: ClassVar[tuple[str, ...]] = ("scope", "message")

    scope: str
    message: MessageId
    inbox: InboxId  # the holder's
    user: UserId
    since: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Worksheet(Row):
    """One sealed thing that a member added, under the inbox epoch's work key; `item` is a case or an envelope."""

    TABLE: ClassVar[str] = "worksheet"
    KEY: ClassVar[tuple[str, ...]] = ("inbox", "item", "sheet", "number")

    inbox: InboxId
    item: str
    sheet: Sheet
    number: int
    epoch: int
    user: UserId
    created_at: Instant
    sealed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall(VersionedRow):
    """That a sender asks for a delivered envelope back. `administration` is the recipient's, whose registrator decides.

    A sender never deletes what was received (TF 2 kap. 9 §): while it is asked for, members do not open it.
    """

    TABLE: ClassVar[str] = "recall"
    KEY: ClassVar[tuple[str, ...]] = ("envelope",)

    envelope: EnvelopeId
    message: MessageId
    case: CaseId
    inbox: InboxId
    sender: InboxId
    state: RecallState
    requested_by: UserId
    requested_at: Instant
    decided_by: UserId | None = None
    decided_at: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityMark(Row):
    """That a case of an administration concerns an identity, by a keyed hash: for exact search, never for a list.

    The key is the administration's own (K1.i), so marks of two administrations are never alike (security-decisions H6).
    """

    TABLE: ClassVar[str] = "identity_mark"
    KEY: ClassVar[tuple[str, ...]] = ("administration", "mark", "case")

    mark: str  # hexadecimal
    case: CaseId


@dataclass(frozen=True, slots=True)
class RegisterLine:
    """One received envelope as a registrator sees it: who wrote to whom, when, which form; nothing of the content."""

    envelope: EnvelopeId
    message: MessageId
    case: CaseId
    case_reference: str
    form_type: str
    sender: InboxId
    inbox: InboxId
    delivery: str
    state: str
    delivered_at: Instant
