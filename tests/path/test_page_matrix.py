"""Who gets which page: every function of the demo at every page of the table, by the example of each page.

Generated from the route table and the examples of the browser campaign, so that a new page is in it at once. A page of
the whole gateway names here who may read it; a page of an inbox is for its members; and whoever may not gets the page of
an error, with nothing of what was asked for on it.
"""

from __future__ import annotations

import http.client
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from adapters.http.limits import UNPACED
from adapters.http.routes import Access, Csrf, Route, Scope
from adapters.http.server import HEADERS, PAGE_HEADERS, PAGE_POLICY
from adapters.http.web import PAGES, security
from adapters.http.web.mishaps import TEXTS
from gateway.model.base import InboxId
from gateway.model.identity import MembershipState
from tests.browser.conftest import Site, served
from tests.browser.examples import EXAMPLES, address
from tests.county import SEAT_E

pytestmark = pytest.mark.slow

#: Pages of the whole gateway, by the beginning of their path; the longest that fits counts.
READERS = {
    "/logg": {"gransk"},
    "/drift/meddelanden": {"gransk", "it"},
    "/drift/kanaler": {"gransk", "it"},
    "/drift/karantan": {"gransk", "it"},
    "/drift": {"it"},
}
#: Functions that belong to no authority: they read no inbox, whatever its address.
OUTSIDE = {"gransk", "it", "stat"}
#: What an error page may be called.
HEADINGS = {texts[0] for texts in TEXTS.values()}


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def main(self) -> str:
        return self.text[self.text.find("<main") : self.text.find("</main>")]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    yield from served(demo=False, limits=UNPACED)


@pytest.fixture(scope="module")
def tokens(site: Site) -> dict[str, str]:
    return {login: site.token(login) for login in site.county.seeds}


def ask(site: Site, method: str, path: str, token: str = "", body: str = "") -> Reply:
    host = urlsplit(site.address)
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=20)
    headers = {"Host": host.netloc}
    if token:
        headers["Cookie"] = f"{security.SESSION}={token}"
    if method == "POST":
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    try:
        connection.request(method, path, body or None, headers)
        response = connection.getresponse()
        given = {name.lower(): value for name, value in response.getheaders()}
        endless = given.get("content-type", "").startswith("text/event-stream")
        return Reply(response.status, given, "" if endless else response.read().decode("utf-8", "replace"))
    finally:
        connection.close()


def pages() -> list[Route]:
    return [route for route in PAGES if route.method == "GET" and route.path in EXAMPLES]


def members_of(site: Site, path: str, where: str) -> set[str] | None:
    """The functions that are members of the inbox in the address; None when it has none."""
    found = re.fullmatch(
        re.sub(r"\{\w+\}", "([^/]+)", path).replace("([^/]+)", r"(?P<inbox>[^/]+)", 1), where.partition("?")[0]
    )
    if "{inbox}" not in path or found is None:
        return None
    rows = site.run(site.county.store.members_of(InboxId(found["inbox"])))
    users = {user.id: user.login for user in site.run(site.county.store.users())}
    return {users[row.user] for row in rows if row.state is MembershipState.ACTIVE}


def readers_of(route: Route) -> set[str]:
    fits = [prefix for prefix in READERS if route.path == prefix or route.path.startswith(f"{prefix}/")]
    assert fits, f"say in READERS who may read {route.path}"
    return READERS[max(fits, key=len)]


