"""Answering from a shared inbox: the acts of `answers` and `sending`, behind the collision guard.

Why this exists: between opening a form and pressing its button a colleague may have answered. So each act here takes
what the writer had seen and an idempotency key made when the form was: pressed twice it is done once, and something
newer is told before anything leaves. Afterwards those who watch the inbox are told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from gateway.answers import FORM, Answers
from gateway.compose import validate
from gateway.consents import STOCKHOLM
from gateway.decide import AccessAction
from gateway.errors import FieldError, InvalidFormError, NotFoundError
from gateway.forms import FormCatalogue
from gateway.forms.names import MESSAGE
from gateway.guard import Guard
from gateway.model.base import EnvelopeId, InboxId
from gateway.model.identity import MembershipRole
from gateway.model.path import SeatAnswer
from gateway.model.queue import Task
from gateway.ports import Clock, Store
from gateway.presence import Presence
from gateway.queue import scope_of
from gateway.rights import Rights, Standing
from gateway.sending import Sending, Submission
from gateway.sessions import Signed
from gateway.sheets import MAX_NOTE
from gateway.states import AnswerState
from gateway.store import Accepted


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What comes with every answer: the key of its form, and the mark of what the writer had seen."""

    key: str
    seen: str


class Replies:
    """Propose, confirm, disagree, write."""

    def __init__(
        self,
        store: Store,
        rights: Rights,
        answers: Answers,
        sending: Sending,
        forms: FormCatalogue,
        guard: Guard,
        presence: Presence,
        clock: Clock,
    ) -> None:
        self._store = store
        self._rights = rights
        self._answers = answers
        self._sending = sending
        self._forms = forms
        self._guard = guard
        self._presence = presence
        self._clock = clock

    async def propose(
        self,
        signed: Signed,
        inbox: InboxId,
        envelope: EnvelopeId,
        values: Mapping[str, Any],
        written: Written,
        *,
        deputy_reason: str = "",
    ) -> Accepted:
        """Propose an answer to the referral in `envelope`; whether a deputy answers is known and not asked.

        Raises:
            InvalidFormError: every fault at once, a deputy's missing reason among them.
            NewerError: something happened that the writer had not seen.
            and what `Answers.propose` raises.
        """
        standing, task = await self._task(signed, inbox, envelope, AccessAction.PROPOSE_ANSWER)
        deputy = standing.membership.role is MembershipRole.DEPUTY
        whole = {**values, "deputy_used": deputy}
        self._whole(whole, deputy, deputy_reason)
        await self._check(standing, task, written, answering=True)
        done = await self._answers.propose(
            signed, inbox, task.message, whole, idempotency_key=written.key, deputy_reason=deputy_reason
        )
        self._told(standing, task)
        return done

    async def confirm(
        self, signed: Signed, inbox: InboxId, envelope: EnvelopeId, written: Written, *, deputy_reason: str = ""
    ) -> Accepted:
        """Confirm the proposal in `envelope`: the answer goes to whoever asked.

        Raises:
            InvalidFormError: a deputy without a reason.
            NewerError: something happened that the writer had not seen.
            and what `Answers.confirm` raises.
        """
        standing, task = await self._task(signed, inbox, envelope, AccessAction.CONFIRM_ANSWER)
        if faults := _reason_faults(standing.membership.role is MembershipRole.DEPUTY, deputy_reason):
            raise _invalid(faults)
        await self._check(standing, task, written, answering=True)
        done = await self._answers.confirm(
            signed, inbox, task.message, idempotency_key=written.key, deputy_reason=deputy_reason
        )
        self._told(standing, task)
        return done

    async def disagree(self, signed: Signed, inbox: InboxId, envelope: EnvelopeId) -> SeatAnswer:
        """Say no to the proposal in `envelope`; a second press is answered as the first."""
        standing, task = await self._task(signed, inbox, envelope, AccessAction.CONFIRM_ANSWER)
        known = await self._store.get(SeatAnswer, task.message)
        if known and (known.state, known.decided_by) == (AnswerState.DISAGREED, signed.user.id):
            return known
        done = await self._answers.disagree(signed, inbox, task.message)
        self._told(standing, task)
        return done

    async def write(
        self,
        signed: Signed,
        inbox: InboxId,
        envelope: EnvelopeId,
        values: Mapping[str, Any],
        recipients: Sequence[str],
        written: Written,
    ) -> Accepted:
        """Send a message in the matter of `envelope`, as an answer to it.

        Raises:
            InvalidFormError, RecipientError, RefusedError: as for any sending.
            NewerError: something happened that the writer had not seen.
        """
        standing, task = await self._task(signed, inbox, envelope, AccessAction.WORK_TASK)
        form = self._forms.get(MESSAGE, 1)
        faults: list[FieldError] = []
        try:
            validate(form, values, today=self._today())
        except InvalidFormError as invalid:
            faults += invalid.faults
        if not recipients:
            faults.insert(0, FieldError("/recipients", "missing", "Välj minst en mottagare."))
        if faults:
            raise _invalid(faults)
        await self._check(standing, task, written, answering=False)
        submission = Submission(
            case=task.case,
            form_type=form.id,
            form_version=form.version,
            values=values,
            recipients=tuple(recipients),
            in_reply_to=task.message,
        )
        done = await self._sending.send(signed, inbox, submission, idempotency_key=written.key)
        self._told(standing, task)
        return done

    async def _task(
        self, signed: Signed, inbox: InboxId, envelope: EnvelopeId, action: AccessAction
    ) -> tuple[Standing, Task]:
        standing = await self._rights.act(signed, inbox, action)
        task = await self._store.get(Task, envelope)
        if task is None or task.inbox != inbox:
            raise NotFoundError("no such item", swedish="Meddelandet finns inte, eller är inte ert.")
        return standing, task

    async def _check(self, standing: Standing, task: Task, written: Written, *, answering: bool) -> None:
        await self._guard.check(standing, task, written.seen, key=written.key, answering=answering)

    def _whole(self, values: Mapping[str, Any], deputy: bool, reason: str) -> None:
        faults: list[FieldError] = []
        try:
            validate(self._forms.get(*FORM), values, today=self._today())
        except InvalidFormError as invalid:
            faults += invalid.faults
        faults += _reason_faults(deputy, reason)
        if faults:
            raise _invalid(faults)

    def _today(self) -> date:
        return datetime.fromtimestamp(self._clock.now() / 1_000_000, STOCKHOLM).date()

    def _told(self, standing: Standing, task: Task) -> None:
        scope = scope_of(standing.directory, standing.inbox)
        self._presence.left(scope, standing.signed.user.id, task.message)
        self._presence.changed(scope)


def _reason_faults(deputy: bool, reason: str) -> list[FieldError]:
    if deputy and not reason.strip():
        text = "Skriv varför du svarar i stället för den ordinarie (frånvaro, jäv eller brådska)."
        return [FieldError("/deputy_reason", "missing", text)]
    if deputy and len(reason.strip()) > MAX_NOTE:
        return [FieldError("/deputy_reason", "too_long", f"Korta skälet till högst {MAX_NOTE} tecken.")]
    return []


def _invalid(faults: Sequence[FieldError]) -> InvalidFormError:
    return InvalidFormError(
        f"{len(faults)} faults",
        faults,
        swedish=f"Svaret är inte komplett: {len(faults)} att rätta.",
        next_step="Rätta fälten och skicka igen. Inget har skickats.",
    )
