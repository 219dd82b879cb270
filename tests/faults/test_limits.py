"""The machine has no file numbers or memory to spare for a while: 503, then as before, and nothing leaks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from adapters.http.server import _exhausted
from gateway.errors import StoreUnavailableError
from gateway.model.base import MINUTE
from tests.faults import scenes
from tests.faults.images import Image
from tests.faults.process import Child, child
from tests.faults.tally import tally

MIB = 1024 * 1024
WANT = ("MemoryError", "new thread", "Too many open files", "Cannot allocate")


@dataclass(slots=True)
class Ends:
    """How the tries ended."""

    kinds: Counter[str] = field(default_factory=Counter)


def cycle(process: Child, limit: str, number: int, ends: Ends) -> bool:
    """Take away, try, give back, do. False when the process died of it: parts that are written in Rust end so."""
    use = process.go("use").answer
    # What is open stays open; nothing more can be opened, or hardly anything more be mapped.
    low = use["files"] - 1 if limit == "RLIMIT_NOFILE" else use["space"] + (number % 4) * MIB
    assert process.go(f"limit {limit} {low}").kind == "done"
    for order in ("draft", "file", "open", "read"):
        told = process.go(order)
        wanting = told.kind == "bug" and any(word in told.answer for word in WANT)  # 503 to a caller, see below
        ends.kinds["503" if wanting or told.kind == "refused" else told.kind] += 1
        if told.kind == "died":
            return False
        assert told.kind == "done" or wanting or told.status in (503, 507), (order, told)
    assert process.go(f"limit {limit} back").kind == "done"
    told = process.go("draft")
    assert told.kind == "done", told
    return True


def exhausted(images: dict[str, Image], tmp_path: Path, limit: str, count: int) -> None:
    """Cycles of want in one process after the other; only dying makes a new one."""
    image = images["delivered"]
    folder = image.copied(tmp_path / "data")
    at = image.at + MINUTE
    ends, done = Ends(), 0
    while done < count:
        with child(scenes.hands, folder, at) as process:
            alive = all(cycle(process, limit, number, ends) for number in range(3))  # what is made once is made
            done += 3
            before = after = process.go("use").answer if alive else {}
            while alive and done < count:
                alive = cycle(process, limit, done, ends)
                done += 1
                after = process.go("use").answer if alive else after
            if alive:
                process.end()
        if before and after:
            print(
                f"{limit}: files {before['files']} -> {after['files']}, memory {before['memory']} -> {after['memory']}"
            )
            assert after["files"] <= before["files"] + 2
            assert after["memory"] < before["memory"] + 48 * MIB
    with child(scenes.settle, folder, "open", at + MINUTE, None) as process:
        settled = process.go()
        process.end()
    assert settled.kind == "done", settled
    found = settled.answer
    told = ", ".join(f"{number} {kind}" for kind, number in sorted(ends.kinds.items()))
    tally(
        "D11",
        cases=done,
        acknowledged_lost=found.lost,
        doubled=found.doubled,
        half=len(found.half),
        note=f"{limit}: {told}",
    )
    assert found == scenes.Found()
    assert ends.kinds["503"]


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["RLIMIT_NOFILE", "RLIMIT_AS"])
def test_without_files_or_memory_requests_are_refused_and_later_ones_work(
    images: dict[str, Image], tmp_path: Path, limit: str
) -> None:
    """Security catalogue D11."""
    exhausted(images, tmp_path, limit, 8)


@pytest.mark.full
@pytest.mark.parametrize(("limit", "count"), [("RLIMIT_NOFILE", 1000), ("RLIMIT_AS", 200)])
def test_a_thousand_cycles_of_want_leak_nothing(
    images: dict[str, Image], tmp_path: Path, limit: str, count: int
) -> None:
    exhausted(images, tmp_path, limit, count)


@pytest.mark.parametrize(
    "want", [MemoryError(), OSError(24, "too many open files"), RuntimeError("can't start new thread")], ids=repr
)
async def test_want_of_memory_files_or_threads_is_a_503_and_not_a_bug(want: Exception) -> None:
    """Security catalogue D11: the caller may try again."""

    async def answer() -> web.StreamResponse:
        raise want

    with pytest.raises(StoreUnavailableError):
        await _exhausted(answer())
