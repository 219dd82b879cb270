"""Sign-in: two factors always, one answer for every failure, and a code that is burned before anything else is told.

Why this exists: a stolen password must not be enough, a code must not work twice, and nobody may learn from the
answer whether an account exists. So unknown and known logins cost the same work, the TOTP step is raised by
compare-and-set before the password's result is known to the caller, and failures slow down by account and method.

Sources: RFC 6238 §5.2 (a code is accepted once), RFC 9106 (Argon2id), NIST SP 800-63B §5.2.2 (100 consecutive failures).
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import secrets
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NoReturn, ParamSpec, TypeVar

import pyotp

from gateway.audit import AuditAction, Auditor
from gateway.errors import ConflictError, IntegrityError, InvalidRequestError, SignInError, TooManyAttemptsError
from gateway.integrity import Integrity
from gateway.model.base import DAY, GATEWAY, HOUR, MINUTE, Instant, SessionId, UserId
from gateway.model.identity import AttemptCounter, Factor, FactorKind, Session, User, UserState
from gateway.model.log import LogEntry
from gateway.ports import Change, Clock, Insert, Store, Update, Vault, Work

P = ParamSpec("P")
T = TypeVar("T")
MIN_PASSWORD: Final = 15
MAX_PASSWORD: Final = 256
FREE_FAILURES: Final = 5
HARD_STOP: Final = 100
LONGEST_DELAY: Final = HOUR
HASHERS: Final = 2
WAITING: Final = 32
SESSION_LIFE: Final = 8 * HOUR
REPLACED_FACTOR_WAITS: Final = DAY


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The bearer token, told once, and the session behind it."""

    token: str
    session: Session
    user: User


@dataclass(frozen=True, slots=True)
class NewUser:
    """Rows of a new user, and the TOTP secret (base32) to show once."""

    user: User
    changes: tuple[Change, ...]
    totp_secret: str


class Passwords:
    """Argon2id in threads: two at a time, a bounded queue, so that sign-ins cannot eat the machine."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._slots = asyncio.Semaphore(HASHERS)
        self._waiting = 0
        self._nobody: bytes | None = None

    async def hash(self, password: str) -> bytes:
        return await self._run(self._vault.hash_password, password)

    async def check(self, password: str, phc: bytes | None) -> bool:
        """Whether the password fits; the same work is done when there is no hash to compare with."""
        if phc is None:
            if self._nobody is None:
                self._nobody = await self.hash(secrets.token_urlsafe(16))
            await self._run(self._vault.check_password, password, self._nobody)
            return False
        return await self._run(self._vault.check_password, password, phc)

    async def _run(self, function: Callable[P, T], *arguments: P.args, **_: P.kwargs) -> T:
        if self._waiting >= WAITING:
            raise TooManyAttemptsError(
                "too many sign-ins wait",
                retry_after_s=5,
                swedish="Många loggar in just nu.",
                next_step="Vänta några sekunder och försök igen.",
            )
        self._waiting += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(function, *arguments)
        finally:
            self._waiting -= 1


class Totp:
    """TOTP secrets (160 bit, SHA-1, 6 digits, 30 s: what authenticator apps take) and the burning of codes."""

    def __init__(self, store: Store, vault: Vault, integrity: Integrity, clock: Clock, *, window: int = 0) -> None:
        self._store = store
        self._vault = vault
        self._integrity = integrity
        self._clock = clock
        self._window = window

    async def burned(self, factor: Factor, code: str) -> Factor | None:
        """The factor with the code's step burned, to be committed as Update; None when the code is not good."""
        step = await self._step(factor, code)
        if step is None or step <= factor.last_step:
            return None
        return await self._integrity.sign(dataclasses.replace(factor, last_step=step, version=factor.version + 1))

    async def burn(self, factor: Factor, code: str) -> bool:
        """Burn the code in a transaction of its own; True for exactly one of any number of parallel uses."""
        burned = await self.burned(factor, code)
        if burned is None:
            return False
        try:
            await self._store.commit(Work(changes=(Update(burned),)))
        except ConflictError:
            return False
        return True

    async def _step(self, factor: Factor, code: str) -> int | None:
        if not (len(code) == 6 and code.isascii() and code.isdigit()):
            return None
        secret = await self._vault.open_field(factor.administration, secret_context(factor.user), factor.secret)
        now = datetime.fromtimestamp(self._clock.now() / 1_000_000, UTC)
        try:
            return int(pyotp.TOTP(secret.decode()).verify_and_get_timecode(code, now, valid_window=self._window))
        except ValueError:
            return None


