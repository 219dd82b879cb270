"""Register: begin a gateway, apply a directory file, make users. What makes keys is logged with the act that made them.

Why this exists: the first minutes of a gateway decide whom it trusts. Keys of an administration come before its rows
(the MAC needs them), its first two members per inbox come from the file as a marked bootstrap record, and everybody
later is only proposed.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.accounts import Accounts
from gateway.audit import AuditAction, Auditor
from gateway.directory import Directory, Snapshot, next_generation
from gateway.directory_file import Difference, DirectoryFile, differences, parse_directory
from gateway.errors import ConflictError, InvalidRequestError, NotFoundError
from gateway.forms import FormCatalogue
from gateway.integrity import Integrity
from gateway.members import Members
from gateway.model.base import GATEWAY, AdministrationId, DecidingRow, Fact, InboxId, fact
from gateway.model.directory import DIRECTORY, Generation, Inbox, Route
from gateway.model.identity import MembershipRole, User
from gateway.model.keys import KeyHead, KeyRecordKind
from gateway.model.path import Channel
from gateway.ports import Change, Clock, Delete, Insert, KeyMaker, Store, Update, Work

BOOTSTRAP_MEMBERS = 2
MOST_COUNTED = 1_000


@dataclass(frozen=True, slots=True)
class Credential:
    """What a new user must be told once: the TOTP seed behind `login`."""

    login: str
    password: str
    seed: bytes


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying a file did."""

    differences: Sequence[Difference]
    credentials: Sequence[Credential]
    waiting: Sequence[str]  # inboxes without two members: nobody reads them yet


