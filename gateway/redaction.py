"""Take out of a text what must never stand in a log: identity numbers, codes, tokens, passwords, addresses, numbers.

Why this exists: nothing in the gateway logs content or personal data, and a test over every route holds it. This is the
last wall behind that, for the line that somebody writes tomorrow and for libraries that log what they choose. It knows
forms, not meanings: a name or a sentence passes it, so the first rule stays the first rule.

Rules: rather too much than too little. Ids of ours (UUIDs) stay, since without them nobody finds anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

#: What may stand between the digits of a number that somebody wrote for people: spaces, dashes, dots, nothing visible.
_GAP: Final = r"[\s\-+./,_()\u00ad\u200b-\u200f\u2010-\u2015\u2060\u2212]{0,3}"
_DIGITS: Final = re.compile(r"\d+")
_BETWEEN: Final = re.compile(_GAP)
_PHONE: Final = re.compile(rf"(?<![0-9A-Za-z])(?:\+{_GAP}\d{{1,3}}|00{_GAP}[1-9]\d{{0,2}}|0)(?:{_GAP}\d){{6,12}}(?!\d)")
_CODE: Final = re.compile(
    r"(?<![0-9A-Za-z.:-])(?:\d{6}|\d{8}|\d{3}[\s\u00ad\u200b-]\d{3}|\d{4}[\s\u00ad\u200b-]\d{4})(?![0-9A-Za-z.:-])"
)
_UUID: Final = re.compile(
    r"(?<![0-9A-Za-z-])[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![0-9A-Za-z-])"
)
_EMAIL: Final = re.compile(r"[^\s@<>\"'(),;:=]+@[^\s@<>\"'(),;:]+\.[^\s@<>\"'(),;:.]{2,}")
_BEARER: Final = re.compile(r"(?i)\b(?:bearer|basic|digest)\s+[^\s\"',;]{6,}")
_NAMED: Final = re.compile(
    r"(?i)\b(pass(?:word|wd|phrase)?|pwd|lösenord(?:et)?|token|secret|hemlighet|seed|api[-_]?key|authorization|cookie"
    r"|set-cookie|csrf|_csrf|x-csrf-token|session)\b[\"']?\s*[=:]\s*(?:\"[^\"]*\"?|'[^']*'?|(?:(?:bearer|basic)\s+)?[^\s\"',;&]+)"
)
_URL_SECRET: Final = re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://)[^\s/@:]*:[^\s/@]+@")
_TOKEN: Final = re.compile(r"(?<![0-9A-Za-z_-])[0-9A-Za-z_-]{32,}(?:\.[0-9A-Za-z_-]{8,})*=*(?![0-9A-Za-z_-])")
#: Fields whose value is a secret whatever it looks like. Not "code": that is the name of an error (gateway.errors).
SECRET_FIELDS: Final = frozenset(
    {
        "password",
        "passwd",
        "pwd",
        "token",
        "secret",
        "seed",
        "authorization",
        "cookie",
        "body",
        "form",
        "values",
        "query",
    }
)
DEPTH: Final = 6
LONGEST: Final = 2000  # characters of one value
Counter = Callable[[str], None]


def _nobody(_kind: str) -> None:
    return None


def redacted(text: str, found: Counter = _nobody) -> str:
    """`text` without what looks like personal data or a secret; `found` is told the kind of each.

    Never more than 2,000 characters: what is longer is content.
    """
    if len(text) > LONGEST:
        text = text[:LONGEST] + "…"
    kept: list[str] = []

    def put_by(match: re.Match[str]) -> str:
        kept.append(match[0])
        return f"\x00{chr(0xE000 + len(kept) - 1)}\x00"

    text = _UUID.sub(put_by, text.replace("\x00", "")) if len(text) > 35 else text
    for kind, pattern, hits in _SECRETS:
        text = pattern.sub(_stamp(kind, hits, found), text)
    text = _without_identity_numbers(text, found)
    for kind, pattern, hits in _WAYS:
        text = pattern.sub(_stamp(kind, hits, found), text)
    for number, whole in enumerate(kept):
        text = text.replace(f"\x00{chr(0xE000 + number)}\x00", whole)
    return text


def redacted_value(value: Any, found: Counter = _nobody, *, depth: int = 0) -> Any:
    """The same for whatever stands in a log line: in keys, in lists, in numbers. Unknown kinds give only their name."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, str):
        return redacted(value, found)
    if isinstance(value, int):
        return redacted(str(value), found) if identity_number(str(value)) else value
    if depth >= DEPTH:
        return "[…]"
    if isinstance(value, Mapping):
        return redacted_fields(value, found, depth=depth + 1)
    if isinstance(value, list | tuple | set | frozenset):
        return [redacted_value(item, found, depth=depth + 1) for item in value]
    return f"[{type(value).__name__}]"  # its text may quote what it was made of


