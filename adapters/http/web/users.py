"""Users and proposed members for an administrator: what stands, one act at a time, its consequence said before it.

Why this exists: an account that is closed by mistake keeps somebody from work, one that is opened by mistake lets
somebody in. So each act has a page that says what stands now, what will stand, and what follows; the rules are in
`gateway.administration`. Members are proposed here and let in by members.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from adapters.http.routes import Call, Handler, Route, Scope
from adapters.http.web.log_pages import administrations
from adapters.http.web.nav import Link, NavItem
from adapters.http.web.rows import page_row
from adapters.http.web.words import MEMBER, N_
from gateway.administration import REPLACES, Account, UserAct
from gateway.errors import FieldError, UnknownEntryError
from gateway.factors import NEVER
from gateway.model.base import InboxId, UserId
from gateway.model.identity import MembershipRole, Role, UserState

#: The acts by their name in the address: the act, its heading, its button, what follows, and whether it is grave.
ACTS: Final[Mapping[str, tuple[UserAct, str, str, str, bool]]] = {
    "stang-av": (
        UserAct.DISABLE,
        N_("Stäng av kontot"),
        N_("Stäng av kontot"),
        N_(
            "Den som använder kontot loggas ut nu, på alla datorer, och kan inte logga in. "
            "Medlemskapen står kvar men öppnar inget. Sparade utkast är kvar."
        ),
        True,
    ),
    "oppna": (
        UserAct.ENABLE,
        N_("Öppna kontot igen"),
        N_("Öppna kontot igen"),
        N_("Det går att logga in igen, med samma lösenord och kodapp och med de medlemskap som står kvar."),
        False,
    ),
    "las-upp": (
        UserAct.UNLOCK,
        N_("Lås upp kontot"),
        N_("Lås upp kontot"),
        N_(
            "Alla felaktiga försök glöms, så att nästa försök prövas direkt. Lösenord och kodapp är oförändrade. "
            "Fråga först om det var användaren själv som försökte."
        ),
        False,
    ),
    "logga-ut": (
        UserAct.END_SESSIONS,
        N_("Avsluta alla inloggningar"),
        N_("Avsluta alla inloggningar"),
        N_("Den som använder kontot loggas ut nu, på alla datorer, och kan logga in igen direkt. Utkast är kvar."),
        False,
    ),
    "losenord": (
        UserAct.NEW_PASSWORD,
        N_("Byt lösenord"),
        N_("Skapa ett nytt lösenord"),
        N_(
            "Det gamla lösenordet slutar gälla nu och alla inloggningar avslutas. Det nya går att använda först om "
            "24 timmar: så hinner användaren märka ett byte som någon annan har bett om."
        ),
        True,
    ),
    "kodapp": (
        UserAct.NEW_TOTP,
        N_("Byt kodapp"),
        N_("Skapa en ny kodapp"),
        N_(
            "Den gamla kodappen slutar gälla nu och alla inloggningar avslutas. Den nya går att använda först om "
            "24 timmar: så hinner användaren märka ett byte som någon annan har bett om."
        ),
        True,
    ),
}
DONE: Final[Mapping[str, str]] = {
    "stang-av": N_("Kontot är avstängt och alla inloggningar är avslutade."),
    "oppna": N_("Kontot är öppet igen."),
    "las-upp": N_("Kontot är upplåst."),
    "logga-ut": N_("Alla inloggningar är avslutade."),
    "lamnat": N_("Uppgifterna visas inte längre."),
    "foreslagen": N_("Förslaget är lagt. En medlem i inkorgen behöver släppa in personen."),
    "tillbaka": N_("Förslaget är tillbakadraget."),
}


async def show_list(call: Call) -> web.Response:
    users = await call.gateway.administering.users(call.signed)
    sought, state = call.request.query.get("sok", "").strip(), call.request.query.get("status", "")
    wanted = sought.casefold()
    found = [
        user
        for user in users
        if (wanted in user.login or wanted in user.title.casefold()) and (not state or user.state == state)
    ]
    return await call.web.page(
        call,
        "users.html",
        title=call.tr("Användare"),
        users=found,
        all=len(users),
        administrations=await administrations(call),
        sought=sought,
        state=state,
        states=[("", call.tr("Alla")), ("active", call.tr("Aktiva")), ("disabled", call.tr("Avstängda"))],
        done=_done(call),
    )


async def show_user(call: Call) -> web.Response:
    account = await call.gateway.administering.account(call.signed, UserId(call.part("anvandare")))
    own = account.user.id == call.signed.user.id
    acts = [
        (name, call.tr(heading), grave) for name, (act, heading, _, _, grave) in ACTS.items() if account.possible(act)
    ]
    return await call.web.page(
        call,
        "user.html",
        title=account.user.title,
        back=Link("/drift/anvandare", call.tr("Till alla användare")),
        account=account,
        administrations=await administrations(call),
        acts=[] if own else acts,
        own=own,
        never=account.waits_until == NEVER,
        now=call.gateway.ports.clock.now(),
        done=_done(call),
    )


async def show_act(call: Call) -> web.Response:
    account = await call.gateway.administering.account(call.signed, UserId(call.part("anvandare")))
    return await _act_page(call, account)


async def act(call: Call) -> web.Response:
    name, user = call.part("atgard"), UserId(call.part("anvandare"))
    chosen, key = _act(name)[0], call.field("nyckel")
    if len(key) != 32 or not key.isalnum():
        key = secrets.token_hex(16)
    await call.gateway.administering.act(call.signed, user, chosen, key=key)
    if chosen in REPLACES:
        return call.web.redirect(f"/drift/lamna-over/{key}")
    return call.web.redirect(f"/drift/anvandare/{user}?klart={name}")


async def show_proposed(call: Call) -> web.Response:
    return await call.web.page(
        call,
        "proposed.html",
        title=call.tr("Väntande medlemmar"),
        proposed=await call.gateway.administering.proposed(call.signed),
        done=_done(call),
    )


async def show_propose(call: Call) -> web.Response:
    return await _propose_page(call, call.request.query.get("inkorg", ""))


async def propose(call: Call) -> web.Response:
    inbox, user, role = call.field("inkorg"), call.field("anvandare"), call.field("roll")
    faults = []
    if not user:
        faults.append(FieldError("/anvandare", "missing", call.tr("Välj vem som ska föreslås.")))
    if role not in set(MembershipRole):
        faults.append(FieldError("/roll", "missing", call.tr("Välj om personen ska vara medlem eller ersättare.")))
    if faults:
        return await _propose_page(call, inbox, faults, user, role)
    await call.gateway.administering.propose(call.signed, InboxId(inbox), UserId(user), MembershipRole(role))
    return call.web.redirect("/drift/medlemmar?klart=foreslagen")


async def withdraw(call: Call) -> web.Response:
    await call.gateway.administering.withdraw(
        call.signed, InboxId(call.field("inkorg")), UserId(call.field("anvandare"))
    )
    return call.web.redirect("/drift/medlemmar?klart=tillbaka")


async def _act_page(call: Call, account: Account) -> web.Response:
    name = call.part("atgard")
    chosen, heading, button, consequence, grave = _act(name)
    back = Link(f"/drift/anvandare/{account.user.id}", call.tr("Till %(title)s", title=account.user.title))
    return await call.web.page(
        call,
        "user_act.html",
        title=call.tr(heading),
        back=back,
        account=account,
        name=name,
        button_text=call.tr(button),
        consequence=call.tr(consequence),
        grave=grave,
        possible=account.possible(chosen),
        own=account.user.id == call.signed.user.id,
        changes=_changes(call, account, chosen),
        key=secrets.token_hex(16),
    )


def _changes(call: Call, account: Account, chosen: UserAct) -> list[tuple[str, str, str]]:
    """What stands, and what will: (what, before, after)."""
    active = account.user.state is UserState.ACTIVE
    state = call.tr("Aktivt") if active else call.tr("Avstängt")
    sessions = (call.tr("Inloggningar just nu"), str(account.sessions), "0")
    kept, fresh = call.tr("Det som gäller nu"), call.tr("Ett nytt, som går att använda om 24 timmar")
    match chosen:
        case UserAct.DISABLE:
            return [(call.tr("Kontot"), state, call.tr("Avstängt")), sessions]
        case UserAct.ENABLE:
            return [(call.tr("Kontot"), state, call.tr("Aktivt"))]
        case UserAct.UNLOCK:
            return [(call.tr("Felaktiga försök i rad"), str(account.failures), "0")]
        case UserAct.END_SESSIONS:
            return [sessions]
        case UserAct.NEW_PASSWORD:
            return [(call.tr("Lösenord"), kept, fresh), sessions]
        case UserAct.NEW_TOTP:
            return [(call.tr("Kodapp"), kept, call.tr("En ny, som går att använda om 24 timmar")), sessions]


def _act(name: str) -> tuple[UserAct, str, str, str, bool]:
    if name not in ACTS:
        raise UnknownEntryError(
            "no such act", swedish="Det finns ingen sådan åtgärd.", next_step="Välj på användarens sida."
        )
    return ACTS[name]


async def _propose_page(
    call: Call, inbox: str, faults: list[FieldError] | None = None, user: str = "", role: str = ""
) -> web.Response:
    """First the inbox, then who: only users of the inbox's authority can be chosen."""
    administering = call.gateway.administering
    inboxes = await administering.inboxes(call.signed)
    candidates = await administering.candidates(call.signed, InboxId(inbox)) if inbox else None
    return await call.web.page(
        call,
        "propose.html",
        title=call.tr("Föreslå en medlem"),
        status=422 if faults else 200,
        back=Link("/drift/medlemmar", call.tr("Till väntande medlemmar")),
        faults=faults or (),
        fault_translated=True,
        inboxes=[(box.id, box.name) for box in inboxes],
        inbox=inbox,
        candidates=candidates,
        users=[("", call.tr("Välj")), *((one.id, one.title) for one in (candidates.users if candidates else ()))],
        user=user,
        roles=[(str(one), call.tr(MEMBER[one])) for one in MembershipRole],
        role=role or str(MembershipRole.MEMBER),
    )


