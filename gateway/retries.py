"""Retries by a person: the same envelope once more, when what stopped it has been put right (docs/channels.md §2.5).

Why this exists: a message that did not arrive need not be written again. What was sealed is still there, with the ways
that its sender signed; only the way was shut. So a retry is a new delivery of the same envelope under the same
identity: if the first arrives late after all, it is one message.

Rules: a person asks, in the role that may send; the consents are re-read in the transaction, since nothing new rests on
one that ended (GDPR Art. 7(3)); what was wrong with the message itself is not tried again but changed and sent anew.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Final

from gateway.aftermath import over
from gateway.audit import AuditAction, Auditor
from gateway.channels import Channels
from gateway.decide import AccessAction
from gateway.deliver import consent_fact, holds, new_delivery_id
from gateway.envelope import parse
from gateway.errors import ConflictError, NotFoundError
from gateway.integrity import Integrity
from gateway.model.base import EnvelopeId, InboxId, Instant, MessageId
from gateway.model.path import Channel, Delivery, DeliveryConsent, Envelope, Message, Way
from gateway.neighbours import AGAIN, Reason, reason_of
from gateway.ports import Clock, Insert, Store, Work
from gateway.rights import Rights
from gateway.sessions import Signed
from gateway.states import DeliveryState

#: The states in which a delivery has ended without arriving.
ENDED: Final = frozenset({DeliveryState.FAILED, DeliveryState.EXPIRED})


def last_ended(deliveries: Iterable[Delivery], envelope: EnvelopeId) -> Delivery | None:
    """The delivery of an envelope to be tried again: the newest, when all have ended for what may be put right."""
    of_it = [row for row in deliveries if row.envelope == envelope]
    if not of_it or any(row.state not in ENDED for row in of_it):
        return None
    newest = max(of_it, key=lambda row: (row.changed_at, row.id))
    reason = reason_of(newest.reason) or Reason.UNREACHABLE
    # Inside, the one thing that can be put right is a bug of ours.
    return newest if reason is Reason.FAULT or (newest.channel is not Channel.LOCAL and reason in AGAIN) else None


class Retries:
    """Try again what did not arrive."""

    def __init__(
        self, store: Store, rights: Rights, integrity: Integrity, channels: Channels, auditor: Auditor, clock: Clock
    ) -> None:
        self._store = store
        self._rights = rights
        self._integrity = integrity
        self._channels = channels
        self._auditor = auditor
        self._clock = clock

    async def again(self, signed: Signed, inbox: InboxId, message_id: MessageId, envelope_id: EnvelopeId) -> Delivery:
        """A new delivery of an envelope of yours that did not arrive, due now, on the first of its ways that is open.

        Raises:
            NotFoundError: no such message, or not sent from `inbox`, or the envelope is not of it.
            ForbiddenError: the role may not send; the try is logged.
            ConflictError: it is on its way or has arrived; or a consent, its time or its key has ended; or what stopped
                it lies in the message. Nothing was changed; the sentence says which, and what to do.
            DecisionStaleError: a consent moved in this moment; ask again.
        """
        await self._rights.act(signed, inbox, AccessAction.LIST_INBOX)
        message = await self._store.get(Message, message_id)
        envelope = await self._store.get(Envelope, envelope_id)
        if message is None or message.sender != inbox or envelope is None or envelope.message != message.id:
            raise NotFoundError("no such message", swedish="Meddelandet finns inte, eller är inte ert.")
        # Asked of one's own message only: what a role may send differs by form, and would tell that another's exists.
        standing = await self._rights.act(signed, inbox, AccessAction.SEND, form_type=message.form_type)
        now = self._clock.now()
        rows = await self._store.deliveries_of(message_id)
        ended = last_ended(rows, envelope_id)
        if ended is None:
            raise _cannot(rows, envelope_id)
        header = parse(envelope.octets).header
        if header.not_after <= now or over([row for row in rows if row.envelope == envelope_id], now):
            raise ConflictError(
                "the envelope's time has ended",
                swedish="Tiden för det här utskicket är slut, så det kan inte skickas igen som det är.",
                next_step="Skicka det som ett nytt meddelande.",
            )
        consents = [await self._integrity.check(row) for row in await self._store.consents_under(envelope_id)]
        if not all(holds(consent, now) for consent in consents):
            raise ConflictError(
                "a consent has ended",
                swedish="Samtycket har återkallats eller gått ut, så meddelandet skickas inte igen.",
                next_step="Tala med personen. Vill personen fortsätta: anteckna ett nytt samtycke och skicka på nytt.",
            )
        delivery = dataclasses.replace(
            ended,
            id=new_delivery_id(),
            channel=self._channel(header.ways, ended),
            state=DeliveryState.QUEUED,
            attempts=0,
            due_at=now,
            expires_at=header.not_after,
            delivered_at=None,
            changed_at=now,
            reference="",
            reason="",
            version=1,
        )
        entry = await self._auditor.entry(
            AuditAction.RETRIED,
            administration=message.administration,
            actor=signed.user,
            role=standing.role,
            object=envelope_id,
            case=message.case,
            outcome=str(delivery.channel),
            detail={"after": ended.reason, "channel": str(ended.channel)},
        )
        rests = [
            Insert(DeliveryConsent(administration=consent.administration, delivery=delivery.id, consent=consent.id))
            for consent in consents
        ]
        work = Work(
            expects=(*standing.facts, *map(consent_fact, consents)),
            changes=(Insert(delivery), *rests),
            entries=(entry,),
        )
        await self._store.commit(work)
        return delivery

    def _channel(self, ways: Sequence[Way], ended: Delivery) -> Channel:
        """The first way that is connected and whose neighbour is not known to be away; else the one that ended."""
        now = self._clock.now()
        for way in ways:
            if way.channel in self._channels.neighbours and self._channels.circuit(way.channel).closed(now):
                return way.channel
        return ended.channel


def open_until(message: Message, ttl: int) -> Instant:
    """Until when a message's envelopes may leave: what their signed headers say (`ttl` of its form, microseconds)."""
    return Instant(message.created_at + ttl)


def _cannot(rows: Iterable[Delivery], envelope: EnvelopeId) -> ConflictError:
    of_it = [row for row in rows if row.envelope == envelope]
    if any(row.state not in ENDED for row in of_it):
        return ConflictError(
            "it is on its way or has arrived",
            swedish="Meddelandet är redan på väg eller har kommit fram.",
            next_step="Läs om sidan. Inget har skickats en gång till.",
        )
    return ConflictError(
        "what stopped it lies in the message",
        swedish="Felet ligger i meddelandet, så samma meddelande skulle stoppas igen.",
        next_step="Rätta det som var fel och skicka som ett nytt meddelande.",
    )
