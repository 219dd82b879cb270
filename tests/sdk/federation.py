"""Two gateways, each with its neighbour at one simulated message service over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from joserfc.jwk import ECKey

from adapters.documents.pdf import PdfDocuments
from adapters.sdk.client import Access, SdkApi
from adapters.sdk.neighbour import SdkNeighbour
from adapters.sdk.simulator import Simulator
from adapters.sdk.simulator_http import BASE, application
from gateway.model.base import SECOND, MessageId
from gateway.model.path import Case, Channel
from gateway.sessions import Signed
from gateway.states import DeliveryState
from tests.county import SEAT_E, County
from tests.neighbours import Pair, a_pair, address_of


@dataclass
class Federation:
    """Two gateways, each with its neighbour at one simulated message service."""

    pair: Pair
    service: Simulator
    address: str
    one: SdkNeighbour
    two: SdkNeighbour

    async def exchange(self, minutes: int = 2) -> None:
        for _ in range(minutes * 6):
            for county, neighbour in ((self.pair.first, self.one), (self.pair.second, self.two)):
                await county.deliver()
                await county.gateway.arriving.taken_in(neighbour)
                await county.gateway.channels.run_once(Channel.SDK)
                await county.gateway.announcements.run_once()
            self.pair.first.clock.advance(10 * SECOND)


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def joined(
    service: Simulator, client: str, county: County, session: aiohttp.ClientSession, address: str, base: str
) -> SdkNeighbour:
    directory = await county.gateway.directory.current()
    own = [address_of(box.id) for box in directory.inboxes.values() if not directory.is_outside(box)]
    key = ECKey.generate_key("P-256")
    service.join(client, key, own)
    access = Access(base=base, token_url=f"{address}/token", client_id=client, key=key, algorithm="ES256")
    neighbour = SdkNeighbour(SdkApi(access, session, county.clock), own, PdfDocuments())
    county.gateway.channels.connect(neighbour)
    return neighbour


async def sent(
    federation: Federation, recipients: tuple[str, ...] = ("remissgrupp",)
) -> tuple[Signed, Case, MessageId]:
    first = federation.pair.first
    worker = await first.sign_in("al-sos")
    case, _ = await first.consented_case(worker)
    return worker, case, (await first.send_referral(worker, case.id, recipients)).message


async def states(county: County, message: MessageId) -> set[tuple[DeliveryState, str]]:
    return {(row.state, row.reason) for row in await county.store.deliveries_of(message)}


async def received(federation: Federation, message: MessageId) -> int:
    return len([row for row in await federation.pair.second.store.envelopes_of(message) if row.inbox == SEAT_E])


@asynccontextmanager
async def straight(address: str) -> AsyncIterator[str]:
    yield address + BASE


@asynccontextmanager
async def a_federation(
    between: Callable[[str], AbstractAsyncContextManager[str]] = straight,
) -> AsyncIterator[Federation]:
    """`between` stands between the clients and the service's API: it gives the base address that the clients use."""
    async with a_pair() as pair, aiohttp.ClientSession() as session:
        await pair.pin()
        service = Simulator(pair.first.clock)
        async with serving(application(service)) as address, between(address) as base:
            sides = [
                await joined(service, "alvesta", pair.first, session, address, base),
                await joined(service, "county", pair.second, session, address, base),
            ]
            yield Federation(pair, service, address, *sides)
