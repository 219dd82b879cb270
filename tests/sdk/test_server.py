"""The SDK API as we serve it: send, list, fetch, let go (B1.4.2; ADR-0009). Our own client is the peer."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.documents.pdf import PdfDocuments
from adapters.sdk.api_model import create_body
from adapters.sdk.client import NotTakenError, SdkApi
from adapters.sdk.model import Document, File
from adapters.sdk.neighbour import SdkNeighbour
from gateway.forms.demo import demo_consent
from gateway.model.base import DAY, EnvelopeId
from gateway.model.path import Case, Delivery
from gateway.neighbours import Answer
from gateway.ports import Update, Work
from gateway.states import DeliveryState
from tests.county import ALVESTA, SEAT_E, SEAT_N
from tests.path.test_oversight_pages import logged
from tests.sdk.peer import corrected, violations
from tests.sdk.peer import serving as prism
from tests.sdk.serving import A_PDF, Served, a_message, a_server, party

pytestmark = pytest.mark.slow


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with a_server() as opened:
        yield opened


async def drafts(served: Served) -> list[Any]:
    return await served.county.gateway.drafts.list(served.worker, ALVESTA, after=None, limit=50)


async def refused(served: Served, message: Any) -> list[tuple[str, str]]:
    """What a call that is not taken says: code and field of each issue."""
    status, body, _ = await served.call("POST", "/sdk/messages", json=create_body(message))
    assert (status, body["type"], body["status"]) == (400, "urn:problem-type:sdk:badRequest", 400)
    return [(one["typeCode"], one["in"]) for one in body["eventIssues"]]


async def test_a_system_that_no_member_let_in_signs_in_and_sees_nothing(served: Served) -> None:
    await served.written(await served.referred())
    status, told = await served.token()
    assert (status, told["token_type"], told["expires_in"]) == (200, "Bearer", 900)
    status, body, _ = await served.call("GET", "/sdk/messages")
    assert (status, body["data"]) == (200, [])


async def test_a_system_that_a_member_let_in_lists_without_opening_and_fetches_by_opening(served: Served) -> None:
    case = await served.referred()
    envelope = await served.written(case, "Vi hörs på onsdag.", {"plan.pdf": A_PDF})
    await served.admitted()
    [listed] = await served.api.waiting(f"sambud:{ALVESTA}")
    assert listed == envelope
    before = await served.county.store.readings_of(EnvelopeId(envelope))
    found = await served.api.get(envelope)
    assert found is not None
    assert (before, found["messageStatus"], found["conversationId"]) == ([], "NEW", case.id)
    assert found["label"] == f"Meddelande i ärendet, {case.reference}"
    [document] = found["digitalDocument"]
    assert "Vi hörs på onsdag" in document["contentTextBody"][0]
    [file] = document["contentFiles"]
    assert (file["fileName"], base64.b64decode(file["content"])) == ("plan.pdf", A_PDF)
    [reading] = await served.county.store.readings_of(EnvelopeId(envelope))
    assert reading.user == served.system.user.id


async def test_what_it_lets_go_is_off_its_list_and_still_in_the_inbox(served: Served) -> None:
    envelope = await served.written(await served.referred())
    await served.admitted()
    await served.api.delete(envelope)
    assert await served.api.waiting(f"sambud:{ALVESTA}") == []
    assert await served.api.get(envelope) is None
    [line] = await served.county.gateway.inboxes.page(served.worker, ALVESTA)
    assert str(line.item.envelope) == envelope
    await served.api.delete(envelope)  # again: it is not there, and that is what was asked for


# --- send ------------------------------------------------------------------------------------------------------------


async def seat_reads(served: Served) -> str:
    """The text of the newest case message that the seat has."""
    seat = await served.county.sign_in("ek-chef")
    page = await served.county.gateway.inboxes.page(seat, SEAT_E)
    line = next(line for line in page if line.item.form_type == "case_message")
    opened = await served.county.gateway.opening.open(seat, line.item.envelope)
    fields: Any = opened.opened.body["fields"]
    return str(fields["text"])


async def test_it_sends_in_the_case_that_it_knows_and_is_told_when_it_has_arrived(served: Served) -> None:
    case = await served.referred()
    await served.admitted()
    message = a_message(served, case.id)
    await served.api.send(message)
    sent = await served.api.get(message.id)
    assert sent is not None
    assert sent["messageStatus"] == "SCHEDULED"
    with pytest.raises(NotTakenError):
        await served.api.delete(message.id)  # on its way: not yet
    await served.county.deliver()
    sent = await served.api.get(message.id)
    assert sent is not None
    assert (sent["messageStatus"], sent["label"], sent["conversationId"]) == ("ACCEPTED", "Fråga om plats", case.id)
    assert await seat_reads(served) == "Fråga om plats\n\nKan ni ta emot på onsdag?\n\nVår beteckning: SN-2026-17"
    await served.api.delete(message.id)
    assert await served.api.get(message.id) is None
    assert await drafts(served) == []


async def test_what_it_sends_and_opens_stands_in_the_log_as_everybodys_acts_do(served: Served) -> None:
    case = await served.referred()
    envelope = await served.written(case)
    await served.admitted()
    await served.api.send(a_message(served, case.id))
    await served.api.get(envelope)
    await served.api.delete(envelope)
    actions = await logged(served.county)
    assert [one for one in actions if one in ("sent", "opened", "system_let_go")][-3:] == [
        "sent",
        "opened",
        "system_let_go",
    ]


async def test_the_same_call_again_is_the_same_message_and_another_under_its_id_is_refused(served: Served) -> None:
    case = await served.referred()
    await served.admitted()
    message = a_message(served, case.id)
    await served.api.send(message)
    await served.api.send(message)
    served.county.clock.advance(1_000_000)
    await served.api.send(dataclasses.replace(message, created=served.county.clock.now()))  # its time is no part of it
    other = dataclasses.replace(message, documents=(Document(id="1", index="1", texts=("Något annat.",)),))
    assert await refused(served, other) == [("invalid-form", "messageId")]
    assert len([one for one in await logged(served.county) if one == "sent"]) == 2  # the referral, and this


async def test_twenty_equal_calls_in_one_moment_are_one_message(served: Served) -> None:
    case = await served.referred()
    await served.admitted()
    message, (_, told) = a_message(served, case.id), await served.token()
    calls = [
        served.call("POST", "/sdk/messages", token=told["access_token"], json=create_body(message)) for _ in range(20)
    ]
    answers = [status for status, _, _ in await asyncio.gather(*calls)]
    assert set(answers) <= {201, 429, 503}
    assert 201 in answers
    await served.api.send(message)
    assert len([one for one in await logged(served.county) if one == "sent"]) == 2


async def consented(served: Served) -> Case:
    """A person records the consent for the only case of the inbox."""
    [case] = await served.county.gateway.cases.list(served.worker, ALVESTA, after=None, limit=50)
    await served.county.gateway.consents.record(served.worker, ALVESTA, case.id, demo_consent(served.county.today))
    return case


async def test_a_conversation_of_its_own_begins_one_case_however_often_it_is_refused(served: Served) -> None:
    await served.admitted()
    message = a_message(served)
    for _ in range(3):
        assert await refused(served, message) == [("disclosure-refused", "NA")]  # no consent yet
    case = await consented(served)
    await served.api.send(message)
    [told] = (await served.call("GET", "/sdk/messages"))[1]["data"]
    assert told["attributes"]["conversationId"] == message.conversation
    assert await served.county.gateway.cases.list(served.worker, ALVESTA, after=None, limit=50) == [case]


async def test_an_answer_in_its_conversation_comes_back_under_the_id_that_it_chose(served: Served) -> None:
    """B1.3.3 §4.3.2: a reply has the answered message's conversation, and refers to it."""
    await served.admitted()
    message = a_message(served)
    await refused(served, message)
    case = await consented(served)
    await served.api.send(message)
    await served.county.deliver()
    seat = await served.county.sign_in("ek-chef")
    [line] = await served.county.gateway.inboxes.page(seat, SEAT_E)
    await served.written(case, "Ja, det går bra.", answers=line.item.message)
    [waiting] = await served.api.waiting(f"sambud:{ALVESTA}")
    answer = await served.api.get(waiting)
    assert answer is not None
    assert (answer["conversationId"], answer["refToMessageId"]) == (message.conversation, message.id)
    await served.api.send(a_message(served, message.conversation, refers_to=waiting))
    await served.county.deliver()
    page = await served.county.gateway.inboxes.page(seat, SEAT_E)
    assert {one.item.case for one in page} == {case.id}


