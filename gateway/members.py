"""Membership: who belongs to an inbox, who let them in, and the keys that follow.

Why this exists: whoever joins an inbox can read it, its past included. So nobody is added by a file, a directory or an
administrator alone: those only propose, and a present member of the inbox lets the proposed one in, which is also what
makes the wrap (security-decisions H10b). All of it stays visible to all members.

Rules:
- An inbox's first two members come from the file, once, as a marked bootstrap.
- Membership, wrap, key record and log entry are one transaction.
- A member belongs to the authority that owns the inbox: the inbox is its secrecy domain (OSL 8:1).
- Absent, pending, removed and forbidden are one answer to the asker.

Not promised: removing a member makes no new epoch of the inbox key. What was removed is refused at each act and its
wraps are deleted; who kept a copy of the database *and* the keys from before can still open what was sealed before.
"""

from __future__ import annotations

import builtins
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.alarms import Alarms
from gateway.audit import AuditAction, Auditor
from gateway.errors import ConflictError, ForbiddenError, InvalidRequestError, NotFoundError
from gateway.integrity import Integrity
from gateway.model.base import InboxId, Instant, UserId, fact
from gateway.model.classes import PrivacyClass
from gateway.model.directory import Inbox
from gateway.model.identity import Membership, MembershipRole, MembershipState, User, UserState
from gateway.model.keys import InboxWrap, KeyHead, KeyRecordKind
from gateway.model.log import LogEntry
from gateway.ports import Change, Clock, Delete, Insert, KeyMaker, Store, Update, Work

BOOTSTRAP_MEMBERS: Final = 2
#: What a system may open without a risk decision: identity and contact, nothing that OSL 25 and 26 kap. protect (JUR).
CEILING: Final = PrivacyClass.P2
#: With one. A protected identity is for people, whatever was decided.
HIGHEST_CEILING: Final = PrivacyClass.P5
MAX_RISK: Final = 64  # characters of a risk decision's reference


