"""After the sending: the confirmation with its ten seconds, reading, and asking back.

Why this exists: whoever has sent something needs three answers: did it go, what happens next, and can I still stop it.
And what comes back is read in sections with every question in words, with what was held back said as such.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from adapters.http.downloads import download
from adapters.http.routes import Call
from adapters.http.web.cases import DEAD, leg_words
from adapters.http.web.deskroutes import act, page, to_code
from adapters.http.web.fields import shown
from adapters.http.web.nav import Link
from adapters.http.web.projection import marked_in
from adapters.http.web.signers import signers_of
from adapters.http.web.words import N_
from gateway.casefile import CaseFile, Entry
from gateway.contents import REMARKS
from gateway.decide import AccessAction
from gateway.errors import ConflictError, NotFoundError, StepUpRequiredError
from gateway.forms import Form
from gateway.model.base import SECOND, AttachmentId, CaseId, DraftId, EnvelopeId, MessageId
from gateway.states import DeliveryState


async def show_sent(call: Call) -> web.Response:
    file, entry = await _sent(call)
    return await _sent_page(call, file, entry)


async def undo(call: Call) -> web.Response:
    case, message = CaseId(call.part("case")), MessageId(call.part("message"))
    file = await call.gateway.casework.file(call.signed, case)
    entry = file.entry(message)
    try:
        await call.gateway.recalls.take_back(call.signed, file.inbox.id, message)
    except ConflictError:
        return call.web.redirect(f"/arenden/{case}/skickat/{message}?sent=1")
    draft = DraftId(call.field("utkast"))
    after = await call.gateway.casework.file(call.signed, case)
    known = {row.id for row in after.drafts if row.form_type == entry.message.form_type}
    if draft in known:
        return call.web.redirect(f"/utkast/{draft}/mottagare?angrat=1")
    return call.web.redirect(f"/arenden/{case}?klart=angrat")


async def try_again(call: Call) -> web.Response:
    """The same envelope once more; what keeps it from that is said on the page of an error."""
    case, message = CaseId(call.part("case")), MessageId(call.part("message"))
    file = await call.gateway.casework.file(call.signed, case)
    await call.gateway.retries.again(call.signed, file.inbox.id, message, EnvelopeId(call.field("kuvert")))
    return call.web.redirect(f"/arenden/{case}/skickat/{message}?igen=1")


async def show_recall(call: Call) -> web.Response:
    file, entry = await _sent(call)
    return await call.web.page(
        call,
        "case/recall.html",
        title=call.tr("Begär tillbaka meddelandet"),
        back=Link(f"/arenden/{file.case.id}", call.tr("Tillbaka till ärendet")),
        file=file,
        entry=entry,
        may=AccessAction.RECALL in file.may,
        queued=entry.undo_until is not None,
    )


async def ask_back(call: Call) -> web.Response:
    case, message = CaseId(call.part("case")), MessageId(call.part("message"))
    file = await call.gateway.casework.file(call.signed, case)
    await call.gateway.recalls.request(call.signed, file.inbox.id, message)
    return call.web.redirect(f"/arenden/{case}/skickat/{message}?begart=1")


async def show_message(call: Call) -> web.Response:
    """Opens: decided, logged and marked as read before a word is shown."""
    file, entry = await _received(call)
    try:
        found = await call.gateway.queue.open(call.signed, EnvelopeId(call.part("envelope")))
    except StepUpRequiredError:
        return to_code(call, file.inbox.id, call.request.path)
    form = call.gateway.forms.get(found.message.form_type, found.message.form_version)
    deciders = found.opened.body.get("deciders")
    return await call.web.page(
        call,
        "case/read.html",
        title=form.title if call.lang == "sv" else call.tr(form.title),
        back=Link(f"/arenden/{file.case.id}", call.tr("Tillbaka till ärendet")),
        file=file,
        entry=entry,
        sections=read_sections(form, found.opened.body),
        remarks=found.opened.body.get(REMARKS),
        attachments=found.opened.attachments,
        files_held=int(str(found.opened.body.get("attachments_held_back", 0)) or 0),
        statement=str(found.opened.body.get("statement", "")),
        signers=signers_of(call, file.directory, found.opened),
        deciders=[str(one) for one in deciders] if isinstance(deciders, list | tuple) else [],
        may_write=AccessAction.WRITE_DRAFT in file.may,
    )


async def read_file(call: Call) -> web.StreamResponse:
    file, _ = await _received(call)
    envelope = EnvelopeId(call.part("envelope"))
    try:
        found, pieces = await call.gateway.opening.attachment(call.signed, envelope, AttachmentId(call.part("bilaga")))
    except StepUpRequiredError:
        return to_code(call, file.inbox.id, f"/arenden/{file.case.id}/las/{envelope}")
    return await download(call, found, pieces)


# --- details ---------------------------------------------------------------------------------------------------------


async def _sent(call: Call) -> tuple[CaseFile, Entry]:
    file = await call.gateway.casework.file(call.signed, CaseId(call.part("case")))
    entry = file.entry(call.part("message"))
    if not entry.mine:
        raise NotFoundError("no such message", swedish="Meddelandet finns inte, eller är inte ert.")
    return file, entry


async def _received(call: Call) -> tuple[CaseFile, Entry]:
    file = await call.gateway.casework.file(call.signed, CaseId(call.part("case")))
    for entry in file.entries:
        if entry.envelope == call.part("envelope"):
            return file, entry
    raise NotFoundError("no such message", swedish="Meddelandet finns inte, eller är inte ert.")


async def _sent_page(call: Call, file: CaseFile, entry: Entry) -> web.Response:
    until, now = entry.undo_until, call.gateway.ports.clock.now()
    cancelled = bool(entry.legs) and all(leg.delivery.state is DeliveryState.CANCELLED for leg in entry.legs)
    dead = bool(entry.legs) and all(leg.delivery.state in DEAD for leg in entry.legs) and not cancelled
    title = call.tr("Ångrat") if cancelled else call.tr("Kom inte fram") if dead else call.tr("Skickat")
    return await call.web.page(
        call,
        "case/sent.html",
        title=title,
        back=Link(f"/arenden/{file.case.id}", call.tr("Till ärendet")),
        file=file,
        entry=entry,
        cancelled=cancelled,
        nothing_arrived=dead,
        legs=[leg_words(call, leg) for leg in entry.legs],
        may_retry=AccessAction.SEND in file.may,
        tried_again=call.request.query.get("igen", ""),
        undo_left=max(0, (until - now + SECOND - 1) // SECOND) if until else 0,
        may_undo=bool(until and until > now and AccessAction.RECALL in file.may),
        may_recall=entry.arrived and AccessAction.RECALL in file.may and not any(leg.recall for leg in entry.legs),
        draft=call.request.query.get("utkast", ""),
        too_late=call.request.query.get("sent", ""),
        asked_back=call.request.query.get("begart", ""),
        referral=entry.message.form_type == "placement_referral",
        to_unit=any(leg.inbox.kind == "unit" for leg in entry.legs),
    )


def read_sections(form: Form, body: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str, bool]]]]:
    """Sections with their questions: label, answer in words (or as HTML, when marked), and whether it was held back."""
    fields = body.get("fields")
    values: Mapping[str, Any] = fields if isinstance(fields, Mapping) else {}
    named = body.get("held_back")
    held = {str(name) for name in named} if isinstance(named, list | tuple) else set()
    sections = []
    for section in form.sections:
        rows = [
            (
                form.fields[name].label,
                marked_in(body, name, values.get(name)) or shown(form.fields[name], values.get(name)),
                name in held,
            )
            for name in section.fields
            if name in values or name in held
        ]
        if rows:
            sections.append((section.title, rows))
    return sections


ROUTES: Final = (
    page("/arenden/{case}/skickat/{message}", show_sent, N_("Skickat"), help_="skickat"),
    act("/arenden/{case}/skickat/{message}/angra", undo, N_("Ångra"), "taken_back", help_="skickat"),
    act("/arenden/{case}/skickat/{message}/igen", try_again, N_("Försök igen"), "retried", help_="skickat"),
    page("/arenden/{case}/skickat/{message}/begar-tillbaka", show_recall, N_("Begär tillbaka"), help_="skickat"),
    act(
        "/arenden/{case}/skickat/{message}/begar-tillbaka",
        ask_back,
        N_("Begär tillbaka"),
        "recall_requested",
        help_="skickat",
    ),
    page("/arenden/{case}/las/{envelope}", show_message, N_("Läs"), audit="opened"),
    page("/arenden/{case}/las/{envelope}/{bilaga}", read_file, N_("Bilaga"), audit="attachment_read"),
)
