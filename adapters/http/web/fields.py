"""Form data as questions on a page, and what the page sends back as the form's values.

Why this exists: every form is data (gateway/forms), so no page knows a question by name. A `Question` is what the
templates need to show one; `read` is its way back. Half an answer is kept as it was written: what is wrong with it is
told by `gateway.compose`, never here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from babel import dates
from markupsafe import Markup
from multidict import MultiDictProxy

from adapters.http.web.words import N_
from gateway.forms import Field, Form, Section
from gateway.personid import Assurance, IdKind, with_century

YES, NO = "ja", "nej"
ID_PARTS: Final = ("kind", "value", "issuer", "assurance", "reason")
ID_KINDS: Final = {
    IdKind.PERSONNUMMER: N_("Personnummer"),
    IdKind.SAMORDNINGSNUMMER: N_("Samordningsnummer"),
    IdKind.RESERVNUMMER: N_("Reservnummer"),
    IdKind.UNKNOWN: N_("Uppgift saknas"),
}
ASSURANCES: Final = {
    Assurance.CONFIRMED: N_("Styrkt"),
    Assurance.PROBABLE: N_("Sannolik"),
    Assurance.UNCERTAIN: N_("Osäker"),
}
#: From this many on, alternatives stand in a list that opens instead of in a row of buttons.
MANY: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question as a template shows it.

    `when` is the name of the question that it depends on and the values with which it is asked; `depends` says the
    same in words, for pages without JavaScript.
    """

    id: str
    kind: str
    label: str
    hint: str
    optional: bool
    value: Any
    options: tuple[tuple[str, str], ...] = ()
    max: int = 0
    rows: int = 5
    when: tuple[str, tuple[str, ...]] | None = None
    depends: str = ""


def questions(form: Form, section: Section, values: Mapping[str, Any]) -> list[Question]:
    """The questions of a section; files have a page of their own."""
    fields = [form.fields[name] for name in section.fields]
    return [question(form, field, values.get(field.id), section) for field in fields if field.type != "file"]


def question(form: Form, field: Field, value: Any, section: Section | None = None) -> Question:
    hints = [field.help]
    when, depends = None, ""
    if field.when:
        other = form.fields[field.when.field]
        told = " eller ".join(f"”{_told(other, one)}”" for one in field.when.values)
        depends = f"Svara om du har svarat {told} på frågan ”{other.label}”."
        hints.append(depends)
        if not field.when.otherwise and section is not None and other.id in section.fields:
            when = (other.id, tuple(_sent(other, one) for one in field.when.values))
    if field.judged:
        hints.append(f"{field.judged}.")
    if field.type == "date":
        hints.append("Skriv ÅÅÅÅ-MM-DD, till exempel 2026-03-09.")
    return Question(
        id=field.id,
        kind=field.type,
        label=field.label,
        hint=" ".join(hint for hint in hints if hint),
        optional=field.required == "O" or bool(field.judged),
        value=_as_sent(field, value),
        options=_options(field),
        max=field.max or 0,
        rows=8 if field.required == "R" else 3,
        when=when,
        depends=depends,
    )


def read(fields: Iterable[Field], sent: MultiDictProxy[str], *, today: date) -> dict[str, Any]:
    """The answers that a page sent. A question without an answer is left out."""
    found = {field.id: _read(field, sent, today) for field in fields}
    return {name: value for name, value in found.items() if value not in (None, "", [], {})}


def shown(field: Field, value: Any) -> str:
    """An answer in words, for reading."""
    if value is None:
        return ""
    if field.type in ("code", "multi"):
        return ", ".join(field.codes.get(one, str(one)) for one in _listed(value))
    if field.type == "bool":
        return "Ja" if value is True else "Nej"
    if field.type == "id" and isinstance(value, Mapping):
        return identity(value)
    if field.type == "date":
        return _spoken(str(value))
    return str(value)


