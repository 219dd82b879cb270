"""A bell between who queues a delivery and who delivers it, inside one process.

Why this exists: a worker that looks into the queue five times a second lets every message lie for a tenth of a second,
and its recipient ask in vain meanwhile. The bell only shortens the wait: what is queued lies in the store, and a bell
that nobody hears (another process, a crash) costs one turn of the worker's own clock.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Bell:
    """Rung by accepting, heard by the worker."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Something new lies in the queue."""
        self._event.set()

    async def wait(self, at_most_s: float) -> None:
        """Return when it was rung since the last time, or after `at_most_s` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._event.wait()
        self._event.clear()
