"""Address books of networks: read whole, compared with the copy and with the directory, kept as a copy.

Why this exists: a network's address book knows which functions exist, and the directory says which of them we write to,
with what a book cannot know (the secrecy regime, for one). So a book is copied and compared, people are told where the
two disagree, and nothing here makes or changes a route: an import never reroutes anybody's mail (docs/address-book.md).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.audit import AuditAction, Auditor
from gateway.directory import Directory, Snapshot
from gateway.errors import ConflictError, FieldError, InvalidFormError
from gateway.model.base import GATEWAY, Instant
from gateway.model.directory import BookReading, Listing, Route
from gateway.model.path import Channel
from gateway.personid import check_digit_holds
from gateway.ports import Change, Clock, Insert, Store, Update, Work

MAX_BOOK: Final = 64_000_000
MAX_LISTINGS: Final = 200_000
MAX_NAME: Final = 256  # characters (B1.3.6)
#: Rows in one transaction: nobody waits long for the one that writes.
PIECE: Final = 500
#: A book that lacks more than one in so many of the addresses of the last looks like half a file.
LACKING: Final = 10
MOST_COUNTED: Final = 1_000
SHOWN: Final = 200
_PARTICIPANT: Final = re.compile(r"0203:[A-Za-z0-9.-]{1,128}", re.ASCII)
_FAULTS: Final = 50


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of a comparison: "+" new, "~" changed, "-" gone, "=" back after it was gone."""

    what: str
    listing: Listing

    def __str__(self) -> str:
        row = self.listing
        return f"{self.what} {row.address}: {row.name}, {row.organisation} ({row.number})"


@dataclass(frozen=True, slots=True)
class Concern:
    """A route of ours that the book does not bear out. `leaving`: deliveries on their way there."""

    route: Route
    swedish: str
    leaving: int

    def __str__(self) -> str:
        on_the_way = f" {self.leaving} på väg dit." if self.leaving else ""
        return f"! {self.route.inbox} ({self.route.address}): {self.swedish}{on_the_way}"


@dataclass(frozen=True, slots=True)
class Compared:
    """What reading a book would change. `word` names all of it: confirm with it, and exactly this is done."""

    happenings: Sequence[Happening]
    concerns: Sequence[Concern]
    listings: Mapping[str, Listing]  # the book's own
    digest: str
    word: str
    lacking: int  # of the addresses that stood, how many are not in it
    stood: int


def summary(compared: Compared) -> str:
    """The comparison in one sentence."""
    counts = {what: sum(one.what == what for one in compared.happenings) for what in "+~-="}
    more = max(len(compared.happenings) - SHOWN, 0)
    hidden = f" {more} till visas inte." if more else ""
    return (
        f"{len(compared.listings)} adresser: {counts['+']} nya, {counts['~']} ändrade, {counts['-']} borta, "
        f"{counts['=']} tillbaka; {len(compared.concerns)} vägar stämmer inte med boken.{hidden}"
    )


