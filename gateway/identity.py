"""Sign-in: password and TOTP, with the same work and the same answer for everybody.

Why this exists: a stranger learns from a sign-in page who works where, if known and unknown names differ in text, in
time or in delays. So an unknown login runs through the same checks on decoy rows: two MACs, one opened seed, one
Argon2id, one counter.

Rules:
- The attempt is counted first (`gateway.factors`); the TOTP step is burned before the password's result is told.
- Argon2id takes 19 MiB: two run at a time, 32 wait, the next is told to come back (security-decisions §3).
- What fails before sign-in is tallied, one log entry a minute, never what was typed (security-decisions H2).
- A row that does not verify is the same refusal outward, and an alarm in the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import unicodedata
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from gateway.alarms import Alarms
from gateway.audit import AuditAction, Auditor
from gateway.errors import (
    ConflictError,
    DecisionStaleError,
    IntegrityError,
    SignInError,
    TooManyAttemptsError,
)
from gateway.factors import FREE_FAILURES, Attempts, Factors, new_seed, normal_password, too_many
from gateway.integrity import Integrity
from gateway.measures import Counted
from gateway.model.base import GATEWAY, MINUTE, SECOND, Instant, UserId, fact
from gateway.model.identity import Factor, FactorKind, Session, User, UserState
from gateway.model.log import LogEntry
from gateway.ports import UNMEASURED, Clock, Insert, Metrics, Store, Update, Vault, Work
from gateway.sessions import Sessions

METHODS: Final = (FactorKind.PASSWORD, FactorKind.TOTP)
METHOD: Final = "+".join(METHODS)
MAX_LOGIN: Final = 128  # characters looked at
ARGON2_AT_A_TIME: Final = 2
ARGON2_WAITING: Final = 32
QUEUE_FULL_WAIT: Final = 2 * SECOND
TALLY_EVERY: Final = MINUTE
_MOST_SOURCES: Final = 64


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The bearer token, shown once and kept nowhere, and its session."""

    token: str
    session: Session


@dataclass(frozen=True, slots=True)
class _Candidate:
    """Whom the login may mean: a user's rows, or the decoy's; `real` only ever turns an answer into a refusal."""

    subject: str
    user: User
    password: Factor
    totp: Factor
    real: bool


def normal_login(login: str) -> str:
    """Logins are compared without case and in one Unicode spelling."""
    return unicodedata.normalize("NFC", login[: MAX_LOGIN + 1]).strip().casefold()


class PasswordLane:
    """Argon2id in threads: two at a time, a bounded queue, and a clear answer beyond it."""

    def __init__(self, vault: Vault, *, at_a_time: int = ARGON2_AT_A_TIME, waiting: int = ARGON2_WAITING) -> None:
        self._vault = vault
        self._slots = asyncio.Semaphore(at_a_time)
        self._room = at_a_time + waiting

    @contextlib.asynccontextmanager
    async def room(self) -> AsyncIterator[None]:
        """One place in the queue, given back however the work ends.

        Raises:
            TooManyAttemptsError: the queue is full; nothing was counted or hashed.
        """
        if self._room == 0:
            raise too_many(QUEUE_FULL_WAIT)
        self._room -= 1
        try:
            yield
        finally:
            self._room += 1

    async def check(self, password: str, phc: bytes) -> bool:
        """Whether `password` is the one behind `phc`; be in a `room` first."""
        async with self._slots:
            return await asyncio.to_thread(self._vault.check_password, normal_password(password), phc)

    async def hash(self, password: str) -> bytes:
        """The PHC string of a new password."""
        async with self._slots:
            return await asyncio.to_thread(self._vault.hash_password, normal_password(password))


