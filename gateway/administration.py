"""What an administrator does with users and proposed members: the right first, then the act, then before and after.

Why this exists: whoever sets a factor may become its user, and whoever lets a member in lets somebody read. So each act
here asks for the right, is refused on one's own account, is told as what stood before and what stands after, and is
logged with its actor by the step below (`gateway.accounts`, `gateway.members`). An administrator proposes members;
only a present member lets them in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.accounts import Accounts
from gateway.audit import AuditAction, Auditor
from gateway.decide import AccessAction
from gateway.directory import Directory
from gateway.errors import ConflictError, ForbiddenError, UnknownEntryError
from gateway.factors import FREE_FAILURES, REPLACED_WAITS, new_password
from gateway.handover import Handover, Secret
from gateway.identity import METHODS
from gateway.integrity import Integrity
from gateway.members import Members
from gateway.model.base import GATEWAY, InboxId, Instant, UserId
from gateway.model.classes import PrivacyClass
from gateway.model.directory import Inbox
from gateway.model.identity import (
    AttemptCounter,
    Factor,
    FactorKind,
    Membership,
    MembershipRole,
    MembershipState,
    User,
    UserState,
)
from gateway.ports import Clock, Store, Work
from gateway.rights import Rights
from gateway.sessions import Sessions, Signed


class UserAct(StrEnum):
    """What may be done with somebody's account."""

    DISABLE = "disable"
    ENABLE = "enable"
    UNLOCK = "unlock"
    END_SESSIONS = "end_sessions"
    NEW_PASSWORD = "new_password"  # noqa: S105  (the name of an act)
    NEW_TOTP = "new_totp"


#: The acts that make a secret, and the factor that it replaces.
REPLACES: Final[Mapping[UserAct, FactorKind]] = {
    UserAct.NEW_PASSWORD: FactorKind.PASSWORD,
    UserAct.NEW_TOTP: FactorKind.TOTP,
}


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it stands: what an administrator may see of it."""

    user: User
    memberships: Sequence[tuple[Inbox, Membership]]
    sessions: int  # that are active now
    failures: int  # wrong tries in a row, the larger of the two factors
    waits_until: Instant | None  # no try is looked at before
    factors: Mapping[FactorKind, Factor]

    @property
    def locked(self) -> bool:
        """Whether wrong tries make the next one wait."""
        return self.failures >= FREE_FAILURES

    def possible(self, act: UserAct) -> bool:
        """Whether `act` would change anything."""
        match act:
            case UserAct.DISABLE:
                return self.user.state is UserState.ACTIVE
            case UserAct.ENABLE:
                return self.user.state is UserState.DISABLED
            case UserAct.UNLOCK:
                return self.failures > 0
            case UserAct.END_SESSIONS:
                return self.sessions > 0
            case UserAct.NEW_PASSWORD | UserAct.NEW_TOTP:
                return REPLACES[act] in self.factors


@dataclass(frozen=True, slots=True)
class Proposed:
    """Somebody who waits to be let in, and who can do it; nobody when the inbox has no members yet."""

    inbox: Inbox
    user: User
    membership: Membership
    admitters: Sequence[User]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Who can be proposed for an inbox: users of its authority that are no members and not proposed."""

    inbox: Inbox
    users: Sequence[User]
    begun: bool  # whether it has its first two members; without them nobody could let anybody in


