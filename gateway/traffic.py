"""What a registrator and an operator may see of the traffic: envelopes from the outside, never what is in them.

Why this exists: a received message is registered "så snart" it has come (OSL 5 kap. 1-2 §§) whoever reads it, and what
members are kept from (a withdrawn consent, a recall) must be in somebody's hands. The registrator sees the envelopes of
the own administration; the operator sees the state of deliveries by opaque ids. Each such reading is logged first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.audit import AuditAction, Auditor
from gateway.consents import Consents
from gateway.decide import AccessAction
from gateway.errors import FieldError, InvalidFormError, NotFoundError
from gateway.model.base import GATEWAY, AdministrationId, EnvelopeId, InboxId, Instant, MessageId
from gateway.model.path import Case, Delivery, Message, ReceiptKind
from gateway.model.queue import Recall, RegisterLine
from gateway.ports import Clock, Cursor, Store, Work
from gateway.rights import Rights
from gateway.sessions import Signed
from gateway.states import ConsentState, DeliveryState

PAGE: Final = 50
MOST_UNOPENED: Final = 500
MOST_RECIPIENTS: Final = 200
NUMBER: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Registered:
    """A line of the register, and why members may be kept from it."""

    line: RegisterLine
    consent_ended: bool
    recall: Recall | None


@dataclass(frozen=True, slots=True)
class Transported:
    """A delivery and the inbox that it comes from; "" when the message is gone."""

    delivery: Delivery
    sender: str


@dataclass(frozen=True, slots=True)
class Journey:
    """A message from the outside: when it was taken in, its deliveries, and the signed receipts for them."""

    message: MessageId
    sender: InboxId
    created_at: Instant
    deliveries: Sequence[Delivery]
    receipts: Mapping[EnvelopeId, Mapping[ReceiptKind, Instant]]


class Traffic:
    """Lists for registrators and operators."""

    def __init__(self, store: Store, rights: Rights, consents: Consents, auditor: Auditor, clock: Clock) -> None:
        self._store = store
        self._rights = rights
        self._consents = consents
        self._auditor = auditor
        self._clock = clock

    async def received(
        self, signed: Signed, registrator: InboxId, *, after: Cursor | None = None, limit: int = PAGE
    ) -> Sequence[Registered]:
        """What the inboxes of the registrator's administration have received, newest first."""
        return await self._received(await self._reading(signed, registrator), after, limit)

    async def stopped(self, signed: Signed, registrator: InboxId) -> Sequence[Registered]:
        """Received and unopened, and members are kept out since a consent ended: the registrator decides."""
        return await self._stopped(await self._reading(signed, registrator))

    async def desk(
        self, signed: Signed, registrator: InboxId, *, after: Cursor | None = None, limit: int = PAGE
    ) -> tuple[Sequence[Registered], Sequence[Registered]]:
        """Both as one look, logged once: what was received, and on the first page what is stopped."""
        administration = await self._reading(signed, registrator)
        stopped = await self._stopped(administration) if after is None else ()
        return await self._received(administration, after, limit), stopped

    async def _received(
        self, administration: AdministrationId, after: Cursor | None, limit: int
    ) -> Sequence[Registered]:
        lines = await self._store.register_page(administration, after=after, limit=limit)
        return [await self._registered(line) for line in lines]

    async def _stopped(self, administration: AdministrationId) -> Sequence[Registered]:
        found = []
        for delivery in await self._store.unopened_of(administration, limit=MOST_UNOPENED):
            if await self._consent_ended(delivery.envelope):
                found.append(await self._registered(await self._line(delivery), ended=True))
        return found

    async def transport(
        self, signed: Signed, *, state: str = "", message: str = "", after: Cursor | None = None, limit: int = PAGE
    ) -> Sequence[Delivery]:
        """Deliveries of the whole gateway by their last change: ids, inboxes, states, times.

        Raises:
            ForbiddenError: neither operator nor reviewer; the try is logged.
            InvalidFormError: `message` is no message's number. What was typed is not logged then.
        """
        await self._rights.without_inbox(signed, AccessAction.READ_TRANSPORT)
        if message and not NUMBER.fullmatch(message):
            raise _no_number()
        await log_transport_read(self._auditor, self._store, signed, message or state or "all")
        return await self._store.transport_page(state=state, message=message, after=after, limit=limit)

    async def lines(
        self, signed: Signed, *, state: str = "", message: str = "", after: Cursor | None = None, limit: int = PAGE
    ) -> Sequence[Transported]:
        """As `transport`, with the inbox that each comes from."""
        deliveries = await self.transport(signed, state=state, message=message, after=after, limit=limit)
        keys = [(found,) for found in dict.fromkeys(delivery.message for delivery in deliveries)]
        senders = {row.id: row.sender for row in await self._store.get_many(Message, keys)}
        return [Transported(delivery, senders.get(delivery.message, "")) for delivery in deliveries]

    async def troubled(self, signed: Signed) -> Mapping[DeliveryState, int]:
        """How many deliveries did not come to their recipient, counted no further than PAGE each."""
        await self._rights.without_inbox(signed, AccessAction.READ_TRANSPORT)
        return {
            state: len(await self._store.transport_page(state=state, message="", after=None, limit=PAGE))
            for state in (DeliveryState.FAILED, DeliveryState.EXPIRED)
        }

    async def journey(self, signed: Signed, message: MessageId) -> Journey:
        """The deliveries of one message, and their times; nothing of what it says.

        Raises:
            NotFoundError: no such message.
            ForbiddenError: neither operator nor reviewer; the try is logged.
        """
        deliveries = await self.transport(signed, message=message, limit=MOST_RECIPIENTS)
        found = await self._store.get(Message, message)
        if found is None:
            raise NotFoundError("no such message", swedish="Det finns inget meddelande med det numret.")
        receipts: dict[EnvelopeId, dict[ReceiptKind, Instant]] = {}
        for receipt in await self._store.receipts_of(message):
            receipts.setdefault(receipt.envelope, {})[receipt.kind] = receipt.at
        return Journey(message, found.sender, found.created_at, deliveries, receipts)

    async def _reading(self, signed: Signed, registrator: InboxId) -> AdministrationId:
        standing = await self._rights.act(signed, registrator, AccessAction.READ_REGISTER)
        administration = standing.inbox.administration
        await self._log(AuditAction.REGISTER_READ, signed, administration, registrator)
        return administration

    async def _log(self, action: AuditAction, signed: Signed, administration: AdministrationId, target: str) -> None:
        entry = await self._auditor.entry(
            action,
            administration=administration,
            actor=signed.user,
            role=signed.role,
            object=target,
            case=None,
            outcome="permit",
        )
        await self._store.commit(Work(entries=(entry,)))

    async def _registered(self, line: RegisterLine, *, ended: bool | None = None) -> Registered:
        if ended is None:
            ended = line.state == DeliveryState.DELIVERED and await self._consent_ended(line.envelope)
        return Registered(line, ended, await self._store.get(Recall, line.envelope))

    async def _consent_ended(self, envelope: EnvelopeId) -> bool:
        now = self._clock.now()
        rows = await self._consents.under(await self._store.consents_under(envelope))
        return any(not (row.state is ConsentState.GIVEN and now < row.valid_to) for row, _ in rows)

    async def _line(self, delivery: Delivery) -> RegisterLine:
        message = await self._store.get(Message, delivery.message)
        case = await self._store.get(Case, message.case) if message else None
        if message is None or case is None or delivery.delivered_at is None:
            raise KeyError(delivery.id)  # a delivered row names a message and a case: anything else is a bug
        return RegisterLine(
            delivery.envelope,
            message.id,
            case.id,
            case.reference,
            message.form_type,
            message.sender,
            delivery.inbox,
            delivery.id,
            str(delivery.state),
            delivery.delivered_at,
        )


def _no_number() -> InvalidFormError:
    text = "Skriv hela numret, till exempel 0b9c2f1e-7d34-4c1a-9f5e-2a6b8c0d1e2f."
    return InvalidFormError(
        "that is no number of a message",
        [FieldError("/meddelande", "number", text)],
        swedish=text,
        next_step="Kopiera numret ur listan eller ur kvittot.",
    )


async def log_transport_read(auditor: Auditor, store: Store, signed: Signed, what: str) -> None:
    """Log that `signed` looks at what is the whole gateway's (deliveries, channels, quarantine), first."""
    entry = await auditor.entry(
        AuditAction.TRANSPORT_READ,
        administration=GATEWAY,
        actor=signed.user,
        role=signed.role,
        object=what,
        case=None,
        outcome="permit",
    )
    await store.commit(Work(entries=(entry,)))
