"""The RFC 6962 Merkle tree: roots, a compact range that grows leaf by leaf, inclusion and consistency proofs.

Why this exists: the log must be provable with nothing but SHA-256, by programs that are not ours. Proofs are computed
from a `hash_at(level, index)` function over complete subtrees, which tiles or leaves can answer; nothing else is
stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final

#: hash_at(level, index): the hash of leaves [index * 2^level, (index + 1) * 2^level)
HashAt = Callable[[int, int], bytes]

WHOLE_LEVEL: Final = 8
WHOLE: Final = 1 << WHOLE_LEVEL  # leaves of a subtree that is hashed at once: those of a tile
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(leaf: bytes) -> bytes:
    """RFC 6962 §2.1."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def leaf_hashes(leaves: Sequence[bytes]) -> list[bytes]:
    """RFC 6962 §2.1, of many leaves: without a call for each."""
    sha256 = hashlib.sha256
    return [sha256(b"\x00" + leaf).digest() for leaf in leaves]


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 6962 §2.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class CompactRange:
    """The right edge of a growing tree: O(log n) hashes, enough for every next root."""

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[tuple[int, bytes]] = []  # (level, hash), from the left

    def append(self, hash_: bytes) -> list[tuple[int, int, bytes]]:
        """Add a leaf hash; returns the complete subtrees it finished, as (level, index, hash), lowest first."""
        return self._push(0, hash_)

    def extend(self, hashes: Sequence[bytes]) -> None:
        """Add many leaf hashes: whole subtrees level by level where they fit, the rest one by one."""
        at = 0
        while at < len(hashes):
            if self.size % WHOLE == 0 and len(hashes) - at >= WHOLE:
                self._push(WHOLE_LEVEL, _perfect(hashes[at : at + WHOLE]))
                at += WHOLE
            else:
                self._push(0, hashes[at])
                at += 1

    def _push(self, level: int, hash_: bytes) -> list[tuple[int, int, bytes]]:
        """Add a complete subtree of 2^level leaves; the size is a multiple of that."""
        grown, index = 1 << level, self.size >> level
        finished = [(level, index, hash_)]
        while self._edge and self._edge[-1][0] == level:
            _, left = self._edge.pop()
            hash_ = node_hash(left, hash_)
            level, index = level + 1, index >> 1
            finished.append((level, index, hash_))
        self._edge.append((level, hash_))
        self.size += grown
        return finished

    def root(self) -> bytes:
        """MTH of the leaves so far."""
        if not self._edge:
            return EMPTY_ROOT
        _, result = self._edge[-1]
        for _, left in reversed(self._edge[:-1]):
            result = node_hash(left, result)
        return result


def _perfect(hashes: Sequence[bytes]) -> bytes:
    """MTH of 2^n leaf hashes."""
    sha256 = hashlib.sha256
    while len(hashes) > 1:
        pairs = zip(hashes[::2], hashes[1::2], strict=True)
        hashes = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
    return hashes[0]


def root_of(hashes: Iterable[bytes]) -> bytes:
    """MTH of leaf hashes."""
    growing = CompactRange()
    growing.extend(list(hashes))
    return growing.root()


def _split(size: int) -> int:
    """The largest power of two smaller than `size`."""
    return 1 << (size - 1).bit_length() - 1


def _subtree(hash_at: HashAt, start: int, end: int) -> bytes:
    """MTH(D[start:end]) where start is a multiple of the tree's size rounded up to a power of two."""
    size = end - start
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return hash_at(level, start >> level)
    k = _split(size)
    return node_hash(_subtree(hash_at, start, start + k), _subtree(hash_at, start + k, end))


def root_at(hash_at: HashAt, size: int) -> bytes:
    """The root of the first `size` leaves."""
    return _subtree(hash_at, 0, size) if size else EMPTY_ROOT


def inclusion_proof(hash_at: HashAt, index: int, size: int) -> list[bytes]:
    """PATH(index, D[size]) of RFC 6962 §2.1.1.

    Raises:
        ValueError: there is no such leaf in a tree of that size.
    """
    if not 0 <= index < size:
        raise ValueError("no such leaf")
    return _path(hash_at, index, 0, size)


def _path(hash_at: HashAt, index: int, start: int, end: int) -> list[bytes]:
    if end - start == 1:
        return []
    middle = start + _split(end - start)
    if index < middle:
        return [*_path(hash_at, index, start, middle), _subtree(hash_at, middle, end)]
    return [*_path(hash_at, index, middle, end), _subtree(hash_at, start, middle)]


def consistency_proof(hash_at: HashAt, old: int, new: int) -> list[bytes]:
    """PROOF(old, D[new]) of RFC 6962 §2.1.2; empty when old is 0 or equals new.

    Raises:
        ValueError: old is greater than new.
    """
    if not 0 <= old <= new:
        raise ValueError("no such trees")
    if old in (0, new):
        return []
    return _subproof(hash_at, old, 0, new, complete=True)


def _subproof(hash_at: HashAt, old: int, start: int, end: int, *, complete: bool) -> list[bytes]:
    if old == end - start:
        return [] if complete else [_subtree(hash_at, start, end)]
    k = _split(end - start)
    if old <= k:
        return [
            *_subproof(hash_at, old, start, start + k, complete=complete),
            _subtree(hash_at, start + k, end),
        ]
    return [
        *_subproof(hash_at, old - k, start + k, end, complete=False),
        _subtree(hash_at, start, start + k),
    ]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` shows the leaf hash `leaf` at `index` in the tree (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, last, result = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            result = node_hash(sibling, result)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            result = node_hash(result, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and result == root


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Whether `proof` shows that the tree of `old` leaves is a prefix of that of `new` (RFC 9162 §2.1.4.2)."""
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof
    if not 0 < old < new:
        return False
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root
