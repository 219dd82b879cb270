"""Canonical JSON is what the library for RFC 8785 writes, octet for octet, whichever encoder wrote it."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from gateway import canonical

NAMES = st.text(max_size=6) | st.text(st.characters(codec="ascii"), max_size=6)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**53) - 2, -(2**53) + 2)
    | st.integers(2**53 - 2, 2**53 + 2)
    | st.floats()
    | st.text(max_size=12)
    | st.text(st.characters(max_codepoint=0x9F), max_size=12)
    | st.text(st.characters(categories=["Cs", "Co", "Zl", "Zp"]), max_size=3)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4) | st.tuples(inner, inner),
    max_leaves=12,
)


class Word(StrEnum):
    ONE = "ett"


class Number(IntEnum):
    ONE = 1


def outcome(write: Any, value: object) -> object:
    try:
        return write(value)
    except ValueError as refused:
        return type(refused)


@given(VALUES)
def test_the_octets_and_the_refusals_are_the_librarys(value: object) -> None:
    """RFC 8785 §3.2: order of names, escapes, numbers."""
    assert outcome(canonical.dumps, value) == outcome(rfc8785.dumps, value)


@pytest.mark.parametrize(
    "value",
    [
        '\x00\x07\b\t\n\f\r\x1f"\\/\x7f\u2028\u2029åäö\U0001f600',
        {"é": 1, "a": 2, "\U0001f600": 3, "\ue000": 4},
        {"b": Word.ONE, "a": Number.ONE, "c": (1, [True, None])},
        {Word.ONE: 1, "a": 0},
        {1: 2},
        {"a": b"octets"},
        "\ud800",
        2**53,
        -(2**53),
        2**53 - 1,
        1e21,
        -0.0,
        float("nan"),
        {"a": {"b": [1.5]}},
    ],
)
def test_what_the_two_encoders_could_differ_in(value: object) -> None:
    assert outcome(canonical.dumps, value) == outcome(rfc8785.dumps, value)
