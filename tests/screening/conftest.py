"""A clamd of our own for the tests: on a socket in a folder, with a database of two signatures."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.screening.files import EICAR

#: What our own signature finds: nobody else's file holds it.
MARK = b"SAMBUD-TEST-MALWARE-3b1f"
REQUIRED = os.environ.get("SAMBUD_REQUIRE_PEERS") == "1"


@dataclass
class ClamPeer:
    """A clamd that can be ended and started again."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None
    extra: list[str] = field(default_factory=list)

    @property
    def place(self) -> str:
        return str(self.folder / "clamd.ctl")

    def start(self) -> None:
        database = self.folder / "db"
        database.mkdir(exist_ok=True)
        (self.folder / "tmp").mkdir(exist_ok=True)
        signatures = {"Sambud.Test": MARK, "Eicar.Test": EICAR}
        lines = [f"{name}:0:*:{octets.hex()}" for name, octets in signatures.items()]
        (database / "local.ndb").write_text("\n".join(lines) + "\n")
        config = self.folder / "clamd.conf"
        told = [
            "Foreground yes",
            f"LocalSocket {self.place}",
            f"DatabaseDirectory {database}",
            f"TemporaryDirectory {self.folder / 'tmp'}",
            "AlertExceedsMax yes",
            "SelfCheck 86400",
            *(self.extra or ["StreamMaxLength 100M", "MaxFileSize 100M", "MaxScanSize 400M"]),
        ]
        config.write_text("\n".join(told) + "\n")
        program = shutil.which("clamd", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program is not None
        self.process = subprocess.Popen(
            [program, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + 30
        while not self._answers():
            assert self.process.poll() is None, "clamd ended"
            assert time.monotonic() < end, "clamd does not answer"
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as asked:
                asked.settimeout(1)
                asked.connect(self.place)
                asked.sendall(b"zPING\0")
                return asked.recv(16) == b"PONG\0"
        except OSError:
            return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        Path(self.place).unlink(missing_ok=True)


def _peer(folder: Path, *extra: str) -> ClamPeer:
    if shutil.which("clamd", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        if REQUIRED:
            pytest.fail("clamd is missing (Debian: clamav-daemon)")
        pytest.skip("clamd is not here (Debian: clamav-daemon)")
    peer = ClamPeer(folder, extra=list(extra))
    peer.start()
    return peer


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClamPeer]:
    """One that nobody ends."""
    peer = _peer(tmp_path_factory.mktemp("clam"))
    yield peer
    peer.stop()


@pytest.fixture
def clamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClamPeer]:
    """One of the test's own, to be ended and started again."""
    peer = _peer(tmp_path_factory.mktemp("clam"))
    yield peer
    peer.stop()


@pytest.fixture
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClamPeer]:
    """One that takes little."""
    peer = _peer(tmp_path_factory.mktemp("clam"), "StreamMaxLength 1M", "MaxFileSize 200K", "MaxScanSize 200K")
    yield peer
    peer.stop()
