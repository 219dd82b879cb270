"""For every test: hypothesis draws the same examples each time, keeps none on disk, and has no stopwatch.

A red test must be red again on the next machine; slowness is measured in bench/, not by a busy neighbour's clock. The
run ends with the counts of the fault tests, and writes them where SAMBUD_TALLY says.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

import hypothesis
import pytest

from adapters.sql import sqlite
from keys.vault import KeyVault
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


# A county has seventeen users, and Argon2id is slow on purpose: each test that begins with one would spend four fifths
# of its time on passwords that every test has. So the real function makes and checks each pair once in a process; what
# does not fit is checked in full each time. Processes that tests start, and tests of Argon2id itself, know nothing of it.
REAL_HASH: Final = KeyVault.hash_password
REAL_CHECK: Final = KeyVault.check_password
_hashed: dict[str, bytes] = {}
_fits: set[tuple[str, bytes]] = set()


def _hash_once(vault: KeyVault, password: str) -> bytes:
    if password not in _hashed:
        _hashed[password] = REAL_HASH(vault, password)
    return _hashed[password]


def _check_once(vault: KeyVault, password: str, phc: bytes) -> bool:
    if (password, phc) not in _fits:
        if not REAL_CHECK(vault, password, phc):
            return False
        _fits.add((password, phc))
    return True


# A new SQLite file is the same each time: the real migrations make one in a process, and tests begin with copies of it.
# Older files, restores and processes that tests start go through the migrations themselves.
REAL_MIGRATE: Final = sqlite.migrate_sqlite


@functools.cache
def _new_file() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="sambud-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    REAL_MIGRATE(folder / "new.db")
    return folder / "new.db"


def _migrate_a_copy(path: Path) -> None:
    if not path.exists():
        try:
            shutil.copyfile(_new_file(), path)
        except OSError:  # a full or broken disk is the test's own business
            path.unlink(missing_ok=True)
    REAL_MIGRATE(path)


def pytest_configure() -> None:
    sqlite.migrate_sqlite = _migrate_a_copy  # type: ignore[attr-defined]
    KeyVault.hash_password = _hash_once  # type: ignore[method-assign]
    KeyVault.check_password = _check_once  # type: ignore[method-assign]
