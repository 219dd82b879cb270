"""Mend what is published of the log: tiles, bundles and the checkpoint file, computed again from signed leaves.

Why this exists: a tile lost to a disk must not stop proofs, and must not be made from rows that somebody changed. So
first the leaves are held against the newest signed checkpoint; only if their root is the signed one are files written.

Rules: leaves, side rows and checkpoints in the database are never written here. What only they can show (an altered
row, an altered side row) is `sambud audit verify`'s to report and nobody's to mend.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.model.log import Checkpoint
from gateway.notes import parse_checkpoint
from gateway.ports import Store, TileStore, Vault
from gateway.tilecheck import expected, strays
from gateway.tiles import WIDTH
from gateway.tree import CompactRange, leaf_hash


@dataclass(slots=True)
class Mended:
    """What was found and written. `refused` says why nothing was."""

    log: str
    leaves: int = 0
    missing: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)
    refused: str = ""
    written: bool = False

    @property
    def found(self) -> int:
        return len(self.missing) + len(self.damaged)


class Fsck:
    """Check and mend the published files of each log."""

    def __init__(self, store: Store, tiles: TileStore, vault: Vault) -> None:
        self._store = store
        self._tiles = tiles
        self._vault = vault

    async def run(self, *, write: bool) -> list[Mended]:
        """Look at every log; with `write` put right what is missing or damaged."""
        return [await self._log(name, write=write) for name in await self._store.logs()]

    async def _log(self, name: str, *, write: bool) -> Mended:
        found = Mended(name)
        newest = await self._store.last_checkpoint(name)
        if newest is None:
            return found
        found.leaves = newest.size
        if not await self._sound(newest):
            found.refused = f"the first {newest.size} leaves are not the ones that were signed"
            return found
        names = set()
        async for tile, octets in expected(self._store, self._tiles, name, newest.size):
            names.add(tile)
            self._compare(found, tile, octets, write=write)
        if not self._published(newest):
            self._compare(found, "checkpoint", newest.note.encode(), write=write)
        found.strays = strays(self._tiles, name, names)
        found.written = write and found.found > 0
        return found

    def _compare(self, found: Mended, name: str, octets: bytes, *, write: bool) -> None:
        stands = self._tiles.read(found.log, name)
        if stands == octets:
            return
        (found.missing if stands is None else found.damaged).append(name)
        if write:
            self._tiles.replace(found.log, name, octets)

    def _published(self, newest: Checkpoint) -> bool:
        return self._tiles.read(newest.log, "checkpoint") == newest.note.encode()

    async def _sound(self, newest: Checkpoint) -> bool:
        """Whether the leaves have the root that was signed, and each row the hash of its text."""
        try:
            head = parse_checkpoint(newest.note)
        except ValueError:
            return False
        growing = CompactRange()
        while growing.size < newest.size:
            leaves = await self._store.leaves(newest.log, growing.size, min(newest.size, growing.size + WIDTH))
            if not leaves or any(leaf_hash(leaf.leaf) != leaf.hash for leaf in leaves):
                return False
            for leaf in leaves:
                growing.append(leaf.hash)
        signed = self._vault.check_note(newest.note, await self._vault.note_key(newest.log))
        return signed and (head.origin, head.size, head.root) == (newest.log, newest.size, growing.root())
