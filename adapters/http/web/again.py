"""A code in the middle of something: what was written is kept, and done once the code is given.

Why this exists: whoever writes for twenty minutes finds the inbox closed when pressing the button. A redirect would
lose the text, so the same form comes back with everything in it and asks for a code; a page that only shows something
leads to the code page and back.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from aiohttp import web

from adapters.http.routes import Call, Handler
from adapters.http.web import security
from gateway.decide import AccessAction
from gateway.errors import FieldError, SignInError, StepUpRequiredError, TooManyAttemptsError
from gateway.model.base import InboxId

CODE: Final = "ny_kod"


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
                await call.gateway.sessions.step_up(call.signed, standing.inbox, code)
            except SignInError as refused:
                text = call.tr("Koden stämde inte eller har redan använts. Vänta på nästa kod i appen och försök igen.")
                return await _ask(call, refused.status, text)
            except TooManyAttemptsError as refused:
                text = call.tr(
                    "Det har kommit många försök. Vänta %(n)s sekunder och försök igen.", n=refused.retry_after_s
                )
                return await _ask(call, refused.status, text)
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
