"""Users and proposed members over the API, for an administrator: what stands, and one act at a time.

Why this exists: an authority's own user register closes accounts and proposes members; the rules, and what each act
asks and logs, are `gateway.administration`'s. A new password or code app is told in the answer of the call that made
it, once: the call is keyed, so a lost answer is asked for again with the same Idempotency-Key.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Final

from pydantic import Field

from adapters.http.api.inboxes import InboxLine
from adapters.http.api.rows import call_row
from adapters.http.api.shapes import At, Id, InboxName
from adapters.http.routes import Call, Model, Scope, Tag
from gateway.administration import REPLACES, Account, UserAct
from gateway.errors import NotFoundError
from gateway.factors import NEVER
from gateway.handover import Secret
from gateway.members import MAX_RISK
from gateway.model.base import InboxId, UserId
from gateway.model.classes import PrivacyClass
from gateway.model.identity import MembershipRole, MembershipState, User, UserState


class UserLine(Model):
    id: Id
    login: str
    title: str
    administration: str
    roles: tuple[str, ...]
    state: UserState


class UserList(Model):
    users: list[UserLine]


class InboxRole(Model):
    inbox: InboxName
    role: MembershipRole
    state: MembershipState


class AccountBody(Model):
    """`waits_until` is when the next try is looked at; null with `locked` means not before it is unlocked."""

    user: UserLine
    memberships: list[InboxRole]
    sessions: int
    failures: int
    locked: bool
    waits_until: At | None
    possible: list[UserAct]


class SecretBody(Model):
    """What the user must be told; what was not changed is empty."""

    login: str
    password: str
    uri: Annotated[str, Field(description="otpauth-adressen för kodappen.")]
    usable_from: At | None


class ActBody(Model):
    act: UserAct


class ActDone(Model):
    before: AccountBody
    after: AccountBody
    secrets: list[SecretBody]


class ProposedLine(Model):
    inbox: InboxName
    user: UserLine
    role: MembershipRole
    proposed_at: At
    admitters: list[UserLine]


class ProposedList(Model):
    proposed: list[ProposedLine]


class CandidateList(Model):
    """`begun` is that the inbox has its first two members; without them nobody can let anybody in."""

    inbox: InboxLine
    users: list[UserLine]
    begun: bool


class NewMember(Model):
    """`ceiling` and `risk_decision` are a system's: the highest class that it may open there, and who decided it."""

    user: Id
    role: MembershipRole
    ceiling: Annotated[PrivacyClass | None, Field(description="Bara för system; P2 när inget sägs.")] = None
    risk_decision: Annotated[
        str, Field(max_length=MAX_RISK, description="Riskbeslutets beteckning; krävs över P2.")
    ] = ""


class MemberLine(Model):
    inbox: InboxName
    user: Id
    role: MembershipRole
    state: MembershipState
    ceiling: str


async def list_users(call: Call) -> UserList:
    return UserList(users=[_user(user) for user in await call.gateway.administering.users(call.signed)])


async def read_user(call: Call) -> AccountBody:
    return _account(await call.gateway.administering.account(call.signed, UserId(call.part("user"))))


async def act_on_user(call: Call) -> ActDone:
    body: ActBody = call.body
    key = f"api:{call.key}" if call.key else secrets.token_hex(16)
    before, after = await call.gateway.administering.act(call.signed, UserId(call.part("user")), body.act, key=key)
    return ActDone(before=_account(before), after=_account(after), secrets=_secrets(call, key, body.act))


async def list_proposed(call: Call) -> ProposedList:
    return ProposedList(
        proposed=[
            ProposedLine(
                inbox=one.inbox.id,
                user=_user(one.user),
                role=one.membership.role,
                proposed_at=one.membership.proposed_at,
                admitters=[_user(user) for user in one.admitters],
            )
            for one in await call.gateway.administering.proposed(call.signed)
        ]
    )


async def list_candidates(call: Call) -> CandidateList:
    found = await call.gateway.administering.candidates(call.signed, InboxId(call.part("inbox")))
    return CandidateList(
        inbox=InboxLine.of(found.inbox), users=[_user(user) for user in found.users], begun=found.begun
    )


