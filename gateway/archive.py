"""The octets of a backup: head, slots, records, rows, manifest, end mark (docs/backup.md).

Why this exists: one format for every engine, read and written as a stream with bounded memory, and refused as a whole
when one octet differs. Nothing here knows a cipher or a database; nothing here trusts a length it has not compared
with its limit.
"""

from __future__ import annotations

import hashlib
import json
import struct
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, BinaryIO, Final

from gateway import canonical
from gateway.backupports import Slot, Table, Value, Values
from gateway.envelope import ctx, u16, u32, u64
from gateway.errors import BackupError
from gateway.model.base import Instant

MAGIC: Final = b"SBB1"
END: Final = b"SBBE"
TRAILER: Final = 44
SUITE: Final = 0x0010
MAX_HEAD: Final = 4096
MAX_SLOTS: Final = 16
MAX_WRAPPED: Final = 2048
MAX_RECORD: Final = 8 * 1024 * 1024
PIECE: Final = 256 * 1024
SIGNED: Final = b"sambud/v1/backup\x00"
_INT: Final = struct.Struct(">Bq")
_LENGTH: Final = struct.Struct(">BI")


class Kind(IntEnum):
    """Which of the two files."""

    MESSAGES = 1
    KEYS = 2

    @property
    def word(self) -> str:
        return "messages" if self is Kind.MESSAGES else "keys"


class RecordType(IntEnum):
    TABLE = 1
    ROWS = 2
    FILE = 3
    PIECE = 4
    MANIFEST = 5
    SIGNATURE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What stands in clear before the stream."""

    kind: Kind
    backup: str
    created: Instant
    gateway: str
    program: str

    def octets(self) -> bytes:
        values = (
            u16(SUITE),
            bytes([self.kind]),
            uuid.UUID(self.backup).bytes,
            u64(self.created),
            self.gateway.encode(),
            self.program.encode(),
        )
        return b"".join(u16(tag) + u32(len(value)) + value for tag, value in enumerate(values, start=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """A file of the backup: a sealed attachment, or a part of the log."""

    store: str  # "blobs" or "log"
    log: str
    name: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHead:
    """How far a log had come."""

    origin: str
    leaves: int
    size: int
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup says that it holds, signed."""

    head: Head
    schema: str
    tables: tuple[tuple[str, int, str], ...]
    files: tuple[int, int]
    gone: tuple[str, ...]
    logs: tuple[LogHead, ...]
    octets: int
    sha256: str
    signer: str

    def encoded(self) -> bytes:
        return canonical.dumps(
            {
                "v": 1,
                "kind": self.head.kind.word,
                "backup": self.head.backup,
                "created": self.head.created,
                "gateway": self.head.gateway,
                "program": self.head.program,
                "schema": self.schema,
                "tables": [list(table) for table in self.tables],
                "files": list(self.files),
                "gone": list(self.gone),
                "logs": [[one.origin, one.leaves, one.size, one.note] for one in self.logs],
                "octets": self.octets,
                "sha256": self.sha256,
                "signer": self.signer,
            }
        )


def broken(why: str) -> BackupError:
    """A file that is no whole backup. `why` names the check, nothing of what the file holds."""
    return BackupError(
        f"not a whole backup: {why}",
        swedish="Säkerhetskopian är inte hel: den är avbruten, skadad eller ändrad.",
        next_step="Använd en annan kopia. Inget har ändrats.",
    )


def to_sign(head: bytes, manifest: bytes) -> bytes:
    """What the signature of a manifest covers."""
    return SIGNED + hashlib.sha256(ctx("backup-manifest", hashlib.sha256(head).digest(), manifest)).digest()


# --- rows ------------------------------------------------------------------------------------------------------------


def encode_row(values: Sequence[Value]) -> bytes:
    """A row's canonical octets: the same whichever engine gave it."""
    parts: list[bytes] = []
    for value in values:
        if value is None:
            parts.append(b"\x00")
        elif isinstance(value, int):
            parts.append(_INT.pack(1, value))
        elif isinstance(value, str):
            octets = value.encode()
            parts.append(_LENGTH.pack(2, len(octets)) + octets)
        else:
            parts.append(_LENGTH.pack(3, len(value)) + value)
    return b"".join(parts)


