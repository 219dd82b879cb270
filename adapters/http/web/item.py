"""One item of an inbox: what was sent, what colleagues know about it, and the acts that are labels.

Why this exists: opening is logged and receipted, so a page opens once and shows all that its reader needs to decide:
the form in its own words, what is not given, priority with reasons, who has it, who has read it, and the inbox's own
notes. Acts that answer stand in answer.py; these only tell colleagues who does what.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from adapters.http.downloads import download
from adapters.http.routes import Call
from adapters.http.web import security
from adapters.http.web.again import code_page, with_window
from adapters.http.web.inbox import done_text, other_seat, present_text, priority_of
from adapters.http.web.nav import Link
from adapters.http.web.projection import shown
from adapters.http.web.rows import acts, shows
from adapters.http.web.signers import signers_of
from adapters.http.web.words import N_
from gateway.contents import REMARKS
from gateway.errors import ConflictError, FieldError, InvalidRequestError
from gateway.forms.names import REFERRAL
from gateway.guard import NewerError
from gateway.items import Item
from gateway.model.base import SECOND, AttachmentId, EnvelopeId, InboxId, Instant, UserId

HELP: Final = "lasa"


def where(call: Call) -> tuple[InboxId, EnvelopeId]:
    """The inbox and the item of the path."""
    return InboxId(call.part("inbox")), EnvelopeId(call.part("envelope"))


def here(call: Call) -> str:
    """The item's own page."""
    inbox, envelope = where(call)
    return f"/inkorg/{inbox}/{envelope}"


def new_key() -> str:
    """A key for one act, made when its form is."""
    return secrets.token_urlsafe(16)


def meeting(call: Call) -> str:
    """When the meeting began whose agenda the reader goes through, in seconds; empty outside a meeting."""
    text = call.request.query.get("mote", "") or call.field("mote")
    return text if text.isascii() and text.isdigit() and len(text) < 12 else ""


def began(call: Call) -> Instant | None:
    """The same as an instant."""
    text = meeting(call)
    return Instant(int(text) * SECOND) if text else None


def onward(call: Call, done: str, *, to: str = "") -> web.Response:
    """After an act: to `to`, what the form named, or the item, with a word on what was done."""
    path = security.local_path(to or call.field("next"), here(call))
    split = urlsplit(path)
    query = {"klart": done, **({"mote": meeting(call)} if meeting(call) else {})}
    return call.web.redirect(f"{split.path}?{urlencode(query)}")


async def show(call: Call) -> web.Response:
    """Open the item."""
    inbox, envelope = where(call)
    told = bool(call.request.query.get("klart"))
    item = await call.gateway.items.read(call.signed, inbox, envelope, neighbours=told, since=began(call))
    return await item_page(call, item)


async def item_page(
    call: Call,
    item: Item,
    *,
    status: int = 200,
    faults: Sequence[FieldError] = (),
    newer: NewerError | None = None,
    values: Mapping[str, str] | None = None,
) -> web.Response:
    """The page about an item that was read; with faults when one of its forms comes back."""
    await call.gateway.watching.seen(call.signed, item.inbox.id, item.found.envelope.id, answering=False)
    directory = await call.gateway.directory.current()
    form = call.gateway.forms.get(item.found.message.form_type, item.found.message.form_version)
    came_from = call.request.query.get("fran", "")
    title = f"{item.case.reference}: {call.tr(form.title)}"
    return await call.web.page(
        call,
        "item.html",
        title=title,
        status=status,
        faults=faults,
        newer=newer,
        values=values or {},
        key=new_key(),
        done=done_text(call) if not faults else "",
        late=call.request.query.get("hann", ""),
        came_from=came_from if re.fullmatch(r"[0-9a-f-]{36}", came_from) else "",
        back=Link(f"/inkorg/{item.inbox.id}", item.inbox.name),
        **await common(call, item),
        other_seat=other_seat(directory, item.inbox.id),
        owner=directory.inbox(item.case.owner).name,
        beside=[(one, directory.inbox(one.message.sender).name) for one in item.beside],
        code_page=code_page(item.inbox.id, here(call)),
    )


