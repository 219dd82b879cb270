"""Form definitions as data: what is asked, how it is classed, and the JSON Schema that follows from it.

Why this exists: which field may go to whom is law, and which fields there are is agreed between the authorities; both
change without a programmer. So a form version is one data file, read once, checked, and never edited: a change is a new
version (docs/forms.md). `urgency` and the header questions are fields like the others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import rfc8785

from gateway.errors import SetupError, UnknownFormError
from gateway.model.classes import Category, ItemClass, PrivacyClass, Stage

HERE: Final = Path(__file__).parent
MAX_LIST: Final = 64
_STAGES: Final = tuple(Stage)


@dataclass(frozen=True, slots=True)
class Condition:
    """The field is required when another field has (or, for several choices, holds) one of these values.

    `otherwise` says whether it may be answered anyway; if not, an answer contradicts the other field.
    """

    field: str
    values: tuple[object, ...]
    otherwise: bool = False

    def holds(self, values: Mapping[str, Any]) -> bool:
        answer = values.get(self.field)
        return any(one in self.values for one in answer) if isinstance(answer, list) else answer in self.values


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One question.

    `required` is R, C or O. A C field has `when` (required when it holds) or `judged`: the Swedish condition that only
    the writer can judge, and that is therefore told and never enforced. `ask` is what the writer is told when the
    answer is missing. `category_from` names the field in which the writer ticks categories.
    """

    id: str
    label: str
    help: str
    ask: str
    type: str
    required: str
    privacy: PrivacyClass
    stage: Stage
    category: Category
    codes: Mapping[str, str]
    when: Condition | None
    judged: str
    min: int | None
    max: int | None
    future: bool
    after: str
    within_days: int | None
    all: tuple[str, ...]
    category_from: str

    @property
    def item_class(self) -> ItemClass:
        return ItemClass(self.stage, self.privacy, self.category)