class SignIn:
    """Password and TOTP."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        integrity: Integrity,
        passwords: Passwords,
        totp: Totp,
        auditor: Auditor,
        clock: Clock,
    ) -> None:
        self._store = store
        self._vault = vault
        self._integrity = integrity
        self._passwords = passwords
        self._totp = totp
        self._auditor = auditor
        self._clock = clock

    async def sign_in(self, login: str, password: str, code: str) -> SignedIn:
        """Both factors, or nothing.

        Raises:
            SignInError: something was wrong; never says what.
            TooManyAttemptsError: this account (or this unknown login) must wait.
        """
        user = await self._store.user_by_login(login)
        subject = user.id if user else (await self._vault.fingerprint(GATEWAY, "login", login.encode())).hex()
        counter = await self._counter(subject)
        try:
            if user is not None:
                await self._integrity.check(user)
            password_factor = await self._factor(user, FactorKind.PASSWORD)
            totp_factor = await self._factor(user, FactorKind.TOTP)
        except IntegrityError:
            await self._alarm(user)
            user = password_factor = totp_factor = None
        # The step is burned before the password's result is known: a code seen once never works again.
        code_holds = totp_factor is not None and await self._totp.burn(totp_factor, code)
        if len(password) > MAX_PASSWORD:
            password = ""
        password_holds = await self._passwords.check(password, password_factor.secret if password_factor else None)
        if user is None or user.state is not UserState.ACTIVE or not (code_holds and password_holds):
            await self._failed(user, counter)
        return await self._session(user, counter)

    async def _session(self, user: User, counter: AttemptCounter) -> SignedIn:
        now = self._clock.now()
        token = secrets.token_urlsafe(32)
        session = await self._integrity.sign(
            Session(
                administration=user.administration,
                id=session_id(token),
                user=user.id,
                method="password+totp",
                started_at=now,
                seen_at=now,
                ends_at=Instant(now + SESSION_LIFE),
            )
        )
        changes: list[Change] = [Insert(session)]
        if counter.failures:
            changes.append(Update(dataclasses.replace(counter, failures=0, next_at=now, version=counter.version + 1)))
        entry = await self._log(AuditAction.SIGNED_IN, user, "permit")
        try:
            await self._store.commit(Work(changes=tuple(changes), entries=(entry,)))
        except ConflictError:  # another try moved the counter: the sign-in itself stands
            await self._store.commit(Work(changes=(Insert(session),), entries=(entry,)))
        return SignedIn(token, session, user)

    async def _factor(self, user: User | None, kind: FactorKind) -> Factor | None:
        if user is None:
            return None
        factor = await self._store.get(Factor, user.id, kind)
        if factor is None or factor.usable_from > self._clock.now():
            return None
        return await self._integrity.check(factor)

    async def _counter(self, subject: str) -> AttemptCounter:
        """The counter of a subject; raises while it must wait."""
        now = self._clock.now()
        counter = await self._store.get(AttemptCounter, subject, FactorKind.PASSWORD)
        if counter is None:
            return AttemptCounter(
                administration=GATEWAY, subject=subject, method=FactorKind.PASSWORD, failures=0, next_at=now, version=0
            )
        if counter.next_at > now or counter.failures >= HARD_STOP:
            wait = max(1, -(-(counter.next_at - now) // 1_000_000))
            raise TooManyAttemptsError(
                "this account must wait",
                retry_after_s=wait,
                swedish="För många misslyckade försök.",
                next_step=f"Vänta {-(-wait // 60)} min och försök igen, eller kontakta den som sköter behörigheter.",
            )
        return counter

    async def _failed(self, user: User | None, counter: AttemptCounter) -> NoReturn:
        failures = counter.failures + 1
        next_at = Instant(self._clock.now() + delay_after(failures))
        grown = dataclasses.replace(counter, failures=failures, next_at=next_at, version=counter.version + 1)
        change: Change = Update(grown) if counter.version else Insert(grown)
        entry = await self._log(AuditAction.SIGN_IN_FAILED, user, "deny")
        try:
            await self._store.commit(Work(changes=(change,), entries=(entry,)))
        except ConflictError:
            await self._store.commit(Work(entries=(entry,)))  # a parallel failure counted; this one is logged
        raise SignInError(
            "the sign-in did not succeed",
            swedish="Inloggningen lyckades inte.",
            next_step="Kontrollera användarnamn, lösenord och kod. En kod kan bara användas en gång: vänta på nästa.",
        )

    async def _alarm(self, user: User | None) -> None:
        entry = await self._log(AuditAction.ALARM, user, "integrity-failure")
        await self._store.commit(Work(entries=(entry,)))

    async def _log(self, action: AuditAction, user: User | None, outcome: str) -> LogEntry:
        return await self._auditor.entry(
            action,
            administration=user.administration if user else GATEWAY,
            actor=user,
            role="+".join(user.roles) if user else "",
            object=user.id if user else "",
            case=None,
            outcome=outcome,
        )


class Users:
    """Make users and their factors. K2 is made with the user by the caller, in the same act."""

    def __init__(self, vault: Vault, integrity: Integrity, passwords: Passwords, clock: Clock) -> None:
        self._vault = vault
        self._integrity = integrity
        self._passwords = passwords
        self._clock = clock

    async def create(self, user: User, password: str) -> NewUser:
        """Rows of a user with both factors.

        Raises:
            InvalidRequestError: the password is too easy.
        """
        check_password_rules(password, user.login)
        now = self._clock.now()
        signed = await self._integrity.sign(user)
        secret = pyotp.random_base32(32)
        factors = await self._factors(signed, password, secret, usable_from=now)
        return NewUser(signed, (Insert(signed), *(Insert(factor) for factor in factors)), secret)

    async def replaced(self, user: User, old: Sequence[Factor], password: str) -> NewUser:
        """New factors for a user who lost them, put in by an administrator: usable after 24 hours."""
        check_password_rules(password, user.login)
        now = self._clock.now()
        secret = pyotp.random_base32(32)
        fresh = await self._factors(user, password, secret, usable_from=Instant(now + REPLACED_FACTOR_WAITS))
        versions = {factor.kind: factor.version for factor in old}
        changes: list[Change] = []
        for factor in fresh:
            if factor.kind in versions:
                following = dataclasses.replace(factor, version=versions[factor.kind] + 1)
                changes.append(Update(await self._integrity.sign(following)))
            else:
                changes.append(Insert(factor))
        return NewUser(user, tuple(changes), secret)

    async def _factors(self, user: User, password: str, secret: str, *, usable_from: Instant) -> list[Factor]:
        now = self._clock.now()
        sealed = await self._vault.seal_field(user.administration, secret_context(user.id), secret.encode())
        made = [(FactorKind.PASSWORD, await self._passwords.hash(password)), (FactorKind.TOTP, sealed)]
        return [
            await self._integrity.sign(
                Factor(
                    administration=user.administration,
                    user=user.id,
                    kind=kind,
                    secret=octets,
                    created_at=now,
                    usable_from=usable_from,
                )
            )
            for kind, octets in made
        ]


def check_password_rules(password: str, login: str) -> None:
    """Length before tricks (NIST SP 800-63B §5.1.1.2).

    Raises:
        InvalidRequestError: shorter than 15 characters, longer than 256, the login, or one character repeated.
    """
    easy = len(password) < MIN_PASSWORD or len(password) > MAX_PASSWORD
    easy = easy or login.lower() in password.lower() or len(set(password)) < 5
    if easy:
        raise InvalidRequestError(
            "the password is too easy",
            swedish="Lösenordet är för lätt att gissa.",
            next_step="Välj minst 15 tecken, gärna fyra ord, och inte ditt användarnamn.",
        )


def delay_after(failures: int) -> int:
    """Microseconds until the next try is looked at: none for four failures, then 1, 2, 4 ... 60 minutes."""
    if failures < FREE_FAILURES:
        return 0
    return min(MINUTE * 2 ** (failures - FREE_FAILURES), LONGEST_DELAY)


def session_id(token: str) -> SessionId:
    """What is stored of a bearer token: SHA-256, hexadecimal. The token has 256 random bits, so no salt is needed."""
    return SessionId(hashlib.sha256(token.encode()).hexdigest())


def secret_context(user: UserId) -> str:
    """Binds a sealed TOTP seed to its row."""
    return f"factor|{user}|totp|secret"


def totp_uri(secret: str, login: str) -> str:
    """What an authenticator app scans."""
    return str(pyotp.TOTP(secret).provisioning_uri(name=login, issuer_name="Sambud"))


def code_at(secret: str, at: Instant) -> str:
    """The code of a secret at an instant: for the demo and for tests."""
    return str(pyotp.TOTP(secret).at(datetime.fromtimestamp(at / 1_000_000, UTC)))


def new_user_id() -> UserId:
    return UserId(str(uuid.uuid4()))
