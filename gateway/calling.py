"""One call of the API from a case system's side: sent, tried again when that is safe, and its refusal as an error.

Why this exists: networks lose answers, and a referral must neither be lost nor sent twice. What may be repeated is
decided here once: a call that certainly was not begun always, a call whose answer was lost only when repeating it is
harmless, since it reads, or since it carries an Idempotency-Key that stays the same over all tries.

Rules: waits grow, are drawn at random (so that a hundred callers do not come back together), are never shorter than
Retry-After, and end. Every try has a time. Nothing here knows HTTP libraries: a Transport does.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import gateway.errors
from gateway.errors import (
    ConflictError,
    DecisionStaleError,
    FieldError,
    ForbiddenError,
    GatewayError,
    InvalidFormError,
    InvalidRequestError,
    NotFoundError,
    OutcomeUnknownError,
    SessionEndedError,
    StoreUnavailableError,
    TooManyAttemptsError,
)

PROBLEM: Final = "urn:sambud:problem:"
Pieces = Callable[[], AsyncIterator[bytes]]


class UnreachableError(GatewayError):
    """The gateway could not be reached: the call was certainly not begun."""

    code = "unreachable"
    status = 503
    NEXT_STEP = "Kontrollera adressen och nätet, och försök igen. Inget har skickats."


class NoAnswerError(GatewayError):
    """The call was sent and its answer lost: it may have been carried out. Repeat it with the same key, or look."""

    code = "no-answer"
    status = 504
    NEXT_STEP = "Se efter om det blev gjort, eller upprepa med samma nyckel."


class CutOffError(NoAnswerError):
    """A file ended before its announced length; what came of it must not be used."""

    code = "cut-off"
    NEXT_STEP = "Hämta filen igen. Använd inte det som hann komma."


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent. `stream` makes the body anew for each try; else `body` is it."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    stream: Pieces | None = None


class Reply(Protocol):
    """What came back; names of headers in lower case."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    async def read(self) -> bytes: ...
    def pieces(self) -> AsyncIterator[bytes]: ...


class Transport(Protocol):
    """Sends one request to the gateway.

    Raises (at entering, and while the body is read):
        UnreachableError: no connection came to be.
        NoAnswerError: the connection ended before the answer was whole.
    """

    def send(self, request: Request) -> AbstractAsyncContextManager[Reply]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a caller goes on. Seconds."""

    tries: int = 8
    first: float = 0.25  # the longest wait before the second try; doubled for each further one
    longest: float = 20.0
    in_all: float = 120.0
    each: float = 60.0  # a try, and in a stream each piece

    def wait(self, tried: int, asked: float, draw: Callable[[], float]) -> float:
        """How long to wait after `tried` tries, when the gateway asked for `asked` (0: it did not)."""
        most: float = min(self.longest, self.first * 2 ** (tried - 1))
        return asked + draw() * most


@dataclass(frozen=True, slots=True)
class Time:
    """What a test may stand in for."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    draw: Callable[[], float] = random.SystemRandom().random


class Caller:
    """Sends calls, and sends them again."""

    def __init__(self, transport: Transport, patience: Patience | None = None, clock: Time | None = None) -> None:
        self._transport = transport
        self._patience = patience or Patience()
        self._time = clock or Time()

    @property
    def each(self) -> float:
        """The seconds that a try, or a piece of a stream, may take."""
        return self._patience.each

    async def whole(self, request: Request, *, repeatable: bool) -> bytes:
        """The body of a good answer.

        Args:
            repeatable: doing it twice is doing it once.

        Raises:
            GatewayError: the refusal as the class that it has in `gateway.errors`, with its next step.
            UnreachableError, NoAnswerError: after all tries.
        """
        began, tried = self._time.now(), 0
        while True:
            tried += 1
            trouble, asked = await self._tried(request)
            if isinstance(trouble, bytes):
                return trouble
            left = self._patience.in_all - (self._time.now() - began)
            wait = self._patience.wait(tried, asked, self._time.draw)
            if not may_repeat(trouble, repeatable) or tried >= self._patience.tries or wait > left:
                raise trouble
            await self._time.sleep(wait)

    def begin(self, request: Request) -> AbstractAsyncContextManager[Reply]:
        """The answer while it comes, once; for files."""
        return self._transport.send(request)

    async def _tried(self, request: Request) -> tuple[bytes | GatewayError, float]:
        try:
            async with asyncio.timeout(self._patience.each), self._transport.send(request) as reply:
                body = await reply.read()
                if reply.status < 400:
                    return body, 0.0
                return refusal(reply.status, reply.headers, body), retry_after(reply.headers)
        except TimeoutError:
            return _no_answer(), 0.0
        except (UnreachableError, NoAnswerError) as trouble:
            return trouble, 0.0


def may_repeat(trouble: GatewayError, repeatable: bool) -> bool:
    """Whether the same call may be sent again after `trouble`."""
    if isinstance(trouble, NoAnswerError | OutcomeUnknownError):
        return repeatable
    if isinstance(trouble, DecisionStaleError):
        return True  # nothing was written; deciding again is what it asks for
    # 408, 429, 503 and 507 say that nothing was begun or kept; 502 and 504 come from what stands between, or say
    # that there was no answer in time.
    return _status(trouble) in (408, 429, 503, 507) or (repeatable and _status(trouble) in (502, 504))


def retry_after(headers: Mapping[str, str]) -> float:
    """The seconds that Retry-After asks for (RFC 9110 §10.2.3); 0 without, or with a date, which ours never has."""
    text = headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0.0


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """A problem (RFC 9457) as an error; a body that is none, from what stands between, by its status alone."""
    told = _told(body)
    code = str(told.get("type", "")).removeprefix(PROBLEM)
    swedish, next_step = str(told.get("title", "")), str(told.get("next_step", ""))
    kind = _KINDS.get(code) or _BY_STATUS.get(status, GatewayError)
    error: GatewayError
    if issubclass(kind, InvalidFormError):
        error = kind(code, _faults(told), swedish=swedish, next_step=next_step)
    elif issubclass(kind, TooManyAttemptsError):
        error = kind(code, retry_after_s=int(retry_after(headers)), swedish=swedish, next_step=next_step)
    else:
        error = kind(code or f"HTTP {status}", swedish=swedish or f"Svar {status}.", next_step=next_step)
    error.answered = status  # type: ignore[attr-defined]  # a class stands for several codes
    if told.get("instance"):
        error.add_note(f"instance {told['instance']}")
    return error


def _status(error: GatewayError) -> int:
    return int(getattr(error, "answered", error.status))


def _told(body: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _faults(told: Mapping[str, Any]) -> list[FieldError]:
    return [FieldError(str(one["pointer"]), str(one["kind"]), str(one["detail"])) for one in told.get("errors", ())]


def _no_answer() -> NoAnswerError:
    return NoAnswerError("no answer in time", swedish="Sambud svarade inte i tid.")


_KINDS: Final[Mapping[str, type[GatewayError]]] = {
    kind.code: kind
    for kind in vars(gateway.errors).values()
    if isinstance(kind, type) and issubclass(kind, GatewayError) and "code" in vars(kind)
}
_BY_STATUS: Final[Mapping[int, type[GatewayError]]] = {
    400: InvalidRequestError,
    401: SessionEndedError,
    403: ForbiddenError,
    404: NotFoundError,
    408: StoreUnavailableError,
    409: ConflictError,
    429: TooManyAttemptsError,
    502: NoAnswerError,
    503: StoreUnavailableError,
    504: NoAnswerError,
    507: StoreUnavailableError,
}
