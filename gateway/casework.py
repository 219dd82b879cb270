"""A case worker's own view: which cases, whose turn it is, what was sent and where it is, and the next draft.

Why this exists: a state says what has happened; somebody who has ten minutes needs to know who acts next. The turn is
worked out here from states, deliveries and answers, never stored, so it cannot be wrong for long. And what was written
once is not written again: a completion and stage 2 begin from the sender's own copy, whose opening is logged.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from gateway.attachments import Attachments
from gateway.casefile import (
    Address,
    CaseFile,
    CaseLine,
    CaseList,
    Desk,
    Entry,
    Leg,
    Place,
    Progress,
    Turn,
    Why,
)
from gateway.cases import Cases, CaseView
from gateway.compose import faults_of
from gateway.consents import STOCKHOLM
from gateway.decide import AccessAction
from gateway.directory import Directory, Snapshot
from gateway.drafts import Drafts, unsent
from gateway.errors import FieldError, NotFoundError
from gateway.forms import FormCatalogue
from gateway.forms.names import ANSWER, MESSAGE, REFERRAL
from gateway.members import Members
from gateway.model.base import DAY, CaseId, DraftId, EnvelopeId, InboxId
from gateway.model.classes import Category
from gateway.model.directory import InboxKind
from gateway.model.identity import MembershipState
from gateway.model.path import Case, CaseParty, Delivery, Draft, Message, Reading, ReceiptKind
from gateway.model.queue import Recall, Task
from gateway.neighbours import reason_of
from gateway.opening import Opening
from gateway.ports import Clock, Cursor, Store
from gateway.queue import Queue
from gateway.recipients import choices, organisation_of
from gateway.retries import last_ended, open_until
from gateway.rights import Rights, Standing
from gateway.sessions import Signed
from gateway.states import CaseState, ConsentState, DeliveryState

MOST_CASES: Final = 1000  # looked at for the counts of a list
PAGE: Final = 25
DEAD: Final = frozenset({DeliveryState.CANCELLED, DeliveryState.FAILED, DeliveryState.EXPIRED})


class Casework:
    """The use cases of those who own cases."""

    def __init__(
        self,
        store: Store,
        rights: Rights,
        directory: Directory,
        members: Members,
        cases: Cases,
        drafts: Drafts,
        attachments: Attachments,
        forms: FormCatalogue,
        opening: Opening,
        queue: Queue,
        clock: Clock,
    ) -> None:
        self._store = store
        self._rights = rights
        self._directory = directory
        self._members = members
        self._cases = cases
        self._drafts = drafts
        self._attachments = attachments
        self._forms = forms
        self._opening = opening
        self._queue = queue
        self._clock = clock

    # --- lists -------------------------------------------------------------------------------------------------------

    async def list(
        self, signed: Signed, inbox: InboxId, *, state: CaseState | None = None, after: Cursor | None = None
    ) -> CaseList:
        """A page of the inbox's cases, newest first; at most 1,000 are looked at for the counts."""
        standing = await self._rights.act(signed, inbox, AccessAction.LIST_INBOX)
        may = await self._rights.allowed(standing)
        found = await self._all(inbox)
        counts = {each: sum(case.state is each for case in found) for each in CaseState}
        wanted = [case for case in found if state is None or case.state is state]
        if after is not None:
            wanted = [case for case in wanted if (case.opened_at, case.id) < (after.at, after.id)]
        page = wanted[:PAGE]
        unread = await self._unread(signed, inbox)
        drafts: Sequence[tuple[Draft, str]] = ()
        if AccessAction.WRITE_DRAFT in may:
            names = {case.id: case.reference for case in found}
            drafts = [(row, names.get(row.case, "")) for row in await self._drafts_of(signed, inbox)]
        return CaseList(
            inbox=standing.inbox,
            lines=[
                CaseLine(case=case, progress=await self._progress(standing, case), unread=unread.get(case.id, 0))
                for case in page
            ],
            counts=counts,
            total=len(found),
            drafts=drafts,
            unread=sum(unread.values()),
            may=may,
            next=Cursor(page[-1].opened_at, page[-1].id) if len(wanted) > PAGE else None,
        )

    async def file(self, signed: Signed, case: CaseId) -> CaseFile:
        """The case, in the casework inbox of the reader that takes part in it.

        Raises:
            NotFoundError: no such case, or none of yours.
        """
        standing = await self._standing(signed, case)
        view = await self._cases.view(signed, standing.inbox.id, case)
        may = await self._rights.allowed(standing)
        drafts: builtins.list[Draft] = []
        if AccessAction.WRITE_DRAFT in may:
            drafts = [row for row in await self._drafts_of(signed, standing.inbox.id) if row.case == case]
        entries = [await self._entry(standing, view, message) for message in view.messages]
        return CaseFile(
            inbox=standing.inbox,
            view=view,
            progress=await self._progress(standing, view.case),
            entries=tuple(entries),
            drafts=tuple(drafts),
            may=may,
            directory=standing.directory,
        )

    async def desk(self, signed: Signed, draft: DraftId) -> Desk:
        """A draft to write in; its opening is logged.

        Raises:
            NotFoundError: no such draft in an inbox of yours.
            ConflictError: it was sent.
        """
        opened = await self._drafts.open(signed, draft)
        row = opened.draft
        unsent(row)
        directory = await self._directory.current()
        return Desk(
            draft=row,
            values=opened.values,
            case=await self._cases.find(row.inbox, row.case),
            inbox=directory.inbox(row.inbox),
            form=self._forms.get(row.form_type, row.form_version),
            faults=self.faults(row.form_type, row.form_version, opened.values),
        )

    async def addresses(self, signed: Signed, draft: DraftId) -> Sequence[Address]:
        """Where this draft can go (gateway/recipients.py), who takes part in the case already first in each group."""
        row = await self._drafts.find(signed, draft)
        standing = await self._rights.act(signed, row.inbox, AccessAction.WRITE_DRAFT)
        case = await self._cases.find(row.inbox, row.case)
        directory = standing.directory
        found = choices(directory, row.inbox, row.form_type, case)
        keys = [(case.id, inbox) for one in found if one.group for inbox in one.inboxes]
        known = {party.inbox for party in await self._store.get_many(CaseParty, keys)}
        offered = [
            Address(
                id=one.id,
                name=one.name,
                places=tuple([await self._place(directory, inbox) for inbox in one.inboxes]),
                group=one.group,
                known=not known.isdisjoint(one.inboxes),
            )
            for one in found
        ]
        return sorted(offered, key=lambda one: (one.group, not one.known))

    # --- the next draft ----------------------------------------------------------------------------------------------

    async def refer(self, signed: Signed, case_id: CaseId) -> Draft:
        """The case's referral to write: the one that is begun, or a new one with what is known already.

        Raises:
            StepUpRequiredError: what was sent before is opened for it, and the second factor is too old.
        """
        standing = await self._standing(signed, case_id)
        begun = await self._begun(signed, standing, case_id, REFERRAL)
        if begun is not None:
            return begun
        copy = await self._copy(standing, case_id)
        if copy is None:
            values = _first_words(standing)
            return await self._drafts.create(signed, standing.inbox.id, case_id, REFERRAL, 1, values)
        found = await self._queue.open(signed, copy)
        fields = found.opened.body.get("fields")
        values = dict(fields) if isinstance(fields, Mapping) else {}
        draft = await self._drafts.create(signed, standing.inbox.id, case_id, REFERRAL, 1, values)
        named = found.opened.body.get("categories")
        categories = [Category(str(name)) for name in named] if isinstance(named, list | tuple) else []
        for place, file in enumerate(found.opened.attachments):
            category = categories[place] if place < len(categories) else Category.SOCIAL
            _, pieces = await self._opening.attachment(signed, copy, file.id)
            await self._attachments.add(signed, draft.id, file.name, category, pieces)
        return draft

    async def write(self, signed: Signed, case_id: CaseId) -> Draft:
        """The case's message to write: the one that is begun, or an empty one."""
        standing = await self._standing(signed, case_id)
        begun = await self._begun(signed, standing, case_id, MESSAGE)
        return begun or await self._drafts.create(signed, standing.inbox.id, case_id, MESSAGE, 1, {})

    def faults(self, form_type: str, version: int, values: Mapping[str, Any]) -> Sequence[FieldError]:
        """Everything that would keep these values from being sent."""
        today = datetime.fromtimestamp(self._clock.now() / 1_000_000, STOCKHOLM).date()
        return faults_of(self._forms.get(form_type, version), values, today=today)

    # --- details -----------------------------------------------------------------------------------------------------

    async def _standing(self, signed: Signed, case: CaseId) -> Standing:
        for membership in await self._members.inboxes_of(signed.user):
            if await self._store.get(CaseParty, case, membership.inbox) is None:
                continue
            standing = await self._rights.act(signed, membership.inbox, AccessAction.LIST_INBOX)
            if standing.inbox.kind is InboxKind.CASEWORK:
                return standing
        raise NotFoundError("no such case", swedish="Ärendet finns inte, eller är inte ert.")

    async def _all(self, inbox: InboxId) -> builtins.list[Case]:
        found: builtins.list[Case] = []
        after: Cursor | None = None
        while len(found) < MOST_CASES:
            page = await self._store.cases_of(inbox, after=after, limit=200)
            found += page
            if len(page) < 200:
                break
            after = Cursor(page[-1].opened_at, page[-1].id)
        return found

    async def _drafts_of(self, signed: Signed, inbox: InboxId) -> builtins.list[Draft]:
        found = await self._drafts.list(signed, inbox, after=None, limit=200)
        return [row for row in found if row.sent_as is None]

    async def _begun(self, signed: Signed, standing: Standing, case: CaseId, form_type: str) -> Draft | None:
        found = await self._drafts_of(signed, standing.inbox.id)
        return next((row for row in found if row.case == case and row.form_type == form_type), None)

    async def _unread(self, signed: Signed, inbox: InboxId) -> dict[CaseId, int]:
        items = await self._store.inbox_page(inbox, after=None, limit=200)
        readings = await self._store.get_many(Reading, [(item.envelope, signed.user.id) for item in items])
        read = {row.envelope for row in readings}
        counts: dict[CaseId, int] = {}
        for item in items:
            if item.envelope not in read:
                counts[item.case] = counts.get(item.case, 0) + 1
        return counts

    async def _referrals(self, inbox: InboxId, case: CaseId) -> builtins.list[Message]:
        found = await self._store.messages_of(case, limit=200)
        return [row for row in found if row.form_type == REFERRAL and row.sender == inbox]

    async def _copy(self, standing: Standing, case: CaseId) -> EnvelopeId | None:
        """The own copy of the newest referral that arrived or is on its way; of the newest, when none did."""
        referrals = await self._referrals(standing.inbox.id, case)
        alive = [row for row in referrals if {d.state for d in await self._store.deliveries_of(row.id)} - DEAD]
        for message in [*alive, *referrals][:1]:
            found = await self._store.envelopes_of(message.id)
            return next((row.id for row in found if row.sender_copy and row.inbox == standing.inbox.id), None)
        return None

    async def _progress(self, standing: Standing, case: Case) -> Progress:
        units = standing.directory.units
        unit = units[case.matched_units[0]].name if case.matched_units and case.matched_units[0] in units else ""
        if case.state is CaseState.INVESTIGATING:
            return Progress(turn=Turn.SEND)
        if case.state is CaseState.COMPLETION_REQUESTED:
            return Progress(turn=Turn.COMPLETE)
        if case.state is CaseState.NOT_MATCHED:
            return Progress(turn=Turn.GO_ON)
        newest = next(iter(await self._referrals(standing.inbox.id, case.id)), None)
        deliveries = await self._store.deliveries_of(newest.id) if newest else []
        alive = [row for row in deliveries if row.state not in DEAD]
        if case.state is CaseState.MATCHED:
            sent = case.stage_2_at is not None and bool(alive)
            return Progress(turn=Turn.UNIT if sent else Turn.STAGE_2, unit=unit)
        if not alive:
            return Progress(turn=Turn.SEND_AGAIN)
        tasks = await self._store.get_many(Task, [(row.envelope,) for row in alive])
        due = [task.due_at for task in tasks if task.due_at is not None]
        turn = Turn.ANSWER if case.state is CaseState.RECEIVED else Turn.NOT_OPENED
        return Progress(turn=turn, due_at=min(due) if due else None)

    async def _entry(self, standing: Standing, view: CaseView, message: Message) -> Entry:
        inbox = standing.inbox.id
        mine = message.sender == inbox
        deliveries = [row for row in view.deliveries if row.message == message.id]
        envelope = next((row.envelope for row in deliveries if row.inbox == inbox), None)
        if mine:
            copies = await self._store.envelopes_of(message.id)
            envelope = next((row.id for row in copies if row.sender_copy and row.inbox == inbox), None)
        read = mine
        if envelope is not None and not mine:
            read = await self._store.get(Reading, envelope, standing.signed.user.id) is not None
        sender = standing.directory.inbox(message.sender)
        board = standing.directory.board_of(sender.id) if message.form_type == ANSWER else None
        return Entry(
            message=message,
            sender=sender,
            sender_name=board.name if board else sender.name,
            mine=mine,
            envelope=envelope,
            read=read,
            legs=tuple([await self._leg(standing, view, message, *ways) for ways in _recipients(deliveries)])
            if mine
            else (),
        )

    async def _leg(
        self, standing: Standing, view: CaseView, message: Message, delivery: Delivery, *others: Delivery
    ) -> Leg:
        opened = [r.at for r in view.receipts if r.envelope == delivery.envelope and r.kind is ReceiptKind.OPENED]
        # What the sender itself added to its message answers nothing.
        replies = [
            row.created_at for row in view.messages if row.in_reply_to == message.id and row.sender != message.sender
        ]
        ttl = self._forms.get(message.form_type, message.form_version).ttl_days * DAY
        again = last_ended(view.deliveries, delivery.envelope)
        if open_until(message, ttl) <= self._clock.now():
            again = None
        return Leg(
            delivery=delivery,
            inbox=standing.directory.inbox(delivery.inbox),
            opened_at=min(opened) if opened else None,
            answered_at=min(replies) if replies else None,
            why=await self._why(delivery),
            reason=reason_of(delivery.reason),
            again=again is not None and again.id == delivery.id,
            recall=await self._store.get(Recall, delivery.envelope),
            others=others,
        )

    async def _why(self, delivery: Delivery) -> Why | None:
        if delivery.state is DeliveryState.EXPIRED:
            return Why.EXPIRED
        if delivery.state is DeliveryState.FAILED:
            return Why.REJECTED
        if delivery.state is DeliveryState.CANCELLED:
            consents = await self._store.consents_under(delivery.envelope)
            ended = any(row.state is not ConsentState.GIVEN or row.valid_to <= delivery.changed_at for row in consents)
            return Why.CONSENT if ended else Why.UNDONE
        return None

    async def _place(self, directory: Snapshot, inbox: str) -> Place:
        found = directory.inbox(inbox)
        members = await self._members.members(found.id)
        outside = directory.is_outside(found)
        return Place(
            inbox=found,
            organisation=organisation_of(directory, found),
            readers=sum(row.state is MembershipState.ACTIVE for row in members),
            ways=tuple(route.channel for route in directory.ways_to(found.id)) if outside else (),
            regime=directory.unit_of(found).secrecy_regime,
        )


def _recipients(deliveries: Sequence[Delivery]) -> builtins.list[builtins.list[Delivery]]:
    """The deliveries by recipient, the one that tells how far it has come first: a message that went two ways is one.

    What arrived first stands first, else what is under way, else what ended last.
    """
    found: dict[EnvelopeId, builtins.list[Delivery]] = {}
    for row in deliveries:
        found.setdefault(row.envelope, []).append(row)
    return [
        [main, *sorted((row for row in rows if row is not main), key=lambda row: row.changed_at)]
        for rows in found.values()
        for main in [min(rows, key=_tells)]
    ]


def _tells(row: Delivery) -> tuple[int, int]:
    if row.delivered_at is not None:
        return 0, row.delivered_at
    return (2 if row.state in DEAD else 1), -row.changed_at


def _first_words(standing: Standing) -> dict[str, Any]:
    """What is known before anything is asked. Nothing that moves a place in the order is guessed."""
    return {
        "request_kind": "NEW",
        "placing_board": standing.directory.administration(standing.inbox.administration).name,
        "worker_function": standing.signed.user.title,
        "urgency": "ROUTINE",
        "approved_by": standing.signed.user.title,
    }
