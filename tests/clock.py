"""Time that a test sets: it stands still until the test moves it."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.model.base import Instant


def instant(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> Instant:
    """An instant by its UTC calendar."""
    return Instant(int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()) * 1_000_000)


class ManualClock:
    """The Clock port; starts on Monday 2 March 2026, 08:00 UTC."""

    def __init__(self, at: Instant | None = None) -> None:
        self._now = instant(2026, 3, 2, 8) if at is None else at

    def now(self) -> Instant:
        return self._now

    def advance(self, microseconds: int) -> None:
        self._now = Instant(self._now + microseconds)

    def set(self, at: Instant) -> None:
        self._now = at
