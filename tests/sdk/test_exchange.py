"""Two gateways over SDK's API: real HTTP to a message service that behaves, and misbehaves, as told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from adapters.documents.pdf import PdfDocuments
from adapters.sdk.client import ServiceAwayError
from adapters.sdk.neighbour import SdkNeighbour, outgoing
from gateway import workers
from gateway.model.base import MINUTE, Instant
from gateway.model.path import Case, Channel, Message
from gateway.neighbours import Arrived, Parcel, Telling, Told
from gateway.states import CaseState, DeliveryState
from tests.county import ALVESTA, SEAT_E, SEAT_N
from tests.sdk.federation import Federation, received, sent, states

pytestmark = pytest.mark.slow
PERSON = "199006022397"  # a test number, as in tests/test_clear_columns.py


async def test_a_referral_and_its_answer_go_over_the_api_and_are_receipted(federation: Federation) -> None:
    """The whole way out and back: form, readable text, data in a file, receipts, deletion at the service."""
    first, second = federation.pair.first, federation.pair.second
    worker, case, message = await sent(federation)
    await federation.exchange()
    assert await states(first, message) == {(DeliveryState.DELIVERED, "")}
    ekeliden, novus = await second.sign_in("ek-chef"), await second.sign_in("no-chef")
    opened = await second.open(ekeliden, SEAT_E, message)
    assert "need_summary" in opened.opened.body["fields"]  # type: ignore[operator]
    await second.open(novus, SEAT_N, message)
    proposal = await second.gateway.answers.propose(ekeliden, SEAT_E, message, second.answer())
    await second.deliver()
    await second.gateway.answers.confirm(novus, SEAT_N, proposal.message)
    await federation.exchange()
    ours = await first.store.get(Case, case.id)
    assert ours is not None
    assert ours.state is CaseState.MATCHED
    [line] = await first.gateway.inboxes.page(worker, ALVESTA)
    assert line.item.form_type == "board_response"
    assert all(not box for box in federation.service.boxes.values())


async def test_an_answer_that_was_cut_after_the_message_was_taken_sends_it_once(federation: Federation) -> None:
    """An unclear POST: the message is asked for first, and posted again only when it is unknown."""
    federation.service.faults.drop_answers = 1
    _, _, message = await sent(federation, (SEAT_E,))
    await federation.exchange()
    assert federation.service.accepted == 1
    assert await states(federation.pair.first, message) == {(DeliveryState.DELIVERED, "")}
    assert await received(federation, message) == 1


async def test_a_receipt_that_never_comes_ends_as_that_after_a_day(federation: Federation) -> None:
    federation.service.faults.lose_receipt = 1
    _, _, message = await sent(federation, (SEAT_E,))
    await federation.exchange(1)
    assert await states(federation.pair.first, message) == {(DeliveryState.IN_TRANSIT, "")}
    assert await received(federation, message) == 1
    for _ in range(30):
        federation.pair.first.clock.advance(60 * MINUTE)
        await federation.pair.first.gateway.channels.run_once(Channel.SDK)
    assert await states(federation.pair.first, message) == {(DeliveryState.FAILED, "no-receipt")}


async def test_a_worker_that_ends_before_the_outcome_is_durable_hears_the_same_from_the_next(
    federation: Federation,
) -> None:
    """A receipt is the only proof that a message arrived: it lies at the service until it lies here."""
    first = federation.pair.first
    _, _, message = await sent(federation, (SEAT_E,))
    await first.gateway.channels.run_once(Channel.SDK)

    class PowerWent(BaseException):
        """What no worker holds back."""

    class Dying(SdkNeighbour):
        async def outcome(self, reference: str) -> Told:
            assert (await super().outcome(reference)).telling is Telling.DELIVERED
            raise PowerWent

    first.clock.advance(MINUTE)
    one = federation.one
    first.gateway.channels.connect(Dying(one._api, (), one._documents))
    with pytest.raises(BaseExceptionGroup) as ended:
        await first.gateway.channels.run_once(Channel.SDK)
    assert ended.group_contains(PowerWent)
    assert await states(first, message) == {(DeliveryState.IN_TRANSIT, "")}
    first.gateway.channels.connect(one)
    await first.gateway.channels.run_once(Channel.SDK)
    assert await states(first, message) == {(DeliveryState.DELIVERED, "")}
    assert not federation.service.boxes["alvesta"]


async def test_a_receipt_that_the_service_will_not_let_go_changes_nothing(federation: Federation) -> None:
    first = federation.pair.first
    _, _, message = await sent(federation, (SEAT_E,))
    await first.gateway.channels.run_once(Channel.SDK)
    first.clock.advance(MINUTE)
    for kept in federation.service.boxes["alvesta"].values():
        kept.status = "ACCEPTED"
    deleting = federation.one._api.delete

    async def never(identifier: str) -> None:
        raise ServiceAwayError("deletion is away")

    federation.one._api.delete = never  # type: ignore[method-assign]
    await first.gateway.channels.run_once(Channel.SDK)
    federation.one._api.delete = deleting  # type: ignore[method-assign]
    assert await states(first, message) == {(DeliveryState.DELIVERED, "")}
    await federation.exchange(1)
    assert await states(first, message) == {(DeliveryState.DELIVERED, "")}


async def test_a_service_that_is_away_a_token_that_ends_and_a_slow_receipt_only_delay(federation: Federation) -> None:
    faults = federation.service.faults
    faults.away, faults.expire_tokens, faults.delay_s = 2, True, 45
    _, _, message = await sent(federation, (SEAT_E,))
    await federation.exchange(4)
    assert await states(federation.pair.first, message) == {(DeliveryState.DELIVERED, "")}
    assert federation.service.accepted == 1


async def test_a_message_that_comes_again_is_one_message(federation: Federation) -> None:
    """Q06: the same id and content after it was taken and deleted: one message, acknowledged again."""
    federation.service.faults.duplicate = 1
    _, _, message = await sent(federation, (SEAT_E,))
    await federation.exchange(2)
    assert await received(federation, message) == 1
    assert all(not box for box in federation.service.boxes.values())


async def test_the_subject_names_form_and_case_and_no_person(federation: Federation) -> None:
    """P0: the subject travels outside what we decide on, so it holds nothing of the form."""
    seen: list[str] = []
    first = federation.pair.first

    class Spying(SdkNeighbour):
        async def hand_over(self, parcel: Parcel) -> Told:
            message, _ = outgoing(parcel, b"")
            seen.append(message.label)
            return Told(Telling.DELAYED)

    first.gateway.channels.connect(Spying(federation.one._api, (), PdfDocuments()))
    _, case, _ = await sent(federation, (SEAT_E,))
    await first.gateway.channels.run_once(Channel.SDK)
    assert seen == [f"Uppdragsblankett, {case.reference}"]


async def test_a_reply_keeps_the_conversation_and_gives_every_reference_of_the_sender_back(
    federation: Federation,
) -> None:
    """sdk.md §5, B1.3.3 §4.3.2.3: a foreign client's names of the matter, whatever their code system; sealed between."""
    first, second = federation.pair.first, federation.pair.second
    _, _, message = await sent(federation)
    await first.gateway.channels.run_once(Channel.SDK)
    theirs = [
        {"root": "dnr", "extension": "SN-2026-17", "label": "Vårt ärende"},
        {"root": "1.2.752.129.2.1.3.1", "extension": PERSON, "label": "Den det gäller"},
    ]
    box = federation.service.boxes["county"]
    asked = {name: kept.attributes for name, kept in box.items()}
    for attributes in asked.values():
        attributes["senderAttention"] = {**attributes["senderAttention"], "referenceId": theirs}
    await federation.exchange(1)
    ekeliden, novus = await second.sign_in("ek-chef"), await second.sign_in("no-chef")
    await second.open(ekeliden, SEAT_E, message)
    await second.open(novus, SEAT_N, message)
    proposal = await second.gateway.answers.propose(ekeliden, SEAT_E, message, second.answer())
    await second.deliver()
    await second.gateway.answers.confirm(novus, SEAT_N, proposal.message)
    await second.gateway.channels.run_once(Channel.SDK)
    [reply] = [kept.attributes for kept in federation.service.boxes["alvesta"].values() if kept.status == "NEW"]
    assert reply["recipientAttention"]["referenceId"] == theirs
    assert reply["refToMessageId"] in asked
    assert reply["conversationId"] == asked[reply["refToMessageId"]]["conversationId"]
    kept = await second.store.arrivals_of(message)
    assert len(kept) == 2
    assert all(row.references and PERSON.encode() not in row.references for row in kept)


