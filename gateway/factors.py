"""Authenticators of a user: password and TOTP, the counters that slow guessing down, and codes that work once.

Why this exists: sign-in and step-up ask for the same proof, so what makes the proof sound stands in one place. A wrong
guess costs time that survives a restart, a right code is worth one use, and a password is a long one.

Rules:
- An attempt is counted before it is judged, so parallel guesses meet the same delays as guesses in a row.
- 5 failures wait 1 minute, then 2, 4 … 60; 100 in a row stop the method until an administrator unlocks it
  (NIST SP 800-63B-4 §3.2.2).
- A TOTP step is burned by a compare-and-set on the Factor row: RFC 6238 §5.2, "MUST NOT accept the second attempt".
- A secret leaves this module only as the return value of the act that made it.
"""

from __future__ import annotations

import base64
import dataclasses
import itertools
import secrets
import unicodedata
from collections.abc import Sequence
from typing import Final

import pyotp
from pyotp.exceptions import OTPVerificationError

from gateway.errors import ConflictError, InvalidRequestError, TooManyAttemptsError
from gateway.integrity import Integrity
from gateway.model.base import DAY, HOUR, MINUTE, SECOND, AdministrationId, Instant, UserId
from gateway.model.identity import AttemptCounter, Factor, FactorKind
from gateway.ports import Change, Clock, Insert, Store, Update, Vault, Work

FREE_FAILURES: Final = 5
HARD_STOP: Final = 100
LONGEST_DELAY: Final = HOUR
NEVER: Final = Instant(2**62)  # "not before an administrator unlocks it"; fits a signed 64-bit column
REPLACED_WAITS: Final = DAY  # security-decisions H10 (ii): time to notice a factor that somebody else set

MIN_PASSWORD: Final = 15  # characters; NIST SP 800-63B-4 §3.1.1.2
MAX_PASSWORD: Final = 256  # bounds the work that a stranger can ask for
MIN_DISTINCT: Final = 6
MIN_OWN: Final = 8  # characters that are left when well-known words, digits and marks are taken away
SEED_OCTETS: Final = 20  # 160 bit, RFC 4226 §4 R6
ISSUER: Final = "Sambud"

_COUNT_TRIES: Final = 256
_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz"  # without i, l and o, which are taken for digits
#: Words that stand in most guessed passphrases of this country and of this system; longest first when they overlap.
_WELL_KNOWN: Final = (
    "correcthorsebatterystaple",
    "qwertyuiopåasdfghjklöä",
    "qwertyuiop",
    "asdfghjkl",
    "administratör",
    "administrator",
    "socialtjänst",
    "socialtjanst",
    "välkommen",
    "valkommen",
    "lösenord",
    "losenord",
    "password",
    "kommunen",
    "sommaren",
    "regionen",
    "welcome",
    "zxcvbnm",
    "kommun",
    "region",
    "qwerty",
    "sambud",
    "sommar",
    "sverige",
    "vinter",
    "hösten",
    "våren",
    "admin",
    "hemlig",
    "secret",
)


def delay_after(failures: int) -> int:
    """Microseconds until the next try after `failures` in a row: 0 below five, then 1, 2, 4 … 60 minutes."""
    if failures < FREE_FAILURES:
        return 0
    return min(MINUTE << min(failures - FREE_FAILURES, 6), LONGEST_DELAY)


def normal_password(password: str) -> str:
    """One spelling for what looks alike: "å" as one or as two code points (NIST SP 800-63B-4 §3.1.1.2)."""
    return unicodedata.normalize("NFC", password)


def check_new_password(password: str, login: str) -> None:
    """Accept a new password, or say in Swedish why not. Nothing about it is kept or logged.

    Raises:
        InvalidRequestError: too short, too long, built on the login, or one of the first that a guesser tries.
    """
    password = normal_password(password)
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise _weak(f"Lösenordet ska ha minst {MIN_PASSWORD} och högst {MAX_PASSWORD} tecken.")
    folded = password.casefold()
    if login and login.casefold() in folded:
        raise _weak("Lösenordet får inte innehålla användarnamnet.")
    if len(set(folded)) < MIN_DISTINCT or folded in (folded + folded)[1:-1] or _runs(folded):
        raise _weak("Lösenordet upprepar samma tecken eller följer en rad på tangentbordet.")
    own = folded
    for word in _WELL_KNOWN:
        own = own.replace(word, "")
    if len(set(own)) < MIN_DISTINCT or sum(character.isalpha() for character in own) < MIN_OWN:
        raise _weak("Lösenordet består nästan bara av ord och siffror som gissas först.")


