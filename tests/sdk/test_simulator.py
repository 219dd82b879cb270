"""The simulator keeps what docs/sdk-simulator.md says, to a client of its own and to our gateway's."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import datetime
import io
import signal
import ssl
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
import pytest
from aiohttp import web
from cryptography.x509.oid import ExtendedKeyUsageOID
from joserfc.jwk import ECKey

from adapters.sdk import status
from adapters.sdk.api_model import create_body
from adapters.sdk.client import Access, NotTakenError, SdkApi, ServiceAwayError
from adapters.sdk.connect import connected, offered
from adapters.sdk.counterpart import FUNCTIONS, ORGANISATION
from adapters.sdk.model import Attention, Message, Party
from adapters.sdk.neighbour import SdkNeighbour
from adapters.sdk.simulator import Simulator
from adapters.sdk.simulator_http import BASE, BOOK, application, serving
from gateway.errors import SetupError
from gateway.model.base import DAY, HOUR, MINUTE, SECOND
from gateway.neighbours import Reason, Telling
from tests.clock import ManualClock
from tests.sdk.test_message import a_message
from tests.smtp.authority import Authority
from tests.test_house import ROOT

pytestmark = pytest.mark.slow
OURS = "0203:kommun.example#sdk:inkorg:kommun"
FUNCTION = OURS.partition("#")[2]


@dataclass
class Desk:
    """A simulator and one client of it."""

    service: Simulator
    clock: ManualClock
    api: SdkApi
    session: aiohttp.ClientSession
    address: str

    async def sent(self, function: str, **changes: Any) -> str:
        message = to(function, **changes)
        await self.api.send(message)
        return message.id

    async def told(self, name: str) -> tuple[Telling, Reason]:
        attributes = await self.api.get(name)
        assert attributes is not None
        found = status.told(attributes, name)
        return found.telling, found.reason

    async def call(self, path: str, body: Any = None, *, method: str = "POST") -> tuple[int, Any]:
        async with self.session.request(method, self.address + path, json=body) as answer:
            return answer.status, await answer.json()


def to(function: str, organisation: str = ORGANISATION, **changes: Any) -> Message:
    """A message of ours with a new id, to a function of the counterpart."""
    identifier = str(uuid.uuid4())
    message = a_message()
    sender = dataclasses.replace(
        message.sender, attention=dataclasses.replace(message.sender.attention, function=FUNCTION)
    )
    recipient = Party(id=organisation, attention=Attention(function=function))
    given = {"id": identifier, "conversation": identifier, "sender": sender, "recipient": recipient, **changes}
    return dataclasses.replace(message, **given)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with a_desk() as opened:
        yield opened


@asynccontextmanager
async def a_desk() -> AsyncIterator[Desk]:
    clock, key = ManualClock(), ECKey.generate_key("P-256")
    service = Simulator(clock)
    service.join("kommun", key, [OURS])
    async with serving(service) as address, aiohttp.ClientSession() as session:
        access = Access(
            base=address + BASE, token_url=f"{address}/token", client_id="kommun", key=key, algorithm="ES256"
        )
        yield Desk(service, clock, SdkApi(access, session, clock), session, address)


# --- the counterpart (§2) --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "at_once", "after", "in_the_end"),
    [
        ("tar-emot", (Telling.DELIVERED, Reason.NONE), MINUTE, (Telling.DELIVERED, Reason.NONE)),
        ("svarar", (Telling.DELIVERED, Reason.NONE), MINUTE, (Telling.DELIVERED, Reason.NONE)),
        ("sen", (Telling.IN_TRANSIT, Reason.NONE), HOUR, (Telling.DELIVERED, Reason.NONE)),
        ("tyst", (Telling.IN_TRANSIT, Reason.NONE), 48 * HOUR, (Telling.IN_TRANSIT, Reason.NONE)),
        ("ingen-kvittens", (Telling.IN_TRANSIT, Reason.NONE), MINUTE, (Telling.REFUSED, Reason.NO_RECEIPT)),
        ("borta", (Telling.IN_TRANSIT, Reason.NONE), MINUTE, (Telling.REFUSED, Reason.UNREACHABLE)),
        ("finns-inte", (Telling.REFUSED, Reason.NOT_FOUND), 0, (Telling.REFUSED, Reason.NOT_FOUND)),
        ("avvisar:SV:structure", (Telling.REFUSED, Reason.STRUCTURE), 0, (Telling.REFUSED, Reason.STRUCTURE)),
        ("avvisar:BV:too-long", (Telling.REFUSED, Reason.TOO_LARGE), 0, (Telling.REFUSED, Reason.TOO_LARGE)),
        ("avvisar:SIG:security", (Telling.REFUSED, Reason.SIGNATURE), 0, (Telling.REFUSED, Reason.SIGNATURE)),
        ("avvisar:XX:security", (Telling.REFUSED, Reason.NOT_FOUND), 0, (Telling.REFUSED, Reason.NOT_FOUND)),
    ],
)
async def test_a_function_of_the_counterpart_does_what_its_name_says(
    desk: Desk, function: str, at_once: object, after: int, in_the_end: object
) -> None:
    name = await desk.sent(f"sdk:inkorg:{function}")
    assert await desk.told(name) == at_once
    desk.clock.advance(after)
    assert await desk.told(name) == in_the_end


async def test_an_answer_comes_in_the_conversation_with_the_senders_references(desk: Desk) -> None:
    """B1.3.3 §4.3.2: refToMessageId is the message answered; the sender's reference stands in the recipient."""
    name = await desk.sent("sdk:inkorg:svarar")
    assert await desk.api.waiting(FUNCTION) == []
    desk.clock.advance(5 * SECOND)
    [answer] = await desk.api.waiting(FUNCTION)
    told = await desk.api.get(answer)
    assert told is not None
    assert (told["conversationId"], told["refToMessageId"]) == (name, name)
    assert told["recipientAttention"]["referenceId"][0]["extension"] == "SN-2026-17"
    await desk.api.delete(answer)
    assert await desk.api.waiting(FUNCTION) == []


