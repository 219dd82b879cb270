"""The API's description, OpenAPI 3.1, made from the route table and its models; nothing in it is written twice.

Why this exists: whoever connects a case system needs to know every call, every answer and every refusal, and a
description beside the code is wrong within a month. So this one is what the server checks and answers by: parameters
from `parameters.py`, bodies from the models, problems from `contract.py`. `docs/api/openapi.json` (tools/openapi.py) is
the same as a file, so that a change of the contract is seen when the change is reviewed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from adapters.http.contract import problems_of
from adapters.http.parameters import PARTS
from adapters.http.problems import TYPE
from adapters.http.routes import DESCRIPTION, KEY, Access, Call, Csrf, Rate, Route, Scope, Tag
from gateway.forms.demo import demo_answer, demo_consent, demo_referral

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
WORDS: Final[Mapping[int, str]] = {
    200: "Klart.",
    201: "Klart, och sparat.",
    204: "Klart. Svaret har ingen kropp.",
    400: "Anropet går inte att förstå.",
    401: "Ingen inloggning som gäller.",
    403: "Det får inte göras.",
    404: "Det finns inte, eller är inte ert.",
    408: "Anropet kom för långsamt.",
    409: "Något har ändrats under tiden.",
    413: "Det som skickades är för stort.",
    415: "Kroppen har en form som inte tas emot.",
    421: "Anropet är ställt till ett annat namn.",
    422: "Uppgifterna behöver rättas.",
    429: "För många försök. Vänta så länge Retry-After säger.",
    500: "Fel hos oss.",
    503: "Kan inte ta emot just nu. Försök igen efter Retry-After.",
    504: "Svaret hann inte bli klart. Samma anrop med samma nyckel kan upprepas.",
    507: "Lagringen är full.",
}
CHAPTERS: Final[Mapping[Tag, str]] = {
    Tag.SIGN_IN: "Ett anrop bär `Authorization: Bearer <token>`. Token kommer av en inloggning med två faktorer.",
    Tag.INBOXES: "En inkorg är en funktion, aldrig en person. Den egna användaren ser de inkorgar den är medlem i.",
    Tag.CASES: "Ett ärende samlar samtycken, utkast och meddelanden om en person.",
    Tag.COMPOSE: "En blankett är data. Alla fel sägs på en gång, och utkastet är kvar tills det skickas eller kastas.",
    Tag.DECIDE: "Reglerna prövas per mottagare och sorts uppgift. Ett nej har lagrum och nästa steg.",
    Tag.SEND: "Ett svar med 201 betyder förseglat, sparat och loggat. Upprepa med samma Idempotency-Key.",
    Tag.DELIVER: "Var ett meddelande är, sett från utsidan, och registratorns arbete.",
    Tag.OPEN: "Att öppna loggas först. För uppgifter om någon krävs ett fönster: en ny kod för just den inkorgen.",
    Tag.WORK: "En delad inkorg som arbetslista: vem som tar vad, och anteckningar som stannar där.",
    Tag.ANSWER: "Två myndigheter svarar tillsammans: den ena föreslår, den andra bekräftar.",
    Tag.AUDIT: "Granskaren läser, kontrollerar och bevisar loggen utan att se namn eller innehåll.",
    Tag.MANAGE: "Konton och föreslagna medlemmar. Bara en medlem släpper in en medlem.",
}
ABOUT: Final = (
    "API för verksamhetssystem. Allt som sidorna kan göra går att göra här, med samma regler. Fel kommer som "
    "problem (RFC 9457) med `type` att lita på, `title` att visa, `next_step` att följa och `instance` att fråga om. "
    "404 betyder att något inte finns eller inte är ert; de två skiljs aldrig åt. Okända parametrar och medlemmar "
    "avvisas. Tider är mikrosekunder i UTC."
)
_DAY: Final = date(2026, 3, 2)
_ID: Final = "0b9c2f1e-7d34-4c1a-9f5e-2a6b8c0d1e2f"
EXAMPLES: Final[Mapping[str, dict[str, Any]]] = {
    "sign_in": {"login": "al-sos", "password": "lugn-trappa-vinge-kaffekopp", "code": "123456"},
    "open_case": {"inbox": "alvesta.ifo.vuxen"},
    "record_consent": {"inbox": "alvesta.ifo.vuxen", "case": _ID, "values": demo_consent(_DAY), "refused": False},
    "create_draft": {
        "inbox": "alvesta.ifo.vuxen",
        "case": _ID,
        "form_type": "placement_referral",
        "form_version": 1,
        "values": demo_referral(_DAY),
    },
    "send_draft": {"draft": _ID, "recipients": ["remissgrupp"], "undo_seconds": 0},
    "propose_answer": {"inbox": "seat.ekeliden", "request": _ID, "values": demo_answer(_DAY), "deputy_reason": ""},
    "claim_item": {"over": None},
}


class _Schemas(GenerateJsonSchema):
    """Without a title on each member: the name says it."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def described(routes: Sequence[Route]) -> dict[str, Any]:
    """The description of the calls in `routes`, as OpenAPI 3.1 has it."""
    calls = [route for route in routes if route.tag is not None]
    names, schemas = _models(calls)
    answers: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    for route in calls:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, names, answers)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sambud",
            "version": "1",
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "Den gateway som svarar."}],
        "security": [{"session": []}],
        "tags": [{"name": str(tag), "description": text} for tag, text in CHAPTERS.items()],
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Problem": _problem()},
            "responses": dict(sorted(answers.items())),
            "securitySchemes": {
                "session": {"type": "http", "scheme": "bearer", "description": "Token från POST /api/v1/sessions."}
            },
        },
    }


