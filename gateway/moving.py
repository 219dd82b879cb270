"""Move a SQLite store to PostgreSQL while nobody serves it: batches, resumable, compared row by row at the end.

Why this exists: a gateway outgrows one machine's disk once, and that night must not lose a message. So the source is
read and never written, each batch is durable with the place it reached, and only when count and digest of every table
are equal on both sides does the source get the mark that it has moved.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway import failpoints
from gateway.archive import TableDigest, encode_row
from gateway.audit import log_order
from gateway.backupports import Mover, Snapshot, StoreTools, Table, Values
from gateway.errors import IntegrityError, SetupError
from gateway.usecases import Gateway

MARK: Final = "MOVED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What was moved, and how long it took."""

    tables: int
    rows: int
    seconds: float
    leaves: int


async def move(
    tools: StoreTools,
    database_file: Path,
    dsn: str,
    gateway: Callable[[], AbstractAsyncContextManager[Gateway]],
    say: Callable[[str], None],
) -> Moved:
    """Move the rows of `database_file` to `dsn`.

    Args:
        gateway: opens a gateway over the far side while it is still marked as unfinished.

    Raises:
        SetupError: the source is served or was moved; the target holds something else or is newer.
        IntegrityError: a table differs afterwards, or the log does not verify. The source is untouched.
    """
    started = time.monotonic()
    if not dsn.startswith("postgresql://"):
        raise SetupError(
            "the target is not a PostgreSQL address",
            swedish="Målet ska vara en PostgreSQL-adress: postgresql://…",
            next_step="Ange den med --to. Inget har ändrats.",
        )
    async with tools.idle(database_file), tools.snapshot("", database_file) as source, tools.mover(dsn) as target:
        await target.begin(source.schema, await _fingerprint(source))
        tables = await source.tables()
        rows = 0
        for table in tables:
            await _copy(source, target, table)
            rows += await _compared(source, target, table)
            say(f"{table.name}: klar")
        leaves = await _verified(gateway)
        failpoints.reached("move.before_mark")
        _mark(database_file.parent)
        await target.done()
    return Moved(tables=len(tables), rows=rows, seconds=time.monotonic() - started, leaves=leaves)


def refuse_moved(data_dir: Path) -> None:
    """Raises SetupError when the SQLite store in this folder has moved: served again, it would be a second truth."""
    if (data_dir / MARK).exists():
        raise SetupError(
            "the store has moved",
            swedish="Databasen i den här katalogen har flyttats till PostgreSQL.",
            next_step="Ange adressen i SAMBUD_DATABASE. Den gamla databasen tas inte i drift.",
        )


async def _copy(source: Snapshot, target: Mover, table: Table) -> None:
    after, done = await target.progress(table)
    if done:
        return
    async for rows in source.rows(table, after=after):
        await target.put(table, rows, done=False)
    await target.put(table, [], done=True)


async def _compared(source: Snapshot, target: Mover, table: Table) -> int:
    here, there = await _digest(source.rows(table)), await _digest(target.rows(table))
    if (here.rows, here.hex()) != (there.rows, there.hex()):
        raise IntegrityError(
            f"table {table.name} differs: {here.rows} rows here, {there.rows} there",
            swedish=f"Tabellen {table.name} är inte lika på båda sidor.",
            next_step="Töm måldatabasen och kör om. Källan är orörd och kan tas i drift igen.",
        )
    return here.rows


async def _digest(pieces: AsyncIterator[list[Values]]) -> TableDigest:
    digest = TableDigest()
    async for rows in pieces:
        for row in rows:
            digest.add(encode_row(row))
    return digest


async def _fingerprint(source: Snapshot) -> str:
    """Names the source as it is now: a move is resumed only for the store that it was begun with."""
    told = [f"{name} {await source.log_size(name)}" for name in sorted(await source.logs(), key=log_order)]
    newest = [note.note for name in await source.logs() if (note := await source.last_checkpoint(name))]
    return hashlib.sha256("\n".join([*told, *newest]).encode()).hexdigest()


async def _verified(gateway: Callable[[], AbstractAsyncContextManager[Gateway]]) -> int:
    leaves = 0
    async with gateway() as moved:
        for report in await moved.review.verify():
            leaves += report.leaves
            if report.faults:
                raise IntegrityError(
                    f"the moved log {report.log} does not verify: {report.faults[0]}",
                    swedish="Loggen stämmer inte efter flytten.",
                    next_step="Kör 'sambud audit verify' på källan, som är orörd. Flytten är inte avslutad.",
                )
    return leaves


def _mark(folder: Path) -> None:
    """Durable before the far side may be served. Kept from an earlier try, it says the same."""
    with (folder / MARK).open("w") as file:
        file.write("Databasen har flyttats till PostgreSQL. Den här kopian tas inte i drift.\n")
        file.flush()
        os.fsync(file.fileno())
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
