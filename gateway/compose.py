"""Compose: is the form whole, and what of it belongs to which stage?

Why this exists: a person in need waits for every form that comes back, so all faults are told at once, each with its
field and in words that say what to do. And what is sent is a projection: only the fields that the decision allows this
recipient at this stage, checked against the stage's own schema; a held-back field reads "lämnas inte".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from gateway.errors import FieldError, InvalidFormError
from gateway.forms import Field, Form
from gateway.model.classes import Category, ItemClass, Stage
from gateway.personid import identity_faults, normalised

MAX_TEXT: Final = 100_000
_IDENTITY: Final = re.compile(r"(?<!\d)(?:19|20)?\d{6}\s?[-+]?\s?\d{4}(?!\d)")
_PHONE: Final = re.compile(r"(?<![\d-])(?:\+46|0046|0)[\s-]?\d{1,3}[\s-]?\d{2,3}[\s-]?\d{2}[\s-]?\d{2}(?!\d)")
_EMAIL: Final = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")


@dataclass(frozen=True, slots=True)
class Projection:
    """What one recipient gets of a form, and the ids of what is held back."""

    values: Mapping[str, Any]
    held_back: tuple[str, ...]


def validate(form: Form, values: Mapping[str, Any], *, today: date) -> None:
    """Accept a complete form, or tell every fault at once.

    Raises:
        InvalidFormError: with all faults; the draft is kept.
    """
    faults = [*_oversized(form, values)]
    if not faults:
        faults = [*_schema_faults(form, values), *_own_faults(form, values, today), *_detected(form, values)]
    if faults:
        order = list(form.fields)
        faults.sort(key=lambda fault: order.index(_root(fault)) if _root(fault) in form.fields else len(order))
        raise InvalidFormError(
            f"{form.id} v{form.version} has {len(faults)} faults",
            faults,
            swedish=f"{form.title} är inte komplett: {len(faults)} att rätta.",
            next_step="Rätta fälten och skicka igen. Utkastet är kvar.",
        )


def _root(fault: FieldError) -> str:
    return fault.pointer.split("/")[1] if "/" in fault.pointer else ""


def _oversized(form: Form, values: Mapping[str, Any]) -> Iterable[FieldError]:
    """Refuse bulk before anything looks at it."""
    for name, value in values.items():
        if isinstance(value, str) and len(value) > MAX_TEXT:
            label = form.fields[name].label if name in form.fields else "Fältet"
            limit = form.fields[name].max if name in form.fields else None
            yield FieldError(_pointer(name), "too_long", f"{label}: skriv högst {limit or MAX_TEXT} tecken.")


def _schema_faults(form: Form, values: Mapping[str, Any]) -> Iterable[FieldError]:
    seen: set[tuple[str, str]] = set()
    for error in form.validator.iter_errors(dict(values)):
        for fault in _in_swedish(form, error):
            if (fault.pointer, fault.kind) not in seen:
                seen.add((fault.pointer, fault.kind))
                yield fault


def _in_swedish(form: Form, error: Any) -> Iterable[FieldError]:
    kind = type(error.kind).__name__.rpartition("_")[2]
    path = [str(part) for part in error.instance_path]
    if kind == "Required":
        name = str(error.kind.property).strip('"')
        yield FieldError(_pointer(*path, name), "missing", _missing(form.fields.get(name)))
        return
    if kind == "AdditionalProperties":
        for name in error.kind.unexpected:
            yield FieldError(_pointer(*path, name), "unknown", "Fältet hör inte till den här blanketten.")
        return
    field = form.fields.get(path[0]) if path else None
    label = field.label if field else "Uppgiften"
    texts = {
        "MaxLength": ("too_long", f"{label}: skriv högst {field.max if field and field.max else 200} tecken."),
        "MinLength": ("missing", _missing(field)),
        "MinItems": ("missing", _missing(field)),
        "Enum": ("code", f"{label}: välj ett av alternativen."),
        "Format": ("date", f"{label}: skriv datumet som ÅÅÅÅ-MM-DD."),
        "UniqueItems": ("repeated", f"{label}: samma val står två gånger."),
        "Maximum": ("range", f"{label}: välj {field.min if field else ''}–{field.max if field else ''}."),
        "Minimum": ("range", f"{label}: välj {field.min if field else ''}–{field.max if field else ''}."),
    }
    code, text = texts.get(kind, ("type", f"{label}: uppgiften har fel form."))
    yield FieldError(_pointer(*path), code, text)


def _missing(field: Field | None) -> str:
    if field is None:
        return "Uppgiften saknas."
    verb = {"code": "Välj", "bool": "Svara ja eller nej", "multi": "Välj minst ett alternativ", "date": "Skriv datum"}
    return f"{verb.get(field.type, 'Fyll i')}: {field.label}"


def _own_faults(form: Form, values: Mapping[str, Any], today: date) -> Iterable[FieldError]:
    """What a schema cannot say: characters, identity numbers, dates against each other, contradictions."""
    for name, value in values.items():
        field = form.fields.get(name)
        if field is None:
            continue
        if any(_control(text) for text in _texts(value)):
            yield FieldError(_pointer(name), "characters", f"{field.label}: ta bort osynliga tecken och skriv igen.")
        if field.type in ("str", "text") and isinstance(value, str) and value and not value.strip():
            yield FieldError(_pointer(name), "missing", _missing(field))
        if field.type == "id":
            for kind, text in identity_faults(value):
                yield FieldError(_pointer(name), kind, text)
        if field.all and isinstance(value, list) and set(field.all) - set(value):
            yield FieldError(_pointer(name), "incomplete", f"{field.label}: alla punkter ska vara genomgångna.")
        if field.type == "date":
            yield from _date_faults(field, value, values, today)
        if field.when and field.required == "C" and values.get(field.when.field) not in field.when.values:
            other = form.fields[field.when.field].label
            yield FieldError(
                _pointer(name), "contradiction", f"{field.label} hör inte ihop med svaret på {other}. Ändra ett av dem."
            )
    if form.id == "placement_referral":
        yield from _referral_faults(values)


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)


def _control(text: str) -> bool:
    return any(unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\r\t" for character in text)


def _date_faults(field: Field, value: object, values: Mapping[str, Any], today: date) -> Iterable[FieldError]:
    day = _day(value)
    if day is None:
        return
    if field.future and day < today:
        yield FieldError(_pointer(field.id), "past", f"{field.label}: datumet har passerat.")
    start = _day(values.get(field.after)) if field.after else None
    if start is not None and day < start:
        yield FieldError(_pointer(field.id), "order", f"{field.label}: datumet ligger före startdatumet.")
    if start is not None and field.within_days and (day - start).days > field.within_days:
        yield FieldError(_pointer(field.id), "too_far", f"{field.label}: högst tolv månader. Förnya hellre.")


def _day(value: object) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _referral_faults(values: Mapping[str, Any]) -> Iterable[FieldError]:
    if (values.get("request_kind") == "LVM27") != (values.get("legal_ground") == "LVM_27") and {
        "request_kind",
        "legal_ground",
    } <= values.keys():
        yield FieldError(
            "/legal_ground",
            "contradiction",
            "Typ av uppdrag och lagrum går inte ihop: 27 § LVM ska stå i båda eller ingen.",
        )


def _detected(form: Form, values: Mapping[str, Any]) -> Iterable[FieldError]:
    """What must not stand in text that reaches a board before the person is named to a unit."""
    name = str(values.get("individual_name", ""))
    words = [word for word in re.findall(r"\w+", name.casefold()) if len(word) >= 3]
    for field in form.fields.values():
        text = values.get(field.id)
        if field.type != "text" or field.stage is not Stage.S1 or not isinstance(text, str):
            continue
        if _IDENTITY.search(text):
            yield FieldError(
                _pointer(field.id),
                "identity_number",
                f"{field.label}: ta bort personnumret. Skriv ärendets namn i stället.",
            )
        elif _PHONE.search(text):
            yield FieldError(
                _pointer(field.id), "phone", f"{field.label}: ta bort telefonnumret. Skriv funktionen i stället."
            )
        if _EMAIL.search(text):
            yield FieldError(
                _pointer(field.id), "email", f"{field.label}: ta bort e-postadressen. Skriv funktionen i stället."
            )
        folded = set(re.findall(r"\w+", text.casefold()))
        if any(word in folded for word in words):
            yield FieldError(
                _pointer(field.id), "name", f"{field.label}: ta bort personens namn. Skriv ”personen” i stället."
            )


def _pointer(*parts: str) -> str:
    """RFC 6901."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


