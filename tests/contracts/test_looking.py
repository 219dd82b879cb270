"""A store that only looks reads what the other wrote, beside it, and can write nothing (the doctor's eyes)."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.sql.looking import LookingSqlite, LookingStore
from adapters.sql.migrate import newest
from adapters.sql.sqlite import SqliteStore
from gateway.doctor import Level
from gateway.errors import StoreUnavailableError
from gateway.model.path import Channel
from gateway.ports import Insert, Store, Work
from gateway.states import DeliveryState
from tests.clock import ManualClock
from tests.contracts.test_store import a_delivery, an_entry


async def looked_at(looking: LookingStore, store: Store) -> None:
    rows = [a_delivery(), a_delivery(state=DeliveryState.FAILED), a_delivery(state=DeliveryState.FAILED)]
    await store.commit(Work(changes=tuple(Insert(row) for row in rows), entries=(an_entry(),)))
    assert (await looking.counts())["delivery"] == {"failed": 2, "queued": 1}
    assert await looking.logs() == ["sambud.example/audit/2026"]
    assert await looking.queue_signs(most=10) == await store.queue_signs(most=10)
    assert await looking.schema() == newest()
    assert [found.level for found in await looking.schema_findings()] == [Level.OK]
    with pytest.raises(StoreUnavailableError):
        await looking.commit(Work())
    with pytest.raises(StoreUnavailableError):
        await looking.check_writable()
    with pytest.raises(StoreUnavailableError):
        await looking.claim_due(Channel.LOCAL, now=rows[0].due_at, lease_until=rows[0].due_at, owner="x", limit=1)
    with pytest.raises(StoreUnavailableError):
        await looking._fetch("DELETE FROM delivery", ())
    assert len((await looking.counts())["delivery"]) == 2


async def test_a_sqlite_file_is_looked_at_while_it_is_written(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "sambud.db", ManualClock(), create=True)
    looking = LookingSqlite.open(tmp_path / "sambud.db")
    await looked_at(looking, store)
    assert [found.level for found in await looking.findings()] == [Level.OK]
    await looking.close()
    await store.close()


@pytest.mark.slow
async def test_postgresql_is_looked_at_by_connections_that_can_write_nothing(postgres_dsn: str) -> None:
    import secrets

    import asyncpg

    from adapters.sql.looking_postgres import LookingPostgres
    from adapters.sql.postgres import PostgresStore

    schema = f"t{secrets.token_hex(6)}"
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute(f"CREATE SCHEMA {schema}")
    store = await PostgresStore.open(postgres_dsn, ManualClock(), schema=schema)
    looking = await LookingPostgres.open(postgres_dsn, schema=schema)
    await looked_at(looking, store)
    assert Level.WRONG not in {found.level for found in await looking.findings()}
    await looking.close()
    await store.close()
    await connection.execute(f"DROP SCHEMA {schema} CASCADE")
    await connection.close()
