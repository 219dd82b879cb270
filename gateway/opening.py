"""Open: a present member, a permitting decision, a fresh factor, a durable log entry, and only then the content.

Why this exists: everything before this line could be done by a machine without keys; from here on a person reads about
another. So the order is fixed: session, membership, decision, durable audit event, decryption, signed receipt.

Rules: no log, no content. The transaction that logs re-reads every fact the decision rests on and marks the delivery
as opened before anything is decrypted, so "unread" is never claimed of something that may have been read. The receipt
follows; a crash in between is repaired by the worker (`missing_receipts`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway import failpoints
from gateway.audit import AuditAction, Auditor
from gateway.cases import moved
from gateway.ceilings import within_ceiling
from gateway.compose import check_stage
from gateway.consents import Consents
from gateway.decide import AccessAction, Decider, OpeningAct
from gateway.deliver import moved_delivery
from gateway.envelope import rejected
from gateway.errors import (
    ConflictError,
    EnvelopeError,
    InvalidFormError,
    NotFoundError,
    RefusedError,
    UnknownFormError,
)
from gateway.forms import FormCatalogue
from gateway.forms.names import REFERRAL
from gateway.freshness import Freshness
from gateway.integrity import Integrity
from gateway.measures import Counted, Step, timed
from gateway.model.base import AttachmentId, EnvelopeId, Fact, Instant, fact
from gateway.model.classes import Stage
from gateway.model.directory import InboxKind
from gateway.model.keys import EnvelopeWrap
from gateway.model.path import Attachment, Case, Delivery, Envelope, Message, Reading, Receipt, ReceiptKind
from gateway.model.queue import Recall
from gateway.ports import (
    UNMEASURED,
    AttachmentKey,
    AttachmentSealer,
    Blobs,
    Change,
    Clock,
    Insert,
    Metrics,
    Opened,
    Opener,
    Sealer,
    Store,
    Update,
    Work,
)
from gateway.quarantine import Quarantine, by_member
from gateway.rights import Rights, Standing
from gateway.sessions import Sessions, Signed
from gateway.states import CaseEvent, CaseState, DeliveryEvent, DeliveryState, RecallState
from gateway.windows import Windows

#: All openings of a session in one inbox count in one row, and of those that commit together one wins: a page that
#: fetches twenty files at once needs as many rounds.
OPEN_TRIES: Final = 64
RECHECK_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class OpenedMessage:
    """What a member reads: the projection that this inbox got, and where it came from."""

    envelope: Envelope
    message: Message
    opened: Opened


class Opening:
    """Open messages and attachments."""

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        rights: Rights,
        sessions: Sessions,
        windows: Windows,
        decider: Decider,
        consents: Consents,
        forms: FormCatalogue,
        integrity: Integrity,
        sealer: Sealer,
        opener: Opener,
        attachments: AttachmentSealer,
        quarantine: Quarantine,
        auditor: Auditor,
        freshness: Freshness,
        clock: Clock,
        *,
        metrics: Metrics = UNMEASURED,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._rights = rights
        self._sessions = sessions
        self._windows = windows
        self._decider = decider
        self._consents = consents
        self._forms = forms
        self._integrity = integrity
        self._sealer = sealer
        self._opener = opener
        self._attachments = attachments
        self._quarantine = quarantine
        self._auditor = auditor
        self._freshness = freshness
        self._clock = clock
        self._metrics = metrics

    async def open(self, signed: Signed, envelope_id: EnvelopeId) -> OpenedMessage:
        """Open one envelope of an inbox of yours.

        Raises:
            NotFoundError: no such envelope, not delivered yet, or not your inbox; one answer for all.
            StepUpRequiredError: the second factor of this inbox's window is too old, or the window is used up.
            RefusedError: the consent was withdrawn before anybody opened it; the registrator has the item.
            EnvelopeError: it does not verify; nothing was shown, an alarm was raised.
            LogBehindError: the log is not being published; nothing is opened under it.
        """
        envelope, message, standing = await self._find(signed, envelope_id)
        return await self._opened(standing, envelope, message, AuditAction.OPENED, str(envelope.id))

    async def attachment(
        self, signed: Signed, envelope_id: EnvelopeId, attachment: AttachmentId
    ) -> tuple[AttachmentKey, AsyncIterator[bytes]]:
        """One attachment of an envelope: its description, and its plaintext as a stream that is aborted on any fault.

        Session and membership are read again for each MiB, so that a removed member's download ends.

        Raises:
            FileWaitsError, FileRefusedError: it has no verdict and none is to be had now, or a bad one.
        """
        envelope, message, standing = await self._find(signed, envelope_id)
        found = await self._opened(standing, envelope, message, AuditAction.ATTACHMENT_READ, str(attachment))
        file = next((file for file in found.opened.attachments if file.id == attachment), None)
        blob = next(
            (row.blob for row in await self._store.attachments_under(envelope.id) if row.attachment == attachment), None
        )
        if file is None or blob is None:
            raise NotFoundError("no such attachment", swedish="Bilagan finns inte, eller är inte för er.")
        # The file was sealed once, where it was uploaded; a forwarded message names another sender.
        upload = await self._store.get(Attachment, attachment)
        owner = upload.administration if upload else message.administration
        await self._quarantine.require(
            file, lambda: self._attachments.open(file, owner, self._blobs.read(blob)), by_member(standing)
        )
        sealed = self._guarded(signed, standing, self._blobs.read(blob))
        plain = self._attachments.open(file, owner, sealed)
        return file, self._alarmed(standing, envelope, plain)

    async def relayed(self, standing: Standing, envelope_id: EnvelopeId) -> tuple[OpenedMessage, Delivery]:
        """Open an unopened envelope to seal its words to another inbox; nobody is shown them (`gateway.forwarding`).

        Logged before anything is decrypted, as every opening; the delivery is not marked as opened. The caller checks
        that `standing` may forward, and moves the delivery in the transaction that accepts the new envelope.

        Raises:
            NotFoundError: not an unopened envelope of this inbox.
            StepUpRequiredError, RefusedError, EnvelopeError: as `open`.
        """
        await self._freshness.require()
        envelope = await self._store.get(Envelope, envelope_id)
        message = await self._store.get(Message, envelope.message) if envelope else None
        wrap = await self._store.get(EnvelopeWrap, envelope_id)
        if envelope is None or message is None or wrap is None or envelope.inbox != standing.inbox.id:
            raise _absent()
        delivery = await self._delivery(envelope)
        if delivery is None or delivery.state is not DeliveryState.DELIVERED:
            raise NotFoundError("not unopened", swedish="Meddelandet finns inte, eller är redan öppnat.")
        try:
            await self._opener.verify(envelope, message)
            facts, changes = await self._decided(standing, envelope, message, delivery, self._clock.now())
            entry = await self._auditor.entry(
                AuditAction.FORWARDED,
                administration=envelope.administration,
                actor=standing.signed.user,
                role=standing.role,
                object=str(envelope.id),
                case=envelope.case,
                outcome="begun",
                detail={"transcript": envelope.transcript.hex(), "inbox": envelope.inbox},
            )
            expects = (*facts, fact(delivery))
            await self._store.commit(Work(expects=expects, changes=tuple(changes), entries=(entry,)))
            opened = await self._opener.open(envelope, wrap, standing.signed.user.id)
            self._fits(message, opened)
        except EnvelopeError as fault:
            await self._alarm(standing, envelope, fault)
            raise
        return OpenedMessage(envelope, message, opened), delivery

    async def _alarmed(
        self, standing: Standing, envelope: Envelope, pieces: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """The pieces; a fault in them reaches the log as well as the reader."""
        try:
            async for piece in pieces:
                yield piece
        except EnvelopeError as fault:
            await self._alarm(standing, envelope, fault)
            raise

    async def _guarded(self, signed: Signed, standing: Standing, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        since = 0
        async for chunk in chunks:
            since += len(chunk)
            if since >= RECHECK_BYTES:
                since = 0
                await self._sessions.still_active(signed)
                await self._rights.act(signed, standing.inbox.id, AccessAction.READ)
            yield chunk

    async def missing_receipts(self, deliveries: list[Delivery]) -> int:
        """Write the receipts that a crash kept from being written; returns how many."""
        written = 0
        for delivery in deliveries:
            envelope = await self._store.get(Envelope, delivery.envelope)
            if delivery.state is DeliveryState.OPENED and envelope is not None:
                written += await self._receipt(envelope, delivery.changed_at)
        return written

    async def _find(self, signed: Signed, envelope_id: EnvelopeId) -> tuple[Envelope, Message, Standing]:
        envelope = await self._store.get(Envelope, envelope_id)
        message = await self._store.get(Message, envelope.message) if envelope else None
        if envelope is None or message is None:
            raise _absent()
        standing = await self._rights.act(signed, envelope.inbox, AccessAction.READ, absent=_absent())
        return envelope, message, standing

    async def _opened(
        self, standing: Standing, envelope: Envelope, message: Message, action: AuditAction, target: str
    ) -> OpenedMessage:
        """Log, open, write the receipt; counted, also when it is refused."""
        outcome = "refused"
        try:
            with timed(self._metrics, Step.OPEN):
                opened = await self._logged_and_opened(standing, envelope, message, action, target)
            outcome = "opened"
        finally:
            self._metrics.count(Counted.OPENINGS, outcome)
        return opened

    async def _logged_and_opened(
        self, standing: Standing, envelope: Envelope, message: Message, action: AuditAction, target: str
    ) -> OpenedMessage:
        await self._freshness.require()
        wrap = await self._store.get(EnvelopeWrap, envelope.id)
        if wrap is None:
            raise _absent()
        try:
            await self._opener.verify(envelope, message)
            first = await self._log(standing, envelope, message, action, target)
            failpoints.reached("open.after_log")
            opened = await self._opener.open(envelope, wrap, standing.signed.user.id)
            self._fits(message, opened)
        except EnvelopeError as fault:
            # A member removed since the log entry has no wrap any more: that is an answer, and nobody's attack.
            await self._rights.act(standing.signed, envelope.inbox, AccessAction.READ)
            await self._alarm(standing, envelope, fault)
            raise
        failpoints.reached("open.before_receipt")
        if first:
            await self._receipt(envelope, self._clock.now())
        return OpenedMessage(envelope, message, opened)

    def _fits(self, message: Message, opened: Opened) -> None:
        """Whether what was opened is the form that the rows name, at its stage (docs/envelope.md §8, step 10).

        Raises:
            EnvelopeError: another version, an unknown stage, or fields that the stage's schema does not have.
        """
        try:
            if opened.form_version != message.form_version:
                raise ValueError("another form version than the message row says")
            form = self._forms.get(message.form_type, message.form_version)
            fields = opened.body.get("fields")
            stage = Stage(str(opened.body.get("stage")))
            check_stage(form, fields if isinstance(fields, Mapping) else {}, stage)
        except (ValueError, InvalidFormError, UnknownFormError) as fault:
            raise rejected(fault) from fault

    async def _log(
        self, standing: Standing, envelope: Envelope, message: Message, action: AuditAction, target: str
    ) -> bool:
        """Make the opening durable; True when this was the first opening of a delivery."""
        for attempt in range(OPEN_TRIES):
            now = self._clock.now()
            delivery = await self._delivery(envelope)
            facts, changes = await self._decided(standing, envelope, message, delivery, now)
            first = delivery is not None and delivery.state is DeliveryState.DELIVERED
            if first and delivery is not None:
                changes.append(Update(moved_delivery(delivery, DeliveryEvent.READ, now)))
                changes.extend(await self._acknowledged(standing, message, now))
            changes.append(await self._reading(standing, envelope, now))
            entry = await self._auditor.entry(
                action,
                administration=envelope.administration,
                actor=standing.signed.user,
                role=standing.role,
                object=target,
                case=envelope.case,
                outcome="permit",
                detail={"transcript": envelope.transcript.hex(), "inbox": envelope.inbox},
            )
            try:
                await self._store.commit(Work(expects=facts, changes=tuple(changes), entries=(entry,)))
            except ConflictError:
                if attempt == OPEN_TRIES - 1:
                    raise
                continue  # a colleague opened it in the same moment: read again
            return first
        raise AssertionError("unreachable")  # pragma: no cover

    async def _decided(
        self, standing: Standing, envelope: Envelope, message: Message, delivery: Delivery | None, now: Instant
    ) -> tuple[tuple[Fact, ...], list[Change]]:
        if not within_ceiling(standing, self._forms, message.form_type, message.form_version):
            await self._refused(standing, envelope, ())
            raise _absent()
        unopened = delivery is not None and delivery.state is DeliveryState.DELIVERED
        recall = await self._store.get(Recall, envelope.id)
        if unopened and recall is not None and recall.state in (RecallState.REQUESTED, RecallState.UPHELD):
            await self._refused(standing, envelope, ())
            raise RefusedError(
                "the sender asked for it back before anybody opened it",
                swedish="Avsändaren har begärt tillbaka meddelandet innan någon öppnade det.",
                next_step="Er registrator avgör vad som händer. Kontakta avsändaren om det är bråttom.",
            )
        asked_back = Fact(Recall, (envelope.id,), recall.version if recall else 0)
        consents = await self._consents.under(await self._store.consents_under(envelope.id)) if unopened else ()
        decision = await self._decider.opening(OpeningAct(unopened=unopened, consents=tuple(consents), at=now))
        try:
            decision.require_permit()
        except RefusedError:
            await self._refused(standing, envelope, decision.rules)
            raise
        before = await self._store.get(Reading, envelope.id, standing.signed.user.id)
        window = await self._windows.use(
            standing.signed, standing.inbox, at=now, last_read=before.last_at if before else None
        )
        return (*standing.facts, *decision.facts, asked_back), list(window)

    async def _refused(self, standing: Standing, envelope: Envelope, rules: tuple[str, ...]) -> None:
        """A refusal to open is logged like an opening."""
        entry = await self._auditor.entry(
            AuditAction.OPENED,
            administration=envelope.administration,
            actor=standing.signed.user,
            role=standing.role,
            object=str(envelope.id),
            case=envelope.case,
            outcome="deny",
            policies=rules,
        )
        await self._store.commit(Work(entries=(entry,)))

    async def _delivery(self, envelope: Envelope) -> Delivery | None:
        """The delivery of this envelope; None for the sender's own copy, which is never delivered."""
        if envelope.sender_copy:
            return None
        found = [d for d in await self._store.deliveries_of(envelope.message) if d.envelope == envelope.id]
        if not found or found[0].state not in {DeliveryState.DELIVERED, DeliveryState.OPENED}:
            raise _absent()
        return found[0]

    async def _acknowledged(self, standing: Standing, message: Message, now: Instant) -> list[Change]:
        """The first human opening at a seat acknowledges the request."""
        case = await self._store.get(Case, message.case)
        if (
            case is not None
            and case.state is CaseState.REQUESTED
            and standing.inbox.kind is InboxKind.SEAT
            and message.form_type == REFERRAL
        ):
            return [Update(await moved(self._integrity, case, CaseEvent.ACKNOWLEDGE, at=now))]
        return []

    async def _reading(self, standing: Standing, envelope: Envelope, now: Instant) -> Change:
        user = standing.signed.user.id
        before = await self._store.get(Reading, envelope.id, user)
        if before is None:
            return Insert(
                Reading(
                    administration=envelope.administration, envelope=envelope.id, user=user, first_at=now, last_at=now
                )
            )
        return Update(dataclasses.replace(before, last_at=now, version=before.version + 1))

    async def _receipt(self, envelope: Envelope, at: Instant) -> int:
        receipt = await self._sealer.receipt(envelope, ReceiptKind.OPENED, at=at)
        if await self._store.get(Receipt, envelope.id, ReceiptKind.OPENED) is not None:
            return 0
        try:
            await self._store.commit(Work(changes=(Insert(receipt),)))
        except ConflictError:
            return 0  # a colleague's opening wrote it
        return 1

    async def _alarm(self, standing: Standing, envelope: Envelope, fault: EnvelopeError) -> None:
        entry = await self._auditor.entry(
            AuditAction.ALARM,
            administration=envelope.administration,
            actor=standing.signed.user,
            role=standing.role,
            object=str(envelope.id),
            case=envelope.case,
            outcome="envelope-rejected",
            detail={"cause": str(fault.__cause__ or "")},
        )
        await self._store.commit(Work(entries=(entry,)))


def _absent() -> NotFoundError:
    """One answer for what is not there, not delivered yet, and not the caller's."""
    return NotFoundError("no such envelope", swedish="Meddelandet finns inte, eller är inte ert.")
