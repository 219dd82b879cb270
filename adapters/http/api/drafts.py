"""Drafts and their attachments over the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from aiohttp import BodyPartReader

from adapters.http.api.rows import call_row
from adapters.http.api.shapes import Done, cursor_of, cursor_text, limit_of
from adapters.http.routes import Call, Model, Rate
from gateway.attachments import category_of
from gateway.errors import InvalidRequestError
from gateway.model.base import CaseId, DraftId, InboxId
from gateway.model.path import Draft

PIECE: Final = 64 * 1024


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


ROUTES: Final = (
    call_row(
        "POST",
        "/drafts",
        create_draft,
        "Börja ett utkast",
        audit="none: the writer's own words, sealed",
        takes=NewDraft,
        gives=DraftLine,
        status=201,
    ),
    call_row("GET", "/drafts/{draft}", open_draft, "Läs ett utkast", audit="draft_opened", gives=DraftBody),
    call_row(
        "PUT",
        "/drafts/{draft}",
        save_draft,
        "Spara ett utkast",
        audit="none: the writer's own words, sealed",
        takes=SavedDraft,
        gives=DraftLine,
    ),
    call_row(
        "DELETE", "/drafts/{draft}", discard_draft, "Kasta ett utkast", audit="none: never sent to anybody", status=204
    ),
    call_row(
        "GET",
        "/inboxes/{inbox}/drafts",
        list_drafts,
        "Utkast i en inkorg",
        audit="none: lines hold no content",
        gives=DraftPage,
    ),
    call_row(
        "POST",
        "/drafts/{draft}/preview",
        preview,
        "Se vad som skulle gå till vem",
        audit="none: nothing leaves the writer",
        takes=Recipients,
        gives=PreviewBody,
    ),
    call_row(
        "POST",
        "/drafts/{draft}/attachments",
        upload,
        "Bifoga en fil",
        audit="attachment_added",
        gives=Done,
        status=201,
        rate=Rate.UPLOAD,
    ),
)
