"""SDK messages: the official examples behave as their source says, and every rule of the text is held."""

from __future__ import annotations

import base64
import dataclasses
import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from adapters.sdk import message as sdk
from adapters.sdk.faults import Detail, RejectedError, Why
from adapters.sdk.model import (
    DIARY_ROOT,
    Attention,
    Document,
    File,
    Identifier,
    Message,
    Party,
    Person,
    Reference,
)
from adapters.sdk.rules import NAMESPACE
from adapters.sdk.xml import MAX_OCTETS, NotWellFormedError, TooLargeError, parse
from gateway.model.base import Instant
from tests.faults.tally import tally

DATA = Path(__file__).parent.parent / "data" / "sdk"
ID = "5b0f6f0e-9c1a-4f0e-8f57-2d1f3a9f6c11"
MIN = (DATA / "min.xml").read_bytes()


def a_message(**changes: object) -> Message:
    """A whole message, every field set."""
    sender = Party(
        id="0203:kommun.example",
        label="Kommunen",
        attention=Attention(
            function="sdk:inkorg:0203:kommun.example",
            label="Placering",
            persons=(Person(id=Identifier("1.2.752.29.6.2.1", "SE1-1"), label="Handläggare"),),
            references=(Reference(id=Identifier(DIARY_ROOT, "SN-2026-17"), label="Vårt ärende"),),
        ),
    )
    recipient = Party(id="0203:region.example", attention=Attention(function="sdk:inkorg:0203:region.example"))
    whole = Message(
        id=ID,
        conversation=ID,
        created=Instant(1_772_438_400_123_000),
        label="Kallelse till möte",
        confidential=True,
        sender=sender,
        recipient=recipient,
        documents=(
            Document(
                id="1",
                name="Kallelse",
                index="1",
                files=(File(name="a.pdf", media_type="application/pdf", octets=b"%PDF-1.7\n"),),
                texts=("Hej **alla**",),
            ),
        ),
        generating_system=Identifier("sambud", "1"),
    )
    return dataclasses.replace(whole, **changes)  # type: ignore[arg-type]


def codes_of(octets: bytes) -> set[Why]:
    """The reasons of a refusal; none for what is read."""
    try:
        sdk.read(octets)
    except RejectedError as refused:
        return {fault.why for fault in refused.faults}
    return set()


def payload_of(name: str) -> bytes:
    """The messagePayload of an example: alone, or the one inside an envelope."""
    octets = (DATA / name).read_bytes()
    root = etree.fromstring(octets)
    value = root.find(".//{*}value")
    if value is not None and value.text:
        root = etree.fromstring(base64.b64decode(value.text))
    found = root if root.tag.endswith("messagePayload") else root.find(f".//{{{NAMESPACE}}}messagePayload")
    assert found is not None
    return etree.tostring(found)


def faults_of(octets: bytes) -> set[tuple[str, str, str]]:
    with pytest.raises(RejectedError) as refused:
        sdk.read(octets)
    return {(fault.why, fault.detail, fault.place) for fault in refused.value.faults}


@pytest.mark.parametrize(
    "name", ["messageWithAttachments3.xml", "min.xml", "xhe_unencrypted_payload.xml", "xhe_unencrypted.xml"]
)
def test_the_official_examples_that_pass_are_read_and_written_again_as_the_same_message(name: str) -> None:
    """sdk/SOURCES.txt, validation 1."""
    read = sdk.read(payload_of(name))
    assert sdk.read(sdk.write(read)) == read


def test_the_example_with_a_wrong_data_type_is_refused_by_the_schema() -> None:
    """TF 2.4.1: creationDateTime is "3 Sept. 2019" → REJECTED SV / structure."""
    found = faults_of((DATA / "TF2.4.1.xml").read_bytes())
    assert {(why, detail) for why, detail, _ in found} == {(Why.STRUCTURE, Detail.STRUCTURE)}


def test_the_example_with_a_wrong_code_system_is_refused_by_a_rule() -> None:
    """TF 2.4.2: senderID/root is "icke-godkänt-kodverk" → REJECTED BV / invariant."""
    assert (Why.RULE, Detail.INVARIANT, "sender/senderID/root") in faults_of((DATA / "TF2.4.2.xml").read_bytes())


def test_a_whole_message_comes_back_as_it_was_written() -> None:
    assert sdk.read(sdk.write(a_message())) == a_message()


