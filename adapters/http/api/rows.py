"""Rows of the route table for the API: every column said, what follows from the method said once.

Why this exists: the calls of a group differ in path, handler, words and audit action only. What follows from the method
(forgery class, rate class) and from the scope (who may call) is written here, so that no row can forget it.
"""

from __future__ import annotations

from adapters.http.routes import Access, Csrf, Handler, Model, Rate, Route, Scope


def call_row(
    method: str,
    path: str,
    handler: Handler,
    summary: str,
    *,
    audit: str,
    takes: type[Model] | None = None,
    gives: type[Model] | None = None,
    status: int = 200,
    scope: Scope = Scope.INBOX,
    rate: Rate | None = None,
) -> Route:
    """A call of the API: `path` stands under /api/v1; 200 with no body to give is 204."""
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
        status=status,
        summary=summary,
    )
