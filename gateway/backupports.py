"""What backup, restore and moving a store need from the outside: snapshots, targets, keys; as Protocols.

Why this exists: these commands read a store that another process serves, and fill one that nobody serves yet. Neither
is the Store of the path, so they get ports of their own, and rows pass as plain values in the database's own columns: a
backup must hold what lies there, also what this program's nouns no longer know.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gateway.model.base import AdministrationId, Instant
from gateway.model.keys import AdministrationKey
from gateway.model.log import Checkpoint
from gateway.usecases import Gateway

Value = None | int | str | bytes
Values = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it lies in a database: its columns in their order, and those of its key."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]


class Snapshot(Protocol):
    """One consistent reading of a message store; it holds no writer."""

    schema: str

    async def size(self) -> int:
        """About how many octets the rows take."""

    async def tables(self) -> list[Table]: ...
    def rows(self, table: Table, *, after: Values | None = None) -> AsyncIterator[list[Values]]:
        """Rows ascending by key (text by its octets), in pieces of a few MiB; `after` skips up to that key."""

    def blob_names(self) -> AsyncIterator[list[str]]:
        """The blobs that rows name, ascending, in pieces."""

    async def administration_keys(self, administration: AdministrationId) -> list[AdministrationKey]: ...
    async def logs(self) -> list[str]: ...
    async def log_size(self, name: str) -> int: ...
    async def last_checkpoint(self, name: str) -> Checkpoint | None: ...


class Target(Protocol):
    """An empty database that is filled and then either kept whole or thrown away."""

    async def begin(self, schema: str, what: str) -> None:
        """Make the tables of a schema. `what` names the backup in the mark of an unfinished store.

        Raises:
            SetupError: not empty, or the schema is newer than this program.
        """

    async def put(self, table: Table, rows: Sequence[Values]) -> None: ...
    async def finish(self) -> None:
        """Bring the schema up to date and make everything durable."""

    async def accepted(self) -> None:
        """The store is in order: take the mark away."""

    async def abort(self) -> None:
        """Leave nothing behind."""


class KeyFile(Protocol):
    """A key store's file, read and filled outside a gateway."""

    @property
    def schema(self) -> str: ...
    def table(self) -> Table: ...
    def pieces(self) -> Iterator[list[Values]]:
        """All keys, ascending by id, each piece a short transaction of its own."""

    def put(self, rows: Sequence[Values]) -> None: ...
    def missing(self, ids: Sequence[str]) -> int:
        """How many of the ids have no key."""

    def finish(self) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who can open a backup: the id of a public key, and the key."""

    id: bytes
    public: bytes


@dataclass(frozen=True, slots=True)
class EpochKey:
    """A backup-epoch key as it lies in its folder."""

    file: Path
    created: Instant
    recipient: Recipient


@dataclass(frozen=True, slots=True)
class Slot:
    """One way to the file key."""

    recipient: bytes
    wrapped: bytes


class Sealing(Protocol):
    slots: tuple[Slot, ...]

    def update(self, octets: bytes) -> bytes: ...
    def finish(self) -> bytes: ...


class Opening(Protocol):
    def update(self, octets: bytes) -> bytes:
        """Authenticated plaintext. Raises BackupError when the stream was altered."""

    def finish(self) -> bytes:
        """Raises BackupError when the stream was cut."""


class BackupKeys(Protocol):
    """The cryptography of docs/backup.md, and the files that keys lie in."""

    def seal(self, head: bytes, recipients: Sequence[Recipient]) -> Sealing: ...
    def open(self, head: bytes, slots: Sequence[Slot], secrets: Sequence[bytes]) -> Opening:
        """Raises BackupError when no secret opens a slot."""

    def signer(self, root: bytes, log_key: AdministrationKey) -> tuple[bytes, Callable[[bytes], bytes]]:
        """The public key of B, and what signs with it. Raises SetupError: the root key is another gateway's."""

    def verifies(self, public: bytes, signature: bytes, octets: bytes) -> bool: ...
    def root(self, path: Path, *, data_dir: Path) -> bytes: ...
    def create(self, path: Path) -> str:
        """Make a key pair: the private half in `path` (0400, create-only); returns the public line."""

    def recipients(self, path: Path) -> list[Recipient]: ...
    def secret(self, path: Path) -> bytes: ...
    def epochs(self, folder: Path) -> list[EpochKey]:
        """Oldest first."""

    def new_epoch(self, folder: Path, *, at: Instant) -> EpochKey: ...
    def destroy(self, path: Path) -> None:
        """Overwrite, sync, remove, sync the folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreTools:
    """What `gateway.__main__` gives to the commands around a store."""

    keys: BackupKeys
    snapshot: Callable[[str, Path], AbstractAsyncContextManager[Snapshot]]  # database setting, SQLite file
    target: Callable[[str, Path], Target]
    key_file: Callable[[Path, bool], KeyFile]  # path, create
    idle: Callable[[Path], AbstractAsyncContextManager[None]]  # holds the lock of a SQLite store that nobody serves
    mover: Callable[[str], AbstractAsyncContextManager[Mover]]
    schemas: Callable[[], frozenset[str]]  # the revisions that this program knows
    prune_keys: Callable[[Gateway], Awaitable[int]]


class Mover(Protocol):
    """A PostgreSQL database that rows move into, batch by batch, with its progress kept beside them."""

    async def begin(self, schema: str, source: str) -> None:
        """Make the tables, or go on with what an earlier run began for the same source.

        Raises:
            SetupError: the database holds something else, or is newer.
        """

    async def progress(self, table: Table) -> tuple[Values | None, bool]:
        """The key of the last row that is durable there, and whether the table is done."""

    async def put(self, table: Table, rows: Sequence[Values], *, done: bool) -> None:
        """Rows and progress, one transaction."""

    def rows(self, table: Table) -> AsyncIterator[list[Values]]:
        """What lies there now, as a Snapshot reads it."""

    async def done(self) -> None:
        """Take the mark away: from now on the database may be served."""
