"""My cases, and one case: whose turn it is, the next step as one button, what was sent and how far it has come.

Why this exists: a case worker opens this between two meetings. The list says what waits for whom; the case says the one
thing to do next, shows loudly what did not arrive, and offers no button that the reader's role cannot use.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote, urlencode

from aiohttp import web

from adapters.http.api.shapes import cursor_of
from adapters.http.routes import Call
from adapters.http.web.consent_words import consent_lines
from adapters.http.web.deskroutes import act, following, page, to_code, turn_words
from adapters.http.web.nav import Link, NavItem
from adapters.http.web.words import N_
from gateway.casefile import CaseFile, Entry, Leg, Why
from gateway.decide import AccessAction
from gateway.errors import NotFoundError, StepUpRequiredError
from gateway.forms.names import ANSWER
from gateway.model.base import CaseId, InboxId
from gateway.model.directory import Inbox, InboxKind
from gateway.neighbours import ENDED_IN_SWEDISH, IN_SWEDISH
from gateway.states import CaseState, ConsentState, DeliveryState
from gateway.threads import newest_first

#: What ended a delivery, and what to do about it.
WHYS: Final = {
    Why.UNDONE: (N_("Ni ångrade utskicket innan det levererades."), N_("Utkastet kom tillbaka till ärendet.")),
    Why.CONSENT: (
        N_("Samtycket återkallades eller gick ut innan det levererades, så leveransen stoppades."),
        N_("Tala med personen. Vill personen fortsätta: anteckna ett nytt samtycke och skicka igen."),
    ),
    Why.EXPIRED: (N_("Tiden gick ut innan det kunde levereras."), N_("Skicka igen. Är det bråttom: ring mottagaren.")),
    Why.REJECTED: (
        N_("Mottagarens system kunde inte kontrollera det och tog inte emot det."),
        N_("Skicka igen. Går det inte då heller: kontakta den som sköter Sambud. Är det bråttom: ring mottagaren."),
    ),
}
DEAD: Final = frozenset({DeliveryState.CANCELLED, DeliveryState.FAILED, DeliveryState.EXPIRED})
LOUD: Final = frozenset({Why.CONSENT, Why.EXPIRED, Why.REJECTED})


async def my_cases(call: Call) -> web.Response:
    boxes = [box for box in await call.gateway.inboxes.mine(call.signed) if box.kind is InboxKind.CASEWORK]
    if not boxes:
        return await call.web.page(call, "case/none.html", title=call.tr("Mina ärenden"))
    inbox = _chosen(boxes, call.request.query.get("inkorg", ""))
    named = call.request.query.get("lage", "")
    state = CaseState(named) if named in set(CaseState) else None
    found = await call.gateway.casework.list(call.signed, inbox.id, state=state, after=cursor_of(call.request))
    more = following(found.next)
    return await call.web.page(
        call,
        "case/list.html",
        title=call.tr("Mina ärenden"),
        inbox=inbox,
        inboxes=boxes,
        found=found,
        lines=[(line, turn_words(call, line.progress), line.progress.turn.ours) for line in found.lines],
        state=state,
        filters=[(each, found.counts[each], _list_url(inbox, each)) for each in CaseState],
        all_url=_list_url(inbox, None),
        more=_list_url(inbox, state, more) if more else "",
        may_open=AccessAction.OPEN_CASE in found.may,
    )


async def open_case(call: Call) -> web.Response:
    case = await call.gateway.cases.open(call.signed, InboxId(call.field("inkorg")))
    return call.web.redirect(f"/arenden/{case.id}")


async def show_case(call: Call) -> web.Response:
    file = await call.gateway.casework.file(call.signed, CaseId(call.part("case")))
    consents = []
    if AccessAction.READ_CONSENT in file.may:
        consents = consent_lines(call, await call.gateway.consents.list(call.signed, file.inbox.id, file.case.id), file)
    now = call.gateway.ports.clock.now()
    current = [line for line in consents if line.consent.state is ConsentState.GIVEN and line.consent.valid_to > now]
    return await call.web.page(
        call,
        "case/case.html",
        title=call.tr("Ärende %(reference)s", reference=file.case.reference),
        back=Link("/arenden", call.tr("Mina ärenden")),
        file=file,
        turn=file.progress.turn,
        turn_words=turn_words(call, file.progress),
        consents=consents,
        consented=bool(current),
        entries=[_entry(call, file, entry) for entry in _threads(file)],
        unread=[entry for entry in file.entries if not entry.mine and not entry.read],
        undelivered=_undelivered(call, file),
        answer=next((entry for entry in file.entries if entry.message.form_type == ANSWER), None),
        referral_draft=next((row for row in file.drafts if row.form_type == "placement_referral"), None),
        units_after=_units_after(file),
        may=_may(file),
        done=call.request.query.get("klart", ""),
    )


async def start_referral(call: Call) -> web.Response:
    case = CaseId(call.part("case"))
    try:
        draft = await call.gateway.casework.refer(call.signed, case)
    except StepUpRequiredError:
        file = await call.gateway.casework.file(call.signed, case)
        return to_code(call, file.inbox.id, f"/arenden/{case}/steg2")
    file = await call.gateway.casework.file(call.signed, case)
    if file.case.state is CaseState.MATCHED:  # the words are there already: look at what goes, change what should
        return call.web.redirect(f"/utkast/{draft.id}/mottagare")
    first = call.gateway.forms.get(draft.form_type, draft.form_version).sections[0]
    return call.web.redirect(f"/utkast/{draft.id}/{first.id}")


async def show_stage_2(call: Call) -> web.Response:
    """Says what is about to happen; also where one comes back to after the code, for a completion too."""
    file = await call.gateway.casework.file(call.signed, CaseId(call.part("case")))
    unit = file.progress.unit
    matched = file.case.state is CaseState.MATCHED
    title = call.tr("Skicka steg 2 till %(unit)s", unit=unit) if matched else call.tr("Fortsätt på uppdraget")
    return await call.web.page(
        call,
        "case/stage2.html",
        title=title,
        back=Link(f"/arenden/{file.case.id}", call.tr("Tillbaka till ärendet")),
        file=file,
        unit=unit,
        matched=matched,
        may=_may(file),
    )


async def show_message(call: Call) -> web.Response:
    file = await call.gateway.casework.file(call.signed, CaseId(call.part("case")))
    return await call.web.page(
        call,
        "case/message.html",
        title=call.tr("Skriv ett meddelande i ärendet"),
        back=Link(f"/arenden/{file.case.id}", call.tr("Tillbaka till ärendet")),
        file=file,
        reply_to=call.request.query.get("svar", ""),
        may=_may(file),
    )


async def start_message(call: Call) -> web.Response:
    draft = await call.gateway.casework.write(call.signed, CaseId(call.part("case")))
    reply = call.field("svar")
    query = f"?{urlencode({'svar': reply})}" if reply else ""
    return call.web.redirect(f"/utkast/{draft.id}/message{query}")


# --- details ---------------------------------------------------------------------------------------------------------


def _chosen(boxes: list[Inbox], wanted: str) -> Inbox:
    if not wanted:
        return boxes[0]
    for box in boxes:
        if box.id == wanted:
            return box
    raise NotFoundError("no such inbox", swedish="Inkorgen finns inte, eller är inte din.")


def _list_url(inbox: Inbox, state: CaseState | None, after: str = "") -> str:
    parts = {"inkorg": str(inbox.id), "lage": str(state) if state else "", "after": after}
    return "/arenden?" + urlencode({name: value for name, value in parts.items() if value})


def _may(file: CaseFile) -> dict[str, bool]:
    """What the page may offer."""
    return {
        "send": AccessAction.SEND in file.may,
        "write": AccessAction.WRITE_DRAFT in file.may,
        "consent": AccessAction.RECORD_CONSENT in file.may,
        "read": AccessAction.READ in file.may,
        "recall": AccessAction.RECALL in file.may,
    }


def _units_after(file: CaseFile) -> str:
    units = file.directory.units
    return ", ".join(units[name].name for name in file.case.matched_units[1:] if name in units)


def _threads(file: CaseFile) -> list[Entry]:
    """The messages with each answer right above what it answers; the thread that moved last first."""
    return newest_first(
        file.entries,
        name=lambda entry: entry.message.id,
        answers=lambda entry: entry.message.in_reply_to,
        at=lambda entry: entry.message.created_at,
    )


def _entry(call: Call, file: CaseFile, entry: Entry) -> dict[str, Any]:
    """A message of the timeline, with the steps of each recipient in words."""
    now = call.gateway.ports.clock.now()
    return {
        "entry": entry,
        "answers": next((one for one in file.entries if one.message.id == entry.message.in_reply_to), None),
        "undo": bool(entry.undo_until and entry.undo_until > now),
        "legs": [leg_words(call, leg) for leg in entry.legs],
        "recallable": entry.mine and entry.arrived and not any(leg.recall for leg in entry.legs),
        "read_url": f"/arenden/{file.case.id}/las/{quote(entry.envelope)}" if entry.envelope else "",
    }


def _undelivered(call: Call, file: CaseFile) -> list[tuple[str, str, str, str, bool]]:
    """What the newest message of each form to each recipient did not reach: whom, what happened, what to do, which
    message, and whether a person may try it again. Told until something newer has gone to the same recipient."""
    seen: set[tuple[str, InboxId]] = set()
    found: dict[tuple[str, str, str, bool], list[str]] = {}
    for entry in file.entries:
        for leg in entry.legs if entry.mine else ():
            key = (entry.message.form_type, leg.inbox.id)
            if key not in seen and leg.why in LOUD and not _gone_on(entry, leg):
                _, _, what, do = leg_words(call, leg)
                found.setdefault((what, do, entry.message.id, leg.again), []).append(leg.inbox.name)
            seen.add(key)
    return [(", ".join(names), *told) for told, names in found.items()]


def _gone_on(entry: Entry, leg: Leg) -> bool:
    """Whether another delivery of the same envelope is on its way or has arrived."""
    return any(one.delivery.envelope == leg.delivery.envelope and one.delivery.state not in DEAD for one in entry.legs)


def leg_words(call: Call, leg: Leg) -> tuple[Leg, bool, str, str]:
    """A delivery, whether it has ended without arriving, what happened and what to do: the neighbour's own word first.

    Consent and undo are ours to tell, whatever the neighbour said before.
    """
    dead = leg.delivery.state in DEAD
    if leg.reason is not None and leg.delivery.delivered_at is None and leg.why not in (Why.CONSENT, Why.UNDONE):
        what, do = (ENDED_IN_SWEDISH if dead else IN_SWEDISH)[leg.reason]
        return leg, dead, call.tr(what), call.tr(do)
    what, do = WHYS[leg.why] if leg.why else ("", "")
    return leg, dead, call.tr(what) if what else "", call.tr(do) if do else ""


ROUTES: Final = (
    page("/arenden", my_cases, N_("Mina ärenden")),
    act("/arenden", open_case, N_("Öppna nytt ärende"), "case_opened"),
    page("/arenden/{case}", show_case, N_("Ärende")),
    act("/arenden/{case}/uppdrag", start_referral, N_("Skriv uppdraget"), "draft_opened"),
    page("/arenden/{case}/steg2", show_stage_2, N_("Skicka steg 2"), help_="skicka"),
    page("/arenden/{case}/meddelande", show_message, N_("Skriv ett meddelande i ärendet"), help_="skicka"),
    act("/arenden/{case}/meddelande", start_message, N_("Skriv ett meddelande i ärendet"), "draft_opened"),
)
NAV: Final = (NavItem(path="/arenden", label=N_("Mina ärenden"), kinds=frozenset({InboxKind.CASEWORK}), order=10),)
