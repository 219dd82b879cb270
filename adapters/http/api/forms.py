"""Forms as data over the API: which there are, and what each asks."""

from __future__ import annotations

from typing import Any, Final

from adapters.http.api.rows import call_row
from adapters.http.api.shapes import FormName, FormVersion
from adapters.http.routes import Call, Model, Scope, Tag
from gateway.errors import UnknownFormError


class FormLine(Model):
    id: FormName
    version: FormVersion
    title: str
    digest: str


class FormList(Model):
    forms: list[FormLine]


class Section(Model):
    id: str
    title: str
    fields: tuple[str, ...]


class FormBody(Model):
    """`json_schema` says what `values` may be."""

    form: FormLine
    statement: str
    sections: list[Section]
    json_schema: dict[str, Any]


async def list_forms(call: Call) -> FormList:
    return FormList(forms=[FormLine.of(form) for form in call.gateway.forms.all()])


async def read_form(call: Call) -> FormBody:
    form = call.gateway.forms.get(call.part("form"), int(call.part("version")))
    return FormBody(
        form=FormLine.of(form),
        statement=form.statement,
        sections=[Section.of(section) for section in form.sections],
        json_schema=form.schema,
    )


PUBLIC: Final = "none: form definitions are public"
ROUTES: Final = (
    call_row("GET", "/forms", list_forms, "Blanketter", tag=Tag.COMPOSE, audit=PUBLIC, gives=FormList, scope=Scope.OWN),
    call_row(
        "GET",
        "/forms/{form}/{version}",
        read_form,
        "En blankett som data",
        tag=Tag.COMPOSE,
        audit=PUBLIC,
        gives=FormBody,
        scope=Scope.OWN,
        fails=(UnknownFormError,),
    ),
)
