"""What keeps a page's form and cookie the user's own.

Why this exists: a browser sends the cookie with every request, also with one that another site made. So a form must
come from our own page: Fetch Metadata and Origin say where it was made (W3C Fetch Metadata; RFC 6454), and a token in
the form, an HMAC of the cookie, says that whoever made it had read our page. Cookies are `__Host-`
(RFC 6265bis §4.1.3.2): no subdomain and no plain connection can set them.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final
from urllib.parse import quote

from aiohttp import web

from adapters.http.address import NAMES
from adapters.http.parts import Parts
from adapters.http.routes import Call
from gateway.errors import ForbiddenError

SESSION: Final = "__Host-sambud"
BEFORE: Final = "__Host-sambud-pre"  # before sign-in: a random value that only ties form and browser together
FIELD: Final = "_csrf"
HEADER: Final = "X-CSRF-Token"
SIGN_IN: Final = "/logga-in"
CHECKED: Final = web.RequestKey("form_checked", bool)
MAX_TOKEN: Final = 1024  # octets looked at


class ForgedFormError(ForbiddenError):
    """The form was not made by a page of ours for this browser; nothing was done."""

    code = "form-not-ours"


def set_cookie(response: web.StreamResponse, name: str, value: str, *, seconds: int | None = None) -> None:
    """A cookie as ours all are; without `seconds` it goes when the browser closes."""
    response.set_cookie(name, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="Lax")


def drop_cookie(response: web.StreamResponse, name: str) -> None:
    response.del_cookie(name, path="/", secure=True, httponly=True, samesite="Lax")


def new_value() -> str:
    return secrets.token_urlsafe(24)


def token_for(value: str) -> str:
    """The token of the cookie value `value`: whoever cannot read the cookie cannot make it."""
    return hmac.new(value.encode(), b"csrf", hashlib.sha256).hexdigest()


def cookie_value(request: web.Request) -> str:
    """The value that the form's token belongs to: the session's, or the one from before sign-in."""
    return request.cookies.get(SESSION) or request.cookies.get(BEFORE) or ""


def check_place(request: web.Request) -> None:
    """Refuse a form that another site sent.

    A page with `Referrer-Policy: no-referrer` sends `Origin: null` with its own forms; then Fetch Metadata decides.

    Raises:
        ForgedFormError: made elsewhere.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None and site not in ("same-origin", "none"):
        raise _forged()
    if origin is None or (origin == "null" and site is not None):
        return
    if not request.app[NAMES].is_own(origin, request.headers.get("Host", "")):
        raise _forged()


def check_token(request: web.Request, token: str) -> None:
    """Refuse a form whose token is not this cookie's.

    Raises:
        ForgedFormError: no cookie, no token, or the wrong one.
    """
    value = cookie_value(request)
    if not value or not hmac.compare_digest(token_for(value).encode(), token.encode()):
        raise _forged()


async def parts_of(call: Call) -> Parts:
    """The parts of a form with files, after its token was checked: in the header, or as the first part.

    Use it instead of `call.request.multipart()` in a route with Rate.UPLOAD.

    Raises:
        ForgedFormError: the token is wrong or does not come first.
        InvalidRequestError: no form with files.
    """
    parts = await Parts.of(call.request)
    token = call.request.headers.get(HEADER)
    if token is None:
        first = await parts.next()
        if first is None or first.name != FIELD:
            raise _forged()
        token = await first.text(MAX_TOKEN)
    check_token(call.request, token)
    call.request[CHECKED] = True
    return parts


def local_path(wanted: str, otherwise: str = "/") -> str:
    """`wanted` when it is a path of ours: one slash first, no backslash, nothing that a browser may read as a host."""
    safe = wanted.startswith("/") and not wanted.startswith("//") and "\\" not in wanted and wanted.isprintable()
    return wanted if safe else otherwise


def after_sign_in(wanted: str) -> str:
    """Where to go on after sign-in: `wanted`, when it is a path of ours and does not lead back here or out."""
    path = local_path(wanted)
    return "/" if path.startswith((SIGN_IN, "/logga-ut")) else path


def sign_in_for(path: str) -> str:
    """The sign-in page that leads on to `path`, one of ours."""
    return f"{SIGN_IN}?next={quote(path, safe='')}" if path != "/" else SIGN_IN


def _forged() -> ForgedFormError:
    return ForgedFormError(
        "the form does not belong to this browser's session, or was sent from elsewhere",
        swedish="Formuläret hörde inte till den sida som du har öppen, så inget har ändrats.",
        next_step="Gå tillbaka, läs in sidan på nytt och skicka igen. Sparade utkast är kvar.",
    )
