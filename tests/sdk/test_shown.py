"""What a message client must show its reader: secrecy as its sender sees it, names, references, rendered text (B1.3.3 §4)."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator

import pytest

from adapters.http.server import application, listening
from adapters.http.web import NAV
from adapters.http.web.frame import Web
from adapters.sdk.model import DIARY_ROOT, Attention, Document, Identifier, Party, Person, Reference
from adapters.sdk.neighbour import incoming
from gateway.contents import MOST_NAMED
from gateway.neighbours import Arrived, Remarks, Side
from tests.county import ALVESTA, SEAT_E, County
from tests.holding import INTAKE, REGISTRATOR, a_collecting_county
from tests.neighbours import a_pair, address_of
from tests.path.test_pages import TABLE, Browser, a_browser
from tests.sdk.test_message import a_message

pytestmark = pytest.mark.slow
TEXT = "# Plats i mars\n\nHar ni **plats**?\n\n- helst *nära*\n- <b>inte</b> senare"
SHOWN = (
    "<h3>Plats i mars</h3><p>Har ni <strong>plats</strong>?</p>"
    "<ul><li>helst <em>nära</em></li><li>&lt;b&gt;inte&lt;/b&gt; senare</li></ul>"
)


def _party(inbox: str, persons: tuple[Person, ...] = (), references: tuple[Reference, ...] = ()) -> Party:
    there, _, function = address_of(inbox).partition("#")
    return Party(id=there, attention=Attention(function=function, persons=persons, references=references))


def a_letter(sender: str = ALVESTA, recipient: str = SEAT_E, **changes: object) -> Arrived:
    """A foreign client's message, every field that a reader is to see set."""
    message = a_message(
        sender=_party(
            sender,
            (
                Person(label="Handläggare Vuxen"),
                Person(id=Identifier("0.9.2342.19200300.100.1.3", "vux@alvesta.example")),
            ),
            (
                Reference(id=Identifier(DIARY_ROOT, "SN-2026-17"), label="SN-2026-17"),
                Reference(id=Identifier(DIARY_ROOT, "SN-2026-18"), label="Placeringen"),
            ),
        ),
        recipient=_party(
            recipient, (Person(label="Samordnaren"),), (Reference(id=Identifier("1.2.3", "HSV-2026-4"), label=""),)
        ),
        documents=(Document(id="1", name="Fråga", index="1", texts=(TEXT,)),),
        **changes,
    )
    return incoming(message, b"as it was said", ())


@contextlib.asynccontextmanager
async def reading(county: County, login: str) -> AsyncIterator[Browser]:
    app = application(county.gateway, TABLE, Web(county.gateway, TABLE, NAV))
    async with listening(app, "127.0.0.1", 0) as address:
        browser = a_browser(address, county)
        async with browser.http:
            await browser.sign_in(login)
            yield browser


async def test_the_seat_reads_the_text_rendered_and_what_the_sender_said_beside_it_when_it_is_opened() -> None:
    async with a_pair() as pair:
        assert (await pair.second.gateway.intake.take(a_letter())).taken
        async with reading(pair.second, "ek-chef") as browser:
            listed = (await browser.get(f"/inkorg/{SEAT_E}")).text
            for word in ("Plats i mars", "Handläggare Vuxen", "Samordnaren", "SN-2026-17"):
                assert word not in listed
            [line] = await pair.second.gateway.inboxes.page(await pair.second.sign_in("ek-chef"), SEAT_E)
            page = (await browser.get(f"/inkorg/{SEAT_E}/{line.item.envelope}")).text
    assert SHOWN in page
    assert "Innehållet omfattas av sekretess." in page
    for told in (
        "<dt>Ställt till</dt><dd>Samordnaren<br>",
        "Alla i inkorgen kan läsa, oavsett vem som nämns.",
        "<dt>Kontakt hos avsändaren</dt><dd>Handläggare Vuxen<br>vux@alvesta.example</dd>",
        "<dt>Avsändarens beteckning</dt>\n<dd>SN-2026-17</dd>",
        "<dt>Avsändarens beteckningar</dt><dd>SN-2026-18, Placeringen</dd>",
        "<dt>Er beteckning</dt><dd>HSV-2026-4</dd>",
    ):
        assert told in page


async def test_what_its_sender_calls_no_secret_is_said_and_handled_as_one_all_the_same() -> None:
    async with a_pair() as pair:
        assert (await pair.second.gateway.intake.take(a_letter(confidential=False))).taken
        async with reading(pair.second, "ek-chef") as browser:
            [line] = await pair.second.gateway.inboxes.page(await pair.second.sign_in("ek-chef"), SEAT_E)
            page = (await browser.get(f"/inkorg/{SEAT_E}/{line.item.envelope}")).text
    assert "Innehållet omfattas inte av sekretess. Här skyddas det ändå som om det gjorde det." in page


async def test_a_case_worker_reads_an_answer_rendered_too() -> None:
    async with a_pair() as pair:
        assert (await pair.first.gateway.intake.take(a_letter(SEAT_E, ALVESTA))).taken
        worker = await pair.first.sign_in("al-sos")
        [line] = await pair.first.gateway.inboxes.page(worker, ALVESTA)
        async with reading(pair.first, "al-sos") as browser:
            page = (await browser.get(f"/arenden/{line.item.case}/las/{line.item.envelope}")).text
    assert SHOWN in page
    assert "<dt>Kontakt hos avsändaren</dt>" in page


async def test_what_waited_for_a_registrator_keeps_it_all() -> None:
    async with a_collecting_county("vaxjo.nav") as county:
        letter = a_letter(ALVESTA, REGISTRATOR)
        assert (await county.gateway.intake.take(letter)).taken
        registrator = await county.sign_in("vx-reg")
        desk = await county.gateway.triage.desk(registrator, REGISTRATOR)
        assert "Samordnaren" not in repr(desk)
        await county.gateway.triage.order(registrator, desk.waiting[0].envelope, INTAKE)
        await county.gateway.placing.run_once()
        reader = await county.sign_in("vx-bf")
        [line] = await county.gateway.inboxes.page(reader, INTAKE)
        body = (await county.gateway.opening.open(reader, line.item.envelope)).opened.body
    assert body["marked"] == ["text"]
    assert body["remarks"] == {
        "confidential": True,
        "sender": {"persons": ["Handläggare Vuxen", "vux@alvesta.example"], "references": ["SN-2026-18, Placeringen"]},
        "recipient": {"persons": ["Samordnaren"], "references": ["HSV-2026-4"]},
    }


async def test_names_are_bounded_in_number_and_length_and_each_is_one_line() -> None:
    many = tuple(f"Funktion {number}\n\u202e{'x' * 400}" for number in range(100))
    async with a_pair() as pair:
        letter = dataclasses.replace(a_letter(), remarks=Remarks(sender=Side(persons=many)))
        assert (await pair.second.gateway.intake.take(letter)).taken
        chief = await pair.second.sign_in("ek-chef")
        [line] = await pair.second.gateway.inboxes.page(chief, SEAT_E)
        remarks = (await pair.second.gateway.opening.open(chief, line.item.envelope)).opened.body["remarks"]
    names = remarks["sender"]["persons"]  # type: ignore[index, call-overload]
    assert len(names) == MOST_NAMED
    assert not any("\n" in name or "\u202e" in name for name in names)
    assert "confidential" not in remarks  # type: ignore[operator]
