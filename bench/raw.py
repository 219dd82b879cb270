"""R0: the rows of one acceptance, written again by the plain driver in groups of the same size.

Why this exists: it is the most that this machine's disk and SQLite give for these very rows, so it says what all the
rest (rules, sealing, signatures, HTTP, Python) costs. The rows of a real acceptance are recorded at the store; each
repetition gets ids of its own of the same length, and everything is bound before the clock starts.

Rules: the gateway's own schema with all its indexes, the same PRAGMAs, one `BEGIN IMMEDIATE … COMMIT` for each group.
"""

from __future__ import annotations

import dataclasses
import secrets
import sqlite3
import time
import uuid
from pathlib import Path
from typing import Any, Final

from adapters.sql.base import numbered
from adapters.sql.compiled import Statements
from adapters.sql.migrate import migrate_sqlite
from adapters.sql.sqlite import SqliteStore
from bench.county import County
from gateway.errors import SetupError
from gateway.model.base import CaseId, Row, VersionedRow
from gateway.model.path import Case
from gateway.ports import Committed, Insert, Update, Work

PRAGMAS: Final = ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "trusted_schema=OFF", "temp_store=MEMORY")
Statement = tuple[str, tuple[Any, ...]]


class Recorder:
    """Stands before a store's `commit` and keeps the Works that pass; nothing is changed on the way."""

    def __init__(self, store: SqliteStore) -> None:
        self.works: list[Work] = []
        self._store = store
        self._commit = store.commit

    def __enter__(self) -> Recorder:
        self._store.commit = self._kept  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        self._store.commit = self._commit  # type: ignore[method-assign]

    async def _kept(self, work: Work) -> Committed:
        self.works.append(work)
        return await self._commit(work)


async def recorded(county: County, store: SqliteStore) -> tuple[Work, Case]:
    """The Work of one acceptance, and its case as it was before."""
    [case] = await county.cases(1)
    before = await store.get(Case, case)
    with Recorder(store) as recorder:
        await county.accept([case], 1)
    if before is None:
        raise SetupError("the case to record is missing")
    return next(work for work in recorder.works if len(work.changes) > 1), before


def fresh_ids(work: Work, case: Case) -> dict[str, str]:
    """New ids for everything that `work` inserts, and for its case."""
    new = {str(case.id): str(uuid.uuid4()), case.reference: f"AL-00-{secrets.token_hex(5)}"}
    for change in work.changes:
        if isinstance(change, Insert):
            for value in dataclasses.asdict(change.row).values():
                if isinstance(value, str) and _is_uuid(value):
                    new.setdefault(value, str(uuid.uuid4()))
    return new


def renamed(row: Row, ids: dict[str, str]) -> Row:
    """A row with its ids replaced."""
    values: dict[str, Any] = {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    new: dict[str, Any] = {
        name: ids[value] for name, value in values.items() if isinstance(value, str) and value in ids
    }
    return dataclasses.replace(row, **new)


class Raw:
    """A database of the gateway's schema, and an acceptance to repeat in it."""

    def __init__(self, path: Path, statements: Statements, work: Work, case: Case) -> None:
        migrate_sqlite(path)
        self._statements = statements
        self._work = work
        self._case = case
        self._number = 0
        # The runs take worker threads, one after the other, so that the loop stays free.
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in PRAGMAS:
            self._connection.execute(f"PRAGMA {pragma}")

    @property
    def rows(self) -> int:
        """Rows that one acceptance writes."""
        return len(self._work.changes) + 2 * len(self._work.entries)

    def run(self, count: int, group: int) -> float:
        """Seconds for `count` acceptances in transactions of `group` each."""
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        ready = [self._fresh() for _ in range(count)]
        execute("COMMIT")
        started = time.perf_counter()
        for start in range(0, count, group):
            execute("BEGIN IMMEDIATE")
            for statements in ready[start : start + group]:
                for sql, params in statements:
                    execute(sql, params)
            execute("COMMIT")
        return time.perf_counter() - started

    def close(self) -> None:
        self._connection.close()

    def _fresh(self) -> list[Statement]:
        """The statements of one more acceptance; its case is inserted at once, to be updated later."""
        new = fresh_ids(self._work, self._case)
        before = dataclasses.replace(self._case, id=CaseId(new[self._case.id]), reference=new[self._case.reference])
        self._connection.execute(*self._statements.insert(before))
        found: list[Statement] = []
        for change in self._work.changes:
            if isinstance(change, Insert):
                found.append(self._statements.insert(change.row))
            elif isinstance(change, Update) and isinstance(change.row, VersionedRow):
                found.append(self._statements.update(change.row))
        for entry in self._work.entries:
            found += [self._statements.insert(row) for row in numbered(entry, self._number)]
            self._number += 1
        return [
            (sql, tuple(new.get(value, value) if isinstance(value, str) else value for value in params))
            for sql, params in found
        ]


def _is_uuid(text: str) -> bool:
    try:
        return len(text) == 36 and bool(uuid.UUID(text))
    except ValueError:
        return False
