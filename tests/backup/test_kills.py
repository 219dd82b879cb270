"""Killed anywhere in a backup, a restore or a move, and run again: nothing half is ever taken for whole (D16)."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from adapters.blobs.folder import FolderBlobs, FolderTiles
from adapters.sql.postgres import PostgresStore
from gateway.archive import Kind
from gateway.errors import SetupError
from gateway.moving import Moved, move, refuse_moved
from gateway.restore import MARK
from gateway.unpacking import opened
from gateway.usecases import Gateway
from keys.keyring import Keyring
from tests.backup.killing import dies
from tests.county import ROOT, SEAT_E, County, plugged
from tests.faults.tally import tally
from tests.site import TOOLS, Site

pytestmark = pytest.mark.slow


async def one_message(site: Site) -> str:
    async with site.county() as county:
        message = await site.send(county, await county.sign_in("al-sos"))
        await county.deliver()
        await county.gateway.integrator.flush()
    return message


def test_a_killed_backup_leaves_nothing_that_looks_like_one(template: Path, tmp_path: Path) -> None:
    """docs/backup.md §5: at most a temporary file, which is never read and which the next run removes."""
    site = Site.copied(template, tmp_path / "site")
    died = half = 0
    while dies(died, site.back_up, only="backup."):
        died += 1
        for path in site.out.glob("sambud-*"):
            kind = Kind.MESSAGES if path.suffix == ".sbm" else Kind.KEYS
            secret = TOOLS.keys.secret(
                site.offline if kind is Kind.MESSAGES else TOOLS.keys.epochs(site.epochs)[0].file
            )
            opened(path, kind, (secret,)).check(TOOLS.keys)
            half += path.suffix not in (".sbm", ".sbk")
    tally("D16", cases=died, half=half)
    assert died == 5
    assert half == 0
    assert list(site.out.glob(".*")) == []


def test_a_killed_restore_is_never_served_and_begins_again_from_nothing(template: Path, tmp_path: Path) -> None:
    """docs/backup.md §6: the mark stays, no gateway starts beside it, the same command begins anew."""
    site = Site.copied(template, tmp_path / "site")
    message = asyncio.run(one_message(site))
    made = asyncio.run(site.back_up())
    target = tmp_path / "target"
    died = 0
    for at in (0, 20, 10**6):  # after the keys, among the rows, before the log, and not at all
        if dies(at, lambda: site.restore(made.messages, made.keys, target), only="restore."):
            died += 1
            assert (target / MARK).exists()
    for name in ("restore.before_accept", "store.after_commit"):
        other = tmp_path / name
        died += dies(0, lambda other=other: site.restore(made.messages, made.keys, other), only=name)  # type: ignore[misc]
        assert (other / MARK).exists()
        asyncio.run(site.restore(made.messages, made.keys, other))
        assert not (other / MARK).exists()

    async def lives() -> None:
        async with site.county(target) as county:
            await county.open(await county.sign_in("ek-chef"), SEAT_E, message)  # type: ignore[arg-type]

    tally("D16", cases=died)
    assert died == 4
    asyncio.run(lives())


# --- moving to PostgreSQL --------------------------------------------------------------------------------------------


@dataclass
class Far:
    """An empty PostgreSQL database, and a gateway over it."""

    dsn: str
    site: Site

    @asynccontextmanager
    async def county(self, *, unfinished: bool = False) -> AsyncIterator[County]:
        store = await PostgresStore.open(self.dsn, self.site.clock, unfinished=unfinished)
        keyring = Keyring(ROOT, store, self.site.clock, self.site.data / "keys.db")
        try:
            await keyring.start()
            blobs, tiles = FolderBlobs(self.site.data / "blobs"), FolderTiles(self.site.data / "log")
            gateway = plugged(keyring, store, self.site.clock, blobs, tiles)
            await gateway.auditor.load()
            yield County(gateway, keyring, self.site.clock, store, self.site.seeds)
        finally:
            await keyring.close()
            await store.close()

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[Gateway]:
        async with self.county(unfinished=True) as county:
            yield county.gateway

    async def move(self) -> Moved:
        return await move(TOOLS, self.site.data / "sambud.db", self.dsn, self.gateway, lambda _text: None)


@pytest.fixture
def database(postgres_dsn: str) -> Iterator[str]:
    """A database of its own."""
    name = f"t{secrets.token_hex(6)}"

    async def run(statement: str) -> None:
        connection = await asyncpg.connect(postgres_dsn)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(run(f'CREATE DATABASE "{name}"'))
    head, slash, query = postgres_dsn.partition("?")
    yield head.rpartition("/")[0] + f"/{name}" + slash + query
    asyncio.run(run(f'DROP DATABASE "{name}" WITH (FORCE)'))


def digest_of(path: Path) -> dict[str, int]:
    connection = sqlite3.connect(path)
    try:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}
    finally:
        connection.close()


def test_a_move_that_is_killed_again_and_again_arrives_whole(
    template: Path, tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches with their progress in one transaction: the next run goes on where the last one stood."""
    monkeypatch.setattr("adapters.sql.snapshot.PIECE_ROWS", 7)  # several batches to a table
    site = Site.copied(template, tmp_path / "site")
    message = asyncio.run(one_message(site))
    before = digest_of(site.data / "sambud.db")
    far = Far(database, site)
    died = 0
    for at in (0, 2, 30, 57, 10**6):
        if not dies(at, far.move, only="move."):
            break
        died += 1
        with pytest.raises(SetupError, match="unfinished"):
            asyncio.run(_opened(far))
    else:
        raise AssertionError("the move never came to its end")
    tally("D16", cases=died)
    assert died >= 3
    assert digest_of(site.data / "sambud.db") == before
    with pytest.raises(SetupError, match="moved"):
        refuse_moved(site.data)
    with pytest.raises(SetupError, match="not empty"):
        asyncio.run(far.move())

    async def lives() -> None:
        async with far.county() as county:
            chief = await county.sign_in("ek-chef")
            await county.open(chief, SEAT_E, message)  # type: ignore[arg-type]
            worker = await county.sign_in("al-sos")
            await site.send(county, worker)
            await county.gateway.integrator.flush()
            [report] = await county.gateway.review.verify()
            assert (report.faults, report.missing) == ([], [])

    asyncio.run(lives())


