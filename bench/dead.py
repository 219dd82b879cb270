"""S5: ten thousand deliveries wait for a neighbour that is dead: how long do the others take?

Why this exists: one authority's system is away for days, and everybody else's mail goes through the same process, the
same store and the same log. So messages to others are sent at a steady pace, inside the gateway and over a channel that
answers, once without and once with the queue, in turns.

Rules: the two gateways are alike but for the queue; one works while the other rests. A channel's worker looks every
five seconds, with and without a queue: what is told is the share that the dead one adds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from bench.child import Child
from bench.run import Run, child

QUEUED: Final = 10_000
EACH: Final = 240  # messages of one leg
A_SECOND: Final = 8.0


async def measure(run: Run) -> None:
    """About a minute for each round, and one to fill the queue."""
    count, each = (40, 8) if run.quick else (QUEUED, EACH)
    async with AsyncExitStack() as stack:
        free, full = [await _gateway(stack) for _ in range(2)]
        await full.ask("queued", count=count)
        for number in run.each_round("en granne borta, 10 000 väntar (S5)"):
            legs = {}
            for name, gateway in (("full", full), ("free", free))[:: -1 if number % 2 else 1]:
                await gateway.ask("work", on=True)
                await gateway.ask("others", count=4, a_second=A_SECOND)  # without a stopwatch
                legs[name] = await gateway.ask("others", count=each, a_second=A_SECOND)
                await gateway.ask("work", on=False)
            run.report.add(figures(legs["free"], legs["full"]))


def figures(free: dict[str, list[float]], full: dict[str, list[float]]) -> dict[str, float]:
    """The 99th percentile with the queue, of that without; and both in milliseconds."""
    found = {}
    for way in ("local", "channel"):
        without, with_queue = p99(free[way]), p99(full[way])
        found[f"s5_{way}"] = with_queue / without
        found[f"dead_{way}_free"], found[f"dead_{way}_full"] = without * 1000, with_queue * 1000
    return found


def p99(seconds: Sequence[float]) -> float:
    """The value that 99 of 100 do not pass; of few, the greatest."""
    ordered = sorted(seconds)
    return max(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 1e-6)


async def _gateway(stack: AsyncExitStack) -> Child:
    scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="sambud-bench-"))
    return await child(stack, "bench.outside", str(Path(scratch) / "place"))
