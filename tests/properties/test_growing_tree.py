"""RFC 6962: the tree over the same leaves is the same, whether they come one by one or many at once."""

from __future__ import annotations

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.tree import WHOLE, CompactRange


def _leaf(number: int) -> bytes:
    return hashlib.sha256(number.to_bytes(8, "big")).digest()


@settings(max_examples=30)
@given(st.lists(st.sampled_from([1, 3, 255, 256, 257, 2 * WHOLE, 900]), min_size=1, max_size=4))
def test_leaves_at_once_make_the_tree_of_leaves_one_by_one(sizes: list[int]) -> None:
    """Whatever the pieces: the same size, the same root, and the same next root."""
    hashes = [_leaf(number) for number in range(sum(sizes) + 1)]
    slow, fast = CompactRange(), CompactRange()
    at = 0
    for size in sizes:
        fast.extend(hashes[at : at + size])
        at += size
    for hash_ in hashes[:-1]:
        slow.append(hash_)
    assert (fast.size, fast.root()) == (slow.size, slow.root())
    assert fast.append(hashes[-1]) == slow.append(hashes[-1])
