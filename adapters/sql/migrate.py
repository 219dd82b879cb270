"""Bring a database to this program's schema, or refuse one that is newer (Alembic, from the first table)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from gateway.errors import SetupError

MIGRATIONS: Final = Path(__file__).parent / "migrations"


def _config(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def migrate(connection: sa.Connection) -> None:
    """Run the migrations that are missing, on an open connection.

    Raises:
        SetupError: the database was written by a newer version; nothing was changed.
    """
    config = _config(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in known:
        raise SetupError(
            f"the database has schema {current}, which this program does not know",
            swedish="Databasen är skriven av en nyare version.",
            next_step="Starta den version som skrev den. Inget har ändrats.",
        )
    command.upgrade(config, "head")


def migrate_sqlite(path: Path) -> None:
    """Migrate a SQLite file; a new one is made readable by its owner alone.

    Raises:
        SetupError: newer, or not a database that can be written.
    """
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
