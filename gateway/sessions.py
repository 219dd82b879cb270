"""Sessions: who is asking, and for how long.

Why this exists: every act begins with a token. Only SHA-256 of it is kept, the row carries a MAC, and both session and
user are read again at each use, so an ended session, a disabled user or a planted row is refused at once.

Rules: idle 15 minutes, absolute 8 hours (design.md §7). What a fresh second factor opens is in gateway/windows.py.
Drafts outlive sessions.
"""

from __future__ import annotations

import asyncio
import builtins
import dataclasses
import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

from gateway.alarms import Alarms
from gateway.audit import AuditAction, Auditor
from gateway.errors import (
    ConflictError,
    IntegrityError,
    NotFoundError,
    SessionEndedError,
    StoreUnavailableError,
)
from gateway.integrity import Integrity
from gateway.model.base import HOUR, MINUTE, Instant, SessionId
from gateway.model.identity import Session, SessionState, User, UserState
from gateway.ports import Change, Clock, Store, Update, Work

TOKEN_OCTETS: Final = 32  # 256 bit
TOUCH_EVERY: Final = MINUTE
TOUCH_WAITS_S: Final = 1.0
#: How a system signed in: nothing that people use takes such a session, and nothing that systems use takes another.
BY_KEY: Final = "private_key_jwt"
_WRITE_TRIES: Final = 16
_MOST_USED: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRules:
    """How long sessions and windows last, in microseconds, and how many openings one window covers.

    A system's session lasts `system` (at most 30 minutes, B1.4.2 §5) and is never renewed; `system_openings` is how
    many items it may open in an inbox in one such time, however many sessions it has.
    """

    idle: int = 15 * MINUTE
    absolute: int = 8 * HOUR
    window: int = 15 * MINUTE
    openings: int = 60
    system: int = 15 * MINUTE
    system_openings: int = 300

    def __post_init__(self) -> None:
        if not 5 * MINUTE <= self.window <= 30 * MINUTE:
            raise ValueError("a step-up window lasts 5 to 30 minutes")
        if not 0 < self.idle <= self.absolute <= 24 * HOUR or self.openings < 1:
            raise ValueError("session times must be positive, idle at most absolute, absolute at most 24 hours")
        if not 0 < self.system <= 30 * MINUTE or self.system_openings < 1:
            raise ValueError("a system's session lasts at most 30 minutes")


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed-in user and the session that says so; both as read and checked for this request."""

    user: User
    session: Session

    @property
    def role(self) -> str:
        """The user's functions, for the log."""
        return "+".join(self.user.roles)


def session_id(token: str) -> SessionId:
    """The id under which the session of `token` is kept; the token itself is kept nowhere."""
    return SessionId(hashlib.sha256(token.encode()).hexdigest())


def ended() -> SessionEndedError:
    """One answer for unknown, forged, ended and expired."""
    return SessionEndedError(
        "no active session",
        swedish="Du är inte inloggad längre.",
        next_step="Logga in igen. Dina utkast är kvar.",
    )


