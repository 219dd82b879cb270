"""Files that are durable before anybody is told: temporary name, write, fsync, link create-only, fsync of the folder.

Why this exists: an attachment must be on the disk before the transaction that names it, and a half-written file must
never be found under its name. A crash leaves at most a temporary file, or a blob that no row names; both are swept.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from adapters.disk import Reserve
from gateway import failpoints
from gateway.errors import (
    ConflictError,
    GatewayError,
    IntegrityError,
    NotFoundError,
    StoreFullError,
    StoreUnavailableError,
)
from gateway.model.base import Instant

PIECE: Final = 256 * 1024
_PART: Final = ".part"
PROBE: Final = "probe"
_NAME: Final = re.compile(r"\A[0-9a-f]{32}\Z")
#: What a crash in the middle of `put` leaves: listed and deleted like a blob, and no row ever names it.
_UNDER_WAY: Final = re.compile(r"\A[0-9a-f]{32}\.part\Z")
_TILE: Final = re.compile(r"\A(?:checkpoint|tile/(?:\d{1,2}|entries)/(?:x\d{3}/)*\d{3}(?:\.p/\d{1,3})?)\Z")


class FolderBlobs:
    """The Blobs port over one folder; 256 subfolders keep each of them small."""

    def __init__(self, folder: Path, *, reserve_percent: int = 0, make: bool = True) -> None:
        self._folder = folder
        self._reserve = Reserve(folder, reserve_percent)
        if make:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def put(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        target = self._path(name)
        temporary = self._folder / f"{name}{_PART}"
        try:
            target.parent.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                async for chunk in chunks:
                    self._reserve.check()
                    await asyncio.to_thread(_write_all, descriptor, chunk)
                await asyncio.to_thread(os.fsync, descriptor)
            finally:
                os.close(descriptor)
            failpoints.reached("blob.before_link")
            await asyncio.to_thread(_publish, temporary, target)
            failpoints.reached("blob.after_link")
        except OSError as trouble:
            raise _trouble(trouble) from trouble
        finally:
            # The blob stands or not, whatever becomes of its second name: the sweeper takes that.
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    async def read(self, name: str) -> AsyncIterator[bytes]:
        try:
            descriptor = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFoundError("no such blob", swedish="Bilagan finns inte.") from None
        except OSError as trouble:
            raise _unreadable() from trouble
        try:
            while piece := await asyncio.to_thread(os.read, descriptor, PIECE):
                yield piece
        except OSError as trouble:
            raise _unreadable() from trouble
        finally:
            os.close(descriptor)

    async def size(self, name: str) -> int:
        try:
            return self._path(name).stat().st_size
        except FileNotFoundError:
            raise NotFoundError("no such blob", swedish="Bilagan finns inte.") from None

    async def delete(self, name: str) -> None:
        path = self._folder / name if _UNDER_WAY.match(name) else self._path(name)
        try:
            path.unlink(missing_ok=True)
        except OSError as trouble:
            raise _trouble(trouble) from trouble

    async def names(self, *, before: Instant) -> list[str]:
        def old() -> list[str]:
            found = [*self._folder.glob("??/*"), *self._folder.glob(f"*{_PART}")]
            return sorted(path.name for path in found if _changed(path) < before)

        try:
            return await asyncio.to_thread(old)
        except OSError as trouble:
            raise _unreadable() from trouble

    async def check_writable(self) -> None:
        def write() -> None:
            probe = self._folder / f"{PROBE}-{os.getpid()}.part"
            try:
                probe.write_bytes(b"\0")
            finally:
                probe.unlink(missing_ok=True)

        try:
            await asyncio.to_thread(write)
        except OSError as trouble:
            raise _trouble(trouble) from trouble

    def _path(self, name: str) -> Path:
        if not _NAME.match(name):
            raise NotFoundError("no such blob", swedish="Bilagan finns inte.")
        return self._folder / name[:2] / name


class FolderTiles:
    """The TileStore port over one folder per log."""

    def __init__(self, folder: Path, *, make: bool = True) -> None:
        self._folder = folder
        self._durable: set[Path] = set()  # folders whose names this process made durable
        if make:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def read(self, log: str, name: str) -> bytes | None:
        try:
            return self._path(log, name).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        except OSError as trouble:
            raise _trouble(trouble) from trouble

    def write(self, log: str, name: str, octets: bytes) -> None:
        target = self._path(log, name)
        try:
            self._made(target.parent)
            stands = target.read_bytes() if name != "checkpoint" and target.exists() else None
            if stands is not None:
                if stands != octets:
                    raise IntegrityError(
                        f"tile {name} would change",
                        swedish="Loggens hashträd skulle skrivas om.",
                        next_step="Kör 'sambud audit verify' och kontakta säkerhetsansvarig.",
                    )
                _sync_folder(target.parent)  # a crash may have come between its rename and this
                return
        except OSError as trouble:
            raise _trouble(trouble) from trouble
        self.replace(log, name, octets)

    def replace(self, log: str, name: str, octets: bytes) -> None:
        target = self._path(log, name)
        try:
            self._made(target.parent)
            temporary = target.parent / f".{target.name}.part"
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                _write_all(descriptor, octets)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            temporary.replace(target)
            _sync_folder(target.parent)
        except OSError as trouble:
            raise _trouble(trouble) from trouble

    def _made(self, folder: Path) -> None:
        """See that `folder` is there, and durable in the one above it, up to the store's own."""
        if folder == self._folder or (folder in self._durable and folder.is_dir()):
            return
        self._made(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(folder.parent)
        self._durable.add(folder)

    def names(self, log: str) -> list[str]:
        base = self._folder / _safe(log)
        found = (path.relative_to(base).as_posix() for path in base.rglob("*") if path.is_file())
        return sorted(name for name in found if _TILE.match(name))

    def _path(self, log: str, name: str) -> Path:
        if not _TILE.match(name):
            raise NotFoundError("no such tile", swedish="Den delen av loggen finns inte.")
        return self._folder / _safe(log) / name


def _changed(path: Path) -> int:
    """Microseconds; a file that went away meanwhile is young."""
    try:
        return path.stat().st_mtime_ns // 1000
    except FileNotFoundError:
        return 2**62


def _safe(log: str) -> str:
    """A log's origin as one folder name."""
    return re.sub(r"[^a-z0-9.-]", "_", log.lower())


def _write_all(descriptor: int, octets: bytes) -> None:
    view = memoryview(octets)
    while view:
        view = view[os.write(descriptor, view) :]


def _publish(temporary: Path, target: Path) -> None:
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise ConflictError(
            "the blob exists", swedish="Filen finns redan.", next_step="Ladda upp filen igen."
        ) from None
    _sync_folder(target.parent)
    _sync_folder(target.parent.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unreadable() -> GatewayError:
    return StoreUnavailableError(
        "the blob store cannot be read",
        swedish="Bilagan går inte att läsa just nu.",
        next_step="Försök igen om en stund. Bilagan är kvar.",
    )


def _trouble(trouble: OSError) -> GatewayError:
    if trouble.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFullError(
            "the disk is full",
            swedish="Disken är full. Filen har inte sparats.",
            next_step="Kontakta driften. Utkastet och andra filer är kvar.",
        )
    return StoreUnavailableError(
        "the blob store cannot be written",
        swedish="Filen går inte att spara just nu.",
        next_step="Försök igen om en stund. Utkastet är kvar.",
    )
