"""Where the processor time of one acceptance goes: by step of the path, and by module under a profiler.

The steps are wrapped one by one while messages go one after the other, so every difference of `process_time` (all
threads, the writer's too) belongs to the step that runs. The profiler's own cost falls on small functions, so its table
gives shares and no milliseconds.
"""

from __future__ import annotations

import cProfile
import pstats
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench.county import County
from gateway.model.base import CaseId

ROOT: Final = Path(__file__).parent.parent
STEPS: Final = ("compose", "decide", "seal", "store", "rest")


async def by_step(county: County, cases: Sequence[CaseId]) -> dict[str, float]:
    """Milliseconds of processor time of one acceptance: all of it ("all") and by step."""
    sending = county.gateway.sending
    spent: dict[str, float] = defaultdict(float)
    places = {
        "compose": (sending, "_composed"),
        "decide": (sending, "decide"),
        "seal": (sending._sealing, "seal"),
        "store": (sending._acceptance, "accept"),
    }
    # First the whole without any stopwatch in it, and then the shares of the steps.
    half = len(cases) // 2
    started = time.process_time()
    await county.accept(cases[:half], 1)
    whole = (time.process_time() - started) / half
    with _wrapped(places, spent):
        started = time.process_time()
        await county.accept(cases[half:], 1)
        spent["rest"] = time.process_time() - started - sum(spent.values())
    other = len(cases) - half
    return {"all": whole * 1000} | {step: spent[step] / other * 1000 for step in STEPS}


@contextmanager
def _wrapped(places: dict[str, tuple[Any, str]], spent: dict[str, float]) -> Iterator[None]:
    def timed(step: str, function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(*arguments: Any, **named: Any) -> Any:
            started = time.process_time()
            try:
                return await function(*arguments, **named)
            finally:
                spent[step] += time.process_time() - started

        return call

    for step, (owner, name) in places.items():
        setattr(owner, name, timed(step, getattr(owner, name)))
    try:
        yield
    finally:
        for owner, name in places.values():
            delattr(owner, name)


async def by_module(county: County, cases: Sequence[CaseId], most: int = 16) -> list[list[Any]]:
    """Modules and libraries by their own share of the profiled time, greatest first: [name, share]."""
    profiler = cProfile.Profile()
    profiler.enable()
    await county.accept(cases, 1)
    profiler.disable()
    own: dict[str, float] = defaultdict(float)
    for (file, _, function), (_, _, seconds, _, _) in pstats.Stats(profiler).stats.items():  # type: ignore[attr-defined]
        own[_module(file, function)] += seconds
    own.pop("waiting", None)
    total = sum(own.values()) or 1.0
    ranked = sorted(own.items(), key=lambda pair: -pair[1])[:most]
    return [[name, seconds / total] for name, seconds in ranked]


def _module(file: str, function: str) -> str:
    """`gateway.audit` for our own, the package's name for others, the function's name for what is not Python."""
    if "select.epoll" in function or "poll" in function:
        return "waiting"
    if file == "~":
        return function.strip("<>").removeprefix("built-in method ").removeprefix("method ")[:48]
    path = Path(file)
    if path.is_relative_to(ROOT) and "site-packages" not in path.parts:
        return ".".join(path.relative_to(ROOT).with_suffix("").parts)
    if "site-packages" in path.parts:
        return path.parts[path.parts.index("site-packages") + 1]
    return path.stem if path.parent.name.startswith("python") else path.parent.name
