"""Rows of the route table for pages behind sign-in, so that a page module lists its pages in one line each.

Why this exists: most pages of one group differ in path, handler, title and audit action only; everything else follows
from whether they show or change something.
"""

from __future__ import annotations

from adapters.http.routes import Access, Csrf, Handler, Rate, Route, Scope


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
) -> Route:
    """A page that shows something; without `html` a file or a stream."""
    return Route(
        method="GET",
        path=path,
        handler=handler,
        access=Access.SESSION,
        scope=scope,
        csrf=Csrf.SAFE,
        rate=Rate.READ,
        audit=audit,
        takes=None,
        gives=None,
        summary=title,
        help=help_,
        shows=html,
        background=background,
    )


def acts(path: str, handler: Handler, title: str, help_: str, *, audit: str, background: bool = False) -> Route:
    """What a form of a page sends."""
    return Route(
        method="POST",
        path=path,
        handler=handler,
        access=Access.SESSION,
        scope=Scope.INBOX,
        csrf=Csrf.FORM,
        rate=Rate.WRITE,
        audit=audit,
        takes=None,
        gives=None,
        summary=title,
        help=help_,
        background=background,
    )
