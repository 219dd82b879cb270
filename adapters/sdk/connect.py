"""Connect: a neighbour from what the settings say, with its connections closed when it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from adapters.sdk.client import Access, SdkApi
from adapters.sdk.neighbour import SdkNeighbour
from adapters.sdk.simulator import BASE, Simulator, serving
from gateway.errors import SetupError
from gateway.ports import Clock


@asynccontextmanager
async def connected(
    *, url: str, token_url: str, client_id: str, key_file: Path, algorithm: str, addresses: Sequence[str], clock: Clock
) -> AsyncIterator[SdkNeighbour]:
    """The message service at `url`.

    Raises:
        SetupError: the key cannot be read, or does not fit the algorithm.
    """
    kind = RSAKey if algorithm == "RS256" else ECKey
    try:
        key = kind.import_key(key_file.read_bytes())
    except (OSError, ValueError, JoseError) as trouble:
        raise SetupError(
            "the key for SDK cannot be read",
            swedish=f"Nyckeln {key_file} går inte att läsa.",
            next_step="Ange en privat nyckel i PEM som passar SAMBUD_SDK_ALGORITHM.",
        ) from trouble
    access = Access(base=url, token_url=token_url, client_id=client_id, key=key, algorithm=algorithm)
    async with aiohttp.ClientSession() as session:
        yield SdkNeighbour(SdkApi(access, session, clock), addresses)


@asynccontextmanager
async def simulated(addresses: Mapping[str, Sequence[str]], clock: Clock) -> AsyncIterator[Mapping[str, SdkNeighbour]]:
    """A simulated service on loopback, and a neighbour for each client, by client id and its addresses."""
    service = Simulator(clock)
    async with serving(service) as address, aiohttp.ClientSession() as session:
        found = {}
        for name, own in addresses.items():
            key = ECKey.generate_key("P-256")
            service.join(name, key, own)
            access = Access(
                base=address + BASE, token_url=f"{address}/token", client_id=name, key=key, algorithm="ES256"
            )
            found[name] = SdkNeighbour(SdkApi(access, session, clock), own)
        yield found
