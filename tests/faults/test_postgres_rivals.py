"""Two processes on one PostgreSQL that want the same rows: deadlocks, serialization failures, and rows that must be
absent. What the server makes a victim is tried again, at most five times; then the caller reads 503 and nothing is kept.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from adapters.sql.postgres import TRIES, PostgresStore
from gateway.errors import ConflictError, DecisionStaleError, StoreUnavailableError
from gateway.model.base import GATEWAY, AdministrationId, EnvelopeId, Fact, Instant, VersionedRow
from gateway.model.directory import Generation
from gateway.model.log import LogEntry
from gateway.model.queue import Recall
from gateway.ports import Insert, Update, Work
from gateway.states import RecallState
from tests.clock import ManualClock
from tests.faults.cluster import Cluster
from tests.faults.on_postgres import a_schema, until
from tests.faults.tally import tally

pytestmark = pytest.mark.slow
SEED = 20260304
SERIALIZATION_FAILURE = "40001"  # PostgreSQL, appendix A: class 40, transaction rollback
DEADLOCK_DETECTED = "40P01"


@dataclass
class Rivals:
    """Two stores on one schema, as two processes have, and a plain connection beside them."""

    schema: str
    dsn: str
    first: PostgresStore
    second: PostgresStore
    raw: Any
    clock: ManualClock

    async def rows(self, *names: str) -> list[Generation]:
        made = [Generation(administration=GATEWAY, name=name, digest="0") for name in names]
        await self.first.commit(Work(changes=tuple(Insert(row) for row in made)))
        return made

    def entry(self, object: str = "x") -> LogEntry:
        return LogEntry(
            administration=GATEWAY,
            log="test/audit/2026",
            leaf=uuid.uuid4().bytes,
            at=self.clock.now(),
            action="decided",
            actor=b"",
            object=object,
            scope="s",
            shred_key="k",  # type: ignore[arg-type]
            sealed=b"s",
        )


@asynccontextmanager
async def rivals(cluster: Cluster) -> AsyncIterator[Rivals]:
    clock = ManualClock()
    async with a_schema(cluster.dsn) as schema:
        first = await PostgresStore.open(cluster.dsn, clock, schema=schema)
        second = await PostgresStore.open(cluster.dsn, clock, schema=schema)
        raw = await asyncpg.connect(cluster.dsn, server_settings={"search_path": schema})
        try:
            yield Rivals(schema, cluster.dsn, first, second, raw, clock)
        finally:
            await raw.close()
            await first.close()
            await second.close()


def _next(row: VersionedRow) -> Any:
    return dataclasses.replace(row, version=row.version + 1)


async def _waits_for_a_lock(raw: Any, count: int = 1) -> None:
    """Until that many of this test's other sessions wait for a lock."""

    async def they_wait() -> bool:
        return bool(await raw.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") >= count)

    await until(they_wait)


async def test_a_deadlock_s_victim_tries_again_and_both_get_through(cluster: Cluster) -> None:
    """D09: the server ends one of two that wait for each other; the store's Work is whole in the end."""
    rounds, broken = 8, 0
    async with rivals(cluster) as two:
        await two.raw.execute("SET deadlock_timeout = '20s'")  # so that the store is the victim, each time
        for number in range(rounds):
            a, b = await two.rows(f"a{number}", f"b{number}")
            transaction = two.raw.transaction()
            await transaction.start()
            await two.raw.execute("UPDATE generation SET digest = 'rival' WHERE name = $1", b.name)
            work = Work(changes=(Update(_next(a)), Update(_next(b))), entries=(two.entry(),))
            waiting = asyncio.create_task(two.first.commit(work))
            await _waits_for_a_lock(two.raw)  # it holds a and waits for b
            await two.raw.execute("UPDATE generation SET digest = 'rival' WHERE name = $1", a.name)
            await transaction.commit()
            await waiting
            kept = [await two.first.get(Generation, row.name) for row in (a, b)]
            broken += [row.version for row in kept if row] != [2, 2]
        leaves = await two.first.log_size("test/audit/2026")
        deadlocks = await two.raw.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    print(f"{rounds} rounds, the server counts {deadlocks} deadlocks")
    tally("D09", cases=rounds, half=broken, doubled=max(0, leaves - rounds))
    assert broken == 0
    assert leaves == rounds


async def test_a_victim_tries_at_most_five_times_and_then_keeps_nothing(cluster: Cluster) -> None:
    """D09: bounded retry (at most five tries), then 503; what shares the group's transaction meets the same end."""
    cases, lost = 0, 0
    async with rivals(cluster) as two:
        for state in (SERIALIZATION_FAILURE, DEADLOCK_DETECTED):
            for failures in (0, 1, TRIES - 1, TRIES, TRIES + 1):
                lost += await _victim(two, state, failures)
                cases += 1
    tally("D09", cases=cases, acknowledged_lost=lost)
    assert lost == 0


async def _victim(two: Rivals, state: str, failures: int) -> int:
    """Two callers in one group, of which one meets `failures` failures; how many were told what does not stand."""
    log_before = await two.first.log_size("test/audit/2026")
    mine, neighbour = await two.rows(f"mine{state}{failures}", f"neighbour{state}{failures}")
    await two.raw.execute(_failing(state, failures))
    works = [Work(changes=(Update(_next(row)),), entries=(two.entry(row.name),)) for row in (mine, neighbour)]
    outcomes = await asyncio.gather(*(two.first.commit(work) for work in works), return_exceptions=True)
    tries = await two.raw.fetchval("SELECT last_value FROM tries")
    await two.raw.execute("DROP TRIGGER fail ON generation; DROP FUNCTION fail; DROP SEQUENCE tries")
    kept = [await two.first.get(Generation, row.name) for row in (mine, neighbour)]
    told = [not isinstance(outcome, BaseException) for outcome in outcomes]
    moved = [row is not None and row.version == 2 for row in kept]
    assert moved == told
    assert await two.first.log_size("test/audit/2026") - log_before == sum(told)
    assert told[0] is (failures < TRIES)
    assert tries == min(failures + 1, TRIES)
    for outcome in outcomes:
        assert not isinstance(outcome, BaseException) or (
            isinstance(outcome, StoreUnavailableError) and outcome.status == 503
        )
    return sum(acknowledged and not stands for acknowledged, stands in zip(told, moved, strict=True))


def _failing(state: str, failures: int) -> str:
    """The first `failures` updates of a row mine* fail with this SQLSTATE; a sequence counts: it never rolls back."""
    return f"""
        CREATE SEQUENCE tries;
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.name LIKE 'mine%' AND nextval('tries') <= {failures} THEN
                RAISE EXCEPTION 'scripted' USING ERRCODE = '{state}';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER fail BEFORE UPDATE ON generation FOR EACH ROW EXECUTE FUNCTION fail();
    """


async def test_what_must_be_absent_is_still_absent_when_the_work_commits(cluster: Cluster) -> None:
    """H1: "not asked back" is a fact as well. A row that is not there cannot be held, so the log's lock comes first."""
    rounds, broken = 20, 0
    async with rivals(cluster) as two:
        key = _log_lock("test/audit/2026")
        for number in range(rounds):
            recall = _a_recall(number)
            absent = Fact(Recall, recall.key, 0)
            [opened] = await two.rows(f"opening{number}")
            await two.raw.execute("SELECT pg_advisory_lock($1)", key)
            asked_back = asyncio.create_task(two.second.commit(Work(changes=(Insert(recall),), entries=(two.entry(),))))
            await _waits_for_a_lock(two.raw)
            opening = Work(expects=(absent,), changes=(Update(_next(opened)),), entries=(two.entry(),))
            reader = asyncio.create_task(two.first.commit(opening))
            await _waits_for_a_lock(two.raw, 2)
            await two.raw.execute("SELECT pg_advisory_unlock($1)", key)
            await asked_back
            try:
                await reader
            except DecisionStaleError:
                continue
            broken += 1  # the recall was committed first, and the opening did not see it
    tally("H-race", cases=rounds, half=broken)
    assert broken == 0


def _log_lock(log: str) -> int:
    return int.from_bytes(hashlib.sha256(log.encode()).digest()[:8], signed=True)


def _a_recall(number: int) -> Recall:
    values: dict[str, Any] = dict.fromkeys(("message", "case", "inbox", "sender", "requested_by"), "x")
    return Recall(
        administration=AdministrationId("region.hsv"),
        envelope=EnvelopeId(f"envelope-{number}"),
        state=RecallState.REQUESTED,
        requested_at=Instant(1),
        **values,
    )


async def test_no_update_is_lost_between_processes_that_write_the_same_rows(cluster: Cluster) -> None:
    """D09: versions grow by one; who was second reads again. Twelve writers in two processes, rows in every order."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    names = ("p", "q", "r", "s")
    each, writers = 5, 12
    async with rivals(cluster) as two:
        await two.rows(*names)

        async def writer(store: PostgresStore, order: list[str]) -> None:
            done = 0
            while done < each:
                rows = [await store.get(Generation, name) for name in order]
                changes = tuple(Update(_next(row)) for row in rows if row is not None)
                entries = (two.entry(),) if done % 2 else ()  # without an entry there is no lock to queue at
                try:
                    await store.commit(Work(changes=changes, entries=entries))
                except (ConflictError, StoreUnavailableError):
                    await asyncio.sleep(chance.uniform(0, 0.01))
                    continue
                done += 1

        stores = (two.first, two.second)
        orders = [chance.sample(names, 2) for _ in range(writers)]
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for number, order in enumerate(orders):
                group.create_task(writer(stores[number % 2], order))
        versions = {}
        for name in names:
            row = await two.first.get(Generation, name)
            versions[name] = row.version if row else 0
    expected = {name: 1 + each * sum(name in order for order in orders) for name in names}
    lost = sum(expected.values()) - sum(versions.values())
    tally("D09", cases=each * writers, acknowledged_lost=lost)
    assert versions == expected


async def test_a_value_that_no_column_takes_is_its_own_work_s_trouble(cluster: Cluster) -> None:
    """Group commit: what one caller does wrong does not fail its neighbours."""
    async with rivals(cluster) as two:
        [good] = await two.rows("good")
        bad = Generation(administration=GATEWAY, name="bad\x00name", digest="0")
        outcomes = await asyncio.gather(
            two.first.commit(Work(changes=(Insert(bad),))),
            two.first.commit(Work(changes=(Update(_next(good)),))),
            return_exceptions=True,
        )
        kept = await two.first.get(Generation, "good")
    assert isinstance(outcomes[0], Exception)
    assert not isinstance(outcomes[1], Exception), outcomes[1]
    assert kept is not None and kept.version == 2
