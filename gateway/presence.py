"""Who is here now: members who read or answer an item, told to the others within a moment and forgotten soon after.

Why this exists: two people must not answer the same referral unknowingly. Presence is never stored and never logged:
it lives in this process for half a minute at most. Several web processes would each know their own (not yet shared).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

from gateway.model.base import SECOND, Instant, MessageId, UserId
from gateway.ports import Clock

GONE_AFTER: Final = 25 * SECOND


@dataclass(frozen=True, slots=True)
class Present:
    """A member at an item: by function, and whether an answer is being written."""

    user: UserId
    title: str
    message: MessageId
    answering: bool
    seen_at: Instant


class Presence:
    """Who is at which item, by scope (a board, or an inbox)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._here: dict[str, dict[tuple[UserId, MessageId], Present]] = {}
        self._listeners: dict[str, set[asyncio.Event]] = {}
        self._changes: dict[str, int] = {}
        self._closed = False

    def seen(self, scope: str, user: UserId, title: str, message: MessageId, *, answering: bool) -> None:
        """Note that a member is at an item; call again at least every 20 seconds while it is so."""
        here = self._here.setdefault(scope, {})
        before = here.get((user, message))
        now = self._clock.now()
        here[user, message] = Present(user, title, message, answering, now)
        if before is None or before.answering != answering or before.seen_at + GONE_AFTER <= now:
            self._tell(scope)

    def left(self, scope: str, user: UserId, message: MessageId) -> None:
        """Note that a member has gone."""
        if self._here.get(scope, {}).pop((user, message), None) is not None:
            self._tell(scope)

    def now(self, scope: str) -> list[Present]:
        """Who is here, oldest first; those not seen for 25 seconds are gone."""
        here = self._here.get(scope, {})
        now = self._clock.now()
        for key in [key for key, found in here.items() if found.seen_at + GONE_AFTER <= now]:
            del here[key]
        if not here:
            self._here.pop(scope, None)
        return sorted(here.values(), key=lambda found: (found.seen_at, found.user))

    def changed(self, scope: str) -> None:
        """Tell the listeners that something else about the scope changed (a claim, an answer)."""
        self._changes[scope] = self._changes.get(scope, 0) + 1
        self._tell(scope)

    def changes(self, scope: str) -> int:
        """How often something else about the scope has changed, since this process began."""
        return self._changes.get(scope, 0)

    async def watch(self, scope: str, *, every_s: float) -> AsyncGenerator[list[Present], None]:
        """Who is here: at once, at each change, and every `every_s` seconds (people also leave in silence)."""
        event = asyncio.Event()
        listeners = self._listeners.setdefault(scope, set())
        listeners.add(event)
        try:
            while not self._closed:
                yield self.now(scope)
                event.clear()
                try:
                    async with asyncio.timeout(every_s):
                        await event.wait()
                except TimeoutError:
                    continue
        finally:
            listeners.discard(event)
            if not listeners:
                self._listeners.pop(scope, None)

    @property
    def watchers(self) -> int:
        """How many watch now."""
        return sum(len(listeners) for listeners in self._listeners.values())

    def open(self) -> None:
        """Let watches begin: a server starts over this gateway, perhaps after another one has stopped."""
        self._closed = False

    def close(self) -> None:
        """End every watch: the process is about to stop."""
        self._closed = True
        for scope in self._listeners:
            self._tell(scope)

    def _tell(self, scope: str) -> None:
        for event in self._listeners.get(scope, ()):
            event.set()
