"""The power fails at any moment, and of what was not synced anything may be left: nothing acknowledged is lost."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.model.base import MINUTE
from tests.faults import power, scenes, strace
from tests.faults.images import Image
from tests.faults.process import child
from tests.faults.tally import tally

SEED = 20260303
EACH_RUN, FULL, CANARY = 40, 2500, 60
AT_ONCE = 3


@dataclass(slots=True)
class Outcome:
    """What a number of states held."""

    states: int = 0
    lost: int = 0
    doubled: int = 0
    half: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    modes: Counter[str] = field(default_factory=Counter)


def recorded(image: Image, tmp_path: Path, patch: str = "") -> power.Recording:
    """A day of the program, with every octet that it wrote."""
    strace.needed()
    folder = image.copied(tmp_path / "day")
    log = tmp_path / "calls"
    with child(scenes.day, folder, image.at + MINUTE, patch=patch) as process:
        # What opening the store wrote (WAL header, lock) belongs to the start.
        before = tmp_path / "before"
        shutil.copytree(folder, before, ignore=shutil.ignore_patterns("*-shm", "*.lock", scenes.TOLD))
        with strace.attached(process, log, *power.OPTIONS):
            told = process.go()
        assert told.kind == "done", told
        process.end()
    found = power.record(log, folder, before, scenes.TOLD)
    assert len(found.said) == 7
    shutil.rmtree(folder)
    log.unlink()
    return found


def tried(recording: power.Recording, count: int, at: int, tmp_path: Path, seed: int) -> Outcome:
    """`count` disks: cuts spread over the day, modes in turn."""
    outcome = Outcome()

    def one(number: int) -> None:
        generator = random.Random(f"{seed}/{number}")
        cut = generator.randint(0, recording.length)
        mode = power.MODES[number % len(power.MODES)]
        folder = tmp_path / f"disk-{seed}-{number}"
        power.state(recording, cut, mode, generator, folder)
        told = power.acknowledged(recording, cut)
        what = f"state {number}: {mode} at {cut} of {recording.length}, {len(told)} acknowledged"
        try:
            with child(scenes.settle_day, folder, at, told) as process:
                seen = process.go()
                process.end()
        except AssertionError as unreadable:
            outcome.unreadable.append(f"{what}: {unreadable}")
        else:
            if seen.kind != "done":
                outcome.unreadable.append(f"{what}: {seen}")
            else:
                outcome.lost += seen.answer.lost
                outcome.doubled += seen.answer.doubled
                outcome.half += [f"{what}: {fault}" for fault in seen.answer.half]
                if seen.answer.lost:
                    print(f"{what}: {seen.answer.lost} lost")
        outcome.states += 1
        outcome.modes[mode] += 1
        power.removed(folder)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, range(count)))
    print(f"seed {seed}: {outcome.states} states of {recording.length} calls, {dict(outcome.modes)}")
    return outcome


def held(outcome: Outcome, note: str) -> None:
    half = len(outcome.half) + len(outcome.unreadable)
    tally("D03", cases=outcome.states, acknowledged_lost=outcome.lost, doubled=outcome.doubled, half=half, note=note)
    for line in (*outcome.half, *outcome.unreadable):
        print(line)
    assert (outcome.lost, outcome.doubled, outcome.half, outcome.unreadable) == (0, 0, [], [])


@pytest.mark.slow
def test_whatever_the_disk_kept_when_the_power_failed_nothing_acknowledged_is_lost(
    images: dict[str, Image], tmp_path: Path
) -> None:
    """Security catalogue D03: lost, kept, in order, mixed and torn writes over both stores, blobs and tiles."""
    image = images["prepared"]
    recording = recorded(image, tmp_path)
    held(tried(recording, EACH_RUN, image.at + 3 * MINUTE, tmp_path, SEED), f"seed {SEED}")


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["synchronous_normal", "unsynced_files"])
def test_the_same_test_fails_when_the_program_syncs_too_little(
    images: dict[str, Image], tmp_path: Path, wrong: str
) -> None:
    """The canary of D03: with synchronous=NORMAL, or unsynced blobs and tiles, states must show a loss."""
    image = images["prepared"]
    recording = recorded(image, tmp_path, patch=wrong)
    outcome = Outcome()
    for round_ in range(6):
        outcome = tried(recording, CANARY // 6, image.at + 3 * MINUTE, tmp_path, SEED + round_)
        if outcome.lost + len(outcome.half) + len(outcome.unreadable):
            return
    pytest.fail(f"{CANARY} states with {wrong} and nothing was lost: the simulator sees nothing")


@pytest.mark.full
@pytest.mark.parametrize("part", range(4))
def test_thousands_of_disks(images: dict[str, Image], tmp_path: Path, part: int) -> None:
    """The same, at length; four days recorded anew."""
    image = images["prepared"]
    recording = recorded(image, tmp_path)
    seed = SEED + 1000 * (part + 1)
    held(tried(recording, FULL // 4, image.at + 3 * MINUTE, tmp_path, seed), f"seed {seed}")