async def test_an_answer_that_comes_twice_is_the_same_message_after_it_was_deleted(desk: Desk) -> None:
    await desk.sent("sdk:inkorg:dubbel")
    desk.clock.advance(5 * SECOND)
    first = await desk.api.waiting(FUNCTION)
    await desk.api.delete(first[0])
    assert await desk.api.waiting(FUNCTION) == first
    await desk.api.delete(first[0])
    assert await desk.api.waiting(FUNCTION) == []


# --- faults and time (§3) --------------------------------------------------------------------------------------------


async def test_faults_are_set_and_counted_down_and_what_is_no_fault_is_refused_whole(desk: Desk) -> None:
    assert await desk.call("/simulator/faults", {"lose_receipt": 1, "away": 0}) == (
        200,
        {
            "reject": "",
            "lose_receipt": 1,
            "duplicate": 0,
            "delay_s": 0,
            "away": 0,
            "drop_answers": 0,
            "expire_tokens": False,
        },
    )
    for wrong in ({"away": -1}, {"away": "1"}, {"away": True}, {"none": 1}, {"reject": "XX/y"}, {"takes": 1}, [], 1):
        assert (await desk.call("/simulator/faults", wrong))[0] == 400
    name = await desk.sent("sdk:inkorg:tar-emot")
    desk.clock.advance(HOUR)
    assert await desk.told(name) == (Telling.IN_TRANSIT, Reason.NONE)
    assert await desk.told(await desk.sent("sdk:inkorg:tar-emot")) == (Telling.DELIVERED, Reason.NONE)


async def test_a_service_that_is_away_is_away_for_so_many_calls_and_says_when_to_come_back(desk: Desk) -> None:
    desk.service.faults.away = 2
    for left in (1, 0):
        with pytest.raises(ServiceAwayError):
            await desk.api.waiting(FUNCTION)
        with pytest.raises(ServiceAwayError, match="asked us to wait"):
            await desk.api.waiting(FUNCTION)  # not asked before the five seconds are over
        assert desk.service.faults.away == left
        desk.clock.advance(5 * SECOND)
    assert await desk.api.waiting(FUNCTION) == []


async def test_a_token_that_has_ended_when_it_comes_is_fetched_again(desk: Desk) -> None:
    desk.service.faults.expire_tokens = True
    assert await desk.api.waiting(FUNCTION) == []


async def test_an_hour_passes_when_it_is_told_to(desk: Desk) -> None:
    name = await desk.sent("sdk:inkorg:sen")
    assert await desk.call("/simulator/clock", {"advance_s": 3600}) == (200, {})
    assert desk.service.boxes["kommun"][name].status == "ACCEPTED"
    for wrong in ({}, {"advance_s": -1}, {"advance_s": 1.5}):
        assert (await desk.call("/simulator/clock", wrong))[0] == 400


