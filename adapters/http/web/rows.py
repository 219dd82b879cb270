"""Rows of the route table for pages: every column said, most of them following from GET or POST.

Why this exists: the pages of a group differ in path, handler, title and audit action only. What follows from the method
(forgery class, rate class) and from the scope (who may call) is written once, so that no page can forget it.
"""

from __future__ import annotations

from adapters.http.routes import Access, Csrf, Handler, Rate, Route, Scope


def page_row(
    method: str,
    path: str,
    handler: Handler,
    title: str,
    *,
    audit: str,
    help_: str = "",
    scope: Scope = Scope.INBOX,
    rate: Rate | None = None,
    html: bool = True,
    background: bool = False,
    stream: bool = False,
) -> Route:
    """A page (GET), or what a form of a page sends (POST).

    Args:
        html: False for a GET that gives a file or a stream.
        background: a request that scripts make by themselves, so it keeps no session alive.
        stream: an answer without an end.
    """
    safe = method == "GET"
    return Route(
        method=method,
        path=path,
        handler=handler,
        access=Access.PUBLIC if scope is Scope.NONE else Access.SESSION,
        scope=scope,
        csrf=Csrf.SAFE if safe else Csrf.FORM,
        rate=rate or (Rate.READ if safe else Rate.WRITE),
        audit=audit,
        takes=None,
        gives=None,
        summary=title,
        help=help_,
        shows=html,
        background=background,
        stream=stream,
    )


def shows(
    path: str,
    handler: Handler,
    title: str,
    help_: str,
    *,
    audit: str = "none: lists without content",
    scope: Scope = Scope.INBOX,
    html: bool = True,
    background: bool = False,
    stream: bool = False,
) -> Route:
    """A page that shows something; without `html` a file or a stream."""
    return page_row(
        "GET",
        path,
        handler,
        title,
        audit=audit,
        help_=help_,
        scope=scope,
        html=html,
        background=background,
        stream=stream,
    )


def acts(path: str, handler: Handler, title: str, help_: str, *, audit: str, background: bool = False) -> Route:
    """What a form of a page sends."""
    return page_row("POST", path, handler, title, audit=audit, help_=help_, background=background)
