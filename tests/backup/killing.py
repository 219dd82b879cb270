"""A child process that dies by SIGKILL at the n-th named point it reaches, as if the power had gone."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from gateway import failpoints


def dies(at: int, work: Callable[[], Coroutine[Any, Any, object]], *, only: str = "") -> bool:
    """Do `work` in a child that dies at point number `at` (from 0; only points whose name begins with `only` count).

    True when it died there, False when it came to its end before. Any other end is an error of the test.
    """
    child = os.fork()
    if child == 0:
        try:
            failpoints.reached = _counting(at, only)
            asyncio.run(work())  # type: ignore[arg-type]
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def _counting(at: int, only: str) -> Callable[[str], None]:
    reached = 0

    def point(name: str) -> None:
        nonlocal reached
        if name.startswith(only):
            if reached == at:
                os.kill(os.getpid(), signal.SIGKILL)
            reached += 1

    return point
