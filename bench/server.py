"""The product as it is measured: the real application over the real store, in a process of its own.

Beside HTTP and HTTPS on loopback it answers the run: cases to send in, the same pipeline without HTTP (R1), the same
rows by the plain driver (R0), and the processor time of one acceptance, step by step. The worker rests meanwhile:
what is measured is accepting, for the product and for its references.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from aiohttp import web

from adapters.http.api import ROUTES
from adapters.http.server import application
from adapters.sql.sqlite import SqliteStore
from bench import steps, tls
from bench.child import answer, quiet
from bench.county import County, a_county
from bench.raw import Raw, Recorder
from gateway.errors import SetupError
from gateway.model.base import CaseId
from gateway.model.path import Case


class Served:
    """Answers the run's questions about one gateway."""

    def __init__(self, county: County, folder: Path, ports: tuple[int, int]) -> None:
        self._county = county
        self._folder = folder
        self._ports = ports
        self._raw: Raw | None = None
        store = county.gateway.ports.store
        if not isinstance(store, SqliteStore):
            raise SetupError("the measurements stand on SQLite")
        self._store = store

    async def ports(self) -> list[int]:
        return list(self._ports)

    async def tokens(self, count: int) -> list[str]:
        return [await self._county.token() for _ in range(count)]

    async def cases(self, count: int) -> list[str]:
        return [str(case) for case in await self._county.cases(count)]

    async def bodies(self, count: int) -> list[Any]:
        return [self._county.body(case) for case in await self._county.cases(count)]

    async def in_process(self, cases: list[str], tasks: int) -> float:
        """R1: seconds for the same pipeline without HTTP."""
        started = time.perf_counter()
        await self._county.accept([CaseId(case) for case in cases], tasks)
        return time.perf_counter() - started

    async def groups(self) -> list[int]:
        """Commits and Works so far: their quotient is the size of a group."""
        return [self._store.groups, self._store.works]

    async def raw(self, count: int, group: int) -> float:
        """R0: seconds for the rows of as many acceptances by the plain driver."""
        if self._raw is None:
            self._raw = await self._recorded()
        return await asyncio.to_thread(self._raw.run, count, group)

    async def rows(self) -> int:
        return self._raw.rows if self._raw else 0

    async def steps(self, cases: list[str]) -> dict[str, float]:
        return await steps.by_step(self._county, [CaseId(case) for case in cases])

    async def modules(self, cases: list[str]) -> list[list[Any]]:
        return await steps.by_module(self._county, [CaseId(case) for case in cases])

    async def draft(self) -> str:
        return await self._county.draft()

    async def own_copy(self, draft: str) -> list[Any]:
        envelope, files = await self._county.own_copy(draft)
        return [envelope, files]

    def close(self) -> None:
        if self._raw is not None:
            self._raw.close()

    async def _recorded(self) -> Raw:
        [case] = await self._county.cases(1)
        before = await self._store.get(Case, case)
        with Recorder(self._store) as recorder:
            await self._county.accept([case], 1)
        work = next(work for work in recorder.works if len(work.changes) > 1)
        if before is None:
            raise SetupError("the case to record is missing")
        return await asyncio.to_thread(Raw, self._folder / "raw.db", self._store.statements, work, before)


async def main(folder: Path) -> None:
    async with a_county(folder) as county:
        runner = web.AppRunner(application(county.gateway, ROUTES), access_log=None, keepalive_timeout=60)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls.server(folder / "tls.pem")).start()
        served = Served(county, folder, (int(runner.addresses[0][1]), int(runner.addresses[1][1])))
        try:
            asked = (served.ports, served.tokens, served.cases, served.bodies, served.in_process, served.groups)
            asked += (served.raw, served.rows, served.steps, served.modules, served.draft, served.own_copy)
            await answer({method.__name__: method for method in asked})
        finally:
            await runner.cleanup()
            served.close()


if __name__ == "__main__":
    quiet()
    asyncio.run(main(Path(sys.argv[1])))
