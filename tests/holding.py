"""A gateway with one collecting address, and what comes to it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gateway.holding import Waits
from gateway.model.base import EnvelopeId, InboxId
from gateway.neighbours import Arrived
from gateway.ports import Store
from gateway.usecases import Gateway
from tests.clock import ManualClock
from tests.county import ALVESTA, County, a_county
from tests.neighbours import WIRE, address_of, an_arrival, seen_from

REGISTRATOR = InboxId("vaxjo.registrator")
INTAKE = InboxId("vaxjo.barnfamilj.mottagning")
CLOSED = InboxId("vaxjo.socialjour")
#: Stands in every text of an arrival, and must never stand anywhere a registrator can look.
MARKER = "Kanariefågeln Blåklint"


def collecting(*serves: str) -> str:
    """The county as Växjö's gateway has it, with a collecting address at Växjö's registrator."""
    listed = ", ".join(f'"{one}"' for one in serves)
    address = f'address = "{address_of(REGISTRATOR)}"'
    text = seen_from({"vaxjo.nav", "region.hsv"})
    assert address in text
    return text.replace(address, f"{address}\nserves = [{listed}]")


def to_the_municipality(**changes: Any) -> Arrived:
    """A letter to the collecting address from an inbox outside."""
    told = {"subject": f"{MARKER} ämne", "text": f"{MARKER} text", "reference": f"{MARKER} ref"}
    return an_arrival(ALVESTA, REGISTRATOR, **{**told, **changes})


@asynccontextmanager
async def a_collecting_county(
    *serves: str, store: Store | None = None, clock: ManualClock | None = None, **changes: Any
) -> AsyncIterator[County]:
    clock = clock or ManualClock()
    text = collecting(*(serves or ("vaxjo.nav", "region.hsv")))
    async with a_county(store, clock=clock, directory=text, **changes) as county:
        yield county


async def hold_one(gateway: Gateway) -> EnvelopeId:
    """One letter that waits at Växjö's registrator, in a gateway without neighbours."""
    directory, number = await gateway.directory.current(), str(uuid.uuid4())
    arrived = to_the_municipality(id=number, conversation=number)
    box = directory.inbox(REGISTRATOR)
    answer = await gateway.holding.hold(
        arrived, directory, directory.inbox(ALVESTA), box, Waits(box, None), number.encode()
    )
    assert answer.taken
    rows = await gateway.ports.store.held_in(WIRE, number, ALVESTA)
    return rows[0].envelope
