"""Arriving: each arrival is taken in in a compartment of its own, so that one that cannot be does not stop the rest.

Why this exists: what comes from outside is written by others, and may meet a bug of ours each time it is read. It stays
at the neighbour and comes again; the third time it is refused for a fault of ours, an alarm is raised, and it lies
where its channel lays what a person has to look at (docs/channels.md §3.3, Q12).
"""

from __future__ import annotations

import hashlib

import structlog

from gateway.errors import GatewayError, StoreUnavailableError
from gateway.intake import Intake
from gateway.neighbours import Answer, Arrived, Neighbour
from gateway.unforeseen import Strikes

log = structlog.get_logger()


class Arriving:
    """Brings arrivals from neighbours to the intake."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._strikes = Strikes()

    async def taken_in(self, neighbour: Neighbour) -> int:
        """Take in what waits at a neighbour; returns how much was looked at.

        Raises:
            StoreUnavailableError, StoreFullError: nothing more was taken in; what waits comes again.
        """
        looked_at = 0
        async for arrived in neighbour.arrivals():
            looked_at += 1
            answer = await self._answer(arrived)
            if answer is not None:
                await self._acknowledged(neighbour, arrived, answer)
        return looked_at

    async def _answer(self, arrived: Arrived) -> Answer | None:
        """What the intake says; None when it could say nothing, and the arrival comes again."""
        try:
            return await self._intake.take(arrived)
        except StoreUnavailableError:
            raise
        except GatewayError as trouble:
            log.warning("an arrival waits at its neighbour", channel=str(arrived.channel), code=trouble.code)
            return None
        except Exception as bug:  # see gateway/unforeseen.py
            if not self._strikes.last(_name(arrived), bug):
                return None
        try:
            return await self._intake.set_aside(arrived)
        except StoreUnavailableError:
            raise
        except Exception as bug:  # it cannot even be set aside: it stays where it is
            self._strikes.last(_name(arrived), bug)
            return None

    async def _acknowledged(self, neighbour: Neighbour, arrived: Arrived, answer: Answer) -> None:
        try:
            await neighbour.acknowledge(arrived, answer)
        except StoreUnavailableError:
            raise
        except Exception as bug:  # the answer is durable: it comes again and is answered the same
            self._strikes.last(_name(arrived), bug)


def _name(arrived: Arrived) -> str:
    """An arrival in the log of the process: its id was written by others, and may say more than an id."""
    return f"{arrived.channel}:{hashlib.sha256(arrived.id.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
