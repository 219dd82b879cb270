"""Signing in and staying signed in, as a person meets it: by keyboard, with a wrong code, without JavaScript."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, Watched, assert_accessible, assert_no_sideways_scroll
from tests.county import password_of


def fill(page: Page, site: Site, login: str, **changes: str) -> None:
    for label, value in {"Användarnamn": login, "Lösenord": password_of(login), "Kod": "", **changes}.items():
        page.get_by_label(label, exact=True).fill(value or site.code(login))


def test_one_signs_in_and_out_by_keyboard_alone(page_as: Callable[..., Page], site: Site) -> None:
    page = page_as()
    page.goto("/inloggningar")
    assert page.url.endswith("/logga-in?next=%2Finloggningar")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Hoppa till innehållet")).to_be_focused()
    page.keyboard.press("Enter")
    for value in ("al-sos", password_of("al-sos"), site.code("al-sos")):
        page.keyboard.press("Tab")
        page.keyboard.type(value)
    outline = page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)")
    assert outline >= 2
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Mina inloggningar")
    expect(page.get_by_role("banner")).to_contain_text("Socialsekreterare vuxen, Alvesta")
    page.get_by_role("button", name="Logga ut").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Logga in")


def test_a_wrong_code_is_told_and_the_login_stays(page_as: Callable[..., Page], site: Site) -> None:
    page = page_as(scheme="dark", viewport={"width": 320, "height": 700})
    page.goto("/logga-in")
    fill(page, site, "vx-sos", Kod="000000")
    page.get_by_role("button", name="Logga in").click()
    expect(page.get_by_role("alert")).to_contain_text("Inloggningen lyckades inte.")
    expect(page.get_by_role("alert")).to_be_focused()
    assert page.title().startswith("Fel: Logga in")
    expect(page.get_by_label("Användarnamn")).to_have_value("vx-sos")
    expect(page.get_by_label("Lösenord")).to_have_value("")
    assert_accessible(page)
    assert_no_sideways_scroll(page)


def test_one_signs_in_without_javascript(page_as: Callable[..., Page], site: Site) -> None:
    page = page_as(java_script_enabled=False)
    page.goto("/logga-in")
    fill(page, site, "no-chef")
    page.get_by_role("button", name="Logga in").click()
    expect(page.get_by_role("banner")).to_contain_text("Enhetschef, Novus")
    page.get_by_role("button", name="Mörkt").click()
    expect(page.locator("html")).to_have_attribute("data-color-scheme", "dark")
    page.get_by_role("button", name="In English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_one_ends_a_session_that_one_does_not_know(page_as: Callable[..., Page]) -> None:
    elsewhere, page = page_as("ek-sam"), page_as("ek-sam")
    page.goto("/inloggningar")
    page.get_by_role("button", name="Avsluta", exact=True).click()
    expect(page.get_by_role("status")).to_have_text("Inloggningen är avslutad.")
    assert_accessible(page)
    elsewhere.goto("/inloggningar")
    expect(elsewhere.get_by_role("heading", level=1)).to_have_text("Logga in")


def test_a_code_opens_an_inbox_and_a_wrong_one_is_shown_at_the_field(page_as: Callable[..., Page], site: Site) -> None:
    page = page_as("ek-chef")
    page.goto("/inkorg/ekeliden.enhet/kod?next=/inloggningar")
    page.get_by_label("Kod").fill("000000")
    page.get_by_role("button", name="Fortsätt", exact=True).click()
    summary = page.get_by_role("alert", name="Ett fel behöver rättas")
    expect(summary).to_be_focused()
    assert_accessible(page)
    summary.get_by_role("link").click()
    expect(page.get_by_label("Kod")).to_be_focused()
    page.get_by_label("Kod").fill(site.code("ek-chef"))
    page.get_by_role("button", name="Fortsätt", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Mina inloggningar")


def test_a_warning_comes_two_minutes_before_the_end_and_one_can_go_on(page_as: Callable[..., Page]) -> None:
    """WCAG 2.2.1: at least two minutes, and one press extends."""
    page = page_as("al-sos")
    page.clock.install()
    page.goto("/inloggningar")
    note = page.get_by_role("alert")
    page.clock.fast_forward("12:50")
    expect(note).to_be_hidden()
    page.clock.fast_forward("00:15")
    expect(note).to_be_visible()
    assert_accessible(page)
    page.get_by_role("button", name="Fortsätt vara inloggad").click()
    expect(note).to_be_hidden()
    page.clock.fast_forward("16:00")
    expect(note).to_contain_text("Du är utloggad")


@pytest.mark.parametrize(("lang", "title"), [("sv", "Sidan finns inte"), ("en", "The page does not exist")])
@pytest.mark.parametrize("width", [320, 1280])
def test_a_page_that_is_not_there_says_what_to_do(
    page_as: Callable[..., Page], lang: str, title: str, width: int
) -> None:
    page = page_as("al-sos", lang=lang, viewport={"width": width, "height": 700})
    page.goto("/ingenstans")
    expect(page.get_by_role("heading", level=1)).to_have_text(title)
    assert_accessible(page)
    assert_no_sideways_scroll(page)


def test_the_desk_signs_in_by_one_press_and_renews_its_codes(demo_site: Site, watched: Watched) -> None:
    page = watched.page(demo_site)
    page.clock.install()
    page.goto("/demo")
    code = page.locator("tbody tr").first.locator("[data-label='Kod just nu']")
    before = code.inner_text()
    demo_site.code("al-sos")  # time moves
    page.clock.fast_forward("00:11")
    expect(code).not_to_have_text(before)
    page.get_by_role("button", name="Logga in Enhetschef, Ekeliden").click()
    expect(page.get_by_role("banner")).to_contain_text("Enhetschef, Ekeliden")
    expect(page.get_by_role("note")).to_contain_text("DEMO")


def test_a_double_press_sends_once(page_as: Callable[..., Page]) -> None:
    page = page_as()
    page.goto("/installningar")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    with page.expect_request(lambda request: request.method == "POST"):
        page.get_by_role("button", name="Spara").dblclick()
    page.wait_for_timeout(500)
    assert len(sent) == 1


def test_paper_has_the_marking_and_no_navigation(page_as: Callable[..., Page]) -> None:
    page = page_as("al-sos")
    page.goto("/inloggningar")
    page.emulate_media(media="print")
    expect(page.get_by_text("omfattas av sekretess")).to_be_visible()
    expect(page.get_by_role("banner")).to_be_hidden()
    expect(page.locator("footer")).to_be_hidden()
