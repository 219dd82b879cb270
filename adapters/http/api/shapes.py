"""Bodies that several parts of the API share, and cursors as opaque text."""

from __future__ import annotations

import base64
import binascii
import json

from aiohttp import web

from adapters.http.routes import Model
from gateway.errors import InvalidRequestError
from gateway.ports import Cursor


class Done(Model):
    """An act that has an id to speak of."""

    id: str


class InInbox(Model):
    """An act done from an inbox."""

    inbox: str


def cursor_of(request: web.Request) -> Cursor | None:
    """The `after` parameter.

    Raises:
        InvalidRequestError: it is not one that this API gave.
    """
    text = request.query.get("after", "")
    if not text:
        return None
    try:
        at, identifier = json.loads(base64.urlsafe_b64decode(text.encode()))
        return Cursor(int(at), str(identifier))  # type: ignore[arg-type]
    except (ValueError, TypeError, binascii.Error):
        raise InvalidRequestError(
            "not a cursor of this API", swedish="Listan kan inte fortsätta härifrån.", next_step="Läs om listan."
        ) from None


def cursor_text(at: int, identifier: str) -> str:
    """A cursor as callers see it: opaque, to be handed back unchanged."""
    return base64.urlsafe_b64encode(json.dumps([at, identifier]).encode()).decode()


def limit_of(request: web.Request, *, default: int = 50, most: int = 200) -> int:
    """The `limit` parameter, 1 to 200."""
    text = request.query.get("limit", str(default))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= most:
        raise InvalidRequestError(
            "limit is a number", swedish=f"Antalet rader ska vara 1–{most}.", next_step="Ändra limit."
        )
    return int(text)


def number_of(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise InvalidRequestError(
            f"{name} is a number", swedish=f"{name} ska vara ett tal.", next_step="Ändra och försök igen."
        )
    return int(text)
