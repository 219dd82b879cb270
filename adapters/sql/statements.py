"""Every reading of the store, named and explained; compiled once per dialect and run as text on the driver.

Pages are cut by (time, id): newest first, equal times by id. A cursor is never an offset, so a page costs the same at
the end of a long history as at its beginning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import and_, bindparam, func, or_, select

from adapters.sql.codec import codec
from adapters.sql.tables import TABLES
from gateway.model import carrying, directory, identity, keys, log, notices, path, queue, systems
from gateway.model.base import Row
from gateway.states import DeliveryState, TaskState


@dataclass(frozen=True, slots=True)
class Query:
    """A statement and the kind of value that its rows become; None for bare columns."""

    statement: Any
    kind: type[Any] | None


def _t(row: type[Row]) -> sa.Table:
    return TABLES[row]


def _all(row: type[Row]) -> Any:
    table = _t(row)
    return select(*(table.c[name] for name in codec(row).columns))


def _where(row: type[Row], *equal: str, order: tuple[Any, ...] = ()) -> Query:
    table = _t(row)
    statement = _all(row).where(*(table.c[name] == bindparam(name) for name in equal))
    return Query(statement.order_by(*order) if order else statement, row)


def _before(at: sa.Column[Any], identifier: sa.Column[Any]) -> Any:
    """Behind the cursor: an earlier time, or the same time and a greater id."""
    return sa.and_(at <= bindparam("at"), sa.or_(at < bindparam("at"), identifier > bindparam("after_id")))


_delivery, _message, _case = _t(path.Delivery), _t(path.Message), _t(path.Case)
_party, _consent, _rests = _t(path.CaseParty), _t(path.Consent), _t(path.DeliveryConsent)
_draft, _receipt, _wrap = _t(path.Draft), _t(path.Receipt), _t(keys.EnvelopeWrap)
_side_key, _attachment, _file = _t(keys.SideKey), _t(path.Attachment), _t(path.EnvelopeAttachment)
_leaf, _side, _record = _t(log.AuditLeaf), _t(log.AuditSide), _t(keys.KeyRecord)

_task, _sheet, _recall = _t(queue.Task), _t(queue.Worksheet), _t(queue.Recall)
_mark, _held = _t(queue.IdentityMark), _t(path.Quarantined)
_unplaced = _t(path.Held)
_hand_over = _t(carrying.HandOver)
_ENDED: Final = (DeliveryState.DELIVERED, DeliveryState.FAILED, DeliveryState.EXPIRED, DeliveryState.CANCELLED)
_OPEN_BY_HAND: Final = (DeliveryState.QUEUED, DeliveryState.IN_TRANSIT)


def _transport(*equal: str) -> Query:
    """Deliveries by last change, with the filter that its index answers; a state may filter what is left."""
    return Query(
        _all(path.Delivery)
        .where(
            *(_delivery.c[name] == bindparam(name) for name in equal),
            sa.or_(bindparam("state_is", type_=sa.Text()) == "", _delivery.c.state == bindparam("state_is")),
            _before(_delivery.c.changed_at, _delivery.c.id),
        )
        .order_by(_delivery.c.changed_at.desc(), _delivery.c.id)
        .limit(bindparam("limit")),
        path.Delivery,
    )


def _sides(*equal: str) -> Query:
    """Side rows, newest first: one column is met by its index, the other filters are asked of what it gives."""

    def also(name: str) -> Any:
        asked = bindparam(f"{name}_is", type_=sa.Text())
        return sa.or_(asked == "", _side.c[name] == asked)

    return Query(
        _all(log.AuditSide)
        .where(
            _side.c.log == bindparam("log"),
            *(_side.c[name] == bindparam(f"{name}_is") for name in equal),
            *(also(name) for name in ("action", "administration", "object") if name not in equal),
            _side.c.number < bindparam("before"),
        )
        .order_by(_side.c.number.desc())
        .limit(bindparam("limit")),
        log.AuditSide,
    )


def _names() -> Any:
    """The logs there are, each found by one step into the key's index: asked every second, however long they are."""
    found = select(func.min(_leaf.c.log).label("log")).cte("found", recursive=True)
    following = select(func.min(_leaf.c.log)).where(_leaf.c.log > found.c.log).scalar_subquery()
    return found.union_all(select(following).where(found.c.log.is_not(None)))


