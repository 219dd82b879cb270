"""Killed at every named step of holding, choosing and placing: what was acknowledged is read once, and by whom it is for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from gateway.model.base import MINUTE
from tests.clock import instant
from tests.faults.held_act import process
from tests.faults.process import finished
from tests.faults.tally import tally

pytestmark = pytest.mark.slow
START = instant(2026, 3, 2, 8)
CHAIN = ("arrive", "order", "place")
STEPS = {
    "arrive": (
        "blob.before_link",
        "blob.after_link",
        "store.before_begin",
        "store.before_commit",
        "store.after_commit",
    ),
    "order": ("store.before_begin", "store.before_commit", "store.after_commit"),
    "place": (
        "held.opened",
        "blob.after_link",
        "store.before_commit",
        "store.after_commit",
        "held.placed",
        "held.shredded",
    ),
}


class Machine:
    """A folder with a gateway in it, and time that goes on over restarts."""

    def __init__(self, folder: Path, at: int) -> None:
        self.folder = folder
        self.at = at

    def run(self, act: str, failpoint: str = "") -> bool:
        """Do an act in a process of its own; whether it lived to the end."""
        self.at += 10 * MINUTE
        told = finished(process, self.folder, act, self.at, failpoint=failpoint)
        if failpoint and told.kind == "died":
            return False
        assert told.kind == "done", f"{act}: {told}"
        return True

    def settled(self) -> dict[str, Any]:
        self.run("settle")
        found: dict[str, Any] = json.loads((self.folder / "settled.json").read_text())
        return found


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Machine]:
    """A store on disk just before each act, made once and copied for each kill."""
    folder = tmp_path_factory.mktemp("held")
    machine = Machine(folder / "now", START)
    machine.folder.mkdir()
    machine.run("prepare")
    ready = {}
    for act in CHAIN:
        ready[act] = Machine(folder / f"before-{act}", machine.at)
        shutil.copytree(machine.folder, ready[act].folder)
        machine.run(act)
    assert machine.settled()["read"] == [True]
    return ready


@pytest.mark.parametrize(("act", "step"), [(act, step) for act, steps in STEPS.items() for step in steps])
def test_what_is_held_is_neither_lost_nor_doubled_by_a_kill(
    prepared: dict[str, Machine], tmp_path: Path, act: str, step: str
) -> None:
    shutil.copytree(prepared[act].folder, tmp_path / "now")
    machine = Machine(tmp_path / "now", prepared[act].at)
    assert not machine.run(act, failpoint=step), f"the step {step} was never reached in {act}"
    for rest in CHAIN[CHAIN.index(act) :]:
        machine.run(rest)
    end = machine.settled()
    tally(
        "D01",
        cases=1,
        acknowledged_lost=not end["read"],
        doubled=max(0, len(end["read"]) - 1),
        half=end["read"].count(False) + len(end["faults"]) + any(end["copies"]),
    )
    assert end == {"faults": [], "arrived": True, "held": ["forwarded"], "copies": [False, False], "read": [True]}
