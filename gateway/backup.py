"""Make a backup while the gateway runs: the message store first, the key store after it (docs/backup.md §5).

Why this exists: a copy that nobody can trust at night is no copy. So each file is of one moment, sealed before it
touches the disk, signed by this gateway, and published under its name only when it is whole and synced. Nothing here
takes a lock that a sender could wait for.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from gateway import archive, failpoints
from gateway.archive import FileEntry, Head, Kind, LogHead, Manifest, RecordType, TableDigest
from gateway.audit import log_order
from gateway.backupports import EpochKey, Recipient, Sealing, Snapshot, StoreTools
from gateway.errors import BackupError, GatewayError, NotFoundError, SetupError, StoreFullError, StoreUnavailableError
from gateway.model.base import DAY, GATEWAY, Instant
from gateway.model.keys import AdministrationKey, KeyLabel
from gateway.ports import Blobs, Clock, TileStore
from gateway.tiles import bundle_name, parts, tile_name

EPOCH_SERVES: Final = 7 * DAY
EPOCH_LIVES: Final = 35 * DAY
SPARE: Final = 16 * 1024 * 1024

Signer = tuple[bytes, Callable[[bytes], bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the gateway's data lies, and what a backup says of it."""

    database: str
    database_file: Path
    keys_file: Path
    root: bytes
    gateway: str  # the log's name
    program: str
    blobs: Blobs
    tiles: TileStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a run wrote."""

    messages: Path
    keys: Path
    manifest: Manifest
    key_count: int


async def back_up(
    tools: StoreTools, source: Source, folder: Path, *, recipients: list[Recipient], epochs: Path, clock: Clock
) -> Made:
    """Both files, in their order, into `folder`.

    Raises:
        StoreFullError: not enough room in the target; nothing was written.
        BackupError: another run writes into the folder.
        SetupError: wrong root key, or a store of another schema.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(folder):
        backup = str(uuid.uuid4())
        async with tools.snapshot(source.database, source.database_file) as snapshot:
            signer = await _signer(tools, source, snapshot)
            _room(folder, await snapshot.size() + await _blob_octets(source, snapshot) + _size(source.keys_file))
            begun = clock.now()
            head = _head(source, Kind.MESSAGES, backup, begun)
            with _published(folder, head, ".sbm") as file:
                writing = _Writing(tools.keys.seal(head.octets(), recipients), head, file, signer)
                manifest = await _messages(writing, source, snapshot)
            messages = _name(folder, head, ".sbm")
        failpoints.reached("backup.between")
        epoch = current_epoch(tools, epochs, at=clock.now())
        head = _head(source, Kind.KEYS, backup, clock.now())
        with _published(folder, head, ".sbk") as file:
            writing = _Writing(tools.keys.seal(head.octets(), [epoch.recipient]), head, file, signer)
            count = await _keys(writing, tools, source, manifest.logs)
        return Made(messages=messages, keys=_name(folder, head, ".sbk"), manifest=manifest, key_count=count)


def current_epoch(tools: StoreTools, folder: Path, *, at: Instant) -> EpochKey:
    """The epoch key of a backup made now: destroys those that are due, makes the next when the newest is a week old."""
    destroy_due(tools, folder, at=at)
    known = tools.keys.epochs(folder)
    if known and at - known[-1].created < EPOCH_SERVES:
        return known[-1]
    return tools.keys.new_epoch(folder, at=at)


def destroy_due(tools: StoreTools, folder: Path, *, at: Instant) -> int:
    """Destroy epoch keys that are 35 days old; what gallring deleted cannot come back from their backups."""
    due = [key for key in tools.keys.epochs(folder) if at - key.created >= EPOCH_LIVES]
    for key in due:
        tools.keys.destroy(key.file)
    return len(due)


