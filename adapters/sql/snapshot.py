"""Read a message store for a backup or a move, beside the process that serves it (docs/backup.md §1).

Why this exists: a copy must be of one moment, and nobody may wait for it. SQLite gives a snapshot of the WAL to whoever
reads in a transaction; PostgreSQL one to a REPEATABLE READ transaction. Rows come in the database's own columns, sorted
by their octets, so that both engines give the same octets for the same rows.
"""

from __future__ import annotations

import sqlite3
from abc import abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite as sqlite_dialect

from adapters.sql.base import SqlReadings
from adapters.sql.compiled import Statements
from adapters.sql.migrate import UNFINISHED, newest
from adapters.sql.tables import METADATA
from gateway.backupports import Snapshot, Table, Values
from gateway.errors import SetupError, StoreUnavailableError

#: A piece of rows ends at so many octets or rows; one row is at most an envelope, 1.5 MiB.
PIECE_OCTETS: Final = 1024 * 1024
PIECE_ROWS: Final = 500
OWN: Final = frozenset({"alembic_version", UNFINISHED, "store_move"})
BLOBS: Final = 'SELECT "blob" FROM "attachment" UNION SELECT "blob" FROM "envelope_attachment" ORDER BY 1'


class SqlSnapshot(SqlReadings):
    """The Snapshot port; engines give the rows of a query one after the other."""

    schema: str
    _text_as: str = ""  # what makes text sort by its octets
    _numbered = False

    @abstractmethod
    def _stream(self, sql: str, params: Sequence[Any]) -> AsyncIterator[Sequence[Any]]: ...

    def rows(self, table: Table, *, after: Values | None = None) -> AsyncIterator[list[Values]]:
        """Rows ascending by key, in pieces."""
        return pieces(self._stream(*selection(table, after, text_as=self._text_as, numbered=self._numbered)))

    async def blob_names(self) -> AsyncIterator[list[str]]:
        async for piece in pieces(self._stream(BLOBS, ())):
            yield [str(row[0]) for row in piece]

    async def tables(self) -> list[Table]:
        return sorted(await self._tables(), key=lambda table: table.name)

    @abstractmethod
    async def _tables(self) -> list[Table]: ...


def selection(
    table: Table, after: Values | None, *, text_as: str = "", numbered: bool = False
) -> tuple[str, Sequence[Any]]:
    """All rows of a table behind a key; `numbered` for engines that name parameters $1, $2."""
    key = [f'"{name}"{text_as if _is_text(table.name, name) else ""}' for name in table.key]
    columns = ", ".join(f'"{name}"' for name in table.columns)
    marks = ", ".join(f"${place}" if numbered else "?" for place in range(1, len(key) + 1))
    where = f"WHERE ({', '.join(key)}) > ({marks}) " if after is not None else ""
    # Names come from the schema itself, never from outside.
    return f'SELECT {columns} FROM "{table.name}" {where}ORDER BY {", ".join(key)}', after or ()  # noqa: S608


def _is_text(table: str, column: str) -> bool:
    known = METADATA.tables.get(table)
    return known is None or column not in known.c or isinstance(known.c[column].type, sa.Text)


async def pieces(rows: AsyncIterator[Sequence[Any]]) -> AsyncIterator[list[Values]]:
    """Rows gathered, bounded in number and octets."""
    waiting: list[Values] = []
    octets = 0
    async for row in rows:
        waiting.append(tuple(row))
        octets += sum(len(value) for value in row if isinstance(value, str | bytes))
        if octets >= PIECE_OCTETS or len(waiting) >= PIECE_ROWS:
            yield waiting
            waiting, octets = [], 0
    if waiting:
        yield waiting


class SqliteSnapshot(SqlSnapshot):
    """A read transaction of SQLite on a connection of its own."""

    def __init__(self, connection: sqlite3.Connection, schema: str) -> None:
        self._connection = connection
        self.schema = schema
        self.statements = Statements(sqlite_dialect.dialect(paramstyle="qmark"), lock_facts=False)

    async def _fetch(self, sql: str, params: tuple[Any, ...], *, bulk: bool = False) -> Sequence[Sequence[Any]]:
        try:
            return self._connection.execute(sql, params).fetchall()
        except sqlite3.Error as trouble:
            raise _unreadable() from trouble

    async def _stream(self, sql: str, params: Sequence[Any]) -> AsyncIterator[Sequence[Any]]:
        try:
            for row in self._connection.execute(sql, params):
                yield row
        except sqlite3.Error as trouble:
            raise _unreadable() from trouble

    async def _tables(self) -> list[Table]:
        found = []
        names = await self._fetch(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'", ()
        )
        for (name,) in names:
            if name not in OWN:
                columns = await self._fetch(f'PRAGMA table_info("{name}")', ())
                key = sorted((row[5], row[1]) for row in columns if row[5])
                found.append(Table(name, tuple(sorted(row[1] for row in columns)), tuple(column for _, column in key)))
        return found

    async def size(self) -> int:
        [[pages]], [[page]] = await self._fetch("PRAGMA page_count", ()), await self._fetch("PRAGMA page_size", ())
        return int(pages) * int(page)


@asynccontextmanager
async def sqlite_snapshot(path: Path) -> AsyncIterator[SqliteSnapshot]:
    """A snapshot of a SQLite store, whether or not a gateway serves it; takes no lock that a gateway asks for.

    Raises:
        SetupError: missing, or of another schema than this program's.
    """
    if not path.exists():
        raise SetupError(
            f"{path} does not exist",
            swedish=f"Databasen {path} finns inte.",
            next_step="Ange rätt datakatalog.",
        )
    try:
        connection = sqlite3.connect(path, isolation_level=None, timeout=5.0)
    except sqlite3.Error as trouble:
        raise _unreadable() from trouble
    try:
        connection.execute("PRAGMA query_only=ON")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute("BEGIN")
        rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        yield SqliteSnapshot(connection, checked_schema(str(rows[0][0]) if rows else ""))
    except sqlite3.Error as trouble:
        raise _unreadable() from trouble
    finally:
        connection.close()


def snapshot(database: str, path: Path) -> AbstractAsyncContextManager[Snapshot]:
    """A snapshot of the store that the settings name."""
    if not database:
        return sqlite_snapshot(path)
    from adapters.sql.postgres_snapshot import postgres_snapshot

    return postgres_snapshot(database)


def checked_schema(found: str) -> str:
    """Raises SetupError unless the store has this program's schema: a copy is of a store that could be served."""
    if found != newest():
        raise SetupError(
            f"the database has schema {found or 'none'}, this program {newest()}",
            swedish="Databasen har inte det schema som det här programmet använder.",
            next_step="Kör kommandot med den version som gatewayen kör, eller starta gatewayen först. "
            "Inget har ändrats.",
        )
    return found


def _unreadable() -> StoreUnavailableError:
    return StoreUnavailableError(
        "the store cannot be read now",
        swedish="Databasen går inte att läsa just nu.",
        next_step="Kontrollera disk och rättigheter och försök igen. Inget har ändrats.",
    )
