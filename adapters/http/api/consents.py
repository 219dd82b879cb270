"""Consents over the API: record, withdraw, list."""

from __future__ import annotations

from typing import Any, Final

from adapters.http.api.rows import call_row
from adapters.http.api.shapes import Done, InInbox
from adapters.http.routes import Call, Model
from gateway.model.base import CaseId, ConsentId, InboxId


class NewConsent(Model):
    inbox: str
    case: str
    values: dict[str, Any]
    refused: bool = False


class ConsentLine(Model):
    id: str
    case: str
    state: str
    valid_from: int
    valid_to: int
    purposes: list[str]
    categories: list[str]
    exchanges: list[list[str]]


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
                categories=[str(category) for category in terms.categories],
                exchanges=[[pair.sender, pair.recipient] for pair in terms.exchanges],
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
        audit="consent_recorded",
        takes=NewConsent,
        gives=Done,
        status=201,
    ),
    call_row(
        "POST",
        "/consents/{consent}/withdraw",
        withdraw_consent,
        "Återkalla ett samtycke",
        audit="consent_withdrawn",
        takes=InInbox,
        gives=Done,
    ),
    call_row(
        "GET",
        "/inboxes/{inbox}/cases/{case}/consents",
        list_consents,
        "Samtycken i ett ärende",
        audit="none: administrative facts of the own case",
        gives=ConsentList,
    ),
)
