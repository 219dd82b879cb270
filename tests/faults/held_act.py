"""One process of the kill test of what is held: an arrival, a registrator's choice, or the worker that carries it out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gateway import workers
from gateway.model.keys import EnvelopeWrap
from gateway.model.path import Arrival, Envelope, Held
from gateway.neighbours import ArrivedFile
from gateway.states import HeldState
from tests.county import County
from tests.faults.act import acknowledge, begun, on_disk
from tests.faults.process import Stage
from tests.holding import INTAKE, MARKER, REGISTRATOR, collecting, to_the_municipality
from tests.neighbours import WIRE

PDF = b"%PDF-1.7\n" + b"ett exempel " * 400


async def process(stage: Stage, folder: Path, act: str, clock_at: int) -> None:
    """The body of the child: the act is done, with opening and closing, when the order comes."""

    async def done(_: str) -> None:
        async with on_disk(folder, clock_at, create=act == "prepare") as (county, _known):
            await ACTS[act](county, folder)

    await stage.serve(done)


async def prepare(county: County, folder: Path) -> None:
    await begun(county, collecting("vaxjo.nav"))


async def arrive(county: County, folder: Path) -> None:
    """As a neighbour brings it: again and again until it is acknowledged."""
    file = ArrivedFile(name="underlag.pdf", media_type="application/pdf", octets=PDF)
    assert (await county.gateway.intake.take(to_the_municipality(files=(file,)))).taken
    acknowledge(folder, "taken")


async def order(county: County, folder: Path) -> None:
    registrator = await county.sign_in("vx-reg")
    row = await _held(county)
    if row.state is HeldState.WAITING:
        await county.gateway.triage.order(registrator, row.envelope, INTAKE)
    acknowledge(folder, "ordered")


async def place(county: County, folder: Path) -> None:
    while await county.gateway.placing.run_once():
        pass
    acknowledge(folder, "placed")


async def settle(county: County, folder: Path) -> None:
    """What stands, read as a person of the chosen inbox reads it."""
    await workers.publish(county.gateway)
    reports = await county.gateway.review.verify()
    told: dict[str, Any] = {"faults": [fault for report in reports for fault in [*report.faults, *report.missing]]}
    arrival = await county.store.get(Arrival, WIRE, "arrival-1")
    rows = [row for state in HeldState for row in await county.store.held_at(REGISTRATOR, state, limit=50)]
    told["arrived"] = arrival is not None
    told["held"] = [str(row.state) for row in rows]
    told["copies"] = [
        await county.store.get(kind, row.envelope) is not None for row in rows for kind in (Envelope, EnvelopeWrap)
    ]
    reader = await county.sign_in("vx-bf")
    told["read"] = []
    for line in await county.gateway.inboxes.page(reader, INTAKE):
        opened = await county.gateway.opening.open(reader, line.item.envelope)
        [file] = opened.opened.attachments
        _, pieces = await county.gateway.opening.attachment(reader, line.item.envelope, file.id)
        whole = b"".join([piece async for piece in pieces]) == PDF
        told["read"].append(whole and MARKER in repr(opened.opened.body))
    (folder / "settled.json").write_text(json.dumps(told))


async def _held(county: County) -> Held:
    [row] = [row for state in HeldState for row in await county.store.held_at(REGISTRATOR, state, limit=50)]
    return row


ACTS = {"prepare": prepare, "arrive": arrive, "order": order, "place": place, "settle": settle}
