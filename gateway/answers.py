"""The joint answer of the remissgrupp: one seat proposes, the other confirms or disagrees, one message leaves.

Why this exists: the board is two authorities, and the answer must be both's. The proposal goes from seat to seat as a
message; confirming signs the same blinded commitment to the same words with the second authority's key; then one
message that bears both signatures goes to the case worker. Disagreement stays between the seats. The answer is a
coordination of a bed, never a decision on assistance (S004 §5.2.1).
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from gateway import failpoints
from gateway.audit import AuditAction, Auditor
from gateway.cases import Cases
from gateway.compose import validate
from gateway.consents import STOCKHOLM
from gateway.decide import AccessAction
from gateway.deputies import Deputies
from gateway.directory import Snapshot
from gateway.errors import ConflictError, NotFoundError, RecipientError
from gateway.forms import FormCatalogue
from gateway.forms.names import ANSWER as BOARD_RESPONSE
from gateway.forms.names import REFERRAL
from gateway.model.base import EnvelopeId, InboxId, Instant, MessageId
from gateway.model.classes import Stage
from gateway.model.directory import Inbox
from gateway.model.path import Case, Envelope, Message, Notice, SeatAnswer
from gateway.model.queue import Task
from gateway.opening import Opening
from gateway.ports import Change, Clock, Insert, Sealer, Store, Update, Work
from gateway.recalls import closed
from gateway.rights import Rights, Standing
from gateway.seal import Dispatch, Sealing
from gateway.sending import Sending
from gateway.sessions import Signed
from gateway.states import ANSWER, CASE, AnswerEvent, AnswerState, CaseEvent, TaskState, step
from gateway.store import Acceptance, Accepted

FORM: Final = (BOARD_RESPONSE, 1)
#: The unit that a result proposes first, and what the answer does to the case.
RESULTS: Final[Mapping[str, tuple[CaseEvent, tuple[str, ...]]]] = {
    "EKELIDEN": (CaseEvent.MATCH, ("ekeliden",)),
    "NOVUS": (CaseEvent.MATCH, ("novus",)),
    "EKELIDEN_THEN_NOVUS": (CaseEvent.MATCH, ("ekeliden", "novus")),
    "NEED_MORE_INFO": (CaseEvent.ASK_COMPLETION, ()),
    "NOT_SUITABLE": (CaseEvent.REFUSE, ()),
}


class Answers:
    """Propose, confirm, disagree."""

    def __init__(
        self,
        store: Store,
        rights: Rights,
        cases: Cases,
        forms: FormCatalogue,
        sending: Sending,
        sealing: Sealing,
        acceptance: Acceptance,
        opening: Opening,
        deputies: Deputies,
        sealer: Sealer,
        auditor: Auditor,
        clock: Clock,
    ) -> None:
        self._store = store
        self._rights = rights
        self._cases = cases
        self._forms = forms
        self._sending = sending
        self._sealing = sealing
        self._acceptance = acceptance
        self._opening = opening
        self._deputies = deputies
        self._sealer = sealer
        self._auditor = auditor
        self._clock = clock

    async def propose(
        self,
        signed: Signed,
        seat: InboxId,
        request: MessageId,
        values: Mapping[str, Any],
        *,
        idempotency_key: str = "",
        deputy_reason: str = "",
    ) -> Accepted:
        """Propose an answer to the other seat of the board. A deputy says why it is not the ordinary member.

        Raises:
            InvalidRequestError: a deputy without a reason.
            InvalidFormError, RefusedError: as for any sending.
            ConflictError: an answer is proposed already, or the case is not waiting for one.
        """
        standing = await self._rights.act(signed, seat, AccessAction.PROPOSE_ANSWER)
        asked = {"propose": request, "values": dict(values)}
        idempotent = await self._acceptance.request(standing.inbox.administration, idempotency_key, asked)
        repeated = await self._acceptance.answered(seat, idempotent)
        if repeated is not None:
            return repeated
        referral, case = await self._request(standing, request)
        other = _other_seat(standing.directory, standing.inbox)
        if any(
            answer.state is not AnswerState.DISAGREED and answer.request == request
            for answer in await self._store.answers_of(case.id)
        ):
            raise ConflictError(
                "an answer is proposed already",
                swedish="Det finns redan ett förslag till svar.",
                next_step="Bekräfta det, eller säg att ni är oense.",
            )
        form = self._forms.get(*FORM)
        today = datetime.fromtimestamp(self._clock.now() / 1_000_000, STOCKHOLM).date()
        validate(form, values, today=today)
        step(CASE, case.state, RESULTS[str(values["result"])][0])  # refuse now what could not be confirmed later
        deputy = await self._deputies.acting(standing, case, deputy_reason)
        document, blind = self._sealer.commit_document(values)
        endorsement = await self._sealer.endorse(standing.inbox.administration, document)
        dispatch = Dispatch(
            sender=standing.inbox,
            case=case,
            form=form,
            values=values,
            recipients=((other, Stage.S1),),
            ways=standing.directory.ways((other,)),
            in_reply_to=referral.id,
            document=document,
            document_blind=blind,
            endorsements=(endorsement,),
            meta={"deciders": [_function(standing)], "kind": "proposal"},
        )
        decision = await self._sending.decide(standing, dispatch)
        at = self._clock.now()
        sealed = await self._sealing.seal(dispatch, decision, at=at)
        row = SeatAnswer(
            administration=standing.inbox.administration,
            proposal=sealed.message.id,
            case=case.id,
            request=referral.id,
            proposer=seat,
            confirmer=other.id,
            state=AnswerState.PROPOSED,
            document=document,
            endorsement=endorsement.signature,
            proposed_by=signed.user.id,
            changed_at=at,
        )
        failpoints.reached("answer.proposed")
        return await self._acceptance.accept(
            standing,
            sealed,
            decision,
            case,
            event=None,
            request=idempotent,
            due_at=at,
            extra=(Insert(row), *deputy),
            action=AuditAction.ANSWER_PROPOSED,
        )

    async def confirm(
        self,
        signed: Signed,
        seat: InboxId,
        proposal: MessageId,
        *,
        idempotency_key: str = "",
        deputy_reason: str = "",
    ) -> Accepted:
        """Confirm the other seat's proposal: one message with both signatures goes to the case worker.

        The proposal is opened (and logged as opened) as the confirming member, so what is signed is what was read.

        Raises:
            StepUpRequiredError: as for opening.
            ConflictError: it was decided already.
            EnvelopeError: the proposal's words are not the ones that were signed; an alarm was raised.
        """
        standing = await self._rights.act(signed, seat, AccessAction.CONFIRM_ANSWER)
        asked = {"confirm": proposal}
        idempotent = await self._acceptance.request(standing.inbox.administration, idempotency_key, asked)
        repeated = await self._acceptance.answered(seat, idempotent)
        if repeated is not None:
            return repeated
        answer = await self._proposed(seat, proposal)
        case = await self._cases.find(seat, answer.case)
        deputy = await self._deputies.acting(standing, case, deputy_reason)
        opened = (await self._opening.open(signed, await self._envelope(proposal, seat))).opened
        values = _fields(opened.body)
        self._sealer.check_document(values, answer.document, opened.document_blind)
        proposer = standing.directory.inbox(answer.proposer)
        endorsements = (
            *opened.endorsements,
            await self._sealer.endorse(standing.inbox.administration, answer.document),
        )
        form = self._forms.get(*FORM)
        owner = standing.directory.inbox(case.owner)
        dispatch = Dispatch(
            sender=standing.inbox,
            case=case,
            form=form,
            values=values,
            recipients=((owner, Stage.S1), (proposer, Stage.S1)),
            ways=standing.directory.ways((owner, proposer)),
            in_reply_to=answer.request,
            document=answer.document,
            document_blind=opened.document_blind,
            endorsements=endorsements,
            meta={
                "deciders": [*_deciders(opened.body), _function(standing)],
                "kind": "answer",
                "statement": form.statement,
                **({"endorsed_outside": opened.body["endorsed_outside"]} if "endorsed_outside" in opened.body else {}),
            },
        )
        decision = await self._sending.decide(standing, dispatch)
        at = self._clock.now()
        sealed = await self._sealing.seal(dispatch, decision, at=at)
        event, units = RESULTS[str(values["result"])]
        confirmed = dataclasses.replace(
            answer,
            state=step(ANSWER, answer.state, AnswerEvent.CONFIRM),
            answer=sealed.message.id,
            decided_by=signed.user.id,
            changed_at=at,
            version=answer.version + 1,
        )
        failpoints.reached("answer.before_commit")
        return await self._acceptance.accept(
            standing,
            sealed,
            decision,
            case,
            event=event,
            matched_units=units,
            request=idempotent,
            due_at=at,
            extra=(Update(confirmed), *deputy, *await self._done(answer, at)),
            action=AuditAction.ANSWER_CONFIRMED,
        )

    async def disagree(self, signed: Signed, seat: InboxId, proposal: MessageId) -> SeatAnswer:
        """Say no to a proposal: it goes to the weekly meeting's agenda, and nothing goes to the case worker."""
        standing = await self._rights.act(signed, seat, AccessAction.CONFIRM_ANSWER)
        answer = await self._proposed(seat, proposal)
        disagreed = dataclasses.replace(
            answer,
            state=step(ANSWER, answer.state, AnswerEvent.DISAGREE),
            decided_by=signed.user.id,
            changed_at=self._clock.now(),
            version=answer.version + 1,
        )
        entry = await self._auditor.entry(
            AuditAction.ANSWER_DISAGREED,
            administration=standing.inbox.administration,
            actor=signed.user,
            role=standing.role,
            object=str(proposal),
            case=answer.case,
            outcome="disagreed",
        )
        done = await self._done(answer, disagreed.changed_at, request=False)
        done += _told_outside(standing, answer, disagreed.changed_at)
        await self._store.commit(Work(expects=standing.facts, changes=(Update(disagreed), *done), entries=(entry,)))
        return disagreed

    async def _done(self, answer: SeatAnswer, at: Instant, *, request: bool = True) -> list[Change]:
        """The tasks that an answer ends: the proposal's, and the referral's at both seats."""
        messages = (answer.proposal, answer.request) if request else (answer.proposal,)
        deliveries = [row for message in messages for row in await self._store.deliveries_of(message)]
        tasks = await self._store.get_many(Task, [(row.envelope,) for row in deliveries])
        return [Update(closed(task, at)) for task in tasks if task.state is TaskState.OPEN]

    async def _request(self, standing: Standing, request: MessageId) -> tuple[Message, Case]:
        """The referral that is answered, which this seat must have received."""
        message = await self._store.get(Message, request)
        if message is None or message.form_type != REFERRAL:
            raise _not_found()
        received = [d for d in await self._store.deliveries_of(request) if d.inbox == standing.inbox.id]
        if not received or received[0].delivered_at is None:
            raise _not_found()
        return message, await self._cases.find(standing.inbox.id, message.case)

    async def _proposed(self, seat: InboxId, proposal: MessageId) -> SeatAnswer:
        answer = await self._store.get(SeatAnswer, proposal)
        if answer is None or answer.confirmer != seat:
            raise _not_found()
        if answer.state is not AnswerState.PROPOSED:
            raise ConflictError(
                "the proposal was decided already",
                swedish="Förslaget är redan avgjort.",
                next_step="Läs om ärendet. Inget har ändrats.",
            )
        return answer

    async def _envelope(self, message: MessageId, inbox: InboxId) -> EnvelopeId:
        found: list[Envelope] = [e for e in await self._store.envelopes_of(message) if e.inbox == inbox]
        if not found:
            raise _not_found()
        return found[0].id