def _lapsed(kind: type[Row]) -> Query:
    table = _t(kind)
    return Query(
        _all(kind)
        .where(table.c.ends_at < bindparam("before"))
        .order_by(table.c.ends_at, *table.primary_key)
        .limit(bindparam("limit")),
        kind,
    )


_found = _names()
_stands = (
    select(_delivery.c.channel, _delivery.c.state, _delivery.c.reason)
    .where(_delivery.c.channel == bindparam("channel_is"), _delivery.c.state == bindparam("state_is"))
    .limit(bindparam("most"))
    .subquery()
)

QUERIES: Final[Mapping[str, Query]] = {
    "organisations": _where(directory.Organisation),
    "administrations": _where(directory.Administration),
    "units": _where(directory.Unit),
    "inboxes": _where(directory.Inbox),
    "boards": _where(directory.Board),
    "routes": _where(directory.Route),
    "conversations_of": _where(
        path.Conversation, "case", order=(_t(path.Conversation).c.channel, _t(path.Conversation).c.party)
    ),
    "notices_waiting": Query(
        _all(path.Notice)
        .where(
            _t(path.Notice).c.inbox == bindparam("inbox"),
            _t(path.Notice).c.state == "pending",
        )
        .order_by(_t(path.Notice).c.created_at, _t(path.Notice).c.id)
        .limit(bindparam("limit")),
        path.Notice,
    ),
    "notice_mails_due": Query(
        _all(notices.NoticeMail)
        .where(
            _t(notices.NoticeMail).c.state == "queued",
            _t(notices.NoticeMail).c.due_at <= bindparam("now"),
        )
        .order_by(_t(notices.NoticeMail).c.due_at, _t(notices.NoticeMail).c.inbox, _t(notices.NoticeMail).c.user)
        .limit(bindparam("limit")),
        notices.NoticeMail,
    ),
    "system_messages": Query(
        _all(systems.SystemMessage)
        .where(
            _t(systems.SystemMessage).c.user == bindparam("user"),
            _t(systems.SystemMessage).c.sent.is_(True),
            _t(systems.SystemMessage).c.gone.is_(False),
        )
        .order_by(_t(systems.SystemMessage).c.created_at.desc(), _t(systems.SystemMessage).c.id)
        .limit(bindparam("limit")),
        systems.SystemMessage,
    ),
    "arrivals_of": _where(path.Arrival, "message", order=(_t(path.Arrival).c.id,)),
    "users": _where(identity.User, order=(_t(identity.User).c.id,)),
    "user_by_login": _where(identity.User, "login"),
    "sessions_of": _where(
        identity.Session, "user", order=(_t(identity.Session).c.started_at.desc(), _t(identity.Session).c.id)
    ),
    "lapsed_windows": _lapsed(identity.StepUpWindow),
    "lapsed_grants": _lapsed(identity.ActGrant),
    "memberships_of": _where(identity.Membership, "user", order=(_t(identity.Membership).c.inbox,)),
    "members_of": _where(identity.Membership, "inbox", order=(_t(identity.Membership).c.user,)),
    "administration_keys": _where(keys.AdministrationKey, "administration"),
    # Oldest first: the chain is checked in this order.
    "key_records": _where(keys.KeyRecord, "kind", "owner", order=(_record.c.epoch, _record.c.revision)),
    "inbox_wraps": _where(keys.InboxWrap, "inbox", "epoch", order=(_t(keys.InboxWrap).c.user,)),
    "open_batches": _where(keys.ShredBatch, "state"),
    # What still needs a key of the batch: wraps, and side keys (their ids begin with the batch).
    "shred_keys_in_use": Query(
        select(_wrap.c.shred_key)
        .where(_wrap.c.batch == bindparam("batch"))
        .union_all(
            select(_side_key.c.shred_key).where(
                _side_key.c.shred_key >= bindparam("low"), _side_key.c.shred_key < bindparam("high")
            )
        ),
        None,
    ),
    # The party rows carry the case's opening time, so a page is one range of an index and as many look-ups.
    "cases_of": Query(
        select(*(_case.c[name] for name in codec(path.Case).columns))
        .select_from(_party.join(_case, _case.c.id == _party.c.case))
        .where(_party.c.inbox == bindparam("inbox"), _before(_party.c.opened_at, _party.c.case))
        .order_by(_party.c.opened_at.desc(), _party.c.case)
        .limit(bindparam("limit")),
        path.Case,
    ),
    "parties_of": _where(path.CaseParty, "case", order=(_party.c.inbox,)),
    "consents_of": _where(path.Consent, "case", order=(_consent.c.recorded_at.desc(), _consent.c.id)),
    "drafts_of": Query(
        _all(path.Draft)
        .where(
            _draft.c.inbox == bindparam("inbox"),
            _draft.c.sent_as.is_(None),
            _before(_draft.c.created_at, _draft.c.id),
        )
        .order_by(_draft.c.created_at.desc(), _draft.c.id)
        .limit(bindparam("limit")),
        path.Draft,
    ),
    "attachments_of": _where(path.Attachment, "draft", order=(_attachment.c.created_at, _attachment.c.id)),
    # A page of an inbox: no octets are read, only what the line shows.
    "inbox_page": Query(
        select(
            _delivery.c.envelope,
            _message.c.id.label("message"),
            _message.c.case,
            _case.c.reference.label("case_reference"),
            _message.c.form_type,
            _message.c.form_version,
            _message.c.sender,
            _message.c.administration.label("sender_administration"),
            _delivery.c.inbox,
            _delivery.c.id.label("delivery"),
            _delivery.c.state,
            _delivery.c.delivered_at,
        )
        .select_from(
            _delivery.join(_message, _message.c.id == _delivery.c.message).join(_case, _case.c.id == _message.c.case)
        )
        .where(_delivery.c.inbox == bindparam("inbox"), _before(_delivery.c.delivered_at, _delivery.c.id))
        .order_by(_delivery.c.delivered_at.desc(), _delivery.c.id)
        .limit(bindparam("limit")),
        path.InboxItem,
    ),
    "messages_of": Query(
        _all(path.Message)
        .where(_message.c.case == bindparam("case"))
        .order_by(_message.c.created_at.desc(), _message.c.id)
        .limit(bindparam("limit")),
        path.Message,
    ),
    "envelopes_of": _where(path.Envelope, "message", order=(_t(path.Envelope).c.id,)),
    "deliveries_of": _where(path.Delivery, "message", order=(_delivery.c.id,)),
    "deliveries_resting_on": Query(
        select(*(_delivery.c[name] for name in codec(path.Delivery).columns))
        .select_from(_rests.join(_delivery, _delivery.c.id == _rests.c.delivery))
        .where(_rests.c.consent == bindparam("consent"))
        .order_by(_delivery.c.id),
        path.Delivery,
    ),
    "consents_under": Query(
        select(*(_consent.c[name] for name in codec(path.Consent).columns))
        .select_from(
            _delivery.join(_rests, _rests.c.delivery == _delivery.c.id).join(
                _consent, _consent.c.id == _rests.c.consent
            )
        )
        .where(_delivery.c.envelope == bindparam("envelope"))
        .order_by(_consent.c.id),
        path.Consent,
    ),
    "receipts_of": _where(path.Receipt, "message", order=(_receipt.c.at, _receipt.c.id)),
    "readings_of": _where(path.Reading, "envelope", order=(_t(path.Reading).c.first_at, _t(path.Reading).c.user)),
    "attachments_under": _where(path.EnvelopeAttachment, "envelope", order=(_file.c.attachment,)),
    "answers_of": _where(
        path.SeatAnswer, "case", order=(_t(path.SeatAnswer).c.changed_at.desc(), _t(path.SeatAnswer).c.proposal)
    ),
    "opened_without_receipt": Query(
        _all(path.Delivery)
        .where(
            _delivery.c.state == str(DeliveryState.OPENED),
            _delivery.c.changed_at >= bindparam("since"),
            ~sa.exists().where(
                _receipt.c.envelope == _delivery.c.envelope, _receipt.c.kind == str(path.ReceiptKind.OPENED)
            ),
        )
        .order_by(_delivery.c.id)
        .limit(bindparam("limit")),
        path.Delivery,
    ),
    "postdated": Query(
        _all(path.Delivery)
        .where(
            _delivery.c.channel == bindparam("channel_is"),
            sa.or_(
                sa.and_(
                    sa.or_(
                        _delivery.c.state == str(DeliveryState.QUEUED),
                        _delivery.c.state == str(DeliveryState.IN_TRANSIT),
                    ),
                    _delivery.c.due_at > bindparam("after"),
                ),
                sa.and_(
                    _delivery.c.state == str(DeliveryState.ATTEMPTING), _delivery.c.lease_until > bindparam("after")
                ),
            ),
        )
        .order_by(_delivery.c.due_at, _delivery.c.id)
        .limit(bindparam("limit")),
        path.Delivery,
    ),
    "lapsed_leases": Query(
        _all(path.Delivery)
        .where(_delivery.c.state == str(DeliveryState.ATTEMPTING), _delivery.c.lease_until <= bindparam("now"))
        .order_by(_delivery.c.due_at, _delivery.c.id)
        .limit(bindparam("limit")),
        path.Delivery,
    ),
    "in_transit": Query(
        _all(path.Delivery)
        .where(
            _delivery.c.channel == bindparam("channel"),
            _delivery.c.state == str(DeliveryState.IN_TRANSIT),
            _delivery.c.due_at <= bindparam("now"),
        )
        .order_by(_delivery.c.due_at, _delivery.c.id)
        .limit(bindparam("limit")),
        path.Delivery,
    ),
    "blob_in_use": Query(
        select(_attachment.c.blob)
        .where(_attachment.c.blob == bindparam("blob"))
        .union_all(select(_file.c.blob).where(_file.c.blob == bindparam("blob"))),
        None,
    ),
    "quarantined": Query(
        _all(path.Quarantined)
        .where(_held.c.state == bindparam("state_is"))
        .order_by(_held.c.since.desc(), _held.c.attachment)
        .limit(bindparam("limit")),
        path.Quarantined,
    ),
    "held": Query(
        _all(path.Held)
        .where(_unplaced.c.state == bindparam("state_is"))
        .order_by(_unplaced.c.since, _unplaced.c.envelope)
        .limit(bindparam("limit")),
        path.Held,
    ),
    "held_at": Query(
        _all(path.Held)
        .where(_unplaced.c.inbox == bindparam("inbox"), _unplaced.c.state == bindparam("state_is"))
        .order_by(_unplaced.c.since, _unplaced.c.envelope)
        .limit(bindparam("limit")),
        path.Held,
    ),
    "held_in": Query(
        _all(path.Held)
        .where(
            _unplaced.c.channel == bindparam("channel"),
            _unplaced.c.conversation == bindparam("conversation"),
            _unplaced.c.sender == bindparam("sender"),
        )
        .order_by(_unplaced.c.since, _unplaced.c.envelope)
        .limit(200),
        path.Held,
    ),
    # Open work is bounded by what people can have open; done work is paged and never counted through.
    "open_tasks": Query(
        _all(queue.Task)
        .where(_task.c.inbox == bindparam("inbox"), _task.c.state == str(TaskState.OPEN))
        .order_by(_task.c.received_at, _task.c.envelope)
        .limit(bindparam("limit")),
        queue.Task,
    ),
    "done_tasks": Query(
        _all(queue.Task)
        .where(
            _task.c.inbox == bindparam("inbox"),
            _task.c.state == str(TaskState.DONE),
            _before(_task.c.changed_at, _task.c.envelope),
        )
        .order_by(_task.c.changed_at.desc(), _task.c.envelope)
        .limit(bindparam("limit")),
        queue.Task,
    ),
    "done_count": Query(
        select(func.count()).select_from(
            select(_task.c.envelope)
            .where(_task.c.inbox == bindparam("inbox"), _task.c.state == str(TaskState.DONE))
            .limit(bindparam("most"))
            .subquery()
        ),
        None,
    ),
    "worksheets_of": _where(
        queue.Worksheet, "inbox", "item", order=(_sheet.c.created_at, _sheet.c.sheet, _sheet.c.number)
    ),
    "marks_of": Query(
        _all(queue.IdentityMark)
        .where(_mark.c.administration == bindparam("administration"), _mark.c.mark == bindparam("mark"))
        .order_by(_mark.c.case)
        .limit(bindparam("limit")),
        queue.IdentityMark,
    ),
    "case_by_reference": _where(path.Case, "reference"),
    "acts_of": Query(
        select(func.count()).select_from(
            select(_side.c.number)
            .where(
                _side.c.actor == bindparam("actor"),
                _side.c.at >= bindparam("since"),
                _side.c.action == bindparam("action"),
            )
            .limit(bindparam("most"))
            .subquery()
        ),
        None,
    ),
    "recalls_page": Query(
        _all(queue.Recall)
        .where(
            _recall.c.administration == bindparam("administration"),
            _before(_recall.c.requested_at, _recall.c.envelope),
        )
        .order_by(_recall.c.requested_at.desc(), _recall.c.envelope)
        .limit(bindparam("limit")),
        queue.Recall,
    ),
    "register_page": Query(
        select(
            _delivery.c.envelope,
            _message.c.id.label("message"),
            _message.c.case,
            _case.c.reference.label("case_reference"),
            _message.c.form_type,
            _message.c.sender,
            _delivery.c.inbox,
            _delivery.c.id.label("delivery"),
            _delivery.c.state,
            _delivery.c.delivered_at,
        )
        .select_from(
            _delivery.join(_message, _message.c.id == _delivery.c.message).join(_case, _case.c.id == _message.c.case)
        )
        .where(
            _delivery.c.administration == bindparam("administration"),
            _before(_delivery.c.delivered_at, _delivery.c.id),
        )
        .order_by(_delivery.c.delivered_at.desc(), _delivery.c.id)
        .limit(bindparam("limit")),
        queue.RegisterLine,
    ),
    "unopened_of": Query(
        _all(path.Delivery)
        .where(
            _delivery.c.administration == bindparam("administration"),
            _delivery.c.state == str(DeliveryState.DELIVERED),
        )
        .order_by(_delivery.c.changed_at, _delivery.c.id)
        .limit(bindparam("limit")),
        path.Delivery,
    ),
    "transport_page": _transport(),
    "transport_page_message": _transport("message"),
    # For operators: bounded, since what has failed stays for ever.
    "delivery_count": Query(
        select(func.count()).select_from(
            select(_delivery.c.id).where(_delivery.c.state == bindparam("state")).limit(bindparam("most")).subquery()
        ),
        None,
    ),
    "oldest_due": Query(
        select(_delivery.c.due_at)
        .where(_delivery.c.channel == bindparam("channel"), _delivery.c.state == str(DeliveryState.QUEUED))
        .order_by(_delivery.c.due_at)
        .limit(1),
        None,
    ),
    "counts_by_reason": Query(
        select(_stands.c.channel, _stands.c.state, _stands.c.reason, func.count().label("count"))
        .group_by(_stands.c.channel, _stands.c.state, _stands.c.reason)
        .order_by(_stands.c.reason),
        path.ReasonCount,
    ),
    "listings": _where(directory.Listing, "channel", order=(_t(directory.Listing).c.address,)),
    # What has not arrived has no time: a short range of the index by inbox, however much has arrived before.
    "leaving_for": Query(
        select(_delivery.c.id)
        .where(
            _delivery.c.inbox == bindparam("inbox"),
            _delivery.c.delivered_at.is_(None),
            _delivery.c.channel == bindparam("channel_is"),
            sa.or_(
                _delivery.c.state == str(DeliveryState.QUEUED),
                _delivery.c.state == str(DeliveryState.ATTEMPTING),
                _delivery.c.state == str(DeliveryState.IN_TRANSIT),
            ),
        )
        .limit(bindparam("most")),
        None,
    ),
    "reached_at": Query(
        select(_delivery.c.delivered_at)
        .where(_delivery.c.inbox == bindparam("inbox"), _delivery.c.delivered_at.is_not(None))
        .order_by(_delivery.c.delivered_at.desc())
        .limit(1),
        None,
    ),
    # What nobody has opened is bounded by what people leave unopened; it is asked once a minute at most.
    "unfetched": Query(
        select(_task.c.inbox, func.count().label("count"), func.min(_task.c.received_at).label("oldest"))
        .select_from(_delivery.join(_task, _task.c.envelope == _delivery.c.envelope))
        .where(
            _delivery.c.state == str(DeliveryState.DELIVERED),
            _delivery.c.changed_at <= bindparam("before"),
            _task.c.state == str(TaskState.OPEN),
        )
        .group_by(_task.c.inbox)
        .order_by(func.min(_task.c.received_at), _task.c.inbox)
        .limit(bindparam("limit")),
        path.Unfetched,
    ),
    # By hand: bounded by what people have open; each channel and state is one range of the index.
    "deliveries_to_carry": Query(
        select(*(_delivery.c[name] for name in codec(path.Delivery).columns))
        .select_from(_delivery.join(_message, _message.c.id == _delivery.c.message))
        .where(
            or_(
                *(
                    and_(_delivery.c.channel == str(channel), _delivery.c.state == str(state))
                    for channel in carrying.BY_HAND
                    for state in _OPEN_BY_HAND
                )
            ),
            _message.c.sender == bindparam("sender"),
        )
        .order_by(_delivery.c.due_at, _delivery.c.id)
        .limit(bindparam("limit")),
        path.Delivery,
    ),
    "hand_overs_of": Query(
        _all(carrying.HandOver)
        .where(_hand_over.c.inbox == bindparam("inbox"), _hand_over.c.state == bindparam("state_is"))
        .order_by(_hand_over.c.created_at.desc(), _hand_over.c.id)
        .limit(bindparam("limit")),
        carrying.HandOver,
    ),
    "ended_due": Query(
        _all(path.Delivery)
        .where(
            _delivery.c.channel == bindparam("channel"),
            or_(*(_delivery.c.state == str(state) for state in _ENDED)),
            _delivery.c.due_at <= bindparam("now"),
        )
        .order_by(_delivery.c.due_at, _delivery.c.id)
        .limit(bindparam("limit")),
        path.Delivery,
    ),
    "overdue": Query(
        _all(path.Delivery)
        .where(
            _delivery.c.channel == bindparam("channel"),
            or_(*(_delivery.c.state == str(state) for state in _OPEN_BY_HAND)),
            _delivery.c.expires_at <= bindparam("now"),
        )
        .order_by(_delivery.c.due_at, _delivery.c.id)
        .limit(bindparam("limit")),
        path.Delivery,
    ),
    "draft_sent_as": _where(path.Draft, "sent_as"),
    "sent_drafts": Query(
        _all(path.Draft)
        .where(_draft.c.sent_as.is_not(None), _draft.c.changed_at < bindparam("before"))
        .order_by(_draft.c.changed_at, _draft.c.id)
        .limit(bindparam("limit")),
        path.Draft,
    ),
    "sides_page": _sides(),
    "sides_page_action": _sides("action"),
    "sides_page_administration": _sides("administration"),
    "sides_page_object": _sides("object"),
    "log_size": Query(
        select(func.coalesce(func.max(_leaf.c.number) + 1, 0)).where(_leaf.c.log == bindparam("log")), None
    ),
    "leaves": Query(
        _all(log.AuditLeaf)
        .where(
            _leaf.c.log == bindparam("log"),
            _leaf.c.number >= bindparam("start"),
            _leaf.c.number < bindparam("end"),
        )
        .order_by(_leaf.c.number),
        log.AuditLeaf,
    ),
    "leaf_columns": Query(
        select(_leaf.c.number, _leaf.c.leaf, _leaf.c.hash)
        .where(
            _leaf.c.log == bindparam("log"),
            _leaf.c.number >= bindparam("start"),
            _leaf.c.number < bindparam("end"),
        )
        .order_by(_leaf.c.number),
        None,
    ),
    "sides": Query(
        _all(log.AuditSide)
        .where(
            _side.c.log == bindparam("log"),
            _side.c.number >= bindparam("start"),
            _side.c.number < bindparam("end"),
        )
        .order_by(_side.c.number),
        log.AuditSide,
    ),
    "checkpoints": _where(log.Checkpoint, "log", order=(_t(log.Checkpoint).c.size,)),
    "last_checkpoint": Query(
        _all(log.Checkpoint)
        .where(_t(log.Checkpoint).c.log == bindparam("log"))
        .order_by(_t(log.Checkpoint).c.size.desc())
        .limit(1),
        log.Checkpoint,
    ),
    "logs": Query(select(_found.c.log).where(_found.c.log.is_not(None)).order_by(_found.c.log), None),
}


