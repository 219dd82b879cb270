"""Another process holds the lock of the database: callers wait five seconds at most, and no update is lost."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from pathlib import Path

import pytest

import adapters.sql.sqlite as engine
from adapters.sql.sqlite import SqliteStore
from gateway.errors import StoreUnavailableError
from gateway.model.base import MINUTE
from gateway.model.path import Case
from gateway.ports import Insert, Work
from tests.clock import ManualClock
from tests.contracts.test_store import a_case
from tests.faults import scenes
from tests.faults.images import Image
from tests.faults.process import child
from tests.faults.tally import tally


class Locker:
    """Another process's write, as `sqlite3` at a prompt would leave it."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("BEGIN IMMEDIATE")

    def release(self) -> None:
        self._connection.execute("ROLLBACK")
        self._connection.close()


def held(images: dict[str, Image], tmp_path: Path, seconds: float) -> None:
    """A send while the lock is held: done when that was short, 503 within the bound when it was not."""
    image = images["prepared"]
    folder = image.copied(tmp_path / "data")
    at = image.at + MINUTE
    with child(scenes.play, folder, "send", at) as process:
        locker = Locker(folder / "sambud.db")
        timer = threading.Timer(seconds, locker.release)
        began = time.monotonic()
        timer.start()
        told = process.go()
        waited = time.monotonic() - began
        timer.join()
        print(f"held {seconds} s: {told.kind} {told.status} after {waited:.1f} s")
        if seconds < engine.BUSY_S:
            assert told.kind == "done"
        else:
            assert (told.kind, told.status) == ("refused", 503)
            assert waited < engine.BUSY_S + 3  # a busy machine is no broken promise
        again = process.go()
        assert again.kind == "done"
        process.end()
    with child(scenes.settle, folder, "send", at + MINUTE, again.answer) as process:
        found = process.go().answer
        process.end()
    tally("D06", cases=1, acknowledged_lost=found.lost, doubled=found.doubled, half=len(found.half))
    assert found == scenes.Found()


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [1, 6])
def test_a_lock_held_by_another_process_is_waited_for_five_seconds_at_most(
    images: dict[str, Image], tmp_path: Path, seconds: int
) -> None:
    """Security catalogue D06."""
    held(images, tmp_path, seconds)


@pytest.mark.full
@pytest.mark.parametrize("round_", range(3))
@pytest.mark.parametrize("seconds", [0.2, 1, 3, 4, 4.9, 5.2, 7, 15, 30])
def test_a_lock_held_for_any_time(images: dict[str, Image], tmp_path: Path, seconds: float, round_: int) -> None:
    held(images, tmp_path, seconds)


@pytest.mark.slow
async def test_each_caller_has_its_own_five_seconds_and_updates_are_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who came later waits no longer than who came first, and who came last is not refused with the first."""
    monkeypatch.setattr(engine, "BUSY_S", 1.0)
    path = tmp_path / "sambud.db"
    store = await SqliteStore.open(path, ManualClock(), create=True)
    try:
        await _each_its_own(store, path)
    finally:
        await store.close()


async def _each_its_own(store: SqliteStore, path: Path) -> None:
    locker = Locker(path)
    began = time.monotonic()

    async def one(number: int) -> tuple[int, bool, float]:
        await asyncio.sleep(number * 0.1)
        came = time.monotonic()
        try:
            await store.commit(Work(changes=(Insert(a_case(f"VA-{number}")),)))
        except StoreUnavailableError:
            return number, False, time.monotonic() - came
        return number, True, time.monotonic() - came

    async def freed() -> None:
        await asyncio.sleep(1.45)
        await asyncio.to_thread(locker.release)

    told, _ = await asyncio.gather(asyncio.gather(*(one(number) for number in range(12))), freed())
    print(f"after {time.monotonic() - began:.1f} s: {[(n, ok, round(waited, 2)) for n, ok, waited in told]}")
    # The first waited its second in vain; those whose second was not over when the lock went came in time.
    assert not told[0][1] and all(ok for _, ok, _ in told[8:])
    assert all(waited < 2.5 for _, _, waited in told)
    done = [number for number, ok, _ in told if ok]
    with sqlite3.connect(path) as connection:
        stored = {row[0] for row in connection.execute(f"SELECT reference FROM {Case.TABLE}")}
    connection.close()
    lost = {f"VA-{number}" for number in done} - stored
    tally("D06", cases=len(told), acknowledged_lost=len(lost), doubled=len(stored) - len({*stored}))
    assert stored == {f"VA-{number}" for number in done}
