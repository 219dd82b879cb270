"""A county on a PostgreSQL cluster of the test's own, and clients that do what a case system does: try again with the
same Idempotency-Key until they have an answer."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

from adapters.sql.postgres import PostgresStore
from gateway.errors import ConflictError, DecisionStaleError, GatewayError, StoreUnavailableError
from gateway.model.base import MINUTE, CaseId, MessageId
from gateway.model.path import ReceiptKind
from gateway.sending import Submission
from gateway.sessions import Signed
from gateway.states import DeliveryState
from tests.clock import ManualClock
from tests.county import ALVESTA, SEAT_E, SEAT_N, County, a_county

SEATS = (str(SEAT_E), str(SEAT_N))
PATIENCE_S = 30.0


@asynccontextmanager
async def a_schema(dsn: str) -> AsyncIterator[str]:
    """An empty schema; it goes with its cluster."""
    schema = f"t{secrets.token_hex(6)}"
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"CREATE SCHEMA {schema}")
    finally:
        await connection.close()
    yield schema


@asynccontextmanager
async def a_county_on(dsn: str, clock: ManualClock | None = None) -> AsyncIterator[County]:
    clock = clock or ManualClock()
    async with a_schema(dsn) as schema:
        store = await PostgresStore.open(dsn, clock, schema=schema)
        try:
            async with a_county(store, clock=clock) as county:
                yield county
        finally:
            await store.close()


async def until(asked: Callable[[], Awaitable[bool]], *, at_most_s: float = 30.0) -> None:
    """Wait for what another process does."""
    async with asyncio.timeout(at_most_s):
        while not await asked():  # noqa: ASYNC110  (no event comes from another process)
            await asyncio.sleep(0.005)


@dataclass
class Told:
    """What clients were told, and how often they had to ask again."""

    sent: dict[str, MessageId] = field(default_factory=dict)
    opened: set[str] = field(default_factory=set)
    again: int = 0
    refusals: set[str] = field(default_factory=set)


def a_message(case: CaseId, text: str, recipients: Sequence[str] = SEATS) -> Submission:
    return Submission(
        case=case,
        form_type="case_message",
        form_version=1,
        values={"text": text, "categories": ["SOCIAL"]},
        recipients=tuple(recipients),
    )


async def send(county: County, signed: Signed, submission: Submission, key: str, told: Told) -> MessageId:
    """Send until it is answered."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                done = await county.gateway.sending.send(signed, ALVESTA, submission, idempotency_key=key)
            except (StoreUnavailableError, ConflictError, DecisionStaleError) as trouble:
                told.again += 1
                told.refusals.add(trouble.code)
                await asyncio.sleep(0.02)
                continue
            told.sent[key] = done.message
            return done.message


async def work(county: County, stop: asyncio.Event) -> None:
    """The delivery worker, as `gateway.workers` runs it."""
    while not stop.is_set():
        try:
            if not await county.gateway.outbox.run_once():
                await asyncio.sleep(0.02)
        except GatewayError:
            await asyncio.sleep(0.05)


async def settle(county: County) -> None:
    """Let every lease lapse, deliver what is left, repair receipts, publish the log."""
    for _ in range(3):
        county.clock.advance(2 * MINUTE)
        await county.deliver()
    since = county.clock.now() - 24 * 60 * MINUTE
    left = await county.store.opened_without_receipt(since=since, limit=200)  # type: ignore[arg-type]
    await county.gateway.opening.missing_receipts(left)
    await county.gateway.integrator.flush()


@dataclass(frozen=True)
class Found:
    """What stands at the end, beside what was told."""

    lost: int
    doubled: int
    half: int
    faults: tuple[str, ...]


async def examined(county: County, case: CaseId, told: Told, keys: int) -> Found:
    """The invariant: acknowledged => durable, one visible copy, logged; not acknowledged => absent or whole."""
    messages = await county.store.messages_of(case, limit=100_000)
    ids = [message.id for message in messages if message.form_type == "case_message"]
    half = 0
    for message in ids:
        deliveries = await county.store.deliveries_of(message)
        receipts = await county.store.receipts_of(message)
        delivered = [receipt.envelope for receipt in receipts if receipt.kind is ReceiptKind.DELIVERED]
        whole = (
            len(await county.store.envelopes_of(message)) == len(deliveries) + 1
            and all(row.state in (DeliveryState.DELIVERED, DeliveryState.OPENED) for row in deliveries)
            and sorted(delivered) == sorted(row.envelope for row in deliveries)
        )
        half += not whole
    logged = await logged_acts(county, "sent")
    reports = await county.gateway.review.verify()
    return Found(
        lost=len(set(told.sent.values()) - set(ids)) + len(set(told.sent.values()) - set(logged)),
        doubled=max(0, len(ids) - keys) + len(logged) - len(set(logged)),
        half=half + len(set(ids) ^ set(logged)),
        faults=tuple(fault for report in reports for fault in [*report.faults, *report.missing]),
    )


async def logged_acts(county: County, action: str) -> list[str]:
    """The objects of all leaves of one act, in the order of their commits."""
    found = []
    for log in await county.store.logs():
        size = await county.store.log_size(log)
        for start in range(0, size, 256):
            rows = await county.store.sides(log, start, min(size, start + 256))
            found += [row.object for row in rows if row.action == action]
    return found