def _done(call: Call) -> str:
    told = DONE.get(call.request.query.get("klart", ""))
    return call.tr(told) if told else ""


def _row(method: str, path: str, handler: Handler, title: str, audit: str, topic: str) -> Route:
    return page_row(method, path, handler, title, audit=audit, help_=topic, scope=Scope.GATEWAY)


_ACTS: Final = "user_disabled, user_enabled, user_unlocked, session_ended or factor_replaced"
ROUTES: Final = (
    _row("GET", "/drift/anvandare", show_list, N_("Användare"), "users_read", "anvandare"),
    _row("GET", "/drift/anvandare/{anvandare}", show_user, N_("En användare"), "users_read", "anvandare"),
    _row("GET", "/drift/anvandare/{anvandare}/{atgard}", show_act, N_("Ändra ett konto"), "users_read", "anvandare"),
    _row("POST", "/drift/anvandare/{anvandare}/{atgard}", act, N_("Ändra ett konto"), _ACTS, "anvandare"),
    _row("GET", "/drift/medlemmar", show_proposed, N_("Väntande medlemmar"), "users_read", "medlemmar"),
    _row("GET", "/drift/medlemmar/foresla", show_propose, N_("Föreslå en medlem"), "none: who may be", "medlemmar"),
    _row("POST", "/drift/medlemmar/foresla", propose, N_("Föreslå en medlem"), "member_proposed", "medlemmar"),
    _row(
        "POST", "/drift/medlemmar/dra-tillbaka", withdraw, N_("Dra tillbaka förslaget"), "member_removed", "medlemmar"
    ),
)
NAV: Final = tuple(
    NavItem(path=path, label=label, roles=frozenset({Role.SYSTEM_ADMINISTRATOR}), order=order)
    for path, label, order in (
        ("/drift/anvandare", N_("Användare"), 40),
        ("/drift/medlemmar", N_("Väntande medlemmar"), 50),
    )
)
