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
from typing import Any, Final

import rfc8785

_LARGEST: Final = 2**53 - 1
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def dumps(value: Any) -> bytes:
    """The canonical octets of `value`.

    Raises:
        ValueError: not a JSON value, an integer beyond 2^53, not a number, or a lone surrogate.
    """
    if _plain(value):
        try:
            return _ENCODER.encode(value).encode("utf-8")
        except UnicodeEncodeError:
            pass  # a lone surrogate: the library says so in its own words
    return rfc8785.dumps(value)


def _plain(value: object) -> bool:
    """Whether both encoders agree on `value`."""
    if value is None or isinstance(value, str | bool):
        return True
    if isinstance(value, int):
        return type(value) is int and -_LARGEST <= value <= _LARGEST
    if isinstance(value, dict):
        return all(isinstance(name, str) and name.isascii() and _plain(item) for name, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return False
