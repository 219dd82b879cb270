"""The database server goes away while people send and read: killed, crashed, restarted, its backends shot.

The server is a real one and dies by real signals; clients do what the API asks of them: on 503 they try again with the
same Idempotency-Key.
"""

from __future__ import annotations

import asyncio
import random

import aiohttp
import asyncpg
import pytest
from aiohttp.test_utils import TestServer

from adapters.http.api import ROUTES
from adapters.http.server import application
from adapters.sql.postgres import PostgresStore
from gateway.errors import GatewayError, SetupError
from gateway.factors import code_for
from gateway.model.base import MINUTE
from gateway.sessions import Signed
from tests.clock import ManualClock
from tests.county import ALVESTA, SEAT_E, County, password_of
from tests.faults.cluster import Cluster
from tests.faults.on_postgres import Told, a_county_on, a_message, a_schema, examined, send, settle, until, work
from tests.faults.tally import tally

pytestmark = pytest.mark.slow
SEED = 20260302


def _strike(cluster: Cluster, kind: str, chance: random.Random) -> None:
    """One fault, and the server running again after it."""
    if kind == "backend":
        victims = cluster.backends()
        if victims:
            cluster.kill_backend(chance.choice(victims))
    elif kind == "kill":
        cluster.kill()
        cluster.start()
    else:
        cluster.stop(kind)
        cluster.start()


