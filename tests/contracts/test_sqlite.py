"""What only the file store must show: durable at the acknowledgement, clear trouble, one process, bounded lists."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import adapters.sql.sqlite as engine
from adapters.sql.sqlite import SqliteStore
from gateway.errors import SetupError, StoreFullError, StoreUnavailableError
from gateway.model.path import Case
from gateway.ports import Insert, Work
from tests.clock import ManualClock
from tests.contracts.test_store import a_case

WRITER = """
import asyncio, os, sys
from pathlib import Path
from adapters.sql.sqlite import SqliteStore
from gateway.ports import Insert, Work
from tests.clock import ManualClock
from tests.contracts.test_store import a_case
async def main():
    store = await SqliteStore.open(Path(sys.argv[1]), ManualClock(), create=True)
    async def one(n):
        await store.commit(Work(changes=(Insert(a_case(f"VA-{os.getpid()}-{n}")),)))
        os.write(1, f"VA-{os.getpid()}-{n}\\n".encode())
    n = 0
    while True:
        await asyncio.gather(*(one(n + k) for k in range(8)))
        n += 8
asyncio.run(main())
"""


@pytest.mark.slow
def test_whatever_was_acknowledged_before_a_kill_is_there_after_it(tmp_path: Path) -> None:
    """Twenty kills; every acknowledged row is read back."""
    path = tmp_path / "sambud.db"
    root = Path(__file__).parent.parent.parent
    acknowledged: list[str] = []
    for round_ in range(20):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(root)},
            cwd=root,
        )
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(8 + round_)]
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().split(b"\n")[:-1]
        writer.wait()
        writer.stdout.close()
        acknowledged += [line.strip().decode() for line in [*lines, *rest] if line]
    with sqlite3.connect(path) as connection:
        stored = {row[0] for row in connection.execute("SELECT reference FROM case_file")}
    connection.close()
    lost = set(acknowledged) - stored
    print(f"20 kills, {len(acknowledged)} acknowledged, {len(lost)} lost")
    assert not lost
    assert len(acknowledged) >= 20 * 8


async def test_a_locked_database_refuses_in_time_and_takes_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY_S", 0.2)
    path = tmp_path / "sambud.db"
    store = await SqliteStore.open(path, ManualClock(), create=True)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError):
        await store.commit(Work(changes=(Insert(a_case("locked")),)))
    other.execute("ROLLBACK")
    other.close()
    await store.commit(Work(changes=(Insert(a_case("free")),)))
    await store.close()


async def test_a_full_database_says_so_keeps_reading_and_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sambud.db"
    store = await SqliteStore.open(path, ManualClock(), create=True)
    first = a_case("first")
    await store.commit(Work(changes=(Insert(first),)))
    await store.close()
    connect = engine._connect

    def small(path: Path, *, writer: bool = False) -> sqlite3.Connection:
        connection = connect(path, writer=writer)
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages + 4}")
        return connection

    monkeypatch.setattr(engine, "_connect", small)
    store = await SqliteStore.open(path, ManualClock())
    with pytest.raises(StoreFullError):
        for number in range(200):
            await store.commit(Work(changes=(Insert(a_case("x" * 2000 + str(number))),)))
    assert await store.get(Case, first.id) == first
    await store.close()
    monkeypatch.setattr(engine, "_connect", connect)
    store = await SqliteStore.open(path, ManualClock())
    await store.commit(Work(changes=(Insert(a_case("after")),)))
    await store.close()


async def test_a_read_only_database_refuses_and_acknowledges_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sambud.db"
    (await _closed(path)).touch()
    connect = engine._connect

    def read_only(path: Path, *, writer: bool = False) -> sqlite3.Connection:
        connection = connect(path, writer=writer)
        connection.execute("PRAGMA query_only=ON")
        return connection

    monkeypatch.setattr(engine, "_connect", read_only)
    store = await SqliteStore.open(path, ManualClock())
    with pytest.raises(StoreUnavailableError):
        await store.commit(Work(changes=(Insert(a_case()),)))
    await store.close()


async def _closed(path: Path) -> Path:
    store = await SqliteStore.open(path, ManualClock(), create=True)
    await store.close()
    return path


async def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = await _closed(tmp_path / "sambud.db")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(SetupError, match="9999"):
        await SqliteStore.open(path, ManualClock())


async def test_only_one_process_serves_a_database(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "sambud.db", ManualClock(), create=True)
    with pytest.raises(SetupError, match="in use"):
        await SqliteStore.open(tmp_path / "sambud.db", ManualClock())
    await store.close()


async def test_a_missing_or_damaged_database_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="does not exist"):
        await SqliteStore.open(tmp_path / "none.db", ManualClock())
    (tmp_path / "bad.db").write_bytes(b"not a database" * 500)
    with pytest.raises(SetupError, match="cannot be used"):
        await SqliteStore.open(tmp_path / "bad.db", ManualClock())


async def test_lists_and_claims_walk_an_index_and_sort_nothing(tmp_path: Path) -> None:
    """No list or claim may cost more as history grows."""
    store = await SqliteStore.open(tmp_path / "sambud.db", ManualClock(), create=True)
    texts = [store.statements.queries[name][0] for name in ("inbox_page", "cases_of", "drafts_of", "messages_of")]
    texts.append(store.statements.claim)
    with sqlite3.connect(tmp_path / "sambud.db") as connection:
        for text in texts:
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text.sql}", [1] * len(text.names))]
            assert not any(step.startswith("SCAN") or "TEMP B-TREE" in step for step in plan), plan
    connection.close()
    await store.close()


async def test_group_commit_joins_what_waits(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "sambud.db", ManualClock(), create=True)
    await asyncio.gather(*(store.commit(Work(changes=(Insert(a_case(f"VA-{n}")),))) for n in range(320)))
    assert store.works >= 320
    assert store.groups < store.works / 4
    await store.close()
