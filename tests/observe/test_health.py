"""/healthz and /readyz (security.md §7.11): a check that does not hold says so, in time, in Swedish, with what to do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters.blobs.folder import FolderBlobs
from adapters.http import ops
from adapters.http.routes import Rate
from adapters.http.server import application, listening
from adapters.machine import LocalMachine
from adapters.memory import MemoryBlobs, MemoryStore
from adapters.sql.sqlite import SqliteStore
from gateway import health
from gateway.errors import StoreFullError, StoreUnavailableError
from gateway.health import LONGEST_LAG, TEXTS, Check, Health
from gateway.model.base import SECOND
from gateway.ports import Blobs, UnknownMachine
from tests.clock import ManualClock
from tests.county import County, a_county

pytestmark = pytest.mark.slow  # each begins with a whole county


class Disk(UnknownMachine):
    """A machine with so much room."""

    def __init__(self, free: int, size: int) -> None:
        self.found = {"data": (free, size)}

    def space(self) -> Mapping[str, tuple[int, int]]:
        return self.found


class Seconds:
    """A stopwatch that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def watched(
    machine: UnknownMachine | None = None, store: MemoryStore | None = None, blobs: Blobs | None = None
) -> AsyncIterator[tuple[County, Health, Seconds]]:
    seconds = Seconds()
    clock = ManualClock()
    async with a_county(store or MemoryStore(clock), clock=clock) as county:
        gateway = county.gateway
        yield (
            county,
            Health(
                county.store,
                blobs or gateway.ports.blobs,
                gateway.ports.shred,
                gateway.ports.vault,
                gateway.auditor,
                gateway.presence,
                gateway.sessions,
                machine or UnknownMachine(),
                county.clock,
                watch=gateway.channel_watch,
                quarantine=gateway.quarantine,
                seconds=seconds,
            ),
            seconds,
        )


async def failing(found: Health) -> set[str]:
    return {str(one.check) for one in (await found.ready()).failing}


async def test_a_gateway_that_can_work_is_ready() -> None:
    async with watched(Disk(6, 100)) as (_, found, _):
        assert (await found.ready()).checks == {str(check): True for check in Check}


async def test_below_five_per_cent_of_the_disk_it_is_not_ready() -> None:
    """security-decisions H2: "5 % of disk is reserved for the log"."""
    for free, expected in ((5, set()), (4, {"disk"}), (0, {"disk"})):
        async with watched(Disk(free, 100)) as (_, found, _):
            assert await failing(found) == expected


async def test_a_leaf_that_waits_three_minutes_for_its_checkpoint_makes_it_not_ready() -> None:
    """security-decisions H2; a log in which nothing happens is not late, however old its checkpoint."""
    async with watched() as (county, found, seconds):
        await county.gateway.integrator.flush()
        county.clock.advance(3600 * SECOND)
        assert await failing(found) == set()
        await county.sign_in("al-sos")
        state = await found.log_state()
        assert state.unpublished == 1
        county.clock.advance(LONGEST_LAG - state.lag)
        seconds.now += 1
        assert await failing(found) == set()
        county.clock.advance(SECOND)
        seconds.now += 1
        assert await failing(found) == {"log"}
        await county.gateway.integrator.flush()
        seconds.now += 1
        assert await failing(found) == set()


async def test_keys_that_do_not_answer_are_told_as_sealed() -> None:
    async with watched() as (county, found, _):
        assert not found.sealed
        await county.keyring.shred.close()
        county.keyring.shred._thread = __import__("concurrent.futures").futures.ThreadPoolExecutor(1)
        assert await failing(found) == {"keys"}
        assert found.sealed


