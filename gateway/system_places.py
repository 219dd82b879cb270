"""Where a system's messages go and come from, in its own words: addresses of the network, and what a token is for.

Why this exists: a client of the SDK API names organisations and functions (B1.4.2), the gateway has inboxes. A function
of ours that has no address in the network gets one that only this gateway understands, so that it can be answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.directory import Snapshot
from gateway.errors import NotFoundError
from gateway.model.base import InboxId, UserId
from gateway.model.directory import Inbox
from gateway.model.path import Channel
from gateway.model.systems import SystemMessage
from gateway.sessions import Signed

#: A function of this gateway that has no address in the network: "sambud:" and the inbox's id.
OWN: Final = "sambud:"
#: What stands where an organisation's id would, when the network knows neither end.
NOBODY: Final = "0203:sambud.invalid"
AT: Final = "at:"


class Operation(StrEnum):
    """What a token may be narrowed to."""

    SEND = "send"
    LIST = "list"
    READ = "read"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Place:
    """One end of a message: the inbox, and its address as this client is told it (`organisation#function`)."""

    inbox: Inbox
    address: str


def may(signed: Signed, operation: Operation) -> bool:
    """Whether the token was asked for this; one that names no operation is for all of them."""
    named = [one for one in signed.session.scope if one in tuple(Operation)]
    return not named or operation in named


def scope_of(directory: Snapshot, operations: Sequence[Operation], functions: Sequence[str]) -> tuple[str, ...] | None:
    """The scope of a token for these operations and functions; None when a function is nobody's here."""
    inboxes = []
    for function in functions:
        inbox = directory.inboxes.get(function.removeprefix(OWN)) if function.startswith(OWN) else None
        wanted = function.lower()
        inbox = inbox or next(
            (
                directory.inbox(route.inbox)
                for route in directory.routes
                if route.channel is Channel.SDK and route.address.partition("#")[2].lower() == wanted
            ),
            None,
        )
        if inbox is None:
            return None
        inboxes.append(f"{AT}{inbox.id}")
    return (*map(str, operations), *inboxes)


def network_address(directory: Snapshot, inbox: InboxId) -> str:
    return next((route.address for route in directory.ways_to(inbox) if route.channel is Channel.SDK), "")


def in_scope(signed: Signed, inbox: InboxId) -> bool:
    """Whether the token speaks for this inbox; one that names no function is for all of the system's own."""
    named = [one for one in signed.session.scope if one.startswith(AT)]
    return not named or f"{AT}{inbox}" in named


def at(directory: Snapshot, address: str) -> Inbox | None:
    """The inbox behind an address that a client writes: one of the network, or one of ours without any."""
    function = address.partition("#")[2]
    if function.startswith(OWN):
        return directory.inboxes.get(function.removeprefix(OWN))
    return directory.at(Channel.SDK, address)


def place_of(directory: Snapshot, inbox: Inbox, seen_from: Inbox) -> Place:
    """An end of a message that lies in `seen_from`."""
    found = network_address(directory, inbox.id)
    if found:
        return Place(inbox, found)
    organisation = (network_address(directory, seen_from.id) or NOBODY).partition("#")[0]
    return Place(inbox, f"{organisation}#{OWN}{inbox.id}")


def sealed_context(user: UserId, identifier: str) -> str:
    """What the sealed part of a SystemMessage is bound to."""
    return f"{SystemMessage.TABLE}/{user}/{identifier}/sealed"


def absent() -> NotFoundError:
    """One answer for none, let go, somebody else's, and above the ceiling."""
    return NotFoundError("no such message", swedish="Meddelandet finns inte, eller är inte ert.")
