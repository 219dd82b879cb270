"""The directory as one TOML file: read whole, all faults at once, compared with what stands before anything changes.

Why this exists: who exists is agreed between authorities and written down by people. A dry run shows every difference
with before and after; nothing is ever removed in silence, and an import proposes members, it never makes a reader.
The shape: `[[organisation]]`, `[[administration]]`, `[[unit]]`, `[[inbox]]` (with `members`), `[[board]]`, `[[route]]`,
`[[user]]`. An administration with `outside = true` is hosted elsewhere: its inboxes have routes and no members.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import tomllib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.directory import Snapshot
from gateway.errors import FieldError, InvalidFormError
from gateway.model.base import (
    GATEWAY,
    AdministrationId,
    BoardId,
    DecidingRow,
    InboxId,
    OrganisationId,
    UnitId,
    UserId,
)
from gateway.model.directory import Administration, Board, Inbox, InboxKind, Organisation, Route, SecrecyRegime, Unit
from gateway.model.identity import MembershipRole, Role, User
from gateway.model.path import Channel

#: Users get a stable id from their login, so that a file that is read twice means the same people.
USERS: Final = uuid.UUID("6f1f2a52-6d4b-5d0a-9d2b-5a0c1f0e7b11")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A member that the file proposes for an inbox."""

    inbox: InboxId
    login: str
    role: MembershipRole


@dataclass(frozen=True, slots=True)
class DirectoryFile:
    """What a file says, as rows without MACs."""

    digest: str
    organisations: tuple[Organisation, ...]
    administrations: tuple[Administration, ...]
    units: tuple[Unit, ...]
    inboxes: tuple[Inbox, ...]
    boards: tuple[Board, ...]
    routes: tuple[Route, ...]
    users: tuple[User, ...]
    proposals: tuple[Proposal, ...]

    @property
    def places(self) -> tuple[DecidingRow, ...]:
        """Organisations, administrations, units, inboxes, routes and boards, in the order in which they can be made."""
        return (
            *self.organisations,
            *self.administrations,
            *self.units,
            *self.inboxes,
            *self.routes,
            *self.boards,
        )


@dataclass(frozen=True, slots=True)
class Difference:
    """One line of a dry run."""

    what: str  # "+", "~" or "?"
    kind: str
    id: str
    fields: tuple[tuple[str, object, object], ...] = ()

    def __str__(self) -> str:
        told = ", ".join(f"{name}: {before!r} -> {after!r}" for name, before, after in self.fields)
        return f"{self.what} {self.kind} {self.id}{': ' + told if told else ''}"