@dataclass(frozen=True, slots=True)
class Section:
    """Three to seven related questions."""

    id: str
    title: str
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Form:
    """One version of a form. `digest` is the SHA-256 of its data file as canonical JSON (RFC 8785)."""

    id: str
    version: int
    title: str
    source: str
    statement: str
    ttl_days: int
    sections: tuple[Section, ...]
    fields: Mapping[str, Field]
    digest: str

    @cached_property
    def own_classes(self) -> Mapping[str, frozenset[ItemClass]]:
        """The class of each field whose writer has no say in it."""
        return {field.id: frozenset({field.item_class}) for field in self.fields.values() if not field.category_from}

    @cached_property
    def highest(self) -> PrivacyClass:
        """The highest class of anything that the form can hold, at any stage."""
        return max(field.privacy for field in self.fields.values())

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema 2020-12 of a complete form. Classes and labels ride along as `x-` keywords."""
        return self._schema(self.title, list(self.fields.values()))

    @cached_property
    def validator(self) -> jsonschema_rs.Draft202012Validator:
        return jsonschema_rs.Draft202012Validator(self.schema, validate_formats=True)

    def stage_schema(self, stage: Stage) -> dict[str, Any]:
        """What a projection for `stage` must be: required fields of the stages reached, and no later field."""
        return self._schema(f"{self.title} ({stage})", [f for f in self.fields.values() if f.stage <= stage])

    def _schema(self, title: str, fields: Sequence[Field]) -> dict[str, Any]:
        asked = [field for field in fields if field.type != "file"]  # files have rows of their own
        conditions = [_condition(field, self.fields[field.when.field]) for field in asked if field.when]
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": title,
            "x-form": [self.id, self.version],
            "type": "object",
            "properties": {field.id: _schema_of(field) for field in asked},
            "required": [field.id for field in asked if field.required == "R"],
            **({"allOf": conditions} if conditions else {}),
            "additionalProperties": False,
        }

    def required_fields(self, stage: Stage, values: Mapping[str, Any]) -> list[Field]:
        """The fields that `values` must hold at `stage`: R, and C where the condition holds."""
        return [
            field
            for field in self.fields.values()
            if field.stage <= stage and (field.required == "R" or (field.when and field.when.holds(values)))
        ]

    @cached_property
    def _stage_validators(self) -> Mapping[Stage, jsonschema_rs.Draft202012Validator]:
        return {
            stage: jsonschema_rs.Draft202012Validator(self.stage_schema(stage), validate_formats=True)
            for stage in _STAGES
        }

    def stage_validator(self, stage: Stage) -> jsonschema_rs.Draft202012Validator:
        return self._stage_validators[stage]

    def item_classes(self, stage: Stage) -> frozenset[ItemClass]:
        """The classes of all fields up to `stage`."""
        return frozenset(field.item_class for field in self.fields.values() if field.stage <= stage)


def _schema_of(field: Field) -> dict[str, Any]:
    notes = {
        "title": field.label,
        "x-privacy": str(field.privacy),
        "x-stage": str(field.stage),
        "x-category": str(field.category),
    }
    text: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": field.max or 200}
    match field.type:
        case "str" | "text":
            kind = text
        case "date":
            kind = {"type": "string", "format": "date"}
        case "bool":
            kind = {"type": "boolean"}
        case "int":
            kind = {"type": "integer", "minimum": field.min, "maximum": field.max}
        case "code":
            kind = {"enum": list(field.codes)}
        case "multi":
            kind = {"type": "array", "items": {"enum": list(field.codes)}, "minItems": 1, "uniqueItems": True}
        case "id":
            kind = {"type": "object", "required": ["kind"]}
        case "exchanges":
            pair = {
                "type": "object",
                "properties": {"from": text, "to": text},
                "required": ["from", "to"],
                "additionalProperties": False,
            }
            kind = {"type": "array", "items": pair, "minItems": 1, "maxItems": MAX_LIST, "uniqueItems": True}
        case other:
            raise SetupError(
                f"unknown field type {other}",
                swedish="Formulärfilen har ett fält av okänd typ.",
                next_step="Rätta formulärfilen.",
            )
    return {**notes, **kind}


def _condition(field: Field, other: Field) -> dict[str, Any]:
    values = {"enum": list(field.when.values)} if field.when else {}
    held = {"type": "array", "contains": values} if other.type == "multi" else values
    return {
        "if": {"properties": {other.id: held}, "required": [other.id]},
        "then": {"required": [field.id]},
    }


class FormCatalogue:
    """Every form version that this gateway knows."""

    def __init__(self, forms: Sequence[Form]) -> None:
        self._forms = {(form.id, form.version): form for form in forms}

    @classmethod
    def load(cls) -> FormCatalogue:
        """The forms that ship with the program.

        Raises:
            SetupError: a file does not parse.
        """
        return cls([parse_form(path.read_text("utf-8")) for path in sorted(HERE.glob("*.json"))])

    def get(self, form_type: str, version: int) -> Form:
        """Raises UnknownFormError."""
        form = self._forms.get((form_type, version))
        if form is None:
            raise UnknownFormError(
                "unknown form or version",
                swedish="Blanketten finns inte i den versionen.",
                next_step="Öppna en ny blankett: den senaste versionen används då. Utkastet är kvar.",
            )
        return form

    def latest(self, form_type: str) -> Form:
        """The newest version of a form. Raises UnknownFormError."""
        return self.get(form_type, max((version for name, version in self._forms if name == form_type), default=0))

    def all(self) -> list[Form]:
        """By id, then version."""
        return [self._forms[key] for key in sorted(self._forms)]


def parse_form(text: str) -> Form:
    """A form from its data file.

    Raises:
        SetupError: the file does not describe a form.
    """
    try:
        data = json.loads(text)
        fields = {item["id"]: _field(item) for item in data["fields"]}
        sections = tuple(Section(s["id"], s["title"], tuple(s["fields"])) for s in data["sections"])
        _check(data["fields"], fields, sections)
        return Form(
            data["id"],
            data["version"],
            data["title"],
            data["source"],
            data.get("statement", ""),
            data["ttl_days"],
            sections,
            fields,
            hashlib.sha256(rfc8785.dumps(data)).hexdigest(),
        )
    except (KeyError, ValueError, TypeError) as fault:
        raise SetupError(
            "a form file does not parse", swedish="En formulärfil går inte att läsa.", next_step="Rätta formulärfilen."
        ) from fault


def _check(items: Sequence[object], fields: Mapping[str, Field], sections: Sequence[Section]) -> None:
    """What one field alone cannot show. Raises ValueError with the id at fault: ids are not content."""
    placed = [name for section in sections for name in section.fields]
    if len(items) != len(fields) or sorted(placed) != sorted(fields):
        raise ValueError("every field stands once in the list and once in a section")
    for field in fields.values():
        named = [field.when.field] if field.when else []
        named += [name for name in (field.after, field.category_from) if name]
        if not set(named) <= set(fields):
            raise ValueError(f"{field.id} names an unknown field")
        if (field.required == "C") != bool(field.when or field.judged) or field.required not in ("R", "C", "O"):
            raise ValueError(f"{field.id}: C, and only C, has a condition")
        if (field.type in ("code", "multi")) != bool(field.codes):
            raise ValueError(f"{field.id}: code and multi, and only they, have codes")
        if field.when and fields[field.when.field].stage > field.stage:
            raise ValueError(f"{field.id} depends on a field of a later stage")
        if (field.privacy in (PrivacyClass.P0, PrivacyClass.P1)) and field.category is not Category.ADMIN:
            raise ValueError(f"{field.id}: P0 and P1 are ADMIN")


def _field(item: Mapping[str, Any]) -> Field:
    when = item.get("when")
    return Field(
        id=item["id"],
        label=item["label"],
        help=item.get("help", ""),
        ask=item.get("ask", ""),
        type=item["type"],
        required=item["required"],
        privacy=PrivacyClass(item["privacy"]),
        stage=Stage(item["stage"]),
        category=Category(item["category"]),
        codes={code["code"]: code["swedish"] for code in item.get("codes", ())},
        when=Condition(when["field"], tuple(when["in"]), when.get("otherwise") == "allowed") if when else None,
        judged=item.get("judged", ""),
        min=item.get("min"),
        max=item.get("max"),
        future=item.get("future", False),
        after=item.get("after", ""),
        within_days=item.get("within_days"),
        all=tuple(item.get("all", ())),
        category_from=item.get("category_from", ""),
    )
