"""Every row of the table of receipts that is REJECTED, in both directions (B1.3.3 §5.3; sdk.md §7).

Out: the counterpart refuses with the row's code, and the sender reads why and what to do. In: an arrival with the row's
fault gets the code. Rows 11, 12 and 14 are about what a message service checks before a client sees anything; a client
holds their codes for what it is told, and never makes them.
"""

from __future__ import annotations

import dataclasses
import re
import uuid
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from adapters.sdk import message as sdk
from adapters.sdk.faults import TOLD, Detail, Fault, RejectedError, Why
from adapters.sdk.model import Attention, Document, File, Message, Party
from adapters.sdk.neighbour import incoming
from adapters.sdk.xml import MAX_OCTETS
from gateway.model.path import Delivery
from gateway.neighbours import IN_SWEDISH, Answer, Arrived, Reason
from gateway.screening import Screening, Verdict
from gateway.states import DeliveryState
from tests.county import ALVESTA, SEAT_E, County
from tests.neighbours import address_of
from tests.sdk.federation import Federation, sent
from tests.sdk.test_message import MIN, a_message

pytestmark = pytest.mark.slow

#: The row, the code as a receipt or an event has it, and what the sender is told.
OUT: Final = (
    (2, "SV/structure", Reason.STRUCTURE),
    (3, "BV/forbidden", Reason.MALWARE),
    (4, "BV/too-long", Reason.TOO_LARGE),
    (5, "BV/invariant", Reason.RULE),
    (6, "BV/duplicate", Reason.DUPLICATE),
    (6, "BV/multiple-matches", Reason.DUPLICATE),
    (8, "BV/not-supported", Reason.TYPE),
    (9, "BV/not-found", Reason.NOT_FOUND),
    (11, "BV/not-supported", Reason.TYPE),
    (12, "SIG/security", Reason.SIGNATURE),
    (13, "BV/security", Reason.UNTRUSTED),
    (14, "SIG/security", Reason.SIGNATURE),
    (0, "BV/egen-kod", Reason.RULE),  # a detail is free text by schema
    (0, "SV/", Reason.STRUCTURE),
    (0, "SIG/okänd", Reason.SIGNATURE),
)


async def test_every_refusal_of_a_counterpart_ends_the_delivery_with_words_for_its_sender(
    federation: Federation,
) -> None:
    first = federation.pair.first
    for row, code, reason in OUT:
        federation.service.faults.reject = code
        _, _, message = await sent(federation, (SEAT_E,))
        await federation.exchange(1)
        deliveries: list[Delivery] = [*await first.store.deliveries_of(message)]
        found = [(one.state, one.reason) for one in deliveries]
        assert found == [(DeliveryState.FAILED, str(reason))], (row, code)
        what, next_step = IN_SWEDISH[reason]
        assert what.endswith(".")
        assert next_step.endswith(".")
    # What is final here is kept at the service no longer.
    assert not federation.service.boxes["alvesta"]


# --- in --------------------------------------------------------------------------------------------------------------


def codes(octets: bytes) -> set[tuple[str, str]]:
    with pytest.raises(RejectedError) as refused:
        sdk.read(octets)
    return {(fault.why, fault.detail) for fault in refused.value.faults}


@pytest.mark.parametrize(
    ("row", "octets", "code"),
    [
        (2, re.sub(rb">2019-08-22T[^<]*<", b">3 Sept. 2019<", MIN, count=1), (Why.STRUCTURE, Detail.STRUCTURE)),
        (2, re.sub(rb"messageHeader>", b"messageHead>", MIN), (Why.STRUCTURE, Detail.STRUCTURE)),
        (4, MIN.replace(b"Teststring", b"x" * MAX_OCTETS), (Why.RULE, Detail.TOO_LONG)),
        (5, re.sub(rb"15\.433Z", b"15Z", MIN), (Why.RULE, Detail.INVARIANT)),
        (5, re.sub(rb"0203:test\.sender", b"0007:5560000000", MIN), (Why.RULE, Detail.INVARIANT)),
    ],
    ids=("2-time", "2-element", "4", "5-decimals", "5-code-system"),
)
def test_a_payload_that_breaks_the_row_is_refused_with_its_code(row: int, octets: bytes, code: tuple[str, str]) -> None:
    assert octets != MIN
    assert codes(octets) == {code}


