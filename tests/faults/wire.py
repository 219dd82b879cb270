"""A TCP proxy between gateway and PostgreSQL that counts protocol messages and cuts the connection at one of them.

Frontend/Backend protocol 3.0, §55.7 "Message Formats": after the start-up message every message is one type octet and
a length of four octets that counts itself.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass, field
from typing import Final, Literal

Direction = Literal["to the server", "to the client"]
DIRECTIONS: Final[tuple[Direction, Direction]] = ("to the server", "to the client")
SSL_REQUEST: Final = 80877103


@dataclass
class Wire:
    """Forwards everything, and counts messages while armed."""

    target: int
    port: int = 0
    counts: dict[Direction, int] = field(default_factory=dict)
    commits: list[tuple[Direction, int]] = field(default_factory=list)
    cuts: int = 0
    _cut_at: tuple[Direction, int] | None = None
    _armed: bool = False
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Wire:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def dsn(self) -> str:
        return f"postgresql://sambud@127.0.0.1:{self.port}/postgres"

    def watch(self, cut_at: tuple[Direction, int] | None = None) -> None:
        """Count from one; cut once, instead of forwarding that message."""
        self.counts = dict.fromkeys(DIRECTIONS, 0)
        self.commits = []
        self._cut_at, self._armed = cut_at, True

    def rest(self) -> None:
        """Forward without counting."""
        self._cut_at, self._armed = None, False

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            upstream, downstream = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        ends = (writer, downstream)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._start(reader, writer, downstream, ends))
                group.create_task(self._forward("to the client", upstream, writer, ends))
        except* (OSError, asyncio.IncompleteReadError, _Cut):
            pass
        finally:
            for end in ends:
                end.transport.abort()

    async def _start(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        downstream: asyncio.StreamWriter,
        ends: tuple[asyncio.StreamWriter, ...],
    ) -> None:
        while True:
            head = await reader.readexactly(8)
            length, code = struct.unpack(">II", head)
            if code != SSL_REQUEST:
                break
            writer.write(b"N")  # no TLS on this loopback
        downstream.write(head + await reader.readexactly(length - 8))
        await self._forward("to the server", reader, downstream, ends)

    async def _forward(
        self,
        direction: Direction,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        ends: tuple[asyncio.StreamWriter, ...],
    ) -> None:
        while True:
            head = await source.readexactly(5)
            body = await source.readexactly(int.from_bytes(head[1:]) - 4)
            if self._armed:
                self.counts[direction] += 1
                if body.startswith(b"COMMIT"):
                    self.commits.append((direction, self.counts[direction]))
                if self._cut_at == (direction, self.counts[direction]):
                    self._cut_at = None
                    self.cuts += 1
                    for end in ends:
                        end.transport.abort()
                    raise _Cut
            sink.write(head + body)
            await sink.drain()


class _Cut(Exception):
    """The connection was cut on purpose."""
