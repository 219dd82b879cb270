"""Ask a gateway on this machine how it is, as a watching machine would.

Why this exists: the doctor and the support bundle run in a process of their own; what the serving one knows of itself
(is it ready, what has it counted) it tells on loopback, without a session.
"""

from __future__ import annotations

import json
from typing import Final

import aiohttp

PATIENCE: Final = aiohttp.ClientTimeout(total=5)
MOST_OCTETS: Final = 4 * 1024 * 1024
TROUBLE: Final = (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError, TypeError)


async def readiness(host: str, port: int) -> list[tuple[str, str]] | None:
    """What does not hold there: sentence and next step. None when nobody answers as a gateway does."""
    try:
        async with (
            aiohttp.ClientSession(timeout=PATIENCE) as http,
            http.get(f"http://{_in_address(host)}:{port}/readyz") as response,
        ):
            told = json.loads(await response.content.read(MOST_OCTETS))
            return [(str(one["detail"]), str(one["next_step"])) for one in told["failing"]]
    except TROUBLE:
        return None


async def numbers(port: int) -> str:
    """The text of the metrics port; empty when nobody answers."""
    try:
        async with (
            aiohttp.ClientSession(timeout=PATIENCE) as http,
            http.get(f"http://127.0.0.1:{port}/metrics") as response,
        ):
            text = (await response.content.read(MOST_OCTETS)).decode("utf-8", "replace")
            return text if response.status == 200 else ""
    except TROUBLE:
        return ""


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host
