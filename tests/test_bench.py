"""The measurements run from end to end; what they find is for docs/performance.md, never for a test's clock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench.documents import DOCUMENT, FIGURES, rendered, written
from bench.picture import drawn
from bench.report import Report
from bench.targets import TARGETS
from gateway.errors import InvalidRequestError

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_every_row_is_measured_beside_its_floor_and_goal(tmp_path: Path) -> None:
    target, picture = tmp_path / "found.json", tmp_path / "found.svg"
    arguments = ["bench", "all", "--quick", "--rounds", "1", "--json", str(target), "--svg", str(picture)]
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(target.read_text("utf-8"))
    assert {row["name"] for row in found["rows"]} == {row.name for row in TARGETS if not row.peer}
    assert set(found["missing"]) == {row.peer for row in TARGETS if row.peer}
    assert all(row["figure"] > 0 for row in found["rows"])
    told = done.stdout.splitlines()
    for row in TARGETS:
        [line] = [line for line in told if line.startswith(f"{row.row} ") and row.what in line]
        assert ("ej mätt" in line) == bool(row.peer)
    assert all(figure > 0 for rounds in found["figures"].values() for figure in rounds)
    assert len(found["curves"]) == 2
    assert ET.parse(picture).getroot().tag.endswith("svg")


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


def test_the_tables_of_the_document_are_those_of_its_figures() -> None:
    """docs/performance.md: nobody copies a figure. `python -m bench.documents` makes the tables anew."""
    text = DOCUMENT.read_text("utf-8")
    assert rendered(text, json.loads(FIGURES.read_text("utf-8"))) == text


def test_figures_that_say_nothing_do_not_reach_the_document() -> None:
    with pytest.raises(InvalidRequestError, match="say nothing"):
        written(Report(quick=True))


def test_a_picture_shows_each_row_and_each_curve_once() -> None:
    report = Report(quick=False)
    for target in TARGETS:
        report.add({target.name: target.floor})
    report.curves = {10: {"accept": 1.0, "claim": 2.0}, 100: {"accept": 1.1, "claim": 9.0}}
    text = drawn(report)
    ET.fromstring(text)  # well formed
    assert text.count("(golv)") == len(TARGETS)
    assert text.count("<polyline") == 2
