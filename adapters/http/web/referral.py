"""Writing a form: one page per section, saved as one goes, whoever closes the browser.

Why this exists: an uppdragsblankett takes an hour between telephone calls. So every page saves half answers, the
browser's Back is safe, a colleague in another section disturbs nobody, and two who write in the same section both
keep their words until one of them chooses. Nothing is kept in the browser.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web

from adapters.http.routes import Call
from adapters.http.web.deskroutes import act, page, today
from adapters.http.web.fields import ASSURANCES, ID_KINDS, questions, read, shown, with_faults
from adapters.http.web.locale import filters
from adapters.http.web.nav import Link
from adapters.http.web.words import N_
from gateway.casefile import Desk
from gateway.drafts import PartConflictError, digest_of
from gateway.errors import FieldError, InvalidRequestError, NotFoundError
from gateway.forms import Form, Section
from gateway.forms.names import MESSAGE
from gateway.model.base import DraftId

WHOLE, BEGUN, UNTOUCHED = "whole", "begun", "untouched"


async def resume(call: Call) -> web.Response:
    """To the first section that is not whole; to the recipients when all are."""
    desk = await call.gateway.casework.desk(call.signed, DraftId(call.part("draft")))
    return call.web.redirect(_next_unfinished(desk))


async def show_section(call: Call) -> web.Response:
    desk = await call.gateway.casework.desk(call.signed, DraftId(call.part("draft")))
    section = _section(desk.form, call.part("section"))
    return await section_page(call, desk, section)


async def save_section(call: Call) -> web.Response:
    """Saves what was written, whole or not; then on, back, or here again with what is missing."""
    draft, section = DraftId(call.part("draft")), _section_of(call)
    form, part = section
    written = read([form.fields[name] for name in part.fields], call.form, today=today(call))
    names = _asked(form, part)
    try:
        kept = await call.gateway.drafts.amend(call.signed, draft, names, written, seen=call.field("base"))
    except PartConflictError as conflict:
        desk = await call.gateway.casework.desk(call.signed, draft)
        return await section_page(call, desk, part, written=written, kept=conflict.kept.values, status=409)
    except InvalidRequestError as refused:
        desk = await call.gateway.casework.desk(call.signed, draft)
        return await section_page(call, desk, part, written=written, wrong=refused.swedish, status=refused.status)
    where, carried = call.field("till"), _carried(call)
    base = f"/utkast/{draft}"
    if where == "bilagor":
        return call.web.redirect(f"{base}/bilagor?{urlencode({'fran': part.id, **carried})}")
    if where in {one.id for one in form.sections} or where == "mottagare":
        return call.web.redirect(f"{base}/{where}{_query(carried)}")
    if where == "arendet":
        return call.web.redirect(f"/arenden/{kept.draft.case}")
    faults = call.gateway.casework.faults(form.id, form.version, kept.values)
    mine = with_faults(part.fields, faults)
    if mine and where != "vidare":
        desk = await call.gateway.casework.desk(call.signed, draft)
        return await section_page(call, desk, part, faults=mine, status=422)
    if call.field("retur"):
        return call.web.redirect(f"{base}/granska?{call.field('retur')}")
    following = _after(form, part)
    if following is not None:
        return call.web.redirect(f"{base}/{following.id}{_query(carried)}")
    unfinished = _first_with(form, faults)
    return call.web.redirect(f"{base}/{unfinished.id if unfinished else 'mottagare'}{_query(carried)}")


async def autosave(call: Call) -> web.Response:
    """The same, asked for by the page itself while one writes."""
    form, part = _section_of(call)
    written = read([form.fields[name] for name in part.fields], call.form, today=today(call))
    names = _asked(form, part)
    try:
        kept = await call.gateway.drafts.amend(
            call.signed, DraftId(call.part("draft")), names, written, seen=call.field("base")
        )
    except PartConflictError:
        return web.json_response({"problem": "conflict"}, status=409)
    except InvalidRequestError:
        return web.json_response({"problem": "large"}, status=413)
    clock = filters(call.lang, call.gateway.ports.clock.now)["clock"]
    at = clock(call.gateway.ports.clock.now()).striptags()
    return web.json_response({"at": at, "base": digest_of(_part(names, kept.values))})


async def show_discard(call: Call) -> web.Response:
    desk = await call.gateway.casework.desk(call.signed, DraftId(call.part("draft")))
    back = Link(f"/arenden/{desk.case.id}", call.tr("Tillbaka till ärendet"))
    return await call.web.page(call, "draft/discard.html", title=call.tr("Ta bort utkastet"), desk=desk, back=back)


async def discard(call: Call) -> web.Response:
    draft = DraftId(call.part("draft"))
    case = (await call.gateway.drafts.find(call.signed, draft)).case
    await call.gateway.drafts.discard(call.signed, draft)
    return call.web.redirect(f"/arenden/{case}?klart=kastat")


# --- the page of a section -------------------------------------------------------------------------------------------


async def section_page(
    call: Call,
    desk: Desk,
    section: Section,
    *,
    faults: Sequence[FieldError] = (),
    written: Mapping[str, Any] | None = None,
    kept: Mapping[str, Any] | None = None,
    wrong: str = "",
    status: int = 200,
) -> web.Response:
    """A section of a form. `written` is what the writer typed and nobody has kept; `kept` what a colleague saved."""
    form, names = desk.form, _asked(desk.form, section)
    values = desk.values if written is None else written
    place = form.sections.index(section)
    before = form.sections[place - 1] if place else None
    has_files = any(form.fields[name].type == "file" for name in section.fields)
    files = await call.gateway.attachments.listed(call.signed, desk.draft.id) if has_files else []
    theirs = [(form.fields[name].label, shown(form.fields[name], kept.get(name))) for name in names] if kept else []
    return await call.web.page(
        call,
        "draft/section.html",
        title=section.title if len(form.sections) > 1 else call.tr(form.title),
        status=status,
        faults=faults,
        back=Link(f"/arenden/{desk.case.id}", call.tr("Till ärende %(reference)s", reference=desk.case.reference)),
        desk=desk,
        section=section,
        place=place + 1,
        before=before,
        questions=questions(form, section, values),
        base=digest_of(_part(names, kept if kept is not None else desk.values)),
        progress=progress(desk),
        has_files=has_files,
        files=files,
        conflict=kept is not None,
        theirs=theirs,
        wrong=wrong,
        carried=_carried(call),
        id_kinds=[(key, call.tr(text)) for key, text in ID_KINDS.items()],
        assurances=[(key, call.tr(text)) for key, text in ASSURANCES.items()],
        saved_at=desk.draft.changed_at,
    )


def progress(desk: Desk) -> list[tuple[Section, str]]:
    """Each section, and whether it is whole."""
    broken = {fault.pointer.split("/")[1] for fault in desk.faults if fault.pointer.count("/")}
    found = []
    for section in desk.form.sections:
        touched = any(name in desk.values for name in section.fields)
        state = WHOLE if not broken & set(section.fields) else BEGUN if touched else UNTOUCHED
        found.append((section, state))
    return found


def _section(form: Form, name: str) -> Section:
    for section in form.sections:
        if section.id == name:
            return section
    raise NotFoundError("no such section", swedish="Den delen av blanketten finns inte.")


def _section_of(call: Call) -> tuple[Form, Section]:
    """The form and section that a page sends back; which form it is, the page says."""
    form_type, _, version = call.field("blankett").partition("/")
    form = call.gateway.forms.get(form_type, int(version) if version.isdigit() and len(version) < 6 else 0)
    return form, _section(form, call.part("section"))


def _asked(form: Form, section: Section) -> list[str]:
    return [name for name in section.fields if form.fields[name].type != "file"]


def _part(names: Sequence[str], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}


def _after(form: Form, section: Section) -> Section | None:
    place = form.sections.index(section) + 1
    return form.sections[place] if place < len(form.sections) else None


def _first_with(form: Form, faults: Sequence[FieldError]) -> Section | None:
    return next((section for section in form.sections if with_faults(section.fields, faults)), None)


def _next_unfinished(desk: Desk) -> str:
    section = _first_with(desk.form, desk.faults)
    if section is None and desk.draft.form_type == MESSAGE:
        section = desk.form.sections[0]
    return f"/utkast/{desk.draft.id}/{section.id if section else 'mottagare'}"


def _carried(call: Call) -> dict[str, str]:
    """What goes along from page to page: the message that is answered, and where "Ändra" leads back to."""
    sent = call.form if call.request.method == "POST" else call.request.query
    return {name: sent[name] for name in ("svar", "retur") if sent.get(name)}


def _query(carried: Mapping[str, str]) -> str:
    return f"?{urlencode(carried)}" if carried else ""


SEALED: Final = "none: the writer's own words, sealed"
ROUTES: Final = (
    page("/utkast/{draft}", resume, N_("Utkast"), audit="draft_opened", help_="skriva"),
    page("/utkast/{draft}/kasta", show_discard, N_("Ta bort utkastet"), audit="draft_opened", help_="skriva"),
    act("/utkast/{draft}/kasta", discard, N_("Ta bort utkastet"), "none: never sent to anybody", help_="skriva"),
    act("/utkast/{draft}/spara/{section}", autosave, N_("Spara utkastet"), SEALED, help_="skriva"),
)
#: Registered last: their addresses would take those of the pages that have a name of their own.
SECTIONS: Final = (
    page("/utkast/{draft}/{section}", show_section, N_("Uppdragsblankett"), audit="draft_opened", help_="skriva"),
    act("/utkast/{draft}/{section}", save_section, N_("Spara och fortsätt"), SEALED, help_="skriva"),
)
