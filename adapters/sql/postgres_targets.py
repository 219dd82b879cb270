"""PostgreSQL as the end of a restore (one transaction) and of a move (batches with their progress beside them).

Why this exists: a restored store is there whole or not at all, and a move of many rows must go on after a kill where it
stopped. While the mark `store_unfinished` stands, no gateway serves the database.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from adapters.sql.migrate import UNFINISHED, migrate
from adapters.sql.postgres_snapshot import PostgresSnapshot, connected
from adapters.sql.targets import not_empty
from gateway import failpoints
from gateway.archive import decode_rows, encode_row
from gateway.backupports import Table, Values
from gateway.errors import GatewayError, SetupError, StoreFullError, StoreUnavailableError

_TABLES: Final = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
_BOOLEANS: Final = """
SELECT table_name, column_name FROM information_schema.columns
 WHERE table_schema = current_schema() AND data_type = 'boolean'
"""
_CREATE: Final = f"CREATE TABLE {UNFINISHED} (what text NOT NULL, source text NOT NULL)"
_INSERT: Final = f"INSERT INTO {UNFINISHED} VALUES ($1, $2)"  # noqa: S608 - a constant
_WHAT: Final = f"SELECT what FROM {UNFINISHED}"  # noqa: S608 - a constant
_TOLD: Final = f"SELECT what, source FROM {UNFINISHED}"  # noqa: S608 - a constant
_LOCK: Final = 7265  # beside 7264 of migrations: one restore or move at a time


class PostgresTarget:
    """The Target port over an empty schema."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._engine: AsyncEngine | None = None
        self._connection: AsyncConnection | None = None
        self._raw: Any = None
        self._guard: Any = None  # a connection that holds the lock from the first look to the last word
        self._booleans: dict[str, set[str]] = {}

    async def begin(self, schema: str, what: str) -> None:
        guard = await connected(self._dsn)
        if not await guard.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
            await guard.close()
            raise _busy()
        self._guard = guard
        self._engine = create_async_engine(self._dsn.replace("postgresql://", "postgresql+asyncpg://", 1))
        self._connection = await self._engine.connect()
        await self._connection.begin()
        self._raw = (await self._connection.get_raw_connection()).driver_connection
        await self._empty()
        await self._connection.run_sync(migrate, schema)
        self._booleans = await booleans_of(self._raw)

    async def _empty(self) -> None:
        """Nothing may stand there, but for what a killed restore left: that was never served."""
        found = {row[0] for row in await self._raw.fetch(_TABLES)}
        if UNFINISHED in found:
            what = await self._raw.fetchval(_WHAT)
            if what != "restore":
                raise not_empty("the database")
            for name in sorted(found):
                await self._raw.execute(dropping(name))
        elif found:
            raise not_empty("the database")
        await self._raw.execute(_CREATE)
        await self._raw.execute(_INSERT, "restore", "")

    async def put(self, table: Table, rows: Sequence[Values]) -> None:
        try:
            await self._raw.copy_records_to_table(
                table.name, records=typed(table, rows, self._booleans), columns=table.columns
            )
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as trouble:
            raise _trouble(trouble) from trouble

    async def finish(self) -> None:
        if self._connection is None:
            raise _trouble(None)
        await self._connection.run_sync(migrate)
        await self._connection.commit()
        await self._close()

    async def accepted(self) -> None:
        await self._guard.execute(f"DROP TABLE IF EXISTS {UNFINISHED}")
        await self._guard.close()

    async def abort(self) -> None:
        """Roll back; or, when the rows were committed already, drop what bears this restore's mark."""
        await self._close()
        if self._guard is None:
            return  # never began: what lies there is somebody else's
        try:
            found = {row[0] for row in await self._guard.fetch(_TABLES)}
            if UNFINISHED in found and await self._guard.fetchval(_WHAT) == "restore":
                async with self._guard.transaction():
                    for name in sorted(found):
                        await self._guard.execute(dropping(name))
        finally:
            await self._guard.close()

    async def _close(self) -> None:
        if self._connection is not None and self._engine is not None:
            await self._connection.close()
            await self._engine.dispose()
            self._connection = None


