"""A mail to the next server: by name, over TLS that is checked, within half a minute; what it said as a value.

Why this exists: between "250" and everything else a server can do (be silent, drop the line after the last dot, offer
no TLS because somebody took the word out) the sender still needs one honest state. So each hand-over has one deadline,
a connection that is not as safe as it must be carries nothing, and what nobody knows is tried again with the same
Message-ID.

Rules: only a hop on this machine may do without TLS; a domain that the settings name is reached at the host they name,
never by another; no reply's text is kept (`adapters.smtp.verdicts`).
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

import structlog
from aiosmtplib import SMTP, SMTPException, SMTPResponseException

from adapters.smtp.addresses import checked, domain_of
from adapters.smtp.verdicts import of_reply
from gateway.neighbours import Reason, Telling, Told

#: A server that says nothing for so long is away (security.md Q03).
PATIENCE_S: Final = 30.0
#: Added to the patience: a large mail takes its time over a slow line.
OCTETS_A_SECOND: Final = 250_000
log = structlog.get_logger()


class Security(StrEnum):
    STARTTLS = "starttls"
    TLS = "tls"  # from the first octet (RFC 8314 §3.3)
    NONE = "none"  # on this machine only


@dataclass(frozen=True, slots=True)
class Hop:
    """A server that takes mail from us. `login` is a user name and a password, or empty."""

    host: str
    port: int
    security: Security = Security.STARTTLS
    login: tuple[str, str] | tuple[()] = field(default=(), repr=False)

    @property
    def local(self) -> bool:
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """What is sent, and its envelope. `identifier` names it in reports (RFC 3461 ENVID); empty: none are asked for."""

    octets: bytes
    sender: str  # empty: the null sender of what must not be answered (RFC 5321 §4.5.5)
    recipient: str
    identifier: str = ""


class _InsecureError(Exception):
    """The connection could not be made safe; nothing but greetings went over it."""


class Relay:
    """Sends mail to one hop, or to the one that its recipient's domain is given.

    Args:
        ca_file: authorities of servers (PEM); None: the system's.
        name: who we say that we are (EHLO).
    """

    def __init__(
        self,
        hop: Hop,
        domains: Mapping[str, Hop] | None = None,
        *,
        ca_file: Path | None = None,
        name: str = "localhost",
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._hop = hop
        self._domains = dict(domains or {})
        self._ca_file = ca_file
        self._name = name
        self._patience_s = patience_s

    async def send(self, mail: Mail) -> Told:
        """Hand a mail over once.

        Returns:
            IN_TRANSIT after 250; DELAYED when it may go later, or nobody knows; REFUSED when it never will.

        Raises:
            UnsafeTextError: an address that must not come near a connection; none was opened.
        """
        sender = checked(mail.sender) if mail.sender else ""
        recipient = checked(mail.recipient)
        own = self._domains.get(domain_of(recipient))
        told = await self._told(own or self._hop, mail, sender, recipient)
        if own is not None and told.reason is Reason.UNREACHABLE:
            # The host of one domain: that it is away says nothing of the others (docs/channels.md §2.3).
            return Told(told.telling, Reason.BUSY, told.reference, told.detail)
        return told

    async def _told(self, hop: Hop, mail: Mail, sender: str, recipient: str) -> Told:
        named = False  # whether an address was told: before that, a refusal is about us
        client = SMTP(
            hostname=hop.host,
            port=hop.port,
            local_hostname=self._name,
            use_tls=hop.security is Security.TLS,
            start_tls=False,
            tls_context=self._context(hop),
            timeout=None,  # the deadline below is for all of it: an octet a second must not last for ever
        )
        try:
            async with asyncio.timeout(self._patience_s + len(mail.octets) / OCTETS_A_SECOND):
                await self._connected(client, hop)
                if _too_large(client, mail):
                    return Told(Telling.REFUSED, Reason.TOO_LARGE)
                asks = bool(mail.identifier) and client.supports_extension("dsn")
                named = True
                await client.mail(sender, options=["RET=HDRS", f"ENVID={mail.identifier}"] if asks else [])
                await client.rcpt(recipient, options=["NOTIFY=SUCCESS,FAILURE,DELAY"] if asks else [])
                await client.data(mail.octets)
        except _InsecureError as insecure:
            log.error("no safe connection to a mail server: nothing was sent", host=hop.host, kind=str(insecure))
            return Told(Telling.DELAYED, Reason.INSECURE, mail.identifier, str(insecure))
        except SMTPResponseException as reply:
            return of_reply(reply.code, reply.message, about_way=not named)
        except (SMTPException, OSError) as away:  # TimeoutError is an OSError
            return Told(Telling.DELAYED, Reason.UNREACHABLE, mail.identifier, type(away).__name__)
        finally:
            client.close()  # without QUIT: 250 was the answer, and a goodbye can hang
        return Told(Telling.IN_TRANSIT, reference=mail.identifier)

    def _context(self, hop: Hop) -> ssl.SSLContext | None:
        """Read anew for each connection, so that a renewed file of authorities needs no restart."""
        if hop.security is Security.NONE:
            return None
        context = ssl.create_default_context(cafile=self._ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    async def _connected(self, client: SMTP, hop: Hop) -> None:
        """Greeted, safe, signed in.

        Raises:
            _InsecureError: TLS is not offered, or not by whom it must be.
        """
        try:
            await client.connect()
            await client.ehlo()
            if hop.security is Security.STARTTLS:
                if not client.supports_extension("starttls"):
                    raise _InsecureError("not-offered")  # or taken out by somebody between
                await client.starttls()
                await client.ehlo()
        except ssl.SSLError as fault:
            raise _InsecureError(_kind(fault)) from fault
        except SMTPException as fault:
            if isinstance(fault.__cause__, ssl.SSLError):
                raise _InsecureError(_kind(fault.__cause__)) from fault
            raise
        if hop.login:
            user, password = hop.login
            await client.login(user, password)


def _too_large(client: SMTP, mail: Mail) -> bool:
    """Whether the server says that it takes no mail of this size (RFC 1870; 0 means no limit)."""
    told = client.esmtp_extensions.get("size", "")
    return told.isascii() and told.isdigit() and 0 < int(told) < len(mail.octets)


def _kind(fault: ssl.SSLError) -> str:
    """What is wrong with the other side's certificate, in the library's code and without its words."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        return f"certificate-{fault.verify_code}"
    return "handshake"
