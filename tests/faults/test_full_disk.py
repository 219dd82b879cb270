"""The disk is full, nearly full, or cannot be written: nothing is acknowledged that does not stand, reading goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.model.base import MINUTE
from tests.faults import scenes
from tests.faults.images import Image
from tests.faults.process import Child, child
from tests.faults.tally import tally

MIB = 1024 * 1024
KEPT = 5  # per cent


@contextmanager
def disk(folder: Path, size: int) -> Iterator[Path]:
    """A disk of `size` octets, in memory."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"mounting needs root: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, room: int) -> Path:
    """Leave `room` octets on the disk."""
    filler = folder / "filler"
    with filler.open("wb") as file:
        free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
        file.write(bytes(max(0, free - room)))
    return filler


def remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


def refused(process: Child, order: str) -> bool:
    """True when it was refused as it should be, False when it was done; anything else is a failure."""
    told = process.go(order)
    assert told.kind in ("done", "refused"), (order, told)
    assert told.kind == "done" or told.status in (503, 507), (order, told)
    return told.kind == "refused"


def settled(folder: Path, at: int, scene: str, acknowledged: object) -> scenes.Found:
    with child(scenes.settle, folder, scene, at, acknowledged) as process:
        told = process.go()
        process.end()
    assert told.kind == "done", told
    found: scenes.Found = told.answer
    return found


@pytest.mark.slow
@pytest.mark.parametrize("size", [8, 16, 32, 64], ids=lambda size: f"{size} MiB")
@pytest.mark.parametrize("moment", ["start", "middle", "commit"])
def test_a_full_disk_refuses_in_time_goes_on_reading_and_recovers(
    images: dict[str, Image], tmp_path: Path, size: int, moment: str
) -> None:
    """Security catalogue D05: full at the start, in the middle of a file, at the commit."""
    image = images["delivered"]
    at = image.at + MINUTE
    room = {"start": 0, "middle": scenes.PIECE + 30_000, "commit": scenes.PIECES * scenes.PIECE + 25_000}[moment]
    with disk(tmp_path / "disk", size * MIB) as mounted:
        folder = image.copied(mounted / "data")
        with child(scenes.hands, folder, at) as process:
            filler = fill(mounted, room)
            assert refused(process, "upload")
            assert process.go("read").kind == "done"
            filler.unlink()
            uploaded = process.go("upload")
            assert uploaded.kind == "done", uploaded
            process.end()
        found = settled(folder, at + MINUTE, "upload", uploaded.answer)
    tally("D05", cases=1, acknowledged_lost=found.lost, doubled=found.doubled, half=len(found.half))
    assert found == scenes.Found()


@pytest.mark.slow
@pytest.mark.parametrize("size", [8, 64], ids=lambda size: f"{size} MiB")
def test_the_last_five_per_cent_are_for_the_log_and_what_must_go_on(
    images: dict[str, Image], tmp_path: Path, size: int
) -> None:
    """Security decision H2: new content is refused early, while opening, withdrawing and publishing go on."""
    image = images["delivered"]
    at = image.at + MINUTE
    with disk(tmp_path / "disk", size * MIB) as mounted:
        folder = image.copied(mounted / "data")
        with child(scenes.hands, folder, at, KEPT) as process:
            filler = fill(mounted, size * MIB * KEPT // 100 - 8192)
            for order in ("upload", "draft"):
                told = process.go(order)
                assert (told.kind, told.status) == ("refused", 507), (order, told)
            for order in ("open", "refuse", "publish", "read"):
                told = process.go(order)
                assert told.kind == "done", (order, told)
            filler.unlink()
            assert process.go("draft").kind == "done"
            process.end()
        found = settled(folder, at + MINUTE, "open", "opened before")
    tally("D05", cases=1, acknowledged_lost=found.lost, doubled=found.doubled, half=len(found.half))
    assert found == scenes.Found()


@pytest.mark.slow
@pytest.mark.parametrize("order", ["open", "upload", "draft", "refuse"])
@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_without_a_log_nothing_is_opened_and_nothing_taken(
    images: dict[str, Image], tmp_path: Path, order: str, trouble: str
) -> None:
    """Security catalogue D12: the entry comes first; where it cannot be written, no content is released."""
    image = images["delivered"]
    at = image.at + MINUTE
    with disk(tmp_path / "disk", 8 * MIB) as mounted:
        folder = image.copied(mounted / "data")
        with child(scenes.hands, folder, at) as process:
            assert process.go("read").kind == "done"
            if trouble == "full":
                filler = fill(mounted, 0)
                told = process.go(order)
                assert (told.kind, told.status) in (("refused", 503), ("refused", 507)), told
                filler.unlink()
                assert process.go(order).kind == "done"
            process.end()
        if trouble == "read-only":  # the kernel makes no disk so while a file on it is open for writing
            remount(mounted, "ro")
            with pytest.raises(AssertionError, match="did not start"), child(scenes.hands, folder, at):
                pass
            remount(mounted, "rw")
            with child(scenes.hands, folder, at) as process:
                assert process.go(order).kind == "done"
                process.end()
        # What was opened before a withdrawal stays; unopened, it is refused, so only the log is looked at then.
        found = settled(folder, at + MINUTE, "publish" if order == "refuse" else "open", None)
    tally("D12", cases=1, acknowledged_lost=found.lost, doubled=found.doubled, half=len(found.half))
    assert found == scenes.Found()


@pytest.mark.slow
@pytest.mark.parametrize("order", ["open", "draft", "refuse", "upload"])
def test_tiles_that_cannot_be_written_are_told_and_caught_up_with(
    images: dict[str, Image], tmp_path: Path, order: str
) -> None:
    """Security catalogue D12: the leaf is durable with the act, so the act stands; publishing waits and loses nothing."""
    image = images["delivered"]
    at = image.at + MINUTE
    folder = image.copied(tmp_path / "data")
    with disk(tmp_path / "small", 64 * 1024) as small, child(scenes.hands, folder, at) as process:
        bound = subprocess.run(["mount", "--bind", str(small), str(folder / "log")], capture_output=True)
        assert bound.returncode == 0
        try:
            fill(small, 0)
            assert process.go(order).kind == "done"
            told = process.go("publish")
            assert (told.kind, told.status) in (("refused", 503), ("refused", 507)), told
        finally:
            subprocess.run(["umount", str(folder / "log")], check=True)
        process.go("publish")  # may log that it was behind; the next one covers that entry too
        published = process.go("publish")
        assert published.kind == "done" and published.answer[0] == published.answer[1]
        process.end()
    found = settled(folder, at + MINUTE, "publish" if order == "refuse" else "open", None)
    tally("D12", cases=1, acknowledged_lost=found.lost, doubled=found.doubled, half=len(found.half))
    assert found == scenes.Found()
