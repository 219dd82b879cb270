"""Intake: take what a neighbour hands us, seal it to the inbox it is for, and only then say that we have it.

Why this exists: whatever comes from outside is untrusted input about somebody in need. It must not be lost (the sender
believes it arrived), not come in twice (networks repeat), not be read by whoever is nearest (that is what the shared
municipal inbox did), and not bring anything in that harms. The order of the checks is docs/channels.md §3.

Rules: an answer is given only when the arrival is durable or refused for good; the same arrival again gets the same
answer; sealing needs public records alone, so nobody who takes in can read an inbox.
"""

from __future__ import annotations

import dataclasses
import functools
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Final

import structlog

from gateway.aftermath import NEVER
from gateway.alarms import Alarms
from gateway.arrival import Content, Joint, Place, Released
from gateway.attachments import NAMED_WITHIN, named_until, sealed_file
from gateway.audit import AuditAction, Auditor
from gateway.belonging import Belonging
from gateway.consents import Consents
from gateway.contents import Contents
from gateway.deliver import delivered_task, new_delivery_id, notice
from gateway.directory import Directory, Snapshot
from gateway.errors import ConflictError, EnvelopeError
from gateway.filepolicy import FilePolicy, Takes
from gateway.filetypes import SNIFF_BYTES, Fault, FileRefusedError, check_name, media_type_of
from gateway.forms import FormCatalogue
from gateway.forms.names import NOTICE
from gateway.holding import Holding, Waits
from gateway.integrity import Integrity
from gateway.model.base import DAY, DecisionId, EnvelopeId, Instant, MessageId
from gateway.model.directory import Inbox
from gateway.model.log import LogEntry
from gateway.model.path import (
    Arrival,
    DecisionRecord,
    Delivery,
    Envelope,
    EnvelopeAttachment,
    Message,
    ReceiptKind,
)
from gateway.neighbours import Answer, Arrived, ArrivedFile, Reason
from gateway.outside_answers import OutsideAnswers
from gateway.parcels import sealed_references
from gateway.ports import (
    AttachmentKey,
    AttachmentSealer,
    Blobs,
    Change,
    Clock,
    Insert,
    Letter,
    Sealer,
    Store,
    Vault,
    Work,
)
from gateway.quarantine import Asker, Quarantine
from gateway.screening import Screening, Verdict
from gateway.states import DeliveryState

#: An address that a directory gives to whoever is not in it: "Okänd avsändare".
ANYBODY: Final = "*"
log = structlog.get_logger()