async def test_messages_come_in_from_the_counterpart_as_many_as_are_asked_for(desk: Desk) -> None:
    file = {"fileName": "a.pdf", "contentType": "application/pdf", "content": base64.b64encode(b"%PDF-1.7").decode()}
    asked = {"to": OURS, "text": "Hej", "label": "Fråga", "files": [file], "count": 3}
    code, made = await desk.call("/simulator/messages", asked)
    assert (code, len(made["messages"])) == (201, 3)
    assert sorted(await desk.api.waiting(FUNCTION)) == sorted(made["messages"])
    told = await desk.api.get(made["messages"][0])
    assert told is not None
    assert told["label"] == "Fråga"
    assert told["digitalDocument"][0]["contentFiles"] == [file]
    for wrong in ({"to": "0203:x#y"}, {**asked, "files": [{}]}, {**asked, "count": 10_001}):
        assert (await desk.call("/simulator/messages", wrong))[0] == 400
    counted = (await desk.call("/simulator", method="GET"))[1]
    assert counted["delivered"] == 3
    assert counted["boxes"]["kommun"]["states"] == {"NEW": 3}
    assert "Hej" not in str(counted)


# --- the API (§1) ----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def bearing(desk: Desk) -> AsyncIterator[aiohttp.ClientSession]:
    """A session with a token, for calls that our client would never make."""
    await desk.api.waiting(FUNCTION)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {desk.api._token.value}"}) as session:
        yield session


async def posted(desk: Desk, body: Any = None, octets: bytes = b"") -> tuple[int, Any]:
    """What the service answers to a message, or to octets in its place."""
    sent: dict[str, Any] = {"data": io.BytesIO(octets)} if body is None else {"json": body}
    async with bearing(desk) as session, session.post(f"{desk.address}{BASE}sdk/messages", **sent) as answer:
        assert answer.content_type in ("application/json", "application/octet-stream")  # the latter: no body
        return answer.status, await answer.json() if answer.status == 400 else dict(answer.headers)


async def test_what_a_client_leaves_out_is_filled_in(desk: Desk) -> None:
    body = create_body(to("sdk:inkorg:tar-emot"))
    del body["data"]["id"]
    for name in ("messageId", "conversationId", "creationDateTime"):
        del body["data"]["attributes"][name]
    code, headers = await posted(desk, body)
    place = headers["Location"]
    assert code == 201
    async with bearing(desk) as session, session.get(desk.address + place) as answer:
        data = (await answer.json())["data"]
    assert data["id"] == data["attributes"]["messageId"] == place.rpartition("/")[2]
    assert data["attributes"]["conversationId"] == data["id"]
    assert data["attributes"]["creationDateTime"].endswith("Z")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"messageStatus": "NEW"}, "messageStatus"),
        ({"confidentiality": None}, "confidentiality"),
        ({"messageId": "7"}, "messageId"),
        ({"conversationId": 7}, "conversationId"),
        ({"sender": "0203:annan.example"}, "sender"),
        ({"label": ""}, "label"),
        ({"digitalDocument": []}, "digitalDocument"),
        ({"recipientAttention": {}}, "extension"),
    ],
)
async def test_a_message_that_breaks_a_rule_is_refused_with_the_field_and_without_the_value(
    desk: Desk, change: dict[str, Any], named: str
) -> None:
    body = create_body(to("sdk:inkorg:tar-emot"))
    body["data"]["attributes"] |= change
    async with bearing(desk) as session, session.post(f"{desk.address}{BASE}sdk/messages", json=body) as answer:
        told = await answer.json()
        assert (answer.status, answer.content_type) == (400, "application/json")
    assert named in [issue["in"] for issue in told["eventIssues"]]
    assert "annan" not in str(told)


@pytest.mark.parametrize("octets", [b"", b"{", b"[]", b'{"data": []}', b'{"data": {"attributes": 7}}', b"[" * 100_000])
async def test_what_is_no_message_at_all_is_a_400(desk: Desk, octets: bytes) -> None:
    async with bearing(desk) as session, session.post(f"{desk.address}{BASE}sdk/messages", data=octets) as answer:
        assert answer.status == 400


async def test_thirty_million_octets_are_too_many_and_the_title_says_so(desk: Desk) -> None:
    """sdk.md §10.2: Digg's own example has this title with status 400."""
    code, told = await posted(desk, octets=b" " * 30_000_001)
    assert (code, told["title"]) == (400, "Payload Too Large")


async def test_the_same_id_again_is_refused_and_deleting_waits_for_a_final_state(desk: Desk) -> None:
    message = to("sdk:inkorg:tyst")
    await desk.api.send(message)
    assert (await posted(desk, create_body(message)))[0] == 400
    with pytest.raises(NotTakenError):
        await desk.api.delete(message.id)


