"""A simulated message service in a process of its own, and another organisation's client that writes to us over it."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
from joserfc.jwk import ECKey

from adapters.sdk.api_model import Streamed
from adapters.sdk.client import Access, SdkApi
from adapters.sdk.model import Attention, Document, Message, Party
from adapters.sdk.simulator import Simulator
from adapters.sdk.simulator_http import BASE, serving
from bench.child import answer, quiet
from bench.pictures import picture_in_pieces
from gateway.__main__ import SystemClock


class Service:
    """What the run asks of it."""

    def __init__(self, folder: Path, service: Simulator, address: str, session: aiohttp.ClientSession) -> None:
        self._folder = folder
        self._service = service
        self._address = address
        self._session = session
        self._apis: dict[str, SdkApi] = {}

    async def join(self, name: str, addresses: list[str]) -> str:
        """Let a client in; its key lies in the folder. Gives the service's address."""
        key = ECKey.generate_key("P-256")
        (self._folder / f"{name}.pem").write_bytes(key.as_pem(private=True))
        self._service.join(name, key, addresses)
        access = Access(
            base=self._address + BASE,
            token_url=f"{self._address}/token",
            client_id=name,
            key=key,
            algorithm="ES256",
        )
        self._apis[name] = SdkApi(access, self._session, SystemClock())
        return self._address

    async def write(self, name: str, sender: str, recipient: str, size: int) -> None:
        """As the client `name`: a letter with one file of `size` octets."""

        async def pieces() -> AsyncIterator[bytes]:
            for piece in picture_in_pieces(size):
                yield piece

        identifier = str(uuid.uuid4())
        message = Message(
            id=identifier,
            conversation=identifier,
            created=SystemClock().now(),
            label="Film",
            confidential=True,
            sender=_party(sender),
            recipient=_party(recipient),
            documents=(Document(id="1", index="1", texts=("Se bilagan.",)),),
        )
        file = Streamed(name="film.png", media_type="image/png", size=size, read=pieces)
        await self._apis[name].send(message, (file,))


def _party(address: str) -> Party:
    organisation, _, function = address.partition("#")
    return Party(id=organisation, attention=Attention(function=function))


async def main(folder: Path) -> None:
    service = Simulator(SystemClock())
    async with serving(service) as address, aiohttp.ClientSession() as session:
        own = Service(folder, service, address, session)
        await answer({"join": own.join, "write": own.write})


if __name__ == "__main__":
    quiet()
    asyncio.run(main(Path(sys.argv[1])))
