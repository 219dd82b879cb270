"""Windows: whether a fresh second factor opened this inbox in this session, and what one code permits.

Why this exists: a session that is left open must not read an inbox. A window belongs to one session and one inbox,
lasts 15 minutes and covers a limited number of openings; the factor used at sign-in opens the first window, for the
first inbox only (design.md §7; security-decisions H10 (vi)). A system has no code: its openings are paced instead.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from gateway.alarms import Alarms
from gateway.audit import AuditAction, Auditor
from gateway.errors import ConflictError, IntegrityError, SignInError, StepUpRequiredError, TooManyAttemptsError
from gateway.factors import Attempts, Factors, too_many
from gateway.integrity import Integrity
from gateway.measures import Counted
from gateway.model.base import DAY, Fact, InboxId, Instant, SessionId, fact
from gateway.model.directory import Inbox
from gateway.model.identity import Factor, FactorKind, StepUpWindow
from gateway.model.log import LogEntry
from gateway.ports import UNMEASURED, Change, Clock, Insert, Metrics, Store, Update, Work
from gateway.sessions import BY_KEY, SessionRules, Signed
from gateway.sweeping import SWEPT_AT_ONCE, remove

#: The window row that says "the factor used at sign-in has opened its inbox": no inbox has an empty id.
SIGN_IN_FACTOR: Final = InboxId("")


class Windows:
    """Open them with a code, count openings in them, and burn a code for one act."""

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
        self._metrics = metrics

    async def open(self, signed: Signed, inbox: Inbox, code: str) -> StepUpWindow:
        """Use a TOTP code to open a window of 15 minutes for `inbox` in this session. Check membership first.

        Raises:
            SignInError: the code is wrong or was used before; it counts against the account.
            TooManyAttemptsError: wait; nothing was looked at.
        """
        made: list[StepUpWindow] = []

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

    async def current(self, signed: Signed, inbox: Inbox) -> StepUpWindow | None:
        """The window that would be used now, or None; for pages that say whether a code will be asked for."""
        now = self._clock.now()
        row = await self._store.get(StepUpWindow, signed.session.id, inbox.id)
        if row is None:
            return None
        window = await self._alarms.checked(row, actor=signed.user)
        return window if _covers(window, now) else None

    async def use(
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

    async def sweep(self) -> int:
        """Remove windows that ended over a day ago; returns how many. An ended window opens nothing: nobody waits."""
        before = Instant(self._clock.now() - DAY)
        return await remove(self._store, await self._store.lapsed_windows(before=before, limit=SWEPT_AT_ONCE))

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
