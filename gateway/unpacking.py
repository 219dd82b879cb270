"""Read a backup from its first octet to its last, in order, and believe nothing before it is compared.

Why this exists: a restore reads each file twice, once to know that it is whole and once to put it in place, and both
must be equally strict: the grammar of docs/backup.md §3, the counts and digests of §4, the signature of this gateway.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gateway import archive
from gateway.archive import Begun, FileEntry, Kind, Manifest, RecordReader, RecordType, TableDigest
from gateway.backupports import BackupKeys, Table, Values
from gateway.errors import BackupError
from gateway.model.base import GATEWAY, AdministrationId, Instant
from gateway.model.keys import AdministrationKey, KeyLabel


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a table."""

    table: Table
    rows: list[Values]


@dataclass(frozen=True, slots=True)
class Ended:
    """The manifest, after everything it says was compared but its signature."""

    manifest: Manifest
    octets: bytes
    signature: bytes


#: A table begins (Table), its rows, a file begins (FileEntry), its octets, and the end.
Event = Table | Rows | FileEntry | bytes | Ended


class Walk:
    """The events of one backup file.

    Raises (while it is iterated):
        BackupError: the stream, its grammar or a digest does not hold.
    """

    def __init__(self, file: BinaryIO, begun: Begun, keys: BackupKeys, secrets: Sequence[bytes]) -> None:
        self._file = file
        self._begun = begun
        self._opening = keys.open(begun.octets, begun.slots, secrets)
        self._plain = hashlib.sha256()
        self._octets = 0
        self._tables: dict[str, TableDigest] = {}
        self._table: Table | None = None
        self._files = [0, 0]
        self._left = 0
        self._manifest: tuple[Manifest, bytes] | None = None
        self.ended: Ended | None = None

    def __iter__(self) -> Iterator[Event]:
        reader = RecordReader()
        for plain in self._plaintext():
            for kind, octets in reader.feed(plain):
                yield self._event(kind, octets)
        reader.ended()
        if self.ended is None:
            raise archive.broken("no manifest")

    def _plaintext(self) -> Iterator[bytes]:
        self._file.seek(self._begun.start)
        left = self._begun.end - self._begun.start
        while left:
            piece = self._file.read(min(archive.PIECE, left))
            if not piece:
                raise archive.broken("cut")
            left -= len(piece)
            yield self._opening.update(piece)
        yield self._opening.finish()

    def _event(self, kind: RecordType, octets: bytes) -> Event:
        if self.ended is not None or (self._manifest is not None and kind is not RecordType.SIGNATURE):
            raise archive.broken("records after the manifest")
        if self._left and kind is not RecordType.PIECE:
            raise archive.broken("half a file")
        event = self._begin_or_end(kind, octets)
        if kind not in (RecordType.MANIFEST, RecordType.SIGNATURE):
            self._plain.update(archive.record(kind, octets))
            self._octets += 5 + len(octets)
        return event

    def _begin_or_end(self, kind: RecordType, octets: bytes) -> Event:
        if kind is RecordType.TABLE:
            table = archive.parse_table(octets)
            if self._files[0] or table.name in self._tables:
                raise archive.broken("table order")
            self._tables[table.name] = TableDigest()
            self._table = table
            return table
        if kind is RecordType.ROWS:
            return self._rows(octets)
        if kind is RecordType.FILE:
            entry = archive.parse_file(octets)
            self._files[0] += 1
            self._files[1] += entry.size
            self._left = entry.size
            return entry
        if kind is RecordType.PIECE:
            self._left -= len(octets)
            if self._left < 0 or not octets:
                raise archive.broken("file length")
            return octets
        if kind is RecordType.MANIFEST:
            self._manifest = (self._compared(archive.parse_manifest(self._begun.head, octets)), octets)
            return b""
        if self._manifest is None or len(octets) != 64:
            raise archive.broken("signature")
        self.ended = Ended(*self._manifest, octets)
        return self.ended

    def _rows(self, octets: bytes) -> Rows:
        if self._table is None or self._files[0]:
            raise archive.broken("rows without a table")
        rows = archive.decode_rows(octets, len(self._table.columns))
        digest = self._tables[self._table.name]
        for row in rows:
            digest.add(archive.encode_row(row))
        return Rows(self._table, rows)

    def _compared(self, manifest: Manifest) -> Manifest:
        tables = tuple((name, digest.rows, digest.hex()) for name, digest in self._tables.items())
        if (manifest.tables, manifest.files) != (tables, tuple(self._files)):
            raise archive.broken("counts")
        if (manifest.octets, manifest.sha256) != (self._octets, self._plain.hexdigest()):
            raise archive.broken("digest of the records")
        return manifest


