"""Bodies of requests: how large one may be for which route, and reading one that fits into memory.

Why this exists: what a caller sends is held in memory several times over while it becomes values. So every route has
its own bound, the announced length is judged before an octet is read, an unannounced one is counted as it comes, and
all of them together have a bound as well (`Gate.room`). A body is taken as it is: gzip would make a small one large.
"""

from __future__ import annotations

from contextlib import ExitStack
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import MultiDict, MultiDictProxy

from adapters.http.admission import GATE
from adapters.http.limits import MIB, Limits
from adapters.http.routes import Access, Rate, Route
from gateway.errors import InvalidRequestError
from gateway.filepolicy import MOST_FILES
from gateway.usecases import Gateway


class EncodedBodyError(InvalidRequestError):
    """A compressed body; nothing was read of it."""

    code = "encoded-body"
    status = 415


def bound_of(route: Route, gateway: Gateway, limits: Limits) -> int:
    """The largest body of a route, in octets."""
    if route.rate is Rate.UPLOAD:
        files = MOST_FILES if route.page else 1
        return files * (gateway.options.attachment_max_bytes + MIB)
    if route.method == "GET" or not (route.takes or route.page):
        return limits.stray_body
    return limits.small_body if route.access is Access.PUBLIC else limits.body


def check_announced(request: web.Request, bound: int) -> None:
    """Refuse by its head what cannot be taken.

    Raises:
        HTTPRequestEntityTooLarge: larger than `bound`.
        EncodedBodyError: compressed.
    """
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise EncodedBodyError(
            "bodies are taken as they are",
            swedish="Innehållet i anropet är komprimerat.",
            next_step="Skicka utan Content-Encoding.",
        )
    if (request.content_length or 0) > bound:
        raise web.HTTPRequestEntityTooLarge(bound, request.content_length or 0)


async def whole(request: web.Request, bound: int, user: str, held: ExitStack) -> bytes:
    """The body, which keeps its place in memory until `held` ends.

    Raises:
        HTTPRequestEntityTooLarge: it turned out larger than `bound`.
        BusyError: there is no room now.
    """
    announced = request.content_length
    held.enter_context(request.app[GATE].room(bound if announced is None else announced, user))
    octets = bytearray()
    async for piece in request.content.iter_any():
        octets += piece
        if len(octets) > bound:
            raise web.HTTPRequestEntityTooLarge(bound, len(octets))
    return bytes(octets)


def fields_of(octets: bytes, limits: Limits) -> MultiDictProxy[str]:
    """The fields of a form, as a browser sends it (application/x-www-form-urlencoded in UTF-8).

    Raises:
        InvalidRequestError: more fields than any page of ours has, or no UTF-8.
    """
    try:
        pairs = parse_qsl(
            octets.decode("utf-8").rstrip(), keep_blank_values=True, errors="strict", max_num_fields=limits.form_fields
        )
    except ValueError:
        raise InvalidRequestError("not a form of ours", swedish="Formuläret kom inte fram som det skulle.") from None
    return MultiDictProxy(MultiDict(pairs))
