"""A gateway with two neighbours, in a process of its own: one that is dead, and one that takes everything at once.

The dead one is the real client of SDK towards a port where nobody listens: every attempt is opened, made a document and
refused, which costs this process the most. The live one answers in no time, so what is measured is ours.
"""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from joserfc.jwk import ECKey

from adapters.sdk.connect import connected
from bench.child import answer, quiet
from bench.county import RECIPIENT, County, a_county
from gateway.deliver import new_delivery_id
from gateway.demo import CASEWORK, demo_directory
from gateway.demo_federated import seen_from
from gateway.model.base import CaseId, Instant, MessageId
from gateway.model.path import Channel, Delivery, Message
from gateway.neighbours import Answer, Arrived, Parcel, Reason, Seen, Telling, Told
from gateway.ports import Insert, Work

HOSTED: Final = ("alvesta.ifo", "region.hsv")
DEAD: Final = "seat.novus"  # over SDK
LIVE: Final = "novus.enhet"  # over S/MIME
PIECE: Final = 500
PATIENCE_S: Final = 120.0


class Live:
    """The far end of S/MIME that takes everything at once."""

    channel = Channel.SMIME
    left: Final[dict[str, Reason]] = {}

    async def hand_over(self, parcel: Parcel) -> Told:
        return Told(Telling.DELIVERED, reference=str(parcel.id))

    async def outcome(self, reference: str) -> Told:
        return Told(Telling.DELIVERED, reference=reference)

    async def lingering(self) -> Mapping[str, Told]:
        return {}

    async def settled(self, reference: str) -> None:
        return None

    async def arrivals(self) -> AsyncIterator[Arrived]:
        waiting: tuple[Arrived, ...] = ()
        for arrived in waiting:
            yield arrived

    async def acknowledge(self, arrived: Arrived, answer: Answer) -> None:
        return None

    async def look_up(self, address: str) -> Seen:
        return Seen(exists=None)

    def expires(self) -> Instant | None:
        return None


class Outside:
    """Answers the run's questions about one gateway."""

    def __init__(self, county: County) -> None:
        self._county = county
        self._store = county.gateway.ports.store
        self._work = AsyncExitStack()
        self._cases: list[CaseId] = []

    async def queued(self, count: int) -> int:
        """Deliveries to the dead neighbour that are due: one was sent, the rest are rows like its own."""
        [case] = await self._county.cases(1)
        sent = await self._send(case, DEAD)
        [one] = [row for row in await self._store.deliveries_of(sent) if row.channel is Channel.SDK]
        for start in range(1, count, PIECE):
            rows = [self._like(one) for _ in range(min(PIECE, count - start))]
            await self._store.commit(Work(changes=tuple(map(Insert, rows))))
        return count

    def _like(self, one: Delivery) -> Delivery:
        return dataclasses.replace(one, id=new_delivery_id(), version=1)

    async def work(self, on: bool) -> None:
        """Let the worker of `serve` run, or rest."""
        await self._work.aclose()
        if on:
            await self._work.enter_async_context(self._county.working())

    async def others(self, count: int, a_second: float) -> dict[str, list[float]]:
        """Send to others at a steady pace, inside and over the live channel in turn; seconds until each had arrived."""
        self._cases = self._cases or await self._county.cases(4)
        began, sent = time.monotonic(), []
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / a_second - time.monotonic()))
            to = LIVE if number % 2 else str(RECIPIENT)
            sent.append(await self._send(self._cases[number % len(self._cases)], to))
        spent: dict[str, list[float]] = {"local": [], "channel": []}
        for number, message in enumerate(sent):
            spent["channel" if number % 2 else "local"].append(await self._arrived(message))
        return spent

    async def _send(self, case: CaseId, to: str) -> MessageId:
        submission = self._county.case_message(case, to)
        sent = await self._county.gateway.sending.send(await self._county.signed(), CASEWORK, submission)
        return sent.message

    async def _arrived(self, message: MessageId) -> float:
        """Seconds from acceptance to arrival, as the rows tell them."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                rows = [row for row in await self._store.deliveries_of(message) if row.inbox != CASEWORK]
                if rows and all(row.delivered_at is not None for row in rows):
                    row = await self._store.get(Message, message)
                    accepted = row.created_at if row is not None else Instant(0)
                    return (max(one.delivered_at or 0 for one in rows) - accepted) / 1_000_000
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        await self._work.aclose()


def directory() -> str:
    """The demo's directory where Novus is outside: its seat over SDK, its unit over S/MIME."""
    text = seen_from(HOSTED, demo_directory())
    route = f'inbox = "{LIVE}"\nchannel = '
    return text.replace(f'{route}"sdk"', f'{route}"smime"\npin = "{"0" * 64}"')


async def main(folder: Path) -> None:
    async with a_county(folder, directory()) as county, AsyncExitStack() as stack:
        key = folder / "sdk.pem"
        key.write_bytes(ECKey.generate_key("P-256").as_pem(private=True))
        nobody = stack.enter_context(socket.socket())  # bound and never listening: refused at once
        nobody.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
        gateway = county.gateway
        dead = connected(
            url=address,
            token_url=f"{address}token",
            client_id="bench",
            key_file=key,
            algorithm="ES256",
            addresses=[],
            clock=gateway.ports.clock,
        )
        gateway.channels.connect(await stack.enter_async_context(dead))
        gateway.channels.connect(Live())
        outside = Outside(county)
        stack.push_async_callback(outside.close)
        names: list[Any] = [name for name in vars(Outside) if not name.startswith("_") and name != "close"]
        await answer({name: getattr(outside, name) for name in names})


if __name__ == "__main__":
    quiet()
    asyncio.run(main(Path(sys.argv[1])))
