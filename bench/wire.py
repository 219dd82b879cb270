"""HTTP on a bare stream: requests as octets made beforehand, answers as a status and a body.

Why this exists: a comfortable client costs as much processor as the server it measures. Every client of the
measurements, for Sambud and for its peers, speaks through this.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Final

from bench import tls
from gateway.errors import GatewayError

PIECE: Final = 256 * 1024
POLL_S: Final = 0.005


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said."""

    status: int
    body: bytes

    def require(self, wanted: int) -> Answer:
        if self.status != wanted:
            raise GatewayError(f"the server answered {self.status}: {self.body[:300].decode('utf-8', 'replace')}")
        return self

    def json(self) -> Any:
        return json.loads(self.body)


def request(
    method: str,
    path: str,
    *,
    token: str = "",
    body: bytes = b"",
    headers: str = "",
    kind: str = "application/json",
) -> bytes:
    """A request, ready to be written; `headers` are whole lines, each with its end."""
    bearer = f"Authorization: Bearer {token}\r\n" if token else ""
    told = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n" if body or method != "GET" else ""
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{bearer}{headers}{told}\r\n".encode() + body


class Wire:
    """One keep-alive connection on loopback."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int, *, secure: bool = False) -> Wire:
        context = tls.client() if secure else None
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=context, limit=1024 * 1024))

    async def ask(self, octets: bytes) -> Answer:
        self.writer.write(octets)
        return await self.answer()

    async def until(self, octets: bytes, holds: bytes) -> Answer:
        """Ask again and again until an answer holds `holds`: what a client does that is told nothing."""
        while True:
            found = (await self.ask(octets)).require(200)
            if holds in found.body:
                return found
            await asyncio.sleep(POLL_S)

    async def answer(self) -> Answer:
        status, length, chunked = await self.head()
        if not chunked:
            return Answer(status, await self.reader.readexactly(length) if length else b"")
        pieces = []
        while size := int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16):
            pieces.append(await self.reader.readexactly(size))
            await self.reader.readexactly(2)
        await self.reader.readexactly(2)
        return Answer(status, b"".join(pieces))

    async def head(self) -> tuple[int, int, bool]:
        """Status, announced length, and whether the body comes in chunks instead."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        lower = head.lower()
        _, _, rest = lower.partition(b"\r\ncontent-length:")
        return int(head[9:12]), int(rest.partition(b"\r\n")[0] or 0), b"\r\ntransfer-encoding: chunked" in lower

    async def swallow(self, size: int) -> None:
        """Read a body of exactly `size` octets and drop it."""
        status, length, _ = await self.head()
        if status != 200:
            Answer(status, await self.reader.readexactly(length)).require(200)
        got = 0
        while got < length and (piece := await self.reader.read(PIECE)):
            got += len(piece)
        if (length, got) != (size, size):
            raise GatewayError(f"{got} of {length} octets came, {size} were sent")

    def close(self) -> None:
        self.writer.close()
