"""The tables: one for each kind of row, its columns being the row's fields.

Why this exists: the gateway's rows are the contract, so a column is never invented here; a test holds that tables and
rows agree, and another that no column outside the closed list of docs/data-model.md is in clear. What is decided here:
types, uniqueness beside the key, and the indexes that keep lists and claims from costing more as history grows.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, Final

import sqlalchemy as sa

from gateway.model import ROWS, carrying, directory, identity, keys, log, notices, path, queue, systems
from gateway.model.base import Row

METADATA: Final = sa.MetaData()


def _column(row: type[Row], name: str, hint: Any) -> sa.Column[Any]:
    nullable = False
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        nullable = True
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    hint = getattr(hint, "__supertype__", hint)
    kind: Any = sa.Text()
    if hint is int:
        kind = sa.BigInteger()
    elif hint is bool:
        kind = sa.Boolean()
    elif hint is bytes:
        kind = sa.LargeBinary()
    return sa.Column(name, kind, primary_key=name in row.KEY, nullable=nullable, autoincrement=False)


def _table(row: type[Row]) -> sa.Table:
    hints = typing.get_type_hints(row)
    columns = [_column(row, field.name, hints[field.name]) for field in dataclasses.fields(row)]
    # The key's own order is the index's order: a prefix of it answers the lists.
    columns.sort(key=lambda column: row.KEY.index(column.name) if column.name in row.KEY else len(row.KEY))
    return sa.Table(row.TABLE, METADATA, *columns)


TABLES: Final[dict[type[Row], sa.Table]] = {row: _table(row) for row in ROWS}

#: Unique beside the key; the store in memory holds the same.
UNIQUE: Final[dict[type[Row], tuple[tuple[str, ...], ...]]] = {
    identity.User: (("login",),),
    path.Case: (("reference",),),
    keys.KeyRecord: (("kind", "owner", "epoch", "revision"),),
    directory.Route: (("channel", "address"),),
}
for _row, _sets in UNIQUE.items():
    for _columns in _sets:
        sa.Index(f"ux_{_row.TABLE}_{'_'.join(_columns)}", *(TABLES[_row].c[c] for c in _columns), unique=True)


def _index(row: type[Row], *columns: str) -> None:
    """An index; a leading '-' means descending."""
    table = TABLES[row]
    parts = [table.c[name[1:]].desc() if name.startswith("-") else table.c[name] for name in columns]
    sa.Index(f"ix_{row.TABLE}_{'_'.join(name.lstrip('-') for name in columns)}", *parts)


_index(identity.Session, "user", "-started_at")
_index(identity.Membership, "user")
_index(keys.EnvelopeWrap, "batch")
_index(keys.SideKey, "shred_key")
_index(keys.ShredBatch, "state")
_index(path.CaseParty, "inbox", "-opened_at", "case")
_index(path.Consent, "case", "-recorded_at")
_index(path.Draft, "inbox", "-created_at", "id")
_index(path.Attachment, "draft", "created_at")
_index(path.Attachment, "blob")
_index(path.EnvelopeAttachment, "blob")
_index(path.Quarantined, "state", "-since", "attachment")
_index(path.Held, "inbox", "state", "since", "envelope")
_index(path.Held, "state", "since", "envelope")
_index(path.Held, "channel", "conversation", "sender")
_index(path.Message, "case", "-created_at", "id")
_index(path.Envelope, "message")
_index(path.Delivery, "message")
_index(path.Delivery, "envelope")
_index(path.Delivery, "inbox", "-delivered_at", "id")
_index(path.Delivery, "channel", "state", "due_at", "id")
_index(path.Delivery, "state", "lease_until")
_index(path.Delivery, "state", "changed_at")
_index(path.DeliveryConsent, "consent")
_index(path.Receipt, "message")
_index(path.Conversation, "case")
_index(path.Notice, "inbox", "state", "created_at")
_index(notices.NoticeMail, "state", "due_at", "inbox", "user")
_index(path.Arrival, "message")
_index(path.SeatAnswer, "case", "-changed_at")
_index(log.AuditSide, "actor", "at")
_index(log.AuditSide, "object", "-number")
_index(log.AuditSide, "log", "action", "-number")
_index(log.AuditSide, "log", "administration", "-number")
_index(path.Draft, "sent_as", "changed_at")
_index(path.Delivery, "administration", "-delivered_at", "id")
_index(path.Delivery, "administration", "state", "changed_at")
_index(path.Delivery, "-changed_at", "id")
_index(queue.Task, "inbox", "state", "received_at", "envelope")
_index(queue.Task, "inbox", "state", "-changed_at", "envelope")
_index(queue.Recall, "administration", "-requested_at", "envelope")
_index(carrying.HandOver, "inbox", "state", "-created_at", "id")
_index(systems.SystemMessage, "user", "sent", "gone", "-created_at", "id")
