"""What the mail neighbour must still know after a restart: outcomes of mails, and whom it has answered today.

Why this exists: a bounce comes once. Between its arrival and the moment a worker asks what became of the parcel, the
gateway may end; so the outcome is on disk before the bounce is removed. No file holds an address or a word of a mail.

Rules: the first final word stays, but a receipt, which only who decrypted the mail can send, overrules a bounce; what
is older than a month is swept.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from pathlib import Path
from typing import Final

from gateway.model.base import DAY, Instant
from gateway.neighbours import Reason, Telling, Told

KEEP_DAYS: Final = 30
#: Beyond so many answers a day nothing more is answered: a flood of forged senders must not become a flood of ours.
MOST_ANSWERS: Final = 200


class Outcomes:
    """By mail, what came back of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def note(self, identifier: str, told: Told, *, proven: bool) -> None:
        """Keep an outcome, durably. `identifier` is a UUID; `proven`: by a receipt from inside the encryption."""
        before = self.of(identifier)
        if before is not None and not (proven and before.telling is Telling.REFUSED):
            return
        file = self._folder / identifier
        fresh = file.with_suffix(".new")
        with fresh.open("wb") as opened:
            opened.write(json.dumps([told.telling, told.reason, told.detail]).encode())
            opened.flush()
            os.fsync(opened.fileno())
        fresh.rename(file)
        _synced(self._folder)

    def of(self, identifier: str) -> Told | None:
        try:
            telling, reason, detail = json.loads((self._folder / identifier).read_bytes())
        except (OSError, ValueError):
            return None
        return Told(Telling(telling), Reason(reason), identifier, detail)

    def refused(self) -> dict[str, Told]:
        """Every refusal that is kept, by mail."""
        found = {file.name: self.of(file.name) for file in self._folder.iterdir() if not file.suffix}
        return {name: told for name, told in found.items() if told is not None and told.telling is Telling.REFUSED}

    def sweep(self, now: Instant) -> None:
        """Remove what nobody asks about any more; by the files' own time, which no test's clock moves."""
        for file in self._folder.iterdir():
            if file.stat().st_mtime * 1_000_000 < now - KEEP_DAYS * DAY:
                file.unlink(missing_ok=True)


class Returned:
    """Notices that came back for good, until the worker has counted them: ids alone, which say nothing without it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def note(self, identifier: str) -> None:
        """Keep that this one, a UUID, came back; durably, since a bounce comes once."""
        (self._folder / identifier).touch(mode=0o600)
        _synced(self._folder)

    def waiting(self) -> list[str]:
        return sorted(file.name for file in self._folder.iterdir())

    def settled(self, identifier: str) -> None:
        (self._folder / identifier).unlink(missing_ok=True)


class Answered:
    """Whom we told today that ordinary mail is not read here: a MAC of each address, for the day."""

    def __init__(self, folder: Path, key: bytes) -> None:
        self._folder = folder
        self._key = key
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def first_today(self, address: str, now: Instant) -> bool:
        """Whether this sender may be answered now; from then on it has been."""
        day = str(now // DAY)
        said = f"{day}\0{address.lower()}".encode()
        name = f"{day}-{hmac.digest(self._key, b'sambud/v1/answered' + said, hashlib.sha256)[:16].hex()}"
        for file in self._folder.iterdir():
            if not file.name.startswith(f"{day}-"):
                file.unlink(missing_ok=True)
        if sum(1 for _ in self._folder.iterdir()) >= MOST_ANSWERS:
            return False
        try:
            (self._folder / name).touch(mode=0o600, exist_ok=False)
        except FileExistsError:
            return False
        return True


def _synced(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
