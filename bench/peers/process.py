"""A peer's server: started on loopback in a folder of its own, watched for processor time, ended by its process id."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.errors import GatewayError

READY_S: Final = 60.0
END_S: Final = 20.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Server:
    """A running peer."""

    name: str
    port: int
    process: asyncio.subprocess.Process
    log: Path

    @classmethod
    async def start(
        cls, name: str, port: int, argv: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
    ) -> Server:
        """Start it and wait until its port answers.

        Raises:
            GatewayError: it ended, or did not listen within a minute; the last lines of its log are in the message.
        """
        log = folder / f"{name}.log"
        with log.open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                *argv,
                cwd=folder,
                env={**os.environ, **(environment or {})},
                stdout=out,
                stderr=out,
                stdin=asyncio.subprocess.DEVNULL,
            )
        server = cls(name, port, process, log)
        began = time.monotonic()
        while time.monotonic() - began < READY_S and process.returncode is None:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return server
            await asyncio.sleep(0.1)
        await server.stop()
        raise GatewayError(f"{name} did not start: {log.read_text('utf-8', 'replace')[-600:]}")

    def cpu(self) -> float:
        """Seconds of processor time of the process, its children, and the children that have ended."""
        return sum(_spent(pid) for pid in _family(self.process.pid))

    async def stop(self) -> None:
        """End it and every process that it started, each by its id: Postfix's master outlives the shell before it."""
        if self.process.returncode is not None:
            return
        for pid in _family(self.process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(END_S):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _family(pid: int) -> set[int]:
    """A process and all that descend from it."""
    parents, family = _parents(), {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def _parents() -> dict[int, int]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                found[int(entry.name)] = int((entry / "stat").read_text("utf-8").rpartition(")")[2].split()[1])
    return found


def _spent(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / _TICKS  # utime, stime, cutime, cstime (proc(5))
