"""The contract of the API, held over the whole route table: every call by its example, on a real connection.

Generated from the table and tests/api_examples.py, so that a new call is in it at once.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import jsonschema_rs
import pytest
from openapi_spec_validator import validate

import gateway.errors
from adapters.http.api import CALLS, ROUTES
from adapters.http.contract import problems_of
from adapters.http.limits import UNPACED
from adapters.http.openapi import described
from adapters.http.problems import TYPE
from adapters.http.routes import Access, Csrf, Rate, Route, Scope, Tag, check
from adapters.http.server import API_POLICY, HEADERS, application, listening
from gateway.audit import AuditAction
from gateway.errors import SetupError
from tests.api_examples import EXAMPLES, Example, Maker
from tests.county import a_county
from tools.openapi import DOCUMENT, made

#: Every header that an answer of the API may have, beside those that each has.
OTHER_HEADERS = {
    "content-type",
    "content-length",
    "content-disposition",
    "date",
    "location",
    "retry-after",
    "www-authenticate",
    "allow",
    "transfer-encoding",
}
EACH = {name.lower(): value for name, value in HEADERS.items()} | {
    "cache-control": "no-store",
    "content-security-policy": API_POLICY,
}


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    octets: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.octets)

    @property
    def told(self) -> dict[str, Any]:
        """A problem without what differs between any two answers."""
        return {name: value for name, value in self.body.items() if name != "instance"}


@dataclass
class Caller:
    """Calls by example."""

    http: aiohttp.ClientSession
    address: str
    maker: Maker

    async def ask(self, method: str, path: str, token: str = "", **options: Any) -> Reply:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= options.pop("headers", {})
        async with self.http.request(
            method, self.address + path, headers=headers, allow_redirects=False, **options
        ) as response:
            given = {name.lower(): value for name, value in response.headers.items()}
            return Reply(response.status, given, await response.read())

    async def call(self, route: Route, example: Example, token: str | None = None) -> Reply:
        options: dict[str, Any] = {}
        if example.body is not None:
            options["json"] = example.body
        if example.file:
            form = aiohttp.FormData(quote_fields=False)
            form.add_field("category", "SOCIAL")
            form.add_field("file", example.file, filename="utdrag.pdf")
            options["data"] = form
        if example.key:
            options["headers"] = {"Idempotency-Key": example.key}
        if token is None:
            token = example.token or (await self.maker.token(example.login) if example.login else "")
        return await self.ask(route.method, f"/api/v1{example.path}", token, **options)

    async def actions(self) -> list[str]:
        """What the log holds, by action."""
        store, found = self.maker.county.store, []
        for name in await store.logs():
            found += [side.action for side in await store.sides(name, 0, await store.log_size(name))]
        return found


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    async with (
        a_county() as county,
        listening(application(county.gateway, ROUTES, limits=UNPACED), "127.0.0.1", 0) as address,
        aiohttp.ClientSession() as http,
    ):
        yield Caller(http, address, Maker(county))


def example_of(route: Route) -> Any:
    return EXAMPLES[route.handler.__name__]


def headers_are_exact(reply: Reply, where: str) -> None:
    for name, value in EACH.items():
        assert reply.headers.get(name) == value, (where, name)
    assert set(reply.headers) <= set(EACH) | OTHER_HEADERS, where


def is_described(reply: Reply, route: Route, document: dict[str, Any]) -> None:
    """Status, type, body and headers are those that the description promises."""
    where = f"{route.method} {route.path}"
    answers = document["paths"][route.path][route.method.lower()]["responses"]
    assert str(reply.status) in answers, (where, reply.status, reply.octets[:300])
    answer = answers[str(reply.status)]
    if "$ref" in answer:
        answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
        assert reply.headers["content-type"].startswith("application/problem+json"), where
        assert reply.body["type"].removeprefix(TYPE) in problems_of(route)[reply.status], where
    for name in answer.get("headers", {}):
        assert name.lower() in reply.headers, (where, name)
    [media] = answer.get("content") or {"": {}}
    assert reply.headers.get("content-type", "").partition(";")[0] == media, where
    schema = (answer.get("content") or {}).get(media, {}).get("schema")
    if schema and media.endswith("json"):
        whole = {**schema, "components": document["components"]}
        jsonschema_rs.validator_for(whole).validate(reply.body)


# --- the table -------------------------------------------------------------------------------------------------------


def test_the_description_is_valid_openapi_and_names_every_call_once() -> None:
    """OpenAPI 3.1.0; operationId is unique (§4.8.10.1)."""
    document = described(CALLS)
    validate(document)
    operations = [one for methods in document["paths"].values() for one in methods.values()]
    assert len(operations) == len(CALLS) == len({one["operationId"] for one in operations})
    assert [tag["name"] for tag in document["tags"]] == [str(tag) for tag in Tag]
    assert not [name for name in document["components"]["schemas"] if "__" in name]


def test_every_error_that_a_caller_may_meet_is_described_somewhere() -> None:
    """A new class in gateway/errors.py is either in the contract or named here."""
    inward = {"gateway-error", "setup", "backup"}  # told to operators, on the command line
    known = {kind.code for kind in vars(gateway.errors).values() if isinstance(kind, type) and hasattr(kind, "code")}
    described_codes = {code for route in CALLS for codes in problems_of(route).values() for code in codes}
    assert known - inward <= described_codes


def test_the_description_in_the_documents_is_the_one_that_is_served() -> None:
    """`python tools/openapi.py` writes it again."""
    assert DOCUMENT.read_text("utf-8") == made(), "the contract changed: python tools/openapi.py, and look at the diff"


def test_each_call_has_an_example_and_says_what_it_leaves_in_the_log() -> None:
    """Catalogue A11, W12."""
    assert {route.handler.__name__ for route in CALLS} == set(EXAMPLES)
    for route in CALLS:
        if not route.audit.startswith("none: "):
            assert set(logged(route)) <= set(AuditAction), route.path


@pytest.mark.parametrize(
    "change",
    [
        {"tag": None},
        {"summary": ""},
        {"audit": ""},
        {"gives": None},
        {"media": "text/plain"},
        {"status": 204},
        {"path": "/api/v1/things/{thing}"},
        {"path": "/api/v1/cases/{case}/of/{case}"},
        {"path": "/api/v2/cases"},
        {"takes": None, "parts": (), "keyed": True, "method": "PUT"},
        {"location": "/api/v1/cases/{number}"},
        {"csrf": Csrf.FORM},
        {"scope": Scope.NONE},
    ],
    ids=lambda change: ",".join(change),
)
def test_a_call_that_leaves_a_column_open_does_not_start(change: dict[str, Any]) -> None:
    """Catalogue W12: the build fails when something is missing."""
    whole = next(route for route in CALLS if route.handler.__name__ == "open_case")
    check([whole])
    with pytest.raises(SetupError):
        check([dataclasses.replace(whole, **change)])


def test_two_calls_of_one_name_do_not_start() -> None:
    first = next(route for route in CALLS if route.handler.__name__ == "open_case")
    with pytest.raises(SetupError):
        check([first, dataclasses.replace(first, path="/api/v1/things")])


def test_what_changes_something_is_no_get_and_sign_in_is_the_only_open_call() -> None:
    for route in CALLS:
        assert (route.csrf is Csrf.SAFE) == (route.method == "GET"), route.path
        assert (route.access is Access.PUBLIC) == (route.handler.__name__ == "sign_in"), route.path
        assert (route.rate is Rate.SIGN_IN) == (route.handler.__name__ in ("sign_in", "step_up", "permit_print")), (
            route.path
        )
        assert (route.rate is Rate.UPLOAD) == bool(route.parts), route.path


# --- every call by its example ---------------------------------------------------------------------------------------


def logged(route: Route) -> list[str]:
    """The actions that the row declares, one of which its call leaves."""
    return re.split(r", | or ", route.audit)


@pytest.mark.slow
async def test_each_call_answers_as_described_and_leaves_the_one_event_that_it_declares(caller: Caller) -> None:
    """Catalogue A11, W07: what reads or changes leaves exactly one event of its kind; what declares none leaves none."""
    document = described(CALLS)
    for route in CALLS:
        example = await example_of(route)(caller.maker)
        if example.login:
            await caller.maker.token(example.login)
        before = Counter(await caller.actions())
        reply = await caller.call(route, example)
        where = f"{route.method} {route.path}"
        assert reply.status == route.status, (where, reply.octets[:500])
        is_described(reply, route, document)
        headers_are_exact(reply, where)
        left = Counter(await caller.actions()) - before
        if route.audit.startswith("none: "):
            assert not left, (where, left)
        else:
            assert sum(left[action] for action in logged(route)) == expected_events(route), (where, left)
    print(f"A11: {len(CALLS)} calls, each with its event")


def expected_events(route: Route) -> int:
    """One; but forwarding logs that it begins, before anything is opened, and then the acceptance (forwarding.py).

    What is held is opened by a worker later: the call is the order alone (triage.py).
    """
    return 2 if route.audit == "forwarded" and "/held/" not in route.path else 1


@pytest.mark.slow
async def test_without_a_whole_session_each_call_says_the_same_and_does_nothing(caller: Caller) -> None:
    """Catalogue F11: no token, a wrong one, an ended one, a cookie instead: 401, before the address or body is looked at."""
    ended, signed = await caller.maker.session("ek-sam")
    await caller.maker.gateway.sessions.end(signed)
    live = await caller.maker.token("al-sos")
    told: list[dict[str, Any]] = []
    count = 0
    before = await caller.actions()
    for route in CALLS:
        if route.access is Access.PUBLIC:
            continue
        path = re.sub(r"\{\w+\}", "0", route.path)
        for headers in (
            {},
            {"Authorization": "Bearer "},
            {"Authorization": "Bearer not-a-token"},
            {"Authorization": f"Bearer {ended}"},
            {"Authorization": f"Basic {live}"},
            {"Cookie": f"__Host-sambud={live}"},
        ):
            reply = await caller.ask(route.method, path, headers=headers, data=b"{" if route.takes else None)
            assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer"), route.path
            headers_are_exact(reply, route.path)
            told.append({**reply.told, "title": "", "next_step": ""})
            count += 1
    assert all(one == told[0] for one in told)
    assert await caller.actions() == before
    print(f"F11: {count} calls refused")


@pytest.mark.slow
async def test_what_is_not_yours_is_answered_as_what_does_not_exist(caller: Caller) -> None:
    """404 = absent = forbidden: same status, body but its number, and headers, for every call of an inbox."""
    stranger = await caller.maker.token("vx-sos")  # a case worker of another authority
    count = 0
    for route in CALLS:
        if route.scope is not Scope.INBOX or "{" not in route.path:
            continue
        example = await example_of(route)(caller.maker)
        foreign = await caller.call(route, example, token=stranger)
        absent = await caller.call(route, dataclasses.replace(example, path=elsewhere(route, example.path)), stranger)
        where = f"{route.method} {route.path}"
        assert (foreign.status, absent.status) == (404, 404), (where, foreign.octets, absent.octets)
        assert foreign.told == absent.told, where
        assert set(foreign.headers) == set(absent.headers), where
        headers_are_exact(foreign, where)
        count += 1
    print(f"404: {count} calls of an inbox, foreign as absent")


def elsewhere(route: Route, path: str) -> str:
    """The same address with ids that nothing has."""
    parts = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.path), "/api/v1" + path.partition("?")[0])
    assert parts
    absent = {"inbox": "ingen.inkorg", "session": "0" * 12}
    for name, value in parts.groupdict().items():
        path = path.replace(value, absent.get(name, "00000000-0000-4000-8000-000000000000"))
    return path


@pytest.mark.slow
async def test_each_address_tells_its_methods_and_refuses_the_others(caller: Caller) -> None:
    """RFC 9110 §15.5.6 (405 with Allow), §9.3.2 (HEAD as GET without a body)."""
    token = await caller.maker.token("al-sos")
    methods: dict[str, set[str]] = {}
    for route in ROUTES:
        methods.setdefault(route.path, set()).add(route.method)
    for path, known in methods.items():
        address = re.sub(r"\{\w+\}", "0", path)
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"):
            if method in known:
                continue
            reply = await caller.ask(method, address, token)
            if reply.status != 405:  # another row has the address too: /sessions/current is /sessions/{session}
                assert any(re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", one), address) for one in methods if one != path)
                continue
            assert known <= set(reply.headers["allow"].replace(" ", "").split(",")), path
            headers_are_exact(reply, path)
    for path in ("/api/v1/inboxes", "/api/v1/forms"):
        get, head = await caller.ask("GET", path, token), await caller.ask("HEAD", path, token)
        assert (head.status, head.octets) == (200, b"")
        assert {**head.headers, "date": ""} == {**get.headers, "date": ""}


@pytest.mark.slow
async def test_a_parameter_that_is_unknown_repeated_or_malformed_is_told_by_name_and_not_repeated(
    caller: Caller,
) -> None:
    token = await caller.maker.token("gransk")
    count = 0
    for query, name in (
        ("limt=5", ""),
        ("limit=5&limit=6", "limit"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=5%00", "limit"),
        ("limit=-1", "limit"),
        ("limit=%D9%A3", "limit"),
        ("limit=1e1", "limit"),
        ("start=99999999999999999999", "start"),
        ("log=" + "x" * 201, "log"),
        ("log=a%0Ab", "log"),
    ):
        reply = await caller.ask("GET", f"/api/v1/audit/events?{query}", token)
        assert reply.status == 400, query
        assert name in reply.body["title"] and "Inget har ändrats" in reply.body["next_step"], query
        assert "xxxx" not in reply.octets.decode() and "limt" not in reply.octets.decode(), query
        count += 1
    print(f"{count} queries refused")


@pytest.mark.slow
async def test_the_description_is_served_to_everybody(caller: Caller) -> None:
    reply = await caller.ask("GET", "/api/openapi.json")
    assert (reply.status, reply.octets.decode()) == (200, made())
    headers_are_exact(reply, "/api/openapi.json")