class Members:
    """Acts on memberships, and the one question that every act of the path asks."""

    def __init__(self, store: Store, maker: KeyMaker, integrity: Integrity, auditor: Auditor, clock: Clock) -> None:
        self._store = store
        self._maker = maker
        self._integrity = integrity
        self._auditor = auditor
        self._clock = clock
        self._alarms = Alarms(store, integrity, auditor, clock)

    # --- asking ------------------------------------------------------------------------------------------------------

    async def require_member(self, user: User, inbox: Inbox) -> Membership:
        """The membership by which `user` acts in `inbox`; make it a `fact` of what is decided.

        Raises:
            NotFoundError: never proposed, pending, removed or of another authority: one answer.
            IntegrityError: the row was planted or altered; an alarm was raised.
        """
        row = await self._store.get(Membership, inbox.id, user.id)
        if row is None:
            raise _not_found()
        membership = await self._alarms.checked(row, actor=user)
        if membership.state is not MembershipState.ACTIVE or not _same_authority(user, inbox, membership):
            raise _not_found()
        return membership

    async def members(self, inbox: InboxId) -> builtins.list[Membership]:
        """Everybody who is, was or is proposed to be a member, with bootstrap mark and who let them in.

        Raises:
            IntegrityError: a row was planted or altered; an alarm was raised, and no list is shown as if it were true.
        """
        return [await self._alarms.checked(row) for row in await self._store.members_of(inbox)]

    async def inboxes_of(self, user: User) -> builtins.list[Membership]:
        """The active memberships of `user`."""
        rows = [await self._alarms.checked(row, actor=user) for row in await self._store.memberships_of(user.id)]
        return [row for row in rows if row.state is MembershipState.ACTIVE]

    # --- acting ------------------------------------------------------------------------------------------------------

    async def propose(
        self,
        inbox: Inbox,
        user: UserId,
        role: MembershipRole,
        *,
        by: User | None,
        ceiling: PrivacyClass | None = None,
        risk_decision: str = "",
    ) -> Membership:
        """Propose a member, who reads nothing until a present member agrees. `by` is None for an import.

        Somebody who was removed may be proposed again, and waits like everybody.

        Args:
            ceiling: the highest class that a system may open here; P2 when nothing is said. People have none.
            risk_decision: what the decision to let a system open more than P2 is called in the authority's register.

        Raises:
            InvalidRequestError: the user belongs to another authority; a ceiling for a person, above P5, or above P2
                without a risk decision; a system as deputy.
            ConflictError: a member already, or proposed already.
        """
        now = self._clock.now()
        found = await self._user(user)
        _require_same_authority(found, inbox)
        highest = _ceiling(found, role, ceiling, risk_decision)
        before = await self._row(inbox.id, user)
        if before is not None and before.state is not MembershipState.REMOVED:
            raise _conflict("member already, or proposed already", "Personen är redan medlem eller redan föreslagen.")
        proposed = await self._integrity.sign(
            Membership(
                administration=inbox.administration,
                inbox=inbox.id,
                user=user,
                role=role,
                state=MembershipState.PENDING,
                proposed_at=now,
                ceiling=highest,
                version=before.version + 1 if before else 1,
            )
        )
        told = {"ceiling": highest, "risk_decision": risk_decision} if highest else {}
        entry = await self._entry(AuditAction.MEMBER_PROPOSED, inbox, by, {"member": user, "role": role, **told})
        await self._store.commit(Work(expects=(fact(found),), changes=(_put(proposed),), entries=(entry,)))
        return proposed

    async def bootstrap(
        self, inbox: Inbox, users: Sequence[tuple[User, MembershipRole]], *, by: str
    ) -> builtins.list[Membership]:
        """The first two members of an inbox and epoch 1 of its key, in one transaction; it works once.

        Args:
            users: two different people, whose member keys are committed, and their roles; proposed before or not.
            by: what named them, for the key record: the digest or name of the directory file.

        Raises:
            InvalidRequestError: not two people, or one of another authority.
            ConflictError: the inbox has a key already, and so had its first members.
        """
        if len(users) != BOOTSTRAP_MEMBERS or len({user.id for user, _ in users}) != BOOTSTRAP_MEMBERS:
            raise InvalidRequestError(
                "an inbox begins with two different members",
                swedish="En ny inkorg börjar med två olika medlemmar.",
                next_step="Ange två funktioner för inkorgen i adressboken.",
            )
        if await self._store.get(KeyHead, KeyRecordKind.INBOX, inbox.id) is not None:
            raise _conflict("the inbox has its first members", "Inkorgen har redan sina första medlemmar.")
        if any(user.is_system for user, _ in users):
            raise InvalidRequestError(
                "an inbox begins with two people",
                swedish="En ny inkorg börjar med två personer. Ett system släpps in av dem.",
                next_step="Ange två funktioner för inkorgen i adressboken.",
            )
        now = self._clock.now()
        rows = [await self._first(inbox, user, role, now) for user, role in users]
        ceremony = await self._maker.inbox(inbox, [user.id for user, _ in users], by=by, at=now)
        entries = [
            await self._entry(AuditAction.MEMBER_ADMITTED, inbox, None, {"member": user.id, "bootstrap": True})
            for user, _ in users
        ]
        await self._store.commit(
            Work(
                expects=tuple(fact(user) for user, _ in users),
                changes=(*ceremony.changes, *(_put(row) for row in rows)),
                entries=tuple(entries),
            )
        )
        return rows

    async def _first(self, inbox: Inbox, user: User, role: MembershipRole, now: Instant) -> Membership:
        _require_same_authority(await self._alarms.checked(user), inbox)
        proposed = await self._row(inbox.id, user.id)
        first = Membership(
            administration=inbox.administration,
            inbox=inbox.id,
            user=user.id,
            role=role,
            state=MembershipState.ACTIVE,
            bootstrap=True,
            proposed_at=proposed.proposed_at if proposed else now,
            decided_at=now,
            version=proposed.version + 1 if proposed else 1,
        )
        return await self._integrity.sign(first)

    async def admit(self, inbox: Inbox, user: UserId, *, by: User) -> Membership:
        """Let a proposed member in, as a present member: membership, wrap, record and log entry at once.

        Raises:
            NotFoundError: `by` is no present member, or nobody such is proposed.
            ForbiddenError: one does not admit oneself.
            IntegrityError: one of the rows was planted or altered.
            DecisionStaleError, ConflictError: something moved meanwhile; nothing was kept.
        """
        if by.id == user:
            raise ForbiddenError(
                "nobody admits oneself",
                swedish="Du kan inte godkänna dig själv som medlem.",
                next_step="Be en annan medlem i inkorgen att godkänna dig.",
            )
        now = self._clock.now()
        admitting = await self.require_member(by, inbox)
        proposed = await self._row(inbox.id, user)
        if proposed is None or proposed.state is not MembershipState.PENDING:
            raise NotFoundError(
                "nobody such is proposed",
                swedish="Det finns inget sådant förslag.",
                next_step="Läs in medlemslistan på nytt.",
            )
        newcomer = await self._user(user)
        _require_same_authority(newcomer, inbox)
        if newcomer.state is not UserState.ACTIVE:
            raise _conflict("the account is disabled", "Kontot är avstängt.")
        admitted = await self._integrity.sign(
            dataclasses.replace(
                proposed,
                state=MembershipState.ACTIVE,
                admitted_by=str(by.id),
                decided_at=now,
                version=proposed.version + 1,
            )
        )
        ceremony = await self._maker.admit(inbox, user, by=by.id, at=now)
        entry = await self._entry(AuditAction.MEMBER_ADMITTED, inbox, by, {"member": user, "role": proposed.role})
        await self._store.commit(
            Work(
                expects=(fact(by), fact(admitting), fact(newcomer)),
                changes=(*ceremony.changes, Update(admitted)),
                entries=(entry,),
            )
        )
        return admitted

    async def remove(self, inbox: Inbox, user: UserId, *, by: User) -> Membership:
        """Remove a member, or withdraw a proposal; the member's wraps go with it. Sessions and other inboxes stay.

        Removing takes effect at the next act, and within the next MiB of a running download. Who may remove is asked
        by the caller: any member, or an administrator at once (security-decisions H12).

        Raises:
            NotFoundError: no member and no proposal.
            ForbiddenError: the last member stays, or nobody could ever read, or admit, again.
        """
        now = self._clock.now()
        before = await self._row(inbox.id, user)
        if before is None or before.state is MembershipState.REMOVED:
            raise _not_found()
        staying = [
            row for row in await self.members(inbox.id) if row.state is MembershipState.ACTIVE and row.user != user
        ]
        if before.state is MembershipState.ACTIVE and not staying:
            raise ForbiddenError(
                "the last member of an inbox stays",
                swedish="Den sista medlemmen i en inkorg kan inte tas bort: då kan ingen längre läsa den.",
                next_step="Låt en ny medlem komma in först.",
            )
        removed = await self._integrity.sign(
            dataclasses.replace(before, state=MembershipState.REMOVED, decided_at=now, version=before.version + 1)
        )
        entry = await self._entry(AuditAction.MEMBER_REMOVED, inbox, by, {"member": user})
        await self._store.commit(
            Work(
                # That the others are still members: two who remove each other must not both succeed.
                expects=tuple(fact(row) for row in staying),
                changes=(Update(removed), *await self._without_wraps(inbox.id, user)),
                entries=(entry,),
            )
        )
        return removed

    async def _without_wraps(self, inbox: InboxId, user: UserId) -> tuple[Change, ...]:
        """A leaver's way into the key goes too, so that a membership put back by hand opens nothing."""
        head = await self._store.get(KeyHead, KeyRecordKind.INBOX, inbox)
        epochs = range(1, head.epoch + 1) if head else range(0)
        return tuple(Delete(InboxWrap, (inbox, epoch, user)) for epoch in epochs)

    async def _row(self, inbox: InboxId, user: UserId) -> Membership | None:
        row = await self._store.get(Membership, inbox, user)
        return await self._alarms.checked(row) if row else None

    async def _user(self, user: UserId) -> User:
        found = await self._store.get(User, user)
        if found is None:
            raise NotFoundError("no such user", swedish="Användaren finns inte.")
        return await self._alarms.checked(found)

    async def _entry(
        self, action: AuditAction, inbox: Inbox, by: User | None, detail: Mapping[str, object]
    ) -> LogEntry:
        return await self._auditor.entry(
            action,
            administration=inbox.administration,
            actor=by,
            role="+".join(by.roles) if by else "",
            object=str(inbox.id),
            case=None,
            outcome="done",
            detail=detail,
        )


