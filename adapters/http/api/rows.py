"""Rows of the route table for the API: every column said, what follows from the method said once.

Why this exists: the calls of a group differ in path, handler, words and audit action only. What follows from the method
(forgery class, rate class) and from the scope (who may call) is written here, so that no row can forget it.
"""

from __future__ import annotations

from adapters.http.parameters import Query
from adapters.http.routes import Access, Csrf, FormPart, Handler, Model, Rate, Route, Scope, Tag
from gateway.errors import GatewayError


def call_row(
    method: str,
    path: str,
    handler: Handler,
    summary: str,
    *,
    tag: Tag,
    audit: str,
    takes: type[Model] | None = None,
    gives: type[Model] | None = None,
    status: int = 0,
    scope: Scope = Scope.INBOX,
    rate: Rate | None = None,
    query: tuple[Query, ...] = (),
    fails: tuple[type[GatewayError], ...] = (),
    keyed: bool = False,
    parts: tuple[FormPart, ...] = (),
    media: str = "",
    location: str = "",
) -> Route:
    """A call of the API: `path` and `location` stand under /api/v1.

    Args:
        status: of the good answer; without it 200, or 204 when there is nothing to give.
        fails: what it may answer beside what every call of its kind may (adapters.http.contract).
    """
    safe = method == "GET"
    return Route(
        method=method,
        path=f"/api/v1{path}",
        handler=handler,
        access=Access.PUBLIC if scope is Scope.NONE else Access.SESSION,
        scope=scope,
        csrf=Csrf.SAFE if safe else Csrf.BEARER,
        rate=rate or (Rate.READ if safe else Rate.WRITE),
        audit=audit,
        takes=takes,
        gives=gives,
        status=status or (200 if gives or media else 204),
        summary=summary,
        tag=tag,
        query=query,
        fails=fails,
        keyed=keyed,
        parts=parts,
        media=media,
        location=location and f"/api/v1{location}",
    )