class AddressBooks:
    """The copies, by channel."""

    def __init__(self, store: Store, directory: Directory, auditor: Auditor, clock: Clock) -> None:
        self._store = store
        self._directory = directory
        self._auditor = auditor
        self._clock = clock

    async def compare(self, channel: Channel, octets: bytes) -> Compared:
        """What reading this book would change; nothing is written.

        Raises:
            InvalidFormError: every fault of the book at once, at most fifty of them told.
        """
        book = parse_book(channel, octets)
        known = {row.address: row for row in await self._store.listings(channel)}
        happenings = [*_changes(known, book), *_gone(known, book)]
        concerns = await self._concerns(channel, book)
        digest = hashlib.sha256(octets).hexdigest()
        told = "\n".join([digest, *map(str, happenings), *map(str, concerns)])
        return Compared(
            happenings=happenings,
            concerns=concerns,
            listings=book,
            digest=digest,
            word=hashlib.sha256(told.encode()).hexdigest()[:12],
            lacking=sum(one.what == "-" for one in happenings),
            stood=sum(row.gone_at is None for row in known.values()),
        )

    async def read(self, channel: Channel, octets: bytes, word: str, *, by: str, complete: bool = False) -> Compared:
        """Take the book in, exactly as it was shown. A run that is cut off leaves a part; the next does the rest.

        Args:
            complete: somebody says that the book is whole, though much of the last one is missing in it.
            by: who reads it in, by function, for the log.

        Raises:
            ConflictError: what would change is not what was shown, or the book looks like half a file; nothing changed.
        """
        compared = await self.compare(channel, octets)
        if compared.word != word:
            raise ConflictError(
                "the book or the directory is not the one that was shown",
                swedish="Det som skulle ändras är inte längre det som visades, så inget har införts.",
                next_step="Kör utan --confirm, läs skillnaden på nytt och bekräfta den.",
            )
        if compared.lacking * LACKING > compared.stood and not complete:
            raise ConflictError(
                "much of the last address book is missing in this one",
                swedish=f"{compared.lacking} av {compared.stood} adresser saknas i filen. Inget har införts.",
                next_step="Hämta adressboken på nytt. Är den hel, kör med --complete.",
            )
        now = self._clock.now()
        known = {row.address: row for row in await self._store.listings(channel)}
        changes = [_change(known.get(one.listing.address), one, now) for one in compared.happenings]
        for start in range(0, len(changes), PIECE):
            await self._store.commit(Work(changes=tuple(changes[start : start + PIECE])))
        before = await self._store.get(BookReading, channel)
        reading = BookReading(administration=GATEWAY, channel=channel, digest=compared.digest, at=now)
        last: Change = (
            Insert(reading) if before is None else Update(dataclasses.replace(reading, version=before.version + 1))
        )
        entry = await self._auditor.entry(
            AuditAction.DIRECTORY_APPLIED,
            administration=GATEWAY,
            actor=None,
            role=by,
            object=compared.digest,
            case=None,
            outcome="address-book",
            detail={"changes": len(changes), "concerns": len(compared.concerns)},
        )
        await self._store.commit(Work(changes=(last,), entries=(entry,)))
        return compared

    async def _concerns(self, channel: Channel, book: Mapping[str, Listing]) -> list[Concern]:
        directory = await self._directory.current()
        found = []
        for route in sorted(directory.routes, key=lambda one: one.inbox):
            said = _disagreement(directory, route, book.get(route.address.lower())) if route.channel is channel else ""
            if said:
                leaving = await self._store.leaving_for(route.inbox, channel, most=MOST_COUNTED)
                found.append(Concern(route, said, leaving))
        return found


def _changes(known: Mapping[str, Listing], book: Mapping[str, Listing]) -> Iterator[Happening]:
    for address, listing in book.items():
        before = known.get(address)
        if before is None:
            yield Happening("+", listing)
        elif before.gone_at is not None:
            yield Happening("=", listing)
        elif dataclasses.replace(listing, version=before.version) != before:
            yield Happening("~", listing)


def _gone(known: Mapping[str, Listing], book: Mapping[str, Listing]) -> Iterator[Happening]:
    for address, listing in known.items():
        if address not in book and listing.gone_at is None:
            yield Happening("-", listing)


def _change(before: Listing | None, happening: Happening, now: Instant) -> Change:
    if before is None:
        return Insert(happening.listing)
    gone = now if happening.what == "-" else None
    return Update(dataclasses.replace(happening.listing, gone_at=gone, version=before.version + 1))


def _disagreement(directory: Snapshot, route: Route, listing: Listing | None) -> str:
    if listing is None:
        return "Adressen står inte i adressboken."
    inbox = directory.inbox(route.inbox)
    ours = directory.organisations[directory.administration(inbox.administration).organisation].number
    if _digits(ours) != listing.number:
        return "Organisationsnumret i adressboken är ett annat än vårt."
    return ""


def _digits(number: str) -> str:
    return number.replace("-", "").replace(" ", "")[-10:]


# --- a directory file for what is wanted -----------------------------------------------------------------------------


def proposed(listings: Mapping[str, Listing], addresses: Sequence[str]) -> str:
    """Lines of a directory file for functions of the book; what a book cannot know is left empty, so it must be filled.

    Raises:
        InvalidFormError: an address that the book does not have.
    """
    missing = [address for address in addresses if address.lower() not in listings]
    if missing:
        raise _invalid([FieldError("/take", "unknown", f"{one}: adressen står inte i boken.") for one in missing])
    lines = ["# Fyll i det som är tomt: en adressbok vet inte vilken sekretess som gäller, eller vad som tas emot."]
    for address in addresses:
        row = listings[address.lower()]
        participant, _, function = row.address.partition("#")
        place = participant.partition(":")[2]
        inbox = re.sub(r"[^a-z0-9]+", "-", function).strip("-")
        tables: list[tuple[str, dict[str, Any]]] = [
            ("organisation", {"id": place, "name": row.organisation, "number": row.number}),
            ("administration", {"id": place, "organisation": place, "name": "", "outside": True}),
            ("unit", {"id": place, "administration": place, "name": "", "secrecy_regime": "", "legal_form": ""}),
            ("inbox", {"id": f"{place}.{inbox}", "unit": place, "name": row.name, "kind": "intake", "accepts": []}),
            ("route", {"inbox": f"{place}.{inbox}", "channel": str(row.channel), "address": row.address}),
        ]
        for name, values in tables:
            lines += ["", f"[[{name}]]"]
            lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]  # TOML too
    return "\n".join(lines) + "\n"


