"""Pages over a real connection: cookie and bearer kept apart, forged forms refused, errors that say what to do."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from adapters.http.api import ROUTES
from adapters.http.routes import Access, Csrf, Rate, Route, Scope, check
from adapters.http.server import application, listening
from adapters.http.web import NAV, PAGES, security
from adapters.http.web.about import TOPICS
from adapters.http.web.assets import STATIC, TYPES, Assets
from adapters.http.web.frame import LANGUAGE, TEMPLATES, Web
from adapters.http.web.locale import CATALOGUE, LANGUAGES, filters
from adapters.http.web.nav import Link, NavItem, Viewer, check_nav, links
from adapters.http.web.words import TABLES
from gateway.demo import DemoDesk
from gateway.errors import SetupError, StoreFullError
from gateway.factors import code_for
from gateway.model.base import HOUR, MINUTE, Instant
from gateway.model.identity import Role
from gateway.register import Credential
from tests.county import County, a_county, password_of

ROOT = Path(__file__).parent.parent.parent
TABLE = (*ROUTES, *PAGES)


@dataclass
class Reply:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def token(self) -> str:
        found = re.search(r'name="_csrf" value="([0-9a-f]{64})"', self.text)
        assert found, self.text
        return found[1]


@dataclass
class Browser:
    """As much of a browser as these tests need: cookies, forms, no following of redirects."""

    http: aiohttp.ClientSession
    address: str
    county: County
    headers: dict[str, str] = field(default_factory=dict)

    async def get(self, path: str, **headers: str) -> Reply:
        return await self._ask("GET", path, headers=headers)

    async def post(self, path: str, fields: Mapping[str, str], **headers: str) -> Reply:
        return await self._ask("POST", path, data=fields, headers=headers)

    async def _ask(self, method: str, path: str, **more: object) -> Reply:
        named = {name.replace("_", "-"): value for name, value in more.pop("headers").items()}  # type: ignore[attr-defined]
        async with self.http.request(
            method, self.address + path, allow_redirects=False, headers={**self.headers, **named}, **more
        ) as response:
            return Reply(response.status, response.headers, await response.text())

    def cookie(self, name: str) -> str:
        found = self.http.cookie_jar.filter_cookies(URL(self.address)).get(name)
        return found.value if found else ""

    def code(self, login: str) -> str:
        self.county.clock.advance(MINUTE // 2)
        return code_for(self.county.seeds[login], self.county.clock.now())

    async def sign_in(self, login: str, /, **changes: str) -> Reply:
        token = (await self.get("/logga-in")).token
        fields = {"login": login, "password": password_of(login), "code": self.code(login), "_csrf": token}
        return await self.post("/logga-in", {**fields, **changes})


def a_browser(address: str, county: County) -> Browser:
    jar = aiohttp.CookieJar(unsafe=True, treat_as_secure_origin=URL(address))
    return Browser(aiohttp.ClientSession(cookie_jar=jar), address, county)


@pytest.fixture
async def site() -> AsyncIterator[tuple[str, County]]:
    async with a_county() as county:
        app = application(county.gateway, TABLE, Web(county.gateway, TABLE, NAV))
        async with listening(app, "127.0.0.1", 0) as address:
            yield address, county


@pytest.fixture
async def browser(site: tuple[str, County]) -> AsyncIterator[Browser]:
    made = a_browser(*site)
    async with made.http:
        yield made


# --- cookie and bearer ------------------------------------------------------------------------------------------------


async def test_sign_in_gives_a_cookie_that_scripts_and_other_sites_never_get(browser: Browser) -> None:
    reply = await browser.sign_in("al-sos", next="/inloggningar")
    assert (reply.status, reply.headers["Location"]) == (303, "/inloggningar")
    [made] = [value for name, value in reply.headers.items() if value.startswith("__Host-sambud=")]  # type: ignore[attr-defined]
    assert all(word in made for word in ("HttpOnly", "Secure", "SameSite=Lax", "Path=/"))
    assert "Domain" not in made
    assert (await browser.get("/inloggningar")).status == 200


async def test_a_page_takes_no_bearer_token_and_the_api_no_cookie(browser: Browser) -> None:
    await browser.sign_in("al-sos")
    token = browser.cookie(security.SESSION)
    assert (await browser.get("/api/v1/sessions")).status == 401
    assert (await browser.get("/api/v1/sessions", Authorization=f"Bearer {token}")).status == 200
    browser.http.cookie_jar.clear()
    assert (await browser.get("/inloggningar", Authorization=f"Bearer {token}")).status == 303


async def test_no_page_but_the_open_ones_answers_without_a_session(browser: Browser) -> None:
    """Catalogue F11, for pages: a GET leads to sign-in, a form is answered by the sign-in page."""
    open_ones = {
        "/logga-in",
        "/installningar",
        "/tillganglighet",
        "/hjalp",
        "/hjalp/{amne}",
        "/jour",
        "/granssnitt",
        "/granssnitt/{kapitel}",
    }
    for cookie in ("", "not-a-token"):
        for route in PAGES:
            path = re.sub(r"\{\w+\}", "seat.ekeliden", route.path)
            headers = {"Cookie": f"{security.SESSION}={cookie}"} if cookie else {}
            if route.access is Access.PUBLIC:
                assert route.path in open_ones
            elif route.method == "GET":
                reply = await browser.get(path, **headers)
                assert (reply.status, reply.headers["Location"].partition("?")[0]) == (303, "/logga-in")
            else:
                reply = await browser.post(path, {}, **headers)
                assert reply.status == 401
                assert "utkast är kvar" in reply.text


async def test_an_ended_session_leads_back_to_where_one_was(browser: Browser) -> None:
    await browser.sign_in("al-sos")
    browser.county.clock.advance(HOUR)
    reply = await browser.get("/inloggningar?klart=en")
    assert reply.headers["Location"] == "/logga-in?next=%2Finloggningar%3Fklart%3Den"
    again = await browser.sign_in("al-sos", next="/inloggningar?klart=en")
    assert again.headers["Location"] == "/inloggningar?klart=en"


@pytest.mark.parametrize(
    "next_",
    ["//ond.example", "https://ond.example", "/\\ond.example", "ond", "/\t/ond.example", "/logga-in", "/logga-ut"],
)
async def test_sign_in_leads_nowhere_else(browser: Browser, next_: str) -> None:
    reply = await browser.sign_in("al-sos", next=next_)
    assert (reply.status, reply.headers["Location"]) == (303, "/")


async def test_part_of_a_page_asked_for_by_htmx_sends_the_whole_page_to_sign_in(browser: Browser) -> None:
    reply = await browser.get("/inloggningar", HX_Request="true", HX_Current_URL=f"{browser.address}/inloggningar?a=1")
    assert (reply.status, reply.headers["HX-Redirect"]) == (401, "/logga-in?next=%2Finloggningar%3Fa%3D1")


async def test_signing_out_ends_the_session_itself(browser: Browser) -> None:
    await browser.sign_in("al-sos")
    token = browser.cookie(security.SESSION)
    reply = await browser.post("/logga-ut", {"_csrf": (await browser.get("/inloggningar")).token})
    assert reply.headers["Location"] == "/logga-in"
    assert not browser.cookie(security.SESSION)
    assert (await browser.get("/inloggningar", Cookie=f"{security.SESSION}={token}")).status == 303


async def test_what_was_wrong_at_sign_in_is_never_told_and_the_login_stays(browser: Browser) -> None:
    replies = [
        await browser.sign_in("al-sos", password="fel"),
        await browser.sign_in("vx-sos", code="000000"),
        await browser.sign_in("ek-chef", login="finns-inte"),
    ]
    assert {reply.status for reply in replies} == {401}
    assert len({re.sub(r'value="[^"]*"', "", reply.text) for reply in replies}) == 1
    assert 'value="al-sos"' in replies[0].text
    assert "<title>Fel: Logga in" in replies[0].text
    assert 'value="fel"' not in replies[0].text


# --- forged forms -----------------------------------------------------------------------------------------------------


async def test_a_form_from_elsewhere_is_refused_and_changes_nothing(browser: Browser) -> None:
    await browser.sign_in("al-sos")
    token = (await browser.get("/inloggningar")).token
    host = browser.address.removeprefix("http://")
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://ond.example"},
        {"Origin": "null"},
        {"Origin": f"http://ond.{host}", "Sec-Fetch-Site": "same-origin"},
    ):
        assert (await browser.post("/logga-ut", {"_csrf": token}, **headers)).status == 403
    for wrong in ("", "0" * 64, token[:-1], security.token_for("another")):
        reply = await browser.post("/logga-ut", {"_csrf": wrong})
        assert reply.status == 403
        assert "läs in sidan på nytt" in reply.text
    assert (await browser.get("/inloggningar")).status == 200  # still signed in
    fine = {"Origin": browser.address, "Sec-Fetch-Site": "same-origin"}
    assert (await browser.post("/logga-ut", {"_csrf": token}, **fine)).status == 303


async def test_our_own_form_under_no_referrer_sends_origin_null(browser: Browser) -> None:
    await browser.sign_in("al-sos")
    token = (await browser.get("/inloggningar")).token
    headers = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
    assert (await browser.post("/logga-ut", {"_csrf": token}, **headers)).status == 303


async def test_sign_in_itself_cannot_be_forged(browser: Browser) -> None:
    fields = {"login": "al-sos", "password": password_of("al-sos"), "code": browser.code("al-sos")}
    assert (await browser.post("/logga-in", fields)).status == 403
    token = (await browser.get("/logga-in")).token
    browser.http.cookie_jar.clear()
    assert (await browser.post("/logga-in", {**fields, "_csrf": token})).status == 403
    assert not browser.cookie(security.SESSION)


async def test_every_form_of_the_table_refuses_a_wrong_token(browser: Browser) -> None:
    await browser.sign_in("ek-chef")
    for route in PAGES:
        if route.method != "GET":
            path = re.sub(r"\{\w+\}", "seat.ekeliden", route.path)
            assert (await browser.post(path, {"_csrf": "0" * 64})).status == 403, route.path
            with aiohttp.MultipartWriter("form-data") as writer:
                writer.append("x").set_content_disposition("form-data", name="file")
            async with browser.http.post(browser.address + path, data=writer) as response:
                assert response.status in (400, 403), route.path


# --- sessions, codes --------------------------------------------------------------------------------------------------


async def test_one_sees_ends_and_keeps_ones_sessions(site: tuple[str, County], browser: Browser) -> None:
    other = a_browser(*site)
    async with other.http:
        await browser.sign_in("al-sos")
        await other.sign_in("al-sos")
        page = await browser.get("/inloggningar")
        assert page.text.count('name="session"') == 1
        [name] = re.findall(r'name="session" value="([0-9a-f]+)"', page.text)
        reply = await browser.post("/inloggningar/avsluta", {"_csrf": page.token, "session": name})
        assert reply.status == 303
        assert (await other.get("/inloggningar")).status == 303
        assert (await browser.post("/inloggningar/avsluta", {"_csrf": page.token, "session": name})).status == 404
        await other.sign_in("al-sos")
        assert (await browser.post("/inloggningar/avsluta-andra", {"_csrf": page.token})).status == 303
        assert (await other.get("/inloggningar")).status == 303
        assert (await browser.get("/inloggningar")).status == 200


async def test_a_session_is_extended_by_use_until_it_cannot(browser: Browser) -> None:
    await browser.sign_in("al-sos")
    token = (await browser.get("/inloggningar")).token
    browser.county.clock.advance(14 * MINUTE)
    reply = await browser.post("/session/forlang", {}, X_CSRF_Token=token)
    assert json.loads(reply.text) == {"seconds": 900, "fixed": False}
    for _ in range(40):
        browser.county.clock.advance(12 * MINUTE)
        if (reply := await browser.post("/session/forlang", {}, X_CSRF_Token=token)).status != 200:
            break
        last = json.loads(reply.text)
    assert reply.status == 401
    assert last["fixed"]


async def test_a_code_opens_an_inbox_for_reading(browser: Browser) -> None:
    await browser.sign_in("ek-chef")
    path = "/inkorg/ekeliden.enhet/kod"
    page = await browser.get(f"{path}?next=/inloggningar")
    assert 'value="/inloggningar"' in page.text
    wrong = await browser.post(path, {"_csrf": page.token, "code": "000000", "next": "/inloggningar"})
    assert wrong.status == 401
    assert 'href="#f-code"' in wrong.text
    assert 'aria-invalid="true"' in wrong.text
    right = {"_csrf": page.token, "code": browser.code("ek-chef"), "next": "/inloggningar"}
    assert (await browser.post(path, right)).headers["Location"] == "/inloggningar"
    assert "Just nu är inkorgen öppen" in (await browser.get(path)).text
    assert (await browser.get("/inkorg/seat.novus/kod")).status == 404


# --- errors and headers -----------------------------------------------------------------------------------------------


async def test_an_error_is_a_page_for_people_and_a_problem_for_case_systems(browser: Browser) -> None:
    page = await browser.get("/ingenstans")
    assert (page.status, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "Vad du kan göra nu" in page.text
    assert page.headers["X-Correlation-Id"] in page.text
    assert (await browser.get("/api/v1/ingenstans")).headers["Content-Type"].startswith("application/problem+json")
    assert (await browser.post("/tillganglighet", {})).status == 405
    english = await browser.get("/ingenstans", Cookie=f"{LANGUAGE}=en")
    assert '<html lang="en"' in english.text
    assert "What you can do now" in english.text


async def test_a_bug_a_full_disk_and_a_large_form_each_get_their_page(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    await browser.sign_in("al-sos")
    token = (await browser.get("/inloggningar")).token
    form = {"Content-Type": "application/x-www-form-urlencoded", "X-CSRF-Token": token}
    body = io.BytesIO(b"x=" + b"y" * 3_000_000)
    async with browser.http.post(f"{browser.address}/installningar", data=body, headers=form) as large:
        assert large.status == 413

    async def bug(*_: object) -> None:
        raise RuntimeError("hemligt innehåll")

    async def full(*_: object) -> None:
        raise StoreFullError("disk full", swedish="Lagringen är full.")

    monkeypatch.setattr(browser.county.gateway.sessions, "list", bug)
    reply = await browser.get("/inloggningar")
    assert (reply.status, "hemligt" in reply.text) == (500, False)
    monkeypatch.setattr(browser.county.gateway.sessions, "list", full)
    reply = await browser.get("/inloggningar")
    assert (reply.status, reply.headers["Retry-After"]) == (507, "5")
    assert "har inte sparats" in reply.text


async def test_every_page_forbids_what_it_does_not_need(browser: Browser) -> None:
    await browser.sign_in("al-sos")
    for path in ("/", "/logga-in", "/inloggningar", "/hjalp", "/ingenstans"):
        headers = (await browser.get(path)).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "Strict-Transport-Security" not in headers  # not over a plain connection
    for path in TEMPLATES.rglob("*.html"):
        assert not re.search(r"\sstyle=|\son\w+=|<script>|<style|javascript:", path.read_text("utf-8")), path


async def test_language_and_colours_are_kept_in_the_browser(browser: Browser) -> None:
    token = (await browser.get("/hjalp")).token
    reply = await browser.post("/installningar", {"_csrf": token, "lang": "en", "scheme": "dark", "next": "/hjalp"})
    assert reply.headers["Location"] == "/hjalp"
    page = (await browser.get("/hjalp")).text
    assert '<html lang="en" data-color-scheme="dark">' in page
    await browser.post("/installningar", {"_csrf": token, "lang": "xx", "scheme": "<b>"})
    assert '<html lang="en" data-color-scheme="dark">' in (await browser.get("/hjalp")).text


async def test_only_the_demo_has_a_desk_and_it_signs_in_by_one_press() -> None:
    from adapters.http.web.demo import DEMO_PAGES

    async with a_county() as county:
        credentials = {
            login: Credential(login=login, password=password_of(login), seed=seed)
            for login, seed in county.seeds.items()
        }
        desk = DemoDesk(county.gateway, credentials, county.clock.advance)
        table = (*TABLE, *DEMO_PAGES)
        app = application(county.gateway, table, Web(county.gateway, table, NAV, desk=desk))
        async with listening(app, "127.0.0.1", 0) as address:
            made = a_browser(address, county)
            async with made.http:
                page = await made.get("/demo")
                assert page.text.count('name="login"') == len(credentials)
                for _ in range(2):
                    reply = await made.post(
                        "/demo/logga-in", {"_csrf": (await made.get("/demo")).token, "login": "gransk"}
                    )
                    assert reply.status == 303
                assert "DEMO" in (await made.get("/inloggningar")).text
                unknown = {"_csrf": (await made.get("/demo")).token, "login": "ingen"}
                assert (await made.post("/demo/logga-in", unknown)).status == 404


async def test_outside_the_demo_there_is_no_desk(browser: Browser) -> None:
    assert (await browser.get("/demo")).status == 404


# --- the table, the navigation, the texts, the files -------------------------------------------------------------------


def a_page(**changes: object) -> Route:
    async def handler(_call: object) -> None: ...

    values = {
        "method": "GET",
        "path": "/sida",
        "handler": handler,
        "access": Access.SESSION,
        "scope": Scope.OWN,
        "csrf": Csrf.SAFE,
        "rate": Rate.READ,
        "audit": "none: a test",
        "takes": None,
        "gives": None,
        "summary": "Sida",
    }
    return Route(**{**values, **changes})  # type: ignore[arg-type]


def test_a_page_that_leaves_a_column_empty_does_not_start() -> None:
    check([*TABLE, a_page()])
    for change in (
        {"method": "POST"},
        {"method": "POST", "csrf": Csrf.BEARER},
        {"csrf": Csrf.FORM},
        {"path": "/Sida"},
        {"path": "/sida/"},
        {"path": "//sida"},
        {"summary": ""},
        {"audit": ""},
        {"path": "/api/v1/sida", "method": "POST", "csrf": Csrf.FORM},
    ):
        with pytest.raises(SetupError):
            check([a_page(**change)])


async def test_pages_do_not_start_without_what_renders_them() -> None:
    async with a_county() as county:
        with pytest.raises(SetupError):
            application(county.gateway, TABLE)


def test_the_navigation_leads_to_pages_only_and_to_those_who_need_them() -> None:
    item = NavItem(path="/sida", label="Sida", roles=frozenset({Role.AUDITOR}))
    check_nav([item], [a_page()])
    with pytest.raises(SetupError):
        check_nav([item], [])
    assert links([item], Viewer(frozenset({"auditor"}), ()), "/sida/1", str) == [Link("/sida", "Sida", current=True)]
    assert links([item], Viewer(frozenset({"case_worker"}), ()), "/", str) == []


def test_every_text_of_the_pages_has_its_english() -> None:
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import messages
    finally:
        sys.path.pop(0)
    known = messages.known()
    for message in messages.found():
        if message.id:
            kept = known.get(message.id, message.context)
            assert kept is not None, f"run tools/messages.py: {message.id}"
            texts = kept.string if isinstance(kept.string, tuple) else (kept.string,)
            assert all(texts), f"no English for: {message.id}"
            names = set(re.findall(r"%\(\w+\)s", str(message.id)))
            assert names == set(re.findall(r"%\(\w+\)s", str(kept.string))), message.id
    assert CATALOGUE == messages.CATALOGUE


def test_every_topic_of_help_and_every_state_has_its_words() -> None:
    for name in TOPICS:
        for lang in LANGUAGES:
            assert (TEMPLATES / "help" / f"{name}.{lang}.html").exists(), name
    assert {route.help for route in PAGES} <= {"", *TOPICS}
    for kind, words in TABLES.values():
        assert set(kind) <= set(words)


def test_times_are_told_on_the_swedish_clock() -> None:
    at = Instant(1_772_438_400_000_000)  # 2 March 2026, 08:00 UTC
    swedish, english = (filters(lang, lambda: Instant(at + 3 * HOUR)) for lang in LANGUAGES)
    assert swedish["when"](at) == '<time datetime="2026-03-02T09:00:00+01:00">2 mars 2026 kl. 09:00</time>'
    assert english["when"](at) == '<time datetime="2026-03-02T09:00:00+01:00">2 March 2026 at 09:00</time>'
    assert "för 3 timmar sedan" in swedish["ago"](at)
    assert "3 hours ago" in english["ago"](at)
    assert swedish["filesize"](1_234_567) == "1,2\u00a0MB"
    assert swedish["day"]("2026-03-02") == '<time datetime="2026-03-02">2 mars 2026</time>'


async def test_files_are_kept_for_ever_under_an_address_that_names_their_content(browser: Browser) -> None:
    for path in set(re.findall(r'"(/static/[^"]+)"', (await browser.get("/hjalp")).text)):
        reply = await browser.get(path)
        assert reply.status == 200
        assert "immutable" in reply.headers["Cache-Control"]
        assert hashlib.sha256(reply.text.encode()).hexdigest()[:16] in path
    assert (await browser.get("/static/0000000000000000/sambud.css")).status == 404


def test_a_first_visit_loads_at_most_120_kilobytes() -> None:
    assert Assets().packed_size() <= 100_000
    assert all(len(gzip.compress(path.read_bytes())) < 20_000 for path in TEMPLATES.rglob("*.html"))


def test_files_of_others_are_those_that_were_taken_in_and_no_more() -> None:
    vendor = STATIC / "vendor"
    listed = json.loads((vendor / "VENDOR.json").read_text("utf-8"))
    assert {line["file"] for line in listed} == {path.name for path in vendor.iterdir()} - {"VENDOR.json"}
    for line in listed:
        assert hashlib.sha256((vendor / line["file"]).read_bytes()).hexdigest() == line["sha256"], line["file"]
        assert line["licence"] and line["version"] and line["package"]
    assert {path.suffix for path in STATIC.iterdir() if path.is_file()} <= set(TYPES)
    for path in [*STATIC.glob("*.*"), *vendor.glob("*.css")]:
        assert not re.search(r"url\(['\"]?(?:https?:)?//|@import", path.read_text("utf-8")), path
