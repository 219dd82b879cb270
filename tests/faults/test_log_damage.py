"""The log is cut, rolled back, rewritten, its files damaged, its clock turned, its publisher stopped.

What can be shown is shown with the range it concerns; what is published is mended from leaves that were signed; leaves
are never written; and without a living log nothing is accepted or opened.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import re
import shutil
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.blobs.folder import FolderTiles
from adapters.memory import MemoryStore, MemoryTiles
from adapters.sql.sqlite import SqliteStore
from gateway import workers
from gateway.__main__ import SystemWiring
from gateway.audit import AuditAction, Auditor
from gateway.errors import IntegrityError, InvalidRequestError, LogBehindError
from gateway.evidence import Evidence, notes_in
from gateway.freshness import Freshness
from gateway.fsck import Fsck
from gateway.integrator import Integrator
from gateway.model.base import DAY, GATEWAY, HOUR, MINUTE, SECOND, Instant
from gateway.model.log import AuditLeaf, AuditSide, Checkpoint
from gateway.ports import Store, TileStore, Work
from gateway.review import Review
from gateway.settings import Settings
from gateway.tree import leaf_hash
from tests.clock import ManualClock
from tests.county import DEMO_DIRECTORY, SEAT_E, County, a_county, password_of
from tests.faults.tally import tally

pytestmark = pytest.mark.slow
SEED = 20260306


@dataclass
class Log:
    """A log of a county, and what checks it."""

    county: County
    store: Store
    tiles: TileStore

    @property
    def name(self) -> str:
        return self.county.gateway.auditor.origin(self.county.clock.now())

    @property
    def review(self) -> Review:
        gateway = self.county.gateway
        return Review(self.store, self.tiles, gateway.ports.vault, gateway.auditor, gateway.rights, gateway.grants)

    @property
    def evidence(self) -> Evidence:
        return Evidence(self.store, self.tiles, self.county.gateway.ports.vault)

    @property
    def fsck(self) -> Fsck:
        return Fsck(self.store, self.tiles, self.county.gateway.ports.vault)

    def beside(self, store: Store, tiles: TileStore) -> Log:
        """The same log as it stands in other files."""
        return Log(self.county, store, tiles)

    async def grow(self, count: int) -> None:
        gateway = self.county.gateway
        auditor = Auditor("sambud.example", self.store, gateway.ports.vault, gateway.ports.shred, gateway.ports.clock)
        for _ in range(count):
            entry = await auditor.entry(
                AuditAction.QUEUE_LISTED,
                administration=GATEWAY,
                actor=None,
                role="test",
                object="x",
                case=None,
                outcome="permit",
            )
            await self.store.commit(Work(entries=(entry,)))

    async def publish(self) -> str:
        """Publish, and the note of the checkpoint."""
        gateway = self.county.gateway
        await Integrator(self.store, self.tiles, gateway.ports.vault, gateway.auditor, self.county.clock).flush()
        newest = await self.store.last_checkpoint(self.name)
        assert newest is not None
        return newest.note

    async def faults(self, *, sides: bool = False) -> tuple[int, list[str]]:
        [report] = await self.review.verify(sides=sides)
        return report.exit_code, [*report.faults, *report.missing]


@asynccontextmanager
async def a_log(store: Store | None = None, tiles: TileStore | None = None) -> AsyncIterator[Log]:
    clock = ManualClock()
    kept, files = store or MemoryStore(clock), tiles or MemoryTiles()
    async with a_county(kept, clock=clock, tiles=files) as county:
        yield Log(county, kept, files)


def _copied(log: Log) -> Log:
    """The rows and files as they are now: what a copy of the disk holds."""
    assert isinstance(log.store, MemoryStore) and isinstance(log.tiles, MemoryTiles)
    store, tiles = MemoryStore(log.county.clock), MemoryTiles()
    store._tables = {row: dict(table) for row, table in log.store._tables.items()}
    store._sizes = dict(log.store._sizes)
    tiles._tiles = dict(log.tiles._tiles)
    return log.beside(store, tiles)


def _cut(log: Log, size: int) -> None:
    """Remove the newest leaves and every checkpoint that speaks of them, as the owner of the database can."""
    assert isinstance(log.store, MemoryStore)
    tables = log.store._tables
    for kind in (AuditLeaf, AuditSide):
        for key in [key for key in tables[kind] if key[0] == log.name and int(key[1]) >= size]:
            del tables[kind][key]
    for key in [key for key in tables[Checkpoint] if key[0] == log.name and int(key[1]) > size]:
        del tables[Checkpoint][key]
    log.store._sizes[log.name] = size


# --- A02: cut, rolled back -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rounds", [16, pytest.param(60, marks=pytest.mark.full)])
async def test_a_log_that_was_cut_or_rolled_back_is_found_against_a_kept_checkpoint(rounds: int) -> None:
    """A02: what is left agrees with itself; the note that somebody kept names the range that is gone or other."""
    print(f"seed {SEED}")
    chance, missed = random.Random(SEED), []
    async with a_log() as log:
        states, notes = [], []
        for _ in range(8):
            await log.grow(chance.randint(1, 90))
            notes.append(await log.publish())
            states.append(_copied(log))
        sizes = [int(note.split("\n")[1]) for note in notes]
        [whole] = await log.evidence.compare("\n".join(notes))
        assert (whole.exit_code, whole.faults, whole.missing) == (0, [], [])
        for number in range(rounds):
            kept = chance.randrange(1, len(notes))
            if number % 2:  # yesterday's copy, and then the day goes on: a second history
                now = _copied(states[chance.randrange(kept)])
                back = await now.store.log_size(log.name)
                await now.grow(sizes[kept] - back + chance.randint(0, 3))
                await now.publish()
                expected = f"leaves 0 to {sizes[kept] - 1} are not the ones that were signed"
            else:
                now = _copied(states[kept])
                back = chance.randrange(sizes[0], sizes[kept])
                _cut(now, back)
                expected = f"leaves {back} to {sizes[kept] - 1} were signed and are gone"
            [report] = await now.evidence.compare(notes[kept])
            if report.exit_code != 1 or not any(expected in fault for fault in report.faults):
                missed.append((number, report.faults))
        # an older note narrows the range: what it covers is still what it was
        rolled = _copied(states[2])
        await rolled.grow(sizes[5] - sizes[2] + 1)
        await rolled.publish()
        [narrowed] = await rolled.evidence.compare(f"{notes[1]}\n{notes[5]}")
    tally("A02", cases=rounds, half=len(missed))
    assert missed == []
    assert f"leaves {sizes[1]} to {sizes[5] - 1} are not the ones that were signed" in narrowed.faults


async def test_yesterdays_files_in_place_of_todays_are_found(tmp_path: Path) -> None:
    """A02 on real files: SQLite copied while stopped, put back a day later; verify alone is content, `--against` is not."""
    clock = ManualClock()
    today, yesterday = tmp_path / "today", tmp_path / "yesterday"
    tiles = FolderTiles(tmp_path / "today" / "log")
    store = await SqliteStore.open(today / "sambud.db", clock, create=True)
    async with a_county(store, clock=clock, tiles=tiles) as county:
        log = Log(county, store, tiles)
        await log.grow(20)
        await log.publish()
        with sqlite3.connect(today / "sambud.db") as source, sqlite3.connect(tmp_path / "copy.db") as target:
            source.backup(target)
        source.close()
        target.close()
        shutil.copytree(today / "log", yesterday / "log")
        shutil.move(tmp_path / "copy.db", yesterday / "sambud.db")
        clock.advance(DAY)
        await log.grow(20)
        kept = await log.publish()
        old = await SqliteStore.open(yesterday / "sambud.db", clock)
        back = log.beside(old, FolderTiles(yesterday / "log"))
        code, _ = await back.faults()
        [report] = await back.evidence.compare(kept)
        size = await old.log_size(log.name)
        await old.close()
    await store.close()
    tally("A02", cases=1, half=report.exit_code != 1)
    assert code == 0
    assert report.exit_code == 1
    assert report.faults[0].startswith(f"leaves {size} to {size + 19} were signed and are gone")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda note: "",
        lambda note: "not a note",
        lambda note: note.replace("\n—", "\n— another", 1),
        lambda note: re.sub(r"(?m)^\d+$", lambda size: str(int(size[0]) + 1), note, count=1),
        lambda note: note.replace("— ", "— ?", 1),
        lambda note: note.rstrip()[:-9] + "\n",
        lambda note: note + "\nrest without signatures\n",
    ],
)
async def test_what_this_logs_key_did_not_sign_is_no_evidence(spoil: Callable[[str], str]) -> None:
    """A forged note must not make a whole log look tampered with."""
    async with a_log() as log:
        await log.grow(3)
        note = await log.publish()
        with pytest.raises(InvalidRequestError, match="no checkpoint"):
            await log.evidence.compare(spoil(note))


def test_notes_are_told_apart_in_one_text() -> None:
    note = "origin\n1\nabc\n\n— origin sig\n"
    assert notes_in(note + "\n" + note) == [note, note]
    assert notes_in(note.replace("\n", "\r\n")) == [note]


# --- A04: files and side rows ----------------------------------------------------------------------------------------


def _damage(path: Path, kind: str, chance: random.Random) -> None:
    octets = path.read_bytes()
    if kind == "gone":
        path.unlink()
    elif kind == "cut":
        path.write_bytes(octets[: chance.randrange(len(octets))])
    elif kind == "longer":
        path.write_bytes(octets + bytes(32))
    elif kind == "flipped":
        place = chance.randrange(len(octets))
        path.write_bytes(octets[:place] + bytes([octets[place] ^ 1 << chance.randrange(8)]) + octets[place + 1 :])
    elif kind == "folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(chance.randbytes(len(octets)))


@pytest.mark.parametrize("rounds", [36, pytest.param(200, marks=pytest.mark.full)])
async def test_damaged_files_are_reported_and_mended_and_leaves_are_never_written(tmp_path: Path, rounds: int) -> None:
    """A04: a tile, bundle or checkpoint that is gone, cut, flipped, garbage or a folder; then `fsck`, then whole."""
    print(f"seed {SEED}")
    chance, wrong = random.Random(SEED), []
    tiles = FolderTiles(tmp_path / "log")
    async with a_log(tiles=tiles) as log:
        await log.grow(150)
        await log.publish()  # leaves narrower tiles behind
        await log.grow(420)
        await log.publish()
        size = await log.store.log_size(log.name)
        leaves = await log.store.leaves(log.name, 0, size)
        [folder] = [path for path in (tmp_path / "log").iterdir() if path.is_dir()]
        files = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
        width = size % 256
        needed = [path for path in files if ".p/" not in str(path) or str(path).endswith(f".p/{width}")]
        needed += [path for path in files if "tile/1/" in str(path) and path not in needed]
        assert await log.faults() == (0, [])
        for number in range(rounds):
            path = chance.choice(needed if number % 4 else list(files))
            kind = ("gone", "cut", "flipped", "longer", "garbage", "folder")[number % 6]
            if kind == "folder" and path.name == "checkpoint":
                kind = "cut"
            _damage(path, kind, chance)
            told, _ = await log.faults()
            if path in needed and told == 0:
                wrong.append((path.name, kind, "verify saw nothing"))
            if kind == "folder":
                path.rmdir()  # a folder is nothing that a program should remove by itself
            [dry] = await log.fsck.run(write=False)
            [mended] = await log.fsck.run(write=True)
            stale = path not in needed and kind in ("gone", "folder")  # narrower than the tree needs: no loss
            if not stale and (dry.found, mended.found, path.read_bytes()) != (1, 1, files[path]):
                wrong.append((path.name, kind, str(mended)))
            if stale:
                path.write_bytes(files[path])
            if await log.faults() != (0, []):
                wrong.append((path.name, kind, "not whole afterwards"))
        assert await log.store.leaves(log.name, 0, size) == leaves
    tally("A04", cases=rounds, half=len(wrong))
    assert wrong == []


async def test_fsck_makes_no_tiles_from_rows_that_somebody_changed(tmp_path: Path) -> None:
    """A04: a tile of altered leaves would give the alteration a proof."""
    async with a_log(tiles=FolderTiles(tmp_path / "log")) as log:
        await log.grow(40)
        await log.publish()
        assert isinstance(log.store, MemoryStore)
        row = log.store._tables[AuditLeaf][log.name, 7]
        assert isinstance(row, AuditLeaf)
        told = json.loads(row.leaf) | {"outcome": "other"}
        altered = json.dumps(told).encode()
        entry = dataclasses.replace(row, leaf=altered, hash=leaf_hash(altered))
        log.store._tables[AuditLeaf][log.name, 7] = entry
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        next(path for path in before if "entries" in str(path)).unlink()
        [refused] = await log.fsck.run(write=True)
        after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        code, faults = await log.faults()
    tally("A04", cases=1)
    assert "not the ones that were signed" in refused.refused
    assert after.items() <= before.items()
    assert code == 1 and any("leaf 7" in fault for fault in faults)


async def test_a_damaged_side_row_is_named_and_stays_as_it_is() -> None:
    """A04: side rows hold what only they know; nothing can compute them again."""
    damaged = 8
    async with a_log() as log:
        await log.grow(30)
        await log.publish()
        assert isinstance(log.store, MemoryStore)
        size = await log.store.log_size(log.name)
        picked = sorted(random.Random(SEED).sample(range(size), damaged))
        for number in picked:
            row = log.store._tables[AuditSide][log.name, number]
            assert isinstance(row, AuditSide)
            sealed = bytes([row.sealed[0] ^ 1]) + row.sealed[1:]
            log.store._tables[AuditSide][log.name, number] = dataclasses.replace(row, sealed=sealed)
        before = dict(log.store._tables[AuditSide])
        code, faults = await log.faults(sides=True)
        [mended] = await log.fsck.run(write=True)
        after = dict(log.store._tables[AuditSide])
    named = [int(fault.split()[1].rstrip(":")) for fault in faults]
    tally("A04", cases=damaged, half=len(set(picked) ^ set(named)))
    assert (code, named, mended.found, after) == (1, picked, 0, before)


# --- A08: time -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("back", [20 * SECOND, 2 * HOUR, DAY])
async def test_time_that_goes_backwards_is_an_alarm_and_the_order_stands(back: int) -> None:
    """A08, T23: numbers give the order; the step is named with its leaf, once."""
    async with a_log() as log:
        await log.grow(3)
        await log.publish()
        step = await log.store.log_size(log.name)
        log.county.clock.advance(-back)
        await log.grow(3)
        gateway = log.county.gateway
        integrator = Integrator(log.store, log.tiles, gateway.ports.vault, gateway.auditor, log.county.clock)
        await integrator.flush()
        await log.grow(2)
        await integrator.flush()
        alarms = await _alarms(log)
        numbers = [row.number for row in await log.store.leaves(log.name, 0, 10_000)]
        whole = await log.faults()
    tally("A08", cases=1, half=len(alarms) != 1)
    assert [alarm["leaf"] for alarm in alarms] == [step]
    assert alarms[0]["seconds"] == back // SECOND
    assert numbers == list(range(len(numbers)))
    assert whole == (0, [])


async def test_two_nodes_that_disagree_by_ten_minutes_are_told_and_do_not_flood_the_log() -> None:
    """A08: every other leaf lies ten minutes back; one alarm a minute says so."""
    async with a_log() as log:
        gateway, clock = log.county.gateway, log.county.clock
        late = ManualClock(Instant(clock.now() - 10 * MINUTE))
        other = Auditor("sambud.example", log.store, gateway.ports.vault, gateway.ports.shred, late)
        integrator = Integrator(log.store, log.tiles, gateway.ports.vault, gateway.auditor, clock)
        await integrator.flush()
        for _ in range(30):
            await log.grow(1)
            entry = await other.entry(
                AuditAction.QUEUE_LISTED,
                administration=GATEWAY,
                actor=None,
                role="test",
                object="y",
                case=None,
                outcome="permit",
            )
            await log.store.commit(Work(entries=(entry,)))
            await integrator.flush()
            clock.advance(10 * SECOND)
            late.advance(10 * SECOND)
        alarms = await _alarms(log)
        whole = await log.faults()
    tally("A08", cases=1)
    assert 1 <= len(alarms) <= 6  # five minutes
    assert whole == (0, [])


async def _alarms(log: Log) -> list[dict[str, int]]:
    sides = await log.store.sides_page(log.name, action="alarm", administration="", object="", before=2**40, limit=50)
    found = []
    for side in sides:
        [leaf] = await log.store.leaves(log.name, side.number, side.number + 1)
        event = await log.county.gateway.auditor.opened(side, leaf.leaf)
        if event.outcome == "time-went-backwards":
            found.append(dict(event.detail))
    return found


# --- A14: a stopped integrator, a flood of refusals ------------------------------------------------------------------


class Steady:
    """The process's own clock, moved by the test."""

    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


