"""Who may act: users, factors, sessions, step-up windows, memberships (design.md §7).

All of these decide, so all carry a MAC, except AttemptCounter, which only ever slows somebody down.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from gateway.model.base import ADDED, DecidingRow, InboxId, Instant, SessionId, UserId, VersionedRow


class Role(StrEnum):
    """A function a user may hold; rights in an inbox also need an active Membership (domain.md §12)."""

    CASE_WORKER = "case_worker"
    DELEGATE = "delegate"
    UNIT_MANAGER = "unit_manager"
    COORDINATOR = "coordinator"
    KEY_WORKER = "key_worker"
    REGISTRATOR = "registrator"
    CHILD_FAMILY_INTAKE = "child_family_intake"
    ANALYST = "analyst"
    AUDITOR = "auditor"
    SYSTEM_ADMINISTRATOR = "system_administrator"
    SYSTEM = "system"  # a machine, of one administration (ADR-0009): never together with another function


class UserState(StrEnum):
    ACTIVE = "active"
    DISABLED = "disabled"


class FactorKind(StrEnum):
    PASSWORD = "password"  # noqa: S105  (the name of a kind)
    TOTP = "totp"
    KEY = "key"  # the public key that a system member proves with (RFC 7523)


class SessionState(StrEnum):
    ACTIVE = "active"
    ENDED = "ended"


class MembershipState(StrEnum):
    """`PENDING` reads nothing: a present member admits it, which makes the wrap (only proposed members arrive by
    import)."""

    PENDING = "pending"
    ACTIVE = "active"
    REMOVED = "removed"


class MembershipRole(StrEnum):
    MEMBER = "member"
    DEPUTY = "deputy"


@dataclass(frozen=True, slots=True, kw_only=True)
class User(DecidingRow):
    """An account, named by function: a person's, or a system's. `login` is what is typed, or a system's client id;
    `title` is what others see."""

    TABLE: ClassVar[str] = "user"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: UserId
    login: str
    title: str
    roles: tuple[str, ...]  # Role values
    state: UserState = UserState.ACTIVE

    @property
    def is_system(self) -> bool:
        """Whether nobody sits behind it."""
        return Role.SYSTEM in self.roles


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor(DecidingRow):
    """One authenticator of one user.

    `secret` is the Argon2id PHC string for a password (bytes of it), the sealed seed for TOTP, the public key (JWK) of
    a system. `last_step` is the last accepted TOTP time step; the update that raises it is what burns a code. `used`
    are the assertions of a system that are still in time ("seconds:digest of jti"): the update that adds one burns it.
    `usable_from` is later than `created_at` by 24 h when an administrator replaced the factor; from `ends_at` on a key
    proves nothing (0: no end).
    """

    TABLE: ClassVar[str] = "factor"
    KEY: ClassVar[tuple[str, ...]] = ("user", "kind")

    user: UserId
    kind: FactorKind
    secret: bytes
    last_step: int = 0
    created_at: Instant
    usable_from: Instant
    ends_at: Instant = field(default=Instant(0), metadata=ADDED)
    used: tuple[str, ...] = field(default=(), metadata=ADDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptCounter(VersionedRow):
    """Consecutive failures for one (subject, method) and when the next try is looked at."""

    TABLE: ClassVar[str] = "attempt_counter"
    KEY: ClassVar[tuple[str, ...]] = ("subject", "method")

    subject: str  # user id, or a keyed hash of an unknown login: never what was typed
    method: FactorKind
    failures: int
    next_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(DecidingRow):
    """A signed-in user. Only SHA-256 of the token is kept.

    Idle end is `seen_at` + 15 min, absolute end `ends_at` = start + 8 h; a system's is start + 15 min. `scope` is what
    a system's token was asked for: operations, and functions that it may speak for (empty: all of its own).
    """

    TABLE: ClassVar[str] = "session"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: SessionId
    user: UserId
    state: SessionState = SessionState.ACTIVE
    method: str  # "password+totp", or a system's "private_key_jwt"
    started_at: Instant
    seen_at: Instant
    ends_at: Instant
    scope: tuple[str, ...] = field(default=(), metadata=ADDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepUpWindow(DecidingRow):
    """A second factor used for opening in one inbox: good until `ends_at`, at most MAX_OPENINGS openings."""

    TABLE: ClassVar[str] = "step_up_window"
    KEY: ClassVar[tuple[str, ...]] = ("session", "inbox")

    session: SessionId
    inbox: InboxId
    user: UserId
    opened_at: Instant
    ends_at: Instant
    openings: int = 0


class Act(StrEnum):
    """Acts that need a code of their own, each time (design.md §7)."""

    PRINT = "print"
    EXPORT = "export"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActGrant(DecidingRow):
    """A code used for one act on one object in one session: good once, until `ends_at`."""

    TABLE: ClassVar[str] = "act_grant"
    KEY: ClassVar[tuple[str, ...]] = ("session", "act", "object")

    session: SessionId
    act: Act
    object: str  # the id of what it is done to
    user: UserId
    given_at: Instant
    ends_at: Instant
    spent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership(DecidingRow):
    """User × inbox × role. `bootstrap` marks the first two members, who came from the directory file.

    `ceiling` is the highest privacy class that a system may open here ("" for people, who have none).
    """

    TABLE: ClassVar[str] = "membership"
    KEY: ClassVar[tuple[str, ...]] = ("inbox", "user")

    inbox: InboxId
    user: UserId
    role: MembershipRole
    state: MembershipState
    bootstrap: bool = False
    admitted_by: str = ""  # user id of the present member, or "" while pending
    proposed_at: Instant
    decided_at: Instant | None = None
    ceiling: str = field(default="", metadata=ADDED)
