"""Canonical JSON (RFC 8785): one sequence of octets for one value, whoever writes it.

Why this exists: what is signed, committed to or compared must come out the same everywhere. The library does it, in
Python, and a form passes it several times on its way. For values where nothing is left to interpretation the standard
encoder gives the very same octets in a third of the time, so those go there.

Rules: text, booleans, null, whole numbers within 2^53, lists and objects whose names are ASCII (there code points and
UTF-16 sort alike, §3.2.3) are equal in both (a property test holds it); floats, other names and all that is refused
stay with the library.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import rfc8785

_LARGEST: Final = 2**53 - 1
_MOST: Final = 100_000
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def dumps(value: Any) -> bytes:
    """The canonical octets of `value`.

    Raises:
        ValueError: not a JSON value, an integer beyond 2^53, not a number, or a lone surrogate.
    """
    return _encoded(value) or rfc8785.dumps(value)


def exact(value: Any) -> bytes:
    """The canonical octets of `value`, which holds no float: what is signed must not depend on how one is written.

    Raises:
        ValueError: a float, or as `dumps`.
    """
    octets = _encoded(value)
    if octets:
        return octets
    if _has_float(value):
        raise ValueError("floats have no place in what is signed")
    return rfc8785.dumps(value)


def _encoded(value: Any) -> bytes:
    """By the standard encoder; empty where it and the library could differ."""
    if _plain(value):
        with suppress(UnicodeEncodeError):  # a lone surrogate: the library says so in its own words
            return _ENCODER.encode(value).encode("utf-8")
    return b""


def _has_float(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(_has_float(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_has_float(item) for item in value)
    return isinstance(value, float)


def _plain(value: object) -> bool:
    """Whether both encoders agree on `value`. A walk without recursion: a form has some hundred parts."""
    parts: list[object] = [value]
    for part in parts:  # grows while it is walked
        kind = type(part)
        if kind is str or kind is bool or part is None:
            continue
        if kind is int:
            if not -_LARGEST <= part <= _LARGEST:  # type: ignore[operator]
                return False
        elif kind is dict:
            for name in part:  # type: ignore[attr-defined]
                if not (isinstance(name, str) and name.isascii()):
                    return False
            parts.extend(part.values())  # type: ignore[attr-defined]
        elif kind is list or kind is tuple:
            parts.extend(part)  # type: ignore[arg-type]
        elif not isinstance(part, str):  # the enums of the model are text
            return False
        if len(parts) > _MOST:
            return False  # a circle, or nothing that a form holds: the library's own words
    return True
