"""Send, open, answer: the messages themselves over the API."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from adapters.http.api.rows import call_row
from adapters.http.api.shapes import Done, InInbox
from adapters.http.downloads import download
from adapters.http.routes import Call, Model
from gateway.errors import InvalidRequestError
from gateway.model.base import AttachmentId, CaseId, DraftId, EnvelopeId, InboxId, MessageId
from gateway.sending import Submission

MAX_UNDO = 3600
MAX_KEY = 128


class DraftOut(Model):
    """Send a draft with its attachments."""

    draft: str
    recipients: list[str]
    undo_seconds: int = 0


class ValuesOut(Model):
    """Send a form that is whole, without a draft."""

    inbox: str
    case: str
    form_type: str
    form_version: int
    values: dict[str, Any]
    recipients: list[str]
    in_reply_to: str = ""
    undo_seconds: int = 0


class Sent(Model):
    message: str
    repeated: bool


class File(Model):
    id: str
    name: str
    media_type: str
    size: int


class Endorser(Model):
    administration: str
    signer: str


class OpenedBody(Model):
    envelope: str
    message: str
    case: str
    form_type: str
    form_version: int
    sender: str
    origin: str
    body: dict[str, Any]
    attachments: list[File]
    endorsements: list[Endorser]
    transcript: str


class NewAnswer(Model):
    inbox: str
    request: str
    values: dict[str, Any]
    deputy_reason: str = ""


class Confirmation(Model):
    inbox: str
    deputy_reason: str = ""


def idempotency_key(call: Call) -> str:
    """The Idempotency-Key header.

    Raises:
        InvalidRequestError: longer than 128 characters, or not printable ASCII.
    """
    key = call.request.headers.get("Idempotency-Key", "")
    if len(key) > MAX_KEY or not key.isascii() or not key.isprintable():
        raise InvalidRequestError(
            "not an idempotency key", swedish="Nyckeln i Idempotency-Key går inte att använda.", next_step="Välj en ny."
        )
    return key


def undo(seconds: int) -> int:
    if not 0 <= seconds <= MAX_UNDO:
        raise InvalidRequestError(
            "undo_seconds is 0 to 3600", swedish="Ångertiden ska vara 0–3600 sekunder.", next_step="Ändra undo_seconds."
        )
    return seconds


async def send_draft(call: Call) -> Sent:
    body: DraftOut = call.body
    accepted = await call.gateway.sending.send_draft(
        call.signed,
        DraftId(body.draft),
        body.recipients,
        idempotency_key=idempotency_key(call),
        undo_seconds=undo(body.undo_seconds),
    )
    return Sent(message=accepted.message, repeated=accepted.repeated)


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
        idempotency_key=idempotency_key(call),
        undo_seconds=undo(body.undo_seconds),
    )
    return Sent(message=accepted.message, repeated=accepted.repeated)


async def take_back(call: Call) -> None:
    body: InInbox = call.body
    await call.gateway.recalls.take_back(call.signed, InboxId(body.inbox), MessageId(call.part("message")))


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
    file, stream = await call.gateway.opening.attachment(
        call.signed, EnvelopeId(call.part("envelope")), AttachmentId(call.part("attachment"))
    )
    return await download(call, file, stream)


async def propose(call: Call) -> Sent:
    body: NewAnswer = call.body
    accepted = await call.gateway.answers.propose(
        call.signed,
        InboxId(body.inbox),
        MessageId(body.request),
        body.values,
        idempotency_key=idempotency_key(call),
        deputy_reason=body.deputy_reason,
    )
    return Sent(message=accepted.message, repeated=accepted.repeated)


async def confirm(call: Call) -> Sent:
    body: Confirmation = call.body
    accepted = await call.gateway.answers.confirm(
        call.signed,
        InboxId(body.inbox),
        MessageId(call.part("proposal")),
        idempotency_key=idempotency_key(call),
        deputy_reason=body.deputy_reason,
    )
    return Sent(message=accepted.message, repeated=accepted.repeated)


async def disagree(call: Call) -> Done:
    body: InInbox = call.body
    answer = await call.gateway.answers.disagree(call.signed, InboxId(body.inbox), MessageId(call.part("proposal")))
    return Done(id=answer.proposal)


ROUTES: Final = (
    call_row(
        "POST", "/messages", send_draft, "Skicka ett utkast", audit="sent", takes=DraftOut, gives=Sent, status=201
    ),
    call_row(
        "POST",
        "/messages/direct",
        send_values,
        "Skicka en hel blankett utan utkast",
        audit="sent",
        takes=ValuesOut,
        gives=Sent,
        status=201,
    ),
    call_row(
        "POST",
        "/messages/{message}/take-back",
        take_back,
        "Ångra innan det har lämnats",
        audit="taken_back",
        takes=InInbox,
        status=204,
    ),
    call_row(
        "POST", "/envelopes/{envelope}/open", open_envelope, "Öppna ett meddelande", audit="opened", gives=OpenedBody
    ),
    call_row(
        "GET",
        "/envelopes/{envelope}/attachments/{attachment}",
        read_attachment,
        "Hämta en bilaga",
        audit="attachment_read",
    ),
    call_row(
        "POST",
        "/answers",
        propose,
        "Föreslå ett svar till den andra platsen",
        audit="answer_proposed",
        takes=NewAnswer,
        gives=Sent,
        status=201,
    ),
    call_row(
        "POST",
        "/answers/{proposal}/confirm",
        confirm,
        "Bekräfta ett förslag: svaret går till avsändaren",
        audit="answer_confirmed",
        takes=Confirmation,
        gives=Sent,
        status=201,
    ),
    call_row(
        "POST",
        "/answers/{proposal}/disagree",
        disagree,
        "Vara oense: inget går till avsändaren",
        audit="answer_disagreed",
        takes=InInbox,
        gives=Done,
    ),
)
