"""What must always hold of envelopes and contexts, whatever the octets."""

from __future__ import annotations

import base64
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.envelope import (
    MAX_PAYLOAD,
    PAD_STEP,
    MalformedError,
    ctx,
    encode_header,
    pad,
    parse,
    parse_header,
    u16,
    u32,
    unpad,
)

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
