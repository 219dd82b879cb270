"""A delivery process of the chaos test: opens the store of a prepared gateway, delivers until it is killed or told to end.

Run by `test_chaos.py`. It prints `ready` when it begins and a number for each round that delivered something.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from adapters.blobs.folder import FolderBlobs, FolderTiles
from adapters.sql.sqlite import SqliteStore
from gateway.errors import GatewayError
from gateway.model.base import Instant
from gateway.ports import Store
from keys.keyring import Keyring
from tests.county import ROOT, plugged


class ShiftedClock:
    """The machine's time, shifted: a process that starts later finds the leases of those before it lapsed."""

    def __init__(self, shift_us: int) -> None:
        self._shift = shift_us

    def now(self) -> Instant:
        return Instant(time.time_ns() // 1000 + self._shift)


async def main(folder: Path, dsn: str, schema: str, shift_us: int) -> None:
    clock = ShiftedClock(shift_us)
    store: Store
    if dsn:
        from adapters.sql.postgres import PostgresStore

        store = await PostgresStore.open(dsn, clock, schema=schema)
    else:
        store = await SqliteStore.open(folder / "sambud.db", clock)
    keyring = Keyring(ROOT, store, clock, folder / "keys.db")
    await keyring.start(create=False)
    gateway = plugged(keyring, store, clock, FolderBlobs(folder / "blobs"), FolderTiles(folder / "log"))  # type: ignore[arg-type]
    print("ready", flush=True)
    idle = 0
    while idle < 20:
        try:
            done = await gateway.outbox.run_once()
        except GatewayError:
            done = 0
        idle = 0 if done else idle + 1
        if not done:
            await asyncio.sleep(0.05)
    await keyring.close()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])))
