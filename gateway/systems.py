"""Case systems: who they are, and how one signs in without anybody at it (ADR-0009).

Why this exists: a municipality's case system wants the gateway as its message service around the clock. A machine that
reads is a reader like any other, so it is a user of ONE administration with a key of its own, let into each inbox by a
present member. It proves a key that it alone has; no secret is shared, and none is kept here.

Rules (RFC 7523 §3, B1.4.2 §5):
- An assertion names its system as issuer and subject, this endpoint as audience, ends within five minutes and works
  once: the commit that makes the session burns it.
- A session lasts 15 minutes and is never renewed; scopes narrow it, never widen it.
- A key ends on a day, at most two years ahead; one that an administrator replaced waits 24 hours, as every factor does.
- One answer for every refusal; why is tallied in the log, never what came.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.alarms import Alarms
from gateway.audit import AuditAction, Auditor
from gateway.decide import AccessAction
from gateway.directory import Directory
from gateway.errors import (
    ConflictError,
    DecisionStaleError,
    IntegrityError,
    InvalidRequestError,
    SignInError,
    UnknownEntryError,
)
from gateway.factors import REPLACED_WAITS, too_many
from gateway.identity import SignedIn, SignIn, normal_login
from gateway.integrity import Integrity
from gateway.model.base import DAY, MINUTE, SECOND, AdministrationId, Instant, UserId, fact
from gateway.model.identity import Factor, FactorKind, Role, User, UserState
from gateway.ports import Assertions, Change, Clock, Delete, Insert, KeyMaker, Store, Update, Work
from gateway.rights import Rights
from gateway.sessions import BY_KEY, Sessions, Signed

LONGEST_KEY: Final = 732 * DAY  # two years, whichever two
LONGEST_ASSERTION: Final = 5 * MINUTE
SKEW: Final = 30 * SECOND
#: How many assertions of a system can be in time at once; each stands for a token of 15 minutes.
MOST_ASSERTIONS: Final = 64
CLIENT_ID: Final = r"[a-z0-9](?:[a-z0-9._-]{1,62}[a-z0-9])"
MAX_TITLE: Final = 128
_TRIES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A system and its key, as they stand."""

    user: User
    usable_from: Instant
    ends_at: Instant


