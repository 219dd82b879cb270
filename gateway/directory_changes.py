"""A directory file from a page: examined, shown, and applied as exactly what was shown.

Why this exists: who exists decides who can be written to. A file that was uploaded is compared with what stands, and
what is applied is what was shown: the confirmation names a digest of the shown difference, and when anything moved
meanwhile it is shown again instead. A file waits in memory only, for the session that sent it.

Rule: nobody gives oneself another function; another administrator does.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.decide import AccessAction
from gateway.directory import Directory, Snapshot
from gateway.directory_file import Difference, DirectoryFile, named_by, parse_directory
from gateway.errors import ConflictError, FieldError, ForbiddenError, InvalidFormError, UnknownEntryError
from gateway.factors import new_password
from gateway.forms import FormCatalogue
from gateway.handover import Handover, Secret
from gateway.model.base import MINUTE, DecidingRow, Fact, Instant, SessionId
from gateway.model.identity import Membership, MembershipState, User
from gateway.model.keys import KeyHead, KeyRecordKind
from gateway.ports import Clock, Store
from gateway.register import BOOTSTRAP_MEMBERS, Register
from gateway.rights import Rights
from gateway.sessions import Signed

MAX_FILE: Final = 512 * 1024  # octets
KEPT: Final = 30 * MINUTE
MOST: Final = 16


@dataclass(frozen=True, slots=True)
class NewMember:
    """A member that the file would propose; `first` makes a reader at once, as one of an inbox's first two."""

    inbox: str
    login: str
    role: str
    first: bool


@dataclass(frozen=True, slots=True)
class Examined:
    """What applying a file would do. `shown` names all of it: confirm with it, and exactly this is applied."""

    differences: Sequence[Difference]
    members: Sequence[NewMember]
    labels: Mapping[tuple[str, str], str]  # what the row of a kind and id is called
    fields: Mapping[tuple[str, str], Sequence[tuple[str, object]]]  # what the file says of each of its rows
    file: str  # digest of the file
    shown: str
    fact: Fact | None  # the directory that it was compared with

    @property
    def changes(self) -> Sequence[Difference]:
        """What would be new or different; the rest stands and is left alone."""
        return [found for found in self.differences if found.what != "?"]


@dataclass(frozen=True, slots=True)
class _Waiting:
    session: SessionId
    until: Instant
    text: str


