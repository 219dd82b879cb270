"""Sending: compose, decide, seal, store, in this order; the same way for a referral, a message and a joint answer.

Why this exists: this is the path as a user walks it. Each step stands in its own file; here they are only called one
after the other, so that one can follow a body from the draft to the envelope in one direction.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from gateway import failpoints
from gateway.attachments import Attachments, Stored
from gateway.audit import Auditor
from gateway.cases import Cases
from gateway.compose import present_classes, project, required_classes, validate
from gateway.consents import STOCKHOLM, Consents, shared
from gateway.decide import AccessAction, Addressee, Affirmation, Decider, Decision, SendingAct
from gateway.drafts import Drafts
from gateway.errors import InvalidRequestError, NotFoundError, RecipientError, RefusedError
from gateway.forms import Form, FormCatalogue
from gateway.forms.names import REFERRAL
from gateway.measures import Counted, Step, timed
from gateway.model.base import SECOND, CaseId, DraftId, InboxId, Instant, MessageId
from gateway.model.classes import Purpose, Stage
from gateway.model.directory import Inbox, InboxKind
from gateway.model.keys import KeyHead, KeyRecordKind
from gateway.model.path import Case, Draft
from gateway.ports import UNMEASURED, Change, Clock, Delete, Metrics, Store, Vault
from gateway.rights import Rights, Standing
from gateway.seal import Dispatch, SealedMessage, Sealing, files_for
from gateway.search import marked
from gateway.sessions import Signed
from gateway.states import CaseEvent, CaseState, DeliveryState
from gateway.store import Acceptance, Accepted

MAX_RECIPIENTS: Final = 64
Also = Callable[[SealedMessage], Sequence[Change]]


def nothing_else(_: SealedMessage) -> Sequence[Change]:
    """What most sendings write beside themselves."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a sender hands in: a form's values, whole, and where it shall go (inbox or board ids)."""

    case: CaseId
    form_type: str
    form_version: int
    values: Mapping[str, Any]
    recipients: tuple[str, ...]
    in_reply_to: MessageId | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """The minimum-data view: per recipient what would go, what is held back and why."""

    decision: Decision
    fields: Mapping[InboxId, tuple[str, ...]]
    held_back: Mapping[InboxId, tuple[str, ...]]


