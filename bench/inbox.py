"""`sambud bench inbox`: the page of a shared inbox with fifty open items, beside a short and a long history, in turns.

Why this exists: a list must not cost more as history grows. Two gateways differ in nothing but how much is done: a
thousand items, and a hundred thousand. The page is fetched over loopback by a client in the same process, so a figure
is a whole request, and an upper bound of the server's time.

Rules: the fifty open referrals were really sent, delivered and opened (their priorities are sealed sheets); the history
is rows put in through the store, of the same shape, without envelopes: no list reads octets.
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from adapters.http.api import ROUTES
from adapters.http.server import application, listening
from adapters.http.web import NAV, PAGES, security
from adapters.http.web.frame import Web
from bench.county import RECIPIENT, County, a_county
from gateway.demo import STEP_US, demo_password
from gateway.factors import code_for
from gateway.model.base import CaseId, DeliveryId, EnvelopeId, Instant, MessageId
from gateway.model.path import Case, CaseParty, Channel, Delivery, Message
from gateway.model.queue import Task
from gateway.ports import Change, Insert, Work
from gateway.states import DeliveryState, TaskState

OPEN: Final = 50
SHORT: Final = 1_000
LONG: Final = 100_000
READER: Final = "ek-chef"
BATCH: Final = 500
FETCHES: Final = 20  # in one leg


@dataclass
class Report:
    """Milliseconds of every request, by length of history."""

    times: dict[int, list[float]] = field(default_factory=dict)

    def lines(self) -> list[str]:
        found = [f"{'done items':>12} {'median ms':>10} {'p99 ms':>8}"]
        for done, times in self.times.items():
            found.append(f"{done:>12} {statistics.median(times):>10.1f} {_p99(times):>8.1f}")
        short, long = self.times.values()
        ratios = (statistics.median(long) / statistics.median(short), _p99(long) / _p99(short))
        found.append(f"long against short: median {ratios[0]:.2f} x, p99 {ratios[1]:.2f} x (floor 3, goal 1.5)")
        return found

    def as_dict(self) -> dict[str, Any]:
        return {str(done): times for done, times in self.times.items()}


async def measure(*, rounds: int, quick: bool, say: Callable[[str], None]) -> Report:
    """Make both gateways, then fetch the page in turns."""
    long = 2_000 if quick else LONG
    report = Report({SHORT: [], long: []})
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sambud-bench-")))
        places = {}
        for done in (SHORT, long):
            say(f"{done} avslutade och {OPEN} öppna …")
            county = await stack.enter_async_context(a_county(folder / str(done)))
            await _open_items(county)
            await _history(county, done)
            places[done] = await _served(stack, county)
        for place in places.values():
            await _fetched(*place)  # templates, prepared statements and the disk's cache, without a stopwatch
        for number in range(rounds):
            say(f"varv {number + 1} av {rounds}")
            for done in sorted(places, reverse=bool(number % 2)):
                report.times[done] += await _fetched(*places[done])
    return report


async def _fetched(http: aiohttp.ClientSession, address: str) -> list[float]:
    found = []
    for _ in range(FETCHES):
        began = time.perf_counter()
        async with http.get(f"{address}/inkorg/{RECIPIENT}") as response:
            text = await response.text()
        found.append((time.perf_counter() - began) * 1000)
        if response.status != 200 or text.count("<tr id=") != OPEN:
            raise RuntimeError(f"the page is not the one that is measured: {response.status}")
    return found


async def _served(stack: AsyncExitStack, county: County) -> tuple[aiohttp.ClientSession, str]:
    gateway, routes = county.gateway, (*ROUTES, *PAGES)
    address = await stack.enter_async_context(
        listening(application(gateway, routes, Web(gateway, routes, NAV)), "127.0.0.1", 0)
    )
    token = await _reader(county)
    signed = await gateway.sessions.authenticate(token)
    for task in await gateway.ports.store.open_tasks(RECIPIENT, limit=OPEN):
        await gateway.queue.open(signed, task.envelope)
    headers = {"Cookie": f"{security.SESSION}={token}"}
    return await stack.enter_async_context(aiohttp.ClientSession(headers=headers)), address


async def _reader(county: County) -> str:
    county.skew[0] += STEP_US
    code = code_for(county.seeds[READER], county.gateway.ports.clock.now())
    return (await county.gateway.sign_in.sign_in(READER, demo_password(READER), code)).token


async def _open_items(county: County) -> None:
    await county.accept(await county.cases(OPEN), 8)
    while await county.gateway.outbox.run_once():
        pass


async def _history(county: County, count: int) -> None:
    """Rows of items that are done: case, party, message, delivery, task."""
    store, clock = county.gateway.ports.store, county.gateway.ports.clock
    [like] = await store.open_tasks(RECIPIENT, limit=1)
    case = await store.get(Case, like.case)
    message = await store.get(Message, like.message)
    if case is None or message is None:
        raise RuntimeError("an open task without its case")
    start = clock.now() - count * 60_000_000
    for first in range(0, count, BATCH):
        changes: list[Change] = []
        for number in range(first, min(first + BATCH, count)):
            changes += _done(case, message, like, Instant(start + number * 60_000_000), number)
        await store.commit(Work(changes=tuple(changes)))


def _done(case: Case, message: Message, like: Task, at: Instant, number: int) -> list[Change]:
    ids = [str(uuid.uuid4()) for _ in range(4)]
    a_case = dataclasses.replace(
        case, id=CaseId(ids[0]), reference=f"ZZ-20-{number:07d}", opened_at=at, changed_at=at, version=1
    )
    a_message = dataclasses.replace(message, id=MessageId(ids[1]), case=a_case.id, created_at=at)
    envelope = EnvelopeId(ids[2])
    delivery = Delivery(
        administration=like.administration,
        id=DeliveryId(ids[3]),
        envelope=envelope,
        message=a_message.id,
        inbox=like.inbox,
        channel=Channel.LOCAL,
        state=DeliveryState.OPENED,
        due_at=at,
        expires_at=at,
        delivered_at=at,
        changed_at=at,
    )
    party = CaseParty(administration=like.administration, case=a_case.id, inbox=like.inbox, since=at, opened_at=at)
    task = dataclasses.replace(
        like,
        envelope=envelope,
        message=a_message.id,
        case=a_case.id,
        state=TaskState.DONE,
        received_at=at,
        changed_at=at,
        version=1,
    )
    return [Insert(row) for row in (a_case, a_message, delivery, party, task)]


def _p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[98]