def _ceiling(user: User, role: MembershipRole, ceiling: PrivacyClass | None, risk_decision: str) -> str:
    """The ceiling of a membership as it is kept; "" for people. Raises InvalidRequestError as `propose`."""
    if not user.is_system:
        if ceiling is not None or risk_decision:
            raise _bad("people have no ceiling", "Bara ett system har en högsta klass.")
        return ""
    if role is not MembershipRole.MEMBER:
        raise _bad("a system is nobody's deputy", "Ett system kan inte vara ersättare.")
    chosen = ceiling or CEILING
    if chosen > HIGHEST_CEILING:
        raise _bad("protected identities are for people", "Skyddade personuppgifter öppnas aldrig av ett system.")
    written = bool(risk_decision.strip()) and len(risk_decision) <= MAX_RISK and risk_decision.isprintable()
    if chosen > CEILING and not written:
        raise _bad(
            "more than P2 needs a risk decision",
            "Ett system som ska öppna mer än klass P2 kräver ett riskbeslut.",
            "Ange beslutets beteckning i diariet.",
        )
    return str(chosen)


def _bad(message: str, swedish: str, next_step: str = "Inget har ändrats.") -> InvalidRequestError:
    return InvalidRequestError(message, swedish=swedish, next_step=next_step)


def _put(row: Membership) -> Change:
    return Insert(row) if row.version == 1 else Update(row)


def _same_authority(user: User, inbox: Inbox, membership: Membership) -> bool:
    return user.administration == inbox.administration == membership.administration


def _require_same_authority(user: User, inbox: Inbox) -> None:
    if user.administration != inbox.administration:
        raise InvalidRequestError(
            f"user {user.id} belongs to another authority than inbox {inbox.id}",
            swedish="En inkorg har bara medlemmar från den myndighet som äger den.",
            next_step="Föreslå någon från samma förvaltning.",
        )


def _not_found() -> NotFoundError:
    return NotFoundError("no such inbox", swedish="Inkorgen finns inte, eller är inte din.")


def _conflict(message: str, swedish: str) -> ConflictError:
    return ConflictError(message, swedish=swedish, next_step="Läs in medlemslistan på nytt. Inget har ändrats.")
