"""What a page may cost and how still it stands: bytes at the first visit, layout shift, and text that is spread out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import CDPSession, Page

from tests.browser.conftest import Site, assert_no_sideways_scroll
from tests.browser.examples import EXAMPLES, address

FIRST_LOAD = 120 * 1024  # octets over the wire, compressed
SHIFT = 0.1
#: WCAG 2.2, 1.4.12 Text Spacing: what a reader's own style may set without losing anything.
SPACING = """* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important }
p { margin-bottom: 2em !important }"""
SHIFTS = """() => new Promise(done => {
  let sum = 0;
  new PerformanceObserver(list => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value;
  }).observe({ type: 'layout-shift', buffered: true });
  requestAnimationFrame(() => setTimeout(() => done(sum), 150));
})"""
#: Text that its own box cuts off; what is hidden for the eye on purpose (screen readers' text) is not meant.
CUT = """() => [...document.querySelectorAll('main *, header *, footer *')].filter(element => {
  const style = getComputedStyle(element);
  const cuts = style.overflow !== 'visible' && style.overflowX !== 'auto' && style.overflowX !== 'scroll';
  const seen = element.clientWidth > 2 && element.clientHeight > 2 && element.innerText;
  return cuts && seen && (element.scrollWidth > element.clientWidth + 1 || element.scrollHeight > element.clientHeight + 1)
    && !['TEXTAREA', 'SELECT', 'INPUT'].includes(element.tagName);
}).map(element => element.outerHTML.slice(0, 120))"""


def received(page: Page) -> Callable[[], int]:
    """Counts what comes over the wire from now on."""
    session: CDPSession = page.context.new_cdp_session(page)
    session.send("Network.enable")
    total = [0]

    def finished(event: dict[str, object]) -> None:
        total[0] += int(str(event["encodedDataLength"]).partition(".")[0])

    session.on("Network.loadingFinished", finished)
    return lambda: total[0]


@pytest.mark.parametrize("path", sorted(EXAMPLES))
def test_a_first_visit_is_light_and_the_page_stands_still(page_as: Callable[..., Page], site: Site, path: str) -> None:
    """Figures of the pages: at most 120 KB compressed, layout shift at most 0.1."""
    page = page_as(EXAMPLES[path][0], viewport={"width": 1280, "height": 800})
    count = received(page)
    page.goto(address(site, path), wait_until="load")
    page.wait_for_timeout(100)
    shift = page.evaluate(SHIFTS)
    print(f"{path}: {count() / 1024:.0f} KiB, shift {shift:.3f}")
    assert 0 < count() <= FIRST_LOAD
    assert shift <= SHIFT


@pytest.mark.parametrize("path", sorted(EXAMPLES))
def test_spread_out_text_is_neither_cut_nor_pushed_aside(page_as: Callable[..., Page], site: Site, path: str) -> None:
    """ux.md row 2; WCAG 2.2, 1.4.12 and 1.4.10 (320 px is 400 % of 1280)."""
    page = page_as(EXAMPLES[path][0], viewport={"width": 320, "height": 640}, bypass_csp=True)
    page.goto(address(site, path))
    page.add_style_tag(content=SPACING)
    assert_no_sideways_scroll(page)
    assert page.evaluate(CUT) == []