def test_what_is_written_is_valid_and_has_milliseconds_z_and_no_empty_element() -> None:
    octets = sdk.write(a_message(created=Instant(1_772_438_400_000_000)))
    assert b"<creationDateTime>2026-03-02T08:00:00.000Z</creationDateTime>" in octets
    assert not re.search(rb"<(\w+)></\1>|<\w+/>", octets)


RULES = {
    "label missing": (rb"<ns2:label>Printerpapper</ns2:label>", b"", "messageHeader/label"),
    "time without decimals": (rb"15\.433Z", b"15Z", "messageHeader/creationDateTime"),
    "time with another zone": (rb"15\.433Z", b"15.433+01:00", "messageHeader/creationDateTime"),
    "time with four decimals": (rb"15\.433Z", b"15.4333Z", "messageHeader/creationDateTime"),
    "messageId no UUID": (rb"<ns2:messageId>3a94", b"<ns2:messageId>zz94", "messageHeader/messageId"),
    "conversationId no UUID": (rb"conversationId>3a94", b"conversationId>zz94", "messageHeader/conversationId"),
    "sender id without 0203": (rb"0203:test\.sender", b"0007:test.sender", "sender/senderID/extension"),
    "recipient id without 0203": (rb"0203:test\.recipient", b"http://x", "recipient/recipientID/extension"),
    "recipient code system": (
        rb"iso6523-actorid-upis(?=</ns2:root>\s*<ns2:extension>0203:test\.recipient)",
        b"other",
        "recipient/recipientID/root",
    ),
    "function code system": (
        rb"urn:riv:infrastructure:messaging:functionalAddress(?=</ns2:root>\s*<ns2:extension>test\.function)",
        b"other",
        "recipient/attention/subOrganization/organizationId/root",
    ),
    "document without text or file": (rb"<ns2:ContentText>.*?</ns2:ContentText>", b"", "messageBody/documents[1]"),
    "empty element": (rb"Printerpapper", b"  ", "messagePayload/message/messageHeader/label"),
    "sender without function": (
        rb"(0203:test\.sender.*?</ns2:senderID>)\s*<ns2:attention>.*?</ns2:attention>",
        rb"\1",
        "sender/attention",
    ),
    "no base64": (
        rb"<ns2:ContentText>",
        b"<ns2:ContentFiles><ns2:fileName>a</ns2:fileName><ns2:contentType>text/plain</ns2:contentType>"
        b"<ns2:content>a*b=</ns2:content></ns2:ContentFiles><ns2:ContentText>",
        "messageBody/documents[1]/ContentFiles/content",
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_every_rule_that_schema_and_schematron_miss_or_hold_refuses_with_its_place(name: str) -> None:
    """sdk.md §6, the list of what code must hold."""
    pattern, instead, place = RULES[name]
    changed, count = re.subn(pattern, instead, MIN, count=1, flags=re.DOTALL)
    assert count == 1
    assert (Why.RULE, Detail.INVARIANT, place) in faults_of(changed)


def test_a_label_that_is_too_long_has_the_code_that_the_text_gives_it() -> None:
    """sdk.md §7: of the header's label BV / structure, of other labels SV / structure."""
    long = b"x" * 257
    header = MIN.replace(b"Printerpapper", long)
    assert faults_of(header) == {(Why.RULE, Detail.STRUCTURE, "messageHeader/label")}
    other = MIN.replace(b"SDK: The function ID of the sender", long)
    assert {(why, detail) for why, detail, _ in faults_of(other)} == {(Why.STRUCTURE, Detail.STRUCTURE)}


def test_elements_of_other_namespaces_are_skipped_and_unknown_ones_of_its_own_are_refused() -> None:
    foreign = MIN.replace(b"</ns2:messageHeader>", b'<x:y xmlns:x="urn:x">1</x:y></ns2:messageHeader>')
    assert sdk.read(foreign) == sdk.read(MIN)
    own = MIN.replace(b"</ns2:messageHeader>", b"<ns2:y>1</ns2:y></ns2:messageHeader>")
    assert {why for why, _, _ in faults_of(own)} == {Why.STRUCTURE}


def test_no_fault_quotes_the_message() -> None:
    """The subject is P0 and never echoed (B1.3.3)."""
    octets = MIN.replace(b"Printerpapper", b"HEMLIGT" * 60).replace(b"2019-08-22T07", b"HEMLIGT")
    with pytest.raises(RejectedError) as refused:
        sdk.read(octets)
    assert "HEMLIGT" not in repr(refused.value.faults) + str(refused.value)


def test_what_breaks_a_rule_is_not_written() -> None:
    with pytest.raises(RejectedError):
        sdk.write(a_message(documents=(Document(id="1"),)))
    with pytest.raises(RejectedError):
        sdk.write(a_message(label=""))


def test_a_reference_to_another_message_is_a_uuid_and_several_documents_have_an_order() -> None:
    """B1.3.3 §4.3.1, §4.3.3."""
    with pytest.raises(RejectedError):
        sdk.write(a_message(refers_to="the first one"))
    for first, second in (("", ""), ("1", "1"), ("one", "2")):
        documents = (Document(id="1", index=first, texts=("a",)), Document(id="2", index=second, texts=("b",)))
        with pytest.raises(RejectedError):
            sdk.write(a_message(documents=documents))


def test_the_names_of_elements_are_those_of_the_schema_to_the_letter() -> None:
    """recipientID, ContentText: the prose writes others, and the XSD decides."""
    for before, after in ((b"recipientID", b"recipientId"), (b"ContentText", b"contentText")):
        assert {why for why, _, _ in faults_of(MIN.replace(before, after))} == {Why.STRUCTURE}


# --- hostile documents -----------------------------------------------------------------------------------------------

DOCTYPES = [
    b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
    b'<!DOCTYPE x [<!ENTITY e SYSTEM "http://127.0.0.1:9/">]>',
    b'<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1:9/"> %p;]>',
    b'<!DOCTYPE x PUBLIC "-//x" "http://127.0.0.1:9/x.dtd">',
    b"<!doctype x>",
    b'<!DOCTYPE lol [<!ENTITY a "lol"><!ENTITY b "' + b"&a;" * 1000 + b'"><!ENTITY c "' + b"&b;" * 1000 + b'">]>',
    b'<!DOCTYPE x [<!ENTITY a "' + b"a" * 100_000 + b'">]>',
]


@pytest.mark.parametrize("head", DOCTYPES, ids=range(len(DOCTYPES)))
@pytest.mark.parametrize("where", ["before", "declared", "comment", "late"])
def test_any_document_type_is_refused_before_anything_is_parsed(head: bytes, where: str) -> None:
    """X02, X03: 28 documents."""
    body = MIN.partition(b"?>")[2]
    octets = {
        "before": head + body,
        "declared": b'<?xml version="1.0" encoding="UTF-8"?>' + head + body,
        "comment": b'<?xml version="1.0"?><!-- x -->' + head + body,
        "late": body + head,
    }[where]
    begun = time.process_time()
    tally("X02", cases=1)
    with pytest.raises(NotWellFormedError):
        parse(octets)
    assert time.process_time() - begun < 1


def test_other_encodings_cannot_hide_one() -> None:
    for octets in (
        MIN.decode().replace("UTF-8", "UTF-16").encode("utf-16"),
        MIN.replace(b"UTF-8", b"UTF-7"),
        MIN.replace(b"UTF-8", b"ISO-8859-1"),
    ):
        with pytest.raises(NotWellFormedError):
            parse(octets)


def test_size_is_looked_at_before_anything_else() -> None:
    octets = MIN.replace(b"Teststring", b"x" * MAX_OCTETS)
    assert faults_of(octets) == {(Why.RULE, Detail.TOO_LONG, "NA")}
    with pytest.raises(TooLargeError):
        parse(octets)


@pytest.mark.slow
def test_a_message_of_nearly_thirty_megabytes_goes_out_and_in() -> None:
    """S6's size; memory is measured by the bench."""
    files = tuple(
        File(name=f"{n}.pdf", media_type="application/pdf", octets=b"%PDF" + bytes(7_000_000)) for n in range(3)
    )
    whole = a_message(documents=(Document(id="1", files=files),))
    assert sdk.read(sdk.write(whole)) == whole
    with pytest.raises(TooLargeError):
        sdk.write(a_message(documents=(Document(id="1", files=files * 2),)))


TEXT = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(
    st.builds(
        a_message,
        label=TEXT,
        confidential=st.booleans(),
        created=st.integers(0, 4_000_000_000_000).map(lambda ms: Instant(ms * 1000)),
        documents=st.lists(
            st.tuples(st.lists(TEXT, min_size=1, max_size=2), st.binary(max_size=64)), min_size=1, max_size=3
        ).map(
            lambda made: tuple(
                Document(
                    id=str(n),
                    index=str(n),
                    texts=tuple(texts),
                    files=(File(name="f", media_type="text/plain", octets=octets),) if octets else (),
                )
                for n, (texts, octets) in enumerate(made, start=1)
            )
        ),
    )
)
def test_whatever_is_written_is_read_as_it_was(whole: Message) -> None:
    assert sdk.read(sdk.write(whole)) == whole