class PostgresMover:
    """The Mover port: batches into PostgreSQL, resumable."""

    def __init__(self, connection: Any, dsn: str) -> None:
        self._connection = connection
        self._dsn = dsn
        self._booleans: dict[str, set[str]] = {}

    async def begin(self, schema: str, source: str) -> None:
        if not await self._connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
            raise _busy()
        found = {row[0] for row in await self._connection.fetch(_TABLES)}
        if UNFINISHED in found:
            told = await self._connection.fetchrow(_TOLD)
            if told is None or tuple(told) != ("move", source):
                raise not_empty("the database")
        elif found:
            raise not_empty("the database")
        else:
            async with self._connection.transaction():
                await self._connection.execute(_CREATE)
                await self._connection.execute(_INSERT, "move", source)
                await self._connection.execute(
                    "CREATE TABLE store_move (name text PRIMARY KEY, last bytea NOT NULL, done boolean NOT NULL)"
                )
        failpoints.reached("move.after_mark")
        engine = create_async_engine(self._dsn.replace("postgresql://", "postgresql+asyncpg://", 1))
        try:
            async with engine.begin() as connection:
                await connection.run_sync(migrate, schema)
        finally:
            await engine.dispose()
        self._booleans = await booleans_of(self._connection)

    async def progress(self, table: Table) -> tuple[Values | None, bool]:
        row = await self._connection.fetchrow("SELECT last, done FROM store_move WHERE name = $1", table.name)
        if row is None:
            return None, False
        last = decode_rows(row[0], len(table.key)) if row[0] else []
        return (last[0] if last else None), row[1]

    async def put(self, table: Table, rows: Sequence[Values], *, done: bool) -> None:
        places = [table.columns.index(name) for name in table.key]
        last = encode_row([rows[-1][place] for place in places]) if rows else b""
        try:
            async with self._connection.transaction():
                if rows:
                    await self._connection.copy_records_to_table(
                        table.name, records=typed(table, rows, self._booleans), columns=table.columns
                    )
                await self._connection.execute(
                    "INSERT INTO store_move (name, last, done) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE"
                    " SET last = CASE WHEN length($2) > 0 THEN $2 ELSE store_move.last END, done = $3",
                    table.name,
                    last,
                    done,
                )
                failpoints.reached("move.before_batch")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as trouble:
            raise _trouble(trouble) from trouble
        failpoints.reached("move.after_batch")

    async def rows(self, table: Table) -> AsyncIterator[list[Values]]:
        async with self._connection.transaction(isolation="repeatable_read", readonly=True):
            async for piece in PostgresSnapshot(self._connection, "").rows(table):
                yield piece

    async def done(self) -> None:
        failpoints.reached("move.before_done")
        async with self._connection.transaction():
            await self._connection.execute("DROP TABLE store_move")
            await self._connection.execute(f"DROP TABLE {UNFINISHED}")


@asynccontextmanager
async def mover(dsn: str) -> AsyncIterator[PostgresMover]:
    """A connection to the database that rows move into."""
    connection = await connected(dsn)
    try:
        yield PostgresMover(connection, dsn)
    finally:
        await connection.close()


def dropping(table: str) -> str:
    """Drop a table by the name that the server itself gave."""
    quoted = table.replace('"', '""')
    return f'DROP TABLE "{quoted}" CASCADE'


async def booleans_of(connection: Any) -> dict[str, set[str]]:
    """The columns that hold booleans here and integers in a backup."""
    found: dict[str, set[str]] = {}
    for name, column in await connection.fetch(_BOOLEANS):
        found.setdefault(name, set()).add(column)
    return found


def typed(table: Table, rows: Sequence[Values], booleans: dict[str, set[str]]) -> list[tuple[Any, ...]]:
    """Rows with the booleans that the driver insists on."""
    places = {place for place, name in enumerate(table.columns) if name in booleans.get(table.name, ())}
    if not places:
        return list(rows)
    return [
        tuple(bool(value) if place in places and value is not None else value for place, value in enumerate(row))
        for row in rows
    ]


def _busy() -> SetupError:
    return SetupError(
        "another restore or move runs in this database",
        swedish="En annan återställning eller flytt pågår i databasen.",
        next_step="Vänta tills den är klar. Inget har ändrats.",
    )


def _trouble(trouble: BaseException | None) -> GatewayError:
    if isinstance(trouble, asyncpg.DiskFullError):
        return StoreFullError(
            "the database server's disk is full",
            swedish="Databasserverns disk är full.",
            next_step="Gör plats och kör igen.",
        )
    if isinstance(trouble, asyncpg.UniqueViolationError | asyncpg.UndefinedColumnError | asyncpg.UndefinedTableError):
        return SetupError(
            "the rows do not fit the target",
            swedish="Raderna passar inte i måldatabasen.",
            next_step="Töm måldatabasen och börja om. Källan är orörd.",
        )
    return StoreUnavailableError(
        "the store cannot be filled",
        swedish="Databasen går inte att fylla just nu.",
        next_step="Kontrollera servern och kör igen.",
    )
