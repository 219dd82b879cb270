"""What people carry: a message on paper, and what a party must be told by voice (docs/channels.md §2.6).

Where no machine reaches a party, a person's word is the receipt. So it stands in a row of its own with a MAC: whoever
can write to the database cannot say that something was handed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final

from gateway.model.base import CaseId, DecidingRow, InboxId, Instant, MessageId, UserId
from gateway.model.path import Channel
from gateway.states import HandOverState

#: Ways that people go, unless a neighbour is connected for them.
BY_HAND: Final = (Channel.HANDOVER, Channel.LINK)
#: `what` of a hand-over that is a message; every other one is the kind of a notice.
MESSAGE: Final = "message"


class Manner(StrEnum):
    """How it was handed over, or said."""

    IN_PERSON = "in_person"
    REGISTERED_POST = "registered_post"
    COURIER = "courier"
    LINK = "link"  # entered into Cosmic Link by hand
    PHONE = "phone"  # said, not handed over


class Obstacle(StrEnum):
    """Why it could not be handed over."""

    NOT_FOUND = "not_found"  # the address or the function is not there
    REFUSED = "refused"  # the recipient did not take it
    RETURNED = "returned"  # came back, or never arrived: about the way
    STOPPED = "stopped"  # it shall not be handed over any more


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver(DecidingRow):
    """One thing that a person carries for `inbox` to `party`.

    `id` is the delivery's, or for what is to be said the notice's. `sealed` holds the reference and to which function
    it was given, under the administration's keys. `handed_at` is the time that the person tells, not the entry's.
    """

    TABLE: ClassVar[str] = "hand_over"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: str
    inbox: InboxId
    party: InboxId
    case: CaseId
    message: MessageId | None = None
    channel: Channel
    what: str
    state: HandOverState
    created_at: Instant
    taken_by: UserId | None = None
    settled_by: UserId | None = None
    settled_at: Instant | None = None
    handed_at: Instant | None = None
    manner: str = ""  # a Manner or an Obstacle
    sealed: bytes = b""
