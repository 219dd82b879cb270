"""To whom, what each gets, and the sending itself: the last look before something leaves.

Why this exists: the wrong recipient and the unneeded field are the two mistakes that cannot be taken back. So the page
names organisation and function, says how many can open it, lists what goes and what is held back and why, and only then
offers the button. A refusal is an answer with a paragraph and a next step, and the draft stays.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web

from adapters.http.routes import Call
from adapters.http.web.deskroutes import act, page
from adapters.http.web.fields import shown
from adapters.http.web.frame import told
from adapters.http.web.nav import Link
from adapters.http.web.words import CHANNEL, N_
from gateway.advice import CATEGORY_SWEDISH
from gateway.casefile import Address, Desk, Place
from gateway.compose import attachment_permitted, classes_of
from gateway.errors import (
    ConflictError,
    DecisionStaleError,
    FieldError,
    GatewayError,
    IllegalTransitionError,
    InvalidFormError,
    InvalidRequestError,
    NotFoundError,
    RecipientError,
    RefusedError,
)
from gateway.forms import Form
from gateway.forms.names import REFERRAL
from gateway.model.base import DraftId, InboxId, MessageId
from gateway.model.classes import Stage
from gateway.model.decision import RecipientDecision
from gateway.preflight import Goes, Look
from gateway.sending import Preview

UNDO_SECONDS: Final = 10
#: What may go wrong with a sending that the page itself can tell about; the draft is kept in all of them.
TOLD: Final = (
    RefusedError,
    RecipientError,
    DecisionStaleError,
    ConflictError,
    IllegalTransitionError,
    InvalidRequestError,
)
LATER: Final = {
    Stage.S2: N_("Lämnas först till det boende som föreslås (steg 2)"),
    Stage.S3: N_("Lämnas när en plats är erbjuden och inskrivningsdagen är bestämd (steg 3)"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What recipients get alike: answers by section, and what is held back by reason. Words are the form's own."""

    places: tuple[Place, ...]
    stage: str
    denied: bool
    reason: str
    next_step: str
    warnings: tuple[str, ...]
    sent: tuple[tuple[str, tuple[str, ...]], ...]
    held: tuple[tuple[str, tuple[str, ...]], ...]


async def show_recipients(call: Call) -> web.Response:
    desk = await call.gateway.casework.desk(call.signed, DraftId(call.part("draft")))
    return await _recipients(call, desk)


async def show_check(call: Call) -> web.Response:
    desk = await call.gateway.casework.desk(call.signed, DraftId(call.part("draft")))
    chosen = call.request.query.getall("till", [])
    if not chosen:
        missing = FieldError("/till", "missing", call.tr("Välj minst en mottagare"))
        return await _recipients(call, desk, faults=[missing], status=422)
    return await _check(call, desk, chosen, call.request.query.get("svar", ""))


async def send(call: Call) -> web.Response:
    """Sends, once, however often the button is pressed; what stands in the way is told on the same page."""
    draft = DraftId(call.part("draft"))
    chosen, reply, key = call.form.getall("till", []), call.field("svar"), call.field("nyckel")
    if call.field("jav_fragas") and call.field("jav") != "nej":
        desk = await call.gateway.casework.desk(call.signed, draft)
        text = call.tr("Svara på om någon i remissgruppen inte bör ta del")
        faults = [FieldError("/jav", "missing", text)] if not call.field("jav") else []
        return await _check(call, desk, chosen, reply, key=key, faults=faults, jav=call.field("jav"), status=422)
    try:
        sent = await call.gateway.sending.send_draft(
            call.signed,
            draft,
            chosen,
            idempotency_key=key[:128],
            undo_seconds=UNDO_SECONDS,
            in_reply_to=MessageId(reply) if reply else None,
        )
    except (InvalidFormError, *TOLD) as refused:
        desk = await call.gateway.casework.desk(call.signed, draft)
        return await _check(call, desk, chosen, reply, refused=refused, jav=call.field("jav"), status=refused.status)
    query = urlencode({"utkast": draft})
    return call.web.redirect(f"/arenden/{call.field('arende')}/skickat/{sent.message}?{query}")


# --- pages -----------------------------------------------------------------------------------------------------------


async def _recipients(call: Call, desk: Desk, *, faults: Sequence[FieldError] = (), status: int = 200) -> web.Response:
    last = desk.form.sections[-1]
    referral = desk.form.id == REFERRAL
    addresses = await call.gateway.casework.addresses(call.signed, desk.draft.id)
    reply = call.request.query.get("svar", "")
    return await call.web.page(
        call,
        "draft/recipients.html",
        title=call.tr("Vem ska ha det?"),
        status=status,
        faults=faults,
        fault_translated=True,
        back=Link(f"/utkast/{desk.draft.id}/{last.id}", call.tr("Tillbaka till blanketten")),
        desk=desk,
        groups=[(name, list(found)) for name, found in groupby(addresses, key=lambda one: one.group)],
        chosen=await _chosen(call, desk, addresses, reply),
        one=referral,
        reply=reply,
        undone=call.request.query.get("angrat", ""),
    )


async def _chosen(call: Call, desk: Desk, addresses: Sequence[Address], reply: str) -> list[str]:
    """What is chosen before anybody chooses: who is answered, the first of a referral's, or the only one."""
    if reply:
        try:
            sender = (await call.gateway.casework.file(call.signed, desk.case.id)).entry(reply).sender
        except NotFoundError:
            return []
        return [one.id for one in addresses if {place.inbox.id for place in one.places} == {sender.id}]
    return [addresses[0].id] if addresses and (desk.form.id == REFERRAL or len(addresses) == 1) else []


