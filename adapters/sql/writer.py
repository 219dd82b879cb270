"""The one thread that writes to SQLite: takes what waits, one savepoint each, one commit and one sync for all.

Why this exists: one sync per message would waste the disk, and several writers would only wait for each other. A Work
that fails leaves the others of its group whole, and nobody is told "done" before the sync.

Rules: nobody waits longer than BUSY_S for another process's lock; then that caller, and no other, is told 503. After an
error of the disk itself, a failed sync first of all, nothing more is written: the kernel may have dropped what it could
not write and answer the next sync with success. The process ends then, and the next one reads what the disk kept. The
thread outlives every error, since a caller who is never answered is worse than one who is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from adapters.sql.base import outcome_of
from gateway import failpoints
from gateway.errors import OutcomeUnknownError, StoreFullError, StoreUnavailableError
from gateway.measures import Counted
from gateway.ports import UNMEASURED, Metrics, Work

GROUP: Final = 64
FULL: Final = sqlite3.SQLITE_FULL
#: The disk, or what lies on it, is not to be trusted: nothing more is written by this process.
BROKEN: Final = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
#: I/O errors that come from want of memory or file numbers: they pass.
PASSING: Final = frozenset(
    {
        sqlite3.SQLITE_IOERR_NOMEM,
        sqlite3.SQLITE_IOERR_SHMMAP,
        sqlite3.SQLITE_IOERR_SHMOPEN,
        sqlite3.SQLITE_IOERR_SHMSIZE,
        sqlite3.SQLITE_IOERR_LOCK,
    }
)
log = structlog.get_logger()


@dataclass(slots=True)
class Job:
    """Something for the writer thread, and whom to tell by when."""

    work: Work | None
    claim: tuple[Any, ...] | None
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    deadline: float  # time.monotonic
    result: Any = field(default=None)
    error: BaseException | None = None

    def tell(self) -> None:
        def done() -> None:
            if self.future.cancelled():
                return
            if self.error is not None:
                self.future.set_exception(self.error)
            else:
                self.future.set_result(self.result)

        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self.loop.call_soon_threadsafe(done)


class Writer:
    """The thread, its queue and its connection.

    Args:
        run: does one job in its savepoint; expected failures go into the job, anything else ends the group.
        busy_s: how long a caller waits for another process's lock.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        run: Callable[[sqlite3.Connection, Job, dict[str, int]], None],
        busy_s: float,
        metrics: Metrics = UNMEASURED,
    ) -> None:
        self._connection = connection
        self._run = run
        self._busy_s = busy_s
        self._metrics = metrics
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._waiting: list[Job] = []  # taken from the queue, not answered yet
        self._failed: BaseException | None = None
        self.broken = asyncio.Event()
        self.groups = 0  # commits, for the measurement of group commit
        self.works = 0
        self._thread = threading.Thread(target=self._write, name="sqlite-writer")
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Jobs that are not answered yet."""
        return self._jobs.qsize() + len(self._waiting)

    async def submit(self, work: Work | None, claim: tuple[Any, ...] | None) -> Any:
        loop = asyncio.get_running_loop()
        job = Job(work, claim, loop, loop.create_future(), time.monotonic() + self._busy_s)
        self._jobs.put(job)
        return await job.future

    async def close(self) -> None:
        """Finish what waits, and leave no thread behind."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        with contextlib.suppress(sqlite3.Error):  # a broken disk is no reason not to end
            self._connection.close()

    def _write(self) -> None:
        ending = False
        while not ending or self._waiting:
            ending = self._collect(block=not ending and not self._waiting) or ending
            group = self._waiting[:GROUP]
            if group:
                began = time.perf_counter()
                self._commit(group)
                self._measure(group, time.perf_counter() - began)
                self._answer(group)

    def _collect(self, *, block: bool) -> bool:
        """Take what the queue holds; True when the store is closing."""
        try:
            while True:
                job = self._jobs.get(block=block)
                if job is None:
                    return True
                self._waiting.append(job)
                block = False
        except queue.Empty:
            return False

    def _answer(self, group: list[Job]) -> None:
        """Tell everyone of the group, except those who may wait for the lock a little longer."""
        now = time.monotonic()
        staying = [job for job in group if isinstance(job.error, _Busy) and job.deadline > now]
        for job in staying:
            job.error = None
        told = [job for job in group if job not in staying]
        self._waiting = [*staying, *self._waiting[len(group) :]]
        self.groups += 1
        self.works += len(told)
        for job in told:
            job.tell()

    def _measure(self, group: list[Job], seconds: float) -> None:
        """Who only waits for the lock a little longer is counted when it has its answer."""
        outcomes = Counter(
            outcome_of(job.error) for job in group if job.work is not None and not isinstance(job.error, _Busy)
        )
        for outcome, number in outcomes.items():
            self._metrics.count(Counted.WORKS, outcome, number)
        if outcomes["done"]:
            self._metrics.group(len(group), seconds)

    def _commit(self, group: list[Job]) -> None:
        """One transaction for all; every job has its result or error when this returns."""
        connection, committing = self._connection, False
        try:
            if self._failed is not None:
                raise _refused(StoreUnavailableError) from self._failed
            failpoints.reached("store.before_begin")
            self._begin(group[0].deadline)
            sizes: dict[str, int] = {}
            for job in group:
                self._run(connection, job, sizes)
            failpoints.reached("store.before_commit")
            committing = True
            connection.execute("COMMIT")
            failpoints.reached("store.after_commit")
        except BaseException as trouble:
            self._undo()
            # A commit that could not be synced may still be found on the disk by the next process.
            error = _unknown() if committing and broken(trouble) else unavailable(trouble)
            if error is not trouble:
                error.__cause__ = trouble
                log.warning("store", kind=type(trouble).__name__, name=getattr(trouble, "sqlite_errorname", ""))
            if broken(trouble):
                self._fail(trouble, group[0].loop)
            for job in group:
                job.error = error

    def _begin(self, deadline: float) -> None:
        """Take the write lock, waiting no longer than the one who waited longest may."""
        left = max(0.0, deadline - time.monotonic())
        self._connection.execute(f"PRAGMA busy_timeout={int(left * 1000)}")
        self._connection.execute("BEGIN IMMEDIATE")

    def _undo(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.rollback()
        except sqlite3.Error as worse:
            self._failed = self._failed or worse

    def _fail(self, trouble: BaseException, loop: asyncio.AbstractEventLoop) -> None:
        """Nothing more is written here; whoever serves is told to end."""
        if self._failed is None:
            log.error("the disk failed, the process must start anew", name=getattr(trouble, "sqlite_errorname", ""))
        self._failed = self._failed or trouble
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self.broken.set)


