"""No log, no content: when the log is no longer published, nothing is accepted and nothing is opened.

Why this exists: leaves are durable with the act they log, but only a signed checkpoint holds them against somebody who
owns the database. With a dead integrator the business would go on under a log that nobody holds (security-decisions
H2). So the integrator keeps the newest checkpoint young, by a heartbeat leaf each minute when nothing else happens, and
accept and open ask here first.

Rules: age is counted on the process's own steady clock since a checkpoint was last seen to grow, so a clock that jumps
stops nobody (Q09); the wall clock is asked once, at the start. Only a gateway that serves has workers that publish, so
only `serve` arms this.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from gateway.audit import Auditor
from gateway.errors import LogBehindError
from gateway.model.base import MINUTE
from gateway.ports import Clock, Store

OLDEST_S: Final = 180.0
#: How long an answer of the store is good for: one read in five seconds, however much is sent.
LOOK_EVERY_S: Final = 5.0


class Freshness:
    """Whether the newest checkpoint is young enough to send and open under."""

    def __init__(
        self, store: Store, auditor: Auditor, clock: Clock, *, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._auditor = auditor
        self._clock = clock
        self._steady = steady
        self._armed = False
        self._seen: tuple[str, int] = ("", 0)
        self._grew_at: float | None = None
        self._looked_at: float | None = None

    def arm(self) -> None:
        """From now on `require` may refuse."""
        self._armed = True

    @property
    def armed(self) -> bool:
        """Whether this gateway serves."""
        return self._armed

    async def age_s(self) -> float | None:
        """Seconds since a checkpoint was last seen to grow; None when none was seen that is young."""
        await self._look()
        return None if self._grew_at is None else self._steady() - self._grew_at

    async def require(self) -> None:
        """Raise LogBehindError unless a checkpoint of the last three minutes stands; before `arm`, never."""
        if not self._armed:
            return
        age = await self.age_s()
        if age is None or age > OLDEST_S:
            raise LogBehindError(
                "the newest checkpoint is older than three minutes",
                swedish="Loggen fylls inte på just nu. Därför kan inget skickas eller öppnas.",
                next_step="Försök igen om en stund. Utkast är kvar. Driften behöver se över loggen om det dröjer.",
            )

    async def _look(self) -> None:
        now = self._steady()
        if self._looked_at is not None and now - self._looked_at < LOOK_EVERY_S:
            return
        origin = self._auditor.origin(self._clock.now())
        newest = await self._store.last_checkpoint(origin)
        self._looked_at = now
        if newest is None or (origin, newest.size) == self._seen:
            return
        first = self._grew_at is None and not self._seen[0]
        self._seen = (origin, newest.size)
        if not first or abs(self._clock.now() - newest.at) <= 3 * MINUTE:
            self._grew_at = now
