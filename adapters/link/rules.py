"""The clocks of lag (2017:612) as Link's users live by them, computed from instants and the Swedish calendar.

Why this exists: a simulator that forgets the three days teaches nothing about them. The paragraphs are V1 (read); when
payment begins is a matter between principals and never decided here.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from gateway.model.base import DAY, Instant

STOCKHOLM: Final = ZoneInfo("Europe/Stockholm")
NOTICE_WITHIN: Final = DAY  # 2 kap. 3 §: inskrivningsmeddelande within 24 hours of admission
CALL_WITHIN_DAYS: Final = 3  # 4 kap. 3 §: kallelse within three days of utskrivningsklar
NOON: Final = time(12)  # 5 kap. 4 §: told after 12.00, a day more
READING: Final = (time(8), time(12), time(15, 30))  # INF: "three times a day"


def call_by(ready: Instant) -> Instant:
    """Until when the call to SIP is made: the end of the third day after the notice."""
    return _end_of(_local(ready) + timedelta(days=CALL_WITHIN_DAYS))


def payment_from(ready: Instant) -> Instant:
    """When payment may begin: three days after the notice, four when it came after 12.00 (5 kap. 3-4 §§)."""
    told = _local(ready)
    days = CALL_WITHIN_DAYS + (1 if told.time() > NOON else 0)
    return _end_of(told + timedelta(days=days))


def read_at(posted: Instant) -> Instant:
    """When people who look in three times a day have seen it."""
    moment = _local(posted)
    for day in range(2):
        for hour in READING:
            found = datetime.combine(moment.date() + timedelta(days=day), hour, STOCKHOLM)
            if found > moment:
                return _instant(found)
    raise AssertionError("a day has a reading")  # pragma: no cover


def next_night(made: Instant) -> Instant:
    """When the nightly synchronisation has let a new user in: the next midnight."""
    return _instant(datetime.combine(_local(made).date() + timedelta(days=1), time(), STOCKHOLM))


def _end_of(moment: datetime) -> Instant:
    return _instant(datetime.combine(moment.date() + timedelta(days=1), time(), STOCKHOLM))


def _local(at: Instant) -> datetime:
    return datetime.fromtimestamp(at / 1_000_000, UTC).astimezone(STOCKHOLM)


def _instant(moment: datetime) -> Instant:
    return Instant(int(moment.timestamp()) * 1_000_000)