async def test_a_database_that_is_locked_or_full_is_told_and_a_check_that_hangs_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "CHECK_S", 0.05)
    asked = 0

    class Troubled(MemoryStore):
        trouble: Any = None

        async def check_writable(self) -> None:
            nonlocal asked
            asked += 1
            if self.trouble is None:
                await asyncio.Event().wait()
            raise self.trouble

    store = Troubled(ManualClock())
    async with watched(store=store) as (_, found, seconds):
        for trouble in (StoreUnavailableError("locked"), StoreFullError("full", swedish="Disken är full."), OSError()):
            store.trouble = trouble
            seconds.now += 1
            assert await failing(found) == {"database"}
        store.trouble = None
        for _ in range(3):
            seconds.now += 1
            [one] = (await found.ready()).failing
            assert "två sekunder" in one.swedish
        assert asked == 4  # the question that hangs is not asked three times


async def test_a_bug_in_a_check_is_a_check_that_fails() -> None:
    class Broken(MemoryBlobs):
        async def check_writable(self) -> None:
            raise RuntimeError("text that nobody may see")

    async with watched(blobs=Broken()) as (_, found, _):
        [one] = (await found.ready()).failing
        assert (one.check, one.swedish) == (Check.BLOBS, TEXTS[Check.BLOBS][0])


async def test_however_many_ask_the_checks_are_made_once_a_second() -> None:
    asked = 0

    class Counting(MemoryStore):
        async def check_writable(self) -> None:
            nonlocal asked
            asked += 1

    async with watched(store=Counting(ManualClock())) as (_, found, seconds):
        await asyncio.gather(*(found.ready() for _ in range(100)))
        seconds.now += 0.9
        await found.ready()
        assert asked == 1
        seconds.now += 0.1
        await found.ready()
        assert asked == 2


async def test_a_process_that_is_being_stopped_lives_and_takes_no_new_work() -> None:
    async with watched() as (_, found, _):
        await found.ready()
        found.drain()
        assert found.draining
        assert await failing(found) == {"accepting"}


async def test_over_http_it_is_503_with_a_sentence_for_each_check_and_needs_no_session(tmp_path: Path) -> None:
    """On a real file whose folder for attachments cannot be written."""
    clock = ManualClock()
    store = await SqliteStore.open(tmp_path / "sambud.db", clock, create=True)
    blobs = FolderBlobs(tmp_path / "blobs")
    async with (
        a_county(store, clock=clock, blobs=blobs) as county,
        listening(application(county.gateway, ops.ROUTES), "127.0.0.1", 0) as address,
        aiohttp.ClientSession() as http,
    ):
        async with http.get(f"{address}/readyz") as response:
            assert response.status == 200
        (tmp_path / "blobs").rmdir()
        (tmp_path / "blobs").write_bytes(b"")
        await asyncio.sleep(1.1)
        async with http.get(f"{address}/readyz", headers={"Authorization": "Bearer x"}) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "5")
            told = json.loads(await response.read())
        assert told["checks"]["blobs"] is False
        [one] = told["failing"]
        assert one == {"check": "blobs", "detail": TEXTS[Check.BLOBS][0], "next_step": TEXTS[Check.BLOBS][1]}
        async with http.get(f"{address}/healthz") as response:
            assert await response.json() == {"status": "alive", "sealed": False, "draining": False}
        async with http.post(f"{address}/healthz", json={}) as response:
            assert (response.status, response.content_type) == (405, "application/problem+json")
    await store.close()


def test_probes_are_rows_of_the_table_in_a_rate_class_of_their_own() -> None:
    assert [(route.path, route.rate, route.page) for route in ops.ROUTES] == [
        ("/healthz", Rate.PROBE, False),
        ("/readyz", Rate.PROBE, False),
    ]


def test_every_check_says_what_is_wrong_and_what_to_do() -> None:
    assert set(TEXTS) == set(Check)
    assert all(what.endswith(".") and then.endswith(".") for what, then in TEXTS.values())


def test_the_machine_says_how_much_room_there_is_and_whether_its_clock_is_set(tmp_path: Path) -> None:
    machine = LocalMachine({"data": tmp_path, "nowhere": tmp_path / "x"})
    [(place, (free, size))] = machine.space().items()
    assert (place, 0 < free <= size) == ("data", True)
    assert machine.clock_synchronised() in (True, False, None)
