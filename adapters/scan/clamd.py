"""A client of clamd's INSTREAM command (clamd(8), COMMANDS): octets out, one verdict back.

Why this exists: the published clients are unmaintained or block the event loop, and the protocol is four lines: a
command, chunks with their length before them, a chunk of length nought, an answer that ends with NUL. clamd runs beside
the gateway, on a Unix socket or on loopback; what it is sent is plaintext, so it is never reached over a network.

Rules: every wait has an end; whatever is not a clear OK or FOUND is no verdict (fail closed); what was found is not
told further than "found", since a signature's name is somebody else's text.
"""

from __future__ import annotations

import asyncio
import ipaddress
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

import structlog

from gateway.errors import SetupError
from gateway.screening import Verdict

CONNECT_S: Final = 5.0
#: For one file, from the first octet to the verdict: clamd's own MaxScanTime is two minutes.
SCAN_S: Final = 120.0
PING_S: Final = 2.0
PIECE: Final = 64 * 1024
MAX_ANSWER: Final = 4096
AT_ONCE: Final = 4
#: "Not looked at whole" is told as a find (clamd.conf, AlertExceedsMax): it is no verdict on the file.
_LIMITS: Final = b"Heuristics.Limits.Exceeded"
log = structlog.get_logger()


class Clamd:
    """The Scanner port over one clamd.

    Args:
        place: a path, for a Unix socket, or `127.0.0.1:3310`.

    Raises:
        SetupError: another machine, or no port.
    """

    def __init__(self, place: str, *, seconds: float = SCAN_S) -> None:
        self._path, self._host, self._port = _parsed(place)
        self._seconds = seconds
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def scan(self, pieces: AsyncIterator[bytes]) -> Verdict:
        try:
            async with self._turns, asyncio.timeout(self._seconds):
                answer = await self._asked(b"zINSTREAM\0", pieces)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as trouble:
            log.warning("the malware scanner gives no verdict", kind=type(trouble).__name__)
            return Verdict.NONE
        verdict = verdict_of(answer)
        if verdict is Verdict.NONE:
            log.warning("the malware scanner did not look at all of a file", said=_kind(answer))
        return verdict

    async def answers(self) -> bool:
        try:
            async with asyncio.timeout(PING_S):
                return await self._asked(b"zPING\0") == b"PONG"
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return False

    async def _asked(self, command: bytes, pieces: AsyncIterator[bytes] | None = None) -> bytes:
        async with asyncio.timeout(CONNECT_S):
            if self._path:
                reader, writer = await asyncio.open_unix_connection(self._path, limit=MAX_ANSWER)
            else:
                reader, writer = await asyncio.open_connection(self._host, self._port, limit=MAX_ANSWER)
        try:
            writer.write(command)
            # clamd answers early and hangs up when the stream is larger than it takes (StreamMaxLength).
            with suppress(ConnectionResetError, BrokenPipeError):
                if pieces is not None:
                    async for piece in pieces:
                        await _give(writer, piece)
                    writer.write(struct.pack("!L", 0))
                await writer.drain()
            return (await reader.readuntil(b"\0"))[:-1]
        finally:
            writer.close()


async def _give(writer: asyncio.StreamWriter, piece: bytes) -> None:
    for start in range(0, len(piece), PIECE):
        part = piece[start : start + PIECE]
        writer.write(struct.pack("!L", len(part)) + part)
        await writer.drain()


def verdict_of(answer: bytes) -> Verdict:
    """clamd's words for a stream: `stream: OK`, `stream: NAME FOUND`, `… ERROR`."""
    if answer == b"stream: OK":
        return Verdict.CLEAN
    if answer.startswith(b"stream: ") and answer.endswith(b" FOUND"):
        return Verdict.NONE if _LIMITS in answer else Verdict.FOUND
    return Verdict.NONE


def _kind(answer: bytes) -> str:
    """Which of clamd's own refusals it was; never the rest of its words."""
    for known in (b"size limit exceeded", b"Limits.Exceeded", b"Can't allocate", b"TimeOut"):
        if known in answer:
            return known.decode()
    return "other"


def _parsed(place: str) -> tuple[str, str, int]:
    if place.startswith("/"):
        return place, "", 0
    host, _, port = place.rpartition(":")
    try:
        if ipaddress.ip_address(host.strip("[]")).is_loopback and 0 < int(port) < 65536:
            return "", host.strip("[]"), int(port)
    except ValueError:
        pass
    raise SetupError(
        "clamd must be on this machine",
        swedish="SAMBUD_CLAMD ska vara en sökväg till clamds uttag, eller en port på den egna datorn (127.0.0.1:3310).",
        next_step="Filer skickas dit i klartext, så clamd måste köra på samma dator.",
    )
