"""A received form as something to read: sections, labels, the words behind codes, and what is not given.

Why this exists: an envelope holds field ids and codes; a reader needs the form's own words. The texts of forms are
Swedish data, so they are marked as Swedish when the page around them is in another language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from markupsafe import Markup

from adapters.http.web.marked import marked
from gateway.contents import MARKED
from gateway.forms import Field, Form
from gateway.model.classes import Stage

YES_NO: Final = {True: "Ja", False: "Nej"}


@dataclass(frozen=True, slots=True)
class Line:
    """One answer: a text, several (a list of choices), a day, or held back."""

    label: str
    text: str = ""
    several: Sequence[str] = ()
    day: str = ""
    held: bool = False
    marked: Markup | None = None  # of a text from outside in SDK's Markdown subset


@dataclass(frozen=True, slots=True)
class Part:
    title: str
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True)
class Shown:
    """The sections that have something to read, and the labels of what comes in a later step only."""

    parts: Sequence[Part]
    later: Sequence[str]


def shown(form: Form, body: Mapping[str, Any]) -> Shown:
    """The body of an envelope, in the order of the form."""
    fields = body.get("fields")
    values: Mapping[str, Any] = fields if isinstance(fields, Mapping) else {}
    held = {str(name) for name in body.get("held_back") or ()}
    stage = _stage(body)
    parts: list[Part] = []
    later: list[str] = []
    for section in form.sections:
        lines = []
        for name in section.fields:
            field = form.fields[name]
            if name in values:
                lines.append(_line(field, values[name], body))
            elif name in held:
                lines.append(Line(field.label, held=True))
            elif stage is not None and field.stage > stage:
                later.append(field.label)
        if lines:
            parts.append(Part(section.title, lines))
    return Shown(parts, later)


def _stage(body: Mapping[str, Any]) -> Stage | None:
    try:
        return Stage(str(body.get("stage")))
    except ValueError:
        return None


def _line(field: Field, value: Any, body: Mapping[str, Any]) -> Line:
    if (found := marked_in(body, field.id, value)) is not None:
        return Line(field.label, str(value), marked=found)
    if field.type == "bool":
        return Line(field.label, YES_NO.get(value, ""))
    if field.type == "code":
        return Line(field.label, field.codes.get(str(value), str(value)))
    if field.type == "multi" and isinstance(value, list):
        return Line(field.label, several=[field.codes.get(str(one), str(one)) for one in value])
    if field.type == "date" and _is_day(value):
        return Line(field.label, day=str(value))
    if field.type == "id" and isinstance(value, Mapping):
        return Line(field.label, str(value.get("value") or value.get("reason") or "Uppgift saknas"))
    if isinstance(value, list):
        return Line(field.label, several=[str(one) for one in value])
    return Line(field.label, str(value))


def marked_in(body: Mapping[str, Any], name: str, value: object) -> Markup | None:
    """The text of a field as HTML when its sender wrote it in SDK's Markdown subset; None when it is plain."""
    named = body.get(MARKED)
    return marked(value) if isinstance(named, list) and name in named and isinstance(value, str) else None


def _is_day(value: object) -> bool:
    try:
        return bool(date.fromisoformat(str(value)))
    except ValueError:
        return False
