"""What may stand in an address of the API: the parts of a path, and the parameters after the question mark.

Why this exists: an address is input like any other. Each kind of part and each parameter says its form once, as JSON
Schema; the same schema stands in the API's description and is checked here before a handler runs, so that no store is
asked for what cannot be there and a misspelt parameter is told instead of ignored.

Rules: a part of another form is absent, and absent is 404; a parameter that is unknown, repeated or of another form is
400 with its name. Neither answer repeats what was sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from aiohttp import web

from gateway.errors import InvalidRequestError, NotFoundError

#: Public ids are UUIDs in the text form of RFC 9562 §4, in lower case.
UUID: Final = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
#: Names that the directory file gives: letters of Latin-1, digits, and unreserved characters (RFC 3986 §2.3).
NAME: Final = "^[0-9A-Za-zÀ-ÖØ-öø-ÿ][0-9A-Za-zÀ-ÖØ-öø-ÿ_.~-]{0,127}$"
CURSOR: Final = "^[A-Za-z0-9_=-]{0,300}$"
MOST_DIGITS: Final = 15


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a path: its form and what it names, in Swedish."""

    pattern: str
    about: str


@dataclass(frozen=True, slots=True)
class Query:
    """A parameter: its JSON Schema (an integer, or a string with a pattern, a length or choices), and its meaning."""

    name: str
    about: str
    schema: Mapping[str, Any]


#: Every `{part}` that a path of the API may have.
PARTS: Final[Mapping[str, Part]] = {
    "inbox": Part(NAME, "Inkorgens id i adressboken"),
    "user": Part(UUID, "Användarens id"),
    "case": Part(UUID, "Ärendets id"),
    "consent": Part(UUID, "Samtyckets id"),
    "draft": Part(UUID, "Utkastets id"),
    "attachment": Part(UUID, "Bilagans id"),
    "message": Part(UUID, "Meddelandets id"),
    "envelope": Part(UUID, "Kuvertets id: ett meddelande som det kom till en inkorg"),
    "delivery": Part(UUID, "Leveransens id: ett kuverts väg till en inkorg"),
    "notice": Part(UUID, "Id för det som en mottagare ska få höra"),
    "proposal": Part(UUID, "Förslagets id: det meddelande som föreslår ett svar"),
    "session": Part("^[0-9a-f]{12}$", "Inloggningens id i listan över inloggningar"),
    "form": Part("^[a-z][a-z0-9_]{0,63}$", "Blankettens namn"),
    "version": Part("^[1-9][0-9]{0,4}$", "Blankettens version"),
}

#: Where a list goes on: what `next` said, unchanged.
AFTER: Final = Query(
    "after", "Var listan fortsätter: värdet av next i föregående svar.", {"type": "string", "pattern": CURSOR}
)


def limit(*, default: int = 50, most: int = 200) -> Query:
    """How many lines a list gives at most."""
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return Query("limit", f"Högst så många rader, 1–{most}.", schema)


def number(name: str, about: str, *, default: int | None = 0) -> Query:
    """A count or a place, 0 and up."""
    schema: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": 10**MOST_DIGITS - 1}
    return Query(name, about, schema if default is None else {**schema, "default": default})


def text(name: str, about: str, *, most: int = 200, pattern: str = "") -> Query:
    """A text without control characters."""
    return Query(name, about, {"type": "string", "pattern": pattern or f"^[^\\x00-\\x1f\\x7f]{{0,{most}}}$"})


def choice(name: str, about: str, choices: type[StrEnum], *, default: str | None = None) -> Query:
    """One of a closed set."""
    schema: dict[str, Any] = {"type": "string", "enum": [str(one) for one in choices]}
    return Query(name, about, schema if default is None else {**schema, "default": default})


def read(known: Sequence[Query], request: web.Request) -> Mapping[str, int | str]:
    """The parameters of a call, in their types, with defaults; what has neither is left out.

    Raises:
        NotFoundError: a part of the path has another form than ids of its kind have.
        InvalidRequestError: a parameter is unknown, stands twice, or has another form.
    """
    for name, value in request.match_info.items():
        if not re.fullmatch(PARTS[name].pattern, value):
            raise NotFoundError("no such address", swedish="Det som söks finns inte, eller är inte ert.")
    by_name = {one.name: one for one in known}
    given = request.query
    if set(given) - set(by_name):
        raise InvalidRequestError(
            "unknown parameter",
            swedish="Adressen har en parameter som anropet inte tar.",
            next_step=f"Anropet tar: {', '.join(by_name) or 'inga parametrar'}. Inget har ändrats.",
        )
    found: dict[str, int | str] = {}
    for name, one in by_name.items():
        values = given.getall(name, [])
        if len(values) > 1:
            raise _wrong(one)
        if values:
            found[name] = _value(one, values[0])
        elif "default" in one.schema:
            found[name] = one.schema["default"]
    return found


def _value(one: Query, value: str) -> int | str:
    schema = one.schema
    if schema["type"] == "integer":
        if not (value.isascii() and value.isdigit() and len(value) <= MOST_DIGITS):
            raise _wrong(one)
        if not schema["minimum"] <= int(value) <= schema["maximum"]:
            raise _wrong(one)
        return int(value)
    if "enum" in schema and value not in schema["enum"]:
        raise _wrong(one)
    if "pattern" in schema and not re.fullmatch(schema["pattern"].removesuffix("$"), value):
        raise _wrong(one)
    return value


def _wrong(one: Query) -> InvalidRequestError:
    schema = one.schema
    if schema["type"] == "integer":
        form = f"ett heltal {schema['minimum']}–{schema['maximum']}"
    else:
        form = f"något av {', '.join(schema['enum'])}" if "enum" in schema else "en text i den form som API:t beskriver"
    return InvalidRequestError(
        f"{one.name} has another form",
        swedish=f"Parametern {one.name} ska vara {form}, och stå högst en gång.",
        next_step=f"Ändra {one.name} och försök igen. Inget har ändrats.",
    )
