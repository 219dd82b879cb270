"""The API described for people: every call by chapter, with its parameters, body, answers and refusals.

Why this exists: whoever connects a case system reads before writing, often on a machine that reaches nothing but the
gateway. So the page is made from the same description that the gateway serves (openapi.py), by the gateway, and needs
neither scripts nor anybody else's files. Its data are in Swedish and marked so; the page around them is translated.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from aiohttp import web

from adapters.http.api import CALLS
from adapters.http.openapi import described
from adapters.http.routes import Call, Scope
from adapters.http.web.rows import page_row
from adapters.http.web.words import N_
from gateway.errors import NotFoundError

PATH: Final = "/granssnitt"
KINDS: Final[Mapping[str, str]] = {
    "string": "text",
    "integer": "heltal",
    "boolean": "sant eller falskt",
    "object": "objekt",
    "null": "null",
}


@dataclass(frozen=True, slots=True)
class Member:
    """A parameter, or a member of a body."""

    name: str
    kind: str
    required: bool
    about: str


@dataclass(frozen=True, slots=True)
class Answer:
    status: str
    about: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A call as the page shows it."""

    id: str
    method: str
    path: str
    summary: str
    about: str
    parameters: tuple[Member, ...]
    body: tuple[Member, ...]
    example: str
    gives: tuple[Member, ...]
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Chapter:
    name: str
    about: str
    calls: tuple[Shown, ...]


@cache
def chapters() -> tuple[Chapter, ...]:
    """The description as chapters, in the order of a message's path."""
    document = described(CALLS)
    found: dict[str, list[Shown]] = {tag["name"]: [] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            found[operation["tags"][0]].append(_shown(document, path, method, operation))
    return tuple(Chapter(tag["name"], tag["description"], tuple(found[tag["name"]])) for tag in document["tags"])


def _shown(document: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]) -> Shown:
    [(_, body)] = operation.get("requestBody", {"content": {"": {}}})["content"].items()
    example = body.get("example")
    answers = {status: _resolved(document, one) for status, one in operation["responses"].items()}
    good = next(one for status, one in answers.items() if status < "300")
    gives = good.get("content", {}).get("application/json", {})
    return Shown(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        about=operation["description"],
        parameters=tuple(
            Member(one["name"], _kind(document, one["schema"]), one.get("required", False), one["description"])
            for one in operation.get("parameters", ())
        ),
        body=tuple(_members(document, body.get("schema", {}))),
        example=json.dumps(example, ensure_ascii=False, indent=2) if example else "",
        gives=tuple(_members(document, gives.get("schema", {}))),
        answers=tuple(Answer(status, one["description"]) for status, one in answers.items()),
    )


def _members(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Member]:
    whole = _resolved(document, schema)
    for name, member in whole.get("properties", {}).items():
        about = member.get("description") or _resolved(document, member).get("description", "")
        # A model's own docstring is English and for those who read the code.
        about = about if "$ref" not in member else ""
        yield Member(name, _kind(document, member), name in whole.get("required", ()), about)


def _kind(document: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    whole = _resolved(document, schema)
    if "anyOf" in whole:
        return " eller ".join(_kind(document, one) for one in whole["anyOf"])
    if "enum" in whole:
        return "ett av " + ", ".join(whole["enum"])
    if whole.get("type") == "array":
        return f"lista av {_kind(document, whole['items'])}" if "items" in whole else "lista"
    if "properties" in whole:
        return "{" + ", ".join(whole["properties"]) + "}"
    return KINDS.get(str(whole.get("type", "")), "")


def _resolved(document: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in part:
        return part
    found: Any = document
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return _resolved(document, found)


async def show(call: Call) -> web.Response:
    return await call.web.page(call, "api.html", title=call.tr("Gränssnitt för verksamhetssystem"), chapters=chapters())


async def chapter(call: Call) -> web.Response:
    """One chapter in full: all of them on one page is more than a first visit should load."""
    number = call.part("kapitel")
    if not number.isascii() or not number.isdigit() or not 1 <= int(number[:3]) <= len(chapters()):
        raise NotFoundError("no such chapter", swedish="Kapitlet finns inte.")
    found = chapters()[int(number) - 1]
    return await call.web.page(call, "api_chapter.html", title=found.name, chapter=found)


ROUTES: Final = (
    page_row(
        "GET",
        PATH,
        show,
        N_("Gränssnitt för verksamhetssystem"),
        audit="none: the contract is public",
        scope=Scope.NONE,
    ),
    page_row(
        "GET",
        PATH + "/{kapitel}",
        chapter,
        N_("Anrop i gränssnittet"),
        audit="none: the contract is public",
        scope=Scope.NONE,
    ),
)
