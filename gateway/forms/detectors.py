"""What points at a person in text that goes to a board: identity numbers, phone numbers, addresses, the person's name.

Why this exists: at stage 1 the board matches a need, not a person (docs/forms.md). The fields are coded so that no name
is asked for, but free text is written by tired people from a file full of numbers. So it is searched before it is sent,
and the writer is told what to write instead; nothing is removed in silence.

Not promised: a person can be recognised from circumstances alone. Stage 1 stays secret (OSL 26:1), detector or not.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

from gateway.personid import check_digit_holds, looks_like_number

_GAP: Final = r"[ \t\u00a0.\-+/]{0,3}"
_RUN: Final = re.compile(rf"(?<![0-9A-Za-z])[+]?[0-9](?:{_GAP}[0-9]){{6,31}}(?![0-9])", re.ASCII)
_PLAIN: Final = re.compile(r"(?<![0-9])(?:[0-9]{2})?[0-9]{6} ?[-+]? ?[0-9]{4}(?![0-9])", re.ASCII)
_RESERVE: Final = re.compile(r"(?<![0-9A-Za-z])[0-9]{8}-?(?=[0-9A-Z]*[A-Z])[0-9A-Z]{4}(?![0-9A-Za-z])", re.ASCII)
#: National numbers begin with 0 and an area code, 8–10 digits in all; international ones with + or 00 (ITU-T E.164).
_PHONE: Final = re.compile(
    r"(?<![0-9+])(?<![0-9][\-.])(?:(?:\+|00)[1-9][0-9]{0,2}(?:[ \-/()]{0,3}[0-9]){6,12}"
    r"|0[1-9][0-9]{0,2}[ \-/]{0,3}[0-9]{2,3}(?:[ \-]{0,2}[0-9]{2,3}){1,3}"
    r"|0[1-9][0-9]{6,8})(?![0-9])",
    re.ASCII,
)
_EMAIL: Final = re.compile(r"[^\s@<>(),;:]{1,64}@[^\s@<>(),;:.]{1,63}(?:\.[^\s@<>(),;:.]{1,63}){1,8}")
_WORD: Final = re.compile(r"[^\W\d_]+")
_DASHES: Final = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d", "-"))
#: From this length on a name is matched in any case; shorter ones are words as well (dag, liv, bo, sten).
_TELLING: Final = 6
_PARTICLES: Final = frozenset(  # part of many names, and of any text
    ["af", "al", "av", "bin", "da", "de", "del", "den", "der", "di", "du", "el", "ibn", "la", "le", "van", "von"]
)


class Trace(StrEnum):
    """What was found; the order in which it is told."""

    IDENTITY_NUMBER = "identity_number"
    PHONE = "phone"
    EMAIL = "email"
    NAME = "name"


INSTEAD: Final[Mapping[Trace, str]] = {
    Trace.IDENTITY_NUMBER: "ta bort personnumret. Skriv ärendets namn i stället.",
    Trace.PHONE: "ta bort telefonnumret. Skriv funktionen i stället.",
    Trace.EMAIL: "ta bort e-postadressen. Skriv funktionen i stället.",
    Trace.NAME: "ta bort personens namn. Skriv ”personen” i stället.",
}


def traces(text: str, name: str = "") -> list[Trace]:
    """What in `text` points at somebody, each kind once.

    Args:
        text: at most some thousand characters; the caller has checked its length.
        name: the individual's name as it stands in this very form; no other names are known or looked for.
    """
    plain = _readable(text)
    numbers, rest = _without_numbers(plain)
    found = {
        Trace.IDENTITY_NUMBER: numbers,
        Trace.PHONE: _PHONE.search(rest) is not None,
        Trace.EMAIL: _EMAIL.search(plain) is not None,
        Trace.NAME: _names(plain, _readable(name)),
    }
    return [trace for trace, there in found.items() if there]


def _readable(text: str) -> str:
    """As a reader sees it: one form of each digit, letter and hyphen, and nothing invisible in between."""
    if text.isascii():
        return text  # nothing in it to make plain
    normal = unicodedata.normalize("NFKC", text)
    # Each kind of character is looked at once, not each character: a form is mostly the same thirty letters.
    return normal.translate({ord(c): _seen(c) for c in set(normal) if not c.isascii()})


def _seen(character: str) -> str:
    """A character outside ASCII as a reader sees it; empty when he does not."""
    if unicodedata.category(character) == "Cf":
        return ""
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    return character.translate(_DASHES)


def _without_numbers(text: str) -> tuple[bool, str]:
    """Whether identity numbers stand in `text`, and the text without them, so that none is read as a phone number."""
    found = False

    def blank(match: re.Match[str]) -> str:
        nonlocal found
        found = True
        return " x "

    text = _RESERVE.sub(blank, text)

    def plain(match: re.Match[str]) -> str:
        digits = re.sub(r"[^0-9]", "", match[0])
        # A phone number of ten digits can have the shape of a samordningsnummer (070-174…): then the check digit rules.
        sure = check_digit_holds(digits) if _PHONE.fullmatch(match[0]) else True
        return blank(match) if looks_like_number(digits) and sure else match[0]

    text = _PLAIN.sub(plain, text)
    for run in _RUN.finditer(text):
        # Written with other gaps (1990 06 02 23 97) a number counts when its check digit holds: dates stand in rows.
        if any(_holds(digits) for digits in _windows(run[0])):
            found = True
            text = text.replace(run[0], " x ")
    return found, text


def _windows(run: str) -> Iterator[str]:
    """Ten and twelve digits of a run that begin and end where a group of digits does."""
    groups = re.findall(r"[0-9]+", run)
    for first in range(len(groups)):
        digits = ""
        for group in groups[first:]:
            digits += group
            if len(digits) in (10, 12):
                yield digits


def _holds(digits: str) -> bool:
    return looks_like_number(digits) and check_digit_holds(digits)


def _names(text: str, name: str) -> bool:
    parts = [part for part in _WORD.findall(name) if len(part) > 1 and part.casefold() not in _PARTICLES]
    wanted = {form for part in parts for form in (part.casefold(), f"{part.casefold()}s")}
    return any(
        word.casefold() in wanted and (word[0].isupper() or len(word) >= _TELLING) for word in _WORD.findall(text)
    )
