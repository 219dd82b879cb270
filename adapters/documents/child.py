"""Child processes for octets that came from outside: bounded in time, memory and output, by pipe, nothing on disk.

Why this exists: PDF, CMS and images are formats with decades of parser faults. What reads them gets a process of its
own for each piece of work, so that a bomb costs ten seconds of one child and never the gateway (security.md T36, T41,
X09), and nothing of one person's matter is left in memory for the next.

Rules: trouble is a value (`Ended`), never a traceback; standard error is thrown away, because it may quote content; a
cancelled caller leaves no child behind.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

LIMITS: Final = Path(__file__).with_name("limits.py")
PIECE: Final = 64 * 1024
MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What one child may take."""

    seconds: float = 10
    memory: int = 768 * MIB
    output: int = 64 * MIB


class How(StrEnum):
    """How a child ended."""

    DONE = "done"  # by itself, with a status
    KILLED = "killed"  # by a signal: its own fault, or a limit of the kernel's
    TOO_LONG = "too-long"
    TOO_MUCH = "too-much"  # it said more than it may


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of it. `output` counts only when it is `fine`."""

    how: How
    status: int = 0
    output: bytes = b""

    @property
    def fine(self) -> bool:
        return self.how is How.DONE and self.status == 0


class Children:
    """Runs programs in limited processes, few at once: callers wait for their turn, the event loop never does."""

    def __init__(self, *, most: int = 2) -> None:
        self._turns = asyncio.Semaphore(most)

    async def run(
        self,
        program: Sequence[str],
        given: bytes | AsyncIterator[bytes] = b"",
        *,
        limits: Limits = Limits(),
        handed: Sequence[bytes] = (),
    ) -> Ended:
        """Run `program` with `given` on its standard input, and say how it ended.

        Args:
            program: an absolute path and its arguments. One that ends with `.py` is run by this Python, isolated: it
                sees the installed packages and none of ours.
            given: octets, or pieces of them: then no more than a piece is held here at a time.
            handed: further octets, which the program reads as files: the argument `{0}` becomes the path of the first.
        """
        async with self._turns:
            with ExitStack() as held:
                numbers = [_in_memory(octets, held) for octets in handed]
                named = [_replaced(argument, numbers) for argument in program]
                return await _ended(named, given, limits, numbers)


async def started(program: Sequence[str], limits: Limits, numbers: Sequence[int] = ()) -> asyncio.subprocess.Process:
    """A limited process with pipes; `limits.seconds` is its processor time, and whoever waits for it has a clock."""
    limited = [sys.executable, "-I", "-B", str(LIMITS), str(limits.memory), str(int(limits.seconds) + 1), "--"]
    return await asyncio.create_subprocess_exec(
        *limited,
        *program,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"},
        start_new_session=True,
        pass_fds=tuple(numbers),
    )


async def ended(process: asyncio.subprocess.Process) -> None:
    """End it, and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # A pipe that nobody reads to its end would keep `wait` waiting for ever (a child that says too much).
    process._transport.close()  # type: ignore[attr-defined]
    await process.wait()


async def _ended(
    program: Sequence[str], given: bytes | AsyncIterator[bytes], limits: Limits, numbers: Sequence[int]
) -> Ended:
    process = await started(program, limits, numbers)
    how, output = How.DONE, b""
    try:
        async with asyncio.timeout(limits.seconds):
            _, output = await asyncio.gather(_give(process, given), _take(process, limits.output))
            await process.wait()
    except TimeoutError:
        how = How.TOO_LONG
    except _TooMuchError:
        how = How.TOO_MUCH
    finally:
        await ended(process)
    status = process.returncode or 0
    if how is How.DONE and status < 0:
        how = How.KILLED
    return Ended(how, status, output if how is How.DONE else b"")


class _TooMuchError(Exception):
    """More output than is read."""


async def _give(process: asyncio.subprocess.Process, given: bytes | AsyncIterator[bytes]) -> None:
    writer = process.stdin
    if writer is None:
        return
    with suppress(BrokenPipeError, ConnectionResetError):  # it has read enough, or is gone: its status says which
        async for piece in _in_pieces(given) if isinstance(given, bytes) else given:
            writer.write(piece)
            await writer.drain()
    writer.close()


async def _in_pieces(octets: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(octets), PIECE):
        yield octets[start : start + PIECE]


async def _take(process: asyncio.subprocess.Process, most: int) -> bytes:
    reader = process.stdout
    found = bytearray()
    while reader is not None and (piece := await reader.read(PIECE)):
        found += piece
        if len(found) > most:
            raise _TooMuchError
    return bytes(found)


def _in_memory(octets: bytes, held: ExitStack) -> int:
    """The number of a file that lies in memory only, open until `held` ends."""
    number = os.memfd_create("given", 0)
    held.callback(os.close, number)
    left = memoryview(octets)
    while left:
        left = left[os.write(number, left) :]
    return number


def _replaced(argument: str, numbers: Sequence[int]) -> str:
    for place, number in enumerate(numbers):
        argument = argument.replace(f"{{{place}}}", f"/dev/fd/{number}")
    return argument
