"""One place that answers "who is asking, and from which inbox": membership first, then the role rules.

Why this exists: every act of the path starts alike. The inbox must be one the user is a present member of (else it
does not exist for them), the role must allow the act (else it is refused and logged), and all of it are facts that
the commit re-reads.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.audit import AuditAction, Auditor
from gateway.decide import AccessAction, AccessRequest, Decider
from gateway.directory import Directory, Snapshot
from gateway.errors import ForbiddenError, NotFoundError
from gateway.forms.names import REFERRAL
from gateway.members import Members
from gateway.model.base import GATEWAY, Fact, InboxId, fact
from gateway.model.directory import Inbox
from gateway.model.identity import Membership, Role
from gateway.ports import Store, Work
from gateway.sessions import Signed


@dataclass(frozen=True, slots=True)
class Standing:
    """A user acting in one inbox, and the facts that make it so."""

    signed: Signed
    inbox: Inbox
    membership: Membership
    directory: Snapshot

    @property
    def facts(self) -> tuple[Fact, ...]:
        """User, membership and directory, as they were read."""
        return (fact(self.signed.user), fact(self.membership), self.directory.fact)

    @property
    def role(self) -> str:
        """The function that acts, for the log: roles of the user and the role in the inbox."""
        return f"{'+'.join(self.signed.user.roles)}/{self.membership.role}"


class Rights:
    """Checks who may act, and logs those who may not."""

    def __init__(
        self, store: Store, directory: Directory, members: Members, decider: Decider, auditor: Auditor
    ) -> None:
        self._store = store
        self._directory = directory
        self._members = members
        self._decider = decider
        self._auditor = auditor

    async def act(
        self,
        signed: Signed,
        inbox: InboxId,
        action: AccessAction,
        *,
        form_type: str = "",
        absent: NotFoundError | None = None,
    ) -> Standing:
        """`signed` acting in `inbox`.

        Args:
            absent: what is told to whoever named a thing that lies in somebody else's inbox: the same as when there
                is no such thing.

        Raises:
            NotFoundError: no such inbox, or not a present member of it; the two are one answer.
            ForbiddenError: a member whose role does not allow `action`; the try is logged.
        """
        directory = await self._directory.current()
        try:
            found = directory.inbox(inbox)
        except KeyError:
            raise NotFoundError("no such inbox", swedish="Inkorgen finns inte, eller är inte din.") from None
        try:
            membership = await self._members.require_member(signed.user, found)
        except NotFoundError:
            await self._log_refusal(signed, found.administration, str(inbox), action)
            if absent is not None:
                raise absent from None
            raise
        standing = Standing(signed, found, membership, directory)
        try:
            await self._decider.require_access(_asked(standing, action, form_type))
        except ForbiddenError:
            await self._log_refusal(signed, found.administration, str(inbox), action)
            raise
        return standing

    async def may(self, standing: Standing, action: AccessAction, *, form_type: str = "") -> bool:
        """Whether the act would be allowed: for pages that do not show a button that leads to a refusal."""
        try:
            await self._decider.require_access(_asked(standing, action, form_type))
        except ForbiddenError:
            return False
        return True

    async def allowed(self, standing: Standing) -> frozenset[AccessAction]:
        """Everything that the role allows in this inbox, so that a page offers nothing else; SEND is a referral's."""
        found = set()
        for action in AccessAction:
            form_type = REFERRAL if action is AccessAction.SEND else ""
            if await self.may(standing, action, form_type=form_type):
                found.add(action)
        return frozenset(found)

    async def without_inbox(self, signed: Signed, action: AccessAction) -> None:
        """An act that belongs to no inbox: reading the log, applying the directory.

        Raises:
            ForbiddenError: the role does not allow it; the try is logged.
        """
        request = AccessRequest(action=action, roles=frozenset(Role(role) for role in signed.user.roles))
        try:
            await self._decider.require_access(request)
        except ForbiddenError:
            await self._log_refusal(signed, GATEWAY, "", action)
            raise

    async def _log_refusal(self, signed: Signed, administration: str, target: str, action: AccessAction) -> None:
        entry = await self._auditor.entry(
            AuditAction.ACCESS_REFUSED,
            administration=signed.user.administration,
            actor=signed.user,
            role="+".join(signed.user.roles),
            object=target,
            case=None,
            outcome="deny",
            detail={"action": action, "administration": administration},
        )
        await self._store.commit(Work(entries=(entry,)))


def _asked(standing: Standing, action: AccessAction, form_type: str) -> AccessRequest:
    return AccessRequest(
        action=action,
        roles=frozenset(Role(role) for role in standing.signed.user.roles),
        member=True,
        membership_role=standing.membership.role,
        inbox_kind=standing.inbox.kind,
        form_type=form_type,
    )
