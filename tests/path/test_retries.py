"""Trying again what did not arrive: the same envelope, when the way is put right (docs/channels.md §2.5)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import AsyncIterator

import pytest

from adapters.http.server import application, listening
from adapters.http.web import NAV
from adapters.http.web.frame import Web
from gateway.errors import ConflictError, NotFoundError
from gateway.model.base import DAY, MINUTE, DeliveryId, EnvelopeId, MessageId
from gateway.model.path import Channel, Delivery
from gateway.neighbours import AGAIN, ENDED_IN_SWEDISH, IN_SWEDISH, Reason, Telling, Told
from gateway.retries import ENDED, last_ended
from gateway.sessions import Signed
from gateway.states import DeliveryState
from tests.contracts.test_store import a_delivery
from tests.county import ALVESTA, SEAT_E, SEAT_N, VAXJO
from tests.neighbours import WIRE, Pair, a_pair
from tests.path.test_case_pages import submit
from tests.path.test_pages import TABLE, Browser, a_browser

pytestmark = pytest.mark.slow


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with a_pair() as found:
        yield found


async def refused(pair: Pair, reason: Reason) -> tuple[Signed, MessageId, EnvelopeId]:
    """A referral to both seats, outside; what goes to Ekeliden ends for `reason`, what goes to Novus arrives."""
    worker = await pair.first.sign_in("al-sos")
    case, _ = await pair.first.consented_case(worker)
    message = (await pair.first.send_referral(worker, case.id)).message
    envelope = await pair.first.envelope(SEAT_E, message)
    await pair.first.gateway.channels.run_once(WIRE)
    pair.two.waiting = [one for one in pair.two.waiting if one.id != envelope]
    pair.one.outcomes[envelope] = Told(Telling.REFUSED, reason, envelope)
    await pair.exchange()
    return worker, message, envelope


async def of(pair: Pair, message: MessageId, envelope: EnvelopeId) -> list[Delivery]:
    return [row for row in await pair.first.store.deliveries_of(message) if row.envelope == envelope]


@pytest.mark.parametrize("reason", [Reason.UNREACHABLE, Reason.CERTIFICATE])
async def test_what_ended_for_the_way_is_tried_again_as_the_same_envelope_and_arrives(
    pair: Pair, reason: Reason
) -> None:
    worker, message, envelope = await refused(pair, reason)
    [ended] = await of(pair, message, envelope)
    assert (ended.state, ended.reason) == (DeliveryState.FAILED, str(reason))
    made = await pair.first.gateway.retries.again(worker, ALVESTA, message, envelope)
    assert (made.envelope, made.channel, made.state, made.attempts) == (envelope, Channel.SDK, DeliveryState.QUEUED, 0)
    del pair.one.outcomes[envelope]  # the neighbour has forgotten what it refused
    await pair.exchange()
    assert sorted(row.state for row in await of(pair, message, envelope)) == ["delivered", "failed"]
    assert pair.one.carried.count(envelope) == 2
    arrived = [row for row in await pair.second.store.envelopes_of(message) if row.inbox == SEAT_E]
    assert len(arrived) == 1
    log = await pair.first.store.logs()
    sides = await pair.first.store.sides_page(
        log[0], action="retried", administration="", object="", before=10**9, limit=10
    )
    assert [side.object for side in sides] == [envelope]


@pytest.mark.parametrize("reason", sorted(set(Reason) - {Reason.NONE}))
@pytest.mark.parametrize("state", sorted(ENDED))
def test_only_what_can_be_put_right_is_offered_to_be_tried_again(reason: Reason, state: DeliveryState) -> None:
    row = dataclasses.replace(a_delivery(state=state), channel=Channel.SDK, reason=str(reason))
    assert (last_ended([row], row.envelope) is not None) == (reason in AGAIN)
    for other in set(DeliveryState) - ENDED:
        second = dataclasses.replace(row, id=DeliveryId("second"), state=other)
        assert last_ended([row, second], row.envelope) is None, other
    inside = dataclasses.replace(row, channel=Channel.LOCAL)
    assert (last_ended([inside], row.envelope) is not None) == (reason is Reason.FAULT)
    assert last_ended([row], EnvelopeId("another")) is None


async def test_what_is_wrong_with_the_message_is_not_tried_again(pair: Pair) -> None:
    worker, message, envelope = await refused(pair, Reason.TYPE)
    with pytest.raises(ConflictError, match="lies in the message"):
        await pair.first.gateway.retries.again(worker, ALVESTA, message, envelope)
    assert len(await of(pair, message, envelope)) == 1


async def test_what_is_on_its_way_or_has_arrived_is_not_sent_twice(pair: Pair) -> None:
    worker, message, envelope = await refused(pair, Reason.UNREACHABLE)
    again = pair.first.gateway.retries.again
    other = await pair.first.envelope(SEAT_N, message)
    with pytest.raises(ConflictError, match="arrived"):
        await again(worker, ALVESTA, message, other)
    await again(worker, ALVESTA, message, envelope)
    with pytest.raises(ConflictError, match="on its way"):
        await again(worker, ALVESTA, message, envelope)
    assert len(await of(pair, message, envelope)) == 2


async def test_nothing_new_rests_on_a_consent_that_ended(pair: Pair) -> None:
    """GDPR Art. 7(3); and a withdrawal after the retry finds the new delivery as it found the first."""
    worker, message, envelope = await refused(pair, Reason.UNREACHABLE)
    gateway = pair.first.gateway
    made = await gateway.retries.again(worker, ALVESTA, message, envelope)
    [consent] = await pair.first.store.consents_under(envelope)
    assert made.id in {row.id for row in await pair.first.store.deliveries_resting_on(consent.id)}
    await gateway.consents.withdraw(worker, ALVESTA, consent.id)
    states = {row.id: row.state for row in await of(pair, message, envelope)}
    assert states[made.id] is DeliveryState.CANCELLED
    with pytest.raises(ConflictError):
        await gateway.retries.again(worker, ALVESTA, message, envelope)


async def test_a_consent_that_ended_after_the_failure_stops_the_retry(pair: Pair) -> None:
    worker, message, envelope = await refused(pair, Reason.UNREACHABLE)
    [consent] = await pair.first.store.consents_under(envelope)
    await pair.first.gateway.consents.withdraw(worker, ALVESTA, consent.id)
    with pytest.raises(ConflictError, match="consent"):
        await pair.first.gateway.retries.again(worker, ALVESTA, message, envelope)
    assert len(await of(pair, message, envelope)) == 1


async def test_after_the_time_that_the_sender_signed_it_is_sent_as_a_new_message(pair: Pair) -> None:
    _, message, envelope = await refused(pair, Reason.UNREACHABLE)
    pair.first.clock.advance((pair.first.gateway.forms.get("placement_referral", 1).ttl_days + 1) * DAY)
    worker = await pair.first.sign_in("al-sos")
    with pytest.raises(ConflictError, match="time has ended"):
        await pair.first.gateway.retries.again(worker, ALVESTA, message, envelope)


async def test_nobody_tries_another_inbox_s_message_again(pair: Pair) -> None:
    _, message, envelope = await refused(pair, Reason.UNREACHABLE)
    stranger = await pair.first.sign_in("vx-sos") if await pair.first.store.user_by_login("vx-sos") else None
    worker = await pair.first.sign_in("al-sos")
    if stranger is not None:
        with pytest.raises(NotFoundError):
            await pair.first.gateway.retries.again(stranger, VAXJO, message, envelope)
    with pytest.raises(NotFoundError):
        await pair.first.gateway.retries.again(worker, ALVESTA, message, EnvelopeId("none"))


def test_every_reason_has_its_words_and_none_of_those_that_ended_says_that_it_goes_on() -> None:
    assert set(IN_SWEDISH) == set(ENDED_IN_SWEDISH) == set(Reason) - {Reason.NONE}
    for happened, then in ENDED_IN_SWEDISH.values():
        assert happened.endswith(".")
        assert then.endswith(".")
        assert "Systemet försöker igen" not in then


# --- the pages -------------------------------------------------------------------------------------------------------


@pytest.fixture
async def pages(pair: Pair) -> AsyncIterator[Browser]:
    gateway = pair.first.gateway
    app = application(gateway, TABLE, Web(gateway, TABLE, NAV))
    async with listening(app, "127.0.0.1", 0) as address:
        made = a_browser(address, pair.first)
        async with made.http:
            yield made


async def test_the_sender_reads_what_happened_and_what_to_do_and_tries_again_by_one_press(
    pair: Pair, pages: Browser
) -> None:
    _, message, envelope = await refused(pair, Reason.UNREACHABLE)
    row = await pair.first.store.get(Delivery, (await of(pair, message, envelope))[0].id)
    assert row is not None
    await pages.sign_in("al-sos")
    [case] = {one.case for one in await pair.first.store.envelopes_of(message)}
    path = f"/arenden/{case}/skickat/{message}"
    page = await pages.get(path)
    assert "Mottagarens system svarade inte." in page.text
    assert "Försök igen när systemet svarar." in page.text
    assert page.text.count(f'action="{path}/igen"') == 1  # Novus has it
    done = await submit(pages, f"{path}/igen", [("kuvert", envelope)], page)
    assert done.status == 303
    page = await pages.get(done.headers["Location"])
    assert "skickas en gång till" in page.text
    assert f'action="{path}/igen"' not in page.text
    assert "uppdraget kom inte fram" not in (await pages.get("/arenden")).text


async def test_what_lies_in_the_message_has_its_words_and_no_button(pair: Pair, pages: Browser) -> None:
    _, message, _ = await refused(pair, Reason.TYPE)
    await pages.sign_in("al-sos")
    [case] = {one.case for one in await pair.first.store.envelopes_of(message)}
    page = await pages.get(f"/arenden/{case}/skickat/{message}")
    assert "Mottagaren tar inte emot filtypen." in page.text
    assert "Spara bilagan som PDF" in page.text
    assert "/igen" not in page.text


async def test_what_waits_says_why_it_waits(pair: Pair, pages: Browser) -> None:
    worker = await pair.first.sign_in("al-sos")
    case, _ = await pair.first.consented_case(worker)
    message = (await pair.first.send_referral(worker, case.id)).message
    pair.one.away = 99
    await pair.first.gateway.channels.run_once(WIRE)
    await pages.sign_in("al-sos")
    page = await pages.get(f"/arenden/{case.id}/skickat/{message}")
    assert "Mottagarens system svarar inte. Systemet försöker igen." in re.sub(r"\s+", " ", page.text)


async def test_the_operator_sees_each_channel_in_words_and_nothing_of_what_it_carries(
    pair: Pair, pages: Browser
) -> None:
    _, message, envelope = await refused(pair, Reason.MALWARE)
    pair.one.away, pair.one.left = 99, {"arrival-1": Reason.UNTRUSTED}
    worker = await pair.first.sign_in("al-sos")
    case, _ = await pair.first.consented_case(worker)
    await pair.first.send_referral(worker, case.id)
    for _ in range(5):
        await pair.first.gateway.channels.run_once(WIRE)
        pair.first.clock.advance(MINUTE)
    await pages.sign_in("it")
    page = await pages.get("/drift/kanaler")
    assert page.status == 200
    for said in (
        "En bilaga stoppades av viruskontrollen.",
        "Avsändaren finns inte i adressboken.",
        "Mottagarens system svarar inte.",
        "Används inte: Säker e-post",
    ):
        assert said in page.text, said
    main = page.text[page.text.find("<main") :]
    for secret in (message, envelope, "arrival-1", case.reference):
        assert secret not in main
    journey = await pages.get(f"/drift/meddelanden/{message}")
    assert "En bilaga stoppades av viruskontrollen." in journey.text


async def test_an_inbox_that_nobody_fetches_stands_on_the_operator_s_pages_by_its_function(
    pair: Pair, pages: Browser
) -> None:
    worker = await pair.first.sign_in("al-sos")
    case, _ = await pair.first.consented_case(worker)
    sent = await pair.first.send_referral(worker, case.id)
    await pair.exchange()
    region = pair.second
    ekeliden = await region.sign_in("ek-chef")
    await region.open(ekeliden, SEAT_E, sent.message)
    proposal = await region.gateway.answers.propose(ekeliden, SEAT_E, sent.message, region.answer())
    await region.deliver()
    await region.gateway.answers.confirm(await region.sign_in("no-chef"), SEAT_N, proposal.message)
    await pair.exchange()
    pair.first.clock.advance(4 * DAY)
    await pages.sign_in("it")
    assert "En inkorg har arbete som ingen har öppnat" in (await pages.get("/drift/meddelanden")).text
    page = await pages.get("/drift/kanaler")
    assert "Inkorgar som ingen hämtar" in page.text
    name = (await pair.first.gateway.directory.current()).inbox(ALVESTA).name
    assert name in page.text
