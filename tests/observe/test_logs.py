"""The operational log: JSON lines with the number of the request or delivery, and never the text of an error."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from gateway import logs, redaction

SECRET = "KANARIE Prov Provsson"


@pytest.fixture
def lines() -> Iterator[Any]:
    """What was logged, as dictionaries; the process's own set-up comes back afterwards."""
    stream = io.StringIO()
    root = logging.getLogger()
    before = (root.handlers[:], root.level, structlog.get_config())
    levels = {
        name: logging.getLogger(name).level for name in ("aiohttp", "alembic", "asyncio", "asyncpg", "sqlalchemy")
    }
    hooks = (sys.excepthook, threading.excepthook, sys.unraisablehook)
    logs.configure(stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    assert SECRET not in stream.getvalue()
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    logging.captureWarnings(False)
    root.handlers[:], _ = before[0], root.setLevel(before[1])
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    structlog.configure(**before[2])


def test_a_line_is_json_with_its_level_its_time_and_what_was_bound(lines: Any) -> None:
    with structlog.contextvars.bound_contextvars(correlation="0b9c2f1e-7d34-4c1a-9f5e-2a6b8c0d1e2f"):
        structlog.get_logger().info("refused", code="not-found", status=404)
    [line] = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "refused",
        "level": "info",
        "code": "not-found",
        "status": 404,
        "correlation": "0b9c2f1e-7d34-4c1a-9f5e-2a6b8c0d1e2f",
    }


def test_an_error_is_told_by_kind_and_place_and_never_by_its_text(lines: Any) -> None:
    try:
        try:
            raise KeyError(SECRET)
        except KeyError as inner:
            raise ValueError(SECRET) from inner
    except ValueError:
        structlog.get_logger().error("unexpected", exc_info=True)
        logging.getLogger("aiohttp.server").exception("Error handling request from %s", SECRET)
        logging.getLogger("strange").exception(SECRET)
    ours, library, strange = lines()
    assert (ours["kind"], ours["cause"]) == ("ValueError", "KeyError")
    assert ours["where"][-1].startswith("test_logs.py:")
    assert (library["event"], library["kind"]) == ("Error handling request from %s", "ValueError")
    assert (strange["event"], strange["logger"]) == ("library", "strange")
    assert strange["place"].startswith("test_logs.py:")


def test_a_group_of_errors_is_told_with_what_is_in_it(lines: Any) -> None:
    structlog.get_logger().error("unexpected", exc_info=ExceptionGroup(SECRET, [ValueError(SECRET), OSError(SECRET)]))
    [line] = lines()
    assert [inner["kind"] for inner in line["within"]] == ["ValueError", "OSError"]


def test_what_nobody_caught_is_a_line_and_no_traceback(lines: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """In the main thread, in another one, in a finaliser, and in a task of the loop that nobody awaited."""
    logs.catch_what_nobody_caught()
    sys.excepthook(ValueError, ValueError(SECRET), None)
    thread = threading.Thread(target=lambda: int(SECRET))
    thread.start()
    thread.join()

    class Bad:
        def __del__(self) -> None:
            raise ValueError(SECRET)

    bad = Bad()
    del bad

    async def work() -> None:
        logs.watch_loop(asyncio.get_running_loop())
        task = asyncio.ensure_future(fails())
        await asyncio.sleep(0)
        del task
        await asyncio.sleep(0)

    async def fails() -> None:
        raise ValueError(SECRET)

    asyncio.run(work())
    assert [line["kind"] for line in lines()] == ["ValueError"] * 4
    assert SECRET not in "".join(capsys.readouterr())


def test_a_warning_of_a_library_is_a_line_without_its_text(lines: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(SECRET, stacklevel=1)
    [line] = lines()
    assert line["logger"] == "py.warnings"


def test_a_line_that_cannot_be_made_safe_is_replaced(lines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def falls(*_: Any, **__: Any) -> dict[str, Any]:
        raise RecursionError(SECRET)

    monkeypatch.setattr(logs, "redacted_fields", falls)
    structlog.get_logger().warning(SECRET, name=SECRET)
    [line] = lines()
    assert (line["event"], line["kind"], line["level"]) == ("a line was withheld", "RecursionError", "warning")
    assert redaction.redacted_fields is not falls


def test_what_libraries_say_of_their_everyday_life_is_not_logged(lines: Any) -> None:
    for name in ("aiohttp.access", "alembic.runtime.migration", "asyncio", "sqlalchemy.engine", "asyncpg"):
        logging.getLogger(name).info("SELECT %s", SECRET)
    assert lines() == []
