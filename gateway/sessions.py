"""Sessions: who is asking, for how long, and whether a fresh second factor opened this inbox.

Why this exists: every act begins with a token. Only SHA-256 of it is kept, the row carries a MAC, and both session and
user are read again at each use, so an ended session, a disabled user or a planted row is refused at once.

Rules: idle 15 minutes, absolute 8 hours. A step-up window belongs to one session and one inbox, lasts 15 minutes and
covers a limited number of openings; the factor used at sign-in opens the first window, for the first inbox only
(design.md §7; security-decisions H10 (vi)). Drafts outlive sessions.
"""

from __future__ import annotations

import asyncio
import builtins
import dataclasses
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.alarms import Alarms
from gateway.audit import AuditAction, Auditor
from gateway.errors import (
    ConflictError,
    IntegrityError,
    NotFoundError,
    SessionEndedError,
    SignInError,
    StepUpRequiredError,
    StoreUnavailableError,
    TooManyAttemptsError,
)
from gateway.factors import Attempts, Factors, too_many
from gateway.integrity import Integrity
from gateway.measures import Counted
from gateway.model.base import HOUR, MINUTE, Fact, InboxId, Instant, SessionId, fact
from gateway.model.directory import Inbox
from gateway.model.identity import Factor, FactorKind, Session, SessionState, StepUpWindow, User, UserState
from gateway.model.log import LogEntry
from gateway.ports import UNMEASURED, Change, Clock, Insert, Metrics, Store, Update, Work

