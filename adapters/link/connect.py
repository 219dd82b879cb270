"""Connect: Link as the settings say it, or a simulated one, with its connections closed when it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp

from adapters.link.client import LinkAccess, LinkClient
from adapters.link.neighbour import LinkNeighbour
from adapters.link.simulator import Inboxes, Simulator
from adapters.link.simulator_http import serving
from gateway.errors import SetupError
from gateway.ports import Clock


@asynccontextmanager
async def connected(
    *, url: str, user: str, secret: str, inboxes: Sequence[str]
) -> AsyncIterator[tuple[LinkNeighbour, LinkClient]]:
    """The system at `url`, whose `inboxes` are looked into; and what asks it one thing at a time."""
    async with aiohttp.ClientSession() as session:
        client = LinkClient(LinkAccess(base=url.rstrip("/"), user=user, secret=secret), session)
        yield LinkNeighbour(client, inboxes), client


@asynccontextmanager
async def offered(inboxes: str, users: Sequence[str], port: int, clock: Clock) -> AsyncIterator[Sequence[str]]:
    """A simulated Link while the context lasts; gives lines that say how it is reached.

    Args:
        users: `name=administration/unit`, each let in at once here (there: the next day).

    Raises:
        SetupError: the port is taken, or a user is not given so.
    """
    simulator = Simulator(clock, Inboxes(inboxes))
    for one in users:
        name, _, place = one.partition("=")
        administration, _, unit = place.partition("/")
        if not (name and administration and unit):
            raise SetupError(
                "a user is not given as NAME=ADMINISTRATION/UNIT",
                swedish=f"Användaren {one[:80]} går inte att förstå.",
                next_step="Skriv till exempel --user vuxen=vaxjo.nav/vaxjo.vuxen.",
            )
        simulator.add_user(name, administration, unit)
        simulator.users[name].from_ = clock.now()
    try:
        async with serving(simulator, port=port) as address:
            yield [
                f"Låtsad Cosmic Link på {address} (bara den här datorn). Avsluta med Ctrl-C.",
                f"Inkorgar: {simulator.inboxes}",
                "",
                f"SAMBUD_LINK_URL={address}",
                *(f"SAMBUD_LINK_USER={name}" for name in simulator.users),
                "SAMBUD_LINK_STATUS=true",
            ]
    except OSError as trouble:
        raise SetupError(
            f"the port {port} cannot be used",
            swedish=f"Porten {port} går inte att använda.",
            next_step="Ange en annan med --port, eller 0 för en ledig.",
        ) from trouble
