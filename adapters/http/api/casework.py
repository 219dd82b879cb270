"""Cases, consents, drafts, attachments and forms over the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from aiohttp import BodyPartReader

from adapters.http.api.shapes import Done, cursor_of, cursor_text, limit_of
from adapters.http.routes import Access, Call, Csrf, Model, Rate, Route, Scope
from gateway.attachments import category_of
from gateway.errors import InvalidRequestError
from gateway.model.base import CaseId, ConsentId, DraftId, InboxId
from gateway.model.path import Case, Draft

PIECE = 64 * 1024


class InInbox(Model):
    """An act done from an inbox."""

    inbox: str


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


class NewDraft(Model):
    inbox: str
    case: str
    form_type: str
    form_version: int
    values: dict[str, Any]


class SavedDraft(Model):
    version: int
    values: dict[str, Any]


class DraftLine(Model):
    id: str
    version: int
    inbox: str
    case: str
    form_type: str
    form_version: int
    changed_at: int


class DraftBody(Model):
    draft: DraftLine
    values: dict[str, Any]


class DraftPage(Model):
    drafts: list[DraftLine]
    next: str


class Recipients(Model):
    recipients: list[str]


class PreviewLine(Model):
    inbox: str
    stage: str
    denied: bool
    sent: list[str]
    held_back: list[str]
    warnings: list[str]
    reason: str
    next_step: str
    rules: list[str]


class PreviewBody(Model):
    recipients: list[PreviewLine]


class FormLine(Model):
    id: str
    version: int
    title: str
    digest: str


class FormList(Model):
    forms: list[FormLine]


class FormBody(Model):
    form: FormLine
    statement: str
    sections: list[dict[str, Any]]
    json_schema: dict[str, Any]


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


def draft_line(draft: Draft) -> DraftLine:
    return DraftLine(
        id=draft.id,
        version=draft.version,
        inbox=draft.inbox,
        case=draft.case,
        form_type=draft.form_type,
        form_version=draft.form_version,
        changed_at=draft.changed_at,
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


async def create_draft(call: Call) -> DraftLine:
    body: NewDraft = call.body
    draft = await call.gateway.drafts.create(
        call.signed, InboxId(body.inbox), CaseId(body.case), body.form_type, body.form_version, body.values
    )
    return draft_line(draft)


async def save_draft(call: Call) -> DraftLine:
    body: SavedDraft = call.body
    draft = await call.gateway.drafts.save(call.signed, DraftId(call.part("draft")), body.version, body.values)
    return draft_line(draft)


async def open_draft(call: Call) -> DraftBody:
    opened = await call.gateway.drafts.open(call.signed, DraftId(call.part("draft")))
    return DraftBody(draft=draft_line(opened.draft), values=dict(opened.values))


async def discard_draft(call: Call) -> None:
    await call.gateway.drafts.discard(call.signed, DraftId(call.part("draft")))


async def list_drafts(call: Call) -> DraftPage:
    limit = limit_of(call.request)
    inbox = InboxId(call.part("inbox"))
    found = await call.gateway.drafts.list(call.signed, inbox, after=cursor_of(call.request), limit=limit)
    last = found[-1] if len(found) == limit else None
    return DraftPage(
        drafts=[draft_line(draft) for draft in found], next=cursor_text(last.created_at, last.id) if last else ""
    )


async def preview(call: Call) -> PreviewBody:
    body: Recipients = call.body
    seen = await call.gateway.sending.preview(call.signed, DraftId(call.part("draft")), body.recipients)
    return PreviewBody(
        recipients=[
            PreviewLine(
                inbox=decided.inbox,
                stage=decided.stage,
                denied=decided.denied,
                sent=list(seen.fields[decided.inbox]),
                held_back=list(seen.held_back[decided.inbox]),
                warnings=list(decided.warnings),
                reason=decided.reason,
                next_step=decided.next_step,
                rules=list(decided.rules),
            )
            for decided in seen.decision.recipients
        ]
    )


async def upload(call: Call) -> Done:
    """multipart/form-data with `category` (optional, first) and `file`; the file is never held in memory."""
    if not call.request.content_type.startswith("multipart/"):
        raise InvalidRequestError(
            "an attachment comes as multipart/form-data",
            swedish="Bilagan ska skickas som multipart/form-data.",
            next_step="Skicka fälten category och file.",
        )
    reader = await call.request.multipart()
    category = "SOCIAL"
    for _ in range(4):
        part = await reader.next()
        if part is None or not isinstance(part, BodyPartReader):
            break
        if part.name == "category":
            category = (await part.read(decode=False))[:64].decode("utf-8", "replace")
        elif part.name == "file":
            row = await call.gateway.attachments.add(
                call.signed,
                DraftId(call.part("draft")),
                part.filename or "",
                category_of(category),
                _pieces(part),
            )
            return Done(id=row.id)
    raise InvalidRequestError(
        "no part named file", swedish="Ingen fil följde med.", next_step="Skicka filen i fältet file."
    )


async def _pieces(part: BodyPartReader) -> AsyncIterator[bytes]:
    while piece := await part.read_chunk(PIECE):
        yield piece


async def list_forms(call: Call) -> FormList:
    return FormList(
        forms=[
            FormLine(id=form.id, version=form.version, title=form.title, digest=form.digest)
            for form in call.gateway.forms.all()
        ]
    )


async def read_form(call: Call) -> FormBody:
    version = call.part("version")
    form = call.gateway.forms.get(call.part("form"), int(version) if version.isdigit() and len(version) < 6 else 0)
    return FormBody(
        form=FormLine(id=form.id, version=form.version, title=form.title, digest=form.digest),
        statement=form.statement,
        sections=[
            {"id": section.id, "title": section.title, "fields": list(section.fields)} for section in form.sections
        ],
        json_schema=form.schema,
    )


ROUTES = (
    Route(
        method="POST",
        path="/api/v1/cases",
        handler=open_case,
        access=Access.SESSION,
        scope=Scope.INBOX,
        csrf=Csrf.BEARER,
        rate=Rate.WRITE,
        audit="case_opened",
        takes=InInbox,
        gives=CaseLine,
        status=201,
        summary="Öppna ett ärende",
    ),
    Route(
        method="GET",
        path="/api/v1/inboxes/{inbox}/cases",
        handler=list_cases,
        access=Access.SESSION,
        scope=Scope.INBOX,
        csrf=Csrf.SAFE,
        rate=Rate.READ,
        audit="none: references hold no identity",
        takes=None,
        gives=CasePage,
        summary="Ärenden i en inkorg",
    ),
    Route(
        method="GET",
        path="/api/v1/inboxes/{inbox}/cases/{case}",
        handler=view_case,
        access=Access.SESSION,
        scope=Scope.INBOX,
        csrf=Csrf.SAFE,
        rate=Rate.READ,
        audit="none: no content, only states and receipts",
        takes=None,
        gives=CaseBody,
        summary="Ett ärende: läge, leveranser och kvitton",
    ),
    Route(
        method="POST",
        path="/api/v1/consents",
        handler=record_consent,
        access=Access.SESSION,
        scope=Scope.INBOX,
        csrf=Csrf.BEARER,
        rate=Rate.WRITE,
        audit="consent_recorded",
        takes=NewConsent,
        gives=Done,
        status=201,
        summary="Anteckna ett samtycke, eller att det vägrades",
    ),
    Route(
        method="POST",
        path="/api/v1/consents/{consent}/withdraw",
        handler=withdraw_consent,
        access=Access.SESSION,
        scope=Scope.INBOX,
        csrf=Csrf.BEARER,
        rate=Rate.WRITE,
        audit="consent_withdrawn",
        takes=InInbox,
        gives=Done,
        summary="Återkalla ett samtycke",
    ),
    Route(
        method="GET",
        path="/api/v1/inboxes/{inbox}/cases/{case}/consents",
        handler=list_consents,
        access=Access.SESSION,
        scope=Scope.INBOX,
        csrf=Csrf.SAFE,
        rate=Rate.READ,
        audit="none: administrative facts of the own case",
        takes=None,
        gives=ConsentList,
        summary="Samtycken i ett ärende",
    ),
    Route(
        method="POST",
        path="/api/v1/drafts",
        handler=create_draft,
        access=Access.SESSION,
        scope=Scope.INBOX,
        csrf=Csrf.BEARER,
        rate=Rate.WRITE,
        audit="none: the writer's own words, sealed",
        takes=NewDraft,
        gives=DraftLine,
        status=201,
        summary="Börja ett utkast",
    ),
    Route(
        method="GET",
        path="/api/v1/drafts/{draft}",
        handler=open_draft,
        access=Access.SESSION,
        scope=Scope.INBOX,
        csrf=Csrf.SAFE,
        rate=Rate.READ,
        audit="draft_opened",
        takes=None,
        gives=DraftBody,
        summary="Läs ett utkast",
    ),
    Route(
        method="PUT",
        path="/api/v1/drafts/{draft}",
        handler=save_draft,
        access=Access.SESSION,
        scope=Scope.INBOX,
        csrf=Csrf.BEARER,
        rate=Rate.WRITE,
        audit="none: the writer's own words, sealed",
        takes=SavedDraft,
        gives=DraftLine,
        summary="Spara ett utkast",
    ),
    Route(
        method="DELETE",
        path="/api/v1/drafts/{draft}",
        handler=discard_draft,
        access=Access.SESSION,
        scope=Scope.INBOX,
        csrf=Csrf.BEARER,
        rate=Rate.WRITE,
        audit="none: never sent to anybody",
        takes=None,
        gives=None,
        status=204,
        summary="Kasta ett utkast",
    ),
    Route(
        method="GET",
        path="/api/v1/inboxes/{inbox}/drafts",
        handler=list_drafts,
        access=Access.SESSION,
        scope=Scope.INBOX,
        csrf=Csrf.SAFE,
        rate=Rate.READ,
        audit="none: lines hold no content",
        takes=None,
        gives=DraftPage,
        summary="Utkast i en inkorg",
    ),
    Route(
        method="POST",
        path="/api/v1/drafts/{draft}/preview",
        handler=preview,
        access=Access.SESSION,
        scope=Scope.INBOX,
        csrf=Csrf.BEARER,
        rate=Rate.WRITE,
        audit="none: nothing leaves the writer",
        takes=Recipients,
        gives=PreviewBody,
        summary="Se vad som skulle gå till vem",
    ),
    Route(
        method="POST",
        path="/api/v1/drafts/{draft}/attachments",
        handler=upload,
        access=Access.SESSION,
        scope=Scope.INBOX,
        csrf=Csrf.BEARER,
        rate=Rate.UPLOAD,
        audit="attachment_added",
        takes=None,
        gives=Done,
        status=201,
        summary="Bifoga en fil",
    ),
    Route(
        method="GET",
        path="/api/v1/forms",
        handler=list_forms,
        access=Access.SESSION,
        scope=Scope.OWN,
        csrf=Csrf.SAFE,
        rate=Rate.READ,
        audit="none: form definitions are public",
        takes=None,
        gives=FormList,
        summary="Blanketter",
    ),
    Route(
        method="GET",
        path="/api/v1/forms/{form}/{version}",
        handler=read_form,
        access=Access.SESSION,
        scope=Scope.OWN,
        csrf=Csrf.SAFE,
        rate=Rate.READ,
        audit="none: form definitions are public",
        takes=None,
        gives=FormBody,
        summary="En blankett som data",
    ),
)
