"""A code is worth one use on every store, however many use it at once."""

from __future__ import annotations

import asyncio

from gateway.factors import code_for
from gateway.model.base import MINUTE
from gateway.model.identity import StepUpWindow
from gateway.ports import Store
from tests.clock import ManualClock
from tests.county import ALVESTA, a_county

ROUNDS = 10


async def test_of_a_hundred_parallel_uses_of_a_code_one_succeeds_on_every_store(
    store: Store, clock: ManualClock
) -> None:
    """Catalogue F02: the compare-and-set of the time step lets one commit win."""
    async with a_county(store, clock=clock) as county:
        signed = await county.sign_in("al-sos")
        inbox = (await county.gateway.directory.current()).inbox(ALVESTA)
        for _ in range(ROUNDS):
            clock.advance(MINUTE)
            signed = await county.gateway.sessions.still_active(signed)
            code = code_for(county.seeds["al-sos"], clock.now())
            results = await asyncio.gather(
                *(county.gateway.windows.open(signed, inbox, code) for _ in range(100)), return_exceptions=True
            )
            assert sum(isinstance(result, StepUpWindow) for result in results) == 1
    print(f"F02: {ROUNDS} x 100 parallel step-ups on {type(store).__name__}, {ROUNDS} accepted")
