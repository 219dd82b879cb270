"""P10: how long the command takes from its start to its first page, and what it holds in memory while nothing happens.

Over a store with the demo's directory `sambud serve` is started as an operator starts it, and the
sign-in page is asked for until it comes. Resident memory is read after a second of rest.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from bench.memory import MIB, status
from bench.run import Run
from bench.wire import Wire, request
from gateway.errors import GatewayError

PAGE: Final = "/logga-in"
WAIT_S: Final = 30.0
REST_S: Final = 1.0


async def measure(run: Run) -> None:
    async with run.folder() as folder:
        for _ in run.each_round("start och vila (P10)"):
            run.report.add(await _started(folder))


async def _started(folder: Path) -> dict[str, float]:
    port = _free_port()
    here = str(Path(__file__).parent.parent)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SAMBUD_")}
    environment |= {
        "PYTHONPATH": os.pathsep.join(part for part in (here, os.environ.get("PYTHONPATH", "")) if part),
        "SAMBUD_DATA_DIR": str(folder / "data"),
        "SAMBUD_ROOT_KEY_FILE": str(folder / "key" / "k0"),
        "SAMBUD_PORT": str(port),
    }
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        "serve",
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await _first_page(process, port, began)
        spent = time.perf_counter() - began
        await asyncio.sleep(REST_S)
        return {"p10_start": spent, "p10_memory": status(process.pid, "VmRSS") / MIB}
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _first_page(process: asyncio.subprocess.Process, port: int, began: float) -> None:
    while time.perf_counter() - began < WAIT_S and process.returncode is None:
        try:
            wire = await Wire.open(port)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        try:
            (await wire.ask(request("GET", PAGE))).require(200)
            return
        finally:
            wire.close()
    raise GatewayError(f"serve gave no page; it ended with {process.returncode}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
