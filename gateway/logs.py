"""The log for operators: JSON lines to standard error, one pipeline for our lines and for those of libraries.

Why this exists: what went wrong must be found by its number without the log becoming a second place where people's
matters stand. So a line carries ids, codes and places; the number of the request or of the delivery that it belongs
to; and never the text of an unexpected error, because that may quote its input. This is not the audit log: that one
is signed and says who did what (docs/audit-log.md); this one may be lost.

Rules: every line passes `gateway.redaction` and then `gateway.plain`: one line, escaped, capped. A line that cannot be
made safe is replaced by a word that says so. What a library logs without arguments may hold anything, so only its
logger and its place are told.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Mapping, MutableMapping
from types import TracebackType
from typing import Any, Final, TextIO

import structlog

from gateway.plain import shown
from gateway.redaction import redacted_fields

PLACES: Final = 6
log = structlog.get_logger()
Told = Callable[[str], None]


def configure(stream: TextIO | None = None, *, told: Told | None = None) -> None:
    """Send every log of this process through the pipeline; `told` hears the kind of each thing that was taken out."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _places_for_errors,
        _wall(told or (lambda _kind: None)),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=_NamedLogger,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_from_a_library, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
            keep_exc_info=False,
            keep_stack_info=False,
        )
    )
    handler.addFilter(_forget_the_text)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in ("aiohttp", "alembic", "asyncio", "asyncpg", "sqlalchemy"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)


def catch_what_nobody_caught() -> None:
    """Let what ends the process or a thread be told as a line, not as a traceback with the error's text in it."""

    def ended(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            return
        log.critical("ended by an unexpected error", **place_of(error))

    def in_thread(told: threading.ExceptHookArgs) -> None:
        if told.exc_value is not None and not issubclass(told.exc_type, SystemExit):
            log.error("unexpected in a thread", **place_of(told.exc_value))

    def unraisable(told: sys.UnraisableHookArgs) -> None:
        if told.exc_value is not None:
            log.error("unexpected while tidying up", **place_of(told.exc_value))

    sys.excepthook = ended
    threading.excepthook = in_thread
    sys.unraisablehook = unraisable


def watch_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Tell of what the event loop catches: its own handler would print the error and the objects around it."""

    def handle(_: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        error = context.get("exception")
        log.error("unexpected in the event loop", **(place_of(error) if isinstance(error, BaseException) else {}))

    loop.set_exception_handler(handle)


def place_of(error: BaseException) -> dict[str, Any]:
    """Kind and place of an error, and of those in its group; never its text, which may quote its input."""
    told: dict[str, Any] = {"kind": type(error).__name__, "where": where(error)}
    if isinstance(error, BaseExceptionGroup):
        told["within"] = [place_of(inner) for inner in error.exceptions[:PLACES]]
    if error.__cause__ is not None:
        told["cause"] = type(error.__cause__).__name__
    return told


def where(error: BaseException) -> list[str]:
    """The last few places that an error passed: file and line."""
    lines, trace = [], error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        lines.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}")
        trace = trace.tb_next
    return lines[-PLACES:]


class _NamedLogger:
    """What structlog logs through: the standard library's logger, so that both share one handler."""

    def __init__(self, *_: Any) -> None:
        self._logger = logging.getLogger("sambud")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logger, name)


def _places_for_errors(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """`exc_info` becomes kind and place."""
    given = event.pop("exc_info", None)
    event.pop("stack_info", None)
    event.pop("exception", None)
    if isinstance(given, tuple):
        given = given[1]
    elif given and not isinstance(given, BaseException):
        given = sys.exc_info()[1]
    if isinstance(given, BaseException):
        event.update(place_of(given))
    return event


def _from_a_library(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A line of the standard library's logging: what it is about, without what was put into it."""
    record: logging.LogRecord = event["_record"]
    event["event"] = record.msg if record.name == "sambud" or getattr(record, "template", False) else "library"
    event["logger"] = record.name
    event["place"] = f"{record.pathname.rpartition('/')[2]}:{record.lineno}"
    if record.exc_info:
        event["exc_info"] = record.exc_info
    return event


def _forget_the_text(record: logging.LogRecord) -> bool:
    """Before anything is formatted: a library's arguments go, and a text without arguments is not taken for safe."""
    if not isinstance(record.msg, dict):  # a dict is one of our own lines on its way
        record.template = bool(record.args) and isinstance(record.msg, str)
        record.args = ()
        record.exc_text = None
    return True


def _wall(told: Told) -> Callable[[Any, str, MutableMapping[str, Any]], MutableMapping[str, Any]]:
    def redact(_: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        kept = {name: event.pop(name) for name in ("_record", "_from_structlog") if name in event}
        try:
            safe = shown(redacted_fields(event, told))
        except Exception as trouble:  # a wall that falls must not let anything through, nor end the act that logged
            told("withheld")
            safe = {"event": "a line was withheld", "kind": type(trouble).__name__, "level": method}
        return {**safe, **kept}

    return redact
