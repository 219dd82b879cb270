"""Addresses and header texts that may reach an SMTP connection: everything else is refused before one is opened.

Why this exists: an address is put into a command line and a text into a header, and both end at a line break. Whoever
can write one into either writes commands and headers of their own. So the grammar here is the narrow one that function
addresses need, and what does not fit is refused, never repaired.

Rules: no quoted local part, no address literal, no comment, no octet outside ASCII (a domain with other letters is
written in its `xn--` form, RFC 5890), nothing that ends a line to anybody (RFC 5322 §2.2; Unicode's separators too),
and no beginning of an encoded word (RFC 2047): Python's mail library decodes what it is given before it writes it, so
that `=?utf-8?q?=0D=0ABcc=3A?=` in an id, all of it printable, would be a line end and a header.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS: Final = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@({_LABEL}(?:\.{_LABEL})+)")
_MESSAGE_ID: Final = re.compile(r"[!-;=?A-~]{1,200}@[!-;=?A-~]{1,200}")  # no space, no angle bracket, one line
_ENCODED: Final = "=?"
MAX_LOCAL: Final = 64  # RFC 5321 §4.5.3.1.1
MAX_ADDRESS: Final = 254  # RFC 5321 §4.5.3.1.3, less the angle brackets
MAX_TEXT: Final = 900  # octets; with its name a header line stays below 998 (RFC 5322 §2.1.1)


class UnsafeTextError(ValueError):
    """An address or a text that must not come near SMTP. It is not repeated in the message: it may name somebody."""


def checked(address: str) -> str:
    """The address as it goes into a command, its domain in small letters.

    Raises:
        UnsafeTextError: it is no plain address.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None or len(found[1]) > MAX_LOCAL or len(address) > MAX_ADDRESS or _ENCODED in address:
        raise UnsafeTextError("not a plain address")
    return f"{found[1]}@{found[2].lower()}"


def domain_of(address: str) -> str:
    """The domain of an address that is checked here."""
    return checked(address).rpartition("@")[2]


def header_text(text: str) -> str:
    """A text for a header: one line whoever reads it.

    Raises:
        UnsafeTextError: it has line ends, controls or broken characters, or is longer than a header may be.
    """
    if _ENCODED in text:
        raise UnsafeTextError("a header text with an encoded word")
    # Cc: controls; Cf: marks that turn the writing direction; Cs: halves of characters; Zl, Zp: line ends.
    if any(unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp") for one in text):
        raise UnsafeTextError("a header text with controls")
    if len(text.encode()) > MAX_TEXT:
        raise UnsafeTextError("a header text that is too long")
    return text


def is_message_id(text: str) -> bool:
    """Whether a text can stand between the angle brackets of a Message-ID."""
    return _MESSAGE_ID.fullmatch(text) is not None and _ENCODED not in text


def outward(identifier: str, domain: str) -> str:
    """An id as a Message-ID: ours get our domain, a foreign one has its own.

    Raises:
        UnsafeTextError: it cannot be a Message-ID.
    """
    whole = identifier if "@" in identifier else f"{identifier}@{domain}"
    if not is_message_id(whole):
        raise UnsafeTextError("not a message id")
    return f"<{whole}>"


def inward(whole: str, own_domains: frozenset[str]) -> str:
    """A Message-ID as we name it: without the domain when it is ours."""
    left, _, right = whole.strip().strip("<>").rpartition("@")
    return left if right.lower() in own_domains else f"{left}@{right}"