async def test_with_a_stopped_integrator_nothing_is_accepted_or_opened_and_the_draft_stays() -> None:
    """A14, H2: three minutes after a checkpoint last grew, accept and open answer 503; afterwards they work again."""
    async with a_county() as county:
        gateway, steady = county.gateway, Steady()
        freshness = gateway.freshness
        freshness._steady = steady
        worker, reader = await county.sign_in("al-sos"), await county.sign_in("ek-chef")
        case, _ = await county.consented_case(worker)
        sent = await county.send_referral(worker, case.id)
        await county.deliver()
        await workers.keep_published(gateway)
        freshness.arm()
        await county.open(reader, SEAT_E, sent.message)
        steady.s += 179
        await county.open(reader, SEAT_E, sent.message)
        steady.s += 2
        with pytest.raises(LogBehindError) as refused:
            await county.open(reader, SEAT_E, sent.message)
        other, _ = await county.consented_case(worker)
        with pytest.raises(LogBehindError):
            await county.send_referral(worker, other.id)
        drafts = await county.store.drafts_of(case.owner, after=None, limit=50)
        assert refused.value.status == 503
        assert [draft.case for draft in drafts] == [other.id]
        assert await county.store.messages_of(other.id, limit=10) == []
        await workers.keep_published(gateway)
        steady.s += 5
        await county.open(reader, SEAT_E, sent.message)
        await gateway.sending.send_draft(worker, drafts[0].id, ("remissgrupp",))
    tally("A14", cases=3)


