"""Q06, Q07, Q14: arrivals that come again, in other words, and services that answer nonsense; counted."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from joserfc.jwk import ECKey

from adapters.memory import MemoryStore
from adapters.sdk.api_model import attributes
from adapters.sdk.client import Access, SdkApi, ServiceAwayError
from adapters.sdk.model import Document, File, Identifier, Message, Person, Reference
from adapters.sdk.neighbour import incoming, said
from adapters.sql.sqlite import SqliteStore
from gateway.audit import AuditAction
from gateway.model.base import Instant
from gateway.model.log import AuditSide
from gateway.model.path import Arrival, Channel
from gateway.neighbours import Answer, Arrived, Reason
from gateway.ports import Store
from tests.clock import ManualClock
from tests.county import SEAT_E, UNIT_E, County, a_county
from tests.faults.tally import tally
from tests.neighbours import address_of, seen_from
from tests.sdk.federation import serving
from tests.sdk.test_message import ID, a_message
from tests.sdk.test_refusals import a_letter

pytestmark = pytest.mark.slow
#: Alvesta is outside; everybody else is here.
HOSTED = ("vaxjo.nav", "region.hsv")


def as_arrived(message: Message) -> Arrived:
    """As the client hands it out: the fingerprint is over what the API told."""
    files = [file for document in message.documents for file in document.files]
    return incoming(message, said(attributes(message)), files)


@asynccontextmanager
async def county_on(store: str, folder: Path) -> AsyncIterator[County]:
    clock = ManualClock()
    kept: Store = MemoryStore(clock)
    if store == "sqlite":
        kept = await SqliteStore.open(folder / "sambud.db", clock, create=True)
    try:
        async with a_county(kept, clock=clock, directory=seen_from(HOSTED), keys_db=folder / "keys.db") as county:
            yield county
    finally:
        if isinstance(kept, SqliteStore):
            await kept.close()


async def kept_of(county: County, arrived: Arrived) -> tuple[int, int]:
    """How many envelopes an arrival has become in the seat, and how many receipts in the log."""
    row = await county.store.get(Arrival, Channel.SDK, arrived.id)
    if row is None or not row.message:
        return 0, 0
    return len([one for one in await county.store.envelopes_of(row.message) if one.inbox == SEAT_E]), 1


@pytest.mark.parametrize(
    ("store", "messages"),
    [
        ("memory", 2),
        ("sqlite", 2),
        pytest.param("memory", 10, marks=pytest.mark.full),
        pytest.param("sqlite", 10, marks=pytest.mark.full),
    ],
)
async def test_the_same_arrival_a_hundred_times_at_once_is_one_message_with_one_answer(
    store: str, messages: int, tmp_path: Path
) -> None:
    async with county_on(store, tmp_path) as county:
        for _ in range(messages):
            arrived = as_arrived(a_letter())
            answers = await asyncio.gather(*(county.gateway.intake.take(arrived) for _ in range(100)))
            envelopes, rows = await kept_of(county, arrived)
            lost, doubled = int(envelopes == 0 or rows == 0), max(0, envelopes - 1)
            tally("Q06", cases=100, acknowledged_lost=lost, doubled=doubled)
            assert {answer.reason for answer in answers} == {Reason.NONE}
            assert [answer.repeated for answer in answers].count(False) == 1
            assert (envelopes, rows) == (1, 1)


def _document(message: Message, **changes: object) -> Message:
    return dataclasses.replace(message, documents=(dataclasses.replace(message.documents[0], **changes),))  # type: ignore[arg-type]


def _attention(message: Message, side: str, **changes: object) -> Message:
    party = getattr(message, side)
    return dataclasses.replace(
        message, **{side: dataclasses.replace(party, attention=dataclasses.replace(party.attention, **changes))}
    )


def _file(octets: bytes = b"%PDF-1.7\n", name: str = "karta.pdf", kind: str = "application/pdf") -> File:
    return File(name=name, media_type=kind, octets=octets)


OTHER: dict[str, Callable[[Message], Message]] = {
    "another subject": lambda m: dataclasses.replace(m, label="Annat"),
    "another secrecy": lambda m: dataclasses.replace(m, confidential=False),
    "another time": lambda m: dataclasses.replace(m, created=Instant(m.created + 1000)),
    "another conversation": lambda m: dataclasses.replace(m, conversation=ID),
    "an answer to something": lambda m: dataclasses.replace(m, refers_to=ID),
    "another system": lambda m: dataclasses.replace(m, generating_system=Identifier("x", "2")),
    "another text": lambda m: _document(m, texts=("Hej då",)),
    "one text more": lambda m: _document(m, texts=(*m.documents[0].texts, "PS")),
    "no text": lambda m: _document(m, texts=()),
    "another octet of the file": lambda m: _document(m, files=(_file(b"%PDF-1.8\n"),)),
    "another name of the file": lambda m: _document(m, files=(_file(name="plan.pdf"),)),
    "another type of the file": lambda m: _document(m, files=(_file(kind="text/plain"),)),
    "one file more": lambda m: _document(m, files=(_file(), _file())),
    "no file": lambda m: _document(m, files=()),
    "another document name": lambda m: _document(m, name="Kallelse"),
    "another document": lambda m: dataclasses.replace(
        m, documents=(*m.documents, Document(id="2", index="2", texts=("Mer",)))
    ),
    "another name of the sender": lambda m: _attention(m, "sender", label="Någon annan"),
    "a person": lambda m: _attention(m, "sender", persons=(Person(id=Identifier("x", "1"), label="Handläggare"),)),
    "a reference": lambda m: _attention(m, "sender", references=(Reference(id=Identifier("dnr", "1"), label="1"),)),
    "another sender": lambda m: _attention(m, "sender", function="sdk:inkorg:okand"),
    "another recipient": lambda m: _attention(m, "recipient", function=address_of(UNIT_E).partition("#")[2]),
}


async def test_other_words_or_another_sender_under_a_known_id_are_refused_and_logged_and_the_first_is_kept(
    tmp_path: Path,
) -> None:
    async with county_on("memory", tmp_path) as county:
        first = a_letter()
        assert await county.gateway.intake.take(as_arrived(first)) == Answer()
        for number, (name, change) in enumerate(OTHER.items(), start=1):
            answer = await county.gateway.intake.take(as_arrived(change(first)))
            envelopes, _ = await kept_of(county, as_arrived(first))
            tally("Q07", cases=1, acknowledged_lost=int(envelopes == 0), doubled=max(0, envelopes - 1))
            assert answer.reason is Reason.DUPLICATE, name
            assert envelopes == 1
            assert isinstance(county.store, MemoryStore)
            sides = county.store.all(AuditSide)
            assert len([side for side in sides if side.action == AuditAction.ARRIVAL_REFUSED]) == number
        assert await county.gateway.intake.take(as_arrived(first)) == Answer(repeated=True)


# --- services that answer nonsense -----------------------------------------------------------------------------------

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _plain(**answer: object) -> Reply:
    async def reply(_: web.Request) -> web.StreamResponse:
        return web.Response(**answer)  # type: ignore[arg-type]

    return reply


async def _cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"data":')
    assert request.transport is not None
    request.transport.abort()
    return response


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    for _ in range(600):
        await response.write(b" ")
        await asyncio.sleep(0.05)
    return response


async def _gone(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


JSON = "application/json"
NONSENSE: dict[str, Reply] = {
    "a page": _plain(text="<html>", content_type="text/html"),
    "half a JSON text": _plain(body=b'{"data": {"id"', content_type=JSON),
    "no UTF-8": _plain(body=b'{"data": "\xff"}', content_type=JSON),
    "NaN": _plain(body=b'{"data": NaN}', content_type=JSON),
    "45 MB of nothing": _plain(body=b" " * 45_000_001, content_type=JSON),
    "45 MB of lists": _plain(body=b"[" + b"[]," * 14_000_000 + b"[]]", content_type=JSON),
    "a bomb": _plain(body=gzip.compress(bytes(100_000_000)), headers={"Content-Encoding": "gzip"}, content_type=JSON),
    "no gzip": _plain(body=b"{}", headers={"Content-Encoding": "gzip"}, content_type=JSON),
    "nested": _plain(body=b"[" * 200_000, content_type=JSON),
    "cut": _cut,
    "gone": _gone,
    "endless": _endless,
    "500": _plain(status=500, body=b"[" * 1000),
    "503": _plain(status=503, headers={"Retry-After": "9999999"}),
    "429": _plain(status=429),
    "always 401": _plain(status=401),
}
REDIRECTS = (301, 302, 303, 307, 308)


@pytest.mark.parametrize("name", [*NONSENSE, *(f"{code} to another host" for code in REDIRECTS)])
async def test_nonsense_is_bounded_followed_nowhere_and_leaves_the_message_for_another_try(name: str) -> None:
    """Q14: each of the four operations; the far host of a redirect hears nothing, and gets no token."""
    followed: list[str] = []

    async def trap(request: web.Request) -> web.StreamResponse:
        followed.append(request.path)
        return web.json_response({})

    far = web.Application()
    far.router.add_route("*", "/{any:.*}", trap)
    near = web.Application(client_max_size=50_000_000)
    async with (
        serving(far) as elsewhere,
        serving(near_of(near, name, lambda: elsewhere)) as address,
        aiohttp.ClientSession() as session,
    ):
        access = Access(
            base=f"{address}/",
            token_url=f"{address}/token",
            client_id="c",
            key=ECKey.generate_key("P-256"),
            algorithm="ES256",
        )
        api = SdkApi(access, session, ManualClock(), timeout_s=1 if name == "endless" else 10)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for call in (api.send(a_message()), api.get(ID), api.waiting("x"), api.delete(ID)):
            tally("Q14", cases=1)
            with pytest.raises(ServiceAwayError):
                await call
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert followed == []
    assert grown < 256 * 1024  # KiB; server and client are one process here


def near_of(app: web.Application, name: str, elsewhere: Callable[[], str]) -> web.Application:
    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/token":
            return web.json_response({"access_token": "t", "expires_in": 600})
        await request.read()
        code = name.partition(" ")[0]
        if name.endswith("another host"):
            return web.Response(status=int(code), headers={"Location": f"{elsewhere()}/sdk/messages"})
        return await NONSENSE[name](request)

    app.router.add_route("*", "/{any:.*}", handle)
    return app
