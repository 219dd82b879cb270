"""One process of the kill test: opens the store on disk, does one act, writes what was acknowledged, ends.

Run by `test_kill.py` with a named step armed; the process then dies there by SIGKILL.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from adapters.blobs.folder import FolderBlobs, FolderTiles
from adapters.sql.sqlite import SqliteStore
from gateway import workers
from gateway.forms.demo import demo_answer, demo_referral
from gateway.model.base import MINUTE, MessageId
from gateway.model.path import Case, SeatAnswer
from gateway.sending import Submission
from gateway.states import DeliveryState
from keys.keyring import Keyring
from tests.clock import ManualClock
from tests.county import ALVESTA, DEMO_DIRECTORY, ROOT, SEAT_E, SEAT_N, County, password_of, plugged
from tests.faults.process import Stage


async def process(stage: Stage, folder: Path, act: str, clock_at: int) -> None:
    """The body of the child: the act is done, with opening and closing, when the order comes."""
    await stage.serve(lambda _: main(folder, act, clock_at))


async def main(folder: Path, act: str, clock_at: int) -> None:
    async with on_disk(folder, clock_at, create=act == "prepare") as (county, known):
        await ACTS[act](county, known, folder)


@asynccontextmanager
async def on_disk(
    folder: Path, clock_at: int, *, create: bool = False
) -> AsyncIterator[tuple[County, dict[str, object]]]:
    """A gateway over the files in a folder, and what the acts before it left to know."""
    clock = ManualClock(clock_at)  # type: ignore[arg-type]
    store = await SqliteStore.open(folder / "sambud.db", clock, create=create)
    keyring = Keyring(ROOT, store, clock, folder / "keys.db")
    await keyring.start(create=create)
    blobs, tiles = FolderBlobs(folder / "blobs"), FolderTiles(folder / "log")
    county = County(plugged(keyring, store, clock, blobs, tiles), keyring, clock, store)
    state = folder / "state.json"
    known = json.loads(state.read_text()) if state.exists() else {}
    county.seeds = {login: bytes.fromhex(seed) for login, seed in known.get("seeds", {}).items()}
    try:
        yield county, known
    finally:
        known["seeds"] = {login: seed.hex() for login, seed in county.seeds.items()}
        state.write_text(json.dumps(known))
        await keyring.close()
        await store.close()


def acknowledge(folder: Path, text: str) -> None:
    """What a caller was told: durable before anything else can happen."""
    descriptor = os.open(folder / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, f"{text}\n".encode())
    os.fsync(descriptor)
    os.close(descriptor)


async def begun(county: County, directory: str) -> None:
    """A new gateway with the people of a directory."""
    await county.gateway.register.begin()
    await county.gateway.integrator.open_year()
    applied = await county.gateway.register.apply(directory, passwords=password_of, by="test")
    county.seeds = {one.login: one.seed for one in applied.credentials}


async def prepare(county: County, known: dict[str, object], folder: Path) -> None:
    await begun(county, DEMO_DIRECTORY)
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    known["case"] = case.id


async def send(county: County, known: dict[str, object], folder: Path) -> None:
    worker = await county.sign_in("al-sos")
    submission = Submission(
        case=known["case"],  # type: ignore[arg-type]
        form_type="placement_referral",
        form_version=1,
        values=demo_referral(county.today),
        recipients=("remissgrupp",),
    )
    sent = await county.gateway.sending.send(worker, ALVESTA, submission, idempotency_key="the-one")
    acknowledge(folder, f"sent {sent.message}")


async def deliver(county: County, known: dict[str, object], folder: Path) -> None:
    county.clock.advance(2 * MINUTE)  # past any lease that a killed worker left
    await county.deliver()
    acknowledge(folder, "delivered")


async def _request(county: County, known: dict[str, object]) -> MessageId:
    messages = await county.store.messages_of(known["case"], limit=50)  # type: ignore[arg-type]
    return next(m.id for m in messages if m.form_type == "placement_referral")


async def read(county: County, known: dict[str, object], folder: Path) -> None:
    chief = await county.sign_in("ek-chef")
    opened = await county.open(chief, SEAT_E, await _request(county, known))
    acknowledge(folder, f"opened {opened.envelope.id}")


async def propose(county: County, known: dict[str, object], folder: Path) -> None:
    chief = await county.sign_in("ek-chef")
    request = await _request(county, known)
    done = await county.gateway.answers.propose(
        chief, SEAT_E, request, demo_answer(county.today), idempotency_key="proposal"
    )
    acknowledge(folder, f"proposed {done.message}")


async def confirm(county: County, known: dict[str, object], folder: Path) -> None:
    chief = await county.sign_in("no-chef")
    [answer] = await county.store.answers_of(known["case"])  # type: ignore[arg-type]
    done = await county.gateway.answers.confirm(chief, SEAT_N, answer.proposal, idempotency_key="confirmation")
    acknowledge(folder, f"answered {done.message}")


async def settle(county: County, known: dict[str, object], folder: Path) -> None:
    """After the restart: repair, publish, and tell what stands."""
    await workers.repair(county.gateway)
    await workers.publish(county.gateway)
    reports = await county.gateway.review.verify()
    messages = await county.store.messages_of(known["case"], limit=50)  # type: ignore[arg-type]
    deliveries = [d for m in messages for d in await county.store.deliveries_of(m.id)]
    receipts = [r for m in messages for r in await county.store.receipts_of(m.id)]
    for receipt in receipts:
        await county.gateway.ports.sealer.check_receipt(receipt)
    case = await county.store.get(Case, known["case"])  # type: ignore[arg-type]
    answers: list[SeatAnswer] = await county.store.answers_of(known["case"])  # type: ignore[arg-type]
    opened = [d.envelope for d in deliveries if d.state is DeliveryState.OPENED]
    told = {
        "messages": sorted(m.form_type for m in messages),
        "ids": [m.id for m in messages],
        "wholes": [
            len(await county.store.envelopes_of(m.id)) - len(await county.store.deliveries_of(m.id)) for m in messages
        ],
        "states": sorted(str(d.state) for d in deliveries),
        "opened_without_receipt": [e for e in opened if e not in {r.envelope for r in receipts if r.kind == "opened"}],
        "receipts": len(receipts),
        "receipt_names": len({(r.envelope, r.kind) for r in receipts}),
        "case": str(case.state) if case else "",
        "answers": [str(a.state) for a in answers],
        "faults": [fault for report in reports for fault in [*report.faults, *report.missing]],
    }
    (folder / "settled.json").write_text(json.dumps(told))


ACTS = {
    "prepare": prepare,
    "send": send,
    "deliver": deliver,
    "open": read,
    "propose": propose,
    "confirm": confirm,
    "settle": settle,
}
