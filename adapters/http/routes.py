"""The shape of a route: everything that must be decided about it before it may start.

Why this exists: a route that nobody thought through is a hole. So each says its role, tenant scope, CSRF class, rate
class, the audit action it leaves and its models; an empty column is a start-up error, and the meta-tests, the
navigation and the API description come from the same table. Pages stand in it beside the API: what does not begin with
/api/ is a page, known by its cookie, and its forms carry a token.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from string import Formatter
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote

from aiohttp import web
from multidict import MultiDict, MultiDictProxy
from pydantic import BaseModel, ConfigDict

from adapters.http.parameters import PARTS, Query
from gateway.errors import GatewayError, InvalidRequestError, SetupError
from gateway.sessions import Signed
from gateway.usecases import Gateway

if TYPE_CHECKING:
    from adapters.http.web.frame import Web

DESCRIPTION: Final = "/api/openapi.json"  # the API's description of itself, beside its versions
PAGE_PATH: Final = r"/|(?:/[a-z0-9_{}-]+)+"
API_PATH: Final = rf"/api/v1/[a-z0-9_/{{}}-]+|{DESCRIPTION}"
SDK_PATH: Final = r"/sdk/[a-z]+(?:/\{id\})?"  # the SDK API (B1.4.2), whose description is the federation's
KEY: Final = "^[!-~]{1,128}$"  # an Idempotency-Key
Handler = Callable[["Call"], Awaitable["web.StreamResponse | BaseModel | None"]]


class Access(StrEnum):
    """Who may call: everybody, a session with both factors, or a system's; the use case then asks for role and
    membership."""

    PUBLIC = "public"
    SESSION = "session"
    SYSTEM = "system"


class Scope(StrEnum):
    """What a call can reach: nothing of anybody, the caller's own, one inbox of theirs, or the whole gateway."""

    NONE = "none"
    OWN = "own"
    INBOX = "inbox"
    GATEWAY = "gateway"


class Csrf(StrEnum):
    """Bearer tokens are never sent by a browser on its own, so the API needs no token against forgery; pages do."""

    BEARER = "bearer"
    SAFE = "safe"
    FORM = "form"  # the cookie comes by itself, so the form proves that our page made it (web/security.py)


class Rate(StrEnum):
    SIGN_IN = "sign_in"
    READ = "read"
    WRITE = "write"
    UPLOAD = "upload"
    PROBE = "probe"  # machines that watch (/healthz, /readyz): never limited, so never starved by others


class Tag(StrEnum):
    """What a call of the API is for, in the order of a message's path: the chapters of its description."""

    SIGN_IN = "Logga in"
    INBOXES = "Inkorgar"
    CASES = "Ärenden"
    COMPOSE = "Skriva"
    DECIDE = "Samtycke och beslut"
    SEND = "Skicka"
    DELIVER = "Leverera"
    OPEN = "Öppna"
    WORK = "Arbeta tillsammans"
    ANSWER = "Svara"
    AUDIT = "Granska"
    MANAGE = "Förvalta"


class Model(BaseModel):
    """A request or response body: no unknown members, no coercion of types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @classmethod
    def of(cls, row: object) -> Self:
        """The body that has its members from the attributes of `row` that have their names."""
        return cls.model_validate(row, from_attributes=True)


def _no_form() -> MultiDictProxy[str]:
    return MultiDictProxy(MultiDict())


@dataclass(frozen=True, slots=True)
class Call:
    """One request as a handler sees it."""

    gateway: Gateway
    request: web.Request
    body: Any  # the route's request model, or None
    signed_in: Signed | None  # a public page has it too, when somebody is signed in
    form: MultiDictProxy[str] = field(default_factory=_no_form)  # what a page's form sent, its token already checked
    lang: str = "sv"
    correlation: str = ""
    route: Route | None = None
    renderer: Web | None = None
    args: Mapping[str, int | str] = field(default_factory=dict)  # the parameters of a call of the API, checked

    @property
    def signed(self) -> Signed:
        """The caller; only routes with Access.SESSION ask for it."""
        if self.signed_in is None:
            raise SetupError("a public route asked for a session")
        return self.signed_in

    @property
    def web(self) -> Web:
        """What renders pages; only page routes ask for it."""
        if self.renderer is None:
            raise SetupError("a route of the API asked for pages")
        return self.renderer

    def part(self, name: str) -> str:
        """A part of the path."""
        return self.request.match_info[name]

    def text(self, name: str) -> str:
        """A parameter of the API's address; empty when it was not given."""
        return str(self.args.get(name, ""))

    def number(self, name: str) -> int:
        """A parameter of the API's address that is a number and has a default."""
        return int(self.args[name])

    @property
    def key(self) -> str:
        """The Idempotency-Key header; empty when there is none.

        Raises:
            InvalidRequestError: empty, longer than 128 characters, or not printable ASCII without spaces.
        """
        key = self.request.headers.get("Idempotency-Key")
        if key is None:
            return ""
        if not re.fullmatch(KEY, key):
            raise InvalidRequestError(
                "not an idempotency key",
                swedish="Nyckeln i Idempotency-Key går inte att använda.",
                next_step="Välj en ny.",
            )
        return key

    def field(self, name: str) -> str:
        """A field of the page's form, without the white space around it; empty when it was not sent."""
        return self.form.get(name, "").strip()

    def tr(self, text: str, **values: object) -> str:
        """`text` in the reader's language; Swedish is the source, values stand as %(name)s."""
        return self.web.text(self.lang, text, **values)


