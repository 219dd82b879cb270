"""Which links stand in the navigation of whom.

Why this exists: a link that leads to "you may not" is noise. Page modules say with a `NavItem` who needs their page;
the paths are rows of the route table, so a link cannot lead nowhere. It only shows: each page asks the rules itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adapters.http.routes import Route
from gateway.errors import SetupError
from gateway.model.directory import Inbox, InboxKind
from gateway.model.identity import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class NavItem:
    """One link, or with `{inbox}` in the path one for each of the reader's inboxes of `kinds`."""

    path: str  # of a GET page in the table
    label: str = ""  # N_("..."); a link to an inbox has the inbox's name instead
    roles: frozenset[Role] = frozenset()  # any of these; empty: everybody who is signed in
    kinds: frozenset[InboxKind] = frozenset()  # member of an inbox of any of these; empty: of whichever, or of none
    order: int = 50  # small stands first


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks at a page."""

    roles: frozenset[str]
    inboxes: tuple[Inbox, ...]


@dataclass(frozen=True, slots=True)
class Link:
    href: str
    text: str
    current: bool = False


def check_nav(items: Sequence[NavItem], routes: Sequence[Route]) -> None:
    """Raises SetupError for a link without a page."""
    pages = {route.path for route in routes if route.page and route.method == "GET"}
    for item in items:
        if item.path not in pages or not (item.label or "{inbox}" in item.path):
            raise SetupError(f"the navigation leads to {item.path}, which is no page or has no name")


def links(items: Sequence[NavItem], viewer: Viewer, path: str, text: Callable[[str], str]) -> list[Link]:
    """The links for `viewer` on the page at `path`."""
    found = []
    for item in sorted(items, key=lambda item: item.order):
        theirs = [box for box in viewer.inboxes if not item.kinds or box.kind in item.kinds]
        if (item.roles and not item.roles & viewer.roles) or (item.kinds and not theirs):
            continue
        if "{inbox}" in item.path:
            for box in theirs:
                href = item.path.replace("{inbox}", box.id)
                found.append(Link(href, box.name, current=_within(path, href)))
        else:
            found.append(Link(item.path, text(item.label), current=_within(path, item.path)))
    return found


def _within(path: str, href: str) -> bool:
    return path == href or (href != "/" and path.startswith(f"{href}/"))
