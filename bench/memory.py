"""P7: how much resident memory the server grows by while files stream through it, up and down.

A fresh server process for each round, warmed by a small file; the kernel's own high-water mark (VmHWM) is set back
before each leg, so no peak is missed between two samples. Growth is the peak less what was resident before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.child import Child
from bench.run import Run

MIB: Final = 1024 * 1024
SAMPLE_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Sizes:
    """Octets of the one large file, and of each of the eight at once."""

    one: int
    each: int
    many: int = 8


FULL: Final = Sizes(1024 * MIB, 100 * MIB)
QUICK: Final = Sizes(16 * MIB, 2 * MIB)


def status(pid: int, name: str) -> int:
    """A line of /proc/PID/status, in octets."""
    for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


class Peak:
    """The highest resident size while the context lasts."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = 0
        self._highest = 0
        self._reset = False

    async def __aenter__(self) -> Peak:
        with suppress(OSError):
            Path(f"/proc/{self._pid}/clear_refs").write_text("5", "ascii")  # proc(5): resets the peak resident size
            self._reset = True
        self._before = status(self._pid, "VmRSS")
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        if self._reset:
            self._highest = max(self._highest, status(self._pid, "VmHWM"))

    async def _watch(self) -> None:
        while True:
            self._highest = max(self._highest, status(self._pid, "VmRSS"))
            await asyncio.sleep(SAMPLE_S)

    @property
    def growth(self) -> int:
        """Octets; one at least, so that a figure is told even when nothing grew."""
        return max(1, self._highest - self._before)


async def measure(run: Run) -> None:
    """P7."""
    for _ in run.each_round("minne för filer (P7)"):
        run.report.add(await _round(run, QUICK if run.quick else FULL))


async def _round(run: Run, sizes: Sizes) -> dict[str, float]:
    """Growth in MiB and speed in MB/s of every leg, in a server of its own."""
    client = await run.client()
    async with run.server() as server:
        port = (await server.ask("ports"))[0]
        # A session for each file: openings of one session count in one window, and would meet at its row.
        legs = _Legs(server, client, port, await server.ask("tokens", count=sizes.many))
        await legs.up_and_down(MIB, 1)
        one_up, one_down = await legs.up_and_down(sizes.one, 1)
        many_up, many_down = await legs.up_and_down(sizes.each, sizes.many)
    found: dict[str, float] = {}
    for name, (growth, speed) in {
        "one_up": one_up,
        "one_down": one_down,
        "many_up": many_up,
        "many_down": many_down,
    }.items():
        found[name] = growth / MIB
        found[f"{name}_mb_s"] = speed
    return found


class _Legs:
    def __init__(self, server: Child, client: Child, port: int, tokens: list[str]) -> None:
        self._server = server
        self._client = client
        self._to: dict[str, Any] = {"port": port, "tokens": tokens}

    async def up_and_down(self, size: int, count: int) -> tuple[tuple[int, float], tuple[int, float]]:
        drafts = [await self._server.ask("draft") for _ in range(count)]
        up = await self._leg(self._client.ask("upload", **self._to, drafts=drafts, size=size), size * count)
        paths = []
        for draft in drafts:
            envelope, files = await self._server.ask("own_copy", draft=draft)
            paths += [f"/api/v1/envelopes/{envelope}/attachments/{file}" for file in files]
        down = await self._leg(self._client.ask("download", **self._to, paths=paths, size=size), size * count)
        return up, down

    async def _leg(self, work: Awaitable[float], octets: int) -> tuple[int, float]:
        async with Peak(self._server.pid) as peak:
            seconds = await work
        return peak.growth, octets / seconds / 1e6
