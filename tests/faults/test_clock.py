"""The clock jumps by hours and days, over summer time, a leap day and a leap second, also backwards and mid-queue.

Nothing expires early, no retry waits for a time that never was, a session lives no longer for it, a used code opens
nothing again, and the order of the log stands.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.memory import MemoryStore
from adapters.sql.postgres import PostgresStore
from adapters.sql.sqlite import SqliteStore
from gateway.deliver import FURTHEST, LEASE
from gateway.errors import SessionEndedError, SignInError, TooManyAttemptsError
from gateway.factors import code_for
from gateway.model.base import DAY, HOUR, MINUTE, SECOND, Instant, MessageId
from gateway.model.path import Channel, Delivery
from gateway.ports import Update, Work
from gateway.sessions import Signed
from gateway.states import DeliveryState
from tests.clock import ManualClock, instant
from tests.county import ALVESTA, SEAT_E, County, a_county, password_of
from tests.faults.cluster import Cluster
from tests.faults.on_postgres import a_message, a_schema
from tests.faults.tally import tally

pytestmark = pytest.mark.slow
#: Stockholm's summer time begins 01:00 UTC on 29 March 2026 and ends on 25 October; 2028 has a leap day.
MOMENTS = {
    "a monday": instant(2026, 3, 2, 8),
    "summer time begins": instant(2026, 3, 29, 0, 59),
    "summer time ends": instant(2026, 10, 25, 0, 59),
    "leap day": instant(2028, 2, 28, 23, 59),
    "leap second": Instant(instant(2027, 1, 1) - 1 * SECOND),
}
JUMPS = {
    "a leap second repeated": -1 * SECOND,
    "an hour back": -HOUR,
    "two hours back": -2 * HOUR,
    "a day back": -DAY,
    "an hour on": HOUR,
    "two hours on": 2 * HOUR,
    "a day on": DAY,
}


@asynccontextmanager
async def a_county_at(
    moment: Instant, engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[County]:
    clock = ManualClock(moment)
    if engine == "memory":
        async with a_county(MemoryStore(clock), clock=clock) as county:
            yield county
    elif engine == "sqlite":
        sqlite = await SqliteStore.open(tmp_path / "sambud.db", clock, create=True)
        try:
            async with a_county(sqlite, clock=clock) as county:
                yield county
        finally:
            await sqlite.close()
    else:
        cluster: Cluster = request.getfixturevalue("cluster")
        async with a_schema(cluster.dsn) as schema:
            postgres = await PostgresStore.open(cluster.dsn, clock, schema=schema)
            try:
                async with a_county(postgres, clock=clock) as county:
                    yield county
            finally:
                await postgres.close()


async def _send(county: County, worker: Signed, **more: Any) -> MessageId:
    case, _ = await county.consented_case(worker)
    sent = await county.gateway.sending.send(worker, ALVESTA, a_message(case.id, "Hej", [SEAT_E]), **more)
    return sent.message


async def _delivery(county: County, message: MessageId) -> Delivery:
    [found] = await county.store.deliveries_of(message)
    return found


@pytest.mark.parametrize(
    ("engine", "moments"),
    [
        ("memory", ["leap second"]),
        ("sqlite", ["summer time begins"]),
        pytest.param("memory", list(MOMENTS), marks=pytest.mark.full),
        pytest.param("sqlite", list(MOMENTS), marks=pytest.mark.full),
        pytest.param("postgres", ["leap day", "summer time ends"], marks=pytest.mark.full),
    ],
)
async def test_whatever_the_clock_does_queued_deliveries_arrive_soon_and_none_expires(
    engine: str, moments: list[str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Q09: queued, being tried under a lease, and waiting for a retry, each met by each jump."""
    cases, stuck = 0, []
    for moment in moments:
        async with a_county_at(MOMENTS[moment], engine, tmp_path / f"{moments.index(moment)}", request) as county:
            clock = county.clock
            for name, jump in JUMPS.items():
                worker = await _signed_in_later(county)
                queued = await _send(county, worker)
                leased = await _send(county, worker, undo_seconds=0)
                await county.store.claim_due(
                    Channel.LOCAL, now=clock.now(), lease_until=Instant(clock.now() + LEASE), owner="dead", limit=1
                )
                retried = await _send(county, worker)
                row = await _delivery(county, retried)
                waiting = dataclasses.replace(row, due_at=Instant(clock.now() + 10 * MINUTE), version=row.version + 1)
                await county.store.commit(Work(changes=(Update(waiting),)))
                clock.advance(jump)
                await _passing(county, FURTHEST + 20 * MINUTE)
                if jump == -DAY:  # the consents of today are not yet given on yesterday: nothing is lost, it waits
                    states = {(await _delivery(county, message)).state for message in (queued, leased, retried)}
                    assert states <= {DeliveryState.QUEUED, DeliveryState.DELIVERED}
                    clock.advance(DAY)
                    await _passing(county, 40 * MINUTE)
                for what, message in (("queued", queued), ("leased", leased), ("retry", retried)):
                    cases += 1
                    found = await _delivery(county, message)
                    if found.state is not DeliveryState.DELIVERED:
                        stuck.append((moment, name, what, str(found.state)))
                await county.gateway.integrator.flush()
            for report in await county.gateway.review.verify():
                assert report.faults == []
    tally("Q09", cases=cases, acknowledged_lost=len(stuck))
    assert stuck == []


