"""Postfix with S/MIME: secure e-mail as authorities do it, with the sealing in the client's own process.

A message is signed and encrypted (PKCS #7: RSA-2048, AES-256-CBC), handed over by SMTP, taken into the queue and synced
by Postfix, delivered into a Maildir, found there, decrypted and its signature checked. No rules, no log to rely on, no
receipt. Postfix runs from a folder that goes with the run; it needs root, as Postfix does.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID

from bench.peers.process import Server, free_port
from bench.wire import POLL_S

DOMAIN: Final = "bench.example"
OPTIONS: Final = [pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.NoAttributes, pkcs7.PKCS7Options.NoCerts]
SIGNATURE: Final = 256  # octets of RSA-2048: the last of the structure when there are no attributes
MASTER: Final = """\
{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""
MAIN: Final = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = {domain}
mydestination =
mynetworks = 127.0.0.0/8
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = inline:{{ {boxes} }}
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
disable_dns_lookups = yes
"""


def installed() -> bool:
    return shutil.which("postfix", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is not None and os.geteuid() == 0


async def start(folder: Path, workers: int) -> Server:
    port = free_port()
    owner, nobody = pwd.getpwnam("postfix"), pwd.getpwnam("nobody")
    for part in ("conf", "queue", "data", "mail"):
        (folder / part).mkdir()
    os.chown(folder / "data", owner.pw_uid, owner.pw_gid)
    os.chown(folder / "mail", nobody.pw_uid, nobody.pw_gid)
    folder.chmod(0o755)  # the delivery agent is nobody, and must get through
    boxes = ", ".join(f"{{ w{number}@{DOMAIN} = w{number}/ }}" for number in range(workers))
    values = {"folder": folder, "domain": DOMAIN, "boxes": boxes, "uid": nobody.pw_uid, "gid": nobody.pw_gid}
    (folder / "conf" / "main.cf").write_text(MAIN.format(**values), "utf-8")
    (folder / "conf" / "master.cf").write_text(MASTER.format(port=f"127.0.0.1:{port}"), "utf-8")
    argv = ["/usr/sbin/postfix", "-c", str(folder / "conf"), "start-fg"]
    return await Server.start("postfix", port, argv, folder)


class MailClient:
    """Signs, encrypts, sends, finds, decrypts, checks."""

    def __init__(self) -> None:
        self._boxes: list[_Box] = []

    async def mail_ready(self, port: int, folder: str, workers: int) -> None:
        smime = _Smime()
        self._boxes = [await _Box.made(port, Path(folder), number, smime) for number in range(workers)]

    async def mail_cycle(self, count: int, octets: int) -> float:
        """Seconds for `count` whole ways."""
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for box in self._boxes:
                group.create_task(box.work(count // len(self._boxes), octets))
        return time.perf_counter() - started


class _Smime:
    """One signer and one recipient."""

    def __init__(self) -> None:
        self._signer = rsa.generate_private_key(65537, 2048)
        self._reader = rsa.generate_private_key(65537, 2048)
        self._signer_certificate = _certificate(self._signer)
        self._reader_certificate = _certificate(self._reader)

    def seal(self, body: bytes) -> bytes:
        signed = (
            pkcs7.PKCS7SignatureBuilder()
            .set_data(body)
            .add_signer(self._signer_certificate, self._signer, hashes.SHA256())
            .sign(serialization.Encoding.DER, OPTIONS)
        )
        return (
            pkcs7.PKCS7EnvelopeBuilder()
            .set_data(signed)
            .add_recipient(self._reader_certificate)
            .set_content_encryption_algorithm(algorithms.AES256)
            .encrypt(serialization.Encoding.SMIME, [pkcs7.PKCS7Options.Binary])
        )

    def open(self, message: bytes, body: bytes) -> None:
        """Decrypt, and check the signature over `body`, which must be what was signed."""
        signed = pkcs7.pkcs7_decrypt_smime(message, self._reader_certificate, self._reader, [])
        if body not in signed:
            raise ValueError("another message came")
        public = self._signer.public_key()
        public.verify(signed[-SIGNATURE:], body, padding.PKCS1v15(), hashes.SHA256())


class _Box:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int, new: Path, smime: _Smime
    ):
        self._reader = reader
        self._writer = writer
        self._number = number
        self._new = new
        self._smime = smime

    @classmethod
    async def made(cls, port: int, folder: Path, number: int, smime: _Smime) -> _Box:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        box = cls(reader, writer, number, folder / "mail" / f"w{number}" / "new", smime)
        await box._said(b"220")
        await box._told(f"EHLO {DOMAIN}", b"250")
        return box

    async def work(self, count: int, octets: int) -> None:
        for _ in range(count):
            body = os.urandom(octets // 2).hex().encode()
            sealed = self._smime.seal(body).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
            await self._told(f"MAIL FROM:<s@{DOMAIN}>", b"250")
            await self._told(f"RCPT TO:<w{self._number}@{DOMAIN}>", b"250")
            await self._told("DATA", b"354")
            self._writer.write(f"From: s@{DOMAIN}\r\nTo: w{self._number}@{DOMAIN}\r\n".encode())
            self._writer.write(sealed + b"\r\n.\r\n")
            await self._said(b"250")
            path = await self._arrived()
            self._smime.open(path.read_bytes(), body)
            path.unlink()

    async def _arrived(self) -> Path:
        while True:
            if found := self._waiting():
                return found[0]
            await asyncio.sleep(POLL_S)

    def _waiting(self) -> list[Path]:
        return list(self._new.iterdir()) if self._new.exists() else []

    async def _told(self, line: str, wanted: bytes) -> None:
        self._writer.write(line.encode() + b"\r\n")
        await self._said(wanted)

    async def _said(self, wanted: bytes) -> None:
        while (line := await self._reader.readline())[3:4] == b"-":
            pass
        if not line.startswith(wanted):
            raise ValueError(f"Postfix said {line!r}")


def _certificate(key: rsa.RSAPrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, DOMAIN)])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
