"""For every test: hypothesis draws the same examples each time, keeps none on disk, and has no stopwatch.

A red test must be red again on the next machine; slowness is measured in bench/, not by a busy neighbour's clock. The
run ends with the counts of the fault tests, and writes them where SAMBUD_TALLY says.
"""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

from tests.faults import tally

hypothesis.settings.register_profile("same-everywhere", derandomize=True, database=None, deadline=None)
hypothesis.settings.load_profile("same-everywhere")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = tally.lines()
    if lines:
        terminalreporter.section("faults injected")
        for line in lines:
            terminalreporter.write_line(line)


def pytest_sessionfinish() -> None:
    target = os.environ.get("SAMBUD_TALLY")
    if target:
        tally.written(Path(target))
