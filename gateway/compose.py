"""Compose: is the form whole, and what of it belongs to which stage?

Why this exists: a person in need waits for every form that comes back, so all faults are told at once, each with its
field and in words that say what to do. And what is sent is a projection: only the fields that the decision allows this
recipient at this stage, checked against the stage's own schema; a held-back field reads "lämnas inte".
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from gateway.errors import FieldError, InvalidFormError
from gateway.forms import MAX_LIST, Field, Form
from gateway.forms.detectors import INSTEAD, traces
from gateway.forms.names import REFERRAL
from gateway.model.classes import Category, ItemClass, Stage
from gateway.personid import PersonIdError, normalised, parse

MAX_TEXT: Final = 100_000
MAX_ITEMS: Final = 200
_FIELD_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_NO_JSON: Final = object()
#: Control characters but tab and line ends, surrogates, private use, and format characters that change how others are
#: shown: the writer cannot see them, so the reader must not get them. The joiner of emoji and of some scripts may stay.
_HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff"
    "\ud800-\udfff\ue000-\uf8ff\U000e0000-\U0010ffff]"
)


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
    faults = faults_of(form, values, today=today)
    if faults:
        raise InvalidFormError(
            f"{form.id} v{form.version} has {len(faults)} faults",
            faults,
            swedish=f"{form.title} är inte komplett: {len(faults)} att rätta.",
            next_step="Rätta fälten och skicka igen. Utkastet är kvar.",
        )


def faults_of(form: Form, values: Mapping[str, Any], *, today: date) -> list[FieldError]:
    """Every fault of a form, in the order of its fields; none when it can be sent."""
    sound, unfit = _sound(form, values)
    faults = [*unfit, *_schema_faults(form, sound), *_own_faults(form, sound, today), *detect(form, sound)]
    broken = {_root(fault) for fault in unfit}  # what could not be looked at is not missing as well
    order = list(form.fields)
    return sorted(
        (fault for fault in faults if fault in unfit or _root(fault) not in broken),
        key=lambda fault: order.index(_root(fault)) if _root(fault) in form.fields else len(order),
    )


def _root(fault: FieldError) -> str:
    return fault.pointer.split("/")[1] if "/" in fault.pointer else ""


def _sound(form: Form, values: Mapping[str, Any]) -> tuple[dict[str, Any], list[FieldError]]:
    """The values that may be looked at closely; bulk, unknown fields and what is no JSON is told and left out.

    Everything later takes time in proportion to what it is given, so this comes first.
    """
    sound: dict[str, Any] = {}
    faults: list[FieldError] = []
    for name, value in itertools.islice(values.items(), MAX_ITEMS):
        field = form.fields.get(name) if isinstance(name, str) else None
        if field is None or field.type == "file":  # files are uploaded one by one and have rows of their own
            text = "Ta bort uppgiften: den hör inte till den här blanketten."
            faults.append(FieldError(_unknown(name), "unknown", text))
        elif isinstance(value, str) and len(value) > (field.max or MAX_TEXT):
            faults.append(FieldError(_pointer(name), "too_long", _too_long(field, len(value))))
        elif trouble := _unfit(value):
            faults.append(FieldError(_pointer(name), trouble, _named(field, _UNFIT[trouble])))
        else:
            sound[name] = value
    if len(values) > MAX_ITEMS:
        faults.append(FieldError("", "unknown", "Ta bort uppgifter som inte hör till den här blanketten."))
    return sound, faults


_UNFIT: Final[Mapping[str, str]] = {
    "type": "fyll i fältet på nytt.",
    "too_long": f"skriv högst {MAX_TEXT} tecken.",
    "too_many": f"välj högst {MAX_ITEMS}.",
    "characters": "skriv texten på nytt utan osynliga tecken.",
}


def _unfit(value: object) -> str:
    """Why a value may not be looked at any closer; empty when it may."""
    length = 0
    for part in _parts(value):
        if isinstance(part, str):
            length += len(part)
            if length > MAX_TEXT:
                return "too_long"
            if _HIDDEN.search(part):
                return "characters"
        elif isinstance(part, list | dict):
            return "too_many" if len(part) > MAX_ITEMS else "type"
        elif part is not None and not (isinstance(part, int | float) and abs(part) < 1e9):  # NaN is less than nothing
            return "type"
    return ""


def _parts(value: object, depth: int = 0) -> Iterator[object]:
    """The keys and leaves of a value. A container that is too large or too deep is yielded itself, unopened."""
    if isinstance(value, list | dict) and depth < 2 and len(value) <= MAX_ITEMS:
        if isinstance(value, dict):
            yield from (key if isinstance(key, str) else _NO_JSON for key in value)
        for part in value.values() if isinstance(value, dict) else value:
            yield from _parts(part, depth + 1)
    else:
        yield value


def _too_long(field: Field, length: int) -> str:
    limit = field.max or MAX_TEXT
    return _named(field, f"korta texten till högst {limit} tecken. Nu är den {length}.")


def _unknown(name: object) -> str:
    """Where an unknown field stands; a name that is no name could be content, so it is not repeated."""
    return _pointer(name) if isinstance(name, str) and _FIELD_NAME.fullmatch(name) else ""


def _schema_faults(form: Form, values: Mapping[str, Any]) -> Iterable[FieldError]:
    seen: set[tuple[str, str]] = set()
    for error in form.validator.iter_errors(dict(values)):
        for fault in _in_swedish(form, error):
            field = form.fields.get(_root(fault))
            if field is not None and field.type == "id" and (len(error.instance_path) or fault.kind != "missing"):
                continue  # gateway.personid says it better
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
    field = form.fields.get(path[0]) if path else None
    if kind == "AdditionalProperties" or field is None:
        yield FieldError(_pointer(*path), "unknown", "Ta bort uppgiften: den hör inte till den här blanketten.")
        return
    texts = {
        "MaxLength": ("too_long", _named(field, f"korta texten till högst {field.max or 200} tecken.")),
        "MinLength": ("missing", _missing(field)),
        "MinItems": ("missing", _missing(field)),
        "MaxItems": ("too_many", _named(field, f"välj högst {MAX_LIST}.")),
        "Enum": ("code", _named(field, "välj ett av alternativen.")),
        "Format": ("date", _named(field, "skriv ett datum som finns, som ÅÅÅÅ-MM-DD.")),
        "UniqueItems": ("repeated", _named(field, "välj varje alternativ en gång.")),
        "Maximum": ("range", _named(field, f"välj {field.min}–{field.max}.")),
        "Minimum": ("range", _named(field, f"välj {field.min}–{field.max}.")),
    }
    code, text = texts.get(kind, ("type", _missing(field)))
    yield FieldError(_pointer(*path), code, text)


def _named(field: Field, text: str) -> str:
    """`text` under the field's own words; a label that is a question keeps its question mark."""
    return f"{field.label} {text[0].upper()}{text[1:]}" if field.label.endswith("?") else f"{field.label}: {text}"


