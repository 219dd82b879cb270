"""Every page of the table, in both colours and at both widths: WCAG 2.2 AA, no sideways scroll, nothing foreign.

One window serves them all, with a fresh session each time: to open one costs as much as to look at a page.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from adapters.http.web import PAGES
from tests.browser.conftest import Site, Watched, assert_accessible, assert_no_sideways_scroll, sign_in
from tests.browser.examples import ELSEWHERE, EXAMPLES, address

Scheme = Literal["light", "dark"]
GET = sorted({route.path for route in PAGES if route.method == "GET" and route.shows} - ELSEWHERE)


@dataclass
class Window:
    """The window, and what was wrong in it when the test began."""

    watched: Watched
    page: Page
    site: Site

    def as_(self, login: str, *, lang: str = "sv", scheme: Scheme = "light", width: int) -> Page:
        sign_in(self.page.context, self.site, login, lang)
        self.page.emulate_media(color_scheme=scheme)
        self.page.set_viewport_size({"width": width, "height": 800})
        return self.page


@pytest.fixture(scope="module")
def shared(site: Site, chromium: Browser) -> Iterator[Window]:
    watched = Watched(chromium)
    yield Window(watched, watched.page(site), site)
    for context in watched.contexts:
        context.close()


@pytest.fixture
def window(shared: Window) -> Iterator[Window]:
    shared.page.goto("about:blank")
    shared.watched.wrong.clear()
    yield shared
    assert shared.watched.wrong == []


def test_every_page_has_an_example() -> None:
    assert set(EXAMPLES) == set(GET), "name the page in tests/browser/examples.py"


def look(page: Page, where: str, status: int = 200) -> None:
    response = page.goto(where)
    assert response is not None
    assert response.status == status
    assert_accessible(page)
    assert_no_sideways_scroll(page)


@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", GET)
def test_a_page_can_be_used_by_everybody(window: Window, site: Site, path: str, scheme: Scheme, width: int) -> None:
    if path not in EXAMPLES:
        pytest.skip("no example")
    page = window.as_(EXAMPLES[path][0], scheme=scheme, width=width)
    look(page, address(site, path))
    assert page.locator("h1").count() == 1
    assert page.locator("footer a[href='/tillganglighet']").count() == 1
    assert page.locator("[required], form:not([novalidate]):has(input:not([type=hidden]))").count() == 0
    if width == 1280:
        page.evaluate("document.documentElement.style.fontSize = '200%'")
        assert_no_sideways_scroll(page)


@pytest.mark.parametrize("path", GET)
def test_a_page_in_english_says_so(window: Window, site: Site, path: str) -> None:
    """The same templates with longer words: what can differ is room, and the language that is told."""
    if path not in EXAMPLES:
        pytest.skip("no example")
    page = window.as_(EXAMPLES[path][0], lang="en", width=320)
    response = page.goto(address(site, path))
    assert response is not None
    assert response.status == 200
    assert_no_sideways_scroll(page)
    assert page.locator("html").get_attribute("lang") == "en"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_the_demos_desk_can_be_used_by_everybody(demo_site: Site, watched: Watched, scheme: str, width: int) -> None:
    page = watched.page(demo_site, scheme=scheme, viewport={"width": width, "height": 800})
    look(page, "/demo")
