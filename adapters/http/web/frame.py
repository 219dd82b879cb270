"""What every page has around its own part: language, navigation, who is signed in, the token of its forms.

Why this exists: a page module should say only what its page says. `Web` is made once with the route table; `page`
renders a template inside layout.html with everything escaped, and a name that a template lacks is an error, not a gap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from aiohttp import web
from babel.support import NullTranslations
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from adapters.http.routes import Call, Route
from adapters.http.web import security
from adapters.http.web.assets import Assets
from adapters.http.web.locale import LANGUAGES, catalogues, filters
from adapters.http.web.nav import Link, NavItem, Viewer, check_nav, links
from adapters.http.web.words import COLOURS, TABLES
from gateway.errors import FieldError, GatewayError
from gateway.identity import SignedIn
from gateway.model.base import SECOND
from gateway.usecases import Gateway

TEMPLATES: Final = Path(__file__).parent / "templates"
LANGUAGE: Final = "__Host-sambud-lang"
SCHEME: Final = "__Host-sambud-scheme"
SCHEMES: Final = ("auto", "light", "dark")
A_YEAR: Final = 365 * 24 * 3600  # seconds


class Person(Protocol):
    """One of the demo's functions."""

    @property
    def login(self) -> str: ...
    @property
    def title(self) -> str: ...


class Desk(Protocol):
    """The demo's desk: signs in as any function, shows codes. None outside the demo."""

    @property
    def outside(self) -> Sequence[tuple[str, str]]: ...
    async def people(self) -> Sequence[Person]: ...
    def code(self, login: str) -> str: ...
    async def sign_in(self, login: str) -> SignedIn: ...


