"""X09, T36, T41: what reads octets from outside runs in a child that can take, write and reach only so much."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from adapters.documents.child import MIB, Children, Ended, How, Limits

pytestmark = pytest.mark.slow
SHELL = ("/bin/sh", "-c")


async def test_a_child_reads_its_input_and_answers() -> None:
    octets = bytes(range(256)) * 12_000
    assert await Children().run(["/bin/cat"], octets) == Ended(How.DONE, 0, octets)


async def test_octets_beside_the_input_are_files_in_memory_only() -> None:
    ended = await Children().run(["/bin/cat", "{1}", "{0}"], handed=[b"first", b"second"])
    assert ended.output == b"secondfirst"


async def test_a_child_that_fails_says_so_and_its_output_does_not_count() -> None:
    ended = await Children().run([*SHELL, "exit 3"])
    assert (ended.how, ended.status, ended.fine) == (How.DONE, 3, False)


async def test_a_child_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    mark = tmp_path / "later"
    mark.mkdir()
    began = time.monotonic()
    ended = await Children().run([*SHELL, f"(sleep 2; rmdir {mark}) & sleep 60"], limits=Limits(seconds=0.5))
    assert ended.how is How.TOO_LONG and time.monotonic() - began < 1.8
    await asyncio.sleep(2)
    assert mark.exists()


async def test_a_child_that_says_too_much_is_ended_at_once() -> None:
    began = time.monotonic()
    ended = await Children().run(["/usr/bin/yes"], limits=Limits(output=1000))
    assert ended == Ended(How.TOO_MUCH, ended.status, b"") and time.monotonic() - began < 5


async def test_a_child_that_wants_too_much_memory_fails_alone(tmp_path: Path) -> None:
    script = tmp_path / "wants.py"
    script.write_text("bytearray(512 * 1024 * 1024)")
    ended = await Children().run([str(script)], limits=Limits(memory=256 * MIB))
    assert not ended.fine


async def test_a_child_that_only_counts_is_ended(tmp_path: Path) -> None:
    script = tmp_path / "loops.py"
    script.write_text("while True: pass")
    assert not (await Children().run([str(script)], limits=Limits(seconds=1))).fine


async def test_a_child_writes_no_file(tmp_path: Path) -> None:
    target = tmp_path / "left"
    await Children().run([*SHELL, f"echo content > {target}"])
    assert not target.exists() or target.read_bytes() == b""


async def test_a_cancelled_caller_leaves_no_child_behind(tmp_path: Path) -> None:
    mark = tmp_path / "later"
    mark.mkdir()
    task = asyncio.create_task(Children().run([*SHELL, f"sleep 1; rmdir {mark}"]))
    await asyncio.sleep(0.4)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(1.2)
    assert mark.exists()


async def test_no_more_children_run_at_once_than_said() -> None:
    children = Children(most=1)
    began = time.monotonic()
    await asyncio.gather(*(children.run([*SHELL, "sleep 0.3"]) for _ in range(3)))
    assert time.monotonic() - began >= 0.9