def _missing(field: Field | None) -> str:
    """What to do when there is no answer (GOV.UK Design System, error messages: say how to fix it)."""
    if field is None:
        return "Fyll i uppgiften."
    return f"{field.ask}." if field.ask else f"Fyll i: {field.label}."


def _own_faults(form: Form, values: Mapping[str, Any], today: date) -> Iterable[FieldError]:
    """What a schema cannot say: characters, identity numbers, dates against each other, contradictions."""
    for name, value in values.items():
        field = form.fields.get(name)
        if field is None:
            continue
        if field.type in ("str", "text") and isinstance(value, str) and value and not value.strip():
            yield FieldError(_pointer(name), "missing", _missing(field))
        if field.type == "id":
            yield from _identity_faults(name, value, today)
        if field.all and isinstance(value, list) and set(field.all) - set(value):
            yield FieldError(_pointer(name), "incomplete", _named(field, "gå igenom alla punkter med personen."))
        if field.type == "date":
            yield from _date_faults(field, value, values, today)
        if field.type == "exchanges":
            yield from _exchange_faults(field, value)
        if field.when and not field.when.otherwise and not field.when.holds(values):
            other = form.fields[field.when.field].label
            yield FieldError(
                _pointer(name), "contradiction", f"{field.label} hör inte ihop med svaret på {other}. Ändra ett av dem."
            )
    if form.id == REFERRAL:
        yield from _referral_faults(values)


