"""The SDK API's JSON and its client: strict out, tolerant in, bounded always."""

from __future__ import annotations

import base64
import copy
import json
import tracemalloc
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema_rs
import pytest
import yaml
from aiohttp import web
from joserfc.jwk import ECKey

from adapters.sdk.api_model import Streamed, create_body, entries, message_of, written
from adapters.sdk.client import Access, NotTakenError, SdkApi, ServiceAwayError
from adapters.sdk.faults import RejectedError
from gateway.forms import FormCatalogue
from gateway.model.base import SECOND
from gateway.readable import markdown
from tests.clock import ManualClock, instant
from tests.sdk.federation import serving
from tests.sdk.test_message import ID, a_message

OPENAPI: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parent.parent / "data" / "sdk" / "sdk-api-restful.yml").read_text("utf-8")
)


def validator(name: str) -> Any:
    """One component of the official description, with what it refers to."""
    return jsonschema_rs.Draft4Validator(  # OpenAPI 3.0: exclusiveMaximum is a boolean there
        {"$ref": f"#/components/schemas/{name}", "components": copy.deepcopy(OPENAPI["components"])}
    )


def test_what_we_write_is_valid_in_the_official_description_and_comes_back_as_the_same_message() -> None:
    body = create_body(a_message())
    assert validator("messageCreateDef").is_valid(body["data"])
    [(identifier, told)] = entries(json.loads(json.dumps(body)))
    assert identifier == ID
    assert create_body(message_of(told))["data"]["attributes"] == {
        key: value for key, value in body["data"]["attributes"].items() if key != "generatingSystem"
    }


def test_the_official_description_lets_an_empty_object_through_and_we_do_not() -> None:
    """sdk.md §10: `{}` validates, because `required` stands beside a $ref."""
    assert validator("messageCreateDef").is_valid({})
    with pytest.raises(RejectedError):
        message_of({})


@pytest.mark.parametrize(
    "time",
    [
        "2026-03-02T08:00:00Z",
        "2026-03-02T08:00:00.1Z",
        "2026-03-02T09:00:00+01:00",
        "2026-03-02T08:00:00.000000",
        "2026-03-02T08:00:00",
    ],
)
def test_times_without_decimals_with_other_zones_or_without_one_are_read(time: str) -> None:
    told = {**create_body(a_message())["data"]["attributes"], "creationDateTime": time}
    assert message_of(told).created // 1_000_000 == 1_772_438_400


@pytest.mark.parametrize(
    "wrong",
    [
        {"sender": "SE2321000016"},
        {"sender": 7},
        {"label": ""},
        {"digitalDocument": []},
        {"digitalDocument": [{"documentId": "1"}]},
        {
            "digitalDocument": [
                {"documentId": "1", "contentFiles": [{"fileName": "a", "contentType": "b", "content": "*"}]}
            ]
        },
        {"digitalDocument": "x"},
        {"recipientAttention": None},
        {"creationDateTime": "3 Sept. 2019"},
        {"messageId": ["x"]},
    ],
)
def test_what_is_no_message_is_refused_with_the_place_and_without_the_value(wrong: dict[str, Any]) -> None:
    with pytest.raises(RejectedError) as refused:
        message_of({**create_body(a_message())["data"]["attributes"], **wrong})
    assert all(fault.place and "Sept" not in repr(fault) for fault in refused.value.faults)


def test_data_as_one_object_or_as_a_list_is_the_same() -> None:
    one = create_body(a_message())
    assert list(entries({"data": [one["data"]]})) == list(entries(one))
    for nothing in (None, {}, {"data": None}, {"data": [3, "x"]}, [], "x"):
        assert list(entries(nothing)) == []


async def _pieces(octets: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(octets), size):
        yield octets[at : at + size]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 196_607, 196_608, 196_609, 1_000_000])
