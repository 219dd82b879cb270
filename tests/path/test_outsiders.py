"""What a party outside can not do: docs/channels.md §3.1."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from adapters.http.server import application, listening
from adapters.http.web import NAV
from adapters.http.web.frame import Web
from gateway.canonical import dumps
from gateway.envelope import endorsement_hash
from gateway.errors import NotFoundError
from gateway.model.base import MINUTE, AdministrationId, InboxId, MessageId
from gateway.model.keys import KeyRecord
from gateway.model.path import Case, Consent, Conversation, Origin, SeatAnswer
from gateway.neighbours import Answer, Arrived, Reason
from gateway.ports import Insert, Work
from gateway.sessions import Signed
from gateway.states import AnswerState, CaseState, ConsentState
from keys.sealing import _ENDORSEMENT
from keys.suites import signing_key, signing_public
from tests.county import ALVESTA, SEAT_E, SEAT_N, County
from tests.neighbours import WIRE, Pair, a_net, a_pair, address_of, proposed_over_the_border
from tests.path.test_pages import TABLE, a_browser

pytestmark = pytest.mark.slow

ANYBODY = """
[[administration]]
id = "okand"
organisation = "VAXJO"
name = "Okänd avsändare"
outside = true
[[unit]]
id = "okand"
administration = "okand"
name = "Okänd avsändare"
secrecy_regime = "OSL_26"
legal_form = "förvaltningsenhet"
[[inbox]]
id = "okand"
unit = "okand"
name = "Okänd avsändare"
kind = "casework"
accepts = ["case_message"]
members = []
[[route]]
inbox = "okand"
channel = "sdk"
address = "*"
"""


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with a_pair() as ready:
        await ready.pin()
        yield ready


def _arrived(county: County, sender: str, recipient: str, conversation: str, data: Mapping[str, Any]) -> Arrived:
    return Arrived(
        channel=WIRE,
        origin=Origin.SDK,
        id=str(uuid.uuid4()),
        sender=address_of(sender),
        recipient=address_of(recipient),
        conversation=conversation,
        replies_to="",
        reference="",
        subject="",
        text="Hej",
        created=county.clock.now(),
        original=dumps(dict(data)),
        data=data,
    )


def _notice(kind: str, about: str, **body: Any) -> dict[str, Any]:
    fields = {"kind": kind, "text": "Se systemet.", **({"about": about} if about else {})}
    return {"form": ["case_notice", 1], "body": {"stage": "S1", "fields": fields, **body}}


async def _conversation(county: County, case: Case, party: str) -> str:
    return next(row.id for row in await county.store.conversations_of(case.id) if row.party == party)


async def _asked(pair: Pair) -> tuple[Signed, Case, MessageId]:
    worker = await pair.first.sign_in("al-sos")
    case, _ = await pair.first.consented_case(worker)
    sent = await pair.first.send_referral(worker, case.id)
    await pair.exchange()
    return worker, case, sent.message


def _told_consent(county: County, identifier: str) -> dict[str, Any]:
    return {
        "id": identifier,
        "valid_from": county.clock.now() - MINUTE,
        "valid_to": county.clock.now() + 90 * 24 * 60 * MINUTE,
        "purposes": ["PLACEMENT_MATCHING"],
        "exchanges": [["alvesta.vuxen", "ekeliden"]],
        "categories": ["SOCIAL"],
        "given_by": "PERSON",
        "manner": "WRITTEN",
        "informed_points": [],
        "excluded": "",
    }


async def test_a_party_that_does_not_own_the_case_plants_no_consent_in_it(pair: Pair) -> None:
    """What our disclosures rest on is told by whose case it is, and by nobody else."""
    _, case, _ = await _asked(pair)
    planted = str(uuid.uuid4())
    data = _notice("RECALL_REQUESTED", "", consents=[_told_consent(pair.first, planted)])
    arrived = _arrived(pair.first, SEAT_E, ALVESTA, await _conversation(pair.first, case, SEAT_E), data)
    assert (await pair.first.gateway.intake.take(arrived)).taken
    assert await pair.first.store.get(Consent, planted) is None

    [mirror] = await pair.second.store.cases_of(InboxId(SEAT_E), after=None, limit=2)
    own = str(uuid.uuid4())
    data = _notice("RECALL_REQUESTED", "", consents=[_told_consent(pair.first, own)])
    conversation = await _conversation(pair.second, mirror, ALVESTA)
    assert (await pair.second.gateway.intake.take(_arrived(pair.second, ALVESTA, SEAT_E, conversation, data))).taken
    assert await pair.second.store.get(Consent, own) is not None


async def test_an_answer_that_the_board_did_not_sign_is_read_and_moves_nothing(pair: Pair) -> None:
    """Design §2: the answer is both authorities'; one alone, or neither, is a message."""
    _, case, referral = await _asked(pair)
    final = await _final_answer(pair, referral)
    whole = json.loads(json.dumps(final.data))
    alone = {**whole, "endorsements": whole["endorsements"][:1]}
    unsigned = {key: one for key, one in whole.items() if key not in {"document", "blind", "endorsements"}}
    for data in (alone, unsigned):
        forged = dataclasses.replace(final, id=str(uuid.uuid4()), data=data, original=dumps(data))
        assert (await pair.first.gateway.intake.take(forged)).taken
        unmoved = await pair.first.store.get(Case, case.id)
        assert unmoved is not None
        assert unmoved.state is CaseState.REQUESTED

    assert (await pair.first.gateway.intake.take(final)).taken
    moved = await pair.first.store.get(Case, case.id)
    assert moved is not None
    assert moved.state is CaseState.MATCHED