def new_password() -> str:
    """A password for somebody else to begin with: 25 letters, 113 bit, easy to read out; never refused as weak."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(5)) for _ in range(5))


def _runs(text: str) -> bool:
    """Whether most of `text` counts up or down: abcdef…, 987654…"""
    steps = [ord(after) - ord(before) for before, after in itertools.pairwise(text)]
    return sum(step in (-1, 0, 1) for step in steps) * 2 > len(steps)


def _weak(swedish: str) -> InvalidRequestError:
    return InvalidRequestError(
        "the password is too easy to guess",
        swedish=swedish,
        next_step="Välj en lösenfras med flera ord som inte hör ihop, till exempel fyra eller fem.",
    )


# --- TOTP ------------------------------------------------------------------------------------------------------------


def new_seed() -> bytes:
    """A fresh TOTP seed, 160 bit."""
    return secrets.token_bytes(SEED_OCTETS)


def _totp(seed: bytes) -> pyotp.TOTP:
    return pyotp.TOTP(base64.b32encode(seed).decode(), issuer=ISSUER)  # SHA-1, 6 digits, 30 s: what apps can do


def code_for(seed: bytes, at: Instant) -> str:
    """The code that an authenticator app would show at `at`: for the demo and for tests, which hold the seed."""
    return _totp(seed).at(at // SECOND)


def totp_uri(seed: bytes, login: str) -> str:
    """The otpauth:// text for a QR code. It holds the seed: show it once, to its user, and keep it nowhere."""
    return _totp(seed).provisioning_uri(name=login)


