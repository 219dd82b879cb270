"""Mina aviseringar: chosen on a page, told what is wrong, and seen by nobody else."""

from __future__ import annotations

import pytest

from adapters.http.web.notice_page import PATH
from gateway.notice_times import Choice, When
from tests.path.test_noticing import HOME, Box
from tests.path.test_pages import Browser, browser, site

__all__ = ["browser", "site"]
pytestmark = pytest.mark.slow
FIELDS = {"when": "once", "address": "ek-chef@region.example", "quiet_from": "18", "quiet_to": "7", "weekends": "yes"}


@pytest.fixture
async def chief(browser: Browser) -> Browser:
    browser.county.gateway.noticing.connect(Box())
    await browser.sign_in("ek-chef")
    return browser


async def _choice(chief: Browser) -> Choice:
    user = await chief.county.store.user_by_login("ek-chef")
    assert user is not None
    return await chief.county.gateway.noticing.choice(user)


async def test_a_choice_is_kept_and_shown_again(chief: Browser) -> None:
    page = await chief.get(PATH)
    away = {"away_from": "2026-07-01", "away_to": "2026-07-31", "language": "en"}
    reply = await chief.post(PATH, {"_csrf": page.token, **FIELDS, **away})
    assert (reply.status, reply.headers["Location"]) == (303, f"{PATH}?klart=ja")
    kept = await _choice(chief)
    assert (kept.when, kept.quiet_from, kept.quiet_to, kept.weekends) == (When.ONCE, 18 * 60, 7 * 60, True)
    again = (await chief.get(f"{PATH}?klart=ja")).text
    assert "Dina val är sparade." in again
    for told in ("ek-chef@region.example", "2026-07-31", '<option value="18" selected>'):
        assert told in again


async def test_what_is_wrong_is_told_beside_its_field_and_what_was_written_stays(chief: Browser) -> None:
    page = await chief.get(PATH)
    reply = await chief.post(
        PATH, {"_csrf": page.token, **FIELDS, "address": "ingen adress", "away_from": "2026-07-01"}
    )
    assert reply.status == 422
    assert "2 fel behöver rättas" in reply.text
    assert 'value="ingen adress"' in reply.text
    assert await _choice(chief) == Choice()


async def test_values_that_no_form_has_are_taken_as_no_choice(chief: Browser) -> None:
    page = await chief.get(PATH)
    await chief.post(PATH, {"_csrf": page.token, "when": "<b>", "quiet_from": "99", "digest_at": "²", "language": "xx"})
    assert await _choice(chief) == Choice(digest_at=0, quiet_from=0, quiet_to=0)


async def test_a_private_address_is_said_to_be_told_less(chief: Browser) -> None:
    page = await chief.get(PATH)
    await chief.post(PATH, {"_csrf": page.token, **FIELDS, "address": HOME})
    assert "nämner varken inkorg eller länk" in (await chief.get(PATH)).text


async def test_a_gateway_without_mail_says_so(browser: Browser) -> None:
    await browser.sign_in("ek-chef")
    assert "skickar inga aviseringar" in (await browser.get(PATH)).text