def _models(calls: Sequence[Route]) -> tuple[dict[type[BaseModel], str], dict[str, Any]]:
    """The models by the name that they are referred to by, and their schemas."""
    wanted: dict[type[BaseModel], Any] = {}
    for route in calls:
        if route.takes is not None:
            wanted[route.takes] = "validation"
        if route.gives is not None:
            wanted.setdefault(route.gives, "serialization")
    refs, found = models_json_schema(
        list(wanted.items()),
        ref_template="#/components/schemas/{model}",
        schema_generator=_Schemas,
    )
    names = {model: str(refs[model, mode]["$ref"]) for model, mode in wanted.items()}
    return names, dict(sorted(found["$defs"].items()))


def _operation(route: Route, names: Mapping[type[BaseModel], str], answers: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "tags": [str(route.tag)],
        "summary": route.summary,
        "description": _about(route),
    }
    if route.access is Access.PUBLIC:
        found["security"] = []
    if parameters := _parameters(route):
        found["parameters"] = parameters
    if route.takes is not None:
        body: dict[str, Any] = {"schema": {"$ref": names[route.takes]}}
        if route.handler.__name__ in EXAMPLES:
            body["example"] = EXAMPLES[route.handler.__name__]
        found["requestBody"] = {"required": True, "content": {JSON: body}}
    elif route.parts:
        found["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": _form(route)}}}
    found["responses"] = {str(route.status): _good(route, names)}
    for status, codes in problems_of(route).items():
        name = f"{status}-{'-'.join(codes)}"
        answers.setdefault(name, _refusal(status, codes))
        found["responses"][str(status)] = {"$ref": f"#/components/responses/{name}"}
    return found


def _about(route: Route) -> str:
    """What the row says about rights, log and repeating, in a sentence each."""
    reach = {
        Scope.NONE: "Kräver ingen inloggning.",
        Scope.OWN: "Visar eller ändrar bara det egna.",
        Scope.INBOX: "Kräver medlemskap i inkorgen och en roll som får det.",
        Scope.GATEWAY: "Kräver en roll för hela gatewayen: granskare eller systemadministratör.",
    }[route.scope]
    logged = "" if route.audit.startswith("none") else f" Loggas som {route.audit.replace(' or ', ' eller ')}."
    if route.keyed:
        again = " Går att upprepa: samma Idempotency-Key och samma innehåll ger samma svar."
    else:
        again = " Går att upprepa." if route.csrf is Csrf.SAFE or route.method in ("PUT", "DELETE") else ""
    slow = " Få försök i minuten." if route.rate is Rate.SIGN_IN else ""
    return f"{reach}{logged}{again}{slow}"


def _parameters(route: Route) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": PARTS[name].about,
            "schema": {"type": "string", "pattern": PARTS[name].pattern},
        }
        for name in PARTS
        if f"{{{name}}}" in route.path
    ]
    found += [{"name": one.name, "in": "query", "description": one.about, "schema": one.schema} for one in route.query]
    if route.keyed:
        about = "Högst 128 tecken utan mellanslag. Samma nyckel och innehåll utförs en gång och får samma svar."
        schema = {"type": "string", "pattern": KEY}
        found.append({"name": "Idempotency-Key", "in": "header", "description": about, "schema": schema})
    return found


