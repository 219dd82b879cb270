"""A shared inbox as work over the API: the list in its views, claims, hand-overs, closing, and internal notes.

Why this exists: a board's case system must tell colleagues the same as the pages do. A claim is a label that both seats
of a board see; whoever watches the pages is told when one changes.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from adapters.http.api.rows import call_row
from adapters.http.api.shapes import At, FormName, Id, InboxName, Next, Reason, Version, cursor, cursor_next
from adapters.http.parameters import AFTER, choice, limit, text
from adapters.http.routes import Call, Model, Tag
from gateway.errors import InvalidRequestError, StepUpRequiredError
from gateway.model.base import CaseId, EnvelopeId, InboxId, UserId
from gateway.model.queue import Claim, Sheet, Task
from gateway.sheets import MAX_NOTE
from gateway.states import TaskState
from gateway.worklist import View, Waits, WorkLine


class ClaimLine(Model):
    """Who has taken an item; `version` is what a colleague names to take it over."""

    inbox: InboxName
    user: Id
    since: At
    version: Version


class PriorityLine(Model):
    """A proposal: people decide. `rank` is the class 1-4 and the place in it."""

    rank: tuple[int, int]
    reasons: tuple[str, ...]
    urgent: bool
    rule: str


class WorkItem(Model):
    """One line. `priority` is null without a window for the inbox, and until somebody here has opened the item."""

    envelope: Id
    message: Id
    case: Id
    case_reference: str
    form_type: FormName
    sender: InboxName
    state: TaskState
    received_at: At
    due_at: At | None
    read_at: At | None
    claim: ClaimLine | None
    holder: str
    priority: PriorityLine | None
    waits: Waits
    overdue: bool
    disagreed: bool


class WorkPage(Model):
    """`priorities` says whether a window for the inbox let priorities be shown."""

    items: list[WorkItem]
    counts: dict[View, int]
    priorities: bool
    next: Next


class Claiming(Model):
    """`over` takes the item from a colleague: the version of the claim that was seen."""

    over: Version | None = None


class HandOver(Model):
    to: Id
    note: Reason = ""


class TaskLine(Model):
    envelope: Id
    state: TaskState
    changed_at: At


class NewNote(Model):
    text: Annotated[str, Field(max_length=MAX_NOTE, description="Stannar i inkorgen; skickas aldrig.")]


class NoteLine(Model):
    sheet: Sheet
    user: Id
    title: str
    at: At
    text: str


class NoteList(Model):
    notes: list[NoteLine]


async def list_work(call: Call) -> WorkPage:
    found = await call.gateway.queue.worklist(
        call.signed,
        InboxId(call.part("inbox")),
        View(call.text("view")),
        after=cursor(call),
        limit=call.number("limit"),
        find=call.text("find"),
    )
    return WorkPage(
        items=[_item(line) for line in found.lines],
        counts=dict(found.counts),
        priorities=found.priorities,
        next=cursor_next(found.next),
    )


async def claim_item(call: Call) -> ClaimLine:
    body: Claiming = call.body
    done = await call.gateway.queue.claim(call.signed, _envelope(call), over=body.over)
    return await _claimed(call, done)


async def release_item(call: Call) -> None:
    await call.gateway.queue.release(call.signed, _envelope(call))
    await _changed(call)


async def hand_over_item(call: Call) -> ClaimLine:
    body: HandOver = call.body
    done = await call.gateway.queue.hand_over(call.signed, _envelope(call), UserId(body.to), body.note)
    return await _claimed(call, done)


async def close_item(call: Call) -> TaskLine:
    return await _moved(call, await call.gateway.queue.close(call.signed, _envelope(call)))


async def reopen_item(call: Call) -> TaskLine:
    return await _moved(call, await call.gateway.queue.reopen(call.signed, _envelope(call)))


async def list_notes(call: Call) -> NoteList:
    inbox, case = InboxId(call.part("inbox")), CaseId(call.part("case"))
    return NoteList(notes=[NoteLine.of(note) for note in await call.gateway.notes.read(call.signed, inbox, case)])


async def write_note(call: Call) -> None:
    body: NewNote = call.body
    inbox, case = InboxId(call.part("inbox")), CaseId(call.part("case"))
    await call.gateway.notes.write(call.signed, inbox, case, body.text)


def _envelope(call: Call) -> EnvelopeId:
    return EnvelopeId(call.part("envelope"))


def _item(line: WorkLine) -> WorkItem:
    return WorkItem(
        envelope=line.task.envelope,
        message=line.task.message,
        case=line.case.id,
        case_reference=line.case.reference,
        form_type=line.task.form_type,
        sender=line.sender,
        state=line.task.state,
        received_at=line.task.received_at,
        due_at=line.task.due_at,
        read_at=line.read_at,
        claim=ClaimLine.of(line.claim) if line.claim else None,
        holder=line.holder,
        priority=PriorityLine.of(line.assessment) if line.assessment else None,
        waits=line.waits,
        overdue=line.overdue,
        disagreed=line.disagreed,
    )


async def _claimed(call: Call, done: Claim) -> ClaimLine:
    await call.gateway.watching.changed(call.signed, done.inbox)
    return ClaimLine.of(done)


async def _moved(call: Call, done: Task) -> TaskLine:
    await call.gateway.watching.changed(call.signed, done.inbox)
    return TaskLine.of(done)


async def _changed(call: Call) -> None:
    line = await call.gateway.queue.task(call.signed, _envelope(call))
    await call.gateway.watching.changed(call.signed, line.task.inbox)


ITEM: Final = "/envelopes/{envelope}"
NOTES: Final = "/inboxes/{inbox}/cases/{case}/notes"
ROUTES: Final = (
    call_row(
        "GET",
        "/inboxes/{inbox}/work",
        list_work,
        "En delad inkorg som arbete, i ordning",
        tag=Tag.WORK,
        audit="queue_listed",
        gives=WorkPage,
        query=(
            choice("view", "Vilken vy.", View, default=View.ALL),
            AFTER,
            limit(),
            text("find", "Bara rader vars ärende, avsändare eller organisation har den här texten.", most=100),
        ),
    ),
    call_row(
        "POST",
        f"{ITEM}/claim",
        claim_item,
        "Ta ett ärende: en etikett, inget lås",
        tag=Tag.WORK,
        audit="claimed",
        takes=Claiming,
        gives=ClaimLine,
    ),
    call_row(
        "POST",
        f"{ITEM}/release",
        release_item,
        "Släpp ett ärende",
        tag=Tag.WORK,
        audit="released",
    ),
    call_row(
        "POST",
        f"{ITEM}/hand-over",
        hand_over_item,
        "Lämna över ett ärende till en kollega",
        tag=Tag.WORK,
        audit="handed_over",
        takes=HandOver,
        gives=ClaimLine,
        fails=(InvalidRequestError,),
    ),
    call_row(
        "POST",
        f"{ITEM}/close",
        close_item,
        "Avsluta det som är klart",
        tag=Tag.WORK,
        audit="task_closed",
        gives=TaskLine,
    ),
    call_row(
        "POST",
        f"{ITEM}/reopen",
        reopen_item,
        "Ta upp det avslutade igen",
        tag=Tag.WORK,
        audit="task_reopened",
        gives=TaskLine,
    ),
    call_row(
        "GET",
        NOTES,
        list_notes,
        "Inkorgens anteckningar i ett ärende",
        tag=Tag.WORK,
        audit="notes_read",
        gives=NoteList,
        fails=(StepUpRequiredError,),
    ),
    call_row(
        "POST",
        NOTES,
        write_note,
        "Skriv en anteckning",
        tag=Tag.WORK,
        audit="note_written",
        takes=NewNote,
        fails=(StepUpRequiredError,),
    ),
)
