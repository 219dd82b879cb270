"""Connect: the mail neighbour from what the settings say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from adapters.smtp.addresses import UnsafeTextError
from adapters.smtp.certificates import Authorities, Functions, Partners
from adapters.smtp.neighbour import Certificates, SmimeNeighbour
from adapters.smtp.relay import Hop, Relay, Security
from adapters.smtp.verp import Verp, kept_key
from gateway.errors import SetupError
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


def connected(settings: Settings, clock: Clock) -> SmimeNeighbour:
    """S/MIME over the relay, with the keys and certificates in the folders that the settings name.

    Raises:
        SetupError: something is missing; nothing was sent.
    """
    keys, partners, authorities = settings.smime_keys, settings.smime_partners, settings.smime_ca_file
    if keys is None or partners is None or authorities is None or not settings.smtp_bounce_address:
        raise SetupError(
            "S/MIME is set up in part",
            swedish="Säker e-post är bara delvis inställd.",
            next_step="Ange SAMBUD_SMTP_BOUNCE_ADDRESS, SAMBUD_SMIME_KEYS, SAMBUD_SMIME_PARTNERS och "
            "SAMBUD_SMIME_CA_FILE, eller ta bort SAMBUD_SMIME_KEYS.",
        )
    if not partners.is_dir():
        raise _missing("SAMBUD_SMIME_PARTNERS", partners)
    trusted = Authorities(authorities)
    return SmimeNeighbour(
        relay(settings),
        Certificates(
            authorities=trusted,
            functions=Functions(keys),
            partners=Partners(partners, trusted),
        ),
        _verp(settings),
        clock,
    )


def _verp(settings: Settings) -> Verp:
    folder = settings.mail_dir
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        return Verp(settings.smtp_bounce_address, kept_key(folder / "verp.key"))
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