class DirectoryChanges:
    """Acts of an administrator on the directory."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        register: Register,
        forms: FormCatalogue,
        rights: Rights,
        handover: Handover,
        clock: Clock,
    ) -> None:
        self._store = store
        self._directory = directory
        self._register = register
        self._forms = forms
        self._rights = rights
        self._handover = handover
        self._clock = clock
        self._waiting: dict[str, _Waiting] = {}
        self._one_at_a_time = asyncio.Lock()

    async def current(self, signed: Signed) -> tuple[Snapshot, Mapping[str, Sequence[Membership]]]:
        """The directory as it stands, and the memberships of each inbox. Raises ForbiddenError as `offer`."""
        await self._rights.without_inbox(signed, AccessAction.APPLY_DIRECTORY)
        found = await self._directory.current()
        return found, {inbox: await self._store.members_of(row.id) for inbox, row in found.inboxes.items()}

    async def offer(self, signed: Signed, text: str) -> str:
        """Take a file in to be looked at; gives the key that it waits under. Nothing is changed.

        Raises:
            ForbiddenError: not an administrator; the try is logged.
            InvalidFormError: every fault of the file at once; nothing was kept.
        """
        await self._rights.without_inbox(signed, AccessAction.APPLY_DIRECTORY)
        if len(text.encode()) > MAX_FILE:
            raise InvalidFormError(
                "the directory file is too large",
                [FieldError("/text", "size", "Filen är för stor. En adressbok får ha högst 512 kB.")],
                swedish="Filen är för stor.",
                next_step="Dela upp filen, eller läs in den med 'sambud directory apply'.",
            )
        self._parsed(text)
        self._sweep()
        while len(self._waiting) >= MOST:
            del self._waiting[next(iter(self._waiting))]
        key = secrets.token_hex(16)
        until = Instant(self._clock.now() + KEPT)
        self._waiting[key] = _Waiting(signed.session.id, until, text)
        return key

    async def examine(self, signed: Signed, key: str) -> Examined:
        """What the file that waits under `key` would change now.

        Raises:
            NotFoundError: it waited too long, or somebody else sent it.
        """
        await self._rights.without_inbox(signed, AccessAction.APPLY_DIRECTORY)
        return await self._examined(self._text(signed, key))

    async def apply(self, signed: Signed, key: str, shown: str) -> str:
        """Apply what was shown; gives the key of the first credentials (`Handover.show`). A second press is the first.

        Raises:
            ConflictError: what would change is no longer what was shown; nothing was changed.
            ForbiddenError: the file changes one's own function.
            DecisionStaleError: the directory moved in this moment; no place was written.
        """
        await self._rights.without_inbox(signed, AccessAction.APPLY_DIRECTORY)
        async with self._one_at_a_time:
            if self._handover.has(signed, key):
                return key
            text = self._text(signed, key)
            examined = await self._examined(text)
            if examined.shown != shown:
                raise ConflictError(
                    "the directory is not the one that was shown",
                    swedish="Adressboken har ändrats sedan du såg skillnaden, så inget har införts.",
                    next_step="Läs skillnaden nedan på nytt och bekräfta den.",
                )
            _nothing_of_ones_own(signed, examined)
            titles = {user.login: user.title for user in self._parsed(text).users}
            applied = await self._register.apply(
                text,
                passwords=lambda _login: new_password(),
                by=signed.role,
                actor=signed.user,
                expects=(examined.fact,) if examined.fact else (),
            )
            made = [Secret(one.login, titles.get(one.login, ""), one.password, one.seed) for one in applied.credentials]
            self._handover.keep(signed, key, made, applied.waiting)
            del self._waiting[key]
            return key

    async def _examined(self, text: str) -> Examined:
        wanted = self._parsed(text)
        current = await self._directory.current()
        differences = await self._register.dry_run(text)
        members = await self._members(wanted)
        told = [wanted.digest, str(current.generation.version), *map(str, differences), *map(str, members)]
        shown = hashlib.sha256("\n".join(told).encode()).hexdigest()
        labels, fields = await self._labels(current, wanted), _fields(wanted)
        return Examined(differences, members, labels, fields, wanted.digest, shown, current.fact)

    async def _labels(self, current: Snapshot, wanted: DirectoryFile) -> dict[tuple[str, str], str]:
        stand = [row for rows in _tables(current) for row in rows.values()]
        users = await self._store.users()
        return {(row.TABLE, named_by(row.key)): _label(row) for row in (*stand, *users, *wanted.places, *wanted.users)}

    async def _members(self, wanted: DirectoryFile) -> list[NewMember]:
        ids = {user.login: user.id for user in wanted.users}
        found: list[NewMember] = []
        for inbox in wanted.inboxes:
            named = [proposal for proposal in wanted.proposals if proposal.inbox == inbox.id]
            begins = await self._store.get(KeyHead, KeyRecordKind.INBOX, inbox.id) is None
            if begins and len(named) < BOOTSTRAP_MEMBERS:
                continue  # nobody reads it yet, and nobody is proposed before it has its first two
            for place, proposal in enumerate(named):
                row = await self._store.get(Membership, inbox.id, ids[proposal.login])
                first = begins and place < BOOTSTRAP_MEMBERS
                if first or row is None or row.state is MembershipState.REMOVED:
                    found.append(NewMember(str(inbox.id), proposal.login, proposal.role, first))
        return found

    def _parsed(self, text: str) -> DirectoryFile:
        return parse_directory(text, known_forms={form.id for form in self._forms.all()})

    def _text(self, signed: Signed, key: str) -> str:
        self._sweep()
        found = self._waiting.get(key)
        if found is None or found.session != signed.session.id:
            raise UnknownEntryError(
                "no such file waits",
                swedish="Filen väntar inte längre på att läsas in.",
                next_step="Gå till Adressboken och lämna filen på nytt. Inget har ändrats.",
            )
        return found.text

    def _sweep(self) -> None:
        now = self._clock.now()
        self._waiting = {key: row for key, row in self._waiting.items() if row.until > now}


def _tables(current: Snapshot) -> tuple[Mapping[str, DecidingRow], ...]:
    return current.organisations, current.administrations, current.units, current.inboxes, current.boards


def _label(row: DecidingRow) -> str:
    return f"{row.title} ({row.login})" if isinstance(row, User) else str(getattr(row, "name", named_by(row.key)))


def _fields(wanted: DirectoryFile) -> dict[tuple[str, str], list[tuple[str, object]]]:
    """What each row of the file says, but for its key and what the gateway adds."""
    kept_back = ("id", "version", "mac", "state", "administration")
    return {
        (row.TABLE, named_by(row.key)): [
            (field.name, getattr(row, field.name)) for field in dataclasses.fields(row) if field.name not in kept_back
        ]
        for row in (*wanted.places, *wanted.users)
    }


def _nothing_of_ones_own(signed: Signed, examined: Examined) -> None:
    for found in examined.changes:
        if (
            found.kind == User.TABLE
            and found.id == signed.user.id
            and any(name == "roles" for name, *_ in found.fields)
        ):
            raise ForbiddenError(
                "nobody gives oneself another function",
                swedish="Filen ändrar dina egna roller. Det får du inte göra själv.",
                next_step="Be en annan administratör att läsa in filen. Inget har ändrats.",
            )
