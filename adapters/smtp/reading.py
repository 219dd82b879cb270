"""Read a mail that came in: decrypted with our function's key, its signature held to the sender's pinned certificate.

Why this exists: encryption says nothing about who wrote, and a valid signature of anybody says nothing either. A mail
counts only when the certificate that the directory pins for its sender has signed it; everything else is unread, for
one reason that is told to nobody (an answer that says why helps whoever tries).

Rules: decrypting, verifying and parsing are done by three limited children; the signed headers inside count, never the
ones outside; without them (RFC 9788) a mail is taken as a conversation of its own, because its ids prove nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from email.utils import getaddresses
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from adapters.documents.child import MIB, Children, Limits
from adapters.smtp.addresses import UnsafeTextError, checked, domain_of, inward, is_message_id
from adapters.smtp.certificates import CertificateError, Own
from adapters.smtp.heads import Head
from adapters.smtp.mail import DATA_NAME
from adapters.smtp.trust import Certificates
from gateway.documents import Documents, data_for
from gateway.errors import SetupError
from gateway.model.base import Instant
from gateway.model.path import Channel, Origin
from gateway.neighbours import Arrived, ArrivedFile
from gateway.ports import Clock

PARSER: Final = Path(__file__).with_name("parsing.py")
LIMITS: Final = Limits(seconds=20, memory=768 * MIB, output=96 * MIB)
SEALED: Final = ("application/pkcs7-mime", "application/x-pkcs7-mime")
#: By an address outside, the certificate that the directory pins for it; empty: none.
Pins = Callable[[str], Awaitable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A mail from whom we know; `asks` is where it wants a receipt, empty when it wants none."""

    arrived: Arrived
    asks: str


class Reader:
    """Reads mail for our functions."""

    def __init__(
        self, certificates: Certificates, pins: Pins, documents: Documents, children: Children, clock: Clock
    ) -> None:
        self._certificates = certificates
        self._pins = pins
        self._documents = documents
        self._children = children
        self._clock = clock
        openssl = shutil.which("openssl")
        if openssl is None:
            raise SetupError(
                "openssl is not installed",
                swedish="Programmet openssl saknas: utan det kan säker e-post inte läsas.",
                next_step="Installera Debians paket openssl.",
            )
        self._openssl = openssl

    async def read(self, head: Head, octets: bytes) -> Read | None:
        """The arrival in a mail; None when it is not for us, not encrypted, or not signed by whom it says."""
        own, pin = self._certificates.functions.of(head.recipient), await self._pins(head.sender)
        if own is None or not pin or head.media_type not in SEALED or head.encoding != "base64":
            return None
        content = await self._content(own, pin, octets[head.body_at :])
        if content is None:
            return None
        ended = await self._children.run([str(PARSER)], content, limits=LIMITS)
        try:
            told = json.loads(ended.output) if ended.fine else None
            read = _read(told, content, head, self._own_domains(), self._clock.now()) if told else None
        except (ValueError, KeyError, TypeError):
            return None
        return replace(read, arrived=await self._with_form(read.arrived)) if read is not None else None

    async def _with_form(self, arrived: Arrived) -> Arrived:
        """With the data out of the page that holds them, or out of the part that earlier versions sent."""
        held = next((file for file in arrived.files if self._documents.may_hold_data(file.octets)), None)
        name = arrived.id.partition("@")[0]  # a sender names its own mails by the id alone
        data = data_for(name, await self._documents.data(held.octets)) if held is not None else None
        carrier = held if data is not None else None
        if data is None:
            held, data = _part(arrived.files)
        if data is None:
            return arrived
        case = data.get("case")
        return replace(
            arrived,
            reference=case if isinstance(case, str) else "",
            data=data,
            carrier=carrier,
            files=tuple(file for file in arrived.files if file is not held),
        )

    def _own_domains(self) -> frozenset[str]:
        return frozenset(domain_of(address) for address in self._certificates.functions.addresses())

    async def _content(self, own: Own, pin: str, body: bytes) -> bytes | None:
        """What was signed, when it was encrypted to us and signed with the pinned certificate."""
        try:
            closed = base64.b64decode(body)
            signer = self._certificates.partners.by_pin(pin, self._clock.now())
        except (binascii.Error, CertificateError):
            return None
        key = own.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        mine = own.chain.leaf.public_bytes(Encoding.PEM)
        decrypt = [self._openssl, "cms", "-decrypt", "-inform", "DER", "-inkey", "{0}", "-recip", "{1}"]
        opened = await self._children.run(decrypt, closed, limits=LIMITS, handed=(key, mine))
        if not opened.fine:
            return None
        # -nointern: certificates in the mail are not looked at; -noverify: the chain was checked when it was pinned
        # (`Partners.by_pin`), so what openssl says is about the signature alone.
        verify = [self._openssl, "cms", "-verify", "-inform", "SMIME", "-nointern", "-noverify", "-certfile", "{0}"]
        signed = await self._children.run(
            verify, opened.output, limits=LIMITS, handed=(signer.public_bytes(Encoding.PEM),)
        )
        return signed.output if signed.fine and signed.output else None


def _read(told: Mapping[str, Any], content: bytes, head: Head, own: frozenset[str], now: Instant) -> Read | None:
    """The arrival; None when the signed headers name another sender or another recipient."""
    inner = told["headers"]
    protected = bool(told["protected"])
    if protected and (_one(inner["From"]), _one(inner["To"])) != (head.sender.lower(), head.recipient.lower()):
        return None  # a signed mail to somebody else, sent on to us (surreptitious forwarding)
    whole = str(inner["Message-ID"]).strip() if protected else head.message_id
    identifier = inward(whole, own) if is_message_id(whole.strip("<>")) else ""
    if not identifier:
        return None
    references = (
        [one for one in str(inner["References"]).split() if is_message_id(one.strip("<>"))] if protected else []
    )
    answered = str(inner["In-Reply-To"]).strip() if protected else ""
    files = [
        ArrivedFile(name=file["name"], media_type=file["type"], octets=base64.b64decode(file["octets"]))
        for file in told["files"]
    ]
    arrived = Arrived(
        channel=Channel.SMIME,
        origin=Origin.SMIME,
        id=identifier,
        sender=head.sender,
        recipient=head.recipient,
        conversation=inward(references[0], own) if references else identifier,
        replies_to=inward(answered, own) if is_message_id(answered.strip("<>")) else "",
        reference="",
        subject=str(inner["Subject"]),
        text=str(told["text"]),
        created=Instant(int(told["date"]) * 1_000_000) if told["date"] else now,
        original=content,
        files=tuple(files),
    )
    return Read(arrived=arrived, asks=_one(str(told["asks"])) if protected else "")


def _one(field: str) -> str:
    """The one address of a field, in small letters; empty when it is not one."""
    found = [address for _, address in getaddresses([field]) if address]
    try:
        return checked(found[0]).lower() if len(found) == 1 else ""
    except UnsafeTextError:
        return ""


def _part(files: Sequence[ArrivedFile]) -> tuple[ArrivedFile | None, Mapping[str, Any] | None]:
    """The form as a part of its own, as it was sent before it went as a PDF, and the data in it."""
    for file in files:
        if file.name == DATA_NAME and (data := _data(file.octets)) is not None:
            return file, data
    return None, None


def _data(octets: bytes) -> Mapping[str, Any] | None:
    try:
        found = json.loads(octets)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
