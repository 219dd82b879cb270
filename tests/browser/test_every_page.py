"""Every page of the table, in both colours and at both widths: WCAG 2.2 AA, no sideways scroll, nothing foreign."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from adapters.http.web import PAGES
from tests.browser.conftest import Site, Watched, assert_accessible, assert_no_sideways_scroll
from tests.browser.examples import ELSEWHERE, EXAMPLES, address

GET = sorted({route.path for route in PAGES if route.method == "GET" and route.shows} - ELSEWHERE)


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
def test_a_page_can_be_used_by_everybody(
    page_as: Callable[..., Page], site: Site, path: str, scheme: str, width: int
) -> None:
    if path not in EXAMPLES:
        pytest.skip("no example")
    page = page_as(EXAMPLES[path][0], scheme=scheme, viewport={"width": width, "height": 800})
    look(page, address(site, path))
    assert page.locator("h1").count() == 1
    assert page.locator("footer a[href='/tillganglighet']").count() == 1
    assert page.locator("[required], form:not([novalidate]):has(input:not([type=hidden]))").count() == 0
    if width == 1280:
        page.evaluate("document.documentElement.style.fontSize = '200%'")
        assert_no_sideways_scroll(page)


@pytest.mark.parametrize("path", GET)
def test_a_page_in_english_says_so(page_as: Callable[..., Page], site: Site, path: str) -> None:
    """The same templates with longer words: what can differ is room, and the language that is told."""
    if path not in EXAMPLES:
        pytest.skip("no example")
    page = page_as(EXAMPLES[path][0], lang="en", viewport={"width": 320, "height": 800})
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
