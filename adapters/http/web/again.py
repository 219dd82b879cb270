"""A code in the middle of something: what was written is kept, and done once the code is given.

Why this exists: whoever writes for twenty minutes finds the inbox closed when pressing the button. A redirect would
lose the text, so the same form comes back with everything in it and asks for a code; a page that only shows something
leads to the code page and back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import quote

from aiohttp import web

from adapters.http.routes import Call, Handler
from adapters.http.web import security
from adapters.http.web.nav import Link
from adapters.http.web.words import N_
from gateway.decide import AccessAction
from gateway.errors import (
    ActCodeRequiredError,
    FieldError,
    GatewayError,
    SignInError,
    StepUpRequiredError,
    TooManyAttemptsError,
)
from gateway.model.base import InboxId

CODE: Final = "ny_kod"
#: Why a code is asked for once more: the codes of `gateway.grants.Lapse`.
LAPSES: Final = {
    "anvand": N_("Koden är redan använd. Varje kod räcker en gång."),
    "fel": N_("Koden stämde inte eller har redan använts. Vänta på nästa kod i appen och försök igen."),
    "vanta": N_("Det har kommit många försök. Vänta en minut och försök igen."),
    "tid": N_("Det har gått mer än två minuter sedan du angav koden."),
}


def code_page(inbox: str, next_: str) -> str:
    """The page that asks for a code and leads on to `next_`."""
    return f"/inkorg/{inbox}/kod?next={quote(next_, safe='')}"


def with_window(handler: Handler) -> Handler:
    """`handler`, behind an open window of the second factor for the `{inbox}` of its path."""

    async def handle(call: Call) -> web.StreamResponse:
        inbox = InboxId(call.part("inbox"))
        if code := "".join(call.field(CODE).split()):
            standing = await call.gateway.rights.act(call.signed, inbox, AccessAction.LIST_INBOX)
            try:
                await call.gateway.windows.open(call.signed, standing.inbox, code)
            except (SignInError, TooManyAttemptsError) as refused:
                return await _ask(call, refused.status, code_fault(call, refused))
        try:
            result = await handler(call)
        except StepUpRequiredError:
            if call.request.method == "GET":
                return call.web.redirect(code_page(inbox, security.local_path(call.request.path_qs)))
            return await _ask(call, 403)
        if not isinstance(result, web.StreamResponse):
            raise TypeError("a page gave no response")
        return result

    return handle


def with_act_code(handler: Handler, code_at: Callable[[Call], str]) -> Handler:
    """`handler`, which spends a code of its own; without one it leads to the page `code_at` that asks for it."""

    async def handle(call: Call) -> web.StreamResponse:
        try:
            result = await handler(call)
        except ActCodeRequiredError as needed:
            return call.web.redirect(f"{code_at(call)}&lage={needed.lapse}")
        if not isinstance(result, web.StreamResponse):
            raise TypeError("a page gave no response")
        return result

    return handle


def code_fault(call: Call, refused: GatewayError) -> str:
    """What stands beside the field when a code was not taken."""
    if isinstance(refused, TooManyAttemptsError):
        return call.tr("Det har kommit många försök. Vänta %(n)s sekunder och försök igen.", n=refused.retry_after_s)
    return call.tr("Koden stämde inte eller har redan använts. Vänta på nästa kod i appen och försök igen.")


async def act_code_page(
    call: Call,
    *,
    action: str,
    lead: str,
    choices: Sequence[tuple[str, str, str]],
    back: Link,
    refused: GatewayError | None,
) -> web.Response:
    """The page that asks for a code for one act. `choices` are its buttons: name, value, text."""
    lapse = LAPSES.get(call.request.query.get("lage", ""))
    return await call.web.page(
        call,
        "act_code.html",
        title=call.tr("Ange en kod"),
        status=refused.status if refused is not None else 200,
        faults=[FieldError("/kod", "code", code_fault(call, refused))] if refused is not None else (),
        fault_translated=True,
        back=back,
        action=action,
        lead=lead,
        lapse=call.tr(lapse) if lapse and refused is None else "",
        choices=choices,
    )


async def _ask(call: Call, status: int, fault: str = "") -> web.Response:
    kept = [(name, value) for name, value in call.form.items() if name not in (security.FIELD, CODE)]
    return await call.web.page(
        call,
        "code_again.html",
        title=call.tr("Ange en kod för att fortsätta"),
        status=status,
        faults=[FieldError(f"/{CODE}", "code", fault)] if fault else (),
        fault_translated=True,
        kept=kept,
        action=call.request.path,
        code_field=CODE,
    )
