"""Every file that a published log has, computed again from its leaves: to find what is damaged, and to put it right.

Why this exists: tiles are copies that others read; the leaves are the log. So a damaged or missing tile is found by
computing it, and mended from leaves whose root is the signed one. Leaves are never written here.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Final

from gateway.ports import Store, TileStore
from gateway.tiles import WIDTH, bundle, bundle_name, tile_name
from gateway.tree import root_of

_NAME: Final = re.compile(r"tile/(\d{1,2}|entries)/((?:x\d{3}/)*\d{3})(?:\.p/(\d{1,3}))?")
ENTRIES: Final = "entries"

Widths = dict[tuple[str, int], set[int]]


async def expected(store: Store, tiles: TileStore, log: str, size: int) -> AsyncIterator[tuple[str, bytes]]:
    """Name and octets of every tile and entry bundle of the first `size` leaves: those that a tree of this size needs,
    and the narrower ones that stand beside them. Memory grows by 32 octets for 256 leaves."""
    standing = widths(tiles.names(log))
    above: list[bytes] = []
    for index in range((size + WIDTH - 1) // WIDTH):
        leaves = await store.leaves(log, index * WIDTH, min(size, index * WIDTH + WIDTH))
        hashes = [leaf.hash for leaf in leaves]
        texts = [leaf.leaf for leaf in leaves]
        for name, octets in _files("0", index, hashes, standing, tile_name, b"".join):
            yield name, octets
        for name, octets in _files(ENTRIES, index, texts, standing, _entries, bundle):
            yield name, octets
        if len(hashes) == WIDTH:
            above.append(root_of(hashes))
    for name, octets in higher(above, standing):
        yield name, octets


def higher(above: Sequence[bytes], standing: Widths) -> Iterator[tuple[str, bytes]]:
    """The tiles above level 0, from the roots of the full tiles of level 0."""
    level, roots = 1, list(above)
    while roots:
        following: list[bytes] = []
        for index in range((len(roots) + WIDTH - 1) // WIDTH):
            hashes = roots[index * WIDTH : index * WIDTH + WIDTH]
            yield from _files(str(level), index, hashes, standing, tile_name, b"".join)
            if len(hashes) == WIDTH:
                following.append(root_of(hashes))
        roots, level = following, level + 1


def strays(tiles: TileStore, log: str, names: set[str]) -> list[str]:
    """Files of a log that no tree of its size has."""
    return [name for name in tiles.names(log) if name != "checkpoint" and name not in names]


def widths(names: Sequence[str]) -> Widths:
    """Which widths of each tile there are."""
    found: Widths = {}
    for name in names:
        parsed = _NAME.fullmatch(name)
        if parsed:
            index = int(parsed[2].replace("x", "").replace("/", ""))
            found.setdefault((parsed[1], index), set()).add(int(parsed[3] or WIDTH))
    return found


def _files(
    level: str,
    index: int,
    parts: Sequence[bytes],
    standing: Widths,
    named: Callable[[int, int, int], str],
    joined: Callable[[Sequence[bytes]], bytes],
) -> list[tuple[str, bytes]]:
    wanted = {len(parts)} | {width for width in standing.get((level, index), ()) if 0 < width < len(parts)}
    number = 0 if level == ENTRIES else int(level)
    return [(named(number, index, width), joined(parts[:width])) for width in sorted(wanted, reverse=True)]


def _entries(_: int, index: int, width: int) -> str:
    return bundle_name(index, width)
