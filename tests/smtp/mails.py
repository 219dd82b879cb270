"""Mails as others send them to us: by a gateway like this one, by an ordinary mail program (openssl), and reports."""

from __future__ import annotations

import asyncio
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from adapters.documents.pdf import PdfDocuments
from adapters.smtp import mail
from gateway.canonical import dumps
from gateway.documents import carried, page_of
from gateway.neighbours import Parcel
from tests.smtp.authority import Authority, Issued
from tests.smtp.parcels import OURS, THEIRS, a_parcel
from tests.smtp.site import Site

ASKS = "kvitto+r1@region.example"


def from_gateway(
    site: Site,
    *,
    signer: Issued | None = None,
    files: tuple[mail.Loaded, ...] = (),
    carrier: bytes = b"",
    **changes: object,
) -> bytes:
    """A parcel that the region's gateway sends to our function."""
    parcel = to_us(**changes)
    return _from_region(site, mail.entity(parcel, carrier or page(parcel), files, asks=ASKS), parcel, signer)


def from_earlier_gateway(site: Site, files: tuple[mail.Loaded, ...] = (), **changes: object) -> bytes:
    """The same as versions before the PDF sent it: the form as a part of its own, which names no mail."""
    parcel = to_us(**changes)
    part = mail.Loaded(name="sambud.json", media_type="application/json", octets=dumps(parcel.data))
    whole = mail.entity(parcel, b"", (part, *files), asks=ASKS)
    del whole.get_payload()[1]  # type: ignore[union-attr,arg-type]
    return _from_region(site, whole, parcel)


def page(parcel: Parcel) -> bytes:
    """The PDF that a parcel's form goes as; made in a loop of its own, so that a test may call it from inside one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, PdfDocuments().pdf(page_of(parcel), carried(parcel))).result()


def _from_region(site: Site, whole: mail.EmailMessage, parcel: Parcel, signer: Issued | None = None) -> bytes:
    return mail.sealed(whole, parcel, _own(signer or site.theirs), _ours(site))


def to_us(**changes: object) -> Parcel:
    return a_parcel(**{"sender_address": THEIRS, "address": OURS, **changes})  # type: ignore[arg-type]


def _own(issued: Issued) -> mail.Own:
    from adapters.smtp.certificates import Chain, Own, mail_addresses

    return Own(Chain(issued.certificate), issued.key, Path("unused"), mail_addresses(issued.certificate))  # type: ignore[arg-type]


def _ours(site: Site) -> mail.x509.Certificate:
    own = site.certificates().functions.of(OURS)
    assert own is not None
    return own.chain.leaf


def by_program(site: Site, content: bytes, *, opaque: bool = False, cipher: str = "-aes256", outer: str = "") -> bytes:
    """What a mail program makes of `content`: signed by their certificate, encrypted to ours, its headers outside only."""
    key = site.theirs.written(site.folder / "their", "key", key=True)
    ours = site.folder / "own" / "ours.pem"
    signed = _cms("-sign", "-signer", key, "-inkey", key, *(["-nodetach"] if opaque else []), octets=content)
    closed = _cms("-encrypt", cipher, ours, octets=signed)
    head = outer or f"From: {THEIRS}\nTo: {OURS}\nMessage-ID: <abc@region.example>\nSubject: Hej\n"
    return (head.encode() + closed).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _cms(*arguments: str | Path, octets: bytes) -> bytes:
    done = subprocess.run(["openssl", "cms", *arguments], input=octets, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def a_report(action: str, status: str, *, kind: str = "delivery-status") -> bytes:
    """A bounce as Postfix writes it."""
    return f"""From: MAILER-DAEMON@region.example (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type={kind}; boundary="B"

--B
Content-Type: text/plain; charset=us-ascii

This is the mail system at host mail.region.example.

--B
Content-Type: message/{kind}

Reporting-MTA: dns; mail.region.example
Arrival-Date: Mon,  2 Mar 2026 09:00:00 +0100 (CET)

Final-Recipient: rfc822; remiss@region.example
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 {status} Canary Testperson 199006022397

--B
Content-Type: text/rfc822-headers

Subject: =?utf-8?q?S=C3=A4kert?= meddelande

--B--
""".replace("\n", "\r\n").encode()


def stranger() -> Issued:
    return Authority("En annan", number=6).mail(THEIRS, number=7)
