"""Where a call comes from, as little of it as is needed."""

from __future__ import annotations

import ipaddress

from aiohttp import web


def address_block(request: web.Request) -> str:
    """The caller's /32 or /64, for the tally of refusals; never the whole IPv6 address."""
    try:
        address = ipaddress.ip_address(request.remote or "")
    except ValueError:
        return ""
    prefix = 32 if address.version == 4 else 64
    return str(ipaddress.ip_network((address, prefix), strict=False))


def from_this_machine(request: web.Request) -> bool:
    """Whether the caller sits at the machine that serves."""
    try:
        return ipaddress.ip_address(request.remote or "").is_loopback
    except ValueError:
        return False