TOKEN_OCTETS: Final = 32  # 256 bit
TOUCH_EVERY: Final = MINUTE
TOUCH_WAITS_S: Final = 1.0
#: The window row that says "the factor used at sign-in has opened its inbox": no inbox has an empty id.
SIGN_IN_FACTOR: Final = InboxId("")
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
    """Begin, check, end; and the windows of a second factor."""

    def __init__(
        self,
        store: Store,
        integrity: Integrity,
        factors: Factors,
        auditor: Auditor,
        clock: Clock,
        rules: SessionRules | None = None,
        *,
        metrics: Metrics = UNMEASURED,
    ) -> None:
        self._store = store
        self._integrity = integrity
        self._factors = factors
        self._attempts = Attempts(store, clock)
        self._alarms = Alarms(store, integrity, auditor, clock)
        self._auditor = auditor
        self._clock = clock
        self._rules = rules or SessionRules()
        self._touching: set[SessionId] = set()
        self._metrics = metrics
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

    # --- the second factor, for one inbox ----------------------------------------------------------------------------

    async def step_up(self, signed: Signed, inbox: Inbox, code: str) -> StepUpWindow:
        """Use a TOTP code to open a window of 15 minutes for `inbox` in this session. Check membership first.

        Raises:
            SignInError: the code is wrong or was used before; it counts against the account.
            TooManyAttemptsError: wait; nothing was looked at.
        """
        made: builtins.list[StepUpWindow] = []

        async def renewed(now: Instant) -> Sequence[Change]:
            window = await self._renewed(signed, inbox, now)
            made.append(window)
            return (_put(window),)

        await self.with_code(
            signed, code, renewed, lambda action, outcome: self._entry(action, signed, inbox, outcome=outcome)
        )
        return made[0]

    async def with_code(
        self,
        signed: Signed,
        code: str,
        permitted: Callable[[Instant], Awaitable[Sequence[Change]]],
        entry: Callable[[AuditAction, str], Awaitable[LogEntry]],
    ) -> Instant:
        """Burn a TOTP code and commit, in the same transaction, what it permits and its entry; gives the moment.

        Raises:
            SignInError: the code is wrong or was used before; it counts against the account.
            TooManyAttemptsError: wait; nothing was looked at.
        """
        outcome = "wrong"
        try:
            now = await self._burned(signed, code, permitted, entry)
            outcome = "accepted"
        except TooManyAttemptsError:
            outcome = "delayed"
            raise
        finally:
            self._metrics.count(Counted.STEP_UPS, outcome)
        return now

    async def _burned(
        self,
        signed: Signed,
        code: str,
        permitted: Callable[[Instant], Awaitable[Sequence[Change]]],
        entry: Callable[[AuditAction, str], Awaitable[LogEntry]],
    ) -> Instant:
        """The code's own part of `with_code`: counted before it is judged, burned with what it permits."""
        subject, administration = str(signed.user.id), signed.user.administration
        await self._attempts.count(subject, administration, (FactorKind.TOTP,))
        now = self._clock.now()
        factor = await self._usable_totp(signed, now)
        burned = await self._factors.burned(factor, code, at=now) if factor else None
        if burned is None:
            refused = await entry(AuditAction.STEP_UP_FAILED, "deny")
            await self._store.commit(Work(entries=(refused,)))
            raise _wrong_code()
        changes = (Update(burned), *await permitted(now))
        done = await entry(AuditAction.STEPPED_UP, "permit")
        try:
            await self._store.commit(Work(expects=_facts(signed), changes=changes, entries=(done,)))
        except ConflictError:
            raise _wrong_code() from None  # the same code was used in this moment; it opens one thing
        await self._attempts.clear(subject, (FactorKind.TOTP,))
        return now

    async def window(self, signed: Signed, inbox: Inbox) -> StepUpWindow | None:
        """The window that would be used now, or None; for pages that say whether a code will be asked for."""
        now = self._clock.now()
        row = await self._store.get(StepUpWindow, signed.session.id, inbox.id)
        if row is None:
            return None
        window = await self._alarms.checked(row, actor=signed.user)
        return window if _covers(window, now) else None

    async def use_window(
        self, signed: Signed, inbox: Inbox, *, at: Instant, last_read: Instant | None = None
    ) -> tuple[Change, ...]:
        """The changes that count one opening in `inbox`; commit them with the opening, in the same Work.

        What this member read at `last_read`, inside the same window, is not counted again: the limit is there for
        many different items, and a weekly meeting goes back and forth between its thirty.

        A conflict at that commit means that another opening of this session was counted first: read again, retry.

        Raises:
            StepUpRequiredError: no window, it ended, or it is used up; then an alarm about bulk opening was raised.
            IntegrityError: the window row was altered; an alarm was raised.
            TooManyAttemptsError: a system opens more than its pace allows; an alarm was raised, nothing was opened.
        """
        if signed.user.is_system:
            return await self._paced(signed, inbox, at, last_read)
        row = await self._store.get(StepUpWindow, signed.session.id, inbox.id)
        if row is None:
            return await self._first(signed, inbox, at)
        window = await self._alarms.checked(row, actor=signed.user)
        if not _covers(window, at):
            raise _step_up()
        if last_read is not None and window.opened_at <= last_read:
            return ()
        if window.openings >= self._rules.openings:
            await self._bulk(signed, inbox, window, limit=self._rules.openings)
            raise _step_up()
        counted = dataclasses.replace(window, openings=window.openings + 1, version=window.version + 1)
        return (Update(await self._integrity.sign(counted)),)

    async def _first(self, signed: Signed, inbox: Inbox, at: Instant) -> tuple[Change, ...]:
        """The factor used at sign-in opens one inbox; the marker's key lets only one commit win."""
        session = signed.session
        ends_at = Instant(session.started_at + self._rules.window)
        spent = await self._store.get(StepUpWindow, session.id, SIGN_IN_FACTOR)
        if spent is not None or not at < ends_at or FactorKind.TOTP not in session.method.split("+"):
            raise _step_up()
        opened = StepUpWindow(
            administration=session.administration,
            session=session.id,
            inbox=inbox.id,
            user=session.user,
            opened_at=session.started_at,
            ends_at=ends_at,
            openings=1,
        )
        marker = dataclasses.replace(opened, inbox=SIGN_IN_FACTOR)
        return (Insert(await self._integrity.sign(marker)), Insert(await self._integrity.sign(opened)))

    async def _paced(self, signed: Signed, inbox: Inbox, at: Instant, last_read: Instant | None) -> tuple[Change, ...]:
        """A system's openings are counted for it and not for a session, or new tokens would be new room."""
        counter = SessionId(f"{BY_KEY}:{signed.user.id}")
        row = await self._store.get(StepUpWindow, counter, inbox.id)
        before = await self._alarms.checked(row, actor=signed.user) if row else None
        if before is None or not _covers(before, at):
            begun = StepUpWindow(
                administration=signed.session.administration,
                session=counter,
                inbox=inbox.id,
                user=signed.user.id,
                opened_at=at,
                ends_at=Instant(at + self._rules.system),
                openings=1,
                version=before.version + 1 if before else 1,
            )
            return (_put(await self._integrity.sign(begun)),)
        if last_read is not None and before.opened_at <= last_read:
            return ()
        if before.openings >= self._rules.system_openings:
            await self._bulk(signed, inbox, before, limit=self._rules.system_openings)
            raise too_many(before.ends_at - at)
        counted = dataclasses.replace(before, openings=before.openings + 1, version=before.version + 1)
        return (Update(await self._integrity.sign(counted)),)

    async def _renewed(self, signed: Signed, inbox: Inbox, now: Instant) -> StepUpWindow:
        before = await self._store.get(StepUpWindow, signed.session.id, inbox.id)
        if before is not None:
            await self._alarms.checked(before, actor=signed.user)
        return await self._integrity.sign(
            StepUpWindow(
                administration=signed.session.administration,
                session=signed.session.id,
                inbox=inbox.id,
                user=signed.user.id,
                opened_at=now,
                ends_at=Instant(now + self._rules.window),
                version=before.version + 1 if before else 1,
            )
        )

    async def _usable_totp(self, signed: Signed, now: Instant) -> Factor | None:
        row = await self._store.get(Factor, signed.user.id, FactorKind.TOTP)
        if row is None:
            return None
        try:
            factor = await self._alarms.checked(row, actor=signed.user)
        except IntegrityError:
            return None
        return factor if factor.usable_from <= now else None

    async def _bulk(self, signed: Signed, inbox: Inbox, window: StepUpWindow, *, limit: int) -> None:
        """Raise the alarm once for a window: the count goes one past the limit with it."""
        if window.openings > limit:
            return
        past = dataclasses.replace(window, openings=window.openings + 1, version=window.version + 1)
        entry = await self._entry(AuditAction.ALARM, signed, inbox, outcome="bulk-opening")
        try:
            await self._store.commit(Work(changes=(Update(await self._integrity.sign(past)),), entries=(entry,)))
        except ConflictError:
            return  # the other request raised it

    async def _entry(self, action: AuditAction, signed: Signed, inbox: Inbox, *, outcome: str) -> LogEntry:
        return await self._auditor.entry(
            action,
            administration=inbox.administration,
            actor=signed.user,
            role=signed.role,
            object=str(inbox.id),
            case=None,
            outcome=outcome,
        )


def _put(window: StepUpWindow) -> Change:
    return Insert(window) if window.version == 1 else Update(window)


def _covers(window: StepUpWindow, now: Instant) -> bool:
    return window.opened_at <= now < window.ends_at


def _facts(signed: Signed) -> tuple[Fact, ...]:
    """The user as read. Not the session: a touch by a parallel request must not cost a code."""
    return (fact(signed.user),)


def _wrong_code() -> SignInError:
    return SignInError(
        "the code was not accepted",
        swedish="Koden stämde inte eller har redan använts.",
        next_step="Vänta på nästa kod i appen och försök igen.",
    )


def _step_up() -> StepUpRequiredError:
    return StepUpRequiredError(
        "a fresh second factor is needed for this inbox",
        swedish="För att öppna meddelanden i den här inkorgen behövs en ny kod.",
        next_step="Ange koden från din app. Den gäller sedan i den här inkorgen en stund.",
    )