async def _check(
    call: Call,
    desk: Desk,
    chosen: Sequence[str],
    reply: str,
    *,
    key: str = "",
    faults: Sequence[FieldError] = (),
    refused: GatewayError | None = None,
    jav: str = "",
    status: int = 200,
) -> web.Response:
    addresses = await call.gateway.casework.addresses(call.signed, desk.draft.id)
    picked = [address for address in addresses if address.id in chosen]
    shares: list[Share] = []
    looks: Mapping[InboxId, Look] = {}
    files = await call.gateway.attachments.listed(call.signed, desk.draft.id)
    if not desk.faults and picked:
        try:
            preview = await call.gateway.sending.preview(call.signed, desk.draft.id, [one.id for one in picked])
            shares = _shares(call, desk, preview, picked, [(file.file.name, file.category) for file in files])
            goes = [Goes(file.file.name, file.file.media_type, file.file.size) for file in files]
            looks = await call.gateway.preflight.look([place.inbox.id for one in picked for place in one.places], goes)
        except TOLD as trouble:
            refused = refused or trouble
    denied = any(share.denied for share in shares)
    question = desk.form.id == REFERRAL and any(len(address.places) > 1 for address in picked)
    query = urlencode([("till", one.id) for one in picked] + ([("svar", reply)] if reply else []))
    return await call.web.page(
        call,
        "draft/check.html",
        title=call.tr("Kontrollera innan du skickar"),
        status=status,
        faults=faults,
        fault_translated=True,
        back=Link(f"/utkast/{desk.draft.id}/mottagare", call.tr("Tillbaka till mottagare")),
        desk=desk,
        picked=picked,
        shares=shares,
        looks=looks,
        ways={channel: call.tr(word) for channel, word in CHANNEL.items()},
        missing=[(fault, _section_name(desk.form, fault)) for fault in desk.faults],
        refused=told(refused, call.lang) if refused is not None and not denied else "",
        sendable=bool(shares) and not denied and jav != "ja",
        denied=denied,
        jav_asked=question,
        jav=jav,
        answers=_answers(desk),
        files=files,
        key=key or secrets.token_urlsafe(18),
        reply=reply,
        query=query,
        to=", ".join(address.name for address in picked),
        urgent=desk.values.get("urgency") == "URGENT",
        undo_seconds=UNDO_SECONDS,
    )


def _shares(
    call: Call, desk: Desk, preview: Preview, picked: Sequence[Address], files: Sequence[tuple[str, Any]]
) -> list[Share]:
    places = {place.inbox.id: place for address in picked for place in address.places}
    alike: dict[Share, list[Place]] = {}
    for decided in preview.decision.recipients:
        sent = set(preview.fields[decided.inbox])
        goes = [
            (section.title, tuple(desk.form.fields[name].label for name in section.fields if name in sent))
            for section in desk.form.sections
        ]
        allowed = [n for n, c in files if attachment_permitted(desk.form, c, decided.stage, decided.permitted)]
        if allowed:
            goes.append((call.tr("Bilagor"), tuple(allowed)))
        share = Share(
            places=(),
            stage=decided.stage,
            denied=decided.denied,
            reason=decided.reason,
            next_step=decided.next_step,
            warnings=decided.warnings,
            sent=tuple((title, labels) for title, labels in goes if labels),
            held=_held(call, desk, preview.held_back[decided.inbox], decided, [n for n, _ in files], allowed),
        )
        alike.setdefault(share, []).append(places[decided.inbox])
    return [dataclasses.replace(share, places=tuple(found)) for share, found in alike.items()]


def _held(
    call: Call,
    desk: Desk,
    names: Sequence[str],
    decided: RecipientDecision,
    files: Sequence[str],
    allowed: Sequence[str],
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What is held back, grouped by why."""
    found: dict[str, list[str]] = {}
    for name in names:
        field = desk.form.fields[name]
        found.setdefault(_why(call, desk, name, decided), []).append(field.label)
    for name in files:
        if name not in allowed:
            field = next(field for field in desk.form.fields.values() if field.type == "file")
            why = call.tr(LATER[field.stage]) if field.stage > decided.stage else call.tr("Samtycket omfattar det inte")
            found.setdefault(why, []).append(f"{call.tr('Bilaga')}: {name}")
    return tuple((why, tuple(labels)) for why, labels in found.items())


def _why(call: Call, desk: Desk, name: str, decided: RecipientDecision) -> str:
    field = desk.form.fields[name]
    if field.stage > decided.stage:
        return call.tr(LATER[field.stage])
    lacking = sorted(
        CATEGORY_SWEDISH[item.category]
        for item in classes_of(desk.form, field, desk.values)
        if item not in decided.permitted
    )
    return call.tr("Samtycket omfattar inte uppgifter om %(what)s (OSL 12 kap. 2 §)", what=", ".join(lacking))


def _answers(desk: Desk) -> list[tuple[Any, list[tuple[str, str]]]]:
    """Every section with its questions and answers, in words."""
    return [
        (
            section,
            [
                (desk.form.fields[name].label, shown(desk.form.fields[name], desk.values.get(name)))
                for name in section.fields
                if name in desk.values
            ],
        )
        for section in desk.form.sections
    ]


def _section_name(form: Form, fault: FieldError) -> str:
    root = fault.pointer.split("/")[1] if "/" in fault.pointer else ""
    return next((section.id for section in form.sections if root in section.fields), form.sections[0].id)


ROUTES: Final = (
    page("/utkast/{draft}/mottagare", show_recipients, N_("Vem ska ha det?"), audit="draft_opened", help_="skicka"),
    page(
        "/utkast/{draft}/granska", show_check, N_("Kontrollera innan du skickar"), audit="draft_opened", help_="skicka"
    ),
    act("/utkast/{draft}/skicka", send, N_("Skicka"), "sent", help_="skicka"),
)
