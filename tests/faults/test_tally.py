"""The document of counts and the tests that count name the same rows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.faults.tally import ROWS, tally
from tools.reliability import DOCUMENT, drawn

TESTS = Path(__file__).parent.parent


def test_the_document_names_every_row_that_a_test_tallies_and_no_other() -> None:
    """A row without a test would be a promise without proof; a test without a row would be proof nobody finds."""
    counted = {
        row
        for path in TESTS.rglob("*.py")
        for row in re.findall(r'\btally\(\s*"([A-Z](?:\d\d|-[a-z]+))"', path.read_text("utf-8"))
    }
    named = set(re.findall(r"^\| ([A-Z](?:\d\d|-[a-z]+)) \|", DOCUMENT.read_text("utf-8"), re.MULTILINE))
    assert named == counted == set(ROWS)


def test_the_document_is_what_the_kept_counts_say() -> None:
    """`python tools/reliability.py` draws it again."""
    assert DOCUMENT.read_text("utf-8") == drawn()


def test_the_kept_counts_show_no_broken_promise() -> None:
    for line in DOCUMENT.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if re.fullmatch(r"[A-Z](?:\d\d|-[a-z]+)", cells[0]):
            assert set(cells[5:8]) <= {"0", "–"}, line


def test_a_row_that_nobody_described_is_not_counted() -> None:
    with pytest.raises(KeyError):
        tally("no row", cases=1)
