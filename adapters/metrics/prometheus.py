"""The Metrics port in Prometheus' words (text exposition format 0.0.4; names after its naming practices).

Why this exists: operators have one place where they look at numbers, and this is its language. Names and label values
come from `gateway.measures` alone; what is not in a closed set is told as "other", so that nothing which somebody typed
can become a series.
"""

from __future__ import annotations

import platform
import sqlite3
from collections.abc import Iterable
from importlib import metadata
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from gateway.measures import OTHER, VALUES, Counted, Signs, Step, codes

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
UNMATCHED: Final = "unmatched"
#: Seconds: from a page out of memory to a deadline of the server.
ANSWERS: Final = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
STEPS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5)
GROUPS: Final = (1, 2, 4, 8, 16, 32, 64)

disable_created_metrics()  # type: ignore[no-untyped-call]  # twice the series, for a time that nobody asks for

HELP: Final = {
    Counted.DECISIONS: "Decisions per recipient, by outcome",
    Counted.ACCEPTS: "Messages accepted; repeated: an earlier request was answered again",
    Counted.WORKS: "Works given to the store, by what became of them",
    Counted.DELIVERIES: "Events of deliveries (docs/states.md)",
    Counted.OPENINGS: "Openings of envelopes and attachments",
    Counted.STEP_UPS: "Second factors used for an inbox",
    Counted.SIGN_INS: "Sign-ins with both factors",
    Counted.REFUSALS: "Requests refused, by the code of the error",
    Counted.ALARMS: "Alarms written to the audit log",
    Counted.TROUBLES: "Rounds of the worker that met expected trouble",
    Counted.NOTICES_RETURNED: "Notices to members that came back for good; stopped: nothing more goes to that address",
    Counted.REDACTIONS: "Things taken out of the log by the last wall; each is a bug of the line that held it",
}


class PrometheusMetrics:
    """Counts in memory; `exposition` writes it all down.

    Args:
        store: the engine of the message store, for build_info.
    """

    def __init__(self, *, store: str = "sqlite") -> None:
        self.registry = CollectorRegistry()
        self._routes: frozenset[str] = frozenset()
        self._families = {what: self._counter(what.value, HELP[what], label) for what, (label, _) in VALUES.items()}
        self._counters = {(what, value): child for what in Counted for value, child in self._children(what)}
        self._steps = {step: self._step(step) for step in Step}
        self._requests = self._counter("requests", "Requests answered", "route", "method", "status")
        self._seconds = Histogram(
            "sambud_request_seconds",
            "From the request's head to the answer's end; streams are not in it",
            ("route", "method"),
            registry=self.registry,
            buckets=ANSWERS,
        )
        self._group_works = Histogram(
            "sambud_store_group_works", "Works per transaction", registry=self.registry, buckets=GROUPS
        )
        self._commit_seconds = Histogram(
            "sambud_store_commit_seconds", "One transaction, sync included", registry=self.registry, buckets=STEPS
        )
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._gauges = _Gauges(self.registry, store)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def know(self, routes: Iterable[str]) -> None:
        """The templates of the route table, which alone are told apart. Call it when all modules are loaded."""
        self._routes = frozenset(routes)
        for code in codes():
            self._counters.setdefault((Counted.REFUSALS, code), self._families[Counted.REFUSALS].labels(code))

    # --- the port -----------------------------------------------------------------------------------------------------

    def count(self, what: Counted, value: str, amount: int = 1) -> None:
        (self._counters.get((what, value)) or self._counters[what, OTHER]).inc(amount)

    def took(self, step: Step, seconds: float) -> None:
        self._steps[step].observe(seconds)

    def request(self, method: str, route: str, status: int, seconds: float | None) -> None:
        key = (
            route if route in self._routes else UNMATCHED,
            method if method in METHODS else OTHER,
            status // 100 if 100 <= status < 600 else 0,
        )
        known = self._known.get(key)
        if known is None:
            counter = self._requests.labels(key[0], key[1], f"{key[2]}xx")
            known = self._known[key] = (counter, self._seconds.labels(key[0], key[1]))
        known[0].inc()
        if seconds is not None:
            known[1].observe(seconds)

    def group(self, works: int, seconds: float) -> None:
        self._group_works.observe(works)
        self._commit_seconds.observe(seconds)

    # --- what is asked for --------------------------------------------------------------------------------------------

    def exposition(self, signs: Signs) -> bytes:
        """Everything, as text."""
        self._gauges.show(signs)
        return generate_latest(self.registry)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"sambud_{name}", text, labels, registry=self.registry)

    def _children(self, what: Counted) -> list[tuple[str, Counter]]:
        """Every series from the start: a rate of something that has not happened yet is nought, not nothing."""
        return [(value, self._families[what].labels(value)) for value in sorted(VALUES[what][1] | {OTHER})]

    def _step(self, step: Step) -> Histogram:
        return Histogram(
            f"sambud_{step}_seconds", f"The step {step} of the path", registry=self.registry, buckets=STEPS
        )


