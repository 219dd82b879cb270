"""What a case worker's pages are made of: whose turn, lines, a case's file, the way of each delivery, addresses.

Why this exists: the use cases (gateway.casework) work these values out; whoever shows them needs the words for nothing
but these. All of it can be seen without opening anything, but a Desk, which holds a draft's answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gateway.cases import CaseView
from gateway.decide import AccessAction
from gateway.directory import Snapshot
from gateway.errors import FieldError, NotFoundError
from gateway.forms import Form
from gateway.model.base import EnvelopeId, Instant
from gateway.model.directory import Inbox, SecrecyRegime
from gateway.model.path import Case, Channel, Delivery, Draft, Message
from gateway.model.queue import Recall
from gateway.neighbours import Reason
from gateway.ports import Cursor
from gateway.states import CaseState, DeliveryState


class Turn(StrEnum):
    """Who acts next, and what is to be done."""

    SEND = "send"
    SEND_AGAIN = "send_again"
    NOT_OPENED = "not_opened"
    ANSWER = "answer"
    COMPLETE = "complete"
    STAGE_2 = "stage_2"
    UNIT = "unit"
    GO_ON = "go_on"

    @property
    def ours(self) -> bool:
        return self not in (Turn.NOT_OPENED, Turn.ANSWER, Turn.UNIT)


class Why(StrEnum):
    """Why a delivery ended without arriving."""

    UNDONE = "undone"
    CONSENT = "consent"
    EXPIRED = "expired"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a case stands. `unit` is the name of the unit that was proposed first."""

    turn: Turn
    due_at: Instant | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseLine:
    case: Case
    progress: Progress
    unread: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseList:
    """A page of an inbox's cases. `drafts` are those that wait, with their cases' references."""

    inbox: Inbox
    lines: Sequence[CaseLine]
    counts: Mapping[CaseState, int]
    total: int
    drafts: Sequence[tuple[Draft, str]]
    unread: int
    may: frozenset[AccessAction]
    next: Cursor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One recipient of a message: how far it has come. Times are None until it has."""

    delivery: Delivery
    inbox: Inbox
    opened_at: Instant | None
    answered_at: Instant | None
    why: Why | None
    reason: Reason | None = None  # the neighbour's word, while it is tried and after it ended
    again: bool = False  # a person may try the same envelope again
    recall: Recall | None
    others: tuple[Delivery, ...] = ()  # the other ways of the same envelope, in the order in which they ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A message of the case as this inbox sees it. `envelope` is its own: what it received, or its own copy."""

    message: Message
    sender: Inbox
    sender_name: str  # the board's, when a seat answers for it
    mine: bool
    envelope: EnvelopeId | None
    read: bool
    legs: tuple[Leg, ...]

    @property
    def undo_until(self) -> Instant | None:
        """Until when it can be undone; None when nothing of it is queued any more."""
        queued = [leg.delivery.due_at for leg in self.legs if leg.delivery.state is DeliveryState.QUEUED]
        return min(queued) if self.mine and queued else None

    @property
    def arrived(self) -> bool:
        return any(leg.delivery.delivered_at is not None for leg in self.legs)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFile:
    """Everything of a case that can be seen without opening anything; newest message first."""

    inbox: Inbox
    view: CaseView
    progress: Progress
    entries: tuple[Entry, ...]
    drafts: tuple[Draft, ...]
    may: frozenset[AccessAction]
    directory: Snapshot

    @property
    def case(self) -> Case:
        return self.view.case

    def entry(self, message: str) -> Entry:
        """Raises NotFoundError."""
        for entry in self.entries:
            if entry.message.id == message:
                return entry
        raise NotFoundError("no such message", swedish="Meddelandet finns inte, eller är inte ert.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An inbox that can be sent to: whose it is, and how many present members can open what comes.

    `ways` are those to an inbox outside, in the order in which they are tried; empty: it lies in this gateway.
    """

    inbox: Inbox
    organisation: str
    readers: int
    ways: tuple[Channel, ...]
    regime: SecrecyRegime


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """What a sender chooses: a board, or one inbox.

    `group` is the organisation of a function outside, else empty. `known`: it takes part in the case already.
    """

    id: str
    name: str
    places: tuple[Place, ...]
    group: str
    known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A draft as one writes in it: its answers, its case, and what would keep it from being sent."""

    draft: Draft
    values: Mapping[str, Any]
    case: Case
    inbox: Inbox
    form: Form
    faults: Sequence[FieldError]
