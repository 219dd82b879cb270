"""P11 and P12: what many callers at once are worth, and what they cost each other.

P12: case workers send at a moderate pace, as people do; then the same while five others a second sign in with their
passwords. Argon2id takes 19 MiB and some 40 ms of a core each time, so it shows whether it stands in the way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

from bench.accepting import DIRECT
from bench.child import Child
from bench.report import p99
from bench.run import Run

CALLERS: Final = 32
GROUP: Final = 64
SENDERS: Final = 4
PAUSE_S: Final = 0.05  # between two messages of one sender
SIGN_INS_A_SECOND: Final = 5


@dataclass(frozen=True, slots=True)
class Counts:
    """How much in one leg."""

    works: int
    sends: int
    sign_ins: int


FULL: Final = Counts(works=640, sends=200, sign_ins=15)
QUICK: Final = Counts(works=64, sends=16, sign_ins=3)


async def measure(run: Run) -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(run.server())
        bench = _Together(server, await run.client(0), await run.client(1))
        await bench.start()
        counts = QUICK if run.quick else FULL
        await bench.grouping(QUICK, turned=False)
        await bench.signing_in(QUICK, turned=False)
        for number in run.each_round("många samtidigt (P11, P12)"):
            run.report.add(await bench.grouping(counts, turned=bool(number % 2)))
            run.report.add(await bench.signing_in(counts, turned=bool(number % 2)))


class _Together:
    def __init__(self, server: Child, client: Child, other: Child) -> None:
        self._server = server
        self._client = client
        self._other = other

    async def start(self) -> None:
        self._port = (await self._server.ask("ports"))[0]

    async def grouping(self, counts: Counts, *, turned: bool) -> dict[str, float]:
        """Works a second in groups and one by one, and how many a group carried; then the same of the whole path."""
        found: dict[str, float] = {}
        for most in (1, GROUP) if turned else (GROUP, 1):
            before = await self._server.ask("groups")
            spent = await self._server.ask("grouped", count=counts.works, callers=CALLERS, most=most)
            found["own_commit" if most == 1 else "group_commit"] = counts.works / spent
            if most == GROUP:
                found["p11_group"] = await self._carried(before)
        cases = await self._server.ask("cases", count=counts.works // 2)
        before = await self._server.ask("groups")
        await self._server.ask("in_process", cases=cases, tasks=CALLERS)
        found["path_group"] = await self._carried(before)
        found["p11_ratio"] = found["group_commit"] / found["own_commit"]
        return found

    async def _carried(self, before: list[int]) -> float:
        """Works to a commit since `before`."""
        groups, works = (b - a for a, b in zip(before, await self._server.ask("groups"), strict=True))
        return float(works / max(groups, 1))

    async def signing_in(self, counts: Counts, *, turned: bool) -> dict[str, float]:
        found: dict[str, float] = {}

        async def quiet() -> None:
            found["send_p99"] = p99(await self._sends(counts))

        async def busy() -> None:
            ready = await self._ready(counts)
            people = (await self._server.ask("people"))[: counts.sign_ins]  # last: their codes are of this very step
            every_s = 1 / SIGN_INS_A_SECOND
            asked = self._other.ask("sign_in", port=self._port, people=people, every_s=every_s)
            signing, sending = asyncio.create_task(asked), asyncio.create_task(self._post(*ready))
            times = await sending
            signed = await signing
            found["busy_p99"], found["sign_in"] = p99(times), sorted(signed)[len(signed) // 2]

        legs: list[Callable[[], Awaitable[None]]] = [quiet, busy]
        for leg in reversed(legs) if turned else legs:
            await leg()
        found["p12_p99"] = found["busy_p99"] / found["send_p99"]
        return found

    async def _sends(self, counts: Counts) -> list[float]:
        return await self._post(*await self._ready(counts))

    async def _ready(self, counts: Counts) -> tuple[list[Any], list[str]]:
        bodies = await self._server.ask("bodies", count=counts.sends)
        return bodies, await self._server.ask("tokens", count=SENDERS)

    async def _post(self, bodies: list[Any], tokens: list[str]) -> list[float]:
        to: dict[str, Any] = {"port": self._port, "path": DIRECT, "connections": SENDERS, "pause": PAUSE_S}
        times: list[float] = (await self._client.ask("post", **to, bodies=bodies, tokens=tokens))["times"]
        return times
