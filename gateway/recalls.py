"""Taking back and asking back: undo while a message is still here, and begär återtagande when it has arrived.

Why this exists: the wrong recipient is the fax's worst mistake. While a delivery is queued the sender undoes it and
nothing has happened. Once it is delivered it is *received* (TF 2 kap. 9 §): the sender deletes nothing. But until the
recipient's registrator has decided, members are refused, and the sender is told, provably, that nobody had opened it.
What somebody has opened is not asked back: it is recorded as an incident for both sides to handle (GDPR Art. 33).
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.audit import AuditAction, Auditor
from gateway.cases import moved
from gateway.decide import AccessAction
from gateway.deliver import moved_delivery
from gateway.directory import Snapshot
from gateway.drafts import Drafts
from gateway.errors import ConflictError, DecisionStaleError, NotFoundError
from gateway.forms.names import REFERRAL
from gateway.integrity import Integrity
from gateway.model.base import AdministrationId, CaseId, EnvelopeId, InboxId, Instant, MessageId, UserId, fact
from gateway.model.directory import InboxKind
from gateway.model.path import Case, CaseParty, Delivery, Message, Notice
from gateway.model.queue import Recall, Task
from gateway.ports import Change, Clock, Cursor, Delete, Insert, Store, Update, Work
from gateway.rights import Rights, Standing
from gateway.sessions import Signed
from gateway.states import (
    RECALL,
    TASK,
    CaseEvent,
    CaseState,
    DeliveryEvent,
    DeliveryState,
    RecallEvent,
    RecallState,
    TaskEvent,
    TaskState,
    step,
)

TRIES: Final = 5
#: What takes a case back, by its state and the state before the sending.
UNDO: Final[Mapping[tuple[CaseState, str], CaseEvent]] = {
    (CaseState.REQUESTED, CaseState.INVESTIGATING): CaseEvent.UNDO_REQUEST,
    (CaseState.RECEIVED, CaseState.COMPLETION_REQUESTED): CaseEvent.UNDO_COMPLETION,
    (CaseState.RECEIVED, CaseState.NOT_MATCHED): CaseEvent.UNDO_RENEWAL,
}
_RECALLABLE: Final = frozenset({DeliveryState.DELIVERED, DeliveryState.OPENED})


class Recalls:
    """Undo, ask back, and decide on what was asked back."""

    def __init__(
        self, store: Store, rights: Rights, drafts: Drafts, integrity: Integrity, auditor: Auditor, clock: Clock
    ) -> None:
        self._store = store
        self._rights = rights
        self._drafts = drafts
        self._integrity = integrity
        self._auditor = auditor
        self._clock = clock

    async def take_back(self, signed: Signed, inbox: InboxId, message_id: MessageId) -> int:
        """Cancel the deliveries of a message that are still queued; returns how many.

        When all of them are, nothing has happened: the draft returns, and the case is what it was before.

        Raises:
            ConflictError: none is queued any more; ask the recipient's registrator instead.
        """
        standing, message = await self._sent(signed, inbox, message_id)
        now = self._clock.now()
        deliveries = await self._store.deliveries_of(message_id)
        queued = [d for d in deliveries if d.state is DeliveryState.QUEUED]
        if not queued:
            raise ConflictError(
                "nothing is queued any more",
                swedish="Meddelandet har redan lämnats.",
                next_step="Begär återtagande hos mottagarens registrator.",
            )
        entry = await self._auditor.entry(
            AuditAction.TAKEN_BACK,
            administration=message.administration,
            actor=signed.user,
            role=standing.role,
            object=message.id,
            case=message.case,
            outcome="cancelled",
            detail={"deliveries": len(queued)},
        )
        changes: list[Change] = [Update(moved_delivery(row, DeliveryEvent.CANCELLED, now)) for row in queued]
        if len(queued) == len(deliveries):
            changes += await self._undone(signed, message, now)
        await self._store.commit(Work(changes=tuple(changes), entries=(entry,)))
        return len(queued)

    async def request(self, signed: Signed, inbox: InboxId, message_id: MessageId) -> list[Recall]:
        """Ask every recipient's registrator to give a delivered message back; returns what was recorded.

        A delivery that nobody has opened is closed to its members until the registrator decides. An opened one is
        recorded as INCIDENT. Asking twice records nothing new.

        Raises:
            ConflictError: nothing of it has arrived; undo it instead.
        """
        standing, message = await self._sent(signed, inbox, message_id)
        for attempt in range(TRIES):
            now = self._clock.now()
            arrived = [d for d in await self._store.deliveries_of(message_id) if d.state in _RECALLABLE]
            if not arrived:
                raise ConflictError(
                    "nothing has arrived",
                    swedish="Meddelandet har inte kommit fram, så det finns inget att begära tillbaka.",
                    next_step="Ångra utskicket i stället, eller läs om ärendet.",
                )
            known = await self._store.get_many(Recall, [(d.envelope,) for d in arrived])
            asked = {row.envelope for row in known}
            made = [_recall(standing, message, d, now) for d in arrived if d.envelope not in asked]
            if not made:
                return known
            directory = standing.directory
            notices = [notice for row in made for notice in _to_registrators(directory, row, now)]
            entry = await self._auditor.entry(
                AuditAction.RECALL_REQUESTED,
                administration=message.administration,
                actor=signed.user,
                role=standing.role,
                object=message.id,
                case=message.case,
                outcome="requested",
                detail={"envelopes": {str(row.envelope): str(row.state) for row in made}},
            )
            work = Work(
                expects=(*standing.facts, *(fact(d) for d in arrived)),
                changes=(*(Insert(row) for row in made), *(Insert(notice) for notice in notices)),
                entries=(entry,),
            )
            try:
                await self._store.commit(work)
            except (DecisionStaleError, ConflictError):
                if attempt == TRIES - 1:
                    raise
                continue  # somebody opened it in this moment: that decides between asked back and incident
            return [*known, *made]
        raise AssertionError("unreachable")  # pragma: no cover

    async def of_message(self, message: MessageId) -> list[Recall]:
        """The recalls of a message's envelopes, for the sender's timeline. Check first that the caller may see it."""
        deliveries = await self._store.deliveries_of(message)
        return await self._store.get_many(Recall, [(d.envelope,) for d in deliveries])

    async def asked(
        self, signed: Signed, registrator: InboxId, *, after: Cursor | None = None, limit: int = 50
    ) -> Sequence[Recall]:
        """What senders ask back from the registrator's administration, newest first."""
        standing = await self._rights.act(signed, registrator, AccessAction.DECIDE_RECALL)
        return await self._store.recalls_page(standing.inbox.administration, after=after, limit=limit)

    async def one(self, signed: Signed, registrator: InboxId, envelope: EnvelopeId) -> Recall:
        """One recall of the registrator's administration.

        Raises:
            NotFoundError: no such recall there.
        """
        standing = await self._rights.act(signed, registrator, AccessAction.DECIDE_RECALL)
        recall = await self._store.get(Recall, envelope)
        if recall is None or recall.administration != standing.inbox.administration:
            raise NotFoundError("no such recall", swedish="Begäran finns inte, eller gäller inte er.")
        return recall

    async def decide(self, signed: Signed, registrator: InboxId, envelope: EnvelopeId, *, uphold: bool) -> Recall:
        """Decide on what a sender asks back: `uphold` keeps members out for good; else they may open it again.

        Raises:
            NotFoundError: no such recall in the registrator's administration.
            IllegalTransitionError: it was decided already, or it is an incident.
        """
        standing = await self._rights.act(signed, registrator, AccessAction.DECIDE_RECALL)
        recall = await self._store.get(Recall, envelope)
        if recall is None or recall.administration != standing.inbox.administration:
            raise NotFoundError("no such recall", swedish="Begäran finns inte, eller gäller inte er.")
        now = self._clock.now()
        decided = dataclasses.replace(
            recall,
            state=step(RECALL, recall.state, RecallEvent.UPHOLD if uphold else RecallEvent.DECLINE),
            decided_by=signed.user.id,
            decided_at=now,
            version=recall.version + 1,
        )
        sender = standing.directory.inbox(recall.sender)
        changes: list[Change] = [
            Update(decided),
            Insert(_notice(sender.administration, sender.id, f"recall_{decided.state}", recall.case, now)),
        ]
        task = await self._store.get(Task, envelope) if uphold else None
        if task is not None and task.state is TaskState.OPEN:
            changes.append(Update(closed(task, now)))
        entry = await self._auditor.entry(
            AuditAction.RECALL_DECIDED,
            administration=recall.administration,
            actor=signed.user,
            role=standing.role,
            object=str(envelope),
            case=recall.case,
            outcome=str(decided.state),
        )
        await self._store.commit(Work(expects=standing.facts, changes=tuple(changes), entries=(entry,)))
        return decided

    async def _sent(self, signed: Signed, inbox: InboxId, message_id: MessageId) -> tuple[Standing, Message]:
        standing = await self._rights.act(signed, inbox, AccessAction.RECALL)
        message = await self._store.get(Message, message_id)
        if message is None or message.sender != inbox:
            raise NotFoundError("no such message", swedish="Meddelandet finns inte, eller är inte ert.")
        return standing, message

    async def _undone(self, signed: Signed, message: Message, now: Instant) -> list[Change]:
        """The case and the draft as they were before `message`, which nobody has received."""
        changes: list[Change] = []
        case = await self._store.get(Case, message.case)
        event = UNDO.get((case.state, case.before)) if case and message.form_type == REFERRAL else None
        if case is not None and event is not None:
            changes.append(Update(await moved(self._integrity, case, event, at=now)))
        for party in await self._store.parties_of(message.case):
            # It came with this message, so it never learned of the case.
            if party.since == message.created_at and party.inbox != message.sender:
                changes.append(Delete(CaseParty, (party.case, party.inbox)))
        draft = await self._drafts.returned(signed, message.id)
        if draft is not None:
            changes.append(draft)
        return changes


