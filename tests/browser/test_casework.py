"""From my cases to the confirmation as a person does it: keyboard alone, without JavaScript, with a network that fails."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from gateway.forms.demo import demo_referral
from gateway.model.base import SECOND
from tests.browser.casework_examples import at
from tests.browser.conftest import Site, assert_accessible, assert_no_sideways_scroll
from tests.county import ALVESTA

GOAL = 35


def a_case(site: Site, *, consent: bool = True) -> str:
    """A case of al-sos; its address."""

    async def made() -> str:
        worker = await site.county.sign_in("al-sos")
        if consent:
            return str((await site.county.consented_case(worker))[0].id)
        return str((await site.county.gateway.cases.open(worker, ALVESTA)).id)

    return f"/arenden/{site.run(made())}"


def a_draft(site: Site) -> str:
    """A whole referral that waits to be sent; its address."""

    async def made() -> str:
        worker = await site.county.sign_in("al-sos")
        case, _ = await site.county.consented_case(worker)
        values = demo_referral(site.county.today)
        draft = await site.county.gateway.drafts.create(worker, ALVESTA, case.id, "placement_referral", 1, values)
        return f"/utkast/{draft.id}"

    return site.run(made())


#: What a practised worker answers, section by section: what is asked for and has no answer ready.
def answers(site: Site) -> list[list[tuple[str, str]]]:
    start = (site.county.today + timedelta(days=14)).isoformat()
    return [
        [("text:wanted_start", start)],
        [
            ("text:individual_name", "Testperson Exempel"),
            ("text:identity_number/value", "19900602-2397"),
            ("age_group", "35-49"),
        ],
        [
            ("legal_ground", "SOL_11_1"),
            ("lvm_investigation", "nej"),
            ("accepts_treatment", "YES"),
            ("external_now", "nej"),
            ("safety_flag", "NONE"),
        ],
        [("has_children", "NO")],
        [
            ("text:need_summary", "Behöver struktur i vardagen."),
            ("need_areas", "STRUCTURE"),
            ("substances", "ALCOHOL"),
            ("motivation", "PRESENT"),
            ("text:individual_wishes", "Vill bo nära naturen."),
        ],
        [("hsl_need_level", "LOW"), ("detox_status", "DONE")],
        [("study_visit_wish", "ja")],
        [("protected_identity", "NONE"), ("individual_informed", "ja")],
    ]


@dataclass
class Hands:
    """Clicks and fills, and counts them: one answer, one press of a button or link is one."""

    page: Page
    counted: int = 0
    pressed: list[str] = field(default_factory=list)

    def press(self, name: str, role: str = "button") -> None:
        self.page.get_by_role(role, name=name, exact=True).first.click()  # type: ignore[arg-type]
        self.count(name)

    def answer(self, name: str, value: str) -> None:
        if name.startswith("text:"):
            self.page.locator(f'[name="{name[5:]}"]').fill(value)
        else:
            self.page.locator(f'[name="{name}"][value="{value}"]').check()
        self.count(name)

    def count(self, name: str) -> None:
        self.counted += 1
        self.pressed.append(name)


@pytest.mark.parametrize("script", [True, False])
def test_a_practised_worker_sends_in_few_steps_with_and_without_javascript(
    page_as: Callable[..., Page], site: Site, script: bool
) -> None:
    where = a_case(site)
    page = page_as("al-sos", java_script_enabled=script)
    page.goto("/arenden")
    hands = Hands(page)
    page.locator(f'a[href="{where}"]').last.click()
    hands.count("the case")
    hands.press("Skriv uppdraget")
    for section in answers(site):
        for name, value in section:
            hands.answer(name, value)
        hands.press("Spara och fortsätt")
    expect(page.get_by_role("heading", level=1)).to_have_text("Vem ska ha det?")
    hands.press("Fortsätt till granskning")
    expect(page.get_by_text("Det här lämnas inte")).to_be_visible()
    page.get_by_label("Nej", exact=True).check()
    hands.count("jäv")
    hands.press("Skicka till Remissgruppen")
    expect(page.get_by_role("heading", level=1)).to_have_text("Skickat")
    print(f"interactions, JavaScript {'on' if script else 'off'}: {hands.counted}")
    assert hands.counted <= GOAL, hands.pressed
    hands.press("Ångra")
    expect(page.get_by_text("Utskicket är ångrat")).to_be_visible()


def test_the_whole_sending_goes_by_keyboard_alone(page_as: Callable[..., Page], site: Site) -> None:
    where = a_case(site)
    page = page_as("al-sos")
    page.goto(where)
    keys = 0

    def to(selector: str) -> None:
        nonlocal keys
        target = page.locator(selector).first
        for _ in range(120):
            if target.evaluate("e => e === document.activeElement"):
                return
            page.keyboard.press("Tab")
            keys += 1
        raise AssertionError(f"{selector} is not reached by Tab")

    def press(text: str) -> None:
        to(f'main button:text-is("{text}"), main a:text-is("{text}")')
        outline = page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)")
        assert outline >= 2
        with page.expect_navigation():
            page.keyboard.press("Enter")

    def choose(name: str, value: str) -> None:
        """To the group with Tab, then along it with the arrows, as a browser has it."""
        kind = page.locator(f'[name="{name}"]').first.get_attribute("type")
        if kind == "checkbox":
            to(f'[name="{name}"][value="{value}"]')
            page.keyboard.press("Space")
            return
        to(f'[name="{name}"]')
        page.keyboard.press("Space")
        for _ in range(12):
            if page.evaluate("document.activeElement.value") == value:
                return
            page.keyboard.press("ArrowDown")
        raise AssertionError(f"{name} has no {value}")

    press("Skriv uppdraget")
    for section in answers(site):
        for name, value in section:
            if name.startswith("text:"):
                to(f'[name="{name[5:]}"]')
                page.keyboard.type(value)
            else:
                choose(name, value)
        press("Spara och fortsätt")
    press("Fortsätt till granskning")
    choose("jav", "nej")
    press("Skicka till Remissgruppen")
    expect(page.get_by_role("heading", level=1)).to_have_text("Skickat")
    print(f"Tab pressed {keys} times")


def test_what_one_writes_is_saved_within_five_seconds_and_is_there_in_another_window(
    page_as: Callable[..., Page], site: Site
) -> None:
    where = a_draft(site) + "/need"
    page = page_as("al-sos")
    page.goto(where)
    with page.expect_response("**/spara/need", timeout=5000):
        page.get_by_label("Sammanfattad behovsbedömning").fill("Behöver lugn och ro")
    expect(page.locator(".save-state")).to_have_text(re.compile(r"Sparat \d\d:\d\d"), timeout=6000)
    again = page_as("al-sos")
    again.goto(where)
    expect(again.get_by_label("Sammanfattad behovsbedömning")).to_have_value("Behöver lugn och ro")
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0

    page.get_by_label("Sammanfattad behovsbedömning").fill("Behöver lugn, ro och struktur")
    page.goto("/arenden")  # at once: it is saved on the way out
    page.wait_for_timeout(500)
    again.goto(where)
    expect(again.get_by_label("Sammanfattad behovsbedömning")).to_have_value("Behöver lugn, ro och struktur")


def test_a_lost_network_is_told_the_text_stays_and_is_saved_when_it_is_back(
    page_as: Callable[..., Page], site: Site
) -> None:
    page = page_as("al-sos")
    page.goto(a_draft(site) + "/need")
    page.route("**/spara/**", lambda route: route.abort())
    text = page.get_by_label("Sammanfattad behovsbedömning")
    text.fill("Skrivet på tåget")
    expect(page.locator(".save-state")).to_contain_text("Ingen kontakt med Sambud", timeout=6000)
    expect(text).to_have_value("Skrivet på tåget")
    page.unroute("**/spara/**")
    expect(page.locator(".save-state")).to_have_text(re.compile(r"Sparat \d\d:\d\d"), timeout=8000)


def test_after_signing_in_again_elsewhere_the_page_saves_what_it_holds(
    page_as: Callable[..., Page], site: Site
) -> None:
    """WCAG 2.2.5: nothing is lost when the session ends while one writes."""
    page = page_as("al-sos")
    page.goto(a_draft(site) + "/need")
    page.context.clear_cookies(name="__Host-sambud")
    page.get_by_label("Sammanfattad behovsbedömning").fill("Skrivet efter att sessionen tog slut")
    expect(page.locator(".save-state")).to_contain_text("Du är utloggad", timeout=6000)
    cookie = {"name": "__Host-sambud", "value": site.token("al-sos"), "url": site.address.replace("http:", "https:")}
    page.context.add_cookies([{**cookie, "secure": True, "httpOnly": True, "sameSite": "Lax"}])  # type: ignore[list-item]
    expect(page.locator(".save-state")).to_have_text(re.compile(r"Sparat \d\d:\d\d"), timeout=20_000)


def test_back_in_the_browser_shows_what_was_written(page_as: Callable[..., Page], site: Site) -> None:
    page = page_as("al-sos")
    page.goto(a_draft(site) + "/children")
    page.get_by_label("Kontakt på barn och familj (funktion)").fill("Mottagningen")
    page.get_by_role("button", name="Spara och fortsätt").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Behov")
    page.go_back()
    expect(page.get_by_label("Kontakt på barn och familj (funktion)")).to_have_value("Mottagningen")
    page.get_by_label("Kontakt på barn och familj (funktion)").fill("Mottagningen barn och familj")
    page.get_by_role("button", name="Spara och fortsätt").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Behov")


def test_a_text_of_ten_megabytes_is_told_where_it_stands(page_as: Callable[..., Page], site: Site) -> None:
    page = page_as("al-sos")
    page.goto(a_draft(site) + "/need")
    text = page.get_by_label("Sammanfattad behovsbedömning")
    text.evaluate("e => { e.value = ('x'.repeat(99) + '\\n').repeat(100_000); e.dispatchEvent(new Event('input')) }")
    page.locator("main form.stack").evaluate("form => form.requestSubmit()")
    expect(page.locator(".save-state")).to_contain_text("Texten är för stor")
    assert text.evaluate("e => e.value.length") == 10_000_000


def test_questions_come_and_go_with_their_answer(page_as: Callable[..., Page], site: Site) -> None:
    page = page_as("al-sos")
    page.goto(a_draft(site) + "/ground")
    risk = page.get_by_label("Risk- och säkerhetsfrågor")
    expect(risk).to_be_hidden()
    page.locator('[name="safety_flag"][value="DISCUSS_FIRST"]').check()
    expect(risk).to_be_visible()
    page.goto(page.url.replace("/ground", "/person"))
    expect(page.get_by_label("Varför saknas uppgiften?")).to_be_hidden()
    page.get_by_label("Uppgift saknas").check()
    expect(page.get_by_label("Nummer", exact=True)).to_be_hidden()
    page.get_by_label("Varför saknas uppgiften?").fill("Identiteten är inte fastställd")
    page.get_by_role("button", name="Spara och fortsätt").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Lagrum och läge")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_faults_are_listed_focused_and_lead_to_their_fields(
    page_as: Callable[..., Page], site: Site, scheme: str
) -> None:
    page = page_as("al-sos", scheme=scheme, viewport={"width": 320, "height": 800})
    page.goto(a_case(site, consent=False) + "/samtycke")
    for one in page.locator('[name="enhet"]:visible').all():
        one.uncheck()
    page.get_by_role("button", name="Anteckna samtycket").click()
    expect(page.locator("#felsammanfattning")).to_be_focused()
    assert page.title().startswith("Fel: ")
    assert_accessible(page)
    assert_no_sideways_scroll(page)
    page.locator("#felsammanfattning a").first.click()
    expect(page.locator("#f-enhet")).to_be_focused()


def test_a_no_is_recorded_as_easily_as_a_yes(page_as: Callable[..., Page], site: Site) -> None:
    page = page_as("al-sos")
    page.goto(a_case(site) + "/samtycke")
    page.get_by_role("link", name="Personen säger nej").click()
    page.get_by_label("Hur och när?").fill("Socialsekreteraren, vid besöket")
    page.get_by_role("button", name="Anteckna att personen säger nej").click()
    expect(page.get_by_text("Det är antecknat att personen säger nej.")).to_be_visible()
    expect(page.get_by_text("Återkallat", exact=True)).to_be_visible()


def test_two_presses_send_once(page_as: Callable[..., Page], site: Site) -> None:
    page = page_as("al-sos")
    page.goto(a_draft(site) + "/granska?till=remissgrupp")
    page.get_by_label("Nej", exact=True).check()
    page.get_by_role("button", name="Skicka till Remissgruppen").dblclick()
    expect(page.get_by_role("heading", level=1)).to_have_text("Skickat")
    assert page.locator(".legs > li").count() == 2
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Skickat")


def test_the_seconds_to_undo_are_counted_down_and_end(page_as: Callable[..., Page], site: Site) -> None:
    page = page_as("al-sos")
    page.goto(a_draft(site) + "/granska?till=remissgrupp")
    page.get_by_label("Nej", exact=True).check()
    page.get_by_role("button", name="Skicka till Remissgruppen").click()
    expect(page.get_by_text(re.compile(r"Kan ångras i \d+ sekunder till"))).to_be_visible()
    site.county.clock.advance(8 * SECOND)
    page.reload()
    expect(page.get_by_text("Tiden för att ångra är slut.")).to_be_visible(timeout=5000)
    expect(page.get_by_role("button", name="Ångra")).to_be_hidden()


def test_a_message_is_printed_with_its_secrecy_and_without_navigation(page_as: Callable[..., Page], site: Site) -> None:
    page = page_as("al-sos")
    login, where = at("/arenden/<answered>/las/<answer>")
    assert login == "al-sos"
    page.goto(where(site))
    page.emulate_media(media="print")
    expect(page.locator(".secrecy")).to_be_visible()
    expect(page.get_by_role("navigation")).to_be_hidden()
    expect(page.get_by_text("Svaret är en samordning av plats")).to_be_visible()
    assert b"/StructTreeRoot" in page.pdf(tagged=True)
