"""Whom the pages offer: what takes the form, in groups that a tired eye tells apart; and what is said when it fails."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import AsyncIterator

import pytest

from adapters.http.server import application, listening
from adapters.http.web import NAV
from adapters.http.web.frame import Web
from gateway.demo_outside import (
    AWAY,
    FUNCTIONS,
    INPATIENT,
    OPEN_CARE,
    PAPER,
    PARTICIPANT,
    Function,
    Outside,
    with_outside,
)
from gateway.forms.names import MESSAGE, REFERRAL
from gateway.model.base import InboxId
from gateway.model.path import Case, Channel, Message
from gateway.neighbours import Reason, Remarks, Telling, Told
from gateway.recipients import choices
from tests.county import ALVESTA, County, a_county
from tests.neighbours import Wire, an_arrival, seen_from
from tests.path.test_by_hand_pages import seen
from tests.path.test_pages import TABLE, Browser, a_browser

TEXT = {"text": "Kan ni ta emot en kontakt?", "categories": ["NEED"]}


class Refusing(Wire):
    """A neighbour that takes nothing, and says why."""

    reason = Reason.NOT_FOUND

    async def hand_over(self, parcel: object) -> Told:
        return Told(Telling.REFUSED, self.reason)


@pytest.fixture
async def county() -> AsyncIterator[County]:
    async with a_county(directory=with_outside()) as opened:
        yield opened


@pytest.fixture
async def worker(county: County) -> AsyncIterator[Browser]:
    app = application(county.gateway, TABLE, Web(county.gateway, TABLE, NAV))
    async with listening(app, "127.0.0.1", 0) as address:
        made = a_browser(address, county)
        async with made.http:
            await made.sign_in("al-sos")
            yield made


async def _written(county: County, *to: Function) -> tuple[str, str]:
    """A case with a consent for the counterpart and a message to some of it, handed over; the case, a new draft."""
    signed = await county.sign_in("al-sos")
    case = await county.gateway.cases.open(signed, ALVESTA)
    outside = Outside(county.gateway, county.clock.advance, lambda *_: None)
    await outside.consent(signed, case)
    for one in to:
        await outside.write(signed, case, one)
    while await county.gateway.outbox.run_once():
        pass
    if Channel.SDK in county.gateway.channels.neighbours:
        await county.gateway.channels.run_once(Channel.SDK)
    draft = await county.gateway.drafts.create(signed, ALVESTA, case.id, MESSAGE, 1, TEXT)
    return str(case.id), str(draft.id)


async def test_a_message_can_go_outside_and_a_referral_to_boards_alone(county: County) -> None:
    directory = await county.gateway.directory.current()
    case = await county.gateway.cases.open(await county.sign_in("al-sos"), ALVESTA)
    offered = choices(directory, ALVESTA, MESSAGE, case)
    assert [one.id for one in offered[:1]] == ["remissgrupp"]
    assert {one.id for one in offered[1:]} == {one.id for one in FUNCTIONS}
    assert {one.group for one in offered[1:]} == {"Motparten (låtsad)"}
    assert [one.id for one in choices(directory, ALVESTA, REFERRAL, case)] == ["remissgrupp"]


async def test_neither_a_seat_alone_nor_an_inbox_of_this_gateway_is_offered_as_outside() -> None:
    """A board is asked as a board, and inside only what the case may go to is offered (design.md §2)."""
    async with a_county(directory=seen_from(("alvesta.ifo",))) as county:
        directory = await county.gateway.directory.current()
        case = await county.gateway.cases.open(await county.sign_in("al-sos"), ALVESTA)
        offered = choices(directory, ALVESTA, MESSAGE, case)
    outside = {one.id for one in offered if one.group}
    assert "region.imbm" in outside and "ekeliden.enhet" in outside
    assert not {one for one in outside if one.startswith(("seat.", "alvesta."))}
    assert [one.group for one in offered] == sorted(one.group for one in offered)


@pytest.mark.slow
async def test_the_page_says_organisation_function_way_and_secrecy_and_who_is_in_the_case_stands_first(
    county: County, worker: Browser
) -> None:
    """ux.md 16."""
    _, draft = await _written(county, OPEN_CARE)
    page = await worker.get(f"/utkast/{draft}/mottagare")
    shown = seen(page)
    inside, outside = shown.split("Utanför Sambud: Motparten (låtsad)")
    assert "Remissgruppen" in inside and "2 personer kan öppna" in inside and "låtsad" not in inside
    assert "Motparten (låtsad) → Öppenvården (svarar). Lämnar Sambud och går över SDK." in outside
    assert "Hälso- och sjukvårdens sekretess gäller hos mottagaren (25 kap. OSL)." in outside
    assert "går över SDK. Går det inte fram: Utskrift och överlämning." in outside
    assert "Nås inte elektroniskt" in outside.split(PAPER.name)[2]
    assert outside.count("Finns redan i det här ärendet.") == 1
    assert outside.strip().startswith(OPEN_CARE.name)
    assert "checked" not in page.text


@pytest.mark.slow
async def test_without_a_consent_that_names_it_a_function_outside_gets_nothing(county: County, worker: Browser) -> None:
    signed = await county.sign_in("al-sos")
    case = await county.gateway.cases.open(signed, ALVESTA)
    draft = await county.gateway.drafts.create(signed, ALVESTA, case.id, MESSAGE, 1, TEXT)
    page = await worker.get(f"/utkast/{draft.id}/granska?till={OPEN_CARE.id}")
    assert "Får inte lämnas" in page.text and "Skicka till" not in page.text


async def _arrived(county: County, wire: Wire) -> tuple[Case, Message]:
    """A letter from the counterpart, which names no person and no matter: only that it is confidential."""
    letter = an_arrival(recipient=ALVESTA, sender=ALVESTA, remarks=Remarks(confidential=True))
    wire.waiting.append(dataclasses.replace(letter, sender=f"{PARTICIPANT}#{OPEN_CARE.sdk}"))
    await county.gateway.arriving.taken_in(wire)
    [case] = await county.store.cases_of(ALVESTA, after=None, limit=10)
    [came] = await county.store.messages_of(case.id, limit=10)
    return case, came


@pytest.mark.slow
async def test_a_letter_that_names_nobody_and_no_matter_can_be_read(county: County, worker: Browser) -> None:
    wire = Wire()
    county.gateway.channels.connect(wire)
    case, came = await _arrived(county, wire)
    [envelope] = await county.store.envelopes_of(came.id)
    page = await worker.get(f"/arenden/{case.id}/las/{envelope.id}")
    assert page.status == 200
    assert "Innehållet omfattas av sekretess." in page.text and "Ställt till" not in page.text


@pytest.mark.slow
async def test_who_is_answered_is_chosen_already_and_nobody_else(county: County, worker: Browser) -> None:
    wire = Wire()
    county.gateway.channels.connect(wire)
    case, came = await _arrived(county, wire)
    signed = await county.sign_in("al-sos")
    draft = await county.gateway.drafts.create(signed, ALVESTA, case.id, MESSAGE, 1, TEXT)
    page = await worker.get(f"/utkast/{draft.id}/mottagare?svar={came.id}")
    [chosen] = re.findall(r'value="([^"]+)" checked', page.text)
    assert chosen == OPEN_CARE.id
    nobody = await worker.get(f"/utkast/{draft.id}/mottagare?svar=finns-inte")
    assert nobody.status == 200 and "checked" not in nobody.text


@pytest.mark.slow
async def test_what_did_not_arrive_is_told_by_recipient_and_leads_to_trying_again(
    county: County, worker: Browser
) -> None:
    """ux.md 27. A later message to somebody else does not hide it; a later one to the same recipient does."""
    county.gateway.channels.connect(Refusing())
    case, _ = await _written(county, INPATIENT, PAPER)
    shown = seen(page := await worker.get(f"/arenden/{case}"))
    assert f"Kom inte fram till {INPATIENT.name} Adressen finns inte hos mottagaren." in shown
    assert "Kontrollera adressen i adressboken" in shown and "Se utskicket" in shown and "försök igen" not in shown
    assert "Inte öppnat än" not in shown, "outside nobody tells us when it is opened"
    [where] = re.findall(r'href="(/arenden/[^"]+/skickat/[^"]+)">Se utskicket', page.text)
    assert "Kontrollera adressen i adressboken" in seen(await worker.get(where))


@pytest.mark.slow
async def test_what_ended_for_the_way_can_be_tried_again_from_the_case(county: County, worker: Browser) -> None:
    wire = Refusing()
    wire.reason = Reason.NO_RECEIPT
    county.gateway.channels.connect(wire)
    case, _ = await _written(county, OPEN_CARE)
    page = await worker.get(f"/arenden/{case}")
    [where] = re.findall(r'href="(/arenden/[^"]+/skickat/[^"]+)">Se utskicket och försök igen', page.text)
    again = await worker.get(where)
    assert "kom inte fram till någon" in again.text
    assert f"{where}/igen" in again.text


async def test_the_way_after_the_first_is_a_persons(county: County) -> None:
    directory = await county.gateway.directory.current()
    ways = [route.channel for route in directory.ways_to(InboxId(AWAY.id))]
    assert ways == [Channel.SDK, Channel.HANDOVER]
