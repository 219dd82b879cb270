"""Where the gateway listens: TCP on loopback, and a Unix socket for the proxy in front; every connection has bounds.

Why this exists: a proxy that speaks to us over TCP is one of many who can, and whatever it says about its caller
anybody may say. Only the proxy's group can open the socket (mode 0660), so only there its word counts
(adapters/http/address.py). Trouble that comes before there is a request (octets that are no HTTP, no place for another
connection) is answered here, in the same form and with the same headers as everywhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import resource
import socket
import stat
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import structlog
from aiohttp import web

from adapters.http.address import block_of
from adapters.http.admission import GATE
from adapters.http.deadlines import Connection, Connections
from adapters.http.headers import BARE_HEADERS
from adapters.http.limits import Limits, Now
from adapters.http.problems import of_status, refusal
from gateway.errors import SetupError

BACKLOG: Final = 1_024
MODE: Final = 0o660
SHUTDOWN_S: Final = 15.0
FILES_APART: Final = 256  # descriptors for the database, attachments, logs
CONNECTIONS: Final = web.AppKey("connections", Connections)
DUTY_PHONES: Final = web.AppKey("duty_phones", Mapping[str, str])
log = structlog.get_logger()


class Handler(web.RequestHandler):
    """aiohttp's handler of one connection; trouble with octets that are no HTTP is told as all other trouble is."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Its text would quote the input, and its log too; ours name the kind only."""
        log.info("malformed", kind=type(exc).__name__, status=status)
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the answer is on its way already")
        response = of_status(status, str(uuid.uuid4()))
        response.headers.update(BARE_HEADERS)
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        kind = kw.get("exc_info")
        log.error("connection", kind=type(kind).__name__)


@asynccontextmanager
async def listening(
    app: web.Application, host: str, port: int, *, unix: Path | None = None, now: Now = time.monotonic
) -> AsyncIterator[str]:
    """Serve `app` while the context lasts; gives the address over TCP.

    Args:
        unix: a socket for the proxy in front; its folder decides who can reach it.
        now: the clock of every bound in time; a test that gives its own calls `app[CONNECTIONS].sweep()` itself.

    Raises:
        SetupError: the port or the socket is in use, or the socket cannot be made.
    """
    limits = app[GATE].limits
    connections = Connections(_within_files(limits), now, refusal(app[DUTY_PHONES]))
    app[CONNECTIONS] = connections
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(runner.cleanup)
        loop = asyncio.get_running_loop()

        def connection(*, from_proxy: bool) -> Connection:
            return Connection(connections, lambda: _handler(runner, limits, loop), _block, from_proxy=from_proxy)

        server = await _tcp(lambda: connection(from_proxy=False), host, port)
        stack.push_async_callback(_close, server)
        name, number = server.sockets[0].getsockname()[:2]
        if unix is not None:
            bound = _bound(unix)
            stack.callback(_remove, unix)
            beside = await loop.create_unix_server(lambda: connection(from_proxy=True), sock=bound, backlog=BACKLOG)
            stack.push_async_callback(_close, beside)
        if now is time.monotonic:
            sweeping = loop.create_task(connections.sweep_each_second())
            stack.push_async_callback(_cancel, sweeping)
        yield f"http://{'localhost' if name == '127.0.0.1' else name}:{number}"


def _handler(runner: web.AppRunner, limits: Limits, loop: asyncio.AbstractEventLoop) -> Handler:
    if runner.server is None:
        raise ConnectionAbortedError("the server has stopped")
    return Handler(
        runner.server,
        loop=loop,
        access_log=None,  # type: ignore[arg-type]
        keepalive_timeout=limits.idle_s + 15,  # behind our own bound
        max_line_size=limits.line,
        max_field_size=limits.line,
        max_headers=limits.fields,
        lingering_time=5.0,
        auto_decompress=False,  # a small body must not become a large one: see server.py
    )


async def _tcp(factory: Any, host: str, port: int) -> asyncio.Server:
    try:
        return await asyncio.get_running_loop().create_server(factory, host, port, backlog=BACKLOG)
    except OSError as trouble:
        raise SetupError(
            f"port {port} is in use",
            swedish=f"Port {port} används redan av ett annat program.",
            next_step="Välj en annan port (SAMBUD_PORT eller --port), eller stoppa det andra programmet.",
        ) from trouble


def _bound(path: Path) -> socket.socket:
    """A socket at `path` for its owner and group; one that a killed gateway left is taken away first.

    Raises:
        SetupError: another gateway listens there, something else is there, or it cannot be made.
    """
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _clear(path)
        before = os.umask(0o777 & ~MODE)  # from its first moment on: chmod afterwards would leave a gap
        try:
            made.bind(str(path))
        finally:
            os.umask(before)
        made.setblocking(False)
    except OSError as trouble:
        made.close()
        raise SetupError(
            f"no socket can be made at {path}: {type(trouble).__name__}",
            swedish=f"Det går inte att lyssna på {path}.",
            next_step="Se till att katalogen finns, att gatewayens användare får skriva i den och att sökvägen är "
            "kortare än 100 tecken (SAMBUD_SOCKET).",
        ) from trouble
    except SetupError:
        made.close()
        raise
    return made


def _clear(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISSOCK(mode):
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
                return
    raise SetupError(
        f"{path} is taken",
        swedish=f"{path} används redan, eller är något annat än ett uttag (socket).",
        next_step="Stoppa den andra gatewayen, eller välj en annan sökväg (SAMBUD_SOCKET).",
    )


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _block(transport: asyncio.BaseTransport) -> str:
    """The address block of the other end; "" on the socket, where every connection is the proxy's."""
    peer = transport.get_extra_info("peername")
    return block_of(str(peer[0])) if isinstance(peer, tuple) else ""


def _within_files(limits: Limits) -> Limits:
    """No more connections than there are descriptors: running out of them would stop the database too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.connections + FILES_APART
    if soft < wanted and soft != resource.RLIM_INFINITY:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return limits
    return dataclasses.replace(limits, connections=max(16, min(limits.connections, soft - FILES_APART)))


async def _close(server: asyncio.Server) -> None:
    server.close()


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
