"""The machine that the gateway runs on, as far as an operator must watch it: room on its disks, and its clock."""

from __future__ import annotations

import ctypes
import os
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
