"""The machine that the gateway runs on, as far as an operator must watch it: room on its disks, and its clock."""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_TIME_ERROR: Final = 5  # adjtimex(2): the clock is not synchronised
_TIMEX_OCTETS: Final = 208  # sizeof(struct timex) on 64-bit Linux; modes = 0 (its first member) only reads


class LocalMachine:
    """The Machine port over statvfs and adjtimex."""

    def __init__(self, places: Mapping[str, Path]) -> None:
        self._places = places

    def space(self) -> Mapping[str, tuple[int, int]]:
        """Octets free for an ordinary user and in all, by place. A place that is not there has no line."""
        found = {}
        for name, path in self._places.items():
            try:
                status = os.statvfs(path)
            except OSError:
                continue
            # What root alone may use is neither free for us nor part of what we could fill.
            free = status.f_bavail * status.f_frsize
            used = (status.f_blocks - status.f_bfree) * status.f_frsize
            found[name] = (free, free + used)
        return found

    def clock_synchronised(self) -> bool | None:
        """What the kernel says of its clock; None where it does not say."""
        try:
            state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_OCTETS))
        except (OSError, AttributeError):
            return None
        return None if state < 0 else state != _TIME_ERROR

    # --- what the doctor asks (gateway/doctor.py) ---------------------------------------------------------------------

    def file_system(self, path: Path) -> str:
        """The kind of file system that `path` lies on; empty where the kernel does not say."""
        wanted = str(path.resolve())
        best, kind = "", ""
        try:
            lines = Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines()
        except OSError:
            return ""
        for line in lines:
            before, _, after = line.partition(" - ")
            mounted = before.split()[4].replace("\\040", " ")
            inside = wanted == mounted or wanted.startswith(mounted.rstrip("/") + "/")
            if inside and len(mounted) >= len(best):
                best, kind = mounted, after.split()[0]
        return kind

    def core_dumps(self) -> bool:
        """Whether a crash of a process like this one would leave its memory in a file."""
        return resource.getrlimit(resource.RLIMIT_CORE)[0] != 0

    def swap(self) -> bool:
        """Whether memory may be written to a disk."""
        try:
            return len(Path("/proc/swaps").read_text("ascii").splitlines()) > 1
        except OSError:
            return False

    def open_files(self) -> int:
        """How many files a process like this one may have open."""
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def holder_of(lock: Path) -> int:
    """The process that holds a lock file, as the kernel says it; 0 when nobody does. Nothing is locked to find out."""
    try:
        status = lock.stat()
        lines = Path("/proc/locks").read_text("ascii").splitlines()
    except OSError:
        return 0
    wanted = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in lines:
        parts = line.split()
        if len(parts) >= 6 and parts[1] == "FLOCK" and parts[5] == wanted:
            return int(parts[4])
    return 0
