"""Keys of backups: recipients who may keep for years, epoch keys that die, and the ciphers of docs/backup.md §2.2.

Why this exists: a copy of the key store that can be opened for years undoes gallring. So it is sealed to one epoch
key alone, which lies outside every database and backup and is destroyed 35 days after it was made; copies of the
message store hold no shred key and may go to long-lived recipients (security-decisions H11).

Rules: private files are written create-only with mode 0400 and are refused when others can read them; one fresh file
key for each file; nothing here chooses a nonce.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag

from gateway.backupports import EpochKey, Recipient, Slot
from gateway.envelope import ctx, u16
from gateway.errors import BackupError, SetupError
from gateway.model.base import Instant
from gateway.model.keys import AdministrationKey
from keys import hierarchy, roots, suites

_SECRET: Final = re.compile(r"\Asambud-(?:backup-key-1|epoch-key-1 (\d{1,16})) ([0-9a-f]{64})\n\Z")
_PUBLIC: Final = "sambud-backup-recipient-1"
_WRAP_INFO: Final = "backup-wrap"


class SealedStream:
    """A file key wrapped to each recipient, and the stream under it."""

    def __init__(self, head: bytes, recipients: Sequence[Recipient]) -> None:
        digest = hashlib.sha256(head).digest()
        key = bytes(Cobblestone256Encryptor.generate_key())
        self.slots = tuple(
            Slot(one.id, suites.HPKE.encrypt(key, suites.public_key(one.public), info=_wrap_info(digest, one.id)))
            for one in recipients
        )
        self._encryptor = Cobblestone256Encryptor(key, _stream_context(digest))

    def update(self, octets: bytes) -> bytes:
        return bytes(self._encryptor.update(octets))

    def finish(self) -> bytes:
        return bytes(self._encryptor.finalize())


class OpenedStream:
    """The plaintext of a stream; pieces are authenticated one by one, its end by `finish`."""

    def __init__(self, head: bytes, slots: Sequence[Slot], owned: Sequence[bytes]) -> None:
        digest = hashlib.sha256(head).digest()
        self._decryptor = Cobblestone256Decryptor(_file_key(digest, slots, owned), _stream_context(digest))

    def update(self, octets: bytes) -> bytes:
        try:
            return bytes(self._decryptor.update(octets))
        except (InvalidTag, ValueError) as fault:
            raise _altered() from fault

    def finish(self) -> bytes:
        try:
            return bytes(self._decryptor.finalize())
        except (InvalidTag, ValueError) as fault:
            raise _altered() from fault


class BackupKeyring:
    """The BackupKeys port."""

    def seal(self, head: bytes, recipients: Sequence[Recipient]) -> SealedStream:
        return SealedStream(head, recipients)

    def open(self, head: bytes, slots: Sequence[Slot], secrets: Sequence[bytes]) -> OpenedStream:
        return OpenedStream(head, slots, secrets)

    def signer(self, root: bytes, log_key: AdministrationKey) -> tuple[bytes, Callable[[bytes], bytes]]:
        seed = suites.derive(hierarchy.unwrapped(root, log_key), f"{log_key.label}/backup")
        return suites.signing_public(seed), lambda octets: suites.sign(seed, octets)

    def verifies(self, public: bytes, signature: bytes, octets: bytes) -> bool:
        return suites.verifies(public, signature, octets)

    def root(self, path: Path, *, data_dir: Path) -> bytes:
        return roots.read_root(path, data_dir=data_dir)

    def create(self, path: Path) -> str:
        seed = secrets.token_bytes(32)
        _write(path, f"sambud-backup-key-1 {seed.hex()}\n")
        return f"{_PUBLIC} {base64.b64encode(suites.public_octets(seed)).decode()}"

    def recipients(self, path: Path) -> list[Recipient]:
        try:
            lines = path.read_text("ascii").splitlines()
        except (OSError, ValueError) as trouble:
            raise _no_recipients(path) from trouble
        found = [_recipient(path, line) for line in lines if line.strip() and not line.startswith("#")]
        if not 1 <= len(found) <= 16:
            raise _no_recipients(path)
        return found

    def secret(self, path: Path) -> bytes:
        return _read(path)[1]

    def epochs(self, folder: Path) -> list[EpochKey]:
        found = []
        for file in sorted(folder.glob("*.epoch")) if folder.is_dir() else []:
            created, seed = _read(file)
            if created is not None:
                found.append(EpochKey(file, created, recipient_of(suites.public_octets(seed))))
        return sorted(found, key=lambda key: key.created)

    def new_epoch(self, folder: Path, *, at: Instant) -> EpochKey:
        seed = secrets.token_bytes(32)
        recipient = recipient_of(suites.public_octets(seed))
        file = folder / f"{at}-{recipient.id.hex()[:8]}.epoch"
        _write(file, f"sambud-epoch-key-1 {at} {seed.hex()}\n")
        return EpochKey(file, at, recipient)

    def destroy(self, path: Path) -> None:
        try:
            path.chmod(0o600)
            with path.open("r+b") as file:
                length = file.seek(0, os.SEEK_END)
                file.seek(0)
                file.write(secrets.token_bytes(length))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
            _sync(path.parent)
        except OSError as trouble:
            raise SetupError(
                f"{path} cannot be destroyed",
                swedish=f"Epoknyckeln {path} går inte att förstöra.",
                next_step="Ta bort filen för hand: så länge den finns kan gallrade nycklar komma tillbaka.",
            ) from trouble


def recipient_of(public: bytes) -> Recipient:
    """A public key with its id (docs/backup.md §2.2)."""
    return Recipient(hashlib.sha256(ctx("backup-recipient", public)).digest(), public)


def _file_key(digest: bytes, slots: Sequence[Slot], owned: Sequence[bytes]) -> bytes:
    by_id = {recipient_of(suites.public_octets(seed)).id: seed for seed in owned}
    for slot in slots:
        seed = by_id.get(slot.recipient)
        if seed is not None:
            try:
                key = suites.HPKE.decrypt(
                    slot.wrapped, suites.private_key(seed), info=_wrap_info(digest, slot.recipient)
                )
            except (InvalidTag, ValueError) as fault:
                raise _altered() from fault
            if len(key) == 32:
                return bytes(key)
            raise _altered()
    raise BackupError(
        "no given key opens this backup",
        swedish="Ingen av de angivna nycklarna öppnar säkerhetskopian.",
        next_step="Ange mottagarnyckeln (--key) för *.sbm och epoknycklarna (--epoch-keys) för *.sbk. En kopia av "
        "nyckellagret vars epoknyckel är förstörd går inte att öppna. Inget har ändrats.",
    )


def _stream_context(digest: bytes) -> bytes:
    return ctx("backup", u16(suites.SUITE_ID), digest)


def _wrap_info(digest: bytes, recipient: bytes) -> bytes:
    return ctx(_WRAP_INFO, u16(suites.SUITE_ID), digest, recipient)


def _altered() -> BackupError:
    return BackupError(
        "the backup was altered or cut",
        swedish="Säkerhetskopian är ändrad eller avkortad.",
        next_step="Använd en annan kopia. Inget har ändrats.",
    )


def _recipient(path: Path, line: str) -> Recipient:
    parts = line.split()
    try:
        if parts[0] != _PUBLIC:
            raise ValueError("another kind of line")
        public = base64.b64decode(parts[1], validate=True)
        suites.public_key(public)
    except (IndexError, ValueError, binascii.Error) as fault:
        raise _no_recipients(path) from fault
    return recipient_of(public)


def _no_recipients(path: Path) -> SetupError:
    return SetupError(
        f"{path} does not name recipients",
        swedish=f"Filen {path} anger inga mottagare för säkerhetskopior, eller en rad som inte är en publik nyckel.",
        next_step="Skriv en rad från 'sambud backup-key create' per mottagare (högst 16).",
    )


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        _sync(path.parent)
    except FileExistsError:
        raise SetupError(
            f"{path} exists",
            swedish=f"Nyckelfilen {path} finns redan.",
            next_step="Ange en annan fil. En nyckel skrivs aldrig över.",
        ) from None
    except OSError as trouble:
        raise SetupError(
            f"{path} cannot be written",
            swedish=f"Nyckelfilen {path} går inte att skriva.",
            next_step="Kontrollera katalog, rättigheter och utrymme.",
        ) from trouble


def _read(path: Path) -> tuple[Instant | None, bytes]:
    """When the key was made (epoch keys only), and its 32 octets."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as trouble:
        raise _no_key(path, "saknas eller kan inte läsas") from trouble
    with os.fdopen(descriptor, encoding="ascii", errors="replace") as file:
        status = os.fstat(file.fileno())
        if stat.S_IMODE(status.st_mode) & 0o177 or status.st_uid != os.geteuid():
            raise _no_key(path, "kan läsas av andra")
        text = file.read(200)
    match = _SECRET.match(text)
    if match is None:
        raise _no_key(path, "är ingen nyckel för säkerhetskopior")
    return (Instant(int(match[1])) if match[1] else None), bytes.fromhex(match[2])


def _no_key(path: Path, what: str) -> SetupError:
    return SetupError(
        f"backup key {path}: {what}",
        swedish=f"Nyckelfilen {path} {what}.",
        next_step="Ange rätt fil, läge 0400, ägd av den som kör kommandot.",
    )


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
