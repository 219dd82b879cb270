"""Members: who reads an inbox is decided by those who read it already.

Why this exists: an administrator or an import that could add a reader would be one. So they only propose; a present
member admits, which makes the wrap, and everybody in the inbox sees who was admitted by whom. An inbox's first two
members come from the directory file as a bootstrap record that stays visible.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from gateway.audit import AuditAction, Auditor
from gateway.errors import ConflictError, ForbiddenError, NotFoundError
from gateway.integrity import Integrity
from gateway.model.base import UserId, fact
from gateway.model.directory import Inbox
from gateway.model.identity import Membership, MembershipRole, MembershipState, User, UserState
from gateway.model.log import LogEntry
from gateway.ports import Clock, Insert, KeyMaker, Store, Update, Work


class Members:
    """Propose, admit, remove and check members."""

    def __init__(self, store: Store, maker: KeyMaker, integrity: Integrity, auditor: Auditor, clock: Clock) -> None:
        self._store = store
        self._maker = maker
        self._integrity = integrity
        self._auditor = auditor
        self._clock = clock

    async def require_member(self, user: User, inbox: Inbox) -> Membership:
        """The user's active membership, checked.

        Raises:
            NotFoundError: none, pending or removed: the inbox does not exist for them.
            IntegrityError: the row was changed past the gateway.
        """
        membership = await self._store.get(Membership, inbox.id, user.id)
        if membership is None:
            raise _absent()
        await self._integrity.check(membership)
        if membership.state is not MembershipState.ACTIVE or membership.administration != inbox.administration:
            raise _absent()
        return membership

    async def list(self, inbox: Inbox) -> list[Membership]:
        """Everybody who is, was or is proposed to be a member; visible to all members."""
        return [await self._integrity.check(row) for row in await self._store.members_of(inbox.id)]

    async def bootstrap(self, inbox: Inbox, users: Sequence[tuple[User, MembershipRole]], *, by: str) -> None:
        """The first members of a new inbox, at most two, and its first key epoch."""
        now = self._clock.now()
        if not 1 <= len(users) <= 2:
            raise ValueError("an inbox begins with one or two members")
        made = await self._maker.inbox(inbox, [user.id for user, _ in users], by=by, at=now)
        rows = [
            await self._integrity.sign(
                Membership(
                    administration=inbox.administration,
                    inbox=inbox.id,
                    user=user.id,
                    role=role,
                    state=MembershipState.ACTIVE,
                    bootstrap=True,
                    admitted_by=by,
                    proposed_at=now,
                    decided_at=now,
                )
            )
            for user, role in users
        ]
        entries = [await self._entry(AuditAction.KEY_RECORDED, inbox, None, str(inbox.id), by)]
        entries += [
            await self._entry(AuditAction.MEMBER_ADMITTED, inbox, None, str(user.id), "bootstrap") for user, _ in users
        ]
        changes = (*made.changes, *(Insert(row) for row in rows))
        await self._store.commit(Work(changes=changes, entries=tuple(entries)))

    async def propose(self, inbox: Inbox, user: User, role: MembershipRole) -> Membership | None:
        """Propose a member; None when they are one already, or are proposed."""
        now = self._clock.now()
        before = await self._store.get(Membership, inbox.id, user.id)
        if before is not None and before.state is not MembershipState.REMOVED:
            return None
        row = await self._integrity.sign(
            Membership(
                administration=inbox.administration,
                inbox=inbox.id,
                user=user.id,
                role=role,
                state=MembershipState.PENDING,
                proposed_at=now,
                version=before.version + 1 if before else 1,
            )
        )
        entry = await self._entry(AuditAction.MEMBER_PROPOSED, inbox, None, str(user.id), "pending")
        await self._store.commit(Work(changes=(Update(row) if before else Insert(row),), entries=(entry,)))
        return row

    async def admit(self, inbox: Inbox, user_id: UserId, *, by: User) -> Membership:
        """Admit a proposed member: their wrap is made through the wrap of `by`, who is present.

        Raises:
            NotFoundError: nobody of that id is proposed, or `by` is no member.
            ForbiddenError: nobody admits themselves.
            ConflictError: somebody else decided in the same moment.
        """
        approver = await self.require_member(by, inbox)
        if user_id == by.id:
            raise ForbiddenError("nobody admits themselves", swedish="Du kan inte släppa in dig själv.")
        proposed = await self._store.get(Membership, inbox.id, user_id)
        user = await self._store.get(User, user_id)
        if proposed is None or user is None or proposed.state is not MembershipState.PENDING:
            raise _absent()
        await self._integrity.check(proposed)
        await self._integrity.check(user)
        if user.state is not UserState.ACTIVE:
            raise _absent()
        now = self._clock.now()
        made = await self._maker.admit(inbox, user.id, by=by.id, at=now)
        admitted = await self._integrity.sign(
            dataclasses.replace(
                proposed,
                state=MembershipState.ACTIVE,
                admitted_by=by.id,
                decided_at=now,
                version=proposed.version + 1,
            )
        )
        entries = (
            await self._entry(AuditAction.MEMBER_ADMITTED, inbox, by, str(user.id), "active"),
            await self._entry(AuditAction.KEY_RECORDED, inbox, by, made.record.id if made.record else "", "admit"),
        )
        await self._store.commit(
            Work(expects=(fact(approver),), changes=(*made.changes, Update(admitted)), entries=entries)
        )
        return admitted

    async def remove(self, inbox: Inbox, user_id: UserId, *, by: User) -> Membership:
        """Remove a member: effective with the next request. New key epochs come later (not yet here).

        Raises:
            ConflictError: the last member cannot be removed without a successor.
        """
        await self.require_member(by, inbox)
        member = await self._store.get(Membership, inbox.id, user_id)
        if member is None or member.state is MembershipState.REMOVED:
            raise _absent()
        await self._integrity.check(member)
        active = [row for row in await self.list(inbox) if row.state is MembershipState.ACTIVE]
        if [row.user for row in active] == [user_id]:
            raise ConflictError(
                "the last member stays",
                swedish="Den sista medlemmen kan inte tas bort: då kan ingen läsa inkorgen.",
                next_step="Släpp in en efterträdare först.",
            )
        removed = await self._integrity.sign(
            dataclasses.replace(
                member, state=MembershipState.REMOVED, decided_at=self._clock.now(), version=member.version + 1
            )
        )
        entry = await self._entry(AuditAction.MEMBER_REMOVED, inbox, by, str(user_id), "removed")
        await self._store.commit(Work(changes=(Update(removed),), entries=(entry,)))
        return removed

    async def _entry(
        self, action: AuditAction, inbox: Inbox, actor: User | None, target: str, outcome: str
    ) -> LogEntry:
        return await self._auditor.entry(
            action,
            administration=inbox.administration,
            actor=actor,
            role="+".join(actor.roles) if actor else "bootstrap",
            object=target,
            case=None,
            outcome=outcome,
            detail={"inbox": inbox.id},
        )


def _absent() -> NotFoundError:
    return NotFoundError("no such inbox or member", swedish="Inkorgen eller medlemmen finns inte, eller är inte din.")
