"""Attachments over the API: into a draft and out of it, streamed and never held in memory."""

from __future__ import annotations

from typing import Annotated, Final

from aiohttp import web
from pydantic import Field

from adapters.http.api.rows import call_row
from adapters.http.api.shapes import Done, Id
from adapters.http.downloads import download
from adapters.http.parts import Parts
from adapters.http.routes import Call, FormPart, Model, Rate, Tag
from gateway.attachments import category_of
from gateway.errors import AttachmentError, FileWaitsError, InvalidRequestError
from gateway.model.base import AttachmentId, DraftId
from gateway.model.classes import Category

MOST_PARTS: Final = 4
OCTETS: Final = "application/octet-stream"


class File(Model):
    id: Id
    name: str
    media_type: str
    size: Annotated[int, Field(ge=0, description="Antal byte.")]


class DraftFile(File):
    category: Category


class FileList(Model):
    files: list[DraftFile]


async def attach_file(call: Call) -> Done:
    """multipart/form-data with `category` (optional, first) and `file`; the file is never held in memory."""
    parts = await Parts.of(call.request)
    category = Category.SOCIAL
    for _ in range(MOST_PARTS):
        part = await parts.next()
        if part is None:
            break
        if part.name == "category":
            category = category_of(await part.text())
        elif part.name == "file":
            draft = DraftId(call.part("draft"))
            row = await call.gateway.attachments.add(call.signed, draft, part.filename, category, part.pieces())
            return Done(id=row.id)
    raise InvalidRequestError(
        "no part named file", swedish="Ingen fil följde med.", next_step="Skicka filen i fältet file."
    )


async def list_draft_files(call: Call) -> FileList:
    return FileList(
        files=[
            DraftFile(
                id=one.file.id,
                name=one.file.name,
                media_type=one.file.media_type,
                size=one.file.size,
                category=one.category,
            )
            for one in await call.gateway.attachments.listed(call.signed, DraftId(call.part("draft")))
        ]
    )


async def read_draft_file(call: Call) -> web.StreamResponse:
    draft, attachment = DraftId(call.part("draft")), AttachmentId(call.part("attachment"))
    return await download(call, *await call.gateway.attachments.read(call.signed, draft, attachment))


async def remove_draft_file(call: Call) -> None:
    draft, attachment = DraftId(call.part("draft")), AttachmentId(call.part("attachment"))
    await call.gateway.attachments.remove(call.signed, draft, attachment)


ROUTES: Final = (
    call_row(
        "POST",
        "/drafts/{draft}/attachments",
        attach_file,
        "Bifoga en fil",
        tag=Tag.COMPOSE,
        audit="attachment_added",
        gives=Done,
        status=201,
        rate=Rate.UPLOAD,
        parts=(
            FormPart(
                name="category",
                about="Vilken sorts uppgifter filen har; först. Utan den SOCIAL.",
                required=False,
                choices=tuple(Category),
            ),
            FormPart(name="file", about="Filen, med namn: PDF, PNG, JPEG eller text.", required=True),
        ),
        fails=(AttachmentError,),
        location="/drafts/{draft}/attachments/{id}",
    ),
    call_row(
        "GET",
        "/drafts/{draft}/attachments",
        list_draft_files,
        "Ett utkasts bilagor",
        tag=Tag.COMPOSE,
        audit="none: names of the writer's own files",
        gives=FileList,
    ),
    call_row(
        "GET",
        "/drafts/{draft}/attachments/{attachment}",
        read_draft_file,
        "Hämta en bilaga ur ett utkast",
        tag=Tag.COMPOSE,
        audit="attachment_read",
        media=OCTETS,
        fails=(AttachmentError, FileWaitsError),
    ),
    call_row(
        "DELETE",
        "/drafts/{draft}/attachments/{attachment}",
        remove_draft_file,
        "Ta bort en bilaga ur ett utkast",
        tag=Tag.COMPOSE,
        audit="none: never sent to anybody",
    ),
)
