"""One turn with a neighbour: take in what waits there, hand over what is due, tell what must be told.

Why this exists: the order matters for nobody but the tired: what came in may answer what is about to be asked for
again, so it comes first. The whole turn serves the demo and the tests; the worker takes in and hands over side by side,
so that a hundred arrivals do not keep what a person just sent.
"""

from __future__ import annotations

from gateway.model.path import Channel
from gateway.usecases import Gateway


async def turn(gateway: Gateway, channel: Channel) -> int:
    """Everything that can move with the neighbour of `channel` now; returns how much was looked at.

    Raises:
        StoreUnavailableError, StoreFullError: nothing more was taken in; what waits at the neighbour comes again.
    """
    looked_at = await taken_in(gateway, channel)
    looked_at += await gateway.channels.run_once(channel)
    return looked_at + await gateway.announcements.run_once()


async def taken_in(gateway: Gateway, channel: Channel) -> int:
    """Take in what waits at the neighbour; returns how much.

    Raises:
        StoreUnavailableError, StoreFullError: nothing more was taken in; what waits at the neighbour comes again.
    """
    return await gateway.arriving.taken_in(gateway.channels.neighbours[channel])
