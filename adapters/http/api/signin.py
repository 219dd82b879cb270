"""Sessions over the API: sign in, see and end sessions, and open a window for reading with a fresh code."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from adapters.http.address import address_block
from adapters.http.api.rows import call_row
from adapters.http.api.shapes import At, Id, InboxName
from adapters.http.parameters import PARTS
from adapters.http.routes import Call, Model, Rate, Scope, Tag
from gateway.decide import AccessAction
from gateway.errors import NotFoundError, SignInError, TooManyAttemptsError
from gateway.model.base import InboxId
from gateway.sessions import Signed

SHOWN: Final = 12  # characters of a session's id that lists show

Login = Annotated[str, Field(pattern="^[^\\x00-\\x1f\\x7f]{0,256}$", examples=["al-sos"])]
TotpCode = Annotated[str, Field(pattern="^[0-9]{6}$", examples=["123456"], description="Koden i kodappen.")]


class SignIn(Model):
    login: Login
    password: Annotated[str, Field(max_length=1024, examples=["lugn-trappa-vinge-kaffekopp"])]
    code: TotpCode


class Token(Model):
    """What later calls carry: `Authorization: Bearer <token>`."""

    token: str
    ends_at: At
    user: Id


class SessionLine(Model):
    id: Annotated[str, Field(pattern=PARTS["session"].pattern)]
    started_at: At
    seen_at: At
    ends_at: At
    method: str
    current: bool


class SessionList(Model):
    sessions: list[SessionLine]


class Code(Model):
    code: TotpCode


class Window(Model):
    inbox: InboxName
    ends_at: At


async def sign_in(call: Call) -> Token:
    body: SignIn = call.body
    done = await call.gateway.sign_in.sign_in(body.login, body.password, body.code, source=address_block(call.request))
    return Token(token=done.token, ends_at=done.session.ends_at, user=done.session.user)


async def list_sessions(call: Call) -> SessionList:
    return SessionList(
        sessions=[
            SessionLine(
                id=row.id[:SHOWN],
                started_at=row.started_at,
                seen_at=row.seen_at,
                ends_at=row.ends_at,
                method=row.method,
                current=row.id == call.signed.session.id,
            )
            for row in await call.gateway.sessions.list(call.signed.user)
        ]
    )


async def sign_out(call: Call) -> None:
    await call.gateway.sessions.end(call.signed)


async def end_session(call: Call) -> None:
    await _end(call, call.signed, call.part("session"))


async def _end(call: Call, signed: Signed, shown: str) -> None:
    for row in await call.gateway.sessions.list(signed.user):
        if row.id[:SHOWN] == shown:
            return await call.gateway.sessions.end(signed, row.id)
    raise NotFoundError(
        "no such session", swedish="Inloggningen finns inte längre.", next_step="Läs in listan över inloggningar igen."
    )


async def step_up(call: Call) -> Window:
    body: Code = call.body
    standing = await call.gateway.rights.act(call.signed, InboxId(call.part("inbox")), AccessAction.LIST_INBOX)
    window = await call.gateway.windows.open(call.signed, standing.inbox, body.code)
    return Window(inbox=window.inbox, ends_at=window.ends_at)


ROUTES: Final = (
    call_row(
        "POST",
        "/sessions",
        sign_in,
        "Logga in med lösenord och kod",
        tag=Tag.SIGN_IN,
        audit="signed_in",
        takes=SignIn,
        gives=Token,
        status=201,
        scope=Scope.NONE,
        rate=Rate.SIGN_IN,
        fails=(SignInError, TooManyAttemptsError),
    ),
    call_row(
        "GET",
        "/sessions",
        list_sessions,
        "Mina inloggningar",
        tag=Tag.SIGN_IN,
        audit="none: the caller's own sessions",
        gives=SessionList,
        scope=Scope.OWN,
    ),
    call_row(
        "DELETE",
        "/sessions/current",
        sign_out,
        "Logga ut",
        tag=Tag.SIGN_IN,
        audit="session_ended",
        scope=Scope.OWN,
    ),
    call_row(
        "DELETE",
        "/sessions/{session}",
        end_session,
        "Avsluta en av mina inloggningar",
        tag=Tag.SIGN_IN,
        audit="session_ended",
        scope=Scope.OWN,
    ),
    call_row(
        "POST",
        "/inboxes/{inbox}/step-up",
        step_up,
        "Öppna ett fönster för läsning med en ny kod",
        tag=Tag.SIGN_IN,
        audit="stepped_up",
        takes=Code,
        gives=Window,
        rate=Rate.SIGN_IN,
        fails=(SignInError, TooManyAttemptsError),
    ),
)
