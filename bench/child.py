"""A child process that answers questions, one JSON line each way.

Why this exists: a client that shares the server's interpreter hides the server, and a server whose memory is measured
must hold nothing else. So clients, servers and references are processes of their own, and the run only asks them.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import structlog

from gateway.errors import GatewayError

LINE: Final = 64 * 1024 * 1024
ANSWER_S: Final = 600.0
Handler = Callable[..., Awaitable[Any]]


class Child:
    """A running child, as the run sees it."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self._name = name
        self._process = process

    @classmethod
    async def start(cls, module: str, *arguments: str) -> Child:
        root = str(Path(__file__).parent.parent)
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            limit=LINE,
        )
        return cls(module, process)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, what: str, **values: Any) -> Any:
        """The child's answer.

        Raises:
            GatewayError: the child could not do it, or ended; its own words are in the message.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise _ended(self._name, "no pipes")
        try:
            stdin.write(json.dumps([what, values]).encode() + b"\n")
            async with asyncio.timeout(ANSWER_S):
                line = await stdout.readline()
        except (OSError, TimeoutError) as trouble:
            raise _ended(self._name, type(trouble).__name__) from trouble
        if not line:
            raise _ended(self._name, f"it ended before it answered {what}")
        answer = json.loads(line)
        if "error" in answer:
            raise _ended(self._name, f"{what}: {answer['error']}")
        return answer["value"]

    async def stop(self) -> None:
        """End the child by closing its input; it is ended hard when it does not go."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(30):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


def _ended(name: str, why: str) -> GatewayError:
    return GatewayError(
        f"{name} failed: {why}",
        swedish=f"Mätningen avbröts: {name}: {why}.",
        next_step="Inget är sparat av mätningen. Kör den igen; samma fel igen är ett fel i programmet.",
    )


async def answer(handlers: Mapping[str, Handler]) -> None:
    """The child's side: answer questions until the input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        what, values = json.loads(line)
        try:
            reply = {"value": await handlers[what](**values)}
        except Exception as failed:  # whatever it is, the run must hear of it instead of waiting
            trouble: BaseException = failed
            while isinstance(trouble, BaseExceptionGroup):
                trouble = trouble.exceptions[0]
            because = f" ({trouble.__cause__!r})" if trouble.__cause__ else ""
            reply = {"error": f"{type(trouble).__name__}: {trouble}{because}"}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


def quiet() -> None:
    """Logs go to stderr, and only what went wrong: stdout belongs to the answers."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(40),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
