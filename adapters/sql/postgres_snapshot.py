"""A PostgreSQL store read in one REPEATABLE READ transaction: every table and the log as of one moment.

Why this exists: `pg_basebackup` copies a cluster with its WAL, other databases and deleted keys; one read-only
transaction sees exactly this store, and holds no writer (PostgreSQL manual §13.2.2).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import asyncpg
from sqlalchemy.dialects.postgresql import asyncpg as dialect

from adapters.sql.compiled import Statements
from adapters.sql.snapshot import OWN, SqlSnapshot, checked_schema
from gateway.backupports import Table
from gateway.errors import SetupError, StoreUnavailableError

#: Rows that the driver reads ahead: an envelope may have 1.5 MiB, so few.
AHEAD: Final = 32

_COLUMNS: Final = """
SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()
"""
_KEYS: Final = """
SELECT c.relname, a.attname FROM pg_index i
  JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, place)
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
 WHERE i.indisprimary AND n.nspname = current_schema() ORDER BY c.relname, k.place
"""
_SIZE: Final = """
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() AND c.relkind = 'r'
"""


class PostgresSnapshot(SqlSnapshot):
    """A read-only transaction on a connection of its own."""

    _text_as = ' COLLATE "C"'
    _numbered = True

    def __init__(self, connection: asyncpg.Connection, schema: str) -> None:
        self._connection = connection
        self.schema = schema
        self.statements = Statements(dialect.dialect(), lock_facts=False)  # type: ignore[no-untyped-call]

    async def _fetch(self, sql: str, params: tuple[Any, ...], *, bulk: bool = False) -> Sequence[Sequence[Any]]:
        try:
            return cast(Sequence[Sequence[Any]], await self._connection.fetch(sql, *params))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as trouble:
            raise unreadable() from trouble

    async def _stream(self, sql: str, params: Sequence[Any]) -> AsyncIterator[Sequence[Any]]:
        try:
            async for row in self._connection.cursor(sql, *params, prefetch=AHEAD):
                yield row
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as trouble:
            raise unreadable() from trouble

    async def _tables(self) -> list[Table]:
        return await tables_of(self._connection)

    async def size(self) -> int:
        return int(await self._connection.fetchval(_SIZE))


async def tables_of(connection: Any) -> list[Table]:
    """The tables of the current schema, but for those that keep a store's own state."""
    columns: dict[str, list[str]] = defaultdict(list)
    keys: dict[str, list[str]] = defaultdict(list)
    for name, column in await connection.fetch(_COLUMNS):
        columns[name].append(column)
    for name, column in await connection.fetch(_KEYS):
        keys[name].append(column)
    return [Table(name, tuple(sorted(found)), tuple(keys[name])) for name, found in columns.items() if name not in OWN]


@asynccontextmanager
async def postgres_snapshot(dsn: str) -> AsyncIterator[PostgresSnapshot]:
    """Raises SetupError when the server cannot be reached, or the store has another schema."""
    connection = await connected(dsn)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            known = await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL")
            found = await connection.fetchval("SELECT version_num FROM alembic_version") if known else ""
            yield PostgresSnapshot(connection, checked_schema(found or ""))
    finally:
        await connection.close()


async def connected(dsn: str) -> Any:
    """A connection of one's own; SetupError when the server cannot be reached."""
    try:
        return await asyncpg.connect(dsn, command_timeout=None)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as trouble:
        raise SetupError(
            "PostgreSQL cannot be reached",
            swedish="Det går inte att ansluta till PostgreSQL.",
            next_step="Kontrollera adress, användare och att servern är i gång. Inget har ändrats.",
        ) from trouble


def unreadable() -> StoreUnavailableError:
    return StoreUnavailableError(
        "the store cannot be read now",
        swedish="Databasen går inte att läsa just nu.",
        next_step="Kontrollera servern och försök igen. Inget har ändrats.",
    )
