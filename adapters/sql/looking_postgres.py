"""PostgreSQL, only looked at: connections that can write nothing; and whether the server keeps what it took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast
from urllib.parse import parse_qs, urlsplit

import asyncpg
from sqlalchemy.dialects.postgresql import asyncpg as dialect

from adapters.sql.compiled import Statements
from adapters.sql.looking import AREA, LookingStore
from gateway.doctor import Finding, Level, good, wrong
from gateway.errors import SetupError, StoreUnavailableError

LOCAL: Final = frozenset({"", "localhost", "127.0.0.1", "::1"})
SAFE_TLS: Final = frozenset({"verify-full"})


class LookingPostgres(LookingStore):
    """Make it with `open`."""

    def __init__(self, pool: asyncpg.Pool, dsn: str) -> None:
        self._pool = pool
        self._dsn = dsn
        self.statements = Statements(dialect.dialect(), lock_facts=False)  # type: ignore[no-untyped-call]

    @classmethod
    async def open(cls, dsn: str, *, schema: str = "public") -> LookingPostgres:
        """Raises SetupError: the server cannot be reached."""
        settings = {"search_path": schema, "default_transaction_read_only": "on"}
        try:
            pool = await asyncpg.create_pool(
                dsn, min_size=1, max_size=2, timeout=5, command_timeout=30, server_settings=settings
            )
        except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as trouble:
            raise SetupError(
                "PostgreSQL cannot be reached",
                swedish="Det går inte att ansluta till PostgreSQL.",
                next_step="Kontrollera adress, användare och att servern är i gång.",
            ) from trouble
        return cls(pool, dsn)

    async def _fetch(self, sql: str, params: tuple[Any, ...], *, bulk: bool = False) -> Sequence[Sequence[Any]]:
        try:
            return cast(Sequence[Sequence[Any]], await self._pool.fetch(sql, *params))
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as trouble:
            raise StoreUnavailableError(
                "the database cannot be read",
                swedish="Databasen går inte att läsa.",
                next_step="Kontrollera servern och användarens rättigheter.",
            ) from trouble

    async def close(self) -> None:
        await self._pool.close()

    async def findings(self) -> list[Finding]:
        """Whether what is acknowledged is durable there, and whether the way there is closed to others."""
        findings = []
        version = await self._setting("server_version")
        for name in ("fsync", "full_page_writes", "synchronous_commit"):
            if await self._setting(name) == "off":
                findings.append(
                    wrong(AREA, f"Sparat kan gå förlorat: {name}=off.", "Slå på inställningen och starta om servern.")
                )
        if await self._setting("data_checksums") == "off":
            findings.append(
                wrong(AREA, "Servern har inga kontrollsummor.", "Skapa klustret med --data-checksums.", Level.NOTE)
            )
        parts = urlsplit(self._dsn)
        mode = parse_qs(parts.query).get("sslmode", [""])[0]
        if (parts.hostname or "") not in LOCAL and mode not in SAFE_TLS:
            findings.append(
                wrong(
                    AREA,
                    "Vägen till databasen kontrollerar inte serverns certifikat.",
                    "Lägg till sslmode=verify-full i SAMBUD_DATABASE.",
                    Level.WARNING,
                )
            )
        return findings or [good(AREA, f"PostgreSQL {version} sparar det som kvitteras.")]

    async def _setting(self, name: str) -> str:
        [[value]] = await self._fetch("SELECT current_setting($1, true)", (name,))
        return str(value)
