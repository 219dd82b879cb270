"""Every bound of the HTTP side in one place, and the token buckets that hold the rates.

Why this exists: what is not bounded is somebody's way to stop the gateway for everybody else. aiohttp bounds a line and
a header and nothing in time; so each bound is named here, with its reason, and the rest of the package only applies it.

Rules: a bucket that is full is no bucket, so the tables hold those who were active lately, and never more than
`MOST_KEPT` of them. An authority sits behind one address, so the bounds per address are those of a whole authority and
the bounds per user those of one person with a case system.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from adapters.http.routes import Rate

KIB: Final = 1024
MIB: Final = 1024 * KIB
MOST_KEPT: Final = 20_000  # entries of a table; about 4 MiB
Now = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Pace:
    """`burst` at once, and `per_second` for as long as one likes."""

    burst: float
    per_second: float


def _per_user() -> Mapping[Rate, Pace]:
    return MappingProxyType(
        {
            Rate.SIGN_IN: Pace(20, 0.5),  # step-up and the like, after sign-in
            Rate.READ: Pace(400, 100.0),
            Rate.WRITE: Pace(200, 50.0),
            Rate.UPLOAD: Pace(60, 2.0),
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds. Seconds end in `_s`; sizes are octets."""

    # Time (security.md §6, W08). aiohttp has one bound in time, for connections that wait.
    head_s: float = 10.0  # from the first octet of a request to the end of its head
    body_per_s: float = KIB  # the least a sender may send in the middle, while we want more
    body_grace_s: float = 10.0  # before that counts
    idle_s: float = 60.0  # a connection between two requests
    stalled_s: float = 60.0  # a reader that takes nothing while we have something for it
    request_s: float = 120.0  # from head to the first octet of the answer
    file_s: float = 3600.0  # the same for an upload, and for the body of a long answer

    # Size
    head: int = 32 * KIB
    line: int = 8190  # a request line or one header field, as aiohttp counts
    fields: int = 64
    body: int = 2 * MIB  # JSON, and forms of pages: a message is at most 1 MiB (design.md §2)
    small_body: int = 16 * KIB  # sign-in and other calls without a session
    stray_body: int = 4 * KIB  # of a call that takes none
    form_fields: int = 1_000
    upload: int = 20 * (1024**3 + MIB)  # a form with files: 20 attachments (design.md §2), each bounded as it comes

    # How much at once
    connections: int = 4_096
    connections_per_block: int = 2_048
    open_calls: int = 64  # answered without a session: sign-in page, help, what watches the gateway
    probes: int = 64  # /healthz and /readyz, never behind anybody else
    reads: int = 256
    writes: int = 128  # two groups of the writer (adapters/sql/sqlite.py)
    sign_ins: int = 64  # Argon2id runs two at a time
    uploads: int = 64
    streams: int = 1_024
    writes_per_user: int = 64
    uploads_per_user: int = 8
    streams_per_user: int = 16
    receiving: int = 64 * MIB  # bodies being read into memory, of those with a session
    receiving_per_user: int = 32 * MIB
    receiving_open: int = 16 * MIB  # and of those without

    # How often
    per_user: Mapping[Rate, Pace] = field(default_factory=_per_user)
    per_block: Pace = Pace(1_200, 400.0)  # every request from one address block
    sign_in_per_block: Pace = Pace(120, 2.0)  # an authority in the morning; accounts have delays of their own


#: For measurements and campaigns: a pace that nobody reaches; everything else as it is.
UNPACED: Final = Limits(
    per_user={rate: Pace(math.inf, math.inf) for rate in Rate},
    per_block=Pace(math.inf, math.inf),
    sign_in_per_block=Pace(math.inf, math.inf),
)


class Buckets:
    """Token buckets of one pace, one for each key, in bounded memory."""

    def __init__(self, pace: Pace, *, most: int = MOST_KEPT, now: Now = time.monotonic) -> None:
        self._pace = pace
        self._most = most
        self._now = now
        self._kept: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key: tokens, and when they were counted

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, key: str) -> int:
        """Take one token: 0 when there was one, else the seconds until there is one (at least 1)."""
        pace, now = self._pace, self._now()
        if math.isinf(pace.burst):
            return 0
        tokens, at = self._kept.get(key, (pace.burst, now))
        tokens = min(pace.burst, tokens + (now - at) * pace.per_second)
        short = tokens < 1
        self._kept[key] = (tokens if short else tokens - 1, now)
        self._kept.move_to_end(key)
        if len(self._kept) > self._most:
            # The longest silent one: by now nearly full, and a full bucket need not be remembered.
            self._kept.popitem(last=False)
        return math.ceil((1 - tokens) / pace.per_second) if short else 0
