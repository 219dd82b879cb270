"""Cases over the API: open, list, find, whose turn it is, and one case with its messages, deliveries and receipts."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from adapters.http.api.rows import call_row
from adapters.http.api.shapes import At, FormName, Id, InboxName, InInbox, MaybeId, Next, cursor, cursor_text
from adapters.http.parameters import AFTER, limit, text
from adapters.http.routes import Call, Model, Tag
from gateway.casefile import Turn
from gateway.decide import AccessAction
from gateway.errors import InvalidFormError, TooManyAttemptsError
from gateway.model.base import CaseId, InboxId
from gateway.model.path import ReceiptKind
from gateway.personid import IdKind
from gateway.search import MAX_PURPOSE
from gateway.states import AnswerState, CaseState, DeliveryState


class CaseLine(Model):
    id: Id
    reference: Annotated[str, Field(examples=["AL-26-00042"], description="Ärendets namn; säger inget om någon.")]
    owner: InboxName
    state: CaseState
    matched_units: tuple[str, ...]
    opened_at: At
    changed_at: At


class CasePage(Model):
    cases: list[CaseLine]
    next: Next


class MessageLine(Model):
    id: Id
    form_type: FormName
    sender: InboxName
    in_reply_to: MaybeId
    created_at: At


class DeliveryLine(Model):
    message: Id
    envelope: Id
    inbox: InboxName
    state: DeliveryState
    delivered_at: At | None


class ReceiptLine(Model):
    envelope: Id
    kind: ReceiptKind
    at: At
    signed: Annotated[str, Field(description="Det signerade kvittot, hexadecimalt.")]


class AnswerLine(Model):
    proposal: Id
    request: Id
    proposer: InboxName
    confirmer: InboxName
    state: AnswerState
    answer: MaybeId


class CaseBody(Model):
    case: CaseLine
    parties: list[InboxName]
    messages: list[MessageLine]
    deliveries: list[DeliveryLine]
    receipts: list[ReceiptLine]
    answers: list[AnswerLine]


class TurnBody(Model):
    """Who acts next. `unit` is the name of the unit that was proposed first."""

    case: Id
    inbox: InboxName
    turn: Turn
    ours: bool
    due_at: At | None
    unit: str
    may: list[AccessAction]


class IdentityNumber(Model):
    kind: IdKind
    value: Annotated[str, Field(max_length=64, description="Står aldrig i en adress eller i loggen.")]


class IdentitySearch(Model):
    """A search by whom a case concerns; `purpose` is logged."""

    identity_number: IdentityNumber
    purpose: Annotated[str, Field(max_length=MAX_PURPOSE)]


class CasesFound(Model):
    cases: list[CaseLine]


async def open_case(call: Call) -> CaseLine:
    body: InInbox = call.body
    return CaseLine.of(await call.gateway.cases.open(call.signed, InboxId(body.inbox)))


async def list_cases(call: Call) -> CasePage:
    most, inbox = call.number("limit"), InboxId(call.part("inbox"))
    if reference := call.text("reference"):
        named = await call.gateway.search.reference(call.signed, inbox, reference)
        return CasePage(cases=[CaseLine.of(case) for case in named], next="")
    found = await call.gateway.cases.list(call.signed, inbox, after=cursor(call), limit=most)
    last = found[-1] if len(found) == most else None
    return CasePage(
        cases=[CaseLine.of(case) for case in found], next=cursor_text(last.opened_at, last.id) if last else ""
    )


async def view_case(call: Call) -> CaseBody:
    view = await call.gateway.cases.view(call.signed, InboxId(call.part("inbox")), CaseId(call.part("case")))
    return CaseBody(
        case=CaseLine.of(view.case),
        parties=[party.inbox for party in view.parties],
        messages=[
            MessageLine(
                id=row.id,
                form_type=row.form_type,
                sender=row.sender,
                in_reply_to=row.in_reply_to or "",
                created_at=row.created_at,
            )
            for row in view.messages
        ],
        deliveries=[DeliveryLine.of(row) for row in view.deliveries],
        receipts=[
            ReceiptLine(envelope=row.envelope, kind=row.kind, at=row.at, signed=row.octets.hex())
            for row in view.receipts
        ],
        answers=[
            AnswerLine(
                proposal=row.proposal,
                request=row.request,
                proposer=row.proposer,
                confirmer=row.confirmer,
                state=row.state,
                answer=row.answer or "",
            )
            for row in view.answers
        ],
    )


async def whose_turn(call: Call) -> TurnBody:
    file = await call.gateway.casework.file(call.signed, CaseId(call.part("case")))
    return TurnBody(
        case=file.case.id,
        inbox=file.inbox.id,
        turn=file.progress.turn,
        ours=file.progress.turn.ours,
        due_at=file.progress.due_at,
        unit=file.progress.unit,
        may=sorted(file.may),
    )


async def search_cases(call: Call) -> CasesFound:
    body: IdentitySearch = call.body
    asked = {"kind": str(body.identity_number.kind), "value": body.identity_number.value}
    found = await call.gateway.search.identity(call.signed, InboxId(call.part("inbox")), asked, body.purpose)
    return CasesFound(cases=[CaseLine.of(case) for case in found])


ROUTES: Final = (
    call_row(
        "POST",
        "/cases",
        open_case,
        "Öppna ett ärende",
        tag=Tag.CASES,
        audit="case_opened",
        takes=InInbox,
        gives=CaseLine,
        status=201,
        location="/inboxes/{owner}/cases/{id}",
    ),
    call_row(
        "GET",
        "/inboxes/{inbox}/cases",
        list_cases,
        "Ärenden i en inkorg, eller det som heter så",
        tag=Tag.CASES,
        audit="none: references hold no identity",
        gives=CasePage,
        query=(AFTER, limit(), text("reference", "Ärendets namn: bara det ärendet.", most=60)),
    ),
    call_row(
        "GET",
        "/inboxes/{inbox}/cases/{case}",
        view_case,
        "Ett ärende: läge, leveranser och kvitton",
        tag=Tag.CASES,
        audit="none: no content, only states and receipts",
        gives=CaseBody,
    ),
    call_row(
        "GET",
        "/cases/{case}/turn",
        whose_turn,
        "Vems tur det är i ett ärende, och vad jag får göra",
        tag=Tag.CASES,
        audit="none: no content, only states",
        gives=TurnBody,
    ),
    call_row(
        "POST",
        "/inboxes/{inbox}/searches",
        search_cases,
        "Sök ärenden på personnummer, med ett skäl",
        tag=Tag.CASES,
        audit="searched",
        takes=IdentitySearch,
        gives=CasesFound,
        fails=(InvalidFormError, TooManyAttemptsError),
    ),
)