def identity(value: Mapping[str, Any]) -> str:
    """An identity as it is read aloud: kind, number with its hyphen, and what goes with it."""
    try:
        kind = IdKind(str(value.get("kind", "")))
    except ValueError:
        return ""
    number = str(value.get("value", ""))
    if re.fullmatch(r"\d{12}", number) and kind is not IdKind.RESERVNUMMER:
        number = f"{number[:8]}-{number[8:]}"
    assurance = next((text for one, text in ASSURANCES.items() if one == value.get("assurance")), "")
    parts = [ID_KINDS[kind], number, assurance, str(value.get("reason", "")), str(value.get("issuer", ""))]
    return ", ".join(part for part in parts if part)


def swedish(text: str, lang: str) -> Markup | str:
    """A form's own words: Swedish data, marked so in another language."""
    return text if lang == "sv" or not text else Markup('<span lang="sv">{}</span>').format(text)


# --- details ---------------------------------------------------------------------------------------------------------


def _spoken(text: str) -> str:
    """A date as it is said; a form's words are Swedish."""
    try:
        return str(dates.format_date(date.fromisoformat(text), "d MMMM y", locale="sv_SE"))
    except ValueError:
        return text


def _options(field: Field) -> tuple[tuple[str, str], ...]:
    if field.type == "bool":
        return ((YES, "Ja"), (NO, "Nej"))
    if field.type == "int":
        return tuple((str(one), str(one)) for one in range(field.min or 0, (field.max or 0) + 1))
    return tuple(field.codes.items())


def _sent(field: Field, value: object) -> str:
    """A value as its input would send it."""
    return (YES if value is True else NO) if field.type == "bool" else str(value)


def _told(field: Field, value: object) -> str:
    return ("Ja" if value is True else "Nej") if field.type == "bool" else field.codes.get(str(value), str(value))


def _as_sent(field: Field, value: Any) -> Any:
    if field.type == "id":
        parts = value if isinstance(value, Mapping) else {}
        return {"kind": str(IdKind.PERSONNUMMER)} | {str(name): str(part) for name, part in parts.items()}
    if field.type == "multi":
        return _listed(value)
    if value is None:
        return ""
    return _sent(field, value) if field.type == "bool" and isinstance(value, bool) else str(value)


def _listed(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(one) for one in value] if isinstance(value, list | tuple) else [str(value)]


def _read(field: Field, sent: MultiDictProxy[str], today: date) -> Any:
    text = sent.get(field.id, "").replace("\r\n", "\n").strip()
    match field.type:
        case "multi":
            return sent.getall(field.id, [])
        case "bool":
            return {YES: True, NO: False}.get(text, text)
        case "int":
            return int(text) if re.fullmatch(r"-?[0-9]{1,6}", text) else text
        case "date":
            return as_date(text)
        case "id":
            return _identity(field, sent, today)
        case _:
            return text


def as_date(text: str) -> str:
    """A date as the forms want it, when it can be read as one; else as it was written."""
    found = re.fullmatch(r"([0-9]{4})[-./ ]?([0-9]{1,2})[-./ ]?([0-9]{1,2})", text, re.ASCII)
    return f"{found[1]}-{found[2]:0>2}-{found[3]:0>2}" if found else text


def _identity(field: Field, sent: MultiDictProxy[str], today: date) -> dict[str, str]:
    parts = {part: sent.get(f"{field.id}/{part}", "").strip() for part in ID_PARTS}
    parts = {part: text for part, text in parts.items() if text}
    if set(parts) <= {"kind"} and parts.get("kind") != IdKind.UNKNOWN:
        return {}  # the kind stands ready; alone it is no answer
    if parts.get("kind") in (IdKind.PERSONNUMMER, IdKind.SAMORDNINGSNUMMER) and "value" in parts:
        parts["value"] = with_century(parts["value"], today=today)
    return parts


def with_faults(names: Sequence[str], faults: Iterable[Any]) -> list[Any]:
    """The faults of these questions."""
    return [fault for fault in faults if fault.pointer.strip("/").split("/")[0] in names]
