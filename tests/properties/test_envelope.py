"""What must always hold of envelopes and contexts, whatever the octets."""

from __future__ import annotations

import base64
import dataclasses
import json
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.envelope import (
    MAX_BODY,
    MAX_PAYLOAD,
    PAD_STEP,
    MalformedError,
    assemble,
    ctx,
    encode_header,
    pad,
    parse,
    parse_header,
    u16,
    u32,
    unpad,
)
from gateway.model.path import Channel, Way

GOLDEN = json.loads((Path(__file__).parent.parent / "data" / "envelopes" / "golden.json").read_text("utf-8"))
ENVELOPES = [base64.b64decode(item["octets"]) for item in GOLDEN["envelopes"]]


@given(st.lists(st.binary(max_size=20), max_size=4), st.lists(st.binary(max_size=20), max_size=4))
def test_a_context_is_injective_in_its_fields(one: list[bytes], other: list[bytes]) -> None:
    assert (ctx("label", *one) == ctx("label", *other)) == (one == other)


@given(st.binary(max_size=9000))
def test_padding_hides_the_size_in_steps_and_comes_off_whole(payload: bytes) -> None:
    padded = pad(payload)
    assert len(padded) % PAD_STEP == 0
    assert unpad(padded) == payload


@given(st.binary(max_size=3000), st.integers(0, 4095), st.integers(1, 255))
def test_any_octet_in_the_padding_is_refused(payload: bytes, at: int, value: int) -> None:
    padded = bytearray(pad(payload))
    place = 4 + len(payload) + at
    if place < len(padded):
        padded[place] = value
        with pytest.raises(MalformedError):
            unpad(bytes(padded))


@pytest.mark.parametrize("octets", ENVELOPES, ids=range(len(ENVELOPES)))
def test_a_header_has_exactly_one_encoding(octets: bytes) -> None:
    parts = parse(octets)
    assert encode_header(parts.header) == parts.header_octets


WAYS = st.lists(
    st.builds(Way, st.sampled_from([one for one in Channel if one is not Channel.LOCAL]), st.text(max_size=120)),
    min_size=1,
    max_size=4,
    unique_by=lambda way: way.channel,
)


@given(WAYS)
def test_the_ways_of_a_header_come_back_as_they_were_signed(ways: list[Way]) -> None:
    """docs/envelope.md §4.1, tag 17."""
    header = dataclasses.replace(parse(ENVELOPES[1]).header, ways=tuple(ways), sender_copy=False)
    assert parse_header(encode_header(header)) == header


@pytest.mark.parametrize(
    "ways",
    [
        (Way(Channel.LOCAL, "x"),),
        (Way(Channel.SDK, "x"), Way(Channel.SDK, "y")),
        tuple(Way(channel, "") for channel in (*Channel, Channel.SDK)),
    ],
)
def test_ways_that_are_none_or_come_twice_are_malformed(ways: tuple[Way, ...]) -> None:
    header = dataclasses.replace(parse(ENVELOPES[1]).header, ways=ways, sender_copy=False)
    with pytest.raises(MalformedError):
        parse_header(encode_header(header))


def test_ways_without_their_kind_a_kind_without_ways_and_a_senders_copy_with_ways_are_malformed() -> None:
    plain = parse(ENVELOPES[1]).header
    outside = dataclasses.replace(plain, ways=(Way(Channel.SDK, "x"),), sender_copy=False)
    octets = encode_header(outside)
    kind = octets.index(b"\x00\x08\x00\x00\x00\x01") + 6
    with pytest.raises(MalformedError):
        parse_header(octets[:kind] + b"\x01" + octets[kind + 1 :])
    with pytest.raises(MalformedError):
        parse_header(octets[: octets.index(b"\x00\x11\x00\x00")])
    with pytest.raises(MalformedError):
        parse_header(encode_header(dataclasses.replace(outside, sender_copy=True)))


