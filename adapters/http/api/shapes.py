"""Bodies and forms of values that several parts of the API share, and cursors as opaque text."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Annotated, Any, Final

from aiohttp import web
from pydantic import Field

from adapters.http.parameters import CURSOR, NAME, PARTS, UUID
from adapters.http.routes import Call, Model
from gateway.errors import InvalidRequestError
from gateway.model.base import Instant
from gateway.ports import Cursor

At = Annotated[int, Field(ge=0, description="Tid i UTC: mikrosekunder sedan 1970-01-01T00:00:00Z.")]
Id = Annotated[str, Field(pattern=UUID)]
MaybeId = Annotated[str, Field(pattern=f"^$|{UUID}", description="Tom när det inte finns någon.")]
InboxName = Annotated[str, Field(pattern=NAME, description="Inkorgens id i adressboken.")]
Address = Annotated[str, Field(pattern=NAME, description="En inkorgs eller en remissgrupps id i adressboken.")]
FormName = Annotated[str, Field(pattern=PARTS["form"].pattern)]
FormVersion = Annotated[int, Field(ge=1, le=99_999)]
Version = Annotated[int, Field(ge=1, le=2**31 - 1, description="Den version som lästes; en äldre ger 409.")]
Next = Annotated[str, Field(pattern=CURSOR, description="Ge tillbaka som after för nästa sida; tom på den sista.")]
FormValues = Annotated[dict[str, Any], Field(description="Svaren, per fält i blanketten: GET /forms.")]
Reason = Annotated[str, Field(max_length=4000)]

_CURSOR_ID: Final = re.compile(r"[0-9a-f-]{0,64}")


class Done(Model):
    """An act that has an id to speak of."""

    id: Id


class InInbox(Model):
    """An act done from an inbox."""

    inbox: InboxName


def cursor_of(request: web.Request) -> Cursor | None:
    """The `after` parameter.

    Raises:
        InvalidRequestError: it is not one that this API gave.
    """
    return cursor_from(request.query.get("after", ""))


def cursor(call: Call) -> Cursor | None:
    """The same of a call of the API, whose parameters were checked."""
    return cursor_from(call.text("after"))


def cursor_from(text: str) -> Cursor | None:
    """Raises InvalidRequestError as `cursor_of`."""
    if not text:
        return None
    try:
        at, identifier = json.loads(base64.urlsafe_b64decode(text.encode()))
        if not (isinstance(at, int) and 0 <= at < 2**62 and _CURSOR_ID.fullmatch(identifier)):
            raise ValueError
        return Cursor(Instant(at), identifier)
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise InvalidRequestError(
            "not a cursor of this API", swedish="Listan kan inte fortsätta härifrån.", next_step="Läs om listan."
        ) from None


def cursor_text(at: int, identifier: str) -> str:
    """A cursor as callers see it: opaque, to be handed back unchanged."""
    return base64.urlsafe_b64encode(json.dumps([at, identifier]).encode()).decode()


def cursor_next(found: Cursor | None) -> str:
    return cursor_text(found.at, found.id) if found else ""