async def _passing(county: County, time: int) -> None:
    for _ in range(time // (5 * MINUTE)):
        await county.deliver()
        county.clock.advance(5 * MINUTE)


async def _signed_in_later(county: County) -> Signed:
    """Sign in when the clock has passed every code that was used: after a step back that takes as long."""
    while True:
        try:
            return await county.sign_in("al-sos")
        except SignInError:
            county.clock.advance(HOUR)


@pytest.mark.parametrize("jump", [name for name, by in JUMPS.items() if by <= -HOUR])
async def test_a_clock_set_back_ends_a_session_instead_of_making_it_longer(jump: str) -> None:
    """Q09: eight hours and fifteen idle minutes stay what they are."""
    async with a_county() as county:
        await county.sign_in("al-sos")
        county.clock.advance(MINUTE)
        code = code_for(county.seeds["al-sos"], county.clock.now())
        done = await county.gateway.sign_in.sign_in("al-sos", password_of("al-sos"), code)
        await county.gateway.sessions.authenticate(done.token)
        county.clock.advance(-SECOND)
        await county.gateway.sessions.authenticate(done.token)  # a second is nothing
        county.clock.advance(JUMPS[jump])
        with pytest.raises(SessionEndedError):
            await county.gateway.sessions.authenticate(done.token)
    tally("Q09", cases=1)


@pytest.mark.parametrize("jump", [-30 * SECOND, -HOUR, -DAY])
async def test_a_code_that_was_used_opens_nothing_again_when_its_time_comes_back(jump: int) -> None:
    """RFC 6238 §5.2: the verifier must not accept a second attempt; steps only go forward, whatever the clock does."""
    async with a_county() as county:
        seed, clock = county.seeds["al-sos"], county.clock
        start = clock.now()
        clock.advance(MINUTE)
        used = code_for(seed, clock.now())
        await county.gateway.sign_in.sign_in("al-sos", password_of("al-sos"), used)
        clock.advance(jump)
        fresh_then = code_for(seed, clock.now())
        for code in {used, fresh_then}:
            with pytest.raises(SignInError):
                await county.gateway.sign_in.sign_in("al-sos", password_of("al-sos"), code)
        clock.set(Instant(start + 2 * MINUTE))  # time reaches a step that nobody used
        code = code_for(seed, clock.now())
        await county.gateway.sign_in.sign_in("al-sos", password_of("al-sos"), code)
    tally("Q09", cases=1)


async def test_a_delay_after_failures_does_not_grow_when_the_clock_is_set_back() -> None:
    """Q09: a wait of seconds must not become a day because the clock was a day ahead."""
    async with a_county() as county:
        clock = county.clock
        clock.advance(DAY)
        for _ in range(7):
            with pytest.raises((SignInError, TooManyAttemptsError)):
                await county.gateway.sign_in.sign_in("al-sos", "fel fras för kontot här", "000000")
        with pytest.raises(TooManyAttemptsError):
            await county.gateway.sign_in.sign_in("al-sos", "fel fras för kontot här", "000000")
        clock.advance(-DAY)
        await county.sign_in("al-sos")
    tally("Q09", cases=1)


async def test_a_lease_of_a_node_whose_clock_is_ahead_is_respected_until_it_is_impossible() -> None:
    """Q09, A08: ten minutes apart is no reason to try what another node is trying; a day is."""
    async with a_county() as county:
        worker = await county.sign_in("al-sos")
        for ahead, taken in ((10 * MINUTE, False), (DAY, True)):
            message = await _send(county, worker)
            now = Instant(county.clock.now() + ahead)
            await county.store.claim_due(
                Channel.LOCAL, now=now, lease_until=Instant(now + LEASE), owner="ahead", limit=10
            )
            county.clock.advance(2 * MINUTE)
            await county.deliver()
            delivered = (await _delivery(county, message)).state is DeliveryState.DELIVERED
            assert delivered is taken
    tally("Q09", cases=2)
