"""Bring a database to this program's schema, or refuse one that is newer (Alembic, from the first table).

Why this exists: every start asks, and nearly every answer is that nothing is to be done. So a SQLite file that stands
at the newest revision is left to itself: Alembic, a fifth of a start's time and memory, is loaded when it is needed.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

if TYPE_CHECKING:
    from alembic.config import Config

from gateway.errors import SetupError

MIGRATIONS: Final = Path(__file__).parent / "migrations"
#: A table that says: this PostgreSQL store is being restored or moved to, and is not served.
UNFINISHED: Final = "store_unfinished"


def newest() -> str:
    """The revision of this program's schema: files are named by revision, `r0001_first_tables.py` the first."""
    return max(path.name for path in MIGRATIONS.glob("versions/r*.py"))[1:5]


def _config(connection: sa.Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def schemas() -> frozenset[str]:
    """Every revision that this program knows."""
    return frozenset(path.name[1:5] for path in MIGRATIONS.glob("versions/r*.py"))


def migrate(connection: sa.Connection, to: str = "head") -> None:
    """Run the migrations that are missing, on an open connection; up to a revision when a backup has an older one.

    Raises:
        SetupError: the database was written by a newer version; nothing was changed.
    """
    from alembic import command
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = _config(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    current = MigrationContext.configure(connection).get_current_revision()
    for asked in (current, to):
        if asked is not None and asked not in {*known, "head"}:
            raise SetupError(
                f"schema {asked} is one that this program does not know",
                swedish="Databasen är skriven av en nyare version.",
                next_step="Kör den version som skrev den. Inget har ändrats.",
            )
    command.upgrade(config, to)


def refuse_unfinished(connection: sa.Connection) -> None:
    """Raises SetupError when the store bears the mark of a restore or a move that did not end."""
    if sa.inspect(connection).has_table(UNFINISHED):
        raise SetupError(
            "the store is unfinished",
            swedish="Databasen är inte färdig: en återställning eller flytt avbröts.",
            next_step="Kör samma 'sambud restore' eller 'sambud migrate-store' igen. Databasen tas inte i drift innan.",
        )


def migrate_sqlite(path: Path) -> None:
    """Migrate a SQLite file; a new one is made readable by its owner alone.

    Raises:
        SetupError: newer, or not a database that can be written.
    """
    if _stands(path):
        path.chmod(0o600)
        return
    engine = sa.create_engine(f"sqlite:///{path}")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            migrate(connection)
            connection.commit()
        path.chmod(0o600)
    except sa.exc.DatabaseError as trouble:
        raise SetupError(
            f"{path} cannot be used as a database",
            swedish=f"Databasen {path} går inte att använda: den är skadad, skrivskyddad eller full.",
            next_step="Kontrollera disk och rättigheter, eller återställ från säkerhetskopian.",
        ) from trouble
    finally:
        engine.dispose()


def _stands(path: Path) -> bool:
    """Whether the file is there and has the newest schema; whatever is odd is left to the long way, and its words."""
    if not os.access(path, os.W_OK):
        return False
    try:
        with closing(sqlite3.connect(path, timeout=1.0)) as connection:
            rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
            [mode] = connection.execute("PRAGMA journal_mode").fetchone()
    except sqlite3.Error:
        return False
    return rows == [(newest(),)] and mode == "wal"
