"""The octets of a backup: rows and records come back as they were, however the stream is cut (docs/backup.md)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.archive import Head, Kind, RecordReader, RecordType, decode_rows, encode_row, parse_head, record
from gateway.errors import BackupError
from gateway.model.base import Instant

VALUES = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.text(max_size=20), st.binary(max_size=20))
ROWS = st.integers(1, 5).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[VALUES] * n), max_size=6)))


@given(ROWS)
def test_rows_come_back_as_they_were(drawn: tuple[int, list[tuple[int | str | bytes | None, ...]]]) -> None:
    columns, rows = drawn
    octets = b"".join(encode_row(row) for row in rows)
    assert decode_rows(octets, columns) == rows


def test_a_boolean_and_the_number_that_stands_for_it_have_the_same_octets() -> None:
    """SQLite keeps 0 and 1, PostgreSQL booleans: equal rows must give equal digests."""
    assert encode_row([True, False]) == encode_row([1, 0])


@settings(max_examples=50)
@given(ROWS, st.data())
def test_half_a_row_is_refused(
    drawn: tuple[int, list[tuple[int | str | bytes | None, ...]]], data: st.DataObject
) -> None:
    columns, rows = drawn
    if rows:
        octets = encode_row(rows[0])
        if columns > 1 or len(octets) > 1:
            with pytest.raises(BackupError):
                decode_rows(octets[: data.draw(st.integers(1, len(octets) - 1))], columns)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(RecordType), st.binary(max_size=40)), max_size=6), st.integers(1, 30))
def test_records_come_back_however_the_stream_is_cut(records: list[tuple[RecordType, bytes]], step: int) -> None:
    octets = b"".join(record(kind, body) for kind, body in records)
    reader = RecordReader()
    found = [one for at in range(0, len(octets), step) for one in reader.feed(octets[at : at + step])]
    reader.ended()
    assert found == records


def test_an_unknown_record_and_one_that_is_too_long_are_refused() -> None:
    for octets in (b"\x07\x00\x00\x00\x00", b"\x02\xff\xff\xff\xff"):
        with pytest.raises(BackupError):
            list(RecordReader().feed(octets))


def test_a_head_has_its_six_fields_in_order_and_nothing_else() -> None:
    """docs/backup.md §2.1."""
    head = Head(
        kind=Kind.KEYS,
        backup="00000000-0000-0000-0000-000000000001",
        created=Instant(5),
        gateway="sambud.example",
        program="1",
    )
    octets = head.octets()
    assert parse_head(octets) == head
    for wrong in (
        octets[:-1],
        octets + b"\x00\x07\x00\x00\x00\x00",
        octets[8:],
        b"",
        octets.replace(b"\x00\x10", b"\x00\x12", 1),
    ):
        with pytest.raises(BackupError):
            parse_head(wrong)