async def _read(county: County, signed: Signed, told: Told, stop: asyncio.Event) -> None:
    """A member who opens what has arrived, and tries again after trouble."""
    while not stop.is_set():
        try:
            for item in await county.store.inbox_page(SEAT_E, after=None, limit=50):
                if item.envelope not in told.opened:
                    await county.gateway.opening.open(signed, item.envelope)
                    told.opened.add(item.envelope)
        except GatewayError as trouble:
            told.refusals.add(trouble.code)
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("sends", "strikes"),
    [(60, 5), pytest.param(10_000, 50, marks=pytest.mark.full)],
)
async def test_a_server_that_dies_under_sends_and_opens_loses_nothing_and_doubles_nothing(
    cluster: Cluster, sends: int, strikes: int
) -> None:
    """D07: kill -9, crash, fast shutdown, a backend shot; 0 duplicates, 0 lost, and the pool connects by itself."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    async with a_county_on(cluster.dsn) as county:
        worker = await county.sign_in("al-sos")
        reader = await county.sign_in("ek-chef")
        case, _ = await county.consented_case(worker)
        told, stop = Told(), asyncio.Event()
        waiting = iter(range(sends))
        struck = 0

        async def client() -> None:
            for number in waiting:
                await send(county, worker, a_message(case.id, f"Meddelande {number}"), f"key-{number}", told)

        async def striker() -> None:
            nonlocal struck
            kinds = ("kill", "backend", "fast", "immediate", "kill")
            while struck < strikes:
                due = sends * (struck + 1) // (strikes + 1)
                while len(told.sent) < due:  # noqa: ASYNC110  (clients come and go; a beat is enough)
                    await asyncio.sleep(0.005)
                await asyncio.sleep(chance.uniform(0, 0.03))
                await asyncio.to_thread(_strike, cluster, kinds[struck % len(kinds)], chance)
                struck += 1

        async with asyncio.TaskGroup() as group:
            background = [group.create_task(work(county, stop)), group.create_task(_read(county, reader, told, stop))]
            async with asyncio.TaskGroup() as clients:
                clients.create_task(striker())
                for _ in range(8):
                    clients.create_task(client())
            stop.set()
            await asyncio.gather(*background)
        await settle(county)
        found = await examined(county, case.id, told, sends)
        receipts = [
            receipt.envelope
            for message in told.sent.values()
            for receipt in await county.store.receipts_of(message)
            if receipt.kind == "opened"
        ]

    print(f"{sends} sends, {struck} faults, {told.again} tries again, {len(told.opened)} opened, {told.refusals}")
    tally(
        "D07",
        cases=struck,
        acknowledged_lost=found.lost + len(told.opened - set(receipts)),
        doubled=found.doubled,
        half=found.half,
        note=f"{sends} sends",
    )
    assert len(told.sent) == sends
    assert told.again > 0, "no send met a fault: the test shows nothing"
    assert (found.lost, found.doubled, found.half, found.faults) == (0, 0, 0, ())
    assert told.opened <= set(receipts)


async def test_while_the_server_is_away_a_caller_reads_503_and_when_to_come_back(cluster: Cluster) -> None:
    """D07, RFC 9110 §10.2.3: an answer at once, Retry-After, and the same request works when the server is back."""
    async with a_county_on(cluster.dsn) as county:
        worker = await county.sign_in("al-sos")
        case, _ = await county.consented_case(worker)
        county.clock.advance(MINUTE)
        app = application(county.gateway, ROUTES)
        async with TestServer(app) as server, aiohttp.ClientSession() as http:
            address = f"http://127.0.0.1:{server.port}/api/v1"
            credentials = {
                "login": "al-sos",
                "password": password_of("al-sos"),
                "code": code_for(county.seeds["al-sos"], county.clock.now()),
            }
            async with http.post(f"{address}/sessions", json=credentials) as signed:
                token = (await signed.json())["token"]
            headers = {"Authorization": f"Bearer {token}"}
            cases = f"{address}/inboxes/{ALVESTA}/cases/{case.id}"
            await asyncio.to_thread(cluster.stop, "immediate")
            async with http.get(cases, headers=headers) as away:
                told = await away.json()
            await asyncio.to_thread(cluster.start)
            async with http.get(cases, headers=headers) as back:
                status = back.status

    tally("D07", cases=1)
    assert (away.status, away.headers["Retry-After"]) == (503, "5")
    assert told["type"].endswith(":store-unavailable")
    assert "Försök igen" in told["next_step"]
    assert status != 503


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes", "synchronous_commit"])
async def test_a_server_that_may_forget_what_it_committed_is_refused_at_start(cluster: Cluster, setting: str) -> None:
    """security.md §7.9: fsync, full_page_writes and synchronous_commit are checked at start; off means no start."""
    async with a_schema(cluster.dsn) as schema:
        connection = await asyncpg.connect(cluster.dsn)
        try:
            await connection.execute(f"ALTER SYSTEM SET {setting} = off")
            await connection.execute("SELECT pg_reload_conf()")
            await until(lambda: _shown(cluster, setting, "off"))
            with pytest.raises(SetupError, match=f"{setting}=off") as refused:
                await PostgresStore.open(cluster.dsn, ManualClock(), schema=schema)
            assert setting in refused.value.swedish
        finally:
            await connection.execute(f"ALTER SYSTEM RESET {setting}")
            await connection.execute("SELECT pg_reload_conf()")
            await until(lambda: _shown(cluster, setting, "on"))
            await connection.close()


async def _shown(cluster: Cluster, setting: str, value: str) -> bool:
    connection = await asyncpg.connect(cluster.dsn)
    try:
        return bool(await connection.fetchval("SELECT current_setting($1) = $2", setting, value))
    finally:
        await connection.close()


async def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(cluster: Cluster) -> None:
    """A program that does not know the schema must not touch it."""
    async with a_schema(cluster.dsn) as schema:
        store = await PostgresStore.open(cluster.dsn, ManualClock(), schema=schema)
        await store.close()
        connection = await asyncpg.connect(cluster.dsn, server_settings={"search_path": schema})
        try:
            await connection.execute("UPDATE alembic_version SET version_num = '9999'")
            tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", schema)
            with pytest.raises(SetupError, match="does not know") as refused:
                await PostgresStore.open(cluster.dsn, ManualClock(), schema=schema)
            assert "nyare version" in refused.value.swedish
            assert await connection.fetchval("SELECT version_num FROM alembic_version") == "9999"
            assert await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", schema) == tables
        finally:
            await connection.close()
