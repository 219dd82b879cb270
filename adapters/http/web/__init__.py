"""The pages of the gateway, rendered on the server and whole without JavaScript. `PAGES` are their rows of the table.

A page module has `ROUTES`, and `NAV` when the navigation should lead to it; it is named here once.
"""

from __future__ import annotations

from typing import Final

from adapters.http.routes import Route
from adapters.http.web import (
    about,
    answer,
    api_page,
    attaching,
    carry,
    cases,
    channels,
    consent_pages,
    directory_pages,
    dispatching,
    inbox,
    item,
    live,
    log_pages,
    notice_page,
    quarantine,
    referral,
    registrator,
    search_page,
    sent,
    signin,
    transport,
    triage,
    users,
)
from adapters.http.web.nav import NavItem

#: The social worker's pages, in the order in which addresses are tried.
CASEWORK: Final[tuple[Route, ...]] = (
    *cases.ROUTES,
    *consent_pages.ROUTES,
    *sent.ROUTES,
    *referral.ROUTES,
    *attaching.ROUTES,
    *dispatching.ROUTES,
    *referral.SECTIONS,
)
PAGES: Final[tuple[Route, ...]] = (
    *signin.ROUTES,
    *about.ROUTES,
    *notice_page.ROUTES,
    *api_page.ROUTES,
    *search_page.ROUTES,
    *CASEWORK,
    *log_pages.ROUTES,
    *transport.ROUTES,
    *triage.ROUTES,
    *channels.ROUTES,
    *quarantine.ROUTES,
    *directory_pages.ROUTES,
    *users.ROUTES,
    *inbox.ROUTES,
    *live.ROUTES,
    *item.ROUTES,  # after the others: an item's path takes any word
    *answer.ROUTES,
    *registrator.ROUTES,
    *carry.ROUTES,
)
NAV: Final[tuple[NavItem, ...]] = (
    *search_page.NAV,
    *cases.NAV,
    *log_pages.NAV,
    *transport.NAV,
    *channels.NAV,
    *quarantine.NAV,
    *directory_pages.NAV,
    *users.NAV,
    *inbox.NAV,
    *registrator.NAV,
    *triage.NAV,
    *carry.NAV,
)
