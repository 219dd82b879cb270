"""A gateway of one municipality with the rest of the county outside, connected to a message service, as it is measured.

It is the real program over the real store; only its neighbour is timed as it passes by.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

from adapters.sdk.connect import connected
from adapters.sdk.neighbour import SdkNeighbour
from bench.child import answer, quiet
from bench.county import RECIPIENT, County, a_county
from bench.pictures import picture_in_pieces
from gateway.demo import CASEWORK, demo_directory
from gateway.demo_federated import sdk_address, seen_from
from gateway.exchange import taken_in
from gateway.model.base import MessageId
from gateway.model.classes import Category
from gateway.model.path import Channel
from gateway.neighbours import Parcel, Telling, Told
from gateway.states import DeliveryState

HOSTED = ("alvesta.ifo",)
CASES = 8
WAIT_S = 300.0


class Timed:
    """The neighbour, and when it was handed what."""

    def __init__(self, inner: SdkNeighbour) -> None:
        self._inner = inner
        self.handed: dict[str, tuple[float, float]] = {}  # reference: seconds it took, when it was done
        self.confirmed: dict[str, float] = {}  # reference: seconds from then until the receipt was durable here
        self.more = asyncio.Condition()

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def hand_over(self, parcel: Parcel) -> Told:
        began = time.perf_counter()
        told = await self._inner.hand_over(parcel)
        if told.telling is Telling.IN_TRANSIT:
            now = time.perf_counter()
            self.handed[told.reference] = (now - began, now)
        return told

    async def settled(self, reference: str) -> None:
        async with self.more:
            self.confirmed[reference] = time.perf_counter() - self.handed[reference][1]
            self.more.notify_all()
        await self._inner.settled(reference)


class Client:
    """Answers the run's questions."""

    def __init__(self, county: County, stack: AsyncExitStack, folder: Path) -> None:
        self._county = county
        self._stack = stack
        self._folder = folder
        self._timed: Timed | None = None

    async def addresses(self) -> list[list[str]]:
        """Ours, and those of the others."""
        directory = await self._county.gateway.directory.current()
        boxes = directory.inboxes.values()
        both = [[box.id for box in boxes if directory.is_outside(box) is outside] for outside in (False, True)]
        return [[sdk_address(str(inbox)) for inbox in inboxes] for inboxes in both]

    async def connect(self, service: str, name: str) -> None:
        neighbour = await self._stack.enter_async_context(
            connected(
                url=f"{service}/sdk-api/v1/",
                token_url=f"{service}/token",
                client_id=name,
                key_file=self._folder / f"{name}.pem",
                algorithm="ES256",
                addresses=(await self.addresses())[0],
                clock=self._county.gateway.ports.clock,
            )
        )
        self._timed = Timed(neighbour)
        self._county.gateway.channels.connect(self._timed)  # type: ignore[arg-type]

    async def own_address(self) -> list[str]:
        """Where the others write to us, and whom a letter may come from."""
        return [sdk_address(str(CASEWORK)), sdk_address(str(RECIPIENT))]

    async def paced(self, count: int, every_s: float) -> dict[str, float]:
        """Send so many, one each `every_s` whatever became of the others, with the worker of `serve` beside."""
        county, timed = self._county, self._connected()
        signed = await county.signed()
        places = await county.cases(CASES)
        for place in places:  # the first message of a case makes its recipient a party of it
            await county.gateway.sending.send(signed, CASEWORK, county.case_message(place))
        while len(timed.confirmed) < CASES:
            await county.gateway.channels.run_once(Channel.SDK)
            await asyncio.sleep(0.1)
        timed.handed.clear()
        timed.confirmed.clear()
        began = time.perf_counter()
        async with county.working(), asyncio.TaskGroup() as group:
            for number in range(count):
                message = county.case_message(places[number % CASES])
                group.create_task(county.gateway.sending.send(signed, CASEWORK, message))
                await asyncio.sleep(max(0.0, began + (number + 1) * every_s - time.perf_counter()))
            async with asyncio.timeout(WAIT_S), timed.more:
                await timed.more.wait_for(lambda: len(timed.confirmed) == count)
        took, ends = zip(*timed.handed.values(), strict=True)
        confirmed = list(timed.confirmed.values())
        return {
            "p99": _p99(took),
            "accepted": statistics.median(took),
            "confirmed": statistics.median(confirmed),
            "confirmed_p99": _p99(confirmed),
            "minute": 60 * count / (max(ends) - began),
        }

    async def send_file(self, size: int) -> None:
        """One message with one file of `size` octets, until its receipt is here."""

        async def pieces() -> AsyncIterator[bytes]:
            for piece in picture_in_pieces(size):
                yield piece

        county = self._county
        signed = await county.signed()
        draft = await county.file_draft()
        await county.gateway.attachments.add(signed, draft, "film.png", Category.NEED, pieces())  # type: ignore[arg-type]
        sent = await county.gateway.sending.send_draft(signed, draft, [str(RECIPIENT)])  # type: ignore[arg-type]
        async with asyncio.timeout(WAIT_S):
            while not await self._arrived(sent.message):
                await county.gateway.channels.run_once(Channel.SDK)
                await asyncio.sleep(0.1)

    async def take_in(self) -> int:
        """Everything that waits for us; how many messages."""
        return await taken_in(self._county.gateway, Channel.SDK)

    async def _arrived(self, message: MessageId) -> bool:
        rows = await self._county.gateway.ports.store.deliveries_of(message)
        return any(row.channel is Channel.SDK and row.state is DeliveryState.DELIVERED for row in rows)

    def _connected(self) -> Timed:
        if self._timed is None:
            raise RuntimeError("not connected")
        return self._timed


def _p99(values: list[float] | tuple[float, ...]) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[98] if len(values) > 1 else values[0]


async def main(folder: Path) -> None:
    async with AsyncExitStack() as stack:
        county = await stack.enter_async_context(a_county(folder / "gateway", seen_from(HOSTED, demo_directory())))
        own = Client(county, stack, folder)
        names = ("addresses", "connect", "own_address", "paced", "send_file", "take_in")
        await answer({name: getattr(own, name) for name in names})


if __name__ == "__main__":
    quiet()
    asyncio.run(main(Path(sys.argv[1])))
