"""SDK as a neighbour: our parcels as its messages, its messages as arrivals (docs/channels.md).

Why this exists: the gateway knows forms and cases, SDK knows texts and files. A form goes as readable text, and as a
PDF that everybody must take and that holds the data for a gateway like this one (docs/channels.md §8); what comes back
without such data is a message all the same. An address is an organisation and a function, written together as
`0203:domain#function`.

Rules: the subject names the form and the case, never a person (P0); a reply returns the sender's reference; a message
is deleted at the service only when it is durable here, or final.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import structlog

from adapters.sdk import status
from adapters.sdk.api_model import PIECE, Streamed, message_of
from adapters.sdk.client import NotTakenError, SdkApi, ServiceAwayError
from adapters.sdk.faults import RejectedError, reason_of
from adapters.sdk.model import DIARY_ROOT, Attention, Document, File, Identifier, Message, Party, Reference
from gateway.documents import Documents, carried, data_for, page_of
from gateway.logs import place_of
from gateway.model.base import Instant
from gateway.model.path import Channel, Origin
from gateway.neighbours import (
    Answer,
    Arrived,
    ArrivedFile,
    Marks,
    MatterReference,
    Parcel,
    Reason,
    Remarks,
    Seen,
    Side,
    Telling,
    Told,
)
from gateway.readable import markdown

PDF: Final = "application/pdf"
GENERATOR: Final = Identifier("https://sambud.example/", "sambud")
log = structlog.get_logger()


class SdkNeighbour:
    """The Neighbour port over one message service, for the functional addresses that are ours."""

    def __init__(
        self, api: SdkApi, addresses: Sequence[str], documents: Documents, *, expires: Instant | None = None
    ) -> None:
        self._api = api
        self._expires = expires
        self._addresses = tuple(addresses)
        self._documents = documents
        self._left: dict[str, Reason] = {}

    @property
    def channel(self) -> Channel:
        return Channel.SDK

    @property
    def left(self) -> Mapping[str, Reason]:
        return self._left

    async def hand_over(self, parcel: Parcel) -> Told:
        carrier = await self._documents.pdf(page_of(parcel), carried(parcel))
        try:
            message, files = outgoing(parcel, carrier)
            await self._api.send(message, files, again=parcel.again)
        except RejectedError as fault:
            return Told(Telling.REFUSED, reason_of(fault.faults[0].why, fault.faults[0].detail))
        except NotTakenError as refused:
            return Told(Telling.REFUSED, _refusal(refused.status), detail=str(refused.status))
        except ServiceAwayError as away:
            return Told(Telling.DELAYED, Reason.UNREACHABLE, detail=str(away))
        return Told(Telling.IN_TRANSIT, reference=str(parcel.id))

    async def outcome(self, reference: str) -> Told:
        try:
            attributes = await self._api.get(reference)
            if attributes is None:
                # The service buffers for a time of its own choosing: what it no longer knows, it cannot confirm.
                return Told(Telling.REFUSED, Reason.NO_RECEIPT, reference, "unknown to the service")
            return status.told(attributes, reference)
        except NotTakenError as refused:
            return Told(Telling.DELAYED, Reason.UNREACHABLE, reference, str(refused.status))
        except ServiceAwayError as away:
            return Told(Telling.DELAYED, Reason.UNREACHABLE, reference, str(away))

    async def settled(self, reference: str) -> None:
        try:
            await self._api.delete(reference)
        except (ServiceAwayError, NotTakenError) as trouble:
            # It lies there until the service's own clean-up: nobody asks for it again.
            log.warning("a receipt stays at the message service", kind=type(trouble).__name__)

    async def lingering(self) -> Mapping[str, Told]:
        found: dict[str, Told] = {}
        for address in self._addresses:
            try:
                ended = await self._api.ended(address.partition("#")[2])
            except (ServiceAwayError, NotTakenError) as trouble:
                log.warning("the message service does not list", kind=type(trouble).__name__)
                break
            found |= {name: status.told(attributes, name) for name, attributes in ended}
        return found

    async def arrivals(self) -> AsyncIterator[Arrived]:
        listed: set[str] = set()
        for address in self._addresses:
            function = address.partition("#")[2]
            try:
                waiting = await self._api.waiting(function)
            except (ServiceAwayError, NotTakenError) as trouble:
                log.warning("the message service does not list", kind=type(trouble).__name__)
                return
            listed.update(waiting)
            for identifier in waiting:
                arrived = await self._arrived(identifier) if identifier not in self._left else None
                if arrived is not None:
                    yield arrived
        # What a person took off the service is no longer left there.
        self._left = {name: reason for name, reason in self._left.items() if name in listed}

    async def _arrived(self, identifier: str) -> Arrived | None:
        try:
            return await self._incoming(await self._api.get(identifier))
        except (ServiceAwayError, NotTakenError) as trouble:
            log.warning("the message service does not hand out", kind=type(trouble).__name__)
        except (RejectedError, ValueError):
            self._leave(identifier, Reason.STRUCTURE)
        except Exception as bug:  # a bug that it meets must not stop the rest (gateway/unforeseen.py)
            log.error("unforeseen", message=identifier, **place_of(bug))
            self._leave(identifier, Reason.FAULT)
        return None

    async def _incoming(self, attributes: Mapping[str, Any] | None) -> Arrived | None:
        if attributes is None:
            return None
        message, original = message_of(attributes), said(attributes)
        del attributes  # 40 MB of base64 that nobody needs any more
        files = [file for document in message.documents for file in document.files]
        held = next((file for file in files if self._documents.may_hold_data(file.octets)), None)
        data = data_for(message.id, await self._documents.data(held.octets)) if held is not None else None
        return incoming(message, original, files, carrier=held if data is not None else None, data=data)

    def _leave(self, identifier: str, reason: Reason) -> None:
        """NEW is final: its sender was told ACCEPTED before we looked, so only a person may take it off the service."""
        self._left[identifier] = reason
        log.error("a message from SDK is left at the service", message=identifier, reason=str(reason))

    async def acknowledge(self, arrived: Arrived, answer: Answer) -> None:
        if not answer.taken:
            self._leave(arrived.id, answer.reason)
            return
        try:
            await self._api.delete(arrived.id)
        except (ServiceAwayError, NotTakenError) as trouble:
            log.warning("a taken message is still at the service", kind=type(trouble).__name__)  # it comes again

    async def look_up(self, address: str) -> Seen:
        """The address book is a directory import; the API itself cannot say."""
        return Seen(exists=None, takes=("application/pdf",), max_octets=30_000_000)

    def expires(self) -> Instant | None:
        return self._expires

    async def probe(self) -> Told:
        """Sign in at the service and list what waits for one address of ours; nothing is taken."""
        function = self._addresses[0].partition("#")[2] if self._addresses else ""
        try:
            await self._api.waiting(function)
        except NotTakenError as refused:
            return Told(Telling.REFUSED, _refusal(refused.status), detail=str(refused.status))
        except ServiceAwayError as away:
            return Told(Telling.DELAYED, Reason.UNREACHABLE, detail=str(away))
        return Told(Telling.DELIVERED)


# --- out -------------------------------------------------------------------------------------------------------------


def outgoing(parcel: Parcel, carrier: bytes) -> tuple[Message, tuple[Streamed, ...]]:
    """The message of a parcel, and the files that are read while it is sent: first the PDF that the form goes as."""

    async def octets() -> AsyncIterator[bytes]:
        yield carrier

    own = Reference(id=Identifier(DIARY_ROOT, parcel.case_reference), label=parcel.case_reference)
    # "The receiver must return the sender's reference id when replying" (B1.3.3 §4.3.2.3).
    theirs = tuple(Reference(id=Identifier(one.root, one.extension), label=one.label) for one in parcel.references)
    text = markdown(parcel.form, parcel.body)
    message = Message(
        id=str(parcel.id),
        conversation=parcel.conversation,
        created=parcel.created,
        label=f"{parcel.form.title}, {parcel.case_reference}",
        confidential=True,
        sender=_party(parcel.sender_address, parcel.sender.name, (own,)),
        recipient=_party(parcel.address, parcel.recipient.name, theirs),
        documents=(Document(id="1", name=parcel.form.title, index="1", texts=(text,)),),
        refers_to=parcel.replies_to,
        generating_system=GENERATOR,
    )
    files = (
        Streamed(name=f"{parcel.form.title}.pdf", media_type=PDF, size=len(carrier), read=octets),
        *(
            Streamed(name=file.name, media_type=file.media_type, size=file.size, read=file.read)
            for file in parcel.files
        ),
    )
    return message, files


def _party(address: str, label: str, references: tuple[Reference, ...]) -> Party:
    organisation, _, function = address.partition("#")
    return Party(id=organisation, attention=Attention(function=function, label=label[:256], references=references))


def _refusal(code: int) -> Reason:
    return {413: Reason.TOO_LARGE, 403: Reason.UNTRUSTED, 404: Reason.NOT_FOUND, 415: Reason.TYPE}.get(
        code, Reason.RULE
    )


# --- in --------------------------------------------------------------------------------------------------------------


def incoming(
    message: Message,
    original: bytes,
    files: Sequence[File],
    *,
    carrier: File | None = None,
    data: Mapping[str, Any] | None = None,
) -> Arrived:
    """An arrival from a message; `carrier` is the one of its files that `data` lay in."""
    references = message.sender.attention.references
    return Arrived(
        channel=Channel.SDK,
        origin=Origin.SDK,
        id=message.id,
        sender=_address(message.sender),
        recipient=_address(message.recipient),
        conversation=message.conversation,
        replies_to=message.refers_to,
        reference=references[0].id.extension if references else "",
        references=tuple(MatterReference(one.id.root, one.id.extension, one.label) for one in references),
        subject=message.label,
        text="\n\n".join(text for document in message.documents for text in document.texts),
        marks=Marks.MARKDOWN,
        remarks=Remarks(
            confidential=message.confidential, sender=_side(message.sender), recipient=_side(message.recipient)
        ),
        created=message.created,
        original=original,
        data=data,
        carrier=_file(carrier) if carrier is not None else None,
        files=tuple(_file(file) for file in files if file is not carrier),
    )


def _named(reference: Reference) -> str:
    name = reference.id.extension
    return f"{name}, {reference.label}" if reference.label and reference.label != name else name


def _side(party: Party) -> Side:
    attention = party.attention
    return Side(
        persons=tuple(told for one in attention.persons if (told := one.label or (one.id.extension if one.id else ""))),
        references=tuple(_named(one) for one in attention.references),
    )


def _file(file: File) -> ArrivedFile:
    return ArrivedFile(name=file.name, media_type=file.media_type, octets=file.octets)


def said(attributes: Mapping[str, Any]) -> bytes:
    """What the sender said, without what the service adds and may change: the ground of the fingerprint."""
    kept = {name: value for name, value in attributes.items() if name not in ("messageStatus", "events", "event")}
    documents = kept.get("digitalDocument")
    if isinstance(documents, list):
        kept["digitalDocument"] = [_digested(one) for one in documents]
    return json.dumps(kept, sort_keys=True, ensure_ascii=False).encode()


def _digested(document: Any) -> Any:
    """A document with digests in place of what its files hold."""
    files = document.get("contentFiles") if isinstance(document, Mapping) else None
    if not isinstance(files, list):
        return document
    return {**document, "contentFiles": [_digest(one) if isinstance(one, Mapping) else one for one in files]}


def _digest(file: Mapping[str, Any]) -> Mapping[str, Any]:
    content = file.get("content")
    if not isinstance(content, str):
        return file
    digest = hashlib.sha256()
    for at in range(0, len(content), PIECE):
        digest.update(content[at : at + PIECE].encode())
    return {**file, "content": digest.hexdigest()}


def _address(party: Party) -> str:
    return f"{party.id}#{party.attention.function}"
