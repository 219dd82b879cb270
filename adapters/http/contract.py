"""What a caller can count on from a call: every problem that it may answer, by status.

Why this exists: a case system is written against answers, and most of them are refusals. What follows from the kind of
a call (a session, an inbox, a body, a change) is said here once; a row of the table adds what only it may answer. The
description (openapi.py) is made from this, and tests hold every answer of a running gateway to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from adapters.http.address import MisdirectedError
from adapters.http.admission import BusyError, TooManyRequestsError, TooSlowError, UnansweredError
from adapters.http.bodies import EncodedBodyError
from adapters.http.routes import Access, Route, Scope
from gateway.errors import (
    ConflictError,
    DecisionStaleError,
    ForbiddenError,
    GatewayError,
    IntegrityError,
    InvalidFormError,
    InvalidRequestError,
    LogBehindError,
    NotFoundError,
    OutcomeUnknownError,
    SessionEndedError,
    StoreFullError,
    StoreUnavailableError,
)

#: Problems that are no GatewayError: their code, and the status they come with.
TOO_LARGE: Final = (413, "too-large")
UNEXPECTED: Final = (500, "unexpected")

ALWAYS: Final[tuple[type[GatewayError], ...]] = (
    InvalidRequestError,
    IntegrityError,
    StoreUnavailableError,
    StoreFullError,
    OutcomeUnknownError,
    LogBehindError,
    BusyError,
    TooManyRequestsError,
    TooSlowError,
    UnansweredError,
    MisdirectedError,
    EncodedBodyError,
)
OF_SCOPE: Final[Mapping[Scope, tuple[type[GatewayError], ...]]] = {
    Scope.NONE: (),
    Scope.OWN: (ConflictError,),
    Scope.INBOX: (NotFoundError, ForbiddenError, ConflictError, DecisionStaleError),
    Scope.GATEWAY: (ForbiddenError, ConflictError, DecisionStaleError),
}


def problems_of(route: Route) -> dict[int, tuple[str, ...]]:
    """The codes that the call may answer, by status, in order."""
    found: dict[int, set[str]] = {}
    for status, code in _each(route):
        found.setdefault(status, set()).add(code)
    return {status: tuple(sorted(found[status])) for status in sorted(found)}


def _each(route: Route) -> Iterator[tuple[int, str]]:
    kinds = [*ALWAYS, *OF_SCOPE[route.scope], *route.fails]
    if route.access is Access.SESSION:
        kinds.append(SessionEndedError)
    if "{" in route.path:
        kinds.append(NotFoundError)  # a part of another form than ids of its kind have
    if route.takes is not None:
        kinds.append(InvalidFormError)
    for kind in kinds:
        yield kind.status, kind.code
    yield TOO_LARGE
    yield UNEXPECTED
