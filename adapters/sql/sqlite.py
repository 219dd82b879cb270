"""The default engine: SQLite with one writer thread, group commit, and readings beside it.

Why this exists: all writing goes through one thread on the plain driver (`adapters.sql.writer`), which commits what
waits together; reading goes on beside it.

Rules: WAL, `synchronous=FULL`, `BEGIN IMMEDIATE`, `secure_delete`. Point reads run on the event loop's own connection:
in WAL mode they never wait for the writer, and a thread hop would cost more than the read. Bulk readings take a thread.
One serving process per database, held by a lock file. When only the disk's reserve is left, Works that bring new
content are refused, so that receipts, states and above all the log still have room (security-decisions H2).
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, cast

from sqlalchemy.dialects import sqlite as dialect

from adapters.disk import Reserve
from adapters.sql.base import SqlReadings, conflict, numbered, stale
from adapters.sql.codec import codec
from adapters.sql.compiled import Statements
from adapters.sql.migrate import migrate_sqlite
from adapters.sql.writer import Job, Writer, unavailable
from gateway.errors import GatewayError, SetupError, StoreUnavailableError
from gateway.model import path as nouns
from gateway.model.base import Instant, VersionedRow
from gateway.model.log import LogEntry
from gateway.ports import UNMEASURED, Clock, Committed, Insert, Metrics, Update, Work

BUSY_S: Final = 5.0
MOST_WAITING: Final = 1_024  # jobs; their rows are in memory until they are written


class SqliteStore(SqlReadings):
    """The Store port over one SQLite file. Make it with `open`."""

    def __init__(self, path: Path, clock: Clock, lock: int, reserve: Reserve, metrics: Metrics) -> None:
        self._path = path
        self._clock = clock
        self._lock = lock
        self._reserve = reserve
        self.statements = Statements(dialect.dialect(paramstyle="qmark"), lock_facts=False)
        self._reader = _connect(path)
        self._bulk = ThreadPoolExecutor(max_workers=2, thread_name_prefix="sqlite-read")
        self._local = threading.local()
        self._closed = False
        self._writer = Writer(_connect(path, writer=True), self._run, BUSY_S, metrics)

    @classmethod
    async def open(
        cls,
        path: Path,
        clock: Clock,
        *,
        create: bool = False,
        reserve_percent: int = 0,
        metrics: Metrics = UNMEASURED,
    ) -> SqliteStore:
        """Open a database; `create` makes it, or brings its schema up to date.

        Args:
            reserve_percent: how much of the disk stays for the log and what must go on.

        Raises:
            SetupError: missing, in use by another process, or written by a newer version.
        """
        if not create and not path.exists():
            raise SetupError(
                f"{path} does not exist",
                swedish=f"Databasen {path} finns inte.",
                next_step="Ange rätt datakatalog. Förlorad: återställ en säkerhetskopia. Ny: 'sambud init'.",
            )
        lock = _locked(path)
        try:
            await asyncio.to_thread(migrate_sqlite, path)
            return cls(path, clock, lock, Reserve(path.parent, reserve_percent), metrics)
        except BaseException:
            os.close(lock)
            raise

    async def close(self) -> None:
        """Finish what waits, and leave no thread behind."""
        if self._closed:
            return
        self._closed = True
        await self._writer.close()
        self._bulk.shutdown()
        self._reader.close()
        os.close(self._lock)

    async def until_broken(self) -> None:
        await self._writer.broken.wait()

    @property
    def groups(self) -> int:
        """Commits so far; with `works`, the measurement of group commit."""
        return self._writer.groups

    @property
    def works(self) -> int:
        return self._writer.works

    # --- reading -----------------------------------------------------------------------------------------------------

    async def _fetch(self, sql: str, params: tuple[Any, ...], *, bulk: bool = False) -> Sequence[Sequence[Any]]:
        try:
            if bulk:
                return await asyncio.get_running_loop().run_in_executor(self._bulk, self._in_thread, sql, params)
            return self._reader.execute(sql, params).fetchall()
        except (sqlite3.Error, MemoryError) as trouble:
            raise unavailable(trouble) from trouble

    def _in_thread(self, sql: str, params: tuple[Any, ...]) -> list[Any]:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:  # made when first needed: a pool whose start failed would never work again
            connection = self._local.connection = _connect(self._path)
        return connection.execute(sql, params).fetchall()

    # --- writing -----------------------------------------------------------------------------------------------------

    async def commit(self, work: Work) -> Committed:
        return cast(Committed, await self._submit(work, None))

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
        return cast("list[nouns.Delivery]", await self._submit(None, params))

    async def check_writable(self) -> None:
        """A group of its own, or a place in one: what a commit would meet now, this meets.

        It writes the header's user version anew, so that a full or broken disk is met as well as a lock.
        """
        await self._submit(None, None)

    async def _submit(self, work: Work | None, claim: tuple[Any, ...] | None) -> Any:
        if self._closed:
            raise StoreUnavailableError("the store is closed", swedish="Databasen är stängd.")
        if self._writer.waiting >= MOST_WAITING:
            raise StoreUnavailableError(
                "too many commits wait",
                swedish="Det går inte att spara just nu: för mycket väntar på att skrivas.",
                next_step="Försök igen om en stund. Inget har sparats, utkastet är kvar.",
            )
        return await self._writer.submit(work, claim)

    def _run(self, connection: sqlite3.Connection, job: Job, sizes: dict[str, int]) -> None:
        """One job in its savepoint; an expected failure is its own, anything worse ends the group."""
        before = dict(sizes)
        job.error = None
        connection.execute("SAVEPOINT job")
        try:
            if job.work is not None:
                if job.work.brings_content:
                    self._reserve.check()
                job.result = self._apply(connection, job.work, sizes)
            elif job.claim is None:
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                connection.execute(f"PRAGMA user_version={int(version)}")
            else:
                rows = connection.execute(self.statements.claim.sql, job.claim).fetchall()
                claimed = [codec(nouns.Delivery).row(row) for row in rows]
                job.result = sorted(claimed, key=lambda row: (row.due_at, row.id))
        except GatewayError as refused:
            job.error = refused
        except sqlite3.IntegrityError as clash:
            job.error = conflict("row", str(clash.sqlite_errorname))
        except ValueError as unfit:  # a text that no encoding takes, say: its caller's fault, not its neighbours'
            job.error = unfit
        if job.error is not None:
            connection.execute("ROLLBACK TO job")
            sizes.clear()
            sizes.update(before)
        connection.execute("RELEASE job")

    def _apply(self, connection: sqlite3.Connection, work: Work, sizes: dict[str, int]) -> Committed:
        at = self._clock.now()
        found = connection.execute(*self.statements.versions(work.expects)).fetchone() if work.expects else ()
        for fact, version in zip(work.expects, found, strict=True):
            if (version or 0) != fact.version:
                raise stale(fact)
            if fact.valid_until is not None and fact.valid_until <= at:
                raise stale(fact)
        for change in work.changes:
            if isinstance(change, Insert):
                connection.execute(*self.statements.insert(change.row))
            elif isinstance(change, Update):
                row = cast(VersionedRow, change.row)
                if connection.execute(*self.statements.update(row)).rowcount != 1:
                    raise conflict(row.TABLE, "another version stands")
            else:
                connection.execute(*self.statements.delete(change.row, change.key))
        return Committed(at, tuple(self._append(connection, entry, sizes) for entry in work.entries))

    def _append(self, connection: sqlite3.Connection, entry: LogEntry, sizes: dict[str, int]) -> int:
        number = sizes.get(entry.log)
        if number is None:
            text, _ = self.statements.queries["log_size"]
            number = int(connection.execute(text.sql, text.params({"log": entry.log})).fetchone()[0])
        for row in numbered(entry, number):
            connection.execute(*self.statements.insert(row))
        sizes[entry.log] = number + 1
        return number


def _connect(path: Path, *, writer: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_S)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute("PRAGMA temp_store=MEMORY")  # sorts never touch a file
    if not writer:
        connection.execute("PRAGMA query_only=ON")
    return connection


def _locked(path: Path) -> int:
    """The lock that makes this the only serving process."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as trouble:
        raise _unwritable(path) from trouble
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise SetupError(
            f"{path} is in use by another process",
            swedish="Databasen används redan av en annan process.",
            next_step="Stoppa den andra gatewayen, eller kör kommandot mot den.",
        ) from None
    return lock


@asynccontextmanager
async def idle(path: Path) -> AsyncIterator[None]:
    """Hold the lock of a store that nobody serves, so that nobody begins to.

    Raises:
        SetupError: missing, or in use.
    """
    if not path.exists():
        raise SetupError(
            f"{path} does not exist",
            swedish=f"Databasen {path} finns inte.",
            next_step="Ange rätt datakatalog. Inget har ändrats.",
        )
    lock = _locked(path)
    try:
        yield
    finally:
        os.close(lock)


def _unwritable(path: Path) -> SetupError:
    return SetupError(
        f"{path} cannot be opened for writing",
        swedish=f"Databasen {path} går inte att skriva.",
        next_step="Kontrollera rättigheter och diskutrymme för datakatalogen.",
    )
