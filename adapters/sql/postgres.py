"""PostgreSQL: the same contract with asyncpg; one writer task per process, group commit, facts held FOR SHARE.

Why this exists: beyond one machine's disk the rows live in a server, and several processes write. What a decision
rests on is then held (`FOR SHARE`) until the commit, and the log's numbers are given under a lock on the log (an
advisory transaction lock), so that they have no gaps whoever writes. That lock is taken before anything is read: a row
that must be absent cannot be held, and two groups that took their rows first and the lock last would wait for each
other. Numbering in the transaction is the simple mode; staging rows and an integrator that numbers them, for many
writers, is not yet here.

Rules: a server that is away, restarts or cuts a connection is `StoreUnavailableError`, and the pool connects again by
itself; a commit whose answer was lost is `OutcomeUnknownError`, which the caller's idempotency key resolves. The writer
outlives every trouble: what it cannot name, its callers get as it is.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import asyncpg as dialect
from sqlalchemy.ext.asyncio import create_async_engine

from adapters.sql.base import SqlReadings, conflict, numbered, outcome_of, stale
from adapters.sql.codec import codec
from adapters.sql.compiled import Statements
from adapters.sql.migrate import migrate, refuse_unfinished
from gateway import failpoints
from gateway.errors import GatewayError, OutcomeUnknownError, SetupError, StoreFullError, StoreUnavailableError
from gateway.measures import Counted
from gateway.model import path as nouns
from gateway.model.base import Instant, VersionedRow
from gateway.model.log import LogEntry
from gateway.ports import UNMEASURED, Clock, Committed, Insert, Metrics, Update, Work

GROUP: Final = 64
TRIES: Final = 5
READERS: Final = 4
TIMEOUT_S: Final = 5.0
AGAIN_S: Final = 0.02  # first pause before a victim of a deadlock tries again; doubles, with jitter


@dataclass(slots=True)
class _Job:
    work: Work
    future: asyncio.Future[Committed]


class PostgresStore(SqlReadings):
    """The Store port over PostgreSQL. Make it with `open`."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock, metrics: Metrics = UNMEASURED) -> None:
        self._pool = pool
        self._clock = clock
        self._metrics = metrics
        self.statements = Statements(dialect.dialect(), lock_facts=True)  # type: ignore[no-untyped-call]
        self._jobs: asyncio.Queue[_Job | None] = asyncio.Queue()
        self._writer = asyncio.create_task(self._write(), name="postgres-writer")
        self._closed = False

    @classmethod
    async def open(
        cls,
        dsn: str,
        clock: Clock,
        *,
        schema: str = "public",
        metrics: Metrics = UNMEASURED,
        unfinished: bool = False,
    ) -> PostgresStore:
        """Connect, bring the schema up to date, and check that commits are durable.

        Raises:
            SetupError: not reachable, newer, left unfinished by a restore or a move (unless `unfinished`), or the
                server does not sync its commits.
        """
        settings = {"search_path": schema, "lock_timeout": "5s"}
        try:
            await _migrate(dsn, schema, unfinished=unfinished)
            pool = await asyncpg.create_pool(
                dsn,
                min_size=2,
                max_size=READERS + 1,
                server_settings=settings,
                timeout=TIMEOUT_S,
                command_timeout=60,
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
        return cls(pool, clock, metrics)

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
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as trouble:
            raise _unavailable(trouble) from trouble

    async def until_broken(self) -> None:
        await asyncio.get_running_loop().create_future()  # never: its server looks after its disk

    async def check_writable(self) -> None:
        """Through the writer as every commit; a server that only reads (a standby) is not writable."""
        [[read_only]] = await self._fetch("SELECT current_setting('transaction_read_only')", ())
        if read_only == "on":
            raise _unavailable(OSError("the server only reads"))
        await self.commit(Work())

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
        outcomes: list[Committed | Exception] = []
        began = time.perf_counter()
        for attempt in range(TRIES):
            try:
                outcomes = [*await self._transaction([job.work for job in jobs])]
            except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError) as trouble:
                outcomes = [_unavailable(trouble)] * len(jobs)
                if attempt < TRIES - 1:
                    await asyncio.sleep(AGAIN_S * 2**attempt * random.uniform(0.5, 1.0))  # noqa: S311
                    continue
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as trouble:
                outcomes = [_unavailable(trouble)] * len(jobs)
            except Exception as bug:  # its callers get it; the writer lives, or every later commit would wait for ever
                outcomes = [bug] * len(jobs)
            break
        self._measure(outcomes, time.perf_counter() - began)
        for job, outcome in zip(jobs, outcomes, strict=True):
            if job.future.cancelled():
                continue
            if isinstance(outcome, Exception):
                job.future.set_exception(outcome)
            else:
                job.future.set_result(outcome)

    def _measure(self, outcomes: Sequence[Committed | Exception], seconds: float) -> None:
        counted = Counter(outcome_of(found if isinstance(found, Exception) else None) for found in outcomes)
        for outcome, number in counted.items():
            self._metrics.count(Counted.WORKS, outcome, number)
        if counted["done"]:
            self._metrics.group(len(outcomes), seconds)

    async def _transaction(self, works: list[Work]) -> list[Committed | Exception]:
        """The works in one transaction, and what became of each.

        Raises:
            OutcomeUnknownError: the connection went while the server was asked to commit.
        """
        committing = False
        try:
            async with asyncio.timeout(TIMEOUT_S * 2), self._pool.acquire(timeout=TIMEOUT_S) as connection:
                async with connection.transaction():
                    await self._lock_logs(connection, works)
                    outcomes = [await self._run(connection, work) for work in works]
                    failpoints.reached("store.before_commit")
                    committing = True
                failpoints.reached("store.after_commit")
                return outcomes
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as trouble:
            if committing and _lost(trouble):
                raise _unknown() from trouble
            raise

    async def _lock_logs(self, connection: Any, works: list[Work]) -> None:
        """Hold every log that these works append to, always in the same order."""
        for log in sorted({entry.log for work in works for entry in work.entries}):
            lock = int.from_bytes(hashlib.sha256(log.encode()).digest()[:8], signed=True)
            await connection.execute("SELECT pg_advisory_xact_lock($1)", lock)

    async def _run(self, connection: Any, work: Work) -> Committed | Exception:
        """One Work in its savepoint; an expected failure is its own, and so is a value that no column can take."""
        try:
            async with connection.transaction():
                return await self._apply(connection, work)
        except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError):
            raise
        except asyncpg.UniqueViolationError as clash:
            return conflict(str(clash.table_name), "a unique value exists")
        except asyncpg.LockNotAvailableError as trouble:
            return _unavailable(trouble)
        except (GatewayError, asyncpg.DataError, ValueError) as own:
            return own

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
        text, _ = self.statements.queries["log_size"]
        number = int(await connection.fetchval(text.sql, *text.params({"log": entry.log})))
        for row in numbered(entry, number):
            sql, params = self.statements.insert(row)
            await connection.execute(sql, *params)
        return number