async def test_an_integrator_that_refuses_to_sign_stops_the_gateway_too() -> None:
    """A14: leaves that do not extend the last checkpoint are never signed, so the checkpoint grows old."""
    async with a_county() as county:
        gateway, steady = county.gateway, Steady()
        gateway.freshness._steady = steady
        await workers.keep_published(gateway)
        gateway.freshness.arm()
        await gateway.freshness.require()
        assert isinstance(county.store, MemoryStore)
        name = gateway.auditor.origin(county.clock.now())
        row = county.store._tables[AuditLeaf].pop((name, 3))
        fresh = Integrator(county.store, gateway.ports.tiles, gateway.ports.vault, gateway.auditor, county.clock)
        for _ in range(4):
            county.clock.advance(MINUTE)
            steady.s += 60
            await fresh.heartbeat()
            with pytest.raises(IntegrityError):
                await fresh.flush()
        with pytest.raises(LogBehindError):
            await gateway.freshness.require()
        leaves = await county.store.log_size(name)
        for _ in range(20):
            await fresh.heartbeat()
        assert row.key == (name, 3)
        assert await county.store.log_size(name) == leaves  # no flood of heartbeats while it cannot publish
    tally("A14", cases=1)


@pytest.mark.parametrize("jump", [-DAY, 2 * HOUR])
async def test_a_clock_that_jumps_does_not_stop_a_gateway_whose_log_lives(jump: int) -> None:
    """Q09: the age of a checkpoint is counted on a clock that does not jump."""
    async with a_county() as county:
        gateway, steady = county.gateway, Steady()
        gateway.freshness._steady = steady
        await workers.keep_published(gateway)
        gateway.freshness.arm()
        await gateway.freshness.require()
        county.clock.advance(jump)
        steady.s += 6
        await gateway.freshness.require()
        await workers.keep_published(gateway)
        for _ in range(10):
            steady.s += 60
            county.clock.advance(MINUTE)
            await workers.keep_published(gateway)
            await gateway.freshness.require()
    tally("Q09", cases=1)


