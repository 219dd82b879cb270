"""The launcher says in one sentence what a bare machine lacks, installs by hash, and does nothing twice (README)."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

#: A python3 that writes down how it was called, and fails where a test wants it to.
FAKE = """#!/bin/sh
printf '%s\\n' "$*${SAMBUD_PYTHON:+ with SAMBUD_PYTHON}" >>"$CALLS"
case "$1 ${2:-}" in
"-c "*) exit {version} ;;
"-m pip") if [ "$3" = --version ]; then exit {pip}; else exit {install}; fi ;;
"-m venv") mkdir -p "$4/bin" && cp "$0" "$4/bin/python"; exit {venv} ;;
*) exit 0 ;;
esac
"""


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A checkout as far as the launcher looks, in a folder whose name has spaces and å."""
    folder = tmp_path / "en mapp på datorn"
    folder.mkdir()
    for name in ("sambud", "requirements.lock"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def start(house: Path, *arguments: str, **exits: int) -> tuple[int, str, list[str]]:
    """Exit code, what was said, and the calls of python; `exits` are the fake's exit codes."""
    python, calls = house / "fake-python", house / "calls"
    codes = {"version": 0, "pip": 0, "install": 0, "venv": 0} | exits
    text = FAKE
    for name, code in codes.items():
        text = text.replace("{" + name + "}", str(code))
    python.write_text(text)
    python.chmod(0o755)
    calls.write_text("")
    environment = {"PATH": os.environ["PATH"], "SAMBUD_PYTHON": str(python), "CALLS": str(calls), "PIP_USER": "1"}
    done = subprocess.run(
        ["sh", str(house / "sambud"), *arguments], env=environment, cwd="/", capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout + done.stderr, calls.read_text().splitlines()


def test_a_machine_without_pip_is_told_which_package_brings_it(house: Path) -> None:
    code, said, _ = start(house, "demo", pip=1)
    assert (code, said.count("\n")) == (1, 1)
    assert "python3-pip" in said
    assert not (house / ".venv").exists()


def test_which_python_makes_the_environment_is_no_setting_of_the_gateway(house: Path) -> None:
    """A gateway refuses settings that it does not know."""
    code, _, calls = start(house, "serve")
    assert code == 0
    assert calls[-1] == "-m gateway serve"


def test_a_python_before_3_11_is_told_so_and_nothing_is_installed(house: Path) -> None:
    code, said, calls = start(house, "demo", version=1)
    assert (code, said.count("\n")) == (1, 1)
    assert "för gammal" in said
    assert "3.11" in said
    assert len(calls) == 1
    assert not (house / ".venv").exists()


def test_a_machine_without_python_is_told_which_package_brings_it(house: Path) -> None:
    done = subprocess.run(
        ["sh", str(house / "sambud"), "demo"],
        env={"PATH": os.environ["PATH"], "SAMBUD_PYTHON": str(house / "no-such-python")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "paketet python3 " in done.stderr


def test_packages_come_by_hash_as_wheels_into_venv_and_only_once(house: Path) -> None:
    code, _, calls = start(house, "demo", "--once")
    assert code == 0
    [installed] = [call for call in calls if " install " in call]
    assert "--require-hashes --only-binary :all:" in installed
    assert f"--python {house}/.venv/bin/python" in installed
    assert calls[-1] == "-m gateway demo --once"

    code, said, calls = start(house, "demo", "--once")
    assert (code, said) == (0, "")
    assert not [call for call in calls if " install " in call]


def test_a_changed_lock_is_installed_again_and_a_failed_installation_is_not_taken_for_done(house: Path) -> None:
    start(house, "demo")
    with (house / "requirements.lock").open("a") as lock:
        lock.write("# another release\n")
    code, said, _ = start(house, "demo", install=1)
    assert code == 1
    assert "kör igen" in said
    _, _, calls = start(house, "demo")
    assert [call for call in calls if " install " in call]
