"""What a registrator and an operator may see of the traffic: envelopes from the outside, never what is in them.

Why this exists: a received message is registered "så snart" it has come (OSL 5 kap. 1-2 §§) whoever reads it, and what
members are kept from (a withdrawn consent, a recall) must be in somebody's hands. The registrator sees the envelopes of
the own administration; the operator sees the state of deliveries by opaque ids. Each such reading is logged first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.audit import AuditAction, Auditor
from gateway.consents import Consents
from gateway.decide import AccessAction
from gateway.model.base import GATEWAY, AdministrationId, EnvelopeId, InboxId
from gateway.model.path import Case, Delivery, Message
from gateway.model.queue import Recall, RegisterLine
from gateway.ports import Clock, Cursor, Store, Work
from gateway.rights import Rights
from gateway.sessions import Signed
from gateway.states import ConsentState, DeliveryState

PAGE: Final = 50
MOST_UNOPENED: Final = 500


@dataclass(frozen=True, slots=True)
class Registered:
    """A line of the register, and why members may be kept from it."""

    line: RegisterLine
    consent_ended: bool
    recall: Recall | None


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
        administration = await self._reading(signed, registrator)
        lines = await self._store.register_page(administration, after=after, limit=limit)
        return [await self._registered(line) for line in lines]

    async def stopped(self, signed: Signed, registrator: InboxId) -> Sequence[Registered]:
        """Received and unopened, and members are kept out since a consent ended: the registrator decides."""
        administration = await self._reading(signed, registrator)
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
        """
        await self._rights.without_inbox(signed, AccessAction.READ_TRANSPORT)
        await self._log(AuditAction.TRANSPORT_READ, signed, GATEWAY, message or state or "all")
        return await self._store.transport_page(state=state, message=message, after=after, limit=limit)

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
