"""Announcements: what a party outside must know of a case, told without content (docs/channels.md §2.4).

Why this exists: a withdrawal looks forward, and whoever rests disclosures on a consent must know that it ended. Inside
the gateway its rows say so at once; outside they say nothing until we do. So each such notice goes out as a small
message on the way the party is reached by, and counts as told only when the neighbour has taken it.

Rules: kind, case name and id, nothing else; the case must already be known to the party; told at least once, with
the notice's own id, so that twice is once.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from typing import Any, Final

import structlog

from gateway.audit import AuditAction, Auditor
from gateway.channels import HAND_OVER_S, Channels
from gateway.directory import Directory, Snapshot
from gateway.errors import ConflictError, GatewayError, StoreUnavailableError
from gateway.forms import FormCatalogue
from gateway.forms.names import NOTICE
from gateway.integrity import Integrity
from gateway.model.base import DAY, EnvelopeId, MessageId
from gateway.model.carrying import BY_HAND, HandOver
from gateway.model.classes import Stage
from gateway.model.directory import Inbox
from gateway.model.path import Case, Channel, Conversation, Notice, SeatAnswer
from gateway.neighbours import Parcel, Telling
from gateway.parcels import form_data
from gateway.ports import Clock, Insert, Store, Update, Work
from gateway.states import HandOverState
from gateway.unforeseen import Strikes

FORM: Final = (NOTICE, 1)
BATCH: Final = 50
#: A party that no machine could tell within this time is told by a person: whoever rests on a consent must know.
TOLD_WITHIN: Final = DAY
#: What is told outside; every other notice is for our own pages and members.
TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    "consent_withdrawn": (
        "CONSENT_WITHDRAWN",
        "Samtycket i ärendet har återkallats. Lämna inte ut något nytt med stöd av det. "
        "Det som ni redan har öppnat påverkas inte.",
    ),
    "answer_disagreed": (
        "ANSWER_DISAGREED",
        "Den andra parten i remissgruppen delar inte förslaget till svar. Det tas upp på nästa möte.",
    ),
    "recall_requested": (
        "RECALL_REQUESTED",
        "Avsändaren begär tillbaka ett meddelande i ärendet. Öppna det inte. Er registrator avgör vad som händer.",
    ),
}
log = structlog.get_logger()


class Announcements:
    """The worker that tells parties outside, or has a person tell them (docs/channels.md §2.6)."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        forms: FormCatalogue,
        channels: Channels,
        integrity: Integrity,
        auditor: Auditor,
        clock: Clock,
    ) -> None:
        self._store = store
        self._directory = directory
        self._forms = forms
        self._channels = channels
        self._integrity = integrity
        self._auditor = auditor
        self._clock = clock
        self._strikes = Strikes()

    async def run_once(self) -> int:
        """Tell what waits; returns how many notices were settled."""
        directory = await self._directory.current()
        settled = 0
        for inbox in directory.inboxes.values():
            if not directory.is_outside(inbox):
                continue
            for notice in await self._store.notices_waiting(inbox.id, limit=BATCH):
                try:
                    settled += await self._tell(directory, inbox, notice)
                except StoreUnavailableError:
                    raise
                except GatewayError as trouble:  # of this notice: the others are told
                    log.warning("a notice waits", notice=notice.id, code=trouble.code)
        return settled

    async def _tell(self, directory: Snapshot, inbox: Inbox, notice: Notice) -> bool:
        if notice.kind not in TEXTS:
            return await self._settled(notice, "not-for-outside")
        parcel = await self._parcel(directory, inbox, notice)
        if parcel is None:
            return await self._settled(notice, "unknown-there")
        ways = [route for route in directory.ways_to(inbox.id) if route.channel not in BY_HAND]
        carried = any(route.channel in self._channels.neighbours for route in ways)
        if not carried or notice.created_at + TOLD_WITHIN <= self._clock.now():
            return await self._by_hand(directory, inbox, notice)
        for route in ways:
            neighbour = self._channels.neighbours.get(route.channel)
            if neighbour is None or not self._channels.circuit(route.channel).closed(self._clock.now()):
                continue
            try:
                async with asyncio.timeout(HAND_OVER_S):
                    told = await neighbour.hand_over(dataclasses.replace(parcel, address=route.address, pin=route.pin))
            except TimeoutError:
                continue
            except Exception as bug:  # it becomes a person's in the end (gateway/unforeseen.py)
                self._strikes.last(notice.id, bug)
                continue
            if told.telling in (Telling.DELIVERED, Telling.IN_TRANSIT):
                return await self._settled(notice, f"told-{route.channel}")
        log.warning("a party outside could not be told yet", notice=notice.id, kind=notice.kind)
        return False

    async def refused(self, notice: Notice) -> None:
        """A party that was thought told has refused: somebody here tells it by voice or letter."""
        directory = await self._directory.current()
        inbox = directory.inboxes.get(notice.inbox)
        if inbox is not None:
            await self._by_hand(directory, inbox, notice)

    async def _by_hand(self, directory: Snapshot, inbox: Inbox, notice: Notice) -> bool:
        """Make it work for a person of the inbox that speaks in the case: told when that person says so."""
        case = await self._store.get(Case, notice.case)
        sender = await self._speaker(directory, case, notice) if case is not None else None
        if case is None or sender is None:
            return await self._settled(notice, "unknown-there")
        to_say = HandOver(
            administration=sender.administration,
            id=notice.id,
            inbox=sender.id,
            party=inbox.id,
            case=case.id,
            channel=Channel.HANDOVER,
            what=notice.kind,
            state=HandOverState.WAITING,
            created_at=self._clock.now(),
        )
        return await self._settled(notice, "by-hand", state="by_hand", also=Insert(await self._integrity.sign(to_say)))

    async def _parcel(self, directory: Snapshot, inbox: Inbox, notice: Notice) -> Parcel | None:
        """The notice as a parcel; None when the party was never spoken to in this case."""
        case = await self._store.get(Case, notice.case)
        known = [row for row in await self._store.conversations_of(notice.case) if row.party == inbox.id]
        if case is None or not known:
            return None
        sender = await self._speaker(directory, case, notice)
        if sender is None:
            return None
        return _parcel(self._forms, directory, sender, inbox, case, known[0], notice)

    async def _speaker(self, directory: Snapshot, case: Case, notice: Notice) -> Inbox | None:
        """Who tells: the seat that disagrees, the case's own inbox, or one of ours in a case of somebody else's."""
        if notice.kind == "answer_disagreed":
            answer = await self._store.get(SeatAnswer, notice.about)
            return directory.inbox(answer.confirmer) if answer is not None else None
        owner = directory.inbox(case.owner)
        if not directory.is_outside(owner):
            return owner
        parties = [directory.inboxes.get(row.inbox) for row in await self._store.parties_of(case.id)]
        return next((one for one in parties if one is not None and not directory.is_outside(one)), None)

    async def _settled(self, notice: Notice, outcome: str, *, state: str = "told", also: Insert | None = None) -> bool:
        entry = await self._auditor.entry(
            AuditAction.ANNOUNCED,
            administration=notice.administration,
            actor=None,
            role="worker",
            object=notice.id,
            case=notice.case,
            outcome=outcome,
            detail={"kind": notice.kind},
        )
        told = dataclasses.replace(notice, state=state, version=notice.version + 1)
        changes = (Update(told), also) if also is not None else (Update(told),)
        try:
            await self._store.commit(Work(changes=changes, entries=(entry,)))
        except ConflictError:
            return False  # another worker told it in the same moment: the neighbour knows it by its id
        return True


def _parcel(
    forms: FormCatalogue,
    directory: Snapshot,
    sender: Inbox,
    recipient: Inbox,
    case: Case,
    conversation: Conversation,
    notice: Notice,
) -> Parcel:
    kind, text = TEXTS[notice.kind]
    fields: dict[str, Any] = {"kind": kind, "text": text}
    if notice.about:
        fields["about"] = notice.about
    body: dict[str, Any] = {
        "stage": str(Stage.S1),
        "fields": fields,
        "held_back": [],
        "attachments_held_back": 0,
        "basis": [],
    }
    own = next((route for route in directory.ways_to(sender.id) if route.channel is conversation.channel), None)
    return Parcel(
        id=EnvelopeId(notice.id),
        message=MessageId(notice.id),
        sender=sender,
        sender_address=own.address if own else "",
        recipient=recipient,
        address="",
        pin="",
        conversation=conversation.id,
        replies_to="",
        case_reference=case.reference,
        form=forms.get(*FORM),
        body=body,
        data=form_data(MessageId(notice.id), case.reference, *FORM, body),
        created=notice.created_at,
    )
