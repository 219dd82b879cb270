"""Joint answers over the border: one seat here, the other outside; both sign the same words (design.md §2).

Why this exists: the remissgrupp is two authorities, and they need not share a gateway. What both sign is a blinded
commitment to the answer's words, so a proposal can travel: whoever gets it recomputes the commitment, checks the other
authority's signature, and adds its own. Each gateway keeps its own record of the proposal, moved by the same table.

Rules: a signature that does not hold refuses the arrival; one under a key that the directory does not name is kept and
said to be unchecked, and counts for nothing: anybody can make a key. Only the other seat of the same board proposes,
confirms or disagrees.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.answers import RESULTS
from gateway.arrival import OUTSIDE, Joint, Place
from gateway.cases import moved
from gateway.directory import Snapshot
from gateway.integrity import Integrity
from gateway.model.base import Instant, MessageId
from gateway.model.path import Message, SeatAnswer
from gateway.model.queue import Task
from gateway.ports import Change, Insert, Sealer, Store, Update
from gateway.recalls import closed
from gateway.states import ANSWER, CASE, AnswerEvent, AnswerState, CaseEvent, CaseState, TaskState, step


class OutsideAnswers:
    """Takes proposals, confirmations and disagreements of the other seat."""

    def __init__(self, store: Store, sealer: Sealer, integrity: Integrity) -> None:
        self._store = store
        self._sealer = sealer
        self._integrity = integrity

    async def checked(self, directory: Snapshot, joint: Joint, fields: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The endorsements as the payload keeps them, each with whether its key is known.

        Raises:
            EnvelopeError: the words are not the ones that were signed, or a signature does not hold under its key, or
                another key is known for that authority: by the directory, or, for one of ours, by its own records.
        """
        self._sealer.check_document(fields, joint.document, joint.blind)
        kept = []
        for one in joint.endorsed:
            authority = directory.administrations.get(one.administration)
            pinned = authority.signing_key if authority is not None else ""
            if authority is not None and not authority.outside:
                pinned = await self._sealer.own_key(one.administration, one.public_key)
            known = self._sealer.check_outside(
                one.public_key, one.signature, one.administration, joint.document, pinned
            )
            kept.append(
                {
                    "administration": one.administration,
                    "public_key": one.public_key.hex(),
                    "signature": one.signature.hex(),
                    "known": known,
                }
            )
        return kept

    async def changes(
        self, directory: Snapshot, place: Place, message: Message, body: Mapping[str, Any], joint: Joint, at: Instant
    ) -> list[Change]:
        """What the other seat's message does to the proposals that stand here."""
        board = directory.board_of(place.recipient.id)
        if board is None or place.sender.id not in board.seats or message.in_reply_to is None:
            return []
        if body.get("kind") == "proposal":
            return await self._proposed(place, message, message.in_reply_to, joint, at)
        return await self._confirmed(place, message, body, joint, at)

    async def _proposed(
        self, place: Place, message: Message, request: MessageId, joint: Joint, at: Instant
    ) -> list[Change]:
        standing = await self._store.answers_of(place.case.id)
        theirs = joint.by(place.sender.administration)
        if theirs is None or any(row.request == request and row.state is not AnswerState.DISAGREED for row in standing):
            # Not signed by the authority that proposes, or there is a proposal already: a message to read, no more.
            return []
        return [
            Insert(
                SeatAnswer(
                    administration=place.recipient.administration,
                    proposal=message.id,
                    case=place.case.id,
                    request=request,
                    proposer=place.sender.id,
                    confirmer=place.recipient.id,
                    state=AnswerState.PROPOSED,
                    document=joint.document,
                    endorsement=theirs.signature,
                    proposed_by=OUTSIDE,
                    changed_at=at,
                )
            )
        ]

    async def _confirmed(
        self, place: Place, message: Message, body: Mapping[str, Any], joint: Joint, at: Instant
    ) -> list[Change]:
        """Our proposal was confirmed: the record, the tasks it ends, and the case that stands here.

        Confirmed are the words that we proposed, signed by both: what else claims to be an answer decides nothing.
        """
        ours = await self._ours(place, message)
        both = joint.by(place.sender.administration) and joint.by(place.recipient.administration)
        if ours is None or joint.document != ours.document or both is None:
            return []
        confirmed = dataclasses.replace(
            ours,
            state=step(ANSWER, ours.state, AnswerEvent.CONFIRM),
            answer=message.id,
            decided_by=OUTSIDE,
            changed_at=at,
            version=ours.version + 1,
        )
        changes: list[Change] = [Update(confirmed), *await self._done(ours, at)]
        event, units = RESULTS.get(str(body["fields"].get("result")), (None, ()))
        case = place.case
        if event is not None and case.owner != place.recipient.id:
            if case.state is CaseState.REQUESTED:
                case = await moved(self._integrity, case, CaseEvent.ACKNOWLEDGE, at=at)
                changes.append(Update(case))
            if (case.state, event) in CASE:
                changes.append(Update(await moved(self._integrity, case, event, at=at, matched_units=units or None)))
        return changes

    async def disagreed(self, place: Place, proposal: str, at: Instant) -> list[Change]:
        """The other seat does not agree with our proposal."""
        ours = await self._store.get(SeatAnswer, proposal)
        if ours is None or (ours.case, ours.proposer, ours.confirmer, ours.state) != (
            place.case.id,
            place.recipient.id,
            place.sender.id,
            AnswerState.PROPOSED,
        ):
            return []
        return [
            Update(
                dataclasses.replace(
                    ours,
                    state=step(ANSWER, ours.state, AnswerEvent.DISAGREE),
                    decided_by=OUTSIDE,
                    changed_at=at,
                    version=ours.version + 1,
                )
            )
        ]

    async def _ours(self, place: Place, message: Message) -> SeatAnswer | None:
        for row in await self._store.answers_of(place.case.id):
            if (row.request, row.proposer, row.confirmer, row.state) == (
                message.in_reply_to,
                place.recipient.id,
                place.sender.id,
                AnswerState.PROPOSED,
            ):
                return row
        return None

    async def _done(self, answer: SeatAnswer, at: Instant) -> Sequence[Change]:
        deliveries = await self._store.deliveries_of(answer.request)
        tasks = await self._store.get_many(Task, [(row.envelope,) for row in deliveries])
        return [Update(closed(task, at)) for task in tasks if task.state is TaskState.OPEN]
