"""The consent step: record a yes, respect a no, withdraw.

Why this exists: consent is what lifts the secrecy between the authorities here (OSL 12 kap. 2 §), so it is asked in the
words of the person's choice: which units, about what, for how long. The worker ticks units, not pairs of them. A no is
as easy to record as a yes, and the page says what can be done instead.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from aiohttp import web

from adapters.http.routes import Call
from adapters.http.web.consent_words import consent_lines
from adapters.http.web.deskroutes import act, page, today
from adapters.http.web.fields import Question, question, read
from adapters.http.web.nav import Link
from adapters.http.web.words import N_
from gateway.casefile import CaseFile
from gateway.decide import AccessAction
from gateway.errors import FieldError, InvalidFormError, NotFoundError
from gateway.forms import Form, Section
from gateway.model.base import CaseId, ConsentId
from gateway.model.directory import InboxKind, Unit

HOW_LONG: Final = timedelta(days=90)
#: The consent form's questions about a no: label and hint, Swedish data like the form's own.
NO_WORDS: Final = {
    "data_categories": ("Uppgifter som nejet gäller", ""),
    "given_by": ("Vem säger nej?", ""),
    "witness_note": ("Hur och när?", "Skriv vem som tog emot svaret (funktion), och när."),
}
BOTH, OUT = "bada", "ut"
PARTS: Final = (
    ("what", ("data_categories", "excluded", "next_of_kin_may")),
    ("why", ("purpose",)),
    ("how", ("given_by", "valid_from", "valid_to", "manner", "witness_note", "interpreter")),
    ("told", ("informed_points",)),
)
REFUSAL: Final = (("what", ("data_categories",)), ("how", ("given_by", "witness_note")))


async def show_yes(call: Call) -> web.Response:
    return await _page(call, await _file(call))


async def record_yes(call: Call) -> web.Response:
    file = await _file(call)
    values = _sent(call, file, PARTS)
    try:
        await call.gateway.consents.record(call.signed, file.inbox.id, file.case.id, values)
    except InvalidFormError as invalid:
        return await _page(call, file, values=values, faults=invalid.faults, status=invalid.status)
    return call.web.redirect(f"/arenden/{file.case.id}?klart=samtycke")


async def show_no(call: Call) -> web.Response:
    return await _page(call, await _file(call), refused=True)


async def record_no(call: Call) -> web.Response:
    """A no: what it speaks of is withdrawn at once, and nothing that was asked for a yes is needed."""
    file = await _file(call)
    day = today(call)
    values = {
        **_sent(call, file, REFUSAL),
        "purpose": list(call.gateway.forms.get("consent", 1).fields["purpose"].codes),
        "valid_from": day.isoformat(),
        "valid_to": (day + HOW_LONG).isoformat(),
        "manner": "ORAL",
    }
    try:
        await call.gateway.consents.record(call.signed, file.inbox.id, file.case.id, values, refused=True)
    except InvalidFormError as invalid:
        return await _page(call, file, refused=True, values=values, faults=invalid.faults, status=invalid.status)
    return call.web.redirect(f"/arenden/{file.case.id}?klart=nej")


async def show_withdrawal(call: Call) -> web.Response:
    file = await _file(call)
    found = await call.gateway.consents.list(call.signed, file.inbox.id, file.case.id)
    lines = [line for line in consent_lines(call, found, file) if line.consent.id == call.part("consent")]
    if not lines:
        raise NotFoundError("no such consent", swedish="Samtycket finns inte, eller är inte ert.")
    return await call.web.page(
        call,
        "consent/withdraw.html",
        title=call.tr("Personen återkallar samtycket"),
        back=Link(f"/arenden/{file.case.id}", call.tr("Tillbaka till ärendet")),
        file=file,
        line=lines[0],
    )


async def withdraw(call: Call) -> web.Response:
    file = await _file(call)
    await call.gateway.consents.withdraw(call.signed, file.inbox.id, ConsentId(call.part("consent")))
    return call.web.redirect(f"/arenden/{file.case.id}?klart=aterkallat")


# --- details ---------------------------------------------------------------------------------------------------------


async def _file(call: Call) -> CaseFile:
    return await call.gateway.casework.file(call.signed, CaseId(call.part("case")))


async def _page(
    call: Call,
    file: CaseFile,
    *,
    refused: bool = False,
    values: Mapping[str, Any] | None = None,
    faults: Sequence[FieldError] = (),
    status: int = 200,
) -> web.Response:
    form, day = call.gateway.forms.get("consent", 1), today(call)
    answers: Mapping[str, Any] = (
        values
        if values is not None
        else {
            "given_by": "INDIVIDUAL",
            "purpose": ["PLACEMENT_MATCHING"],
            "valid_from": day.isoformat(),
            "valid_to": (day + HOW_LONG).isoformat(),
            **({"data_categories": list(form.fields["data_categories"].codes)} if refused else {}),
        }
    )
    asked: dict[str, list[Question]] = {
        part: [question(form, form.fields[name], answers.get(name), _one_page(form)) for name in names]
        for part, names in (REFUSAL if refused else PARTS)
    }
    if refused:
        asked = {part: [_of_a_no(one) for one in found] for part, found in asked.items()}
    board, others = _units(file)
    chosen = call.form.getall("enhet", []) if values is not None else [unit.id for unit in board]
    return await call.web.page(
        call,
        "consent/no.html" if refused else "consent/yes.html",
        title=call.tr("Personen säger nej") if refused else call.tr("Anteckna samtycke"),
        status=status,
        faults=[_placed(fault) for fault in faults],
        back=Link(f"/arenden/{file.case.id}", call.tr("Tillbaka till ärendet")),
        file=file,
        asked=asked,
        board=board,
        others=others,
        chosen=chosen,
        direction=call.field("riktning") or BOTH,
        own=file.directory.units[file.inbox.unit],
        may=AccessAction.RECORD_CONSENT in file.may,
        id_kinds=(),
        assurances=(),
    )


def _of_a_no(asked: Question) -> Question:
    """A question of the consent form as it is put about a no; it stands alone here, so it depends on nothing."""
    label, hint = NO_WORDS[asked.id]
    return dataclasses.replace(asked, label=label, hint=hint, when=None, depends="")


def _one_page(form: Form) -> Section:
    """All questions stand on one page, so each may depend on each."""
    return Section("consent", "", tuple(form.fields))


def _placed(fault: FieldError) -> FieldError:
    """The pairs are asked for as units, so what is wrong with them is told there."""
    return FieldError("/enhet", fault.kind, fault.swedish) if fault.pointer.startswith("/parties") else fault


def _units(file: CaseFile) -> tuple[list[Unit], list[Unit]]:
    """The units of the board, and the others that a consent may name; never one's own."""
    directory = file.directory
    seats = {directory.inboxes[seat].unit for board in directory.boards.values() for seat in board.seats}
    kinds = {InboxKind.CASEWORK, InboxKind.INTAKE, InboxKind.UNIT}
    named = {inbox.unit for inbox in directory.inboxes.values() if inbox.kind in kinds} - seats
    own = file.inbox.unit
    board = [directory.units[name] for name in sorted(seats) if name != own]
    return board, [directory.units[name] for name in sorted(named) if name != own]


