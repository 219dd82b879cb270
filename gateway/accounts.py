"""Accounts: make a user with both factors, replace a factor, disable, unlock.

Why this exists: whoever may set a factor may become its user. So each of these acts is logged with its actor, a factor
that an administrator replaced waits 24 hours and ends the user's sessions (security-decisions H10 (ii)), and an account
never gives membership: that takes a present member (`gateway.members`).

Who may do these acts is asked by the caller (`gateway.rights`); here stands what they do.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from gateway.alarms import Alarms
from gateway.audit import AuditAction, Auditor
from gateway.errors import ForbiddenError, NotFoundError
from gateway.factors import Attempts, Factors, check_new_password, new_seed
from gateway.identity import METHODS, PasswordLane, normal_login
from gateway.integrity import Integrity
from gateway.model.base import Instant, UserId
from gateway.model.identity import Factor, FactorKind, User, UserState
from gateway.ports import Change, Clock, Insert, Store, Update, Work
from gateway.sessions import Sessions


@dataclass(frozen=True, slots=True)
class NewUser:
    """The signed row, the changes to commit, and the TOTP seed: show it once (`totp_uri`), keep it nowhere."""

    user: User
    changes: tuple[Change, ...]
    seed: bytes


class Accounts:
    """Acts on users and their factors."""

    def __init__(
        self,
        store: Store,
        integrity: Integrity,
        factors: Factors,
        sessions: Sessions,
        lane: PasswordLane,
        auditor: Auditor,
        clock: Clock,
    ) -> None:
        self._store = store
        self._integrity = integrity
        self._factors = factors
        self._sessions = sessions
        self._lane = lane
        self._auditor = auditor
        self._clock = clock
        self._alarms = Alarms(store, integrity, auditor, clock)
        self._attempts = Attempts(store, clock)

    async def create(self, user: User, password: str, *, at: Instant) -> NewUser:
        """A new user with password and TOTP, as changes for the caller's Work (with keys and log entry).

        Raises:
            InvalidRequestError: the password is too easy to guess.
        """
        user = dataclasses.replace(user, login=normal_login(user.login))
        check_new_password(password, user.login)
        seed = new_seed()
        signed = await self._integrity.sign(user)
        async with self._lane.room():
            phc = await self._lane.hash(password)
        rows = (
            signed,
            await self._factors.password(user.id, user.administration, phc, at=at),
            await self._factors.totp(user.id, user.administration, seed, at=at),
        )
        return NewUser(signed, tuple(Insert(row) for row in rows), seed)

    async def replace_totp(self, user: UserId, *, by: User) -> bytes:
        """A new TOTP seed set by an administrator: usable after 24 hours; ends all sessions of the user.

        Raises:
            ForbiddenError: on one's own account; another administrator does it.
        """
        seed = new_seed()
        before = await self._factor(user, FactorKind.TOTP)
        sealed = await self._factors.seal_seed(user, before.administration, seed)
        await self._replace(before, sealed, by=by)
        return seed

    async def replace_password(self, user: UserId, password: str, *, by: User) -> None:
        """A new password set by an administrator; else as `replace_totp`. Raises InvalidRequestError as `create`."""
        before = await self._factor(user, FactorKind.PASSWORD)
        check_new_password(password, (await self._user(user)).login)
        async with self._lane.room():
            phc = await self._lane.hash(password)
        await self._replace(before, phc, by=by)

    async def disable(self, user: UserId, *, by: User) -> User:
        """No more sign-in, and all sessions ended, in one transaction. Memberships stay and open nothing."""
        before = await self._user(user)
        after = await self._integrity.sign(
            dataclasses.replace(before, state=UserState.DISABLED, version=before.version + 1)
        )
        await self._act(AuditAction.USER_DISABLED, after, (Update(after),), by=by)
        return after

    async def enable(self, user: UserId, *, by: User) -> User:
        """Sign-in works again, with the factors and memberships that stand."""
        before = await self._user(user)
        after = await self._integrity.sign(
            dataclasses.replace(before, state=UserState.ACTIVE, version=before.version + 1)
        )
        await self._act(AuditAction.USER_ENABLED, after, (Update(after),), by=by, end_sessions=False)
        return after

    async def unlock(self, user: UserId, *, by: User) -> None:
        """Forget the row of failed tries, also after the hard stop. The user keeps both factors."""
        found = await self._user(user)
        await self._act(AuditAction.USER_UNLOCKED, found, (), by=by, end_sessions=False)
        await self._attempts.clear(str(user), METHODS)

    async def _replace(self, before: Factor, secret: bytes, *, by: User) -> None:
        if before.user == by.id:
            raise ForbiddenError(
                "one's own factor is not replaced by oneself",
                swedish="Du kan inte byta ut din egen inloggning här.",
                next_step="Be en annan administratör.",
            )
        after = await self._factors.replaced(before, secret, at=self._clock.now())
        await self._act(
            AuditAction.FACTOR_REPLACED, await self._user(before.user), (Update(after),), by=by, kind=before.kind
        )

    async def _act(
        self,
        action: AuditAction,
        user: User,
        changes: tuple[Change, ...],
        *,
        by: User,
        kind: str = "",
        end_sessions: bool = True,
    ) -> None:
        sessions = [row.id for row in await self._store.sessions_of(user.id)] if end_sessions else []
        entry = await self._auditor.entry(
            action,
            administration=user.administration,
            actor=by,
            role="+".join(by.roles),
            object=str(user.id),
            case=None,
            outcome="done",
            detail={"kind": kind} if kind else {},
        )
        ending = await self._sessions.ending(sessions)
        await self._store.commit(Work(changes=(*changes, *ending), entries=(entry,)))

    async def _user(self, user: UserId) -> User:
        found = await self._store.get(User, user)
        if found is None:
            raise NotFoundError("no such user", swedish="Användaren finns inte.")
        return await self._alarms.checked(found)

    async def _factor(self, user: UserId, kind: FactorKind) -> Factor:
        found = await self._store.get(Factor, user, kind)
        if found is None:
            raise NotFoundError("no such factor", swedish="Användaren har ingen sådan inloggning.")
        return await self._alarms.checked(found)