class Register:
    """The acts of `sambud init`, `sambud directory` and `sambud user`."""

    def __init__(
        self,
        store: Store,
        maker: KeyMaker,
        integrity: Integrity,
        directory: Directory,
        members: Members,
        accounts: Accounts,
        auditor: Auditor,
        forms: FormCatalogue,
        clock: Clock,
    ) -> None:
        self._store = store
        self._maker = maker
        self._integrity = integrity
        self._directory = directory
        self._members = members
        self._accounts = accounts
        self._auditor = auditor
        self._forms = forms
        self._clock = clock

    async def begin(self) -> None:
        """The keys of the gateway's own administration. The store must be empty."""
        if await self._store.administration_keys(GATEWAY):
            raise ConflictError(
                "the store has keys already",
                swedish="Gatewayen är redan skapad.",
                next_step="Starta den med 'sambud serve'. Inget har ändrats.",
            )
        await self._keys_of(GATEWAY)

    async def dry_run(self, text: str) -> list[Difference]:
        """What applying a directory file would change; nothing is written.

        Raises:
            InvalidFormError: every fault of the file at once.
        """
        wanted = self._parsed(text)
        found = differences(await self._current(), await self._users(), wanted)
        return [await self._with_what_leaves(one) for one in found]

    async def _with_what_leaves(self, found: Difference) -> Difference:
        """A way that changes, with how many deliveries go by the old one: nobody's mail is rerouted unseen."""
        if found.what != "~" or found.kind != Route.TABLE:
            return found
        inbox, _, channel = found.id.rpartition("/")
        leaving = await self._store.leaving_for(InboxId(inbox), Channel(channel), most=MOST_COUNTED)
        return dataclasses.replace(found, fields=(*found.fields, ("leaving", leaving, leaving))) if leaving else found

    async def apply(
        self,
        text: str,
        *,
        passwords: Callable[[str], str],
        by: str,
        actor: User | None = None,
        expects: tuple[Fact, ...] = (),
    ) -> Applied:
        """Apply a directory file.

        Args:
            passwords: gives the first password of a new login.
            by: who applies it, by function, for the log.
            actor: who applies it, when somebody signed in does.
            expects: what must still stand when the places are written.

        Raises:
            DecisionStaleError: an expected fact moved; no place was written.
        """
        wanted = self._parsed(text)
        users = await self._users()
        found = differences(await self._current(), users, wanted)
        for row in wanted.administrations:
            if not await self._store.administration_keys(row.administration):
                await self._keys_of(row.administration)
        await self._places(wanted, by=by, actor=actor, expects=expects)
        credentials = [
            await self.create_user(user, passwords(user.login), by=by, actor=actor)
            for user in wanted.users
            if user.id not in {known.id for known in users.values()}
        ]
        await self._changed_users(wanted.users, users, actor=actor)
        waiting = await self._propose(wanted)
        return Applied(found, credentials, waiting)

    async def close_way(self, inbox: InboxId, channel: Channel, *, by: str, confirmed: bool) -> int:
        """Take a way out of the directory, which no file does in silence; returns how many deliveries go by it.

        Those go on: their senders signed that way. What is sent from now on takes the next one, or says that there is
        none.

        Args:
            confirmed: whether to do it; otherwise it is only counted.

        Raises:
            NotFoundError: there is no such way.
            ConflictError, DecisionStaleError: the directory changed in this moment; nothing was closed.
        """
        route = await self._store.get(Route, inbox, channel)
        if route is None:
            raise NotFoundError(
                "no such way",
                swedish=f"Det finns ingen väg till {inbox} över {channel}.",
                next_step="Se vägarna med 'sambud channels explain INKORG'.",
            )
        leaving = await self._store.leaving_for(inbox, channel, most=MOST_COUNTED)
        if not confirmed:
            return leaving
        current = await self._store.get(Generation, DIRECTORY)
        generation = next_generation(current, hashlib.sha256(f"closed {inbox}/{channel}".encode()).hexdigest())
        signed = await self._integrity.sign(generation)
        entry = await self._auditor.entry(
            AuditAction.DIRECTORY_APPLIED,
            administration=route.administration,
            actor=None,
            role=by,
            object=f"{inbox}/{channel}",
            case=None,
            outcome="way-closed",
            detail={"leaving": leaving},
        )
        changes = (Delete(Route, (inbox, channel)), Update(signed) if current else Insert(signed))
        await self._store.commit(Work(expects=(fact(route),), changes=changes, entries=(entry,)))
        return leaving

    async def create_user(self, user: User, password: str, *, by: str, actor: User | None = None) -> Credential:
        """A user with both factors and K2, in one transaction with its log entries.

        Raises:
            InvalidRequestError: the password is too easy to guess.
            ConflictError: the login is taken.
        """
        at = self._clock.now()
        made = await self._accounts.create(user, password, at=at)
        keys = await self._maker.member(made.user, by=by, at=at)
        entries = [
            await self._auditor.entry(
                action,
                administration=user.administration,
                actor=actor,
                role=by,
                object=target,
                case=None,
                outcome="done",
            )
            for action, target in (
                (AuditAction.USER_CREATED, str(user.id)),
                (AuditAction.KEY_RECORDED, keys.record.id if keys.record else ""),
            )
        ]
        await self._store.commit(Work(changes=(*made.changes, *keys.changes), entries=tuple(entries)))
        return Credential(user.login, password, made.seed)

    def _parsed(self, text: str) -> DirectoryFile:
        return parse_directory(text, known_forms={form.id for form in self._forms.all()})

    async def _users(self) -> Mapping[str, User]:
        return {user.login: await self._integrity.check(user) for user in await self._store.users()}

    async def _current(self) -> Snapshot | None:
        if await self._store.get(Generation, DIRECTORY) is None:
            return None
        return await self._directory.current()

    async def _keys_of(self, administration: AdministrationId) -> None:
        at = self._clock.now()
        made = await self._maker.administration(administration, at=at)
        await self._store.commit(Work(changes=made.changes))
        signing = await self._maker.signing(administration, by="init", at=at)
        entry = await self._auditor.entry(
            AuditAction.KEY_RECORDED,
            administration=administration,
            actor=None,
            role="init",
            object=signing.record.id if signing.record else "",
            case=None,
            outcome="signing",
        )
        await self._store.commit(Work(changes=signing.changes, entries=(entry,)))
        channels = await self._maker.channels(administration, by="init", at=at)
        entry = await self._auditor.entry(
            AuditAction.KEY_RECORDED,
            administration=administration,
            actor=None,
            role="init",
            object=channels.record.id if channels.record else "",
            case=None,
            outcome="channels",
        )
        await self._store.commit(Work(changes=channels.changes, entries=(entry,)))

    async def _places(self, wanted: DirectoryFile, *, by: str, actor: User | None, expects: tuple[Fact, ...]) -> None:
        """Write the rows that are new or changed, with the next generation, in one transaction."""
        changes: list[Change] = []
        for row in wanted.places:
            before = await self._store.get(type(row), *row.key)
            if before is None:
                changes.append(Insert(await self._integrity.sign(row)))
            elif _same(before, row):
                continue
            else:
                await self._integrity.check(before)
                following = dataclasses.replace(row, version=before.version + 1)
                changes.append(Update(await self._integrity.sign(following)))
        if not changes:
            return
        current = await self._store.get(Generation, DIRECTORY)
        generation = await self._integrity.sign(next_generation(current, wanted.digest))
        changes.append(Update(generation) if current else Insert(generation))
        entry = await self._auditor.entry(
            AuditAction.DIRECTORY_APPLIED,
            administration=GATEWAY,
            actor=actor,
            role=by,
            object=wanted.digest,
            case=None,
            outcome="applied",
            detail={"changes": len(changes) - 1},
        )
        await self._store.commit(Work(expects=expects, changes=tuple(changes), entries=(entry,)))

    async def _changed_users(self, wanted: Sequence[User], stand: Mapping[str, User], *, actor: User | None) -> None:
        for user in wanted:
            before = stand.get(user.login)
            if before is not None and (before.title, before.roles) != (user.title, user.roles):
                changed = dataclasses.replace(before, title=user.title, roles=user.roles, version=before.version + 1)
                entry = await self._auditor.entry(
                    AuditAction.DIRECTORY_APPLIED,
                    administration=before.administration,
                    actor=actor,
                    role="directory",
                    object=str(before.id),
                    case=None,
                    outcome="user-changed",
                )
                await self._store.commit(Work(changes=(Update(await self._integrity.sign(changed)),), entries=(entry,)))

    async def _propose(self, wanted: DirectoryFile) -> list[str]:
        """Bootstrap new inboxes that name two members; propose everybody else. Returns inboxes that wait."""
        users = await self._users()
        waiting = []
        outside = {row.administration for row in wanted.administrations if row.outside}
        for inbox in wanted.inboxes:
            if inbox.administration in outside:
                continue
            named = [(users[p.login], p.role) for p in wanted.proposals if p.inbox == inbox.id]
            if await self._store.get(KeyHead, KeyRecordKind.INBOX, inbox.id) is None:
                if len(named) < BOOTSTRAP_MEMBERS:
                    waiting.append(str(inbox.id))
                    continue
                await self._members.bootstrap(inbox, named[:BOOTSTRAP_MEMBERS], by=f"directory {wanted.digest[:16]}")
                named = named[BOOTSTRAP_MEMBERS:]
            await self._propose_each(inbox, named)
        return waiting

    async def _propose_each(self, inbox: Inbox, named: Sequence[tuple[User, MembershipRole]]) -> None:
        for user, role in named:
            try:
                await self._members.propose(inbox, user.id, role, by=None)
            except (ConflictError, InvalidRequestError):
                continue  # a member already, or proposed already


def _same(before: DecidingRow, after: DecidingRow) -> bool:
    return dataclasses.replace(before, version=1, mac=b"") == dataclasses.replace(after, version=1, mac=b"")
