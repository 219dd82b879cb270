"""`sambud bench slow`: an honest caller's time while others hold connections open, beside the same without them.

Why this exists: deadlines and places (adapters/http/deadlines.py) are for the honest caller, so he is who is measured.
Gateway, hoarders and the honest caller are processes of their own; each leg measures him alone and then among the
others, in turns, and a figure is a ratio of the two.

Rules: the gateway has the bounds it ships with, and only its paces are off (the honest caller would meet his own). Idle
hoarders connect and say nothing, slow ones send a head or a body one octet at a time, readers take nothing; whoever is
cut comes back at once, as an attacker would.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.child import Child, answer, quiet

#: kind: how many connections, in a run of every kind and in a short one.
KINDS: Final = {"idle": (1_000, 50), "slow head": (50, 10), "slow body": (50, 10), "no reader": (50, 10)}
MANY: Final = 10_000
ASKED: Final = (2_000, 200)  # requests of a leg, and of a short one
PATH: Final = "/hjalp"
HEAD: Final = "GET {path} HTTP/1.1\r\nHost: localhost\r\n"


@dataclass
class Report:
    """Milliseconds of the honest caller's requests: alone, and among the others."""

    alone: dict[str, list[float]] = field(default_factory=dict)
    among: dict[str, list[float]] = field(default_factory=dict)

    def lines(self) -> list[str]:
        found = [f"{'among':<24} {'median ms':>10} {'p99 ms':>8} {'alone p99':>10} {'p99 ratio':>10}"]
        for name, times in self.among.items():
            p99, alone = _p99(times), _p99(self.alone[name])
            found.append(
                f"{name:<24} {statistics.median(times):>10.2f} {p99:>8.2f} {alone:>10.2f} {p99 / alone:>9.2f}x"
            )
        found.append("goal: p99 at most 2 x and below 500 ms (security.md W08)")
        return found

    def as_dict(self) -> dict[str, Any]:
        return {"alone": self.alone, "among": self.among}


async def measure(*, rounds: int, quick: bool, say: Callable[[str], None]) -> Report:
    """Each kind of hoarder in turn, then all of them, then ten thousand idle connections."""
    kinds = {f"{few if quick else many} {kind}": {kind: few if quick else many} for kind, (many, few) in KINDS.items()}
    kinds["all of these"] = {kind: few if quick else many for kind, (many, few) in KINDS.items()}
    if not quick:
        kinds[f"{MANY} idle"] = {"idle": MANY}
    count = ASKED[quick]
    report = Report({name: [] for name in kinds}, {name: [] for name in kinds})
    with tempfile.TemporaryDirectory(prefix="sambud-bench-") as folder:
        server = await Child.start("bench.slow", "server", folder)
        hoarder = await Child.start("bench.slow", "client", folder)
        honest = await Child.start("bench.slow", "client", folder)
        try:
            port = await server.ask("port")
            await honest.ask("times", port=port, count=count)  # templates and caches, without a stopwatch
            for number in range(rounds):
                for name, what in kinds.items():
                    say(f"varv {number + 1} av {rounds}: {name}")
                    report.alone[name] += await honest.ask("times", port=port, count=count)
                    await hoarder.ask("hold", port=port, kinds=what)
                    report.among[name] += await honest.ask("times", port=port, count=count)
                    await hoarder.ask("let_go")
        finally:
            for child in (honest, hoarder, server):
                await child.stop()
    return report


def _p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[98]


class Client:
    """An honest caller, or one who holds connections open; the run says which."""

    def __init__(self) -> None:
        self._holding: list[asyncio.Task[None]] = []

    async def times(self, port: int, count: int) -> list[float]:
        """Milliseconds of `count` requests, every tenth on a new connection."""
        found = []
        for number in range(count):
            if number % 10 == 0:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            began = time.perf_counter()
            writer.write(HEAD.format(path=PATH).encode() + b"\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"the honest caller was answered {head[:40]!r}")
            await reader.readexactly(int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]))
            found.append((time.perf_counter() - began) * 1000)
            if number % 10 == 9:
                writer.close()
        return found

    async def hold(self, port: int, kinds: dict[str, int]) -> int:
        """Open and hold; returns when all have connected once."""
        for kind, count in kinds.items():
            for number in range(count):
                self._holding.append(asyncio.create_task(_held(kind, port, number)))
                if number % 100 == 99:
                    await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        return len(self._holding)

    async def let_go(self) -> None:
        for task in self._holding:
            task.cancel()
        await asyncio.gather(*self._holding, return_exceptions=True)
        self._holding.clear()


async def _held(kind: str, port: int, number: int) -> None:
    address = f"127.0.0.{2 + number % 8}"  # eight places they come from: one address has a bound of its own
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
            try:
                await _HOLDERS[kind](reader, writer)
            finally:
                writer.transport.abort()
        await asyncio.sleep(1)


async def _idle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)


async def _slow_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for octet in HEAD.format(path=PATH).encode() * 100:
        writer.write(bytes([octet]))
        await writer.drain()
        await asyncio.sleep(0.5)


async def _slow_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = HEAD.format(path="/api/v1/sessions").replace("GET", "POST")
    writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 16000\r\n\r\n".encode())
    for _ in range(16_000):
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.5)


async def _no_reader(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write((HEAD.format(path=PATH).encode() + b"\r\n") * 50)
    await asyncio.sleep(90)


_HOLDERS: Final = {"idle": _idle, "slow head": _slow_head, "slow body": _slow_body, "no reader": _no_reader}


async def _serve(folder: Path) -> None:
    from adapters.http.api import ROUTES
    from adapters.http.limits import UNPACED
    from adapters.http.server import application, listening
    from adapters.http.web import NAV, PAGES
    from adapters.http.web.frame import Web
    from bench.county import a_county

    async with a_county(folder) as county:
        routes = (*ROUTES, *PAGES)
        app = application(county.gateway, routes, Web(county.gateway, routes, NAV), limits=UNPACED)
        async with listening(app, "127.0.0.1", 0) as address:

            async def port() -> int:
                return int(address.rpartition(":")[2])

            await answer({"port": port})


async def _client() -> None:
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * MANY), hard))
    client = Client()
    try:
        await answer({"times": client.times, "hold": client.hold, "let_go": client.let_go})
    finally:
        await client.let_go()


if __name__ == "__main__":
    quiet()
    asyncio.run(_serve(Path(sys.argv[2])) if sys.argv[1] == "server" else _client())
