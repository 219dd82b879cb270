"""A shared inbox as a list of work: what lies there, how urgent, whose it is, who is at it; and who its members are.

Why this exists: a board of two authorities and a unit's staff work from one list. Every line says in words what its
colours say, and each reader's unread lines are the reader's own. Order, counts and search are `gateway.queue`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from adapters.http.routes import Call
from adapters.http.web.again import code_page
from adapters.http.web.nav import Link, NavItem
from adapters.http.web.rows import acts, shows
from adapters.http.web.words import DONE, N_, REASON
from gateway.directory import Snapshot
from gateway.errors import NotFoundError
from gateway.inboxes import Person
from gateway.model.base import SECOND, InboxId, Instant, UserId
from gateway.model.directory import Inbox, InboxKind
from gateway.model.identity import MembershipState
from gateway.ports import Assessment, Cursor
from gateway.presence import Present
from gateway.worklist import View, Waits, WorkLine

HELP: Final = "inkorg"
MOST_SOUGHT: Final = 100  # characters of a search
COLOURS: Final = {1: "danger", 2: "warning", 3: "info"}


@dataclass(frozen=True, slots=True)
class Priority:
    """A priority in words; the number, colour and icon say the same."""

    number: int  # 0: not known yet
    text: str
    colour: str


@dataclass(frozen=True, slots=True)
class Row:
    """A line of work with the names that its page shows."""

    line: WorkLine
    title: str
    sender: str
    organisation: str
    priority: Priority | None
    waits: str
    present: str
    mine: bool


async def show(call: Call) -> web.Response:
    """A view of the inbox."""
    inbox, query = InboxId(call.part("inbox")), call.request.query
    view = View(query["vy"]) if query.get("vy") in set(View) else View.ALL
    find = query.get("sok", "").strip()[:MOST_SOUGHT]
    found = await call.gateway.queue.worklist(
        call.signed, inbox, view, after=cursor_of(query.get("efter", "")), find=find
    )
    box, directory, window = await place(call, inbox)
    late = next((line for line in found.lines if line.task.envelope == query.get("hann", "")), None)
    return await call.web.page(
        call,
        "inbox.html",
        title=box.name,
        inbox=box,
        view=view,
        views=[(each, found.counts[each]) for each in View],
        rows=await rows_of(call, inbox, directory, found.lines),
        find=find,
        window=window,
        code_page=code_page(inbox, f"/inkorg/{inbox}"),
        next_page=_after(inbox, view, find, found.next) if found.next else "",
        late=late,
        done=done_text(call),
        changes=await call.gateway.watching.changes(call.signed, inbox),
        seat=box.kind is InboxKind.SEAT,
        most=999,
    )


async def agenda(call: Call) -> web.Response:
    """The weekly meeting: every open item in order, with the reasons, and how long the inbox stays open."""
    inbox = InboxId(call.part("inbox"))
    found = await call.gateway.queue.worklist(call.signed, inbox)
    text, now = call.request.query.get("mote", ""), call.gateway.ports.clock.now() // SECOND
    box, directory, window = await place(call, inbox)
    return await call.web.page(
        call,
        "inbox_meeting.html",
        title=call.tr("Mötesläge"),
        inbox=box,
        rows=await rows_of(call, inbox, directory, found.lines),
        window=window,
        second=SECOND,
        began=int(text) if text.isascii() and text.isdigit() and len(text) < 12 else now,
        now=now,
        code_page=code_page(inbox, f"/inkorg/{inbox}/mote"),
        changes=await call.gateway.watching.changes(call.signed, inbox),
        back=Link(f"/inkorg/{inbox}", box.name),
    )


async def members(call: Call) -> web.Response:
    """Who reads the inbox, and who waits to be let in."""
    inbox = InboxId(call.part("inbox"))
    people = await call.gateway.inboxes.people(call.signed, inbox)
    box, _, _ = await place(call, inbox)
    return await call.web.page(
        call,
        "inbox_members.html",
        title=call.tr("Medlemmar"),
        inbox=box,
        active=[one for one in people if one.membership.state is MembershipState.ACTIVE],
        pending=[one for one in people if one.membership.state is MembershipState.PENDING],
        removed=[one for one in people if one.membership.state is MembershipState.REMOVED],
        done=done_text(call),
        back=Link(f"/inkorg/{inbox}", box.name),
    )


async def admit(call: Call) -> web.Response:
    """Let a proposed member in."""
    inbox, user = InboxId(call.part("inbox")), UserId(call.field("user"))
    for one in await call.gateway.inboxes.people(call.signed, inbox):
        if one.membership.user == user and one.membership.state is MembershipState.ACTIVE:
            return call.web.redirect(f"/inkorg/{inbox}/medlemmar?klart=inslappt")  # pressed twice
    await call.gateway.inboxes.admit(call.signed, inbox, user)
    return call.web.redirect(f"/inkorg/{inbox}/medlemmar?klart=inslappt")


async def leaving(call: Call) -> web.Response:
    """What it means to take a member out, before it is done."""
    inbox = InboxId(call.part("inbox"))
    one = await _member(call, inbox)  # says first whether there is such an inbox of the caller's
    box, _, _ = await place(call, inbox)
    return await call.web.page(
        call,
        "inbox_remove.html",
        title=call.tr("Ta bort en medlem"),
        inbox=box,
        one=one,
        own=call.signed.user.id,
        back=Link(f"/inkorg/{inbox}/medlemmar", call.tr("Medlemmar")),
    )


async def remove(call: Call) -> web.Response:
    """Take a member out."""
    inbox = InboxId(call.part("inbox"))
    one = await _member(call, inbox)
    await call.gateway.inboxes.remove(call.signed, inbox, one.membership.user)
    own = one.membership.user == call.signed.user.id
    return call.web.redirect("/" if own else f"/inkorg/{inbox}/medlemmar?klart=borttagen")


async def _member(call: Call, inbox: InboxId) -> Person:
    wanted = UserId(call.part("anvandare"))
    for one in await call.gateway.inboxes.people(call.signed, inbox):
        if one.membership.user == wanted:
            return one
    raise NotFoundError("no such member", swedish="Medlemmen finns inte.")


# --- what item pages use as well --------------------------------------------------------------------------------------


async def place(call: Call, inbox: InboxId) -> tuple[Inbox, Snapshot, Instant | None]:
    """The inbox, the directory around it, and until when it is open for the caller."""
    directory = await call.gateway.directory.current()
    box = directory.inbox(inbox)
    window = await call.gateway.windows.current(call.signed, box)
    return box, directory, window.ends_at if window else None


async def rows_of(call: Call, inbox: InboxId, directory: Snapshot, lines: Sequence[WorkLine]) -> list[Row]:
    """The lines with their names, and who else is at each."""
    here = await call.gateway.watching.here(call.signed, inbox)
    return [_row(call, inbox, directory, line, here) for line in lines]


def _row(call: Call, inbox: InboxId, directory: Snapshot, line: WorkLine, here: Sequence[Present]) -> Row:
    sender = directory.inbox(line.sender)
    administration = directory.administration(sender.administration)
    return Row(
        line=line,
        title=_title(call, line),
        sender=sender.name,
        organisation=directory.organisations[administration.organisation].name,
        priority=priority_of(call, line.assessment) if line.assessment else None,
        waits=_waits(call, directory, inbox, line.waits),
        present=present_text(call, [one for one in here if one.message == line.task.message]),
        mine=line.claim is not None and line.claim.user == call.signed.user.id,
    )


def priority_of(call: Call, assessment: Assessment) -> Priority:
    """A priority as text, with its reasons."""
    number = assessment.rank[0]
    reasons = [call.tr(REASON.get(reason, reason)) for reason in assessment.reasons]
    text = f"{number} – {', '.join(reasons) or call.tr('i turordning')}"
    return Priority(number, text, COLOURS.get(number, "neutral"))


def present_text(call: Call, here: Sequence[Present]) -> str:
    """Who is at an item, in words; empty when nobody is."""
    answering, reading = N_("%(who)s svarar"), N_("%(who)s läser")
    return ", ".join(call.tr(answering if one.answering else reading, who=one.title) for one in here)


def other_seat(directory: Snapshot, inbox: InboxId) -> str:
    """The name of the other seat of the board; empty for an inbox that is no seat."""
    board = directory.board_of(inbox)
    others = [seat for seat in board.seats if seat != inbox] if board else []
    return directory.inbox(others[0]).name if others else ""


def done_text(call: Call) -> str:
    """What was just done, for the page after it."""
    text = DONE.get(call.request.query.get("klart", ""))
    return call.tr(text) if text else ""


def _title(call: Call, line: WorkLine) -> str:
    """What the item is: the form, or what it means here."""
    if line.task.form_type == "board_response" and line.waits is Waits.US:
        return call.tr("Förslag till svar")
    found = {form.id: form.title for form in call.gateway.forms.all()}
    return call.tr(found.get(line.task.form_type, line.task.form_type))


def _waits(call: Call, directory: Snapshot, inbox: InboxId, waits: Waits) -> str:
    if waits is Waits.US:
        return call.tr("Er bekräftelse saknas")
    if waits is Waits.OTHER:
        return call.tr("Väntar på %(who)s", who=other_seat(directory, inbox))
    return ""


def cursor_of(text: str) -> Cursor | None:
    at, _, item = text.partition(".")
    return Cursor(Instant(int(at)), item) if at.isascii() and at.isdigit() and len(at) < 19 and item else None


def _after(inbox: InboxId, view: View, find: str, cursor: Cursor) -> str:
    wanted = {"vy": str(view), **({"sok": find} if find else {}), "efter": f"{cursor.at}.{cursor.id}"}
    return f"/inkorg/{inbox}?{urlencode(wanted)}"


ROUTES: Final = (
    shows("/inkorg/{inbox}", show, N_("Inkorg"), HELP, audit="queue_listed"),
    shows("/inkorg/{inbox}/mote", agenda, N_("Mötesläge"), "mote", audit="queue_listed"),
    shows("/inkorg/{inbox}/medlemmar", members, N_("Medlemmar"), "lasare"),
    shows("/inkorg/{inbox}/medlemmar/{anvandare}/ta-bort", leaving, N_("Ta bort en medlem"), "lasare"),
    acts(
        "/inkorg/{inbox}/medlemmar/{anvandare}/ta-bort",
        remove,
        N_("Ta bort en medlem"),
        "lasare",
        audit="member_removed",
    ),
    acts("/inkorg/{inbox}/medlemmar/slapp-in", admit, N_("Släpp in"), "lasare", audit="member_admitted"),
)
NAV: Final = (
    NavItem(
        path="/inkorg/{inbox}",
        kinds=frozenset({InboxKind.SEAT, InboxKind.UNIT, InboxKind.CASEWORK, InboxKind.INTAKE}),
        order=20,
    ),
)
