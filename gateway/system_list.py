"""What a case system finds at its message service: its list, one message, and what it lets go (ADR-0009, B1.4.2).

Why this exists: a list opens nothing, fetching opens as everybody opens (membership, ceiling, decision, log, receipt),
and a deletion is of the client's own list: what lies in an inbox is a received document (TF 2 kap. 9 §), and members
see it until it is disposed of.

Rule: a message that the system may not open is none: absent and above the ceiling are one answer.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.audit import AuditAction, Auditor
from gateway.cases import Cases
from gateway.ceilings import within_ceiling
from gateway.decide import AccessAction
from gateway.directory import Directory, Snapshot
from gateway.errors import ConflictError
from gateway.forms import Form, FormCatalogue
from gateway.members import Members
from gateway.model.base import DAY, EnvelopeId, Instant
from gateway.model.path import Case, Delivery, Envelope, InboxItem, Message
from gateway.model.systems import SystemMessage, SystemThread
from gateway.opening import Opening
from gateway.ports import AttachmentKey, Change, Clock, Cursor, Insert, Store, Update, Vault, Work
from gateway.rights import Rights, Standing
from gateway.sessions import Signed
from gateway.states import DeliveryState
from gateway.system_places import Place, absent, in_scope, place_of, sealed_context
from gateway.system_post import wrong

#: What a list reaches back: a service may clear its list by a rule of its own (B1.4.2 §3); members see it all the same.
LISTED_FOR: Final = 30 * DAY
PAGE: Final = 200
MOST_PAGES: Final = 5
ARRIVED: Final = frozenset({DeliveryState.DELIVERED, DeliveryState.OPENED})
ENDED: Final = frozenset({DeliveryState.FAILED, DeliveryState.EXPIRED, DeliveryState.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A message as a list shows it: nothing was opened. `said` is set for what the client sent itself."""

    id: str
    sent: bool
    conversation: str
    replies_to: str
    title: str  # of the form
    reference: str  # of the case
    sender: Place
    recipient: Place
    at: Instant
    state: DeliveryState
    reason: str = ""
    said: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A message with what it says, when it is one that was received."""

    listed: Listed
    form: Form | None = None
    body: Mapping[str, object] = field(default_factory=dict)
    files: Sequence[tuple[AttachmentKey, AsyncIterator[bytes]]] = ()


class SystemList:
    """The acts of a system on what it can see. The caller has authenticated it and checked the token's operations."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        directory: Directory,
        rights: Rights,
        members: Members,
        cases: Cases,
        opening: Opening,
        forms: FormCatalogue,
        auditor: Auditor,
        clock: Clock,
    ) -> None:
        self._store = store
        self._vault = vault
        self._directory = directory
        self._rights = rights
        self._members = members
        self._cases = cases
        self._opening = opening
        self._forms = forms
        self._auditor = auditor
        self._clock = clock

    async def listed(self, signed: Signed) -> list[Listed]:
        """What lies in its inboxes and it may open, and what it sent and has not let go: newest first, nothing opened.

        Of each, what is not older than 30 days, at most 200; what was let go makes room for what is older.
        """
        directory = await self._directory.current()
        found: list[Listed] = []
        for row in await self._store.system_messages(signed.user.id, limit=PAGE):
            if in_scope(signed, row.inbox):
                found.append(await self._own(signed, directory, row))
        for membership in await self._members.inboxes_of(signed.user):
            if in_scope(signed, membership.inbox):
                standing = await self._rights.act(signed, membership.inbox, AccessAction.LIST_INBOX)
                found += await self._received(signed, standing)
        return sorted(found, key=lambda one: (-one.at, one.id))

    async def fetch(self, signed: Signed, identifier: str) -> Fetched:
        """One message: what it sent as it stands, what it received as it says, opened and logged as for everybody.

        Raises:
            NotFoundError: no such message, let go, not yours, or above the ceiling.
            TooManyAttemptsError: more openings than the pace allows.
            and what `Opening.open` raises.
        """
        row = await self._store.get(SystemMessage, signed.user.id, identifier)
        directory = await self._directory.current()
        if row is not None and row.sent and not row.gone and in_scope(signed, row.inbox):
            return Fetched(listed=await self._own(signed, directory, row))
        standing, item = await self._item(signed, row, identifier)
        opened = await self._opening.open(signed, item.envelope)
        threads = await self._threads(signed, [item])
        listed = self._listed(standing, item, threads)
        return Fetched(
            listed=dataclasses.replace(listed, replies_to=await self._replies(signed, item)),
            form=self._forms.get(item.form_type, item.form_version),
            body=opened.opened.body,
            files=[
                await self._opening.attachment(signed, item.envelope, file.id) for file in opened.opened.attachments
            ],
        )

    async def let_go(self, signed: Signed, identifier: str) -> None:
        """Take a message off this system's own list. In the inbox it stays, for members and the registrator.

        Raises:
            NotFoundError: as `fetch`.
            InvalidFormError: one that it sent, whose delivery has not ended.
        """
        row = await self._store.get(SystemMessage, signed.user.id, identifier)
        if row is not None and row.sent and not row.gone and in_scope(signed, row.inbox):
            listed = await self._own(signed, await self._directory.current(), row)
            if listed.state not in ARRIVED | ENDED:
                raise wrong("messageStatus", "Meddelandet är på väg. Det kan tas bort när det har kommit fram.")
            inbox = row.inbox
            change: Change = Update(dataclasses.replace(row, gone=True, version=row.version + 1))
        else:
            standing, item = await self._item(signed, row, identifier)
            inbox = standing.inbox.id
            gone = SystemMessage(
                administration=standing.inbox.administration,
                user=signed.user.id,
                id=identifier,
                inbox=inbox,
                message=item.message,
                envelope=item.envelope,
                sent=False,
                gone=True,
                created_at=self._clock.now(),
            )
            change = Insert(gone)
        entry = await self._auditor.entry(
            AuditAction.SYSTEM_LET_GO,
            administration=signed.user.administration,
            actor=signed.user,
            role=signed.role,
            object=identifier,
            case=None,
            outcome="done",
            detail={"inbox": inbox},
        )
        try:
            await self._store.commit(Work(changes=(change,), entries=(entry,)))
        except ConflictError:
            return  # let go twice in one moment

    async def _received(self, signed: Signed, standing: Standing) -> list[Listed]:
        since = self._clock.now() - LISTED_FOR
        waiting: list[InboxItem] = []
        after = None
        for _ in range(MOST_PAGES):
            page = await self._store.inbox_page(standing.inbox.id, after=after, limit=PAGE)
            recent = [item for item in page if item.delivered_at >= since]
            keys = [(signed.user.id, item.envelope) for item in recent]
            gone = {row.envelope for row in await self._store.get_many(SystemMessage, keys)}
            waiting += [
                item
                for item in recent
                if item.envelope not in gone
                and within_ceiling(standing, self._forms, item.form_type, item.form_version)
            ]
            if len(recent) < PAGE:
                break
            after = Cursor(page[-1].delivered_at, page[-1].delivery)
        waiting = waiting[-PAGE:]  # the oldest: each that is let go makes room for a newer one
        threads = await self._threads(signed, waiting)
        return [self._listed(standing, item, threads) for item in waiting]

    async def _item(self, signed: Signed, row: SystemMessage | None, identifier: str) -> tuple[Standing, InboxItem]:
        """A received message that this system may open, by its envelope."""
        envelope = await self._store.get(Envelope, EnvelopeId(identifier))
        message = await self._store.get(Message, envelope.message) if envelope else None
        if row is not None or envelope is None or message is None or envelope.sender_copy:
            raise absent()
        if not in_scope(signed, envelope.inbox):
            raise absent()
        standing = await self._rights.act(signed, envelope.inbox, AccessAction.READ, absent=absent())
        deliveries = [row for row in await self._store.deliveries_of(message.id) if row.envelope == envelope.id]
        arrived = next((row for row in deliveries if row.state in ARRIVED and row.delivered_at), None)
        if arrived is None or arrived.delivered_at is None:
            raise absent()
        if not within_ceiling(standing, self._forms, message.form_type, message.form_version):
            raise absent()
        case = await self._cases.find(envelope.inbox, envelope.case)
        return standing, InboxItem(
            envelope=envelope.id,
            message=message.id,
            case=case.id,
            case_reference=case.reference,
            form_type=message.form_type,
            form_version=message.form_version,
            sender=message.sender,
            sender_administration=message.administration,
            inbox=envelope.inbox,
            delivery=arrived.id,
            state=arrived.state,
            delivered_at=arrived.delivered_at,
        )

    def _listed(self, standing: Standing, item: InboxItem, threads: Mapping[str, str]) -> Listed:
        directory = standing.directory
        here = place_of(directory, standing.inbox, standing.inbox)
        there = place_of(directory, directory.inbox(item.sender), standing.inbox)
        return Listed(
            id=item.envelope,
            sent=False,
            conversation=threads.get(f"case:{item.case}", item.case),
            replies_to="",
            title=self._forms.get(item.form_type, item.form_version).title,
            reference=item.case_reference,
            sender=there,
            recipient=here,
            at=item.delivered_at,
            state=item.state,
        )

    async def _threads(self, signed: Signed, items: Sequence[InboxItem]) -> dict[str, str]:
        keys = [(signed.user.id, f"case:{case}") for case in {item.case for item in items}]
        return {row.name: row.value for row in await self._store.get_many(SystemThread, keys)}

    async def _replies(self, signed: Signed, item: InboxItem) -> str:
        """What the client calls the message that this one answers; empty when it does not know it."""
        message = await self._store.get(Message, item.message)
        answered = message.in_reply_to if message else None
        if answered is None:
            return ""
        for row in await self._store.system_messages(signed.user.id, limit=PAGE):
            if row.message == answered:
                return row.id
        here = (one for one in await self._store.envelopes_of(answered) if one.inbox == item.inbox)
        return next((str(one.id) for one in here if not one.sender_copy), "")

    async def _own(self, signed: Signed, directory: Snapshot, row: SystemMessage) -> Listed:
        """A message that the system sent, with how far it has come."""
        deliveries = [one for one in await self._store.deliveries_of(row.message) if one.envelope == row.envelope]
        message = await self._store.get(Message, row.message)
        case = await self._store.get(Case, message.case) if message else None
        if message is None or case is None or not deliveries:
            raise absent()
        sender = directory.inbox(row.inbox)
        context = sealed_context(signed.user.id, row.id)
        said = json.loads(await self._vault.open_field(row.administration, context, row.sealed))
        delivery = _furthest(deliveries)
        return Listed(
            id=row.id,
            sent=True,
            conversation=str(said.get("conversationId", "")),
            replies_to=str(said.get("refToMessageId", "")),
            title=self._forms.get(message.form_type, message.form_version).title,
            reference=case.reference,
            sender=place_of(directory, sender, sender),
            recipient=place_of(directory, directory.inbox(delivery.inbox), sender),
            at=row.created_at,
            state=delivery.state,
            reason=delivery.reason,
            said=said,
        )


def _furthest(deliveries: Sequence[Delivery]) -> Delivery:
    """The delivery that tells how far an envelope has come, of the ways that were tried: the best, then the newest."""
    return max(deliveries, key=lambda one: (one.state in ARRIVED, one.state not in ENDED, one.changed_at))
