"""The Examiner port: one limited child process for each file that is looked into."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from adapters.documents.child import MIB, Children, Limits
from gateway.filetypes import Fault

EXAMINE: Final = Path(__file__).with_name("examine.py")
#: Ten seconds (X09), and memory for a small file and what a parser makes of it; a large one is read in more of both.
LIMITS: Final = Limits(seconds=10, memory=512 * MIB, output=64)
LARGE: Final = 100_000_000
OCTETS_A_SECOND: Final = 20_000_000


class ChildExaminer:
    """Looks into files, few at once."""

    def __init__(self, children: Children | None = None, *, limits: Limits = LIMITS) -> None:
        self._children = children or Children()
        self._limits = limits

    async def examine(self, media_type: str, size: int, pieces: AsyncIterator[bytes]) -> Fault | None:
        """None when it may be taken. A child that is killed, runs on or says what we do not know: DAMAGED."""
        limits = dataclasses.replace(
            self._limits,
            memory=self._limits.memory + 3 * size,
            seconds=self._limits.seconds + max(0, size - LARGE) / OCTETS_A_SECOND,
        )
        ended = await self._children.run([str(EXAMINE), media_type], pieces, limits=limits)
        if not ended.fine:
            return Fault.DAMAGED
        said = ended.output.decode("ascii", "replace")
        try:
            return Fault(said) if said else None
        except ValueError:
            return Fault.DAMAGED
