"""Inboxes over the API: which are mine, what has come, who reads them, and the directory they stand in."""

from __future__ import annotations

from typing import Final

from adapters.http.api.rows import call_row
from adapters.http.api.shapes import Address, At, FormName, Id, InboxName, Next, cursor, cursor_text
from adapters.http.parameters import AFTER, limit
from adapters.http.routes import Call, Model, Scope, Tag
from gateway.errors import NotFoundError
from gateway.model.base import InboxId, UserId
from gateway.model.directory import InboxKind
from gateway.model.identity import MembershipRole, MembershipState
from gateway.states import DeliveryState


class InboxLine(Model):
    id: InboxName
    name: str
    kind: InboxKind
    unit: str
    accepts: tuple[FormName, ...]


class InboxList(Model):
    inboxes: list[InboxLine]


class ReceivedLine(Model):
    """A message that has come; `read` is whether the caller has read it."""

    envelope: Id
    message: Id
    case: Id
    case_reference: str
    form_type: FormName
    sender: InboxName
    state: DeliveryState
    delivered_at: At
    read: bool


class ReceivedPage(Model):
    messages: list[ReceivedLine]
    next: Next


class Member(Model):
    user: Id
    title: str
    role: MembershipRole
    state: MembershipState
    bootstrap: bool
    admitted_by: str
    system: bool
    ceiling: str


class MemberList(Model):
    members: list[Member]


class Place(Model):
    id: InboxName
    name: str
    administration: str
    kind: InboxKind
    accepts: tuple[FormName, ...]


class BoardLine(Model):
    id: Address
    name: str
    seats: tuple[InboxName, ...]


class DirectoryBody(Model):
    generation: int
    inboxes: list[Place]
    boards: list[BoardLine]


async def list_inboxes(call: Call) -> InboxList:
    return InboxList(inboxes=[InboxLine.of(box) for box in await call.gateway.inboxes.mine(call.signed)])


async def list_messages(call: Call) -> ReceivedPage:
    most = call.number("limit")
    lines = await call.gateway.inboxes.page(call.signed, InboxId(call.part("inbox")), after=cursor(call), limit=most)
    last = lines[-1].item if len(lines) == most else None
    return ReceivedPage(
        messages=[
            ReceivedLine(
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
    people = await call.gateway.inboxes.people(call.signed, InboxId(call.part("inbox")))
    return MemberList(
        members=[
            Member(
                user=one.membership.user,
                title=one.title,
                role=one.membership.role,
                state=one.membership.state,
                bootstrap=one.membership.bootstrap,
                admitted_by=one.membership.admitted_by,
                system=one.system,
                ceiling=one.membership.ceiling,
            )
            for one in people
        ]
    )


async def admit(call: Call) -> None:
    await call.gateway.inboxes.admit(call.signed, InboxId(call.part("inbox")), UserId(call.part("user")))


async def remove_member(call: Call) -> None:
    await call.gateway.inboxes.remove(call.signed, InboxId(call.part("inbox")), UserId(call.part("user")))


async def read_directory(call: Call) -> DirectoryBody:
    directory = await call.gateway.directory.current()
    return DirectoryBody(
        generation=directory.generation.version,
        inboxes=[Place.of(box) for box in directory.inboxes.values()],
        boards=[BoardLine.of(board) for board in directory.boards.values()],
    )


ROUTES: Final = (
    call_row(
        "GET",
        "/inboxes",
        list_inboxes,
        "Mina inkorgar",
        tag=Tag.INBOXES,
        audit="none: the caller's own memberships",
        gives=InboxList,
        scope=Scope.OWN,
    ),
    call_row(
        "GET",
        "/directory",
        read_directory,
        "Adressboken",
        tag=Tag.INBOXES,
        audit="none: the directory is known to every user",
        gives=DirectoryBody,
        scope=Scope.OWN,
    ),
    call_row(
        "GET",
        "/inboxes/{inbox}/messages",
        list_messages,
        "Det som har kommit till en inkorg",
        tag=Tag.INBOXES,
        audit="none: lines hold no identity and no content",
        gives=ReceivedPage,
        query=(AFTER, limit()),
    ),
    call_row(
        "GET",
        "/inboxes/{inbox}/members",
        list_members,
        "Vilka som läser en inkorg",
        tag=Tag.INBOXES,
        audit="none: every member may see the members",
        gives=MemberList,
    ),
    call_row(
        "DELETE",
        "/inboxes/{inbox}/members/{user}",
        remove_member,
        "Ta bort en medlem; det gäller vid nästa anrop",
        tag=Tag.INBOXES,
        audit="member_removed",
        fails=(NotFoundError,),
    ),
    call_row(
        "POST",
        "/inboxes/{inbox}/members/{user}/admit",
        admit,
        "Släpp in en föreslagen medlem",
        tag=Tag.INBOXES,
        audit="member_admitted",
    ),
)