class _Gauges:
    """What is set from the signs each time."""

    def __init__(self, registry: CollectorRegistry, store: str) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"sambud_{name}", text, labels, registry=registry)

        build = gauge("build_info", "Program and what it stands on", "version", "python", "store", "sqlite")
        build.labels(_version(), platform.python_version(), store, sqlite3.sqlite_version).set(1)
        self.ready = gauge("ready", "Whether a check of /readyz holds", "check")
        self.draining = gauge("draining", "1 while the process is being stopped")
        self.deliveries = gauge("deliver_deliveries", "Deliveries in a state, counted to 10 000", "state")
        self.oldest = gauge("deliver_oldest_due_seconds", "How long the oldest due delivery has waited")
        self.left = gauge("channel_left", "Arrivals that lie at a neighbour, refused or unreadable here", "channel")
        self.circuit = gauge("channel_circuit_open", "1 while a neighbour is not asked, having failed", "channel")
        self.standing = gauge("channel_deliveries", "Deliveries of a connected channel in a state", "channel", "state")
        self.certificate = gauge(
            "channel_certificate_ends_timestamp_seconds",
            "When its first certificate ends, Unix time",
            "channel",
        )
        self.unfetched = gauge("inboxes_unfetched", "Inboxes in which work has lain unopened for too long")
        self.unfetched_age = gauge("inboxes_unfetched_oldest_seconds", "How long the oldest of that work has lain")
        self.waiting = gauge("quarantine_files", "Files that no scanner has spoken of yet, counted to 200")
        self.waiting_age = gauge("quarantine_oldest_seconds", "How long the oldest of them has waited")
        self.held = gauge("held", "Messages that wait for a registrator to say where to, counted to 200")
        self.held_late = gauge("held_late", "Those of them that have waited for over a working day")
        self.scanner = gauge("scanner_answers", "1 when the malware scanner does, 0 when not, -1 where none is set up")
        self.leaves = gauge("audit_leaves", "Leaves of this year's log")
        self.unpublished = gauge("audit_unpublished_leaves", "Leaves that no checkpoint covers yet")
        self.lag = gauge("audit_lag_seconds", "Age of the oldest leaf that no checkpoint covers")
        self.checkpoint = gauge("audit_checkpoint_age_seconds", "Age of the newest checkpoint; grows while nobody acts")
        self.sessions = gauge("sessions_active", "Sessions used in the last 15 minutes, in this process")
        self.streams = gauge("streams_open", "Pages that are told who else reads")
        self.free = gauge("disk_free_bytes", "Free space", "place")
        self.size = gauge("disk_size_bytes", "Size of the file system", "place")
        self.clock = gauge("clock_synchronised", "1 when the machine's clock is, 0 when not, -1 unknown")

    def show(self, signs: Signs) -> None:
        for check, holds in signs.ready.items():
            self.ready.labels(check).set(holds)
        self.draining.set(signs.draining)
        for state, number in (signs.deliveries or {}).items():
            self.deliveries.labels(state).set(number)
        for one in signs.channels:
            self.left.labels(one.channel).set(one.left)
            self.circuit.labels(one.channel).set(one.circuit_open)
            for state, number in one.deliveries.items():
                self.standing.labels(one.channel, state).set(number)
            self.certificate.labels(one.channel).set(
                float("nan") if one.expires is None else one.expires / 1_000_000  # microseconds
            )
        for place, (free, size) in signs.space.items():
            self.free.labels(place).set(free)
            self.size.labels(place).set(size)
        for gauge, value in (
            (self.oldest, signs.oldest_due_s),
            (self.leaves, signs.leaves),
            (self.unpublished, signs.unpublished),
            (self.lag, signs.lag_s),
            (self.checkpoint, signs.checkpoint_age_s),
            (self.unfetched, signs.unfetched),
            (self.unfetched_age, signs.unfetched_s),
            (self.waiting, signs.waiting_files),
            (self.waiting_age, signs.waiting_files_s),
            (self.held, signs.held),
            (self.held_late, signs.held_late),
        ):
            gauge.set(float("nan") if value is None else value)  # not known is not nought
        self.scanner.set(-1 if signs.scanner_answers is None else signs.scanner_answers)
        self.sessions.set(signs.sessions)
        self.streams.set(signs.streams)
        self.clock.set(-1 if signs.clock_synchronised is None else signs.clock_synchronised)


def _version() -> str:
    try:
        return metadata.version("sambud")
    except metadata.PackageNotFoundError:
        return "checkout"