def matched_step(seed: bytes, code: str, at: Instant, *, window: int) -> int | None:
    """The time step that `code` belongs to, or None; the same work for both. `window` is in steps either way."""
    digits = "".join(code.split())  # apps show "123 456"
    # Full-width digits would compare equal inside pyotp, which normalises; one code has one spelling here.
    candidate = digits if digits.isascii() and digits.isdigit() else "------"
    try:
        return _totp(seed).verify_and_get_timecode(candidate, for_time=at // SECOND, valid_window=window)
    except OTPVerificationError:
        return None


# --- rows ------------------------------------------------------------------------------------------------------------


def seed_context(user: UserId) -> str:
    """What a sealed seed is bound to. Not the version: burning a step moves it, and the row's MAC covers the seed."""
    return f"factor/{user}/totp/secret"


class Factors:
    """Makes and checks the Factor rows. `window` is how many TOTP steps beside the present one are accepted."""

    def __init__(self, vault: Vault, integrity: Integrity, *, window: int = 0) -> None:
        if window not in (0, 1):
            raise ValueError("a TOTP window is 0 or 1 steps")
        self._vault = vault
        self._integrity = integrity
        self._window = window

    async def password(self, user: UserId, administration: AdministrationId, phc: bytes, *, at: Instant) -> Factor:
        """A signed password row from an Argon2id PHC string, usable at once."""
        row = Factor(
            administration=administration,
            user=user,
            kind=FactorKind.PASSWORD,
            secret=phc,
            created_at=at,
            usable_from=at,
        )
        return await self._integrity.sign(row)

    async def totp(self, user: UserId, administration: AdministrationId, seed: bytes, *, at: Instant) -> Factor:
        """A signed TOTP row with `seed` sealed, usable at once."""
        row = Factor(
            administration=administration,
            user=user,
            kind=FactorKind.TOTP,
            secret=await self._vault.seal_field(administration, seed_context(user), seed),
            created_at=at,
            usable_from=at,
        )
        return await self._integrity.sign(row)

    async def replaced(self, before: Factor, secret: bytes, *, at: Instant) -> Factor:
        """`before` with a new secret that an administrator set; usable after 24 hours. `last_step` never goes back."""
        row = dataclasses.replace(
            before,
            secret=secret,
            created_at=at,
            usable_from=Instant(at + REPLACED_WAITS),
            version=before.version + 1,
        )
        return await self._integrity.sign(row)

    async def seal_seed(self, user: UserId, administration: AdministrationId, seed: bytes) -> bytes:
        return await self._vault.seal_field(administration, seed_context(user), seed)

    async def burned(self, factor: Factor, code: str, *, at: Instant) -> Factor | None:
        """The row to commit when `code` is right and its step unused; None else. Check the row's MAC first.

        Only the commit burns the step: of two that hold the same step one meets ConflictError and has nothing.
        """
        seed = await self._vault.open_field(factor.administration, seed_context(factor.user), factor.secret)
        step = matched_step(seed, code, at, window=self._window)
        if step is None or step <= factor.last_step:
            return None
        return await self._integrity.sign(dataclasses.replace(factor, last_step=step, version=factor.version + 1))


class Attempts:
    """Counts tries per (subject, method), durably, before they are judged."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def count(
        self, subject: str, administration: AdministrationId, methods: Sequence[FactorKind]
    ) -> tuple[AttemptCounter, ...]:
        """Count one try with `methods` as failed, until `clear` says otherwise; returns the counters as they are now.

        Raises:
            TooManyAttemptsError: a delay of one of the methods is running; nothing was counted or looked at.
        """
        for _ in range(_COUNT_TRIES):
            now = self._clock.now()
            before = {row.method: row for row in await self._rows(subject, methods)}
            waits = max((_until(row, now) for row in before.values()), default=Instant(0))
            if waits > now:
                raise too_many(waits - now)
            counted = [_after_failure(before.get(kind), subject, administration, kind, now) for kind in methods]
            try:
                await self._store.commit(Work(changes=tuple(_put(row) for row in counted)))
            except ConflictError:
                continue  # another try of the same subject was counted in this moment
            return tuple(counted)
        raise too_many(SECOND)

    async def clear(self, subject: str, methods: Sequence[FactorKind]) -> None:
        """The last try was right: the row of failures is broken. Losing a race leaves a count, which only slows."""
        for _ in range(_COUNT_TRIES):
            rows = [row for row in await self._rows(subject, methods) if row.failures]
            if not rows:
                return
            cleared = (
                dataclasses.replace(row, failures=0, next_at=Instant(0), version=row.version + 1) for row in rows
            )
            try:
                await self._store.commit(Work(changes=tuple(Update(row) for row in cleared)))
            except ConflictError:
                continue
            return

    async def _rows(self, subject: str, methods: Sequence[FactorKind]) -> list[AttemptCounter]:
        return await self._store.get_many(AttemptCounter, [(subject, kind) for kind in methods])


def _until(row: AttemptCounter, now: Instant) -> Instant:
    """When the next try may come. A delay longer than any is one that a clock, set back since, made longer (Q09)."""
    if row.next_at == NEVER or row.next_at - now <= delay_after(row.failures):
        return row.next_at
    return now


def _after_failure(
    before: AttemptCounter | None, subject: str, administration: AdministrationId, method: FactorKind, now: Instant
) -> AttemptCounter:
    failures = (before.failures if before else 0) + 1
    return AttemptCounter(
        administration=administration,
        subject=subject,
        method=method,
        failures=failures,
        next_at=NEVER if failures >= HARD_STOP else Instant(now + delay_after(failures)),
        version=before.version + 1 if before else 1,
    )


def _put(row: AttemptCounter) -> Change:
    return Insert(row) if row.version == 1 else Update(row)


def too_many(wait: int) -> TooManyAttemptsError:
    """The answer while a delay runs; a hard stop looks like the longest delay."""
    seconds = -(-min(wait, LONGEST_DELAY) // SECOND)
    minutes = -(-seconds // 60)
    return TooManyAttemptsError(
        "too many attempts",
        retry_after_s=seconds,
        swedish="Det har gjorts för många försök.",
        next_step=(
            f"Vänta {minutes} {'minut' if minutes == 1 else 'minuter'} och försök igen. "
            "Om det inte hjälper: be administratören att låsa upp kontot."
        ),
    )
