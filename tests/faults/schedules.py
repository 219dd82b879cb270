"""Two acts on one store, in every order that the first one's waits allow.

A gateway gives up the processor when it calls its store, so between two calls anything may have happened. `Pausing`
wraps a store: before or after a call of the first act the rival act runs from beginning to end, and then the first goes
on. Point 2k - 1 is before call k, point 2k after it; with every point every order is walked, and each can be walked
again.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final

#: A rival that waits for a lock inside the process (a batch of shred keys being made) waits for the first act: then the
#: first goes on, as it would.
STUCK_S: Final = 0.5


class Pausing:
    """The Store port over another store, with a rival at one of its points."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._at = 0
        self._rival: Callable[[], Awaitable[object]] | None = None
        self._running: asyncio.Task[object] | None = None
        self.points = 0
        self.counting = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def paused(*arguments: Any, **named: Any) -> Any:
            await self._reached()
            answer = await found(*arguments, **named)
            await self._reached()
            return answer

        return paused

    async def _reached(self) -> None:
        if not self.counting:
            return
        self.points += 1
        if self.points != self._at or self._rival is None:
            return
        self.counting = False  # the rival's own calls are not counted
        self._running = asyncio.ensure_future(self._rival())
        await asyncio.wait({self._running}, timeout=STUCK_S)
        self.counting = True

    async def counted(self, act: Callable[[], Awaitable[object]]) -> int:
        """How many points an act passes when nobody interferes."""
        self.points, self._at, self.counting = 0, 0, True
        try:
            await act()
        finally:
            self.counting = False
        return self.points

    async def run(
        self, act: Callable[[], Awaitable[object]], rival: Callable[[], Awaitable[object]], *, at: int
    ) -> tuple[object, bool]:
        """`act` with `rival` at its point number `at`: what came of the act (a result or an exception), and whether
        the rival had its turn. A rival that fails fails the test."""
        self.points, self._at, self.counting = 0, at, True
        self._rival, self._running = rival, None
        try:
            outcome: object = await act()
        except Exception as trouble:
            outcome = trouble
        finally:
            self.counting = False
        if self._running is None:
            return outcome, False
        await self._running
        return outcome, True
