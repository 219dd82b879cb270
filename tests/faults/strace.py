"""strace as an instrument: which system calls an act makes on the data folder, and what happens when one of them fails.

Why this exists: named failpoints sit where we thought of them; the disk fails where it likes. strace (Debian's package
of that name) stops a thread at its n-th call and kills the process there, or answers EIO or ENOSPC in the disk's place.

Rules: a place is a thread, a call and its number after "ready"; the thread is attached alone, so the number means the
same call in each run. Only calls that change the data folder are struck.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.process import Child

#: What changes files or makes changes durable. `openat` counts only where it creates.
CALLS = (
    "write,pwrite64,writev,pwritev,fsync,fdatasync,ftruncate,fallocate,link,linkat,"
    "rename,renameat,renameat2,openat,unlink,unlinkat,mkdir,mkdirat"
)
_LINE = re.compile(r"^(\d+) +(\w+)\((.*)$")


@dataclass(frozen=True, slots=True)
class Place:
    """The n-th call of a kind in a thread."""

    thread: str
    call: str
    number: int
    file: str  # relative to the data folder, random names shortened: for people, and to spread

    def __str__(self) -> str:
        return f"{self.call}#{self.number} on {self.file} ({self.thread})"


def needed() -> None:
    """Skip without strace, or fail where every peer is required."""
    if shutil.which("strace") is None:
        told = "no strace: install the package strace"
        if os.environ.get("SAMBUD_REQUIRE_PEERS") == "1":
            pytest.fail(told)
        pytest.skip(told)


@contextmanager
def attached(child: Child, log: Path, *options: str, thread: str = "") -> Iterator[None]:
    """strace on one thread of `child` (or all of them), from now to the end of the context."""
    target = ["-p", str(child.threads[thread])] if thread else ["-f", "-p", str(child.pid)]
    tracer = subprocess.Popen(
        ["strace", "-o", str(log), *options, *target], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        assert tracer.stderr is not None
        wanted = 1 if thread else len(child.threads)
        told = b""
        while wanted > 0:
            line = tracer.stderr.readline()
            told += line
            if not line:
                raise AssertionError(f"strace could not attach: {told.decode()}")
            match = re.search(rb"attached(?: with (\d+) threads)?", line)
            wanted -= (int(match[1] or 1)) if match else 0
        yield
    finally:
        tracer.terminate()
        tracer.wait(30)
        tracer.stderr.close()


def injecting(place: Place, fault: str) -> tuple[str, ...]:
    """The options that make `fault` happen at `place`: `signal=KILL` or `error=EIO`, once."""
    return ("-e", f"trace={place.call}", "-e", f"inject={place.call}:{fault}:when={place.number}")


def places(log: Path, folder: Path, threads: dict[str, int]) -> list[Place]:
    """Where an act that was traced with `-f -y -e trace=CALLS` changed `folder`, in order."""
    names = {number: name for name, number in threads.items()}
    counts: dict[tuple[int, str], int] = {}
    found = []
    for line in log.read_text("utf-8", "replace").splitlines():
        match = _LINE.match(line)
        if not match:
            continue
        thread, call, rest = int(match[1]), match[2], match[3]
        number = counts[thread, call] = counts.get((thread, call), 0) + 1
        file = _inside(call, rest, folder)
        if file and thread in names:
            found.append(Place(names[thread], call, number, file))
    return found


def _inside(call: str, rest: str, folder: Path) -> str:
    """The file below `folder` that a call changes; empty for others, for readings and for shared memory."""
    if call == "openat" and "O_CREAT" not in rest:
        return ""
    paths = re.findall(rf"[<\"]{re.escape(str(folder))}/([^>\"]*)[>\"]", rest)
    if not paths or paths[0].endswith(("-shm", ".lock")):
        return ""
    return re.sub(r"[0-9a-f]{32}", "*", re.sub(r"/[0-9a-f]{2}/", "/*/", paths[0]))