class Sessions:
    """Begin, check, end."""

    def __init__(
        self,
        store: Store,
        integrity: Integrity,
        auditor: Auditor,
        clock: Clock,
        rules: SessionRules | None = None,
    ) -> None:
        self._store = store
        self._integrity = integrity
        self._alarms = Alarms(store, integrity, auditor, clock)
        self._auditor = auditor
        self._clock = clock
        self._rules = rules or SessionRules()
        self._touching: set[SessionId] = set()
        self._used: dict[SessionId, Instant] = {}

    # --- the session -------------------------------------------------------------------------------------------------

    async def begun(self, user: User, *, method: str, at: Instant, scope: tuple[str, ...] = ()) -> tuple[str, Session]:
        """A fresh token and the session row to insert; nothing is stored here."""
        token = secrets.token_urlsafe(TOKEN_OCTETS)
        lasts = self._rules.system if method == BY_KEY else self._rules.absolute
        session = Session(
            administration=user.administration,
            id=session_id(token),
            user=user.id,
            method=method,
            started_at=at,
            seen_at=at,
            ends_at=Instant(at + lasts),
            scope=scope,
        )
        return token, await self._integrity.sign(session)

    async def authenticate(self, token: str, *, touch: bool = True) -> Signed:
        """Who holds `token` now. Without `touch` it is no use of the session: what a page asks by itself, without
        anybody at it, must not keep the session alive.

        Raises:
            SessionEndedError: unknown, forged, ended, idle for 15 minutes or older than 8 hours, or the user is
                disabled or was altered, or the token is a system's: one answer. Alterations raise an alarm in the log.
        """
        signed = await self._active(session_id(token), touch=touch)
        if signed.session.method == BY_KEY:
            raise ended()
        return signed

    async def authenticate_system(self, token: str) -> Signed:
        """Which system holds `token` now. It is not renewed by use (B1.4.2 §5).

        Raises:
            SessionEndedError: as `authenticate`, and when the token is a person's.
        """
        signed = await self._active(session_id(token), touch=False)
        if signed.session.method != BY_KEY or not signed.user.is_system:
            raise ended()
        return signed

    async def still_active(self, signed: Signed, *, touch: bool = True) -> Signed:
        """The same session, read again: for long downloads, and without `touch` for streams that nobody may be
        reading. Raises SessionEndedError as `authenticate` does."""
        return await self._active(signed.session.id, touch=touch)

    async def end(self, signed: Signed, session: SessionId | None = None) -> None:
        """Sign out, or end another session of one's own. Ending what is ended is no error.

        Raises:
            NotFoundError: no such session, or somebody else's: one answer.
        """
        if session is not None:
            other = await self._store.get(Session, session)
            if other is None or other.user != signed.user.id:
                raise NotFoundError("no such session", swedish="Inloggningen finns inte, eller är inte din.")
        await self._end(signed.user, [session or signed.session.id], actor=signed.user)

    async def end_all(self, user: User, *, by: User) -> int:
        """End every session of `user`; returns how many were active."""
        return await self._end(user, [row.id for row in await self._store.sessions_of(user.id)], actor=by)

    async def list(self, user: User) -> builtins.list[Session]:
        """The sessions of `user` that are active now, newest first."""
        now = self._clock.now()
        found = []
        for row in await self._store.sessions_of(user.id):
            try:
                session = await self._alarms.checked(row, actor=user)
            except IntegrityError:
                continue  # the alarm is raised; a planted row opens nothing and is not shown as a session
            if self._runs(session, now):
                found.append(session)
        return found

    async def _active(self, session_key: SessionId, *, touch: bool) -> Signed:
        session = await self._store.get(Session, session_key)
        user = await self._store.get(User, session.user) if session else None
        if session is None or user is None:
            raise ended()
        try:
            await self._alarms.checked(user)
            await self._alarms.checked(session, actor=user)
        except IntegrityError:
            raise ended() from None
        now = self._clock.now()
        if user.state is not UserState.ACTIVE or not self._runs(session, now):
            raise ended()
        if not touch:
            return Signed(user, session)
        self._note(session.id, now)
        return Signed(user, await self._touched(session, now))

    def used_lately(self) -> int:
        """How many sessions this process has met in the last 15 minutes: for operators only."""
        since = self._clock.now() - self._rules.idle
        self._used = {session: at for session, at in self._used.items() if at > since}
        return len(self._used)

    def _note(self, session: SessionId, now: Instant) -> None:
        if len(self._used) < _MOST_USED or session in self._used:
            self._used[session] = now

    def _runs(self, session: Session, now: Instant) -> bool:
        # Begun in the future: a clock was set back, and the session would live longer by as much (Q09).
        begun = now >= session.started_at - self._rules.idle
        return (
            session.state is SessionState.ACTIVE
            and begun
            and now < session.ends_at
            and now < session.seen_at + self._rules.idle
        )

    async def _touched(self, session: Session, now: Instant) -> Session:
        """Note the use, at most once a minute, so that reading does not write each time."""
        if now - session.seen_at < TOUCH_EVERY:
            return session
        if session.id in self._touching:
            return session
        touched = await self._integrity.sign(dataclasses.replace(session, seen_at=now, version=session.version + 1))
        self._touching.add(session.id)
        try:
            async with asyncio.timeout(TOUCH_WAITS_S):
                await self._store.commit(Work(changes=(Update(touched),)))
        except (ConflictError, StoreUnavailableError, TimeoutError):
            # Another request of the session touched it (an end is seen by the next read), or the writer is stuck:
            # then reading goes on, and the session at worst ends as if it had not been used.
            return session
        finally:
            self._touching.discard(session.id)
        return touched

    async def _end(self, user: User, sessions: builtins.list[SessionId], *, actor: User) -> int:
        for _ in range(_WRITE_TRIES):
            changes = await self.ending(sessions)
            if not changes:
                return 0
            entry = await self._auditor.entry(
                AuditAction.SESSION_ENDED,
                administration=user.administration,
                actor=actor,
                role="+".join(actor.roles),
                object=str(user.id),
                case=None,
                outcome="done",
                detail={"sessions": len(changes)},
            )
            try:
                await self._store.commit(Work(changes=changes, entries=(entry,)))
            except ConflictError:
                continue  # touched in this moment: read again
            return len(changes)
        raise ConflictError(
            "the sessions keep changing",
            swedish="Det gick inte att avsluta inloggningen just nu.",
            next_step="Försök igen. Inloggningen gäller fortfarande.",
        )

    async def ending(self, sessions: builtins.list[SessionId]) -> tuple[Change, ...]:
        """The changes that end those of `sessions` that are active; a row that does not verify is dead already."""
        changes: builtins.list[Change] = []
        for row in await self._store.get_many(Session, [(session,) for session in sessions]):
            if row.state is SessionState.ACTIVE:
                try:
                    session = await self._alarms.checked(row)
                except IntegrityError:
                    continue
                over = dataclasses.replace(session, state=SessionState.ENDED, version=session.version + 1)
                changes.append(Update(await self._integrity.sign(over)))
        return tuple(changes)
