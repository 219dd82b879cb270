"""Processes that make pages, kept for a while: a thousand a minute are not worth a thousand starts of Python.

Why this exists: a page takes 20 ms to make and three times as long to start for. What makes pages is given words of
our own members as data and a template of ours, no file from outside, so one process may make several, one after the
other, within limits for all of them; what reads what comes from outside never does.

Rules: each makes PAGES at most, and none after trouble; whoever is cancelled takes the process along, because half an
answer is in the pipe; when the gateway ends, their input ends, and so do they.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapters.documents.child import MIB, Limits, ended, started

PROGRAM: Final = (str(Path(__file__).with_name("make_pdf.py")),)
MAX_PDF: Final = 20_000_000
MAKING: Final = Limits(seconds=30, memory=1024 * MIB, output=MAX_PDF + 4)
PAGES: Final = 100
#: Processor time of one process for all its pages.
LIFE: Final = Limits(seconds=120, memory=MAKING.memory, output=MAKING.output)


def framed(octets: bytes) -> bytes:
    """As `make_pdf.py` reads it: the length in four octets, then the octets."""
    return len(octets).to_bytes(4) + octets


def unframed(octets: bytes) -> bytes:
    """What one answer holds; nothing when it is not whole."""
    return octets[4:] if len(octets) >= 4 and int.from_bytes(octets[:4]) == len(octets) - 4 else b""


@dataclass(slots=True)
class _Maker:
    process: asyncio.subprocess.Process
    made: int = 0


class Makers:
    """Makes pages with few processes; use `kept` to have them ended."""

    def __init__(self, *, most: int = 2, pages: int = PAGES) -> None:
        self._turns = asyncio.Semaphore(most)
        self._pages = pages
        self._idle: list[_Maker] = []

    async def make(self, asked: bytes) -> bytes:
        """The page for a framed request; nothing when it cannot be made."""
        async with self._turns:
            while self._idle:
                if answer := await self._made(self._idle.pop(), asked):
                    return answer  # one that waited may have died meanwhile: that is no word about this page
            return await self._made(_Maker(await started(PROGRAM, LIFE)), asked)

    async def _made(self, maker: _Maker, asked: bytes) -> bytes:
        answer = b""
        try:
            async with asyncio.timeout(MAKING.seconds):
                answer = await _answer(maker.process, asked)
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            pass  # it is ended below
        finally:
            maker.made += 1
            if answer and maker.made < self._pages:
                self._idle.append(maker)
            else:
                await ended(maker.process)
        return answer

    async def close(self) -> None:
        while self._idle:
            await ended(self._idle.pop().process)


@asynccontextmanager
async def kept(*, most: int = 2) -> AsyncIterator[Makers]:
    """Makers that end with the context."""
    makers = Makers(most=most)
    try:
        yield makers
    finally:
        await makers.close()


async def _answer(process: asyncio.subprocess.Process, asked: bytes) -> bytes:
    if process.stdin is None or process.stdout is None:
        return b""
    process.stdin.write(asked)
    await process.stdin.drain()
    length = int.from_bytes(await process.stdout.readexactly(4))
    return await process.stdout.readexactly(length) if length <= MAX_PDF else b""
