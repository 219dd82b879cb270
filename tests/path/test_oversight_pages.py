"""The reviewer's, operations' and the administrator's pages: what they show, never show, and what each act leaves."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import AsyncIterator

import aiohttp
import pytest

from adapters.http.web.log_pages import safe_cell
from adapters.http.web.log_words import ACTIONS, finding
from gateway.audit import AuditAction
from gateway.directory_file import user_id
from gateway.errors import ConflictError
from gateway.factors import REPLACED_WAITS
from gateway.handover import KEPT
from gateway.model.base import MINUTE
from gateway.model.identity import Membership, MembershipState, User, UserState
from gateway.model.log import AuditLeaf
from gateway.model.path import Message
from gateway.ports import Delete, Insert, Work
from gateway.workers import publish
from tests.county import ALVESTA, DEMO_DIRECTORY, County, a_county, password_of
from tests.path.test_pages import Browser, Reply, a_browser, browser, site

pytestmark = pytest.mark.slow  # each walks pages over a real connection; the fast core has test_pages

__all__ = ["browser", "site"]  # fixtures

#: What the demo's referral says, in words that no page here may hold.
BODY = ("substans", "heroin", "alkohol", "uppdragsbeskrivning", "1990", "LVM")


async def county_with_a_referral(county: County) -> Message:
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker, ALVESTA)
    sent = await county.send_referral(worker, case.id)
    await county.deliver()
    await publish(county.gateway)
    found = await county.store.get(Message, sent.message)
    assert found is not None
    return found


async def acted(browser: Browser, path: str, **fields: str) -> Reply:
    """The form at `path`, sent with its own token and hidden fields."""
    page = await browser.get(path)
    assert page.status == 200, page.text
    own = {name: value for name, value in hidden(page) if name not in ("_csrf", "next")}
    return await browser.post(path, {"_csrf": page.token, **own, **fields})


def hidden(page: Reply) -> list[tuple[str, str]]:
    main = page.text[page.text.index("<main") : page.text.index("</main>")]
    return re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', main)


def user_page(login: str) -> str:
    return f"/drift/anvandare/{user_id(login)}"


async def logged(county: County) -> list[str]:
    name = county.gateway.auditor.origin(county.clock.now())
    return [side.action for side in await county.store.sides(name, 0, await county.store.log_size(name))]


# --- the log ----------------------------------------------------------------------------------------------------------


async def test_the_log_shows_functions_and_acts_and_never_names_or_content(browser: Browser) -> None:
    await county_with_a_referral(browser.county)
    await browser.sign_in("gransk")
    page = await browser.get("/logg")
    assert page.status == 200
    for words in ("Skickade", "Levererades", "Antecknade samtycke", "Socialsekreterare", "Att du läser här loggas"):
        assert words in page.text
    assert not [word for word in BODY if word in page.text]
    assert (await logged(browser.county))[-1] == "log_read"
    assert 'href="/logg" aria-current="page"' in page.text


async def test_filters_stand_in_the_address_and_pages_follow_by_number(browser: Browser) -> None:
    await browser.sign_in("gransk")
    page = await browser.get("/logg?handelse=user_created&myndighet=region.hsv")
    assert "Användare skapad" in page.text
    assert "Nyckel registrerad" not in page.text[page.text.index("<tbody>") :]
    assert '<option value="user_created" selected>' in page.text
    seen: list[int] = []
    where = "/logg"
    while where:
        page = await browser.get(where)
        seen += [int(number) for number in re.findall(r'href="/logg/(\d+)\?ar=\d+"', page.text)]
        older = re.search(r'rel="next" href="([^"]+)"', page.text)
        where = html.unescape(older[1]) if older else ""
    first = await browser.county.store.log_size(browser.county.gateway.auditor.origin(browser.county.clock.now()))
    assert seen == sorted(seen, reverse=True) and len(set(seen)) == len(seen)
    assert seen[-1] == 0 and seen[0] < first


async def test_what_cannot_be_an_id_is_told_at_the_field_and_not_logged(browser: Browser) -> None:
    await browser.sign_in("gransk")
    before = await logged(browser.county)
    page = await browser.get("/logg?objekt=%3Cscript%3Ealert(1)%3C/script%3E")
    assert page.status == 422
    assert "<title>Fel: " in page.text
    assert 'href="#f-objekt"' in page.text and "&lt;script&gt;" in page.text and "<script>a" not in page.text
    assert await logged(browser.county) == before
    for odd in ("?ar=x", "?ar=1066", "?fore=abc", "?fore=-1", "?handelse=finns-inte", "?myndighet=%00"):
        assert (await browser.get(f"/logg{odd}")).status == 200, odd


async def test_a_row_has_everything_but_who_and_a_proof_that_holds(browser: Browser) -> None:
    from gateway.notes import parse_proof
    from gateway.tree import leaf_hash, verify_inclusion

    message = await county_with_a_referral(browser.county)
    await browser.sign_in("gransk")
    page = await browser.get(f"/logg?objekt={message.id}")
    number = re.findall(r'href="/logg/(\d+)\?', page.text)[0]
    row = await browser.get(f"/logg/{number}?ar=2026")
    assert str(message.id) in row.text and "Pseudonym" in row.text
    assert str(user_id("al-sos")) not in row.text
    proof = await browser.get(f"/logg/{number}/bevis?ar=2026")
    assert proof.headers["Content-Disposition"].startswith("attachment;")
    parsed = parse_proof(proof.text)
    assert parsed.index == int(number)
    from gateway.notes import parse_checkpoint

    head = parse_checkpoint(parsed.checkpoint)
    verify_inclusion(leaf_hash(parsed.leaf), parsed.index, head.size, list(parsed.path), head.root)
    for missing in ("999999", "-1", "abc", "9" * 30):
        assert (await browser.get(f"/logg/{missing}")).status == 404
        assert (await browser.get(f"/logg/{missing}/bevis")).status == 404


async def test_the_export_is_the_page_as_a_file_and_is_logged_as_one(browser: Browser) -> None:
    await browser.sign_in("gransk")
    query = "handelse=user_created"
    refused = await browser.get(f"/logg/export?{query}")
    assert (refused.status, refused.headers["Location"]) == (303, f"/logg/kod?{query}&lage=ingen")
    for wrong in ("", "000000"):
        page = await browser.get(f"/logg?{query}")
        action = html.unescape(page.text.split('action="/logg/kod')[1].split('"')[0])
        reply = await browser.post(f"/logg/kod{action}", {"_csrf": page.token, "kod": wrong})
        assert (reply.status, reply.headers["Location"]) == (303, f"/logg/kod{action}&lage=fel")
        assert "Koden stämde inte" in (await browser.get(reply.headers["Location"])).text
    right = await browser.post(f"/logg/kod{action}", {"_csrf": page.token, "kod": browser.code("gransk")})
    assert right.status == 303
    async with browser.http.get(f"{browser.address}{right.headers['Location']}") as raw:
        assert raw.headers["Content-Type"] == "text/csv; charset=utf-8"
        octets = await raw.read()
    assert octets.startswith(b"\xef\xbb\xbf")
    reply = await browser.get(right.headers["Location"])
    assert (reply.status, reply.headers["Location"].rpartition("&")[2]) == (303, "lage=anvand")
    text = octets.decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text), delimiter=";"))
    assert rows[0][:4] == ["Nr", "Tid", "Myndighet", "Händelse"]
    assert len(rows) == 1 + 17
    page = await browser.get("/logg?handelse=log_read")
    rows_of = re.findall(r'href="/logg/(\d+)\?', page.text)[:3]
    assert ["export" in (await browser.get(f"/logg/{row}")).text for row in rows_of].count(True) == 1


@pytest.mark.parametrize("text", ["=1+1", "+46", "-2", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_cell_of_the_export_is_never_a_formula(text: str) -> None:
    assert safe_cell(text) == f"'{text}"
    assert safe_cell("alvesta.ifo") == "alvesta.ifo"


async def test_a_check_says_whole_and_then_names_what_was_changed(browser: Browser) -> None:
    county = browser.county
    await browser.sign_in("gransk")
    await browser.get("/logg?handelse=user_created&objekt=abc")  # a filtered reading is a row that holds as well
    page = await browser.get("/logg/kontroll")
    assert "inte kontrollerats" in page.text
    assert (await acted(browser, "/logg/kontroll")).headers["Location"] == "/logg/kontroll"
    page = await browser.get("/logg/kontroll")
    assert "Loggen är hel" in page.text
    assert "log_verified" in await logged(county)
    name = county.gateway.auditor.origin(county.clock.now())
    assert html.escape(await county.gateway.ports.vault.note_key(name)) in page.text
    assert f"{name}\n" in page.text
    [leaf] = await county.store.leaves(name, 3, 4)
    rewritten = AuditLeaf(administration=leaf.administration, log=name, number=3, leaf=leaf.leaf + b" ", hash=leaf.hash)
    await county.store.commit(Work(changes=(Delete(AuditLeaf, (name, 3)), Insert(rewritten))))
    await acted(browser, "/logg/kontroll")
    page = await browser.get("/logg/kontroll")
    assert "Loggen har ändrats" in page.text
    assert "Rad 3: radens text och kontrollsumma stämmer inte överens." in page.text


async def test_a_check_that_takes_too_long_says_so(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    async def endless() -> None:
        await asyncio.sleep(60)

    signed = await browser.county.sign_in("gransk")
    monkeypatch.setattr(browser.county.gateway.review, "verify", endless)
    done = await browser.county.gateway.inspection.run(signed, longest_s=0.01)
    assert (done.exit_code, done.reports) == (3, ())
    await browser.sign_in("gransk")
    assert "hann inte klart" in (await browser.get("/logg/kontroll")).text


def test_every_act_and_every_finding_has_its_words() -> None:
    assert set(ACTIONS) == set(AuditAction)
    for text in ("leaf 3 is missing", "leaves 0 to 9 are not the ones that were signed", "no checkpoint yet"):
        assert finding(text, lambda told, **values: told % values if values else told).endswith(".")
    assert "tile/0/000" in finding("tile/0/000", lambda told, **values: told % values)


# --- deliveries -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("login", ["it", "gransk"])
async def test_deliveries_show_the_way_and_never_a_body(browser: Browser, login: str) -> None:
    message = await county_with_a_referral(browser.county)
    await browser.sign_in(login)
    page = await browser.get("/drift/meddelanden")
    detail = await browser.get(f"/drift/meddelanden/{message.id}")
    for text in (page.text, detail.text):
        assert "IFO vuxen, Alvesta" in text and "Ekeliden i remissgruppen" in text and "Levererat" in text
        assert not [word for word in BODY if word in text]
        assert "Uppdragsblankett" not in text and message.case not in text
    assert "signerat kvitto finns" in detail.text
    assert (await logged(browser.county))[-1] == "transport_read"
    assert (await browser.get("/drift/meddelanden/00000000-0000-4000-8000-000000000000")).status == 404


async def test_deliveries_by_state_day_and_number(browser: Browser) -> None:
    message = await county_with_a_referral(browser.county)
    await browser.sign_in("it")
    assert "Inga leveranser passar" in (await browser.get("/drift/meddelanden?status=failed")).text
    assert str(message.id) in (await browser.get(f"/drift/meddelanden?meddelande={message.id}")).text
    today = browser.county.today.isoformat()
    assert str(message.id) in (await browser.get(f"/drift/meddelanden?dag={today}")).text
    assert "Inga leveranser passar" in (await browser.get("/drift/meddelanden?dag=2001-01-01")).text
    before = await logged(browser.county)
    for wrong, pointer in (("dag=i%20dag", "dag"), ("meddelande=%22%3E", "meddelande"), ("dag=9999-12-31", "dag")):
        reply = await browser.get(f"/drift/meddelanden?{wrong}")
        assert reply.status == 422 and f'href="#f-{pointer}"' in reply.text
    assert await logged(browser.county) == before


async def test_what_did_not_arrive_is_loud(browser: Browser) -> None:
    county = browser.county
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker, ALVESTA)
    await county.send_referral(worker, case.id)
    county.clock.advance(400 * 24 * 60 * MINUTE)
    await county.deliver()
    await publish(county.gateway)
    await browser.sign_in("it")
    page = await browser.get("/drift/meddelanden")
    assert "Något har inte kommit fram" in page.text
    assert 'class="loud"' in page.text
    assert re.search(r'href="/drift/meddelanden\?status=(?:failed|expired)"', page.text)


# --- the directory ----------------------------------------------------------------------------------------------------

NEW_USER = """
[[user]]
login = "al-ny"
administration = "alvesta.ifo"
title = "Ny socialsekreterare, Alvesta"
roles = ["case_worker"]
"""


async def offered(browser: Browser, text: str, *, file: bool = False) -> Reply:
    page = await browser.get("/drift/adressbok/fil")
    with aiohttp.MultipartWriter("form-data") as writer:
        for name, value in (("_csrf", page.token), ("fil", text if file else ""), ("text", "" if file else text)):
            part = writer.append(value.encode())
            more = {"filename": "adressbok.toml"} if name == "fil" else {}
            part.set_content_disposition("form-data", name=name, **more)
    return await browser._ask("POST", "/drift/adressbok/fil", headers={}, data=writer)


@pytest.mark.parametrize("file", [True, False])
async def test_what_was_shown_is_applied_and_the_first_sign_in_is_shown_once(browser: Browser, file: bool) -> None:
    county = browser.county
    await browser.sign_in("it")
    assert "Placering vuxen, Växjö" in (await browser.get("/drift/adressbok")).text
    text = DEMO_DIRECTORY.replace('name = "PIVA"', 'name = "PIVA, natt"') + NEW_USER
    where = (await offered(browser, text, file=file)).headers["Location"]
    page = await browser.get(where)
    assert "<del>PIVA</del>" in page.text and "<ins>PIVA, natt</ins>" in page.text
    assert "Ny socialsekreterare, Alvesta (al-ny)" in page.text
    assert await county.store.user_by_login("al-ny") is None  # nothing yet
    done = await acted(browser, where)
    shown = await browser.get(done.headers["Location"])
    [password] = re.findall(r'<code class="secret">([a-z-]{29})</code>', shown.text)
    assert "otpauth://totp/" in shown.text and "Visas bara nu" in shown.text
    # A second press is the first: the same page, nobody made twice.
    again = await browser.post(where, {"_csrf": page.token, "visat": dict(hidden(page))["visat"]})
    assert again.headers["Location"] == done.headers["Location"]
    assert password in (await browser.get(done.headers["Location"])).text
    assert await county.store.user_by_login("al-ny") is not None
    await acted(browser, done.headers["Location"])
    assert (await browser.get(done.headers["Location"])).status == 404
    assert {"directory_applied", "user_created"} <= set(await logged(county))


async def test_an_administrator_is_named_by_pseudonym_where_a_file_was_applied(browser: Browser) -> None:
    county = browser.county
    await browser.sign_in("it")
    where = (await offered(browser, DEMO_DIRECTORY.replace('name = "PIVA"', 'name = "P"'))).headers["Location"]
    await acted(browser, where)
    name = county.gateway.auditor.origin(county.clock.now())
    sides = await county.store.sides(name, 0, await county.store.log_size(name))
    assert next(side for side in reversed(sides) if side.action == "directory_applied").actor


async def test_a_directory_that_moved_is_shown_again_and_nothing_is_applied(browser: Browser) -> None:
    county = browser.county
    await browser.sign_in("it")
    where = (await offered(browser, DEMO_DIRECTORY.replace('name = "PIVA"', 'name = "A"'))).headers["Location"]
    page = await browser.get(where)
    await county.gateway.register.apply(
        DEMO_DIRECTORY.replace('name = "PIVA"', 'name = "B"'), passwords=password_of, by="test"
    )
    reply = await browser.post(where, {"_csrf": page.token, "visat": dict(hidden(page))["visat"]})
    assert reply.status == 409
    assert "har ändrats sedan du såg skillnaden" in reply.text and "<del>B</del>" in reply.text
    assert (await county.gateway.directory.current()).inboxes["region.piva"].name == "B"
    for wrong in ("", "0" * 64, "å"):
        assert (await browser.post(where, {"_csrf": page.token, "visat": wrong})).status == 409


async def test_faults_of_a_file_are_all_told_and_the_text_is_kept(browser: Browser) -> None:
    await browser.sign_in("it")
    broken = DEMO_DIRECTORY.replace('seats = ["seat.ekeliden", "seat.novus"]', 'seats = ["ingen"]').replace(
        'kind = "unit"', 'kind = "<img src=x>"'
    )
    reply = await offered(browser, broken)
    assert reply.status == 422
    assert "board/remissgrupp" in reply.text and "&lt;img src=x&gt;" in reply.text and "<img src=x" not in reply.text
    assert "HVB Ekeliden" in reply.text  # kept in the field
    for text, told in (("", "Välj en fil"), ("x" * 600_000, "för stor"), ("inte toml", "går inte att läsa")):
        reply = await offered(browser, text)
        assert (reply.status, told in reply.text) == (422, True)
    page = await browser.get("/drift/adressbok/fil")
    with aiohttp.MultipartWriter("form-data") as writer:
        for name, octets in (("_csrf", page.token.encode()), ("fil", b"\xff\xfe\x00")):
            writer.append(octets).set_content_disposition("form-data", name=name, filename="x")
    reply = await browser._ask("POST", "/drift/adressbok/fil", headers={}, data=writer)
    assert "UTF-8" in reply.text


async def test_nobody_gives_oneself_another_function(browser: Browser) -> None:
    await browser.sign_in("it")
    text = DEMO_DIRECTORY.replace('roles = ["system_administrator"]', 'roles = ["auditor", "system_administrator"]')
    where = (await offered(browser, text)).headers["Location"]
    reply = await acted(browser, where)
    assert (reply.status, "dina egna roller" in reply.text) == (403, True)
    found = await browser.county.store.user_by_login("it")
    assert found is not None and found.roles == ("system_administrator",)


async def test_new_members_of_a_file_are_shown_before_they_read(browser: Browser) -> None:
    await browser.sign_in("it")
    text = DEMO_DIRECTORY.replace(
        'name = "PIVA"\nkind = "intake"\naccepts = ["case_message"]\nmembers = []',
        'name = "PIVA"\nkind = "intake"\naccepts = ["case_message"]\nmembers = ["re-reg", "ek-kp1", "ek-sam"]',
    )
    assert text != DEMO_DIRECTORY
    page = await browser.get((await offered(browser, text)).headers["Location"])
    assert page.text.count("Läser direkt") == 2
    assert "ek-sam föreslås i PIVA" in page.text


async def test_a_waiting_file_and_secrets_belong_to_one_session_and_some_minutes(browser: Browser) -> None:
    await browser.sign_in("it")
    where = (await offered(browser, DEMO_DIRECTORY + NEW_USER)).headers["Location"]
    done = (await acted(browser, where)).headers["Location"]
    assert (await browser.get(done)).status == 200
    other = a_browser(browser.address, browser.county)
    async with other.http:
        await other.sign_in("it")  # another session of the same function
        assert (await other.get(done)).status == 404
        assert (await other.get(where)).status == 404
    second = (await offered(browser, DEMO_DIRECTORY.replace("al-ny", "al-ny2"))).headers["Location"]
    browser.county.clock.advance(14 * MINUTE)
    await browser.get("/drift/adressbok")
    browser.county.clock.advance(14 * MINUTE)
    await browser.get("/drift/adressbok")
    browser.county.clock.advance(3 * MINUTE)
    assert (await browser.get(second)).status == 404


# --- users ------------------------------------------------------------------------------------------------------------


async def test_users_are_found_by_function_and_their_account_is_told(browser: Browser) -> None:
    await browser.county.sign_in("al-sos")
    await browser.sign_in("it")
    page = await browser.get("/drift/anvandare?sok=ALVESTA")
    assert page.text.count('href="/drift/anvandare/') == page.text.count("Alvesta</a>") == 3
    assert "Registrator, Växjö" not in page.text
    assert "Ingen användare passar" in (await browser.get("/drift/anvandare?sok=%22%3E%3Cb%3E")).text
    page = await browser.get(user_page("al-sos"))
    assert "IFO vuxen, Alvesta – Medlem" in page.text
    assert "<dt>Inloggningar just nu</dt><dd>1</dd>" in page.text
    assert (await browser.get("/drift/anvandare/ingen")).status == 404
    assert (await browser.get(f"{user_page('al-sos')}/radera")).status == 404
    assert (await logged(browser.county)).count("users_read") >= 3


async def test_an_account_is_closed_and_opened_with_before_and_after(browser: Browser) -> None:
    county = browser.county
    signed = await county.sign_in("al-sos")
    await browser.sign_in("it")
    page = await browser.get(f"{user_page('al-sos')}/stang-av")
    assert "Aktivt" in page.text and "Avstängt" in page.text and "loggas ut nu" in page.text
    reply = await acted(browser, f"{user_page('al-sos')}/stang-av")
    assert "Kontot är avstängt" in (await browser.get(reply.headers["Location"])).text
    found = await county.store.get(User, signed.user.id)
    assert found is not None and found.state is UserState.DISABLED
    assert await county.gateway.sessions.list(found) == []
    # The same again changes nothing and says so.
    version = found.version
    reply = await browser.post(f"{user_page('al-sos')}/stang-av", {"_csrf": page.token})
    again = await county.store.get(User, signed.user.id)
    assert reply.status == 303 and again is not None and again.version == version
    assert "Inget att ändra" in (await browser.get(f"{user_page('al-sos')}/stang-av")).text
    await acted(browser, f"{user_page('al-sos')}/oppna")
    await county.sign_in("al-sos")
    assert {"user_disabled", "user_enabled"} <= set(await logged(county))


async def test_sessions_are_ended_and_tries_forgotten(browser: Browser) -> None:
    county = browser.county
    await county.sign_in("vx-sos")
    for _ in range(6):
        county.clock.advance(5 * MINUTE)
        await browser.sign_in("vx-sos", code="000000")
    await browser.sign_in("it")
    assert "<dd>6 " in (await browser.get(user_page("vx-sos"))).text
    await acted(browser, f"{user_page('vx-sos')}/las-upp")
    assert "<dt>Felaktiga försök i rad</dt><dd>0</dd>" in (await browser.get(user_page("vx-sos"))).text
    await county.sign_in("vx-sos")
    await acted(browser, f"{user_page('vx-sos')}/logga-ut")
    assert "<dt>Inloggningar just nu</dt><dd>0</dd>" in (await browser.get(user_page("vx-sos"))).text
    assert {"user_unlocked", "session_ended"} <= set(await logged(county))


@pytest.mark.parametrize(("act", "shown"), [("losenord", "Lösenord"), ("kodapp", "otpauth://totp/")])
async def test_a_new_secret_is_shown_once_and_waits_24_hours(browser: Browser, act: str, shown: str) -> None:
    county = browser.county
    signed = await county.sign_in("al-sos")
    await browser.sign_in("it")
    where = f"{user_page('al-sos')}/{act}"
    page = await browser.get(where)
    assert "24 timmar" in page.text
    fields = {"_csrf": page.token, **dict(hidden(page))}
    first, second = await browser.post(where, fields), await browser.post(where, fields)
    assert first.headers["Location"] == second.headers["Location"]  # one key, one secret
    assert (await logged(county)).count("factor_replaced") == 1
    told = await browser.get(first.headers["Location"])
    assert shown in told.text and "Går att använda från" in told.text
    assert await county.gateway.sessions.list(signed.user) == []
    assert "Går att använda från" in (await browser.get(user_page("al-sos"))).text
    county.clock.advance(KEPT)
    assert (await browser.get(first.headers["Location"])).status == 404
    assert REPLACED_WAITS > KEPT


async def test_ones_own_account_is_changed_by_another(browser: Browser) -> None:
    await browser.sign_in("it")
    assert "ditt eget konto" in (await browser.get(user_page("it"))).text
    page = await browser.get(f"{user_page('it')}/stang-av")
    assert "<form" not in page.text[page.text.index("<main") : page.text.index("</main>")]
    for act in ("stang-av", "losenord", "kodapp", "logga-ut"):
        reply = await browser.post(f"{user_page('it')}/{act}", {"_csrf": page.token})
        assert (reply.status, "ditt eget konto" in reply.text) == (403, True)


# --- proposed members -------------------------------------------------------------------------------------------------


async def test_it_proposes_a_member_and_only_a_member_lets_in(browser: Browser) -> None:
    county = browser.county
    await browser.sign_in("it")
    page = await browser.get("/drift/medlemmar")
    assert "kan ingen administratör göra" in page.text
    # The demo's directory proposes a third member of two units.
    assert "Kontaktperson 1, Ekeliden" in page.text and "Enhetschef, Ekeliden<br>" in page.text
    where = f"/drift/medlemmar/foresla?inkorg={ALVESTA}"
    form = await browser.get(where)
    who = form.text[form.text.index('id="f-anvandare"') :]
    assert "Registrator, Alvesta</option>" in who and "Registrator, Växjö</option>" not in who
    fields = {"_csrf": form.token, "inkorg": ALVESTA, "roll": "member"}
    missing = await browser.post("/drift/medlemmar/foresla", fields)
    assert missing.status == 422 and 'href="#f-anvandare"' in missing.text
    fields["anvandare"] = user_id("al-reg")
    for _ in range(2):
        assert (await browser.post("/drift/medlemmar/foresla", fields)).status == 303
    assert (await logged(county)).count("member_proposed") == 1 + 2  # the demo's two
    row = await county.store.get(Membership, ALVESTA, user_id("al-reg"))
    assert row is not None and row.state is MembershipState.PENDING
    foreign = {**fields, "anvandare": user_id("vx-reg")}
    assert (await browser.post("/drift/medlemmar/foresla", foreign)).status == 400
    assert (await browser.post("/drift/medlemmar/foresla", {**fields, "inkorg": "ingen"})).status == 404
    taken = {"_csrf": form.token, "inkorg": ALVESTA, "anvandare": user_id("al-reg")}
    assert (await browser.post("/drift/medlemmar/dra-tillbaka", taken)).status == 303
    row = await county.store.get(Membership, ALVESTA, user_id("al-reg"))
    assert row is not None and row.state is MembershipState.REMOVED
    member = {**taken, "anvandare": user_id("al-sos")}
    await browser.post("/drift/medlemmar/dra-tillbaka", member)
    row = await county.store.get(Membership, ALVESTA, user_id("al-sos"))
    assert row is not None and row.state is MembershipState.ACTIVE  # members are not removed here


async def test_an_inbox_without_members_says_that_nobody_could_let_in(browser: Browser) -> None:
    await browser.sign_in("it")
    where = "/drift/medlemmar/foresla?inkorg=region.piva"
    assert "kan ingen släppa in någon" in (await browser.get(where)).text
    fields = {"inkorg": "region.piva", "anvandare": user_id("ek-sam"), "roll": "member"}
    token = (await browser.get(where)).token
    assert (await browser.post("/drift/medlemmar/foresla", {"_csrf": token, **fields})).status == 409


# --- the use cases under them -----------------------------------------------------------------------------------------


@pytest.fixture
async def county() -> AsyncIterator[County]:
    async with a_county() as made:
        yield made


async def test_each_act_asks_for_the_right_before_it_looks(county: County) -> None:
    from gateway.administration import UserAct
    from gateway.errors import ForbiddenError
    from gateway.model.identity import MembershipRole

    gateway, worker, auditor = county.gateway, await county.sign_in("al-sos"), await county.sign_in("gransk")
    victim = user_id("vx-sos")
    for signed in (worker, auditor):
        for attempt in (
            lambda signed=signed: gateway.administering.users(signed),
            lambda signed=signed: gateway.administering.account(signed, victim),
            lambda signed=signed: gateway.administering.act(signed, victim, UserAct.DISABLE, key="k"),
            lambda signed=signed: gateway.administering.proposed(signed),
            lambda signed=signed: gateway.administering.propose(signed, ALVESTA, victim, MembershipRole.MEMBER),
            lambda signed=signed: gateway.administering.withdraw(signed, ALVESTA, victim),
            lambda signed=signed: gateway.directory_changes.current(signed),
            lambda signed=signed: gateway.directory_changes.offer(signed, DEMO_DIRECTORY),
            lambda signed=signed: gateway.directory_changes.apply(signed, "k", "s"),
        ):
            before = len(await logged(county))
            with pytest.raises(ForbiddenError):
                await attempt()
            assert (await logged(county))[before:] == ["access_refused"]


async def test_two_confirmations_at_once_apply_once(county: County) -> None:
    import asyncio

    signed, changes = await county.sign_in("it"), county.gateway.directory_changes
    key = await changes.offer(signed, DEMO_DIRECTORY + NEW_USER)
    shown = (await changes.examine(signed, key)).shown
    assert await asyncio.gather(*(changes.apply(signed, key, shown) for _ in range(4))) == [key] * 4
    assert len(county.gateway.handover.show(signed, key).secrets) == 1
    other = await changes.offer(signed, DEMO_DIRECTORY + NEW_USER)
    with pytest.raises(ConflictError):
        await changes.apply(signed, other, shown)