class Web:
    """Renders pages."""

    def __init__(
        self,
        gateway: Gateway,
        routes: Sequence[Route],
        nav: Sequence[NavItem] = (),
        *,
        desk: Desk | None = None,
        duty_phones: Mapping[str, str] | None = None,
    ) -> None:
        check_nav(nav, routes)
        self.gateway = gateway
        self.desk = desk
        self.duty_phones = duty_phones or {}  # whom to call when the gateway does not answer
        self.assets = Assets()
        self._nav = nav
        self._paths = {(route.method, route.path) for route in routes}
        self._catalogues = catalogues()
        self._environments = {lang: self._environment(lang) for lang in LANGUAGES}

    # --- what page modules use ----------------------------------------------------------------------------------------

    async def page(
        self,
        call: Call,
        template: str,
        /,
        *,
        title: str,
        status: int = 200,
        back: Link | None = None,
        faults: Sequence[FieldError] = (),
        **context: Any,
    ) -> web.Response:
        """A whole page.

        Args:
            title: h1 and the browser's title, in the reader's language (`call.tr`).
            back: the link above the heading.
            faults: of a form; shown as error summary, and by the form macros at each field.
            context: whatever the template needs.
        """
        viewer = await self._viewer(call)
        shown = {
            **self._frame(call),
            "title": title,
            "back": back,
            "faults": faults,
            "fault_of": {fault.pointer.lstrip("/"): fault.swedish for fault in reversed(faults)},
            "nav": links(self._nav, viewer, call.request.path, lambda text: self.text(call.lang, text)),
            "viewer": viewer,
            **context,
        }
        before = security.cookie_value(call.request) or security.new_value()
        shown["csrf"] = security.token_for(before)
        body = self._environments[call.lang].get_template(template).render(shown)
        response = web.Response(text=body, status=status, content_type="text/html", charset="utf-8")
        if not security.cookie_value(call.request):
            security.set_cookie(response, security.BEFORE, before)
        return response

    async def fragment(self, call: Call, template: str, /, *, status: int = 200, **context: Any) -> web.Response:
        """A part of a page, for htmx; without the frame."""
        shown = {**self._frame(call), "faults": (), "fault_of": {}, **context}
        shown["csrf"] = security.token_for(security.cookie_value(call.request))
        body = self._environments[call.lang].get_template(template).render(shown)
        return web.Response(text=body, status=status, content_type="text/html", charset="utf-8")

    def redirect(self, where: str) -> web.Response:
        """To another page of ours, with GET (303). What a user sent goes through `security.local_path` first."""
        return web.Response(status=303, headers={"Location": where})

    def has(self, method: str, path: str) -> bool:
        """Whether the table has such a row; `path` as written there."""
        return (method, path) in self._paths

    def text(self, lang: str, text: str, **values: object) -> str:
        """`text` in the language `lang`."""
        found: str = self._catalogues[lang].gettext(text)
        return found % values if values else found

    def language(self, request: web.Request) -> str:
        """The reader's language: what the cookie says, else Swedish."""
        chosen = request.cookies.get(LANGUAGE, "")
        return chosen if chosen in LANGUAGES else LANGUAGES[0]

    # --- inside -------------------------------------------------------------------------------------------------------

    def _frame(self, call: Call) -> dict[str, Any]:
        signed, scheme = call.signed_in, call.request.cookies.get(SCHEME, "")
        left, fixed = 0, False
        if signed:
            idle = signed.session.seen_at + self.gateway.options.rules.idle
            left = (min(idle, signed.session.ends_at) - self.gateway.ports.clock.now()) // SECOND
            fixed = signed.session.ends_at <= idle
        code = ""
        if self.desk and signed:
            code = self.desk.code(signed.user.login)
        return {
            "call": call,
            "lang": call.lang,
            "scheme": scheme if scheme in SCHEMES else SCHEMES[0],
            "signed": signed,
            "path": call.request.path,
            "here": security.local_path(call.request.path_qs if call.request.method == "GET" else "/"),
            "help_url": f"/hjalp/{call.route.help}" if call.route and call.route.help else "/hjalp",
            "correlation": call.correlation,
            "session_left": left,
            "session_fixed": fixed,
            "demo": self.desk is not None,
            "demo_code": code,
        }

    async def _viewer(self, call: Call) -> Viewer:
        if call.signed_in is None:
            return Viewer(frozenset(), ())
        try:
            inboxes = await self.gateway.inboxes.mine(call.signed_in)
        except GatewayError:  # a page that tells of trouble must not fail of the same trouble
            inboxes = []
        return Viewer(frozenset(call.signed_in.user.roles), tuple(inboxes))

    def _environment(self, lang: str) -> Environment:
        made = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
        )
        catalogue: NullTranslations = self._catalogues[lang]
        made.install_gettext_translations(catalogue, newstyle=True)  # type: ignore[attr-defined]
        made.globals["asset"] = self.assets.url
        made.filters.update(filters(lang, self.gateway.ports.clock.now))
        made.filters["anchor"] = anchor
        made.filters["nbsp"] = lambda text: str(text).replace(" ", "\u00a0")
        for name, (kind, words) in TABLES.items():
            made.filters[name] = _naming(kind, words, catalogue)
        made.filters["colour"] = lambda state: COLOURS.get(state, "neutral")
        titles = {form.id: catalogue.gettext(form.title) for form in self.gateway.forms.all()}
        made.filters["form_name"] = lambda form_type: titles.get(form_type, form_type)
        return made


def anchor(pointer: str) -> str:
    """The id of the field that a fault points at."""
    return "f-" + pointer.strip("/").replace("/", "-")


def _naming(kind: Any, words: Any, catalogue: NullTranslations) -> Any:
    def name(value: Any) -> str:
        return str(catalogue.gettext(words[kind(value)]))

    return name


def marked_swedish(text: str, lang: str) -> Markup | str:
    """A text that exists in Swedish only, marked for screen readers when the page is in another language."""
    return text if lang == "sv" else Markup('<span lang="sv">{}</span>').format(text)


def told(error: GatewayError, lang: str) -> Markup:
    """What an error says to the reader: what happened, and the next step."""
    what = error.swedish if lang == "sv" else sentence(str(error))
    return Markup("{} {}").format(what, marked_swedish(error.next_step, lang))


def sentence(text: str) -> str:
    """The English text of an error, as a sentence."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
