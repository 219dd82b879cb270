"""`python -m bench.kept`: how many octets and rows one message leaves behind, by table, on SQLite and on PostgreSQL.

Why this exists: how many disks two thousand million messages need is arithmetic (docs/operations.md, Scale), but only
with a measured figure in it. So whole messages are sent, delivered and opened as in operation, and what the database
grew by is divided by their number.

Rules: the first hundred messages warm up and do not count, since pages and key epochs are begun with them. Nothing is
left out: consents, cases, receipts, log leaves with their side rows, shred keys, tiles. Attachments come on top.
PostgreSQL is measured where SAMBUD_TEST_POSTGRES_DSN names a server: in a database of its own, dropped afterwards.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from bench.county import RECIPIENT, County
from gateway.__main__ import SystemWiring
from gateway.demo import CASEWORK, STEP_US, demo_directory, demo_password
from gateway.factors import code_for
from gateway.sessions import Signed
from gateway.settings import Settings
from gateway.workers import publish

WARM: Final = 100
COUNTED: Final = 400
READER: Final = "ek-chef"
OPENINGS: Final = 20  # after each, another code


async def walked(county: County, count: int) -> None:
    """Send, deliver and open `count` messages, and publish the log."""
    gateway = county.gateway
    sender = await county.signed()
    sent = [await gateway.sending.send(sender, CASEWORK, county.submission(case)) for case in await county.cases(count)]
    while await gateway.outbox.run_once():
        pass
    reader = await _reader(county)
    for place, one in enumerate(sent):
        if place % OPENINGS == 0:
            await _step_up(county, reader)
        envelopes = await gateway.ports.store.envelopes_of(one.message)
        await gateway.opening.open(reader, next(row.id for row in envelopes if row.inbox == RECIPIENT))
    await publish(gateway)


async def _reader(county: County) -> Signed:
    county.skew[0] += STEP_US
    code = code_for(county.seeds[READER], county.gateway.ports.clock.now())
    done = await county.gateway.sign_in.sign_in(READER, demo_password(READER), code)
    return await county.gateway.sessions.authenticate(done.token)


async def _step_up(county: County, signed: Signed) -> None:
    county.skew[0] += STEP_US
    code = code_for(county.seeds[READER], county.gateway.ports.clock.now())
    known = await county.gateway.directory.current()
    await county.gateway.windows.open(signed, known.inbox(RECIPIENT), code)


@asynccontextmanager
async def a_county(folder: Path, database: str = "") -> AsyncIterator[County]:
    wiring, skew = SystemWiring(), [0]
    settings = Settings(data_dir=folder / "data", root_key_file=folder / "k0", database=database, port=0)
    wiring.create_root(settings.root_key_file)
    async with wiring.opened(settings, create=True, skew=lambda: skew[0]) as gateway:
        await gateway.register.begin()
        await gateway.integrator.open_year()
        applied = await gateway.register.apply(demo_directory(), passwords=demo_password, by="bench")
        yield County(gateway, skew, {one.login: one.seed for one in applied.credentials})


# --- what lies there -------------------------------------------------------------------------------------------------

Kept = dict[str, tuple[int, int]]  # table -> octets with its indexes, rows


def sqlite_kept(file: Path) -> Kept:
    """Octets of whole pages, by table."""
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
        names = connection.execute("SELECT name, tbl_name FROM sqlite_master WHERE rootpage > 0").fetchall()
        table_of = dict(names)
        octets: dict[str, int] = {}
        for name, size in connection.execute("SELECT name, SUM(pgsize) FROM dbstat GROUP BY name"):
            table = table_of.get(name, name)
            octets[table] = octets.get(table, 0) + size
        counted = {}
        for table, size in octets.items():
            rows = connection.execute(f'SELECT COUNT(*) FROM "{table}"').fetchone()[0]
            counted[table] = (size, rows)
    connection.close()
    return counted


async def postgres_kept(dsn: str) -> Kept:
    import asyncpg

    connection: Any = await asyncpg.connect(dsn)
    try:
        await connection.execute("VACUUM ANALYZE")
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        found = {}
        for (table,) in tables:
            size = await connection.fetchval("SELECT pg_total_relation_size($1::regclass)", f'"{table}"')
            rows = await connection.fetchval(f'SELECT COUNT(*) FROM "{table}"')
            found[table] = (size, rows)
        return found
    finally:
        await connection.close()


def folder_kept(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def told(name: str, before: Kept, after: Kept) -> list[str]:
    """Per message, the largest first; what is below ten octets is only in the sum."""
    grown = {
        table: ((size - before.get(table, (0, 0))[0]) / COUNTED, (rows - before.get(table, (0, 0))[1]) / COUNTED)
        for table, (size, rows) in after.items()
    }
    lines = [f"{name}: octets and rows that one message leaves"]
    lines += [
        f"  {table:<24}{octets:>8.0f}{rows:>8.2f}"
        for table, (octets, rows) in sorted(grown.items(), key=lambda one: -one[1][0])
        if octets >= 10
    ]
    octets, rows = (sum(one[place] for one in grown.values()) for place in (0, 1))
    return [*lines, f"  {'all':<24}{octets:>8.0f}{rows:>8.2f}"]


async def on_sqlite() -> list[str]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with a_county(folder) as county:
            data = folder / "data"
            await walked(county, WARM)
            before = sqlite_kept(data / "sambud.db"), sqlite_kept(data / "keys.db"), folder_kept(data / "log")
            await walked(county, COUNTED)
            after = sqlite_kept(data / "sambud.db"), sqlite_kept(data / "keys.db"), folder_kept(data / "log")
        return [
            *told("SQLite, sambud.db", before[0], after[0]),
            *told("keys.db", before[1], after[1]),
            f"log folder: {(after[2] - before[2]) / COUNTED:.0f} octets",
        ]


async def on_postgres(server: str) -> list[str]:
    import asyncpg

    name = f"kept{secrets.token_hex(6)}"
    own = urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    connection: Any = await asyncpg.connect(server)
    await connection.execute(f"CREATE DATABASE {name}")
    try:
        with tempfile.TemporaryDirectory() as folder:
            async with a_county(Path(folder), own) as county:
                await walked(county, WARM)
                before = await postgres_kept(own)
                await walked(county, COUNTED)
                after = await postgres_kept(own)
        return told("PostgreSQL", before, after)
    finally:
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.close()


async def main() -> None:
    for line in await on_sqlite():
        print(line)
    server = os.environ.get("SAMBUD_TEST_POSTGRES_DSN")
    if server is None:
        print("PostgreSQL: not measured, SAMBUD_TEST_POSTGRES_DSN names none")
        return
    for line in await on_postgres(server):
        print(line)


if __name__ == "__main__":
    import structlog

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main())
