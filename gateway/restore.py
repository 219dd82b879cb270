"""Put a backup in place: everything is checked first, the target is empty, and a new log begins (docs/backup.md §6).

Why this exists: restoring is done once, at night, by somebody who has never done it. So each way it can go wrong is
told in a sentence before anything is written, a half-restored store is never served, and what was lost is written down
where nobody can take it away again: in the first leaf of the new log.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway import failpoints
from gateway.archive import FileEntry, Kind, Manifest, broken
from gateway.backupports import KeyFile, StoreTools, Table, Target, Values
from gateway.errors import BackupError, SetupError, StoreFullError
from gateway.ports import Blobs, TileStore
from gateway.resume import LogGap, settle
from gateway.unpacking import Event, Package, Rows, opened
from gateway.usecases import Gateway

SPARE: Final = 16 * 1024 * 1024
MAX_TILE: Final = 32 * 1024 * 1024
MARK: Final = "RESTORING"
#: The column by which rows hang on a key of the key store; the log's side rows repeat those of their side keys.
HANGING: Final = "shred_key"
REPEATED: Final = frozenset({"audit_side"})
#: What a restore writes into the data folder; what a killed one left of it is removed.
OURS: Final = ("sambud.db", "sambud.db-wal", "sambud.db-shm", "sambud.lock", "keys.db", "keys.db-journal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to restore, from what, to where."""

    messages: Path
    keys: Path | None  # a *.sbk
    living_keys: Path | None  # or a keys.db that survived
    secrets: tuple[bytes, ...]
    epoch_secrets: tuple[bytes, ...]
    root: bytes
    gateway: str  # the log name of the settings
    database: str
    data_dir: Path
    checkpoint: str = ""  # the newest signed note known outside


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What stands now."""

    manifest: Manifest
    wraps: int
    without_key: int
    pruned: int
    sessions: int
    leases: int
    log: str
    gap: LogGap


async def restore(
    tools: StoreTools,
    plan: Plan,
    places: tuple[Callable[[], Blobs], Callable[[], TileStore]],
    gateway: Callable[[], AbstractAsyncContextManager[Gateway]],
) -> Restored:
    """Restore `plan`.

    Args:
        places: open the blobs and tiles of the data folder.
        gateway: opens a gateway over the restored, still marked store.

    Raises:
        BackupError: a file is not whole, not opened by the keys, or the files do not belong together.
        SetupError: wrong root key, newer schema, or a target that is not empty.
        StoreFullError: no room. In every case nothing is left behind.
    """
    packages = _checked(tools, plan)
    with _held(plan.data_dir):
        _empty(plan.data_dir)
        _room(plan.data_dir, packages)
        target = tools.target(plan.database, plan.data_dir / "sambud.db")
        try:
            _mark(plan.data_dir)
            wraps, missing = await _write(tools, plan, packages, places, target)
            failpoints.reached("restore.before_settle")
            async with gateway() as begun:
                done = await settle(begun, packages[0].begun.head.backup, plan.checkpoint, keys_missing=missing)
                pruned = await tools.prune_keys(begun)
            failpoints.reached("restore.before_accept")
            await target.accepted()
        except BaseException:
            await target.abort()
            _clear(plan.data_dir)
            raise
        _unmark(plan.data_dir)
    return Restored(
        manifest=packages[0].manifest_end().manifest,
        wraps=wraps,
        without_key=missing,
        pruned=pruned,
        sessions=done.sessions,
        leases=done.leases,
        log=done.log,
        gap=done.gap,
    )


def _checked(tools: StoreTools, plan: Plan) -> list[Package]:
    """Steps 1 to 5 of docs/backup.md §6: everything that can be known before something is written."""
    messages = opened(plan.messages, Kind.MESSAGES, plan.secrets)
    packages = [messages]
    if plan.keys is not None:
        packages.append(opened(plan.keys, Kind.KEYS, plan.epoch_secrets))
    for package in packages:
        if package.begun.head.gateway != plan.gateway:
            raise BackupError(
                "a backup of another gateway",
                swedish=f"Säkerhetskopian hör till gatewayen {package.begun.head.gateway}, inte {plan.gateway}.",
                next_step="Ange rätt filer, eller rätt SAMBUD_LOG_NAME. Inget har ändrats.",
            )
    if packages[-1].begun.head.created < messages.begun.head.created:
        raise BackupError(
            "the key store is older than the messages",
            swedish="Nyckellagret är äldre än meddelandelagret: nya meddelanden skulle inte gå att öppna.",
            next_step="Använd det nyckellager som kopierades efter meddelandelagret, eller det nyaste. "
            "Inget har ändrats.",
        )
    log_keys = messages.check(tools.keys)
    for package in packages[1:]:
        package.check(tools.keys)
    for package in packages:
        package.signed_by(tools.keys, plan.root, log_keys)
    for package in packages[1:]:
        _one_history(messages, package)
    schema = messages.manifest_end().manifest.schema
    if schema not in tools.schemas():
        raise SetupError(
            f"the backup has schema {schema}, which this program does not know",
            swedish="Säkerhetskopian är skriven av en nyare version.",
            next_step="Återställ med den versionen. Inget har ändrats.",
        )
    return packages


def _one_history(messages: Package, keys: Package) -> None:
    """The key store must have seen the newest log of the messages come at least as far: else it is of another history,
    begun by a restore in between, and lacks keys that only the abandoned one had."""
    newest = messages.manifest_end().manifest.logs[-1:]
    seen = {log.origin: log.leaves for log in keys.manifest_end().manifest.logs}
    if any(seen.get(log.origin, -1) < log.leaves for log in newest):
        raise BackupError(
            "the key store is of another history than the messages",
            swedish="Nyckellagret hör till en annan historia än meddelandelagret: mellan dem ligger en återställning.",
            next_step="Använd den *.sbk som gjordes i samma körning som *.sbm. Inget har ändrats.",
        )


async def _write(
    tools: StoreTools,
    plan: Plan,
    packages: Sequence[Package],
    places: tuple[Callable[[], Blobs], Callable[[], TileStore]],
    target: Target,
) -> tuple[int, int]:
    """Keys, rows, files. Returns how many rows hang on a key, and how many of these keys are not there."""
    keys = tools.key_file(plan.data_dir / "keys.db", True)
    try:
        _keys(tools, plan, packages, keys)
    finally:
        keys.close()
    failpoints.reached("restore.after_keys")
    keys = tools.key_file(plan.data_dir / "keys.db", False)
    hanging = missing = 0
    try:
        manifest = packages[0].manifest_end().manifest
        await target.begin(manifest.schema, manifest.head.backup)
        events = packages[0].events(tools.keys)
        blobs, tiles = places[0](), places[1]()
        for event in events:
            if isinstance(event, Rows):
                await target.put(event.table, event.rows)
                ids = _hanging(event.table, event.rows)
                hanging += len(ids)
                missing += keys.missing(ids)
                failpoints.reached("restore.after_rows")
            elif isinstance(event, FileEntry):
                await _file(event, events, blobs, tiles)
        for log in manifest.logs:
            if log.note:
                tiles.write(log.origin, "checkpoint", log.note.encode())
        if hanging and missing == hanging:
            raise BackupError(
                "no key of the messages is in the key store",
                swedish="Nyckellagret hör inte till meddelandelagret: ingen av dess nycklar finns där.",
                next_step="Ange nyckellagret från samma gateway. Inget har ändrats.",
            )
        await target.finish()
    finally:
        keys.close()
    return hanging, missing


def _keys(tools: StoreTools, plan: Plan, packages: Sequence[Package], keys: KeyFile) -> None:
    if plan.living_keys is not None:
        living = tools.key_file(plan.living_keys, False)
        try:
            for rows in living.pieces():
                keys.put(rows)
        finally:
            living.close()
    for package in packages[1:]:
        for event in package.events(tools.keys):
            if isinstance(event, Rows):
                if event.table != keys.table():
                    raise broken("key table")
                keys.put(event.rows)
    keys.finish()


def _hanging(table: Table, rows: Sequence[Values]) -> list[str]:
    if HANGING not in table.columns or table.name in REPEATED:
        return []
    place = table.columns.index(HANGING)
    return [str(row[place]) for row in rows]


async def _file(entry: FileEntry, events: Iterator[Event], blobs: Blobs, tiles: TileStore) -> None:
    async def octets() -> AsyncIterator[bytes]:
        left = entry.size
        while left:
            piece = next(events)
            if not isinstance(piece, bytes):
                raise broken("half a file")
            left -= len(piece)
            yield piece

    if entry.store == "blobs":
        await blobs.put(entry.name, octets())
    elif entry.size > MAX_TILE:
        raise broken("a part of the log is too large")
    else:
        tiles.write(entry.log, entry.name, b"".join([piece async for piece in octets()]))


# --- the folder ------------------------------------------------------------------------------------------------------


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """The folder, made when it is not there, locked against a second restore; removed again if we made it in vain."""
    made = not folder.exists()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as trouble:
        raise SetupError(
            f"{folder} cannot be used",
            swedish=f"Katalogen {folder} går inte att använda.",
            next_step="Ange en tom katalog som går att skriva i. Inget har ändrats.",
        ) from trouble
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise SetupError(
            "another restore runs here",
            swedish="En annan återställning till samma katalog pågår.",
            next_step="Vänta tills den är klar. Inget har ändrats.",
        ) from None
    try:
        yield
    except BaseException:
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
    finally:
        os.close(descriptor)


def _empty(folder: Path) -> None:
    if (folder / MARK).exists():
        _clear(folder)  # a killed restore: nothing of it was ever served
    if any(folder.iterdir()):
        raise SetupError(
            f"{folder} is not empty",
            swedish=f"Katalogen {folder} är inte tom.",
            next_step="Återställ till en tom katalog. Inget har ändrats.",
        )


def _room(folder: Path, packages: Sequence[Package]) -> None:
    wanted = sum(package.manifest_end().manifest.octets for package in packages) * 3 // 2 + SPARE
    if shutil.disk_usage(folder).free < wanted:
        raise StoreFullError(
            "the target has no room",
            swedish=f"Det finns inte plats: ungefär {wanted // 1_000_000 + 1} MB behövs.",
            next_step="Gör plats eller ange en annan katalog. Inget har ändrats.",
        )


def _mark(folder: Path) -> None:
    with (folder / MARK).open("w") as file:
        file.write("Återställningen är inte klar. Kör samma 'sambud restore' igen.\n")
        file.flush()
        os.fsync(file.fileno())
    _sync(folder)


def _unmark(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_dir():
            _sync(path)
    (folder / MARK).unlink()
    _sync(folder)


def _clear(folder: Path) -> None:
    """Remove what a restore wrote; the mark goes last."""
    for name in OURS:
        (folder / name).unlink(missing_ok=True)
    for name in ("blobs", "log"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / MARK).unlink(missing_ok=True)
    _sync(folder)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
