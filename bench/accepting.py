"""P1, P2 and P5: accepting, beside the same pipeline without HTTP, the same rows by the driver, and the secure sketch.

A short round without a stopwatch comes first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

from bench.child import Child
from bench.run import Run, child

CLIENTS: Final = 16
DIRECT: Final = "/api/v1/messages/direct"


@dataclass(frozen=True, slots=True)
class Counts:
    """Messages in one leg."""

    many: int  # sent by 16 clients, and by 16 tasks without HTTP
    one: int  # sent by one client
    sketch: int  # taken by the sketch: it is faster, so it gets more
    steps: int


FULL: Final = Counts(many=320, one=96, sketch=960, steps=80)
QUICK: Final = Counts(many=32, one=8, sketch=64, steps=8)


async def measure(run: Run) -> None:
    """Takes about two minutes with five rounds."""
    async with AsyncExitStack() as stack:
        client = await run.client()
        server = await stack.enter_async_context(run.server())
        sketch = await child(stack, "bench.sketch", str(await stack.enter_async_context(run.folder())))
        await sketch.ask("trust", key=await client.ask("key"))
        bench = _Accepting(client, server, sketch)
        await bench.start()
        await bench.round(QUICK, turned=False)
        counts = QUICK if run.quick else FULL
        for number in run.each_round("mottagning (P1, P2, P5)"):
            run.report.add(await bench.round(counts, turned=bool(number % 2)))
            run.report.add(await bench.steps(counts.steps))
        run.report.add({"rows": await server.ask("rows")})
        run.report.modules = await server.ask("modules", cases=await server.ask("cases", count=counts.steps))


class _Accepting:
    """P1, P2 and P5."""

    def __init__(self, client: Child, server: Child, sketch: Child) -> None:
        self._client = client
        self._server = server
        self._sketch = sketch
        self._group = 8  # acceptances in one transaction; known once the first round has run

    async def start(self) -> None:
        self._http, self._https = await self._server.ask("ports")
        self._sketch_port = await self._sketch.ask("port")
        self._tokens = await self._server.ask("tokens", count=CLIENTS)

    async def round(self, counts: Counts, *, turned: bool) -> dict[str, float]:
        """Every leg once; rates by the second and the ratios of this round."""
        rate: dict[str, float] = {}

        async def http_16() -> float:
            before = await self._server.ask("groups")
            seconds = await self._post(self._http, counts.many, CLIENTS)
            groups, works = (b - a for a, b in zip(before, await self._server.ask("groups"), strict=True))
            rate["group"] = works / max(groups, 1)
            self._group = max(1, round(rate["group"]))
            return counts.many / seconds

        async def r1() -> float:
            cases = await self._server.ask("cases", count=counts.many)
            return counts.many / float(await self._server.ask("in_process", cases=cases, tasks=CLIENTS))

        async def r0_16() -> float:
            # As many as the product took, so that both databases grow alike.
            return counts.many / float(await self._server.ask("raw", count=counts.many, group=self._group))

        async def https_16() -> float:
            return counts.many / await self._post(self._https, counts.many, CLIENTS, secure=True)

        async def sketch() -> float:
            bodies = (await self._server.ask("bodies", count=1)) * counts.sketch
            to: dict[str, Any] = {"port": self._sketch_port, "path": "/accept", "secure": True, "sign": True}
            done = await self._client.ask("post", **to, bodies=bodies, tokens=[], connections=CLIENTS)
            return counts.sketch / float(done["seconds"])

        async def http_1() -> float:
            return counts.one / await self._post(self._http, counts.one, 1)

        async def r0_1() -> float:
            return counts.one / float(await self._server.ask("raw", count=counts.one, group=1))

        legs: list[Callable[[], Awaitable[float]]] = [http_16, r1, r0_16, https_16, sketch, http_1, r0_1]
        for leg in reversed(legs) if turned else legs:
            rate[leg.__name__] = await leg()
        return rate | {
            "p1_r1": rate["http_16"] / rate["r1"],
            "p1_r0": rate["http_16"] / rate["r0_16"],
            "p1_sketch": rate["https_16"] / rate["sketch"],
            "p2_r0": rate["http_1"] / rate["r0_1"],
        }

    async def steps(self, count: int) -> dict[str, float]:
        found = await self._server.ask("steps", cases=await self._server.ask("cases", count=count))
        return {"p5_cpu": found.pop("all")} | {f"step_{step}": spent for step, spent in found.items()}

    async def _post(self, port: int, count: int, connections: int, *, secure: bool = False) -> float:
        asked: dict[str, Any] = {
            "port": port,
            "path": DIRECT,
            "bodies": await self._server.ask("bodies", count=count),
            "tokens": self._tokens,
            "connections": connections,
            "secure": secure,
        }
        return float((await self._client.ask("post", **asked))["seconds"])