def decode_rows(octets: bytes, columns: int) -> list[Values]:
    """Whole rows of so many columns.

    Raises:
        BackupError: not whole rows.
    """
    rows: list[Values] = []
    at = 0
    try:
        while at < len(octets):
            row: list[Value] = []
            for _ in range(columns):
                tag = octets[at]
                if tag == 0:
                    at += 1
                    row.append(None)
                elif tag == 1:
                    row.append(_INT.unpack_from(octets, at)[1])
                    at += _INT.size
                elif tag in (2, 3):
                    start = at + _LENGTH.size
                    at = start + _LENGTH.unpack_from(octets, at)[1]
                    if at > len(octets):
                        raise ValueError("cut")
                    row.append(octets[start:at].decode() if tag == 2 else octets[start:at])
                else:
                    raise ValueError("tag")
            rows.append(tuple(row))
    except (ValueError, IndexError, struct.error) as fault:
        raise broken("a row is malformed") from fault
    return rows


@dataclass(slots=True)
class TableDigest:
    """Count and digest of a table's rows, in their order."""

    rows: int = 0
    _hash: Any = field(default_factory=hashlib.sha256)

    def add(self, row: bytes) -> None:
        self.rows += 1
        self._hash.update(row)

    def hex(self) -> str:
        return str(self._hash.hexdigest())


# --- head, slots, end mark -------------------------------------------------------------------------------------------


def opening_octets(head: bytes, slots: Sequence[Slot]) -> bytes:
    """Everything before the stream."""
    told = b"".join(slot.recipient + u16(len(slot.wrapped)) + slot.wrapped for slot in slots)
    return MAGIC + u32(len(head)) + head + bytes([len(slots)]) + told


@dataclass(frozen=True, slots=True)
class Begun:
    """The clear part of a backup file, and where its stream lies."""

    head: Head
    octets: bytes
    slots: tuple[Slot, ...]
    start: int
    end: int


def begin(file: BinaryIO) -> Begun:
    """Check the end mark over the whole file, then read head and slots; no key is needed.

    Raises:
        BackupError: half-written, damaged, or no backup.
    """
    end = _checked_end(file)
    file.seek(0)
    if _exactly(file, 4) != MAGIC:
        raise broken("magic")
    length = int.from_bytes(_exactly(file, 4))
    if length > MAX_HEAD:
        raise broken("head length")
    octets = _exactly(file, length)
    slots = []
    for _ in range(_exactly(file, 1)[0]):
        recipient = _exactly(file, 32)
        size = int.from_bytes(_exactly(file, 2))
        if size > MAX_WRAPPED:
            raise broken("slot length")
        slots.append(Slot(recipient, _exactly(file, size)))
    head = parse_head(octets)
    if not 1 <= len(slots) <= (1 if head.kind is Kind.KEYS else MAX_SLOTS) or file.tell() > end:
        raise broken("slots")
    return Begun(head, octets, tuple(slots), file.tell(), end)


def _checked_end(file: BinaryIO) -> int:
    size = file.seek(0, 2)
    if size < TRAILER:
        raise broken("no end mark")
    file.seek(size - TRAILER)
    trailer = file.read(TRAILER)
    end = size - TRAILER
    if trailer[:4] != END or int.from_bytes(trailer[4:12]) != end:
        raise broken("no end mark")
    file.seek(0)
    digest = hashlib.sha256()
    left = end
    while left:
        piece = file.read(min(PIECE, left))
        if not piece:
            raise broken("cut")
        digest.update(piece)
        left -= len(piece)
    if digest.digest() != trailer[12:]:
        raise broken("digest")
    return end


def _exactly(file: BinaryIO, count: int) -> bytes:
    octets = file.read(count)
    if len(octets) != count:
        raise broken("cut")
    return octets


def parse_head(octets: bytes) -> Head:
    """Raises BackupError for anything but the six fields of docs/backup.md §2.1."""
    values: list[bytes] = []
    at = 0
    while at < len(octets):
        tag, length = struct.unpack_from(">HI", octets, at) if at + 6 <= len(octets) else (0, 0)
        value = octets[at + 6 : at + 6 + length]
        if tag != len(values) + 1 or len(value) != length:
            raise broken("head")
        values.append(value)
        at += 6 + length
    try:
        suite, kind, backup, created, gateway, program = values
        if suite != u16(SUITE) or len(backup) != 16 or len(created) != 8 or len(kind) != 1:
            raise ValueError("field")
        return Head(
            kind=Kind(kind[0]),
            backup=str(uuid.UUID(bytes=backup)),
            created=Instant(int.from_bytes(created)),
            gateway=gateway.decode(),
            program=program.decode(),
        )
    except ValueError as fault:
        raise broken("head") from fault