def _identity_faults(name: str, value: object, today: date) -> Iterable[FieldError]:
    try:
        parse(value, today=today)
    except PersonIdError as trouble:
        for fault in trouble.faults:
            yield FieldError(_pointer(name, *([fault.part] if fault.part else [])), fault.kind, fault.swedish)


def _exchange_faults(field: Field, value: object) -> Iterable[FieldError]:
    for place, pair in enumerate(value if isinstance(value, list) else []):
        if isinstance(pair, Mapping) and pair.get("from") == pair.get("to") and "from" in pair:
            text = _named(field, "välj två olika verksamheter. Inom en och samma behövs inget samtycke.")
            yield FieldError(_pointer(field.id, str(place)), "contradiction", text)


def _date_faults(field: Field, value: object, values: Mapping[str, Any], today: date) -> Iterable[FieldError]:
    day = _day(value)
    if day is None:
        return
    if field.future and day < today:
        yield FieldError(_pointer(field.id), "past", _named(field, "välj ett datum från och med i dag."))
    start = _day(values.get(field.after)) if field.after else None
    if start is not None and day < start:
        yield FieldError(
            _pointer(field.id), "order", _named(field, "välj ett datum som inte ligger före startdatumet.")
        )
    if start is not None and field.within_days and (day - start).days > field.within_days:
        yield FieldError(
            _pointer(field.id),
            "too_far",
            _named(field, "välj ett datum inom tolv månader. Förnya samtycket sedan om det behövs."),
        )


def _day(value: object) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _referral_faults(values: Mapping[str, Any]) -> Iterable[FieldError]:
    kind, ground = values.get("request_kind"), values.get("legal_ground")
    # An update may concern a person who is placed under 27 § LVM; a new assignment under it has its own kind.
    if (kind == "LVM27" and ground in ("SOL_11_1", "OTHER")) or (kind == "NEW" and ground == "LVM_27"):
        text = "Typ av uppdrag och lagrum går inte ihop: välj 27 § LVM i båda eller i ingen."
        yield FieldError("/legal_ground", "contradiction", text)


def detect(form: Form, values: Mapping[str, Any]) -> list[FieldError]:
    """What points at a person in free text that goes out before the person is named to a unit (stage 1).

    Faults like any other: the writer must rewrite, and is told what to write instead.
    """
    name = values.get("individual_name")
    faults = []
    for field in form.fields.values():
        text = values.get(field.id)
        # P2 at stage 1 is the case worker's own name and the language: names are meant there, numbers never are.
        if field.stage is Stage.S1 and field.type in ("str", "text") and isinstance(text, str):
            for trace in traces(text, name if isinstance(name, str) else ""):
                faults.append(FieldError(_pointer(field.id), str(trace), _named(field, INSTEAD[trace])))
    return faults


def _pointer(*parts: str) -> str:
    """RFC 6901. Field names hold neither `~` nor `/`, so nothing is escaped."""
    return "".join(f"/{part}" for part in parts)


# --- classes and projections -----------------------------------------------------------------------------------------


def classes_of(form: Form, field: Field, values: Mapping[str, Any]) -> frozenset[ItemClass]:
    """The item classes that a field of this very form stands in: several, when the writer ticked several categories."""
    own = form.own_classes.get(field.id)
    if own is not None:
        return own
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
    for field in form.required_fields(stage, values):
        if field.id in values:
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
