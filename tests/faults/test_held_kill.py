"""Killed at every named step of holding, choosing and placing: what was acknowledged is read once, and by whom it is for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clock import instant
from tests.faults.held_act import process
from tests.faults.machine import Machine, before_each
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


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Machine]:
    """A store on disk just before each act, made once and copied for each kill."""
    folder = tmp_path_factory.mktemp("held")
    machine = Machine(process, folder / "now", START)
    ready = before_each(machine, CHAIN, folder)
    assert machine.settled()["read"] == [True]
    return ready


@pytest.mark.parametrize(("act", "step"), [(act, step) for act, steps in STEPS.items() for step in steps])
def test_what_is_held_is_neither_lost_nor_doubled_by_a_kill(
    prepared: dict[str, Machine], tmp_path: Path, act: str, step: str
) -> None:
    machine = prepared[act].copied(tmp_path / "now")
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