# --- records ---------------------------------------------------------------------------------------------------------


def record(kind: RecordType, octets: bytes) -> bytes:
    return bytes([kind]) + u32(len(octets)) + octets


class RecordReader:
    """Cuts a plaintext that comes in pieces into records."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def feed(self, octets: bytes) -> Iterator[tuple[RecordType, bytes]]:
        self._waiting += octets
        at = 0
        try:
            while len(self._waiting) - at >= 5:
                kind, length = struct.unpack_from(">BI", self._waiting, at)
                if length > MAX_RECORD:
                    raise broken("record length")
                if len(self._waiting) - at - 5 < length:
                    break
                body = bytes(self._waiting[at + 5 : at + 5 + length])
                at += 5 + length
                try:
                    yield RecordType(kind), body
                except ValueError as fault:
                    raise broken("record type") from fault
        finally:
            del self._waiting[:at]

    def ended(self) -> None:
        if self._waiting:
            raise broken("half a record")


def table_record(table: Table) -> bytes:
    told = {"name": table.name, "columns": list(table.columns), "key": list(table.key)}
    return record(RecordType.TABLE, canonical.dumps(told))


def file_record(entry: FileEntry) -> bytes:
    told = {"store": entry.store, "log": entry.log, "name": entry.name, "size": entry.size}
    return record(RecordType.FILE, canonical.dumps(told))


def parse_table(octets: bytes) -> Table:
    told = _object(octets, {"name", "columns", "key"})
    try:
        found = Table(str(told["name"]), tuple(map(str, told["columns"])), tuple(map(str, told["key"])))
    except TypeError as fault:
        raise broken("table") from fault
    # Names become identifiers of SQL statements.
    if not all(name.isidentifier() and name.isascii() for name in (found.name, *found.columns, *found.key)):
        raise broken("table")
    if not found.columns or not set(found.key) <= set(found.columns):
        raise broken("table")
    return found


def parse_file(octets: bytes) -> FileEntry:
    told = _object(octets, {"store", "log", "name", "size"})
    if told["store"] not in ("blobs", "log") or not isinstance(told["size"], int) or told["size"] < 0:
        raise broken("file")
    return FileEntry(store=told["store"], log=str(told["log"]), name=str(told["name"]), size=told["size"])


def parse_manifest(head: Head, octets: bytes) -> Manifest:
    """Raises BackupError unless the manifest is canonical and says what the head says."""
    told = _object(octets, set(json.loads(_EMPTY.encoded())))
    try:
        found = Manifest(
            head=head,
            schema=str(told["schema"]),
            tables=tuple((str(name), int(rows), str(digest)) for name, rows, digest in told["tables"]),
            files=(int(told["files"][0]), int(told["files"][1])),
            gone=tuple(map(str, told["gone"])),
            logs=tuple(
                LogHead(origin=str(origin), leaves=int(leaves), size=int(size), note=str(note))
                for origin, leaves, size, note in told["logs"]
            ),
            octets=int(told["octets"]),
            sha256=str(told["sha256"]),
            signer=str(told["signer"]),
        )
    except (TypeError, ValueError, IndexError) as fault:
        raise broken("manifest") from fault
    if found.encoded() != octets:
        raise broken("manifest")
    return found


_EMPTY: Final = Manifest(
    head=Head(kind=Kind.KEYS, backup=str(uuid.UUID(int=0)), created=Instant(0), gateway="", program=""),
    schema="",
    tables=(),
    files=(0, 0),
    gone=(),
    logs=(),
    octets=0,
    sha256="",
    signer="",
)


def _object(octets: bytes, members: set[str]) -> dict[str, Any]:
    try:
        told = json.loads(octets)
    except ValueError as fault:
        raise broken("JSON") from fault
    if not isinstance(told, dict) or set(told) != members:
        raise broken("members")
    return told
