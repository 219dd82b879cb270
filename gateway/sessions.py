"""Sessions and step-up windows: who is here now, and how fresh their second factor is.

Why this exists: a token is a promise for eight hours, but reading about a person needs a factor that was used lately.
One step-up covers opening in *that inbox* for 15 minutes, so that a weekly meeting of thirty items is possible; the
factor of the sign-in opens the first window. Sessions can be listed and ended; a forged row is refused by its MAC.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Final

from gateway.audit import AuditAction, Auditor
from gateway.errors import ConflictError, SessionEndedError, SignInError, StepUpRequiredError
from gateway.identity import Totp, session_id
from gateway.integrity import Integrity
from gateway.model.base import MINUTE, Instant, SessionId
from gateway.model.directory import Inbox
from gateway.model.identity import (
    Factor,
    FactorKind,
    Session,
    SessionState,
    StepUpWindow,
    User,
    UserState,
)
from gateway.ports import Change, Clock, Insert, Store, Update, Work

IDLE: Final = 15 * MINUTE
TOUCH: Final = MINUTE
WINDOW: Final = 15 * MINUTE
MAX_OPENINGS: Final = 60


@dataclass(frozen=True, slots=True)
class Signed:
    """A user with an active session."""

    user: User
    session: Session


class Sessions:
    """Authenticate tokens; open and use step-up windows; list and end sessions."""

    def __init__(
        self,
        store: Store,
        integrity: Integrity,
        totp: Totp,
        auditor: Auditor,
        clock: Clock,
        *,
        window: int = WINDOW,
    ) -> None:
        self._store = store
        self._integrity = integrity
        self._totp = totp
        self._auditor = auditor
        self._clock = clock
        self._window = window

    async def authenticate(self, token: str) -> Signed:
        """The user behind a bearer token.

        Raises:
            SessionEndedError: unknown, ended, idle for 15 minutes, older than 8 hours, or the user was disabled.
            IntegrityError: session or user row was changed past the gateway.
        """
        session = await self._store.get(Session, session_id(token))
        if session is None:
            raise _ended()
        return await self._active(session)

    async def still_active(self, signed: Signed) -> Signed:
        """The same session, read again (long downloads ask for each MiB)."""
        session = await self._store.get(Session, signed.session.id)
        if session is None:
            raise _ended()
        return await self._active(session)

    async def _active(self, session: Session) -> Signed:
        now = self._clock.now()
        await self._integrity.check(session)
        user = await self._store.get(User, session.user)
        if user is None:
            raise _ended()
        await self._integrity.check(user)
        alive = session.state is SessionState.ACTIVE and now < session.ends_at and now < session.seen_at + IDLE
        if not alive or user.state is not UserState.ACTIVE:
            raise _ended()
        if now >= session.seen_at + TOUCH:
            session = await self._touched(session, now)
        return Signed(user, session)

    async def _touched(self, session: Session, now: Instant) -> Session:
        touched = await self._integrity.sign(dataclasses.replace(session, seen_at=now, version=session.version + 1))
        try:
            await self._store.commit(Work(changes=(Update(touched),)))
        except ConflictError:
            return session  # a parallel request touched it
        return touched

    async def end(self, signed: Signed, session: SessionId | None = None) -> None:
        """End the own session, or another of the same user."""
        found = await self._store.get(Session, session or signed.session.id)
        if found is None or found.user != signed.user.id or found.state is SessionState.ENDED:
            return
        ended = await self._integrity.sign(
            dataclasses.replace(found, state=SessionState.ENDED, version=found.version + 1)
        )
        entry = await self._auditor.entry(
            AuditAction.SESSION_ENDED,
            administration=signed.user.administration,
            actor=signed.user,
            role="+".join(signed.user.roles),
            object=str(signed.user.id),
            case=None,
            outcome="ended",
        )
        await self._store.commit(Work(changes=(Update(ended),), entries=(entry,)))

    async def list(self, signed: Signed) -> list[Session]:
        """The user's own sessions that are active, newest first."""
        found = await self._store.sessions_of(signed.user.id)
        now = self._clock.now()
        return [s for s in found if s.state is SessionState.ACTIVE and now < s.ends_at]

    async def step_up(self, signed: Signed, inbox: Inbox, code: str) -> StepUpWindow:
        """Open a window in one inbox with a fresh code.

        Raises:
            SignInError: the code is wrong, old, or was used before.
        """
        factor = await self._store.get(Factor, signed.user.id, FactorKind.TOTP)
        holds = False
        if factor is not None and factor.usable_from <= self._clock.now():
            holds = await self._totp.burn(await self._integrity.check(factor), code)
        action = AuditAction.STEPPED_UP if holds else AuditAction.STEP_UP_FAILED
        entry = await self._auditor.entry(
            action,
            administration=signed.user.administration,
            actor=signed.user,
            role="+".join(signed.user.roles),
            object=str(inbox.id),
            case=None,
            outcome="permit" if holds else "deny",
        )
        if not holds:
            await self._store.commit(Work(entries=(entry,)))
            raise SignInError(
                "the code does not hold",
                swedish="Koden gäller inte.",
                next_step="Vänta på nästa kod i appen. En kod kan bara användas en gång.",
            )
        now = self._clock.now()
        window, change = await self._opened(signed, inbox, now, Instant(now + self._window))
        await self._store.commit(Work(changes=(change,), entries=(entry,)))
        return window

    async def use_window(self, signed: Signed, inbox: Inbox, *, at: Instant) -> list[Change]:
        """Count one opening in the inbox's window: the change belongs into the opening's own transaction.

        Raises:
            StepUpRequiredError: no window, an old one, or one that is used up (bulk reading).
        """
        window = await self._store.get(StepUpWindow, signed.session.id, inbox.id)
        if window is None:
            if at < signed.session.started_at + self._window and not await self._any_window(signed):
                ends = Instant(signed.session.started_at + self._window)
                _, change = await self._opened(signed, inbox, at, ends, openings=1)
                return [change]
            raise _step_up()
        await self._integrity.check(window)
        if window.user != signed.user.id or at >= window.ends_at or window.openings >= MAX_OPENINGS:
            raise _step_up()
        used = dataclasses.replace(window, openings=window.openings + 1, version=window.version + 1)
        return [Update(await self._integrity.sign(used))]

    async def _any_window(self, signed: Signed) -> bool:
        """Whether the sign-in's factor has been spent on a first window already."""
        for membership in await self._store.memberships_of(signed.user.id):
            if await self._store.get(StepUpWindow, signed.session.id, membership.inbox) is not None:
                return True
        return False

    async def _opened(
        self, signed: Signed, inbox: Inbox, now: Instant, ends: Instant, *, openings: int = 0
    ) -> tuple[StepUpWindow, Change]:
        before = await self._store.get(StepUpWindow, signed.session.id, inbox.id)
        window = await self._integrity.sign(
            StepUpWindow(
                administration=signed.user.administration,
                session=signed.session.id,
                inbox=inbox.id,
                user=signed.user.id,
                opened_at=now,
                ends_at=ends,
                openings=openings,
                version=before.version + 1 if before else 1,
            )
        )
        return window, Update(window) if before else Insert(window)


def _ended() -> SessionEndedError:
    return SessionEndedError(
        "the session has ended",
        swedish="Du har loggats ut.",
        next_step="Logga in igen. Dina utkast är kvar.",
    )


def _step_up() -> StepUpRequiredError:
    return StepUpRequiredError(
        "a fresh second factor is needed for this inbox",
        swedish="För att öppna i den här inkorgen behövs en ny kod.",
        next_step="Ange en kod från din app. Den gäller i 15 minuter för den här inkorgen.",
    )
