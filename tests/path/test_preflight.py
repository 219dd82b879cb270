"""What is known before sending, and that none of it stops a sending (docs/address-book.md §3)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest

from adapters.http.api import ROUTES as API
from adapters.http.server import application, listening
from adapters.http.web import NAV
from adapters.http.web.frame import Web
from gateway.errors import StoreUnavailableError
from gateway.factors import code_for
from gateway.forms.demo import demo_referral
from gateway.model.base import MINUTE, SECOND
from gateway.model.path import Channel
from gateway.neighbours import Reason, Seen, Telling
from gateway.neighbours import Told as Answer
from gateway.preflight import Goes, Look
from tests.county import ALVESTA, SEAT_E, SEAT_N, County, a_county, password_of
from tests.neighbours import Wire, address_of, seen_from
from tests.path.test_address_book import as_the_directory_says, read
from tests.path.test_pages import TABLE, Browser, a_browser

pytestmark = pytest.mark.slow
PDF, PNG = Goes("a.pdf", "application/pdf", 3_000_000), Goes("b.png", "image/png", 3_000_000)


@dataclass
class Told(Wire):
    """A neighbour that says what it is told to say."""

    seen: Seen | Exception = field(default_factory=lambda: Seen(exists=None))
    silent: bool = False
    asked: list[str] = field(default_factory=list)

    async def look_up(self, address: str) -> Seen:
        self.asked.append(address)
        if self.silent:
            await asyncio.Event().wait()
        if isinstance(self.seen, Exception):
            raise self.seen
        return self.seen


@pytest.fixture
async def county() -> AsyncIterator[County]:
    async with a_county(directory=seen_from(("alvesta.ifo",), also={"handover": "Funktionen "})) as opened:
        yield opened


@pytest.fixture
def neighbour(county: County) -> Told:
    made = Told()
    county.gateway.channels.connect(made)
    return made


async def look(county: County, *files: Goes) -> Look:
    return (await county.gateway.preflight.look([SEAT_E], files))[SEAT_E]


async def test_an_inbox_of_ours_is_not_looked_up_and_one_outside_says_its_ways(county: County, neighbour: Told) -> None:
    found = await county.gateway.preflight.look([ALVESTA, SEAT_E, SEAT_N], [])
    assert set(found) == {SEAT_E, SEAT_N}
    assert (found[SEAT_E].channel, found[SEAT_E].afterwards) == (Channel.SDK, (Channel.HANDOVER,))
    assert sorted(neighbour.asked) == [address_of(SEAT_E), address_of(SEAT_N)]


async def test_the_book_says_whether_an_address_exists_and_outdoes_a_neighbour_that_cannot_say(
    county: County, neighbour: Told
) -> None:
    first = await look(county)
    assert (first.exists, first.in_book) == (None, False)
    book = await as_the_directory_says(county)
    await read(county, book)
    county.clock.advance(SECOND)
    listed = await look(county)
    assert (listed.exists, listed.in_book, listed.as_of) == (True, True, county.clock.now() - SECOND)
    told = json.loads(book)
    for one in told["data"]:
        listed_there = one["attributes"]["addresses"]
        one["attributes"]["addresses"] = [f for f in listed_there if not f["identifier"].endswith(SEAT_E)]
    await read(county, json.dumps(told).encode(), complete=True)
    gone = await look(county)
    assert (gone.exists, gone.in_book) == (False, True)


async def test_what_goes_is_compared_with_what_is_taken_file_by_file(county: County, neighbour: Told) -> None:
    neighbour.seen = Seen(exists=True, takes=("application/pdf",), max_octets=8_000_000)
    fine = await look(county, PDF)
    assert (fine.exists, fine.in_book, fine.too_large, fine.not_promised) == (True, False, False, ())
    both = await look(county, PDF, PNG)
    assert both.not_promised == ("b.png",)
    assert not both.too_large  # six million octets are eight as base64
    assert (await look(county, PDF, PNG, Goes("c.pdf", "application/pdf", 1))).too_large


@pytest.mark.parametrize("trouble", ["silent", "raises"])
async def test_a_neighbour_that_cannot_say_holds_nobody_up_and_is_asked_again_after_a_minute(
    county: County, neighbour: Told, trouble: str
) -> None:
    neighbour.silent = trouble == "silent"
    neighbour.seen = StoreUnavailableError("away") if trouble == "raises" else neighbour.seen
    async with asyncio.timeout(4):
        assert (await look(county)).exists is None
    await look(county)
    assert len(neighbour.asked) == 1
    neighbour.silent, neighbour.seen = False, Seen(exists=True)
    county.clock.advance(MINUTE)
    assert (await look(county)).exists is True


async def test_an_answer_is_kept_for_ten_minutes_with_its_age(county: County, neighbour: Told) -> None:
    neighbour.seen = Seen(exists=True)
    asked_at = county.clock.now()
    await look(county)
    county.clock.advance(10 * MINUTE - 1)
    assert (await look(county)).as_of == asked_at
    assert len(neighbour.asked) == 1
    county.clock.advance(1)
    assert (await look(county)).as_of == county.clock.now()


async def test_when_something_last_arrived_there_is_told_and_that_the_channel_is_away(
    county: County, neighbour: Told
) -> None:
    neighbour.other = Wire()
    assert (await look(county)).reached_at is None
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    await county.send_referral(worker, case.id, (SEAT_E,))
    await county.gateway.channels.run_once(Channel.SDK)
    neighbour.outcomes = {name: Answer(Telling.DELIVERED, Reason.NONE, name) for name in neighbour.outcomes}
    county.clock.advance(MINUTE)
    await county.gateway.channels.run_once(Channel.SDK)
    found = await look(county)
    assert found.reached_at == county.clock.now()
    assert (found.connected, found.away) == (True, False)
    for _ in range(3):
        county.gateway.channels.circuit(Channel.SDK).failed(county.clock.now())
    assert (await look(county)).away


async def test_a_channel_that_nobody_connected_is_said_and_nothing_else_is_known(county: County) -> None:
    found = await look(county, PNG)
    assert (found.connected, found.away, found.exists, found.not_promised) == (False, False, None, ())


async def test_the_api_says_the_same_in_its_preview(county: County, neighbour: Told) -> None:
    neighbour.seen = Seen(exists=True, max_octets=30_000_000)
    token = await _token(county)
    signed = await county.gateway.sessions.authenticate(token)
    case, _ = await county.consented_case(signed)
    draft = await county.gateway.drafts.create(
        signed, ALVESTA, case.id, "placement_referral", 1, demo_referral(county.today)
    )
    async with listening(application(county.gateway, API), "127.0.0.1", 0) as address, aiohttp.ClientSession() as http:
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{address}/api/v1/drafts/{draft.id}/preview"
        async with http.post(url, json={"recipients": ["remissgrupp"]}, headers=headers) as answer:
            lines = {line["inbox"]: line["ahead"] for line in (await answer.json())["recipients"]}
    assert lines[SEAT_E] == {
        "channel": "sdk",
        "afterwards": ["handover"],
        "connected": True,
        "away": False,
        "exists": True,
        "as_of": county.clock.now(),
        "in_book": False,
        "reached_on": "",
        "max_octets": 30_000_000,
        "too_large": False,
        "not_promised": [],
    }


async def _token(county: County) -> str:
    code = code_for(county.seeds["al-sos"], county.clock.now())
    return (await county.gateway.sign_in.sign_in("al-sos", password_of("al-sos"), code)).token


# --- on the page -----------------------------------------------------------------------------------------------------


@pytest.fixture
async def worker(county: County) -> AsyncIterator[Browser]:
    app = application(county.gateway, TABLE, Web(county.gateway, TABLE, NAV))
    async with listening(app, "127.0.0.1", 0) as address:
        made = a_browser(address, county)
        async with made.http:
            await made.sign_in("al-sos")
            yield made


async def check(worker: Browser) -> str:
    county = worker.county
    signed = await county.sign_in("al-sos")
    case, _ = await county.consented_case(signed)
    values = demo_referral(county.today)
    draft = await county.gateway.drafts.create(signed, ALVESTA, case.id, "placement_referral", 1, values)
    page = await worker.get(f"/utkast/{draft.id}/granska?till=remissgrupp")
    assert page.status == 200
    assert f'action="/utkast/{draft.id}/skicka"' in page.text  # it can be sent, whatever is known
    return page.text


async def test_the_page_says_by_which_way_it_goes_and_that_nobody_can_say_more(
    county: County, neighbour: Told, worker: Browser
) -> None:
    text = await check(worker)
    assert "finns utanför Sambud. Det går över SDK." in text
    assert "Går det inte fram provas i ordning: Utskrift och överlämning." in " ".join(text.split())
    assert "Om adressen finns går inte att se i förväg. Du kan skicka ändå." in text
    assert "Inget har kommit fram dit härifrån än." in text
    assert "Inom Sambud, förseglat till inkorgen." not in text
    assert "kan öppna i" not in text


async def test_the_page_warns_of_an_address_that_is_gone_and_still_offers_to_send(
    county: County, neighbour: Told, worker: Browser
) -> None:
    neighbour.seen = Seen(exists=False)
    text = await check(worker)
    assert "Adressen finns kanske inte längre" in text
    assert "Ring mottagaren, eller fråga den som sköter adressboken, innan du skickar." in text


async def test_the_page_says_that_a_channel_is_away_or_was_never_connected(county: County, worker: Browser) -> None:
    assert "Kanalen är inte ansluten" in await check(worker)
    county.gateway.channels.connect(Told(seen=Seen(exists=True)))
    circuit = county.gateway.channels.circuit(Channel.SDK)
    for _ in range(6):  # long enough for a sign-in
        circuit.failed(max(county.clock.now(), circuit.until))
    text = await check(worker)
    assert "Kanalen svarar inte just nu" in text
    assert "Mottagarens system känner till adressen, svar" in text
