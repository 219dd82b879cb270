"""Pages that everybody may read: settings of language and colour, accessibility, help.

Why this exists: they must work before sign-in, without JavaScript and on paper. Longer texts stand in one template per
language, since a sentence-by-sentence translation of prose reads badly.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from adapters.http.routes import Call, Handler, Route, Scope
from adapters.http.web import security
from adapters.http.web.frame import A_YEAR, LANGUAGE, SCHEME, SCHEMES, TEMPLATES
from adapters.http.web.locale import LANGUAGES
from adapters.http.web.nav import Link
from adapters.http.web.rows import page_row
from adapters.http.web.words import N_
from gateway.errors import UnknownEntryError

#: Topics of help: the name in the address, and the title. A topic has help/NAME.sv.html and help/NAME.en.html.
TOPICS: Final = {
    "logga-in": N_("Logga in och vara inloggad"),
    "kod": N_("Varför en kod till?"),
    "installningar": N_("Språk, färger och text"),
    "aviseringar": N_("Aviseringar med e-post"),
    "sok": N_("Söka efter ett ärende"),
    "logg": N_("Att granska åtkomstloggen"),
    "bevis": N_("Kontroll och bevis"),
    "leveranser": N_("Följa leveranser"),
    "karantan": N_("Filer i karantän"),
    "kanaler": N_("Kanaler ut ur huset"),
    "adressbok": N_("Adressboken"),
    "anvandare": N_("Användare och konton"),
    "medlemmar": N_("Medlemmar i inkorgar"),
    "inkorg": N_("Arbeta i en gemensam inkorg"),
    "mote": N_("Gå igenom inkorgen på ett möte"),
    "lasa": N_("Läsa, ta och lämna över"),
    "svara": N_("Föreslå, bekräfta och skriva svar"),
    "lasare": N_("Vem läser inkorgen?"),
    "registrator": N_("Registratorns sida"),
    "fordelning": N_("Fördela det som inte anger någon funktion"),
    "arenden": N_("Ärenden och vems tur det är"),
    "samtycke": N_("Samtycke, nej och återkallelse"),
    "skriva": N_("Skriva uppdraget"),
    "skicka": N_("Mottagare, granskning och steg 2"),
    "overlamning": N_("Lämna på papper eller för hand"),
    "skickat": N_("Ångra och begära tillbaka"),
}


async def show_settings(call: Call) -> web.Response:
    here = security.local_path(call.request.query.get("next", "/installningar"))
    return await call.web.page(call, "settings.html", title=call.tr("Inställningar"), next=here)


async def save_settings(call: Call) -> web.Response:
    """Keeps the choices in this browser: they say nothing about anybody."""
    response = call.web.redirect(security.local_path(call.field("next")))
    if (lang := call.field("lang")) in LANGUAGES:
        security.set_cookie(response, LANGUAGE, lang, seconds=A_YEAR)
    if (scheme := call.field("scheme")) in SCHEMES:
        security.set_cookie(response, SCHEME, scheme, seconds=A_YEAR)
    return response


async def accessibility(call: Call) -> web.Response:
    template = f"accessibility.{call.lang}.html"
    return await call.web.page(call, template, title=call.tr("Tillgänglighet i Sambud"))


async def help_index(call: Call) -> web.Response:
    topics = [Link(f"/hjalp/{name}", call.tr(title)) for name, title in TOPICS.items()]
    return await call.web.page(call, "help.html", title=call.tr("Hjälp"), topics=topics)


async def help_topic(call: Call) -> web.Response:
    name = call.part("amne")
    if name not in TOPICS or not (TEMPLATES / "help" / f"{name}.{call.lang}.html").exists():
        raise UnknownEntryError(
            "there is no help on that",
            swedish="Det finns ingen hjälp om det.",
            next_step="Alla ämnen står på sidan Hjälp.",
        )
    back = Link("/hjalp", call.tr("All hjälp"))
    return await call.web.page(call, f"help/{name}.{call.lang}.html", title=call.tr(TOPICS[name]), back=back)


async def duty(call: Call) -> web.Response:
    """Asks the store for nothing: it must be there when nothing else is."""
    phones = dict(call.web.duty_phones)
    return await call.web.page(call, "duty.html", title=call.tr("Om Sambud inte svarar"), phones=phones)


def _open(method: str, path: str, handler: Handler, title: str, topic: str = "") -> Route:
    return page_row(method, path, handler, title, audit="none: of nobody", help_=topic, scope=Scope.NONE)


ROUTES: Final = (
    _open("GET", "/installningar", show_settings, N_("Inställningar"), "installningar"),
    _open("POST", "/installningar", save_settings, N_("Inställningar"), "installningar"),
    _open("GET", "/tillganglighet", accessibility, N_("Tillgänglighet i Sambud")),
    _open("GET", "/jour", duty, N_("Om Sambud inte svarar")),
    _open("GET", "/hjalp", help_index, N_("Hjälp")),
    _open("GET", "/hjalp/{amne}", help_topic, N_("Hjälp")),
)
