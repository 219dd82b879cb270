"""S6, and what goes through the message client in a minute (docs/performance.md).

Why this exists: a message of 30 MB comes as 40 MB of base64 in one JSON answer, and each copy on the way shows in the
memory of the gateway that everybody uses; and a client that is asked for a receipt every five seconds cannot say in
three that a message has arrived. The service is the simulated one in a process of its own, on loopback, without delay.
"""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Final

from bench.child import Child
from bench.memory import MIB, Peak
from bench.run import Run, child

#: Octets of the file: with base64, the form's page and the rest just below 30 000 000.
LARGE: Final = 22_300_000
SMALL: Final = 1_000_000
COUNT: Final = 1_000
EVERY_S: Final = 0.055  # 1,090 a minute
QUICK: Final = 5


async def measure(run: Run) -> None:
    """S6 and the throughput, each round with a gateway and a service of its own."""
    for _ in run.each_round("SDK: 30 MB ut och in (S6), tusen meddelanden i minuten"):
        with tempfile.TemporaryDirectory(prefix="sambud-bench-") as scratch:
            run.report.add(await _round(run, Path(scratch)))


async def _round(run: Run, folder: Path) -> dict[str, float]:
    service = await child(run.stack, "bench.sdk_service", str(folder))
    client = await child(run.stack, "bench.sdk_client", str(folder))
    try:
        ours, theirs = await client.ask("addresses")
        address = await service.ask("join", name="ours", addresses=ours)
        await service.ask("join", name="theirs", addresses=theirs)
        await client.ask("connect", service=address, name="ours")
        paced = await client.ask("paced", count=QUICK if run.quick else COUNT, every_s=EVERY_S)
        size = SMALL if run.quick else LARGE
        # Warmed by a small one each way: what is told is what the size costs.
        await client.ask("send_file", size=SMALL)
        out = await _peak(client, client.ask("send_file", size=size))
        inbox, sender = await client.ask("own_address")
        grown = []
        for octets in (SMALL, size):
            await service.ask("write", name="theirs", sender=sender, recipient=inbox, size=octets)
            grown.append(await _peak(client, client.ask("take_in")))
    finally:
        await client.stop()
        await service.stop()
    return {
        "s6_out": out,
        "s6_in": grown[-1],
        "sdk_p99": paced["p99"],
        "sdk_minute": paced["minute"],
        "sdk_accepted": paced["accepted"] * 1000,
        "sdk_confirmed": paced["confirmed"],
        "sdk_confirmed_p99": paced["confirmed_p99"],
    }


async def _peak(client: Child, work: Awaitable[object]) -> float:
    """MiB that the gateway grew by meanwhile; processes that make and read pages have limits of their own."""
    async with Peak(client.pid) as peak:
        await work
    return peak.growth / MIB
