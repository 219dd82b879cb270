"""Any row of any kind, made from its type hints: for round trips."""

from __future__ import annotations

import dataclasses
import types
import typing
from enum import StrEnum
from typing import Any

from hypothesis import strategies as st

from gateway.model.base import Row

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40)


def _values(hint: Any) -> st.SearchStrategy[Any]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        inner = next(part for part in typing.get_args(hint) if part is not type(None))
        return st.none() | _values(inner)
    if typing.get_origin(hint) is tuple:
        return st.lists(TEXT, max_size=4).map(tuple)
    plain = getattr(hint, "__supertype__", hint)
    if isinstance(plain, type) and issubclass(plain, StrEnum):
        return st.sampled_from(plain)
    return {
        int: st.integers(-(2**62), 2**62),
        bool: st.booleans(),
        bytes: st.binary(max_size=64),
        str: TEXT,
    }[plain]


def any_row(kind: type[Row]) -> st.SearchStrategy[Row]:
    """A row of that kind; a version is 1, as for every new row."""
    hints = typing.get_type_hints(kind)
    fields = {field.name: _values(hints[field.name]) for field in dataclasses.fields(kind)}
    if "version" in fields:
        fields["version"] = st.just(1)
    return st.builds(kind, **fields)