@dataclass(slots=True)
class Package:
    """One backup file, and what opens it."""

    path: Path
    begun: Begun
    secrets: tuple[bytes, ...]
    end: Ended | None = None

    def check(self, keys: BackupKeys) -> list[AdministrationKey]:
        """Read all of it; returns the gateway's log keys that lie in it, and keeps its end for `signed_by`.

        Raises:
            BackupError: half-written, altered, or not opened by these keys.
        """
        found: list[AdministrationKey] = []
        for event in self.events(keys):
            if isinstance(event, Rows) and event.table.name == AdministrationKey.TABLE:
                found += _log_keys(event)
            elif isinstance(event, Ended):
                self.end = event
        return found

    def signed_by(self, keys: BackupKeys, root: bytes, log_keys: Sequence[AdministrationKey]) -> None:
        """Raises SetupError when the root key is another gateway's, BackupError when nobody of this one signed it."""
        end = self.manifest_end()
        signed = archive.to_sign(self.begun.octets, end.octets)
        publics = [keys.signer(root, row)[0] for row in log_keys]
        if not any(
            public.hex() == end.manifest.signer and keys.verifies(public, end.signature, signed) for public in publics
        ):
            raise BackupError(
                "the backup is not signed by this gateway",
                swedish="Säkerhetskopian är inte signerad av den gateway som de andra filerna hör till.",
                next_step="Använd filer från samma gateway och rätt rotnyckel. Inget har ändrats.",
            )

    def manifest_end(self) -> Ended:
        """The end of a file that was read to it."""
        if self.end is None:
            raise archive.broken("not read")
        return self.end

    def events(self, keys: BackupKeys) -> Iterator[Event]:
        with self.path.open("rb") as file:
            yield from Walk(file, self.begun, keys, self.secrets)


def opened(path: Path, kind: Kind, secrets: Sequence[bytes]) -> Package:
    """Check the end mark and the head of a file.

    Raises:
        BackupError: not there, half-written, or the other kind of file.
    """
    try:
        with path.open("rb") as file:
            begun = archive.begin(file)
    except OSError as trouble:
        raise BackupError(
            f"{path} cannot be read",
            swedish=f"Filen {path} går inte att läsa.",
            next_step="Kontrollera sökväg och rättigheter. Inget har ändrats.",
        ) from trouble
    if begun.head.kind is not kind:
        raise BackupError(
            f"{path} is a backup of the other kind",
            swedish="Filerna är förväxlade: en är ett meddelandelager (*.sbm), den andra ett nyckellager (*.sbk).",
            next_step="Ange *.sbm först och *.sbk därefter. Inget har ändrats.",
        )
    return Package(path, begun, tuple(secrets))


def _log_keys(event: Rows) -> list[AdministrationKey]:
    found = []
    for row in event.rows:
        told = dict(zip(event.table.columns, row, strict=True))
        if told.get("administration") == GATEWAY and told.get("label") == KeyLabel.LOG:
            try:
                found.append(
                    AdministrationKey(
                        administration=AdministrationId(str(told["administration"])),
                        label=KeyLabel.LOG,
                        epoch=int(str(told["epoch"])),
                        wrapped=bytes(told["wrapped"]),  # type: ignore[arg-type]
                        created_at=Instant(int(str(told["created_at"]))),
                    )
                )
            except (KeyError, TypeError, ValueError) as fault:
                raise archive.broken("log key") from fault
    return found