async def test_what_answers_nothing_supplements_the_first_message_that_had_arrived(federation: Federation) -> None:
    """sdk.md §5: any number of times, always the first message of the conversation; and it answers nothing."""
    first, second = federation.pair.first, federation.pair.second
    worker, case, referral = await sent(federation, (SEAT_E,))

    async def supplement() -> dict[str, Any]:
        first.clock.advance(MINUTE)
        values = {"text": "En komplettering.", "categories": ["NEED"]}
        draft = await first.gateway.drafts.create(worker, ALVESTA, case.id, "case_message", 1, values)
        message = (await first.gateway.sending.send_draft(worker, draft.id, [SEAT_E])).message
        first.clock.advance(MINUTE)
        await first.deliver()
        await first.gateway.channels.run_once(Channel.SDK)
        [envelope] = [one for one in await first.store.envelopes_of(message) if one.inbox == SEAT_E]
        return dict(federation.service.boxes["county"][envelope.id].attributes)

    early = await supplement()  # made before the first one's receipt has come
    await federation.exchange()
    [asked] = [one for one in await first.store.envelopes_of(referral) if one.inbox == SEAT_E]
    assert "refToMessageId" not in early
    for _ in range(2):
        later = await supplement()
        assert later["refToMessageId"] == asked.id
        assert later["conversationId"] == early["conversationId"]
    await federation.exchange()
    ekeliden = await second.sign_in("ek-chef")
    lines = await second.gateway.inboxes.page(ekeliden, SEAT_E)
    assert len(lines) == 4
    received = [await second.store.get(Message, line.item.message) for line in lines]
    assert [row.in_reply_to for row in received if row is not None].count(referral) == 2
    file = await first.gateway.casework.file(worker, case.id)
    assert all(leg.answered_at is None for leg in file.entry(referral).legs)


