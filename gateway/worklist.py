"""What a list of work shows: its views, its lines, and the order that they stand in.

Why this exists: the order is what the board lives by, so it is plain functions of lines, without a store or a clock.
`gateway.queue` makes the lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gateway.directory import Snapshot
from gateway.model.base import InboxId, Instant
from gateway.model.directory import Inbox
from gateway.model.path import Case, SeatAnswer
from gateway.model.queue import Claim, Task
from gateway.ports import Assessment, Cursor
from gateway.sessions import Signed
from gateway.states import AnswerState


class View(StrEnum):
    """The built-in views of a shared inbox."""

    ALL = "alla"
    MINE = "mina"
    UNCLAIMED = "ej-tilldelade"
    URGENT = "akuta"
    WAITING = "vantar-pa-svar"
    OVERDUE = "forfallna"
    DONE = "avslutade"


class Waits(StrEnum):
    """Whose answer is missing, when an answer was proposed."""

    NOBODY = ""
    US = "us"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkLine:
    """One line of the work list. `assessment` is None until a member here has opened it, and without a window."""

    task: Task
    case: Case
    sender: InboxId
    read_at: Instant | None  # when the asker last read it
    claim: Claim | None
    holder: str  # the function that holds the claim
    assessment: Assessment | None
    waits: Waits
    overdue: bool
    disagreed: bool = False  # the seats did not agree on an answer: for the weekly meeting

    @property
    def read(self) -> bool:
        """Whether the asker has read it; a colleague's reading does not count."""
        return self.read_at is not None

    @property
    def urgent(self) -> bool:
        return self.assessment is not None and (self.assessment.urgent or self.assessment.rank[0] == 1)


@dataclass(frozen=True, slots=True)
class WorkList:
    """A view of an inbox: its lines, the counts of every view, and whether priorities could be shown."""

    lines: Sequence[WorkLine]
    counts: Mapping[View, int]
    priorities: bool
    next: Cursor | None = None


def scope_of(directory: Snapshot, inbox: Inbox) -> str:
    """Where a claim and presence are seen: in the whole board for a seat, else in the inbox."""
    board = directory.board_of(inbox.id)
    return board.id if board else inbox.id


def waits_of(task: Task, answers: Sequence[SeatAnswer], inbox: InboxId) -> Waits:
    for answer in answers:
        if answer.request == task.message and answer.state is AnswerState.PROPOSED:
            return Waits.OTHER if answer.proposer == inbox else Waits.US
        if answer.proposal == task.message and answer.state is AnswerState.PROPOSED:
            return Waits.US
    return Waits.NOBODY


def views_of(line: WorkLine, signed: Signed) -> frozenset[View]:
    """The views that an open line stands in."""
    found = {
        View.ALL: True,
        View.MINE: line.claim is not None and line.claim.user == signed.user.id,
        View.UNCLAIMED: line.claim is None,
        View.URGENT: line.urgent,
        View.WAITING: line.waits is Waits.OTHER,
        View.OVERDUE: line.overdue,
    }
    return frozenset(view for view, there in found.items() if there)


def has(find: str, line: WorkLine, directory: Snapshot) -> bool:
    wanted = find.strip().casefold()
    if not wanted:
        return True
    sender = directory.inbox(line.sender)
    administration = directory.administration(sender.administration)
    organisation = directory.organisations[administration.organisation]
    names = (line.case.reference, sender.name, administration.name, organisation.name)
    return any(wanted in name.casefold() for name in names)


def order(line: WorkLine) -> tuple[int, int, int, str]:
    """What nobody has opened comes first: it may be anything. Then by class, and by age within it."""
    first, second = line.assessment.rank if line.assessment else (0 if not line.read else 5, 0)
    return first, second, line.task.received_at, line.task.envelope