async def _migrate(dsn: str, schema: str, *, unfinished: bool) -> None:
    engine = create_async_engine(
        dsn.replace("postgresql://", "postgresql+asyncpg://", 1),
        connect_args={"server_settings": {"search_path": schema}},
    )
    try:
        async with engine.begin() as connection:
            await connection.execute(sa.text("SELECT pg_advisory_xact_lock(7264)"))  # one migration at a time
            if not unfinished:
                await connection.run_sync(refuse_unfinished)
            await connection.run_sync(migrate)
    finally:
        await engine.dispose()


def _lost(trouble: BaseException) -> bool:
    """Whether the server may have done what it was asked: it did not say no, it did not say anything."""
    said_no = isinstance(trouble, asyncpg.PostgresError) and not isinstance(
        trouble, asyncpg.PostgresConnectionError | asyncpg.OperatorInterventionError
    )
    return not said_no


def _unknown() -> OutcomeUnknownError:
    return OutcomeUnknownError(
        "the answer to a commit was lost",
        swedish="Svaret från databasen kom bort: det kan vara sparat.",
        next_step="Gör om precis samma sak. Var det redan sparat märks det, och inget blir dubbelt.",
    )


def _unavailable(trouble: BaseException) -> StoreUnavailableError:
    if isinstance(trouble, StoreUnavailableError):
        return trouble
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