def parse_directory(text: str, *, known_forms: Iterable[str]) -> DirectoryFile:
    """A directory file.

    Raises:
        InvalidFormError: every fault at once, each with the table and id it stands in; nothing was changed.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise _invalid([FieldError("", "toml", f"Filen går inte att läsa: {fault}")]) from fault
    reader = _Reader(data, frozenset(known_forms))
    found = reader.read(hashlib.sha256(text.encode()).hexdigest())
    if reader.faults:
        raise _invalid(reader.faults)
    return found


def _invalid(faults: list[FieldError]) -> InvalidFormError:
    return InvalidFormError(
        f"the directory file has {len(faults)} faults",
        faults,
        swedish=f"Adressboksfilen har {len(faults)} fel.",
        next_step="Rätta filen och kör igen. Inget har ändrats.",
    )


class _Reader:
    def __init__(self, data: Mapping[str, Any], known_forms: frozenset[str]) -> None:
        self._data = data
        self._known_forms = known_forms
        self.faults: list[FieldError] = []

    def read(self, digest: str) -> DirectoryFile:
        for table in set(self._data) - {"organisation", "administration", "unit", "inbox", "board", "route", "user"}:
            self._fault(table, "unknown", "Tabellen är okänd.")
        organisations = tuple(
            Organisation(
                administration=GATEWAY,
                id=OrganisationId(self._text(row, "id", where)),
                name=self._text(row, "name", where),
                number=self._text(row, "number", where),
            )
            for where, row in self._rows("organisation", {"id", "name", "number"})
        )
        administrations = tuple(
            Administration(
                administration=AdministrationId(self._text(row, "id", where)),
                organisation=OrganisationId(
                    self._one_of(row, "organisation", {found.id for found in organisations}, where)
                ),
                name=self._text(row, "name", where),
                outside=self._flag(row, "outside", where),
                signing_key=self._digest(row, "signing_key", where),
            )
            for where, row in self._rows("administration", {"id", "organisation", "name", "outside", "signing_key"})
        )
        authorities = {row.administration for row in administrations}
        units = tuple(
            Unit(
                administration=AdministrationId(self._one_of(row, "administration", authorities, where)),
                id=UnitId(self._text(row, "id", where)),
                name=self._text(row, "name", where),
                secrecy_regime=SecrecyRegime(
                    self._one_of(row, "secrecy_regime", set(SecrecyRegime), where) or SecrecyRegime.OSL_26
                ),
                legal_form=self._text(row, "legal_form", where),
            )
            for where, row in self._rows("unit", {"administration", "id", "name", "secrecy_regime", "legal_form"})
        )
        users = tuple(self._user(where, row, authorities) for where, row in self._rows("user", _USER_FIELDS))
        inboxes, proposals = self._inboxes({unit.id: unit for unit in units}, {user.login: user for user in users})
        outside = {row.administration for row in administrations if row.outside}
        for proposal in proposals:
            if {inbox.id: inbox for inbox in inboxes}[proposal.inbox].administration in outside:
                self._fault(f"inbox/{proposal.inbox}", "members", "Inkorgen finns utanför: den har inga medlemmar här.")
        routes = self._routes({inbox.id: inbox for inbox in inboxes}, authorities, outside)
        seats = {inbox.id for inbox in inboxes if inbox.kind is InboxKind.SEAT}
        boards = tuple(
            Board(
                administration=GATEWAY,
                id=BoardId(self._text(row, "id", where)),
                name=self._text(row, "name", where),
                seats=tuple(self._listed(row, "seats", seats, where)),
            )
            for where, row in self._rows("board", {"id", "name", "seats"})
        )
        self._unique([("inbox", row.id) for row in inboxes] + [("inbox", row.id) for row in boards])
        self._unique([("unit", row.id) for row in units] + [("user", row.login) for row in users])
        self._unique([("administration", row.administration) for row in administrations])
        self._unique([("route", f"{row.inbox}/{row.channel}") for row in routes])
        self._unique([("address", f"{row.channel}/{row.address}") for row in routes])
        return DirectoryFile(digest, organisations, administrations, units, inboxes, boards, routes, users, proposals)

    def _routes(
        self, inboxes: Mapping[str, Inbox], authorities: set[AdministrationId], outside: set[AdministrationId]
    ) -> tuple[Route, ...]:
        found = []
        for where, row in self._rows("route", {"inbox", "channel", "address", "rank", "pin", "serves"}):
            inbox = inboxes.get(self._one_of(row, "inbox", set(inboxes), where))
            channel = self._one_of(row, "channel", set(Channel) - {Channel.LOCAL}, where)
            rank = row.get("rank", 1)
            if type(rank) is not int or not 1 <= rank <= 9:
                self._fault(where, "rank", "rank ska vara ett tal mellan 1 och 9.")
                rank = 1
            pin = str(row.get("pin", ""))
            if channel == Channel.SMIME and not re.fullmatch(r"[0-9a-f]{64}", pin):
                self._fault(where, "pin", "Ange certifikatets SHA-256 (64 hexadecimala tecken): annars går inget iväg.")
            if inbox is not None and channel:
                address = self._text(row, "address", where)
                found.append(
                    Route(
                        administration=inbox.administration,
                        inbox=inbox.id,
                        channel=Channel(channel),
                        address=address,
                        rank=rank,
                        pin=pin,
                        serves=self._serves(row, inbox, authorities, outside, where),
                    )
                )
        reached = {route.inbox for route in found}
        for inbox in inboxes.values():
            if inbox.administration in outside and inbox.id not in reached:
                self._fault(f"inbox/{inbox.id}", "route", "Inkorgen finns utanför och har ingen väg dit.")
        return tuple(found)

    def _serves(
        self,
        row: Mapping[str, Any],
        inbox: Inbox,
        authorities: set[AdministrationId],
        outside: set[AdministrationId],
        where: str,
    ) -> tuple[str, ...]:
        """Which administrations a collecting address serves; nobody collects but a registrator of ours."""
        if "serves" not in row:
            return ()
        if inbox.kind is not InboxKind.REGISTRATOR or inbox.administration in outside:
            self._fault(where, "serves", "Bara en registrators inkorg hos oss kan ha en samlingsadress.")
            return ()
        return tuple(sorted({*self._listed(row, "serves", authorities - outside, where), inbox.administration}))

    def _digest(self, row: Mapping[str, Any], name: str, where: str) -> str:
        value = row.get(name, "")
        if value and (row.get("outside") is not True or not re.fullmatch(r"[0-9a-f]{64}", str(value))):
            self._fault(where, name, f"{name} är SHA-256 i 64 hexadecimala tecken, och bara för den som är utanför.")
        return str(value)

    def _flag(self, row: Mapping[str, Any], name: str, where: str) -> bool:
        value = row.get(name, False)
        if not isinstance(value, bool):
            self._fault(where, name, f"{name} ska vara true eller false.")
        return value is True

    def _user(self, where: str, row: Mapping[str, Any], authorities: set[AdministrationId]) -> User:
        login = self._text(row, "login", where)
        return User(
            administration=AdministrationId(self._one_of(row, "administration", {*authorities, GATEWAY}, where)),
            id=user_id(login),
            login=login,
            title=self._text(row, "title", where),
            roles=tuple(sorted(self._listed(row, "roles", set(Role) - {Role.SYSTEM}, where))),
        )

    def _inboxes(
        self, units: Mapping[str, Unit], users: Mapping[str, User]
    ) -> tuple[tuple[Inbox, ...], tuple[Proposal, ...]]:
        inboxes, proposals = [], []
        for where, row in self._rows("inbox", {"id", "unit", "name", "kind", "accepts", "members"}):
            unit = units.get(self._one_of(row, "unit", set(units), where))
            kind = self._one_of(row, "kind", set(InboxKind), where)
            inbox = Inbox(
                administration=unit.administration if unit else GATEWAY,
                id=InboxId(self._text(row, "id", where)),
                unit=unit.id if unit else UnitId(""),
                name=self._text(row, "name", where),
                kind=InboxKind(kind) if kind else InboxKind.INTAKE,
                accepts=tuple(sorted(self._listed(row, "accepts", self._known_forms, where))),
            )
            inboxes.append(inbox)
            for member in row.get("members", ()):
                login, _, role = str(member).partition(":")
                user = users.get(login)
                if user is None or (role and role not in set(MembershipRole)):
                    self._fault(where, "members", f"Medlemmen {member} finns inte bland användarna.")
                elif user.administration != inbox.administration:
                    self._fault(where, "members", f"{login} hör till en annan myndighet än inkorgen.")
                else:
                    proposals.append(Proposal(inbox.id, login, MembershipRole(role or MembershipRole.MEMBER)))
        return tuple(inboxes), tuple(proposals)

    def _rows(self, table: str, known: set[str]) -> Iterable[tuple[str, Mapping[str, Any]]]:
        rows = self._data.get(table, [])
        if not isinstance(rows, list):
            self._fault(table, "type", "Skriv tabellen med dubbla hakparenteser.")
            return
        for number, row in enumerate(rows, start=1):
            where = f"{table}/{row.get('id') or row.get('login') or number}"
            for name in set(row) - known:
                self._fault(where, "unknown", f"Fältet {name} är okänt.")
            yield where, row

    def _text(self, row: Mapping[str, Any], name: str, where: str) -> str:
        value = row.get(name)
        if not isinstance(value, str) or not 1 <= len(value.encode()) <= 128 or not value.isprintable():
            self._fault(where, name, f"Fältet {name} saknas eller är för långt.")
            return ""
        return value

    def _one_of(self, row: Mapping[str, Any], name: str, known: Iterable[str], where: str) -> str:
        value = self._text(row, name, where)
        if value and value not in set(known):
            self._fault(where, name, f"{name} = {value} finns inte.")
            return ""
        return value

    def _listed(self, row: Mapping[str, Any], name: str, known: Iterable[str], where: str) -> list[str]:
        values = row.get(name)
        if not isinstance(values, list) or not values:
            self._fault(where, name, f"Fältet {name} ska vara en lista.")
            return []
        for value in values:
            if value not in set(known):
                self._fault(where, name, f"{name}: {value} finns inte.")
        return [str(value) for value in values]

    def _unique(self, ids: list[tuple[str, str]]) -> None:
        seen: set[tuple[str, str]] = set()
        for kind, found in ids:
            if (kind, found) in seen:
                self._fault(f"{kind}/{found}", "repeated", "Beteckningen finns två gånger.")
            seen.add((kind, found))

    def _fault(self, where: str, kind: str, swedish: str) -> None:
        self.faults.append(FieldError(f"/{where}", kind, f"{where}: {swedish}"))


_USER_FIELDS: Final = {"login", "title", "roles", "administration"}


def user_id(login: str) -> UserId:
    """The id of the user that a directory file names by `login`."""
    return UserId(str(uuid.uuid5(USERS, login)))


def differences(current: Snapshot | None, users: Mapping[str, User], wanted: DirectoryFile) -> list[Difference]:
    """What applying `wanted` would change. `?` marks what stands but is not in the file: it is left alone."""
    stand: dict[tuple[str, tuple[object, ...]], DecidingRow] = {}
    if current is not None:
        for rows in (current.organisations, current.administrations, current.units, current.inboxes, current.boards):
            stand.update({(row.TABLE, row.key): row for row in rows.values()})
        stand.update({(row.TABLE, row.key): row for row in current.routes})
    stand.update({(user.TABLE, user.key): user for user in users.values()})
    found: list[Difference] = []
    named: set[tuple[str, tuple[object, ...]]] = set()
    for row in (*wanted.places, *wanted.users):
        named.add((row.TABLE, row.key))
        before = stand.get((row.TABLE, row.key))
        if before is None:
            found.append(Difference("+", row.TABLE, named_by(row.key)))
        else:
            changed = changed_fields(before, row)
            if changed:
                found.append(Difference("~", row.TABLE, named_by(row.key), tuple(changed)))
    found += [Difference("?", table, named_by(key)) for table, key in sorted(stand.keys() - named, key=str)]
    return found


def named_by(key: Sequence[object]) -> str:
    """A row's key in one word: a route is an inbox and a channel."""
    return "/".join(map(str, key))


def changed_fields(before: DecidingRow, after: DecidingRow) -> list[tuple[str, object, object]]:
    """The fields that differ, but for version, MAC and state."""
    return [
        (field.name, getattr(before, field.name), getattr(after, field.name))
        for field in dataclasses.fields(after)
        if field.name not in ("version", "mac", "state") and getattr(before, field.name) != getattr(after, field.name)
    ]
