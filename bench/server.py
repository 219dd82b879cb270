"""The product as it is measured: the real application over the real store, in a process of its own.

Beside HTTP and HTTPS on loopback it answers the run: cases to send in, the same pipeline without HTTP (R1), the same
rows by the plain driver (R0), a long history, and the processor time of one acceptance, step by step. The worker rests
unless it is asked for: most rows measure accepting, for the product and for its references.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from aiohttp import web

from adapters.http.api import ROUTES
from adapters.http.limits import UNPACED
from adapters.http.listeners import listening
from adapters.http.server import application
from adapters.http.web import NAV, PAGES
from adapters.http.web.frame import Web
from adapters.sql.sqlite import SqliteStore
from bench import logs, steps, tls
from bench.child import answer, quiet
from bench.county import READER, RECIPIENT, County, a_county
from bench.groups import Groups
from bench.history import History
from bench.raw import Raw, recorded
from gateway.errors import SetupError
from gateway.model.base import CaseId
from gateway.model.path import Channel, Delivery
from gateway.ports import Update, Work
from gateway.states import TaskState


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
        self._history = History(county, store)
        self._groups: Groups | None = None
        self._open: set[str] = set()
        self._work = AsyncExitStack()

    # --- what clients need -------------------------------------------------------------------------------------------

    async def ports(self) -> list[int]:
        return list(self._ports)

    async def tokens(self, count: int) -> list[str]:
        return [await self._county.token() for _ in range(count)]

    async def readers(self, count: int) -> list[str]:
        return [await self._county.token(READER) for _ in range(count)]

    async def people(self) -> list[list[str]]:
        return self._county.people()

    async def cases(self, count: int) -> list[str]:
        return [str(case) for case in await self._county.cases(count)]

    async def bodies(self, count: int) -> list[Any]:
        """The message of most rows, each in a case of its own."""
        return [self._county.body(self._county.submission(case)) for case in await self._county.cases(count)]

    async def case_messages(self, count: int, cases: int) -> list[Any]:
        """The small message, in `cases` cases in turn."""
        places = await self._county.cases(cases)
        return [self._county.body(self._county.case_message(places[number % cases])) for number in range(count)]

    async def draft(self) -> str:
        return await self._county.draft()

    async def file_draft(self) -> str:
        """A small message's draft in a fresh case, for a file that the recipient gets as well."""
        return await self._county.file_draft()

    async def recipient(self) -> str:
        return str(RECIPIENT)

    async def deliver(self) -> int:
        return await self._county.deliver()

    async def own_copy(self, draft: str) -> list[Any]:
        envelope, files = await self._county.own_copy(draft)
        return [envelope, files]

    # --- the worker --------------------------------------------------------------------------------------------------

    async def work(self, on: bool) -> None:
        """Let the worker of `serve` run, or rest."""
        await self._work.aclose()
        if on:
            await self._work.enter_async_context(self._county.working())

    async def cpu(self) -> float:
        """Seconds of processor time of this process so far."""
        return time.process_time()

    # --- references and steps ----------------------------------------------------------------------------------------

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
            work, case = await recorded(self._county, self._store)
            self._raw = await asyncio.to_thread(Raw, self._folder / "raw.db", self._store.statements, work, case)
        return await asyncio.to_thread(self._raw.run, count, group)

    async def rows(self) -> int:
        return self._raw.rows if self._raw else 0

    async def grouped(self, count: int, callers: int, most: int) -> float:
        """P11: seconds for `count` Works of the store from `callers` callers, at most `most` in one transaction."""
        if self._groups is None:
            self._groups = await Groups.ready(self._county, self._store)
        return await self._groups.run(count, callers, most)

    async def steps(self, cases: list[str]) -> dict[str, float]:
        return await steps.by_step(self._county, [CaseId(case) for case in cases])

    async def modules(self, cases: list[str]) -> list[list[Any]]:
        return await steps.by_module(self._county, [CaseId(case) for case in cases])

    # --- a long history ----------------------------------------------------------------------------------------------

    async def history(self, count: int) -> None:
        """Done messages until there are `count`."""
        await self._history.add(count - self._history.count)

    async def open_items(self, count: int, reader: str) -> str:
        """Open referrals with sealed priorities: sent, delivered and opened once. Gives the inbox."""
        await self._county.accept(await self._county.cases(count), 8)
        await self._county.deliver()
        signed = await self._county.gateway.sessions.authenticate(reader)
        for task in await self._store.open_tasks(RECIPIENT, limit=count):
            await self._county.gateway.queue.open(signed, task.envelope)
            self._open.add(task.envelope)
        return str(RECIPIENT)

    async def settle(self) -> None:
        """What was only sent to be measured is nobody's work any more: the open items stay as many as they were."""
        while others := [
            task for task in await self._store.open_tasks(RECIPIENT, limit=200) if task.envelope not in self._open
        ]:
            done = [dataclasses.replace(task, state=TaskState.DONE, version=task.version + 1) for task in others]
            await self._store.commit(Work(changes=tuple(Update(task) for task in done)))

    async def claims(self, count: int) -> dict[str, float]:
        """Milliseconds of one claim of 32 due deliveries, and of delivering one, over `count` of them."""
        await self._county.accept(await self._county.cases(count), 8)
        spent: list[float] = []
        claim_due = self._store.claim_due

        async def timed(channel: Channel, **values: Any) -> list[Delivery]:
            began = time.perf_counter()
            found = await claim_due(channel, **values)
            if found:
                spent.append(time.perf_counter() - began)
            return found

        self._store.claim_due = timed  # type: ignore[method-assign]
        try:
            started = time.perf_counter()
            done = await self._county.deliver()
            whole = time.perf_counter() - started
        finally:
            del self._store.claim_due
        return {"claim": sum(spent) / len(spent) * 1000, "deliver": whole / done * 1000}

    async def publish(self) -> int:
        """Publish the log; gives the number of its leaves."""
        await self._county.gateway.integrator.flush()
        return await logs.size(self._county, self._store)

    async def records(self, count: int) -> int:
        """See that the log has at least `count` records, and is published."""
        await logs.grow(self._county, self._store, count)
        return await self.publish()

    async def verify(self, sides: bool) -> float:
        """Records a second of checking the log; with its side rows, or leaves and tree alone."""
        return await logs.verify(self._county, self._store, sides=sides)

    async def hashed(self) -> float:
        """Records a second of nothing but SHA-256 over octets as long as the log's leaves."""
        return await logs.hashed(self._county, self._store)

    async def close(self) -> None:
        await self._work.aclose()
        if self._raw is not None:
            self._raw.close()


async def main(folder: Path) -> None:
    async with a_county(folder) as county, AsyncExitStack() as stack:
        address = await stack.enter_async_context(listening(_app(county), "127.0.0.1", 0))
        served = Served(county, folder, (int(address.rpartition(":")[2]), await _secure(stack, county, folder)))
        stack.push_async_callback(served.close)
        names = [name for name in vars(Served) if not name.startswith("_") and name != "close"]
        await answer({name: getattr(served, name) for name in names})


def _app(county: County) -> web.Application:
    """The whole application. One case worker stands here for hundreds, so the pace of one person is not held."""
    routes = (*ROUTES, *PAGES)
    return application(county.gateway, routes, Web(county.gateway, routes, NAV), limits=UNPACED)


async def _secure(stack: AsyncExitStack, county: County, folder: Path) -> int:
    """The same behind TLS, as the sketch and the bare server stand; in operation a proxy does this. Gives the port."""
    pem = folder / "tls.pem"
    runner = web.AppRunner(_app(county), access_log=None, keepalive_timeout=60)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    context = tls.server(pem if pem.exists() else tls.make(folder))
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    return int(runner.addresses[0][1])


if __name__ == "__main__":
    quiet()
    asyncio.run(main(Path(sys.argv[1])))
