"""The measurements run from end to end; what they find is for docs/performance.md, never for a test's clock."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_every_row_is_measured_beside_its_floor_and_goal(tmp_path: Path) -> None:
    target = tmp_path / "found.json"
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "bench", "path", "--quick", "--rounds", "1", "--json", str(target)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(target.read_text("utf-8"))
    assert {row["row"] for row in found["rows"]} == {"P1", "P2", "P5", "P7"}
    assert len(found["rows"]) == 9
    assert all(row["figure"] > 0 for row in found["rows"])
    for row in found["rows"]:
        assert any(line.startswith(row["row"]) for line in done.stdout.splitlines())
    assert all(len(rounds) == 1 and rounds[0] > 0 for rounds in found["figures"].values())


def test_without_a_checkout_the_measurements_say_where_they_are(tmp_path: Path) -> None:
    """The wheel holds the four packages only: one sentence instead of a traceback."""
    for package in ("gateway", "adapters", "keys", "policies"):
        (tmp_path / package).symlink_to(ROOT / package)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "gateway", "bench", "path"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 3
    assert "följer inte med" in done.stderr
    assert "utcheckning" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
async def test_what_a_message_leaves_behind_is_counted_by_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/operations.md, Scale: two envelopes for one recipient, log leaves, no table forgotten."""
    from bench import kept

    monkeypatch.setattr(kept, "WARM", 1)
    monkeypatch.setattr(kept, "COUNTED", 4)
    told = await kept.on_sqlite()
    assert re.search(r"^  envelope +\d+ +2\.00$", "\n".join(told), re.MULTILINE)
    assert [line for line in told if line.startswith("keys.db")]