# --- classes and projections -----------------------------------------------------------------------------------------


def classes_of(form: Form, field: Field, values: Mapping[str, Any]) -> frozenset[ItemClass]:
    """The item classes that a field of this very form stands in: several, when the writer ticked several categories."""
    if not field.category_from:
        return frozenset({field.item_class})
    ticked = values.get(field.category_from) or [field.category]
    return frozenset(ItemClass(field.stage, field.privacy, Category(category)) for category in ticked)


def present_classes(
    form: Form, values: Mapping[str, Any], stage: Stage, attachments: Iterable[Category] = ()
) -> frozenset[ItemClass]:
    """The classes of the fields that have values, up to `stage`; attachments by the category the writer chose."""
    found: set[ItemClass] = set()
    for field in form.fields.values():
        if field.stage > stage:
            continue
        if field.type == "file":
            found |= {ItemClass(field.stage, field.privacy, category) for category in attachments}
        elif field.id in values:
            found |= classes_of(form, field, values)
    return frozenset(found)


def required_classes(form: Form, values: Mapping[str, Any], stage: Stage) -> frozenset[ItemClass]:
    """The classes of the fields that the form requires up to `stage`: without them a recipient gets nothing."""
    found: set[ItemClass] = set()
    for field in form.fields.values():
        if field.stage <= stage and field.required == "R" and field.id in values:
            found |= classes_of(form, field, values)
    return frozenset(found)


