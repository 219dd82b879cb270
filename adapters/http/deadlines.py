"""Connections with an end: a protocol of ours around aiohttp's, and one look a second at all of them.

Why this exists: aiohttp bounds in time only a connection that waits for its next request. A head that comes one octet a
minute, a body that stops, a reader who takes nothing hold memory and a place for as long as their owner likes. So a
`Connection` stands between the transport and aiohttp's handler. It hears of octets as any asyncio protocol does, and of
requests from the application (`began`, `ended`): public interfaces only, no look into aiohttp's state.

Rules: time is looked at once a second and may be given (`now`), so a test waits for nothing. A head has `head_s`, a
body comes at `body_per_s` or faster while we want more of it, a reader takes something within `stalled_s`, a connection
idles `idle_s`. When all places are taken, the connection that has waited longest without a request in hand gives way:
who keeps ten thousand idle connections loses his own, and honest callers find a place.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from enum import Enum, auto
from typing import Final, cast

from aiohttp import StreamReader, web

from adapters.http.limits import Limits, Now

END_OF_HEAD: Final = b"\r\n\r\n"
Block = Callable[[asyncio.BaseTransport], str]


class Phase(Enum):
    """What a connection is at."""

    IDLE = auto()  # nothing of a next request has come
    HEAD = auto()
    REQUEST = auto()  # a head has come, and its request is not answered
    REST = auto()  # its answer is made, and a body that nobody wants still comes: read on, or the answer is lost


class Connections:
    """All connections of one gateway, over TCP and over the socket."""

    def __init__(self, limits: Limits, now: Now, refusal: bytes) -> None:
        self.limits = limits
        self.now = now
        self.refusal = refusal  # a whole HTTP answer, for whom there is no place
        self._open: dict[Connection, None] = {}
        self._waiting: dict[Connection, None] = {}  # without a request in hand; who has waited longest stands first
        self._of_block: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()  # by reason, for what watches the gateway

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: Connection) -> bool:
        """Give a new connection a place, if need be one that somebody only waits in."""
        block = connection.block
        if block and self._of_block[block] >= self.limits.connections_per_block:
            return False
        if len(self._open) >= self.limits.connections:
            longest = next(iter(self._waiting), None)
            if longest is None:
                return False
            longest.end("gave way")
            self.leave(longest)
        self._open[connection] = None
        self._of_block[block] += 1
        return True

    def leave(self, connection: Connection) -> None:
        self._waiting.pop(connection, None)
        if self._open.pop(connection, connection) is None:
            self._of_block[connection.block] -= 1
            if not self._of_block[connection.block]:
                del self._of_block[connection.block]

    def waits(self, connection: Connection) -> None:
        self._waiting.pop(connection, None)
        if connection in self._open:
            self._waiting[connection] = None

    def works(self, connection: Connection) -> None:
        self._waiting.pop(connection, None)

    def sweep(self) -> None:
        """End every connection that is past one of its bounds."""
        now = self.now()
        for connection in list(self._open):
            connection.look(now)

    async def sweep_each_second(self) -> None:
        while True:
            await asyncio.sleep(1)
            self.sweep()


class Connection(asyncio.Protocol):
    """One connection: passes everything on to aiohttp's handler and keeps the time."""

    def __init__(
        self, connections: Connections, handler: Callable[[], asyncio.Protocol], block: Block, *, from_proxy: bool
    ) -> None:
        self._all = connections
        self._make = handler
        self._inner: asyncio.Protocol | None = None
        self._transport: asyncio.Transport | None = None
        self._block_of = block
        self.block = ""
        self.from_proxy = from_proxy
        self._phase = Phase.IDLE
        self._since = connections.now()  # of the phase
        self._head = 0  # octets of it so far
        self._tail = b""  # its last three, in case its end comes in two pieces
        self._request: web.BaseRequest | None = None
        self._rest: StreamReader | None = None
        self._came = 0  # octets since the request began
        self._wanted_s = 0.0  # seconds in which we would have taken more of the body
        self._looked = self._since
        self._stalled: float | None = None
        self._closing: float | None = None

    # --- asyncio.Protocol ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # what a stream server hands over, whatever the types say
        self._transport = transport
        self.block = self._block_of(transport)
        if not self._all.admit(self):
            self._all.ended["no place"] += 1
            transport.write(self._all.refusal)
            transport.close()
            return
        self._all.waits(self)
        self._inner = self._make()
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._inner is None:
            return
        self._came += len(data)
        if self._phase in (Phase.IDLE, Phase.HEAD) and not self._takes_head(data):
            self.end("head too large")
            return
        self._inner.data_received(data)
        if self._rest is not None and self._rest.is_eof():
            self._rest = None
            self._enter(Phase.IDLE)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._inner else None

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.leave(self)
        inner, self._inner = self._inner, None
        self._request = self._transport = None
        if inner is not None:
            inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._stalled = self._all.now()
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._stalled = None
        self._since = max(self._since, self._all.now())
        if self._inner is not None:
            self._inner.resume_writing()

    # --- what the application says ------------------------------------------------------------------------------------

    def began(self, request: web.BaseRequest) -> None:
        """The head of `request` is read, and its work begins."""
        self._enter(Phase.REQUEST)
        self._request = request
        self._came, self._wanted_s, self._looked = 0, 0.0, self._all.now()

    def ended(self) -> None:
        """The answer is made; it may still be on its way.

        A body that was refused by its head may still come. aiohttp reads it on for a while and throws it away
        (RFC 9112 §9.6): to cut the sender off now would make its system throw our answer away. It is no head.
        """
        content = self._request.content if self._request is not None else None
        self._request = None
        self._rest = content if content is not None and not content.is_eof() else None
        self._enter(Phase.REST if self._rest is not None else Phase.IDLE)

    # --- time ---------------------------------------------------------------------------------------------------------

    def look(self, now: float) -> None:
        """End this connection when it is past one of its bounds."""
        if self._transport is None:
            return
        if self._transport.is_closing():
            # What is written may go out first, but not at leisure.
            self._closing = self._closing if self._closing is not None else now
            if now - self._closing >= self._all.limits.stalled_s:
                self.end("stalled")
            return
        reason = self._overdue(now)
        self._looked = now
        if reason == "idle":
            self._all.ended[reason] += 1
            self._transport.close()  # the end of an answer may still be on its way
        elif reason:
            self.end(reason)

    def end(self, reason: str) -> None:
        """Cut the connection, without waiting for what the other side has not taken."""
        if self._transport is not None:
            self._all.ended[reason] += 1
            self._transport.abort()
            self._transport = None

    def _overdue(self, now: float) -> str:
        limits, waited = self._all.limits, now - self._since
        if self._stalled is not None:
            return "stalled" if now - self._stalled > limits.stalled_s else ""
        if self._phase is Phase.IDLE:
            return "idle" if waited > limits.idle_s else ""
        if self._phase is Phase.REST:
            return "slow body" if waited > limits.head_s else ""
        if self._request is None:  # its head is not whole, or was no head
            return "slow head" if waited > limits.head_s else ""
        return "slow body" if self._body_lags(now) else ""

    def _body_lags(self, now: float) -> bool:
        limits, request, transport = self._all.limits, self._request, self._transport
        if request is None or transport is None or request.content.is_eof():
            return False
        if not transport.is_reading():  # it is we who want no more now
            return False
        self._wanted_s += now - self._looked
        return self._came < (self._wanted_s - limits.body_grace_s) * limits.body_per_s

    def _takes_head(self, data: bytes) -> bool:
        """Note octets of a head; False when it is too large."""
        if self._phase is Phase.IDLE:
            self._enter(Phase.HEAD)
            self._head, self._tail = 0, b""
        found = (self._tail + data).find(END_OF_HEAD)
        length = self._head + (len(data) if found < 0 else found - len(self._tail))
        self._head += len(data)
        self._tail = (self._tail + data)[-3:]
        if found >= 0:
            since = self._since
            self._enter(Phase.REQUEST)
            self._since = since  # until the application says that it was a head, the time of a head goes on
        return length <= self._all.limits.head

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        self._since = self._all.now()
        if phase is Phase.REQUEST:
            self._all.works(self)
        elif phase is Phase.IDLE:
            self._all.waits(self)


def connection_of(request: web.BaseRequest) -> Connection | None:
    """The connection that a request came over; None when its caller left, or somebody else serves."""
    transport = request.transport
    protocol = transport.get_protocol() if transport is not None else None
    return protocol if isinstance(protocol, Connection) else None
