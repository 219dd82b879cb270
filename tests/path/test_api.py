"""The API over a real connection: the route table, the path as a case system walks it, and what bad input gets."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from adapters.http.api import ROUTES
from adapters.http.routes import Access
from adapters.http.server import application, listening
from gateway.errors import SetupError
from gateway.factors import code_for
from gateway.forms.demo import demo_answer, demo_consent, demo_referral
from gateway.model.base import HOUR, MINUTE
from tests.county import ALVESTA, County, a_county, password_of

pytestmark = pytest.mark.slow  # a walk over a real connection; the fast core has the same path in memory


@dataclass
class Client:
    """A light client that remembers its token."""

    http: aiohttp.ClientSession
    address: str
    county: County
    token: str = ""

    async def call(
        self, method: str, path: str, body: object = None, *, status: int = 200, key: str = "", data: Any = None
    ) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if key:
            headers["Idempotency-Key"] = key
        async with self.http.request(
            method, f"{self.address}/api/v1{path}", json=body, data=data, headers=headers
        ) as response:
            text = await response.read()
            assert response.status == status, text
            assert response.headers["Cache-Control"] == "no-store"
            return json.loads(text) if response.content_type.endswith("json") else text

    async def sign_in(self, login: str) -> Client:
        self.county.clock.advance(MINUTE // 2)
        code = code_for(self.county.seeds[login], self.county.clock.now())
        body = {"login": login, "password": password_of(login), "code": code}
        done = await self.call("POST", "/sessions", body, status=201)
        return Client(self.http, self.address, self.county, done["token"])


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with (
        a_county() as county,
        listening(application(county.gateway, ROUTES), "127.0.0.1", 0) as address,
        aiohttp.ClientSession() as http,
    ):
        yield Client(http, address, county)


async def a_case(worker: Client, *, consent: bool = True) -> str:
    case = (await worker.call("POST", "/cases", {"inbox": ALVESTA}, status=201))["id"]
    if consent:
        values = demo_consent(worker.county.today)
        await worker.call("POST", "/consents", {"inbox": ALVESTA, "case": case, "values": values}, status=201)
    return str(case)


async def a_draft(worker: Client, case: str, **changes: object) -> dict[str, Any]:
    body = {
        "inbox": ALVESTA,
        "case": case,
        "form_type": "placement_referral",
        "form_version": 1,
        "values": {**demo_referral(worker.county.today), **changes},
    }
    found: dict[str, Any] = await worker.call("POST", "/drafts", body, status=201)
    return found


async def test_a_case_system_walks_the_whole_path(client: Client) -> None:
    worker = await client.sign_in("al-sos")
    case = await a_case(worker)
    draft = await a_draft(worker, case)
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("category", "SOCIAL")
    form.add_field("file", b"%PDF-1.7\n" + b"x" * 300_000, filename="utdrag åäö.pdf", content_type="text/html")
    await worker.call("POST", f"/drafts/{draft['id']}/attachments", data=form, status=201)
    seen = await worker.call("POST", f"/drafts/{draft['id']}/preview", {"recipients": ["remissgrupp"]})
    assert {"individual_name", "identity_number"} <= set(seen["recipients"][0]["held_back"])
    out = {"draft": draft["id"], "recipients": ["remissgrupp"]}
    sent = await worker.call("POST", "/messages", out, status=201, key="one")
    again = await worker.call("POST", "/messages", out, status=201, key="one")
    assert (again["message"], again["repeated"]) == (sent["message"], True)
    await client.county.deliver()

    ekeliden, novus = await client.sign_in("ek-chef"), await client.sign_in("no-chef")
    page = await ekeliden.call("GET", "/inboxes/seat.ekeliden/messages")
    envelope = page["messages"][0]["envelope"]
    opened = await ekeliden.call("POST", f"/envelopes/{envelope}/open")
    assert opened["body"]["fields"]["need_summary"]
    assert "individual_name" not in opened["body"]["fields"]
    assert await novus.call("POST", f"/envelopes/{envelope}/open", status=404)  # the other seat's is not theirs
    answer = {"inbox": "seat.ekeliden", "request": sent["message"], "values": demo_answer(client.county.today)}
    proposal = await ekeliden.call("POST", "/answers", answer, status=201)
    await client.county.deliver()
    path = f"/answers/{proposal['message']}/confirm"
    await novus.call("POST", path, {"inbox": "seat.novus"}, status=201)
    await client.county.deliver()
    view = await worker.call("GET", f"/inboxes/{ALVESTA}/cases/{case}")
    assert (view["case"]["state"], view["case"]["matched_units"]) == ("matched", ["ekeliden"])

    draft = await a_draft(worker, case)
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("file", b"%PDF-1.7\n" + b"y" * 700_000, filename="utdrag åäö.pdf")
    await worker.call("POST", f"/drafts/{draft['id']}/attachments", data=form, status=201)
    await worker.call("POST", "/messages", {"draft": draft["id"], "recipients": ["ekeliden.enhet"]}, status=201)
    await client.county.deliver()
    [line] = (await ekeliden.call("GET", "/inboxes/ekeliden.enhet/messages"))["messages"]
    await ekeliden.call("POST", f"/envelopes/{line['envelope']}/open", status=403)  # a window for this inbox first
    client.county.clock.advance(MINUTE // 2)
    code = code_for(client.county.seeds["ek-chef"], client.county.clock.now())
    await ekeliden.call("POST", "/inboxes/ekeliden.enhet/step-up", {"code": code})
    opened = await ekeliden.call("POST", f"/envelopes/{line['envelope']}/open")
    assert opened["body"]["fields"]["individual_name"]
    file = opened["attachments"][0]
    plain = await ekeliden.call("GET", f"/envelopes/{line['envelope']}/attachments/{file['id']}")
    assert (len(plain), file["name"]) == (700_009, "utdrag åäö.pdf")

    reviewer = await client.sign_in("gransk")
    reports = (await reviewer.call("GET", "/audit/verify"))["reports"]
    assert [report["faults"] for report in reports] == [[]]
    assert (await reviewer.call("GET", "/audit/events?limit=5"))["events"]
    assert b"tlog-proof" in await reviewer.call("GET", "/audit/proof?number=3")
    await worker.call("GET", "/audit/events", status=403)


async def test_what_is_not_yours_does_not_exist(client: Client) -> None:
    """404 = absent = forbidden: a member of another authority gets the answer that a wrong id gets."""
    worker = await client.sign_in("al-sos")
    case = await a_case(worker)
    draft = await a_draft(worker, case)
    stranger = await client.sign_in("vx-sos")
    for method, path, body in (
        ("GET", f"/inboxes/{ALVESTA}/messages", None),
        ("GET", f"/inboxes/{ALVESTA}/cases/{case}", None),
        ("GET", f"/inboxes/vaxjo.vuxen.placering/cases/{case}", None),
        ("GET", f"/drafts/{draft['id']}", None),
        ("PUT", f"/drafts/{draft['id']}", {"version": 1, "values": {}}),
        ("DELETE", f"/drafts/{draft['id']}", None),
        ("POST", "/messages", {"draft": draft["id"], "recipients": ["remissgrupp"]}),
        ("GET", f"/inboxes/{ALVESTA}/members", None),
    ):
        found = await stranger.call(method, path, body, status=404)
        assert found["type"] == "urn:sambud:problem:not-found"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/cases", {"inbox": 7}, 422),
        ("POST", "/cases", {}, 422),
        ("POST", "/cases", {"inbox": "x", "more": 1}, 422),
        ("POST", "/cases", {"inbox": "no.such"}, 404),
        ("GET", f"/inboxes/{ALVESTA}/messages?limit=0", None, 400),
        ("GET", f"/inboxes/{ALVESTA}/messages?limit=x", None, 400),
        ("GET", f"/inboxes/{ALVESTA}/messages?after=zzz", None, 400),
        ("GET", "/forms/placement_referral/99", None, 422),
        ("GET", "/forms/nothing/1", None, 422),
        ("GET", "/nowhere", None, 404),
        ("PATCH", "/cases", {}, 405),
        ("POST", f"/inboxes/{ALVESTA}/step-up", {"code": "000000"}, 401),
    ],
)
async def test_bad_requests_get_a_problem_that_says_what_to_do(
    client: Client, method: str, path: str, body: object, status: int
) -> None:
    worker = await client.sign_in("al-sos")
    found = await worker.call(method, path, body, status=status)
    assert found["title"] and found["instance"].startswith("urn:uuid:")


async def test_a_body_that_is_too_large_or_no_json_is_refused(client: Client) -> None:
    worker = await client.sign_in("al-sos")
    await worker.call("POST", "/cases", data=b"{" * 10, status=400)
    headers = {"Authorization": f"Bearer {worker.token}", "Content-Type": "application/json"}
    for body, status in ((b"{" * 100, 422), (b'{"inbox": "' + b"x" * 3_000_000 + b'"}', 413)):
        async with client.http.post(
            f"{client.address}/api/v1/cases", data=io.BytesIO(body), headers=headers
        ) as response:
            assert response.status == status


async def test_every_fault_of_a_form_is_told_at_once_and_the_draft_is_kept(client: Client) -> None:
    worker = await client.sign_in("al-sos")
    case = await a_case(worker)
    draft = await a_draft(worker, case, urgency="NOW", need_summary="x" * 3000, has_children=None)
    out = {"draft": draft["id"], "recipients": ["remissgrupp"]}
    found = await worker.call("POST", "/messages", out, status=422)
    assert {fault["pointer"] for fault in found["errors"]} >= {"/urgency", "/need_summary", "/has_children"}
    kept = await worker.call("GET", f"/drafts/{draft['id']}")
    assert kept["values"]["urgency"] == "NOW"


async def test_a_refusal_names_the_paragraph_and_the_next_step(client: Client) -> None:
    worker = await client.sign_in("al-sos")
    case = await a_case(worker, consent=False)
    draft = await a_draft(worker, case)
    out = {"draft": draft["id"], "recipients": ["remissgrupp"]}
    found = await worker.call("POST", "/messages", out, status=403)
    assert "OSL" in found["title"] and "OSL 12 kap. 2 §" in found["next_step"]


async def test_the_same_key_with_other_content_is_a_conflict(client: Client) -> None:
    worker = await client.sign_in("al-sos")
    case = await a_case(worker)
    first, second = await a_draft(worker, case), await a_draft(worker, case)
    await worker.call("POST", "/messages", {"draft": first["id"], "recipients": ["remissgrupp"]}, status=201, key="k")
    body = {"draft": second["id"], "recipients": ["remissgrupp"]}
    assert (await worker.call("POST", "/messages", body, status=409, key="k"))["type"].endswith("key-reused")


async def test_twenty_equal_requests_at_once_make_one_message(client: Client) -> None:
    worker = await client.sign_in("al-sos")
    case = await a_case(worker)
    body = {
        "inbox": ALVESTA,
        "case": case,
        "form_type": "placement_referral",
        "form_version": 1,
        "values": demo_referral(client.county.today),
        "recipients": ["remissgrupp"],
    }
    calls = [worker.call("POST", "/messages/direct", body, status=201, key="same") for _ in range(20)]
    answers = await asyncio.gather(*calls)
    assert len({answer["message"] for answer in answers}) == 1
    assert sum(not answer["repeated"] for answer in answers) == 1
    assert len(await client.county.store.messages_of(case, limit=50)) == 1  # type: ignore[arg-type]


async def test_an_expired_session_loses_no_draft(client: Client) -> None:
    worker = await client.sign_in("al-sos")
    case = await a_case(worker)
    draft = await a_draft(worker, case)
    client.county.clock.advance(HOUR)
    found = await worker.call("GET", f"/drafts/{draft['id']}", status=401)
    assert "utkast" in found["next_step"]
    back = await client.sign_in("al-sos")
    assert (await back.call("GET", f"/drafts/{draft['id']}"))["draft"]["id"] == draft["id"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("../etc/passwd.pdf", b"%PDF-1.7 x"),
        ("a\u202efdp.pdf", b"%PDF-1.7 x"),
        ("a.exe", b"MZ\x90\x00" + b"x" * 100),
        ("a.pdf", b"MZ\x90\x00" + b"x" * 100),
        ("a.zip", b"PK\x03\x04" + b"x" * 100),
        ("tom.pdf", b""),
        ("å" * 200 + ".pdf", b"%PDF-1.7 x"),
        ("a.txt", b"caf\xe9"),
    ],
)
async def test_an_attachment_that_cannot_be_taken_is_refused_and_leaves_nothing(
    client: Client, name: str, content: bytes
) -> None:
    worker = await client.sign_in("al-sos")
    draft = await a_draft(worker, await a_case(worker))
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("file", content, filename=name)
    found = await worker.call("POST", f"/drafts/{draft['id']}/attachments", data=form, status=422)
    assert found["type"] == "urn:sambud:problem:attachment-refused"
    assert await client.county.gateway.ports.blobs.names(before=client.county.clock.now()) == []


def test_a_route_that_leaves_a_column_empty_does_not_start() -> None:
    import dataclasses

    from adapters.http.routes import check

    check(ROUTES)
    for change in ({"audit": ""}, {"summary": ""}, {"path": "/elsewhere"}, {"access": Access.PUBLIC}):
        with pytest.raises(SetupError):
            check([dataclasses.replace(ROUTES[3], **change)])  # type: ignore[arg-type]
    with pytest.raises(SetupError):
        check([*ROUTES, ROUTES[0]])