async def test_the_five_filters_combine_and_others_are_refused(desk: Desk) -> None:
    """B1.4.2 §3: messageStatus, both functions, and from when to when."""
    accepted = await desk.sent("sdk:inkorg:tar-emot")
    waiting = await desk.sent("sdk:inkorg:tyst", created=a_message().created + HOUR)
    recipient, start = "recipientAttention.subOrganization.extension", "creationDateTimeStart"
    cases: list[tuple[dict[str, str], set[str]]] = [
        ({}, {accepted, waiting}),
        ({"messageStatus": "ACCEPTED"}, {accepted}),
        ({"messagestatus": '"WAITING_FOR_RECEIPT"'}, {waiting}),
        ({recipient: "SDK:inkorg:tyst"}, {waiting}),
        ({recipient: "sdk:inkorg:tyst", "messageStatus": "ACCEPTED"}, set()),
        ({"senderAttention.subOrganization.extension": FUNCTION}, {accepted, waiting}),
        ({start: "2026-03-02T08:30:00Z"}, {waiting}),
        ({"creationDateTimeStop": "2026-03-02T08:30:00.5Z"}, {accepted}),
        ({start: "2026-03-02T07:00:00Z", "creationDateTimeStop": "2026-03-02T12:00:00Z"}, {accepted, waiting}),
    ]
    async with bearing(desk) as session:
        for asked, found in cases:
            query = {f"filter[{name}]": value for name, value in asked.items()}
            async with session.get(f"{desk.address}{BASE}sdk/messages", params=query) as answer:
                listed = (await answer.json())["data"]
            assert {one["id"] for one in listed} == found, asked
            assert all("digitalDocument" not in one["attributes"] for one in listed)
        for wrong in ({"filter[label]": "x"}, {"page": "2"}, {f"filter[{start}]": "igår"}):
            async with session.get(f"{desk.address}{BASE}sdk/messages", params=wrong) as answer:
                assert answer.status == 400, wrong


@pytest.mark.parametrize("change", [{"grant_type": "password"}, {"client_id": "annan"}, {"client_assertion": "a.b.c"}])
async def test_who_cannot_prove_who_it_is_gets_no_token(desk: Desk, change: dict[str, str]) -> None:
    form = {"grant_type": "client_credentials", "client_id": "kommun", "client_assertion": "", **change}
    async with desk.session.post(f"{desk.address}/token", data=form) as answer:
        assert (answer.status, await answer.json()) == (401, {"error": "invalid_client"})


# --- the address book (§4), and the command --------------------------------------------------------------------------


async def test_the_address_book_lists_the_counterpart_and_every_client(desk: Desk) -> None:
    _, told = await desk.call(BOOK, method="GET")
    book = {one["id"]: one["attributes"]["addresses"] for one in told["data"]}
    assert [one["identifier"] for one in book["0203:kommun.example"]] == [FUNCTION]
    assert {one["identifier"] for one in book[ORGANISATION]} == set(FUNCTIONS)


async def test_what_the_command_prints_is_enough_to_connect_and_the_keys_stay(tmp_path: Path) -> None:
    keys, clock = tmp_path / "keys", ManualClock()
    for _ in range(2):
        async with offered({"kommun": [OURS]}, keys, 0, clock) as lines:
            told = dict(line.split("=", 1) for line in lines if line.startswith("SAMBUD_"))
            async with connected(
                url=told["SAMBUD_SDK_URL"],
                token_url=told["SAMBUD_SDK_TOKEN_URL"],
                client_id=told["SAMBUD_SDK_CLIENT_ID"],
                key_file=Path(told["SAMBUD_SDK_KEY_FILE"]),
                algorithm=told["SAMBUD_SDK_ALGORITHM"],
                addresses=[OURS],
                clock=clock,
            ) as neighbour:
                assert [one async for one in neighbour.arrivals()] == []
                assert (await neighbour.outcome("none")).reason is Reason.NO_RECEIPT
    assert (keys / "kommun.pem").stat().st_mode & 0o077 == 0


async def test_a_port_that_is_taken_and_a_key_that_is_none_are_said_in_one_sentence(tmp_path: Path) -> None:
    async with offered({"kommun": [OURS]}, tmp_path, 0, ManualClock()) as lines:
        port = int(lines[0].split(":")[2].split(" ")[0])
        with pytest.raises(SetupError, match="port"):
            async with offered({"kommun": [OURS]}, tmp_path, port, ManualClock()):
                pass
    (tmp_path / "kommun.pem").write_text("nothing", "utf-8")
    with pytest.raises(SetupError, match="key"):
        async with offered({"kommun": [OURS]}, tmp_path, 0, ManualClock()):
            pass