async def test_an_old_checkpoint_found_at_the_start_is_not_taken_for_a_young_one() -> None:
    """A14: a gateway that starts over a log nobody publishes must not count from its own start."""
    async with a_county() as county:
        gateway = county.gateway
        await gateway.integrator.flush()
        county.clock.advance(4 * MINUTE)
        freshness = Freshness(county.store, gateway.auditor, county.clock, steady=Steady())
        await freshness.require()  # not armed: a command, a test
        freshness.arm()
        with pytest.raises(LogBehindError):
            await freshness.require()
    tally("A14", cases=1)


async def test_an_idle_gateway_writes_one_heartbeat_a_minute() -> None:
    """A14: ten idle minutes, looked at each second, are ten leaves and ten checkpoints."""
    async with a_log() as log:
        gateway, clock = log.county.gateway, log.county.clock
        await workers.keep_published(gateway)
        before = await log.store.log_size(log.name)
        for _ in range(600):
            clock.advance(SECOND)
            await workers.keep_published(gateway)
        grown = await log.store.log_size(log.name) - before
    tally("A14", cases=1)
    assert grown == 10


@pytest.mark.parametrize("refusals", [20_000, pytest.param(1_000_000, marks=pytest.mark.full)])
async def test_a_flood_of_anonymous_refusals_is_one_leaf_a_minute(refusals: int) -> None:
    """A14, H2: kind and address block are counted, so that nobody can fill the disk without signing in."""
    minutes = 10
    async with a_log() as log:
        sign_in, clock = log.county.gateway.sign_in, log.county.clock
        before = await log.store.log_size(log.name)
        for number in range(refusals):
            if number % (refusals // minutes) == 0:
                clock.advance(MINUTE)
            await sign_in.refused("wrong" if number % 3 else "delayed", f"2001:db8:{number % 60_000:x}::/64")
        await sign_in.tell_refusals()
        size = await log.store.log_size(log.name)
        sides = await log.store.sides(log.name, before, size)
        told = 0
        largest = 0
        for side in sides:
            [leaf] = await log.store.leaves(log.name, side.number, side.number + 1)
            event = await log.county.gateway.auditor.opened(side, leaf.leaf)
            told += event.detail.get("wrong", 0) + event.detail.get("delayed", 0)
            largest = max(largest, len(side.sealed))
    print(f"{refusals} refusals, {len(sides)} leaves, the largest side row {largest} octets")
    tally("A14", cases=1, note=f"{refusals} refusals counted")
    assert {side.action for side in sides} == {"sign_in_failed"}
    assert len(sides) <= minutes + 2
    assert told == refusals
    assert largest < 64 * 1024


async def test_a_gateway_that_serves_counts_from_a_checkpoint_it_has_just_published(tmp_path: Path) -> None:
    """A14: `serve` publishes before it listens, and from then on asks how old the checkpoint is."""
    wiring, told = SystemWiring(), []
    wiring.create_root(tmp_path / "root.key")
    settings = Settings(data_dir=tmp_path / "data", root_key_file=tmp_path / "root.key", port=0)
    async with wiring.opened(settings, create=True) as gateway:
        await gateway.register.begin()
        await gateway.register.apply(DEMO_DIRECTORY, passwords=password_of, by="test")

        def ready(_: str) -> None:
            told.append(gateway.freshness.armed)
            os.kill(os.getpid(), signal.SIGTERM)

        await wiring.serve(settings, gateway, ready)
        newest = await gateway.ports.store.last_checkpoint(gateway.auditor.origin(gateway.ports.clock.now()))
    tally("A14", cases=1)
    assert told == [True]
    assert newest is not None