def project(form: Form, values: Mapping[str, Any], stage: Stage, permitted: frozenset[ItemClass]) -> Projection:
    """The fields up to `stage` whose every class is permitted.

    Raises:
        InvalidFormError: the projection is not what the stage's schema asks for; nothing is sent.
    """
    kept: dict[str, Any] = {}
    held: list[str] = []
    for field in form.fields.values():
        if field.id not in values or field.stage > stage:
            continue
        if classes_of(form, field, values) <= permitted:
            value = values[field.id]
            kept[field.id] = normalised(value) if field.type == "id" and isinstance(value, Mapping) else value
        else:
            held.append(field.id)
    check_stage(form, kept, stage)
    return Projection(kept, tuple(held))


def check_stage(form: Form, values: Mapping[str, Any], stage: Stage) -> None:
    """Whether `values` are a projection for `stage`; asked by the sender, and again by whoever opens.

    Raises:
        InvalidFormError: a required field is missing, or one of a later stage is there.
    """
    if not form.stage_validator(stage).is_valid(dict(values)):
        raise InvalidFormError(
            f"the projection does not fit stage {stage}",
            [],
            swedish="Uppgifterna räcker inte för det här steget.",
            next_step="Komplettera blanketten. Utkastet är kvar.",
        )


def attachment_permitted(form: Form, category: Category, stage: Stage, permitted: frozenset[ItemClass]) -> bool:
    """Whether a file of that category may go along."""
    field = next((field for field in form.fields.values() if field.type == "file"), None)
    return field is not None and field.stage <= stage and ItemClass(field.stage, field.privacy, category) in permitted
