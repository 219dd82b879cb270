"""Rows to parameters and back: enums and tuples of text are the only values that databases do not know."""

from __future__ import annotations

import dataclasses
import json
import operator
import types
import typing
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, Generic, TypeVar

from gateway.model.base import Row

R = TypeVar("R")


class Codec(Generic[R]):
    """Converts one kind of frozen value; `columns` are its fields, in the order of their definition."""

    def __init__(self, kind: type[R]) -> None:
        self._kind = kind
        hints = typing.get_type_hints(kind)
        self.columns = tuple(field.name for field in dataclasses.fields(kind))  # type: ignore[arg-type]
        self._values: Callable[[R], tuple[Any, ...]] = operator.attrgetter(*self.columns)  # a row has at least two
        encoders = [(place, _encoder(hints[name])) for place, name in enumerate(self.columns)]
        self._encoded = [(place, encode) for place, encode in encoders if encode is not None]
        decoders = [(place, _decoder(hints[name])) for place, name in enumerate(self.columns)]
        self._decoded = [(place, decode) for place, decode in decoders if decode is not None]
        # Rows are values without work of their own at birth: to set their fields in place is twice as fast as a frozen
        # class's __init__ with names, and reading rows is a good part of every request.
        if hasattr(kind, "__post_init__"):
            raise TypeError(f"{kind.__name__} checks itself when it is made; a codec would pass that by")
        self._set = [getattr(kind, name).__set__ for name in self.columns]

    def params(self, row: R) -> tuple[Any, ...]:
        """The values of a row, for a driver."""
        values = self._values(row)
        if not self._encoded:
            return values
        encoded = list(values)
        for place, encode in self._encoded:
            encoded[place] = encode(encoded[place])
        return tuple(encoded)

    def row(self, values: Sequence[Any]) -> R:
        """A row from what a driver gave."""
        decoded = list(values)
        for place, decode in self._decoded:
            value = decoded[place]
            if value is not None:
                decoded[place] = decode(value)
        made = object.__new__(self._kind)
        for set_field, value in zip(self._set, decoded, strict=True):
            set_field(made, value)
        return made


def _plain(hint: Any) -> Any:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    return getattr(hint, "__supertype__", hint)


def _encoder(hint: Any) -> Callable[[Any], Any] | None:
    plain = _plain(hint)
    if typing.get_origin(plain) is tuple:
        return lambda value: json.dumps(value, ensure_ascii=False)
    if isinstance(plain, type) and issubclass(plain, StrEnum):
        return lambda value: None if value is None else value.value
    return None


def _decoder(hint: Any) -> Callable[[Any], Any] | None:
    plain = _plain(hint)
    if typing.get_origin(plain) is tuple:
        return lambda value: tuple(json.loads(value))
    if isinstance(plain, type) and issubclass(plain, StrEnum):
        return plain
    if plain is bool:
        return bool
    if plain is bytes:
        return bytes
    return None


CODECS: dict[type[Any], Codec[Any]] = {}


def codec(kind: type[R]) -> Codec[R]:
    """The codec of a kind, made once."""
    found = CODECS.get(kind)
    if found is None:
        found = CODECS[kind] = Codec(kind)
    return found


def key_params(row: Row) -> tuple[Any, ...]:
    """The key of a row, for a driver."""
    return tuple(value.value if isinstance(value, StrEnum) else value for value in row.key)