def ids_in(reply: Reply) -> set[str]:
    """Numbers of cases, messages, envelopes, drafts and users on a page."""
    return set(re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", reply.main))


def headers_are_exact(reply: Reply, path: str) -> None:
    wanted = {**HEADERS, **PAGE_HEADERS, "Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-store"}
    for name, value in wanted.items():
        assert reply.headers.get(name.lower()) == value, (path, name)
    assert not set(reply.headers) & {"access-control-allow-origin", "strict-transport-security", "x-powered-by"}, path


def refused_without_content(reply: Reply, path: str, where: str) -> None:
    heading = re.search(r"<h1[^>]*>([^<]*)</h1>", reply.text)
    assert reply.status in (403, 404), (path, reply.status)
    assert heading and heading[1] in HEADINGS, (path, heading)
    assert len(re.sub(r"<[^>]*>", "", reply.main)) < 900, path
    assert not re.search(r"<(?:form|table|input|textarea)", reply.main), path
    asked = where.partition("?")[0].rpartition("/")[2]
    if "{" in path and len(asked) > 6:
        assert asked not in reply.main, path


def test_each_function_gets_the_pages_that_are_its_own_and_no_others(site: Site, tokens: dict[str, str]) -> None:
    count: Counter[str] = Counter()
    for route in pages():
        own, where = EXAMPLES[route.path][0], address(site, route.path)
        members = members_of(site, route.path, where) if route.scope is Scope.INBOX else None
        told = ids_in(ask(site, "GET", where, tokens[own])) if own else set()
        for login, token in tokens.items():
            reply = ask(site, "GET", where, token)
            headers_are_exact(reply, route.path)
            allowed = reply.status in (200, 303)
            if route.scope is Scope.GATEWAY:
                assert allowed == (login in readers_of(route)), (route.path, login, reply.status)
            elif members is not None and login not in members:
                assert not allowed, (route.path, login, reply.status)
            elif route.scope is Scope.INBOX and login in OUTSIDE:
                # A list of one's own may be there and empty; what has an address of its own is not.
                assert not allowed or "{" not in route.path, (route.path, login, reply.status)
                assert not told & ids_in(reply), (route.path, login)
            if login == own or route.access is Access.PUBLIC:
                assert allowed, (route.path, login, reply.status)
            if not allowed:
                refused_without_content(reply, route.path, where)
            count["allowed" if allowed else "refused"] += 1
            for attribute, value in re.findall(r'\b(href|src|action)="([^"]*)"', reply.text):
                assert re.match(r"/(?![/\\])|#|https://[a-z.]+\.se/", value), (route.path, attribute, value)
    print(f"{len(pages())} pages x {len(tokens)} functions: {count['allowed']} allowed, {count['refused']} refused")
    assert count["allowed"] and count["refused"]


def test_nobody_and_a_made_up_session_get_no_page_but_the_open_ones(site: Site) -> None:
    for route in pages():
        where = address(site, route.path)
        for token in ("", "x" * 43, "..", "0"):
            reply = ask(site, "GET", where, token)
            headers_are_exact(reply, route.path)
            if route.access is Access.PUBLIC:
                assert reply.status == 200, route.path
            else:
                assert (reply.status, reply.text) == (303, ""), route.path
                assert reply.headers["location"].startswith("/logga-in"), route.path


def test_each_form_without_its_token_is_refused_to_everybody(site: Site, tokens: dict[str, str]) -> None:
    forms = [route for route in PAGES if route.method != "GET"]
    logs = site.run(site.county.store.logs())
    before = [site.run(site.county.store.log_size(name)) for name in logs]
    for route in forms:
        assert route.csrf is Csrf.FORM
        path = re.sub(r"\{\w+\}", "seat.ekeliden", route.path)
        for login in tokens:
            for body in ("", f"_csrf={security.token_for('another')}", "_csrf=&nyckel=1"):
                reply = ask(site, "POST", path, tokens[login], body)
                assert reply.status == 403, (route.path, login)
                headers_are_exact(reply, route.path)
                refused_without_content(reply, route.path, path)
    # Nothing was done: the log, which everything done is in, has not grown.
    assert [site.run(site.county.store.log_size(name)) for name in logs] == before
    print(f"{len(forms)} forms x {len(tokens)} functions x 3 wrong tokens: all refused")


def test_each_page_that_shows_something_leaves_the_one_event_that_it_declares(
    site: Site, tokens: dict[str, str]
) -> None:
    """Catalogue A11, for pages; a page that declares none leaves none."""
    county, count = site.county, 0
    chief = site.run(county.gateway.sessions.authenticate(tokens["ek-chef"]))
    site.run(county.step_up(chief, SEAT_E))  # with a window its list shows priorities, and that is what is logged
    for route in pages():
        login, where = EXAMPLES[route.path][0], address(site, route.path)
        before = actions(site)
        reply = ask(site, "GET", where, tokens.get(login, ""))
        left = actions(site) - before
        assert reply.status in (200, 303), (route.path, reply.status)
        if route.audit.startswith("none"):
            assert not left, (route.path, left)
        else:
            assert left[route.audit] == 1, (route.path, left)
        count += 1
    print(f"A11: {count} pages, each with its event")


def actions(site: Site) -> Counter[str]:
    """What the log holds, by action."""
    store, found = site.county.store, Counter[str]()
    for name in site.run(store.logs()):
        found.update(side.action for side in site.run(store.sides(name, 0, site.run(store.log_size(name)))))
    return found
