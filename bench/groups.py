"""P11: the store's group commit against a commit of its own for each Work, by as many callers.

Why this exists: one sync for many messages is what the single writer is for. Here the Works of recorded acceptances,
with fresh ids, are handed to the real store by callers that wait for their answer; only how many of them the writer may
take into one transaction differs.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time

from adapters.sql import writer
from adapters.sql.sqlite import SqliteStore
from bench.county import County
from bench.raw import fresh_ids, recorded, renamed
from gateway.model.path import Case
from gateway.ports import Insert, Update, Work


class Groups:
    """Repeats an acceptance's Work."""

    def __init__(self, store: SqliteStore, work: Work, case: Case) -> None:
        self._store = store
        self._work = work
        self._case = case

    @classmethod
    async def ready(cls, county: County, store: SqliteStore) -> Groups:
        return cls(store, *await recorded(county, store))

    async def run(self, count: int, callers: int, most: int) -> float:
        """Seconds for `count` Works."""
        works = [self._another() for _ in range(count)]
        before, writer.GROUP = writer.GROUP, most  # type: ignore[misc]
        try:
            waiting = iter(works)

            async def call() -> None:
                for work in waiting:
                    await self._store.commit(work)

            started = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for _ in range(callers):
                    group.create_task(call())
            return time.perf_counter() - started
        finally:
            writer.GROUP = before  # type: ignore[misc]

    def _another(self) -> Work:
        """The same acceptance with ids of its own; its case is inserted instead of moved on, and rests on no fact."""
        ids = fresh_ids(self._work, self._case)
        changes = []
        for change in self._work.changes:
            if isinstance(change, Insert | Update):
                changes.append(Insert(renamed(change.row, ids)))
        entries = tuple(dataclasses.replace(entry) for entry in self._work.entries)
        return Work(expects=self._work.expects[:0], changes=tuple(changes), entries=entries)
