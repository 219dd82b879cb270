"""The part of a disk that new content may not fill.

Why this exists: nothing is opened, refused or taken back without a log entry, so a disk that attachments filled to the
last octet would stop everything (security-decisions H2: 5 % of disk is reserved for the log).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from gateway.errors import StoreFullError, StoreUnavailableError

#: On a large disk, more than this is not needed for the log of the days it takes to make room.
MOST_BYTES: Final = 10 * 1024**3


class Reserve:
    """The last `percent` of the disk that `folder` lies on, at most 10 GiB; 0 reserves nothing."""

    def __init__(self, folder: Path, percent: int) -> None:
        self._folder = folder
        self._percent = percent

    def check(self) -> None:
        """Raises StoreFullError when only the reserve is left."""
        if not self._percent:
            return
        try:
            disk = os.statvfs(self._folder)
        except OSError as trouble:
            raise StoreUnavailableError(
                "the disk cannot be asked for its room",
                swedish="Det går inte att spara just nu.",
                next_step="Försök igen om en stund. Inget har skickats, utkastet är kvar.",
            ) from trouble
        reserved = min(disk.f_blocks * disk.f_frsize * self._percent // 100, MOST_BYTES)
        if disk.f_bavail * disk.f_frsize < reserved:
            raise StoreFullError(
                "only the reserve of the disk is left",
                swedish="Disken är nästan full. Inget nytt tas emot, men det som finns kan läsas.",
                next_step="Kontakta driften. Det som redan är sparat är kvar.",
            )