class Intake:
    """Take arrivals in."""

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        directory: Directory,
        forms: FormCatalogue,
        integrity: Integrity,
        consents: Consents,
        vault: Vault,
        sealer: Sealer,
        attachments: AttachmentSealer,
        auditor: Auditor,
        clock: Clock,
        screening: Screening,
        quarantine: Quarantine,
        policy: FilePolicy,
        holding: Holding,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._directory = directory
        self._answers = OutsideAnswers(store, sealer, integrity)
        self._contents = Contents(forms, self._answers)
        self._consents = consents
        self._belonging = Belonging(store, integrity, clock)
        self._vault = vault
        self._sealer = sealer
        self._attachments = attachments
        self._auditor = auditor
        self._alarms = Alarms(store, integrity, auditor, clock)
        self._clock = clock
        self._screening = screening
        self._quarantine = quarantine
        self._policy = policy
        self._holding = holding

    async def take(self, arrived: Arrived) -> Answer:
        """Take one arrival; what is answered is durable.

        Raises:
            StoreUnavailableError, StoreFullError: nothing was kept and nothing may be acknowledged; it comes again.
        """
        directory = await self._directory.current()
        found = await self._addressed(directory, arrived)
        if isinstance(found, Answer):
            return found
        recipient, fingerprint = found
        sender = directory.at(arrived.channel, arrived.sender)
        if sender is None:
            sender = directory.at(arrived.channel, ANYBODY)
            # Nobody in particular: a conversation of all who are unknown would let one stranger go on in another's.
            arrived = dataclasses.replace(arrived, conversation=arrived.id)
        if sender is None or not directory.is_outside(sender):
            return await self._refused(arrived, recipient, fingerprint, Reason.UNTRUSTED)
        read = self._contents.of(arrived)
        if arrived.carrier is not None and read.data is None:  # no form of ours: the page is all there is of it
            arrived = dataclasses.replace(arrived, carrier=None, files=(arrived.carrier, *arrived.files))
        try:
            verdicts = await self._screened(arrived, self._policy.of(recipient))
        except FileRefusedError as refused:
            return await self._refused(arrived, recipient, fingerprint, refused.reason)
        try:
            content, joint = await self._contents.signed(directory, read)
        except EnvelopeError:
            return await self._refused(arrived, recipient, fingerprint, Reason.SIGNATURE)
        try:
            to = await self._holding.place(directory, arrived, sender, recipient)
            if isinstance(to, Waits):
                return await self._holding.hold(arrived, directory, sender, recipient, to, fingerprint)
            return await self._accepted(arrived, directory, sender, to, content, joint, fingerprint, verdicts)
        except ConflictError:
            # The same arrival in two hands at once: one wins, and its answer holds for both.
            known = await self._store.get(Arrival, arrived.channel, arrived.id)
            if known is None:
                raise
            return await self._again(known, fingerprint, recipient)

    async def release(self, arrived: Arrived, sender: Inbox, to: Inbox, released: Released) -> Reason:
        """Take in what was held, into the inbox that was chosen; a reason when that one cannot have it.

        Raises:
            ConflictError, DecisionStaleError, StoreUnavailableError, StoreFullError: nothing moved; it is tried again.
        """
        directory = await self._directory.current()
        if directory.is_outside(to) or await self._holding.closed(to):
            return Reason.NOT_FOUND
        try:
            verdicts = await self._screened(arrived, self._policy.of(to))
        except FileRefusedError as refused:
            return refused.reason
        try:
            content, joint = await self._contents.signed(directory, self._contents.of(arrived))
        except EnvelopeError:
            return Reason.SIGNATURE
        content = dataclasses.replace(content, body={**content.body, **released.shown})
        await self._accepted(
            arrived, directory, sender, to, content, joint, released.fingerprint, verdicts, released=released
        )
        return Reason.NONE

    async def set_aside(self, arrived: Arrived) -> Answer:
        """Refuse what met a bug of ours each time it was taken in, with an alarm; it waits at its channel for a person.

        Raises:
            StoreUnavailableError, StoreFullError: nothing was kept and nothing may be acknowledged; it comes again.
        """
        found = await self._addressed(await self._directory.current(), arrived)
        if isinstance(found, Answer):
            return found
        recipient, fingerprint = found
        return await self._refused(arrived, recipient, fingerprint, Reason.FAULT)

    # --- may it in ---------------------------------------------------------------------------------------------------

    async def _addressed(self, directory: Snapshot, arrived: Arrived) -> tuple[Inbox, bytes] | Answer:
        """Whose it is and its fingerprint; or the answer, when it is nobody's here or was answered before."""
        recipient = directory.at(arrived.channel, arrived.recipient)
        if recipient is None or directory.is_outside(recipient):
            log.warning("arrival for an unknown address", channel=arrived.channel)
            return Answer(Reason.NOT_FOUND)
        fingerprint = await self._vault.fingerprint(recipient.administration, "arrival", arrived.original)
        known = await self._store.get(Arrival, arrived.channel, arrived.id)
        return (recipient, fingerprint) if known is None else await self._again(known, fingerprint, recipient)

    async def _again(self, known: Arrival, fingerprint: bytes, recipient: Inbox) -> Answer:
        if known.fingerprint != fingerprint:
            await self._log(AuditAction.ARRIVAL_REFUSED, recipient, None, known.id, Reason.DUPLICATE)
            return Answer(Reason.DUPLICATE)
        return Answer(Reason(known.answer), repeated=True)

    async def _screened(self, arrived: Arrived, takes: Takes) -> Sequence[Verdict]:
        """What the looks say of each file, in their order. What only carried a form is looked at and not kept.

        Raises:
            FileRefusedError: one of them may not come in; one fault refuses the whole.
        """
        if len(arrived.files) > takes.max_files:
            raise FileRefusedError(Fault.TOO_MANY)
        if arrived.carrier is not None:
            await self._looked(arrived.carrier, takes)
        return [await self._looked(file, takes) for file in arrived.files]

    async def _looked(self, file: ArrivedFile, takes: Takes) -> Verdict:
        kind = media_type_of(check_name(file.name), file.octets[:SNIFF_BYTES], takes.types)
        if len(file.octets) > takes.max_bytes:
            raise FileRefusedError(Fault.TOO_LARGE)
        return await self._screening.look(kind, len(file.octets), functools.partial(_pieces, file.octets))

    async def _refused(self, arrived: Arrived, recipient: Inbox, fingerprint: bytes, reason: Reason) -> Answer:
        row = self._arrival(arrived, recipient, MessageId(""), fingerprint, reason)
        await self._log(AuditAction.ARRIVAL_REFUSED, recipient, row, arrived.id, reason)
        return Answer(reason)

    async def _log(
        self, action: AuditAction, recipient: Inbox, row: Arrival | None, object: str, reason: Reason
    ) -> None:
        entry = await self._auditor.entry(
            action,
            administration=recipient.administration,
            actor=None,
            role="worker",
            object=object,
            case=None,
            outcome=str(reason),
        )
        entries = [entry]
        if reason is Reason.FAULT:
            entries.append(await self._alarms.of_what_is_set_aside(object))
        if reason is Reason.MALWARE:  # an incident, and not only a refusal (SDK: SAD §6.1)
            entries.append(
                await self._auditor.entry(
                    AuditAction.ALARM,
                    administration=recipient.administration,
                    actor=None,
                    role="worker",
                    object=object,
                    case=None,
                    outcome="malware",
                    detail={"inbox": recipient.id},
                )
            )
        await self._store.commit(Work(changes=(Insert(row),) if row else (), entries=tuple(entries)))

    # --- sealed ------------------------------------------------------------------------------------------------------

    async def _accepted(
        self,
        arrived: Arrived,
        directory: Snapshot,
        sender: Inbox,
        recipient: Inbox,
        content: Content,
        joint: Joint | None,
        fingerprint: bytes,
        verdicts: Sequence[Verdict],
        *,
        released: Released | None = None,
    ) -> Answer:
        now = self._clock.now()
        place = await self._belonging.place(directory, arrived, sender, recipient, content)
        message, new_message = await self._message(arrived, place, content, joint, now)
        files, rows = list[AttachmentKey](), list[EnvelopeAttachment]()
        looked: list[Change] = []
        asker = Asker(inbox=recipient, role="worker", channel=arrived.channel)
        envelope_id = EnvelopeId(str(uuid.uuid4()))
        for file, verdict in zip(arrived.files, verdicts, strict=True):
            key, blob = await self._sealed_file(recipient, message, file)
            files.append(key)
            looked += await self._quarantine.begun(asker, key, verdict)
            rows.append(
                EnvelopeAttachment(
                    administration=recipient.administration, envelope=envelope_id, attachment=key.id, blob=blob
                )
            )
        letter = Letter(
            envelope=envelope_id,
            message=message.id,
            sender=sender,
            recipient=recipient,
            sender_copy=False,
            origin=arrived.origin,
            form_type=message.form_type,
            form_version=message.form_version,
            created=now,
            decision=message.decision,
            not_after=Instant(now + content.form.ttl_days * DAY),
            body=content.body,
            attachments=tuple(files),
            document=joint.document if joint else b"",
            document_blind=joint.blind if joint else b"",
        )
        sealed = await self._sealer.seal(letter)
        envelope = Envelope(
            administration=recipient.administration,
            id=envelope_id,
            message=message.id,
            case=place.case.id,
            inbox=recipient.id,
            sender_copy=False,
            transcript=sealed.transcript,
            created_at=now,
            octets=sealed.octets,
        )
        delivery = Delivery(
            administration=recipient.administration,
            id=new_delivery_id(),
            envelope=envelope_id,
            message=message.id,
            inbox=recipient.id,
            channel=arrived.channel,
            state=DeliveryState.DELIVERED,
            due_at=NEVER,
            expires_at=letter.not_after,
            delivered_at=now,
            changed_at=now,
            reference=arrived.id,
        )
        receipt = await self._sealer.receipt(envelope, ReceiptKind.DELIVERED, at=now)
        references = await sealed_references(self._vault, recipient.administration, arrived)
        ended, entries = await self._told(place, content, now)
        if joint is not None:
            ended = [*ended, *await self._answers.changes(directory, place, message, content.body, joint, now)]
        changes: list[Change] = [
            *(released.changes if released else ()),
            *await self._belonging.changes(directory, arrived, place, message, content, joint),
            *await self._shared(place, content),
            *ended,
            *([Insert(message), Insert(await self._record(message, arrived))] if new_message else []),
            Insert(envelope),
            Insert(sealed.wrap),
            *map(Insert, rows),
            *looked,
            Insert(delivery),
            Insert(receipt),
            Insert(delivered_task(envelope, message, now)),
            Insert(notice(envelope, "message_received", now)),
            Insert(self._arrival(arrived, recipient, message.id, fingerprint, Reason.NONE, references)),
        ]
        entry = await self._auditor.entry(
            AuditAction.RECEIVED,
            administration=recipient.administration,
            actor=None,
            role="worker",
            object=envelope.id,
            case=place.case.id,
            outcome=str(arrived.channel),
            detail={"transcript": envelope.transcript.hex(), "origin": str(arrived.origin)},
        )
        # A crash before this commit leaves blobs that no row names, and a worker stopped so long comes too late.
        facts = (named_until(directory.fact, Instant(now + NAMED_WITHIN)), *sealed.facts)
        await self._store.commit(
            Work(
                expects=facts,
                changes=tuple(changes),
                entries=(entry, *entries, *(released.entries if released else ())),
            )
        )
        return Answer()

    async def _shared(self, place: Place, content: Content) -> Sequence[Change]:
        """The consents that came along: only from the party whose case it is, or anybody in it could plant one."""
        if not place.by_owner:
            return ()
        return await self._consents.mirrored(place.recipient.administration, place.case.id, content.consents)

    async def _told(self, place: Place, content: Content, now: Instant) -> tuple[Sequence[Change], Sequence[LogEntry]]:
        """What a notice of the sender's changes here, beside being read."""
        fields = content.body["fields"]
        if content.form.id != NOTICE or place.new_case:
            return (), ()
        about = str(fields.get("about", ""))
        if fields.get("kind") == "CONSENT_WITHDRAWN" and place.by_owner:
            return await self._consents.ended_outside(place.case.id, about)
        if fields.get("kind") == "ANSWER_DISAGREED":
            return await self._answers.disagreed(place, about, now), ()
        return (), ()

    async def _message(
        self, arrived: Arrived, place: Place, content: Content, joint: Joint | None, now: Instant
    ) -> tuple[Message, bool]:
        """The message row: the one that another seat's envelope already made, or a new one.

        A sender cannot join another's message: same sender, same case, same form, same origin.
        """
        document = joint.document if joint else b""
        if _is_uuid(content.message):
            there = await self._store.get(Message, content.message)
            if there is not None and (there.sender, there.case, there.form_type, there.origin, there.document) == (
                place.sender.id,
                place.case.id,
                content.form.id,
                arrived.origin,
                document,
            ):
                return there, False
            identifier = str(uuid.uuid4()) if there is not None else content.message
        else:
            identifier = str(uuid.uuid4())
        return (
            Message(
                administration=place.recipient.administration,
                id=MessageId(identifier),
                case=place.case.id,
                form_type=content.form.id,
                form_version=content.form.version,
                sender=place.sender.id,
                origin=arrived.origin,
                decision=DecisionId(str(uuid.uuid4())),
                in_reply_to=await self._belonging.answered(arrived, place),
                document=document,
                created_at=now,
            ),
            True,
        )

    async def _sealed_file(self, recipient: Inbox, message: Message, file: ArrivedFile) -> tuple[AttachmentKey, str]:
        return await sealed_file(
            self._attachments,
            self._blobs,
            message.administration,
            file.name,
            _pieces(file.octets),
            self._policy.of(recipient),
        )

    async def _record(self, message: Message, arrived: Arrived) -> DecisionRecord:
        """What was decided when it came in: nothing about secrecy (that was the sender's), only that it was taken."""
        context = f"{DecisionRecord.TABLE}|{message.decision}|sealed"
        return DecisionRecord(
            administration=message.administration,
            id=message.decision,
            case=message.case,
            at=message.created_at,
            outcome="received",
            policies="",
            sealed=await self._vault.seal_field(message.administration, context, arrived.channel.encode()),
        )

    def _arrival(
        self,
        arrived: Arrived,
        recipient: Inbox,
        message: MessageId,
        fingerprint: bytes,
        reason: Reason,
        references: bytes = b"",
    ) -> Arrival:
        return Arrival(
            administration=recipient.administration,
            channel=arrived.channel,
            id=arrived.id,
            inbox=recipient.id,
            message=message,
            fingerprint=fingerprint,
            answer=str(reason),
            at=self._clock.now(),
            references=references,
        )


async def _pieces(octets: bytes) -> AsyncIterator[bytes]:
    yield octets


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
