"""A Maildir that the receiving mail server delivers into, and we empty: each mail is read, then removed or laid aside.

Why this exists: it is the simplest thing that a mail server and a gateway can share without losing a mail: delivered by
rename, read by name, gone by unlink, and whatever ends in the middle finds the mail where it was. What a person must
look at is laid in a folder of its own (Maildir++), where an ordinary mail program shows it.

Rules: only `new/` is read; a mail larger than a mail may be is never read into memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gateway.neighbours import Reason

MAX_OCTETS: Final = 64 * 1024 * 1024
AT_ONCE: Final = 100
#: Folders of what is laid aside, by why it is.
_ASIDE: Final[Mapping[str, Reason]] = {f".{reason}": reason for reason in Reason if reason is not Reason.NONE}


class Maildir:
    """One Maildir of ours."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("tmp", "new", "cur"):
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    def waiting(self) -> list[str]:
        """The names of what was delivered, the oldest first, not all at once."""
        found = []
        for file in (self._folder / "new").iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process took it
                found.append((file.stat().st_mtime_ns, file.name))
        return [name for _, name in sorted(found)[:AT_ONCE]]

    def read(self, name: str) -> bytes | None:
        """A mail; None when it is too large to be one."""
        file = self._folder / "new" / name
        return file.read_bytes() if file.stat().st_size <= MAX_OCTETS else None

    def remove(self, name: str) -> None:
        (self._folder / "new" / name).unlink(missing_ok=True)

    def lay_aside(self, name: str, reason: Reason) -> None:
        """Keep a mail for a person, in the folder of its reason."""
        aside = self._folder / f".{reason}"
        for part in ("tmp", "new", "cur"):
            (aside / part).mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._folder / "new" / name).rename(aside / "new" / name)

    def aside(self) -> dict[str, Reason]:
        """What lies there for a person, by its name, also when a mail program has shown it already."""
        return {
            file.name.partition(":")[0]: reason
            for folder, reason in _ASIDE.items()
            for part in ("new", "cur")
            if (place := self._folder / folder / part).is_dir()
            for file in place.iterdir()
        }
