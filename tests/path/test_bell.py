"""Deliver: a message lies in the queue no longer than the worker needs; the clock's turn is only the net below."""

from __future__ import annotations

import asyncio

from gateway.bell import Bell

AT_MOST_S = 30.0  # no test waits for it: a bell that is not heard is a test that hangs until its time limit


async def test_who_waits_hears_the_bell() -> None:
    bell = Bell()
    waiting = asyncio.create_task(bell.wait(AT_MOST_S))
    await asyncio.sleep(0)
    bell.ring()
    async with asyncio.timeout(5):
        await waiting


async def test_a_ring_while_nobody_waits_is_heard_once_by_the_next() -> None:
    """What is queued while a delivery goes on does not lie until the clock's next turn."""
    bell = Bell()
    bell.ring()
    bell.ring()
    async with asyncio.timeout(5):
        await bell.wait(AT_MOST_S)
    again = asyncio.create_task(bell.wait(0.01))
    await asyncio.sleep(0)
    assert not again.done()
    await again  # the clock's turn
