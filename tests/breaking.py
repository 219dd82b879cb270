"""A network that loses things: a proxy on loopback that breaks each connection as it was told to.

One word for each connection, in order; when the words are spent, everything passes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit


class Break(StrEnum):
    PASS = "pass"
    REFUSE = "refuse"  # closed as soon as it is opened
    BEFORE = "before"  # the request is taken, and never reaches the gateway
    AFTER = "after"  # the gateway has answered, and nothing of it comes back
    MIDDLE = "middle"  # the first octets of the answer come back


@dataclass
class Network:
    """The proxy: where it listens, what it does next, and what it did."""

    target: str
    plan: list[Break] = field(default_factory=list)
    done: list[Break] = field(default_factory=list)
    address: str = ""
    middle: int = 40  # octets that pass of an answer that is broken in the middle

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        act = self.plan.pop(0) if self.plan else Break.PASS
        self.done.append(act)
        try:
            if act is not Break.REFUSE:
                with contextlib.suppress(ConnectionError):
                    await self._carry(act, reader, writer)
        finally:
            await _closed(writer)

    async def _carry(self, act: Break, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if act is Break.BEFORE:
            await reader.read(65536)
            return
        port = urlsplit(self.target).port or 80
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        sending = asyncio.create_task(_copy(reader, up_writer))
        try:
            if act is Break.PASS:
                await _copy(up_reader, writer)
            else:
                answer = await up_reader.read(65536)
                assert answer.startswith(b"HTTP/1.1 ")
                if act is Break.MIDDLE:
                    writer.write(answer[: self.middle])
                    await writer.drain()
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await sending
            await _closed(up_writer)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while octets := await reader.read(65536):
        writer.write(octets)
        await writer.drain()


@asynccontextmanager
async def broken(target: str, plan: Sequence[Break] = (), *, middle: int = 40) -> AsyncIterator[Network]:
    """The gateway at `target` behind such a network."""
    network = Network(target, list(plan), middle=middle)
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            await network.serve(reader, writer)
        finally:
            running.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    network.address = f"http://localhost:{server.sockets[0].getsockname()[1]}"
    try:
        yield network
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await server.wait_closed()
