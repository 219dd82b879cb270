"""Sessions, factors, inboxes and members over the API."""

from __future__ import annotations

from typing import Final

from adapters.http.api.rows import call_row
from adapters.http.api.shapes import cursor_of, cursor_text, limit_of
from adapters.http.routes import Call, Model, Rate, Scope
from adapters.http.server import address_block
from gateway.decide import AccessAction
from gateway.model.base import InboxId, UserId


class SignIn(Model):
    login: str
    password: str
    code: str


class Token(Model):
    token: str
    ends_at: int
    user: str


class SessionLine(Model):
    id: str
    started_at: int
    seen_at: int
    ends_at: int
    method: str


class SessionList(Model):
    sessions: list[SessionLine]


class Code(Model):
    code: str


class Window(Model):
    inbox: str
    ends_at: int


class InboxLine(Model):
    id: str
    name: str
    kind: str
    unit: str
    accepts: list[str]


class InboxList(Model):
    inboxes: list[InboxLine]


class MessageLine(Model):
    envelope: str
    message: str
    case: str
    case_reference: str
    form_type: str
    sender: str
    state: str
    delivered_at: int
    read: bool


class MessagePage(Model):
    messages: list[MessageLine]
    next: str


class Member(Model):
    user: str
    role: str
    state: str
    bootstrap: bool
    admitted_by: str


class MemberList(Model):
    members: list[Member]


async def sign_in(call: Call) -> Token:
    body: SignIn = call.body
    done = await call.gateway.sign_in.sign_in(body.login, body.password, body.code, source=address_block(call.request))
    return Token(token=done.token, ends_at=done.session.ends_at, user=done.session.user)


async def list_sessions(call: Call) -> SessionList:
    found = await call.gateway.sessions.list(call.signed.user)
    return SessionList(
        sessions=[
            SessionLine(
                id=row.id[:12], started_at=row.started_at, seen_at=row.seen_at, ends_at=row.ends_at, method=row.method
            )
            for row in found
        ]
    )


async def sign_out(call: Call) -> None:
    await call.gateway.sessions.end(call.signed)


async def step_up(call: Call) -> Window:
    body: Code = call.body
    inbox = InboxId(call.part("inbox"))
    standing = await call.gateway.rights.act(call.signed, inbox, AccessAction.LIST_INBOX)
    window = await call.gateway.sessions.step_up(call.signed, standing.inbox, body.code)
    return Window(inbox=window.inbox, ends_at=window.ends_at)


async def list_inboxes(call: Call) -> InboxList:
    found = await call.gateway.inboxes.mine(call.signed)
    return InboxList(
        inboxes=[
            InboxLine(id=box.id, name=box.name, kind=box.kind, unit=box.unit, accepts=list(box.accepts))
            for box in found
        ]
    )


async def list_messages(call: Call) -> MessagePage:
    limit = limit_of(call.request)
    lines = await call.gateway.inboxes.page(
        call.signed, InboxId(call.part("inbox")), after=cursor_of(call.request), limit=limit
    )
    last = lines[-1].item if len(lines) == limit else None
    return MessagePage(
        messages=[
            MessageLine(
                envelope=line.item.envelope,
                message=line.item.message,
                case=line.item.case,
                case_reference=line.item.case_reference,
                form_type=line.item.form_type,
                sender=line.item.sender,
                state=line.item.state,
                delivered_at=line.item.delivered_at,
                read=line.read,
            )
            for line in lines
        ],
        next=cursor_text(last.delivered_at, last.delivery) if last else "",
    )


async def list_members(call: Call) -> MemberList:
    found = await call.gateway.inboxes.members(call.signed, InboxId(call.part("inbox")))
    return MemberList(
        members=[
            Member(user=row.user, role=row.role, state=row.state, bootstrap=row.bootstrap, admitted_by=row.admitted_by)
            for row in found
        ]
    )


async def admit(call: Call) -> None:
    await call.gateway.inboxes.admit(call.signed, InboxId(call.part("inbox")), UserId(call.part("user")))


ROUTES: Final = (
    call_row(
        "POST",
        "/sessions",
        sign_in,
        "Logga in med lösenord och kod",
        audit="signed_in",
        takes=SignIn,
        gives=Token,
        status=201,
        scope=Scope.NONE,
        rate=Rate.SIGN_IN,
    ),
    call_row(
        "GET",
        "/sessions",
        list_sessions,
        "Mina inloggningar",
        audit="none: the caller's own sessions",
        gives=SessionList,
        scope=Scope.OWN,
    ),
    call_row("DELETE", "/sessions/current", sign_out, "Logga ut", audit="session_ended", status=204, scope=Scope.OWN),
    call_row(
        "POST",
        "/inboxes/{inbox}/step-up",
        step_up,
        "Öppna ett fönster för läsning med en ny kod",
        audit="stepped_up",
        takes=Code,
        gives=Window,
        rate=Rate.SIGN_IN,
    ),
    call_row(
        "GET",
        "/inboxes",
        list_inboxes,
        "Mina inkorgar",
        audit="none: the caller's own memberships",
        gives=InboxList,
        scope=Scope.OWN,
    ),
    call_row(
        "GET",
        "/inboxes/{inbox}/messages",
        list_messages,
        "Det som har kommit till en inkorg",
        audit="none: lines hold no identity and no content",
        gives=MessagePage,
    ),
    call_row(
        "GET",
        "/inboxes/{inbox}/members",
        list_members,
        "Vilka som läser en inkorg",
        audit="none: every member may see the members",
        gives=MemberList,
    ),
    call_row(
        "POST",
        "/inboxes/{inbox}/members/{user}/admit",
        admit,
        "Släpp in en föreslagen medlem",
        audit="member_admitted",
        status=204,
    ),
)