def _other_seat(directory: Snapshot, seat: Inbox) -> Inbox:
    board = directory.board_of(seat.id)
    others = [directory.inbox(found) for found in board.seats if found != seat.id] if board else []
    if len(others) != 1:
        raise RecipientError(
            "a joint answer needs exactly two seats",
            swedish="Den här inkorgen har ingen motpart i remissgruppen.",
            next_step="Kontakta den som sköter adressboken.",
        )
    return others[0]


def _told_outside(standing: Standing, answer: SeatAnswer, at: Instant) -> list[Change]:
    """A seat outside has a record of its own: it is told (gateway.announcements)."""
    proposer = standing.directory.inbox(answer.proposer)
    if not standing.directory.is_outside(proposer):
        return []
    return [
        Insert(
            Notice(
                administration=standing.inbox.administration,
                id=str(uuid.uuid4()),
                inbox=proposer.id,
                kind="answer_disagreed",
                case=answer.case,
                about=answer.proposal,
                created_at=at,
            )
        )
    ]


def _function(standing: Standing) -> str:
    """Who decided, by function: never a name."""
    return f"{standing.inbox.name}: {standing.signed.user.title}"


def _fields(body: Mapping[str, Any]) -> dict[str, Any]:
    fields = body.get("fields")
    return dict(fields) if isinstance(fields, Mapping) else {}


def _deciders(body: Mapping[str, Any]) -> list[str]:
    found = body.get("deciders")
    return [str(item) for item in found] if isinstance(found, list) else []


def _not_found() -> NotFoundError:
    return NotFoundError("no such proposal or referral", swedish="Förslaget finns inte, eller är inte ert.")