async def test_the_command_serves_until_it_is_ended_and_refuses_a_client_it_does_not_understand(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gateway", "simulate", "sdk", "--keys", str(tmp_path), "--port", "0"]
    process = await asyncio.create_subprocess_exec(
        *command, "--client", f"kommun={OURS}", stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    address = (await process.stdout.readline()).decode().split(" på ")[1].split(" ")[0]
    async with aiohttp.ClientSession() as session, session.get(f"{address}/simulator") as answer:
        assert (await answer.json())["boxes"] == {"kommun": {"states": {}, "messages": []}}
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 130
    for wrong in ("kommun", "kommun=SE1#x", "kommun=0203:a", "../x=0203:a#b"):
        refused = await asyncio.create_subprocess_exec(
            *command, "--client", wrong, stderr=asyncio.subprocess.PIPE, cwd=ROOT
        )
        _, said = await refused.communicate()
        assert refused.returncode == 3
        assert "går inte att förstå" in said.decode()


# --- how a gateway connects ------------------------------------------------------------------------------------------


@dataclass
class Secured:
    """A service that takes only who shows a certificate of its authority, and what a client needs for it."""

    address: str
    keys: Path
    authority: Path
    certificate: Path
    asked: list[str]  # the scopes of each token

    @asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator[SdkNeighbour]:
        async with connected(
            url=self.address + BASE,
            token_url=f"{self.address}/token",
            client_id="kommun",
            key_file=self.keys / "kommun.pem",
            algorithm="ES256",
            addresses=[OURS],
            clock=ManualClock(),
            **{"authorities": self.authority, "certificate": self.certificate, **options},
        ) as neighbour:
            yield neighbour


@pytest.fixture
async def secured(tmp_path: Path) -> AsyncIterator[Secured]:
    own = Authority(around=datetime.datetime.now(datetime.UTC))
    client = own.mail("sdk@kommun.example", days=200, usage=ExtendedKeyUsageOID.CLIENT_AUTH)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=own.written(tmp_path))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(own.server().written(tmp_path, "server", key=True))
    service, key = Simulator(ManualClock()), ECKey.generate_key("P-256")
    service.join("kommun", key, [OURS])
    (tmp_path / "kommun.pem").write_bytes(key.as_pem(private=True))
    asked: list[str] = []

    @web.middleware
    async def seen(request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path == "/token":
            asked.append(dict(parse_qsl((await request.read()).decode()))["scope"])
        return await handler(request)  # type: ignore[no-any-return]

    app = application(service)
    app.middlewares.append(seen)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        address = f"https://127.0.0.1:{runner.addresses[0][1]}"
        yield Secured(address, tmp_path, tmp_path / "ca.pem", client.written(tmp_path, "client", key=True), asked)
    finally:
        await runner.cleanup()


async def test_a_service_that_asks_for_our_certificate_gets_it_and_its_end_is_known(secured: Secured) -> None:
    """SAD §6.2.2: mutual TLS between systems; a certificate that ends is told before it does."""
    async with secured.client() as neighbour:
        assert (await neighbour.probe()).telling is Telling.DELIVERED
        end = neighbour.expires()
        assert end is not None
        left = end - int(datetime.datetime.now(datetime.UTC).timestamp()) * SECOND
        assert 198 * DAY < left <= 200 * DAY


@pytest.mark.parametrize("wrong", [{"certificate": None}, {"authorities": None}])
async def test_without_our_certificate_or_with_a_strangers_the_service_is_away(
    secured: Secured, wrong: dict[str, None]
) -> None:
    async with secured.client(**wrong) as neighbour:
        told = await neighbour.probe()
        assert (told.telling, told.reason) == (Telling.DELAYED, Reason.UNREACHABLE)


async def test_scopes_are_those_of_the_description_unless_a_service_has_others(secured: Secured) -> None:
    """sdk.md §10.3: text and file name them differently."""
    for options in ({}, {"scopes": "urn:sdk.api:sendMessage"}):
        async with secured.client(**options) as neighbour:
            await neighbour.probe()
    assert "urn:sdk.api:sendMessages" in secured.asked[0].split()
    assert secured.asked[-1] == "urn:sdk.api:sendMessage"


async def test_a_certificate_that_cannot_be_read_is_said_in_one_sentence(secured: Secured, tmp_path: Path) -> None:
    for wrong in ({"certificate": tmp_path / "none"}, {"certificate": secured.authority}, {"authorities": tmp_path}):
        with pytest.raises(SetupError, match="certificate"):
            async with secured.client(**wrong):
                pass
