"""Threads: the messages of a case with each answer at what it answers, whatever clocks say (SDK SAD §5.3.7).

Why this exists: an answer that came first, or whose sender's clock is wrong, must not be read as the beginning. What is
referred to orders a thread; time orders only what answers the same, and threads among each other.

Rules: an unknown reference begins a thread of its own, and so does the earliest of messages that refer to each other in
a circle: nothing is ever hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

T = TypeVar("T")
Id = TypeVar("Id", bound=Hashable)


def newest_first(
    rows: Sequence[T], *, name: Callable[[T], Id], answers: Callable[[T], Id | None], at: Callable[[T], int]
) -> list[T]:
    """`rows` by threads, the one that moved last first; in each, every row stands above what it answers."""
    ordered = sorted(rows, key=at)
    known = {name(row): row for row in ordered}
    parents = {name(row): answers(row) for row in ordered}
    roots: dict[Id, Id] = {}
    for row in ordered:
        roots[name(row)] = _root(name(row), parents, known, roots)
    beneath: dict[Id, list[T]] = {}
    threads: dict[Id, list[T]] = {}
    for row in ordered:
        threads.setdefault(roots[name(row)], []).append(row)
        above = parents[name(row)]
        if above is not None and above in known and roots[name(row)] != name(row):
            beneath.setdefault(above, []).append(row)
    found = []
    for root in sorted(threads, key=lambda one: max(map(at, threads[one]))):
        waiting = [known[root]]
        while waiting:
            row = waiting.pop()
            found.append(row)
            waiting += reversed(beneath.get(name(row), []))
    return found[::-1]


def _root(start: Id, parents: dict[Id, Id | None], known: dict[Id, T], roots: dict[Id, Id]) -> Id:
    """Where the thread of a row begins. Rows are asked by their time, so that a circle begins at its earliest."""
    seen = {start}
    here = start
    while True:
        if here in roots:
            return roots[here]
        above = parents[here]
        if above is None or above not in known:
            return here
        if above in seen:
            return start
        seen.add(above)
        here = above
