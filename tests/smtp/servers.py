"""Mail servers of the tests: one that works (aiosmtpd, with and without TLS), and one that says what a script says."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.smtp.authority import Authority, Issued

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
GOOD: Final = {
    "greeting": "220 peer.example",
    "EHLO": "250 peer.example",
    "MAIL": "250 2.1.0 ok",
    "RCPT": "250 2.1.5 ok",
    "DATA": "354 go on",
    "dot": "250 2.0.0 taken",
    "QUIT": "221 bye",
    "STARTTLS": "220 go on",
}
#: TLS looks at the machine's own clock, not at the test's: servers' certificates are valid around it.
TODAY: Final = datetime.datetime.now(datetime.UTC)


@dataclass
class Kept:
    """What a server took: envelope and octets of each mail; and whether it came over TLS."""

    mails: list[Envelope] = field(default_factory=list)
    safe: list[bool] = field(default_factory=list)
    options: list[Sequence[str]] = field(default_factory=list)

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], "250-DSN", responses[-1]]

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.mails.append(envelope)
        self.safe.append(session.ssl is not None)
        self.options.append([*envelope.mail_options, *envelope.rcpt_options])
        return "250 2.0.0 taken"

    @property
    def octets(self) -> list[bytes]:
        return [bytes(mail.original_content or b"") for mail in self.mails]


class _Server(SMTP):
    """aiosmtpd knows no DSN parameters (RFC 3461); this one takes them."""

    def _getparams(self, params: Sequence[str]) -> Any:
        found = super()._getparams(params)
        return {key: value for key, value in found.items() if key not in ("RET", "ENVID", "NOTIFY")} if found else found


@asynccontextmanager
async def a_server(handler: Any, *, tls: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[int]:
    """A server on loopback; returns its port. With `tls` it offers STARTTLS and insists on it."""
    loop = asyncio.get_running_loop()
    talking: list[_Server] = []

    def answering() -> _Server:
        talking.append(_Server(handler, tls_context=tls, require_starttls=tls is not None, loop=loop, **options))
        return talking[-1]

    server = await loop.create_server(answering, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for one in talking:
            if one.transport is not None:
                one.transport.close()
        await asyncio.sleep(0.01)  # the turns of the loop in which they close


def tls_of(issued: Issued, folder: Path, name: str = "server") -> ssl.SSLContext:
    """What a server shows that has this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.written(folder, name, key=True))
    return context


def server_authority(folder: Path) -> Authority:
    made = Authority("Serverutfärdare", number=5, around=TODAY)
    made.written(folder, "server-ca")
    return made


@dataclass
class Script:
    """A server that answers as it is told: a line for each step, or something else to do there.

    Steps in order: greeting, EHLO, MAIL, RCPT, DATA, and the last dot. What is not named goes well.
    """

    says: dict[str, str | Callable[[Reader, Writer], Awaitable[None]]] = field(default_factory=dict)
    offers: tuple[str, ...] = ()
    heard: list[bytes] = field(default_factory=list)
    taken: list[bytes] = field(default_factory=list)

    async def _answer(self, step: str, reader: Reader, writer: Writer) -> None:
        said = self.says.get(step, GOOD.get(step, "500 5.5.1 unknown"))
        if not isinstance(said, str):
            await said(reader, writer)
            return
        lines = [said]
        if step == "EHLO" and said.startswith("250"):
            lines = [f"250-{said[4:]}", *(f"250-{offer}" for offer in self.offers), "250 HELP"]
        writer.write("".join(f"{line}\r\n" for line in lines).encode())
        await writer.drain()

    async def serve(self, reader: Reader, writer: Writer) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._answer("greeting", reader, writer)
            while line := await reader.readline():
                self.heard.append(line)
                step = line.split()[0].decode("ascii", "replace").upper() if line.split() else ""
                await self._answer(step, reader, writer)
                if step == "DATA" and str(self.says.get("DATA", GOOD["DATA"])).startswith("354"):
                    self.taken.append(await reader.readuntil(b"\r\n.\r\n"))
                    await self._answer("dot", reader, writer)


@asynccontextmanager
async def scripted(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The scripted server on loopback; with `tls` it speaks TLS from the first octet."""
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: Reader, writer: Writer) -> None:
        this = asyncio.current_task()
        if this is not None:
            talks.add(this)
        with contextlib.suppress(asyncio.CancelledError):
            await script.serve(reader, writer)
        writer.transport.abort()

    # Its default is 64 KiB, and a mail that holds a PDF is read whole.
    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls, limit=1 << 24)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for one in talks:
            one.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        await asyncio.sleep(0)


async def silent(reader: Reader, writer: Writer) -> None:
    """Says nothing, and keeps the line open."""
    await reader.read(-1)


async def dropped(reader: Reader, writer: Writer) -> None:
    writer.close()


async def half_open(reader: Reader, writer: Writer) -> None:
    """Ends its own direction, and listens on."""
    writer.write_eof()
    await reader.read(-1)


async def dripping(reader: Reader, writer: Writer) -> None:
    """One octet at a time, for ever."""
    for octet in b"250-" + b"x" * 10_000:
        writer.write(bytes([octet]))
        await writer.drain()
        await asyncio.sleep(0.02)
