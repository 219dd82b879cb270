"""X06: a certificate that is wrong in one way is neither encrypted to nor believed, though the directory pins it."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from adapters.smtp.certificates import Authorities, CertificateError, Partners
from gateway.model.base import Instant
from gateway.neighbours import Reason
from tests.clock import ManualClock
from tests.faults.tally import tally
from tests.smtp.authority import DAY, NOW, Authority, Issued, rsa_key
from tests.smtp.mails import from_gateway
from tests.smtp.parcels import THEIRS
from tests.smtp.servers import Kept, a_server
from tests.smtp.site import Site

pytestmark = pytest.mark.slow
AT: Final = ManualClock().now()


def _issued(
    authority: Authority,
    *,
    signer: rsa.RSAPrivateKey | None = None,
    issuer: x509.Name | None = None,
    begin: datetime.datetime = NOW - 30 * DAY,
    end: datetime.datetime = NOW + 300 * DAY,
    ca: bool = False,
    usage: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.EMAIL_PROTECTION,
    extra: x509.Extension[x509.UnrecognizedExtension] | None = None,
    number: int = 2,
) -> Issued:
    """A certificate that is fit for mail but for what is said."""
    key = rsa_key(number)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Funktionspost")]))
        .issuer_name(issuer or authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(900 + number)
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(THEIRS)]), False)
        .add_extension(x509.KeyUsage(True, False, True, False, False, ca, False, False, False), True)
    )
    if ca:
        made = made.add_extension(x509.BasicConstraints(True, None), True)
    if usage is not None:
        made = made.add_extension(x509.ExtendedKeyUsage([usage]), False)
    if extra is not None:
        made = made.add_extension(extra.value, extra.critical)
    return Issued(made.sign(signer or authority._key, hashes.SHA256()), key, authority.certificate)


def _below(authority: Authority, *, ca: bool, days: int = 300) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    """A certificate between the authority and the function: an authority itself, or not."""
    key = rsa_key(11)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Mellanled")]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(950)
        .not_valid_before(NOW - 30 * DAY)
        .not_valid_after(NOW + days * DAY)
        .add_extension(x509.BasicConstraints(ca, None), True)
        .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .sign(authority._key, hashes.SHA256())
    )
    return made, key


def _flipped(issued: Issued) -> Issued:
    """The same with one bit of its signature changed."""
    octets = bytearray(issued.certificate.public_bytes(Encoding.DER))
    octets[-1] ^= 1
    return Issued(x509.load_der_x509_certificate(bytes(octets)), issued.key, issued.issuer)


UNKNOWN: Final = x509.Extension(
    x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"),
    True,
    x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00"),
)
#: What is wrong, and how; the chain beside it, if any.
WRONG: Final[Mapping[str, Callable[[Authority], tuple[Issued, tuple[x509.Certificate, ...]]]]] = {
    "another authority": lambda _: (Authority("En annan", number=7).mail(THEIRS, number=2), ()),
    "another authority of the same name": lambda _: (Authority(number=7).mail(THEIRS, number=2), ()),
    "its own authority": lambda a: (_issued(a, signer=rsa_key(2), issuer=a.certificate.subject), ()),
    "ended": lambda a: (_issued(a, end=NOW - DAY), ()),
    "ends in this moment": lambda a: (_issued(a, end=NOW - datetime.timedelta(seconds=1)), ()),
    "not yet valid": lambda a: (_issued(a, begin=NOW + DAY), ()),
    "for servers": lambda a: (_issued(a, usage=ExtendedKeyUsageOID.SERVER_AUTH), ()),
    "for clients": lambda a: (_issued(a, usage=ExtendedKeyUsageOID.CLIENT_AUTH), ()),
    "for code": lambda a: (_issued(a, usage=ExtendedKeyUsageOID.CODE_SIGNING), ()),
    "an authority itself": lambda a: (_issued(a, ca=True), ()),
    "a changed signature": lambda a: (_flipped(_issued(a)), ()),
    "an extension that must be understood": lambda a: (_issued(a, extra=UNKNOWN), ()),
    "from one that is no authority": lambda a: _through(a, ca=False),
    "from an authority that ended": lambda a: _through(a, ca=True, days=-1),
    "from an authority that is not beside it": lambda a: (_through(a, ca=True)[0], ()),
    "a short key": lambda a: (a.mail(THEIRS, number=9, bits=1024), ()),
    "no RSA": lambda a: (a.mail(THEIRS, key=ec.generate_private_key(ec.SECP256R1())), ()),
}


def _through(authority: Authority, *, ca: bool, days: int = 300) -> tuple[Issued, tuple[x509.Certificate, ...]]:
    between, key = _below(authority, ca=ca, days=days)
    return _issued(authority, signer=key, issuer=between.subject), (between,)


@functools.cache
def _authority() -> Authority:
    return Authority()


def _laid(folder: Path, issued: Issued, others: tuple[x509.Certificate, ...]) -> None:
    pem = b"".join(one.public_bytes(Encoding.PEM) for one in (issued.certificate, *others))
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "theirs.pem").write_bytes(pem)


def test_what_is_right_is_used_through_an_authority_in_between_too(tmp_path: Path) -> None:
    for issued, others in ((_issued(_authority()), ()), _through(_authority(), ca=True)):
        _authority().written(tmp_path)
        _laid(tmp_path / "partners", issued, others)
        found = Partners(tmp_path / "partners", Authorities(tmp_path / "ca.pem")).by_pin(issued.pin, Instant(AT))
        assert found == issued.certificate


@pytest.mark.parametrize("wrong", WRONG)
def test_nothing_is_encrypted_to_it(tmp_path: Path, wrong: str) -> None:
    issued, others = WRONG[wrong](_authority())
    _authority().written(tmp_path)
    _laid(tmp_path / "partners", issued, others)
    tally("X06", cases=1)
    with pytest.raises(CertificateError):
        Partners(tmp_path / "partners", Authorities(tmp_path / "ca.pem")).by_pin(issued.pin, Instant(AT))


@pytest.mark.parametrize("wrong", [name for name in WRONG if name != "no RSA"])
async def test_nothing_that_it_signed_is_read_and_its_sender_is_told_what_everybody_is(
    tmp_path: Path, wrong: str
) -> None:
    site = Site.make(tmp_path)
    issued, others = WRONG[wrong](site.authority)
    _laid(tmp_path / "partners", issued, others)
    octets = from_gateway(site, signer=issued)
    site.theirs = issued  # this is the one that the directory pins
    site.delivered(octets)
    kept = Kept()
    async with a_server(kept) as port:
        neighbour = site.neighbour(port)
        arrived = [one async for one in neighbour.arrivals()]
    tally("X06", cases=1, half=len(arrived))
    assert arrived == []
    assert list(neighbour.left.values()) == [Reason.UNTRUSTED]
    assert len(kept.mails) == 1
