"""A form as text that anybody can read: a Markdown subset, with the form's own labels.

Why this exists: a client that knows nothing of our forms must still show its reader what was asked and answered. So the
words go along, in headings, bold labels and lists; what people wrote is escaped, so that it is text and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from gateway.forms import Field, Form

HELD_BACK: Final = "lämnas inte"
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~])")
_YES_NO: Final = {True: "Ja", False: "Nej"}


def markdown(form: Form, body: Mapping[str, Any]) -> str:
    """The projection in the order of the form: H1 for its title, H2 for sections, lists for several answers."""
    fields = body.get("fields")
    values = fields if isinstance(fields, Mapping) else {}
    held = {str(name) for name in body.get("held_back") or ()}
    lines = [f"# {escaped(form.title)}"]
    for section in form.sections:
        told = [name for name in section.fields if name in values or name in held]
        if told:
            lines += ["", f"## {escaped(section.title)}"]
        for name in told:
            field = form.fields[name]
            answer = answers(field, values[name]) if name in values else [HELD_BACK]
            lines += ["", f"**{escaped(field.label)}**", ""]
            lines += [escaped(answer[0])] if len(answer) == 1 else [f"- {escaped(one)}" for one in answer]
    statement = body.get("statement")
    if isinstance(statement, str) and statement:
        lines += ["", escaped(statement)]
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
