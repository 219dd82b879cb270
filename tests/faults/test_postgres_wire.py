"""The connection to PostgreSQL is cut at each message of the protocol, in both directions, during a send, a delivery and
an opening. What a caller was not told is resolved by asking again: nothing is lost, nothing is done twice.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest

from gateway.errors import GatewayError, OutcomeUnknownError, StoreUnavailableError
from gateway.model.base import MINUTE, CaseId, MessageId
from gateway.model.path import Delivery, ReceiptKind
from gateway.sessions import Signed
from gateway.states import DeliveryState
from tests.county import SEAT_E, County
from tests.faults.cluster import Cluster
from tests.faults.on_postgres import Told, a_county_on, a_message, examined, logged_acts, send, settle
from tests.faults.tally import tally
from tests.faults.wire import DIRECTIONS, Direction, Wire

pytestmark = pytest.mark.slow
SEED = 20260303
HOW_MANY = [pytest.param(9, id="spread"), pytest.param(10_000, id="every message", marks=pytest.mark.full)]
Cut = tuple[Direction, int]


@dataclass
class Line:
    """A county whose database is behind a wire that can be cut."""

    county: County
    wire: Wire
    worker: Signed
    reader: Signed
    case: CaseId
    told: Told

    async def one_more(self, number: int | str) -> MessageId:
        submission = a_message(self.case, f"Meddelande {number}", [SEAT_E])
        return await send(self.county, self.worker, submission, f"key-{number}", self.told)

    async def delivery(self, message: MessageId) -> Delivery:
        [found] = await self.county.store.deliveries_of(message)
        return found


@asynccontextmanager
async def a_line(cluster: Cluster) -> AsyncIterator[Line]:
    async with Wire(cluster.port) as wire, a_county_on(wire.dsn) as county:
        worker = await county.sign_in("al-sos")
        reader = await county.sign_in("ek-chef")
        case, _ = await county.consented_case(worker)
        line = Line(county, wire, worker, reader, case.id, Told())
        for warm in range(6):  # every pooled connection has its statements prepared
            sent = await line.one_more(f"warm-{warm}")
            await county.deliver()
            await county.gateway.opening.open(reader, (await line.delivery(sent)).envelope)
        yield line


async def _cuts(wire: Wire, act: Callable[[], Awaitable[object]], most: int) -> list[Cut]:
    """Where an act is cut: at its commits, and at as many other messages of it as asked for, drawn by the seed."""
    wire.watch()
    await act()
    counts, commits = dict(wire.counts), list(wire.commits)
    wire.rest()
    places = [(direction, at) for direction in DIRECTIONS for at in range(1, counts[direction] + 1)]
    rest = [place for place in places if place not in commits]
    drawn = rest if most >= len(rest) else random.Random(SEED).sample(rest, most)
    print(f"seed {SEED}: {len(places)} messages, {len(commits)} of them commits; cut at {len(commits) + len(drawn)}")
    return commits + sorted(drawn)


@pytest.mark.parametrize("most", HOW_MANY)
async def test_a_send_that_is_cut_anywhere_is_resolved_by_its_idempotency_key(cluster: Cluster, most: int) -> None:
    """D08: the outcome of a cut commit is unknown; the same key and request find it out, and make no second one."""
    async with a_line(cluster) as line:
        told = line.told
        places = await _cuts(line.wire, lambda: line.one_more("clean"), most)
        for number, place in enumerate(places):
            line.wire.watch(place)
            await line.one_more(number)
            line.wire.rest()
        await settle(line.county)
        keys = len(told.sent)
        found = await examined(line.county, line.case, told, keys)
        cut, refusals = line.wire.cuts, told.refusals
    tally("D08", cases=cut, acknowledged_lost=found.lost, doubled=found.doubled, half=found.half)
    assert keys == len(places) + 7
    assert cut >= len(places) * 0.9
    assert {OutcomeUnknownError.code, StoreUnavailableError.code} <= refusals
    assert (found.lost, found.doubled, found.half, found.faults) == (0, 0, 0, ())


@pytest.mark.parametrize("most", HOW_MANY)
async def test_a_delivery_that_is_cut_anywhere_arrives_once(cluster: Cluster, most: int) -> None:
    """D08: a claim or a commit whose answer is lost leaves a lease; when it lapses the delivery is tried again, once."""
    async with a_line(cluster) as line:
        county, told = line.county, line.told
        await line.one_more("clean")
        places = await _cuts(line.wire, county.gateway.outbox.run_once, most)
        for number, place in enumerate(places):
            sent = await line.one_more(number)
            line.wire.watch(place)
            with suppress(StoreUnavailableError):
                await county.gateway.outbox.run_once()
            line.wire.rest()
            if (await line.delivery(sent)).state is not DeliveryState.DELIVERED:
                county.clock.advance(2 * MINUTE)
                await county.deliver()
            assert (await line.delivery(sent)).state is DeliveryState.DELIVERED, place
        await settle(county)
        found = await examined(county, line.case, told, len(told.sent))
        delivered = await logged_acts(county, "delivered")
        cut = line.wire.cuts
    doubled = len(delivered) - len(set(delivered))
    tally("D08", cases=cut, acknowledged_lost=found.lost, doubled=doubled + found.doubled, half=found.half)
    assert cut >= len(places) * 0.9
    assert doubled == 0
    assert (found.lost, found.doubled, found.half, found.faults) == (0, 0, 0, ())


@pytest.mark.parametrize("most", HOW_MANY)
async def test_an_opening_that_is_cut_anywhere_can_be_done_again_and_has_one_receipt(
    cluster: Cluster, most: int
) -> None:
    """D08: shown means logged; a reader whose answer was lost opens again, and the sender sees one receipt."""
    async with a_line(cluster) as line:
        county, reader = line.county, line.reader

        async def arrived(number: int | str) -> Delivery:
            sent = await line.one_more(number)
            await county.deliver()
            return await line.delivery(sent)

        first = await arrived("clean")
        opening = county.gateway.opening
        places = await _cuts(line.wire, lambda: opening.open(reader, first.envelope), most)
        lost, half = 0, 0
        for number, place in enumerate(places):
            delivery = await arrived(number)
            line.wire.watch(place)
            try:
                shown = await opening.open(reader, delivery.envelope)
            except GatewayError:
                shown = None
            line.wire.rest()
            logged = await county.store.sides_page(
                county.gateway.auditor.origin(county.clock.now()),
                action="opened",
                administration="",
                object=str(delivery.envelope),
                before=2**40,
                limit=5,
            )
            lost += shown is not None and not logged
            again = await opening.open(reader, delivery.envelope)
            assert again.opened.body["fields"] == {"text": f"Meddelande {number}", "categories": ["SOCIAL"]}
            if number % 40 == 0:
                await county.step_up(reader, SEAT_E)
        await settle(county)
        for message in line.told.sent.values():
            kinds = [receipt.kind for receipt in await county.store.receipts_of(message)]
            half += kinds.count(ReceiptKind.OPENED) != 1
        found = await examined(county, line.case, line.told, len(line.told.sent))
        cut = line.wire.cuts
    tally("D08", cases=cut, acknowledged_lost=lost + found.lost, doubled=found.doubled, half=half + found.half)
    assert cut >= len(places) * 0.9
    assert (lost, half) == (0, 0)
    assert (found.lost, found.doubled, found.half, found.faults) == (0, 0, 0, ())
