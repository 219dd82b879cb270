"""What a page says when it cannot do what was asked: what happened, what was kept, what to do next, and a number.

Why this exists: an error page is read by somebody in a hurry with a text that may be lost. It never shows content, and
in English it says what happened in English; the next step exists in Swedish only and is marked as such.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from markupsafe import Markup

from adapters.http.problems import outward
from adapters.http.routes import Call
from adapters.http.web import security
from adapters.http.web.entry import bare_call, who
from adapters.http.web.frame import Web, marked_swedish, sentence
from adapters.http.web.nav import Link
from adapters.http.web.words import N_
from gateway.errors import GatewayError, InvalidFormError, SessionEndedError, TooManyAttemptsError

#: status: the heading, what happened, what was kept, what to do next; the texts of an expected error win.
TEXTS: Final = {
    400: (
        N_("Vi kunde inte läsa det som skickades"),
        N_("Det som kom fram hade inte den form som sidan väntade sig."),
        N_("Inget har ändrats. Sparade utkast är kvar."),
        N_("Gå tillbaka, läs in sidan på nytt och försök igen."),
    ),
    403: (
        N_("Det går inte att göra"),
        N_("Det får inte göras härifrån."),
        N_("Inget har ändrats. Sparade utkast är kvar."),
        N_("Gå tillbaka, eller fråga den som leder arbetet om du behöver göra det här."),
    ),
    404: (
        N_("Sidan finns inte"),
        N_("Adressen leder inte till någon sida, eller till en sida som inte är din."),
        N_("Inget har ändrats."),
        N_("Kontrollera adressen, eller börja om från startsidan."),
    ),
    405: (
        N_("Sidan tar inte emot det"),
        N_("Adressen finns, men inte för det som skickades."),
        N_("Inget har ändrats."),
        N_("Börja om från startsidan."),
    ),
    409: (
        N_("Någon annan hann före"),
        N_("Det du såg har ändrats sedan sidan lästes in."),
        N_("Inget av det du skickade har sparats, och ingen annans ändring har skrivits över."),
        N_("Gå tillbaka. Din text står kvar där: kopiera den vid behov, läs in sidan på nytt och försök igen."),
    ),
    413: (
        N_("Det som skickades är för stort"),
        N_("Sidan tar inte emot så mycket på en gång."),
        N_("Inget av det du skickade har sparats. Sparade utkast är kvar."),
        N_("Gå tillbaka och korta texten, eller lägg den i en bifogad fil."),
    ),
    422: (
        N_("Något behöver rättas"),
        N_("Uppgifterna kan inte tas emot som de är."),
        N_("Inget har skickats. Sparade utkast är kvar."),
        N_("Gå tillbaka, rätta och försök igen."),
    ),
    429: (
        N_("Vänta en stund"),
        N_("Det har kommit många försök på kort tid."),
        N_("Inget har ändrats."),
        N_("Vänta och försök sedan igen."),
    ),
    500: (
        N_("Något gick fel hos oss"),
        N_("Felet är vårt och är antecknat, utan det du skrev."),
        N_("Sparade utkast är kvar. Om du nyss skickade något: se efter om det kom i väg innan du gör om det."),
        N_("Försök igen. Går det inte, kontakta supporten och ange numret nedan."),
    ),
    503: (
        N_("Det går inte att spara just nu"),
        N_("Lagringen tar inte emot något för tillfället."),
        N_("Det du just skickade har inte sparats. Allt som sparats tidigare är kvar."),
        N_("Gå tillbaka och försök igen om en liten stund. Är det bråttom: ring mottagaren."),
    ),
    507: (
        N_("Det finns ingen plats att spara"),
        N_("Lagringen är full. Det går fortfarande att läsa."),
        N_("Det du just skickade har inte sparats. Allt som sparats tidigare är kvar."),
        N_("Kontakta driften och ange numret nedan. Är det bråttom: ring mottagaren."),
    ),
}

#: Errors whose page is made without a look into the store.
QUIET: Final = frozenset({408, 421, 429, 503, 504, 507})
#: Errors whose page says whom to call: a duty to report waits for no computer (14 kap. 1 § SoL).
CALL: Final = frozenset({500, 503, 504, 507})


async def refused(renderer: Web, request: web.Request, error: GatewayError) -> web.Response:
    """The page of an expected error."""
    if isinstance(error, SessionEndedError):
        return await _signed_out(renderer, request)
    error = outward(error)
    # What is told when there is too much to do, or no store, must ask the store for nothing.
    viewer = None if error.status in QUIET else await who(renderer, request)
    call = bare_call(renderer, request, viewer)
    swedish = call.lang == "sv"
    what = error.swedish if swedish else sentence(str(error))
    faults = error.faults if isinstance(error, InvalidFormError) else ()
    answer = await _page(call, error.status, what=what, next_step=error.next_step, faults=faults)
    if isinstance(error, TooManyAttemptsError):
        answer.headers["Retry-After"] = str(error.retry_after_s)
    elif error.status in (503, 507):
        answer.headers["Retry-After"] = "5"
    return answer


async def failed(renderer: Web, request: web.Request, status: int) -> web.Response:
    """The page of something that is no GatewayError: no such page, wrong method, too large, a bug."""
    return await _page(bare_call(renderer, request, await who(renderer, request)), status)


async def sign_in_page(
    call: Call, *, status: int = 200, notice: str = "", wrong: Markup | str = "", login: str = "", next_: str = "/"
) -> web.Response:
    """The sign-in page; `notice` tells why it is shown, `wrong` what did not work."""
    return await call.web.page(
        call,
        "sign_in.html",
        title=call.tr("Logga in"),
        status=status,
        notice=notice,
        wrong=wrong,
        login=login,
        next=next_,
    )


async def _page(call: Call, status: int, *, what: str = "", next_step: str = "", faults: object = ()) -> web.Response:
    known = status if status in TEXTS else 400 if status < 500 else 500
    title, happened, kept, then = (call.tr(text) for text in TEXTS[known])
    response = await call.web.page(
        call,
        "error.html",
        title=title,
        status=status,
        what=what or happened,
        kept=kept,
        next_step=marked_swedish(next_step, call.lang) if next_step else then,
        reasons=faults,
        duty_phones=call.web.duty_phones if status in CALL else {},
        back=Link("/", call.tr("Till startsidan")),
    )
    response.headers["X-Correlation-Id"] = call.correlation
    return response


async def _signed_out(renderer: Web, request: web.Request) -> web.Response:
    """No session (any more): a page leads to sign-in and back, a form is answered by the sign-in page at once."""
    had = security.SESSION in request.cookies
    if request.headers.get("HX-Request") == "true":
        where = urlsplit(request.headers.get("HX-Current-URL", "/"))
        back = security.after_sign_in(where.path + (f"?{where.query}" if where.query else ""))
        response = web.Response(status=401, headers={"HX-Redirect": security.sign_in_for(back)})
    elif request.method in ("GET", "HEAD"):
        where_to = security.sign_in_for(security.after_sign_in(request.path_qs))
        response = web.Response(status=303, headers={"Location": where_to})
    else:
        call = bare_call(renderer, request, None)
        notice = call.tr("Du är inte inloggad längre. Dina sparade utkast är kvar: logga in och fortsätt där du var.")
        response = await sign_in_page(call, status=401, notice=notice)
    if had and request.method in ("GET", "HEAD"):
        security.drop_cookie(response, security.SESSION)
    return response
