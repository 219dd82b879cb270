"""Answering an item: propose, confirm, disagree, or write a message in the matter.

Why this exists: an answer is written beside what it answers, keeps its words through every fault, and is sent once
however often the button is pressed. When something newer exists the page shows it and the writer chooses. What may be
answered, by whom and when is `gateway.replies`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from adapters.http.routes import Call
from adapters.http.web.again import with_window
from adapters.http.web.item import ITEM, began, common, here, item_page, meeting, new_key, onward, where
from adapters.http.web.nav import Link
from adapters.http.web.rows import acts, shows
from adapters.http.web.words import N_
from gateway.answers import FORM
from gateway.errors import ConflictError, InvalidFormError, InvalidRequestError
from gateway.forms import Form
from gateway.forms.names import MESSAGE
from gateway.guard import NewerError
from gateway.items import Item
from gateway.model.path import SeatAnswer
from gateway.replies import Written

HELP: Final = "svara"
#: Filled in by the gateway, not by the writer.
KNOWN: Final = frozenset({"deputy_used"})


# --- propose ----------------------------------------------------------------------------------------------------------


async def show_propose(call: Call) -> web.Response:
    item = await _read(call)
    _require(item.proposes)
    suggested = str(item.line.assessment.rank[0]) if item.line and item.line.assessment else ""
    return await _propose_page(call, item, {"priority_class": suggested})


async def propose(call: Call) -> web.Response:
    inbox, envelope = where(call)
    form = call.gateway.forms.get(*FORM)
    values = _values(call, form)
    reason = call.field("deputy_reason")
    try:
        await call.gateway.replies.propose(call.signed, inbox, envelope, values, _written(call), deputy_reason=reason)
    except (InvalidFormError, NewerError) as refused:
        return await _propose_page(call, await _read(call), {**values, "deputy_reason": reason}, refused)
    return onward(call, "foreslagit", to=here(call))


async def _propose_page(
    call: Call, item: Item, values: Mapping[str, Any], refused: InvalidFormError | NewerError | None = None
) -> web.Response:
    form = call.gateway.forms.get(*FORM)
    return await _form_page(
        call,
        item,
        "item_answer.html",
        title=call.tr("Föreslå svar på %(case)s", case=item.case.reference),
        refused=refused,
        answer_form=form,
        sections=[
            (part.title, [form.fields[name] for name in part.fields if name not in KNOWN]) for part in form.sections
        ],
        values=values,
    )


# --- confirm and disagree ---------------------------------------------------------------------------------------------


async def confirm(call: Call) -> web.Response:
    inbox, envelope = where(call)
    reason = call.field("deputy_reason")
    try:
        await call.gateway.replies.confirm(call.signed, inbox, envelope, _written(call), deputy_reason=reason)
    except (InvalidFormError, NewerError) as refused:
        item = await call.gateway.items.read(call.signed, inbox, envelope, since=began(call))
        newer = refused if isinstance(refused, NewerError) else None
        faults = refused.faults if isinstance(refused, InvalidFormError) else ()
        return await item_page(
            call, item, status=refused.status, faults=faults, newer=newer, values={"deputy_reason": reason}
        )
    return onward(call, "bekraftat", to=here(call))


async def disagree(call: Call) -> web.Response:
    inbox, envelope = where(call)
    done: SeatAnswer = await call.gateway.replies.disagree(call.signed, inbox, envelope)
    return onward(call, "oense" if done else "", to=here(call))


# --- a message in the matter ------------------------------------------------------------------------------------------


async def show_message(call: Call) -> web.Response:
    item = await _read(call)
    _require(item.writes)
    chosen = [item.recipients[0].id] if item.recipients else []
    return await _message_page(call, item, {"recipients": chosen})


async def message(call: Call) -> web.Response:
    inbox, envelope = where(call)
    values = _values(call, call.gateway.forms.get(MESSAGE, 1))
    recipients = call.form.getall("recipients", [])
    try:
        await call.gateway.replies.write(call.signed, inbox, envelope, values, recipients, _written(call))
    except (InvalidFormError, NewerError) as refused:
        return await _message_page(call, await _read(call), {**values, "recipients": recipients}, refused)
    return onward(call, "skickat", to=here(call))


async def _message_page(
    call: Call, item: Item, values: Mapping[str, Any], refused: InvalidFormError | NewerError | None = None
) -> web.Response:
    return await _form_page(
        call,
        item,
        "item_message.html",
        title=call.tr("Skriv i ärendet %(case)s", case=item.case.reference),
        refused=refused,
        answer_form=call.gateway.forms.get(MESSAGE, 1),
        values=values,
    )


# --- details ----------------------------------------------------------------------------------------------------------


async def _form_page(
    call: Call, item: Item, template: str, *, title: str, refused: InvalidFormError | NewerError | None, **context: Any
) -> web.Response:
    """A form beside what it answers; with its faults, or with what is newer, when it comes back."""
    await call.gateway.watching.seen(call.signed, item.inbox.id, item.found.envelope.id, answering=True)
    return await call.web.page(
        call,
        template,
        title=title,
        status=refused.status if refused else 200,
        faults=refused.faults if isinstance(refused, InvalidFormError) else (),
        newer=refused if isinstance(refused, NewerError) else None,
        key=new_key() if call.request.method == "GET" else call.field("key"),
        back=Link(f"{here(call)}?mote={meeting(call)}" if meeting(call) else here(call), item.case.reference),
        **await common(call, item),
        **context,
    )


async def _read(call: Call) -> Item:
    inbox, envelope = where(call)
    return await call.gateway.items.read(call.signed, inbox, envelope)


def _require(possible: bool) -> None:
    if not possible:
        raise ConflictError(
            "nothing waits for that answer here",
            swedish="Det går inte att svara så här på det här meddelandet just nu.",
            next_step="Läs om ärendet: det kan redan ha ett svar, eller vänta på den andra platsen.",
        )


def _written(call: Call) -> Written:
    """The key and the mark that the form carried.

    Raises:
        InvalidRequestError: no form of ours.
    """
    key, seen = call.field("key"), call.field("seen")
    if not 8 <= len(key) <= 64 or not key.isascii() or len(seen) > 256:
        raise InvalidRequestError("no key in the form", swedish="Formuläret kom inte fram som det skulle.")
    return Written(key=key, seen=seen)


def _values(call: Call, form: Form) -> dict[str, Any]:
    """What the writer answered, in the form's own types; what was left empty is left out."""
    values: dict[str, Any] = {}
    for field in form.fields.values():
        text = call.form.get(field.id, "").replace("\r\n", "\n").strip()
        if field.type == "multi":
            if chosen := call.form.getall(field.id, []):
                values[field.id] = list(chosen)
        elif field.type == "int" and text.isascii() and text.isdigit() and len(text) < 9:
            values[field.id] = int(text)
        elif text and field.id not in KNOWN and field.type != "file":
            values[field.id] = text
    return values


ROUTES: Final = (
    shows(f"{ITEM}/svara", with_window(show_propose), N_("Föreslå svar"), HELP, audit="opened"),
    acts(f"{ITEM}/svara", with_window(propose), N_("Föreslå svar"), HELP, audit="answer_proposed"),
    acts(f"{ITEM}/bekrafta", with_window(confirm), N_("Bekräfta svar"), HELP, audit="answer_confirmed"),
    acts(f"{ITEM}/oense", with_window(disagree), N_("Inte överens"), HELP, audit="answer_disagreed"),
    shows(f"{ITEM}/meddelande", with_window(show_message), N_("Skriv i ärendet"), HELP, audit="opened"),
    acts(f"{ITEM}/meddelande", with_window(message), N_("Skriv i ärendet"), HELP, audit="sent"),
)
