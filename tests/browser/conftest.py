"""A real gateway on loopback and a real browser: every page is held to its policy while a test uses it.

Whatever a test does, at its end no page may have asked anybody else for anything, broken the content policy or thrown
an error in JavaScript. The gateway runs in a thread of its own, since the browser's driver is synchronous.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from adapters.http import ops
from adapters.http.api import ROUTES
from adapters.http.limits import Limits
from adapters.http.server import application, listening
from adapters.http.web import NAV, PAGES, security
from adapters.http.web.demo import DEMO_PAGES
from adapters.http.web.frame import Web
from adapters.memory import MemoryStore
from gateway.demo import DemoDesk
from gateway.factors import code_for
from gateway.model.base import MINUTE
from gateway.ports import UNMEASURED, Metrics, Store
from gateway.register import Credential
from tests.clock import ManualClock
from tests.county import County, a_county, password_of

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",  # drawn by the processor all the same, without a process that imitates a graphics card
    "--disable-background-networking",
    "--disable-quic",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
]
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
T = TypeVar("T")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


@dataclass
class Site:
    """The gateway that serves, and what a test needs of it from outside its loop."""

    address: str
    county: County
    loop: asyncio.AbstractEventLoop
    demo: bool = False
    kept: dict[str, str] = field(default_factory=dict)  # paths that examples made once

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do `work` in the gateway's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def code(self, login: str) -> str:
        """The next unused code: time moves half a minute."""
        self.county.clock.advance(MINUTE // 2)
        return code_for(self.county.seeds[login], self.county.clock.now())

    def token(self, login: str) -> str:
        """A fresh session of `login`, as its cookie has it."""
        return self.run(self.county.gateway.sign_in.sign_in(login, password_of(login), self.code(login))).token


@pytest.fixture(scope="package")  # not longer: while the driver is there, no other event loop runs in this thread
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        if os.environ.get("SAMBUD_REQUIRE_PEERS") == "1":
            pytest.fail("install chromium")
        pytest.skip("no browser: install chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()


def served(
    *, demo: bool, metrics: Metrics = UNMEASURED, store: Store | None = None, limits: Limits | None = None
) -> Iterator[Site]:
    """A gateway over the demo county, in a thread with a loop of its own, until the generator is closed."""
    ready: threading.Event = threading.Event()
    made: list[Site] = []
    failed: list[BaseException] = []
    stop = asyncio.Event()

    async def serve() -> None:
        clock = ManualClock()
        async with a_county(store or MemoryStore(clock), clock=clock, metrics=metrics) as county:
            credentials = {
                login: Credential(login=login, password=password_of(login), seed=seed)
                for login, seed in county.seeds.items()
            }
            desk = DemoDesk(county.gateway, credentials, county.clock.advance) if demo else None
            routes = (*ROUTES, *PAGES, *ops.ROUTES, *(DEMO_PAGES if demo else ()))
            app = application(county.gateway, routes, Web(county.gateway, routes, NAV, desk=desk), limits=limits)
            async with listening(app, "127.0.0.1", 0) as address:
                made.append(Site(address, county, asyncio.get_running_loop(), demo))
                ready.set()
                await stop.wait()

    def work() -> None:
        try:
            asyncio.run(serve())
        except BaseException as trouble:
            failed.append(trouble)
        finally:
            ready.set()

    thread = threading.Thread(target=work, name="gateway")
    thread.start()
    ready.wait(60)
    if failed:
        raise failed[0]
    try:
        yield made[0]
    finally:
        made[0].loop.call_soon_threadsafe(stop.set)
        thread.join(30)
    if failed:
        raise failed[0]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    yield from served(demo=False)


@pytest.fixture(scope="module")
def demo_site() -> Iterator[Site]:
    yield from served(demo=True)


def sign_in(context: BrowserContext, site: Site, login: str, lang: str) -> None:
    """The cookies of a fresh session and a language, and no others."""
    cookies = {security.SESSION: site.token(login)} if login else {}
    cookies["__Host-sambud-lang"] = lang
    # The driver sets a __Host- cookie for https only; the browser sends it to http://localhost all the same.
    secure = site.address.replace("http:", "https:")
    context.clear_cookies()
    context.add_cookies(
        [
            {"name": name, "value": value, "url": secure, "secure": True, "httpOnly": True, "sameSite": "Lax"}
            for name, value in cookies.items()
        ]
    )


@dataclass
class Watched:
    """Makes pages, and remembers what they should not have done."""

    browser: Browser
    contexts: list[BrowserContext] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def page(self, site: Site, login: str = "", *, lang: str = "sv", scheme: str = "light", **options: Any) -> Page:
        """A fresh browser window, signed in as `login` when given."""
        context = self.browser.new_context(
            base_url=site.address, locale="sv-SE", timezone_id="Europe/Stockholm", color_scheme=scheme, **options
        )
        self.contexts.append(context)
        sign_in(context, site, login, lang)
        page = context.new_page()
        page.set_default_timeout(10_000)

        def asked(request: Request) -> None:
            if not request.url.startswith((site.address, "data:", "about:")):
                self.wrong.append(f"asked {request.url}")

        def said(message: ConsoleMessage) -> None:
            # The browser notes each answer that is no 200; those are the test's own business.
            if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
                self.wrong.append(f"said {message.text}")

        page.on("request", asked)
        page.on("console", said)
        page.on("pageerror", lambda error: self.wrong.append(f"threw {error}"))
        return page


@pytest.fixture
def watched(chromium: Browser) -> Iterator[Watched]:
    made = Watched(chromium)
    yield made
    for context in made.contexts:
        context.close()
    assert made.wrong == []


@pytest.fixture
def page_as(site: Site, watched: Watched) -> Callable[..., Page]:
    """`page_as("ek-chef")` is a window with that function signed in; `page_as()` one with nobody."""
    return lambda login="", **options: watched.page(site, login, **options)


def assert_accessible(page: Page) -> None:
    """No rule of WCAG 2.2 AA that a program can check is broken."""
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": TAGS}, "resultTypes": ["violations"]})
    assert found.violations_count == 0, found.generate_report()


def assert_no_sideways_scroll(page: Page) -> None:
    """Reflow (WCAG 1.4.10): axe does not notice it."""
    wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1], f"{page.url} is {wide[0]} px wide in {wide[1]}"
