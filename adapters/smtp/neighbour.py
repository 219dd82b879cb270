"""S/MIME as a neighbour: our parcels as signed and encrypted mail, and mail from pinned senders as arrivals.

Why this exists: an authority that has no SDK yet has a mail function. What goes there is encrypted to the certificate
that the directory pins, or does not go at all; that a server took it is "in transit", and only a receipt or a report
says more (docs/channels.md §7).

Rules: a certificate that does not hold refuses the parcel before any connection; the same parcel is the same
Message-ID at every attempt; a mail lies in its Maildir until what it brought is durable and its sender was told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from adapters.smtp import mail, replying
from adapters.smtp.addresses import UnsafeTextError, checked
from adapters.smtp.certificates import CertificateError, Own
from adapters.smtp.heads import Head, head_of, receipt_of, report_of
from adapters.smtp.kept import Answered, Outcomes, Returned
from adapters.smtp.maildir import Maildir
from adapters.smtp.reading import Reader
from adapters.smtp.relay import Mail, Relay
from adapters.smtp.trust import Certificates
from adapters.smtp.verp import Back, Verp
from gateway.documents import Documents, carried, page_of
from gateway.errors import GatewayError
from gateway.logs import place_of
from gateway.model.base import MINUTE, Instant
from gateway.model.path import Channel
from gateway.neighbours import Answer, Arrived, Parcel, Reason, Seen, Telling, Told
from gateway.ports import Clock

#: Of all files of a parcel: as mail a third more. Many servers take no more than 25 MB (Told.detail of a larger: SIZE).
MAX_OCTETS: Final = 15_000_000
#: A receipt that no server takes is tried again after so long; the mail it is for lies in the Maildir until then.
AGAIN: Final = 5 * MINUTE
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inward:
    """What mail comes in through, and what must be known of it after a restart."""

    maildir: Maildir
    reader: Reader
    outcomes: Outcomes
    answered: Answered
    returned: Returned


@dataclass(frozen=True, slots=True)
class _Lying:
    """A mail in the Maildir that was handed out as an arrival."""

    name: str
    asks: str
    recipient: str


class SmimeNeighbour:
    """The Neighbour port over mail servers."""

    def __init__(
        self,
        relay: Relay,
        certificates: Certificates,
        verp: Verp,
        inward: Inward,
        documents: Documents,
        clock: Clock,
        *,
        max_octets: int = MAX_OCTETS,
    ) -> None:
        self._relay = relay
        self._certificates = certificates
        self._verp = verp
        self._inward = inward
        self._documents = documents
        self._clock = clock
        self._max_octets = max_octets
        self._lying: dict[str, _Lying] = {}
        self._later: dict[str, Instant] = {}

    @property
    def channel(self) -> Channel:
        return Channel.SMIME

    @property
    def left(self) -> Mapping[str, Reason]:
        return self._inward.maildir.aside()

    async def hand_over(self, parcel: Parcel) -> Told:
        try:
            recipient, own = checked(parcel.address), self._own(parcel.sender_address)
        except UnsafeTextError:
            return Told(Telling.REFUSED, Reason.NOT_FOUND)
        if own is None:
            return Told(Telling.REFUSED, Reason.NOT_CONNECTED)
        try:
            theirs = self._certificates.partners.by_pin(parcel.pin, self._clock.now())
        except CertificateError as fault:
            log.error("no certificate to encrypt to: nothing was sent", parcel=str(parcel.id), why=str(fault))
            return Told(Telling.REFUSED, Reason.CERTIFICATE)
        if sum(file.size for file in parcel.files) > self._max_octets:
            return Told(Telling.REFUSED, Reason.TOO_LARGE)
        carrier = await self._documents.pdf(page_of(parcel), carried(parcel))
        files = [await _loaded(file.name, file.media_type, file.read()) for file in parcel.files]
        try:
            asks = self._verp.address(str(parcel.id), Back.RECEIPT)
            whole = mail.entity(parcel, carrier, files, asks=asks)
        except UnsafeTextError:  # a file's name, or an id from outside, that would be a header of its own
            return Told(Telling.REFUSED, Reason.RULE)
        octets = await asyncio.to_thread(mail.sealed, whole, parcel, own, theirs)
        sender = self._verp.address(str(parcel.id), Back.BOUNCE)
        return await self._relay.send(
            Mail(octets=octets, sender=sender, recipient=recipient, identifier=str(parcel.id))
        )

    def _own(self, address: str) -> Own | None:
        """Who speaks for our function now; None when nobody may, and then the way does not exist."""
        own = self._certificates.functions.of(address) if address else None
        if own is None:
            return None
        try:
            checked(address)
            self._certificates.authorities.check(own.chain, self._clock.now())
        except (UnsafeTextError, CertificateError) as fault:
            log.error("our own certificate must not be used: nothing was sent", file=own.file.name, why=str(fault))
            return None
        return own

    async def outcome(self, reference: str) -> Told:
        """What a report or a receipt said; until one has come, it is on its way."""
        return self._inward.outcomes.of(reference) or Told(Telling.IN_TRANSIT, reference=reference)

    # --- in -----------------------------------------------------------------------------------------------------------

    async def settled(self, reference: str) -> None:
        """A mail server keeps nothing for us."""

    async def lingering(self) -> Mapping[str, Told]:
        """What came back lately: a mail server keeps nothing, but a notice that was refused must be heard of."""
        return self._inward.outcomes.refused()

    async def arrivals(self) -> AsyncIterator[Arrived]:
        self._inward.outcomes.sweep(self._clock.now())
        waiting = await asyncio.to_thread(self._inward.maildir.waiting)
        self._later = {name: at for name, at in self._later.items() if name in waiting}
        for name in waiting:
            if self._later.get(name, 0) > self._clock.now():
                continue
            try:
                arrived = await self._arrived(name)
            except GatewayError:
                raise
            except FileNotFoundError:
                continue  # another process took it
            except Exception as bug:  # a bug that it meets must not stop the rest (gateway/unforeseen.py)
                log.error("unforeseen", **place_of(bug))
                self._lay_aside(name, Reason.FAULT)
                continue
            if arrived is not None:
                yield arrived

    async def _arrived(self, name: str) -> Arrived | None:
        """The message in a mail; None when it is none for us, and then it was dealt with."""
        octets = await asyncio.to_thread(self._inward.maildir.read, name)
        if octets is None:
            self._lay_aside(name, Reason.TOO_LARGE)
            return None
        head = head_of(octets)
        came_back = self._verp.read(head.recipient)
        if came_back is not None:
            self._came_back(*came_back, octets)
            self._inward.maildir.remove(name)  # its words, if any, are nobody's business
            return None
        read = await self._inward.reader.read(head, octets)
        if read is None:
            await self._unread(name, head)
            return None
        self._lying[read.arrived.id] = _Lying(name, read.asks, head.recipient)
        return read.arrived

    def _came_back(self, identifier: str, back: Back, octets: bytes) -> None:
        told = receipt_of(octets) if back is Back.RECEIPT else report_of(octets)
        if told is None:
            log.info("nothing final came back of a mail", parcel=identifier, kind=back.name.lower())
            return
        if back is Back.NOTICE:
            if told.telling is Telling.REFUSED and told.reason is not Reason.UNREACHABLE:  # 4.x.x: it may take the next
                self._inward.returned.note(identifier)
            return
        self._inward.outcomes.note(identifier, told, proven=back is Back.RECEIPT)

    async def _unread(self, name: str, head: Head) -> None:
        """Not from whom we know: its sender is told so once a day, and a person finds it where it is laid."""
        if head.recipient and head.back and not head.automatic:
            now = self._clock.now()
            if self._inward.answered.first_today(head.back, now):
                octets = replying.neutral(head.recipient, head.back, head.message_id, now)
                await self._relay.send(Mail(octets=octets, sender="", recipient=head.back))
        self._lay_aside(name, Reason.UNTRUSTED)

    def _lay_aside(self, name: str, reason: Reason) -> None:
        self._inward.maildir.lay_aside(name, reason)
        log.warning("a mail is laid aside for a person", reason=str(reason))

    async def acknowledge(self, arrived: Arrived, answer: Answer) -> None:
        lying = self._lying.pop(arrived.id, None)
        if lying is None:
            return
        if lying.asks:
            now = self._clock.now()
            octets = replying.receipt(lying.recipient, lying.asks, arrived.id, answer, now)
            told = await self._relay.send(Mail(octets=octets, sender="", recipient=lying.asks))
            if told.telling is Telling.DELAYED:
                self._later[lying.name] = Instant(now + AGAIN)  # read again then: known, and answered the same
                return
            self._inward.maildir.remove(lying.name)
        elif answer.taken:
            self._inward.maildir.remove(lying.name)
        else:
            self._lay_aside(lying.name, answer.reason)

    # --- what is known ------------------------------------------------------------------------------------------------

    async def look_up(self, address: str) -> Seen:
        """A mail server cannot be asked honestly (RFC 5321 §7.3): what we know is the pinned certificate."""
        return Seen(exists=None, max_octets=self._max_octets)

    def expires(self) -> Instant | None:
        return self._certificates.expires()


async def _loaded(name: str, media_type: str, pieces: AsyncIterator[bytes]) -> mail.Loaded:
    return mail.Loaded(name=name, media_type=media_type, octets=b"".join([piece async for piece in pieces]))
