"""The reviewer's, operations' and the administrator's work in a real browser, with and without JavaScript."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from gateway.directory_file import user_id
from tests.browser.conftest import Site, assert_accessible, assert_no_sideways_scroll
from tests.browser.examples import a_message
from tests.county import DEMO_DIRECTORY

NEW = """
[[user]]
login = "al-prov{n}"
administration = "alvesta.ifo"
title = "Provfunktion {n}, Alvesta"
roles = ["case_worker"]
"""


@pytest.mark.parametrize("javascript", [True, False])
def test_a_reviewer_narrows_the_log_opens_a_row_and_fetches_its_proof(
    page_as: Callable[..., Page], site: Site, javascript: bool
) -> None:
    page = page_as("gransk", java_script_enabled=javascript)
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Åtkomstlogg")
    page.get_by_label("Händelse").select_option(label="Användare skapad")
    page.get_by_label("Myndighet").select_option(label="Alvesta, individ- och familjeomsorgen")
    page.get_by_role("button", name="Visa").click()
    assert "handelse=user_created&myndighet=alvesta.ifo" in page.url
    expect(page.locator("tbody tr")).to_have_count(3)
    page.locator("tbody tr").first.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("i loggen")
    with page.expect_download() as fetched:
        page.get_by_role("link", name="Hämta bevis").click()
    assert fetched.value.suggested_filename.startswith("sambud-bevis-")
    assert fetched.value.path().read_text("utf-8").startswith("c2sp.org/tlog-proof@v1\n")
    page.get_by_role("link", name="Till loggen").click()
    page.get_by_text("Ta ut raderna som fil").click()
    page.get_by_label("Kod", exact=True).fill(site.code("gransk"))
    with page.expect_download() as exported:
        page.get_by_role("button", name="Hämta raderna som fil (CSV)").click()
    assert exported.value.path().read_bytes().startswith(b"\xef\xbb\xbfNr;Tid;")


def test_a_wrong_id_is_told_at_the_field(page_as: Callable[..., Page]) -> None:
    page = page_as("gransk", viewport={"width": 320, "height": 700})
    page.goto("/logg")
    page.get_by_label("Objektets id (valfritt)").fill("inte ett id")
    page.get_by_role("button", name="Visa").click()
    expect(page.get_by_role("alert", name="Ett fel behöver rättas")).to_be_focused()
    expect(page.get_by_label("Objektets id (valfritt)")).to_have_value("inte ett id")
    assert_accessible(page)
    assert_no_sideways_scroll(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_log_is_checked_on_demand(page_as: Callable[..., Page], scheme: str) -> None:
    page = page_as("gransk", scheme=scheme)
    page.goto("/logg/kontroll")
    page.get_by_role("button", name="Kontrollera loggen nu").dblclick()
    expect(page.get_by_role("status")).to_contain_text("Loggen är hel")
    expect(page.get_by_role("region", name="Signerad kontrollpunkt")).to_contain_text("sambud.example/audit/")
    assert_accessible(page)


def test_operations_sees_the_way_and_no_body(page_as: Callable[..., Page], site: Site) -> None:
    way = a_message(site)
    page = page_as("it")
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Leveranser")
    page.locator(f"a[href='{way}']").first.click()
    expect(page.get_by_role("heading", level=2)).to_have_text(
        ["Till Ekeliden i remissgruppen", "Till Novus i remissgruppen"]
    )
    assert "substans" not in page.content().casefold()


@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_directory_is_shown_confirmed_and_its_first_sign_in_handed_over(
    page_as: Callable[..., Page], scheme: str, width: int
) -> None:
    n = f"{scheme}-{width}"
    page = page_as("it", scheme=scheme, viewport={"width": width, "height": 800}, java_script_enabled=scheme == "light")
    page.goto("/drift/adressbok")
    page.get_by_role("link", name="Läs in en adressbok").click()
    page.get_by_role("button", name="Visa skillnaden").click()
    expect(page.get_by_role("alert", name="Ett fel behöver rättas")).to_contain_text("Välj en fil")
    page.get_by_label("Eller klistra in texten (valfritt)").fill(DEMO_DIRECTORY + NEW.format(n=n))
    page.get_by_role("button", name="Visa skillnaden").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Skillnaden mot adressboken")
    expect(page.get_by_role("heading", level=2).first).to_contain_text(f"Provfunktion {n}, Alvesta")
    looked_at(page, scheme)
    page.get_by_role("button", name="Inför adressboken").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Lämna över inloggningen")
    looked_at(page, scheme)
    shown = page.url
    page.reload()
    expect(page.locator(".secret")).to_have_count(2)
    page.get_by_role("button", name="Jag har lämnat över uppgifterna").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Användare")
    page.goto(shown)
    expect(page.get_by_role("heading", level=1)).to_have_text("Sidan finns inte")


def looked_at(page: Page, scheme: str) -> None:
    if scheme == "light":  # the checkers are JavaScript themselves, and the dark run has none
        assert_accessible(page)
        assert_no_sideways_scroll(page)


def test_an_account_is_closed_and_opened_by_keyboard(page_as: Callable[..., Page]) -> None:
    page = page_as("it")
    page.goto("/drift/anvandare")
    page.get_by_label("Användarnamn eller funktion (valfritt)").fill("novus")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(3)
    page.get_by_role("link", name="Kontaktperson 1, Novus").click()
    for act, told in (("Stäng av kontot", "avstängt"), ("Öppna kontot igen", "öppet igen")):
        page.get_by_role("link", name=act).focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text(act)
        expect(page.get_by_text("Det här händer")).to_be_visible()
        assert_accessible(page)
        page.get_by_role("button", name=act).focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text(told)


@pytest.mark.parametrize("javascript", [True, False])
def test_a_double_press_makes_one_secret(page_as: Callable[..., Page], site: Site, javascript: bool) -> None:
    page = page_as("it", viewport={"width": 320, "height": 700}, java_script_enabled=javascript)
    before = replaced(site)
    page.goto(f"/drift/anvandare/{user_id('al-del')}/kodapp")
    page.get_by_role("button", name="Skapa en ny kodapp").dblclick()
    expect(page.get_by_role("heading", level=1)).to_have_text("Lämna över inloggningen")
    expect(page.get_by_text("Går att använda från")).to_be_visible()
    assert replaced(site) == before + 1
    if javascript:
        assert_accessible(page)
        assert_no_sideways_scroll(page)


def replaced(site: Site) -> int:
    """How many factors were replaced so far."""

    async def count() -> int:
        store = site.county.store
        [name] = await store.logs()
        return sum(side.action == "factor_replaced" for side in await store.sides(name, 0, await store.log_size(name)))

    return site.run(count())


def test_a_member_is_proposed_and_the_proposal_taken_back(page_as: Callable[..., Page]) -> None:
    page = page_as("it")
    page.goto("/drift/medlemmar")
    before = page.locator("tbody tr").count()
    page.get_by_role("link", name="Föreslå en medlem").click()
    page.get_by_label("Inkorg").select_option(label="IFO vuxen, Alvesta")
    page.get_by_role("button", name="Välj inkorg").click()
    page.get_by_role("button", name="Föreslå", exact=True).click()
    expect(page.get_by_role("alert", name="Ett fel behöver rättas")).to_be_focused()
    assert_accessible(page)
    page.get_by_label("Vem").select_option(label="Registrator, Alvesta")
    page.get_by_role("button", name="Föreslå", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Förslaget är lagt")
    expect(page.locator("tbody tr")).to_have_count(before + 1)
    assert_accessible(page)
    page.get_by_role("button", name="Dra tillbaka Registrator, Alvesta, IFO vuxen, Alvesta").click()
    expect(page.get_by_role("status")).to_contain_text("tillbakadraget")
    expect(page.locator("tbody tr")).to_have_count(before)