def closed(task: Task, now: Instant, *, by: UserId | None = None) -> Task:
    """`task`, done; by a user, or by what happened to the message."""
    return dataclasses.replace(
        task,
        state=step(TASK, task.state, TaskEvent.CLOSE),
        changed_at=now,
        changed_by=by,
        version=task.version + 1,
    )


def _recall(standing: Standing, message: Message, delivery: Delivery, now: Instant) -> Recall:
    opened = delivery.state is DeliveryState.OPENED
    return Recall(
        administration=delivery.administration,
        envelope=delivery.envelope,
        message=message.id,
        case=message.case,
        inbox=delivery.inbox,
        sender=message.sender,
        state=RecallState.INCIDENT if opened else RecallState.REQUESTED,
        requested_by=standing.signed.user.id,
        requested_at=now,
    )


def _to_registrators(directory: Snapshot, recall: Recall, now: Instant) -> list[Notice]:
    """Who decides on it. Outside, the function that has the message is told, since only it knows of the case."""
    if directory.is_outside(directory.inbox(recall.inbox)):
        return [_notice(recall.administration, recall.inbox, "recall_requested", recall.case, now)]
    return [
        _notice(recall.administration, inbox.id, "recall_requested", recall.case, now)
        for inbox in directory.inboxes.values()
        if inbox.administration == recall.administration and inbox.kind is InboxKind.REGISTRATOR
    ]


def _notice(administration: AdministrationId, inbox: InboxId, kind: str, case: CaseId, now: Instant) -> Notice:
    return Notice(
        administration=administration, id=str(uuid.uuid4()), inbox=inbox, kind=kind, case=case, created_at=now
    )
