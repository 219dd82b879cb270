"""What is counted and timed for operators, by the names of the path; and the values each may have.

Why this exists: a number that nobody defined is read as whatever its reader fears. So the names stand here once, each
with a closed set of values: a label can never hold an id, an inbox or anything that somebody typed, and the number of
series is known before the first request. The adapter that shows them (adapters/metrics) makes no name of its own.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Final, Protocol

from gateway import errors
from gateway.model.base import Instant
from gateway.model.decision import Outcome
from gateway.redaction import KINDS
from gateway.states import DeliveryEvent

OTHER: Final = "other"


class Step(StrEnum):
    """The seven steps of the path."""

    COMPOSE = "compose"
    DECIDE = "decide"
    SEAL = "seal"
    STORE = "store"
    DELIVER = "deliver"
    OPEN = "open"
    AUDIT = "audit"


class Job(StrEnum):
    """What the worker does again and again (gateway.workers)."""

    DELIVER = "deliver"
    PUBLISH = "publish"
    REPAIR = "repair"
    TALLY = "tally"
    SWEEP = "sweep"
    EXCHANGE = "exchange"
    CARRY = "carry"
    NOTICES = "notices"
    PLACE = "place"


class Counted(StrEnum):
    """What is counted; each has one label with a closed set of values (VALUES)."""

    DECISIONS = "decide_outcomes"
    ACCEPTS = "store_accepts"
    WORKS = "store_works"
    DELIVERIES = "deliver_events"
    OPENINGS = "open_openings"
    STEP_UPS = "open_step_ups"
    SIGN_INS = "sign_ins"
    REFUSALS = "refusals"
    ALARMS = "audit_alarms"
    TROUBLES = "worker_troubles"
    REDACTIONS = "log_redactions"
    NOTICES_RETURNED = "notices_returned"


def codes() -> frozenset[str]:
    """The code of every error that a caller may be told: a constant of a class, so they are a closed set.

    Ask once all modules are loaded: some errors stand beside what raises them.
    """
    found, left = {"unexpected"}, [errors.GatewayError]
    while left:
        kind = left.pop()
        found.add(kind.code)
        left += kind.__subclasses__()
    return frozenset(found)


#: What is counted -> (its label, the values that the label may have; anything else is told as "other").
VALUES: Final[Mapping[Counted, tuple[str, frozenset[str]]]] = {
    Counted.DECISIONS: ("outcome", frozenset(str(found) for found in Outcome)),
    Counted.ACCEPTS: ("outcome", frozenset({"new", "repeated"})),
    Counted.WORKS: ("outcome", frozenset({"done", "refused", "failed"})),
    Counted.DELIVERIES: ("event", frozenset(str(found) for found in DeliveryEvent)),
    Counted.OPENINGS: ("outcome", frozenset({"opened", "refused"})),
    Counted.STEP_UPS: ("outcome", frozenset({"accepted", "wrong", "delayed"})),
    Counted.SIGN_INS: ("outcome", frozenset({"accepted", "wrong", "delayed"})),
    Counted.REFUSALS: ("code", codes()),
    Counted.ALARMS: (
        "kind",
        frozenset(
            {
                "integrity-failure",
                "sign-in-delayed",
                "bulk-opening",
                "envelope-rejected",
                "malware",
                "time-went-backwards",
                "insecure-way",
                "set-aside",
            }
        ),
    ),
    Counted.TROUBLES: ("job", frozenset(str(found) for found in Job)),
    Counted.REDACTIONS: ("kind", frozenset(KINDS)),
    Counted.NOTICES_RETURNED: ("kind", frozenset({"returned", "stopped"})),
}


class Metrics(Protocol):
    """Where the numbers go. Called on the path and from threads: it never waits and never raises."""

    def count(self, what: Counted, value: str, amount: int = 1) -> None: ...
    def took(self, step: Step, seconds: float) -> None: ...
    def request(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """One answered request. `route` is a template of the route table or "unmatched"; `seconds` is None for a
        stream, whose length says how long somebody looked."""

    def group(self, works: int, seconds: float) -> None:
        """One transaction of the store and how many Works it carried."""


class Unmeasured:
    """Numbers for nobody: tests, commands, a gateway without a port for metrics."""

    def count(self, what: Counted, value: str, amount: int = 1) -> None:
        return None

    def took(self, step: Step, seconds: float) -> None:
        return None

    def request(self, method: str, route: str, status: int, seconds: float | None) -> None:
        return None

    def group(self, works: int, seconds: float) -> None:
        return None


UNMEASURED: Final = Unmeasured()


class timed:
    """Times what goes well; what is refused or fails is counted elsewhere and would only blur the picture."""

    __slots__ = ("_began", "_metrics", "_step")

    def __init__(self, metrics: Metrics, step: Step) -> None:
        self._metrics = metrics
        self._step = step

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is None:
            self._metrics.took(self._step, time.perf_counter() - self._began)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSigns:
    """A connected channel: what waits or failed there, and what its neighbour holds. Nothing of it has an id."""

    channel: str
    circuit_open: bool
    left: int  # arrivals that lie at the neighbour untaken
    expires: Instant | None  # when the first of its certificates ends
    deliveries: Mapping[str, int]  # state -> how many


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What stands still when looked at: read when somebody asks for the numbers, never on the path.

    None means that it could not be read. Counts of deliveries go no further than `gateway.health.MOST_COUNTED`.
    """

    at: Instant
    ready: Mapping[str, bool] = field(default_factory=dict)  # check -> whether it holds
    deliveries: Mapping[str, int] | None = None  # state -> how many
    oldest_due_s: float | None = None  # 0 when nothing waits
    leaves: int | None = None
    unpublished: int | None = None
    lag_s: float | None = None  # age of the oldest leaf that no checkpoint covers; 0 when all are covered
    checkpoint_age_s: float | None = None
    channels: tuple[ChannelSigns, ...] = ()
    unfetched: int | None = None  # inboxes in which work has lain unopened for too long
    unfetched_s: float | None = None  # how long the oldest of it has; 0 when there is none
    waiting_files: int | None = None  # files without a verdict, counted to 200
    waiting_files_s: float | None = None  # how long the oldest of them has waited; 0 when there is none
    held: int | None = None  # what waits for registrators, counted to 200
    held_late: int | None = None  # of it, for over a working day
    scanner_answers: bool | None = None  # None: no malware scanner is set up
    sessions: int = 0
    streams: int = 0
    space: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # place -> (free, size) in octets
    clock_synchronised: bool | None = None
    draining: bool = False
