"""Messages over the API: send, undo, open, and read their attachments."""

from __future__ import annotations

from typing import Annotated, Any, Final

from aiohttp import web
from pydantic import Field

from adapters.http.api.attachments import OCTETS, File
from adapters.http.api.drafts import To
from adapters.http.api.rows import call_row
from adapters.http.api.shapes import FormName, FormValues, FormVersion, Id, InboxName, InInbox, MaybeId
from adapters.http.downloads import download
from adapters.http.routes import Call, Model, Tag
from gateway.errors import (
    AttachmentError,
    EnvelopeError,
    FileWaitsError,
    IdempotencyConflictError,
    IllegalTransitionError,
    InvalidFormError,
    RecipientError,
    RefusedError,
    StepUpRequiredError,
    UnknownFormError,
)
from gateway.model.base import AttachmentId, CaseId, DraftId, EnvelopeId, InboxId, MessageId
from gateway.model.path import Channel, Origin
from gateway.sending import Submission

MAX_UNDO: Final = 3600
Undo = Annotated[int, Field(ge=0, le=MAX_UNDO, description="Så länge går utskicket att ångra; det lämnas efter det.")]


class DraftOut(Model):
    """Send a draft with its attachments."""

    draft: Id
    recipients: To
    undo_seconds: Undo = 0


class ValuesOut(Model):
    """Send a form that is whole, without a draft."""

    inbox: InboxName
    case: Id
    form_type: FormName
    form_version: FormVersion
    values: FormValues
    recipients: To
    in_reply_to: MaybeId = ""
    undo_seconds: Undo = 0


class Sent(Model):
    """Taken in: stored, sealed and logged. `repeated` is that this call was answered before."""

    message: Id
    repeated: bool


class Retried(Model):
    """The new delivery of the same envelope, and the channel that it goes."""

    id: Id
    channel: Channel


class Endorser(Model):
    administration: str
    signer: str


class OpenedBody(Model):
    """`body.fields` are the answers that this recipient may have; `transcript` is the envelope's hash."""

    envelope: Id
    message: Id
    case: Id
    form_type: FormName
    form_version: FormVersion
    sender: InboxName
    origin: Origin
    body: dict[str, Any]
    attachments: list[File]
    endorsements: list[Endorser]
    transcript: str


async def send_draft(call: Call) -> Sent:
    body: DraftOut = call.body
    accepted = await call.gateway.sending.send_draft(
        call.signed,
        DraftId(body.draft),
        body.recipients,
        idempotency_key=call.key,
        undo_seconds=body.undo_seconds,
    )
    return Sent.of(accepted)


async def send_values(call: Call) -> Sent:
    body: ValuesOut = call.body
    submission = Submission(
        case=CaseId(body.case),
        form_type=body.form_type,
        form_version=body.form_version,
        values=body.values,
        recipients=tuple(body.recipients),
        in_reply_to=MessageId(body.in_reply_to) if body.in_reply_to else None,
    )
    accepted = await call.gateway.sending.send(
        call.signed,
        InboxId(body.inbox),
        submission,
        idempotency_key=call.key,
        undo_seconds=body.undo_seconds,
    )
    return Sent.of(accepted)


async def take_back(call: Call) -> None:
    body: InInbox = call.body
    await call.gateway.recalls.take_back(call.signed, InboxId(body.inbox), MessageId(call.part("message")))


async def retry_delivery(call: Call) -> Retried:
    body: InInbox = call.body
    made = await call.gateway.retries.again(
        call.signed, InboxId(body.inbox), MessageId(call.part("message")), EnvelopeId(call.part("envelope"))
    )
    return Retried(id=made.id, channel=made.channel)


async def open_envelope(call: Call) -> OpenedBody:
    found = await call.gateway.queue.open(call.signed, EnvelopeId(call.part("envelope")))
    return OpenedBody(
        envelope=found.envelope.id,
        message=found.message.id,
        case=found.message.case,
        form_type=found.message.form_type,
        form_version=found.message.form_version,
        sender=found.message.sender,
        origin=found.message.origin,
        body=dict(found.opened.body),
        attachments=[
            File(id=file.id, name=file.name, media_type=file.media_type, size=file.size)
            for file in found.opened.attachments
        ],
        endorsements=[
            Endorser(administration=one.administration, signer=one.signer) for one in found.opened.endorsements
        ],
        transcript=found.envelope.transcript.hex(),
    )


async def read_attachment(call: Call) -> web.StreamResponse:
    """The plaintext as a stream; a fault closes the connection before the announced length is reached."""
    envelope, attachment = EnvelopeId(call.part("envelope")), AttachmentId(call.part("attachment"))
    return await download(call, *await call.gateway.opening.attachment(call.signed, envelope, attachment))


SENDING: Final = (
    InvalidFormError,
    UnknownFormError,
    RecipientError,
    RefusedError,
    IdempotencyConflictError,
    IllegalTransitionError,
)
OPENING: Final = (StepUpRequiredError, RefusedError, EnvelopeError)
ROUTES: Final = (
    call_row(
        "POST",
        "/messages",
        send_draft,
        "Skicka ett utkast",
        tag=Tag.SEND,
        audit="sent",
        takes=DraftOut,
        gives=Sent,
        status=201,
        fails=(*SENDING, AttachmentError, FileWaitsError),
        keyed=True,
    ),
    call_row(
        "POST",
        "/messages/direct",
        send_values,
        "Skicka en hel blankett utan utkast",
        tag=Tag.SEND,
        audit="sent",
        takes=ValuesOut,
        gives=Sent,
        status=201,
        fails=SENDING,
        keyed=True,
    ),
    call_row(
        "POST",
        "/messages/{message}/take-back",
        take_back,
        "Ångra innan det har lämnats",
        tag=Tag.SEND,
        audit="taken_back",
        takes=InInbox,
        fails=(IllegalTransitionError,),
    ),
    call_row(
        "POST",
        "/messages/{message}/envelopes/{envelope}/retry",
        retry_delivery,
        "Försök igen med det som inte kom fram",
        tag=Tag.SEND,
        audit="retried",
        takes=InInbox,
        gives=Retried,
        status=201,
    ),
    call_row(
        "POST",
        "/envelopes/{envelope}/open",
        open_envelope,
        "Öppna ett meddelande",
        tag=Tag.OPEN,
        audit="opened",
        gives=OpenedBody,
        fails=OPENING,
    ),
    call_row(
        "GET",
        "/envelopes/{envelope}/attachments/{attachment}",
        read_attachment,
        "Hämta en bilaga",
        tag=Tag.OPEN,
        audit="attachment_read",
        media=OCTETS,
        fails=(*OPENING, AttachmentError, FileWaitsError),
    ),
)
