"""Consents over the API: record, withdraw, list."""

from __future__ import annotations

from typing import Final

from adapters.http.api.rows import call_row
from adapters.http.api.shapes import At, Done, FormValues, Id, InboxName, InInbox
from adapters.http.routes import Call, Model, Tag
from gateway.errors import IllegalTransitionError, InvalidFormError
from gateway.model.base import CaseId, ConsentId, InboxId
from gateway.model.classes import Category
from gateway.states import ConsentState


class NewConsent(Model):
    """`values` are the answers of the form `consent`; `refused` notes that it was asked for and not given."""

    inbox: InboxName
    case: Id
    values: FormValues
    refused: bool = False


class Pair(Model):
    sender: str
    recipient: str


class ConsentLine(Model):
    id: Id
    case: Id
    state: ConsentState
    valid_from: At
    valid_to: At
    purposes: list[str]
    categories: list[Category]
    exchanges: list[Pair]


class ConsentList(Model):
    consents: list[ConsentLine]


async def record_consent(call: Call) -> Done:
    body: NewConsent = call.body
    consent = await call.gateway.consents.record(
        call.signed, InboxId(body.inbox), CaseId(body.case), body.values, refused=body.refused
    )
    return Done(id=consent.id)


async def withdraw_consent(call: Call) -> Done:
    body: InInbox = call.body
    consent = await call.gateway.consents.withdraw(call.signed, InboxId(body.inbox), ConsentId(call.part("consent")))
    return Done(id=consent.id)


async def list_consents(call: Call) -> ConsentList:
    found = await call.gateway.consents.list(call.signed, InboxId(call.part("inbox")), CaseId(call.part("case")))
    return ConsentList(
        consents=[
            ConsentLine(
                id=consent.id,
                case=consent.case,
                state=consent.state,
                valid_from=consent.valid_from,
                valid_to=consent.valid_to,
                purposes=[str(purpose) for purpose in terms.purposes],
                categories=sorted(terms.categories),
                exchanges=[Pair(sender=pair.sender, recipient=pair.recipient) for pair in terms.exchanges],
            )
            for consent, terms in found
        ]
    )


ROUTES: Final = (
    call_row(
        "POST",
        "/consents",
        record_consent,
        "Anteckna ett samtycke, eller att det vägrades",
        tag=Tag.DECIDE,
        audit="consent_recorded or consent_refused",
        takes=NewConsent,
        gives=Done,
        status=201,
        fails=(InvalidFormError,),
    ),
    call_row(
        "POST",
        "/consents/{consent}/withdraw",
        withdraw_consent,
        "Återkalla ett samtycke",
        tag=Tag.DECIDE,
        audit="consent_withdrawn",
        takes=InInbox,
        gives=Done,
        fails=(IllegalTransitionError,),
    ),
    call_row(
        "GET",
        "/inboxes/{inbox}/cases/{case}/consents",
        list_consents,
        "Samtycken i ett ärende",
        tag=Tag.DECIDE,
        audit="none: administrative facts of the own case",
        gives=ConsentList,
    ),
)