def _sent(call: Call, file: CaseFile, parts: Sequence[tuple[str, Sequence[str]]]) -> dict[str, Any]:
    form = call.gateway.forms.get("consent", 1)
    fields = [form.fields[name] for _, names in parts for name in names]
    values = read(fields, call.form, today=today(call))
    known = set(file.directory.units)
    chosen = [name for name in call.form.getall("enhet", []) if name in known and name != file.inbox.unit]
    own = str(file.inbox.unit)
    pairs = [(own, name) for name in chosen]
    if call.field("riktning") != OUT:
        everyone = [own, *chosen]
        pairs = [(sender, recipient) for sender in everyone for recipient in everyone if sender != recipient]
    if chosen:
        values["parties"] = [{"from": sender, "to": recipient} for sender, recipient in pairs]
    return values


AT: Final = "/arenden/{case}/samtycke"
ROUTES: Final = (
    page(AT, show_yes, N_("Anteckna samtycke"), help_="samtycke"),
    act(AT, record_yes, N_("Anteckna samtycke"), "consent_recorded", help_="samtycke"),
    page(AT + "/nej", show_no, N_("Personen säger nej"), help_="samtycke"),
    act(AT + "/nej", record_no, N_("Personen säger nej"), "consent_refused", help_="samtycke"),
    page(AT + "/{consent}/aterkalla", show_withdrawal, N_("Personen återkallar samtycket"), help_="samtycke"),
    act(
        AT + "/{consent}/aterkalla",
        withdraw,
        N_("Personen återkallar samtycket"),
        "consent_withdrawn",
        help_="samtycke",
    ),
)
