"""The last wall before the log (security.md §3.3 "never logged", row A10): what it takes out, and what it leaves."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.redaction import LONGEST, identity_number, redacted, redacted_fields, redacted_value

#: Published test numbers (Skatteverket), also as coordination numbers (day + 60).
NUMBERS = ("199006022397", "9006022397", "189401219806", "199006622391", "9006622391")
GAPS = ("", "-", "+", " ", "  ", " - ", ".", "/", "\u2013", "\u00a0", "\u200b", "\u00ad", "_", ", ")


def groupings(number: str) -> list[str]:
    """A number as people write it: whole, and cut in every usual place with every usual sign."""
    long = number if len(number) == 12 else ""
    cuts = [(6,), (2, 4), (2, 4, 6)] if not long else [(8,), (2, 8), (4, 6, 8), (2, 4, 6, 8)]
    found = [number]
    for cut in cuts:
        parts = [number[a:b] for a, b in zip((0, *cut), (*cut, len(number)), strict=True)]
        found += [gap.join(parts) for gap in GAPS]
    return found


def test_an_identity_number_is_taken_out_in_every_grouping_and_place() -> None:
    count = 0
    for number in NUMBERS:
        for written in groupings(number):
            for around in ("{}", "pnr {}.", "({})", "x={};", '"{}"', "hej {} du", "{}\n{}"):
                text = redacted(around.format(written, written))
                digits = "".join(c for c in text if c.isdigit())
                assert number[-4:] not in digits, (written, text)
                count += 1
    print(f"A10, last wall: {count} spellings of identity numbers, 0 through")
    assert count > 500


@pytest.mark.parametrize(
    "secret",
    [
        "Bearer 3q2-7wEjRsT0uV",
        "authorization: Basic a2FsbGU6aGVqMTIz",
        "password=lugn-trappa-vinge",
        "lösenord: kaffekopp",
        '"token": "abcDEF123"',
        "Cookie: __Host-sambud=abc.def",
        "postgresql://sambud:hemligt@127.0.0.1:5432/sambud",
        "dP3xQw8ZkL0vN5tR7yB2mC4hJ6gF9sA1eU_-oKiTzXy",
        "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9",
        "handlaggare@vaxjo.example",
        "070-174 06 05",
        "+46 70 174 06 05",
        "0046701740605",
        "08-465 004 00",
        "482 913",
        "482913",
        "12345678",
    ],
)
def test_a_secret_or_a_way_to_reach_somebody_is_taken_out(secret: str) -> None:
    for around in ("{}", "före {} efter", "[{}]"):
        told = redacted(around.format(secret))
        assert secret not in told
        assert "[" in told
    for part in ("hemligt", "vinge", "kaffekopp", "abcDEF123", "abc.def", "a2FsbGU6", "174", "handlaggare"):
        if part in secret:
            assert part not in redacted(secret).replace("[hemligt]", ""), redacted(secret)


@pytest.mark.parametrize(
    "kept",
    [
        "0b9c2f1e-7d34-4c1a-9f5e-2a6b8c0d1e2f",
        "12345678-1201-4412-8123-456789012345",
        "/inkorg/{inbox}/{envelope}",
        "server.py:141",
        "store-unavailable",
        "sambud.example/audit/2026",
        "delivery moved while it was tried",
        "SQLITE_IOERR_FSYNC",
        "127.0.0.1:8080",
    ],
)
def test_what_finds_the_fault_stays(kept: str) -> None:
    assert redacted(kept) == kept


def test_a_field_with_a_secrets_name_keeps_only_its_name() -> None:
    fields = {"password": "x", "Token": "y", "seed": b"z", "values": {"namn": "Prov"}, "code": "not-found", "query": ""}
    assert redacted_fields(fields) == {
        "password": "[hemligt]",
        "Token": "[hemligt]",
        "seed": "[hemligt]",
        "values": "[hemligt]",
        "code": "not-found",
        "query": "",
    }


def test_it_looks_into_lists_and_keys_and_numbers_and_gives_only_the_name_of_what_it_does_not_know() -> None:
    class Strange:
        def __repr__(self) -> str:
            return "199006022397"

    told: Any = redacted_value(
        {"lista": [199006022397, {"19900602-2397": 3}], "vad": Strange(), "n": 141, "b": b"hemligt"}
    )
    assert told == {"lista": ["[personnummer]", {"[personnummer]": 3}], "vad": "[Strange]", "n": 141, "b": "[bytes]"}


def test_what_is_too_long_or_too_deep_is_cut() -> None:
    assert len(redacted("a b " * LONGEST)) <= LONGEST + 1
    deep: Any = "19900602-2397"
    for _ in range(50):
        deep = [deep]
    assert "2397" not in str(redacted_value(deep))


def test_each_thing_taken_out_is_told_by_its_kind() -> None:
    found: Counter[str] = Counter()
    redacted("19900602-2397 a@b.example Bearer abcdefgh", lambda kind: found.update([kind]))
    assert found == {"identity_number": 1, "email": 1, "bearer": 1}


@given(st.text(max_size=300))
def test_any_text_passes_and_passing_twice_changes_nothing_more(text: str) -> None:
    """The wall must never end the act that logged."""
    once = redacted(text)
    assert not identity_number(once) or len(once) > 20
    assert redacted(once) == redacted(redacted(once))


@pytest.mark.slow
def test_a_hundred_thousand_signs_made_to_hurt_take_no_longer_than_their_length() -> None:
    """No pattern of the wall goes back and forth without end: it sees at most two thousand characters."""
    rng = random.Random(20260302)
    for alphabet in ("0 ", "1-", "+0(", "a@", ". ", "=:", "Bb1_", "[]"):
        redacted("".join(rng.choice(alphabet) for _ in range(100_000)))