async def test_a_signature_under_a_key_that_the_directory_does_not_pin_counts_for_nothing() -> None:
    """docs/channels.md §3.1: anybody can make a key. The answer is a message to read, and says so at the name."""
    async with a_pair() as pair:
        worker, case, referral = await _asked(pair)
        final = await _final_answer(pair, referral)
        assert (await pair.first.gateway.intake.take(final)).taken
        unmoved = await pair.first.store.get(Case, case.id)
        assert unmoved is not None
        assert unmoved.state is CaseState.REQUESTED
        newest = (await pair.first.store.messages_of(case.id, limit=1))[0]
        read = await pair.first.open(worker, ALVESTA, newest.id)
        told = read.opened.body["endorsed_outside"]
        assert [(one["administration"], one["known"]) for one in told] == [  # type: ignore[index,union-attr]
            ("region.hsv", False),
            ("vaxjo.nav", False),
        ]
        await _page_says(pair.first, case.id, newest.id, "(underskrift ej kontrollerad)", 2)


async def test_a_proposal_under_a_key_that_nobody_pins_is_read_and_cannot_be_confirmed() -> None:
    async with a_pair(("vaxjo.nav", "alvesta.ifo")) as pair:
        _, novus, case, proposal = await proposed_over_the_border(pair, pinned=False)
        assert await pair.first.store.answers_of(case.id) == []
        with pytest.raises(NotFoundError):
            await pair.first.gateway.answers.confirm(novus, SEAT_N, proposal)


async def test_the_page_names_who_signed_without_a_remark_when_the_directory_pins_their_keys(pair: Pair) -> None:
    _, case, referral = await _asked(pair)
    final = await _final_answer(pair, referral)
    assert (await pair.first.gateway.intake.take(final)).taken
    newest = (await pair.first.store.messages_of(case.id, limit=1))[0]
    page = await _page_says(pair.first, case.id, newest.id, "(underskrift ej kontrollerad)", 0)
    assert "Underskrivet av" in page
    assert "Region Kronoberg, hälso- och sjukvården" in page


async def _page_says(county: County, case: str, message: str, words: str, times: int) -> str:
    """The case worker's page of a message says `words` so many times."""
    app = application(county.gateway, TABLE, Web(county.gateway, TABLE, NAV))
    [envelope] = [row.id for row in await county.store.envelopes_of(MessageId(message)) if row.inbox == ALVESTA]
    async with listening(app, "127.0.0.1", 0) as address:
        browser = a_browser(address, county)
        async with browser.http:
            await browser.sign_in("al-sos")
            page = await browser.get(f"/arenden/{case}/las/{envelope}")
    assert page.status == 200
    assert page.text.count(words) == times
    return page.text


