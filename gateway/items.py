"""One item of a shared inbox as its reader meets it: what it says, and what the inbox knows around it.

Why this exists: a member decides from more than the form. Who has taken it, who has read it, what colleagues noted,
which answer waits, what else was written in the matter: one reading gathers it, so a page asks once and shows one
moment. Opening comes first, with all that it asks and logs (`gateway.opening`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.cases import Cases
from gateway.decide import AccessAction
from gateway.errors import NotFoundError
from gateway.forms.names import MESSAGE, REFERRAL
from gateway.guard import Guard
from gateway.model.base import EnvelopeId, InboxId, Instant
from gateway.model.directory import Inbox, InboxKind
from gateway.model.identity import Membership, MembershipRole, MembershipState, StepUpWindow, User
from gateway.model.path import Case, Envelope, Message, SeatAnswer
from gateway.model.queue import Task
from gateway.opening import OpenedMessage
from gateway.ports import Store
from gateway.queue import Queue
from gateway.rights import Rights, Standing
from gateway.sessions import Signed
from gateway.sheets import Note, Notes
from gateway.states import AnswerState, CaseState, DeliveryState, TaskState
from gateway.windows import Windows
from gateway.worklist import WorkLine

MOST_LISTED = 200


@dataclass(frozen=True, slots=True)
class Reader:
    """A member who has opened an item."""

    title: str
    first_at: Instant
    last_at: Instant


@dataclass(frozen=True, slots=True)
class Beside:
    """Another message of the same matter that this inbox has: received, or sent by itself."""

    envelope: EnvelopeId
    message: Message
    own: bool


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What comes before and after an item in the queue's order.

    In a meeting `after` is the first that the reader has not gone through since it began: opening a new item gives it
    its place, so the order moves while they go on. `gone` and `left` count those, the item itself among `gone`.
    """

    before: EnvelopeId | None
    after: EnvelopeId | None
    gone: int = 0
    left: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What a page about an item shows. `line` is None for the inbox's own copy of what it sent."""

    found: OpenedMessage
    inbox: Inbox
    case: Case
    line: WorkLine | None
    window: StepUpWindow | None
    answer: SeatAnswer | None  # the newest about this referral, or the one that this item is
    notes: Sequence[Note]
    readers: Sequence[Reader]
    beside: Sequence[Beside]
    colleagues: Sequence[User]
    recipients: Sequence[Inbox]  # whom a message in the matter can go to, the sender of this item first
    deputy: bool
    works: bool  # may claim, note, close
    writes: bool  # may send a message in the matter
    proposes: bool  # may propose an answer, and the matter waits for one
    confirms: bool  # the answer waits for this inbox, and the caller may give it
    mark: str  # what there was to be seen, for the collision guard
    neighbours: Neighbours | None


