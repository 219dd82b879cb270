"""The shared inbox as two people meet it: at once, by keyboard, without JavaScript (ux.md rows 3, 4, 22-24)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from gateway.model.base import SECOND
from tests.browser.conftest import Site, assert_accessible, assert_no_sideways_scroll
from tests.county import SEAT_E, SEAT_N

Window = Callable[..., Page]


def a_referral(site: Site) -> tuple[str, str]:
    """A referral in both seats, and the address of its page in each."""

    async def make() -> tuple[str, str]:
        county = site.county
        worker = await county.sign_in("al-sos")
        case, _ = await county.consented_case(worker)
        sent = await county.send_referral(worker, case.id)
        await county.deliver()
        first, second = [f"/inkorg/{seat}/{await county.envelope(seat, sent.message)}" for seat in (SEAT_E, SEAT_N)]
        return first, second

    return site.run(make())


def deliver(site: Site) -> None:
    site.run(site.county.deliver())


def into(page: Page, site: Site, login: str, address: str) -> None:
    """Open an item; when a code is asked for, give one and come back."""
    page.goto(address)
    if "/kod" in page.url:
        page.get_by_label("Kod").fill(site.code(login))
        page.get_by_role("button", name="Fortsätt").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Uppdragsblankett")


def test_who_reads_and_answers_is_seen_within_two_seconds_and_gone_after_leaving(page_as: Window, site: Site) -> None:
    ours, theirs = a_referral(site)
    chief, other = page_as("ek-chef"), page_as("no-chef")
    into(other, site, "no-chef", theirs)
    other.goto(theirs.rpartition("/")[0])
    row = other.locator(f"#rad-{theirs.rpartition('/')[2]}")
    expect(row.locator(".present")).to_have_text("")
    chief.goto(ours)
    began = time.monotonic()
    expect(row.locator(".present")).to_have_text("Enhetschef, Ekeliden läser", timeout=2000)
    print(f"presence: told after at most {(time.monotonic() - began) * 1000:.0f} ms")
    chief.get_by_role("link", name="Föreslå svar").click()
    expect(row.locator(".present")).to_have_text("Enhetschef, Ekeliden svarar", timeout=2000)
    said = other.locator("#live-said")
    expect(said).to_contain_text("Enhetschef, Ekeliden", timeout=11_000)
    chief.goto("/inloggningar")
    expect(row.locator(".present")).to_have_text("", timeout=3000)


def test_what_happened_while_one_wrote_is_shown_and_the_words_stay(page_as: Window, site: Site) -> None:
    ours, theirs = a_referral(site)
    chief, other = page_as("ek-chef"), page_as("no-chef")
    into(chief, site, "ek-chef", ours)
    into(other, site, "no-chef", theirs)
    chief.get_by_role("link", name="Föreslå svar").click()
    chief.get_by_label("Plats föreslagen på Ekeliden", exact=True).check()
    chief.get_by_label("Motivering").fill("Mina egna ord om behovet.")
    other.get_by_role("button", name="Ta ärendet").click()
    chief.get_by_role("button", name="Skicka förslaget till den andra platsen").click()
    warning = chief.get_by_role("alert").filter(has_text="Det har hänt något")
    expect(warning).to_contain_text("Enhetschef, Novus har tagit ärendet.")
    expect(warning).to_be_focused()
    expect(chief.get_by_label("Motivering")).to_have_value("Mina egna ord om behovet.")
    assert_accessible(chief)
    chief.get_by_role("button", name="Skicka ändå").click()
    expect(chief.get_by_role("status").filter(has_text="Förslaget är skickat")).to_be_visible()


def test_of_two_who_press_take_the_second_is_told_who_was_first(page_as: Window, site: Site) -> None:
    ours, theirs = a_referral(site)
    chief, other = page_as("ek-chef"), page_as("no-chef", viewport={"width": 320, "height": 700})
    for page, address in ((chief, ours), (other, theirs)):
        page.goto(address.rpartition("/")[0])
    chief.locator(f"#rad-{ours.rpartition('/')[2]}").get_by_role("button", name="Ta").click()
    expect(chief.get_by_text("Du har tagit ärendet.")).to_be_visible()
    expect(other.get_by_text("Något har ändrats i inkorgen.")).to_be_visible(timeout=3000)
    other.locator(f"#rad-{theirs.rpartition('/')[2]}").get_by_role("button", name="Ta").click()
    expect(other.get_by_role("alert")).to_contain_text("Enhetschef, Ekeliden hann före")
    assert_accessible(other)
    assert_no_sideways_scroll(other)


def tab_to(page: Page, name: str | re.Pattern[str], role: str = "link") -> None:
    """Tab on until the control has focus; its outline is at least two pixels."""
    wanted = page.get_by_role(role, name=name).first  # type: ignore[arg-type]
    expect(wanted).to_be_visible()
    for _ in range(120):
        page.keyboard.press("Tab")
        if wanted.evaluate("element => element === document.activeElement"):
            outline = page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)")
            assert outline >= 2
            return
    pytest.fail(f"{name} is not reached by Tab")


def test_a_joint_answer_by_keyboard_alone(page_as: Window, site: Site) -> None:
    """ux.md row 3: open, claim, propose; then confirm at the other seat."""
    ours, theirs = a_referral(site)
    chief, other = page_as("ek-chef"), page_as("no-chef")
    into(chief, site, "ek-chef", ours)
    tab_to(chief, "Ta ärendet", "button")
    chief.keyboard.press("Enter")
    expect(chief.get_by_role("status").filter(has_text="Du har tagit ärendet.")).to_be_visible()
    tab_to(chief, "Föreslå svar")
    chief.keyboard.press("Enter")
    expect(chief.get_by_role("heading", level=1)).to_contain_text("Föreslå svar")
    tab_to(chief, "Plats föreslagen på Ekeliden", "radio")
    chief.keyboard.press("Space")
    tab_to(chief, re.compile("Motivering"), "textbox")
    chief.keyboard.type("Behovet motsvarar det som Ekeliden kan ge.")
    tab_to(chief, "Skicka förslaget till den andra platsen", "button")
    chief.keyboard.press("Enter")
    expect(chief.get_by_text("Väntar på Novus i remissgruppen.")).to_be_visible()
    deliver(site)
    into(other, site, "no-chef", theirs)
    tab_to(other, "Läs förslaget och svara")
    other.keyboard.press("Enter")
    tab_to(other, "Bekräfta och skicka till IFO vuxen, Alvesta", "button")
    other.keyboard.press("Enter")
    expect(other.get_by_text("Svaret är bekräftat och skickat.")).to_be_visible()


def test_the_same_without_javascript(page_as: Window, site: Site) -> None:
    """ux.md row 4."""
    ours, theirs = a_referral(site)
    chief = page_as("ek-chef", java_script_enabled=False)
    other = page_as("no-chef", java_script_enabled=False)
    into(chief, site, "ek-chef", ours)
    chief.get_by_role("button", name="Ta ärendet").click()
    chief.get_by_role("link", name="Föreslå svar").click()
    chief.get_by_role("button", name="Skicka förslaget").click()
    expect(chief.get_by_role("alert")).to_contain_text("Välj svar.")
    chief.get_by_label("Plats föreslagen på Novus", exact=True).check()
    chief.get_by_label("Motivering").fill("Novus passar.")
    chief.get_by_role("button", name="Skicka förslaget").click()
    expect(chief.get_by_text("Väntar på Novus i remissgruppen.")).to_be_visible()
    deliver(site)
    into(other, site, "no-chef", theirs)
    expect(other.get_by_text("Enhetschef, Ekeliden läser")).to_be_visible()
    other.get_by_role("link", name="Läs förslaget och svara").click()
    other.get_by_role("button", name=re.compile("Bekräfta och skicka")).click()
    expect(other.get_by_text("Svaret är bekräftat och skickat.")).to_be_visible()


def test_an_item_on_paper_has_its_marking_and_no_buttons(page_as: Window, site: Site) -> None:
    ours, _ = a_referral(site)
    page = page_as("ek-chef")
    into(page, site, "ek-chef", ours)
    page.emulate_media(media="print")
    expect(page.get_by_text("Kan innehålla uppgifter som omfattas av sekretess")).to_be_visible()
    expect(page.get_by_text("Sammanfattad behovsbedömning")).to_be_visible()
    expect(page.get_by_role("navigation")).to_have_count(0)
    expect(page.get_by_role("button")).to_have_count(0)


def test_a_meeting_goes_from_one_item_to_the_next(page_as: Window, site: Site) -> None:
    ours, _ = a_referral(site)
    a_referral(site)
    page = page_as("ek-chef")
    into(page, site, "ek-chef", ours)
    site.county.clock.advance(5 * SECOND)
    page.goto("/inkorg/seat.ekeliden/mote")
    expect(page.get_by_text("Inkorgen är öppen till")).to_be_visible()
    page.get_by_role("link", name="Börja med den första").click()
    expect(page.get_by_role("navigation", name="Mötets ärenden")).to_contain_text("1 genomgångna")
    page.get_by_role("link", name="Nästa", exact=True).click()
    expect(page.get_by_role("navigation", name="Mötets ärenden")).to_contain_text("2 genomgångna")
    assert_accessible(page)
