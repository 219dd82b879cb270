"""A parcel as signed and encrypted mail, read by `openssl cms`; and which certificates are not written to."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from email import message_from_bytes
from email.policy import SMTP
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from adapters.documents.pdf import PdfDocuments
from adapters.smtp import mail
from adapters.smtp.addresses import UnsafeTextError
from adapters.smtp.certificates import Authorities, CertificateError, Functions, Partners
from gateway.documents import data_for
from gateway.model.base import DAY, Instant
from gateway.neighbours import Parcel
from tests.clock import ManualClock
from tests.smtp.authority import Authority, Issued
from tests.smtp.mails import page
from tests.smtp.parcels import OURS, THEIRS, a_parcel

NOW = ManualClock().now()
PDF = b"%PDF-1.7\n" + bytes(range(256)) * 20
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl (Debian: openssl)"),
]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority()
    made.written(tmp_path)
    made.mail(OURS, number=1).written(tmp_path / "own", "ours", key=True)
    return made


def _sealed(folder: Path, parcel: Parcel, theirs: Issued) -> bytes:
    own = Functions(folder / "own").of(OURS)
    assert own is not None
    theirs.written(folder / "partners", "theirs")
    recipient = Partners(folder / "partners", Authorities(folder / "ca.pem")).by_pin(theirs.pin, NOW)
    file = mail.Loaded(name="utdrag å.pdf", media_type="application/pdf", octets=PDF)
    return mail.sealed(mail.entity(parcel, page(parcel), [file], asks="studs@vaxjo.example"), parcel, own, recipient)


def _openssl(*arguments: str | Path, octets: bytes) -> bytes:
    done = subprocess.run(["openssl", "cms", *arguments], input=octets, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_openssl_decrypts_and_verifies_what_we_send_and_finds_the_form_in_it(
    tmp_path: Path, authority: Authority
) -> None:
    """RFC 8551: signed, then encrypted with AES-256, to the certificate that the directory pins."""
    theirs, parcel = authority.mail(THEIRS, number=2), a_parcel()
    octets = _sealed(tmp_path, parcel, theirs)
    key = theirs.written(tmp_path / "their", "key", key=True)

    printed = _openssl("-cmsout", "-print", "-inform", "SMIME", octets=octets)
    signed = _openssl("-decrypt", "-inform", "SMIME", "-recip", key, "-inkey", key, octets=octets)
    trust = ("-CAfile", tmp_path / "ca.pem", "-purpose", "smimesign", "-attime", str(NOW // 1_000_000))
    content = _openssl("-verify", "-inform", "SMIME", *trust, octets=signed)

    assert b"aes-256-cbc" in printed
    whole = message_from_bytes(content, policy=SMTP)
    assert whole["Subject"] == "Uppdragsblankett, VX-26-00017"
    text, form, file = list(whole.iter_parts())  # type: ignore[attr-defined]
    assert "Uppdragsblankett" in text.get_content()
    assert (form.get_filename(), form.get_content_type()) == ("Uppdragsblankett.pdf", "application/pdf")
    data = asyncio.run(PdfDocuments().data(form.get_content()))
    assert data_for(str(parcel.id), data) == {**parcel.data, "envelope": str(parcel.id)}
    assert (file.get_filename(), file.get_content()) == ("utdrag å.pdf", PDF)


def test_outside_the_encryption_stand_addresses_date_and_ids_only(tmp_path: Path, authority: Authority) -> None:
    """Q11: no form, no case, no name in what every server on the way reads; and no relay has cause to rewrite it."""
    octets = _sealed(tmp_path, a_parcel(), authority.mail(THEIRS, number=2))
    head = octets.partition(b"\r\n\r\n")[0].decode("ascii")
    assert {line.partition(":")[0] for line in head.split("\r\n") if line[0] != " "} == {
        "MIME-Version",
        "Date",
        "From",
        "To",
        "Subject",
        "Message-ID",
        "References",
        "Content-Type",
        "Content-Transfer-Encoding",
        "Content-Disposition",
    }
    assert not re.search("VX-26|blankett|Testperson", head)
    assert max(map(len, octets.split(b"\r\n"))) <= 78
    assert octets.count(b"\n") == octets.count(b"\r\n")


def test_the_same_parcel_is_the_same_message_at_every_attempt() -> None:
    """Q03: what nobody knows is tried again, with the same Message-ID and the same signed content."""
    parcel = a_parcel()
    first, again = (mail.entity(parcel, page(parcel), [], asks="studs@vaxjo.example").as_bytes() for _ in range(2))
    assert first == again
    assert f"<{parcel.id}@vaxjo.example>".encode() in first


def _refused(tmp_path: Path, issued: Issued, now: Instant = NOW) -> str:
    issued.written(tmp_path / "partners", "theirs")
    with pytest.raises(CertificateError) as refused:
        Partners(tmp_path / "partners", Authorities(tmp_path / "ca.pem")).by_pin(issued.pin, now)
    return str(refused.value)


def test_a_certificate_that_must_not_be_used_is_not_encrypted_to(tmp_path: Path, authority: Authority) -> None:
    """Chain, validity, purpose, kind and length of key: each refuses by itself."""
    good = authority.mail(THEIRS, number=2)
    assert "chain" in _refused(tmp_path, Authority("En annan", number=7).mail(THEIRS, number=2))
    assert "not now" in _refused(tmp_path, good, Instant(NOW + 400 * DAY))
    assert "not now" in _refused(tmp_path, good, Instant(NOW - 40 * DAY))
    assert "not for e-mail" in _refused(tmp_path, authority.mail(THEIRS, usage=ExtendedKeyUsageOID.SERVER_AUTH))
    assert "not for encryption" in _refused(tmp_path, authority.mail(THEIRS, enciphers=False))
    assert "not RSA" in _refused(tmp_path, authority.mail(THEIRS, key=ec.generate_private_key(ec.SECP256R1())))
    assert "not RSA" in _refused(tmp_path, authority.mail(THEIRS, number=9, bits=1024))


def test_no_certificate_but_the_pinned_one_is_used(tmp_path: Path, authority: Authority) -> None:
    """Another certificate for the same address, from the same authority, is another."""
    authority.mail(THEIRS, number=2).written(tmp_path / "partners", "theirs")
    partners = Partners(tmp_path / "partners", Authorities(tmp_path / "ca.pem"))
    for pin in ("", authority.mail(THEIRS, number=4).pin):
        with pytest.raises(CertificateError, match="no certificate"):
            partners.by_pin(pin, NOW)


@pytest.mark.parametrize(
    "changes",
    [{"address": "a@b.example\r\nBcc: c@d.example"}, {"sender_address": ""}, {"replies_to": "x>\r\nX: y@z"}],
)
def test_a_parcel_with_an_unsafe_address_or_id_becomes_no_mail(changes: dict[str, str]) -> None:
    """Q10: refused before SMTP."""
    with pytest.raises(UnsafeTextError):
        mail.entity(a_parcel(**changes), b"", [], asks="studs@vaxjo.example")
