"""Holding: keep what names no function of ours sealed to nobody's inbox, until a registrator says where to.

Why this exists: one address for a whole municipality is what senders know, and an inbox that everybody reads is what
it became. So what comes to a collecting address, or to an inbox that is closed, is sealed to the channel key `hold` of
the administration that owns the address. A registrator sees the outside of it and holds no key (docs/channels.md §3.2).

Rules: what is kept is the arrival as it came, so that placing it is taking it in, by the same rules as everything
else; what belongs to a conversation that was placed already goes the same way without being asked about again.
"""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.attachments import NAMED_WITHIN, named_until, sealed_file
from gateway.audit import AuditAction, Auditor
from gateway.directory import Snapshot
from gateway.envelope import rejected
from gateway.filepolicy import FilePolicy
from gateway.integrity import Integrity
from gateway.model.base import DAY, HOUR, CaseId, DecisionId, EnvelopeId, Instant, MessageId
from gateway.model.directory import Inbox
from gateway.model.keys import EnvelopeWrap, KeyHead, KeyRecordKind
from gateway.model.path import Arrival, Channel, Conversation, Envelope, EnvelopeAttachment, Held, Origin
from gateway.neighbours import Answer, Arrived, ArrivedFile, Marks, MatterReference, Reason, Remarks, Side
from gateway.ports import (
    AttachmentKey,
    AttachmentSealer,
    Blobs,
    Change,
    Clock,
    Delete,
    Endorsement,
    Insert,
    Letter,
    Opener,
    Sealer,
    Store,
    Update,
    Work,
)
from gateway.states import HELD, HeldEvent, HeldState, step

#: What the header of a held envelope calls its form: which one it is, nobody here shall see.
FORM: Final = "held"
#: The header needs an end; nobody acts on it: what is held waits until somebody has placed it (TF 2 kap. 9 §).
KEPT: Final = 3650 * DAY
#: Registrators work on weekdays: what came on a Friday evening is late on Monday evening, not on Saturday.
LATE: Final = DAY
#: What is held belongs to no case yet.
NO_CASE: Final = CaseId("")
PLACED: Final = frozenset({HeldState.PLACED, HeldState.FORWARDED})


@dataclass(frozen=True, slots=True)
class Waits:
    """Where an arrival waits, and the choice that was made already for its conversation and is not carried out yet."""

    registrator: Inbox
    ordered: Held | None