async def _opened(far: Far) -> None:
    async with far.county():
        pass


def test_a_move_to_a_database_that_holds_something_or_from_a_served_store_is_refused(
    template: Path, tmp_path: Path, database: str
) -> None:
    """Nothing is ever added to another's database, and nobody may write to the source meanwhile."""
    site = Site.copied(template, tmp_path / "site")
    far = Far(database, site)

    async def served() -> None:
        async with site.county():
            await far.move()

    with pytest.raises(SetupError, match="in use"):
        asyncio.run(served())

    async def other() -> None:
        connection = await asyncpg.connect(database)
        await connection.execute("CREATE TABLE theirs (id int)")
        await connection.close()

    asyncio.run(other())
    with pytest.raises(SetupError, match="not empty"):
        asyncio.run(far.move())
    refuse_moved(site.data)


def test_a_backup_of_postgresql_restores_to_sqlite_and_one_of_sqlite_to_postgresql(
    template: Path, tmp_path: Path, database: str
) -> None:
    """docs/backup.md §1: rows, not pages; one format for both engines, with equal digests for equal rows."""
    site = Site.copied(template, tmp_path / "site")
    message = asyncio.run(one_message(site))
    here = asyncio.run(site.back_up())
    far = Far(database, site)

    async def to_postgres() -> None:
        target = tmp_path / "far"
        both = await asyncio.gather(
            *(_restored_to(far, site, here.messages, here.keys, tmp_path / name) for name in ("far", "other")),
            return_exceptions=True,
        )
        assert sorted(type(one).__name__ for one in both) == ["NoneType", "SetupError"]
        site.data = target if (target / "keys.db").exists() else tmp_path / "other"
        async with far.county() as county:
            await county.open(await county.sign_in("ek-chef"), SEAT_E, message)  # type: ignore[arg-type]

    asyncio.run(to_postgres())
    site.clock.advance(10**6)
    there = asyncio.run(site.back_up(database=database))
    same = {"administration_key", "key_record", "envelope", "message", "inbox", "membership", "unit"}
    assert {t for t in here.manifest.tables if t[0] in same} == {t for t in there.manifest.tables if t[0] in same}

    async def to_sqlite() -> None:
        await site.restore(there.messages, there.keys)
        async with site.county() as county:
            await county.open(await county.sign_in("ek-chef"), SEAT_E, message)  # type: ignore[arg-type]
            assert [report.faults for report in await county.gateway.review.verify()] == [[], [], []]

    asyncio.run(to_sqlite())


async def _restored_to(far: Far, site: Site, messages: Path, keys: Path, target: Path) -> None:
    from gateway.restore import restore

    plan = site.plan(messages, keys, target, database=far.dsn)
    places = (lambda: FolderBlobs(target / "blobs"), lambda: FolderTiles(target / "log"))
    beside = Far(far.dsn, Site(site.folder, site.clock, site.seeds, target))
    await restore(TOOLS, plan, places, beside.gateway)


@pytest.mark.full
def test_ten_thousand_messages_move_in_bounded_memory(template: Path, tmp_path: Path, database: str) -> None:
    """10,000 messages with their envelopes, wraps and deliveries; time and memory are printed."""
    import resource

    site = Site.copied(template, tmp_path / "site")
    asyncio.run(one_message(site))
    connection = sqlite3.connect(site.data / "sambud.db")
    for table, columns in {
        "message": ("id",),
        "envelope": ("id", "message"),
        "envelope_wrap": ("envelope",),
        "delivery": ("id", "envelope", "message"),
        "task": ("envelope", "message"),
    }.items():
        names = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]
        picked = ", ".join(f"\"{n}\" || '-' || n.value" if n in columns else f'"{n}"' for n in names)
        listed = ", ".join(f'"{n}"' for n in names)
        connection.execute(
            f'INSERT INTO "{table}" ({listed}) SELECT {picked} FROM "{table}", generate n'.replace(
                "generate n",
                "(WITH RECURSIVE k(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM k WHERE value < 9999)"
                " SELECT value FROM k) AS n",
            )
        )
    connection.commit()
    connection.close()
    began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    moved = asyncio.run(Far(database, site).move())
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - began) / 1024
    size = (site.data / "sambud.db").stat().st_size / 1e6
    print(f"10,000 messages, {moved.rows} rows, {size:.0f} MB: {time.monotonic() - started:.1f} s, +{grown:.0f} MiB")
    assert moved.rows > 70_000
    assert grown < 100
