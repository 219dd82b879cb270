"""Where a call comes from, and what this gateway itself is called.

Why this exists: a header says whatever its sender likes. So an address or a scheme in `X-Forwarded-*` counts only on
the Unix socket, which only the proxy can open, and never over TCP; and whoever is addressed by a name that is not this
gateway's gets 421 (RFC 9110 §15.5.20), so that no link, Origin check or cookie rests on a Host that somebody chose: a
stranger's page that reaches us by DNS rebinding comes with its own name.
"""

from __future__ import annotations

import functools
import ipaddress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from adapters.http.deadlines import connection_of
from gateway.errors import InvalidRequestError

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


class UnclearTargetError(InvalidRequestError):
    """It is not clear whom the request is for; nothing was done, and its connection is not used again."""


class MisdirectedError(UnclearTargetError):
    """The request was meant for another name."""

    code = "misdirected"
    status = 421


@dataclass(frozen=True, slots=True)
class Names:
    """What this gateway is called: its public origin when it has one, and the loopback names."""

    public_url: str = ""

    @property
    def host(self) -> str:
        """Host, and port where it is not the scheme's own, as browsers send it."""
        return urlsplit(self.public_url).netloc.lower()

    def check(self, request: web.Request) -> None:
        """Refuse a request that names nobody, two, or somebody else.

        Raises:
            UnclearTargetError: none or several Host fields (RFC 9112 §3.2), or a target that no server of ours has.
            MisdirectedError: another name.
        """
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1:
            raise _unclear()
        target, host = request.raw_path, hosts[0].strip().lower()
        if not target.startswith("/"):
            # An absolute target overrules Host (RFC 9112 §3.2.2), so the two must agree.
            parts = urlsplit(target)
            if parts.scheme not in ("http", "https"):
                raise _unclear()
            if parts.netloc.lower() != host:
                raise _misdirected()
        if not (host and host == self.host) and _name(host) not in LOOPBACK_NAMES:
            raise _misdirected()

    def is_own(self, origin: str, host: str) -> bool:
        """Whether `origin` is the origin of pages that this gateway serves under `host`, a Host that `check` passed."""
        parts = urlsplit(origin)
        if host and host.lower() == self.host:
            return origin.lower() == self.public_url.lower()
        return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()


NAMES: Final = web.AppKey("names", Names)


def remote(request: web.Request) -> str:
    """The caller's address: of the connection, or what the proxy on the socket says; "" when nobody says."""
    if not behind_proxy(request):
        return request.remote or ""
    # The last one is what our proxy saw; whatever stands before it was sent to the proxy.
    return _last(request, "X-Forwarded-For")


def is_secure(request: web.Request) -> bool:
    """Whether the caller's connection is encrypted, at us or at the proxy on the socket."""
    return _last(request, "X-Forwarded-Proto") == "https" if behind_proxy(request) else request.secure


def behind_proxy(request: web.Request) -> bool:
    connection = connection_of(request)
    return connection is not None and connection.from_proxy


def address_block(request: web.Request) -> str:
    """The caller's /32 or /64, for the tally of refusals; never the whole IPv6 address."""
    return block_of(remote(request))


@functools.lru_cache(maxsize=4096)
def block_of(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    prefix = 32 if parsed.version == 4 else 64
    return str(ipaddress.ip_network((parsed, prefix), strict=False))


def from_this_machine(request: web.Request) -> bool:
    """Whether the caller sits at the machine that serves."""
    try:
        return ipaddress.ip_address(remote(request)).is_loopback
    except ValueError:
        return False


def _last(request: web.Request, name: str) -> str:
    values = request.headers.getall(name, [])
    return values[-1].rpartition(",")[2].strip() if values else ""


def _name(host: str) -> str:
    """`host` without its port."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isascii() and port.isdigit() else host


def _unclear() -> UnclearTargetError:
    return UnclearTargetError(
        "the request does not say whom it is for",
        swedish="Anropet säger inte tydligt vart det ska.",
        next_step="Ange en enda Host med gatewayens namn.",
    )


def _misdirected() -> MisdirectedError:
    return MisdirectedError(
        "the request is for another name",
        swedish="Anropet är ställt till ett namn som inte är den här gatewayens.",
        next_step="Använd gatewayens egen adress. Den som driver gatewayen sätter den med SAMBUD_PUBLIC_URL.",
    )
