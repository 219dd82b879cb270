"""A code for a print and for a file of the log, as people meet it: with and without JavaScript, in both colours."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, assert_accessible, assert_no_sideways_scroll
from tests.browser.examples import by_hand


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_a_person_takes_a_message_out_gives_a_code_and_reads_the_paper_once(
    page_as: Callable[..., Page], site: Site, scheme: str, width: int
) -> None:
    page = page_as("al-sos", scheme=scheme, viewport={"width": width, "height": 800})
    page.goto(by_hand(site, taken=False))
    page.get_by_role("button", name="Ta ut och visa utskriften").click()
    expect(page.locator("h1")).to_have_text("Ange en kod")
    page.get_by_label("Kod").fill("000000")
    page.get_by_role("button", name="Visa utskriften").click()
    expect(page.get_by_role("main")).to_contain_text("Koden stämde inte eller har redan använts")
    assert_accessible(page)
    page.get_by_label("Kod").fill(site.code("al-sos"))
    page.get_by_role("button", name="Visa utskriften").click()
    expect(page.get_by_role("main")).to_contain_text("Kan ni ringa om skolgången?")
    assert_accessible(page)
    assert_no_sideways_scroll(page)
    page.reload()
    expect(page.get_by_role("main")).to_contain_text("Koden är redan använd. Varje kod räcker en gång.")
    assert "skolgången" not in page.content()


def test_without_javascript_the_same_walk_works_and_the_log_s_rows_come_as_a_file(
    page_as: Callable[..., Page], site: Site
) -> None:
    page = page_as("al-sos", java_script_enabled=False)
    page.goto(by_hand(site, taken=True))
    page.get_by_label("Kod").fill(site.code("al-sos"))
    page.get_by_role("button", name="Visa utskriften").click()
    expect(page.get_by_role("main")).to_contain_text("Kan ni ringa om skolgången?")

    log = page_as("gransk", java_script_enabled=False, accept_downloads=True)
    log.goto("/logg?handelse=printed")
    log.get_by_text("Ta ut raderna som fil").click()
    log.get_by_label("Kod", exact=True).fill(site.code("gransk"))
    with log.expect_download() as file:
        log.get_by_role("button", name="Hämta raderna som fil (CSV)").click()
    assert file.value.suggested_filename.endswith(".csv")
