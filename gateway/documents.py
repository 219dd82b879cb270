"""Documents: a form as a page to read with its data inside it, and the data out of such a page (docs/channels.md §8).

Why this exists: whoever gets a form from another authority has a client of their own, and paper when that fails. One
page serves all of them, and carries what a gateway like this one reads, so that nothing is typed in twice.

Rules: the page shows what the recipient's projection holds and nothing more; what people wrote is text to whatever
makes the page, never a command.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from gateway.canonical import dumps
from gateway.consents import STOCKHOLM
from gateway.errors import GatewayError
from gateway.model.base import SECOND, Instant
from gateway.neighbours import Parcel
from gateway.readable import Part, parts, statement

#: Octets of data that a page may hold: a body of 1 MiB, and what a joint answer adds.
MAX_DATA: Final = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What is printed. `reference` names the matter; `at` is when the form was sent, and the page's own date."""

    title: str
    sender: str
    recipient: str
    reference: str
    at: Instant
    parts: tuple[Part, ...]
    statement: str = ""
    files: tuple[str, ...] = ()  # names of what travels beside it

    @property
    def day(self) -> datetime.date:
        """The day of `at` in Sweden."""
        return datetime.datetime.fromtimestamp(self.at // SECOND, datetime.UTC).astimezone(STOCKHOLM).date()


class DocumentError(GatewayError):
    """A page could not be made; nothing was sent or changed, and the same may work later."""

    code = "document-not-made"
    status = 503
    NEXT_STEP = "Försök igen om en stund. Kontakta systemförvaltaren om det inte hjälper. Inget har ändrats."


class Documents(Protocol):
    """Makes and reads pages, in processes of their own."""

    async def pdf(self, page: Page, data: bytes = b"") -> bytes:
        """The page as PDF/A-3a and PDF/UA-1, the same octets for the same page; `data` (JSON) goes inside it.

        Raises:
            DocumentError: it could not be made.
            ValueError: `data` is more than MAX_DATA octets.
        """

    def may_hold_data(self, octets: bytes) -> bool:
        """Whether it says in clear that it holds data: `data` of what does not is None, and costs nothing."""

    async def data(self, octets: bytes) -> bytes | None:
        """The data in a page, at most MAX_DATA octets as they were put in; None when it has none that can be read."""


def page_of(parcel: Parcel) -> Page:
    """What the recipient of a parcel reads."""
    return Page(
        title=parcel.form.title,
        sender=parcel.sender.name,
        recipient=parcel.recipient.name,
        reference=parcel.case_reference,
        at=parcel.created,
        parts=parts(parcel.form, parcel.body),
        statement=statement(parcel.body),
        files=tuple(file.name for file in parcel.files),
    )


def carried(parcel: Parcel) -> bytes:
    """What a gateway like this one reads a form from; it counts in the message that it names, and in no other."""
    return dumps({**parcel.data, "envelope": str(parcel.id)})


def data_for(identifier: str, octets: bytes | None) -> Mapping[str, Any] | None:
    """Data that travel in the message of this id; a form that somebody sends on or gives back is an attachment."""
    try:
        found = json.loads(octets) if octets is not None else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.get("envelope") == identifier else None
