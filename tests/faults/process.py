"""Processes of the real program that can be killed, stopped and traced, a tenth of a second each.

Why this exists: a fault needs a process of its own, and a fresh interpreter costs a second. So one process loads the
program once and waits; each case is forked from it (`multiprocessing`'s fork server), before any thread exists.

Rules: a child is driven over a pipe: it opens the store, says "ready" with its threads, and does an act at each "go". What
it says over the pipe is what a caller was told; a child that died said nothing more.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import resource
import signal
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from gateway import failpoints
from gateway.errors import GatewayError

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.faults.process", "tests.faults.act", "tests.faults.scenes"])
PATIENCE_S = 60
#: Starting a process looks through all of them, and closing one empties it: tests do both from threads.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True, slots=True)
class Told:
    """What a caller was told: the answer, or the error's code and status; `bug` for an error nobody expected."""

    kind: str  # "done", "refused", "bug", "died"
    answer: Any = None
    status: int = 0


@dataclass(slots=True)
class Child:
    """A process of the program, between "ready" and its end."""

    process: Any
    pipe: Connection
    threads: dict[str, int]

    @property
    def pid(self) -> int:
        return int(self.process.pid)

    def go(self, order: str = "go") -> Told:
        """Let it do its act once, and wait for what it tells."""
        self.start(order)
        return self.told()

    def start(self, order: str = "go") -> None:
        with contextlib.suppress(BrokenPipeError):
            self.pipe.send(order)

    def told(self, patience_s: float = PATIENCE_S) -> Told:
        try:
            if not self.pipe.poll(patience_s):
                raise AssertionError("the process neither answered nor died")
            return Told(*self.pipe.recv())
        except (EOFError, ConnectionResetError):
            self.process.join(PATIENCE_S)
            return Told("died", status=self.process.exitcode)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.process.join(PATIENCE_S)

    def end(self) -> int:
        """Let it end in good order; returns its exit code."""
        with contextlib.suppress(BrokenPipeError):
            self.pipe.send("end")
        self.process.join(PATIENCE_S)
        return int(self.process.exitcode)


@contextmanager
def child(body: Callable[..., Awaitable[None]], *arguments: Any, **options: Any) -> Iterator[Child]:
    """A process that runs `body(stage, *arguments)`; it is gone when the context ends.

    Args:
        options: `failpoint`, `limits` (RLIMIT_* -> soft limit) and `patch` (a function of tests.faults.knobs by name).
    """
    here, there = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=_main, args=(there, body, arguments, options), daemon=True)
    with _ONE_AT_A_TIME:
        process.start()
    there.close()
    one = Child(process, here, {})
    try:
        first = one.told()
        if first.kind != "ready":
            raise AssertionError(f"the process did not start: {first}")
        one.threads = first.answer
        yield one
    finally:
        if process.is_alive():
            process.kill()
        process.join(PATIENCE_S)
        here.close()
        with _ONE_AT_A_TIME:
            process.close()


def finished(body: Callable[..., Awaitable[None]], *arguments: Any, **options: Any) -> Told:
    """Run a process to its end; what it told, or that it died."""
    try:
        with child(body, *arguments, **options) as one:
            told = one.go()
            if told.kind != "died":
                one.end()
            return told
    except AssertionError as early:
        if options.get("failpoint") and "died" in str(early):
            return Told("died")
        raise


class Stage:
    """The child's end of the pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    async def serve(self, act: Callable[[str], Awaitable[Any]]) -> None:
        """Tell that all is open; then one act for each order, until "end" or the parent is gone."""
        self._pipe.send(("ready", {t.name: t.native_id for t in threading.enumerate()}))
        while (order := await self._order()) != "end":
            self._pipe.send(await _tried(act, order))

    async def _order(self) -> str:
        loop = asyncio.get_running_loop()
        come: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._pipe.fileno(), lambda: come.done() or come.set_result(None))
        try:
            await come
        finally:
            loop.remove_reader(self._pipe.fileno())
        try:
            return str(self._pipe.recv())
        except EOFError:
            return "end"


async def _tried(act: Callable[[str], Awaitable[Any]], order: str) -> tuple[str, Any, int]:
    try:
        return "done", await act(order), 0
    except GatewayError as refused:
        return "refused", f"{refused.code}: {refused} ({refused.__cause__})", refused.status
    except BaseException as bug:
        if isinstance(bug, asyncio.CancelledError):
            raise
        return "bug", "".join(traceback.format_exception(bug))[-3000:], 500


def _main(pipe: Connection, body: Callable[..., Awaitable[None]], arguments: Any, options: dict[str, Any]) -> None:
    failpoints._ARMED = options.get("failpoint", "")  # type: ignore[misc]
    if name := options.get("patch"):
        from tests.faults import knobs

        getattr(knobs, name)()

    async def run() -> None:
        # One thread for file work, so that the n-th call of a thread is the same call in each run.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1, thread_name_prefix="files"))
        await asyncio.to_thread(int)
        for limit, soft in options.get("limits", {}).items():
            resource.setrlimit(limit, (soft, resource.getrlimit(limit)[1]))
        await body(Stage(pipe), *arguments)

    asyncio.run(run())


def copied(source: Path, target: Path) -> Path:
    """A copy of a data folder, as a disk image would be."""
    import shutil

    shutil.copytree(source, target)
    return target