class Systems:
    """Register systems, replace their keys, and let them sign in."""

    def __init__(
        self,
        store: Store,
        integrity: Integrity,
        directory: Directory,
        sessions: Sessions,
        sign_in: SignIn,
        rights: Rights,
        maker: KeyMaker,
        assertions: Assertions,
        auditor: Auditor,
        clock: Clock,
    ) -> None:
        self._store = store
        self._integrity = integrity
        self._directory = directory
        self._sessions = sessions
        self._sign_in = sign_in
        self._rights = rights
        self._maker = maker
        self._assertions = assertions
        self._auditor = auditor
        self._clock = clock
        self._alarms = Alarms(store, integrity, auditor, clock)

    # --- who they are ------------------------------------------------------------------------------------------------

    async def register(
        self,
        signed: Signed,
        client_id: str,
        *,
        title: str,
        administration: AdministrationId,
        key: Mapping[str, Any],
        ends_at: Instant,
    ) -> Registered:
        """A new system, which can sign in and reads nothing: members of its administration's inboxes let it in.

        Args:
            title: its function as colleagues call it ("Verksamhetssystem, ekonomiskt bistånd"), never a person.
            key: its public key as a JWK (RFC 7517): RSA of 2,048 bits or more, or P-256.
            ends_at: from then on the key proves nothing; at most two years ahead.

        Raises:
            ForbiddenError: not an administrator; the try is logged.
            InvalidRequestError: a bad client id, title, key or end, or no authority of this gateway.
            ConflictError: the client id is taken.
        """
        await self._rights.without_inbox(signed, AccessAction.MANAGE_USERS)
        return await self.add(
            client_id,
            title=title,
            administration=administration,
            key=key,
            ends_at=ends_at,
            by=signed.role,
            actor=signed.user,
        )

    async def add(
        self,
        client_id: str,
        *,
        title: str,
        administration: AdministrationId,
        key: Mapping[str, Any],
        ends_at: Instant,
        by: str,
        actor: User | None = None,
    ) -> Registered:
        """`register` for whoever is at the machine itself: `by` is told in the log."""
        now = self._clock.now()
        public = self._checked(key, ends_at, now)
        login = normal_login(client_id)
        if not re.fullmatch(CLIENT_ID, login):
            raise _bad("the client id", "Systemets id ska ha 3–64 tecken: a–z, siffror, punkt, streck.")
        if not 1 <= len(title.strip()) <= MAX_TITLE or not title.isprintable():
            raise _bad("the title", f"Systemets funktion ska ha 1–{MAX_TITLE} tecken.")
        owner = (await self._directory.current()).administrations.get(administration)
        if owner is None or owner.outside:
            raise _bad("the administration", "Förvaltningen finns inte här.")
        if await self._store.user_by_login(login) is not None:
            raise ConflictError(
                "the client id is taken",
                swedish="Det finns redan en användare eller ett system med det id:t.",
                next_step="Välj ett annat. Inget har ändrats.",
            )
        user = await self._integrity.sign(
            User(
                administration=administration,
                id=UserId(str(uuid.uuid4())),
                login=login,
                title=title.strip(),
                roles=(Role.SYSTEM,),
            )
        )
        factor = await self._integrity.sign(
            Factor(
                administration=administration,
                user=user.id,
                kind=FactorKind.KEY,
                secret=public,
                created_at=now,
                usable_from=now,
                ends_at=ends_at,
            )
        )
        keys = await self._maker.member(user, by=by, at=now)
        entries = [
            await self._auditor.entry(
                action,
                administration=administration,
                actor=actor,
                role=by,
                object=target,
                case=None,
                outcome="system",
                detail={"key": hashlib.sha256(public).hexdigest()} if action is AuditAction.USER_CREATED else {},
            )
            for action, target in (
                (AuditAction.USER_CREATED, str(user.id)),
                (AuditAction.KEY_RECORDED, keys.record.id if keys.record else ""),
            )
        ]
        changes: tuple[Change, ...] = (Insert(user), Insert(factor), *keys.changes)
        await self._store.commit(Work(changes=changes, entries=tuple(entries)))
        return Registered(user=user, usable_from=now, ends_at=ends_at)

    async def replace_key(
        self, signed: Signed, user: UserId, *, key: Mapping[str, Any], ends_at: Instant
    ) -> Registered:
        """Another key for a system: usable after 24 hours; the former one and all sessions end at once.

        Whoever sets a key may become the system, so those who see it in their inbox get a day to notice.

        Raises:
            ForbiddenError: not an administrator; the try is logged.
            NotFoundError: no such system.
            InvalidRequestError: as `register`.
        """
        await self._rights.without_inbox(signed, AccessAction.MANAGE_USERS)
        return await self.replace(user, key=key, ends_at=ends_at, by=signed.role, actor=signed.user)

    async def replace(
        self, user: UserId, *, key: Mapping[str, Any], ends_at: Instant, by: str, actor: User | None = None
    ) -> Registered:
        """`replace_key` for whoever is at the machine itself."""
        now = self._clock.now()
        public = self._checked(key, ends_at, now)
        system, before = await self._found(user)
        after = await self._integrity.sign(
            dataclasses.replace(
                before,
                secret=public,
                created_at=now,
                usable_from=Instant(now + REPLACED_WAITS),
                ends_at=ends_at,
                version=before.version + 1,
            )
        )
        entry = await self._auditor.entry(
            AuditAction.FACTOR_REPLACED,
            administration=system.administration,
            actor=actor,
            role=by,
            object=str(user),
            case=None,
            outcome="done",
            detail={"kind": FactorKind.KEY, "key": hashlib.sha256(public).hexdigest()},
        )
        ending = await self._sessions.ending([row.id for row in await self._store.sessions_of(user)])
        await self._store.commit(Work(changes=(Update(after), *ending), entries=(entry,)))
        return Registered(user=system, usable_from=after.usable_from, ends_at=ends_at)

    async def all(self, signed: Signed) -> list[Registered]:
        """Every system, by client id. Raises ForbiddenError: not an administrator; the try is logged."""
        await self._rights.without_inbox(signed, AccessAction.MANAGE_USERS)
        return await self.listed()

    async def listed(self) -> list[Registered]:
        """`all` for whoever is at the machine itself."""
        users = sorted((user for user in await self._store.users() if user.is_system), key=lambda user: user.login)
        rows = {
            row.user: row for row in await self._store.get_many(Factor, [(one.id, FactorKind.KEY) for one in users])
        }
        found = []
        for user in users:
            if user.id in rows:
                factor = await self._alarms.checked(rows[user.id])
                system = await self._alarms.checked(user)
                found.append(Registered(user=system, usable_from=factor.usable_from, ends_at=factor.ends_at))
        return found

    def _checked(self, key: Mapping[str, Any], ends_at: Instant, now: Instant) -> bytes:
        if not now < ends_at <= now + LONGEST_KEY:
            raise _bad("the end of the key", "Nyckeln ska sluta gälla inom två år.")
        try:
            return self._assertions.public_key(key)
        except ValueError:
            raise _bad(
                "the key",
                "Nyckeln ska vara en publik RSA-nyckel på minst 2 048 bitar eller en publik P-256-nyckel (JWK).",
            ) from None

    async def _found(self, user: UserId) -> tuple[User, Factor]:
        row = await self._store.get(User, user)
        factor = await self._store.get(Factor, user, FactorKind.KEY)
        if row is None or factor is None or not row.is_system:
            raise UnknownEntryError(
                "no such system", swedish="Systemet finns inte.", next_step="Gå till listan över system."
            )
        return await self._alarms.checked(row), await self._alarms.checked(factor)

    # --- signing in --------------------------------------------------------------------------------------------------

    async def token(
        self, assertion: str, *, audience: Iterable[str], scope: tuple[str, ...] = (), source: str = ""
    ) -> SignedIn:
        """A session for the system that signed `assertion` (RFC 7523 §2.2).

        Args:
            audience: what this endpoint may be called.
            scope: what the session is narrowed to, as the caller of this understands it; empty for everything.
            source: the caller's address block, for the tally of refusals only.

        Raises:
            SignInError: anything was wrong; one answer.
            TooManyAttemptsError: more tokens than a system can need; wait.
        """
        try:
            for _ in range(_TRIES):
                try:
                    return await self._signed_in(assertion, frozenset(audience), scope)
                except ConflictError:
                    continue  # another assertion of the same system was burned in this moment
            raise too_many(SECOND)
        except SignInError:
            await self._sign_in.refused("key", source)
            raise

    async def _signed_in(self, assertion: str, audience: frozenset[str], scope: tuple[str, ...]) -> SignedIn:
        now = self._clock.now()
        user, factor, claims = await self._proved(assertion, now)
        audiences = claims.get("aud")
        named = set(audiences) if isinstance(audiences, list) else {audiences}
        jti, ends = claims.get("jti"), claims.get("exp")
        good = (
            claims.get("iss") == claims.get("sub") == user.login
            and all(isinstance(one, str) for one in named)
            and bool(named & audience)
            and isinstance(jti, str)
            and 0 < len(jti) <= 256
            and isinstance(ends, int | float)
            and now - SKEW < ends * SECOND <= now + LONGEST_ASSERTION + SKEW
            and not _later(claims.get("nbf"), now)
            and not _later(claims.get("iat"), now)
        )
        if not good:
            raise refusal()
        burned = await self._burned(factor, str(jti), int(ends or 0) + 1, now)
        token, session = await self._sessions.begun(user, method=BY_KEY, at=now, scope=scope)
        entry = await self._auditor.entry(
            AuditAction.SIGNED_IN,
            administration=user.administration,
            actor=user,
            role=Role.SYSTEM,
            object=str(user.id),
            case=None,
            outcome="permit",
            detail={"method": BY_KEY},
        )
        over = [row for row in await self._store.sessions_of(user.id) if row.ends_at <= now]
        changes: tuple[Change, ...] = (
            Update(burned),
            Insert(session),
            *(Delete(type(row), row.key) for row in over),  # four an hour, around the clock
        )
        try:
            await self._store.commit(Work(expects=(fact(user),), changes=changes, entries=(entry,)))
        except DecisionStaleError:
            raise refusal() from None  # disabled in this moment
        return SignedIn(token, session)

    async def _proved(self, assertion: str, now: Instant) -> tuple[User, Factor, Mapping[str, Any]]:
        try:
            login = self._assertions.issuer(assertion)
            row = await self._store.user_by_login(login)
            key = await self._store.get(Factor, row.id, FactorKind.KEY) if row is not None and row.is_system else None
            if row is None or key is None:
                raise refusal()
            user, factor = await self._alarms.checked(row), await self._alarms.checked(key)
            claims = self._assertions.claims(assertion, factor.secret)
        except (ValueError, IntegrityError):
            raise refusal() from None
        if user.state is not UserState.ACTIVE or not factor.usable_from <= now < factor.ends_at:
            raise refusal()
        return user, factor, claims

    async def _burned(self, factor: Factor, jti: str, until_s: int, now: Instant) -> Factor:
        """The factor with this assertion among the used ones; those out of time are forgotten."""
        since = (now - SKEW) // SECOND
        used = tuple(one for one in factor.used if int(one.partition(":")[0]) >= since)
        digest = hashlib.sha256(jti.encode()).hexdigest()
        if any(one.partition(":")[2] == digest for one in used):
            raise refusal()
        if len(used) >= MOST_ASSERTIONS:
            raise too_many(MINUTE)
        return await self._integrity.sign(
            dataclasses.replace(factor, used=(*used, f"{until_s}:{digest}"), version=factor.version + 1)
        )


def _later(claim: object, now: Instant) -> bool:
    """Whether a time that may be left out lies ahead, or is none (RFC 7519 §4.1)."""
    return claim is not None and not (isinstance(claim, int | float) and claim * SECOND <= now + SKEW)


def refusal() -> SignInError:
    """One answer for unknown, disabled, ended and wrong."""
    return SignInError(
        "the assertion was not accepted",
        swedish="Systemets inloggning godtogs inte.",
        next_step="Kontrollera klient-id, nyckel, mottagare (aud), tid och att intyget inte har använts förut.",
    )


def _bad(what: str, swedish: str) -> InvalidRequestError:
    return InvalidRequestError(f"{what} cannot be used", swedish=swedish, next_step="Rätta och försök igen.")
