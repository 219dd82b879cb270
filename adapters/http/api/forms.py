"""Forms as data over the API: which there are, and what each asks."""

from __future__ import annotations

from typing import Any, Final

from adapters.http.api.rows import call_row
from adapters.http.routes import Call, Model, Scope


class FormLine(Model):
    id: str
    version: int
    title: str
    digest: str


class FormList(Model):
    forms: list[FormLine]


class FormBody(Model):
    form: FormLine
    statement: str
    sections: list[dict[str, Any]]
    json_schema: dict[str, Any]


async def list_forms(call: Call) -> FormList:
    return FormList(
        forms=[
            FormLine(id=form.id, version=form.version, title=form.title, digest=form.digest)
            for form in call.gateway.forms.all()
        ]
    )


async def read_form(call: Call) -> FormBody:
    version = call.part("version")
    form = call.gateway.forms.get(call.part("form"), int(version) if version.isdigit() and len(version) < 6 else 0)
    return FormBody(
        form=FormLine(id=form.id, version=form.version, title=form.title, digest=form.digest),
        statement=form.statement,
        sections=[
            {"id": section.id, "title": section.title, "fields": list(section.fields)} for section in form.sections
        ],
        json_schema=form.schema,
    )


ROUTES: Final = (
    call_row(
        "GET",
        "/forms",
        list_forms,
        "Blanketter",
        audit="none: form definitions are public",
        gives=FormList,
        scope=Scope.OWN,
    ),
    call_row(
        "GET",
        "/forms/{form}/{version}",
        read_form,
        "En blankett som data",
        audit="none: form definitions are public",
        gives=FormBody,
        scope=Scope.OWN,
    ),
)