class Items:
    """Reads items."""

    def __init__(
        self,
        store: Store,
        rights: Rights,
        windows: Windows,
        cases: Cases,
        queue: Queue,
        notes: Notes,
        guard: Guard,
    ) -> None:
        self._store = store
        self._rights = rights
        self._windows = windows
        self._cases = cases
        self._queue = queue
        self._notes = notes
        self._guard = guard

    async def read(
        self,
        signed: Signed,
        inbox: InboxId,
        envelope: EnvelopeId,
        *,
        neighbours: bool = False,
        since: Instant | None = None,
    ) -> Item:
        """Open an item and gather what stands around it; `since` is when a meeting began.

        Raises:
            NotFoundError: no such item in that inbox.
            StepUpRequiredError, RefusedError, EnvelopeError: as for opening.
        """
        standing = await self._rights.act(signed, inbox, AccessAction.READ)
        row = await self._store.get(Envelope, envelope)
        if row is None or row.inbox != inbox:
            raise NotFoundError("no such item", swedish="Meddelandet finns inte, eller är inte ert.")
        task = await self._store.get(Task, envelope)
        mark = await self._guard.mark(standing, task) if task else ""  # before opening: what comes now is newer
        found = await self._queue.open(signed, envelope)
        case = await self._cases.find(inbox, found.message.case)
        answer = await self._answer(standing, found.message)
        works = await self._rights.may(standing, AccessAction.WORK_TASK)
        answers = task is not None and await self._rights.may(standing, AccessAction.PROPOSE_ANSWER)
        return Item(
            found=found,
            inbox=standing.inbox,
            case=case,
            line=await self._queue.task(signed, envelope) if task else None,
            window=await self._windows.current(signed, standing.inbox),
            answer=answer,
            notes=await self._notes.read(signed, inbox, case.id) if works else (),
            readers=await self._readers(envelope),
            beside=await self._beside(inbox, found.message),
            colleagues=await self._colleagues(signed, inbox) if works and task else (),
            recipients=await self._recipients(standing, found.message),
            deputy=standing.membership.role is MembershipRole.DEPUTY,
            works=works and task is not None,
            writes=task is not None and await self._rights.may(standing, AccessAction.SEND, form_type=MESSAGE),
            proposes=answers and _waits(task, case, answer),
            confirms=answers
            and answer is not None
            and answer.state is AnswerState.PROPOSED
            and (answer.confirmer, answer.proposal) == (inbox, found.message.id),
            mark=mark,
            neighbours=await self._neighbours(signed, inbox, envelope, since) if neighbours or since else None,
        )

    async def _answer(self, standing: Standing, message: Message) -> SeatAnswer | None:
        if standing.inbox.kind is not InboxKind.SEAT:
            return None
        about = [row for row in await self._store.answers_of(message.case) if message.id in (row.request, row.proposal)]
        return max(about, key=lambda row: (row.changed_at, row.proposal), default=None)

    async def _readers(self, envelope: EnvelopeId) -> list[Reader]:
        readings = await self._store.readings_of(envelope)
        users = await self._store.get_many(User, [(row.user,) for row in readings])
        titles = {user.id: user.title for user in users}
        return [Reader(titles.get(row.user, ""), row.first_at, row.last_at) for row in readings]

    async def _beside(self, inbox: InboxId, message: Message) -> list[Beside]:
        found: list[Beside] = []
        for other in await self._store.messages_of(message.case, limit=MOST_LISTED):
            if other.id == message.id:
                continue
            own = other.sender == inbox
            if own:
                envelope = next((e.id for e in await self._store.envelopes_of(other.id) if e.inbox == inbox), None)
            else:
                envelope = next(
                    (
                        d.envelope
                        for d in await self._store.deliveries_of(other.id)
                        if d.inbox == inbox and d.state in (DeliveryState.DELIVERED, DeliveryState.OPENED)
                    ),
                    None,
                )
            if envelope is not None:
                found.append(Beside(envelope, other, own))
        return found

    async def _colleagues(self, signed: Signed, inbox: InboxId) -> list[User]:
        rows: list[Membership] = await self._store.members_of(inbox)
        others = [r.user for r in rows if r.state is MembershipState.ACTIVE and r.user != signed.user.id]
        return await self._store.get_many(User, [(user,) for user in others])

    async def _recipients(self, standing: Standing, message: Message) -> list[Inbox]:
        wanted = [message.sender, *(party.inbox for party in await self._store.parties_of(message.case))]
        found = [standing.directory.inbox(one) for one in dict.fromkeys(wanted) if one != standing.inbox.id]
        return [one for one in found if MESSAGE in one.accepts]

    async def _neighbours(
        self, signed: Signed, inbox: InboxId, envelope: EnvelopeId, since: Instant | None
    ) -> Neighbours:
        lines = (await self._queue.worklist(signed, inbox)).lines
        order = [line.task.envelope for line in lines]
        place = order.index(envelope) if envelope in order else 0
        before = order[place - 1] if place else None
        if since is None:
            following = [other for other in order[place:] if other != envelope]
            return Neighbours(before, following[0] if following else None)
        left = [
            line.task.envelope
            for line in lines
            if line.task.envelope != envelope and (line.read_at is None or line.read_at < since)
        ]
        return Neighbours(before, left[0] if left else None, len(order) - len(left), len(left))


def _waits(task: Task | None, case: Case, answer: SeatAnswer | None) -> bool:
    """Whether a seat may propose an answer to this now."""
    return (
        task is not None
        and task.form_type == REFERRAL
        and task.state is TaskState.OPEN
        and case.state is CaseState.RECEIVED
        and (answer is None or answer.state is AnswerState.DISAGREED)
    )
