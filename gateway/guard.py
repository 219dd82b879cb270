"""The collision guard: what has happened in a matter since the writer last saw it.

Why this exists: two people must not answer the same referral unknowingly. A form carries what its writer had seen; when
somebody has answered, taken the item or written since then, the writer is told before anything leaves, keeps the text
and chooses (ux.md row 24). It warns; what must not happen is held by the acts themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from gateway.errors import ConflictError
from gateway.model.base import EnvelopeId, InboxId
from gateway.model.identity import User
from gateway.model.path import Envelope, IdempotencyRecord, Message, SeatAnswer
from gateway.model.queue import Claim, Task
from gateway.ports import Store
from gateway.queue import scope_of
from gateway.rights import Standing
from gateway.states import AnswerState, DeliveryState

_SEEN = {DeliveryState.DELIVERED, DeliveryState.OPENED}
MOST_LOOKED_AT = 50


class What(StrEnum):
    """What happened meanwhile."""

    PROPOSED = "proposed"
    CONFIRMED = "confirmed"
    DISAGREED = "disagreed"
    CLAIMED = "claimed"
    WRITTEN = "written"


@dataclass(frozen=True, slots=True)
class Newer:
    """Something that the writer had not seen: what, who (a function or an inbox), and where it can be read."""

    what: What
    who: str
    envelope: EnvelopeId | None = None


class NewerError(ConflictError):
    """Something newer than the writer's page. `blocked`: it cannot be sent anyway, the matter has its answer."""

    code = "newer"

    def __init__(self, newer: Sequence[Newer], *, blocked: bool) -> None:
        super().__init__(
            "something newer exists",
            swedish="Något har hänt i ärendet sedan du öppnade sidan.",
            next_step="Läs det nya och avgör om ditt svar fortfarande stämmer. Inget har skickats.",
        )
        self.newer = tuple(newer)
        self.blocked = blocked


@dataclass(frozen=True, slots=True)
class _Now:
    answer: SeatAnswer | None
    claim: Claim | None  # somebody else's
    message: Message | None

    @property
    def mark(self) -> str:
        answer = f"{self.answer.proposal}.{self.answer.state}" if self.answer else ""
        return "~".join((answer, str(self.claim.user) if self.claim else "", self.message.id if self.message else ""))


class Guard:
    """Makes marks and compares them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def mark(self, standing: Standing, task: Task) -> str:
        """What there is to be seen now, as a short text for a form's hidden field; it holds ids only."""
        return (await self._now(standing, task)).mark

    async def check(self, standing: Standing, task: Task, seen: str, *, key: str, answering: bool) -> None:
        """Refuse when something is newer than `seen`. A request that was answered before passes: it is answered again.

        Raises:
            NewerError: with what is new.
        """
        if key and await self._store.get(IdempotencyRecord, standing.inbox.id, key) is not None:
            return
        now = await self._now(standing, task)
        answer, claim, message = (*seen.split("~"), "", "", "")[:3]
        new: list[Newer] = []
        told = {answer.partition(".")[0]}
        mark = now.mark.split("~")
        if now.answer is not None and mark[0] != answer:
            what = What(str(now.answer.state))
            own = now.answer.proposer if what is What.PROPOSED else now.answer.confirmer
            told |= {str(now.answer.proposal), str(now.answer.answer)}
            where = await self._here(standing, now.answer)
            new.append(Newer(what, standing.directory.inbox(own).name, where))
        if now.claim is not None and mark[1] != claim:
            new.append(Newer(What.CLAIMED, await self._title(now.claim)))
        if now.message is not None and now.message.id != message and now.message.id not in told:
            sender = standing.directory.inbox(now.message.sender)
            new.append(Newer(What.WRITTEN, sender.name, await self._envelope(standing.inbox.id, now.message)))
        if new:
            live = now.answer is not None and now.answer.state is not AnswerState.DISAGREED and mark[0] != answer
            raise NewerError(new, blocked=answering and live)

    async def _now(self, standing: Standing, task: Task) -> _Now:
        inbox = standing.inbox.id
        answers = [row for row in await self._store.answers_of(task.case) if inbox in (row.proposer, row.confirmer)]
        claim = await self._store.get(Claim, scope_of(standing.directory, standing.inbox), task.message)
        return _Now(
            max(answers, key=lambda row: (row.changed_at, row.proposal), default=None),
            claim if claim is not None and claim.user != standing.signed.user.id else None,
            await self._newest(inbox, task),
        )

    async def _newest(self, inbox: InboxId, task: Task) -> Message | None:
        """The newest message of the case that this inbox sent or has received."""
        for message in await self._store.messages_of(task.case, limit=MOST_LOOKED_AT):
            if message.sender == inbox or await self._envelope(inbox, message) is not None:
                return message
        return None

    async def _envelope(self, inbox: InboxId, message: Message) -> EnvelopeId | None:
        if message.sender == inbox:
            return await self._copy(inbox, message)
        for delivery in await self._store.deliveries_of(message.id):
            if delivery.inbox == inbox and delivery.state in _SEEN:
                return delivery.envelope
        return None

    async def _copy(self, inbox: InboxId, message: Message) -> EnvelopeId | None:
        found: list[Envelope] = await self._store.envelopes_of(message.id)
        return next((row.id for row in found if row.inbox == inbox), None)

    async def _here(self, standing: Standing, answer: SeatAnswer) -> EnvelopeId | None:
        message = await self._store.get(Message, answer.answer or answer.proposal)
        return await self._envelope(standing.inbox.id, message) if message else None

    async def _title(self, claim: Claim) -> str:
        found = await self._store.get(User, claim.user)
        return found.title if found else ""
