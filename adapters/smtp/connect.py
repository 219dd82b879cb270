"""Connect: the mail neighbour from what the settings say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from adapters.documents.child import Children
from adapters.smtp.addresses import UnsafeTextError
from adapters.smtp.certificates import Authorities, Functions, Partners
from adapters.smtp.kept import Answered, Outcomes, Returned
from adapters.smtp.maildir import Maildir
from adapters.smtp.neighbour import Inward, SmimeNeighbour
from adapters.smtp.notices import NoticeMailer
from adapters.smtp.reading import Pins, Reader
from adapters.smtp.relay import Hop, Relay, Security
from adapters.smtp.trust import Certificates
from adapters.smtp.verp import Verp, kept_key
from gateway.directory import Directory
from gateway.documents import Documents
from gateway.errors import SetupError
from gateway.model.path import Channel
from gateway.ports import Clock
from gateway.settings import Settings

#: `mail.region.example` or `mail.region.example:587`.
_HOST: Final = re.compile(r"([a-z0-9](?:[a-z0-9.-]{0,250}[a-z0-9])?)(?::([0-9]{1,5}))?")
_PORTS: Final = {Security.STARTTLS: 25, Security.TLS: 465, Security.NONE: 25}


def relay(settings: Settings) -> Relay:
    """Who takes our mail.

    Raises:
        SetupError: the settings do not say it, or would send it over a connection that is not safe.
    """
    security = Security(settings.smtp_security)
    hop = _hop(settings.smtp_host, security, "SAMBUD_SMTP_HOST", _login(settings))
    if security is Security.NONE and not hop.local:
        raise SetupError(
            "mail without TLS to another machine",
            swedish="SAMBUD_SMTP_SECURITY är none, men e-postservern finns på en annan dator.",
            next_step="Använd starttls eller tls, eller en e-postserver på samma dator.",
        )
    if settings.smtp_ca_file is not None and not settings.smtp_ca_file.is_file():
        raise _missing("SAMBUD_SMTP_CA_FILE", settings.smtp_ca_file)
    # A domain that is named is reached over TLS that is checked, or not at all.
    domains = {
        domain.lower(): _hop(host, Security.STARTTLS, "smtp_domains") for domain, host in settings.smtp_domains.items()
    }
    return Relay(hop, domains, ca_file=settings.smtp_ca_file, name=settings.smtp_name)


def connected(settings: Settings, directory: Directory, documents: Documents, clock: Clock) -> SmimeNeighbour:
    """S/MIME over the relay, with the keys and certificates in the folders that the settings name.

    Raises:
        SetupError: something is missing; nothing was sent.
    """
    keys, partners, authorities = settings.smime_keys, settings.smime_partners, settings.smime_ca_file
    maildir = settings.smime_maildir
    if not (keys and partners and authorities and maildir and settings.smtp_bounce_address):
        raise SetupError(
            "S/MIME is set up in part",
            swedish="Säker e-post är bara delvis inställd.",
            next_step="Ange SAMBUD_SMTP_BOUNCE_ADDRESS, SAMBUD_SMIME_KEYS, SAMBUD_SMIME_PARTNERS, "
            "SAMBUD_SMIME_CA_FILE och SAMBUD_SMIME_MAILDIR, eller ta bort SAMBUD_SMIME_KEYS.",
        )
    if not partners.is_dir():
        raise _missing("SAMBUD_SMIME_PARTNERS", partners)
    trusted = Authorities(authorities)
    certificates = Certificates(authorities=trusted, functions=Functions(keys), partners=Partners(partners, trusted))
    settings.mail_dir.mkdir(mode=0o700, exist_ok=True)
    key = kept_key(settings.mail_dir / "verp.key")
    try:
        inward = Inward(
            maildir=Maildir(maildir),
            reader=Reader(certificates, _pins(directory), documents, Children(), clock),
            outcomes=Outcomes(settings.mail_dir / "outcomes"),
            answered=Answered(settings.mail_dir / "answered", key),
            returned=Returned(settings.mail_dir / "notices"),
        )
    except OSError as trouble:
        raise _missing("SAMBUD_SMIME_MAILDIR", maildir) from trouble
    return SmimeNeighbour(relay(settings), certificates, _verp(settings, key), inward, documents, clock)


def notices(settings: Settings, clock: Clock) -> NoticeMailer:
    """Notices to users over the relay; where mail comes in here, their bounces come to an address that names them.

    Raises:
        SetupError: the sender is no address, or there is no relay.
    """
    verp, returned = None, None
    if settings.smime_keys and settings.smtp_bounce_address:
        settings.mail_dir.mkdir(mode=0o700, exist_ok=True)
        verp = _verp(settings, kept_key(settings.mail_dir / "verp.key"))
        returned = Returned(settings.mail_dir / "notices")
    try:
        return NoticeMailer(
            relay(settings), settings.notice_sender, settings.notice_domains, clock, verp=verp, returned=returned
        )
    except UnsafeTextError as fault:
        raise SetupError(
            "SAMBUD_NOTICE_SENDER is no plain address",
            swedish="SAMBUD_NOTICE_SENDER är ingen enkel e-postadress.",
            next_step="Ange en adress som ingen läser, till exempel svara-inte@kommun.example.",
        ) from fault


def _pins(directory: Directory) -> Pins:
    """Which certificate the directory pins for an address outside."""

    async def pin_of(address: str) -> str:
        current = await directory.current()
        inbox = current.at(Channel.SMIME, address) if address else None
        if inbox is None or not current.is_outside(inbox):
            return ""
        return next((route.pin for route in current.ways_to(inbox.id) if route.channel is Channel.SMIME), "")

    return pin_of


def _verp(settings: Settings, key: bytes) -> Verp:
    try:
        return Verp(settings.smtp_bounce_address, key)
    except UnsafeTextError as fault:
        raise SetupError(
            "SAMBUD_SMTP_BOUNCE_ADDRESS is no plain address",
            swedish="SAMBUD_SMTP_BOUNCE_ADDRESS är ingen enkel adress med högst 13 tecken före @.",
            next_step="Ange en adress som er e-postserver levererar till gatewayen, till exempel studs@kommun.example.",
        ) from fault


def _hop(told: str, security: Security, setting: str, login: tuple[str, str] | tuple[()] = ()) -> Hop:
    found = _HOST.fullmatch(told.lower())
    port = int(found[2] or _PORTS[security]) if found else 0
    if found is None or not 0 < port <= 65535:
        raise SetupError(
            f"{setting} is no host and port",
            swedish=f"{setting} är ingen e-postserver.",
            next_step="Skriv värdnamn, eller värdnamn:port.",
        )
    return Hop(found[1], port, security, login)


def _login(settings: Settings) -> tuple[str, str] | tuple[()]:
    if not settings.smtp_user:
        return ()
    file = settings.smtp_password_file
    try:
        password = file.read_text("utf-8").strip() if file else ""
    except (OSError, UnicodeDecodeError):
        password = ""
    if not password:
        raise _missing("SAMBUD_SMTP_PASSWORD_FILE", file)
    return settings.smtp_user, password


def _missing(setting: str, path: Path | None) -> SetupError:
    return SetupError(
        f"{setting} cannot be read",
        swedish=f"{setting} ({path}) går inte att läsa.",
        next_step="Rätta sökvägen och rättigheterna.",
    )
