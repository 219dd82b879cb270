"""Signing in and out, one's own sessions, the code for an inbox, and the page that one begins on.

Why this exists: these pages hold the cookie. Its value is the session's token, kept nowhere else; what went wrong at
sign-in is told in one sentence for everybody, and only the login stays in the form.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from adapters.http.address import address_block
from adapters.http.routes import Call, Handler, Rate, Route, Scope
from adapters.http.web import security
from adapters.http.web.frame import told
from adapters.http.web.mishaps import sign_in_page
from adapters.http.web.nav import Link
from adapters.http.web.rows import page_row
from adapters.http.web.words import N_
from gateway.decide import AccessAction
from gateway.errors import FieldError, NotFoundError, SignInError, TooManyAttemptsError
from gateway.identity import SignedIn
from gateway.model.base import SECOND, InboxId
from gateway.model.directory import InboxKind
from gateway.model.identity import Role

#: Where a function begins its day; the first whose page exists and that fits is taken.
STARTS: Final = (
    (Role.CASE_WORKER, "/arenden"),
    (Role.AUDITOR, "/logg"),
    (Role.SYSTEM_ADMINISTRATOR, "/drift/meddelanden"),
    (Role.REGISTRATOR, "/registrator"),
)
INBOX: Final = "/inkorg/{inbox}"
SHOWN: Final = 12  # hexadecimal digits that name a session in a form


async def start(call: Call) -> web.Response:
    """The best first page for who is signed in; a list of inboxes when there is no better one."""
    renderer, roles = call.web, call.signed.user.roles
    for role, path in STARTS:
        if role in roles and renderer.has("GET", path):
            return renderer.redirect(path)
    inboxes = await call.gateway.inboxes.mine(call.signed)
    has_inbox_page = renderer.has("GET", INBOX)
    if inboxes and has_inbox_page:
        first = next((box for box in inboxes if box.kind is InboxKind.SEAT), inboxes[0])
        return renderer.redirect(INBOX.replace("{inbox}", first.id))
    return await renderer.page(call, "start.html", title=call.tr("Start"), inboxes=inboxes, linked=has_inbox_page)


async def show_sign_in(call: Call) -> web.Response:
    next_ = security.after_sign_in(call.request.query.get("next", ""))
    if call.signed_in is not None:
        return call.web.redirect(next_)
    notice = ""
    if next_ != "/":
        notice = call.tr("Logga in för att komma till sidan. Det du har sparat som utkast är kvar.")
    return await sign_in_page(call, notice=notice, next_=next_)


async def sign_in(call: Call) -> web.Response:
    login, next_ = call.field("login"), security.after_sign_in(call.field("next"))
    code = "".join(call.field("code").split())
    try:
        done = await call.gateway.sign_in.sign_in(
            login, call.form.get("password", ""), code, source=address_block(call.request)
        )
    except (SignInError, TooManyAttemptsError) as refused:
        wrong = told(refused, call.lang)
        return await sign_in_page(call, status=refused.status, wrong=wrong, login=login, next_=next_)
    return signed_in(call, done, next_)


def signed_in(call: Call, done: SignedIn, next_: str = "/") -> web.Response:
    """On to `next_`, with the session's cookie."""
    response = call.web.redirect(next_)
    security.set_cookie(response, security.SESSION, done.token)
    security.drop_cookie(response, security.BEFORE)
    return response


async def sign_out(call: Call) -> web.Response:
    await call.gateway.sessions.end(call.signed)
    response = call.web.redirect(security.SIGN_IN)
    security.drop_cookie(response, security.SESSION)
    return response


async def extend(call: Call) -> web.Response:
    """The request itself was the use that keeps the session; tells how long it now lasts."""
    session, rules = call.signed.session, call.gateway.options.rules
    ends_at = min(session.seen_at + rules.idle, session.ends_at)
    left = (ends_at - call.gateway.ports.clock.now()) // SECOND
    return web.json_response({"seconds": left, "fixed": ends_at == session.ends_at})


async def list_sessions(call: Call) -> web.Response:
    found = await call.gateway.sessions.list(call.signed.user)
    rows = [(row.id[:SHOWN], row, row.id == call.signed.session.id) for row in found]
    return await call.web.page(
        call,
        "sessions.html",
        title=call.tr("Mina inloggningar"),
        rows=rows,
        others=len(rows) > 1,
        ended=call.request.query.get("klart", ""),
    )


