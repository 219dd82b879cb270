"""The attachments of a draft: add, look at, take away; each file's trouble told by itself.

Why this exists: a file that is refused must not take the others or the text with it, and the limits are told before one
has waited for an upload. The token comes first in the form, so nothing is read for a stranger.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from adapters.http.downloads import download
from adapters.http.routes import Call, Rate
from adapters.http.web import security
from adapters.http.web.deskroutes import act, page
from adapters.http.web.nav import Link
from adapters.http.web.words import N_
from gateway.attachments import category_of
from gateway.errors import AttachmentError, FieldError
from gateway.model.base import AttachmentId, DraftId
from gateway.model.classes import Category


async def show(call: Call) -> web.Response:
    return await _page(call)


async def add(call: Call) -> web.StreamResponse:
    """Takes the files one by one, in a stream; what is accepted stays whatever comes after."""
    draft = DraftId(call.part("draft"))
    parts = await security.parts_of(call)
    category, taken, faults, carried = Category.SOCIAL, 0, list[FieldError](), {"fran": "", "svar": ""}
    while (part := await parts.next()) is not None:
        if part.name == "file" and part.filename:
            try:
                await call.gateway.attachments.add(call.signed, draft, part.filename, category, part.pieces())
                taken += 1
            except AttachmentError as refused:
                text = f"{part.filename[:80]}: {refused.swedish} {refused.next_step}"
                faults.append(FieldError("/file", refused.code, text))
        elif part.name == "category":
            category = category_of(await part.text())
        elif part.name in carried:
            carried[part.name] = await part.text()
    if not taken and not faults:
        faults.append(FieldError("/file", "missing", "Välj en fil."))
    if faults:
        return await _page(call, faults=faults, carried=carried, status=422)
    return call.web.redirect(f"/utkast/{draft}/bilagor{_query(carried)}")


async def remove(call: Call) -> web.Response:
    draft = DraftId(call.part("draft"))
    await call.gateway.attachments.remove(call.signed, draft, AttachmentId(call.part("bilaga")))
    return call.web.redirect(f"/utkast/{draft}/bilagor{_query({name: call.field(name) for name in ('fran', 'svar')})}")


async def fetch(call: Call) -> web.StreamResponse:
    file, pieces = await call.gateway.attachments.read(
        call.signed, DraftId(call.part("draft")), AttachmentId(call.part("bilaga"))
    )
    return await download(call, file, pieces)


async def _page(
    call: Call, *, faults: Sequence[FieldError] = (), carried: dict[str, str] | None = None, status: int = 200
) -> web.Response:
    draft = DraftId(call.part("draft"))
    row = await call.gateway.drafts.find(call.signed, draft)
    form = call.gateway.forms.get(row.form_type, row.form_version)
    kept = carried or {name: call.request.query.get(name, "") for name in ("fran", "svar")}
    section = next((one for one in form.sections if one.id == kept["fran"]), form.sections[-1])
    onward = _query({"svar": kept["svar"]})
    takes = call.gateway.attachments.taken_by((await call.gateway.directory.current()).inbox(row.inbox))
    codes = call.gateway.forms.get("consent", 1).fields["data_categories"].codes
    return await call.web.page(
        call,
        "draft/attachments.html",
        title=call.tr("Bilagor"),
        status=status,
        faults=faults,
        back=Link(f"/utkast/{draft}/{section.id}{onward}", call.tr("Tillbaka till blanketten")),
        draft=row,
        files=await call.gateway.attachments.listed(call.signed, draft),
        categories=list(codes.items()),
        category_names=codes,
        most=takes.max_files,
        megabytes=takes.max_bytes // 1_000_000,
        accept=",".join(takes.suffixes),
        carried=kept,
        onward=f"/utkast/{draft}/{section.id}{onward}",
        stage_2=form.id == "placement_referral",
    )


def _query(parts: dict[str, str]) -> str:
    kept = {name: value for name, value in parts.items() if value}
    return f"?{urlencode(kept)}" if kept else ""


FILE: Final = "/utkast/{draft}/bilagor/{bilaga}"
ROUTES: Final = (
    page("/utkast/{draft}/bilagor", show, N_("Bilagor"), help_="skriva", audit="none: names of the own files"),
    act("/utkast/{draft}/bilagor", add, N_("Lägg till bilagor"), "attachment_added", rate=Rate.UPLOAD, help_="skriva"),
    page(FILE, fetch, N_("Bilaga"), help_="skriva", audit="attachment_read"),
    act(FILE, remove, N_("Ta bort bilagan"), "none: never sent to anybody", help_="skriva"),
)