def a_letter(**changes: Any) -> Message:
    party = {}
    for side, inbox in (("sender", ALVESTA), ("recipient", SEAT_E)):
        organisation, _, function = address_of(inbox).partition("#")
        party[side] = Party(id=organisation, attention=Attention(function=function))
    identifier = str(uuid.uuid4())
    pdf = File(name="karta.pdf", media_type="application/pdf", octets=b"%PDF-1.7\n")
    document = Document(id="1", name="Brev", index="1", texts=("Hej",), files=(pdf,))
    whole: dict[str, Any] = {"id": identifier, "conversation": identifier, "documents": (document,), **party}
    return a_message(**{**whole, **changes})


def as_arrived(message: Message) -> Arrived:
    files = [file for document in message.documents for file in document.files]
    return incoming(message, sdk.write(message), files)


def with_file(name: str, octets: bytes) -> Message:
    file = File(name=name, media_type="application/pdf", octets=octets)
    return a_letter(documents=(Document(id="1", texts=("Hej",), files=(file,)),))


def elsewhere(message: Message, side: str) -> Message:
    """The same from or to a function that nobody has."""
    party: Party = getattr(message, side)
    nobody = dataclasses.replace(party, attention=Attention(function="sdk:inkorg:ingen"))
    return dataclasses.replace(message, **{side: nobody})


class Finds:
    """A scanner that finds something in everything."""

    async def scan(self, pieces: AsyncIterator[bytes]) -> Verdict:
        return Verdict.FOUND

    async def answers(self) -> bool:
        return True


async def told(county: County, message: Message) -> tuple[Answer, Fault | None]:
    answer = await county.gateway.intake.take(as_arrived(message))
    return answer, TOLD.get(answer.reason)


async def test_an_arrival_that_breaks_a_row_is_refused_with_its_code_and_a_sound_one_is_taken(
    federation: Federation,
) -> None:
    county = federation.pair.second
    first = a_letter()
    assert (await told(county, first))[0] == Answer()
    other_words = dataclasses.replace(first, documents=(Document(id="1", texts=("Annat",)),))
    rows = {
        6: (other_words, Why.RULE, Detail.DUPLICATE),
        8: (with_file("spel.pdf", b"MZ\x90\x00"), Why.RULE, Detail.NOT_SUPPORTED),
        9: (elsewhere(a_letter(), "recipient"), Why.RULE, Detail.NOT_FOUND),
        13: (elsewhere(a_letter(), "sender"), Why.RULE, Detail.SECURITY),
    }
    for row, (message, why, detail) in rows.items():
        answer, fault = await told(county, message)
        assert not answer.taken
        assert fault is not None
        assert (fault.why, fault.detail) == (why, detail), row
    assert (await told(county, first))[0] == Answer(repeated=True)


async def test_row_3_malware_is_refused_as_forbidden(federation: Federation, monkeypatch: pytest.MonkeyPatch) -> None:
    county = federation.pair.second
    monkeypatch.setattr(county.gateway.intake, "_screening", Screening(scanner=Finds()))
    answer, fault = await told(county, a_letter())
    assert answer.reason is Reason.MALWARE
    assert fault is not None
    assert (fault.why, fault.detail) == (Why.RULE, Detail.FORBIDDEN)


async def test_row_7_a_reference_to_a_message_that_nobody_knows_is_accepted(federation: Federation) -> None:
    """TF 2.2.1."""
    answer, _ = await told(federation.pair.second, a_letter(refers_to=str(uuid.uuid4())))
    assert answer == Answer()


async def test_ids_in_another_case_are_the_same_ids(federation: Federation) -> None:
    """sdk.md §3: participant ids are compared without regard to case; a UUID has two spellings and one value."""
    county = federation.pair.second
    arrived = as_arrived(a_letter())
    loud = dataclasses.replace(arrived, sender=arrived.sender.upper(), recipient=arrived.recipient.upper())
    assert await county.gateway.intake.take(loud) == Answer()


def test_every_code_that_we_answer_with_has_its_row() -> None:
    answered = {(fault.why, fault.detail) for fault in TOLD.values()}
    rows = {code.partition("/")[::2] for row, code, _ in OUT if row and "multiple" not in code}
    assert answered == rows
    assert all(fault.text.endswith(".") for fault in TOLD.values())
