"""Queued deliveries, worker processes, and SIGKILL at random moments, until everything has arrived: once, and all of it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapters.blobs.folder import FolderBlobs, FolderTiles
from adapters.sql.postgres import PostgresStore
from adapters.sql.sqlite import SqliteStore
from gateway.model.base import MINUTE, Instant, MessageId
from gateway.model.path import ReceiptKind
from gateway.model.queue import Task
from gateway.ports import Store
from gateway.states import DeliveryState
from keys.keyring import Keyring
from tests.clock import ManualClock
from tests.county import ALVESTA, County, a_county, plugged
from tests.county import ROOT as K0
from tests.faults.cluster import Cluster
from tests.faults.on_postgres import a_message, a_schema, logged_acts
from tests.faults.tally import tally

pytestmark = pytest.mark.slow
SEED = 20260307
ROOT = Path(__file__).parent.parent.parent


class Crew:
    """Worker processes of which one is killed now and then, and another takes its place."""

    def __init__(self, folder: Path, dsn: str, schema: str, chance: random.Random) -> None:
        self._command = [sys.executable, "-m", "tests.faults.worker", str(folder), dsn, schema]
        self._chance = chance
        self._shift = 0
        self.kills = 0

    def start(self) -> subprocess.Popen[str]:
        self._shift += 3 * MINUTE  # past any lease of those that were killed
        return subprocess.Popen(
            [*self._command, str(self._shift)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def work(self, *, at_once: int, kills: int, within_s: float) -> None:
        """Workers until `kills` of them were killed while they worked, and the last ones came to their end."""
        running = [self.start() for _ in range(at_once)]
        try:
            while self.kills < kills:
                victim = running.pop(0)
                assert victim.stdout is not None
                assert victim.stdout.readline() == "ready\n", victim.communicate(timeout=30)[1][-2000:]
                time.sleep(self._chance.uniform(0, within_s))
                self.kills += victim.poll() is None
                victim.kill()
                victim.communicate(timeout=30)
                running.append(self.start())
            for last in running:
                _, told = last.communicate(timeout=300)
                assert last.returncode == 0, told[-2000:]
        finally:
            for process in running:
                if process.poll() is None:
                    process.kill()
                    process.communicate(timeout=30)


@asynccontextmanager
async def _prepared(folder: Path, store: Store, clock: ManualClock) -> AsyncIterator[County]:
    blobs, tiles = FolderBlobs(folder / "blobs"), FolderTiles(folder / "log")
    async with a_county(store, clock=clock, blobs=blobs, tiles=tiles, keys_db=folder / "keys.db") as county:
        yield county


async def _queued(county: County, deliveries: int) -> list[MessageId]:
    """That many deliveries, in messages to every inbox that has members."""
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    recipients = ["seat.ekeliden", "seat.novus"]
    sent = []
    for number in range(deliveries // len(recipients)):
        done = await county.gateway.sending.send(worker, ALVESTA, a_message(case.id, f"Nr {number}", recipients))
        sent.append(done.message)
    return sent


async def _examined(county: County, sent: list[MessageId]) -> tuple[int, int, int]:
    """(lost, doubled, half) of what was queued."""
    lost = half = 0
    envelopes = []
    for message in sent:
        receipts = Counter(
            row.envelope for row in await county.store.receipts_of(message) if row.kind is ReceiptKind.DELIVERED
        )
        for row in await county.store.deliveries_of(message):
            envelopes.append(str(row.envelope))
            arrived = row.state is DeliveryState.DELIVERED
            lost += not arrived
            half += arrived and (receipts[row.envelope] != 1 or await county.store.get(Task, row.envelope) is None)
            half += row.lease_until is not None
    logged = Counter(await logged_acts(county, "delivered"))
    doubled = sum(count - 1 for count in logged.values())
    half += len(set(envelopes) ^ set(logged))
    return lost, doubled, half


@pytest.mark.parametrize(
    ("deliveries", "kills"), [(100, 3), pytest.param(10_000, 60, marks=pytest.mark.full)], ids=["short", "whole"]
)
async def test_two_workers_on_postgresql_that_are_killed_deliver_everything_once(
    cluster: Cluster, tmp_path: Path, deliveries: int, kills: int
) -> None:
    """Q13: 0 lost, 0 double state changes; leases of the dead lapse, and versions let one of two finish."""
    print(f"seed {SEED}")
    async with a_schema(cluster.dsn) as schema:
        clock = ManualClock(Instant(time.time_ns() // 1000 - 60 * MINUTE))
        store = await PostgresStore.open(cluster.dsn, clock, schema=schema)
        try:
            async with _prepared(tmp_path, store, clock) as county:
                sent = await _queued(county, deliveries)
                crew = Crew(tmp_path, cluster.dsn, schema, random.Random(SEED))
                crew.work(at_once=2, kills=kills, within_s=0.4)
                lost, doubled, half = await _examined(county, sent)
                await county.gateway.integrator.flush()
                reports = await county.gateway.review.verify()
        finally:
            await store.close()
    print(f"{deliveries} deliveries, {crew.kills} kills")
    tally("Q13", cases=crew.kills, acknowledged_lost=lost, doubled=doubled, half=half, note=f"{deliveries} deliveries")
    assert (lost, doubled, half) == (0, 0, 0)
    assert [fault for report in reports for fault in [*report.faults, *report.missing]] == []


@pytest.mark.parametrize(
    ("deliveries", "kills"), [(80, 1), pytest.param(10_000, 40, marks=pytest.mark.full)], ids=["short", "whole"]
)
async def test_the_one_worker_on_sqlite_that_is_killed_delivers_everything_once(
    tmp_path: Path, deliveries: int, kills: int
) -> None:
    """Q13 on SQLite: one process at a time holds the store; each next one finds it whole."""
    print(f"seed {SEED}")
    clock = ManualClock(Instant(time.time_ns() // 1000 - 60 * MINUTE))
    store = await SqliteStore.open(tmp_path / "sambud.db", clock, create=True)
    async with _prepared(tmp_path, store, clock) as county:
        sent = await _queued(county, deliveries)
        seeds = county.seeds
    await store.close()
    crew = Crew(tmp_path, "", "", random.Random(SEED))
    crew.work(at_once=1, kills=kills, within_s=0.3)
    clock.advance(1000 * MINUTE)
    store = await SqliteStore.open(tmp_path / "sambud.db", clock)
    keyring = Keyring(K0, store, clock, tmp_path / "keys.db")
    await keyring.start(create=False)
    gateway = plugged(keyring, store, clock, FolderBlobs(tmp_path / "blobs"), FolderTiles(tmp_path / "log"))
    county = County(gateway, keyring, clock, store, seeds)
    lost, doubled, half = await _examined(county, sent)
    await gateway.integrator.flush()
    reports = await gateway.review.verify()
    await keyring.close()
    await store.close()
    print(f"{deliveries} deliveries, {crew.kills} kills")
    tally("Q13", cases=crew.kills, acknowledged_lost=lost, doubled=doubled, half=half)
    assert (lost, doubled, half) == (0, 0, 0)
    assert [fault for report in reports for fault in [*report.faults, *report.missing]] == []
