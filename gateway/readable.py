"""A form as words that anybody can read, with its own labels: in parts, and as a Markdown subset.

Why this exists: a client that knows nothing of our forms must still show its reader what was asked and answered. So the
words go along, in headings, bold labels and lists; what people wrote is escaped, so that it is text and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.forms import Field, Form

HELD_BACK: Final = "lämnas inte"
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~])")
_YES_NO: Final = {True: "Ja", False: "Nej"}


@dataclass(frozen=True, slots=True)
class Answered:
    """A question and its answers, in the form's own words; several for a choice of several."""

    label: str
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A section of the form as far as this recipient is told it."""

    title: str
    rows: tuple[Answered, ...]


def parts(form: Form, body: Mapping[str, Any]) -> tuple[Part, ...]:
    """The projection in the order of the form; what is held back says so, and a section without a word is left out."""
    fields = body.get("fields")
    values = fields if isinstance(fields, Mapping) else {}
    held = {str(name) for name in body.get("held_back") or ()}
    found = []
    for section in form.sections:
        told = [form.fields[name] for name in section.fields if name in values or name in held]
        if told:
            rows = [Answered(one.label, _told(one, values)) for one in told]
            found.append(Part(section.title, tuple(rows)))
    return tuple(found)


def _told(field: Field, values: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(answers(field, values[field.id])) if field.id in values else (HELD_BACK,)


def statement(body: Mapping[str, Any]) -> str:
    """What the sender stands by; empty when the form has no such words."""
    found = body.get("statement")
    return found if isinstance(found, str) else ""


def markdown(form: Form, body: Mapping[str, Any]) -> str:
    """The projection in the order of the form: H1 for its title, H2 for sections, lists for several answers."""
    lines = [f"# {escaped(form.title)}"]
    for part in parts(form, body):
        lines += ["", f"## {escaped(part.title)}"]
        for row in part.rows:
            lines += ["", f"**{escaped(row.label)}**", ""]
            one = len(row.answers) == 1
            lines += [escaped(row.answers[0])] if one else [f"- {escaped(answer)}" for answer in row.answers]
    if words := statement(body):
        lines += ["", escaped(words)]
    return "\n".join(lines) + "\n"


def answers(field: Field, value: Any) -> list[str]:
    """An answer in the form's own words; several for a choice of several."""
    if field.type == "bool":
        return [_YES_NO.get(value, "")]
    if field.type in ("code", "multi"):
        chosen = value if isinstance(value, list) else [value]
        return [field.codes.get(str(one), str(one)) for one in chosen] or [""]
    if field.type == "id" and isinstance(value, Mapping):
        return [str(value.get("value") or value.get("reason") or "Uppgift saknas")]
    if isinstance(value, list):
        return [str(one) for one in value] or [""]
    return [str(value)]


def escaped(text: str) -> str:
    """Text that Markdown leaves as it is, on lines of its own."""
    return "  \n".join(_SPECIAL.sub(r"\\\1", line) for line in text.splitlines())
