"""Tell the service manager that the gateway is ready, alive, ending (sd_notify(3), the protocol and nothing else).

Why this exists: a start that is called done before the port answers lets the proxy send people to nobody, and a process
that hangs is no crash, so nothing restarts it. Ready is said when the gateway listens; "alive" comes from a task on the
event loop, so a loop that stands still falls silent and is restarted.

Rules: it says nothing where nobody asked (no NOTIFY_SOCKET), and a manager that does not hear never harms the gateway.
It proves that the loop turns, not that the store takes writes: that is what readiness is for.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from typing import Final

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"
ALIVE: Final = "WATCHDOG=1"


def tell(state: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Send one state; False when there is nobody to tell."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]  # Linux: a name that is no file
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
            line.setblocking(False)
            line.sendto(state.encode(), address)
    except OSError:
        return False
    return True


def interval_s(environment: Mapping[str, str] = os.environ) -> float | None:
    """How often to say so: half of what the manager waits (sd_watchdog_enabled(3)); None when it does not wait."""
    wanted = environment.get("WATCHDOG_USEC", "")
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(wanted) / 2_000_000 if wanted.isdecimal() and int(wanted) else None


async def keep_alive() -> None:
    """Say that we live for as long as somebody waits for it; ends at once when nobody does."""
    every_s = interval_s()
    while every_s is not None:
        tell(ALIVE)
        await asyncio.sleep(every_s)
