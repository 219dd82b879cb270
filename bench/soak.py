"""S7: half an hour of work at half load: what memory and open files do over time.

Why this exists: what leaks, leaks slowly. A gateway that grows by a few MiB a minute passes every other row and dies in
a week. So one server process is kept busy half of the time with whole ways (sent, delivered, found, opened), a file and
a page, and is looked at when it rests.

Rules: as long at rest as at work; sessions are signed in anew, so none is kept for the measurement's sake; what was
opened is done, so no list grows. The slope is that of a straight line through what was resident at each rest after the
first sixth, when caches have filled; the log, the database and the blobs grow all the while, as they should.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.child import Child
from bench.memory import MIB, status
from bench.run import Run

WORKERS: Final = 4
EACH: Final = 40  # messages of a worker in one beat: a session's openings, below what one window covers
FULL_S: Final = 1800.0
SHORT_S: Final = 120.0
FILE: Final = MIB
WARM: Final = 1 / 6  # of the time: caches fill


@dataclass(frozen=True, slots=True)
class Seen:
    """The server at one rest: seconds since the start, octets resident, open files, messages so far."""

    at: float
    resident: int
    files: int
    messages: int


async def measure(run: Run) -> None:
    """S7: two minutes, half an hour with `--full`, two beats with `--quick`."""
    lasts = 0.0 if run.quick else FULL_S if run.full else SHORT_S
    run.say(f"uthållighet (S7): {lasts / 60:.0f} minuter …")
    async with run.server(own=True) as server:
        seen = await _soaked(server, await run.client(), lasts, 2 if run.quick else EACH, run)
    run.report.add(figures(seen))


def figures(seen: list[Seen]) -> dict[str, float]:
    """Memory's slope in MiB a minute, open files of the last third against the first, and how much was done."""
    warm = [one for one in seen if one.at >= seen[-1].at * WARM]
    minutes = [one.at / 60 for one in warm]
    resident = [one.resident / MIB for one in warm]
    slope = statistics.linear_regression(minutes, resident).slope if len(warm) > 1 else 0.0
    third = max(1, len(warm) // 3)
    files = [one.files for one in warm]
    return {
        "s7_slope": max(slope, 0.001),  # it may fall as well; what is told is how fast it grows
        "s7_files": statistics.median(files[-third:]) / statistics.median(files[:third]),
        "soak_messages": float(seen[-1].messages),
        "soak_minutes": max(seen[-1].at / 60, 0.001),
        "soak_resident": resident[-1],
    }


async def _soaked(server: Child, client: Child, lasts: float, each: int, run: Run) -> list[Seen]:
    port = (await server.ask("ports"))[0]
    inbox = await server.ask("recipient")
    await server.ask("work", on=True)
    seen: list[Seen] = []
    began = time.monotonic()
    while len(seen) < 4 or time.monotonic() - began < lasts:
        work = time.monotonic()
        bodies = await server.ask("case_messages", count=WORKERS * each, cases=WORKERS)
        [sender] = await server.ask("tokens", count=1)
        readers = await server.ask("readers", count=WORKERS)
        await client.ask(
            "cycle",
            port=port,
            bodies=[bodies[number::WORKERS] for number in range(WORKERS)],
            senders=[sender] * WORKERS,
            readers=[[reader] for reader in readers],
            inbox=inbox,
        )
        [reader] = await server.ask("readers", count=1)
        draft = await server.ask("file_draft")
        await client.ask("file_cycle", port=port, sender=sender, reader=reader, draft=draft, inbox=inbox, size=FILE)
        await client.ask("get", port=port, path=f"/api/v1/inboxes/{inbox}/messages?limit=16", token=reader, count=each)
        await server.ask("settle")
        await asyncio.sleep(time.monotonic() - work if lasts else 0)
        seen.append(_look(server.pid, time.monotonic() - began, (len(seen) + 1) * (WORKERS * each + 1)))
        if len(seen) % 20 == 0:
            last = seen[-1]
            run.say(f"  {last.at / 60:.1f} min: {last.resident / MIB:.1f} MiB, {last.files} filer, {last.messages} st")
    await server.ask("work", on=False)
    return seen


def _look(pid: int, at: float, messages: int) -> Seen:
    return Seen(at, status(pid, "VmRSS"), len(list(Path(f"/proc/{pid}/fd").iterdir())), messages)