# --- reading a book --------------------------------------------------------------------------------------------------


def parse_book(channel: Channel, octets: bytes) -> dict[str, Listing]:
    """The functions of a book, by address.

    Raises:
        InvalidFormError: every fault, with its place; at most fifty are told.
    """
    if len(octets) > MAX_BOOK:
        raise _invalid([FieldError("", "size", "Adressboken är större än 64 MB.")])
    try:
        told = json.loads(octets)
    except (ValueError, RecursionError):
        raise _invalid([FieldError("", "json", "Filen är inte JSON.")]) from None
    reader = _Reader(channel)
    found = reader.read(told)
    if reader.faults:
        raise _invalid(reader.faults)
    return found


def _invalid(faults: list[FieldError]) -> InvalidFormError:
    return InvalidFormError(
        f"the address book has {len(faults)} faults",
        faults[:_FAULTS],
        swedish=f"Adressboken har {len(faults)} fel.",
        next_step="Hämta den på nytt, eller anmäl felen till den som ger ut den. Inget har ändrats.",
    )


class _Reader:
    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._found: dict[str, Listing] = {}
        self.faults: list[FieldError] = []

    def read(self, told: Any) -> dict[str, Listing]:
        resources = [*_resources(told, "data"), *_resources(told, "included")]
        organisations: dict[str, tuple[str, str, str]] = {}
        for where, one in resources:
            if one.get("type") == "organizations":
                organisation = self._organisation(where, _attributes(one))
                if organisation is not None:
                    organisations[str(one.get("id"))] = organisation
                    nested = _attributes(one).get("addresses")
                    for number, function in enumerate(nested if isinstance(nested, list) else []):
                        self._function(f"{where}/addresses/{number}", function, organisation)
        for where, one in resources:
            if one.get("type") == "addresses":
                owner = organisations.get(_owner(one))
                if owner is None:
                    self._fault(where, "organization", "Adressen hör inte till någon organisation i filen.")
                else:
                    self._function(where, _attributes(one), owner)
        if not self._found and not self.faults:
            self._fault("data", "empty", "Filen har inga adresser.")
        if len(self._found) > MAX_LISTINGS:
            self._fault("data", "size", f"Filen har fler än {MAX_LISTINGS} adresser.")
        return self._found

    def _organisation(self, where: str, told: Mapping[str, Any]) -> tuple[str, str, str] | None:
        participant = told.get("participantIdentifier")
        number = _digits(str(told.get("organizationNumber", "")))
        name = self._name(where, told)
        if not isinstance(participant, str) or not _PARTICIPANT.fullmatch(participant):
            self._fault(where, "participantIdentifier", "Organisationens id ska börja med 0203:.")
            return None
        if len(number) != 10 or not (number.isascii() and number.isdigit()) or not check_digit_holds(number):
            self._fault(where, "organizationNumber", "Organisationsnumret är inget organisationsnummer.")
            return None
        return participant, number, name

    def _function(self, where: str, told: Any, organisation: tuple[str, str, str]) -> None:
        participant, number, name = organisation
        identifier = told.get("identifier") if isinstance(told, Mapping) else None
        if (
            not isinstance(identifier, str)
            or not 1 <= len(identifier) <= MAX_NAME
            or not identifier.isprintable()
            or "#" in identifier
        ):
            self._fault(where, "identifier", "Funktionsadressen saknas eller har fel form.")
            return
        address = f"{participant}#{identifier}".lower()
        if address in self._found:
            self._fault(where, "repeated", "Adressen står två gånger.")
            return
        self._found[address] = Listing(
            administration=GATEWAY,
            channel=self._channel,
            address=address,
            organisation=name,
            number=number,
            name=self._name(where, told),
        )

    def _name(self, where: str, told: Mapping[str, Any]) -> str:
        value = told.get("name")
        if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME or not value.isprintable():
            self._fault(where, "name", "Namnet saknas eller har fel form.")
            return ""
        return value

    def _fault(self, where: str, kind: str, swedish: str) -> None:
        self.faults.append(FieldError(f"/{where}", kind, f"{where}: {swedish}"))


def _resources(told: Any, name: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    listed = told.get(name) if isinstance(told, Mapping) else None
    for number, one in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(one, Mapping):
            yield f"{name}/{number}", one


def _attributes(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    found = resource.get("attributes")
    return found if isinstance(found, Mapping) else {}


def _owner(resource: Mapping[str, Any]) -> str:
    """The id of the organisation that a function on its own belongs to (JSON:API, relationships)."""
    at: Any = resource
    for name in ("relationships", "organization", "data", "id"):
        at = at.get(name) if isinstance(at, Mapping) else None
    return str(at)
