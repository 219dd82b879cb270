"""The social worker's pages over a real connection: from my cases to the confirmation, and everything that may go wrong."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from adapters.http.server import application, listening
from adapters.http.web import NAV
from adapters.http.web.frame import Web
from gateway.demo import prepare
from gateway.forms.demo import demo_referral
from gateway.model.base import MINUTE, SECOND
from gateway.model.path import Draft
from gateway.states import CaseState
from tests.county import ALVESTA, SEAT_E, SEAT_N, UNIT_E, VAXJO, County, a_county
from tests.path.test_pages import TABLE, Browser, Reply, a_browser

pytestmark = pytest.mark.slow  # each walks pages over a real connection; the fast core has test_pages

Fields = Sequence[tuple[str, str]]


@pytest.fixture
async def worker() -> AsyncIterator[Browser]:
    async with a_county() as county:
        app = application(county.gateway, TABLE, Web(county.gateway, TABLE, NAV))
        async with listening(app, "127.0.0.1", 0) as address:
            made = a_browser(address, county)
            async with made.http:
                await made.sign_in("al-sos")
                yield made


def path_of(reply: Reply) -> str:
    assert reply.status == 303, reply.text
    return reply.headers["Location"]


def hidden(reply: Reply, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', reply.text)
    assert found, name
    return unescape(found[1])


async def submit(browser: Browser, path: str, fields: Fields, page: Reply) -> Reply:
    body = io.BytesIO(urlencode([("_csrf", page.token), *fields]).encode())
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    async with browser.http.post(browser.address + path, data=body, headers=kind, allow_redirects=False) as response:
        return Reply(response.status, response.headers, await response.text())


def as_sent(name: str, value: Any) -> Fields:
    """An answer as its inputs send it."""
    if isinstance(value, bool):
        return [(name, "ja" if value else "nej")]
    if isinstance(value, list):
        return [(name, one) for one in value]
    if isinstance(value, Mapping):
        return [(f"{name}/{part}", text) for part, text in value.items()]
    return [(name, str(value))]


async def opened_case(browser: Browser) -> str:
    page = await browser.get("/arenden")
    return path_of(await submit(browser, "/arenden", [("inkorg", ALVESTA)], page))


def consent_fields(browser: Browser, **changes: Any) -> Fields:
    day = browser.county.today
    values: dict[str, Any] = {
        "enhet": ["ekeliden", "novus"],
        "riktning": "bada",
        "given_by": "INDIVIDUAL",
        "purpose": ["PLACEMENT_MATCHING"],
        "data_categories": ["NEED", "SOCIAL", "ADDICTION", "HEALTH", "HOUSING_WORK", "CHILDREN"],
        "valid_from": day.isoformat(),
        "valid_to": (day + timedelta(days=90)).isoformat(),
        "manner": "SIGNED_PAPER",
        "informed_points": ["VOLUNTARY", "CONSEQUENCE_OF_NO", "WITHDRAWABLE", "WHO", "WHAT", "DUTIES_ANYWAY"],
    }
    values |= changes
    return [pair for name, value in values.items() for pair in as_sent(name, value)]


async def consented(browser: Browser, case: str, **changes: Any) -> Reply:
    page = await browser.get(f"{case}/samtycke")
    return await submit(browser, f"{case}/samtycke", consent_fields(browser, **changes), page)


async def written(browser: Browser, case: str, **changes: Any) -> str:
    """Fill in every section as a person would; returns where the last one led."""
    where = path_of(await submit(browser, f"{case}/uppdrag", [], await browser.get(case)))
    values = {**demo_referral(browser.county.today), **changes}
    form = browser.county.gateway.forms.get("placement_referral", 1)
    for section in form.sections:
        page = await browser.get(where)
        assert f'<h1 class="ds-heading" data-size="lg">{section.title}' in page.text
        fields = [pair for name in section.fields if name in values for pair in as_sent(name, values[name])]
        about = [("blankett", hidden(page, "blankett")), ("base", hidden(page, "base"))]
        where = path_of(await submit(browser, where, [*about, *fields], page))
    return where


async def checked(browser: Browser, where: str, *to: str) -> Reply:
    query = "&".join(f"till={one}" for one in to or ("remissgrupp",))
    return await browser.get(f"{where.replace('/mottagare', '/granska')}?{query}")


def sending(page: Reply, *to: str) -> Fields:
    fields = [("nyckel", hidden(page, "nyckel")), ("arende", hidden(page, "arende"))]
    fields += [("till", one) for one in to or ("remissgrupp",)]
    return [*fields, ("jav_fragas", "ja"), ("jav", "nej")]


async def sent(browser: Browser, case: str, **changes: Any) -> str:
    """A referral on its way; returns its confirmation."""
    where = await written(browser, case, **changes)
    page = await checked(browser, where)
    return path_of(await submit(browser, where.replace("/mottagare", "/skicka"), sending(page), page))


# --- the whole way ----------------------------------------------------------------------------------------------------


async def test_from_my_cases_to_the_answer_and_stage_2(worker: Browser) -> None:
    county = worker.county
    assert "Inga ärenden än" in (await worker.get("/arenden")).text
    case = await opened_case(worker)
    assert "Din tur: skicka uppdraget" in (await worker.get(case)).text
    assert path_of(await consented(worker, case)) == f"{case}?klart=samtycke"
    where = await written(worker, case)
    assert where.endswith("/mottagare")
    recipients = await worker.get(where)
    assert "Region Kronoberg → Ekeliden i remissgruppen" in recipients.text
    assert "2 personer kan öppna" in recipients.text
    page = await checked(worker, where)
    assert "Lämnas först till det boende som föreslås (steg 2)" in page.text
    assert "Skicka till Remissgruppen" in page.text
    confirmation = path_of(await submit(worker, where.replace("/mottagare", "/skicka"), sending(page), page))
    shown = await worker.get(confirmation)
    assert "Ångra" in shown.text
    assert hidden(shown, "utkast") in where
    assert "Remissgruppen har inte öppnat än" in (await worker.get("/arenden")).text

    county.clock.advance(11 * SECOND)
    await county.deliver()
    assert "Ångra</button>" not in (await worker.get(confirmation)).text
    ekeliden, novus = await county.sign_in("ek-chef"), await county.sign_in("no-chef")
    message = confirmation.split("/skickat/")[1].split("?")[0]
    await county.open(ekeliden, SEAT_E, message)  # type: ignore[arg-type]
    assert "Remissgruppen svarar senast" in (await worker.get("/arenden")).text
    proposal = await county.gateway.answers.propose(ekeliden, SEAT_E, message, county.answer())  # type: ignore[arg-type]
    await county.deliver()
    await county.gateway.answers.confirm(novus, SEAT_N, proposal.message)
    await county.deliver()

    page = await worker.get(case)
    assert "Öppnat av en medlem i Ekeliden i remissgruppen" in page.text
    assert "Nytt från" in page.text
    read = await worker.get(re.findall(rf'href="({case}/las/[^"]+)"', page.text)[0])
    assert "Svaret är en samordning av plats, inte ett biståndsbeslut." in read.text
    assert "Region Kronoberg, hälso- och sjukvården" in read.text
    assert "Växjö, nämnden för arbete och välfärd" in read.text
    assert "Nytt från" not in (await worker.get(case)).text
    assert "Din tur: skicka steg 2 till HVB Ekeliden" in (await worker.get("/arenden")).text

    page = await worker.get(f"{case}/steg2")
    where = path_of(await submit(worker, f"{case}/uppdrag", [], page))
    assert where.endswith("/mottagare")
    assert 'value="ekeliden.enhet" checked' in (await worker.get(where)).text
    page = await checked(worker, where, UNIT_E)
    confirmation = path_of(
        await submit(worker, where.replace("/mottagare", "/skicka"), sending(page, UNIT_E)[:-2], page)
    )
    county.clock.advance(11 * SECOND)
    await county.deliver()
    assert "HVB Ekeliden har steg 2" in (await worker.get("/arenden")).text


async def test_what_is_sent_twice_is_sent_once(worker: Browser) -> None:
    case = await opened_case(worker)
    await consented(worker, case)
    where = await written(worker, case)
    page = await checked(worker, where)
    to = where.replace("/mottagare", "/skicka")
    first, second = [path_of(await submit(worker, to, sending(page), page)) for _ in range(2)]
    assert first == second
    again = await checked(worker, where)
    assert again.status == 409


async def test_undo_gives_the_draft_back_and_nothing_has_happened(worker: Browser) -> None:
    case = await opened_case(worker)
    await consented(worker, case)
    confirmation = await sent(worker, case)
    page = await worker.get(confirmation)
    undo = confirmation.partition("?")[0] + "/angra"
    where = path_of(await submit(worker, undo, [("utkast", hidden(page, "utkast"))], page))
    assert where.endswith("/mottagare?angrat=1")
    assert "Utskicket är ångrat" in (await worker.get(where)).text
    assert "Din tur: skicka uppdraget" in (await worker.get(case)).text
    worker.county.clock.advance(MINUTE)
    await worker.county.deliver()
    assert path_of(await submit(worker, undo, [], page)).endswith("?sent=1")


async def test_an_urgent_referral_does_not_wait_for_an_undo(worker: Browser) -> None:
    case = await opened_case(worker)
    await consented(worker, case)
    where = await written(worker, case, urgency="URGENT")
    page = await checked(worker, where)
    assert "utan ångertid" in page.text
    confirmation = path_of(await submit(worker, where.replace("/mottagare", "/skicka"), sending(page), page))
    await worker.county.deliver()
    assert "Ångra</button>" not in (await worker.get(confirmation)).text


# --- writing ----------------------------------------------------------------------------------------------------------


async def begun(browser: Browser) -> tuple[str, str]:
    """A case and the first section of its referral."""
    case = await opened_case(browser)
    return case, path_of(await submit(browser, f"{case}/uppdrag", [], await browser.get(case)))


def about(page: Reply) -> list[tuple[str, str]]:
    return [("blankett", hidden(page, "blankett")), ("base", hidden(page, "base"))]


async def test_every_section_tells_all_its_faults_at_once_and_keeps_what_was_written(worker: Browser) -> None:
    _, first = await begun(worker)
    form = worker.county.gateway.forms.get("placement_referral", 1)
    for section in form.sections:
        where = first.rpartition("/")[0] + f"/{section.id}"
        page = await worker.get(where)
        text = "  ett svar med <b>tecken</b>  "
        kept = [(name, text) for name in section.fields if form.fields[name].type in ("str", "text")]
        reply = await submit(worker, where, [*about(page), *kept], page)
        if reply.status == 303:
            continue
        assert reply.status == 422
        assert "<title>Fel: " in reply.text
        assert 'id="felsammanfattning"' in reply.text
        assert "ett svar med &lt;b&gt;tecken&lt;/b&gt;" in reply.text or not kept
        for target in re.findall(r'<li><a class="ds-link" href="#(f-[^"]+)"', reply.text):
            assert f'id="{target}"' in reply.text, target
            assert f'id="{target}-fel"' in reply.text, target
        assert "novalidate" in reply.text and " required" not in reply.text


async def test_one_can_go_on_with_a_section_that_is_not_whole(worker: Browser) -> None:
    _, first = await begun(worker)
    page = await worker.get(first)
    reply = await submit(worker, first, [*about(page), ("wanted_start", "nästa vecka"), ("till", "vidare")], page)
    assert path_of(reply).endswith("/person")
    again = await worker.get(first)
    assert 'value="nästa vecka"' in again.text


async def test_two_in_different_sections_disturb_nobody_and_two_in_one_choose(worker: Browser) -> None:
    _, first = await begun(worker)
    need = first.rpartition("/")[0] + "/need"
    page, other = await worker.get(first), await worker.get(need)
    assert (await submit(worker, first, [*about(page), ("planned_length", "ett år")], page)).status == 422
    saved = await submit(worker, need, [*about(other), ("need_summary", "Behöver lugn"), ("till", "vidare")], other)
    assert saved.status == 303
    conflict = await submit(worker, need, [*about(other), ("need_summary", "Behöver struktur")], other)
    assert conflict.status == 409
    assert "Behöver lugn" in conflict.text
    assert ">Behöver struktur</textarea>" in conflict.text
    chosen = [*about(conflict), ("need_summary", "Behöver struktur"), ("till", "vidare")]
    assert (await submit(worker, need, chosen, conflict)).status == 303
    assert ">Behöver struktur</textarea>" in (await worker.get(need)).text


async def test_saving_by_itself_tells_when_and_keeps_half_answers_sealed(worker: Browser) -> None:
    _, first = await begun(worker)
    page = await worker.get(first)
    place = first.rpartition("/")
    auto = f"{place[0]}/spara/{place[2]}"
    reply = await submit(worker, auto, [*about(page), ("planned_length", "hemlighetsfullt länge")], page)
    told = await worker.get(first)
    assert '"at": "09:0' in reply.text
    assert "hemlighetsfullt länge" in told.text
    draft = await worker.county.store.get(Draft, place[0].rpartition("/")[2])
    assert draft is not None and b"hemlighetsfullt" not in draft.sealed
    assert (await submit(worker, auto, [*about(page), ("planned_length", "kort")], page)).status == 409
    huge = [*about(told), ("planned_length", "x" * 1_200_000)]
    assert (await submit(worker, auto, huge, page)).status == 413
    large = await submit(worker, first, huge, page)
    assert "Texten är för stor" in large.text


@pytest.mark.parametrize(
    ("fields", "fine"),
    [
        ([("identity_number/kind", "personnummer"), ("identity_number/value", "19900602 2397")], True),
        ([("identity_number/kind", "personnummer"), ("identity_number/value", "900602-2397")], True),
        ([("identity_number/kind", "unknown"), ("identity_number/reason", "Identiteten är inte fastställd")], True),
        ([("identity_number/kind", "samordningsnummer"), ("identity_number/value", "19900602-2397")], False),
        ([("identity_number/kind", "personnummer"), ("identity_number/value", "19900602-2398")], False),
        ([("identity_number/kind", "personnummer")], False),
        ([], False),
    ],
)
async def test_an_identity_is_taken_as_people_write_it(worker: Browser, fields: Fields, fine: bool) -> None:
    _, first = await begun(worker)
    where = first.rpartition("/")[0] + "/person"
    page = await worker.get(where)
    rest = [("individual_name", "Testperson Exempel"), ("age_group", "35-49")]
    reply = await submit(worker, where, [*about(page), *rest, *fields], page)
    assert reply.status == (303 if fine else 422)
    if not fine:
        assert "f-identity_number" in reply.text


async def test_a_draft_is_thrown_away_after_a_question(worker: Browser) -> None:
    case, first = await begun(worker)
    where = first.rpartition("/")[0] + "/kasta"
    page = await worker.get(where)
    assert "försvinner, med sina bilagor" in page.text
    assert path_of(await submit(worker, where, [], page)) == f"{case}?klart=kastat"
    assert (await worker.get(first)).status == 404


# --- attachments ------------------------------------------------------------------------------------------------------


async def upload(browser: Browser, where: str, page: Reply, *files: tuple[str, bytes]) -> Reply:
    with aiohttp.MultipartWriter("form-data") as writer:
        for name, value in (("_csrf", page.token), ("fran", "confirm"), ("category", "HEALTH")):
            writer.append(value).set_content_disposition("form-data", name=name)
        for name, octets in files:
            writer.append(octets).set_content_disposition("form-data", name="file", filename=name)
    async with browser.http.post(browser.address + where, data=writer, allow_redirects=False) as response:
        return Reply(response.status, response.headers, await response.text())


PDF = b"%PDF-1.7\n% ett exempel\n" + b"x" * 2000


async def test_files_are_added_read_and_taken_away_and_each_says_its_own_trouble(worker: Browser) -> None:
    _, first = await begun(worker)
    where = first.rpartition("/")[0] + "/bilagor"
    page = await worker.get(where)
    assert "Högst 100 MB" in page.text
    reply = await upload(worker, where, page, ("bra.pdf", PDF), ("tom.pdf", b""), ("fel.exe", b"MZ\x90\x00" * 9))
    assert reply.status == 422
    assert "tom.pdf: Filen är tom." in reply.text
    assert "fel.exe: Filtypen tas inte emot." in reply.text
    listed = await worker.get(where)
    [file] = set(re.findall(r'href="(/utkast/[^"]+/bilagor/[^"]+)"', listed.text))
    got = await worker.get(file)
    assert got.text.encode() == PDF
    assert got.headers["Content-Disposition"].startswith("attachment;")
    assert "sandbox" in got.headers["Content-Security-Policy"]
    assert (await submit(worker, file, [], page)).status == 303
    assert (await submit(worker, file, [], page)).status == 303
    assert "Inga bilagor än" in (await worker.get(where)).text
    assert (await upload(worker, where, page)).status == 422


async def test_stage_2_takes_the_attachments_of_the_referral_along(worker: Browser) -> None:
    county = worker.county
    case = await opened_case(worker)
    await consented(worker, case)
    where = await written(worker, case)
    files = where.replace("/mottagare", "/bilagor")
    await upload(worker, files, await worker.get(files), ("utdrag.pdf", PDF))
    page = await checked(worker, where)
    assert "Bilaga: utdrag.pdf" in page.text
    confirmation = path_of(await submit(worker, where.replace("/mottagare", "/skicka"), sending(page), page))
    message: Any = confirmation.split("/skickat/")[1].split("?")[0]
    county.clock.advance(MINUTE)
    await county.deliver()
    await answered(county, message, "EKELIDEN")
    page = await worker.get(f"{case}/steg2")
    where = path_of(await submit(worker, f"{case}/uppdrag", [], page))
    page = await checked(worker, where, UNIT_E)
    assert "utdrag.pdf" in page.text and "Bilaga: utdrag.pdf" not in page.text


async def answered(county: County, message: Any, result: str) -> None:
    ekeliden, novus = await county.sign_in("ek-chef"), await county.sign_in("no-chef")
    await county.open(ekeliden, SEAT_E, message)
    answer = county.answer(result=result)
    proposal = await county.gateway.answers.propose(ekeliden, SEAT_E, message, answer)
    await county.deliver()
    await county.gateway.answers.confirm(novus, SEAT_N, proposal.message)
    await county.deliver()


# --- consent ----------------------------------------------------------------------------------------------------------


async def test_without_consent_the_check_says_which_paragraph_and_what_to_do(worker: Browser) -> None:
    case = await opened_case(worker)
    where = await written(worker, case)
    page = await checked(worker, where)
    assert "Får inte lämnas" in page.text
    assert "OSL 26 kap. 1 §" in page.text
    assert "Be den enskilde om ett samtycke" in page.text
    assert "Skicka till" not in page.text
    fields = [("nyckel", "n"), ("arende", case.rpartition("/")[2]), ("till", "remissgrupp")]
    refused = await submit(worker, where.replace("/mottagare", "/skicka"), fields, page)
    assert refused.status == 403
    assert "Får inte lämnas" in refused.text


async def test_a_consent_is_told_by_units_and_all_its_faults_at_once(worker: Browser) -> None:
    case = await opened_case(worker)
    reply = await consented(worker, case, enhet=[], data_categories=[], informed_points=["WHO"], manner="ORAL")
    assert reply.status == 422
    for name in ("enhet", "data_categories", "informed_points", "witness_note"):
        assert f'href="#f-{name}"' in reply.text, name
        assert f'id="f-{name}-fel"' in reply.text, name
    assert 'value="WHO" checked' in reply.text
    await consented(worker, case, enhet=["ekeliden"], riktning="ut")
    page = await worker.get(case)
    assert "Bara åt ett håll:" in page.text
    assert "Vuxen, Alvesta → HVB Ekeliden" in page.text


async def test_a_no_is_respected_and_outdoes_an_earlier_yes(worker: Browser) -> None:
    case = await opened_case(worker)
    await consented(worker, case)
    page = await worker.get(f"{case}/samtycke/nej")
    assert "utan att röja" in page.text and "26 kap. 1 §" in page.text
    fields = [("enhet", "novus"), ("riktning", "bada"), ("given_by", "INDIVIDUAL"), ("data_categories", "NEED")]
    short = await submit(worker, f"{case}/samtycke/nej", fields, page)
    assert short.status == 422
    fields += [("witness_note", "Socialsekreteraren, vid besöket")]
    assert path_of(await submit(worker, f"{case}/samtycke/nej", fields, page)).endswith("?klart=nej")
    shown = (await worker.get(case)).text
    assert "Samtycke nekat" in shown and "Återkallat" in shown


async def test_a_withdrawal_names_its_consequences_and_stops_what_waits(worker: Browser) -> None:
    case = await opened_case(worker)
    await consented(worker, case)
    await sent(worker, case)
    page = await worker.get(case)
    [where] = re.findall(rf'href="({case}/samtycke/[^"]+/aterkalla)"', page.text)
    asked = await worker.get(where)
    assert "stoppas genast" in asked.text
    assert path_of(await submit(worker, where, [], asked)).endswith("?klart=aterkallat")
    shown = (await worker.get(case)).text
    assert re.search(r"Kom inte fram till (Ekeliden|Novus) i remissgruppen, (Ekeliden|Novus) i remissgruppen", shown)
    assert "Samtycket återkallades" in shown
    await submit(worker, f"{case}/samtycke", consent_fields(worker), await worker.get(f"{case}/samtycke"))
    where = path_of(await submit(worker, f"{case}/uppdrag", [], page))
    assert "Testperson Exempel" in (await worker.get(where.rpartition("/")[0] + "/person")).text


# --- messages, recalls, rights ----------------------------------------------------------------------------------------


async def test_a_message_in_the_case_goes_the_same_way(worker: Browser) -> None:
    case = await opened_case(worker)
    await consented(worker, case)
    page = await worker.get(f"{case}/meddelande")
    where = path_of(await submit(worker, f"{case}/meddelande", [], page))
    page = await worker.get(where)
    assert (await submit(worker, where, about(page), page)).status == 422
    fields = [*about(page), ("text", "Personen vill komma på studiebesök."), ("categories", "NEED")]
    where = path_of(await submit(worker, where, fields, page))
    none = await worker.get(where.replace("/mottagare", "/granska"))
    assert none.status == 422 and "Välj minst en mottagare" in none.text
    page = await checked(worker, where)
    to = sending(page)[:-2]
    confirmation = path_of(await submit(worker, where.replace("/mottagare", "/skicka"), to, page))
    assert "Meddelande i ärendet" in (await worker.get(confirmation)).text


async def test_what_arrived_is_asked_back_with_its_consequences_named(worker: Browser) -> None:
    county = worker.county
    case = await opened_case(worker)
    await consented(worker, case)
    confirmation = (await sent(worker, case)).partition("?")[0]
    county.clock.advance(MINUTE)
    await county.deliver()
    message: Any = confirmation.split("/skickat/")[1]
    await county.open(await county.sign_in("ek-chef"), SEAT_E, message)
    page = await worker.get(f"{confirmation}/begar-tillbaka")
    assert "Är redan öppnat" in page.text and "Är inte öppnat" in page.text
    assert path_of(await submit(worker, f"{confirmation}/begar-tillbaka", [], page)).endswith("?begart=1")
    shown = (await worker.get(confirmation)).text
    assert "antecknat som en incident" in shown and "Begärt tillbaka, oläst" in shown


async def test_a_code_is_asked_for_when_the_window_is_over_and_leads_back(worker: Browser) -> None:
    county = worker.county
    case = await opened_case(worker)
    await consented(worker, case)
    confirmation = await sent(worker, case)
    county.clock.advance(MINUTE)
    await county.deliver()
    await answered(county, confirmation.split("/skickat/")[1].split("?")[0], "NEED_MORE_INFO")
    page = await worker.get(case)
    assert "Din tur: komplettera" in page.text
    answer = re.findall(rf'href="({case}/las/[^"]+)"', page.text)[0]
    assert (await worker.get(answer)).status == 200
    for _ in range(3):
        county.clock.advance(10 * MINUTE)
        await worker.get("/arenden")
    reply = await worker.get(answer)
    assert path_of(reply).startswith(f"/inkorg/{ALVESTA}/kod?next=%2Farenden%2F")
    assert path_of(await submit(worker, f"{case}/uppdrag", [], page)).startswith(f"/inkorg/{ALVESTA}/kod")


async def test_a_delegate_sees_the_state_and_no_buttons(worker: Browser) -> None:
    case = await opened_case(worker)
    await consented(worker, case)
    worker.http.cookie_jar.clear()
    await worker.sign_in("al-del")
    listed, shown = await worker.get("/arenden"), await worker.get(case)
    assert "Öppna nytt ärende" not in listed.text
    assert "Skriv uppdraget" not in shown.text and "Anteckna samtycke" not in shown.text
    assert "Samtycke finns" in shown.text
    assert (await submit(worker, f"{case}/uppdrag", [], shown)).status == 403
    worker.http.cookie_jar.clear()
    await worker.sign_in("vx-sos")
    assert (await worker.get(case)).status == 404


async def test_my_cases_are_counted_filtered_and_paged(worker: Browser) -> None:
    county = worker.county
    signed = await county.sign_in("al-sos")
    for _ in range(30):
        county.clock.advance(SECOND)
        await county.gateway.cases.open(signed, ALVESTA)
    page = await worker.get("/arenden")
    assert '<span class="tally">30</span>' in page.text
    assert page.text.count('scope="row"') == 25
    [more] = re.findall(r'href="(/arenden\?[^"]*after=[^"]+)"', page.text)
    assert (await worker.get(unescape(more))).text.count('scope="row"') == 5
    none = await worker.get(f"/arenden?inkorg={ALVESTA}&lage={CaseState.MATCHED}")
    assert "Inga ärenden i det läget" in none.text
    assert (await worker.get("/arenden?inkorg=vaxjo.vuxen.placering")).status == 404


async def test_somebody_in_the_board_who_should_not_see_it_stops_the_sending(worker: Browser) -> None:
    case = await opened_case(worker)
    await consented(worker, case)
    where = await written(worker, case)
    page = await checked(worker, where)
    to = where.replace("/mottagare", "/skicka")
    unanswered = await submit(worker, to, sending(page)[:-1], page)
    assert unanswered.status == 422 and 'href="#f-jav"' in unanswered.text
    yes = await submit(worker, to, [*sending(page)[:-1], ("jav", "ja")], page)
    assert yes.status == 422 and "Skicka inte än" in yes.text


async def test_the_demo_leaves_a_case_in_each_state() -> None:
    async with a_county() as county:
        said: list[str] = []
        await prepare(county.gateway, county.sign_in, said.append)
        assert len(said) == 1
        signed = await county.sign_in("al-sos")
        found = await county.gateway.casework.list(signed, ALVESTA)
        assert set(found.counts.values()) == {1}
        assert len(found.drafts) == 1
        other = await county.gateway.casework.list(await county.sign_in("vx-sos"), VAXJO)
        assert other.total == 1