def by_key(row: type[Row]) -> Any:
    """The row with a key."""
    table = _t(row)
    return _all(row).where(*(table.c[name] == bindparam(name) for name in row.KEY))


def by_keys(row: type[Row], count: int) -> Any:
    """The rows with any of `count` keys; each is met by the key's own index."""
    table = _t(row)
    keys = [and_(*(table.c[name] == bindparam(f"{name}_{at}") for name in row.KEY)) for at in range(count)]
    return _all(row).where(or_(*keys))


def version_of(row: type[Row], *, lock: bool) -> Any:
    """The version of a row, held until the transaction ends where the engine can (`FOR SHARE`)."""
    table = _t(row)
    statement = select(table.c.version).where(*(table.c[name] == bindparam(name) for name in row.KEY))
    return statement.with_for_update(read=True) if lock else statement


def insert(row: type[Row]) -> Any:
    return _t(row).insert().values({name: bindparam(name) for name in codec(row).columns})


def update(row: type[Row]) -> Any:
    """Replace the version before: one row, or somebody else was first."""
    table = _t(row)
    changed: dict[str, Any] = {name: bindparam(name) for name in codec(row).columns if name not in row.KEY}
    keys_ = [table.c[name] == bindparam(f"key_{name}") for name in row.KEY]
    return table.update().where(*keys_, table.c.version == bindparam("old_version")).values(changed)


def delete(row: type[Row]) -> Any:
    table = _t(row)
    return table.delete().where(*(table.c[name] == bindparam(name) for name in row.KEY))


def claim() -> Any:
    """Oldest due first; a row that another worker holds is skipped, so no delivery is tried twice at once."""
    due = (
        select(_delivery.c.id)
        .where(
            _delivery.c.channel == bindparam("channel_is"),
            _delivery.c.state == str(DeliveryState.QUEUED),
            _delivery.c.due_at <= bindparam("now"),
        )
        .order_by(_delivery.c.due_at, _delivery.c.id)
        .limit(bindparam("limit"))
        .with_for_update(skip_locked=True)
    )
    return (
        _delivery.update()
        .where(_delivery.c.id.in_(due.scalar_subquery()))
        .values(
            state=str(DeliveryState.ATTEMPTING),
            lease_until=bindparam("lease"),
            lease_owner=bindparam("owner"),
            changed_at=bindparam("changed"),
            version=_delivery.c.version + 1,
        )
        .returning(*(_delivery.c[name] for name in codec(path.Delivery).columns))
    )