async def common(call: Call, item: Item) -> dict[str, Any]:
    """What the item's page and the pages that answer it both show."""
    directory = await call.gateway.directory.current()
    form = call.gateway.forms.get(item.found.message.form_type, item.found.message.form_version)
    sender = directory.inbox(item.found.message.sender)
    administration = directory.administration(sender.administration)
    others = await call.gateway.watching.here(call.signed, item.inbox.id)
    line, body = item.line, item.found.opened.body
    deciders = body.get("deciders")
    return {
        "item": item,
        "inbox": item.inbox,
        "url": here(call),
        "form": form,
        "shown": shown(form, body),
        "remarks": body.get(REMARKS),
        "files": item.found.opened.attachments,
        "files_held": body.get("attachments_held_back") or 0,
        "deciders": deciders if isinstance(deciders, list) else [],
        "signers": signers_of(call, directory, item.found.opened),
        "sender": sender.name,
        "organisation": directory.organisations[administration.organisation].name,
        "priority": priority_of(call, line.assessment) if line and line.assessment else None,
        "mine": bool(line and line.claim and line.claim.user == call.signed.user.id),
        "present": present_text(call, [one for one in others if one.message == item.found.message.id]),
        "changes": await call.gateway.watching.changes(call.signed, item.inbox.id),
        "meeting": meeting(call),
        "referral": item.found.message.form_type == REFERRAL,
    }


async def attachment(call: Call) -> web.StreamResponse:
    """A file as a stream; a fault closes the connection before the announced length is reached."""
    _, envelope = where(call)
    file, stream = await call.gateway.opening.attachment(call.signed, envelope, AttachmentId(call.part("attachment")))
    return await download(call, file, stream)


# --- labels: who does what --------------------------------------------------------------------------------------------


async def claim(call: Call) -> web.Response:
    """Take the item; with `over`, from a colleague whose name was on the button."""
    inbox, envelope = where(call)
    over = call.field("over")
    try:
        await call.gateway.queue.claim(call.signed, envelope, over=int(over) if over.isdecimal() else None)
    except ConflictError:
        path = urlsplit(security.local_path(call.field("next"), here(call))).path
        return call.web.redirect(f"{path}?{urlencode({'hann': envelope})}")
    await call.gateway.watching.changed(call.signed, inbox)
    return onward(call, "tagit")


async def release(call: Call) -> web.Response:
    inbox, envelope = where(call)
    await call.gateway.queue.release(call.signed, envelope)
    await call.gateway.watching.changed(call.signed, inbox)
    return onward(call, "slappt")


async def hand_over(call: Call) -> web.Response:
    inbox, envelope = where(call)
    await call.gateway.queue.hand_over(call.signed, envelope, UserId(call.field("to")), call.field("hand_note"))
    await call.gateway.watching.changed(call.signed, inbox)
    return onward(call, "lamnat")


async def note(call: Call) -> web.Response:
    """Write an internal note."""
    inbox, envelope = where(call)
    text = call.form.get("note", "")
    try:
        line = await call.gateway.queue.task(call.signed, envelope)
        await call.gateway.notes.write(call.signed, inbox, line.case.id, text)
    except InvalidRequestError as invalid:
        item = await call.gateway.items.read(call.signed, inbox, envelope, since=began(call))
        faults = [FieldError("/note", "length", invalid.swedish)]
        return await item_page(call, item, status=invalid.status, faults=faults, values={"note": text})
    return onward(call, "antecknat")


async def close(call: Call) -> web.Response:
    inbox, envelope = where(call)
    await call.gateway.queue.close(call.signed, envelope)
    await call.gateway.watching.changed(call.signed, inbox)
    return onward(call, "avslutat")


async def reopen(call: Call) -> web.Response:
    inbox, envelope = where(call)
    await call.gateway.queue.reopen(call.signed, envelope)
    await call.gateway.watching.changed(call.signed, inbox)
    return onward(call, "oppnat")


ITEM: Final = "/inkorg/{inbox}/{envelope}"
ROUTES: Final = (
    shows(ITEM, with_window(show), N_("Läs ett meddelande"), HELP, audit="opened"),
    shows(
        f"{ITEM}/bilaga/{{attachment}}",
        with_window(attachment),
        N_("Hämta en bilaga"),
        HELP,
        audit="attachment_read",
        html=False,
    ),
    acts(f"{ITEM}/ta", claim, N_("Ta ärendet"), HELP, audit="claimed"),
    acts(f"{ITEM}/slapp", release, N_("Släpp ärendet"), HELP, audit="released"),
    acts(f"{ITEM}/overlamna", with_window(hand_over), N_("Lämna över"), HELP, audit="handed_over"),
    acts(f"{ITEM}/anteckning", with_window(note), N_("Skriv en anteckning"), HELP, audit="note_written"),
    acts(f"{ITEM}/avsluta", close, N_("Avsluta"), HELP, audit="task_closed"),
    acts(f"{ITEM}/oppna-igen", reopen, N_("Ta upp igen"), HELP, audit="task_reopened"),
)
