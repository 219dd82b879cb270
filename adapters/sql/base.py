"""The readings of the Store port, for every SQL engine: a name, its parameters, and the values that come back."""

from __future__ import annotations

import builtins
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar, cast

from adapters.sql.compiled import Statements
from gateway.errors import ConflictError, DecisionStaleError
from gateway.model import carrying, directory, identity, keys, log, notices, path, queue, systems
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
)
from gateway.ports import Cursor, QueueSigns
from gateway.states import DeliveryState, HandOverState, HeldState, QuarantineState

R = TypeVar("R", bound=Row)
AT_ONCE: Final = 64  # keys of one statement
#: A cursor before everything: later than any instant, smaller than any id.
_NEWEST: Final = {"at": 2**62, "after_id": ""}


def conflict(table: str, why: str) -> ConflictError:
    """The conflict of a Work, without saying which values clashed."""
    return ConflictError(
        f"{table}: {why}",
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


def outcome_of(error: BaseException | None) -> str:
    """What became of a Work, for the numbers: done, refused for a reason of its own, or failed with the store."""
    if error is None:
        return "done"
    return "refused" if isinstance(error, ConflictError | DecisionStaleError) else "failed"


def _cursor(after: Cursor | None) -> Mapping[str, Any]:
    return _NEWEST if after is None else {"at": after.at, "after_id": after.id}


class SqlReadings(ABC):
    """Everything of the Store port that only reads. Engines run text; `bulk` marks readings that may take long."""

    statements: Statements

    @abstractmethod
    async def _fetch(self, sql: str, params: tuple[Any, ...], *, bulk: bool = False) -> Sequence[Sequence[Any]]: ...

    async def _read(self, name: str, *, bulk: bool = False, **values: Any) -> builtins.list[Any]:
        text, of = self.statements.queries[name]
        rows = await self._fetch(text.sql, text.params(values), bulk=bulk)
        return [of.row(row) for row in rows] if of else [row[0] for row in rows]

    async def get(self, row: type[R], *key: str | int) -> R | None:
        text, of = self.statements.by_key[row]
        rows = await self._fetch(text.sql, text.params(dict(zip(row.KEY, key, strict=True))))
        found: R | None = of.row(rows[0]) if rows else None
        return found

    async def get_many(self, row: type[R], keys: Sequence[tuple[str | int, ...]]) -> list[R]:
        found: dict[tuple[str | int, ...], R] = {}
        for start in range(0, len(keys), AT_ONCE):
            some = keys[start : start + AT_ONCE]
            # As many places as the next power of two, so that there are few texts; the last key fills what is left.
            places = 1 << (len(some) - 1).bit_length()
            text, of = self.statements.by_keys[row, places]
            padded = [*some, *[some[-1]] * (places - len(some))]
            values = {
                f"{name}_{at}": part for at, key in enumerate(padded) for name, part in zip(row.KEY, key, strict=True)
            }
            for item in map(of.row, await self._fetch(text.sql, text.params(values))):
                found[item.key] = item
        return [found[tuple(key)] for key in keys if tuple(key) in found]

    async def organisations(self) -> list[directory.Organisation]:
        return await self._read("organisations")

    async def administrations(self) -> list[directory.Administration]:
        return await self._read("administrations")

    async def units(self) -> list[directory.Unit]:
        return await self._read("units")

    async def inboxes(self) -> list[directory.Inbox]:
        return await self._read("inboxes")

    async def boards(self) -> list[directory.Board]:
        return await self._read("boards")

    async def routes(self) -> list[directory.Route]:
        return await self._read("routes")

    async def conversations_of(self, case: CaseId) -> list[path.Conversation]:
        return await self._read("conversations_of", case=case)

    async def notices_waiting(self, inbox: InboxId, *, limit: int) -> list[path.Notice]:
        return await self._read("notices_waiting", inbox=inbox, limit=limit)

    async def system_messages(self, user: UserId, *, limit: int) -> list[systems.SystemMessage]:
        return await self._read("system_messages", user=user, limit=limit)

    async def notice_mails_due(self, *, now: Instant, limit: int) -> list[notices.NoticeMail]:
        return await self._read("notice_mails_due", now=now, limit=limit)

    async def arrivals_of(self, message: MessageId) -> list[path.Arrival]:
        return await self._read("arrivals_of", message=message)

    async def users(self) -> list[identity.User]:
        return await self._read("users")

    async def user_by_login(self, login: str) -> identity.User | None:
        found: list[identity.User] = await self._read("user_by_login", login=login)
        return found[0] if found else None

    async def sessions_of(self, user: UserId) -> list[identity.Session]:
        return await self._read("sessions_of", user=user)

    async def lapsed_windows(self, *, before: Instant, limit: int) -> list[identity.StepUpWindow]:
        return await self._read("lapsed_windows", before=before, limit=limit)

    async def lapsed_grants(self, *, before: Instant, limit: int) -> list[identity.ActGrant]:
        return await self._read("lapsed_grants", before=before, limit=limit)

    async def memberships_of(self, user: UserId) -> list[identity.Membership]:
        return await self._read("memberships_of", user=user)

    async def members_of(self, inbox: InboxId) -> list[identity.Membership]:
        return await self._read("members_of", inbox=inbox)

    async def administration_keys(self, administration: AdministrationId) -> list[keys.AdministrationKey]:
        return await self._read("administration_keys", administration=administration)

    async def key_records(self, kind: keys.KeyRecordKind, owner: str) -> list[keys.KeyRecord]:
        return await self._read("key_records", kind=str(kind), owner=owner)

    async def inbox_wraps(self, inbox: InboxId, epoch: int) -> list[keys.InboxWrap]:
        return await self._read("inbox_wraps", inbox=inbox, epoch=epoch)

    async def open_batches(self) -> list[keys.ShredBatch]:
        return await self._read("open_batches", state=str(keys.ShredBatchState.OPEN))

    async def shred_keys_in_use(self, batch: ShredBatchId) -> set[ShredKeyId]:
        found = await self._read("shred_keys_in_use", bulk=True, batch=batch, low=f"{batch}.", high=f"{batch}/")
        return {ShredKeyId(key) for key in found}

    async def cases_of(self, inbox: InboxId, *, after: Cursor | None, limit: int) -> list[path.Case]:
        return await self._read("cases_of", inbox=inbox, limit=limit, **_cursor(after))

    async def parties_of(self, case: CaseId) -> list[path.CaseParty]:
        return await self._read("parties_of", case=case)

    async def consents_of(self, case: CaseId) -> list[path.Consent]:
        return await self._read("consents_of", case=case)

    async def drafts_of(self, inbox: InboxId, *, after: Cursor | None, limit: int) -> list[path.Draft]:
        return await self._read("drafts_of", inbox=inbox, limit=limit, **_cursor(after))

    async def attachments_of(self, draft: DraftId) -> list[path.Attachment]:
        return await self._read("attachments_of", draft=draft)

    async def inbox_page(self, inbox: InboxId, *, after: Cursor | None, limit: int) -> list[path.InboxItem]:
        return await self._read("inbox_page", inbox=inbox, limit=limit, **_cursor(after))

    async def messages_of(self, case: CaseId, *, limit: int) -> list[path.Message]:
        return await self._read("messages_of", case=case, limit=limit)

    async def envelopes_of(self, message: MessageId) -> list[path.Envelope]:
        return await self._read("envelopes_of", message=message)

    async def deliveries_of(self, message: MessageId) -> list[path.Delivery]:
        return await self._read("deliveries_of", message=message)

    async def deliveries_resting_on(self, consent: ConsentId) -> list[path.Delivery]:
        return await self._read("deliveries_resting_on", consent=consent)

    async def consents_under(self, envelope: EnvelopeId) -> list[path.Consent]:
        return await self._read("consents_under", envelope=envelope)

    async def receipts_of(self, message: MessageId) -> list[path.Receipt]:
        return await self._read("receipts_of", message=message)

    async def readings_of(self, envelope: EnvelopeId) -> list[path.Reading]:
        return await self._read("readings_of", envelope=envelope)

    async def attachments_under(self, envelope: EnvelopeId) -> list[path.EnvelopeAttachment]:
        return await self._read("attachments_under", envelope=envelope)

    async def answers_of(self, case: CaseId) -> list[path.SeatAnswer]:
        return await self._read("answers_of", case=case)

    async def opened_without_receipt(self, *, since: Instant, limit: int) -> list[path.Delivery]:
        return await self._read("opened_without_receipt", bulk=True, since=since, limit=limit)

    async def postdated(self, channel: path.Channel, *, after: Instant, limit: int) -> list[path.Delivery]:
        return await self._read("postdated", channel_is=str(channel), after=after, limit=limit)

    async def lapsed_leases(self, *, now: Instant, limit: int) -> list[path.Delivery]:
        return await self._read("lapsed_leases", now=now, limit=limit)

    async def in_transit(self, channel: path.Channel, *, now: Instant, limit: int) -> list[path.Delivery]:
        return await self._read("in_transit", channel=channel, now=now, limit=limit)

    async def blobs_in_use(self, names: Sequence[str]) -> set[str]:
        return {name for name in names if await self._read("blob_in_use", bulk=True, blob=name)}

    async def quarantined(self, state: QuarantineState, *, limit: int) -> list[path.Quarantined]:
        return await self._read("quarantined", state_is=str(state), limit=limit)

    async def held(self, state: HeldState, *, limit: int) -> list[path.Held]:
        return await self._read("held", state_is=str(state), limit=limit)

    async def held_at(self, inbox: InboxId, state: HeldState, *, limit: int) -> list[path.Held]:
        return await self._read("held_at", inbox=inbox, state_is=str(state), limit=limit)

    async def held_in(self, channel: path.Channel, conversation: str, sender: InboxId) -> list[path.Held]:
        return await self._read("held_in", channel=str(channel), conversation=conversation, sender=sender)

    async def open_tasks(self, inbox: InboxId, *, limit: int) -> list[queue.Task]:
        return await self._read("open_tasks", inbox=inbox, limit=limit)

    async def done_tasks(self, inbox: InboxId, *, after: Cursor | None, limit: int) -> list[queue.Task]:
        return await self._read("done_tasks", inbox=inbox, limit=limit, **_cursor(after))

    async def done_count(self, inbox: InboxId, *, most: int) -> int:
        [count] = await self._read("done_count", inbox=inbox, most=most)
        return int(count)

    async def worksheets_of(self, inbox: InboxId, item: str) -> list[queue.Worksheet]:
        return await self._read("worksheets_of", inbox=inbox, item=item)

    async def marks_of(self, administration: AdministrationId, mark: str, *, limit: int) -> list[queue.IdentityMark]:
        return await self._read("marks_of", administration=administration, mark=mark, limit=limit)

    async def case_by_reference(self, reference: str) -> path.Case | None:
        found: list[path.Case] = await self._read("case_by_reference", reference=reference)
        return found[0] if found else None

    async def recalls_page(
        self, administration: AdministrationId, *, after: Cursor | None, limit: int
    ) -> list[queue.Recall]:
        return await self._read("recalls_page", administration=administration, limit=limit, **_cursor(after))

    async def register_page(
        self, administration: AdministrationId, *, after: Cursor | None, limit: int
    ) -> list[queue.RegisterLine]:
        return await self._read("register_page", administration=administration, limit=limit, **_cursor(after))

    async def unopened_of(self, administration: AdministrationId, *, limit: int) -> list[path.Delivery]:
        return await self._read("unopened_of", administration=administration, limit=limit)

    async def transport_page(
        self, *, state: str, message: str, after: Cursor | None, limit: int
    ) -> list[path.Delivery]:
        if message:
            return await self._read(
                "transport_page_message", message=message, state_is=state, limit=limit, **_cursor(after)
            )
        return await self._read("transport_page", bulk=True, state_is=state, limit=limit, **_cursor(after))

    async def deliveries_to_carry(self, inbox: InboxId, *, limit: int) -> list[path.Delivery]:
        return await self._read("deliveries_to_carry", sender=inbox, limit=limit)

    async def hand_overs_of(self, inbox: InboxId, state: HandOverState, *, limit: int) -> list[carrying.HandOver]:
        return await self._read("hand_overs_of", inbox=inbox, state_is=str(state), limit=limit)

    async def ended_due(self, channel: path.Channel, *, now: Instant, limit: int) -> list[path.Delivery]:
        return await self._read("ended_due", channel=channel, now=now, limit=limit)

    async def overdue(self, channel: path.Channel, *, now: Instant, limit: int) -> list[path.Delivery]:
        return await self._read("overdue", channel=channel, now=now, limit=limit)

    async def draft_sent_as(self, message: MessageId) -> path.Draft | None:
        found: list[path.Draft] = await self._read("draft_sent_as", sent_as=message)
        return found[0] if found else None

    async def sent_drafts(self, *, before: Instant, limit: int) -> list[path.Draft]:
        return await self._read("sent_drafts", before=before, limit=limit)

    async def sides_page(
        self, name: str, *, action: str, administration: str, object: str, before: int, limit: int
    ) -> list[log.AuditSide]:
        asked = {"object": object, "action": action, "administration": administration}
        chosen = next((f"_{column}" for column, value in asked.items() if value), "")
        values = {f"{column}_is": value for column, value in asked.items()}
        return await self._read(f"sides_page{chosen}", bulk=True, log=name, before=before, limit=limit, **values)

    async def acts_of(self, actor: bytes, action: str, *, since: Instant, most: int) -> int:
        [count] = await self._read("acts_of", actor=actor, action=action, since=since, most=most)
        return int(count)

    async def log_size(self, name: str) -> int:
        [size] = await self._read("log_size", log=name)
        return int(size)

    async def leaves(self, name: str, start: int, end: int) -> list[log.AuditLeaf]:
        return await self._read("leaves", bulk=True, log=name, start=start, end=end)

    async def leaf_columns(self, name: str, start: int, end: int) -> list[tuple[int, bytes, bytes]]:
        text, _ = self.statements.queries["leaf_columns"]
        rows = await self._fetch(text.sql, text.params({"log": name, "start": start, "end": end}), bulk=True)
        return cast(list[tuple[int, bytes, bytes]], rows)

    async def sides(self, name: str, start: int, end: int) -> list[log.AuditSide]:
        return await self._read("sides", bulk=True, log=name, start=start, end=end)

    async def last_checkpoint(self, name: str) -> log.Checkpoint | None:
        found: list[log.Checkpoint] = await self._read("last_checkpoint", log=name)
        return found[0] if found else None

    async def checkpoints(self, name: str) -> list[log.Checkpoint]:
        return await self._read("checkpoints", bulk=True, log=name)

    async def logs(self) -> list[str]:
        return await self._read("logs")

    async def queue_signs(self, *, most: int) -> QueueSigns:
        watched = (DeliveryState.QUEUED, DeliveryState.ATTEMPTING, DeliveryState.FAILED, DeliveryState.EXPIRED)
        counts = {}
        for state in watched:
            [counts[str(state)]] = await self._read("delivery_count", bulk=True, state=str(state), most=most)
        oldest = [found for channel in path.Channel for found in await self._read("oldest_due", channel=str(channel))]
        return QueueSigns(counts, min((Instant(due) for due in oldest), default=None))

    async def counts_by_reason(
        self, channel: path.Channel, state: DeliveryState, *, most: int
    ) -> list[path.ReasonCount]:
        return await self._read("counts_by_reason", bulk=True, channel_is=str(channel), state_is=str(state), most=most)

    async def listings(self, channel: path.Channel) -> list[directory.Listing]:
        return await self._read("listings", bulk=True, channel=str(channel))

    async def leaving_for(self, inbox: InboxId, channel: path.Channel, *, most: int) -> int:
        return len(await self._read("leaving_for", inbox=inbox, channel_is=str(channel), most=most))

    async def reached_at(self, inbox: InboxId) -> Instant | None:
        times = await self._read("reached_at", inbox=inbox)
        return Instant(times[0]) if times else None

    async def unfetched(self, *, before: Instant, limit: int) -> list[path.Unfetched]:
        return await self._read("unfetched", bulk=True, before=before, limit=limit)


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
