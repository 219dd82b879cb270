"""The shared inbox as pages: lists, items, answers, what is told when two act at once, and the registrator's desk."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from adapters.http.server import application, listening
from adapters.http.web import NAV, security
from adapters.http.web.frame import Web
from gateway.directory_file import user_id
from gateway.model.base import DAY, HOUR, MINUTE, InboxId
from gateway.model.identity import MembershipState
from gateway.model.path import Message
from gateway.model.queue import Sheet, Worksheet
from gateway.sending import Submission
from gateway.worklist import View
from tests.county import ALVESTA, SEAT_E, SEAT_N, UNIT_E, County, a_county
from tests.path.test_pages import TABLE, Browser, Reply, a_browser

pytestmark = pytest.mark.slow  # each walks pages over a real connection; the fast core has test_pages

ANSWER = {
    "result": "EKELIDEN",
    "motivation": "Behovet av struktur motsvarar det som Ekeliden kan ge.",
    "priority_class": "2",
}


@pytest.fixture
async def site() -> AsyncIterator[tuple[str, County]]:
    async with a_county() as county:
        app = application(county.gateway, TABLE, Web(county.gateway, TABLE, NAV))
        async with listening(app, "127.0.0.1", 0) as address:
            yield address, county


@pytest.fixture
async def chief(site: tuple[str, County]) -> AsyncIterator[Browser]:
    made = a_browser(*site)
    async with made.http:
        await made.sign_in("ek-chef")
        yield made


@pytest.fixture
async def other(site: tuple[str, County]) -> AsyncIterator[Browser]:
    made = a_browser(*site)
    async with made.http:
        await made.sign_in("no-chef")
        yield made


async def received(county: County, **changes: Any) -> tuple[Any, Any]:
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    sent = await county.send_referral(worker, case.id, **changes)
    await county.deliver()
    return case, sent


async def at(county: County, inbox: Any, sent: Any) -> str:
    return f"/inkorg/{inbox}/{await county.envelope(inbox, sent.message)}"


def hidden(reply: Reply) -> dict[str, str]:
    """The fields that a form of the page carries: its token, key and mark."""
    found = {name: re.search(rf'name="{name}" value="([^"]*)"', reply.text) for name in ("_csrf", "key", "seen")}
    return {name: match[1] for name, match in found.items() if match}


async def propose(browser: Browser, item: str, **changes: str) -> Reply:
    page = await browser.get(f"{item}/svara")
    assert page.status == 200, page.text
    return await browser.post(f"{item}/svara", {**hidden(page), **ANSWER, **changes})


# --- lists ------------------------------------------------------------------------------------------------------------


async def test_a_list_says_in_words_what_is_new_urgent_and_whose_it_is(chief: Browser) -> None:
    """ux.md rows 20, 21, 25: priority as text, views with counts, unread per member."""
    county = chief.county
    case, sent = await received(county, lvm_investigation=True, accepts_treatment="YES")
    plain, _ = await received(county)
    reply = await chief.get(f"/inkorg/{SEAT_E}")
    assert reply.text.count("Ny – öppna för att bedöma") == 2
    assert reply.text.count("Oläst av dig") == 2
    assert "Ange kod för att se prioritet" in reply.text
    assert "Från IFO vuxen, Alvesta, Alvesta kommun" in reply.text

    await chief.get(await at(county, SEAT_E, sent))
    reply = await chief.get(f"/inkorg/{SEAT_E}")
    assert "1 – LVM-utredning, godtar vård, barnperspektiv" in reply.text
    assert "Inkorgen är öppen till" in reply.text
    assert re.search(r'Akuta <span class="count">1<', reply.text)
    assert re.search(r'Alla öppna <span class="count">2<', reply.text)
    urgent = await chief.get(f"/inkorg/{SEAT_E}?vy=akuta")
    assert case.reference.replace("-", "\u2011") in urgent.text
    assert plain.reference.replace("-", "\u2011") not in urgent.text


async def test_priority_is_not_shown_without_a_code(chief: Browser) -> None:
    county = chief.county
    _, sent = await received(county, lvm_investigation=True, accepts_treatment="YES")
    await chief.get(await at(county, SEAT_E, sent))
    chief.http.cookie_jar.clear()
    await chief.sign_in("ek-chef")  # a new session: nothing is open in it
    reply = await chief.get(f"/inkorg/{SEAT_E}")
    assert "LVM" not in reply.text
    assert "Visas när koden är angiven" in reply.text


async def test_search_finds_by_name_of_the_case_and_sender_and_never_by_content(chief: Browser) -> None:
    county = chief.county
    case, sent = await received(county)
    await chief.get(await at(county, SEAT_E, sent))
    shown = case.reference.replace("-", "\u2011")
    for wanted, found in ((case.reference, True), ("alvesta", True), ("struktur", False), ("Testperson", False)):
        assert (shown in (await chief.get(f"/inkorg/{SEAT_E}?sok={wanted}")).text) is found, wanted


async def test_an_overdue_answer_is_told_in_words(chief: Browser) -> None:
    await received(chief.county)
    chief.county.clock.advance(8 * DAY)
    chief.http.cookie_jar.clear()
    await chief.sign_in("ek-chef")
    reply = await chief.get(f"/inkorg/{SEAT_E}?vy=forfallna")
    assert "Överskriden: svar senast" in reply.text


async def test_every_empty_view_says_what_to_do(chief: Browser) -> None:
    for view in ("alla", "mina", "ej-tilldelade", "akuta", "vantar-pa-svar", "forfallna", "avslutade", "finns-inte"):
        reply = await chief.get(f"/inkorg/{SEAT_E}?vy={view}")
        assert reply.status == 200
        assert 'class="ds-card empty"' in reply.text


async def test_done_items_are_paged(chief: Browser) -> None:
    county = chief.county
    signed = await county.gateway.sessions.authenticate(chief.cookie(security.SESSION))
    for _ in range(3):
        _, sent = await received(county)
        await county.gateway.queue.open(signed, await county.envelope(SEAT_E, sent.message))
        proposal = await county.gateway.answers.propose(signed, SEAT_E, sent.message, county.answer())
        await county.deliver()
        novus = await county.sign_in("no-chef")
        await county.gateway.answers.confirm(novus, SEAT_N, proposal.message)
    reply = await chief.get(f"/inkorg/{SEAT_E}?vy=avslutade")
    assert reply.text.count("<tr id=") == 5  # three referrals, and the copies of two answers that have arrived
    page = await county.gateway.queue.worklist(signed, SEAT_E, View.DONE, limit=2)
    assert page.next
    rest = await chief.get(f"/inkorg/{SEAT_E}?vy=avslutade&efter={page.next.at}.{page.next.id}")
    assert rest.text.count("<tr id=") == 3


async def test_other_peoples_inboxes_are_not_there(chief: Browser) -> None:
    _, sent = await received(chief.county)
    theirs = await at(chief.county, SEAT_N, sent)
    ours = (await at(chief.county, SEAT_E, sent)).rpartition("/")[2]
    for path in (f"/inkorg/{SEAT_N}", theirs, f"/inkorg/{UNIT_E}/{ours}", f"/inkorg/{SEAT_N}/{ours}", "/registrator"):
        assert (await chief.get(path)).status == 404, path
    assert (await chief.get(f"/inkorg/{SEAT_N}/handelser")).status == 404


# --- an item ----------------------------------------------------------------------------------------------------------


async def test_an_item_is_read_in_the_forms_words_and_says_what_is_not_given(chief: Browser) -> None:
    _, sent = await received(chief.county)
    reply = await chief.get(await at(chief.county, SEAT_E, sent))
    assert "Sammanfattad behovsbedömning" in reply.text
    assert "Återhämtning, Struktur i vardagen" in reply.text
    assert "uppgifter lämnas först i ett senare steg" in reply.text
    assert "Testperson" not in reply.text
    assert "Enhetschef, Ekeliden" in reply.text.partition("Vem har läst?")[2]
    english = await chief.get(await at(chief.county, SEAT_E, sent), Cookie="__Host-sambud-lang=en")
    assert english.status in (200, 303)


async def test_reading_without_a_window_leads_to_the_code_and_back(chief: Browser) -> None:
    _, sent = await received(chief.county)
    item = await at(chief.county, SEAT_E, sent)
    chief.county.clock.advance(14 * MINUTE)
    await chief.get("/inloggningar")
    chief.county.clock.advance(2 * MINUTE)
    reply = await chief.get(item)
    assert reply.status == 303
    assert reply.headers["Location"].startswith(f"/inkorg/{SEAT_E}/kod?next=")


async def test_going_back_to_what_was_just_read_is_not_counted_as_a_new_opening(chief: Browser) -> None:
    """A weekly meeting goes back and forth between its items in one window."""
    _, sent = await received(chief.county)
    item = await at(chief.county, SEAT_E, sent)
    for _ in range(70):
        assert (await chief.get(item)).status == 200


async def test_a_note_is_kept_through_an_expired_code_and_written_once(chief: Browser) -> None:
    county = chief.county
    _, sent = await received(county)
    item = await at(county, SEAT_E, sent)
    token = (await chief.get(item)).token
    for _ in range(2):  # pressed twice
        reply = await chief.post(f"{item}/anteckning", {"_csrf": token, "note": "Ring <måndag>"})
        assert reply.status == 303
    assert "Ring &lt;måndag&gt;" in (await chief.get(item)).text
    county.clock.advance(14 * MINUTE)
    await chief.get("/inloggningar")
    county.clock.advance(2 * MINUTE)
    asked = await chief.post(f"{item}/anteckning", {"_csrf": token, "note": "Skrevs länge"})
    assert asked.status == 403
    assert 'value="Skrevs länge"' in asked.text
    wrong = await chief.post(f"{item}/anteckning", {"_csrf": token, "note": "Skrevs länge", "ny_kod": "000000"})
    assert "Koden stämde inte" in wrong.text
    assert 'value="Skrevs länge"' in wrong.text
    code = chief.code("ek-chef")
    done = await chief.post(f"{item}/anteckning", {"_csrf": token, "note": "Skrevs länge", "ny_kod": code})
    assert done.status == 303
    rows = [row for row in county.store.all(Worksheet) if row.sheet is Sheet.NOTE]  # type: ignore[attr-defined]
    assert len(rows) == 2


async def test_an_empty_note_is_told_at_its_field(chief: Browser) -> None:
    _, sent = await received(chief.county)
    item = await at(chief.county, SEAT_E, sent)
    reply = await chief.post(f"{item}/anteckning", {"_csrf": (await chief.get(item)).token, "note": "  "})
    assert reply.status == 400
    assert reply.text.count("Anteckningen ska ha 1–4000 tecken.") == 2
    assert "<title>Fel:" in reply.text


# --- claims -----------------------------------------------------------------------------------------------------------


async def test_the_loser_of_a_race_is_told_who_has_it_and_may_take_over_knowingly(
    chief: Browser, other: Browser
) -> None:
    """ux.md row 22."""
    _, sent = await received(chief.county)
    ours, theirs = await at(chief.county, SEAT_E, sent), await at(chief.county, SEAT_N, sent)
    for browser in (chief, other):
        await browser.get(ours if browser is chief else theirs)
    token, other_token = (await chief.get(ours)).token, (await other.get(theirs)).token
    won = await chief.post(f"{ours}/ta", {"_csrf": token, "next": f"/inkorg/{SEAT_E}?vy=alla"})
    assert won.headers["Location"] == f"/inkorg/{SEAT_E}?klart=tagit"
    lost = await other.post(f"{theirs}/ta", {"_csrf": other_token, "next": f"/inkorg/{SEAT_N}"})
    assert lost.status == 303
    listed = await other.get(lost.headers["Location"])
    assert "Enhetschef, Ekeliden hann före" in listed.text
    assert "Tas av Enhetschef, Ekeliden" in listed.text
    page = await other.get(theirs)
    over = re.search(r'name="over" value="(\d+)"', page.text)
    assert over
    assert "Ta över från Enhetschef, Ekeliden" in page.text
    taken = await other.post(f"{theirs}/ta", {"_csrf": other_token, "over": over[1]})
    assert taken.headers["Location"] == f"{theirs}?klart=tagit"
    assert (
        "Nästa i kön" in (await other.get(f"{theirs}?klart=tagit")).text
        or "Till inkorgen" in (await other.get(f"{theirs}?klart=tagit")).text
    )
    released = await other.post(f"{theirs}/slapp", {"_csrf": other_token})
    assert released.status == 303


async def test_an_act_leads_nowhere_but_to_us(chief: Browser) -> None:
    _, sent = await received(chief.county)
    item = await at(chief.county, SEAT_E, sent)
    token = (await chief.get(item)).token
    for wanted in ("https://ond.example", "//ond.example", "/\\ond.example"):
        reply = await chief.post(f"{item}/ta", {"_csrf": token, "next": wanted})
        assert reply.headers["Location"].startswith(item)


# --- answers ----------------------------------------------------------------------------------------------------------


async def test_one_seat_proposes_the_other_confirms_and_one_answer_leaves(chief: Browser, other: Browser) -> None:
    county = chief.county
    _, sent = await received(county)
    ours, theirs = await at(county, SEAT_E, sent), await at(county, SEAT_N, sent)
    await chief.get(ours)
    done = await propose(chief, ours)
    assert done.headers["Location"] == f"{ours}?klart=foreslagit"
    await county.deliver()
    assert "Väntar på Novus i remissgruppen" in (await chief.get(f"/inkorg/{SEAT_E}")).text
    page = await other.get(theirs)
    assert "Er bekräftelse saknas" in page.text
    link = re.search(r'href="(/inkorg/seat\.novus/[^"]+)">Läs förslaget', page.text)
    assert link
    proposal = await other.get(link[1])
    assert "Bekräfta och skicka till IFO vuxen, Alvesta" in proposal.text
    assert "Det går inte att ångra" in proposal.text
    assert "beslut" not in proposal.text.replace("biståndsbeslut", "")
    for _ in range(2):  # pressed twice: one answer
        confirmed = await other.post(f"{link[1]}/bekrafta", hidden(proposal))
        assert confirmed.headers["Location"] == f"{link[1]}?klart=bekraftat"
    answers = [m for m in county.store.all(Message) if m.form_type == "board_response"]  # type: ignore[attr-defined]
    assert len(answers) == 2  # the proposal and the answer
    await county.deliver()
    worker = a_browser(chief.address, county)
    async with worker.http:
        await worker.sign_in("al-sos")
        listed = await worker.get("/inkorg/alvesta.ifo.vuxen")
        item = re.search(r'href="(/inkorg/alvesta\.ifo\.vuxen/[0-9a-f-]{36})"', listed.text)
        assert item
        read = await worker.get(item[1])
        assert "Plats föreslagen på Ekeliden" in read.text
        assert "Region Kronoberg, hälso- och sjukvården" in read.text.partition("Signerat av")[2]


async def test_a_proposal_with_faults_comes_back_with_every_word(chief: Browser) -> None:
    _, sent = await received(chief.county)
    item = await at(chief.county, SEAT_E, sent)
    await chief.get(item)
    reply = await propose(chief, item, result="", motivation="Ett <skäl>", bed_forecast="i morgon", priority_class="")
    assert reply.status == 422
    for text in ("Välj svar.", "Välj prioritet 1, 2, 3 eller 4."):
        assert reply.text.count(text) == 2, text
    assert "Ett &lt;skäl&gt;" in reply.text
    assert 'value="i morgon"' in reply.text


async def test_pressed_twice_a_proposal_is_one(chief: Browser) -> None:
    county = chief.county
    _, sent = await received(county)
    item = await at(county, SEAT_E, sent)
    await chief.get(item)
    page = await chief.get(f"{item}/svara")
    replies = await asyncio.gather(*(chief.post(f"{item}/svara", {**hidden(page), **ANSWER}) for _ in range(2)))
    assert {reply.status for reply in replies} <= {303, 409}
    again = await chief.post(f"{item}/svara", {**hidden(page), **ANSWER})
    assert again.status == 303
    assert len([m for m in county.store.all(Message) if m.form_type == "board_response"]) == 1  # type: ignore[attr-defined]


async def test_a_deputy_says_why(chief: Browser) -> None:
    county = chief.county
    _, sent = await received(county)
    item = await at(county, SEAT_E, sent)
    await chief.get(item)
    deputy = a_browser(chief.address, county)
    async with deputy.http:
        await deputy.sign_in("ek-sam")
        await deputy.get(item)
        refused = await propose(deputy, item)
        assert refused.status == 422
        assert refused.text.count("Skriv varför du svarar i stället för den ordinarie") == 2
        done = await propose(deputy, item, deputy_reason="Chefen är ledig")
        assert done.status == 303
    assert "Chefen är ledig" in (await chief.get(item)).text


async def test_what_the_writer_has_not_seen_is_shown_before_anything_leaves(chief: Browser, other: Browser) -> None:
    """ux.md row 24: the other seat proposed meanwhile; the text stays, and there is nothing to send anyway."""
    county = chief.county
    _, sent = await received(county)
    ours, theirs = await at(county, SEAT_E, sent), await at(county, SEAT_N, sent)
    await chief.get(ours)
    await other.get(theirs)
    page = await chief.get(f"{ours}/svara")
    assert (await propose(other, theirs)).status == 303
    await county.deliver()
    reply = await chief.post(f"{ours}/svara", {**hidden(page), **ANSWER, "motivation": "Mina ord"})
    assert reply.status == 409
    assert "Novus i remissgruppen har föreslagit ett svar." in reply.text
    assert "Mina ord" in reply.text
    assert "Skicka ändå" not in reply.text


async def test_a_claim_by_somebody_else_is_shown_and_one_may_send_anyway(chief: Browser, other: Browser) -> None:
    county = chief.county
    _, sent = await received(county)
    ours, theirs = await at(county, SEAT_E, sent), await at(county, SEAT_N, sent)
    await chief.get(ours)
    page = await chief.get(f"{ours}/svara")
    await other.post(f"{theirs}/ta", {"_csrf": (await other.get(theirs)).token})
    told = await chief.post(f"{ours}/svara", {**hidden(page), **ANSWER})
    assert told.status == 409
    assert "Enhetschef, Novus har tagit ärendet." in told.text
    assert "Skicka ändå" in told.text
    sent_anyway = await chief.post(f"{ours}/svara", {**hidden(told), **ANSWER})
    assert sent_anyway.status == 303


async def test_disagreement_goes_to_the_meeting_and_to_nobody_else(chief: Browser, other: Browser) -> None:
    county = chief.county
    _, sent = await received(county)
    ours, theirs = await at(county, SEAT_E, sent), await at(county, SEAT_N, sent)
    await chief.get(ours)
    await propose(chief, ours)
    await county.deliver()
    link = re.search(r'href="(/inkorg/seat\.novus/[^"]+)">Läs förslaget', (await other.get(theirs)).text)
    assert link
    token = (await other.get(link[1])).token
    for _ in range(2):
        assert (await other.post(f"{link[1]}/oense", {"_csrf": token})).status == 303
    meeting = await other.get(f"/inkorg/{SEAT_N}/mote")
    assert "Inte överens: ta upp det här" in meeting.text
    assert "1 genomgångna, 0 kvar" in (await other.get(f"{theirs}?mote=1")).text
    assert (await propose(other, theirs)).status == 303  # a new proposal is possible


async def test_a_message_in_the_matter_is_sent_once_and_a_colleagues_is_told(chief: Browser) -> None:
    county = chief.county
    _, sent = await received(county)
    item = await at(county, SEAT_E, sent)
    await chief.get(item)
    county.clock.advance(MINUTE)  # what is newest is told by its time
    page, late = await chief.get(f"{item}/meddelande"), await chief.get(f"{item}/meddelande")
    empty = await chief.post(f"{item}/meddelande", hidden(page))
    assert empty.status == 422
    assert empty.text.count("Välj minst en mottagare.") == 2
    words = {"text": "Kan personen börja tidigare?", "categories": "NEED", "recipients": "alvesta.ifo.vuxen"}
    for _ in range(2):
        assert (await chief.post(f"{item}/meddelande", {**hidden(page), **words})).status == 303
    assert len([m for m in county.store.all(Message) if m.form_type == "case_message"]) == 1  # type: ignore[attr-defined]
    told = await chief.post(f"{item}/meddelande", {**hidden(late), **words})
    assert told.status == 409
    assert "Det finns ett nyare meddelande från Ekeliden i remissgruppen." in told.text
    assert "Kan personen börja tidigare?" in told.text


async def test_an_answer_that_nothing_waits_for_is_not_offered(chief: Browser) -> None:
    county = chief.county
    _, sent = await received(county)
    item = await at(county, SEAT_E, sent)
    await chief.get(item)
    await propose(chief, item)
    assert (await chief.get(f"{item}/svara")).status == 409


# --- presence ---------------------------------------------------------------------------------------------------------


async def stream(browser: Browser, inbox: Any) -> AsyncIterator[str]:
    async with browser.http.get(f"{browser.address}/inkorg/{inbox}/handelser") as response:
        assert response.content_type == "text/event-stream"
        async for line in response.content:
            if line.startswith((b"data:", b"event:")):
                yield line.decode().strip()


async def test_presence_reaches_the_other_seat_and_keeps_no_session_alive(chief: Browser, other: Browser) -> None:
    """ux.md row 23; and an open page at an empty chair is signed out as always."""
    county = chief.county
    _, sent = await received(county)
    ours = await at(county, SEAT_E, sent)
    lines = stream(other, SEAT_N)
    async with asyncio.timeout(5):
        assert [await anext(lines), await anext(lines)] == ["event: narvaro", 'data: {"here": {}, "changes": 0}']
        token = (await chief.get(ours)).token
        assert await anext(lines) == "event: narvaro"
        assert "Enhetschef, Ekeliden läser" in await anext(lines)
        envelope = ours.rpartition("/")[2]
        told = {"kuvert": envelope, "lage": "answering"}
        reply = await chief.post(f"/inkorg/{SEAT_E}/narvaro", told, X_CSRF_Token=token)
        assert reply.status == 204
        await anext(lines)
        assert "Enhetschef, Ekeliden svarar" in await anext(lines)
        await chief.post(f"/inkorg/{SEAT_E}/narvaro", {**told, "lage": "leaving"}, X_CSRF_Token=token)
        await anext(lines)
        assert '"here": {}' in await anext(lines)
    await lines.aclose()  # type: ignore[attr-defined]
    for _ in range(16):
        county.clock.advance(MINUTE)
        await chief.post(f"/inkorg/{SEAT_E}/narvaro", {**told, "lage": "reading"}, X_CSRF_Token=token)
    assert (await chief.get(f"/inkorg/{SEAT_E}")).status == 303


async def test_presence_is_told_also_after_another_server_over_the_same_gateway_has_stopped(chief: Browser) -> None:
    """The demo walks its API stage over a server of its own before it serves."""
    gateway = chief.county.gateway
    gateway.presence.close()
    stopping = await chief.get(f"/inkorg/{SEAT_E}/handelser")
    assert (stopping.status, stopping.text) == (200, "retry: 3000\n\n")
    async with listening(application(gateway, TABLE, Web(gateway, TABLE, NAV)), "127.0.0.1", 0):
        lines = stream(chief, SEAT_E)
        async with asyncio.timeout(5):
            assert await anext(lines) == "event: narvaro"
        await lines.aclose()  # type: ignore[attr-defined]


async def test_a_stream_ends_with_its_session_and_the_oldest_of_seven_makes_room(chief: Browser) -> None:
    lines = stream(chief, SEAT_E)
    await anext(lines), await anext(lines)
    chief.county.clock.advance(HOUR)
    chief.county.gateway.presence.changed("remissgrupp")
    async with asyncio.timeout(5):
        assert await anext(lines) == "event: slut"
    await lines.aclose()  # type: ignore[attr-defined]
    chief.http.cookie_jar.clear()
    await chief.sign_in("ek-chef")
    async with aiohttp.ClientSession(cookie_jar=chief.http.cookie_jar) as http:
        many = Browser(http, chief.address, chief.county)
        streams = [stream(many, SEAT_E) for _ in range(7)]
        for one in streams:
            await anext(one), await anext(one)
        chief.county.gateway.presence.changed("remissgrupp")
        async with asyncio.timeout(5):
            assert await anext(streams[0]) == "event: slut"
            assert await anext(streams[6]) == "event: narvaro"
        for one in streams:
            await one.aclose()  # type: ignore[attr-defined]


# --- members and the registrator --------------------------------------------------------------------------------------


async def test_a_member_lets_a_proposed_one_in_after_reading_what_it_means(chief: Browser) -> None:
    page = await chief.get(f"/inkorg/{UNIT_E}/medlemmar")
    assert "Kontaktperson 1, Ekeliden" in page.text
    assert "också det som har kommit tidigare" in page.text
    assert "Bland de två första" in page.text
    user = re.search(r'name="user" value="([^"]+)"', page.text)
    assert user
    for _ in range(2):
        done = await chief.post(f"/inkorg/{UNIT_E}/medlemmar/slapp-in", {"_csrf": page.token, "user": user[1]})
        assert done.headers["Location"] == f"/inkorg/{UNIT_E}/medlemmar?klart=inslappt"
    listed = (await chief.get(f"/inkorg/{UNIT_E}/medlemmar")).text
    assert re.search(r"Kontaktperson 1, Ekeliden</th>(?:(?!</tr>).)*Enhetschef, Ekeliden", listed, re.DOTALL)


async def test_a_member_takes_another_out_or_turns_a_proposal_down_and_the_last_one_stays(chief: Browser) -> None:
    page = await chief.get(f"/inkorg/{UNIT_E}/medlemmar")
    [proposed] = re.findall(r'name="user" value="([^"]+)"', page.text)[:1]
    where = f"/inkorg/{UNIT_E}/medlemmar/{proposed}/ta-bort"
    asked = await chief.get(where)
    assert "Den kan föreslås och släppas in igen." in asked.text
    for _ in range(2):
        done = await chief.post(where, {"_csrf": asked.token})
        assert done.headers["Location"] == f"/inkorg/{UNIT_E}/medlemmar?klart=borttagen"
    assert "Redan borttagen" in (await chief.get(where)).text
    county = chief.county
    others = [row.user for row in await county.store.members_of(UNIT_E) if row.state is MembershipState.ACTIVE]
    left = []
    for user in sorted(others, key=lambda user: user == user_id("ek-chef")):
        done = await chief.post(f"/inkorg/{UNIT_E}/medlemmar/{user}/ta-bort", {"_csrf": asked.token})
        left.append(done.status)
    assert left == [303] * (len(others) - 1) + [403]  # nobody could ever read again
    assert (await chief.get(f"/inkorg/{UNIT_E}/medlemmar/{uuid.uuid4()}/ta-bort")).status == 404


async def test_a_registrator_sees_envelopes_decides_on_recalls_and_reads_nothing(site: tuple[str, County]) -> None:
    county = site[1]
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    sent = await county.send_referral(worker, case.id)
    await county.deliver()
    await county.gateway.recalls.request(worker, ALVESTA, sent.message)
    browser = a_browser(*site)
    async with browser.http:
        await browser.sign_in("re-reg")
        page = await browser.get("/registrator")
        assert case.reference.replace("-", "\u2011") in page.text
        assert "IFO vuxen, Alvesta begär återtagande" in page.text
        assert "behovsbedömning" not in page.text
        link = re.search(r'href="(/registrator/[^"]+)"', page.text)
        assert link
        recall = await browser.get(link[1])
        assert "ingen får öppna det" in recall.text
        missing = await browser.post(link[1], {"_csrf": recall.token})
        assert missing.text.count("Välj om meddelandet får öppnas.") == 2
        for _ in range(2):
            done = await browser.post(link[1], {"_csrf": recall.token, "avgor": "slapp"})
            assert done.status == 303
        assert "Får öppnas" in (await browser.get(done.headers["Location"])).text
        assert (await browser.get(await at(county, SEAT_E, sent))).status == 404


async def test_what_a_withdrawn_consent_stops_stands_with_the_registrator(site: tuple[str, County]) -> None:
    county = site[1]
    worker = await county.sign_in("al-sos")
    case, consent = await county.consented_case(worker)
    await county.send_referral(worker, case.id)
    await county.deliver()
    await county.gateway.consents.withdraw(worker, ALVESTA, consent.id)
    browser = a_browser(*site)
    async with browser.http:
        await browser.sign_in("re-reg")
        page = await browser.get("/registrator")
        assert "Stoppade: samtycket har upphört" in page.text
        assert page.text.count(case.reference.replace("-", "\u2011")) == 2


async def test_a_registrator_forwards_unread_and_once(site: tuple[str, County]) -> None:
    county = site[1]
    registrator = InboxId("vaxjo.registrator")
    worker = await county.sign_in("al-sos")
    parties = [{"from": "alvesta.vuxen", "to": "vaxjo.registrator"}]
    case, _ = await county.consented_case(worker, parties=parties)
    values = {"text": "Vem tar emot det här?", "categories": ["SOCIAL"]}
    out = Submission(case=case.id, form_type="case_message", form_version=1, values=values, recipients=(registrator,))
    await county.gateway.sending.send(worker, ALVESTA, out)
    await county.deliver()
    browser = a_browser(*site)
    async with browser.http:
        await browser.sign_in("vx-reg")
        link = re.search(r'href="(/registrator/[^"]+/vidare)"', (await browser.get("/registrator")).text)
        assert link
        page = await browser.get(link[1])
        assert "Vem tar emot" not in page.text
        assert (await browser.post(link[1], {"_csrf": page.token})).status == 422
        for _ in range(2):
            done = await browser.post(link[1], {"_csrf": page.token, "to": "vaxjo.barnfamilj.mottagning"})
            assert done.headers["Location"].endswith("klart=vidare")
