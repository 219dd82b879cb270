"""Publish the tree: new leaves become tiles, bundles and a signed checkpoint.

Why this exists: the leaf is durable with the business transaction; the tree over it may follow a moment later. So a
crash in between loses nothing: at start, and after each commit, this reads the leaves that the last checkpoint does
not cover. It never signs a tree that does not extend the one it signed last.

It is also who sees all leaves in their order, whoever wrote them. Numbers give that order, not clocks: where time goes
backwards from one leaf to the next the order stands, and an alarm is logged with the checkpoint (T23, A08).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Final

from gateway.audit import AuditAction, Auditor, log_order
from gateway.errors import ConflictError, IntegrityError
from gateway.measures import Step, timed
from gateway.model.base import GATEWAY, MINUTE, SECOND, Instant
from gateway.model.log import AuditLeaf, Checkpoint, LogEntry
from gateway.notes import checkpoint_text
from gateway.ports import UNMEASURED, Clock, Insert, Metrics, Store, TileStore, Vault, Work
from gateway.tiles import HASH, WIDTH, TileReader, bundle, bundle_name, tile_name
from gateway.tree import CompactRange, root_at

INTERVAL_S: Final = 1.0
BLOCK: Final = 4 * WIDTH
#: An entry is stamped when it is made and numbered when it is committed: as much later as a lock is waited for.
BACKWARDS: Final = 15 * SECOND


class Integrator:
    """One publisher per gateway; several would sign the same trees, and one of them would lose the insert."""

    def __init__(
        self,
        store: Store,
        tiles: TileStore,
        vault: Vault,
        auditor: Auditor,
        clock: Clock,
        *,
        metrics: Metrics = UNMEASURED,
    ) -> None:
        self._store = store
        self._tiles = tiles
        self._vault = vault
        self._auditor = auditor
        self._clock = clock
        self._metrics = metrics
        self._ranges: dict[str, CompactRange] = {}
        self._shown: dict[str, int] = {}  # the size that each log's checkpoint file shows
        self._newest: dict[str, Instant] = {}
        self._beat_at: Instant | None = None
        self._alarmed_at: Instant | None = None
        self._lock = asyncio.Lock()

    async def open_year(self) -> None:
        """See that this year's log has its first leaf: the last checkpoint of the year before, or a genesis."""
        await self._auditor.load()
        now = self._clock.now()
        origin = self._auditor.origin(now)
        if await self._store.log_size(origin):
            return
        earlier = sorted(
            (name for name in await self._store.logs() if log_order(name) < log_order(origin)), key=log_order
        )
        if earlier:
            await self._publish(earlier[-1])
        last = await self._store.last_checkpoint(earlier[-1]) if earlier else None
        detail = {"previous": last.note if last else "", "previous_log": earlier[-1] if earlier else ""}
        entry = await self._auditor.entry(
            AuditAction.YEAR_OPENED,
            administration=GATEWAY,
            actor=None,
            role="gateway",
            object=earlier[-1] if earlier else "genesis",
            case=None,
            outcome="opened",
            detail=detail,
        )
        if not await self._store.log_size(origin):
            await self._store.commit(Work(entries=(entry,)))

    async def heartbeat(self) -> None:
        """Write a leaf when nothing was published for a minute, so that an old checkpoint means a dead integrator.

        At most one a minute, also when publishing fails.
        """
        now = self._clock.now()
        last = await self._store.last_checkpoint(self._auditor.origin(now))
        known = [at for at in (last.at if last else None, self._beat_at) if at is not None]
        if any(abs(now - at) < MINUTE for at in known):
            return
        entry = await self._auditor.entry(
            AuditAction.HEARTBEAT,
            administration=GATEWAY,
            actor=None,
            role="gateway",
            object="",
            case=None,
            outcome="done",
        )
        self._beat_at = now
        await self._store.commit(Work(entries=(entry,)))

    async def flush(self) -> None:
        """Publish every log up to its newest leaf.

        Raises:
            IntegrityError: the stored leaves do not extend the last signed tree. Nothing was signed.
        """
        async with self._lock:
            for name in await self._store.logs():
                await self._publish(name)

    async def run(self) -> None:
        """Publish each second, until cancelled."""
        while True:
            await self.open_year()
            await self.flush()
            await asyncio.sleep(INTERVAL_S)

    async def _publish(self, name: str) -> None:
        size = await self._store.log_size(name)
        last = await self._store.last_checkpoint(name)
        done = last.size if last else 0
        if size == done and last is not None:
            self._show(name, last)  # a crash may have come between the row and the file
            return
        with timed(self._metrics, Step.AUDIT):
            await self._extend(name, last, done, size)

    async def _extend(self, name: str, last: Checkpoint | None, done: int, size: int) -> None:
        """Tiles, then the checkpoint over them: a reader of the checkpoint finds every tile it needs."""
        growing = await self._range(name, last)
        steps: list[tuple[int, int]] = []
        while growing.size < size:
            end = min(size, growing.size + BLOCK)
            leaves = await self._store.leaves(name, growing.size, end)
            if len(leaves) != end - growing.size:
                raise _rewritten(name)
            for leaf in leaves:
                growing.append(leaf.hash)
            steps += self._steps(name, leaves)
        await self._write_tiles(name, done, size)
        root = growing.root()
        if root != root_at(TileReader(self._tiles, name, size).hash_at, size):
            self._ranges.pop(name, None)
            raise _rewritten(name)
        note = await self._vault.sign_note(name, checkpoint_text(name, size, root))
        row = Checkpoint(administration=GATEWAY, log=name, size=size, root=root, note=note, at=self._clock.now())
        try:
            await self._store.commit(Work(changes=(Insert(row),), entries=await self._alarms(name, steps)))
        except ConflictError:
            return  # another process published the same tree, and saw the same
        self._show(name, row)

    def _show(self, name: str, newest: Checkpoint) -> None:
        """See that the file `checkpoint` is the newest one."""
        if self._shown.get(name) == newest.size:
            return
        if self._tiles.read(name, "checkpoint") != newest.note.encode():
            self._tiles.write(name, "checkpoint", newest.note.encode())
        self._shown[name] = newest.size

    def _steps(self, name: str, leaves: Sequence[AuditLeaf]) -> list[tuple[int, int]]:
        """(leaf, microseconds) where the time of a leaf lies before that of the leaf before it."""
        found = []
        for leaf in leaves:
            at = _time_of(leaf)
            before = self._newest.get(name, at)
            if at < before - BACKWARDS:
                found.append((leaf.number, before - at))
            self._newest[name] = at
        return found

    async def _alarms(self, name: str, steps: Sequence[tuple[int, int]]) -> tuple[LogEntry, ...]:
        """One alarm for all steps back since the last; at most one a minute, as two nodes may disagree for long."""
        now = self._clock.now()
        if not steps or (self._alarmed_at is not None and abs(now - self._alarmed_at) < MINUTE):
            return ()
        self._alarmed_at = now
        number, back = max(steps, key=lambda step: step[1])
        entry = await self._auditor.entry(
            AuditAction.ALARM,
            administration=GATEWAY,
            actor=None,
            role="gateway",
            object=name,
            case=None,
            outcome="time-went-backwards",
            detail={"leaf": number, "seconds": back // SECOND, "steps": len(steps)},
        )
        return (entry,)

    async def _range(self, name: str, last: Checkpoint | None) -> CompactRange:
        """The right edge at the last checkpoint; rebuilt from the leaves at start, and compared with what it signed."""
        growing = self._ranges.get(name)
        done = last.size if last else 0
        if growing is None or growing.size != done:
            growing = CompactRange()
            while growing.size < done:
                end = min(done, growing.size + BLOCK)
                leaves = await self._store.leaves(name, growing.size, end)
                if len(leaves) != end - growing.size:
                    raise _rewritten(name)
                for leaf in leaves:
                    growing.append(leaf.hash)
                if leaves:
                    self._newest[name] = _time_of(leaves[-1])
            if last is not None and growing.root() != last.root:
                raise _rewritten(name)
            self._ranges[name] = growing
        return growing

    async def _write_tiles(self, name: str, done: int, size: int) -> None:
        """Write every tile that grew since `done`, from the lowest level up."""
        level = 0
        below = size
        while below:
            first = (done >> 8 * level) // WIDTH
            for index in range(first, (below + WIDTH - 1) // WIDTH):
                width = min(WIDTH, below - index * WIDTH)
                if level == 0:
                    rows = await self._store.leaves(name, index * WIDTH, index * WIDTH + width)
                    hashes = b"".join(row.hash for row in rows)
                    self._tiles.write(name, bundle_name(index, width), bundle([row.leaf for row in rows]))
                else:
                    hashes = b"".join(self._above(name, level, index, at) for at in range(width))
                if len(hashes) != width * HASH:
                    raise _rewritten(name)
                self._tiles.write(name, tile_name(level, index, width), hashes)
            below //= WIDTH
            level += 1

    def _above(self, name: str, level: int, index: int, at: int) -> bytes:
        """The hash of one full tile of the level below."""
        tile = self._tiles.read(name, tile_name(level - 1, index * WIDTH + at))
        if tile is None:
            raise _rewritten(name)
        growing = CompactRange()
        for start in range(0, len(tile), HASH):
            growing.append(tile[start : start + HASH])
        return growing.root()


def _time_of(leaf: AuditLeaf) -> Instant:
    """When the entry of a leaf was made; docs/audit-log.md fixes the leaf's form."""
    return Instant(json.loads(leaf.leaf)["t"])


def _rewritten(name: str) -> IntegrityError:
    return IntegrityError(
        f"log {name} does not extend its last checkpoint",
        swedish="Loggen stämmer inte med det som senast signerades.",
        next_step="Kör 'sambud audit verify' och kontakta säkerhetsansvarig. Inget nytt har signerats.",
    )
