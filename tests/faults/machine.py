"""A folder with a gateway in it that acts are done on, one process each, while time goes on over restarts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from gateway.model.base import MINUTE
from tests.faults.process import finished


class Machine:
    """Where acts are done. `body` is what a process does: it takes the folder, the act's name and the time."""

    def __init__(self, body: Callable[..., Awaitable[None]], folder: Path, at: int) -> None:
        self.body = body
        self.folder = folder
        self.at = at

    def copied(self, folder: Path) -> Machine:
        """The same as it stands now, in another folder."""
        shutil.copytree(self.folder, folder)
        return Machine(self.body, folder, self.at)

    def run(self, act: str, failpoint: str = "") -> bool:
        """Do an act in a process of its own; whether it lived to the end."""
        self.at += 10 * MINUTE
        told = finished(self.body, self.folder, act, self.at, failpoint=failpoint)
        if failpoint and told.kind == "died":
            return False
        assert told.kind == "done", f"{act}: {told}"
        return True

    def acknowledged(self) -> list[str]:
        path = self.folder / "acknowledged"
        return path.read_text().splitlines() if path.exists() else []

    def settled(self) -> dict[str, Any]:
        """What stands, as the body's act "settle" tells it."""
        self.run("settle")
        found: dict[str, Any] = json.loads((self.folder / "settled.json").read_text())
        return found


def before_each(machine: Machine, chain: Iterable[str], folder: Path) -> dict[str, Machine]:
    """Copies of a machine just before the first of each act, which are then done on it."""
    machine.folder.mkdir()
    machine.run("prepare")
    ready: dict[str, Machine] = {}
    for act in chain:
        if act not in ready:
            ready[act] = machine.copied(folder / f"before-{act}")
        machine.run(act)
    return ready
