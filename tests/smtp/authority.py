"""A certificate authority of the tests' own: certificates for mail and for servers, good and bad in one way each."""

from __future__ import annotations

import datetime
import functools
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from adapters.smtp.certificates import pin_of
from tests.clock import ManualClock

NOW: Final = datetime.datetime.fromtimestamp(ManualClock().now() / 1_000_000, datetime.UTC)
DAY: Final = datetime.timedelta(days=1)
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@functools.cache
def rsa_key(number: int, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Keys are slow to make, so the tests share a few, by number."""
    return rsa.generate_private_key(65537, bits)


@dataclass(frozen=True)
class Issued:
    """A certificate with its key and its issuer."""

    certificate: x509.Certificate
    key: Key
    issuer: x509.Certificate

    @property
    def pin(self) -> str:
        return pin_of(self.certificate)

    def pem(self, *, key: bool = False) -> bytes:
        private = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) if key else b""
        return private + self.certificate.public_bytes(Encoding.PEM)

    def written(self, folder: Path, name: str, *, key: bool = False) -> Path:
        folder.mkdir(exist_ok=True, parents=True)
        file = folder / f"{name}.pem"
        file.write_bytes(self.pem(key=key))
        return file


class Authority:
    """Issues certificates; `around` is the moment they are valid around."""

    def __init__(self, name: str = "Testutfärdare", *, number: int = 0, around: datetime.datetime = NOW) -> None:
        self._key = rsa_key(number)
        self._around = around
        self._serial = number * 1_000
        public = self._key.public_key()
        self._identifier = x509.SubjectKeyIdentifier.from_public_key(public)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = (
            self._begun(subject, subject, public, 3650)
            .add_extension(x509.BasicConstraints(True, None), True)
            .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)
            .add_extension(self._identifier, False)
            .sign(self._key, hashes.SHA256())
        )

    def _begun(
        self, subject: x509.Name, issuer: x509.Name, public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey, days: int
    ) -> x509.CertificateBuilder:
        self._serial += 1
        begin, end = self._around - 30 * DAY, self._around + days * DAY
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(self._serial)
            .not_valid_before(begin)
            .not_valid_after(end)
        )

    def written(self, folder: Path, name: str = "ca") -> Path:
        folder.mkdir(exist_ok=True, parents=True)
        file = folder / f"{name}.pem"
        file.write_bytes(self.certificate.public_bytes(Encoding.PEM))
        return file

    def mail(
        self,
        address: str,
        *,
        number: int = 1,
        days: int = 365,
        bits: int = 2048,
        key: Key | None = None,
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.EMAIL_PROTECTION,
        enciphers: bool = True,
    ) -> Issued:
        """A certificate for a function's mail."""
        chosen = key or rsa_key(number, bits)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Funktionspost")])
        made = (
            self._begun(subject, self.certificate.subject, chosen.public_key(), days)
            .add_extension(x509.ExtendedKeyUsage([usage]), False)
            .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(address)]), False)
            .add_extension(x509.KeyUsage(True, False, enciphers, False, False, False, False, False, False), True)
            .add_extension(self._from_here(), False)
        )
        return Issued(made.sign(self._key, hashes.SHA256()), chosen, self.certificate)

    def server(self, host: str = "127.0.0.1", *, number: int = 3, days: int = 365) -> Issued:
        """A certificate for a mail server."""
        key = rsa_key(number)
        try:
            name: x509.GeneralName = x509.IPAddress(ip_address(host))
        except ValueError:
            name = x509.DNSName(host)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Postserver")])
        made = (
            self._begun(subject, self.certificate.subject, key.public_key(), days)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
            .add_extension(x509.SubjectAlternativeName([name]), False)
            .add_extension(self._from_here(), False)
        )
        return Issued(made.sign(self._key, hashes.SHA256()), key, self.certificate)

    def _from_here(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._identifier)