async def test_a_denial_names_its_paragraph_and_leaves_no_draft(served: Served) -> None:
    case = await served.referred()
    await served.admitted()
    everything = a_message(served, case.id, sender=party(ALVESTA))  # nothing is said of what it speaks of
    status, body, _ = await served.call("POST", "/sdk/messages", json=create_body(everything))
    [issue] = body["eventIssues"]
    assert (status, issue["typeCode"]) == (400, "disclosure-refused")
    assert "§" in issue["title"] + issue["detail"] or "samtycke" in (issue["title"] + issue["detail"]).lower()
    assert await drafts(served) == []


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"sender": party(SEAT_N, categories=("NEED",))}, "senderAttention"),  # not its own
        ({"recipient": party("nowhere")}, "recipientAttention"),  # type: ignore[arg-type]
        ({"sender": party(ALVESTA, categories=("WEATHER",))}, "senderAttention"),
        ({"documents": (Document(id="1", index="1", texts=("x" * 4001,)),)}, "contentTextBody"),
    ],
)
async def test_what_cannot_be_sent_names_its_field_and_nothing_is_kept(
    served: Served, changes: dict[str, Any], place: str
) -> None:
    case = await served.referred()
    await served.admitted()
    assert [one for _, one in await refused(served, a_message(served, case.id, **changes))] == [place]
    assert await drafts(served) == []
    assert [one for one in await logged(served.county) if one == "sent"] == ["sent"]  # the referral


