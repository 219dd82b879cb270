"""What goes on beside requests: delivering, publishing the log, repairing receipts, sweeping what nothing names.

Why this exists: every task has a parent and every wait an end. Expected trouble is logged and tried again; a bug ends
the group, and with it the process, because a gateway that half works loses messages quietly. One message that meets a
bug is a matter of that message (gateway/unforeseen.py).
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from gateway.errors import GatewayError, IntegrityError
from gateway.exchange import taken_in
from gateway.measures import Counted, Job
from gateway.model.base import DAY, HOUR, Instant
from gateway.model.path import Channel
from gateway.ports import Metrics
from gateway.usecases import Gateway

DELIVER_EVERY_S: Final = 0.2
PUBLISH_EVERY_S: Final = 1.0
REPAIR_EVERY_S: Final = 30.0
SWEEP_EVERY_S: Final = 600.0
TALLY_EVERY_S: Final = 60.0
EXCHANGE_EVERY_S: Final = 5.0
HAND_OVER_EVERY_S: Final = 0.5
CARRY_EVERY_S: Final = 60.0
LINGER_EVERY_S: Final = 3600.0
PLACE_EVERY_S: Final = 2.0
NOTICES_EVERY_S: Final = 30.0
log = structlog.get_logger()


async def run(
    gateway: Gateway, sweep_keys: Callable[[Instant], Awaitable[int]], *, exchange_every_s: float = EXCHANGE_EVERY_S
) -> None:
    """Everything, until cancelled. Cancelling waits for the delivery at hand; what is left lies in the store.

    `exchange_every_s` is how often each neighbour is asked what came; it may ask for more time itself.
    """
    metrics = gateway.ports.metrics
    async with asyncio.TaskGroup() as group:
        group.create_task(_delivering(gateway))
        group.create_task(_repeated(metrics, Job.PUBLISH, PUBLISH_EVERY_S, lambda: keep_published(gateway)))
        group.create_task(_repeated(metrics, Job.REPAIR, REPAIR_EVERY_S, lambda: repair(gateway)))
        group.create_task(_repeated(metrics, Job.TALLY, TALLY_EVERY_S, gateway.sign_in.tell_refusals))
        group.create_task(_repeated(metrics, Job.CARRY, CARRY_EVERY_S, lambda: by_hand(gateway)))
        group.create_task(_repeated(metrics, Job.PLACE, PLACE_EVERY_S, gateway.placing.run_once))
        if gateway.noticing.connected is not None:
            group.create_task(_repeated(metrics, Job.NOTICES, NOTICES_EVERY_S, lambda: notify(gateway)))
        for channel in gateway.channels.neighbours:
            group.create_task(
                _repeated(metrics, Job.EXCHANGE, exchange_every_s, functools.partial(_taking_in, gateway, channel))
            )
            group.create_task(_handing_over(gateway, channel))
            group.create_task(
                _repeated(metrics, Job.EXCHANGE, LINGER_EVERY_S, functools.partial(gateway.lingering.run_once, channel))
            )
        group.create_task(
            _repeated(metrics, Job.SWEEP, SWEEP_EVERY_S, lambda: sweep(gateway, sweep_keys), wait_first=True)
        )


async def by_hand(gateway: Gateway) -> None:
    """What people carry: lay out what they are to say, where no neighbour is connected too; end what is too late,
    and close what is over."""
    await gateway.announcements.run_once()
    await gateway.carrying.run_once()
    await gateway.closing.run_once()


async def _delivering(gateway: Gateway) -> None:
    """Deliver as long as something is due; then rest until the bell of the next acceptance, or a turn of the clock."""
    while True:
        if not await _guarded(gateway.ports.metrics, Job.DELIVER, gateway.outbox.run_once):
            await gateway.bell.wait(DELIVER_EVERY_S)


async def _taking_in(gateway: Gateway, channel: Channel) -> None:
    await taken_in(gateway, channel)
    await gateway.announcements.run_once()


async def _handing_over(gateway: Gateway, channel: Channel) -> None:
    """Hand over and ask as long as something is due; beside taking in, so that neither waits for the other."""
    while True:
        if not await _guarded(gateway.ports.metrics, Job.EXCHANGE, lambda: gateway.channels.run_once(channel)):
            await asyncio.sleep(HAND_OVER_EVERY_S)


async def _repeated(
    metrics: Metrics, job: Job, every_s: float, work: Callable[[], Awaitable[object]], *, wait_first: bool = False
) -> None:
    while True:
        if wait_first:
            await asyncio.sleep(every_s)
        await _guarded(metrics, job, work)
        if not wait_first:
            await asyncio.sleep(every_s)


async def _guarded(metrics: Metrics, job: Job, work: Callable[[], Awaitable[object]]) -> object:
    """What the work gave; None after trouble that is expected, which is logged and tried again."""
    try:
        with structlog.contextvars.bound_contextvars(job=str(job)):
            return await work()
    except IntegrityError as alarm:
        metrics.count(Counted.TROUBLES, job)
        log.error("integrity", job=str(job), code=alarm.code, what=str(alarm))
    except GatewayError as trouble:
        metrics.count(Counted.TROUBLES, job)
        log.warning("trouble", job=str(job), code=trouble.code)
    return None


async def publish(gateway: Gateway) -> None:
    """See that the year's log is open, and publish what is new."""
    await gateway.integrator.open_year()
    await gateway.integrator.flush()


async def keep_published(gateway: Gateway) -> None:
    """Publish, and see that the newest checkpoint never grows old by itself (`gateway.freshness`)."""
    await gateway.integrator.open_year()
    await gateway.integrator.heartbeat()
    await gateway.integrator.flush()


async def repair(gateway: Gateway) -> int:
    """Write the receipts that a crash kept from being written."""
    since = Instant(gateway.ports.clock.now() - DAY)
    deliveries = await gateway.ports.store.opened_without_receipt(since=since, limit=200)
    return await gateway.opening.missing_receipts(deliveries)


async def notify(gateway: Gateway) -> int:
    """Tell members of what is new in their inboxes, and of inboxes that nobody fetches."""
    return await gateway.noticing.run_once(await gateway.channel_watch.unfetched())


async def sweep(gateway: Gateway, sweep_keys: Callable[[Instant], Awaitable[int]]) -> None:
    """Remove what nothing needs: blobs that no row names, sent drafts, what codes once opened, idle shred keys."""
    hour_ago = Instant(gateway.ports.clock.now() - HOUR)
    names = await gateway.ports.blobs.names(before=hour_ago)
    used = await gateway.ports.store.blobs_in_use(names)
    for name in names:
        if name not in used:
            await gateway.ports.blobs.delete(name)
    await gateway.drafts.sweep()
    await gateway.windows.sweep()
    await gateway.grants.sweep()
    await sweep_keys(hour_ago)
