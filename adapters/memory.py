"""A Store, blobs and tiles in memory: the same promises as the SQL stores, for fast tests and examples.

Why this exists: tests may only trust what keeps the contract, so this is real code under the same contract suite
(tests/contracts). It is not durable; nothing else differs: one Work is all or nothing, facts are re-read inside it,
keys are unique, versions grow by one, leaves are numbered without gaps.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import TypeVar, cast

from gateway.errors import ConflictError, DecisionStaleError, IntegrityError, NotFoundError
from gateway.model import ROWS, carrying, directory, identity, keys, log, notices, path, queue, systems
from gateway.model.base import (
    AdministrationId,
    CaseId,
    ConsentId,
    DraftId,
    EnvelopeId,
    Fact,
    InboxId,
    Instant,
    MessageId,
    Row,
    ShredBatchId,
    ShredKeyId,
    UserId,
    VersionedRow,
)
from gateway.ports import Clock, Committed, Cursor, Delete, Insert, QueueSigns, Update, Work
from gateway.states import (
    DELIVERY,
    DeliveryEvent,
    DeliveryState,
    HandOverState,
    HeldState,
    QuarantineState,
    TaskState,
    step,
)

R = TypeVar("R", bound=Row)
Key = tuple[str | int, ...]
#: Columns that are unique beside the key, as in the SQL tables.
UNIQUE: dict[type[Row], tuple[tuple[str, ...], ...]] = {
    identity.User: (("login",),),
    path.Case: (("reference",),),
    keys.KeyRecord: (("kind", "owner", "epoch", "revision"),),
    directory.Route: (("channel", "address"),),
}


def conflict(row: type[Row], why: str) -> ConflictError:
    """The conflict of a Work, without saying which values clashed."""
    return ConflictError(
        f"{row.TABLE}: {why}",
        swedish="Någon annan hann ändra samma sak.",
        next_step="Läs in på nytt och försök igen. Inget av det du skickade har sparats.",
    )


def stale(fact: Fact) -> DecisionStaleError:
    """A fact moved between decision and commit."""
    return DecisionStaleError(
        f"{fact.row.TABLE} moved since the decision",
        swedish="Förutsättningarna ändrades medan du arbetade (till exempel ett samtycke eller en behörighet).",
        next_step="Kontrollera mottagare och samtycke och försök igen. Inget har skickats, utkastet är kvar.",
    )


class MemoryStore:
    """The Store port, in dictionaries."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tables: dict[type[Row], dict[Key, Row]] = {row: {} for row in ROWS}
        self._sizes: dict[str, int] = {}

    # --- writing -----------------------------------------------------------------------------------------------------

    async def until_broken(self) -> None:
        await asyncio.get_running_loop().create_future()  # never

    async def commit(self, work: Work) -> Committed:
        await asyncio.sleep(0)  # a real store yields here, so races in callers show in fast tests as well
        at = self._clock.now()
        for fact in work.expects:
            self._expect(fact, at)
        undo: list[Callable[[], None]] = []
        try:
            for change in work.changes:
                self._apply(change, undo)
            numbers = tuple(self._append(entry, undo) for entry in work.entries)
        except BaseException:
            for action in reversed(undo):
                action()
            raise
        return Committed(at, numbers)

    def _expect(self, fact: Fact, at: Instant) -> None:
        row = cast(VersionedRow | None, self._tables[fact.row].get(fact.key))
        if (row.version if row else 0) != fact.version:
            raise stale(fact)
        if fact.valid_until is not None and fact.valid_until <= at:
            raise stale(fact)

    def _apply(self, change: Insert | Update | Delete, undo: list[Callable[[], None]]) -> None:
        if isinstance(change, Insert):
            self._insert(change.row, undo)
        elif isinstance(change, Update):
            table, key = self._tables[type(change.row)], change.row.key
            before = table.get(key)
            new = cast(VersionedRow, change.row)
            if before is None or cast(VersionedRow, before).version != new.version - 1:
                raise conflict(type(new), "another version stands")
            table[key] = new
            undo.append(lambda: table.__setitem__(key, before))
        else:
            gone_from, gone_key = self._tables[change.row], change.key
            gone = gone_from.pop(gone_key, None)
            if gone is not None:
                undo.append(lambda: gone_from.__setitem__(gone_key, gone))

    def _insert(self, row: Row, undo: list[Callable[[], None]]) -> None:
        table = self._tables[type(row)]
        if row.key in table:
            raise conflict(type(row), "the key exists")
        for columns in UNIQUE.get(type(row), ()):
            values = tuple(getattr(row, column) for column in columns)
            if any(tuple(getattr(other, column) for column in columns) == values for other in table.values()):
                raise conflict(type(row), "a unique value exists")
        table[row.key] = row
        undo.append(lambda: table.__delitem__(row.key))

    def _append(self, entry: log.LogEntry, undo: list[Callable[[], None]]) -> int:
        number = self._sizes.get(entry.log, 0)
        leaf, side = numbered(entry, number)
        self._insert(leaf, undo)
        self._insert(side, undo)
        self._sizes[entry.log] = number + 1
        undo.append(lambda: self._sizes.__setitem__(entry.log, number))
        return number

    async def claim_due(
        self, channel: path.Channel, *, now: Instant, lease_until: Instant, owner: str, limit: int
    ) -> list[path.Delivery]:
        await asyncio.sleep(0)
        due = [
            row
            for row in self._rows(path.Delivery)
            if row.channel is channel and row.state is DeliveryState.QUEUED and row.due_at <= now
        ]
        claimed = [
            dataclasses.replace(
                row,
                state=step(DELIVERY, row.state, DeliveryEvent.CLAIMED),
                lease_until=lease_until,
                lease_owner=owner,
                changed_at=now,
                version=row.version + 1,
            )
            for row in sorted(due, key=lambda row: (row.due_at, row.id))[:limit]
        ]
        for row in claimed:
            self._tables[path.Delivery][row.key] = row
        return claimed

    async def postdated(self, channel: path.Channel, *, after: Instant, limit: int) -> list[path.Delivery]:
        found = [
            row
            for row in self._rows(path.Delivery)
            if row.channel is channel
            and (
                (row.state is DeliveryState.QUEUED and row.due_at > after)
                or (row.state is DeliveryState.ATTEMPTING and row.lease_until is not None and row.lease_until > after)
            )
        ]
        return sorted(found, key=lambda row: (row.due_at, row.id))[:limit]

    async def lapsed_leases(self, *, now: Instant, limit: int) -> list[path.Delivery]:
        lapsed = [
            row
            for row in self._rows(path.Delivery)
            if row.state is DeliveryState.ATTEMPTING and row.lease_until is not None and row.lease_until <= now
        ]
        return sorted(lapsed, key=lambda row: (row.due_at, row.id))[:limit]

    async def in_transit(self, channel: path.Channel, *, now: Instant, limit: int) -> list[path.Delivery]:
        waiting = [
            row
            for row in self._rows(path.Delivery)
            if row.channel is channel and row.state is DeliveryState.IN_TRANSIT and row.due_at <= now
        ]
        return sorted(waiting, key=lambda row: (row.due_at, row.id))[:limit]

    # --- reading -----------------------------------------------------------------------------------------------------

    async def get(self, row: type[R], *key: str | int) -> R | None:
        return cast("R | None", self._tables[row].get(key))

    async def get_many(self, row: type[R], keys: Sequence[Key]) -> list[R]:
        table = self._tables[row]
        return [cast(R, table[key]) for key in keys if key in table]

    def _rows(self, row: type[R]) -> list[R]:
        return cast("list[R]", list(self._tables[row].values()))

    async def organisations(self) -> list[directory.Organisation]:
        return self._rows(directory.Organisation)

    async def administrations(self) -> list[directory.Administration]:
        return self._rows(directory.Administration)

    async def units(self) -> list[directory.Unit]:
        return self._rows(directory.Unit)

    async def inboxes(self) -> list[directory.Inbox]:
        return self._rows(directory.Inbox)

    async def boards(self) -> list[directory.Board]:
        return self._rows(directory.Board)

    async def routes(self) -> list[directory.Route]:
        return self._rows(directory.Route)

    async def conversations_of(self, case: CaseId) -> list[path.Conversation]:
        found = [row for row in self._rows(path.Conversation) if row.case == case]
        return sorted(found, key=lambda row: (row.channel, row.party))

    async def notices_waiting(self, inbox: InboxId, *, limit: int) -> list[path.Notice]:
        found = [row for row in self._rows(path.Notice) if row.inbox == inbox and row.state == "pending"]
        return sorted(found, key=lambda row: (row.created_at, row.id))[:limit]

    async def notice_mails_due(self, *, now: Instant, limit: int) -> list[notices.NoticeMail]:
        queued = notices.NoticeState.QUEUED
        found = [row for row in self._rows(notices.NoticeMail) if row.state is queued and row.due_at <= now]
        return sorted(found, key=lambda row: (row.due_at, row.inbox, row.user))[:limit]

    async def arrivals_of(self, message: MessageId) -> list[path.Arrival]:
        return sorted((row for row in self._rows(path.Arrival) if row.message == message), key=lambda row: row.id)

    async def users(self) -> list[identity.User]:
        return sorted(self._rows(identity.User), key=lambda row: row.id)

    async def user_by_login(self, login: str) -> identity.User | None:
        return next((row for row in self._rows(identity.User) if row.login == login), None)

    async def sessions_of(self, user: UserId) -> list[identity.Session]:
        found = [row for row in self._rows(identity.Session) if row.user == user]
        return sorted(found, key=lambda row: (-row.started_at, row.id))

    async def lapsed_windows(self, *, before: Instant, limit: int) -> list[identity.StepUpWindow]:
        found = [row for row in self._rows(identity.StepUpWindow) if row.ends_at < before]
        return sorted(found, key=lambda row: (row.ends_at, row.session, row.inbox))[:limit]

    async def lapsed_grants(self, *, before: Instant, limit: int) -> list[identity.ActGrant]:
        found = [row for row in self._rows(identity.ActGrant) if row.ends_at < before]
        return sorted(found, key=lambda row: (row.ends_at, row.session, row.act, row.object))[:limit]

    async def memberships_of(self, user: UserId) -> list[identity.Membership]:
        return sorted((row for row in self._rows(identity.Membership) if row.user == user), key=lambda row: row.inbox)

    async def members_of(self, inbox: InboxId) -> list[identity.Membership]:
        return sorted((row for row in self._rows(identity.Membership) if row.inbox == inbox), key=lambda row: row.user)

    async def administration_keys(self, administration: AdministrationId) -> list[keys.AdministrationKey]:
        return [row for row in self._rows(keys.AdministrationKey) if row.administration == administration]

    async def key_records(self, kind: keys.KeyRecordKind, owner: str) -> list[keys.KeyRecord]:
        found = [row for row in self._rows(keys.KeyRecord) if row.kind is kind and row.owner == owner]
        return sorted(found, key=lambda row: (row.epoch, row.revision))

    async def inbox_wraps(self, inbox: InboxId, epoch: int) -> list[keys.InboxWrap]:
        found = [row for row in self._rows(keys.InboxWrap) if row.inbox == inbox and row.epoch == epoch]
        return sorted(found, key=lambda row: row.user)

    async def open_batches(self) -> list[keys.ShredBatch]:
        return [row for row in self._rows(keys.ShredBatch) if row.state is keys.ShredBatchState.OPEN]

    async def shred_keys_in_use(self, batch: ShredBatchId) -> set[ShredKeyId]:
        used = {row.shred_key for row in self._rows(keys.EnvelopeWrap)}
        used |= {row.shred_key for row in self._rows(keys.SideKey)}
        return {key for key in used if key.startswith(f"{batch}.")}

    async def cases_of(self, inbox: InboxId, *, after: Cursor | None, limit: int) -> list[path.Case]:
        mine = {row.case for row in self._rows(path.CaseParty) if row.inbox == inbox}
        return _page([row for row in self._rows(path.Case) if row.id in mine], "opened_at", after, limit)

    async def parties_of(self, case: CaseId) -> list[path.CaseParty]:
        return sorted((row for row in self._rows(path.CaseParty) if row.case == case), key=lambda row: row.inbox)

    async def consents_of(self, case: CaseId) -> list[path.Consent]:
        found = [row for row in self._rows(path.Consent) if row.case == case]
        return sorted(found, key=lambda row: (-row.recorded_at, row.id))

    async def drafts_of(self, inbox: InboxId, *, after: Cursor | None, limit: int) -> list[path.Draft]:
        mine = [row for row in self._rows(path.Draft) if row.inbox == inbox and row.sent_as is None]
        return _page(mine, "created_at", after, limit)

    async def attachments_of(self, draft: DraftId) -> list[path.Attachment]:
        found = [row for row in self._rows(path.Attachment) if row.draft == draft]
        return sorted(found, key=lambda row: (row.created_at, row.id))

    async def inbox_page(self, inbox: InboxId, *, after: Cursor | None, limit: int) -> list[path.InboxItem]:
        items = []
        for delivery in self._rows(path.Delivery):
            if delivery.inbox != inbox or delivery.delivered_at is None:
                continue
            message = cast(path.Message, self._tables[path.Message][(delivery.message,)])
            case = cast(path.Case, self._tables[path.Case][(message.case,)])
            items.append(
                path.InboxItem(
                    delivery.envelope,
                    message.id,
                    case.id,
                    case.reference,
                    message.form_type,
                    message.form_version,
                    message.sender,
                    message.administration,
                    delivery.inbox,
                    delivery.id,
                    delivery.state,
                    delivery.delivered_at,
                )
            )
        items.sort(key=lambda item: (-item.delivered_at, item.delivery))
        if after is not None:
            items = [item for item in items if (-item.delivered_at, item.delivery) > (-after.at, after.id)]
        return items[:limit]

    async def messages_of(self, case: CaseId, *, limit: int) -> list[path.Message]:
        found = [row for row in self._rows(path.Message) if row.case == case]
        return sorted(found, key=lambda row: (-row.created_at, row.id))[:limit]

    async def envelopes_of(self, message: MessageId) -> list[path.Envelope]:
        return sorted((row for row in self._rows(path.Envelope) if row.message == message), key=lambda row: row.id)

    async def deliveries_of(self, message: MessageId) -> list[path.Delivery]:
        return sorted((row for row in self._rows(path.Delivery) if row.message == message), key=lambda row: row.id)

    async def deliveries_resting_on(self, consent: ConsentId) -> list[path.Delivery]:
        ids = sorted(row.delivery for row in self._rows(path.DeliveryConsent) if row.consent == consent)
        return await self.get_many(path.Delivery, [(found,) for found in ids])

    async def consents_under(self, envelope: EnvelopeId) -> list[path.Consent]:
        deliveries = {row.id for row in self._rows(path.Delivery) if row.envelope == envelope}
        ids = sorted({row.consent for row in self._rows(path.DeliveryConsent) if row.delivery in deliveries})
        return await self.get_many(path.Consent, [(found,) for found in ids])

    async def receipts_of(self, message: MessageId) -> list[path.Receipt]:
        found = [row for row in self._rows(path.Receipt) if row.message == message]
        return sorted(found, key=lambda row: (row.at, row.id))

    async def readings_of(self, envelope: EnvelopeId) -> list[path.Reading]:
        found = [row for row in self._rows(path.Reading) if row.envelope == envelope]
        return sorted(found, key=lambda row: (row.first_at, row.user))

    async def attachments_under(self, envelope: EnvelopeId) -> list[path.EnvelopeAttachment]:
        found = [row for row in self._rows(path.EnvelopeAttachment) if row.envelope == envelope]
        return sorted(found, key=lambda row: row.attachment)

    async def answers_of(self, case: CaseId) -> list[path.SeatAnswer]:
        found = [row for row in self._rows(path.SeatAnswer) if row.case == case]
        return sorted(found, key=lambda row: (-row.changed_at, row.proposal))

    async def opened_without_receipt(self, *, since: Instant, limit: int) -> list[path.Delivery]:
        receipts = self._tables[path.Receipt]
        found = [
            row
            for row in self._rows(path.Delivery)
            if row.state is DeliveryState.OPENED
            and row.changed_at >= since
            and (row.envelope, path.ReceiptKind.OPENED) not in receipts
        ]
        return sorted(found, key=lambda row: row.id)[:limit]

    async def system_messages(self, user: UserId, *, limit: int) -> list[systems.SystemMessage]:
        found = [row for row in self._rows(systems.SystemMessage) if row.user == user and row.sent and not row.gone]
        return sorted(found, key=lambda row: (-row.created_at, row.id))[:limit]

    async def quarantined(self, state: QuarantineState, *, limit: int) -> list[path.Quarantined]:
        found = [row for row in self._rows(path.Quarantined) if row.state is state]
        return sorted(found, key=lambda row: (-row.since, row.attachment))[:limit]

    async def held(self, state: HeldState, *, limit: int) -> list[path.Held]:
        return _longest([row for row in self._rows(path.Held) if row.state is state])[:limit]

    async def held_at(self, inbox: InboxId, state: HeldState, *, limit: int) -> list[path.Held]:
        found = [row for row in self._rows(path.Held) if row.inbox == inbox and row.state is state]
        return _longest(found)[:limit]

    async def held_in(self, channel: path.Channel, conversation: str, sender: InboxId) -> list[path.Held]:
        wanted = (channel, conversation, sender)
        found = [row for row in self._rows(path.Held) if (row.channel, row.conversation, row.sender) == wanted]
        return _longest(found)[:200]

    async def open_tasks(self, inbox: InboxId, *, limit: int) -> list[queue.Task]:
        found = [row for row in self._rows(queue.Task) if row.inbox == inbox and row.state is TaskState.OPEN]
        return sorted(found, key=lambda row: (row.received_at, row.envelope))[:limit]

    async def done_tasks(self, inbox: InboxId, *, after: Cursor | None, limit: int) -> list[queue.Task]:
        found = [row for row in self._rows(queue.Task) if row.inbox == inbox and row.state is TaskState.DONE]
        return _page(found, "changed_at", after, limit)

    async def done_count(self, inbox: InboxId, *, most: int) -> int:
        return min(most, sum(row.inbox == inbox and row.state is TaskState.DONE for row in self._rows(queue.Task)))

    async def worksheets_of(self, inbox: InboxId, item: str) -> list[queue.Worksheet]:
        found = [row for row in self._rows(queue.Worksheet) if row.inbox == inbox and row.item == item]
        return sorted(found, key=lambda row: (row.created_at, row.sheet, row.number))

    async def marks_of(self, administration: AdministrationId, mark: str, *, limit: int) -> list[queue.IdentityMark]:
        found = [
            row for row in self._rows(queue.IdentityMark) if row.administration == administration and row.mark == mark
        ]
        return sorted(found, key=lambda row: row.case)[:limit]

    async def case_by_reference(self, reference: str) -> path.Case | None:
        return next((row for row in self._rows(path.Case) if row.reference == reference), None)

    async def recalls_page(
        self, administration: AdministrationId, *, after: Cursor | None, limit: int
    ) -> list[queue.Recall]:
        found = [row for row in self._rows(queue.Recall) if row.administration == administration]
        return _page(found, "requested_at", after, limit)

    async def register_page(
        self, administration: AdministrationId, *, after: Cursor | None, limit: int
    ) -> list[queue.RegisterLine]:
        found = [
            row
            for row in self._rows(path.Delivery)
            if row.administration == administration and row.delivered_at is not None
        ]
        lines = []
        for delivery in _page(found, "delivered_at", after, limit):
            message = cast(path.Message, self._tables[path.Message][(delivery.message,)])
            case = cast(path.Case, self._tables[path.Case][(message.case,)])
            lines.append(
                queue.RegisterLine(
                    delivery.envelope,
                    message.id,
                    case.id,
                    case.reference,
                    message.form_type,
                    message.sender,
                    delivery.inbox,
                    delivery.id,
                    str(delivery.state),
                    cast(Instant, delivery.delivered_at),
                )
            )
        return lines

    async def unopened_of(self, administration: AdministrationId, *, limit: int) -> list[path.Delivery]:
        found = [
            row
            for row in self._rows(path.Delivery)
            if row.administration == administration and row.state is DeliveryState.DELIVERED
        ]
        return sorted(found, key=lambda row: (row.changed_at, row.id))[:limit]

    async def transport_page(
        self, *, state: str, message: str, after: Cursor | None, limit: int
    ) -> list[path.Delivery]:
        found = [
            row
            for row in self._rows(path.Delivery)
            if (not state or row.state == state) and (not message or row.message == message)
        ]
        return _page(found, "changed_at", after, limit)

    async def deliveries_to_carry(self, inbox: InboxId, *, limit: int) -> list[path.Delivery]:
        found = [
            row
            for row in self._rows(path.Delivery)
            if row.channel in carrying.BY_HAND
            and row.state in (DeliveryState.QUEUED, DeliveryState.IN_TRANSIT)
            and cast(path.Message, self._tables[path.Message][(row.message,)]).sender == inbox
        ]
        return sorted(found, key=lambda row: (row.due_at, row.id))[:limit]

    async def hand_overs_of(self, inbox: InboxId, state: HandOverState, *, limit: int) -> list[carrying.HandOver]:
        found = [row for row in self._rows(carrying.HandOver) if row.inbox == inbox and row.state is state]
        return sorted(found, key=lambda row: (-row.created_at, row.id))[:limit]

    async def ended_due(self, channel: path.Channel, *, now: Instant, limit: int) -> list[path.Delivery]:
        ended = (DeliveryState.DELIVERED, DeliveryState.FAILED, DeliveryState.EXPIRED, DeliveryState.CANCELLED)
        rows = self._rows(path.Delivery)
        found = [row for row in rows if row.channel is channel and row.state in ended and row.due_at <= now]
        return sorted(found, key=lambda row: (row.due_at, row.id))[:limit]

    async def overdue(self, channel: path.Channel, *, now: Instant, limit: int) -> list[path.Delivery]:
        found = [
            row
            for row in self._rows(path.Delivery)
            if row.channel is channel
            and row.state in (DeliveryState.QUEUED, DeliveryState.IN_TRANSIT)
            and row.expires_at <= now
        ]
        return sorted(found, key=lambda row: (row.due_at, row.id))[:limit]

    async def draft_sent_as(self, message: MessageId) -> path.Draft | None:
        return next((row for row in self._rows(path.Draft) if row.sent_as == message), None)

    async def sent_drafts(self, *, before: Instant, limit: int) -> list[path.Draft]:
        found = [row for row in self._rows(path.Draft) if row.sent_as is not None and row.changed_at < before]
        return sorted(found, key=lambda row: (row.changed_at, row.id))[:limit]

    async def sides_page(
        self, name: str, *, action: str, administration: str, object: str, before: int, limit: int
    ) -> list[log.AuditSide]:
        found = [
            row
            for row in self._rows(log.AuditSide)
            if row.log == name
            and row.number < before
            and (not action or row.action == action)
            and (not administration or row.administration == administration)
            and (not object or row.object == object)
        ]
        return sorted(found, key=lambda row: -row.number)[:limit]

    async def acts_of(self, actor: bytes, action: str, *, since: Instant, most: int) -> int:
        found = (r for r in self._rows(log.AuditSide) if r.actor == actor and r.action == action and r.at >= since)
        return min(most, sum(1 for _ in found))

    async def blobs_in_use(self, names: Sequence[str]) -> set[str]:
        used = {row.blob for row in self._rows(path.Attachment)}
        used |= {row.blob for row in self._rows(path.EnvelopeAttachment)}
        return used & set(names)

    async def log_size(self, log: str) -> int:
        return self._sizes.get(log, 0)

    async def leaves(self, name: str, start: int, end: int) -> list[log.AuditLeaf]:
        return await self.get_many(log.AuditLeaf, [(name, number) for number in range(start, end)])

    async def leaf_columns(self, name: str, start: int, end: int) -> list[tuple[int, bytes, bytes]]:
        return [(row.number, row.leaf, row.hash) for row in await self.leaves(name, start, end)]

    async def sides(self, name: str, start: int, end: int) -> list[log.AuditSide]:
        return await self.get_many(log.AuditSide, [(name, number) for number in range(start, end)])

    async def last_checkpoint(self, name: str) -> log.Checkpoint | None:
        found = await self.checkpoints(name)
        return found[-1] if found else None

    async def checkpoints(self, name: str) -> list[log.Checkpoint]:
        return sorted((row for row in self._rows(log.Checkpoint) if row.log == name), key=lambda row: row.size)

    async def logs(self) -> list[str]:
        return sorted({row.log for row in self._rows(log.AuditLeaf)})

    async def queue_signs(self, *, most: int) -> QueueSigns:
        rows = self._rows(path.Delivery)
        watched = (DeliveryState.QUEUED, DeliveryState.ATTEMPTING, DeliveryState.FAILED, DeliveryState.EXPIRED)
        counts = {str(state): min(most, sum(row.state is state for row in rows)) for state in watched}
        return QueueSigns(counts, min((row.due_at for row in rows if row.state is DeliveryState.QUEUED), default=None))

    async def counts_by_reason(
        self, channel: path.Channel, state: DeliveryState, *, most: int
    ) -> list[path.ReasonCount]:
        found = [row for row in self._rows(path.Delivery) if row.channel is channel and row.state is state][:most]
        counts = Counter(row.reason for row in found)
        return [path.ReasonCount(channel, state, reason, counts[reason]) for reason in sorted(counts)]

    async def unfetched(self, *, before: Instant, limit: int) -> list[path.Unfetched]:
        unopened = {
            row.envelope
            for row in self._rows(path.Delivery)
            if row.state is DeliveryState.DELIVERED and row.changed_at <= before
        }
        waiting: dict[InboxId, list[Instant]] = {}
        for task in self._rows(queue.Task):
            if task.state is TaskState.OPEN and task.envelope in unopened:
                waiting.setdefault(task.inbox, []).append(task.received_at)
        found = [path.Unfetched(inbox, len(times), min(times)) for inbox, times in waiting.items()]
        return sorted(found, key=lambda one: (one.oldest, one.inbox))[:limit]

    async def listings(self, channel: path.Channel) -> list[directory.Listing]:
        found = [row for row in self._rows(directory.Listing) if row.channel is channel]
        return sorted(found, key=lambda row: row.address)

    async def leaving_for(self, inbox: InboxId, channel: path.Channel, *, most: int) -> int:
        leaving = (DeliveryState.QUEUED, DeliveryState.ATTEMPTING, DeliveryState.IN_TRANSIT)
        rows = [row for row in self._rows(path.Delivery) if row.inbox == inbox and row.channel is channel]
        return min(most, sum(row.state in leaving for row in rows))

    async def reached_at(self, inbox: InboxId) -> Instant | None:
        times = [row.delivered_at for row in self._rows(path.Delivery) if row.inbox == inbox]
        return max((at for at in times if at is not None), default=None)

    async def check_writable(self) -> None:
        return None

    async def close(self) -> None:
        return None

    # --- for tests that play the database administrator ---------------------------------------------------------------

    def tamper(self, row: Row) -> None:
        """Put a row in place past the gateway, as somebody with SQL could."""
        self._tables[type(row)][row.key] = row

    def remove(self, row: type[Row], *key: str | int) -> None:
        """Delete a row past the gateway."""
        self._tables[row].pop(key, None)

    def all(self, row: type[R]) -> list[R]:
        """Every row of a kind."""
        return self._rows(row)