class Holding:
    """Seals to `hold`, and gives back what was sealed."""

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        integrity: Integrity,
        sealer: Sealer,
        opener: Opener,
        attachments: AttachmentSealer,
        policy: FilePolicy,
        auditor: Auditor,
        clock: Clock,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._integrity = integrity
        self._sealer = sealer
        self._opener = opener
        self._attachments = attachments
        self._policy = policy
        self._auditor = auditor
        self._clock = clock

    async def closed(self, inbox: Inbox) -> bool:
        """Whether nobody has ever been let in to read it: there is no key to seal to."""
        return await self._store.get(KeyHead, KeyRecordKind.INBOX, inbox.id) is None

    async def place(self, directory: Snapshot, arrived: Arrived, sender: Inbox, recipient: Inbox) -> Inbox | Waits:
        """The inbox that an arrival is for, or where it waits for somebody to say so."""
        collects = bool(directory.collecting(arrived.channel, recipient.id))
        if not collects and not await self.closed(recipient):
            return recipient
        registrator = recipient if collects else directory.registrator_of(recipient.administration)
        if registrator is None:
            return recipient  # nobody could see it wait: it stays at the neighbour, and operators are told
        before = await self._store.held_in(arrived.channel, arrived.conversation, sender.id)
        mine = [await self._integrity.check(row) for row in before if row.inbox == registrator.id]
        for row in mine:
            if row.state in PLACED and row.to is not None and not await self.closed(directory.inbox(row.to)):
                return directory.inbox(row.to)
        return Waits(registrator, next((row for row in mine if row.state is HeldState.ORDERED), None))

    async def hold(
        self, arrived: Arrived, directory: Snapshot, sender: Inbox, recipient: Inbox, waits: Waits, fingerprint: bytes
    ) -> Answer:
        """Seal an arrival that was looked into; what is answered is durable."""
        now, box = self._clock.now(), waits.registrator
        envelope_id = EnvelopeId(str(uuid.uuid4()))
        files, rows = list[AttachmentKey](), list[EnvelopeAttachment]()
        for file in arrived.files:
            key, blob = await sealed_file(
                self._attachments,
                self._blobs,
                box.administration,
                file.name,
                _pieces(file.octets),
                self._policy.of(recipient),
            )
            files.append(key)
            rows.append(
                EnvelopeAttachment(
                    administration=box.administration, envelope=envelope_id, attachment=key.id, blob=blob
                )
            )
        letter = Letter(
            envelope=envelope_id,
            message=MessageId(str(uuid.uuid4())),
            sender=sender,
            recipient=box,
            sender_copy=False,
            origin=arrived.origin,
            form_type=FORM,
            form_version=1,
            created=now,
            decision=DecisionId(str(uuid.uuid4())),
            not_after=Instant(now + KEPT),
            body={"arrival": _packed(arrived, files)},
            attachments=tuple(files),
            hold=True,
        )
        try:
            sealed = await self._sealer.seal(letter)
        except ValueError:
            return Answer(Reason.TOO_LARGE)
        envelope = Envelope(
            administration=box.administration,
            id=envelope_id,
            message=letter.message,
            case=NO_CASE,
            inbox=box.id,
            sender_copy=False,
            transcript=sealed.transcript,
            created_at=now,
            octets=sealed.octets,
        )
        row = await self._row(arrived, sender, recipient, waits, envelope, now)
        arrival = Arrival(
            administration=box.administration,
            channel=arrived.channel,
            id=arrived.id,
            inbox=box.id,
            message=MessageId(""),
            fingerprint=fingerprint,
            answer=str(Reason.NONE),
            at=now,
        )
        entry = await self._auditor.entry(
            AuditAction.HELD,
            administration=box.administration,
            actor=None,
            role="worker",
            object=envelope_id,
            case=None,
            outcome=str(arrived.channel),
            detail={"transcript": envelope.transcript.hex(), "origin": str(arrived.origin), "inbox": box.id},
        )
        changes = (Insert(envelope), Insert(sealed.wrap), *map(Insert, rows), Insert(row), Insert(arrival))
        facts = (named_until(directory.fact, Instant(now + NAMED_WITHIN)), *sealed.facts)
        await self._store.commit(Work(expects=facts, changes=changes, entries=(entry,)))
        return Answer()

    async def _row(
        self, arrived: Arrived, sender: Inbox, recipient: Inbox, waits: Waits, envelope: Envelope, now: Instant
    ) -> Held:
        known = await self._store.get(Conversation, arrived.channel, arrived.conversation, sender.id) is not None
        row = Held(
            administration=waits.registrator.administration,
            envelope=envelope.id,
            inbox=waits.registrator.id,
            addressed=recipient.id,
            channel=arrived.channel,
            arrival=arrived.id,
            sender=sender.id,
            conversation=arrived.conversation,
            known=known,
            size=len(envelope.octets) + sum(len(file.octets) for file in arrived.files),
            files=len(arrived.files),
            state=HeldState.WAITING,
            since=now,
            changed_at=now,
        )
        if waits.ordered is not None:
            row = ordered_like(row, waits.ordered)
        return await self._integrity.sign(row)

    async def arrived(self, held: Held) -> Arrived:
        """The arrival as it came, opened with `hold`: after the registrator's order is durable, and verified.

        Raises:
            EnvelopeError: nobody signed this choice, or the envelope is not the one that was sealed.
        """
        if held.signer is None or held.ordered_at is None:
            raise rejected("held mail without an order")
        order = Endorsement(administration=held.administration, signer=held.signer, signature=held.signature)
        await self._sealer.check_order(order, choice_of(held), at=held.ordered_at)
        envelope = await self._store.get(Envelope, held.envelope)
        wrap = await self._store.get(EnvelopeWrap, held.envelope)
        if envelope is None or wrap is None:
            raise rejected("held mail without its envelope")
        opened = await self._opener.open_held(envelope, wrap)
        blobs = {row.attachment: row.blob for row in await self._store.attachments_under(held.envelope)}
        octets = dict[str, bytes]()
        for file in opened.attachments:
            pieces = self._attachments.open(file, held.administration, self._blobs.read(blobs[file.id]))
            octets[file.id] = b"".join([piece async for piece in pieces])
        return _unpacked(str(opened.body["arrival"]), octets)

    async def placed(self, held: Held, now: Instant) -> tuple[Change, ...]:
        """What goes with the transaction that takes a held arrival in: its row moves, and its old traces make room."""
        files = await self._store.attachments_under(held.envelope)
        following = dataclasses.replace(
            held, state=step(HELD, held.state, HeldEvent.PLACE), changed_at=now, version=held.version + 1
        )
        return (
            Delete(Arrival, (held.channel, held.arrival)),
            *(Delete(EnvelopeAttachment, row.key) for row in files),
            Update(await self._integrity.sign(following)),
        )