async def test_its_files_meet_the_looks_that_everybodys_meet(served: Served) -> None:
    case = await served.referred()
    await served.admitted()
    bad = File(name="program.exe", media_type="application/pdf", octets=b"MZ" + bytes(100))
    message = a_message(served, case.id, documents=(Document(id="1", index="1", texts=("Se fil.",), files=(bad,)),))
    [(code, _)] = await refused(served, message)
    assert code == "attachment-refused"
    good = File(name="plan.pdf", media_type="application/pdf", octets=A_PDF)
    await served.api.send(
        dataclasses.replace(message, documents=(dataclasses.replace(message.documents[0], files=(good,)),))
    )
    await served.county.deliver()
    assert "Se fil." in await seat_reads(served)
    assert await drafts(served) == []


BAD_BODIES: list[tuple[bytes, list[str]]] = [
    (b"", ["data"]),
    (b"{}", ["data"]),
    (b'{"data": []}', ["data"]),
    (b'{"data": {"attributes": []}}', ["confidentiality"]),
    (b'{"data": {"attributes": {"confidentiality": true, "messageStatus": "NEW"}}}', ["messageStatus"]),
    (b'{"data": {"attributes": {"confidentiality": true, "messageId": "1"}}}', ["messageId"]),
    (b'{"data": {"attributes": {"label": "x"}}}', ["confidentiality"]),
    (b"[" * 100_000, ["data"]),
    (b"\xff\xfe", ["data"]),
]


@pytest.mark.parametrize(("body", "places"), BAD_BODIES)
async def test_a_body_that_is_none_is_refused_by_field(served: Served, body: bytes, places: list[str]) -> None:
    status, told, _ = await served.call("POST", "/sdk/messages", data=body)
    assert (status, [one["in"] for one in told["eventIssues"]]) == (400, places)


async def test_a_body_of_more_than_30_mb_is_a_400_as_the_description_says(served: Served) -> None:
    status, told, _ = await served.call("POST", "/sdk/messages", data=io.BytesIO(b"x" * 30_000_001))
    assert (status, told["title"]) == (400, "Payload Too Large")


async def test_who_sends_slowly_keeps_nobody_else_from_sending(served: Served) -> None:
    case = await served.referred()
    await served.admitted()
    _, told = await served.token()
    host, port = served.address.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection("127.0.0.1", int(port))
    head = f"POST /sdk/messages HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {told['access_token']}\r\n"
    writer.write(f"{head}Content-Length: 1000\r\n\r\n{{".encode())
    await writer.drain()
    async with asyncio.timeout(10):
        await served.api.send(a_message(served, case.id))
    writer.close()


# --- list and fetch --------------------------------------------------------------------------------------------------


async def test_a_list_is_filtered_by_state_function_and_time(served: Served) -> None:
    case = await served.referred()
    envelope = await served.written(case)
    await served.admitted()
    message = a_message(served, case.id)
    await served.api.send(message)

    async def listed(query: str) -> set[str]:
        status, body, _ = await served.call("GET", f"/sdk/messages?{query}")
        assert status == 200
        assert not [one for one in body["data"] if "digitalDocument" in one["attributes"]]
        return {one["id"] for one in body["data"]}

    assert await listed("") == {envelope, message.id}
    assert await listed("filter[messageStatus]=NEW") == {envelope}
    assert await listed("filter[messagestatus]=scheduled") == {message.id}
    assert await listed(f"filter[recipientAttention.subOrganization.extension]=sambud:{ALVESTA}") == {envelope}
    assert await listed(f"filter[senderAttention.subOrganization.extension]=sambud:{ALVESTA}") == {message.id}
    assert await listed("filter[creationDateTimeStart]=2030-01-01T00:00:00.000Z") == set()
    status, told, _ = await served.call("GET", "/sdk/messages?filter[label]=x")
    assert (status, [one["in"] for one in told["eventIssues"]]) == (400, ["filter"])


