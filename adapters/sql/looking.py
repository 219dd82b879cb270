"""A SQLite store that only looks: the readings of the Store port, without its lock, its writer or its migrations.

Why this exists: the doctor and the support bundle must see the rows while a gateway serves them, and when none can
start. In WAL mode a reader beside the writer disturbs nobody; a file that nobody has open is read as it lies, so that
not even SQLite's own helper files are made.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy.dialects import sqlite as dialect

from adapters.sql.base import SqlReadings
from adapters.sql.compiled import Statements
from adapters.sql.migrate import newest
from adapters.sql.tables import METADATA
from gateway.doctor import Finding, good, wrong
from gateway.errors import SetupError, StoreUnavailableError
from gateway.model import path as nouns
from gateway.model.base import Instant
from gateway.ports import Committed, Work

AREA: Final = "databas"
MOST_COUNTED: Final = 100_000
MOST_READ: Final = 1024**3  # octets of a file that is read through


class LookingStore(SqlReadings):
    """Everything of the Store port that reads; what would write is refused."""

    async def commit(self, work: Work) -> Committed:
        raise _only_looks()

    async def claim_due(
        self, channel: nouns.Channel, *, now: Instant, lease_until: Instant, owner: str, limit: int
    ) -> list[nouns.Delivery]:
        raise _only_looks()

    async def check_writable(self) -> None:
        raise _only_looks()

    async def until_broken(self) -> None:
        raise _only_looks()

    async def counts(self) -> dict[str, dict[str, int]]:
        """Rows by state, for every table that has one, of the first 100,000 rows."""
        found = {}
        for table in METADATA.sorted_tables:
            if "state" in table.columns:
                rows = await self._fetch(
                    f'SELECT state, count(*) FROM (SELECT state FROM "{table.name}" LIMIT {MOST_COUNTED}) AS looked '  # noqa: S608 - names of our own tables
                    "GROUP BY state ORDER BY state",
                    (),
                )
                found[table.name] = {str(state): int(count) for state, count in rows}
        return found

    async def schema(self) -> str:
        """The revision of the schema."""
        rows = await self._fetch("SELECT version_num FROM alembic_version", ())
        return str(rows[0][0]) if rows else ""

    async def schema_findings(self) -> list[Finding]:
        found, wanted = await self.schema(), newest()
        if found == wanted:
            return [good(AREA, f"Schemat är det som programmet har ({found}).")]
        return [
            wrong(
                AREA,
                f"Databasen har schema {found or 'inget'}, programmet {wanted}.",
                "Ett äldre schema förs fram när gatewayen startar. Ett nyare kräver den version som skrev det.",
            )
        ]


class LookingSqlite(LookingStore):
    """One SQLite file. Make it with `open`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.statements = Statements(dialect.dialect(paramstyle="qmark"), lock_facts=False)

    @classmethod
    def open(cls, path: Path) -> LookingSqlite:
        """Raises SetupError: it is not there, or cannot be read without changing something."""
        if not path.exists():
            raise SetupError(
                f"{path} does not exist",
                swedish=f"Databasen {path} finns inte.",
                next_step="Skapa gatewayen med 'sambud init', eller ange rätt datakatalog.",
            )
        wal, shared = path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")
        if wal.exists() and wal.stat().st_size and not shared.exists():
            raise SetupError(
                f"{wal} waits to be taken in",
                swedish="Databasen stängdes inte: det senaste ligger i filen -wal och tas in när gatewayen startar.",
                next_step="Starta gatewayen, eller kör 'sambud audit verify', och kör sedan doctor igen.",
            )
        how = "mode=ro" if shared.exists() else "mode=ro&immutable=1"
        try:
            connection = sqlite3.connect(
                f"file:{quote(str(path.resolve()))}?{how}", uri=True, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA query_only=ON")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error as trouble:
            raise SetupError(
                f"{path} cannot be read as a database",
                swedish=f"Databasen {path} går inte att läsa: den är skadad, eller rättigheter saknas.",
                next_step="Kör som den användare som kör sambud. Återställ annars från säkerhetskopian.",
            ) from trouble
        return cls(connection)

    async def _fetch(self, sql: str, params: tuple[Any, ...], *, bulk: bool = False) -> Sequence[Sequence[Any]]:
        try:
            return self._connection.execute(sql, params).fetchall()
        except sqlite3.Error as trouble:
            raise StoreUnavailableError(
                "the database cannot be read",
                swedish="Databasen går inte att läsa.",
                next_step="Kontrollera disken. Återställ från säkerhetskopian om filen är skadad.",
            ) from trouble

    async def close(self) -> None:
        self._connection.close()

    async def findings(self) -> list[Finding]:
        """Journal, and whether the file is whole as far as a quick look tells."""
        [mode] = self._connection.execute("PRAGMA journal_mode").fetchone()
        findings = []
        # An immutable file that was left in WAL mode calls itself so in its header (octets 18 and 19).
        if mode not in ("wal", "delete"):
            findings.append(wrong(AREA, f"Databasen har journalen {mode}.", "Den ska vara wal: starta gatewayen."))
        [pages] = self._connection.execute("PRAGMA page_count").fetchone()
        [octets] = self._connection.execute("PRAGMA page_size").fetchone()
        if pages * octets > MOST_READ:
            return findings or [good(AREA, "SQLite-filen går att läsa (för stor för att läsas igenom här).")]
        try:
            told = [row[0] for row in self._connection.execute("PRAGMA quick_check(3)").fetchall()]
        except sqlite3.Error:
            told = ["går inte att läsa"]
        if told != ["ok"]:
            findings.append(
                wrong(AREA, "Databasfilen är skadad.", "Stoppa gatewayen, kopiera filerna, återställ från kopian.")
            )
        return findings or [good(AREA, "SQLite-filen är hel.")]


def _only_looks() -> StoreUnavailableError:
    return StoreUnavailableError("this store only looks", swedish="Här läses det bara.", next_step="Inget har ändrats.")
