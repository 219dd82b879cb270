"""The folders that scenes begin from: one county in three states."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.faults import scenes
from tests.faults.process import child


@dataclass(frozen=True, slots=True)
class Image:
    """A data folder as it lies on the disk, and the time in it."""

    folder: Path
    at: int

    def copied(self, target: Path) -> Path:
        shutil.copytree(self.folder, target)
        return target


def made(folder: Path) -> dict[str, Image]:
    """Before anything is sent, sent, delivered."""
    found = {}
    with child(scenes.prepare, folder / "now") as process:
        for order in ("prepared", "sent", "delivered"):
            told = process.go(order)
            assert told.kind == "done", told
            shutil.copytree(folder / "now", folder / order, ignore=shutil.ignore_patterns("*-shm", "*.lock"))
            found[order] = Image(folder / order, told.answer)
    return found
