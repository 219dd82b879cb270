"""Link as a neighbour: it tells a function that something waits for it there, and carries nothing out of it.

Why this exists: "log in three times a day" is what people do when nothing tells them (V3). So each administration's own
inbox in Link is looked into, and the function's inbox here gets a message without content: a case's reference, and that
it is to be read in Link. What stands in a case stays in Link for those who have access there (G6); what is sent to a
party in Link is a person's work (`gateway.carrying`), so nothing is handed over here.

Rules: only inboxes that are one administration's are looked into (G1): the shared municipal inbox has no address here;
an envelope that does not say whose it is is left at Link for a person, unread.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import structlog

from gateway.collaboration import CareCollaborationPort, LinkEnvelope, Refusal
from gateway.model.base import Instant
from gateway.model.path import Channel, Origin
from gateway.neighbours import Answer, Arrived, Parcel, Reason, Seen, Telling, Told

#: Under which address a directory knows whoever writes in Link.
SENDER: Final = "link"
_IDS: Final = uuid.UUID("6d1f0f0e-6d27-5a55-9a54-0c9b6f6f3b5e")
log = structlog.get_logger()


class LinkNeighbour:
    """The Neighbour port over inboxes in Link that each belong to one administration."""

    def __init__(self, port: CareCollaborationPort, inboxes: Sequence[str]) -> None:
        self._port = port
        self._inboxes = tuple(inboxes)
        self._left: dict[str, Reason] = {}
        self._taken: set[str] = set()

    @property
    def channel(self) -> Channel:
        return Channel.LINK

    @property
    def left(self) -> Mapping[str, Reason]:
        return self._left

    async def hand_over(self, parcel: Parcel) -> Told:
        """Never by a machine: a person enters it (docs/channels.md §2.6)."""
        return Told(Telling.DELAYED, Reason.NOT_CONNECTED)

    async def outcome(self, reference: str) -> Told:
        return Told(Telling.IN_TRANSIT, Reason.NONE, reference)

    async def settled(self, reference: str) -> None:
        """Nothing is kept there for us."""

    async def lingering(self) -> Mapping[str, Told]:
        """Nothing is kept there for us."""
        return {}

    async def arrivals(self) -> AsyncIterator[Arrived]:
        there: set[str] = set()
        for inbox in self._inboxes:
            found = await self._port.list_new(inbox)
            if isinstance(found, Refusal):
                log.warning("an inbox in Link cannot be looked into", trouble=str(found.trouble))
                continue
            there |= {one.case for one in found}
            for one in found:
                if one.case in self._taken or one.case in self._left:
                    continue  # no cursor: the same stands there again and again
                if one.administration != inbox:
                    self._leave(one.case, Reason.NOT_FOUND)
                    continue
                yield arrived(one)
        self._taken &= there
        self._left = {case: reason for case, reason in self._left.items() if case in there}

    def _leave(self, case: str, reason: Reason) -> None:
        self._left[case] = reason
        log.error("a case in Link is left for a person", reason=str(reason))

    async def acknowledge(self, arrived: Arrived, answer: Answer) -> None:
        if answer.taken:
            self._taken.add(arrived.reference)
        else:
            self._leave(arrived.reference, answer.reason)

    async def look_up(self, address: str) -> Seen:
        return Seen(exists=None)

    def expires(self) -> Instant | None:
        return None


def arrived(one: LinkEnvelope) -> Arrived:
    """An envelope of Link as what a function here is told: where to look, and nothing of what stands there."""
    day = datetime.fromtimestamp(one.received / 1_000_000, UTC).date().isoformat()
    text = (
        f"Ett ärende i Cosmic Link väntar på er funktion sedan {day}. Öppna det i Cosmic Link: {one.case}. "
        "Inget av innehållet finns här."
    )
    if one.masked:
        text += " Uppgifterna är skyddade: bara den enhet som är utpekad i Link kan öppna ärendet."
    return Arrived(
        channel=Channel.LINK,
        origin=Origin.LINK,
        # One id for one case in one inbox, so that looking twice is one message.
        id=str(uuid.uuid5(_IDS, f"{one.inbox}|{one.case}")),
        sender=SENDER,
        recipient=one.inbox,
        conversation=one.case,
        replies_to="",
        reference=one.case,
        subject="Ärende i Cosmic Link",
        text=text,
        created=one.received,
        original=f"{one.inbox}|{one.case}|{one.received}".encode(),
    )
