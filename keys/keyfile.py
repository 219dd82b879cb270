"""A key store's file outside a gateway: read for a backup, filled by a restore (docs/backup.md §1).

Why this exists: while a gateway runs it must be able to write keys at any moment, and in the rollback journal nobody
writes while another reads. So a backup reads in short pieces; keys are only added and deleted, and the union of the
pieces holds every key that stood throughout.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from gateway.backupports import Table, Values
from gateway.errors import SetupError, StoreFullError, StoreUnavailableError
from keys.shredding import SCHEMA_VERSION, SHRED_KEY_TABLE

PIECE: Final = 2048
_FULL: Final = 13


class KeyStoreFile:
    """The KeyFile port."""

    def __init__(self, path: Path, create: bool) -> None:
        if not create and not path.exists():
            raise SetupError(
                f"{path} is missing",
                swedish=f"Nyckellagret {path} saknas.",
                next_step="Ange rätt datakatalog eller fil. Inget har ändrats.",
            )
        self._path = path
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=5.0)
            if create:
                path.chmod(0o600)
                self._connection.execute("PRAGMA journal_mode=DELETE")
                self._connection.execute("PRAGMA synchronous=EXTRA")
                self._connection.execute(SHRED_KEY_TABLE)
                self._connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
                self._connection.execute("BEGIN IMMEDIATE")
            else:
                self._connection.execute("PRAGMA query_only=ON")
            version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        except sqlite3.Error as trouble:
            raise _unusable(path, trouble) from trouble
        if version != SCHEMA_VERSION:
            self._connection.close()
            raise SetupError(
                f"{path} is a key store of version {version}",
                swedish="Filen är inget nyckellager som det här programmet känner.",
                next_step="Ange en keys.db, eller kör den version som skrev den. Inget har ändrats.",
            )
        self.schema = str(version)

    def table(self) -> Table:
        return Table("shred_key", ("batch", "id", "key"), ("id",))

    def pieces(self) -> Iterator[list[Values]]:
        last = ""
        while True:
            try:
                rows = self._connection.execute(
                    "SELECT batch, id, key FROM shred_key WHERE id > ? ORDER BY id LIMIT ?", (last, PIECE)
                ).fetchall()
            except sqlite3.Error as trouble:
                raise _unusable(self._path, trouble) from trouble
            if not rows:
                return
            yield rows
            last = rows[-1][1]

    def put(self, rows: Sequence[Values]) -> None:
        try:
            self._connection.executemany("INSERT INTO shred_key (batch, id, key) VALUES (?, ?, ?)", rows)
        except sqlite3.Error as trouble:
            raise _unusable(self._path, trouble) from trouble

    def missing(self, ids: Sequence[str]) -> int:
        found = 0
        for start in range(0, len(ids), 500):
            part = ids[start : start + 500]
            marks = ",".join("?" * len(part))
            query = f"SELECT count(*) FROM shred_key WHERE id IN ({marks})"  # noqa: S608 - only question marks
            found += self._connection.execute(query, part).fetchone()[0]
        return len(ids) - found

    def finish(self) -> None:
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as trouble:
            raise _unusable(self._path, trouble) from trouble
        descriptor = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        self._connection.close()


def _unusable(path: Path, trouble: sqlite3.Error) -> StoreUnavailableError | SetupError:
    code = (getattr(trouble, "sqlite_errorcode", 0) or 0) & 0xFF
    if code == _FULL:
        return StoreFullError(
            "the disk is full", swedish="Disken är full.", next_step="Gör plats och kör igen. Inget har lämnats halvt."
        )
    if isinstance(trouble, sqlite3.OperationalError) and code in (5, 6):
        return StoreUnavailableError("the key store is locked", swedish="Nyckellagret är upptaget.")
    return SetupError(
        f"{path} cannot be used as a key store",
        swedish=f"Nyckellagret {path} går inte att använda.",
        next_step="Kontrollera fil, disk och rättigheter. Inget har ändrats.",
    )
