"""What must hold for every answer, every permission and every stage: no field goes where it may not.

The generator below writes whole forms from the data itself, so a new version is tested by being there.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import hypothesis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.compose import classes_of, present_classes, project, required_classes, validate
from gateway.errors import InvalidFormError
from gateway.forms import Field, Form, FormCatalogue
from gateway.forms.detectors import traces
from gateway.model.classes import ItemClass, Stage

TODAY = date(2026, 11, 24)
FORMS = FormCatalogue.load()
WORDS = st.lists(
    st.sampled_from(["lugn", "miljö", "stöd", "kväll", "helg", "vård", "plats", "tid", "ny", "åter"]),
    min_size=1,
    max_size=8,
)
stages = st.sampled_from(Stage)


def answers_to(field: Field) -> st.SearchStrategy[Any]:
    """Right answers to one question, taken alone."""
    match field.type:
        case "str" | "text":
            return WORDS.map(" ".join)
        case "code":
            return st.sampled_from(list(field.codes))
        case "multi":
            few = 1 if not field.all else len(field.codes)
            return st.lists(st.sampled_from(list(field.codes)), min_size=few, unique=True)
        case "bool":
            return st.booleans()
        case "int":
            return st.integers(field.min, field.max)
        case "date":
            return st.integers(0, 300).map(lambda days: (TODAY + timedelta(days=days)).isoformat())
        case "id":
            return st.sampled_from(
                [
                    {"kind": "personnummer", "value": "19900602-2397"},
                    {"kind": "reservnummer", "value": "98240301aa06"},
                    {"kind": "unknown", "reason": "Inte fastställd"},
                ]
            )
        case "exchanges":
            return st.just([{"from": "ekeliden", "to": "novus"}])
    raise AssertionError(field.type)


@st.composite
def whole_forms(draw: st.DrawFn, form: Form) -> dict[str, Any]:
    """Values that `validate` takes: required answers, some optional ones, conditions and contradictions settled."""
    values: dict[str, Any] = {}
    for field in form.fields.values():
        if field.type != "file" and (field.required == "R" or draw(st.booleans())):
            values[field.id] = draw(answers_to(field))
    if values.get("request_kind") in ("NEW", "LVM27"):
        values["legal_ground"] = "LVM_27" if values["request_kind"] == "LVM27" else "SOL_11_1"
    if "valid_to" in values:
        values["valid_to"] = max(values["valid_from"], values["valid_to"])
    for field in form.fields.values():
        if field.when and field.when.holds(values):
            values.setdefault(field.id, draw(answers_to(field)))
        elif field.when and not field.when.otherwise:
            values.pop(field.id, None)
    return values


def faults_of(form: Form, values: dict[str, Any]) -> list[str]:
    try:
        validate(form, values, today=TODAY)
    except InvalidFormError as fault:
        return [found.pointer for found in fault.faults]
    return []


every_form = pytest.mark.parametrize("form", FORMS.all(), ids=lambda form: form.id)


@every_form
@given(data=st.data())
def test_a_whole_form_is_taken_and_its_full_projection_is_taken_again(form: Form, data: st.DataObject) -> None:
    """project ∘ validate: what is sealed is again a whole form, and the same projection of itself."""
    values = data.draw(whole_forms(form))
    assert faults_of(form, values) == []
    everything = present_classes(form, values, Stage.S3)
    once = project(form, values, Stage.S3, everything)
    assert set(once.values) == set(values)
    assert once.held_back == ()
    assert faults_of(form, dict(once.values)) == []
    assert project(form, once.values, Stage.S3, everything) == once


@every_form
@given(data=st.data(), stage=stages)
def test_no_field_is_ever_projected_beyond_its_stage_or_its_permission(
    form: Form, data: st.DataObject, stage: Stage
) -> None:
    values = data.draw(whole_forms(form))
    possible = sorted(present_classes(form, values, Stage.S3))
    required = required_classes(form, values, stage)
    permitted = frozenset(data.draw(st.sets(st.sampled_from(possible)))) | required
    projection = project(form, values, stage, permitted)
    for name in projection.values:
        assert form.fields[name].stage <= stage
        assert classes_of(form, form.fields[name], values) <= permitted
    for name in projection.held_back:
        assert form.fields[name].stage <= stage
        assert not classes_of(form, form.fields[name], values) <= permitted
    reached = {name for name in values if form.fields[name].stage <= stage}
    assert reached == set(projection.values) | set(projection.held_back)
    assert not set(projection.values) & set(projection.held_back)


@every_form
@given(data=st.data(), stage=stages)
def test_a_projection_is_refused_exactly_when_a_required_class_is_missing(
    form: Form, data: st.DataObject, stage: Stage
) -> None:
    values = data.draw(whole_forms(form))
    present = sorted(present_classes(form, values, stage))
    permitted: frozenset[ItemClass] = frozenset(data.draw(st.sets(st.sampled_from(present))))
    try:
        project(form, values, stage, permitted)
    except InvalidFormError:
        assert not required_classes(form, values, stage) <= permitted
    else:
        assert required_classes(form, values, stage) <= permitted


@every_form
@given(data=st.data())
def test_taking_one_required_answer_away_is_one_more_fault_at_that_field(form: Form, data: st.DataObject) -> None:
    values = data.draw(whole_forms(form))
    gone = data.draw(
        st.sampled_from([field.id for field in form.required_fields(Stage.S3, values) if field.id in values])
    )
    pointers = faults_of(form, {name: value for name, value in values.items() if name != gone})
    assert f"/{gone}" in pointers


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9) | st.integers(), inner, max_size=3),
    max_leaves=8,
)


@every_form
@given(data=st.data())
@settings(suppress_health_check=[hypothesis.HealthCheck.too_slow])
def test_no_answer_whatever_crashes_the_check(form: Form, data: st.DataObject) -> None:
    names = st.sampled_from([*form.fields, "unknown", "a/b", "~"]) | st.text(max_size=9)
    values = data.draw(st.dictionaries(names, junk, max_size=6))
    assert faults_of(form, values) or not [field for field in form.fields.values() if field.required == "R"]


@given(st.text(max_size=300), st.text(max_size=40))
def test_the_detectors_never_crash_and_find_the_same_twice(text: str, name: str) -> None:
    found = traces(text, name)
    assert found == traces(text, name)
    assert len(found) == len(set(found))


@given(
    WORDS.map(" ".join),
    st.sampled_from(["199006022397", "900602-2397", "98240301AA06", "070-1740605", "a@b.example", "Testperson"]),
    WORDS.map(" ".join),
)
def test_a_trace_is_found_between_any_ordinary_words(before: str, trace: str, after: str) -> None:
    assert not traces(f"{before} {after}", "Testperson")
    assert len(traces(f"{before} {trace} {after}", "Testperson")) == 1