class Sending:
    """Send forms and messages."""

    def __init__(
        self,
        store: Store,
        rights: Rights,
        cases: Cases,
        consents: Consents,
        drafts: Drafts,
        attachments: Attachments,
        forms: FormCatalogue,
        decider: Decider,
        vault: Vault,
        sealing: Sealing,
        acceptance: Acceptance,
        auditor: Auditor,
        clock: Clock,
        *,
        metrics: Metrics = UNMEASURED,
    ) -> None:
        self._store = store
        self._rights = rights
        self._cases = cases
        self._consents = consents
        self._drafts = drafts
        self._attachments = attachments
        self._forms = forms
        self._decider = decider
        self._vault = vault
        self._sealing = sealing
        self._acceptance = acceptance
        self._auditor = auditor
        self._clock = clock
        self._metrics = metrics

    async def send_draft(
        self,
        signed: Signed,
        draft_id: DraftId,
        recipients: Sequence[str],
        *,
        idempotency_key: str = "",
        undo_seconds: int = 0,
        in_reply_to: MessageId | None = None,
        also: Also = nothing_else,
    ) -> Accepted:
        """Send a draft with its attachments; the draft goes in the same transaction.

        Raises:
            InvalidFormError, RecipientError, RefusedError, DecisionStaleError: nothing was sent, the draft is kept.
        """
        draft = await self._store.get(Draft, draft_id)
        if draft is None or draft.sent_as is not None:
            # The draft left with the first request: a repeated one is answered from its record.
            return await self._repeated(signed, draft_id, recipients, idempotency_key)
        values = await self._draft_values(signed, draft)
        if values.get("urgency") == "URGENT":
            undo_seconds = 0  # an urgent form does not wait
        submission = Submission(
            case=draft.case,
            form_type=draft.form_type,
            form_version=draft.form_version,
            values=values,
            recipients=tuple(recipients),
            in_reply_to=in_reply_to,
        )
        return await self.send(
            signed,
            draft.inbox,
            submission,
            idempotency_key=idempotency_key,
            undo_seconds=undo_seconds,
            draft=draft,
            also=also,
        )

    async def send(
        self,
        signed: Signed,
        inbox: InboxId,
        submission: Submission,
        *,
        idempotency_key: str = "",
        undo_seconds: int = 0,
        draft: Draft | None = None,
        also: Also = nothing_else,
    ) -> Accepted:
        """Send a form that is whole, from an inbox of yours.

        Args:
            also: what is written with the message, in the transaction that accepts it.
            undo_seconds: how long it can be taken back before it is delivered; 0 for duties and urgent forms.

        Raises:
            InvalidFormError: every fault at once.
            RecipientError: unknown, or does not accept the form.
            RefusedError: secrecy or consent; the refusal is logged.
            DecisionStaleError, ConflictError: something moved; decide again by sending again.
            IdempotencyConflictError: the key was used for something else.
        """
        standing = await self._rights.act(signed, inbox, AccessAction.SEND, form_type=submission.form_type)
        asked = _asked(draft.id if draft else None, submission) if idempotency_key else None
        request = await self._acceptance.request(standing.inbox.administration, idempotency_key, asked)
        repeated = await self._acceptance.answered(inbox, request)
        if repeated is not None:
            return repeated
        case = await self._cases.find(inbox, submission.case)
        attachments = await self._attachments.of_draft(signed, draft.id) if draft else []
        with timed(self._metrics, Step.COMPOSE):
            dispatch = await self._composed(standing, case, submission, attachments)
        failpoints.reached("send.composed")
        decision = await self.decide(standing, dispatch)
        failpoints.reached("send.decided")
        self._taken(dispatch, decision)
        await self._attachments.released(standing, attachments)
        at = self._clock.now()
        with timed(self._metrics, Step.SEAL):
            sealed = await self._sealing.seal(await self._shared(dispatch, decision), decision, at=at)
        return await self._acceptance.accept(
            standing,
            sealed,
            decision,
            case,
            event=await self._event(case, dispatch),
            request=request,
            due_at=Instant(at + undo_seconds * SECOND),
            extra=(
                *await self._leaving(signed, draft, sealed.message.id, submission.values, undo_seconds),
                *await marked(self._store, self._vault, case.administration, case.id, submission.values),
                *also(sealed),
            ),
        )

    async def preview(self, signed: Signed, draft_id: DraftId, recipients: Sequence[str]) -> Preview:
        """What would go to whom, without sending: the same composing and deciding, and nothing stored.

        Raises:
            InvalidFormError, RecipientError: as sending would.
        """
        draft = await self._drafts.find(signed, draft_id)
        standing = await self._rights.act(signed, draft.inbox, AccessAction.SEND, form_type=draft.form_type)
        case = await self._cases.find(draft.inbox, draft.case)
        submission = Submission(
            case=draft.case,
            form_type=draft.form_type,
            form_version=draft.form_version,
            values=await self._drafts.values(signed, draft),
            recipients=tuple(recipients),
        )
        stored = await self._attachments.of_draft(signed, draft.id)
        dispatch = await self._composed(standing, case, submission, stored)
        decision = await self._decided(standing, dispatch)
        fields: dict[InboxId, tuple[str, ...]] = {}
        held: dict[InboxId, tuple[str, ...]] = {}
        for decided in decision.recipients:
            if decided.denied:
                fields[decided.inbox], held[decided.inbox] = (), tuple(submission.values)
                continue
            projection = project(dispatch.form, dispatch.values, decided.stage, decided.permitted)
            fields[decided.inbox] = tuple(projection.values)
            held[decided.inbox] = tuple(name for name in submission.values if name not in projection.values)
        return Preview(decision, fields, held)

    async def decide(self, standing: Standing, dispatch: Dispatch) -> Decision:
        """The decision on a dispatch; a refusal is logged and raised."""
        with timed(self._metrics, Step.DECIDE):
            decision = await self._decided(standing, dispatch)
        for recipient in decision.recipients:
            self._metrics.count(Counted.DECISIONS, recipient.outcome)
        try:
            decision.require_permit()
        except RefusedError:
            await self._acceptance.refused(standing, decision, dispatch.case)
            raise
        return decision

    def _taken(self, dispatch: Dispatch, decision: Decision) -> None:
        """Each recipient gets files that its function takes, or nobody gets anything.

        Raises:
            RecipientError: one does not; nothing was sent, the draft is kept.
        """
        inboxes = {inbox.id: inbox for inbox, _ in dispatch.recipients}
        for decided in decision.recipients:
            files, inbox = files_for(dispatch, decided), inboxes[decided.inbox]
            takes = self._attachments.taken_by(inbox)
            if len(files) > takes.max_files or any(
                file.media_type not in takes.types or file.size > takes.max_bytes for file in files
            ):
                raise RecipientError(
                    f"inbox {inbox.id} does not take the files",
                    swedish=f"{inbox.name} tar inte emot en av bilagorna: fel filtyp, för stor eller för många.",
                    next_step=f"Den tar emot {', '.join(takes.suffixes)}. Byt eller ta bort bilagan. Utkastet är kvar.",
                )

    async def _shared(self, dispatch: Dispatch, decision: Decision) -> Dispatch:
        """With the consents that go along to recipients outside: their own disclosures rest on them (OSL 10:1)."""
        told: dict[InboxId, tuple[Mapping[str, Any], ...]] = {}
        for decided in decision.recipients:
            if decided.inbox in dispatch.ways and decided.consents:
                told[decided.inbox] = tuple(
                    [shared(consent, await self._consents.terms(consent)) for consent in decided.consents]
                )
        return dataclasses.replace(dispatch, shared=told) if told else dispatch

    async def _decided(self, standing: Standing, dispatch: Dispatch) -> Decision:
        form, values = dispatch.form, dispatch.values
        categories = [stored.category for stored in dispatch.attachments]
        stages = {stage for _, stage in dispatch.recipients}
        matched = dispatch.case.matched_units[:1]
        return await self._decider.sending(
            SendingAct(
                sender=dispatch.sender,
                recipients=tuple(
                    Addressee(inbox=inbox, stage=stage, matched=(inbox.unit,) == matched)
                    for inbox, stage in dispatch.recipients
                ),
                form_type=form.id,
                present=present_classes(form, values, max(stages), categories),
                required={stage: required_classes(form, values, stage) for stage in stages},
                purpose=Purpose.PLACEMENT_MATCHING,
                case_state=dispatch.case.state,
                consents=tuple(await self._consents.of_case(dispatch.case.id)),
                affirmation=Affirmation(),
                protected=values.get("protected_identity") == "MARKED",
                facts=standing.facts,
                at=self._clock.now(),
            )
        )

    async def _composed(
        self, standing: Standing, case: Case, submission: Submission, attachments: Sequence[Stored]
    ) -> Dispatch:
        form = self._forms.get(submission.form_type, submission.form_version)
        today = datetime.fromtimestamp(self._clock.now() / 1_000_000, STOCKHOLM).date()
        validate(form, submission.values, today=today)
        if not 1 <= len(submission.recipients) <= MAX_RECIPIENTS:
            raise RecipientError(
                "a message has 1 to 64 recipients",
                swedish="Välj minst en och högst 64 mottagare.",
                next_step="Utkastet är kvar.",
            )
        inboxes = standing.directory.recipients(submission.recipients, form_type=form.id)
        if standing.inbox.id in {inbox.id for inbox in inboxes}:
            raise RecipientError(
                "the sender is among the recipients",
                swedish="Din egen inkorg kan inte vara mottagare: ni får alltid en egen kopia.",
                next_step="Ta bort den bland mottagarna. Utkastet är kvar.",
            )
        ways = standing.directory.ways(inboxes)
        for inbox in inboxes:
            if inbox.id not in ways and await self._store.get(KeyHead, KeyRecordKind.INBOX, inbox.id) is None:
                raise RecipientError(
                    f"inbox {inbox.id} has no members yet",
                    swedish=f"Ingen läser {inbox.name} än: inkorgen saknar medlemmar.",
                    next_step="Välj en annan mottagare, eller kontakta den som sköter adressboken. Utkastet är kvar.",
                )
        return Dispatch(
            sender=standing.inbox,
            case=case,
            form=form,
            values=submission.values,
            recipients=tuple((inbox, _stage(form, inbox)) for inbox in inboxes),
            attachments=tuple(attachments),
            ways=ways,
            in_reply_to=submission.in_reply_to,
        )

    async def _event(self, case: Case, dispatch: Dispatch) -> CaseEvent | None:
        """What sending this does to the case. A board may ask for a completion by message; that is an answer's task."""
        if dispatch.form.id != REFERRAL:
            return None
        kinds = {inbox.kind for inbox, _ in dispatch.recipients}
        if kinds == {InboxKind.UNIT}:
            return CaseEvent.SEND_STAGE_2
        if InboxKind.UNIT in kinds:
            raise InvalidRequestError(
                "a board and a unit in one act",
                swedish="Remissgruppen och ett boende kan inte få blanketten i samma utskick.",
                next_step="Skicka till remissgruppen först. Steg 2 skickas till boendet när det är föreslaget.",
            )
        if case.state is CaseState.INVESTIGATING:
            return CaseEvent.SEND_REQUEST
        return CaseEvent.RESEND if await self._never_arrived(case) else CaseEvent.RESUBMIT

    async def _never_arrived(self, case: Case) -> bool:
        """Whether the case waits for a referral of which no envelope arrived or is on its way."""
        if case.state not in (CaseState.REQUESTED, CaseState.RECEIVED):
            return False
        messages = await self._store.messages_of(case.id, limit=200)
        newest = next((row for row in messages if row.form_type == REFERRAL and row.sender == case.owner), None)
        states = {row.state for row in await self._store.deliveries_of(newest.id)} if newest else set()
        return states <= {DeliveryState.CANCELLED, DeliveryState.FAILED, DeliveryState.EXPIRED}

    async def _leaving(
        self,
        signed: Signed,
        draft: Draft | None,
        message: MessageId,
        values: Mapping[str, Any],
        undo_seconds: int,
    ) -> tuple[Change, ...]:
        """A sent draft is gone, or stands aside while the sending can be undone."""
        if draft is None:
            return ()
        if undo_seconds:
            return (await self._drafts.sent(signed, draft, message, values),)
        return (Delete(Draft, (draft.id,)),)

    async def _draft_values(self, signed: Signed, draft: Draft) -> Mapping[str, Any]:
        await self._drafts.find(signed, draft.id)
        return await self._drafts.values(signed, draft)

    async def _repeated(
        self, signed: Signed, draft_id: DraftId, recipients: Sequence[str], idempotency_key: str
    ) -> Accepted:
        for membership in await self._store.memberships_of(signed.user.id):
            asked = [draft_id, list(recipients)]
            request = await self._acceptance.request(membership.administration, idempotency_key, asked)
            repeated = await self._acceptance.answered(membership.inbox, request)
            if repeated is not None:
                await self._rights.act(signed, membership.inbox, AccessAction.WRITE_DRAFT)
                return repeated
        raise NotFoundError("no such draft", swedish="Utkastet finns inte, eller är inte ert.")


def _asked(draft: DraftId | None, submission: Submission) -> object:
    """The canonical request: a draft by its id (it cannot be sent twice), or the values themselves."""
    if draft is not None:
        return [draft, list(submission.recipients)]
    return {
        "case": submission.case,
        "form_type": submission.form_type,
        "form_version": submission.form_version,
        "values": dict(submission.values),
        "recipients": list(submission.recipients),
        "in_reply_to": submission.in_reply_to,
    }


def _stage(form: Form, inbox: Inbox) -> Stage:
    """A unit is sent stage 2 of a referral; everything else is stage 1. Stage 3 waits for the queue (not yet here)."""
    return Stage.S2 if form.id == REFERRAL and inbox.kind is InboxKind.UNIT else Stage.S1
