"""Who is let in, and how much at once: rates, lanes and octets, asked for before a handler runs.

Why this exists: work that is let in must be carried out, so it is refused at the door, while refusing is cheap: 429 for
who asks too often, 503 for everybody when a lane is full, both with Retry-After. Every kind of work has a lane of its
own: writers that wait for a slow disk fill theirs, and reading, signing in and what watches the gateway go on.

Rules: nothing is queued here; the waiting is done by the caller. A GET that leaves an entry in the log is a write. A
body has its place in memory before its first octet is read, and gives it back whatever happens.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

from aiohttp import web

from adapters.http.limits import Buckets, Limits, Now
from adapters.http.routes import Access, Rate, Route
from gateway.errors import GatewayError, InvalidRequestError, StoreUnavailableError, TooManyAttemptsError


class BusyError(StoreUnavailableError):
    """The gateway has as much to do as it can carry; nothing of this request was begun."""

    code = "busy"
    status = 503
    NEXT_STEP = "Försök igen om en liten stund. Det som var sparat sedan tidigare är kvar."


class TooManyRequestsError(TooManyAttemptsError):
    """This user, or this address, asks more often than is allowed; nothing of this request was begun."""

    code = "too-many-requests"
    NEXT_STEP = "Vänta en stund och försök igen. Inget har ändrats, och sparade utkast är kvar."


class TooSlowError(InvalidRequestError):
    """The request did not come whole in the time that there is for one; nothing of it was done."""

    code = "too-slow"
    status = 408

    def __init__(self) -> None:
        super().__init__(
            "the request took too long to come",
            swedish="Det tog för lång tid att ta emot det som skickades.",
            next_step="Försök igen. Inget har ändrats, och sparade utkast är kvar.",
        )


class UnansweredError(GatewayError):
    """No answer in time; what was asked for may still be carried out."""

    code = "unanswered"
    status = 504

    def __init__(self) -> None:
        super().__init__(
            "no answer in time",
            swedish="Det tog för lång tid att svara. Det du skickade kan ha sparats ändå.",
            next_step="Se efter om det kom i väg innan du gör om det. Är det bråttom: ring mottagaren.",
        )


class Lane(StrEnum):
    """A kind of work with its own bound."""

    OPEN = "open"
    READ = "read"
    WRITE = "write"
    SIGN_IN = "sign_in"
    UPLOAD = "upload"
    STREAM = "stream"
    PROBE = "probe"  # one answer serves all who ask in a second (gateway.health)


def lane_of(route: Route) -> Lane:
    """The lane of a route: what may wait for the writer of the store never stands in the way of what does not."""
    if route.stream:
        return Lane.STREAM
    if route.rate is Rate.PROBE:
        return Lane.PROBE
    if route.rate is Rate.UPLOAD:
        return Lane.UPLOAD
    if route.rate is Rate.SIGN_IN:
        return Lane.SIGN_IN
    if route.rate is Rate.WRITE or not route.audit.startswith("none"):
        return Lane.WRITE
    return Lane.OPEN if route.access is Access.PUBLIC else Lane.READ


class Gate:
    """The door of one application."""

    def __init__(self, limits: Limits, *, now: Now = time.monotonic) -> None:
        self.limits = limits
        self._most: Final = {
            Lane.OPEN: limits.open_calls,
            Lane.READ: limits.reads,
            Lane.WRITE: limits.writes,
            Lane.SIGN_IN: limits.sign_ins,
            Lane.UPLOAD: limits.uploads,
            Lane.STREAM: limits.streams,
            Lane.PROBE: limits.probes,
        }
        self._most_per_user: Final = {
            Lane.WRITE: limits.writes_per_user,
            Lane.UPLOAD: limits.uploads_per_user,
            Lane.STREAM: limits.streams_per_user,
        }
        self._running: Counter[Lane] = Counter()
        self._running_of: Counter[tuple[Lane, str]] = Counter()
        self._receiving: Counter[str] = Counter()  # octets, by user; "" is everybody without a session
        self._received_in_all = 0
        self._blocks = Buckets(limits.per_block, now=now)
        self._sign_ins = Buckets(limits.sign_in_per_block, now=now)
        self._users = {rate: Buckets(pace, now=now) for rate, pace in limits.per_user.items()}

    # --- how often ----------------------------------------------------------------------------------------------------

    def block(self, block: str) -> None:
        """One more request from an address block, before anything else is looked at.

        Raises:
            TooManyRequestsError: more than a whole authority sends.
        """
        _refuse_after(self._blocks.take(block))

    def caller(self, route: Route, user: str, block: str) -> None:
        """One more call of `user`, or from `block` when nobody is signed in, of the route's rate class.

        Raises:
            TooManyRequestsError: too often.
        """
        if user:
            _refuse_after(self._users[route.rate].take(user))
        elif route.rate is Rate.SIGN_IN:
            _refuse_after(self._sign_ins.take(block))

    # --- how much at once ---------------------------------------------------------------------------------------------

    @contextmanager
    def lane(self, route: Route, user: str) -> Iterator[None]:
        """A place in the route's lane while the context lasts.

        Raises:
            BusyError: the lane is full.
            TooManyRequestsError: this user alone fills his part of it.
        """
        lane = lane_of(route)
        mine = (lane, user)
        if user and self._running_of[mine] >= self._most_per_user.get(lane, self._most[lane]):
            _refuse_after(1)
        if self._running[lane] >= self._most[lane]:
            raise _busy(f"the lane {lane} is full")
        self._running[lane] += 1
        if user:
            self._running_of[mine] += 1
        try:
            yield
        finally:
            self._running[lane] -= 1
            if user:
                self._running_of[mine] -= 1
                if not self._running_of[mine]:
                    del self._running_of[mine]

    @contextmanager
    def room(self, octets: int, user: str) -> Iterator[None]:
        """Room in memory for a body of `octets` while the context lasts.

        Raises:
            BusyError: too much is being received already.
        """
        limits = self.limits
        mine = self._receiving[user] + octets
        if mine > (limits.receiving_per_user if user else limits.receiving_open):
            raise _busy("one caller sends too much at once")
        if user and self._received_in_all + octets > limits.receiving:
            raise _busy("too much is being received")
        self._receiving[user] = mine
        self._received_in_all += octets if user else 0
        try:
            yield
        finally:
            self._receiving[user] -= octets
            self._received_in_all -= octets if user else 0
            if not self._receiving[user]:
                del self._receiving[user]

    def running(self) -> dict[str, int]:
        """How many are in each lane now, for what watches the gateway."""
        return {str(lane): self._running[lane] for lane in Lane}


GATE: Final = web.AppKey("gate", Gate)


def _refuse_after(seconds: int) -> None:
    if seconds:
        raise TooManyRequestsError(
            "too many requests", retry_after_s=seconds, swedish="Det har kommit för många anrop på kort tid."
        )


def _busy(why: str) -> BusyError:
    return BusyError(
        f"the gateway is busy: {why}", swedish="Sambud har mycket att göra just nu och kunde inte ta emot det här."
    )