async def end_session(call: Call) -> web.Response:
    wanted = call.field("session")
    for row in await call.gateway.sessions.list(call.signed.user):
        if wanted and row.id[:SHOWN] == wanted:
            await call.gateway.sessions.end(call.signed, row.id)
            return call.web.redirect("/inloggningar?klart=en")
    raise NotFoundError(
        "the session is not there any more",
        swedish="Inloggningen finns inte längre.",
        next_step="Läs in sidan Mina inloggningar på nytt.",
    )


async def end_others(call: Call) -> web.Response:
    for row in await call.gateway.sessions.list(call.signed.user):
        if row.id != call.signed.session.id:
            await call.gateway.sessions.end(call.signed, row.id)
    return call.web.redirect("/inloggningar?klart=alla")


async def show_step_up(call: Call) -> web.Response:
    return await _step_up_page(call, security.local_path(call.request.query.get("next", "")))


async def step_up(call: Call) -> web.Response:
    next_ = security.local_path(call.field("next"))
    standing = await call.gateway.rights.act(call.signed, InboxId(call.part("inbox")), AccessAction.LIST_INBOX)
    try:
        await call.gateway.windows.open(call.signed, standing.inbox, "".join(call.field("code").split()))
    except SignInError as refused:
        text = call.tr("Koden stämde inte eller har redan använts. Vänta på nästa kod i appen och försök igen.")
        return await _step_up_page(call, next_, status=refused.status, fault=text)
    except TooManyAttemptsError as refused:
        text = call.tr("Det har kommit många försök. Vänta %(n)s sekunder och försök igen.", n=refused.retry_after_s)
        return await _step_up_page(call, next_, status=refused.status, fault=text)
    return call.web.redirect(next_)


async def _step_up_page(call: Call, next_: str, *, status: int = 200, fault: str = "") -> web.Response:
    standing = await call.gateway.rights.act(call.signed, InboxId(call.part("inbox")), AccessAction.LIST_INBOX)
    return await call.web.page(
        call,
        "step_up.html",
        title=call.tr("Ange en kod för att läsa"),
        status=status,
        faults=[FieldError("/code", "code", fault)] if fault else (),
        fault_translated=True,
        inbox=standing.inbox,
        next=next_,
        minutes=call.gateway.options.rules.window // (60 * SECOND),
        open_until=await call.gateway.windows.current(call.signed, standing.inbox),
        back=Link("/", call.tr("Tillbaka")),
    )


def _page(path: str, handler: Handler, title: str, scope: Scope, help_: str = "") -> Route:
    return page_row("GET", path, handler, title, audit="none: shows the caller's own", help_=help_, scope=scope)


def _act(path: str, handler: Handler, title: str, scope: Scope, audit: str, rate: Rate) -> Route:
    return page_row("POST", path, handler, title, audit=audit, help_="logga-in", scope=scope, rate=rate)


ROUTES: Final = (
    _page("/", start, N_("Start"), Scope.OWN),
    _page("/logga-in", show_sign_in, N_("Logga in"), Scope.NONE, "logga-in"),
    _act("/logga-in", sign_in, N_("Logga in"), Scope.NONE, "signed_in", Rate.SIGN_IN),
    _act("/logga-ut", sign_out, N_("Logga ut"), Scope.OWN, "session_ended", Rate.WRITE),
    _act("/session/forlang", extend, N_("Fortsätt vara inloggad"), Scope.OWN, "none: a use like any", Rate.WRITE),
    _page("/inloggningar", list_sessions, N_("Mina inloggningar"), Scope.OWN, "logga-in"),
    _act("/inloggningar/avsluta", end_session, N_("Avsluta en inloggning"), Scope.OWN, "session_ended", Rate.WRITE),
    _act("/inloggningar/avsluta-andra", end_others, N_("Avsluta övriga"), Scope.OWN, "session_ended", Rate.WRITE),
    _page("/inkorg/{inbox}/kod", show_step_up, N_("Ange en kod för att läsa"), Scope.INBOX, "kod"),
    _act("/inkorg/{inbox}/kod", step_up, N_("Ange en kod för att läsa"), Scope.INBOX, "stepped_up", Rate.SIGN_IN),
)
