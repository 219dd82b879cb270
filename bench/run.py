"""`sambud bench …`: sets of rows, each measured in turns with its reference, into one report.

The order of the legs turns round from one round to the next, so that a neighbour who wakes up in the middle does not
always meet the same leg.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import tls
from bench.child import Child
from bench.report import Report


@dataclass(frozen=True, slots=True)
class Run:
    """What was asked for, and where figures go."""

    report: Report
    rounds: int
    quick: bool
    full: bool
    peers: Path | None
    say: Callable[[str], None]

    @asynccontextmanager
    async def folder(self) -> AsyncIterator[Path]:
        """A folder of its own for a gateway, with a certificate; it goes with the context."""
        with tempfile.TemporaryDirectory(prefix="sambud-bench-") as scratch:
            tls.make(Path(scratch))
            yield Path(scratch)

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
    from bench import accepting, files, growth, memory, starting, together
    from bench.peers import rows

    report = Report(quick)
    run = Run(report, rounds, quick, full, peers, say)
    path = (accepting.measure, together.measure, starting.measure, files.measure, memory.measure)
    sets = {"path": path, "growth": (growth.measure,), "inbox": (growth.pages,), "peers": (rows.measure,)}
    sets["all"] = (*path, growth.measure, rows.measure)
    for part in sets[which]:
        await part(run)
    return report
