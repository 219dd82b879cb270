"""S/MIME as a neighbour: our parcels as signed and encrypted mail, and mail from pinned senders as arrivals.

Why this exists: an authority that has no SDK yet has a mail function. What goes there is encrypted to the certificate
that the directory pins, or does not go at all; that a server took it is "in transit", and only a receipt or a report
says more (docs/channels.md §7).

Rules: a certificate that does not hold refuses the parcel before any connection; the same parcel is the same
Message-ID at every attempt; what comes in is read by `adapters.smtp.incoming`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from adapters.smtp import mail
from adapters.smtp.addresses import UnsafeTextError, checked
from adapters.smtp.certificates import Authorities, CertificateError, Functions, Own, Partners
from adapters.smtp.relay import Mail, Relay
from adapters.smtp.verp import Back, Verp
from gateway.model.base import Instant
from gateway.model.path import Channel
from gateway.neighbours import Answer, Arrived, Parcel, Reason, Seen, Telling, Told
from gateway.ports import Clock

#: Of all files of a parcel: as mail a third more. Many servers take no more than 25 MB (Told.detail of a larger: SIZE).
MAX_OCTETS: Final = 15_000_000
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """Whose word counts, ours and theirs."""

    authorities: Authorities
    functions: Functions
    partners: Partners

    def expires(self) -> Instant | None:
        ends = [end for end in (self.functions.expires(), self.partners.expires()) if end is not None]
        return min(ends) if ends else None


class SmimeNeighbour:
    """The Neighbour port over mail servers."""

    def __init__(
        self, relay: Relay, certificates: Certificates, verp: Verp, clock: Clock, *, max_octets: int = MAX_OCTETS
    ) -> None:
        self._relay = relay
        self._certificates = certificates
        self._verp = verp
        self._clock = clock
        self._max_octets = max_octets
        self._left: dict[str, Reason] = {}

    @property
    def channel(self) -> Channel:
        return Channel.SMIME

    @property
    def left(self) -> Mapping[str, Reason]:
        return self._left

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
        files = [await _loaded(file.name, file.media_type, file.read()) for file in parcel.files]
        try:
            asks = self._verp.address(str(parcel.id), Back.RECEIPT)
            whole = mail.entity(parcel, files, asks=asks)
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
        """Reports and receipts say more; until one has come, it is on its way."""
        return Told(Telling.IN_TRANSIT, reference=reference)

    async def settled(self, reference: str) -> None:
        """A mail server keeps nothing for us."""

    async def arrivals(self) -> AsyncIterator[Arrived]:
        """Mail is not read yet."""
        return
        yield  # makes this a generator

    async def acknowledge(self, arrived: Arrived, answer: Answer) -> None:
        """Nothing is handed out, so nothing is acknowledged."""

    async def look_up(self, address: str) -> Seen:
        """A mail server cannot be asked honestly (RFC 5321 §7.3): what we know is the pinned certificate."""
        return Seen(exists=None, max_octets=self._max_octets)

    def expires(self) -> Instant | None:
        return self._certificates.expires()


async def _loaded(name: str, media_type: str, pieces: AsyncIterator[bytes]) -> mail.Loaded:
    return mail.Loaded(name=name, media_type=media_type, octets=b"".join([piece async for piece in pieces]))
