"""Drafts over the API: begin, save, read, and see what would go to whom before it is sent."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from pydantic import Field

from adapters.http.api.rows import call_row
from adapters.http.api.shapes import (
    Address,
    At,
    FormName,
    FormValues,
    FormVersion,
    Id,
    InboxName,
    Next,
    Version,
    cursor,
    cursor_text,
)
from adapters.http.parameters import AFTER, limit
from adapters.http.routes import Call, Model, Tag
from gateway.consents import STOCKHOLM
from gateway.errors import InvalidFormError, RecipientError, RefusedError, StepUpRequiredError, UnknownFormError
from gateway.model.base import SECOND, CaseId, DraftId, InboxId
from gateway.model.classes import Stage
from gateway.model.path import Channel
from gateway.preflight import Goes, Look

MOST_RECIPIENTS: Final = 64
To = Annotated[list[Address], Field(max_length=MOST_RECIPIENTS, examples=[["remissgrupp"]])]


class NewDraft(Model):
    inbox: InboxName
    case: Id
    form_type: FormName
    form_version: FormVersion
    values: FormValues


class SavedDraft(Model):
    """All answers; `version` is the one that was read."""

    version: Version
    values: FormValues


class DraftLine(Model):
    id: Id
    version: Version
    inbox: InboxName
    case: Id
    form_type: FormName
    form_version: FormVersion
    changed_at: At


class DraftBody(Model):
    draft: DraftLine
    values: FormValues


class DraftPage(Model):
    drafts: list[DraftLine]
    next: Next


class Recipients(Model):
    recipients: To


class AheadLine(Model):
    """What is known of a recipient outside before anything is sent; none of it stops a sending."""

    channel: Channel
    afterwards: tuple[Channel, ...]
    connected: bool
    away: bool
    exists: bool | None = Field(description="Tom när ingen kan säga det.")
    as_of: At = Field(description="När det stod i adressboken (in_book) eller mottagarens system svarade.")
    in_book: bool
    reached_on: str = Field(description="Dagen då något senast kom fram dit; tom när inget har gjort det.")
    max_octets: int = Field(ge=0, description="I allt, som filerna blir på vägen; 0 när ingen gräns är känd.")
    too_large: bool
    not_promised: tuple[str, ...] = Field(description="Filer av ett slag som mottagaren inte har lovat att ta emot.")

    @classmethod
    def from_look(cls, look: Look) -> AheadLine:
        reached = datetime.fromtimestamp(look.reached_at / SECOND, STOCKHOLM).date() if look.reached_at else ""
        return cls(
            channel=look.channel,
            afterwards=look.afterwards,
            connected=look.connected,
            away=look.away,
            exists=look.exists,
            as_of=look.as_of,
            in_book=look.in_book,
            reached_on=str(reached),
            max_octets=look.max_octets,
            too_large=look.too_large,
            not_promised=look.not_promised,
        )


class PreviewLine(Model):
    """What one inbox would get: names of fields sent and held back; with `denied` nothing, and why."""

    inbox: InboxName
    stage: Stage
    denied: bool
    sent: tuple[str, ...]
    held_back: tuple[str, ...]
    warnings: tuple[str, ...]
    reason: str
    next_step: str
    rules: tuple[str, ...]
    ahead: AheadLine | None = Field(description="Om mottagaren finns utanför Sambud; annars tom.")


class PreviewBody(Model):
    recipients: list[PreviewLine]


class PlaceLine(Model):
    """An inbox that can be sent to, and how many members can open what comes."""

    inbox: InboxName
    name: str
    organisation: str
    readers: int


class AddressLine(Model):
    id: Address
    name: str
    places: list[PlaceLine]


class AddressList(Model):
    addresses: list[AddressLine]


async def create_draft(call: Call) -> DraftLine:
    body: NewDraft = call.body
    draft = await call.gateway.drafts.create(
        call.signed, InboxId(body.inbox), CaseId(body.case), body.form_type, body.form_version, body.values
    )
    return DraftLine.of(draft)


async def draft_referral(call: Call) -> DraftLine:
    return DraftLine.of(await call.gateway.casework.refer(call.signed, CaseId(call.part("case"))))


async def draft_message(call: Call) -> DraftLine:
    return DraftLine.of(await call.gateway.casework.write(call.signed, CaseId(call.part("case"))))


async def save_draft(call: Call) -> DraftLine:
    body: SavedDraft = call.body
    saved = await call.gateway.drafts.save(call.signed, DraftId(call.part("draft")), body.version, body.values)
    return DraftLine.of(saved)


async def open_draft(call: Call) -> DraftBody:
    opened = await call.gateway.drafts.open(call.signed, DraftId(call.part("draft")))
    return DraftBody(draft=DraftLine.of(opened.draft), values=dict(opened.values))


async def discard_draft(call: Call) -> None:
    await call.gateway.drafts.discard(call.signed, DraftId(call.part("draft")))


async def list_drafts(call: Call) -> DraftPage:
    most, inbox = call.number("limit"), InboxId(call.part("inbox"))
    found = await call.gateway.drafts.list(call.signed, inbox, after=cursor(call), limit=most)
    last = found[-1] if len(found) == most else None
    return DraftPage(
        drafts=[DraftLine.of(draft) for draft in found], next=cursor_text(last.created_at, last.id) if last else ""
    )


async def list_addresses(call: Call) -> AddressList:
    found = await call.gateway.casework.addresses(call.signed, DraftId(call.part("draft")))
    return AddressList(
        addresses=[
            AddressLine(
                id=one.id,
                name=one.name,
                places=[
                    PlaceLine(
                        inbox=place.inbox.id,
                        name=place.inbox.name,
                        organisation=place.organisation,
                        readers=place.readers,
                    )
                    for place in one.places
                ],
            )
            for one in found
        ]
    )


async def preview_draft(call: Call) -> PreviewBody:
    body: Recipients = call.body
    draft = DraftId(call.part("draft"))
    seen = await call.gateway.sending.preview(call.signed, draft, body.recipients)
    files = await call.gateway.attachments.listed(call.signed, draft)
    goes = [Goes(file.file.name, file.file.media_type, file.file.size) for file in files]
    looks = await call.gateway.preflight.look([one.inbox for one in seen.decision.recipients], goes)
    return PreviewBody(
        recipients=[
            PreviewLine(
                inbox=decided.inbox,
                stage=decided.stage,
                denied=decided.denied,
                sent=tuple(seen.fields[decided.inbox]),
                held_back=tuple(seen.held_back[decided.inbox]),
                warnings=tuple(decided.warnings),
                reason=decided.reason,
                next_step=decided.next_step,
                rules=tuple(decided.rules),
                ahead=AheadLine.from_look(looks[decided.inbox]) if decided.inbox in looks else None,
            )
            for decided in seen.decision.recipients
        ]
    )


OWN_WORDS: Final = "none: the writer's own words, sealed"
ROUTES: Final = (
    call_row(
        "POST",
        "/drafts",
        create_draft,
        "Börja ett utkast",
        tag=Tag.COMPOSE,
        audit=OWN_WORDS,
        takes=NewDraft,
        gives=DraftLine,
        status=201,
        fails=(UnknownFormError,),
        location="/drafts/{id}",
    ),
    call_row(
        "POST",
        "/cases/{case}/referral",
        draft_referral,
        "Ärendets uppdragsblankett att skriva: den som är påbörjad, eller en ny med det som är känt",
        tag=Tag.COMPOSE,
        audit="none: a line of a draft; an earlier referral that it begins from is logged as opened",
        gives=DraftLine,
        fails=(StepUpRequiredError, RefusedError),
    ),
    call_row(
        "POST",
        "/cases/{case}/message",
        draft_message,
        "Ärendets meddelande att skriva: det som är påbörjat, eller ett nytt",
        tag=Tag.COMPOSE,
        audit=OWN_WORDS,
        gives=DraftLine,
    ),
    call_row(
        "GET",
        "/drafts/{draft}",
        open_draft,
        "Läs ett utkast",
        tag=Tag.COMPOSE,
        audit="draft_opened",
        gives=DraftBody,
    ),
    call_row(
        "PUT",
        "/drafts/{draft}",
        save_draft,
        "Spara ett utkast",
        tag=Tag.COMPOSE,
        audit=OWN_WORDS,
        takes=SavedDraft,
        gives=DraftLine,
    ),
    call_row(
        "DELETE",
        "/drafts/{draft}",
        discard_draft,
        "Kasta ett utkast",
        tag=Tag.COMPOSE,
        audit="none: never sent to anybody",
    ),
    call_row(
        "GET",
        "/inboxes/{inbox}/drafts",
        list_drafts,
        "Utkast i en inkorg",
        tag=Tag.COMPOSE,
        audit="none: lines hold no content",
        gives=DraftPage,
        query=(AFTER, limit()),
    ),
    call_row(
        "GET",
        "/drafts/{draft}/addresses",
        list_addresses,
        "Vart ett utkast kan skickas",
        tag=Tag.COMPOSE,
        audit="none: from the directory",
        gives=AddressList,
    ),
    call_row(
        "POST",
        "/drafts/{draft}/preview",
        preview_draft,
        "Se vad som skulle gå till vem",
        tag=Tag.DECIDE,
        audit="none: names of fields, and nothing leaves the writer",
        takes=Recipients,
        gives=PreviewBody,
        fails=(InvalidFormError, RecipientError, RefusedError),
    ),
)
