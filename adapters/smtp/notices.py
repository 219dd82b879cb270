"""Notices as plain mail: no picture, no link that says who followed it, nothing that answers (RFC 3834 §5)."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection, Sequence
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

from adapters.smtp.addresses import UnsafeTextError, checked, domain_of, header_text
from adapters.smtp.kept import Returned
from adapters.smtp.mail import POLICY
from adapters.smtp.relay import Mail, Relay
from adapters.smtp.verp import Back, Verp
from gateway.model.base import Instant
from gateway.neighbours import Reason, Telling, Told
from gateway.notice_texts import Words
from gateway.ports import Clock

_NAMESPACE: Final = uuid.UUID("c9e4b2a0-8f27-5d0e-9c55-5d2a5a1b7f10")


class NoticeMailer:
    """The NoticePost port.

    Args:
        sender: an address of ours that nobody reads.
        domains: of the employer's own addresses.
        verp: makes the address that bounces come to; None: nothing comes in here, so nobody hears of them.
        returned: what came back so far.
    """

    def __init__(
        self,
        relay: Relay,
        sender: str,
        domains: Collection[str],
        clock: Clock,
        *,
        verp: Verp | None = None,
        returned: Returned | None = None,
    ) -> None:
        self._verp = verp
        self._returned = returned
        self._relay = relay
        self._sender = checked(sender)
        self._domains = frozenset(domain.lower() for domain in domains)
        self._clock = clock

    def employers(self, address: str) -> bool:
        try:
            return domain_of(address) in self._domains
        except UnsafeTextError:
            return False

    def takes(self, address: str) -> bool:
        try:
            return bool(checked(address))
        except UnsafeTextError:
            return False

    def returned(self) -> Sequence[str]:
        return self._returned.waiting() if self._returned is not None else ()

    def settled(self, back: str) -> None:
        if self._returned is not None:
            self._returned.settled(back)

    async def send(self, identifier: str, address: str, words: Words, *, back: str) -> Told:
        try:
            recipient = checked(address)
            octets = notice(identifier, self._sender, recipient, words, self._clock.now())
        except UnsafeTextError:
            return Told(Telling.REFUSED, Reason.NOT_FOUND)
        # No DSN is asked for (RFC 3461): a bounce comes anyway, and that a notice arrived is nobody's to know.
        sender = self._verp.address(back, Back.NOTICE) if self._verp is not None else self._sender
        return await self._relay.send(Mail(octets=octets, sender=sender, recipient=recipient))


def notice(identifier: str, sender: str, recipient: str, words: Words, now: Instant) -> bytes:
    """The mail. The same `identifier` gives the same Message-ID, so that a second try is no second notice.

    Raises:
        UnsafeTextError: a name in the directory that must not stand in a header.
    """
    mail = EmailMessage(POLICY)
    mail["MIME-Version"] = "1.0"
    mail["Date"] = format_datetime(datetime.datetime.fromtimestamp(now // 1_000_000, datetime.UTC))
    mail["From"] = sender
    mail["To"] = recipient
    mail["Subject"] = header_text(words.subject)
    mail["Message-ID"] = f"<{uuid.uuid5(_NAMESPACE, identifier)}@{domain_of(sender)}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail.set_content(words.text, cte="quoted-printable")
    return mail.as_bytes(policy=POLICY)