class Administering:
    """Acts of an administrator on users and proposals."""

    def __init__(
        self,
        store: Store,
        integrity: Integrity,
        directory: Directory,
        accounts: Accounts,
        sessions: Sessions,
        members: Members,
        rights: Rights,
        auditor: Auditor,
        handover: Handover,
        clock: Clock,
    ) -> None:
        self._store = store
        self._integrity = integrity
        self._directory = directory
        self._accounts = accounts
        self._sessions = sessions
        self._members = members
        self._rights = rights
        self._auditor = auditor
        self._handover = handover
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()

    # --- users --------------------------------------------------------------------------------------------------------

    async def users(self, signed: Signed) -> list[User]:
        """Every account, by login; logged.

        Raises:
            ForbiddenError: not an administrator; the try is logged.
        """
        await self._rights.without_inbox(signed, AccessAction.MANAGE_USERS)
        await self._log(signed, "all")
        rows = [await self._integrity.check(user) for user in await self._store.users()]
        return sorted(rows, key=lambda user: user.login)

    async def account(self, signed: Signed, user: UserId) -> Account:
        """One account; logged. Raises NotFoundError, and ForbiddenError as `users`."""
        await self._rights.without_inbox(signed, AccessAction.MANAGE_USERS)
        found = await self._account(user)
        await self._log(signed, str(user))
        return found

    async def act(self, signed: Signed, user: UserId, act: UserAct, *, key: str) -> tuple[Account, Account]:
        """Do `act`; gives the account before and after. A second press with the same `key` is the first.

        A new secret lies ready under `key` (`Handover.show`); it can be used after 24 hours, and ends all sessions.

        Raises:
            ForbiddenError: not an administrator, or the own account.
            NotFoundError: no such user.
        """
        await self._rights.without_inbox(signed, AccessAction.MANAGE_USERS)
        if user == signed.user.id:
            raise ForbiddenError(
                "nobody administers one's own account",
                swedish="Du kan inte ändra ditt eget konto här.",
                next_step="Be en annan administratör.",
            )
        async with self._one_at_a_time:
            before = await self._account(user)
            if before.possible(act) and not self._handover.has(signed, key):
                await self._do(signed, before.user, act, key)
            return before, await self._account(user)

    async def _do(self, signed: Signed, user: User, act: UserAct, key: str) -> None:
        match act:
            case UserAct.DISABLE:
                await self._accounts.disable(user.id, by=signed.user)
            case UserAct.ENABLE:
                await self._accounts.enable(user.id, by=signed.user)
            case UserAct.UNLOCK:
                await self._accounts.unlock(user.id, by=signed.user)
            case UserAct.END_SESSIONS:
                await self._sessions.end_all(user, by=signed.user)
            case UserAct.NEW_PASSWORD | UserAct.NEW_TOTP:
                await self._replace(signed, user, act, key)

    async def _replace(self, signed: Signed, user: User, act: UserAct, key: str) -> None:
        password, seed = "", b""
        if act is UserAct.NEW_PASSWORD:
            password = new_password()
            await self._accounts.replace_password(user.id, password, by=signed.user)
        else:
            seed = await self._accounts.replace_totp(user.id, by=signed.user)
        usable = Instant(self._clock.now() + REPLACED_WAITS)
        self._handover.keep(signed, key, [Secret(user.login, user.title, password, seed, usable)])

    async def _account(self, user: UserId) -> Account:
        row = await self._store.get(User, user)
        if row is None:
            raise UnknownEntryError(
                "no such user", swedish="Användaren finns inte.", next_step="Gå till listan över användare."
            )
        found = await self._integrity.check(row)
        directory = await self._directory.current()
        counters = await self._store.get_many(AttemptCounter, [(str(user), kind) for kind in METHODS])
        factors = await self._store.get_many(Factor, [(user, kind) for kind in METHODS])
        waits = max((row.next_at for row in counters), default=Instant(0))
        memberships = [
            (directory.inbox(row.inbox), row)
            for row in await self._store.memberships_of(user)
            if row.state is not MembershipState.REMOVED
        ]
        return Account(
            found,
            sorted(memberships, key=lambda pair: pair[0].name),
            len(await self._sessions.list(found)),
            max((row.failures for row in counters), default=0),
            waits if waits > self._clock.now() else None,
            {row.kind: row for row in factors},
        )

    # --- proposed members ---------------------------------------------------------------------------------------------

    async def proposed(self, signed: Signed) -> list[Proposed]:
        """Everybody who waits to be let in anywhere, longest first; logged. Raises ForbiddenError as `users`."""
        await self._rights.without_inbox(signed, AccessAction.MANAGE_USERS)
        await self._log(signed, "members")
        directory, users = await self._directory.current(), await self._by_id()
        found = []
        for inbox in directory.inboxes.values():
            rows = await self._members.members(inbox.id)
            present = [users[row.user] for row in rows if row.state is MembershipState.ACTIVE]
            able = sorted((user for user in present if user.state is UserState.ACTIVE), key=lambda user: user.title)
            found += [
                Proposed(inbox, users[row.user], row, able) for row in rows if row.state is MembershipState.PENDING
            ]
        return sorted(found, key=lambda one: one.membership.proposed_at)

    async def inboxes(self, signed: Signed) -> list[Inbox]:
        """Every inbox, by name. Raises ForbiddenError as `users`."""
        await self._rights.without_inbox(signed, AccessAction.MANAGE_USERS)
        return sorted((await self._directory.current()).inboxes.values(), key=lambda inbox: inbox.name)

    async def candidates(self, signed: Signed, inbox: InboxId) -> Candidates:
        """Who can be proposed for `inbox`. Raises NotFoundError, and ForbiddenError as `users`."""
        await self._rights.without_inbox(signed, AccessAction.MANAGE_USERS)
        found = await self._inbox(inbox)
        rows = await self._members.members(found.id)
        taken = {row.user for row in rows if row.state is not MembershipState.REMOVED}
        users = [
            user
            for user in (await self._by_id()).values()
            if user.administration == found.administration and user.id not in taken and user.state is UserState.ACTIVE
        ]
        begun = any(row.state is MembershipState.ACTIVE for row in rows)
        return Candidates(found, sorted(users, key=lambda user: user.title), begun)

    async def propose(
        self,
        signed: Signed,
        inbox: InboxId,
        user: UserId,
        role: MembershipRole,
        *,
        ceiling: PrivacyClass | None = None,
        risk_decision: str = "",
    ) -> Membership:
        """Propose a member. Who is proposed already stays so: a second press is the first.

        Args:
            ceiling, risk_decision: of a system (`Members.propose`).

        Raises:
            NotFoundError: no such inbox or user.
            InvalidRequestError: the user belongs to another authority, or the ceiling cannot be so.
            ConflictError: a member already, or the inbox has no members who could let anybody in.
        """
        candidates = await self.candidates(signed, inbox)
        row = await self._store.get(Membership, inbox, user)
        if row is not None and row.state is MembershipState.PENDING:
            return row
        if not candidates.begun:
            raise ConflictError(
                "the inbox has no members yet",
                swedish="Inkorgen har inga medlemmar än, så ingen kan släppa in någon.",
                next_step="Ange de två första medlemmarna i adressboksfilen och läs in den.",
            )
        return await self._members.propose(
            candidates.inbox, user, role, by=signed.user, ceiling=ceiling, risk_decision=risk_decision
        )

    async def withdraw(self, signed: Signed, inbox: InboxId, user: UserId) -> None:
        """Take a proposal back. Members are not touched; what is gone already is no error.

        Raises:
            NotFoundError: no such inbox.
        """
        await self._rights.without_inbox(signed, AccessAction.MANAGE_USERS)
        found = await self._inbox(inbox)
        row = await self._store.get(Membership, inbox, user)
        if row is not None and row.state is MembershipState.PENDING:
            await self._members.remove(found, user, by=signed.user)

    async def _inbox(self, inbox: InboxId) -> Inbox:
        found = (await self._directory.current()).inboxes.get(inbox)
        if found is None:
            raise UnknownEntryError(
                "no such inbox", swedish="Inkorgen finns inte i adressboken.", next_step="Välj en inkorg i listan."
            )
        return found

    async def _by_id(self) -> dict[UserId, User]:
        return {user.id: await self._integrity.check(user) for user in await self._store.users()}

    async def _log(self, signed: Signed, target: str) -> None:
        entry = await self._auditor.entry(
            AuditAction.USERS_READ,
            administration=GATEWAY,
            actor=signed.user,
            role=signed.role,
            object=target,
            case=None,
            outcome="permit",
        )
        await self._store.commit(Work(entries=(entry,)))
