"""P9: checking the log against nothing but hashing octets of the same length.

Why this exists: an auditor checks years of records. What must be done in any case is one SHA-256 of each leaf; all the
rest (reading rows, the tree, checkpoints, tiles, side rows) is the price of how it is kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
import uuid
from typing import Final

from adapters.sql.sqlite import SqliteStore
from bench.county import County
from gateway.audit import AuditAction
from gateway.errors import GatewayError
from gateway.ports import Work

BATCH: Final = 200
SAMPLE: Final = 20_000  # leaves hashed by the reference


async def size(county: County, store: SqliteStore) -> int:
    """Leaves of this year's log."""
    return await store.log_size(county.gateway.auditor.origin(county.gateway.ports.clock.now()))


async def grow(county: County, store: SqliteStore, count: int) -> None:
    """True entries of openings, until there are `count`."""
    signed = await county.signed()
    auditor = county.gateway.auditor
    left = count - await size(county, store)
    while left > 0:
        entries = [
            await auditor.entry(
                AuditAction.OPENED,
                administration=signed.user.administration,
                actor=signed.user,
                role=signed.role,
                object=str(uuid.uuid4()),
                case=None,
                outcome="permit",
                detail={"transcript": secrets.token_hex(32), "inbox": "seat.ekeliden"},
            )
            for _ in range(min(BATCH, left))
        ]
        await store.commit(Work(entries=tuple(entries)))
        left -= len(entries)


async def verify(county: County, store: SqliteStore, *, sides: bool) -> float:
    """Records a second. A log that does not verify is no measurement."""
    started = time.perf_counter()
    reports = await county.gateway.review.verify(sides=sides)
    spent = time.perf_counter() - started
    if any(report.exit_code for report in reports):
        raise GatewayError(f"the log does not verify: {reports[0].faults or reports[0].missing}")
    return sum(report.leaves for report in reports) / spent


async def hashed(county: County, store: SqliteStore) -> float:
    """Records a second of SHA-256 alone, as many as the log has; the newest are in memory before the clock starts."""
    name = county.gateway.auditor.origin(county.gateway.ports.clock.now())
    end = await store.log_size(name)
    leaves = [row.leaf for row in await store.leaves(name, max(0, end - SAMPLE), end)]

    def run() -> float:
        passes = -(-end // len(leaves))  # a moment's measurement would catch a moment without neighbours
        started = time.perf_counter()
        for _ in range(passes):
            for leaf in leaves:
                hashlib.sha256(leaf).digest()
        return passes * len(leaves) / (time.perf_counter() - started)

    return await asyncio.to_thread(run)
