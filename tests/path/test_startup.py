"""Commands as real processes: what must not start says why in one Swedish sentence, with code 3, and changes nothing."""

from __future__ import annotations

import hashlib
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.slow


@dataclass
class Machine:
    """A folder for data, one for keys, and the command."""

    folder: Path
    more: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def root_key(self) -> Path:
        return self.folder / "keys" / "k0"

    def environment(self, **more: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "SAMBUD_DATA_DIR": str(self.data),
            "SAMBUD_ROOT_KEY_FILE": str(self.root_key),
            "SAMBUD_PORT": "0",
            **self.more,
            **more,
        }

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "gateway", *arguments],
            cwd=ROOT,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            timeout=120,
        )

    def refuses(self, *arguments: str, says: str, next_step: str, **more: str) -> None:
        """The command ends with 3 and tells what and what to do, without a traceback, and leaves every file alone."""
        before = self.state()
        done = self.run(*arguments, **more)
        assert done.returncode == 3, done.stderr
        assert says in done.stderr
        assert next_step in done.stderr
        assert "Traceback" not in done.stderr
        assert len([line for line in done.stderr.splitlines() if line.startswith("Fel: ")]) == 1
        assert self.state() == before

    def state(self) -> dict[str, str]:
        """Every file's digest; the lock file and WAL's shared memory are no content."""
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and path.suffix not in {".lock", ".db-shm", ".db-wal"}
        }


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A gateway that `init` made; tests that start it must leave it as it was."""
    machine = Machine(tmp_path_factory.mktemp("machine"))
    done = machine.run("init")
    assert done.returncode == 0, done.stderr
    return machine


@pytest.fixture
def fresh(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def root_key_away(begun: Machine) -> Iterator[Machine]:
    kept = begun.root_key.read_bytes()
    begun.root_key.unlink()
    yield begun
    begun.root_key.unlink(missing_ok=True)
    begun.root_key.write_bytes(kept)
    begun.root_key.chmod(0o400)


def test_init_makes_a_key_that_only_its_owner_reads_and_a_database_that_doctor_accepts(begun: Machine) -> None:
    assert begun.root_key.stat().st_mode & 0o777 == 0o400
    done = begun.run("doctor")
    assert done.returncode == 0, done.stderr
    assert "Nyckellagret hör till databasen" in done.stdout
    assert "FEL" not in done.stdout


def test_a_second_init_is_refused_or_changes_no_key_and_no_row_of_the_log(begun: Machine) -> None:
    """Whatever a nervous operator types twice, the root key and the first leaf stay."""
    key = begun.root_key.read_bytes()
    with sqlite3.connect(begun.data / "sambud.db") as connection:
        before = connection.execute("SELECT leaf FROM audit_leaf ORDER BY log, number LIMIT 1").fetchone()
    done = begun.run("init")
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 3)
    assert begun.root_key.read_bytes() == key
    with sqlite3.connect(begun.data / "sambud.db") as connection:
        assert connection.execute("SELECT leaf FROM audit_leaf ORDER BY log, number LIMIT 1").fetchone() == before
    connection.close()
    assert begun.run("audit", "verify").returncode == 0


def test_init_makes_no_new_root_key_beside_a_database_that_has_one(root_key_away: Machine) -> None:
    """A fresh key would later be taken for the right one."""
    root_key_away.refuses("init", says="Databasen finns redan", next_step="Lägg tillbaka rotnyckeln")
    assert not root_key_away.root_key.exists()


@pytest.mark.parametrize("command", [["serve"], ["doctor"], ["audit", "verify"], ["user", "list"]], ids=" ".join)
def test_no_command_starts_without_its_root_key(root_key_away: Machine, command: list[str]) -> None:
    root_key_away.refuses(*command, says="saknas", next_step="Lägg tillbaka filen")


@pytest.mark.parametrize("command", [["serve"], ["doctor"], ["audit", "verify"]], ids=" ".join)
def test_no_command_starts_with_another_gateways_root_key(root_key_away: Machine, command: list[str]) -> None:
    root_key_away.root_key.write_text("sambud-root-1 " + "ab" * 32 + "\n")
    root_key_away.root_key.chmod(0o400)
    root_key_away.refuses(*command, says="Rotnyckeln hör inte till den här databasen", next_step="SAMBUD_ROOT_KEY_FILE")


@pytest.mark.parametrize("mode", [0o440, 0o404, 0o444, 0o644, 0o666, 0o500, 0o602])
def test_a_root_key_that_others_may_read_is_refused(root_key_away: Machine, mode: int) -> None:
    root_key_away.root_key.write_text("sambud-root-1 " + "ab" * 32 + "\n")
    root_key_away.root_key.chmod(mode)
    root_key_away.refuses("doctor", says="kan läsas av andra", next_step="chmod 0400")


@pytest.mark.parametrize("text", ["", "sambud-root-1 abc\n", "ab" * 32, "sambud-root-1 " + "AB" * 32 + "\n"])
def test_a_file_that_is_no_root_key_is_refused(root_key_away: Machine, text: str) -> None:
    root_key_away.root_key.write_text(text)
    root_key_away.root_key.chmod(0o400)
    root_key_away.refuses("doctor", says="är inte en rotnyckel", next_step="Kontrollera att rätt fil är angiven")


def test_a_root_key_among_the_data_is_refused_also_through_a_link(fresh: Machine) -> None:
    inside = fresh.data / "k0"
    linked = fresh.folder / "link"
    fresh.data.mkdir()
    linked.symlink_to(fresh.data)
    for path in (inside, linked / "k0"):
        fresh.refuses(
            "doctor",
            says="ligger i datakatalogen",
            next_step="Flytta den",
            SAMBUD_ROOT_KEY_FILE=str(path),
        )


def test_init_writes_no_root_key_among_the_data(fresh: Machine) -> None:
    """Not even for the moment between making it and refusing it."""
    fresh.refuses(
        "init", says="ligger i datakatalogen", next_step="Flytta den", SAMBUD_ROOT_KEY_FILE=str(fresh.data / "k0")
    )


def test_a_missing_key_store_is_named_before_anything_is_opened(begun: Machine) -> None:
    store = begun.data / "keys.db"
    kept = store.read_bytes()
    store.unlink()
    try:
        begun.refuses("doctor", says="Nyckellagret", next_step="säkerhetskopian")
    finally:
        store.write_bytes(kept)
        store.chmod(0o600)


def test_a_gateway_that_was_never_begun_does_not_serve(fresh: Machine) -> None:
    fresh.root_key.parent.mkdir()
    fresh.root_key.write_text("sambud-root-1 " + "ab" * 32 + "\n")
    fresh.root_key.chmod(0o400)
    fresh.refuses("serve", says="finns inte", next_step="sambud init")


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"SAMBUD_PROT": "8081"}, "Menade du port?"),
        ({"SAMBUD_ROOT_KEY": "x"}, "Menade du root_key_file?"),
        ({"SAMBUD_ANYTHING_ELSE": "1"}, "anything_else är okänd"),
        ({"SAMBUD_PORT": "99999"}, "port"),
        ({"SAMBUD_STEP_UP_MINUTES": "600"}, "step_up_minutes"),
        ({"SAMBUD_ATTACHMENT_MAX_BYTES": "0"}, "attachment_max_bytes"),
        ({"SAMBUD_HOST": "0.0.0.0"}, "bara på den egna datorn"),
        ({"SAMBUD_CONFIG": "no-such-file.toml"}, "går inte att läsa"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_an_unknown_or_impossible_setting_stops_the_start_and_is_named(
    fresh: Machine, setting: dict[str, str], says: str
) -> None:
    fresh.refuses("serve", says=says, next_step="", **setting)


def test_missing_settings_are_named(fresh: Machine) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "serve"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 3
    assert "data_dir, root_key_file" in done.stderr
    assert "docs/operations.md" in done.stderr


def test_a_port_in_use_is_named_and_the_other_program_goes_on(begun: Machine) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = begun.run("serve", SAMBUD_PORT=str(port))
        assert done.returncode == 3
        assert f"Port {port} används redan" in done.stderr
        assert "Välj en annan port" in done.stderr
        assert "Traceback" not in done.stderr
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass


def test_a_second_process_on_the_same_database_is_refused(begun: Machine) -> None:
    first = subprocess.Popen(
        [sys.executable, "-m", "gateway", "serve"],
        cwd=ROOT,
        env=begun.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert first.stdout is not None
        assert "Gatewayen svarar på" in first.stdout.readline()
        done = begun.run("serve")
        assert done.returncode == 3
        assert "används redan" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        first.terminate()
        assert first.wait(30) == 0
        assert first.stdout is not None
        first.stdout.close()


def test_serve_refuses_a_store_that_the_demo_made(fresh: Machine) -> None:
    done = fresh.run("demo", "--once", "--data", str(fresh.data))
    assert done.returncode == 0, done.stderr
    fresh.refuses("serve", says="gjord av demon", next_step="sambud init")


def test_the_demo_refuses_a_folder_that_holds_something(begun: Machine) -> None:
    begun.refuses("demo", "--once", "--data", str(begun.data), says="är inte tom", next_step="--data")