def choice_of(held: Held) -> tuple[str, ...]:
    """All that a registrator's order says: whose conversation, by which way, goes where, and who chose it."""
    return (
        held.inbox,
        held.channel,
        held.sender,
        held.conversation,
        held.to or "",
        held.ordered_by or "",
        held.ordered_as,
    )


def ordered_like(row: Held, order: Held) -> Held:
    """`row`, under the order that was signed for its conversation."""
    return dataclasses.replace(
        row,
        state=step(HELD, row.state, HeldEvent.ORDER),
        to=order.to,
        ordered_by=order.ordered_by,
        ordered_as=order.ordered_as,
        ordered_at=order.ordered_at,
        signer=order.signer,
        signature=order.signature,
        reason="",
    )


def worked(since: Instant, now: Instant) -> int:
    """How long something has waited, weekends left out (UTC days; a few hours' error is nobody's alarm)."""
    hours = max(0, now - since) // HOUR
    weekend = sum(1 for hour in range(min(hours, 24 * 60)) if ((since + hour * HOUR) // DAY + 3) % 7 >= 5)
    return max(0, now - since - weekend * HOUR)


def late(row: Held, now: Instant) -> bool:
    """Whether it has waited over a working day."""
    return row.state is HeldState.WAITING and worked(row.since, now) > LATE


def _packed(arrived: Arrived, files: list[AttachmentKey]) -> str:
    """Everything of an arrival but its octets, as text: JSON that may hold numbers which canonical JSON may not."""
    return json.dumps(
        {
            "channel": arrived.channel,
            "origin": arrived.origin,
            "id": arrived.id,
            "sender": arrived.sender,
            "recipient": arrived.recipient,
            "conversation": arrived.conversation,
            "replies_to": arrived.replies_to,
            "reference": arrived.reference,
            "subject": arrived.subject,
            "text": arrived.text,
            "marks": arrived.marks,
            "remarks": dataclasses.asdict(arrived.remarks),
            "created": arrived.created,
            "references": [[one.root, one.extension, one.label] for one in arrived.references],
            "data": arrived.data,
            "files": [[key.id, file.name, file.media_type] for key, file in zip(files, arrived.files, strict=True)],
        }
    )


def _unpacked(text: str, octets: dict[str, bytes]) -> Arrived:
    told = json.loads(text)
    return Arrived(
        channel=Channel(told["channel"]),
        origin=Origin(told["origin"]),
        id=told["id"],
        sender=told["sender"],
        recipient=told["recipient"],
        conversation=told["conversation"],
        replies_to=told["replies_to"],
        reference=told["reference"],
        subject=told["subject"],
        text=told["text"],
        marks=Marks(told.get("marks", "")),
        remarks=_remarks(told.get("remarks", {})),
        created=Instant(told["created"]),
        original=b"",  # the fingerprint of it stands in the arrival's row
        references=tuple(MatterReference(*one) for one in told["references"]),
        data=told["data"],
        files=tuple(ArrivedFile(name=name, media_type=kind, octets=octets[key]) for key, name, kind in told["files"]),
    )


def _remarks(told: Mapping[str, Any]) -> Remarks:
    def side(name: str) -> Side:
        return Side(**{kind: tuple(texts) for kind, texts in told.get(name, {}).items()})

    return Remarks(confidential=told.get("confidential"), sender=side("sender"), recipient=side("recipient"))


async def _pieces(octets: bytes) -> AsyncIterator[bytes]:
    yield octets