async def propose_member(call: Call) -> MemberLine:
    body: NewMember = call.body
    inbox = InboxId(call.part("inbox"))
    proposed = await call.gateway.administering.propose(
        call.signed,
        inbox,
        UserId(body.user),
        body.role,
        ceiling=body.ceiling,
        risk_decision=body.risk_decision,
    )
    return MemberLine.of(proposed)


async def withdraw_proposal(call: Call) -> None:
    inbox, user = InboxId(call.part("inbox")), UserId(call.part("user"))
    await call.gateway.administering.withdraw(call.signed, inbox, user)


def _user(user: User) -> UserLine:
    return UserLine.of(user)


def _account(account: Account) -> AccountBody:
    waits = account.waits_until
    return AccountBody(
        user=_user(account.user),
        memberships=[InboxRole(inbox=inbox.id, role=row.role, state=row.state) for inbox, row in account.memberships],
        sessions=account.sessions,
        failures=account.failures,
        locked=account.locked,
        waits_until=None if waits == NEVER else waits,
        possible=[one for one in UserAct if account.possible(one)],
    )


def _secrets(call: Call, key: str, done: UserAct) -> list[SecretBody]:
    """What the act made, while it is kept; a repeated call is told the same until its time is up."""
    if done not in REPLACES:
        return []
    try:
        kept = call.gateway.handover.show(call.signed, key).secrets
    except NotFoundError:
        return []
    return [_secret(one) for one in kept]


def _secret(one: Secret) -> SecretBody:
    return SecretBody(login=one.login, password=one.password, uri=one.uri, usable_from=one.usable_from)


ACTS: Final = "user_disabled, user_enabled, user_unlocked, session_ended or factor_replaced"
PROPOSAL: Final = "/inboxes/{inbox}/proposals"
ROUTES: Final = (
    call_row(
        "GET",
        "/users",
        list_users,
        "Användare",
        tag=Tag.MANAGE,
        audit="users_read",
        gives=UserList,
        scope=Scope.GATEWAY,
    ),
    call_row(
        "GET",
        "/users/{user}",
        read_user,
        "En användare",
        tag=Tag.MANAGE,
        audit="users_read",
        gives=AccountBody,
        scope=Scope.GATEWAY,
        fails=(NotFoundError,),
    ),
    call_row(
        "POST",
        "/users/{user}/acts",
        act_on_user,
        "Ändra ett konto: stäng av, öppna, lås upp, logga ut, byt lösenord eller kodapp",
        tag=Tag.MANAGE,
        audit=ACTS,
        takes=ActBody,
        gives=ActDone,
        scope=Scope.GATEWAY,
        fails=(NotFoundError,),
        keyed=True,
    ),
    call_row(
        "GET",
        "/members/proposed",
        list_proposed,
        "Väntande medlemmar",
        tag=Tag.MANAGE,
        audit="users_read",
        gives=ProposedList,
        scope=Scope.GATEWAY,
    ),
    call_row(
        "GET",
        "/inboxes/{inbox}/candidates",
        list_candidates,
        "Vilka som kan föreslås till en inkorg",
        tag=Tag.MANAGE,
        audit="none: who may be proposed",
        gives=CandidateList,
        scope=Scope.GATEWAY,
        fails=(NotFoundError,),
    ),
    call_row(
        "POST",
        PROPOSAL,
        propose_member,
        "Föreslå en medlem",
        tag=Tag.MANAGE,
        audit="member_proposed",
        takes=NewMember,
        gives=MemberLine,
        status=201,
        scope=Scope.GATEWAY,
        fails=(NotFoundError,),
    ),
    call_row(
        "DELETE",
        f"{PROPOSAL}/{{user}}",
        withdraw_proposal,
        "Dra tillbaka ett förslag",
        tag=Tag.MANAGE,
        audit="member_removed",
        scope=Scope.GATEWAY,
        fails=(NotFoundError,),
    ),
)