def numbered(entry: log.LogEntry, number: int) -> tuple[log.AuditLeaf, log.AuditSide]:
    """The leaf and side row of an entry, once its number is known."""
    leaf = log.AuditLeaf(
        administration=entry.administration, log=entry.log, number=number, leaf=entry.leaf, hash=entry.hash
    )
    side = log.AuditSide(
        administration=entry.administration,
        log=entry.log,
        number=number,
        at=entry.at,
        action=entry.action,
        actor=entry.actor,
        object=entry.object,
        scope=entry.scope,
        shred_key=entry.shred_key,
        sealed=entry.sealed,
    )
    return leaf, side


def _page(rows: Iterable[R], at: str, after: Cursor | None, limit: int) -> list[R]:
    ordered = sorted(rows, key=lambda row: (-getattr(row, at), row.key[0]))
    if after is not None:
        ordered = [row for row in ordered if (-getattr(row, at), row.key[0]) > (-after.at, after.id)]
    return ordered[:limit]


class MemoryBlobs:
    """The Blobs port, in a dictionary."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    async def put(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        octets = b"".join([chunk async for chunk in chunks])
        if name in self._blobs:
            raise ConflictError("the blob exists", swedish="Filen finns redan.", next_step="Ladda upp filen igen.")
        self._blobs[name] = octets

    async def read(self, name: str) -> AsyncIterator[bytes]:
        if name not in self._blobs:
            raise NotFoundError("no such blob", swedish="Bilagan finns inte.")
        octets = self._blobs[name]
        for start in range(0, len(octets), 262_144):
            yield octets[start : start + 262_144]

    async def size(self, name: str) -> int:
        if name not in self._blobs:
            raise NotFoundError("no such blob", swedish="Bilagan finns inte.")
        return len(self._blobs[name])

    async def delete(self, name: str) -> None:
        self._blobs.pop(name, None)

    async def names(self, *, before: Instant) -> list[str]:
        return sorted(self._blobs)  # it keeps no times: everything counts as old

    async def check_writable(self) -> None:
        return None


class MemoryTiles:
    """The TileStore port, in a dictionary."""

    def __init__(self) -> None:
        self._tiles: dict[tuple[str, str], bytes] = {}

    def read(self, log: str, name: str) -> bytes | None:
        return self._tiles.get((log, name))

    def write(self, log: str, name: str, octets: bytes) -> None:
        before = self._tiles.get((log, name))
        if before is not None and before != octets and name != "checkpoint":
            raise IntegrityError(
                f"tile {name} would change",
                swedish="En publicerad del av loggen skulle ändras.",
                next_step="Kör 'sambud audit verify'.",
            )
        self._tiles[log, name] = octets

    def replace(self, log: str, name: str, octets: bytes) -> None:
        self._tiles[log, name] = octets

    def names(self, log: str) -> list[str]:
        return sorted(name for of, name in self._tiles if of == log)


def _longest(found: list[path.Held]) -> list[path.Held]:
    return sorted(found, key=lambda row: (row.since, row.envelope))
