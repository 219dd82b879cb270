"""Text of others made fit for a line of a log or a terminal: one line, escaped, capped.

Why this exists: a login, a title, a file name or an error of a neighbour may hold newlines that forge a log line,
escape sequences that move an operator's cursor, bidirectional marks that show one thing and mean another
(CVE-2021-42574), or a megabyte. Where such text leaves for a log or a terminal it goes through here; in the database it
stays as it came.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any, Final

#: Control, format (bidi marks among them), surrogate, private use, unassigned, line and paragraph separators.
_UNFIT: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
MOST: Final = 200  # characters of a field on a terminal
MOST_LOGGED: Final = 2_000  # characters of a field in a log line or a log entry
MOST_ITEMS: Final = 4_096


def one_line(text: str, most: int = MOST) -> str:
    """`text` on one line: what cannot be seen is written as an escape, what is too long ends in an ellipsis."""
    kept = text if len(text) <= most else f"{text[:most]}…"
    if kept.isascii() and kept.isprintable():
        return kept
    return "".join(_escaped(letter) if unicodedata.category(letter) in _UNFIT else letter for letter in kept)


def fit(value: Any) -> Any:
    """`value` with every text in it well-formed and at most MOST_LOGGED long: what a log entry may hold of it.

    Lone surrogates, which no encoding takes, become escapes; other characters stay, as JSON escapes them where needed.
    """
    if isinstance(value, str):
        kept = value if len(value) <= MOST_LOGGED else f"{value[:MOST_LOGGED]}…"
        return kept.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {fit(key): fit(inner) for key, inner in list(value.items())[:MOST_ITEMS]}
    if isinstance(value, list | tuple):
        return [fit(inner) for inner in value[:MOST_ITEMS]]
    return value


def shown(value: Any) -> Any:
    """`value` for a log line: every text in it one fit line; what is neither text, number nor a list is named."""
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, Mapping):
        return {one_line(str(key)): shown(inner) for key, inner in list(value.items())[:MOST_ITEMS]}
    if isinstance(value, list | tuple):
        return [shown(inner) for inner in value[:MOST_ITEMS]]
    return one_line(value if isinstance(value, str) else repr(value), MOST_LOGGED)


def _escaped(letter: str) -> str:
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
