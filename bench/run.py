"""`sambud bench …`: sets of rows, each measured in turns with its reference, into one report.

The order of the legs turns round from one round to the next, so that a neighbour who wakes up in the middle does not
always meet the same leg.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import tls
from bench.child import Child
from bench.county import a_county
from bench.report import Report


@dataclass(frozen=True)
class Run:
    """What was asked for, and where figures go."""

    report: Report
    rounds: int
    quick: bool
    full: bool
    peers: Path | None
    say: Callable[[str], None]
    pattern: Path  # a gateway with the demo's directory, made once; every folder is a copy
    stack: AsyncExitStack
    _shared: dict[str, Child] = field(default_factory=dict)

    @asynccontextmanager
    async def folder(self) -> AsyncIterator[Path]:
        """A folder with a gateway of its own that nothing happened in yet, and a certificate."""
        with tempfile.TemporaryDirectory(prefix="sambud-bench-") as scratch:
            place = Path(scratch) / "place"
            await asyncio.to_thread(shutil.copytree, self.pattern, place)
            yield place

    async def client(self, number: int = 0) -> Child:
        """A client; they keep nothing between two parts, so all parts share them."""
        name = f"client {number}"
        if name not in self._shared:
            self._shared[name] = await child(self.stack, "bench.client")
        return self._shared[name]

    @asynccontextmanager
    async def server(self, *, own: bool = False) -> AsyncIterator[Child]:
        """A gateway's process over a fresh copy. With `--quick` parts share one that need none of their `own`."""
        if self.quick and not own:
            if "server" not in self._shared:
                folder = await self.stack.enter_async_context(self.folder())
                self._shared["server"] = await child(self.stack, "bench.server", str(folder))
            yield self._shared["server"]
            return
        async with AsyncExitStack() as stack:
            folder = await stack.enter_async_context(self.folder())
            yield await child(stack, "bench.server", str(folder))

    def each_round(self, what: str) -> range:
        self.say(f"{what}: {self.rounds} varv …")
        return range(self.rounds)


async def child(stack: AsyncExitStack, module: str, *arguments: str) -> Child:
    """A child that ends with `stack`."""
    started = await Child.start(module, *arguments)
    stack.push_async_callback(started.stop)
    return started


async def measure(
    which: str, *, rounds: int, quick: bool, full: bool, peers: Path | None, say: Callable[[str], None]
) -> Report:
    """Run a set; what it takes is in docs/performance.md."""
    from bench import accepting, dead, files, growth, memory, sdk, soak, starting, together
    from bench.peers import rows

    report = Report(quick)
    path = (accepting.measure, together.measure, starting.measure, files.measure, memory.measure)
    sets = {
        "path": path,
        "growth": (growth.measure,),
        "inbox": (growth.pages,),
        "peers": (rows.measure,),
        "soak": (soak.measure,),
        "sdk": (sdk.measure,),
        "channels": (dead.measure,),
    }
    sets["all"] = (*path, growth.measure, rows.measure, sdk.measure, dead.measure, soak.measure)
    async with AsyncExitStack() as stack:
        task = asyncio.current_task()
        if task is not None:  # ended from outside, it still ends its peers and takes its folders away
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        pattern = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sambud-bench-")))
        tls.make(pattern)
        async with a_county(pattern):
            pass
        run = Run(report, rounds, quick, full, peers, say, pattern, stack)
        for part in sets[which]:
            await part(run)
    return report
