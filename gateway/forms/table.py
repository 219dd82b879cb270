"""Draw the forms as tables for docs/forms.md: `python -m gateway.forms.table docs/forms.md` rewrites the marked part.

Why this exists: a jurist reads a table, not JSON; and a table that is copied by hand is wrong after the first change.
A test holds that the file says what the data says.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from gateway.forms import Field, Form, FormCatalogue

BEGIN: Final = "<!-- drawn by gateway.forms.table: do not edit below -->"


def drawn(catalogue: FormCatalogue) -> str:
    """Every form version as Markdown."""
    return "\n".join(_form(form) for form in catalogue.all())


def rewritten(document: str, catalogue: FormCatalogue) -> str:
    """`document` with the part below the marker drawn again.

    Raises:
        ValueError: there is no marker.
    """
    kept, marker, _ = document.partition(BEGIN)
    if not marker:
        raise ValueError("the document has no marker")
    return f"{kept}{BEGIN}\n\n{drawn(catalogue)}"


def _form(form: Form) -> str:
    lines = [
        f"## `{form.id}` v{form.version} – {form.title}",
        "",
        f"Source: {form.source}. Time to live: {form.ttl_days} days. Digest: `{form.digest}`.",
        "",
    ]
    if form.statement:
        lines += [f"Printed on the form: ”{form.statement}”", ""]
    lines += ["| id | Label | Type | Req | Class·stage | Category | Codes or limits |", "|---|---|---|---|---|---|---|"]
    for section in form.sections:
        lines.append(f"| **{section.title}** | | | | | | |")
        lines += [_row(form.fields[name]) for name in section.fields]
    return "\n".join(lines) + "\n"


def _row(field: Field) -> str:
    category = (
        f"{field.category} (chosen by the writer)" if field.category_from or field.type == "file" else field.category
    )
    cells = [f"`{field.id}`", field.label, field.type, _required(field), f"{field.privacy}·{field.stage}", category]
    return f"| {' | '.join(cells)} | {_limits(field)} |"


def _required(field: Field) -> str:
    if field.when:
        values = ", ".join(str(value).lower() if isinstance(value, bool) else str(value) for value in field.when.values)
        return f"C: {field.when.field} = {values}{'' if field.when.otherwise else '; else empty'}"
    return f"C: {field.judged[0].lower()}{field.judged[1:]}" if field.judged else field.required


def _limits(field: Field) -> str:
    limits = [", ".join(field.codes)] if field.codes else []
    if field.type == "int":
        limits.append(f"{field.min}–{field.max}")
    elif field.type in ("str", "text"):
        limits.append(f"at most {field.max or 200} characters")
    if field.future:
        limits.append("not before today")
    if field.after:
        limits.append(f"not before {field.after}")
    if field.within_days:
        limits.append(f"within {field.within_days} days")
    if field.all:
        limits.append("all of them")
    return "; ".join(limits)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(rewritten(path.read_text("utf-8"), FormCatalogue.load()), "utf-8")