class _Busy(StoreUnavailableError):
    """Another process holds the lock."""


def broken(trouble: BaseException) -> bool:
    """Whether an error means that the disk or the file cannot be trusted any more."""
    if not isinstance(trouble, sqlite3.Error) or getattr(trouble, "sqlite_errorcode", 0) in PASSING:
        return False
    return _code(trouble) in BROKEN


def _code(trouble: sqlite3.Error) -> int:
    return (getattr(trouble, "sqlite_errorcode", 0) or 0) & 0xFF


def unavailable(trouble: BaseException) -> BaseException:
    """What callers are told: full, or not available now. Bugs pass through unchanged."""
    if not isinstance(trouble, (sqlite3.Error, MemoryError)) or isinstance(trouble, sqlite3.ProgrammingError):
        return trouble
    code = _code(trouble) if isinstance(trouble, sqlite3.Error) else 0
    if code == FULL:
        return StoreFullError(
            "the disk is full",
            swedish="Disken är full. Inget har sparats, men det som finns kan läsas.",
            next_step="Kontakta driften. Utkastet är kvar när det finns plats igen.",
        )
    return _refused(_Busy if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) else StoreUnavailableError)


def _unknown() -> OutcomeUnknownError:
    return OutcomeUnknownError(
        "the disk failed while a commit was written",
        swedish="Disken svarade med ett fel när det skulle sparas: det kan vara sparat.",
        next_step="Gör om precis samma sak om en stund. Var det redan sparat märks det, och inget blir dubbelt.",
    )


def _refused(kind: type[StoreUnavailableError]) -> StoreUnavailableError:
    return kind(
        "the store cannot take this now",
        swedish="Det går inte att spara just nu.",
        next_step="Försök igen om en stund. Inget har skickats, utkastet är kvar.",
    )
