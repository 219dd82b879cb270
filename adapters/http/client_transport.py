"""The client's way over HTTP: aiohttp's session as a `gateway.calling.Transport`.

Why this exists: the client decides what may be tried again, so it must know whether a call was begun. A connection that
never came to be is told from one that broke; everything else about HTTP stays here. Redirects are not followed: a
token must not go where an answer points.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from gateway.calling import NoAnswerError, Patience, Reply, Request, Time, UnreachableError
from gateway.client import Client

PIECE = 64 * 1024


@dataclass(frozen=True, slots=True)
class HttpReply:
    """An answer of aiohttp's."""

    response: aiohttp.ClientResponse

    @property
    def status(self) -> int:
        return self.response.status

    @property
    def headers(self) -> Mapping[str, str]:
        return {name.lower(): value for name, value in self.response.headers.items()}

    async def read(self) -> bytes:
        return await self.response.read()

    async def pieces(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self.response.content.iter_chunked(PIECE):
                yield piece
        except (aiohttp.ClientError, OSError) as lost:
            raise _lost() from lost


class HttpTransport:
    """Sends to the gateway at `address`, such as https://sambud.example."""

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self._session = session
        self._address = address.rstrip("/")

    @asynccontextmanager
    async def send(self, request: Request) -> AsyncIterator[Reply]:
        """The answer, while the context lasts. Raises UnreachableError and NoAnswerError as a Transport does."""
        body = request.stream() if request.stream is not None else request.body or None
        try:
            async with self._session.request(
                request.method, self._address + request.path, headers=request.headers, data=body, allow_redirects=False
            ) as response:
                yield HttpReply(response)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as refused:
            raise UnreachableError("no connection", swedish="Det gick inte att nå Sambud.") from refused
        except (aiohttp.ClientError, OSError) as lost:
            raise _lost() from lost


@asynccontextmanager
async def clients(
    address: str, *, patience: Patience | None = None, clock: Time | None = None
) -> AsyncIterator[Callable[[], Client]]:
    """Makes clients of the gateway at `address`, one for each user; they share connections while the context lasts."""
    # No time for the whole: the client bounds each try, and each piece of a file.
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, sock_connect=10)) as session:
        transport = HttpTransport(session, address)
        yield lambda: Client(transport, patience=patience, clock=clock)


@asynccontextmanager
async def connected(
    address: str, *, patience: Patience | None = None, clock: Time | None = None
) -> AsyncIterator[Client]:
    """One client of the gateway at `address`, while the context lasts."""
    async with clients(address, patience=patience, clock=clock) as new:
        yield new()


def _lost() -> NoAnswerError:
    return NoAnswerError("the connection ended before the answer was whole", swedish="Svaret från Sambud kom bort.")
