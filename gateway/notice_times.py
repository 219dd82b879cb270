"""When a notice may go: at once or in the daily summary, never in quiet hours, never to somebody who is away.

Why this exists: a telephone that rings at night about work is put away, and then it does not ring by day either. The
rules are pure, in the clock time of Sweden, so that a day of 23 hours is still a day.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final

from gateway.consents import STOCKHOLM
from gateway.model.base import HOUR, Instant, UserId

#: At most one mail about an inbox to one user in this time, whatever arrives.
WINDOW: Final = HOUR
#: So many bounces are not a full mailbox or a bad day any more; mail servers count those who go on against us.
MOST_RETURNED: Final = 3
_DAY_MINUTES: Final = 24 * 60


class When(StrEnum):
    OFF = "off"
    ONCE = "once"
    DIGEST = "digest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a user has chosen. Times are minutes of the day; equal quiet times mean no quiet hours. Days are ISO dates,
    both included; empty: not away."""

    when: When = When.OFF
    address: str = ""
    language: str = "sv"
    digest_at: int = 8 * 60
    quiet_from: int = 17 * 60
    quiet_to: int = 8 * 60
    weekends: bool = False
    away_from: str = ""
    away_to: str = ""
    deputy: UserId | None = None
    returned: int = 0  # notices to this address that came back for good; saving anew begins at 0

    @property
    def stopped(self) -> bool:
        """Whether nothing more is sent to this address until its owner saves it anew."""
        return self.returned >= MOST_RETURNED

    def encoded(self) -> bytes:
        return json.dumps(dataclasses.asdict(self), sort_keys=True).encode()

    @classmethod
    def decoded(cls, octets: bytes) -> Choice:
        """Members that a newer gateway wrote are passed over."""
        told = json.loads(octets)
        names = {field.name for field in dataclasses.fields(cls)}
        known = {name: value for name, value in told.items() if name in names}
        return cls(**{**known, "when": When(known.get("when", When.OFF))})

    def away(self, now: Instant) -> bool:
        if not self.away_from or not self.away_to:
            return False
        return date.fromisoformat(self.away_from) <= _local(now).date() <= date.fromisoformat(self.away_to)


def due_at(choice: Choice, now: Instant, last: Instant, *, urgent: bool = False) -> Instant:
    """When a mail about something that is known since `now` goes, the last one having gone at `last`.

    Args:
        urgent: the summary is not waited for; quiet hours still are.
    """
    at = _local(max(now, Instant(last + WINDOW)) if last else now)
    if choice.when is When.DIGEST and not urgent:
        at = _next(at, choice.digest_at)
    return _instant(_awake(choice, at))


def _awake(choice: Choice, at: datetime) -> datetime:
    """The first moment from `at` on that is not quiet."""
    for _ in range(8):  # a week of quiet days, and then it is day
        if not choice.weekends and at.weekday() >= 5:
            at = _at(at.date() + timedelta(days=1), 0)
        elif _quiet(choice, at):
            at = _next(at, choice.quiet_to)
        else:
            break
    return at


def _quiet(choice: Choice, at: datetime) -> bool:
    if choice.quiet_from == choice.quiet_to:
        return False
    minute = at.hour * 60 + at.minute
    return (minute - choice.quiet_from) % _DAY_MINUTES < (choice.quiet_to - choice.quiet_from) % _DAY_MINUTES


def _next(at: datetime, minute: int) -> datetime:
    """The next time that the clock shows this minute; now counts when it does."""
    today = _at(at.date(), minute)
    return today if today >= at else _at(at.date() + timedelta(days=1), minute)


def _at(day: date, minute: int) -> datetime:
    # Through UTC and back: a time that the clock skips in March is the one after it.
    wanted = datetime.combine(day, time(minute // 60, minute % 60), STOCKHOLM)
    return wanted.astimezone(UTC).astimezone(STOCKHOLM)


def _local(at: Instant) -> datetime:
    return datetime.fromtimestamp(at / 1_000_000, UTC).astimezone(STOCKHOLM)


def _instant(at: datetime) -> Instant:
    return Instant(round(at.timestamp() * 1_000_000))