def horizon(tools: StoreTools, folder: Path | None, other_days: int, *, at: Instant) -> tuple[int, int]:
    """Days until nothing that is deleted now can come back, and how many epoch keys are overdue."""
    known = tools.keys.epochs(folder) if folder else []
    left = [EPOCH_LIVES - (at - key.created) for key in known]
    days = [-(-max(rest, 0) // DAY) for rest in left]
    return max([*days, other_days]), sum(1 for rest in left if rest <= 0)


async def _messages(writing: _Writing, source: Source, snapshot: Snapshot) -> Manifest:
    for table in await snapshot.tables():
        writing.table(archive.table_record(table), table.name)
        async for rows in snapshot.rows(table):
            writing.rows([archive.encode_row(row) for row in rows])
            await asyncio.sleep(0)
    async for names in snapshot.blob_names():
        for name in names:
            await _blob(writing, source, name)
    logs = []
    for origin in sorted(await snapshot.logs(), key=log_order):
        last = await snapshot.last_checkpoint(origin)
        size = last.size if last else 0
        for level, index, width in parts(size):
            _tile(writing, source, origin, tile_name(level, index, width), tile_name(level, index))
            if level == 0:
                _tile(writing, source, origin, bundle_name(index, width), bundle_name(index))
        leaves = await snapshot.log_size(origin)
        logs.append(LogHead(origin=origin, leaves=leaves, size=size, note=last.note if last else ""))
    return writing.end(schema=snapshot.schema, logs=tuple(logs))


async def _blob(writing: _Writing, source: Source, name: str) -> None:
    """One attachment. One that is not there is named in the manifest: the rest must be saved all the same."""
    pieces = source.blobs.read(name)
    try:
        size = await source.blobs.size(name)
        piece = await anext(pieces, b"")  # from now on it is open, and may be removed
    except NotFoundError:
        writing.gone.append(name)
        return
    writing.file(FileEntry(store="blobs", log="", name=name, size=size))
    while piece:
        writing.piece(piece)
        piece = await anext(pieces, b"")
    writing.file_ended()


def _tile(writing: _Writing, source: Source, origin: str, name: str, whole: str) -> None:
    """A part of the log as the last checkpoint needs it. A missing one is left for `audit verify` to tell."""
    octets = source.tiles.read(origin, name)
    if octets is None and source.tiles.read(origin, whole) is None:
        return
    chosen = name if octets is not None else whole
    octets = octets if octets is not None else source.tiles.read(origin, whole) or b""
    writing.file(FileEntry(store="log", log=origin, name=chosen, size=len(octets)))
    for at in range(0, len(octets), archive.PIECE):
        writing.piece(octets[at : at + archive.PIECE])
    writing.file_ended()


async def _keys(writing: _Writing, tools: StoreTools, source: Source, logs: tuple[LogHead, ...]) -> int:
    keys = tools.key_file(source.keys_file, False)
    try:
        table = keys.table()
        writing.table(archive.table_record(table), table.name)
        for rows in keys.pieces():
            writing.rows([archive.encode_row(row) for row in rows])
            await asyncio.sleep(0)
        return writing.end(schema=keys.schema, logs=logs).tables[0][1]
    finally:
        keys.close()


@dataclass
class _Writing:
    """One file on its way to the disk."""

    sealing: Sealing
    head: Head
    out: _Out
    signer: Signer
    gone: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._plain = hashlib.sha256()
        self._octets = 0
        self._tables: list[tuple[str, TableDigest]] = []
        self._files = [0, 0]
        self._left = 0
        self.out.write(archive.opening_octets(self.head.octets(), self.sealing.slots))

    def table(self, record: bytes, name: str) -> None:
        self._tables.append((name, TableDigest()))
        self._put(record)

    def rows(self, rows: list[bytes]) -> None:
        for row in rows:
            self._tables[-1][1].add(row)
        self._put(archive.record(RecordType.ROWS, b"".join(rows)))

    def file(self, entry: FileEntry) -> None:
        self._files[0] += 1
        self._files[1] += entry.size
        self._left = entry.size
        self._put(archive.file_record(entry))

    def piece(self, octets: bytes) -> None:
        self._left -= len(octets)
        self._put(archive.record(RecordType.PIECE, octets))

    def file_ended(self) -> None:
        if self._left:
            raise BackupError(
                "a file changed while it was copied",
                swedish="En bilaga ändrades medan den kopierades.",
                next_step="Kör säkerhetskopieringen igen. Ingen ny kopia har skrivits.",
            )

    def end(self, *, schema: str, logs: tuple[LogHead, ...]) -> Manifest:
        manifest = Manifest(
            head=self.head,
            schema=schema,
            tables=tuple((name, digest.rows, digest.hex()) for name, digest in self._tables),
            files=(self._files[0], self._files[1]),
            gone=tuple(self.gone),
            logs=logs,
            octets=self._octets,
            sha256=self._plain.hexdigest(),
            signer=self.signer[0].hex(),
        )
        octets = manifest.encoded()
        self._put(archive.record(RecordType.MANIFEST, octets))
        signature = self.signer[1](archive.to_sign(self.head.octets(), octets))
        self._put(archive.record(RecordType.SIGNATURE, signature))
        self.out.write(self.sealing.finish())
        self.out.end()
        return manifest

    def _put(self, record: bytes) -> None:
        if len(record) > archive.MAX_RECORD:
            raise BackupError(
                "a row is larger than a record may be",
                swedish="En rad i databasen är större än en säkerhetskopia kan bära.",
                next_step="Kontakta den som sköter programmet. Ingen ny kopia har skrivits.",
            )
        self._plain.update(record)
        self._octets += len(record)
        self.out.write(self.sealing.update(record))


class _Out:
    """A file under a temporary name, its digest growing with it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._digest = hashlib.sha256()
        self._octets = 0

    def write(self, octets: bytes) -> None:
        self._digest.update(octets)
        self._octets += len(octets)
        self._all(octets)

    def end(self) -> None:
        self._all(archive.END + self._octets.to_bytes(8) + self._digest.digest())

    def _all(self, octets: bytes) -> None:
        view = memoryview(octets)
        while view:
            view = view[os.write(self._descriptor, view) :]


@contextmanager
def _published(folder: Path, head: Head, suffix: str) -> Iterator[_Out]:
    """A file that appears under its name whole and synced, or not at all."""
    target = _name(folder, head, suffix)
    temporary = folder / f".{target.name}.part"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            yield _Out(descriptor)
            failpoints.reached("backup.before_sync")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        failpoints.reached("backup.before_rename")
        temporary.rename(target)
        _sync(folder)
    except OSError as trouble:
        raise _unwritable(trouble) from trouble
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One run per folder; what a killed one left is removed."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BackupError(
                "another backup runs into this folder",
                swedish="En annan säkerhetskopiering till samma katalog pågår.",
                next_step="Vänta tills den är klar.",
            ) from None
        for left in [*folder.glob(".sambud-*.sbm.part"), *folder.glob(".sambud-*.sbk.part")]:
            left.unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)


async def _signer(tools: StoreTools, source: Source, snapshot: Snapshot) -> Signer:
    return tools.keys.signer(source.root, newest_log_key(await snapshot.administration_keys(GATEWAY)))


def newest_log_key(rows: list[AdministrationKey]) -> AdministrationKey:
    """L, of which B is derived. Raises SetupError when the store has no keys yet."""
    found = [row for row in rows if row.label is KeyLabel.LOG and row.administration == GATEWAY]
    if not found:
        raise SetupError(
            "the store has no log key",
            swedish="Databasen har ingen gateway än.",
            next_step="Skapa den med 'sambud init'.",
        )
    return max(found, key=lambda row: row.epoch)


async def _blob_octets(source: Source, snapshot: Snapshot) -> int:
    """What the attachments take; those of files are asked for their size without being read."""
    total = 0
    async for names in snapshot.blob_names():
        for name in names:
            with suppress(NotFoundError):  # told when it is copied
                total += await source.blobs.size(name)
    return total


def _room(folder: Path, wanted: int) -> None:
    if shutil.disk_usage(folder).free < wanted * 11 // 10 + SPARE:
        raise StoreFullError(
            "the target has no room for a backup",
            swedish=f"Det finns inte plats för säkerhetskopian: ungefär {wanted // 1_000_000 + 1} MB behövs.",
            next_step="Gör plats i målkatalogen eller ange en annan. Ingen kopia har skrivits.",
        )


def _head(source: Source, kind: Kind, backup: str, created: Instant) -> Head:
    return Head(kind=kind, backup=backup, created=created, gateway=source.gateway, program=source.program)


def _name(folder: Path, head: Head, suffix: str) -> Path:
    at = datetime.fromtimestamp(head.created / 1_000_000, UTC)
    return folder / f"sambud-{at:%Y%m%dT%H%M%SZ}-{head.backup[:8]}{suffix}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(trouble: OSError) -> GatewayError:
    if trouble.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFullError(
            "the target disk is full",
            swedish="Målkatalogens disk är full.",
            next_step="Gör plats och kör igen. Ingen halv kopia har lämnats.",
        )
    return StoreUnavailableError(
        "the target cannot be written",
        swedish="Målkatalogen går inte att skriva.",
        next_step="Kontrollera rättigheter och disk. Ingen halv kopia har lämnats.",
    )
