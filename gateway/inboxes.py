"""The inboxes of a member: which there are, what lies in them, who else reads them."""

from __future__ import annotations

import builtins
from dataclasses import dataclass

from gateway.decide import AccessAction
from gateway.directory import Directory
from gateway.members import Members
from gateway.model.base import InboxId, UserId
from gateway.model.directory import Inbox
from gateway.model.identity import Membership, MembershipState, User
from gateway.model.path import InboxItem, Reading
from gateway.ports import Cursor, Store
from gateway.rights import Rights
from gateway.sessions import Signed

MAX_PAGE = 200
PAGE = 50


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an inbox, and whether this member has read it."""

    item: InboxItem
    read: bool


@dataclass(frozen=True, slots=True)
class Person:
    """A membership and whose it is: by function. `admitted_by` is empty for a bootstrap member, `system` is that nobody
    sits behind it."""

    membership: Membership
    title: str
    admitted_by: str
    system: bool


class Inboxes:
    """Lists, per member."""

    def __init__(self, store: Store, rights: Rights, members: Members, directory: Directory) -> None:
        self._store = store
        self._rights = rights
        self._members = members
        self._directory = directory

    async def mine(self, signed: Signed) -> builtins.list[Inbox]:
        """The inboxes that the user is a present member of."""
        directory = await self._directory.current()
        return [directory.inbox(row.inbox) for row in await self._members.inboxes_of(signed.user)]

    async def page(
        self, signed: Signed, inbox: InboxId, *, after: Cursor | None = None, limit: int = PAGE
    ) -> builtins.list[Line]:
        """One page of delivered envelopes, newest first, with the member's own reading marks."""
        await self._rights.act(signed, inbox, AccessAction.LIST_INBOX)
        items = await self._store.inbox_page(inbox, after=after, limit=max(1, min(limit, MAX_PAGE)))
        keys = [(item.envelope, signed.user.id) for item in items]
        read = {reading.envelope for reading in await self._store.get_many(Reading, keys)}
        return [Line(item, item.envelope in read) for item in items]

    async def members(self, signed: Signed, inbox: InboxId) -> builtins.list[Membership]:
        """Everybody who is, was or is proposed to be a member; every member may see it."""
        await self._rights.act(signed, inbox, AccessAction.LIST_INBOX)
        return await self._members.members(inbox)

    async def people(self, signed: Signed, inbox: InboxId) -> builtins.list[Person]:
        """`members`, with the functions behind the ids."""
        rows = await self.members(signed, inbox)
        ids = {str(row.user) for row in rows} | {row.admitted_by for row in rows if row.admitted_by}
        users = {str(user.id): user for user in await self._store.get_many(User, [(one,) for one in ids])}
        titles = {one: user.title for one, user in users.items()}
        systems = {one for one, user in users.items() if user.is_system}
        return [
            Person(row, titles.get(str(row.user), ""), titles.get(row.admitted_by, ""), str(row.user) in systems)
            for row in rows
        ]

    async def admit(self, signed: Signed, inbox: InboxId, user: UserId) -> Membership:
        """Let a proposed member in; only a present member can."""
        standing = await self._rights.act(signed, inbox, AccessAction.ADMIT_MEMBER)
        return await self._members.admit(standing.inbox, user, by=signed.user)

    async def remove(self, signed: Signed, inbox: InboxId, user: UserId) -> None:
        """Take a member out, or turn a proposal down; any present member can, also for oneself. Gone is no error.

        Raises:
            NotFoundError: not a present member oneself, or there never was such a member.
            ForbiddenError: the last member stays; a system takes nobody out.
        """
        standing = await self._rights.act(signed, inbox, AccessAction.ADMIT_MEMBER)
        row = await self._store.get(Membership, inbox, user)
        if row is not None and row.state is MembershipState.REMOVED:
            return
        await self._members.remove(standing.inbox, user, by=signed.user)