def redacted_fields(fields: Mapping[Any, Any], found: Counter = _nobody, *, depth: int = 0) -> dict[str, Any]:
    """The fields of a log line; a field with a secret's name keeps only its name."""
    told: dict[str, Any] = {}
    for name, value in fields.items():
        key = redacted(str(name), found)
        if key.lower() in SECRET_FIELDS and value:
            found("secret_field")
            told[key] = "[hemligt]"
        else:
            told[key] = redacted_value(value, found, depth=depth)
    return told


def identity_number(text: str) -> bool:
    """Whether the digits of `text` may be a personal identity number or coordination number, right or mistyped.

    Ten or twelve digits with a possible month and day (SFS 1991:481 18 §; a coordination number adds 60 to the day).
    The check digit is not asked: a number with a typing error still points at somebody.
    """
    digits = "".join(letter for letter in text if letter.isdecimal())
    if len(digits) not in (10, 12):
        return False
    month, day = int(digits[-8:-6]), int(digits[-6:-4])
    return 1 <= month <= 12 and 1 <= day % 60 <= 31 and day <= 91


def _without_identity_numbers(text: str, found: Counter) -> str:
    """Every row of digit groups that makes one: "1990 06 02-2397" is four groups, and may follow another number."""
    groups = list(_DIGITS.finditer(text))
    kept, after, at = [], 0, 0
    while at < len(groups):
        end = _identity_number_from(text, groups, at)
        if end is None:
            at += 1
            continue
        found("identity_number")
        kept += [text[after : groups[at].start()], "[personnummer]"]
        after, at = groups[end].end(), end + 1
    return "".join([*kept, text[after:]])


def _identity_number_from(text: str, groups: list[re.Match[str]], first: int) -> int | None:
    """The last group of the identity number that begins with group `first`; None when none does."""
    digits, best = "", None
    for at in range(first, len(groups)):
        if at > first and not _BETWEEN.fullmatch(text, groups[at - 1].end(), groups[at].start()):
            break
        digits += groups[at][0]
        if len(digits) > 12:
            break
        if identity_number(digits):
            best = at
    return best


def _always(_text: str) -> bool:
    return True


def _secretlike(text: str) -> bool:
    """Random letters: 64 hexadecimal digits, or a long mix of digits and both cases. A file's name is neither."""
    hexadecimal = re.fullmatch(r"[0-9a-fA-F]+", text) is not None
    mixed = any(c.isdigit() for c in text) and any(c.islower() for c in text) and any(c.isupper() for c in text)
    return (hexadecimal and len(text) >= 40) or mixed


_Row = tuple[str, re.Pattern[str], Callable[[str], bool]]
#: In this order: what names a secret before what only looks like one; then identity numbers; then other numbers.
_SECRETS: Final[tuple[_Row, ...]] = (
    ("url_secret", _URL_SECRET, _always),
    ("bearer", _BEARER, _always),
    ("named_secret", _NAMED, _always),
    ("email", _EMAIL, _always),
    ("token", _TOKEN, _secretlike),
)
_WAYS: Final[tuple[_Row, ...]] = (
    ("phone", _PHONE, _always),
    ("code", _CODE, _always),
)
KINDS: Final = (*(kind for kind, _, _ in (*_SECRETS, *_WAYS)), "identity_number", "secret_field", "withheld")
_STAMPS: Final = {
    "url_secret": "[hemligt]@",
    "bearer": "[nyckel]",
    "named_secret": "[hemligt]",
    "email": "[e-post]",
    "token": "[nyckel]",
    "phone": "[telefon]",
    "code": "[kod]",
}


def _stamp(kind: str, hits: Callable[[str], bool], found: Counter) -> Callable[[re.Match[str]], str]:
    def replaced(match: re.Match[str]) -> str:
        if not hits(match[0]):
            return match[0]
        found(kind)
        name = match[1] if match.re.groups and match[1] else ""
        return f"{name}{'=' if kind == 'named_secret' else ''}{_STAMPS[kind]}"

    return replaced