async def test_an_answer_from_a_seat_that_was_not_asked_moves_nothing(pair: Pair) -> None:
    """Both have signed, and the one who sends it was never asked: a party of the case for another reason."""
    worker = await pair.first.sign_in("al-sos")
    case, _ = await pair.first.consented_case(worker)
    sent = await pair.first.send_referral(worker, case.id, (SEAT_E,))
    await pair.exchange()
    spoken = Conversation(administration=case.administration, channel=WIRE, id="other", party=SEAT_N, case=case.id)
    await pair.first.store.commit(Work(changes=(Insert(spoken),)))
    form = {"form": ["board_response", 1], "answers": sent.message}
    words = {**form, "body": {"stage": "S1", "fields": pair.second.answer()}}
    data = await _signed(words, (pair.second, "region.hsv"), (pair.second, "vaxjo.nav"))
    for sender, conversation, state in (
        (SEAT_N, "other", CaseState.REQUESTED),
        (SEAT_E, await _conversation(pair.first, case, SEAT_E), CaseState.MATCHED),
    ):
        arrived = _arrived(pair.first, sender, ALVESTA, conversation, data)
        assert (await pair.first.gateway.intake.take(arrived)).taken
        now = await pair.first.store.get(Case, case.id)
        assert now is not None
        assert now.state is state


async def _final_answer(pair: Pair, referral: MessageId) -> Arrived:
    """The joint answer as it reaches the case worker's gateway, not yet taken in."""
    second = pair.second
    ekeliden, novus = await second.sign_in("ek-chef"), await second.sign_in("no-chef")
    await second.open(ekeliden, SEAT_E, referral)
    await second.open(novus, SEAT_N, referral)
    proposal = await second.gateway.answers.propose(ekeliden, SEAT_E, referral, second.answer())
    await second.deliver()
    await second.gateway.answers.confirm(novus, SEAT_N, proposal.message)
    await second.deliver()
    await second.gateway.channels.run_once(WIRE)
    [arrived] = pair.one.waiting
    return arrived


async def _confirmed_over_the_border(pair: Pair) -> tuple[SeatAnswer, Arrived]:
    """Ekeliden's proposal as it stands at the region's, and Novus's confirmation on its way there."""
    vaxjo, region = pair.first, pair.second
    _, novus, _, proposal = await proposed_over_the_border(pair)
    await vaxjo.gateway.answers.confirm(novus, SEAT_N, proposal)
    await vaxjo.deliver()
    await vaxjo.gateway.channels.run_once(WIRE)
    row = await region.store.get(SeatAnswer, proposal)
    assert row is not None
    return row, next(one for one in pair.two.waiting if one.data and one.data["form"][0] == "board_response")


async def _signed(data: Mapping[str, Any], *authorities: tuple[County, str]) -> dict[str, Any]:
    """The same answer under a new commitment to its words, truly signed by each of the authorities."""
    sealer = authorities[0][0].gateway.ports.sealer
    commitment, blind = sealer.commit_document(data["body"]["fields"])
    endorsements = []
    for county, name in authorities:
        one = await county.gateway.ports.sealer.endorse(AdministrationId(name), commitment)
        record = await county.store.get(KeyRecord, one.signer)
        assert record is not None
        endorsements.append(
            {"administration": name, "public_key": record.public_key.hex(), "signature": one.signature.hex()}
        )
    return {**data, "document": commitment.hex(), "blind": blind.hex(), "endorsements": endorsements}


def _endorsed(administration: str, document: str, seed: bytes) -> dict[str, str]:
    """A signature under a key that is nobody's."""
    key = signing_key(seed)
    octets = _ENDORSEMENT + endorsement_hash(AdministrationId(administration), bytes.fromhex(document))
    return {
        "administration": administration,
        "public_key": signing_public(seed).hex(),
        "signature": key.sign(octets).hex(),
    }


async def test_a_confirmation_of_other_words_than_we_proposed_decides_nothing() -> None:
    """What both sign is one commitment: under another, the proposal stands as it was."""
    async with a_pair(("vaxjo.nav", "alvesta.ifo")) as pair:
        row, final = await _confirmed_over_the_border(pair)
        assert final.data is not None
        words = json.loads(json.dumps(final.data))
        words["body"]["fields"]["result"] = "NOVUS"
        for signers in (((pair.first, "vaxjo.nav"),), ((pair.first, "vaxjo.nav"), (pair.second, "region.hsv"))):
            data = await _signed(words, *signers)
            other = dataclasses.replace(final, id=str(uuid.uuid4()), data=data, original=dumps(data))
            assert (await pair.second.gateway.intake.take(other)).taken
            assert await pair.second.store.get(SeatAnswer, row.proposal) == row

        data["endorsements"][1] = _endorsed("region.hsv", data["document"], b"2" * 32)
        forged = dataclasses.replace(final, id=str(uuid.uuid4()), data=data, original=dumps(data))
        assert await pair.second.gateway.intake.take(forged) == Answer(Reason.SIGNATURE)  # our own key is known here

        assert (await pair.second.gateway.intake.take(final)).taken
        confirmed = await pair.second.store.get(SeatAnswer, row.proposal)
        assert confirmed is not None
        assert confirmed.state is AnswerState.CONFIRMED


