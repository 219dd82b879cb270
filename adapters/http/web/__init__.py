"""The pages of the gateway, rendered on the server and whole without JavaScript. `PAGES` are their rows of the table.

A page module has `ROUTES`, and `NAV` when the navigation should lead to it; it is named here once.
"""

from __future__ import annotations

from typing import Final

from adapters.http.routes import Route
from adapters.http.web import (
    about,
    answer,
    directory_pages,
    inbox,
    item,
    live,
    log_pages,
    registrator,
    search_page,
    signin,
    transport,
    users,
)
from adapters.http.web.nav import NavItem

PAGES: Final[tuple[Route, ...]] = (
    *signin.ROUTES,
    *about.ROUTES,
    *search_page.ROUTES,
    *log_pages.ROUTES,
    *transport.ROUTES,
    *directory_pages.ROUTES,
    *users.ROUTES,
    *inbox.ROUTES,
    *live.ROUTES,
    *item.ROUTES,  # after the others: an item's path takes any word
    *answer.ROUTES,
    *registrator.ROUTES,
)
NAV: Final[tuple[NavItem, ...]] = (
    *search_page.NAV,
    *log_pages.NAV,
    *transport.NAV,
    *directory_pages.NAV,
    *users.NAV,
    *inbox.NAV,
    *registrator.NAV,
)