@given(st.integers(0, 49), st.lists(st.tuples(st.integers(0, 6000), st.binary(max_size=8)), min_size=1, max_size=4))
def test_a_mutated_envelope_parses_to_other_octets_or_not_at_all(number: int, edits: list[tuple[int, bytes]]) -> None:
    """Catalogue C02: whatever parses is re-encoded to the same octets, so nothing hides between two readings."""
    octets = bytearray(ENVELOPES[number][:8000])
    for at, piece in edits:
        octets[at : at + len(piece)] = piece
    try:
        parts = parse(bytes(octets))
    except MalformedError:
        return
    assert encode_header(parts.header) == parts.header_octets


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"SBD1",
        b"SBD1\x00\x10" + b"\xff" * 40,
        b"SBD1\x00\x10" + u32(2**32 - 1),
        b"SBD1\x00\x12" + ENVELOPES[0][6:],
        b"SBD1\x00\x20" + ENVELOPES[0][6:],
        b"SMG1" + ENVELOPES[0][4:],
        ENVELOPES[0][:-65] + b"\x02" + ENVELOPES[0][-64:] * 2,
        ENVELOPES[0][:-65] + b"\x00",
        b"\x00" * 2_000_000,
    ],
    ids=range(10),
)
def test_hostile_lengths_suites_and_counts_are_refused_without_memory(octets: bytes) -> None:
    """Catalogue C06: below 1 MiB of memory, whatever the lengths claim."""
    tracemalloc.start()
    with pytest.raises(MalformedError):
        parse(octets)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1024 * 1024


def hostile() -> Iterator[bytes]:
    """Suites, lengths and counts that lie: each length of an envelope by many values, each suite but ours."""
    octets = ENVELOPES[5]  # with a document and two endorsements
    parts = parse(octets)
    for suite in (*range(0x10), *range(0x11, 0x40), *range(0x100, 0x10000, 0x101)):
        yield octets[:4] + u16(suite) + octets[6:]
    places = [6, 10 + len(parts.header_octets), 14 + len(parts.header_octets) + len(parts.atts_octets)]
    at = 10
    while at < 10 + len(parts.header_octets):
        places.append(at + 2)
        at += 6 + int.from_bytes(octets[at + 2 : at + 6])
    for place in places:
        real = int.from_bytes(octets[place : place + 4])
        lies = {0, 1, real - 1, real + 1, real + 2, 2 * real + 1, len(octets), *(2**n for n in range(9, 32))}
        for length in (lies | {2**n - 1 for n in range(9, 33)}) - {real}:
            yield octets[:place] + u32(max(length, 0)) + octets[place + 4 :]
    for over in (1, 2):  # lengths that are true, and over the limit
        big = bytes(MAX_BODY + over)
        yield assemble(0x10, parts.header_octets, parts.atts_octets, big, parts.content_commitment, parts.signatures)
    for count in (0, *range(2, 256)):
        yield octets[:-65] + bytes([count]) + octets[-64:] * min(count, 3)
    for count in range(256):
        if count != parts.atts_octets[0]:
            atts = bytes([count]) + parts.atts_octets[1:]
            yield assemble(0x10, parts.header_octets, atts, parts.body, parts.content_commitment, parts.signatures)


def test_a_thousand_lying_suites_lengths_and_counts_cost_neither_memory_nor_time() -> None:
    """Catalogue C06: refused below 1 MiB of memory each, and in less than 10 ms of the processor on average."""
    cases = list(hostile())
    began = time.process_time()
    for octets in cases:
        with pytest.raises(MalformedError):
            parse(octets)
    spent = time.process_time() - began
    worst = 0
    tracemalloc.start()
    for octets in cases:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        with pytest.raises(MalformedError):
            parse(octets)
        worst = max(worst, tracemalloc.get_traced_memory()[1] - before)
    tracemalloc.stop()
    print(f"C06: {len(cases)} cases, {worst} octets at most, {1000 * spent / len(cases):.3f} ms each")
    assert len(cases) >= 1000
    assert worst < 1024 * 1024
    assert spent / len(cases) < 0.010


def test_header_fields_out_of_order_unknown_missing_or_doubled_are_refused() -> None:
    header = parse(ENVELOPES[1]).header_octets
    fields, at = [], 0
    while at < len(header):
        length = int.from_bytes(header[at + 2 : at + 6])
        fields.append(header[at : at + 6 + length])
        at += 6 + length
    cases = [fields[:n] + fields[n + 1 :] for n in range(len(fields))]
    cases += [[*fields[:n], fields[n], *fields[n:]] for n in range(len(fields))]
    cases += [[*fields, u16(17) + u32(1) + b"x"], fields[::-1]]
    for case in cases:
        with pytest.raises(MalformedError):
            parse_header(b"".join(case))
    assert MAX_PAYLOAD == 1024 * 1024
