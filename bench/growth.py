"""P8, P9 and the growth curves: what accepting, listing, claiming and checking cost as history grows.

Two gateways differ in nothing but how much is done: a thousand messages, and a hundred thousand (a million with
`--full`). On its way the long one is measured at every power of ten; then pages are fetched from both in turns. Fifty
open referrals with sealed priorities lie in both inboxes, really sent, delivered and opened.
"""

from __future__ import annotations

import statistics
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

from adapters.http.web import security
from bench.child import Child
from bench.memory import MIB, Peak
from bench.report import p99
from bench.run import Run

OPEN: Final = 50
FETCHES: Final = 40  # in one leg
STEP_CASES: Final = 40


@dataclass(frozen=True, slots=True)
class Sizes:
    """Messages in the short history and at every point of the long one, and records in the log that is checked."""

    short: int
    points: tuple[int, ...]
    records: int


FULL: Final = Sizes(1_000, (1_000, 10_000, 100_000, 1_000_000), 1_000_000)
USUAL: Final = Sizes(1_000, (1_000, 10_000, 100_000), 100_000)
QUICK: Final = Sizes(50, (50, 200), 1_000)


def _sizes(run: Run) -> Sizes:
    return QUICK if run.quick else FULL if run.full else USUAL


async def measure(run: Run) -> None:
    """Curves, pages, log. About six minutes; most of it is making the history."""
    sizes = _sizes(run)
    async with AsyncExitStack() as stack:
        long, short = await _place(run, stack), await _place(run, stack)
        for size in sizes.points:
            run.say(f"{size} meddelanden …")
            await long.server.ask("history", count=size)
            run.report.curves[size] = await long.point()
        await short.server.ask("history", count=sizes.short)
        await _pages(run, short, long)
        await _log(run, long.server, sizes.records)


async def pages(run: Run) -> None:
    """The pages of P8 alone."""
    sizes = _sizes(run)
    async with AsyncExitStack() as stack:
        long, short = await _place(run, stack), await _place(run, stack)
        run.say(f"{sizes.short} och {sizes.points[-1]} meddelanden …")
        await short.server.ask("history", count=sizes.short)
        await long.server.ask("history", count=sizes.points[-1])
        await _pages(run, short, long)


async def _pages(run: Run, short: _Place, long: _Place) -> None:
    for place in (short, long):
        await place.fetch("api")
        await place.fetch("page")  # templates, prepared statements and the disk's cache, without a stopwatch
    count = FETCHES // 8 if run.quick else FETCHES
    for kind, row in (("api", "p8_api"), ("page", "p8_page")):
        times: dict[str, list[float]] = {"short": [], "long": []}
        for number in run.each_round(f"inkorgens sida, {kind} (P8)"):
            legs = [("short", short), ("long", long)]
            for name, place in reversed(legs) if number % 2 else legs:
                found = await place.fetch(kind, count)
                times[name] += found
                run.report.add({f"{kind}_{name}": statistics.median(found), f"{kind}_{name}_p99": p99(found)})
        # Forty requests have no 99th percentile worth the name: those of all rounds together do.
        run.report.add({row: p99(times["long"]) / p99(times["short"])})


async def _log(run: Run, server: Child, records: int) -> None:
    found = await server.ask("records", count=records)
    run.report.add({"records": found})
    await server.ask("hashed")
    async with Peak(server.pid) as peak:
        await server.ask("verify", sides=True)
    run.report.add({"p9_memory": peak.growth / MIB})
    for number in run.each_round(f"kontroll av {found} loggrader (P9)"):
        rate: dict[str, float] = {}
        legs: list[tuple[str, str, dict[str, Any]]] = [
            ("verify_leaves", "verify", {"sides": False}),
            ("sha256", "hashed", {}),
            ("verify_sides", "verify", {"sides": True}),
        ]
        for name, asked, values in reversed(legs) if number % 2 else legs:
            rate[name] = await server.ask(asked, **values)
        run.report.add(rate)
        run.report.add(
            {
                "p9_leaves": rate["verify_leaves"] / rate["sha256"],
                "p9_sides": rate["verify_sides"] / rate["sha256"],
            }
        )


class _Place:
    """A gateway with open items, and who reads its inbox."""

    def __init__(self, server: Child, client: Child, port: int, reader: str, inbox: str) -> None:
        self.server = server
        self._client = client
        self._port = port
        self._reader = reader
        self._inbox = inbox

    @classmethod
    async def ready(cls, server: Child, client: Child) -> _Place:
        [reader] = await server.ask("readers", count=1)
        inbox = await server.ask("open_items", count=OPEN, reader=reader)
        return cls(server, client, (await server.ask("ports"))[0], reader, inbox)

    async def fetch(self, kind: str, count: int = FETCHES // 4) -> list[float]:
        """Milliseconds of each fetch of the inbox: the API's first page, or the page of the shared inbox."""
        to: dict[str, Any] = {"port": self._port, "token": self._reader, "count": count}
        if kind == "api":
            path, holds = f"/api/v1/inboxes/{self._inbox}/messages?limit={OPEN}", '"messages"'
            times: list[float] = await self._client.ask("get", **to, path=path, holds=holds)
        else:
            path = f"/inkorg/{self._inbox}"
            times = await self._client.ask("get", **to, path=path, cookie=security.SESSION, holds="<tr id=")
        return times

    async def point(self) -> dict[str, float]:
        """One point of the curves."""
        found = {
            "accept": (await self.server.ask("steps", cases=await self.server.ask("cases", count=STEP_CASES)))["all"]
        }
        found |= await self.server.ask("claims", count=64)
        await self.server.ask("settle")
        found["api"] = statistics.median(await self.fetch("api"))
        found["page"] = statistics.median(await self.fetch("page"))
        await self.server.ask("publish")
        found["verify"] = 1_000_000 / await self.server.ask("verify", sides=True)
        return found


async def _place(run: Run, stack: AsyncExitStack) -> _Place:
    server = await stack.enter_async_context(run.server(own=True))
    return await _Place.ready(server, await run.client())
