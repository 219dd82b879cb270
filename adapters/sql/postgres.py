"""PostgreSQL: the same contract with asyncpg; one writer task per process, group commit, facts held FOR SHARE.

Why this exists: beyond one machine's disk the rows live in a server, and several processes write. What a decision
rests on is then held (`FOR SHARE`) until the commit, and the log's numbers are given under a lock on the log (an
advisory transaction lock), so that they have no gaps whoever writes. Numbering in the transaction is the simple mode;
staging rows and an integrator that numbers them, for many writers, is not yet here.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import asyncpg as dialect
from sqlalchemy.ext.asyncio import create_async_engine

from adapters.sql.base import SqlReadings, conflict, numbered, stale
from adapters.sql.codec import codec
from adapters.sql.compiled import Statements
from adapters.sql.migrate import migrate
from gateway import failpoints
from gateway.errors import ConflictError, GatewayError, SetupError, StoreFullError, StoreUnavailableError
from gateway.model import path as nouns
from gateway.model.base import Instant, VersionedRow
from gateway.model.log import LogEntry
from gateway.ports import Clock, Committed, Insert, Update, Work

GROUP: Final = 64
TRIES: Final = 5
READERS: Final = 4
TIMEOUT_S: Final = 5.0


@dataclass(slots=True)
class _Job:
    work: Work
    future: asyncio.Future[Committed]


class PostgresStore(SqlReadings):
    """The Store port over PostgreSQL. Make it with `open`."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self.statements = Statements(dialect.dialect(), lock_facts=True)  # type: ignore[no-untyped-call]
        self._jobs: asyncio.Queue[_Job | None] = asyncio.Queue()
        self._writer = asyncio.create_task(self._write(), name="postgres-writer")
        self._closed = False

    @classmethod
    async def open(cls, dsn: str, clock: Clock, *, schema: str = "public") -> PostgresStore:
        """Connect, bring the schema up to date, and check that commits are durable.

        Raises:
            SetupError: not reachable, newer, or the server does not sync its commits.
        """
        settings = {"search_path": schema, "lock_timeout": "5s"}
        try:
            await _migrate(dsn, schema)
            pool = await asyncpg.create_pool(
                dsn, min_size=2, max_size=READERS + 1, server_settings=settings, command_timeout=60
            )
        except (OSError, asyncpg.PostgresError) as trouble:
            raise SetupError(
                "PostgreSQL cannot be reached",
                swedish="Det går inte att ansluta till PostgreSQL.",
                next_step="Kontrollera adress, användare och att servern är i gång.",
            ) from trouble
        for name in ("fsync", "full_page_writes", "synchronous_commit"):
            if await pool.fetchval("SELECT current_setting($1)", name) == "off":
                await pool.close()
                raise SetupError(
                    f"PostgreSQL runs with {name}=off",
                    swedish=f"PostgreSQL är inställd så att sparat kan gå förlorat ({name}=off).",
                    next_step="Slå på inställningen och starta om servern.",
                )
        return cls(pool, clock)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._jobs.put(None)
        await self._writer
        await self._pool.close()

    async def _fetch(self, sql: str, params: tuple[Any, ...], *, bulk: bool = False) -> Sequence[Sequence[Any]]:
        try:
            return cast(Sequence[Sequence[Any]], await self._pool.fetch(sql, *params))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as trouble:
            raise _unavailable(trouble) from trouble

    async def commit(self, work: Work) -> Committed:
        if self._closed:
            raise StoreUnavailableError("the store is closed", swedish="Databasen är stängd.")
        job = _Job(work, asyncio.get_running_loop().create_future())
        await self._jobs.put(job)
        return await job.future

    async def claim_due(
        self, channel: nouns.Channel, *, now: Instant, lease_until: Instant, owner: str, limit: int
    ) -> list[nouns.Delivery]:
        params = self.statements.claim.params(
            {
                "channel_is": str(channel),
                "now": now,
                "limit": limit,
                "lease": lease_until,
                "owner": owner,
                "changed": now,
            }
        )
        rows = await self._fetch(self.statements.claim.sql, params)
        claimed = [codec(nouns.Delivery).row(row) for row in rows]
        return sorted(claimed, key=lambda row: (row.due_at, row.id))

    async def _write(self) -> None:
        while True:
            first = await self._jobs.get()
            group = [first]
            while len(group) < GROUP and group[-1] is not None and not self._jobs.empty():
                group.append(self._jobs.get_nowait())
            jobs = [job for job in group if job is not None]
            if jobs:
                await self._commit_group(jobs)
            if group[-1] is None:
                return

    async def _commit_group(self, jobs: list[_Job]) -> None:
        """One transaction for all jobs, again up to five times when the server chose us as a deadlock's victim."""
        for attempt in range(TRIES):
            outcomes: list[Committed | GatewayError] = []
            try:
                async with asyncio.timeout(TIMEOUT_S * 2), self._pool.acquire() as connection:
                    async with connection.transaction():
                        outcomes = [await self._run(connection, job.work) for job in jobs]
                        failpoints.reached("store.before_commit")
                    failpoints.reached("store.after_commit")
            except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError) as trouble:
                if attempt < TRIES - 1:
                    continue
                outcomes = [_unavailable(trouble)] * len(jobs)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as trouble:
                outcomes = [_unavailable(trouble)] * len(jobs)
            for job, outcome in zip(jobs, outcomes, strict=True):
                if job.future.cancelled():
                    continue
                if isinstance(outcome, GatewayError):
                    job.future.set_exception(outcome)
                else:
                    job.future.set_result(outcome)
            return

    async def _run(self, connection: Any, work: Work) -> Committed | GatewayError:
        """One Work in its savepoint; an expected failure is its own."""
        try:
            async with connection.transaction():
                return await self._apply(connection, work)
        except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError):
            raise
        except asyncpg.UniqueViolationError as clash:
            return conflict(str(clash.table_name), "a unique value exists")
        except asyncpg.LockNotAvailableError as trouble:
            return _unavailable(trouble)
        except (ConflictError, GatewayError) as refused:
            return refused

    async def _apply(self, connection: Any, work: Work) -> Committed:
        at = self._clock.now()
        for fact in work.expects:
            sql, params = self.statements.version(fact.row, fact.key)
            found = await connection.fetchval(sql, *params)
            if (found or 0) != fact.version:
                raise stale(fact)
            if fact.valid_until is not None and fact.valid_until <= at:
                raise stale(fact)
        for change in work.changes:
            if isinstance(change, Insert):
                sql, params = self.statements.insert(change.row)
                await connection.execute(sql, *params)
            elif isinstance(change, Update):
                row = cast(VersionedRow, change.row)
                sql, params = self.statements.update(row)
                if await connection.execute(sql, *params) != "UPDATE 1":
                    raise conflict(row.TABLE, "another version stands")
            else:
                sql, params = self.statements.delete(change.row, change.key)
                await connection.execute(sql, *params)
        return Committed(at, tuple([await self._append(connection, entry) for entry in work.entries]))

    async def _append(self, connection: Any, entry: LogEntry) -> int:
        lock = int.from_bytes(hashlib.sha256(entry.log.encode()).digest()[:8], signed=True)
        await connection.execute("SELECT pg_advisory_xact_lock($1)", lock)
        text, _ = self.statements.queries["log_size"]
        number = int(await connection.fetchval(text.sql, *text.params({"log": entry.log})))
        for row in numbered(entry, number):
            sql, params = self.statements.insert(row)
            await connection.execute(sql, *params)
        return number


async def _migrate(dsn: str, schema: str) -> None:
    engine = create_async_engine(
        dsn.replace("postgresql://", "postgresql+asyncpg://", 1),
        connect_args={"server_settings": {"search_path": schema}},
    )
    try:
        async with engine.begin() as connection:
            await connection.execute(sa.text("SELECT pg_advisory_xact_lock(7264)"))  # one migration at a time
            await connection.run_sync(migrate)
    finally:
        await engine.dispose()


def _unavailable(trouble: BaseException) -> StoreUnavailableError:
    if isinstance(trouble, asyncpg.DiskFullError):
        return StoreFullError(
            "the database server's disk is full",
            swedish="Disken är full. Inget har sparats, men det som finns kan läsas.",
            next_step="Kontakta driften. Utkastet är kvar när det finns plats igen.",
        )
    return StoreUnavailableError(
        "the store cannot take this now",
        swedish="Det går inte att spara just nu.",
        next_step="Försök igen om en stund. Inget har skickats, utkastet är kvar.",
    )
