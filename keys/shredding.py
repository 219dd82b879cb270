"""Shred keys: 32 random octets that lock one wrap, kept in a store of their own; deleting one is gallring.

Why this exists: a message store lives on in backups, write-ahead logs and replicas; a key that was never in it cannot
be restored from it. So wraps are locked by keys that live in `keys.db`: its journal is deleted after each commit, every
commit is synced (EXTRA), freed pages are overwritten, and it is never attached to the message store.

Rules: a batch of 256 is durable here, and its row stands OPEN in the message store, before the first key is handed
out; so accept stays one transaction there. A crash loses at most unused keys. The sweeper closes a batch in the
message store first (an accept that still holds keys of it then fails its Fact) and only then deletes unnamed keys.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, ParamSpec, TypeVar
from urllib.parse import quote

import structlog

from gateway.errors import SetupError, StoreFullError, StoreUnavailableError
from gateway.model.base import GATEWAY, Instant, ShredBatchId, ShredKeyId
from gateway.model.keys import ShredBatch, ShredBatchState, SideKey
from gateway.ports import Clock, Insert, ShredKey, Store, Update, Work
from keys import suites

P = ParamSpec("P")
T = TypeVar("T")
BATCH: Final = 256
CACHE: Final = 4096
SCHEMA_VERSION: Final = 1
SHRED_KEY_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS shred_key (id TEXT PRIMARY KEY, batch TEXT NOT NULL, key BLOB NOT NULL) WITHOUT ROWID"
)
_DISK: Final = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
log = structlog.get_logger()


class ShredKeyStore:
    """The ShredKeys port over one SQLite file (or memory, for tests: path None)."""

    def __init__(self, path: Path | None, store: Store, clock: Clock) -> None:
        self._path = path
        self._store = store
        self._clock = clock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="shred-keys")
        self._connection: sqlite3.Connection | None = None
        self._pool: list[ShredKey] = []
        self._batches: dict[ShredBatchId, ShredBatch] = {}
        self._cache: OrderedDict[ShredKeyId, bytes] = OrderedDict()
        self._refill = asyncio.Lock()
        self._failed: sqlite3.Error | None = None
        self._broken = asyncio.Event()

    async def look(self) -> None:
        """Open the key store for reading alone: nothing is made, and a gateway that serves is not disturbed.

        Raises:
            SetupError: it is missing, or cannot be read.
        """
        await self._run(self._open_to_look)

    def _open_to_look(self) -> None:
        if self._path is None or not self._path.exists():
            raise _missing(self._path)
        try:
            connection = sqlite3.connect(
                f"file:{quote(str(self._path.resolve()))}?mode=ro",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
            )
            connection.execute("SELECT count(*) FROM (SELECT 1 FROM shred_key LIMIT 1)").fetchone()
        except sqlite3.Error as trouble:
            raise SetupError(
                "the key store cannot be read",
                swedish=f"Nyckellagret {self._path} går inte att läsa.",
                next_step="Kontrollera rättigheterna. Är filen skadad: lägg tillbaka den nyaste kopian.",
            ) from trouble
        self._connection = connection

    async def start(self, *, create: bool) -> None:
        """Open the key store.

        Raises:
            SetupError: it is missing although the message store exists, or was made by a newer version.
        """
        await self._run(self._open, create)
        await self._belongs()

    async def _belongs(self) -> None:
        """Refuse a key store that is not this message store's, or is an older copy of it.

        An open batch was durable here before its row was made there, and only closed batches lose keys to the sweeper;
        the gateway's own side rows of the newest log hang on a key as well.
        """
        open_batches = await self._store.open_batches()
        absent = [row for row in open_batches if not await self._run(self._of_batch, row.id)]
        logs = await self._store.logs()
        years = {name.rpartition("/")[2].partition("-")[0] for name in logs} or {"0"}
        side = await self._store.get(SideKey, GATEWAY, max(int(year) for year in years))
        lost = side is not None and await self._run(self._select, side.shred_key) is None
        if absent or lost:
            await self.close()
            raise SetupError(
                f"the key store lacks {len(absent)} of {len(open_batches)} open batches",
                swedish="Nyckellagret (keys.db) hör inte till databasen, eller är en äldre kopia av det.",
                next_step="Lägg tillbaka det nyckellager som hör till, eller återställ ett par med 'sambud restore'. "
                "Inget har ändrats.",
            )

    def _open(self, create: bool) -> None:
        if self._path is not None and not create and not self._path.exists():
            raise _missing(self._path)
        connection = sqlite3.connect(
            self._path or ":memory:", isolation_level=None, check_same_thread=False, timeout=5.0
        )
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("PRAGMA synchronous=EXTRA")
        connection.execute("PRAGMA secure_delete=ON")
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version > SCHEMA_VERSION:
            connection.close()
            raise SetupError(
                "the key store is newer than this program",
                swedish="Nyckellagret är skrivet av en nyare version.",
                next_step="Starta den version som skrev det. Inget har ändrats.",
            )
        connection.execute(SHRED_KEY_TABLE)
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        if self._path is not None:
            self._path.chmod(0o600)
        self._connection = connection

    async def close(self) -> None:
        if self._connection is not None:
            await self._run(self._connection.close)
            self._connection = None
        self._thread.shutdown()

    async def take(self, count: int) -> list[ShredKey]:
        """Fresh keys, durable before they are returned."""
        while len(self._pool) < count:
            async with self._refill:
                if len(self._pool) < count:
                    await self._new_batch()
        taken, self._pool = self._pool[:count], self._pool[count:]
        for key in taken:
            self._remember(key.id, key.key)
        return taken

    async def _new_batch(self) -> None:
        now = self._clock.now()
        batch = ShredBatchId(secrets.token_hex(8))
        fresh = [ShredKey(ShredKeyId(f"{batch}.{number}"), batch, secrets.token_bytes(32)) for number in range(BATCH)]
        await self._run(self._insert, fresh)
        row = ShredBatch(administration=GATEWAY, id=batch, state=ShredBatchState.OPEN, created_at=now)
        await self._store.commit(Work(changes=(Insert(row),)))
        self._batches[batch] = row
        self._pool.extend(fresh)

    def _insert(self, fresh: Sequence[ShredKey]) -> None:
        self._write(
            "INSERT INTO shred_key (id, batch, key) VALUES (?, ?, ?)", [(key.id, key.batch, key.key) for key in fresh]
        )

    def _write(self, text: str, rows: Sequence[tuple[object, ...]]) -> None:
        """One transaction. After an error of the disk itself nothing more is written: what a failed sync left is
        known only to a process that reads the file anew."""
        if self._failed is not None:
            raise self._failed.with_traceback(None)
        connection = self._db()
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(text, rows)
            connection.execute("COMMIT")
        except sqlite3.Error as trouble:
            if trouble.sqlite_errorcode & 0xFF in _DISK:
                self._failed = trouble
            with contextlib.suppress(sqlite3.Error):  # the journal undoes it when the file is next opened
                connection.rollback()
            raise

    async def batch(self, batch: ShredBatchId) -> ShredBatch:
        row = self._batches.get(batch) or await self._store.get(ShredBatch, batch)
        if row is None:
            raise suites.broken("shred key batch")
        return row

    async def get(self, key: ShredKeyId) -> bytes:
        known = self._cache.get(key)
        if known is not None:
            self._cache.move_to_end(key)
            return known
        found: bytes | None = await self._run(self._select, key)
        if found is None:
            raise suites.broken("shred key")
        self._remember(key, found)
        return found

    def _select(self, key: ShredKeyId) -> bytes | None:
        row = self._db().execute("SELECT key FROM shred_key WHERE id = ?", (key,)).fetchone()
        return bytes(row[0]) if row else None

    def _remember(self, key: ShredKeyId, octets: bytes) -> None:
        self._cache[key] = octets
        if len(self._cache) > CACHE:
            self._cache.popitem(last=False)

    async def check(self) -> None:
        """Read from the key store, as whoever opens a message does."""
        await self._run(self._select, ShredKeyId(""))

    async def destroy(self, ids: Sequence[ShredKeyId]) -> None:
        for key in ids:
            self._cache.pop(key, None)
        await self._run(self._delete, list(ids))

    def _delete(self, ids: Sequence[ShredKeyId]) -> None:
        self._write("DELETE FROM shred_key WHERE id = ?", [(key,) for key in ids])

    async def until_broken(self) -> None:
        """Returns when this store will write no more; only a new process may go on."""
        await self._broken.wait()

    async def sweep(self, *, older_than: Instant) -> int:
        """Close old batches and delete those of their keys that nothing names; returns how many were deleted."""
        deleted = 0
        for batch in await self._store.open_batches():
            current = {key.batch for key in self._pool}
            if batch.created_at >= older_than or batch.id in current:
                continue
            closed = dataclasses.replace(batch, state=ShredBatchState.CLOSED, version=batch.version + 1)
            await self._store.commit(Work(changes=(Update(closed),)))
            self._batches.pop(batch.id, None)
            used = await self._store.shred_keys_in_use(batch.id)
            listed: list[ShredKeyId] = await self._run(self._of_batch, batch.id)
            unused = [key for key in listed if key not in used]
            await self.destroy(unused)
            deleted += len(unused)
        return deleted

    async def prune(self) -> int:
        """After a restore: delete the keys of batches that the message store does not know; returns how many.

        They locked what was lost. Nothing that stands needs them, and the sweeper would never find them.
        """
        deleted = 0
        for batch in await self._run(self._all_batches):
            if await self._store.get(ShredBatch, batch) is None:
                unknown = await self._run(self._of_batch, batch)
                await self.destroy(unknown)
                deleted += len(unknown)
        return deleted

    def _all_batches(self) -> list[ShredBatchId]:
        rows = self._db().execute("SELECT DISTINCT batch FROM shred_key ORDER BY batch").fetchall()
        return [ShredBatchId(row[0]) for row in rows]

    def _of_batch(self, batch: ShredBatchId) -> list[ShredKeyId]:
        rows = self._db().execute("SELECT id FROM shred_key WHERE batch = ?", (batch,)).fetchall()
        return [ShredKeyId(row[0]) for row in rows]

    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            raise SetupError(
                "the key store is not open",
                swedish="Nyckellagret är inte öppet.",
                next_step="Gatewayen håller på att stängas eller starta. Försök igen om en stund.",
            )
        return self._connection

    async def _run(self, function: Callable[P, T], *arguments: P.args, **_: P.kwargs) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)
        except sqlite3.Error as trouble:
            if self._failed is not None and not self._broken.is_set():
                log.error("the disk of the key store failed, the process must start anew")
                self._broken.set()
            kind = StoreFullError if trouble.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL else StoreUnavailableError
            raise kind(
                "the key store cannot be written or read",
                swedish="Nyckellagret går inte att använda just nu.",
                next_step="Försök igen om en stund. Inget har skickats, utkastet är kvar.",
            ) from trouble


def _missing(path: Path | None) -> SetupError:
    return SetupError(
        f"{path} is missing",
        swedish=f"Nyckellagret {path} saknas. Utan det kan inget sparat meddelande öppnas.",
        next_step="Lägg tillbaka filen från säkerhetskopian innan gatewayen startas.",
    )
