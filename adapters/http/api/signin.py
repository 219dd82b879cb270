"""Sessions, factors, inboxes and members over the API."""

from __future__ import annotations

from adapters.http.api.shapes import cursor_of, cursor_text, limit_of
from adapters.http.routes import Access, Call, Csrf, Model, Rate, Route, Scope
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


ROUTES = (
    Route(
        method="POST",
        path="/api/v1/sessions",
        handler=sign_in,
        access=Access.PUBLIC,
        scope=Scope.NONE,
        csrf=Csrf.BEARER,
        rate=Rate.SIGN_IN,
        audit="signed_in",
        takes=SignIn,
        gives=Token,
        status=201,
        summary="Logga in med lösenord och kod",
    ),
    Route(
        method="GET",
        path="/api/v1/sessions",
        handler=list_sessions,
        access=Access.SESSION,
        scope=Scope.OWN,
        csrf=Csrf.SAFE,
        rate=Rate.READ,
        audit="none: the caller's own sessions",
        takes=None,
        gives=SessionList,
        summary="Mina inloggningar",
    ),
    Route(
        method="DELETE",
        path="/api/v1/sessions/current",
        handler=sign_out,
        access=Access.SESSION,
        scope=Scope.OWN,
        csrf=Csrf.BEARER,
        rate=Rate.WRITE,
        audit="session_ended",
        takes=None,
        gives=None,
        status=204,
        summary="Logga ut",
    ),
    Route(
        method="POST",
        path="/api/v1/inboxes/{inbox}/step-up",
        handler=step_up,
        access=Access.SESSION,
        scope=Scope.INBOX,
        csrf=Csrf.BEARER,
        rate=Rate.SIGN_IN,
        audit="stepped_up",
        takes=Code,
        gives=Window,
        summary="Öppna ett fönster för läsning med en ny kod",
    ),
    Route(
        method="GET",
        path="/api/v1/inboxes",
        handler=list_inboxes,
        access=Access.SESSION,
        scope=Scope.OWN,
        csrf=Csrf.SAFE,
        rate=Rate.READ,
        audit="none: the caller's own memberships",
        takes=None,
        gives=InboxList,
        summary="Mina inkorgar",
    ),
    Route(
        method="GET",
        path="/api/v1/inboxes/{inbox}/messages",
        handler=list_messages,
        access=Access.SESSION,
        scope=Scope.INBOX,
        csrf=Csrf.SAFE,
        rate=Rate.READ,
        audit="none: lines hold no identity and no content",
        takes=None,
        gives=MessagePage,
        summary="Det som har kommit till en inkorg",
    ),
    Route(
        method="GET",
        path="/api/v1/inboxes/{inbox}/members",
        handler=list_members,
        access=Access.SESSION,
        scope=Scope.INBOX,
        csrf=Csrf.SAFE,
        rate=Rate.READ,
        audit="none: every member may see the members",
        takes=None,
        gives=MemberList,
        summary="Vilka som läser en inkorg",
    ),
    Route(
        method="POST",
        path="/api/v1/inboxes/{inbox}/members/{user}/admit",
        handler=admit,
        access=Access.SESSION,
        scope=Scope.INBOX,
        csrf=Csrf.BEARER,
        rate=Rate.WRITE,
        audit="member_admitted",
        takes=None,
        gives=None,
        status=204,
        summary="Släpp in en föreslagen medlem",
    ),
)