@dataclass(frozen=True, slots=True, kw_only=True)
class FormPart:
    """A part of a multipart/form-data body."""

    name: str
    about: str
    required: bool
    choices: tuple[str, ...] = ()  # a text out of these; without them a file


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One row of the table."""

    method: str
    path: str
    handler: Handler
    access: Access
    scope: Scope
    csrf: Csrf
    rate: Rate
    audit: str  # the action that it leaves in the log, or "none: why"
    takes: type[Model] | None
    gives: type[BaseModel] | None
    status: int = 200
    summary: str = ""  # of a page: its title in Swedish
    help: str = ""  # of a page: its topic under /hjalp
    shows: bool = True  # of a GET page: it answers in HTML; False for a file or a stream of events
    background: bool = False  # the page asks by itself, so it is no use that keeps a session alive
    # Of a call of the API, for its contract (openapi.py):
    tag: Tag | None = None
    query: tuple[Query, ...] = ()
    fails: tuple[type[GatewayError], ...] = ()  # beside what every call of its kind may answer (contract.py)
    keyed: bool = False  # takes an Idempotency-Key: the same call with the same key is done once
    parts: tuple[FormPart, ...] = ()  # of a multipart/form-data body
    media: str = ""  # the type of an answer that is no JSON
    location: str = ""  # where what was made can be read: a path with members of the answer in braces
    #: How its errors are told, where a description that is not ours says so.
    tells: Callable[[GatewayError], web.Response] | None = None
    stream: bool = False  # an answer without an end: no bound in time, but counted (adapters/http/admission.py)

    @property
    def page(self) -> bool:
        """Whether this is a page for people, and not a call of the API."""
        return is_page(self.path)


#: What watching machines ask (adapters/http/ops.py): neither pages nor part of the API's version.
PROBES: Final = ("/healthz", "/readyz")


def is_page(path: str) -> bool:
    """Whether a path belongs to the pages: they take the cookie, answer in HTML and never take a bearer token."""
    return not path.startswith(("/api/", "/sdk/")) and path not in PROBES


def methods_of(route: Route) -> tuple[str, ...]:
    """The methods that lead to a row: HEAD is GET without the body (RFC 9110 §9.3.2), logged as GET is."""
    return ("GET", "HEAD") if route.method == "GET" and not route.stream else (route.method,)


def location_of(route: Route, request: web.Request, made: BaseModel) -> str:
    """Where what was made can be read (RFC 9110 §10.2.2); empty when the row names no place."""
    if not route.location:
        return ""
    parts = {name for _, name, _, _ in Formatter().parse(route.location) if name}
    own = parts & type(made).model_fields.keys()  # only what is named: an answer may be a whole page of lines
    named = {name: getattr(made, name) if name in own else request.match_info[name] for name in parts}
    return route.location.format_map({name: quote(str(value), safe="") for name, value in named.items()})


def check(routes: Sequence[Route]) -> None:
    """Raises SetupError for a row that leaves something open, and for two rows with one method and path."""
    seen: set[tuple[str, str]] = set()
    for route in routes:
        safe = route.method in ("GET", "HEAD")
        complete = bool(
            route.audit
            and route.summary
            and (
                route.path in PROBES
                or re.fullmatch(SDK_PATH, route.path)
                or re.fullmatch(
                    r"/|(?:/[a-z0-9_{}-]+)+" if route.page else rf"/api/v1/[a-z0-9_/{{}}-]+|{DESCRIPTION}", route.path
                )
            )
            and (route.rate is Rate.PROBE) == (route.path in PROBES)
            and route.csrf is (Csrf.SAFE if safe else Csrf.FORM if route.page else Csrf.BEARER)
            and not (route.page and (route.takes or route.gives))
            and (route.access is Access.PUBLIC) == (route.scope is Scope.NONE)
            and (route.audit != "none" or safe)
            and (route.tells is not None) == (route.access is Access.SYSTEM or route.path == "/sdk/token")
            and (route.page or route.tells or route.path in (DESCRIPTION, *PROBES) or _described(route))
        )
        name = (route.method, re.sub(r"\{\w+\}", "{}", route.path))
        operation = ("operation", route.handler.__name__ if route.tag else route.path + route.method)
        if not complete or seen & {name, operation}:
            raise SetupError(
                f"route {route.method} {route.path} is not complete", next_step="Fyll i routens alla kolumner."
            )
        seen |= {name, operation}


def _described(route: Route) -> bool:
    """Whether a call of the API says all that its contract needs."""
    named = re.findall(r"\{(\w+)\}", route.path)
    answers = [bool(route.gives), bool(route.media), route.status == 204]
    bodies = [bool(route.takes), bool(route.parts)]
    return bool(
        route.tag is not None
        and all(name in PARTS for name in named)
        and len(set(named)) == len(named)
        and answers.count(True) == 1
        and bodies.count(True) <= 1
        and not (any(bodies) and route.method in ("GET", "DELETE"))
        and not (route.keyed and route.method != "POST")
        and len({one.name for one in route.query}) == len(route.query)
        and set(re.findall(r"\{(\w+)\}", route.location)) <= _members(route)
    )


def _members(route: Route) -> set[str]:
    given = set(route.gives.model_fields) if route.gives else set()
    return given | set(re.findall(r"\{(\w+)\}", route.path))