async def test_a_streamed_file_is_the_same_json_as_one_in_memory(size: int) -> None:
    octets = bytes(range(256)) * (size // 256 + 1)
    octets = octets[:size]
    file = Streamed(name="å.pdf", media_type="application/pdf", size=size, read=lambda: _pieces(octets, 65_537))
    body = written(a_message(), (file, file))
    whole = b"".join([piece async for piece in body.read()])
    assert len(whole) == body.length
    files = json.loads(whole)["data"]["attributes"]["digitalDocument"][-1]["contentFiles"]
    assert [base64.b64decode(one["content"]) for one in files[-2:]] == [octets, octets]


async def test_twenty_megabytes_stream_in_bounded_memory_and_thirty_one_are_refused_before_the_first_octet() -> None:
    """S6: the floor is 192 MiB for a whole message; streaming needs a few."""
    piece = bytes(1_000_000)

    def file(megabytes: int) -> Streamed:
        async def read() -> AsyncIterator[bytes]:
            for _ in range(megabytes):
                yield piece

        return Streamed(name="f", media_type="application/pdf", size=megabytes * 1_000_000, read=read)

    tracemalloc.start()
    sent = 0
    async for out in written(a_message(), (file(20),)).read():
        sent += len(out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sent > 26_000_000
    assert peak < 8 * 1024 * 1024
    with pytest.raises(RejectedError):
        written(a_message(), (file(23),))


# --- hostile services ------------------------------------------------------------------------------------------------

Answer = Callable[[web.Request], web.StreamResponse]


async def _api(answer: Answer, use: Callable[[SdkApi], Any]) -> None:
    """Run `use` with a client whose service gives `answer` to everything but the token."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/token":
            return web.json_response({"access_token": "t", "expires_in": 600})
        await request.read()
        return answer(request)

    app = web.Application(client_max_size=50_000_000)
    app.router.add_route("*", "/{any:.*}", handle)
    async with serving(app) as address, aiohttp.ClientSession() as session:
        access = Access(
            base=f"{address}/",
            token_url=f"{address}/token",
            client_id="c",
            key=ECKey.generate_key("P-256"),
            algorithm="ES256",
        )
        await use(SdkApi(access, session, ManualClock(), timeout_s=5))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "title", "told"),
    [(400, "Payload Too Large", 413), (400, "Bad Request", 400), (413, "", 413), (403, "", 403), (415, "", 415)],
)
async def test_a_refusal_is_a_refusal_and_a_400_with_the_title_of_a_413_is_that(
    status: int, title: str, told: int
) -> None:
    def answer(request: web.Request) -> web.StreamResponse:
        return (
            web.Response(status=404) if request.method == "GET" else web.json_response({"title": title}, status=status)
        )

    async def use(api: SdkApi) -> None:
        with pytest.raises(NotTakenError) as refused:
            await api.send(a_message())
        assert refused.value.status == told

    await _api(answer, use)


@pytest.mark.slow
async def test_already_there_is_believed_only_when_it_is_there() -> None:
    """sdk.md §10, idempotency (INF): a 400 that says duplicate, after the GET that says so too."""
    taken: list[str] = []

    def answer(request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            taken.append("POST")
            return web.json_response({"title": "Bad Request"}, status=400)
        if not taken:
            return web.Response(status=404)
        return web.json_response({"data": {"id": ID, "attributes": {"messageId": ID}}})

    async def use(api: SdkApi) -> None:
        await api.send(a_message())
        await api.send(a_message(), again=True)

    await _api(answer, use)
    assert taken == ["POST"]


@pytest.mark.slow
@pytest.mark.parametrize("told", [{}, {"data": {}}, {"data": []}, {"data": [{"id": "another"}]}, [], "x", 3])
async def test_an_answer_that_is_valid_by_the_description_and_holds_nothing_is_no_answer(told: Any) -> None:
    """`{}` validates. Taken for "unknown", it would end a delivery that has arrived as one without a receipt."""

    async def use(api: SdkApi) -> None:
        with pytest.raises(ServiceAwayError):
            await api.get(ID)
        assert set(await api.waiting("x")) <= {"another"}  # listed, and asked for before anything is believed

    await _api(lambda _: web.json_response(told), use)


@pytest.mark.slow
async def test_a_message_that_the_service_names_in_capitals_or_in_a_list_is_that_message() -> None:
    for data in ({"id": ID.upper(), "attributes": {"label": "x"}}, [{"attributes": {"messageId": ID.upper()}}]):

        async def use(api: SdkApi) -> None:
            assert await api.get(ID) is not None

        await _api(lambda _, data=data: web.json_response({"data": data}), use)  # type: ignore[misc]


def test_names_that_nobody_knows_are_skipped_wherever_they_stand() -> None:
    """A service may be newer than we are, or say more than the description has."""
    plain = create_body(a_message())["data"]["attributes"]

    def extended(told: Any) -> Any:
        if isinstance(told, dict):
            return {**{key: extended(value) for key, value in told.items()}, "x:unknown": {"deep": [1, None]}}
        return [extended(one) for one in told] if isinstance(told, list) else told

    assert message_of(extended(plain)) == message_of(plain)


def test_ids_are_read_in_any_case_and_kept_in_one() -> None:
    told = create_body(a_message())["data"]["attributes"]
    loud = {**told, "messageId": ID.upper(), "conversationId": ID.upper(), "refToMessageId": ID.upper()}
    read = message_of(loud)
    assert (read.id, read.conversation, read.refers_to) == (ID, ID, ID)


@pytest.mark.slow
@pytest.mark.parametrize("hung_up", [False, True], ids=["answered", "hung up"])
async def test_a_token_that_ends_in_the_middle_of_an_upload_costs_a_retry_and_sends_one_message(hung_up: bool) -> None:
    """§10.3: at most 30 minutes; a slow line is slower than that. The service may hang up instead of reading on."""
    given, taken = 0, []

    async def handle(request: web.Request) -> web.StreamResponse:
        nonlocal given
        if request.path == "/token":
            given += 1
            return web.json_response({"access_token": f"t{given}", "expires_in": 600})
        if request.headers["Authorization"] == "Bearer t1":
            await request.content.read(65_536)  # good until here
            if hung_up and request.method == "POST":
                assert request.transport is not None
                request.transport.abort()
            return web.Response(status=401)
        if request.method == "GET":
            return web.Response(status=404)
        taken.append(len(await request.read()))
        return web.Response(status=201)

    file = Streamed(
        name="f.pdf", media_type="application/pdf", size=9_000_000, read=lambda: _pieces(bytes(9_000_000), 65_536)
    )
    app = web.Application(client_max_size=50_000_000)
    app.router.add_route("*", "/{any:.*}", handle)
    async with serving(app) as address, aiohttp.ClientSession() as session:
        access = Access(
            base=f"{address}/",
            token_url=f"{address}/token",
            client_id="c",
            key=ECKey.generate_key("P-256"),
            algorithm="ES256",
        )
        api = SdkApi(access, session, ManualClock(), timeout_s=10)
        try:
            await api.send(a_message(), (file,))
        except ServiceAwayError:
            assert taken == []
            await api.send(a_message(), (file,), again=True)
    assert len(taken) == 1
    assert taken[0] > 12_000_000
    assert given == 2


@pytest.mark.slow
async def test_a_first_attempt_is_one_request_and_a_second_asks_before_it_posts() -> None:
    """No round trip is spent on doubt where there is none."""
    asked: list[str] = []

    def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.method)
        return web.Response(status=404 if request.method == "GET" else 201)

    async def use(api: SdkApi) -> None:
        await api.send(a_message())
        await api.send(a_message(), again=True)

    await _api(answer, use)
    assert asked == ["POST", "GET", "POST"]


def test_a_form_is_readable_by_anybody_and_what_people_wrote_is_text_and_nothing_else() -> None:
    form = FormCatalogue.load().get("case_message", 1)
    text = markdown(
        form,
        {
            "fields": {"text": "# Rubrik\n[länk](http://x) **fet** <b>", "categories": ["NEED", "SOCIAL"]},
            "held_back": ["attachments"],
        },
    )
    assert text.startswith("# Meddelande i ärendet\n")
    assert r"\# Rubrik" in text
    assert r"\[länk\]\(http://x\) \*\*fet\*\* \<b\>" in text
    assert "- Behov\n- Sociala förhållanden\n" in text
    assert "lämnas inte" in text


@pytest.mark.parametrize("busy", ["/token", "/sdk/messages"])
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("asked", "waits_s"),
    [
        ("7", 7),
        ("0", 0),
        ("999999999999", 900),
        ("Mon, 02 Mar 2026 09:00:30 GMT", 30),
        ("Mon, 02 Mar 2026 08:00:00 GMT", 0),
        ("-5", 0),
        ("snart", 0),
        ("\u0663", 0),
        ("", 0),
    ],
)
async def test_a_service_that_is_busy_is_left_alone_for_as_long_as_it_asks(
    busy: str, status: int, asked: str, waits_s: int
) -> None:
    """RFC 9110 §10.2.3: seconds or a date; nonsense asks for nothing, and nobody is left alone over a quarter."""
    clock, calls = ManualClock(instant(2026, 3, 2, 9)), 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal calls
        if request.path != busy:
            return web.json_response({"access_token": "t", "expires_in": 1800})
        calls += 1
        return web.json_response({}, status=status, headers={"Retry-After": asked} if asked else {})

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    async with serving(app) as address, aiohttp.ClientSession() as session:
        access = Access(
            base=f"{address}/",
            token_url=f"{address}/token",
            client_id="x",
            key=ECKey.generate_key("P-256"),
            algorithm="ES256",
        )
        api = SdkApi(access, session, clock)
        for wait_s in (0, waits_s - 1, 1):
            clock.advance(max(wait_s, 0) * SECOND)
            with pytest.raises(ServiceAwayError):
                await api.waiting("f")
    assert calls == (2 if waits_s else 3)
