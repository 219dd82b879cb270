"""SDK receipts and states: the official examples, every code of the table, in both directions."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from adapters.sdk import receipt as sdk
from adapters.sdk import status
from adapters.sdk.faults import TOLD, Detail, Fault, RejectedError, Why, reason_of
from adapters.sdk.receipt import Receipt
from gateway.model.base import Instant
from gateway.neighbours import IN_SWEDISH, Reason, Telling

DATA = Path(__file__).parent.parent / "data" / "sdk"
ACCEPTED = Receipt(
    id="kvt-1",
    issued=Instant(1_772_438_400_000_000),
    sender="0203:region.example",
    receiver="0203:kommun.example",
    message="5b0f6f0e-9c1a-4f0e-8f57-2d1f3a9f6c11",
)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Kvittens_AP-Accepterat.xml", Reason.NONE),
        ("Kvittens_RE-XSDFel.xml", Reason.STRUCTURE),
        ("Kvittens_RE-SCHFel.xml", Reason.RULE),
        ("Kvittens_RE-SIG.xml", Reason.SIGNATURE),
        ("Kvittens_RE-AnnatFel.xml", Reason.RULE),
    ],
)
def test_the_five_official_receipts_are_read_for_what_they_say(name: str, reason: Reason) -> None:
    """sdk/SOURCES.txt, validation 3: all valid, no failed assertion."""
    read = sdk.read((DATA / name).read_bytes())
    assert read.reason is reason
    assert read.accepted is (reason is Reason.NONE)
    assert sdk.read(sdk.write(read)) == read


@pytest.mark.parametrize("reason", TOLD)
def test_every_refusal_of_ours_has_its_code_and_comes_back_as_a_reason_with_words(reason: Reason) -> None:
    """sdk.md §7, the rows that are REJECTED."""
    refused = dataclasses.replace(ACCEPTED, faults=(TOLD[reason],))
    read = sdk.read(sdk.write(refused))
    assert read == refused
    assert read.reason in IN_SWEDISH


@pytest.mark.parametrize(
    ("row", "why", "detail", "reason"),
    [
        (2, "SV", "structure", Reason.STRUCTURE),
        (3, "BV", "forbidden", Reason.MALWARE),
        (4, "BV", "too-long", Reason.TOO_LARGE),
        (5, "BV", "invariant", Reason.RULE),
        (6, "BV", "duplicate", Reason.DUPLICATE),
        (6, "BV", "multiple-matches", Reason.DUPLICATE),
        (8, "BV", "not-supported", Reason.TYPE),
        (9, "BV", "not-found", Reason.NOT_FOUND),
        (12, "SIG", "security", Reason.SIGNATURE),
        (13, "BV", "security", Reason.UNTRUSTED),
        (14, "SIG", "security", Reason.SIGNATURE),
        (0, "BV", "something of their own", Reason.RULE),
        (0, "SV", "", Reason.STRUCTURE),
    ],
)
def test_every_code_of_the_table_is_understood_and_any_other_detail_too(
    row: int, why: str, detail: str, reason: Reason
) -> None:
    assert reason_of(why, detail) is reason


BROKEN: dict[str, tuple[bytes, bytes]] = {
    "R2-APP": (b"<cbc:ID>kvt-1</cbc:ID>", b"<cbc:ID> </cbc:ID>"),
    "R3-APP": (b"messagetype:response:1", b"messagetype:response:2"),
    "R4-APP": (b"bdx:noprocess", b"bdx:other"),
    "R5-APP": (b">ACCEPTED<", b">PERHAPS<"),
    "R8-APP": (b">ACCEPTED<", b">REJECTED<"),
    "scheme": (b'schemeID="iso6523-actorid-upis">0203:region', b'schemeID="other">0203:region'),
    "zone": (b"08:00:00Z", b"08:00:00"),
    "another element": (b"</ApplicationResponse>", b"<cbc:ID>x</cbc:ID></ApplicationResponse>"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_receipt_that_breaks_a_rule_is_none(name: str) -> None:
    octets = sdk.write(ACCEPTED)
    before, after = BROKEN[name]
    assert before in octets
    with pytest.raises(RejectedError):
        sdk.read(octets.replace(before, after))


def test_an_accepted_receipt_has_no_reasons_and_a_line_has_a_known_reason() -> None:
    """R6-APP, R7-APP, R9-APP."""
    refused = sdk.write(dataclasses.replace(ACCEPTED, faults=(Fault(Why.RULE, Detail.NOT_FOUND, "NA", "Saknas."),)))
    for before, after in (
        (b">REJECTED<", b">ACCEPTED<"),
        (b">BV<", b">XX<"),
        (
            b"<cac:Status><cbc:StatusReasonCode>not-found</cbc:StatusReasonCode><cbc:StatusReason>Saknas.</cbc:StatusReason></cac:Status>",
            b"",
        ),
    ):
        assert before in refused
        with pytest.raises(RejectedError):
            sdk.read(refused.replace(before, after))


@pytest.mark.parametrize("state", [*sorted(status.IN_PROGRESS), "something new", ""])
def test_only_accepted_is_delivered_and_only_an_exchange_error_is_refused(state: str) -> None:
    """sdk.md §10.1: an unknown status is in progress."""
    assert status.told({"messageStatus": state}, "r").telling is Telling.IN_TRANSIT
    assert status.told({"messageStatus": "accepted"}, "r").telling is Telling.DELIVERED
    assert status.told({"messageStatus": "MESSAGE_EXCHANGE_ERROR"}, "r").telling is Telling.REFUSED


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([{"eventIssues": [{"typeCode": "BV", "title": "not-found"}]}], Reason.NOT_FOUND),
        ({"eventsIssue": {"typeCode": "SIG", "title": "security"}}, Reason.SIGNATURE),
        ([{"eventIssues": [{"title": "No receipt within time"}]}], Reason.NO_RECEIPT),
        ([{"eventIssues": [{"title": "NOT_SERVICED"}]}], Reason.NOT_CONNECTED),
        ([{"eventIssues": [{}]}, "text", None, 3], Reason.UNREACHABLE),
        (None, Reason.UNREACHABLE),
    ],
)
def test_events_are_read_in_every_published_spelling(events: Any, reason: Reason) -> None:
    """sdk.md §10.2."""
    for name in ("events", "event"):
        assert status.told({"messageStatus": "MESSAGE_EXCHANGE_ERROR", name: events}, "r").reason is reason
