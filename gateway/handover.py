"""Secrets that somebody is told once: kept in memory for a few minutes, for the session that made them.

Why this exists: a new password and the seed of a code app are shown to the administrator who made them, and nowhere
else. A page that is lost to a reload or a double press must not cost them, so they wait here until they are handed
over, their time is up, or the process ends; they are never written anywhere.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.errors import UnknownEntryError
from gateway.factors import totp_uri
from gateway.model.base import MINUTE, Instant, SessionId
from gateway.ports import Clock
from gateway.sessions import Signed

KEPT: Final = 10 * MINUTE
MOST: Final = 64


@dataclass(frozen=True, slots=True)
class Secret:
    """What one user must be told. Empty text: that part was not changed. `usable_from` None: at once."""

    login: str
    title: str
    password: str = ""
    seed: bytes = b""
    usable_from: Instant | None = None

    @property
    def uri(self) -> str:
        """The otpauth:// text for a code app; "" without a seed."""
        return totp_uri(self.seed, self.login) if self.seed else ""

    @property
    def spelled(self) -> str:
        """The seed as it is typed into a code app: base32 in groups of four."""
        text = base64.b32encode(self.seed).decode().rstrip("=")
        return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


@dataclass(frozen=True, slots=True)
class Kept:
    """What lies ready under one key."""

    session: SessionId
    until: Instant
    secrets: tuple[Secret, ...]
    notes: tuple[str, ...] = ()  # ids that the page tells about besides
    over: bool = False  # handed over: the secrets are gone, the key stays used


class Handover:
    """Keeps secrets for the session that made them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[str, Kept] = {}

    def keep(self, signed: Signed, key: str, secrets: Sequence[Secret], notes: Sequence[str] = ()) -> None:
        """Lay `secrets` ready under `key`; the oldest go when there are too many."""
        self._sweep()
        while len(self._kept) >= MOST:
            del self._kept[next(iter(self._kept))]
        until = Instant(self._clock.now() + KEPT)
        self._kept[key] = Kept(signed.session.id, until, tuple(secrets), tuple(notes))

    def has(self, signed: Signed, key: str) -> bool:
        """Whether this session used `key`: what it made need not be made again."""
        self._sweep()
        found = self._kept.get(key)
        return found is not None and found.session == signed.session.id

    def show(self, signed: Signed, key: str) -> Kept:
        """What lies ready.

        Raises:
            NotFoundError: handed over, too late, or made by somebody else: one answer.
        """
        if not self.has(signed, key) or self._kept[key].over:
            raise UnknownEntryError(
                "nothing is kept under that key",
                swedish="Uppgifterna visas inte längre.",
                next_step="Behövs de på nytt: byt lösenord eller kodapp för användaren en gång till.",
            )
        return self._kept[key]

    def forget(self, signed: Signed, key: str) -> None:
        """They are handed over. Forgetting what is not there is no error."""
        if self.has(signed, key):
            self._kept[key] = dataclasses.replace(self._kept[key], secrets=(), notes=(), over=True)

    def _sweep(self) -> None:
        now = self._clock.now()
        self._kept = {key: kept for key, kept in self._kept.items() if kept.until > now}
