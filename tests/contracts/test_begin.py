"""A gateway over PostgreSQL is begun by the same command as one over SQLite, on a machine that has nothing yet."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from tests.path.test_startup import Machine

pytestmark = pytest.mark.slow


@pytest.fixture
async def database(postgres_dsn: str) -> AsyncIterator[str]:
    """An empty database of its own."""
    import asyncpg

    name = f"t{secrets.token_hex(6)}"
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute(f"CREATE DATABASE {name}")
    yield urlunsplit(urlsplit(postgres_dsn)._replace(path=f"/{name}"))
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


async def test_init_makes_the_data_folder_also_where_the_database_is_elsewhere(database: str, tmp_path: Path) -> None:
    """The key store, the blobs and the log lie in it; `init` ended with "the key store cannot be used"."""
    machine = Machine(tmp_path, {"SAMBUD_DATABASE": database})
    begun = machine.run("init")
    assert begun.returncode == 0, begun.stderr
    assert machine.data.stat().st_mode & 0o777 == 0o700
    verified = machine.run("audit", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
