"""Certificates of S/MIME: those of our recipients by their pin, and our own with their keys.

Why this exists: a message that is encrypted to the wrong certificate is a disclosure. So a recipient's certificate is
named in the directory by its SHA-256 (a row with a MAC), found in a folder, and used only if its chain leads to an
authority that the settings name, it is valid now, meant for e-mail, and RSA of at least 2048 bits.

Rules: the files are read at each use, so that a renewed certificate needs no restart; only RSA, because the CMS
builder of `cryptography` takes no other recipient.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from gateway.errors import SetupError
from gateway.model.base import Instant

MIN_BITS: Final = 2048
MAX_FILE_OCTETS: Final = 256 * 1024
SUFFIXES: Final = (".pem", ".crt", ".cer")
MAIL: Final = frozenset({ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})
log = structlog.get_logger()


class CertificateError(Exception):
    """A certificate that is missing or must not be used; the text says why and names nobody."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A certificate and those that lie beside it on the way to its authority."""

    leaf: x509.Certificate
    others: tuple[x509.Certificate, ...] = ()


@dataclass(frozen=True, slots=True)
class Own:
    """A function of ours: its key, its certificate, and the file both lie in (for `openssl`)."""

    chain: Chain
    key: RSAPrivateKey
    file: Path
    addresses: frozenset[str]


def pin_of(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate, hexadecimal: what `Route.pin` holds."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def mail_addresses(certificate: x509.Certificate) -> frozenset[str]:
    """The addresses that a certificate is for, in small letters."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return frozenset()
    return frozenset(name.lower() for name in names.get_values_for_type(x509.RFC822Name))


class Authorities:
    """Whom we believe that a certificate is what it says."""

    def __init__(self, file: Path) -> None:
        self.file = file
        if not _certificates(file):
            raise SetupError(
                "no authority for S/MIME can be read",
                swedish=f"Filen {file} innehåller inga utfärdarcertifikat (PEM).",
                next_step="Ange utfärdarnas certifikat i SAMBUD_SMIME_CA_FILE.",
            )

    def check(self, chain: Chain, now: Instant) -> None:
        """That a chain holds now and its leaf may be used for e-mail.

        Raises:
            CertificateError: it may not.
        """
        leaf = chain.leaf
        public = leaf.public_key()
        if not isinstance(public, RSAPublicKey) or public.key_size < MIN_BITS:
            raise CertificateError("not RSA of 2048 bits or more")
        usages = _usages(leaf)
        if usages is not None and not usages & MAIL:
            raise CertificateError("not for e-mail")
        if _is_authority(leaf):  # its key signs certificates: a message is for and from a function (RFC 5280 §4.2.1.9)
            raise CertificateError("an authority's own, and no function's")
        policy = ExtensionPolicy.permit_all()
        try:
            (
                PolicyBuilder()
                .store(Store(_certificates(self.file)))
                .time(_moment(now))
                .extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=policy)
                .build_client_verifier()
                .verify(leaf, list(chain.others))
            )
        except (VerificationError, ValueError) as fault:
            raise CertificateError("the chain does not hold, or not now") from fault


class Partners:
    """The certificates of those whom we write to, in a folder."""

    def __init__(self, folder: Path, authorities: Authorities) -> None:
        self._folder = folder
        self._authorities = authorities

    def by_pin(self, pin: str, now: Instant) -> x509.Certificate:
        """The certificate with this pin, fit to encrypt to now.

        Raises:
            CertificateError: there is none, or it must not be used.
        """
        for chain in _chains(self._folder):
            if pin and pin_of(chain.leaf) == pin.lower():
                self._authorities.check(chain, now)
                if not _encrypts(chain.leaf):
                    raise CertificateError("not for encryption")
                return chain.leaf
        raise CertificateError("no certificate with this pin")

    def expires(self) -> Instant | None:
        return _first_end(chain.leaf for chain in _chains(self._folder))


class Functions:
    """Our own functions' keys and certificates: one PEM file for each, key first, then certificate and chain."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found = [own for own in map(_own, _files(folder)) if own is not None]
        if not self._found:
            raise SetupError(
                "no S/MIME key can be read",
                swedish=f"Katalogen {folder} innehåller ingen nyckel med certifikat för S/MIME.",
                next_step="Lägg en PEM-fil för varje funktionsadress där: nyckel (RSA), certifikat, kedja.",
            )

    def of(self, address: str) -> Own | None:
        """Who speaks for an address."""
        return next((own for own in self._found if address.lower() in own.addresses), None)

    def addresses(self) -> frozenset[str]:
        """All addresses that are ours."""
        return frozenset().union(*(own.addresses for own in self._found))

    def expires(self) -> Instant | None:
        return _first_end(own.chain.leaf for own in self._found)


def _own(file: Path) -> Own | None:
    octets = file.read_bytes()[:MAX_FILE_OCTETS]
    try:
        key = load_pem_private_key(octets, None)
        leaf, *others = x509.load_pem_x509_certificates(octets)
    except (ValueError, TypeError) as fault:
        log.error("a file of S/MIME keys cannot be read", file=file.name, kind=type(fault).__name__)
        return None
    if not isinstance(key, RSAPrivateKey) or leaf.public_key() != key.public_key():
        log.error("a file of S/MIME keys has no RSA key, or its first certificate is another's", file=file.name)
        return None
    return Own(Chain(leaf, tuple(others)), key, file, mail_addresses(leaf))


def _chains(folder: Path) -> list[Chain]:
    found = []
    for file in _files(folder):
        certificates = _certificates(file)
        if certificates:
            found.append(Chain(certificates[0], tuple(certificates[1:])))
    return found


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if file.suffix in SUFFIXES and file.is_file())
    except OSError:
        return []


def _certificates(file: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(file.read_bytes()[:MAX_FILE_OCTETS])
    except (OSError, ValueError):
        return []


def _usages(leaf: x509.Certificate) -> frozenset[x509.ObjectIdentifier] | None:
    """The purposes that a certificate names; None when it names none and so excludes none."""
    try:
        return frozenset(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return None
    except ValueError as fault:
        raise CertificateError("its extensions cannot be read") from fault


def _is_authority(leaf: x509.Certificate) -> bool:
    try:
        return leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False
    except ValueError as fault:
        raise CertificateError("its extensions cannot be read") from fault


def _encrypts(leaf: x509.Certificate) -> bool:
    try:
        return leaf.extensions.get_extension_for_class(x509.KeyUsage).value.key_encipherment
    except x509.ExtensionNotFound:
        return True


def _first_end(certificates: Iterable[x509.Certificate]) -> Instant | None:
    ends = [int(one.not_valid_after_utc.timestamp() * 1_000_000) for one in certificates]
    return Instant(min(ends)) if ends else None


def _moment(now: Instant) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(now / 1_000_000, datetime.UTC)
