"""Catalogue C11: after a real process has walked the whole path, no file that it left holds what people wrote."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from gateway.demo import demo_directory, demo_password
from gateway.forms.demo import demo_answer, demo_consent, demo_referral

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent
DAY = date(2026, 3, 2)


def written(value: Any) -> list[str]:
    """What the demo's people write: texts with a space in them, and numbers that point at somebody."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in written(item)]
    if isinstance(value, list | tuple):
        return [text for item in value for text in written(item)]
    if isinstance(value, str) and (" " in value or sum(letter.isdigit() for letter in value) >= 10):
        return [value]
    return []


def test_no_file_of_a_process_holds_what_people_wrote(tmp_path: Path) -> None:
    """Data folder, write-ahead log, temporary folder, log and what was printed; one process, ended by itself."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    canaries = [*written(demo_referral(DAY)), *written(demo_answer(DAY)), *written(demo_consent(DAY))]
    canaries += [demo_password("al-sos"), demo_password("ek-chef")]
    public = demo_directory()  # titles of functions stand in clear (docs/data-model.md)
    canaries = [text for text in dict.fromkeys(canaries) if "2026-" not in text and text not in public]
    environment = os.environ | {"TMPDIR": str(temporary), "SQLITE_TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "demo", "--once", "--data", str(tmp_path / "data")],
        env={name: value for name, value in environment.items() if not name.startswith("SAMBUD_")},
        cwd=tmp_path,
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    places = {str(path.relative_to(tmp_path)): path.read_bytes() for path in files} | {"stderr": done.stderr}
    hits = [
        f"{name}: {text[:20]}"
        for name, octets in places.items()
        for text in canaries
        if text.encode() in octets or text.encode("utf-16-le") in octets
    ]
    print(f"C11: {len(places)} files and streams, {len(canaries)} canaries, {len(hits)} hits")
    assert hits == []
    assert len(canaries) >= 12
    assert any(name.startswith("data/") and len(octets) > 100_000 for name, octets in places.items())
    assert not [name for name in places if name.startswith("temporary/")], "a temporary file was left"
