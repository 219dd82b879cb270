"""Loads: a message that people carry, as its rows say it is, with every MAC checked (docs/channels.md §2.6).

Why this exists: printing and settling ask the same first: is this a delivery by hand, of something that this inbox
sent, and does what it rests on still hold? One place answers, so that neither can forget a part of the question.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.audit import AuditAction, Auditor
from gateway.deliver import holds
from gateway.envelope import parse
from gateway.errors import EnvelopeError, NotFoundError
from gateway.integrity import Integrity
from gateway.model.base import InboxId
from gateway.model.carrying import BY_HAND, HandOver
from gateway.model.log import LogEntry
from gateway.model.path import Case, Consent, Delivery, Envelope, Message, Way
from gateway.ports import Clock, Store
from gateway.rights import Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One message that waits for a person, or lies with one. `stopped`: a consent that it rests on has ended."""

    delivery: Delivery
    message: Message
    case: Case
    hand_over: HandOver | None
    stopped: bool


class Loads:
    """Finds them."""

    def __init__(self, store: Store, integrity: Integrity, auditor: Auditor, clock: Clock) -> None:
        self._store = store
        self._integrity = integrity
        self._auditor = auditor
        self._clock = clock

    async def found(self, inbox: InboxId, delivery: str) -> Load:
        row = await self._store.get(Delivery, delivery)
        message = await self._store.get(Message, row.message) if row else None
        if row is None or message is None or row.channel not in BY_HAND or message.sender != inbox:
            raise absent()
        return await self.load(row)

    async def load(self, row: Delivery) -> Load:
        message = await self._store.get(Message, row.message)
        case = await self._store.get(Case, message.case) if message else None
        if message is None or case is None:
            raise broken("a delivery without its message")
        hand_over = await self._store.get(HandOver, row.id)
        if hand_over is not None:
            await self._integrity.check(hand_over)
        now = self._clock.now()
        consents = [await self._integrity.check(one) for one in await self._store.consents_under(row.envelope)]
        return Load(
            delivery=row,
            message=message,
            case=case,
            hand_over=hand_over,
            stopped=not all(holds(one, now) for one in consents),
        )

    async def case(self, row: HandOver) -> Case:
        case = await self._store.get(Case, row.case)
        if case is None:
            raise broken("a hand-over without its case")
        return case

    async def envelope(self, row: Delivery) -> Envelope:
        envelope = await self._store.get(Envelope, row.envelope)
        if envelope is None:
            raise broken("a delivery without its envelope")
        return envelope

    async def consents(self, envelope: Envelope) -> list[Consent]:
        return [await self._integrity.check(row) for row in await self._store.consents_under(envelope.id)]

    async def entry(
        self,
        action: AuditAction,
        standing: Standing | None,
        load: Load,
        outcome: str,
        envelope: Envelope,
        target: str = "",
    ) -> LogEntry:
        return await self._auditor.entry(
            action,
            administration=load.message.administration,
            actor=standing.signed.user if standing is not None else None,
            role=standing.role if standing is not None else "worker",
            object=target or str(envelope.id),
            case=load.case.id,
            outcome=outcome,
            detail={"transcript": envelope.transcript.hex(), "channel": str(load.delivery.channel)},
        )


def way_of(envelope: Envelope, row: Delivery) -> Way:
    """The way of this delivery that the signed header lists."""
    way = next((way for way in parse(envelope.octets).header.ways if way.channel is row.channel), None)
    if way is None:
        raise broken("the header does not list this way")
    return way


def absent() -> NotFoundError:
    return NotFoundError("nothing to carry", swedish="Överlämningen finns inte, eller är inte er.")


def broken(why: str) -> EnvelopeError:
    """What lies here is not what was sealed or recorded; `why` is for the log."""
    return EnvelopeError(
        why,
        swedish="Det som skulle lämnas stämmer inte med det som förseglades eller skrevs ut först.",
        next_step="Inget har lämnats ut. Kontakta systemförvaltaren, och lämna inte ut en tidigare utskrift.",
    )