def _form(route: Route) -> dict[str, Any]:
    members: dict[str, Any] = {
        part.name: {"type": "string", "enum": list(part.choices), "description": part.about}
        if part.choices
        else {"type": "string", "contentMediaType": "application/octet-stream", "description": part.about}
        for part in route.parts
    }
    required = [part.name for part in route.parts if part.required]
    return {"type": "object", "properties": members, "required": required}


def _good(route: Route, names: Mapping[type[BaseModel], str]) -> dict[str, Any]:
    found: dict[str, Any] = {"description": WORDS[route.status]}
    headers: dict[str, Any] = {}
    if route.location:
        headers["Location"] = _header("Var det som skapades går att läsa.", {"type": "string"})
    if route.gives is not None:
        found["content"] = {JSON: {"schema": {"$ref": names[route.gives]}}}
    elif route.media == "application/octet-stream":
        # OpenAPI 3.1: octets without a schema (§4.8.14.3).
        found["content"] = {route.media: {}}
        headers["Content-Disposition"] = _header("Filens namn (RFC 6266).", {"type": "string"})
        headers["Content-Length"] = _header("Antal byte; en kortare fil är en avbruten fil.", {"type": "integer"})
    elif route.media:
        found["content"] = {route.media: {"schema": {"type": "string"}}}
    if headers:
        found["headers"] = headers
    return found


def _refusal(status: int, codes: Sequence[str]) -> dict[str, Any]:
    kinds = {"type": {"enum": [TYPE + code for code in codes]}, "status": {"const": status}}
    found: dict[str, Any] = {
        "description": f"{WORDS[status]} {', '.join(codes)}",
        "content": {
            PROBLEM: {
                "schema": {"allOf": [{"$ref": "#/components/schemas/Problem"}, {"type": "object", "properties": kinds}]}
            }
        },
    }
    if status in (429, 503, 507):
        schema = {"type": "integer", "minimum": 0}
        found["headers"] = {"Retry-After": _header("Sekunder att vänta (RFC 9110 §10.2.3).", schema)}
    elif status == 401:
        found["headers"] = {"WWW-Authenticate": _header("Bearer (RFC 6750 §3).", {"type": "string"})}
    return found


def _header(about: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": about, "required": True, "schema": schema}


def _problem() -> dict[str, Any]:
    fault = {
        "type": "object",
        "required": ["pointer", "kind", "detail"],
        "additionalProperties": False,
        "properties": {
            "pointer": {"type": "string", "description": "Vilket fält (JSON Pointer, RFC 6901)."},
            "kind": {"type": "string"},
            "detail": {"type": "string", "description": "Felet på svenska, för den som skrev."},
        },
    }
    return {
        "type": "object",
        "description": "Ett nej eller ett fel (RFC 9457). Har aldrig innehåll eller personuppgifter.",
        "required": ["type", "title", "status", "next_step", "instance"],
        "additionalProperties": False,
        "properties": {
            "type": {"type": "string", "pattern": f"^{TYPE}[a-z-]+$", "description": "Stabilt namn att lita på."},
            "title": {"type": "string", "description": "Vad som hände, på svenska, att visa."},
            "status": {"type": "integer"},
            "next_step": {"type": "string", "description": "Vad som går att göra nu."},
            "instance": {"type": "string", "pattern": "^urn:uuid:", "description": "Numret att ange till supporten."},
            "errors": {"type": "array", "items": fault},
        },
    }


def text_of(calls: Sequence[Route]) -> str:
    """The description as the file and the server give it."""
    return json.dumps(described(calls), ensure_ascii=False, indent=2) + "\n"


def row(calls: Sequence[Route]) -> Route:
    """The row of the table that gives the description of `calls`."""
    text = cache(lambda: text_of(calls))

    async def show_description(call: Call) -> web.Response:
        return web.Response(text=text(), content_type=JSON)

    return Route(
        method="GET",
        path=DESCRIPTION,
        handler=show_description,
        access=Access.PUBLIC,
        scope=Scope.NONE,
        csrf=Csrf.SAFE,
        rate=Rate.READ,
        audit="none: the contract is public",
        takes=None,
        gives=None,
        summary="API:ets beskrivning",
        media=JSON,
    )
