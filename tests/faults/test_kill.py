"""Killed at every named step of send, deliver, open and answer, then started again: nothing acknowledged is lost,
nothing is doubled, and the log is whole.

The acts run in processes of their own on real files; an armed failpoint makes the process die by SIGKILL at the step.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clock import instant
from tests.faults.act import process as act_process
from tests.faults.machine import Machine, before_each
from tests.faults.tally import tally
from tests.faults.test_held_kill import STEPS as HELD

ROOT = Path(__file__).parent.parent.parent
START = instant(2026, 3, 2, 8)
CHAIN = ("send", "deliver", "open", "propose", "deliver", "confirm", "deliver")
STEPS = {
    "send": (
        "send.composed",
        "send.decided",
        "send.sealed",
        "send.before_commit",
        "store.before_begin",
        "store.before_commit",
        "store.after_commit",
        "send.after_commit",
    ),
    "deliver": (
        "deliver.after_claim",
        "deliver.before_commit",
        "store.before_commit",
        "store.after_commit",
        "deliver.after_commit",
    ),
    "open": (
        "store.before_begin",
        "store.before_commit",
        "store.after_commit",
        "open.after_log",
        "open.before_receipt",
    ),
    "propose": ("send.sealed", "answer.proposed", "send.before_commit", "send.after_commit"),
    "confirm": ("open.after_log", "send.sealed", "answer.before_commit", "send.before_commit", "send.after_commit"),
}
EXPECTED = ["board_response", "board_response", "placement_referral"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Machine]:
    """A store on disk just before each act, made once and copied for each kill."""
    folder = tmp_path_factory.mktemp("prepared")
    machine = Machine(act_process, folder / "now", START)
    ready = before_each(machine, CHAIN, folder)
    whole = machine.settled()
    assert whole["messages"] == EXPECTED
    return ready


@pytest.mark.slow
@pytest.mark.parametrize(("act", "step"), [(act, step) for act, steps in STEPS.items() for step in steps])
def test_a_kill_at_any_step_loses_nothing_acknowledged_and_doubles_nothing(
    prepared: dict[str, Machine], tmp_path: Path, act: str, step: str
) -> None:
    """Acknowledged => durable, one visible copy, logged; not acknowledged => absent or whole."""
    machine = prepared[act].copied(tmp_path / "now")
    before = machine.acknowledged()

    lived = machine.run(act, failpoint=step)

    assert not lived, f"the step {step} was never reached in {act}"
    assert machine.acknowledged() == before
    after_kill = machine.settled()
    assert after_kill["faults"] == []
    assert set(after_kill["wholes"]) <= {1}  # each message has its sender's copy and an envelope per delivery
    for rest in CHAIN[CHAIN.index(act) :]:
        machine.run(rest)
    end = machine.settled()
    told = {line.split()[1] for line in machine.acknowledged() if line.split()[0] in ("sent", "proposed", "answered")}
    figures = {
        "acknowledged_lost": len(told - set(end["ids"])),
        "doubled": max(0, len(end["messages"]) - len(EXPECTED)),
        "half": len(end["faults"]) + len(end["opened_without_receipt"]),
    }
    if act == "deliver":
        tally("Q05", cases=1, **figures)
    else:
        tally("D01", cases=1, **figures)
    assert end["messages"] == EXPECTED
    assert end["faults"] == []
    assert end["receipts"] == end["receipt_names"]
    assert end["opened_without_receipt"] == []
    assert end["case"] == "matched"
    assert end["answers"] == ["confirmed"]
    assert told == set(end["ids"])


def test_the_kill_test_names_every_step_that_the_code_names() -> None:
    """A new failpoint must not go unkilled."""
    named = set()
    for path in (*(ROOT / "gateway").glob("*.py"), *(ROOT / "adapters").rglob("*.py")):
        for part in path.read_text("utf-8").split('failpoints.reached("')[1:]:
            named.add(part.split('"')[0])
    killed = {step for steps in (*STEPS.values(), *HELD.values()) for step in steps}
    blobs = {"blob.before_link", "blob.after_link"}  # killed in tests/contracts, where blobs are put
    channels = {"channel.dispatched", "channel.handed_over"}  # ended in tests/path/test_channels.py
    # Backup, restore and the move of a store: every one found in the code is killed by tests/backup/test_kills.py.
    elsewhere = {name for name in named if name.split(".")[0] in ("backup", "restore", "move")}
    print(f"{sum(map(len, STEPS.values()))} kills at {len(killed)} steps")
    assert named - channels - elsewhere == killed | blobs