async def test_what_is_older_than_thirty_days_is_off_the_list_and_still_fetched(served: Served) -> None:
    envelope = await served.written(await served.referred())
    await served.admitted()
    served.county.clock.advance(31 * DAY)
    assert await served.api.waiting(f"sambud:{ALVESTA}") == []
    assert await served.api.get(envelope) is not None


async def test_ids_that_are_none_of_its_own_are_absent(served: Served) -> None:
    case = await served.referred()
    await served.admitted()
    [referral] = await served.county.store.messages_of(case.id, limit=5)
    others = [await served.county.envelope(SEAT_E, referral.id), await served.county.envelope(ALVESTA, referral.id)]
    for identifier in (*map(str, others), "00000000-0000-4000-8000-000000000000", "x", "%2e%2e%2f", "%00"):
        for method in ("GET", "DELETE"):
            status, body, _ = await served.call(method, f"/sdk/messages/{identifier}")
            assert (status, body) == (404, b""), identifier


async def test_a_failed_delivery_says_why_in_the_codes_of_a_receipt(served: Served) -> None:
    case = await served.referred()
    await served.admitted()
    message = a_message(served, case.id)
    await served.api.send(message)
    [row] = await served.county.store.system_messages(served.system.user.id, limit=5)
    [delivery] = await served.county.store.deliveries_of(row.message)
    for reason, state in (("type-not-accepted", DeliveryState.FAILED), ("no-receipt", DeliveryState.EXPIRED)):
        delivery = await stands(served, delivery, state, reason)
        sent = await served.api.get(message.id)
        assert sent is not None
        assert sent["messageStatus"] == "MESSAGE_EXCHANGE_ERROR"
        [issue] = sent["events"]["eventIssues"]
        assert issue["title"] == {"type-not-accepted": "not-supported"}.get(reason, reason)
    await served.api.delete(message.id)


async def stands(served: Served, delivery: Delivery, state: DeliveryState, reason: str) -> Delivery:
    after = dataclasses.replace(delivery, state=state, reason=reason, version=delivery.version + 1)
    await served.county.store.commit(Work(changes=(Update(after),)))
    return after


# --- the peers -------------------------------------------------------------------------------------------------------


async def test_another_gateway_uses_this_one_as_its_message_service(served: Served) -> None:
    """The neighbour that speaks to a real message service takes what lies here, and only then lets go of it."""
    envelope = await served.written(await served.referred(), files={"plan.pdf": A_PDF})
    await served.admitted()
    neighbour = SdkNeighbour(served.api, [f"0203:sambud.invalid#sambud:{ALVESTA}"], PdfDocuments())
    [arrived] = [one async for one in neighbour.arrivals()]
    assert (arrived.id, [file.name for file in arrived.files]) == (envelope, ["plan.pdf"])
    assert "Vi hörs på onsdag" in arrived.text
    assert await served.api.waiting(f"sambud:{ALVESTA}") == [envelope]  # not taken yet
    await neighbour.acknowledge(arrived, Answer())
    assert await served.api.waiting(f"sambud:{ALVESTA}") == []


async def test_every_answer_of_ours_keeps_to_the_official_description(served: Served, tmp_path: Any) -> None:
    """Prism stands between client and gateway, and turns any breach, of either side, into an error."""
    case = await served.referred()
    envelope = await served.written(case, files={"plan.pdf": A_PDF})
    await served.admitted()
    with prism(corrected(tmp_path), tmp_path, upstream=served.address) as between:
        api = SdkApi(served.access(base=f"{between.address}/"), served.http, served.county.clock)
        message = a_message(served, case.id)
        await api.send(message)
        await served.county.deliver()
        assert await api.waiting(f"sambud:{ALVESTA}") == [envelope]
        assert await api.get(envelope) is not None
        assert await api.get(message.id) is not None
        await api.delete(envelope)
        await api.delete(message.id)
        assert await api.get(envelope) is None
        with pytest.raises(NotTakenError):
            await api.send(a_message(served, case.id, recipient=party("nowhere")))  # type: ignore[arg-type]
        said = between.said()
    assert violations(said) == []
    assert said.count("Received forward response") >= 8


async def test_a_message_of_nearly_thirty_megabytes_goes_in_and_comes_out(served: Served) -> None:
    case = await served.referred()
    await served.admitted()
    large = A_PDF[:-6] + b"%" + b"x" * 20_000_000 + b"\n%%EOF\n"
    file = File(name="utredning.pdf", media_type="application/pdf", octets=large)
    await served.api.send(a_message(served, case.id, documents=(Document(id="1", texts=("Se fil.",), files=(file,)),)))
    envelope = await served.written(case, files={"utredning.pdf": large})
    found = await served.api.get(envelope)
    assert found is not None
    assert base64.b64decode(found["digitalDocument"][0]["contentFiles"][0]["content"]) == large
