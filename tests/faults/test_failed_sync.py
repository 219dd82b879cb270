"""A sync fails once, and the next would succeed: the process trusts nothing any more, ends, and the next one verifies.

Why this exists: after a failed sync the kernel may drop what it could not write and report success from then on
("fsyncgate", 2018). Only the file, read anew, tells what the disk kept.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from gateway.model.base import MINUTE
from tests.faults import scenes, strace
from tests.faults.images import Image
from tests.faults.process import child
from tests.faults.tally import tally

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "thread", "when"),
    [
        ("send", "sqlite-writer", 1),
        ("send", "sqlite-writer", 2),
        ("send", "shred-keys_0", 1),
        ("send", "shred-keys_0", 2),
        ("send", "shred-keys_0", 3),
        ("open", "sqlite-writer", 1),
        ("open", "sqlite-writer", 2),
    ],
)
def test_after_a_failed_sync_the_process_writes_nothing_more(
    images: dict[str, Image], tmp_path: Path, name: str, thread: str, when: int
) -> None:
    """Security catalogue D10: EIO once, then success."""
    strace.needed()
    image = images[scenes.SCENES[name].begin]
    folder = image.copied(tmp_path / "data")
    at = image.at + MINUTE
    with child(scenes.play, folder, name, at) as process:
        log = tmp_path / "calls"
        options = ("-e", "trace=fdatasync", "-e", f"inject=fdatasync:error=EIO:when={when}")
        with strace.attached(process, log, *options, thread=thread):
            told = process.go()
        assert "INJECTED" in log.read_text()
        assert (told.kind, told.status) in (("refused", 503), ("done", 0)), told
        # SQLite keeps a failed sync of a journal's folder to itself; every other one is told, and ends all writing.
        for _ in range(3 if told.kind == "refused" else 0):
            again = process.go()
            assert (again.kind, again.status) == ("refused", 503), again
        acknowledged = told.answer if told.kind == "done" else None
        process.end()
    with child(scenes.settle, folder, name, at + MINUTE, acknowledged) as process:
        settled = process.go()
        process.end()
    assert settled.kind == "done", settled
    found = settled.answer
    tally("D10", cases=1, acknowledged_lost=found.lost, doubled=found.doubled, half=len(found.half))
    assert found == scenes.Found()


@pytest.mark.slow
def test_a_served_gateway_whose_disk_failed_ends_with_a_sentence_and_starts_again(tmp_path: Path) -> None:
    """The supervisor starts it anew; until then nobody is told that something was saved."""
    strace.needed()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SAMBUD_DATA_DIR": str(tmp_path / "data"),
        "SAMBUD_ROOT_KEY_FILE": str(tmp_path / "root.key"),
        "SAMBUD_PORT": "0",
        "SAMBUD_DISK_RESERVE_PERCENT": "0",
    }
    command = [sys.executable, "-m", "gateway"]
    subprocess.run([*command, "init"], env=environment, cwd=ROOT, check=True, capture_output=True, timeout=60)

    server, address = _served(command, environment)
    tracer = subprocess.Popen(
        ["strace", "-f", "-o", os.devnull, "-e", "inject=fdatasync:error=EIO:when=1", "-p", str(server.pid)],
        stderr=subprocess.PIPE,
    )
    assert tracer.stderr is not None
    assert b"attached" in tracer.stderr.readline()
    body = b'{"login": "nobody", "password": "wrong", "code": "000000"}'
    codes = set()
    deadline = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < deadline:  # whatever writes next meets the failed disk
        request = urllib.request.Request(f"{address}/api/v1/sessions", body, {"Content-Type": "application/json"})
        try:
            urllib.request.urlopen(request, timeout=10)
        except urllib.error.HTTPError as refused:
            codes.add(refused.code)
            refused.close()
        except OSError:
            pass  # it has ended
        time.sleep(0.05)
    code = server.wait(30)
    told = server.stderr.read().decode() if server.stderr else ""
    tracer.wait(30)
    _closed(server, tracer)
    assert code == 3, told
    assert codes <= {401, 429, 503}
    assert "Disken svarade med ett fel" in told
    assert "Traceback" not in told

    verified = subprocess.run(
        [*command, "audit", "verify"], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
    server, _ = _served(command, environment)
    server.send_signal(signal.SIGTERM)
    assert server.wait(60) == 0
    _closed(server)
    tally("D10", cases=1, note="one of them a served gateway that ended by itself, verified and started again")


def _served(command: list[str], environment: dict[str, str]) -> tuple[subprocess.Popen[bytes], str]:
    server = subprocess.Popen(
        [*command, "serve"], env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert server.stdout is not None
    line = server.stdout.readline().decode()
    match = re.search(r"http://\S+:\d+", line)
    assert match, line + (server.stderr.read().decode() if server.poll() is not None and server.stderr else "")
    return server, match[0]


def _closed(*processes: subprocess.Popen[bytes]) -> None:
    for process in processes:
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
