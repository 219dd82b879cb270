"""Screening: what is looked at in a file before anybody is given it (docs/channels.md §10).

Why this exists: a file is untrusted octets about somebody in need. Two looks are taken at every file, on its way in and
on its way out alike: a child process reads its structure (encryption, scripts, what hangs on behind its end), and a
scanner looks for malware. Neither is done in this process, and neither sees more than the octets.

Rules: the structure must be told, or the file is refused; malware must be told as well, but a scanner may be away: then
there is no verdict, and a file without one is kept sealed and given to nobody. No verdict, no file.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from gateway.filetypes import Fault, FileRefusedError

#: Gives the plaintext of a file in pieces, from its beginning, each time it is called.
Pieces = Callable[[], AsyncIterator[bytes]]


class Verdict(StrEnum):
    """What a scanner says."""

    CLEAN = "clean"
    FOUND = "found"
    NONE = "none"  # it is away, or did not look at all of it


class Scanner(Protocol):
    """Looks for malware. Trouble is a Verdict, never an exception."""

    async def scan(self, pieces: AsyncIterator[bytes]) -> Verdict: ...
    async def answers(self) -> bool:
        """Whether it would give a verdict now."""


class Examiner(Protocol):
    """Reads the structure of a file, in a process with limits. Trouble is a Fault (DAMAGED), never an exception."""

    async def examine(self, media_type: str, size: int, pieces: AsyncIterator[bytes]) -> Fault | None: ...


class NoScanner:
    """Where no scanner is set up: the look at the structure is all there is, and `doctor` says so."""

    async def scan(self, pieces: AsyncIterator[bytes]) -> Verdict:
        return Verdict.CLEAN

    async def answers(self) -> bool:
        return True


class NoExaminer:
    """Looks at nothing: for tests of other things."""

    async def examine(self, media_type: str, size: int, pieces: AsyncIterator[bytes]) -> Fault | None:
        return None


NO_SCANNER: Final = NoScanner()
NO_EXAMINER: Final = NoExaminer()


@dataclass(frozen=True, slots=True)
class Screening:
    """Both looks, in their order: the structure first, since it is quick and needs nobody else."""

    examiner: Examiner = NO_EXAMINER
    scanner: Scanner = NO_SCANNER

    @property
    def scans(self) -> bool:
        """Whether a scanner is set up."""
        return self.scanner is not NO_SCANNER

    @property
    def examines(self) -> bool:
        """Whether anybody reads the structure of files; everywhere but in tests of other things."""
        return self.examiner is not NO_EXAMINER

    async def look(self, media_type: str, size: int, pieces: Pieces) -> Verdict:
        """Whether a file may be given to people: CLEAN, or NONE when there is no verdict yet.

        Raises:
            FileRefusedError: it never may.
        """
        fault = await self.examiner.examine(media_type, size, pieces())
        if fault is not None:
            raise FileRefusedError(fault)
        verdict = await self.scanner.scan(pieces())
        if verdict is Verdict.FOUND:
            raise FileRefusedError(Fault.MALWARE)
        return verdict
