"""A parcel as a mail: a readable text, the form as a PDF, the files; signed, then encrypted, then addressed.

Why this exists: a recipient without a gateway reads this in an ordinary mail program, a gateway like this one reads the
form back out of the PDF (docs/channels.md §8). What stands outside the encryption is read by every server on the way,
so it is addresses, date and ids only; subject and the rest stand inside, signed (header protection, RFC 9788).

Rules: sign, then encrypt (RFC 8551 §3.6: who is not the recipient sees no signer); the same parcel gives the same
signed content at every attempt; no line is longer than 78 octets and none has eight bits, so that no relay rewrites it.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from adapters.smtp.addresses import checked, domain_of, header_text, outward
from adapters.smtp.certificates import Own
from gateway.neighbours import Parcel
from gateway.readable import markdown

#: The part that the form was until it went as a PDF: read still, and written no more.
DATA_NAME: Final = "sambud.json"
#: What a stranger on the way reads as subject.
OUTER_SUBJECT: Final = "Säkert meddelande"
POLICY: Final = SMTP.clone(max_line_length=78, cte_type="7bit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A file of a parcel, read."""

    name: str
    media_type: str
    octets: bytes


def entity(parcel: Parcel, carrier: bytes, files: Sequence[Loaded], *, asks: str) -> EmailMessage:
    """The content that is signed, with its headers inside.

    Args:
        carrier: the PDF that the form goes as.
        asks: where a receipt may be sent.

    Raises:
        UnsafeTextError: an address or an id that must not stand in a mail.
    """
    whole = EmailMessage(POLICY)
    whole["MIME-Version"] = "1.0"
    for name, value in headers(parcel, f"{parcel.form.title}, {parcel.case_reference}").items():
        whole[name] = value
    whole["Disposition-Notification-To"] = checked(asks)
    for name, value in headers(parcel, OUTER_SUBJECT).items():
        whole["HP-Outer"] = f"{name}: {value}"
    whole.set_content(markdown(parcel.form, parcel.body), cte="base64")
    page = header_text(f"{parcel.form.title}.pdf")
    whole.add_attachment(carrier, maintype="application", subtype="pdf", filename=page)
    for file in files:
        main, _, sub = file.media_type.partition("/")
        whole.add_attachment(file.octets, maintype=main, subtype=sub, filename=header_text(file.name))
    whole.set_boundary(f"=_sambud_{parcel.id}")
    whole.set_param("hp", "cipher")
    return whole


def headers(parcel: Parcel, subject: str) -> dict[str, str]:
    """What names this mail, the same at every attempt."""
    domain = domain_of(parcel.sender_address)
    sender = Address(display_name="", addr_spec=checked(parcel.sender_address))
    found = {
        "Date": format_datetime(datetime.datetime.fromtimestamp(parcel.created // 1_000_000, datetime.UTC)),
        "From": str(sender),
        "To": checked(parcel.address),
        "Subject": header_text(subject),
        "Message-ID": outward(str(parcel.id), domain),
    }
    references = [outward(parcel.conversation, domain)]
    if parcel.replies_to:
        found["In-Reply-To"] = outward(parcel.replies_to, domain)
        if found["In-Reply-To"] not in references:
            references.append(found["In-Reply-To"])
    found["References"] = " ".join(references)
    return found


def sealed(inner: EmailMessage, parcel: Parcel, own: Own, recipient: x509.Certificate) -> bytes:
    """The mail as it is sent: `inner` signed by `own` and encrypted to `recipient`."""
    content = inner.as_bytes(policy=POLICY)
    builder = pkcs7.PKCS7SignatureBuilder().set_data(content).add_signer(own.chain.leaf, own.key, hashes.SHA256())
    for other in own.chain.others:
        builder = builder.add_certificate(other)
    signed = builder.sign(Encoding.SMIME, [pkcs7.PKCS7Options.DetachedSignature])
    closed = (
        pkcs7.PKCS7EnvelopeBuilder()
        .set_data(_crlf(signed))
        .add_recipient(recipient)
        .set_content_encryption_algorithm(AES256)
        .encrypt(Encoding.DER, [pkcs7.PKCS7Options.Binary])
    )
    outer = EmailMessage(POLICY)
    outer["MIME-Version"] = "1.0"
    for name, value in headers(parcel, OUTER_SUBJECT).items():
        outer[name] = value
    head = outer.as_bytes(policy=POLICY).rstrip(b"\r\n")
    lines = (
        "Content-Type: application/pkcs7-mime; smime-type=enveloped-data;",
        " name=smime.p7m",
        "Content-Transfer-Encoding: base64",
        "Content-Disposition: attachment; filename=smime.p7m",
        "",
    )
    body = base64.encodebytes(closed).replace(b"\n", b"\r\n")
    return head + b"\r\n" + "\r\n".join(lines).encode() + b"\r\n" + body


def _crlf(octets: bytes) -> bytes:
    """The builder ends the lines that it adds with LF; in a mail every line ends with CRLF (RFC 8551 §3.1.1)."""
    return octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