async def test_three_authorities_that_share_no_gateway_agree_on_one_answer() -> None:
    """The seats hold their conversations with who asked; the request's id brings theirs together in one case."""
    async with a_net(("alvesta.ifo",), ("region.hsv",), ("vaxjo.nav",)) as net:
        await net.pin()
        alvesta, region, vaxjo = net.counties
        worker = await alvesta.sign_in("al-sos")
        case, consent = await alvesta.consented_case(worker)
        sent = await alvesta.send_referral(worker, case.id)
        await net.exchange()
        ekeliden, novus = await region.sign_in("ek-chef"), await vaxjo.sign_in("no-chef")
        await region.open(ekeliden, SEAT_E, sent.message)
        await vaxjo.open(novus, SEAT_N, sent.message)
        proposal = await region.gateway.answers.propose(ekeliden, SEAT_E, sent.message, region.answer())
        await net.exchange()

        [mirror] = await vaxjo.store.cases_of(SEAT_N, after=None, limit=3)
        assert mirror.owner == ALVESTA
        withdrawal = _notice("CONSENT_WITHDRAWN", str(consent.id))
        conversation = await _conversation(vaxjo, mirror, SEAT_E)
        arrived = _arrived(vaxjo, SEAT_E, SEAT_N, conversation, withdrawal)
        assert (await vaxjo.gateway.intake.take(arrived)).taken
        kept = await vaxjo.store.get(Consent, consent.id)
        assert kept is not None
        assert kept.state is ConsentState.GIVEN  # the other seat withdraws nothing that the case worker told

        await vaxjo.gateway.answers.confirm(novus, SEAT_N, proposal.message)
        await net.exchange()

        for county, party in ((alvesta, ALVESTA), (region, SEAT_E), (vaxjo, SEAT_N)):
            [moved] = await county.store.cases_of(party, after=None, limit=3)
            assert moved.state is CaseState.MATCHED


async def test_what_is_no_request_to_both_seats_brings_them_together_in_no_case() -> None:
    """Only the referral that both were asked is theirs in common; by a message to one of them the other comes into nothing."""
    async with a_net(("alvesta.ifo",), ("region.hsv",), ("vaxjo.nav",)) as net:
        alvesta, _, vaxjo = net.counties
        worker = await alvesta.sign_in("al-sos")
        case, _ = await alvesta.consented_case(worker)
        sent = await alvesta.send_referral(worker, case.id)
        words = {"text": "En komplettering.", "categories": ["NEED"]}
        draft = await alvesta.gateway.drafts.create(worker, ALVESTA, case.id, "case_message", 1, words)
        message = await alvesta.gateway.sending.send_draft(worker, draft.id, [SEAT_N])
        await net.exchange()
        for named, cases in ((message.message, 2), (sent.message, 2)):
            arrived = _arrived(vaxjo, SEAT_E, SEAT_N, f"om {named}", {"answers": named})
            assert (await vaxjo.gateway.intake.take(arrived)).taken
            assert len(await vaxjo.store.cases_of(SEAT_N, after=None, limit=5)) == cases


async def test_two_unknown_senders_never_meet_in_one_case() -> None:
    """Whoever is in no directory has no conversation: a stranger who copies another's id gets a case of his own."""
    async with a_net(("alvesta.ifo",), ("region.hsv", "vaxjo.nav"), also=ANYBODY) as net:
        alvesta = net.counties[0]
        for number in ("1", "2"):
            stranger = dataclasses.replace(
                _arrived(alvesta, "x", ALVESTA, "samma samtal", {}), sender=f"0203:okand{number}.example#x", data=None
            )
            assert (await alvesta.gateway.intake.take(stranger)).taken
        assert len(await alvesta.store.cases_of(ALVESTA, after=None, limit=5)) == 2
