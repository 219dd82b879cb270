"""The other side of an HTTP connection, octet by octet, and a gateway whose clock a test moves."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from adapters.http.address import Names
from adapters.http.api import ROUTES
from adapters.http.deadlines import Connections
from adapters.http.limits import UNPACED, Limits
from adapters.http.server import CONNECTIONS, application, listening
from adapters.http.web import NAV, PAGES
from adapters.http.web.frame import Web
from tests.county import County, a_county, password_of

PHONES = {"Socialjouren": "0470-00 00 00"}


@dataclass
class Stopwatch:
    """Seconds that pass when a test says so."""

    seconds: float = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Answer:
    """One answer as it came."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


@dataclass
class Peer:
    """A connection on which anything may be sent."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, octets: bytes) -> None:
        self.writer.write(octets)
        await self.writer.drain()

    async def answer(self, seconds: float = 10.0) -> Answer:
        """The next answer; status 0 when the connection ends without one."""
        try:
            async with asyncio.timeout(seconds):
                head = await self.reader.readuntil(b"\r\n\r\n")
                lines = head.decode("latin-1").split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines[1:-2])}
                body = await self.reader.readexactly(int(headers.get("content-length", "0")))
                return Answer(int(lines[0].split()[1]), headers, body)
        except (asyncio.IncompleteReadError, ConnectionError):
            return Answer(0)

    async def is_cut(self, seconds: float = 5.0) -> bool:
        """Whether the other side ends the connection now, whatever it still sends."""
        try:
            async with asyncio.timeout(seconds):
                while await self.reader.read(65_536):
                    pass
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return True

    def close(self) -> None:
        self.writer.transport.abort()


@dataclass
class Served:
    """A gateway that serves."""

    county: County
    app: web.Application
    port: int
    watch: Stopwatch
    socket: Path | None = None
    peers: list[Peer] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    @property
    def connections(self) -> Connections:
        return self.app[CONNECTIONS]

    async def connect(self, octets: bytes = b"", *, unix: bool = False, window: int = 0, port: int = 0) -> Peer:
        """A connection, on which `octets` are sent at once; with `window`, of one who takes little at a time; with
        `port`, to whoever stands in front."""
        if unix:
            reader, writer = await asyncio.open_unix_connection(str(self.socket))
        else:
            end = socket.socket()
            end.setblocking(False)
            if window:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
            await asyncio.get_running_loop().sock_connect(end, ("127.0.0.1", port or self.port))
            reader, writer = await asyncio.open_connection(sock=end, limit=window or 2**16)
        peer = Peer(reader, writer)
        self.peers.append(peer)
        if octets:
            await peer.send(octets)
        return peer

    async def raw(self, octets: bytes, *, unix: bool = False, seconds: float = 10.0) -> Answer:
        """What comes back for `octets` on a connection of their own."""
        peer = await self.connect(octets, unix=unix)
        try:
            return await peer.answer(seconds)
        finally:
            peer.close()

    async def ask(self, method: str, path: str, body: bytes = b"", *, unix: bool = False, **headers: str) -> Answer:
        return await self.raw(self.request(method, path, body, **headers), unix=unix)

    def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
        """A proper request; header names are given with _ for -."""
        fields = {"Host": self.host, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if body:
            fields["Content-Length"] = str(len(body))
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body

    async def later(self, seconds: float) -> None:
        """Let `seconds` pass, a second at a time, as the gateway looks at its connections."""
        while seconds > 0:
            step = min(1.0, seconds)
            self.watch.seconds += step
            seconds -= step
            self.connections.sweep()
        await self.settle()

    async def settle(self) -> None:
        """Let what has been sent arrive and be worked on."""
        for _ in range(20):
            await asyncio.sleep(0.002)

    async def token(self, login: str) -> str:
        from gateway.factors import code_for
        from gateway.model.base import MINUTE

        self.county.clock.advance(MINUTE // 2)
        code = code_for(self.county.seeds[login], self.county.clock.now())
        return (await self.county.gateway.sign_in.sign_in(login, password_of(login), code)).token


@asynccontextmanager
async def served(
    limits: Limits = UNPACED,
    *,
    pages: bool = True,
    unix: Path | None = None,
    public_url: str = "",
    real_time: bool = False,
    **county: Any,
) -> AsyncIterator[Served]:
    """A gateway on loopback; its bounds in time are the test's own unless `real_time`."""
    async with a_county(**county) as made:
        routes = (*ROUTES, *PAGES) if pages else ROUTES
        renderer = Web(made.gateway, routes, NAV, duty_phones=PHONES) if pages else None
        app = application(made.gateway, routes, renderer, limits=limits, names=Names(public_url))
        watch = Stopwatch()
        clock = {} if real_time else {"now": watch}
        async with listening(app, "127.0.0.1", 0, unix=unix, **clock) as address:
            found = Served(made, app, int(address.rpartition(":")[2]), watch, unix)
            try:
                yield found
            finally:
                for peer in found.peers:
                    peer.close()
