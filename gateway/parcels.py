"""Parcels: an opened projection as a neighbour gets it (docs/channels.md §1).

Why this exists: what is handed over is made in one place, so that no channel can carry a field more than the envelope
held. A parcel lives in a worker's memory; its files are read from their blobs when the neighbour asks for them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from gateway.aftermath import NEVER
from gateway.canonical import dumps
from gateway.directory import Snapshot
from gateway.errors import EnvelopeError
from gateway.forms import FormCatalogue
from gateway.model.base import AdministrationId, AttachmentId, InboxId, MessageId
from gateway.model.keys import KeyRecord
from gateway.model.path import Arrival, Attachment, Case, Channel, Conversation, Envelope, Message, Way
from gateway.neighbours import Arrived, MatterReference, Parcel, ParcelFile
from gateway.ports import AttachmentKey, AttachmentSealer, Blobs, Opened, Store, Vault
from gateway.quarantine import Asker, Quarantine

#: More references than this in one message are nobody's names of a matter.
MAX_REFERENCES: Final = 50
#: So many messages of a case are looked at for the first one.
MOST_LOOKED_AT: Final = 500


class Parcels:
    """Makes parcels."""

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        forms: FormCatalogue,
        attachments: AttachmentSealer,
        vault: Vault,
        quarantine: Quarantine,
    ) -> None:
        self._quarantine = quarantine
        self._vault = vault
        self._store = store
        self._blobs = blobs
        self._forms = forms
        self._attachments = attachments

    async def conversation(self, envelope: Envelope, channel: Channel) -> Conversation:
        """The conversation of this case with this party; a case that began here gives it its own id."""
        known = await self._store.conversations_of(envelope.case)
        same = [row for row in known if row.channel is channel]
        theirs = [row for row in same if row.party == envelope.inbox]
        identifier = (theirs or same)[0].id if same else str(envelope.case)
        return Conversation(
            administration=envelope.administration,
            channel=channel,
            id=identifier,
            party=envelope.inbox,
            case=envelope.case,
        )

    async def of(
        self, envelope: Envelope, message: Message, way: Way, opened: Opened, directory: Snapshot, asker: Asker
    ) -> Parcel:
        """The parcel; `asker` is in whose name its files are given out."""
        case = await self._store.get(Case, envelope.case)
        if case is None:
            raise EnvelopeError("an envelope without its case")
        sender = directory.inbox(message.sender)
        own = next((route for route in directory.ways_to(sender.id) if route.channel is way.channel), None)
        theirs = next((route for route in directory.ways_to(envelope.inbox) if route.channel is way.channel), None)
        conversation = await self.conversation(envelope, way.channel)
        replies_to, references = await self._answered(message, envelope, way.channel)
        return Parcel(
            id=envelope.id,
            message=message.id,
            sender=sender,
            sender_address=own.address if own else "",
            recipient=directory.inbox(envelope.inbox),
            address=way.address,
            pin=theirs.pin if theirs and theirs.address == way.address else "",
            conversation=conversation.id,
            replies_to=replies_to,
            references=references,
            case_reference=case.reference,
            form=self._forms.get(message.form_type, message.form_version),
            body=opened.body,
            data=await self._data(message, case, opened),
            created=message.created_at,
            files=tuple([await self.file(envelope, message, file, asker) for file in opened.attachments]),
        )

    async def _data(self, message: Message, case: Case, opened: Opened) -> dict[str, Any]:
        """The form as data: words, and for a joint answer what both authorities signed."""
        data = form_data(message.id, case.reference, message.form_type, message.form_version, opened.body)
        if message.in_reply_to is not None:
            data["answers"] = message.in_reply_to  # between gateways a message has one id; a third party knows no other
        if not opened.document:
            return data
        endorsements = [dict(one) for one in opened.body.get("endorsed_outside", ()) if isinstance(one, Mapping)]  # type: ignore[attr-defined]
        for one in opened.endorsements:
            record = await self._store.get(KeyRecord, one.signer)
            if record is None:
                raise EnvelopeError("an endorsement without its key record")
            endorsements.append(
                {
                    "administration": one.administration,
                    "public_key": record.public_key.hex(),
                    "signature": one.signature.hex(),
                }
            )
        return {
            **data,
            "document": opened.document.hex(),
            "blind": opened.document_blind.hex(),
            "endorsements": endorsements,
        }

    async def _answered(
        self, message: Message, envelope: Envelope, channel: Channel
    ) -> tuple[str, tuple[MatterReference, ...]]:
        """What the recipient knows the answered message as, and what it called the matter in it.

        What answers none supplements the first message of its conversation (SDK B1.3.3 §4.3.2). The message's own id
        when the recipient wrote it, our envelope's when we did.
        """
        if message.in_reply_to is None:
            answered = await self._first(message, envelope.inbox, channel)
        else:
            answered = await self._store.get(Message, message.in_reply_to)
        if answered is None:
            return "", ()
        arrivals = [row for row in await self._store.arrivals_of(answered.id) if row.channel is channel]
        if arrivals and answered.sender == envelope.inbox:
            # Each seat got it under an id of its own: the answer names the one that its sender was sent.
            own = [row for row in arrivals if row.inbox == message.sender]
            if not own:
                return arrivals[0].id, ()  # what another authority was told is not this one's to give back
            return own[0].id, await _references(self._vault, own[0])
        for earlier in await self._store.envelopes_of(answered.id):
            if earlier.inbox == envelope.inbox and not earlier.sender_copy:
                return earlier.id, ()
        return "", ()

    async def _first(self, message: Message, party: InboxId, channel: Channel) -> Message | None:
        """The first message between us and a party in this case that had arrived when `message` was made, or None.

        One that had not arrived is never named: a reference to what was refused is refused (B1.3.3 §5.3 row 11). What
        arrives later changes nothing: every try of a message says the same.
        """
        for earlier in reversed(await self._store.messages_of(message.case, limit=MOST_LOOKED_AT)):
            if earlier.id == message.id or earlier.created_at >= message.created_at:
                continue
            if earlier.sender == party and any(
                row.channel is channel and row.inbox == message.sender
                for row in await self._store.arrivals_of(earlier.id)
            ):
                return earlier
            if earlier.sender == message.sender and any(
                row.inbox == party and row.channel is channel and (row.delivered_at or NEVER) <= message.created_at
                for row in await self._store.deliveries_of(earlier.id)
            ):
                return earlier
        return None

    async def file(self, envelope: Envelope, message: Message, file: AttachmentKey, asker: Asker) -> ParcelFile:
        """A file of an opened envelope, to be read: each reading asks for its verdict first (`Quarantine.require`).

        Raises:
            EnvelopeError: no blob stands for it.
        """
        rows = await self._store.attachments_under(envelope.id)
        blob = next((row.blob for row in rows if row.attachment == file.id), None)
        if blob is None:
            raise EnvelopeError("an attachment without its blob")
        upload = await self._store.get(Attachment, AttachmentId(file.id))
        sealed_by = upload.administration if upload else message.administration

        def plain() -> AsyncIterator[bytes]:
            return self._attachments.open(file, sealed_by, self._blobs.read(blob))

        async def cleared() -> None:
            await self._quarantine.require(file, plain, asker)

        async def read() -> AsyncIterator[bytes]:
            await cleared()
            async for piece in plain():
                yield piece

        return ParcelFile(name=file.name, media_type=file.media_type, size=file.size, read=read, cleared=cleared)


def form_data(
    message: MessageId, case_reference: str, form_type: str, form_version: int, body: Mapping[str, object]
) -> dict[str, Any]:
    """What a gateway like this one reads a form from."""
    return {"form": [form_type, form_version], "body": dict(body), "message": message, "case": case_reference}


async def sealed_references(vault: Vault, administration: AdministrationId, arrived: Arrived) -> bytes:
    """What the sender called the matter, as its arrival keeps it; empty when it called it nothing."""
    told = [[one.root, one.extension, one.label] for one in arrived.references[:MAX_REFERENCES]]
    return await vault.seal_field(administration, _context(arrived.channel, arrived.id), dumps(told)) if told else b""


async def _references(vault: Vault, arrival: Arrival) -> tuple[MatterReference, ...]:
    if not arrival.references:
        return ()
    context = _context(arrival.channel, arrival.id)
    told = json.loads(await vault.open_field(arrival.administration, context, arrival.references))
    return tuple(MatterReference(*one) for one in told)


def _context(channel: Channel, identifier: str) -> str:
    return f"{Arrival.TABLE}|{channel}|{identifier}|references"
