"""Tiles and entry bundles of the log, as C2SP tlog-tiles names them, and a reader that proofs are computed from.

A tile holds up to 256 hashes of one level: level L of a tile is level 8·L of the tree. Partial tiles are published for
every checkpoint; they may go once the full tile stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gateway.errors import IntegrityError
from gateway.ports import TileStore
from gateway.tree import node_hash

WIDTH: Final = 256
HASH: Final = 32


def tile_name(level: int, index: int, width: int = WIDTH) -> str:
    """`tile/<L>/<N>[.p/<W>]`."""
    return f"tile/{level}/{_number(index)}{_partial(width)}"


def bundle_name(index: int, width: int = WIDTH) -> str:
    """`tile/entries/<N>[.p/<W>]`."""
    return f"tile/entries/{_number(index)}{_partial(width)}"


def _number(index: int) -> str:
    groups = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        groups.insert(0, f"x{index % 1000:03d}")
    return "/".join(groups)


def _partial(width: int) -> str:
    return "" if width == WIDTH else f".p/{width}"


def bundle(leaves: Sequence[bytes]) -> bytes:
    """Leaves with u16 length prefixes."""
    return b"".join([part for leaf in leaves for part in (len(leaf).to_bytes(2), leaf)])


def unbundle(octets: bytes) -> list[bytes]:
    """The leaves of a bundle; ValueError when it is cut."""
    leaves, at = [], 0
    while at < len(octets):
        length = int.from_bytes(octets[at : at + 2])
        leaf = octets[at + 2 : at + 2 + length]
        if len(leaf) != length:
            raise ValueError("an entry bundle is cut")
        leaves.append(leaf)
        at += 2 + length
    return leaves


def parts(size: int) -> Iterator[tuple[int, int, int]]:
    """Every tile of a tree: (level, index, width)."""
    level, count = 0, size
    while count:
        full, rest = divmod(count, WIDTH)
        for index in range(full):
            yield level, index, WIDTH
        if rest:
            yield level, full, rest
        level, count = level + 1, full


class TileReader:
    """hash_at(level, index) of a tree of `size` leaves, answered from its tiles.

    Raises (from `hash_at`):
        IntegrityError: a tile is missing or has another length.
    """

    def __init__(self, tiles: TileStore, log: str, size: int) -> None:
        self._tiles = tiles
        self._log = log
        self._size = size
        self._kept: dict[tuple[int, int], bytes] = {}

    def tile(self, level: int, index: int) -> bytes:
        """The hashes of one tile, full or as wide as this tree needs."""
        found = self._kept.get((level, index))
        if found is None:
            width = min(WIDTH, (self._size >> 8 * level) - index * WIDTH)
            found = self._tiles.read(self._log, tile_name(level, index, width))
            if found is None and width < WIDTH:
                whole = self._tiles.read(self._log, tile_name(level, index))
                found = whole[: width * HASH] if whole else None
            if found is None or len(found) != width * HASH:
                raise IntegrityError(
                    f"tile {tile_name(level, index, width)} is missing or cut",
                    swedish="En del av loggens hashträd saknas.",
                    next_step="Kör 'sambud audit verify'; bladen i databasen finns kvar.",
                )
            self._kept[level, index] = found
        return found

    def hash_at(self, level: int, index: int) -> bytes:
        tile_level, inside = divmod(level, 8)
        if inside == 0:
            tile = self.tile(tile_level, index // WIDTH)
            at = index % WIDTH * HASH
            return tile[at : at + HASH]
        return node_hash(self.hash_at(level - 1, 2 * index), self.hash_at(level - 1, 2 * index + 1))
