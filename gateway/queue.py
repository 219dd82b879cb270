"""The shared inbox as work: what is open, whose it is, how urgent, and what members tell each other about it.

Why this exists: a remissgrupp reads one inbox together. A claim is a label ("I take it") that both seats of a board see
and that locks nothing; priority is computed by each seat from its own envelope, at its first opening, and kept sealed,
so a list can be sorted without opening anything; notes stay in the inbox that wrote them. Open work is bounded and read
whole; done work is paged, so a list costs the same after ten years (design.md §11).

Rules: what the priority shows is P3-P5, so it is shown only inside the second factor's window, and each such list is
logged before it is shown. A seat's notes and priorities are never opened for the other seat: other keys.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from gateway.audit import AuditAction, Auditor
from gateway.decide import AccessAction
from gateway.errors import ConflictError, InvalidRequestError, NotFoundError
from gateway.forms.names import REFERRAL
from gateway.model.base import CaseId, EnvelopeId, InboxId, UserId
from gateway.model.directory import InboxKind
from gateway.model.identity import Membership, MembershipState, User
from gateway.model.log import LogEntry
from gateway.model.path import Case, Message, Reading
from gateway.model.queue import Claim, Sheet, Task, Worksheet
from gateway.opening import OpenedMessage, Opening
from gateway.ports import Assessment, Clock, Cursor, Delete, Insert, Priority, Store, Update, Vault, Work
from gateway.recalls import closed
from gateway.rights import Rights, Standing
from gateway.search import marked
from gateway.sessions import Signed
from gateway.sheets import Sheets, text_of
from gateway.states import TASK, AnswerState, TaskEvent, TaskState, step
from gateway.windows import Windows
from gateway.worklist import View as View
from gateway.worklist import Waits as Waits
from gateway.worklist import WorkLine as WorkLine
from gateway.worklist import WorkList as WorkList
from gateway.worklist import has, order, views_of, waits_of
from gateway.worklist import scope_of as scope_of

MOST_OPEN: Final = 500
MOST_COUNTED: Final = 1000


class Queue:
    """The use cases of a shared inbox."""

    def __init__(
        self,
        store: Store,
        rights: Rights,
        windows: Windows,
        opening: Opening,
        sheets: Sheets,
        vault: Vault,
        priority: Priority,
        auditor: Auditor,
        clock: Clock,
    ) -> None:
        self._store = store
        self._rights = rights
        self._windows = windows
        self._opening = opening
        self._sheets = sheets
        self._vault = vault
        self._priority = priority
        self._auditor = auditor
        self._clock = clock

    # --- reading -----------------------------------------------------------------------------------------------------

    async def worklist(
        self,
        signed: Signed,
        inbox: InboxId,
        view: View = View.ALL,
        *,
        after: Cursor | None = None,
        limit: int = 50,
        find: str = "",
    ) -> WorkList:
        """A view of an inbox, sorted by priority and then by age; DONE is newest first and paged.

        At most 500 open tasks are looked at; an inbox with more has another problem than sorting.

        Args:
            find: only lines whose case reference, sending function or organisation has this text; never content.
                Among what is done, the newest 1,000 are looked at.
        """
        standing = await self._rights.act(signed, inbox, AccessAction.LIST_INBOX)
        priorities = await self._windows.current(signed, standing.inbox) is not None
        tasks = await self._store.open_tasks(inbox, limit=MOST_OPEN)
        lines = [await self._line(standing, task, priorities=priorities) for task in tasks]
        views = [views_of(line, signed) for line in lines]
        counts: dict[View, int] = {each: sum(each in found for found in views) for each in View}
        counts[View.DONE] = await self._store.done_count(inbox, most=MOST_COUNTED)
        following = None
        if view is View.DONE:
            shown, following = await self._done(standing, after, limit, find)
        else:
            there = (line for line, found in zip(lines, views, strict=True) if view in found)
            shown = sorted((line for line in there if has(find, line, standing.directory)), key=order)
        if priorities and any(line.assessment for line in shown):
            await self._log(AuditAction.QUEUE_LISTED, standing, inbox, None, detail={"lines": len(shown)})
        return WorkList(shown, counts, priorities, following)

    async def open(self, signed: Signed, envelope: EnvelopeId) -> OpenedMessage:
        """Open an item as `Opening.open` does; the first opening of a referral in a seat keeps its priority, sealed."""
        found = await self._opening.open(signed, envelope)
        if found.message.form_type == REFERRAL and not found.envelope.sender_copy:
            await self._note_referral(signed, found)
        return found

    async def task(self, signed: Signed, envelope: EnvelopeId) -> WorkLine:
        """The line of one item, with its priority.

        Raises:
            NotFoundError: no such item in an inbox of yours.
        """
        task = await self._task(envelope)
        standing = await self._rights.act(signed, task.inbox, AccessAction.LIST_INBOX, absent=_absent())
        priorities = await self._windows.current(signed, standing.inbox) is not None
        return await self._line(standing, task, priorities=priorities)

    # --- acts --------------------------------------------------------------------------------------------------------

    async def claim(self, signed: Signed, envelope: EnvelopeId, *, over: int | None = None) -> Claim:
        """Say "I take it". `over` takes it over from somebody: the version of the claim that was seen.

        Raises:
            ConflictError: somebody else has it; the text says who and since when.
        """
        task, standing = await self._work(signed, envelope)
        scope = scope_of(standing.directory, standing.inbox)
        before = await self._store.get(Claim, scope, task.message)
        if before is not None and before.user == signed.user.id and before.inbox == task.inbox:
            return before
        if before is not None and before.version != over:
            raise await self._taken(before)
        now = self._clock.now()
        claim = Claim(
            administration=standing.inbox.administration,
            scope=scope,
            message=task.message,
            inbox=task.inbox,
            user=signed.user.id,
            since=now,
            version=before.version + 1 if before else 1,
        )
        change = Insert(claim) if before is None else Update(claim)
        entry = await self._entry(
            AuditAction.CLAIMED, standing, task.message, task.case, detail={"over": str(before.user) if before else ""}
        )
        try:
            await self._store.commit(Work(expects=standing.facts, changes=(change,), entries=(entry,)))
        except ConflictError:
            winner = await self._store.get(Claim, scope, task.message)
            if winner is None:
                raise
            raise await self._taken(winner) from None
        return claim

    async def release(self, signed: Signed, envelope: EnvelopeId) -> None:
        """Let go of one's own claim; letting go of what one does not hold is no error."""
        task, standing = await self._work(signed, envelope)
        scope = scope_of(standing.directory, standing.inbox)
        claim = await self._store.get(Claim, scope, task.message)
        if claim is None or claim.user != signed.user.id:
            return
        entry = await self._entry(AuditAction.RELEASED, standing, task.message, task.case)
        change = Delete(Claim, (scope, task.message))
        await self._store.commit(Work(expects=standing.facts, changes=(change,), entries=(entry,)))

    async def hand_over(self, signed: Signed, envelope: EnvelopeId, to: UserId, note: str = "") -> Claim:
        """Give one's claim to another member of the same inbox, with a note.

        Raises:
            ConflictError: the claim is not yours.
            InvalidRequestError: `to` is no member of the inbox, or the note is longer than 4,000 characters.
        """
        task, standing = await self._work(signed, envelope)
        scope = scope_of(standing.directory, standing.inbox)
        before = await self._store.get(Claim, scope, task.message)
        if before is not None and before.user == to:
            return before  # pressed twice
        if before is None or before.user != signed.user.id:
            raise ConflictError(
                "the claim is not yours",
                swedish="Du har inte ärendet, så du kan inte lämna över det.",
                next_step="Ta ärendet först.",
            )
        member = await self._store.get(Membership, task.inbox, to)
        if member is None or member.state is not MembershipState.ACTIVE:
            raise InvalidRequestError(
                "no such member", swedish="Den du valde läser inte inkorgen.", next_step="Välj en annan mottagare."
            )
        claim = dataclasses.replace(before, user=to, since=self._clock.now(), version=before.version + 1)
        changes: list[Insert | Update] = [Update(claim)]
        if note.strip():
            changes.append(
                Insert(await self._sheets.row(standing, task.case, Sheet.HAND_OVER, {"text": text_of(note)}))
            )
        entry = await self._entry(AuditAction.HANDED_OVER, standing, task.message, task.case, detail={"to": str(to)})
        await self._store.commit(Work(expects=standing.facts, changes=tuple(changes), entries=(entry,)))
        return claim

    async def close(self, signed: Signed, envelope: EnvelopeId) -> Task:
        """Mark an item as done. A referral that waits for an answer is closed by the answer, not by hand.

        Raises:
            ConflictError: a referral still waits for its answer.
        """
        task, standing = await self._work(signed, envelope)
        if task.state is TaskState.DONE:
            return task  # pressed twice, or a colleague was first
        if task.form_type == REFERRAL and standing.inbox.kind is InboxKind.SEAT:
            raise ConflictError(
                "a referral is closed by its answer",
                swedish="Uppdraget väntar på svar och avslutas när svaret har skickats.",
                next_step="Föreslå eller bekräfta ett svar.",
            )
        done = closed(task, self._clock.now(), by=signed.user.id)
        entry = await self._entry(AuditAction.TASK_CLOSED, standing, envelope, task.case)
        await self._store.commit(Work(expects=standing.facts, changes=(Update(done),), entries=(entry,)))
        return done

    async def reopen(self, signed: Signed, envelope: EnvelopeId) -> Task:
        """Take an item that was marked as done up again."""
        task, standing = await self._work(signed, envelope)
        if task.state is TaskState.OPEN:
            return task
        again = dataclasses.replace(
            task,
            state=step(TASK, task.state, TaskEvent.REOPEN),
            changed_at=self._clock.now(),
            changed_by=signed.user.id,
            version=task.version + 1,
        )
        entry = await self._entry(AuditAction.TASK_REOPENED, standing, envelope, task.case)
        await self._store.commit(Work(expects=standing.facts, changes=(Update(again),), entries=(entry,)))
        return again

    # --- details -----------------------------------------------------------------------------------------------------

    async def _line(self, standing: Standing, task: Task, *, priorities: bool) -> WorkLine:
        case = await self._store.get(Case, task.case)
        message = await self._store.get(Message, task.message)
        if case is None or message is None:
            raise NotFoundError("a task without its message", swedish="Meddelandet finns inte, eller är inte ert.")
        claim = await self._store.get(Claim, scope_of(standing.directory, standing.inbox), task.message)
        reading = await self._store.get(Reading, task.envelope, standing.signed.user.id)
        answers = await self._store.answers_of(task.case) if standing.inbox.kind is InboxKind.SEAT else []
        now = self._clock.now()
        return WorkLine(
            task=task,
            case=case,
            sender=message.sender,
            read_at=reading.last_at if reading else None,
            claim=claim,
            holder=await self._title(claim.user) if claim else "",
            assessment=await self._kept(standing, task) if priorities else None,
            waits=waits_of(task, answers, standing.inbox.id),
            overdue=task.state is TaskState.OPEN and task.due_at is not None and task.due_at <= now,
            disagreed=any(
                answer.request == task.message and answer.state is AnswerState.DISAGREED for answer in answers
            ),
        )

    async def _done(
        self, standing: Standing, after: Cursor | None, limit: int, find: str
    ) -> tuple[list[WorkLine], Cursor | None]:
        """A page of what is done, and where the next one begins."""
        shown: list[WorkLine] = []
        looked = 0
        while True:
            done = await self._store.done_tasks(standing.inbox.id, after=after, limit=limit)
            for task in done:
                line = await self._line(standing, task, priorities=False)
                if has(find, line, standing.directory):
                    shown.append(line)
            looked += len(done)
            after = Cursor(done[-1].changed_at, done[-1].envelope) if len(done) == limit else None
            if after is None or not find or len(shown) >= limit or looked >= MOST_COUNTED:
                return shown, after

    async def _note_referral(self, signed: Signed, found: OpenedMessage) -> None:
        """What the first opening of a referral leaves: at a seat its priority, at a unit a mark to find it by."""
        standing = await self._rights.act(signed, found.envelope.inbox, AccessAction.READ)
        fields = found.opened.body.get("fields")
        told = fields if isinstance(fields, Mapping) else {}
        if standing.inbox.kind is InboxKind.SEAT:
            await self._assess(standing, found.envelope.id, told)
            return
        changes = await marked(self._store, self._vault, standing.inbox.administration, found.message.case, told)
        if changes:
            with suppress(ConflictError):  # a colleague's opening did it
                await self._store.commit(Work(expects=standing.facts, changes=changes))

    async def _assess(self, standing: Standing, item: EnvelopeId, fields: Mapping[str, object]) -> None:
        if await self._store.get(Worksheet, standing.inbox.id, item, Sheet.PRIORITY, 0) is not None:
            return
        proposed = self._priority.assess(fields)
        told = {
            "rank": list(proposed.rank),
            "reasons": list(proposed.reasons),
            "urgent": proposed.urgent,
            "rule": proposed.rule,
        }
        row = await self._sheets.row(standing, item, Sheet.PRIORITY, told, number=0)
        with suppress(ConflictError):  # a colleague's opening kept it
            await self._store.commit(Work(expects=standing.facts, changes=(Insert(row),)))

    async def _kept(self, standing: Standing, task: Task) -> Assessment | None:
        row = await self._store.get(Worksheet, task.inbox, task.envelope, Sheet.PRIORITY, 0)
        if row is None:
            return None
        told = await self._sheets.told(standing, row)
        rank = told["rank"]
        reasons = told["reasons"]
        if not isinstance(rank, list) or not isinstance(reasons, list):
            return None
        return Assessment(
            (int(rank[0]), int(rank[1])), tuple(str(r) for r in reasons), bool(told["urgent"]), str(told["rule"])
        )

    async def _task(self, envelope: EnvelopeId) -> Task:
        task = await self._store.get(Task, envelope)
        if task is None:
            raise _absent()
        return task

    async def _work(self, signed: Signed, envelope: EnvelopeId) -> tuple[Task, Standing]:
        task = await self._task(envelope)
        return task, await self._rights.act(signed, task.inbox, AccessAction.WORK_TASK, absent=_absent())

    async def _title(self, user: UserId) -> str:
        found = await self._store.get(User, user)
        return found.title if found else ""

    async def _taken(self, claim: Claim) -> ConflictError:
        return ConflictError(
            "somebody else has claimed it",
            swedish=f"{await self._title(claim.user)} har redan tagit ärendet.",
            next_step="Läs om listan. Du kan ta över ärendet om ni är överens om det.",
        )

    async def _entry(
        self,
        action: AuditAction,
        standing: Standing,
        target: str,
        case: CaseId | None,
        detail: Mapping[str, object] | None = None,
    ) -> LogEntry:
        return await self._auditor.entry(
            action,
            administration=standing.inbox.administration,
            actor=standing.signed.user,
            role=standing.role,
            object=str(target),
            case=case,
            outcome="done",
            detail=detail,
        )

    async def _log(
        self,
        action: AuditAction,
        standing: Standing,
        target: str,
        case: CaseId | None,
        detail: Mapping[str, object],
    ) -> None:
        await self._store.commit(Work(entries=(await self._entry(action, standing, target, case, detail),)))


def _absent() -> NotFoundError:
    return NotFoundError("no such item", swedish="Meddelandet finns inte, eller är inte ert.")
