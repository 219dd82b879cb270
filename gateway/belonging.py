"""Belonging: which case an arrival belongs to, and what it does to it (docs/channels.md §3, steps 5 and 6).

Why this exists: a neighbour's conversation is a text of theirs, and a case is something that rules rest on. So a
conversation counts only together with the party that it was held with: whoever copies another's id gets a case of
their own. An answer from outside moves a case of ours as one from within does, by the same table.
"""

from __future__ import annotations

import uuid

from gateway.answers import RESULTS
from gateway.arrival import Content, Joint, Place
from gateway.cases import REFERENCE_TRIES, drawn_reference, moved
from gateway.directory import Snapshot
from gateway.errors import ConflictError
from gateway.forms.names import ANSWER, REFERRAL
from gateway.integrity import Integrity
from gateway.model.base import CaseId, Instant, MessageId
from gateway.model.classes import Stage
from gateway.model.directory import Inbox
from gateway.model.path import Arrival, Case, CaseParty, Conversation, Envelope, Message
from gateway.neighbours import Arrived
from gateway.ports import Change, Clock, Insert, Store, Update
from gateway.states import CASE, CaseEvent, CaseState


class Belonging:
    """Finds and moves the cases of arrivals."""

    def __init__(self, store: Store, integrity: Integrity, clock: Clock) -> None:
        self._store = store
        self._integrity = integrity
        self._clock = clock

    async def place(
        self, directory: Snapshot, arrived: Arrived, sender: Inbox, recipient: Inbox, content: Content
    ) -> Place:
        """The case of a conversation with this sender, or a new one in the recipient's name."""
        known = await self._store.get(Conversation, arrived.channel, arrived.conversation, sender.id)
        case = await self._store.get(Case, known.case) if known is not None else None
        if case is not None:
            return Place(sender, recipient, await self._integrity.check(case), new_case=False, known=True)
        case = await self._asked_of_both(directory, arrived, sender, recipient)
        if case is not None:
            return Place(sender, recipient, await self._integrity.check(case), new_case=False, known=False)
        new = await self._new_case(arrived, sender, recipient, content)
        return Place(sender, recipient, new, new_case=True, known=False)

    async def _asked_of_both(
        self, directory: Snapshot, arrived: Arrived, sender: Inbox, recipient: Inbox
    ) -> Case | None:
        """The case of a request that came to both seats of a board, when one seat writes to the other about it.

        Seats that share no gateway hold their conversations with who asked, none with each other; the request has one
        id at both.
        """
        board = directory.board_of(recipient.id)
        if board is None or sender.id not in board.seats:
            return None
        request = await self._store.get(Message, str((arrived.data or {}).get("answers", "")))
        if request is None or request.form_type != REFERRAL:
            return None
        if recipient.id not in {row.inbox for row in await self._store.deliveries_of(request.id)}:
            return None
        return await self._store.get(Case, request.case)

    async def _new_case(self, arrived: Arrived, sender: Inbox, recipient: Inbox, content: Content) -> Case:
        now = self._clock.now()
        state = CaseState.REQUESTED if content.form.id == REFERRAL else CaseState.INVESTIGATING
        case = Case(
            administration=recipient.administration,
            id=CaseId(str(uuid.uuid4())),
            reference=await self._reference(arrived, recipient, now),
            owner=sender.id,
            state=state,
            opened_at=now,
            changed_at=now,
        )
        return await self._integrity.sign(case)

    async def _reference(self, arrived: Arrived, recipient: Inbox, now: Instant) -> str:
        """The sender's own name of the matter when it is one of ours and free, so that both say the same."""
        theirs = str((arrived.data or {}).get("case", ""))
        if _speakable(theirs) and await self._store.case_by_reference(theirs) is None:
            return theirs
        for _ in range(REFERENCE_TRIES):
            drawn = drawn_reference(recipient, now)
            if await self._store.case_by_reference(drawn) is None:
                return drawn
        raise ConflictError(
            "no free case reference was drawn",
            swedish="Det gick inte att ge ärendet ett namn just nu.",
            next_step="Meddelandet hämtas igen om en stund. Inget har sparats.",
        )

    async def answered(self, arrived: Arrived, place: Place) -> MessageId | None:
        """The message that this one answers, when it belongs to the same case; an unknown one is no error (SDK §5)."""
        named = await self._store.get(Message, str((arrived.data or {}).get("answers", "")))
        if named is not None and named.case == place.case.id:
            return named.id
        if not arrived.replies_to:
            return None
        ours = await self._store.get(Envelope, arrived.replies_to)
        if ours is not None and ours.case == place.case.id and ours.inbox == place.sender.id:
            return ours.message
        theirs = await self._store.get(Arrival, arrived.channel, arrived.replies_to)
        message = await self._store.get(Message, theirs.message) if theirs is not None else None
        return message.id if message is not None and message.case == place.case.id else None

    async def changes(
        self,
        directory: Snapshot,
        arrived: Arrived,
        place: Place,
        message: Message,
        content: Content,
        joint: Joint | None,
    ) -> list[Change]:
        """What the arrival does to its case, for the transaction that takes it in."""
        case = place.case
        found: list[Change] = [Insert(case)]
        if not place.new_case:
            found = await self._event(directory, place, message, content, joint)
        if not place.known:
            found.append(
                Insert(
                    Conversation(
                        administration=case.administration,
                        channel=arrived.channel,
                        id=arrived.conversation,
                        party=place.sender.id,
                        case=case.id,
                    )
                )
            )
        for inbox in (place.recipient, place.sender):
            if await self._store.get(CaseParty, case.id, inbox.id) is None:
                found.append(
                    Insert(
                        CaseParty(
                            administration=case.administration,
                            case=case.id,
                            inbox=inbox.id,
                            since=self._clock.now(),
                            opened_at=case.opened_at,
                        )
                    )
                )
        return found

    async def _event(
        self, directory: Snapshot, place: Place, message: Message, content: Content, joint: Joint | None
    ) -> list[Change]:
        """An answer moves a case of ours, a referral one of theirs; what the table refuses moves nothing.

        A referral can come after a message about it: then the message opened the case, and this is the request.
        """
        case, now = place.case, self._clock.now()
        if content.form.id == REFERRAL and place.by_owner:
            if content.body["stage"] != Stage.S1:
                return []
            asks = (one for one in (CaseEvent.RESUBMIT, CaseEvent.SEND_REQUEST) if (case.state, one) in CASE)
            asked = next(asks, None)
            return [Update(await moved(self._integrity, case, asked, at=now))] if asked is not None else []
        if content.form.id != ANSWER or case.owner != place.recipient.id or message.in_reply_to is None:
            return []
        event, units = RESULTS.get(str(content.body["fields"].get("result")), (None, ()))
        if event is None or not await self._by_board(directory, place, message.in_reply_to, joint):
            return []
        found: list[Change] = []
        if case.state is CaseState.REQUESTED:
            # Whoever answers has read it: nobody outside tells us of the first opening.
            case = await moved(self._integrity, case, CaseEvent.ACKNOWLEDGE, at=now)
            found.append(Update(case))
        if (case.state, event) not in CASE:
            return []
        found.append(Update(await moved(self._integrity, case, event, at=now, matched_units=units or None)))
        return found

    async def _by_board(self, directory: Snapshot, place: Place, request: MessageId, joint: Joint | None) -> bool:
        """Whether an answer is the board's: a seat of it was asked, and every authority of it has signed (design §2).

        What any other party of the case sends as an answer is a message to read, and moves nothing.
        """
        board = directory.board_of(place.sender.id)
        if board is None or joint is None:
            return False
        asked = {delivery.inbox for delivery in await self._store.deliveries_of(request)}
        authorities = {directory.inbox(seat).administration for seat in board.seats}
        return place.sender.id in asked and authorities <= {one.administration for one in joint.endorsed}


def _speakable(text: str) -> bool:
    """A case name as this program makes them: two letters, year, number."""
    parts = text.split("-")
    return (
        len(parts) == 3
        and len(parts[0]) == 2
        and parts[0].isalpha()
        and parts[0].isupper()
        and all(part.isascii() and part.isdigit() for part in parts[1:])
        and len(text) <= 12
    )