async def test_a_service_is_asked_what_came_as_often_as_the_workers_are_told(federation: Federation) -> None:
    """No number is published (B1.4.2), so it is the operator's: once in a long while, or time after time."""
    gateway = federation.pair.first.gateway
    one = federation.one

    class Counted(SdkNeighbour):
        asked = 0

        async def arrivals(self) -> AsyncIterator[Arrived]:
            Counted.asked += 1
            (asked_again if Counted.asked == 4 else asked_once).set()
            async for arrived in super().arrivals():
                yield arrived

    async def no_keys(_: Instant) -> int:
        return 0

    async def working(every_s: float, until: asyncio.Event, rest_s: float) -> None:
        run = asyncio.create_task(workers.run(gateway, no_keys, exchange_every_s=every_s))
        try:
            async with asyncio.timeout(60):
                await until.wait()
            await asyncio.sleep(rest_s)
        finally:
            run.cancel()
            with suppress(asyncio.CancelledError):
                await run

    asked_once, asked_again = asyncio.Event(), asyncio.Event()
    gateway.channels.connect(Counted(one._api, one._addresses, one._documents))
    await working(300, asked_once, 0.5)
    assert Counted.asked == 1
    await working(0.05, asked_again, 0)
    assert Counted.asked >= 4


async def test_what_is_over_here_does_not_lie_at_the_service_for_ever(federation: Federation) -> None:
    """A process that ends between its commit and the deletion; and a notice, whose outcome nobody asks about."""
    first, box = federation.pair.first, federation.service.boxes["alvesta"]
    letting_go, federation.one.settled = federation.one.settled, _never  # type: ignore[method-assign]
    worker, case, message = await sent(federation, (SEAT_E,))
    await federation.exchange()
    [consent] = await first.store.consents_of(case.id)
    await first.gateway.consents.withdraw(worker, ALVESTA, consent.id)
    await federation.exchange()
    assert await states(first, message) == {(DeliveryState.DELIVERED, "")}
    assert [kept.status for kept in box.values()] == ["ACCEPTED", "ACCEPTED"]
    federation.one.settled = letting_go  # type: ignore[method-assign]
    assert await first.gateway.lingering.run_once(Channel.SDK) == 2
    assert box == {}


async def _never(reference: str) -> None:
    """The process ended before this."""
