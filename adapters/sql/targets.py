"""Fill an empty store with rows, whole or not at all: a new SQLite file, or an empty PostgreSQL schema.

Why this exists: a store that is half there looks like a store. A new SQLite file is written without a journal, because
until it is finished it is thrown away at the first trouble (the data folder bears the mark); PostgreSQL's rows are one
transaction, whose mark is a table in it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from adapters.sql.migrate import migrate, migrate_sqlite
from gateway.backupports import Mover, Table, Target, Values
from gateway.errors import GatewayError, SetupError, StoreFullError, StoreUnavailableError

_FULL: Final = 13


class SqliteTarget:
    """The Target port over a file that does not exist yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    async def begin(self, schema: str, what: str) -> None:
        if self._path.exists():
            raise not_empty(str(self._path))
        engine = sa.create_engine(f"sqlite:///{self._path}")
        try:
            with engine.connect() as connection:
                # A sync for each of a hundred tables and indexes takes longer than the rows: one comes in `finish`.
                connection.exec_driver_sql("PRAGMA synchronous=OFF")
                migrate(connection, schema)
                connection.commit()
            self._path.chmod(0o600)
        except sa.exc.DatabaseError as trouble:
            raise _trouble(trouble.orig) from trouble
        finally:
            engine.dispose()
        self._connection = sqlite3.connect(self._path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=OFF")
        self._connection.execute("PRAGMA synchronous=OFF")  # synced once, in `finish`
        self._connection.execute("BEGIN")

    async def put(self, table: Table, rows: Sequence[Values]) -> None:
        try:
            self._db().executemany(inserting(table), rows)
        except sqlite3.Error as trouble:
            raise _trouble(trouble) from trouble

    async def finish(self) -> None:
        try:
            self._db().execute("COMMIT")
            self._close()
            migrate_sqlite(self._path)
            with self._path.open("rb") as file:
                os.fsync(file.fileno())
        except (sqlite3.Error, OSError) as trouble:
            raise _trouble(trouble) from trouble

    async def accepted(self) -> None:
        """The data folder's mark says it for SQLite."""

    async def abort(self) -> None:
        self._close()
        for name in ("", "-wal", "-shm", "-journal"):
            self._path.with_name(self._path.name + name).unlink(missing_ok=True)
        self._path.with_suffix(".lock").unlink(missing_ok=True)

    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            raise _trouble(None)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def target(database: str, path: Path) -> Target:
    """What fills the store that the settings name."""
    if not database:
        return SqliteTarget(path)
    from adapters.sql.postgres_targets import PostgresTarget

    return PostgresTarget(database)


def mover(dsn: str) -> AbstractAsyncContextManager[Mover]:
    """What moves rows into PostgreSQL. Raises SetupError when its driver is not installed."""
    try:
        from adapters.sql import postgres_targets
    except ImportError as missing:
        raise SetupError(
            "the PostgreSQL driver is not installed",
            swedish="Drivrutinen för PostgreSQL saknas.",
            next_step="Installera paketet asyncpg (sambud[postgres]).",
        ) from missing
    return postgres_targets.mover(dsn)


def inserting(table: Table) -> str:
    """An insertion of a whole row; the names come from a table that exists in this program's schema."""
    columns = ", ".join(f'"{name}"' for name in table.columns)
    marks = ", ".join("?" * len(table.columns))
    return f'INSERT INTO "{table.name}" ({columns}) VALUES ({marks})'  # noqa: S608


def not_empty(what: str) -> SetupError:
    return SetupError(
        f"{what} is not empty",
        swedish="Målet är inte tomt: där finns redan en databas eller andra filer.",
        next_step="Ange en tom katalog och en tom databas. Inget har ändrats.",
    )


def _trouble(trouble: Any) -> GatewayError:
    code = (getattr(trouble, "sqlite_errorcode", 0) or 0) & 0xFF
    if code == _FULL or getattr(trouble, "errno", 0) == 28:
        return StoreFullError(
            "the disk is full", swedish="Disken är full.", next_step="Gör plats och kör igen. Inget halvt har lämnats."
        )
    return StoreUnavailableError(
        "the store cannot be filled",
        swedish="Databasen går inte att fylla.",
        next_step="Kontrollera disk och rättigheter och kör igen. Inget halvt har lämnats.",
    )
