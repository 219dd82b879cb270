"""A long history: rows of whole messages that came, were delivered, opened and closed, as many as wanted.

Why this exists: a list or a claim must not cost more as history grows, and that shows only over rows of the real kind
and size. So one message goes its whole way first, what it left in the store is recorded, and each repetition gets ids,
times and seals of its own.

Rules: rows go in through the store, with two true log entries for each message; rows that decide get a MAC that holds.
Not repeated: the envelopes' octets are those of the first message, since nothing that is measured opens them.
"""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
import uuid
from collections.abc import Callable
from typing import Any, Final

from adapters.sql.sqlite import SqliteStore
from bench.county import READER, RECIPIENT, County
from bench.raw import Recorder
from gateway.audit import AuditAction
from gateway.integrity import Integrity
from gateway.model.base import CaseId, DecidingRow, EnvelopeId, Instant, Row
from gateway.model.identity import Session, StepUpWindow
from gateway.model.keys import ShredBatch, SideKey
from gateway.model.log import LogEntry
from gateway.model.queue import Task
from gateway.ports import Insert, Update, Work
from gateway.states import TaskState

BATCH: Final = 25  # messages in one Work
AT_ONCE: Final = 4
APART: Final = 60_000_000  # microseconds between two messages
MARK: Final = 32  # octets of an identity's keyed hash
#: Rows that the first message touched, and that its repetitions do not have of their own.
NOT_REPEATED: Final = (Session, StepUpWindow, ShredBatch, SideKey)


class History:
    """Adds done messages to a store."""

    def __init__(self, county: County, store: SqliteStore) -> None:
        self._county = county
        self._store = store
        self._integrity: Integrity = county.gateway.integrity
        self._rows: list[_Pattern] = []
        self._case = ""
        self.count = 0

    async def add(self, count: int) -> None:
        """`count` more messages, older than everything before."""
        if not self._rows:
            await self._record()
        todo = iter(range(self.count, self.count + count, BATCH))
        last = self.count + count

        async def fill() -> None:
            for first in todo:
                await self._commit(range(first, min(first + BATCH, last)))

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(fill())
        self.count = last

    async def _record(self) -> None:
        """Send, deliver, open and close one message, and keep what that left."""
        gateway = self._county.gateway
        await self._county.signed()
        signed = await gateway.sessions.authenticate(await self._county.token(READER))
        with Recorder(self._store) as recorder:
            [case] = await self._county.cases(1)
            await self._county.accept([case], 1)
            await self._county.deliver()
            [task] = [row for row in await self._store.open_tasks(RECIPIENT, limit=200) if row.case == case]
            await gateway.queue.open(signed, EnvelopeId(task.envelope))
        left: dict[tuple[type[Row], tuple[Any, ...]], Row] = {}
        for work in recorder.works:
            for change in work.changes:
                if isinstance(change, Insert | Update) and not isinstance(change.row, NOT_REPEATED):
                    left[type(change.row), change.row.key] = change.row
        users = {str(user.id) for user in await self._store.users()}
        ids = {part for row in left.values() for part in row.key if isinstance(part, str) and _is_id(part)} - users
        self._rows = [_Pattern(_done(row), ids) for row in left.values()]
        self._case = str(case)

    async def _commit(self, numbers: range) -> None:
        rows: list[Row] = []
        entries: list[LogEntry] = []
        for number in numbers:
            ids: dict[str, str] = {}
            made = [pattern.another(ids, -(number + 1) * APART) for pattern in self._rows]
            rows += [await self._integrity.sign(row) if isinstance(row, DecidingRow) else row for row in made]
            entries += [await self._entry(action, ids[self._case]) for action in (AuditAction.SENT, AuditAction.OPENED)]
        await self._store.commit(Work(changes=tuple(Insert(row) for row in rows), entries=tuple(entries)))

    async def _entry(self, action: AuditAction, case: str) -> LogEntry:
        """An entry under the administration's own side key: one more shred key for each case would measure keys."""
        signed = await self._county.signed()
        return await self._county.gateway.auditor.entry(
            action,
            administration=signed.user.administration,
            actor=signed.user,
            role=signed.role,
            object=CaseId(case),
            case=None,
            outcome="permit",
            policies=("D20",),
            detail={"decision": str(uuid.uuid4()), "transcripts": [secrets.token_hex(32), secrets.token_hex(32)]},
        )


class _Pattern:
    """A row, and which of its fields are ids, references and times."""

    def __init__(self, row: Row, ids: set[str]) -> None:
        self._row = row
        self._new: list[tuple[str, Callable[[dict[str, str], int], Any]]] = []
        for field in dataclasses.fields(row):
            value = getattr(row, field.name)
            if isinstance(value, str) and value in ids:
                self._new.append((field.name, _fresh(value)))
            elif field.name == "reference":
                self._new.append((field.name, lambda *_: f"ZZ-20-{secrets.token_hex(5)}"))
            elif isinstance(value, int) and value > 10**15:  # an Instant: microseconds since 1970
                self._new.append((field.name, _earlier(value)))
            elif field.name == "mark":
                self._new.append((field.name, lambda *_: secrets.token_hex(MARK)))

    def another(self, ids: dict[str, str], shift: int) -> Row:
        """The row of another message; `ids` gives every row of it the same new ids."""
        return dataclasses.replace(self._row, **{name: new(ids, shift) for name, new in self._new})


def _fresh(old: str) -> Callable[[dict[str, str], int], str]:
    def new(ids: dict[str, str], _: int) -> str:
        if old not in ids:
            ids[old] = str(uuid.uuid4())
        return ids[old]

    return new


def _earlier(at: int) -> Callable[[dict[str, str], int], Instant]:
    return lambda _, shift: Instant(at + shift)


def _is_id(text: str) -> bool:
    try:
        return len(text) == 36 and bool(uuid.UUID(text))
    except ValueError:
        return False


def _done(row: Row) -> Row:
    """What is repeated needs nobody any more."""
    return dataclasses.replace(row, state=TaskState.DONE) if isinstance(row, Task) else row
