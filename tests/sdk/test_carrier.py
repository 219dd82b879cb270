"""A form goes as one PDF with its data inside, and comes back as a form only in its own message: docs/channels.md §8."""

from __future__ import annotations

import base64
import dataclasses
import uuid
from collections.abc import AsyncIterator

import pytest

from adapters.documents.pdf import PdfDocuments
from adapters.sdk.model import Attention, Document, File, Message, Party
from adapters.sdk.neighbour import SdkNeighbour
from gateway.canonical import dumps
from gateway.documents import DocumentError, Page, page_of
from gateway.forms.names import OUTSIDE_MESSAGE
from gateway.model.path import Channel
from gateway.neighbours import Parcel, ParcelFile, Reason, Telling, Told
from gateway.states import DeliveryState
from tests.county import ALVESTA, SEAT_E
from tests.neighbours import address_of
from tests.sdk.federation import Federation, sent, states
from tests.sdk.test_message import a_message

pytestmark = pytest.mark.slow


async def files_at_the_service(federation: Federation) -> list[dict[str, str]]:
    """What lies there for the second gateway, before it is fetched."""
    [kept] = federation.service.boxes["county"].values()
    return list(kept.attributes["digitalDocument"][0]["contentFiles"])


def a_letter(identifier: str, text: str, *files: File) -> Message:
    """What the first gateway's function sends Ekeliden's seat from another client."""
    party = {}
    for side, inbox in (("sender", ALVESTA), ("recipient", SEAT_E)):
        organisation, _, function = address_of(inbox).partition("#")
        party[side] = Party(id=organisation, attention=Attention(function=function))
    document = Document(id="1", name="Brev", index="1", texts=(text,), files=files)
    return a_message(id=identifier, conversation=identifier, documents=(document,), **party)


async def read_by_ekeliden(federation: Federation) -> tuple[str, str, list[str]]:
    """The newest message in the seat: its form, its text and its files."""
    second = federation.pair.second
    worker = await second.sign_in("ek-chef")
    lines = await second.gateway.inboxes.page(worker, SEAT_E)
    newest = max(lines, key=lambda line: line.item.delivered_at)
    opened = await second.open(worker, SEAT_E, newest.item.message)
    fields = opened.opened.body["fields"]
    return opened.message.form_type, str(fields.get("text", "")), [file.name for file in opened.opened.attachments]  # type: ignore[attr-defined]


async def test_a_form_is_one_pdf_that_every_participant_must_take_and_no_other_file(federation: Federation) -> None:
    """B1.3.3 §4.3.3.2: everyone accepts PDF; any other type may be refused."""
    await sent(federation, (SEAT_E,))
    await federation.pair.first.gateway.channels.run_once(Channel.SDK)
    [file] = await files_at_the_service(federation)
    assert (file["fileName"], file["contentType"]) == ("Uppdragsblankett.pdf", "application/pdf")
    await federation.exchange(1)
    form, _, files = await read_by_ekeliden(federation)
    assert (form, files) == ("placement_referral", [])


async def test_a_form_that_is_sent_back_in_another_message_is_an_attachment_and_the_words_stay(
    federation: Federation,
) -> None:
    """§8.5: a client that answers "see attached" with our own PDF says something else than the form in it."""
    await sent(federation, (SEAT_E,))
    await federation.pair.first.gateway.channels.run_once(Channel.SDK)
    [file] = await files_at_the_service(federation)
    await federation.exchange(1)
    again = File(name=file["fileName"], media_type=file["contentType"], octets=base64.b64decode(file["content"]))
    await federation.one._api.send(a_letter(str(uuid.UUID(int=7)), "Vi drar tillbaka frågan.", again))
    await federation.exchange(1)
    assert await read_by_ekeliden(federation) == (
        OUTSIDE_MESSAGE,
        "Vi drar tillbaka frågan.",
        ["Uppdragsblankett.pdf"],
    )


async def test_data_that_are_no_form_of_ours_leave_a_message_to_read_with_its_pdf(federation: Federation) -> None:
    """§8.6: nothing is lost."""
    identifier = str(uuid.UUID(int=8))
    page = Page(title="Annan blankett", sender="A", recipient="B", reference="C", at=a_message().created, parts=())
    octets = await PdfDocuments().pdf(page, dumps({"envelope": identifier, "form": ["unknown", 9], "body": {}}))
    pdf = File(name="annan.pdf", media_type="application/pdf", octets=octets)
    other = File(name="karta.pdf", media_type="application/pdf", octets=b"%PDF-1.7\n")
    await federation.one._api.send(a_letter(identifier, "Se bilagan.", pdf, other))
    await federation.exchange(1)
    assert await read_by_ekeliden(federation) == (OUTSIDE_MESSAGE, "Se bilagan.", ["annan.pdf", "karta.pdf"])


async def test_a_page_that_cannot_be_made_delays_the_message_and_loses_nothing(federation: Federation) -> None:
    class Failing(PdfDocuments):
        async def pdf(self, page: Page, data: bytes = b"") -> bytes:
            raise DocumentError("no memory")

    documents, federation.one._documents = federation.one._documents, Failing()
    _, _, message = await sent(federation, (SEAT_E,))
    await federation.pair.first.gateway.channels.run_once(Channel.SDK)
    assert {state for state, _ in await states(federation.pair.first, message)} == {DeliveryState.QUEUED}
    federation.one._documents = documents
    await federation.exchange(2)
    assert await states(federation.pair.first, message) == {(DeliveryState.DELIVERED, "")}


async def test_above_thirty_million_octets_is_refused_before_the_first_is_read(federation: Federation) -> None:
    """B1.3.3 §4.3.3.3, TF 2.3.1: base64 makes 22 500 001 octets of files too many."""
    told: list[Told] = []

    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("the file was read")
        yield b""

    class Heavy(SdkNeighbour):
        async def hand_over(self, parcel: Parcel) -> Told:
            file = ParcelFile(name="film.pdf", media_type="application/pdf", size=22_500_001, read=never)
            told.append(await super().hand_over(dataclasses.replace(parcel, files=(file,))))
            return told[-1]

    one = federation.one
    federation.pair.first.gateway.channels.connect(Heavy(one._api, (), one._documents))
    _, _, message = await sent(federation, (SEAT_E,))
    await federation.pair.first.gateway.channels.run_once(Channel.SDK)
    assert [(one.telling, one.reason) for one in told] == [(Telling.REFUSED, Reason.TOO_LARGE)]
    assert await states(federation.pair.first, message) == {(DeliveryState.FAILED, "too-large")}
    assert federation.service.accepted == 0


async def test_what_is_printed_is_what_the_recipient_may_have(federation: Federation) -> None:
    """The page is made of the projection: a name that stage 1 holds back is on no page of it."""
    pages: list[Page] = []

    class Looking(SdkNeighbour):
        async def hand_over(self, parcel: Parcel) -> Told:
            pages.append(page_of(parcel))
            return await super().hand_over(parcel)

    one = federation.one
    federation.pair.first.gateway.channels.connect(Looking(one._api, (), one._documents))
    await sent(federation, (SEAT_E,))
    await federation.pair.first.gateway.channels.run_once(Channel.SDK)
    [page] = pages
    labels = {row.label for part in page.parts for row in part.rows}
    assert "Behov" in {part.title for part in page.parts}
    assert "Namn" not in labels
    assert "199006022397" not in repr(page)
