"""Cases: opened by a case worker, found by every inbox that takes part, moved only by the state table.

Why this exists: both sides must be able to name a matter without naming the person. The reference is speakable and
meaningless ("AL-26-014": administration, year, number), and the state is the only thing the seats have in common.
"""

from __future__ import annotations

import dataclasses
import secrets
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.audit import AuditAction, Auditor
from gateway.decide import AccessAction
from gateway.errors import ConflictError, NotFoundError
from gateway.integrity import Integrity
from gateway.model.base import CaseId, InboxId, Instant
from gateway.model.directory import Inbox
from gateway.model.path import Case, CaseParty, Delivery, Message, Receipt, SeatAnswer
from gateway.ports import Change, Clock, Cursor, Insert, Store, Work
from gateway.rights import Rights
from gateway.sessions import Signed
from gateway.states import CASE, CaseEvent, CaseState, step

#: Numbers in references are drawn, not counted: a counter would tell how many cases an authority opens.
REFERENCE_SPACE = 100_000
REFERENCE_TRIES = 20


@dataclass(frozen=True, slots=True)
class CaseView:
    """What an inbox of the case may see without opening anything."""

    case: Case
    parties: tuple[CaseParty, ...]
    messages: tuple[Message, ...]
    deliveries: tuple[Delivery, ...]
    receipts: tuple[Receipt, ...]
    answers: tuple[SeatAnswer, ...]


class Cases:
    """The use cases about cases."""

    def __init__(self, store: Store, rights: Rights, integrity: Integrity, auditor: Auditor, clock: Clock) -> None:
        self._store = store
        self._rights = rights
        self._integrity = integrity
        self._auditor = auditor
        self._clock = clock

    async def open(
        self, signed: Signed, inbox: InboxId, *, also: Callable[[Case], Sequence[Change]] = lambda case: ()
    ) -> Case:
        """Open a case owned by `inbox`: the investigation has begun (SoL 14:2).

        Args:
            also: what is written with it, in the same transaction.

        Raises:
            NotFoundError, ForbiddenError: not a member, or not a case worker.
            ConflictError: no free reference was drawn; try again.
        """
        standing = await self._rights.act(signed, inbox, AccessAction.OPEN_CASE)
        now = self._clock.now()
        for _ in range(REFERENCE_TRIES):
            case = Case(
                administration=standing.inbox.administration,
                id=CaseId(str(uuid.uuid4())),
                reference=drawn_reference(standing.inbox, now),
                owner=standing.inbox.id,
                state=CaseState.INVESTIGATING,
                opened_at=now,
                changed_at=now,
            )
            case = await self._integrity.sign(case)
            party = CaseParty(
                administration=case.administration, case=case.id, inbox=case.owner, since=now, opened_at=now
            )
            entry = await self._auditor.entry(
                AuditAction.CASE_OPENED,
                administration=case.administration,
                actor=signed.user,
                role=standing.role,
                object=case.id,
                case=case.id,
                outcome="done",
            )
            try:
                await self._store.commit(
                    Work(expects=standing.facts, changes=(Insert(case), Insert(party), *also(case)), entries=(entry,))
                )
            except ConflictError:
                continue
            return case
        raise ConflictError(
            "no free case reference was drawn",
            swedish="Det gick inte att ge ärendet ett namn just nu.",
            next_step="Försök igen om en stund. Inget har sparats.",
        )

    async def list(self, signed: Signed, inbox: InboxId, *, after: Cursor | None, limit: int) -> list[Case]:
        """The cases that `inbox` owns or takes part in, newest first."""
        await self._rights.act(signed, inbox, AccessAction.LIST_INBOX)
        return await self._store.cases_of(inbox, after=after, limit=limit)

    async def view(self, signed: Signed, inbox: InboxId, case: CaseId) -> CaseView:
        """The case as `inbox` may see it: the messages that it sent or received, their deliveries and receipts."""
        await self._rights.act(signed, inbox, AccessAction.LIST_INBOX)
        found = await self.find(inbox, case)
        messages: list[Message] = []
        deliveries: list[Delivery] = []
        receipts: list[Receipt] = []
        for message in await self._store.messages_of(case, limit=200):
            sent = message.sender == inbox
            of_message = [d for d in await self._store.deliveries_of(message.id) if sent or d.inbox == inbox]
            if sent or of_message:
                messages.append(message)
                deliveries.extend(of_message)
                visible = {d.envelope for d in of_message}
                receipts.extend(r for r in await self._store.receipts_of(message.id) if r.envelope in visible)
        answers = [a for a in await self._store.answers_of(case) if inbox in (a.proposer, a.confirmer)]
        parties = await self._store.parties_of(case)
        return CaseView(found, tuple(parties), tuple(messages), tuple(deliveries), tuple(receipts), tuple(answers))

    async def find(self, inbox: InboxId, case: CaseId) -> Case:
        """The case, when `inbox` takes part in it. Absent and not yours are one answer.

        Raises:
            IntegrityError: the row was changed past the gateway.
        """
        found = await self._store.get(Case, case)
        if found is None or await self._store.get(CaseParty, case, inbox) is None:
            raise NotFoundError("no such case", swedish="Ärendet finns inte, eller är inte ert.")
        return await self._integrity.check(found)


async def moved(
    integrity: Integrity,
    case: Case,
    event: CaseEvent,
    *,
    at: Instant,
    matched_units: tuple[str, ...] | None = None,
) -> Case:
    """The case after `event`, as the next version, signed again; what was altered is never signed.

    Raises:
        IllegalTransitionError: the state does not allow it.
        IntegrityError: the row was changed past the gateway.
    """
    await integrity.check(case)
    following = dataclasses.replace(
        case,
        state=step(CASE, case.state, event),
        matched_units=case.matched_units if matched_units is None else matched_units,
        stage_2_at=at if event is CaseEvent.SEND_STAGE_2 else None if event is CaseEvent.MATCH else case.stage_2_at,
        before=str(case.state),
        changed_at=at,
        version=case.version + 1,
    )
    return await integrity.sign(following)


def drawn_reference(inbox: Inbox, now: Instant) -> str:
    """A reference for a case of an inbox; whether it is free, the store says."""
    prefix = inbox.administration[:2].upper()
    year = datetime.fromtimestamp(now / 1_000_000, UTC).year % 100
    return f"{prefix}-{year:02d}-{secrets.randbelow(REFERENCE_SPACE):05d}"