class SignIn:
    """Turns a login, a password and a code into a session."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        integrity: Integrity,
        factors: Factors,
        sessions: Sessions,
        lane: PasswordLane,
        auditor: Auditor,
        clock: Clock,
        *,
        metrics: Metrics = UNMEASURED,
    ) -> None:
        self._store = store
        self._vault = vault
        self._metrics = metrics
        self._integrity = integrity
        self._factors = factors
        self._sessions = sessions
        self._lane = lane
        self._auditor = auditor
        self._clock = clock
        self._alarms = Alarms(store, integrity, auditor, clock)
        self._attempts = Attempts(store, clock)
        self._decoy: _Candidate | None = None
        self._tally: Counter[str] = Counter()
        self._sources: Counter[str] = Counter()
        self._locked: dict[UserId, User] = {}
        self._tallied_at: Instant | None = None

    async def sign_in(self, login: str, password: str, code: str, *, source: str = "") -> SignedIn:
        """Sign in with both factors at once.

        Args:
            source: the caller's address block (/32 or /64), for the tally of refusals only.

        Raises:
            SignInError: anything was wrong; one answer, the same work, for unknown and known.
            TooManyAttemptsError: a delay runs for this login, or too many passwords are being checked; wait.
        """
        try:
            async with self._lane.room():  # before counting: a full house is nobody's failure
                who = await self._candidate(normal_login(login))
                counters = await self._attempts.count(who.subject, who.user.administration, METHODS)
                return await self._judged(who, password, code, failures=max(row.failures for row in counters))
        except SignInError:
            await self.refused("wrong", source)
            raise
        except TooManyAttemptsError:
            await self.refused("delayed", source)
            raise

    # --- the checks --------------------------------------------------------------------------------------------------

    async def _candidate(self, login: str) -> _Candidate:
        decoy = await self._the_decoy()
        unknown = (await self._vault.fingerprint(GATEWAY, "unknown-login", login.encode())).hex()
        user = await self._store.user_by_login(login) if len(login) <= MAX_LOGIN else None
        owner = user.id if user else decoy.user.id
        rows = {row.kind: row for row in await self._store.get_many(Factor, [(owner, kind) for kind in METHODS])}
        if user is None or len(rows) != len(METHODS):
            # An account without both factors is as good as none here; its own counter still counts it.
            return dataclasses.replace(decoy, subject=str(user.id) if user else unknown)
        return _Candidate(str(user.id), user, rows[FactorKind.PASSWORD], rows[FactorKind.TOTP], real=True)

    async def _judged(self, who: _Candidate, password: str, code: str, *, failures: int) -> SignedIn:
        now = self._clock.now()
        sound = await self._sound(who)
        if sound and who.real and failures >= FREE_FAILURES:
            self._locked[who.user.id] = who.user  # told with the tally: an entry here would tell known from unknown
        right = await self._lane.check(password, who.password.secret)
        burned = await self._burned(who, code, now) if sound else None
        usable = (
            who.real
            and who.user.state is UserState.ACTIVE
            and who.password.usable_from <= now
            and who.totp.usable_from <= now
        )
        if burned is None or not usable:
            raise _refusal()
        if not right:
            await self._commit(Work(changes=(Update(burned),)))
            raise _refusal()
        return await self._begin(who, burned, now)

    async def _sound(self, who: _Candidate) -> bool:
        """Whether all rows verify; each that does not is an alarm, and none of them ends the work early."""
        sound = True
        for row in (who.user, who.password, who.totp):
            try:
                await self._alarms.checked(row)
            except IntegrityError:
                sound = False
        return sound

    async def _burned(self, who: _Candidate, code: str, now: Instant) -> Factor | None:
        try:
            return await self._factors.burned(who.totp, code, at=now)
        except IntegrityError:
            await self._alarms.altered(who.totp)
            return None

    async def _begin(self, who: _Candidate, burned: Factor, now: Instant) -> SignedIn:
        token, session = await self._sessions.begun(who.user, method=METHOD, at=now)
        entry = await self._auditor.entry(
            AuditAction.SIGNED_IN,
            administration=who.user.administration,
            actor=who.user,
            role="+".join(who.user.roles),
            object=str(who.user.id),
            case=None,
            outcome="permit",
            detail={"method": METHOD},
        )
        facts = (fact(who.user), fact(who.password))  # disabled or replaced in this moment: no session
        await self._commit(Work(expects=facts, changes=(Update(burned), Insert(session)), entries=(entry,)))
        await self._attempts.clear(who.subject, METHODS)
        self._locked.pop(who.user.id, None)
        self._metrics.count(Counted.SIGN_INS, "accepted")
        return SignedIn(token, session)

    async def _commit(self, work: Work) -> None:
        """Burn the step with the rest of `work`: of two tries with one code, one commits."""
        try:
            await self._store.commit(work)
        except (ConflictError, DecisionStaleError):
            raise _refusal() from None

    async def _the_decoy(self) -> _Candidate:
        """Rows as sound as a user's, of nobody: no login leads to them, and what they prove is refused."""
        if self._decoy is None:
            now = self._clock.now()
            user = await self._integrity.sign(
                User(administration=GATEWAY, id=UserId("decoy"), login="", title="", roles=())
            )
            phc = await self._lane.hash(new_seed().hex())
            password = await self._factors.password(user.id, GATEWAY, phc, at=now)
            totp = await self._factors.totp(user.id, GATEWAY, new_seed(), at=now)
            self._decoy = _Candidate("", user, password, totp, real=False)
        return self._decoy

    # --- what is told of refusals ------------------------------------------------------------------------------------

    async def refused(self, kind: str, source: str) -> None:
        """Count a refusal towards the next entry; `source` is the caller's address block."""
        self._tally[kind] += 1
        self._metrics.count(Counted.SIGN_INS, kind)
        if source and (source in self._sources or len(self._sources) < _MOST_SOURCES):
            self._sources[source] += 1
        now = self._clock.now()
        if self._tallied_at is None or now - self._tallied_at >= TALLY_EVERY:
            self._tallied_at = now
            await self.tell_refusals()

    async def tell_refusals(self) -> None:
        """Write the refusals since the last time as one entry, and one alarm per account that met a delay.

        Sign-in does this itself, at most once a minute; a worker calls it each minute and at the end.
        """
        tally, sources, locked = self._tally, self._sources, self._locked
        if not tally and not locked:
            return
        self._tally, self._sources, self._locked = Counter(), Counter(), {}
        try:
            await self._store.commit(Work(entries=await self._told(tally, sources, locked)))
        except BaseException:
            self._tally += tally
            self._sources += sources
            self._locked = locked | self._locked
            raise

    async def _told(
        self, tally: Counter[str], sources: Counter[str], locked: dict[UserId, User]
    ) -> tuple[LogEntry, ...]:
        entries = []
        if tally:
            entries.append(
                await self._auditor.entry(
                    AuditAction.SIGN_IN_FAILED,
                    administration=GATEWAY,
                    actor=None,
                    role="",
                    object="",
                    case=None,
                    outcome="deny",
                    detail={**tally, "sources": dict(sources)},
                )
            )
        for user in locked.values():
            entries.append(
                await self._auditor.entry(
                    AuditAction.ALARM,
                    administration=user.administration,
                    actor=None,
                    role="",
                    object=str(user.id),
                    case=None,
                    outcome="sign-in-delayed",
                )
            )
        return tuple(entries)


def _refusal() -> SignInError:
    return SignInError(
        "sign-in failed",
        swedish="Inloggningen lyckades inte.",
        next_step="Kontrollera användarnamn och lösenord, vänta på en ny kod i appen och försök igen.",
    )
