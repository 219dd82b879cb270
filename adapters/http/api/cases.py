"""Cases over the API: open, list, and one case with its messages, deliveries and receipts."""

from __future__ import annotations

from typing import Final

from adapters.http.api.rows import call_row
from adapters.http.api.shapes import InInbox, cursor_of, cursor_text, limit_of
from adapters.http.routes import Call, Model
from gateway.model.base import CaseId, InboxId
from gateway.model.path import Case


class CaseLine(Model):
    id: str
    reference: str
    owner: str
    state: str
    matched_units: list[str]
    opened_at: int
    changed_at: int


class CasePage(Model):
    cases: list[CaseLine]
    next: str


class MessageLine(Model):
    id: str
    form_type: str
    sender: str
    in_reply_to: str
    created_at: int


class DeliveryLine(Model):
    message: str
    envelope: str
    inbox: str
    state: str
    delivered_at: int | None


class ReceiptLine(Model):
    envelope: str
    kind: str
    at: int
    signed: str


class AnswerLine(Model):
    proposal: str
    request: str
    proposer: str
    confirmer: str
    state: str
    answer: str


class CaseBody(Model):
    case: CaseLine
    parties: list[str]
    messages: list[MessageLine]
    deliveries: list[DeliveryLine]
    receipts: list[ReceiptLine]
    answers: list[AnswerLine]


def case_line(case: Case) -> CaseLine:
    return CaseLine(
        id=case.id,
        reference=case.reference,
        owner=case.owner,
        state=case.state,
        matched_units=list(case.matched_units),
        opened_at=case.opened_at,
        changed_at=case.changed_at,
    )


async def open_case(call: Call) -> CaseLine:
    body: InInbox = call.body
    return case_line(await call.gateway.cases.open(call.signed, InboxId(body.inbox)))


async def list_cases(call: Call) -> CasePage:
    limit = limit_of(call.request)
    inbox = InboxId(call.part("inbox"))
    found = await call.gateway.cases.list(call.signed, inbox, after=cursor_of(call.request), limit=limit)
    last = found[-1] if len(found) == limit else None
    return CasePage(
        cases=[case_line(case) for case in found], next=cursor_text(last.opened_at, last.id) if last else ""
    )


async def view_case(call: Call) -> CaseBody:
    view = await call.gateway.cases.view(call.signed, InboxId(call.part("inbox")), CaseId(call.part("case")))
    return CaseBody(
        case=case_line(view.case),
        parties=[party.inbox for party in view.parties],
        messages=[
            MessageLine(
                id=message.id,
                form_type=message.form_type,
                sender=message.sender,
                in_reply_to=message.in_reply_to or "",
                created_at=message.created_at,
            )
            for message in view.messages
        ],
        deliveries=[
            DeliveryLine(
                message=row.message,
                envelope=row.envelope,
                inbox=row.inbox,
                state=row.state,
                delivered_at=row.delivered_at,
            )
            for row in view.deliveries
        ],
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


ROUTES: Final = (
    call_row(
        "POST", "/cases", open_case, "Öppna ett ärende", audit="case_opened", takes=InInbox, gives=CaseLine, status=201
    ),
    call_row(
        "GET",
        "/inboxes/{inbox}/cases",
        list_cases,
        "Ärenden i en inkorg",
        audit="none: references hold no identity",
        gives=CasePage,
    ),
    call_row(
        "GET",
        "/inboxes/{inbox}/cases/{case}",
        view_case,
        "Ett ärende: läge, leveranser och kvitton",
        audit="none: no content, only states and receipts",
        gives=CaseBody,
    ),
)
