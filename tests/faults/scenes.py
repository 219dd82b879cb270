"""The acts of the path as scenes: what stands before, the act a fault strikes, and what must hold after a restart.

Each scene runs in a process of its own on files. `after` speaks of the invariant in three numbers: acknowledged acts that
are lost, acts that stand twice, and whatever a reader could meet that is not whole; then it does the same request again,
which must work.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.blobs.folder import FolderBlobs, FolderTiles
from adapters.sql.sqlite import SqliteStore
from gateway import workers
from gateway.errors import GatewayError
from gateway.factors import code_for
from gateway.forms.demo import demo_referral
from gateway.model.base import HOUR, MINUTE, AttachmentId, Instant
from gateway.model.classes import Category
from gateway.model.keys import EnvelopeWrap
from gateway.model.path import Attachment, EnvelopeAttachment, ReceiptKind
from gateway.model.queue import Task
from gateway.sending import Submission
from gateway.states import DeliveryState
from keys.keyring import Keyring
from tests.clock import ManualClock, instant
from tests.county import ALVESTA, DEMO_DIRECTORY, ROOT, SEAT_E, County, password_of, plugged
from tests.faults.process import Stage

START = instant(2026, 3, 2, 8)
PIECES = 3
PIECE = 50_000


@dataclass(slots=True)
class Found:
    """What stands after the fault."""

    lost: int = 0
    doubled: int = 0
    half: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Scene:
    """An act and its promises; `begin` says which prepared folder it starts from."""

    begin: str
    before: Callable[[County, dict[str, Any]], Awaitable[Any]]
    act: Callable[[County, dict[str, Any], Any], Awaitable[Any]]
    after: Callable[[County, dict[str, Any], Any, Found], Awaitable[None]]


@asynccontextmanager
async def opened(
    folder: Path, at: int, *, create: bool = False, reserve: int = 0
) -> AsyncIterator[tuple[County, dict[str, Any]]]:
    """The gateway over the files of `folder`, as a process that starts now, and the ids that earlier ones left."""
    clock = ManualClock(Instant(at))
    store = await SqliteStore.open(folder / "sambud.db", clock, create=create, reserve_percent=reserve)
    try:
        keyring = Keyring(ROOT, store, clock, folder / "keys.db")
        try:
            await keyring.start(create=create)
            blobs = FolderBlobs(folder / "blobs", reserve_percent=reserve)
            gateway = plugged(keyring, store, clock, blobs, FolderTiles(folder / "log"))
            known = json.loads((folder / "known.json").read_text()) if not create else {}
            yield County(gateway, keyring, clock, store), known
        finally:
            await keyring.close()
    finally:
        await store.close()


# --- bodies of child processes ---------------------------------------------------------------------------------------


async def prepare(stage: Stage, folder: Path) -> None:
    """A county with a consented case, a draft, and its users signed in; then on order sent, then delivered."""
    async with opened(folder, START, create=True) as (county, known):
        gateway = county.gateway
        await gateway.register.begin()
        await gateway.integrator.open_year()
        applied = await gateway.register.apply(DEMO_DIRECTORY, passwords=password_of, by="test")
        county.seeds = {one.login: one.seed for one in applied.credentials}
        worker = await county.sign_in("al-sos")
        case, consent = await county.consented_case(worker)
        other, _ = await county.consented_case(worker)
        draft = await gateway.drafts.create(
            worker, ALVESTA, other.id, "placement_referral", 1, demo_referral(county.today)
        )
        known |= {"case": case.id, "consent": consent.id, "other": other.id, "draft": draft.id, "tokens": {}}
        for login in ("al-sos", "ek-chef"):
            known["tokens"][login] = await _token(county, login)

        async def step(order: str) -> int:
            if order == "sent":
                await _send(county, known, await _signed(county, known, "al-sos"))
            elif order == "delivered":
                await county.deliver()
            known["leaves"] = (await _published(county))[0]
            (folder / "known.json").write_text(json.dumps(known))
            return int(county.clock.now())

        await stage.serve(step)


async def play(stage: Stage, folder: Path, name: str, at: int) -> None:
    """A scene's act, once for each order."""
    scene = SCENES[name]
    async with opened(folder, at) as (county, known):
        ready = await scene.before(county, known)
        await stage.serve(lambda _: scene.act(county, known, ready))


async def settle(stage: Stage, folder: Path, name: str, at: int, acknowledged: Any) -> None:
    """The restart: repair and publish as the workers do, then see what stands, and do the request again."""
    async with opened(folder, at) as (county, known):

        async def look(_: str) -> Found:
            found = Found()
            await workers.repair(county.gateway)
            await _logs(county, found, published=False)
            await workers.publish(county.gateway)
            await SCENES[name].after(county, known, acknowledged, found)
            await _whole(county, known, found)
            await workers.publish(county.gateway)
            await _logs(county, found, published=True)
            return found

        await stage.serve(look)


# --- what must always hold -------------------------------------------------------------------------------------------


async def _logs(county: County, found: Found, *, published: bool) -> None:
    """No leaf, signature or tile differs; once published, nothing is missing either."""
    for report in await county.gateway.review.verify():
        found.half += report.faults
        found.half += report.missing if published else []


async def _whole(county: County, known: dict[str, Any], found: Found) -> None:
    """Every message of the cases opens for a member of each inbox that got it, and was logged once."""
    [name] = await county.store.logs()
    for case in (known["case"], known["other"]):
        for message in await county.store.messages_of(case, limit=50):
            envelopes = await county.store.envelopes_of(message.id)
            deliveries = await county.store.deliveries_of(message.id)
            if len(envelopes) != len(deliveries) + 1:
                found.half.append(f"{message.id}: {len(envelopes)} envelopes, {len(deliveries)} deliveries")
            for envelope in envelopes:
                await county.keyring.opener.verify(envelope, message)
                wrap = await county.store.get(EnvelopeWrap, envelope.id)
                members = await county.store.members_of(envelope.inbox)
                if wrap is None:
                    found.half.append(f"{envelope.id} has no wrap")
                    continue
                await county.keyring.opener.open(envelope, wrap, members[0].user)
                for file in await county.store.attachments_under(envelope.id):
                    await _blob(county, file, found)
            if len(await _logged(county, name, "sent", message.id)) != 1:
                found.half.append(f"{message.id} is not logged as sent exactly once")


async def _blob(county: County, row: Attachment | EnvelopeAttachment, found: Found) -> None:
    try:
        size = sum([len(piece) async for piece in county.gateway.ports.blobs.read(row.blob)])
    except GatewayError:
        found.half.append(f"{row.blob} is named and not there")
        return
    if isinstance(row, Attachment) and size != row.size:
        found.half.append(f"{row.blob} is cut")


async def _logged(county: County, name: str, action: str, object_: str) -> list[Any]:
    return await county.store.sides_page(
        name, action=action, administration="", object=object_, before=await county.store.log_size(name), limit=10
    )


async def _token(county: County, login: str) -> str:
    county.clock.advance(MINUTE // 2)
    code = code_for(county.seeds[login], county.clock.now())
    return (await county.gateway.sign_in.sign_in(login, password_of(login), code)).token


async def _signed(county: County, known: dict[str, Any], login: str) -> Any:
    return await county.gateway.sessions.authenticate(known["tokens"][login])


# --- send ------------------------------------------------------------------------------------------------------------


async def _send(county: County, known: dict[str, Any], worker: Any) -> str:
    submission = Submission(
        case=known["case"],
        form_type="placement_referral",
        form_version=1,
        values=demo_referral(county.today),
        recipients=("remissgrupp",),
    )
    sent = await county.gateway.sending.send(worker, ALVESTA, submission, idempotency_key="the-one")
    return str(sent.message)


async def _before_send(county: County, known: dict[str, Any]) -> Any:
    """The pool of shred keys is empty, so the act makes a batch: both stores are written."""
    worker = await _signed(county, known, "al-sos")
    while county.keyring.shred._pool:
        await county.keyring.shred.take(len(county.keyring.shred._pool))
    return worker


async def _referrals(county: County, known: dict[str, Any]) -> list[str]:
    messages = await county.store.messages_of(known["case"], limit=50)
    return [str(m.id) for m in messages if m.form_type == "placement_referral"]


async def _after_send(county: County, known: dict[str, Any], acknowledged: Any, found: Found) -> None:
    standing = await _referrals(county, known)
    found.lost += acknowledged is not None and acknowledged not in standing
    again = await _send(county, known, await _signed(county, known, "al-sos"))
    if standing and again not in standing:
        found.doubled += 1
    found.doubled += len(await _referrals(county, known)) - 1


# --- deliver ---------------------------------------------------------------------------------------------------------


async def _nothing(county: County, known: dict[str, Any]) -> None:
    return None


async def _delivered(county: County, known: dict[str, Any]) -> list[str]:
    [message] = await _referrals(county, known)
    rows = await county.store.deliveries_of(message)  # type: ignore[arg-type]
    return sorted(str(d.envelope) for d in rows if d.state in (DeliveryState.DELIVERED, DeliveryState.OPENED))


async def _deliver(county: County, known: dict[str, Any], _: None) -> list[str]:
    """As the worker does; what a sender may see as delivered afterwards is the acknowledgement."""
    await county.deliver()
    return await _delivered(county, known)


async def _after_deliver(county: County, known: dict[str, Any], acknowledged: Any, found: Found) -> None:
    standing = await _delivered(county, known)
    found.lost += len(set(acknowledged or ()) - set(standing))
    county.clock.advance(2 * MINUTE)  # past the lease that a killed worker left
    await county.deliver()
    done = await _delivered(county, known)
    [message] = await _referrals(county, known)
    [name] = await county.store.logs()
    if len(done) != 2:
        found.half.append(f"{len(done)} of 2 delivered after the restart")
    receipts = await county.store.receipts_of(message)  # type: ignore[arg-type]
    for envelope in done:
        found.doubled += len(await _logged(county, name, "delivered", envelope)) - 1
        found.half += ["no receipt"] * (not [r for r in receipts if r.envelope == envelope])
        found.half += ["no task"] * (await county.store.get(Task, envelope) is None)
    for receipt in receipts:
        await county.gateway.ports.sealer.check_receipt(receipt)


# --- open ------------------------------------------------------------------------------------------------------------


async def _before_open(county: County, known: dict[str, Any]) -> Any:
    [message] = await _referrals(county, known)
    chief = await _signed(county, known, "ek-chef")
    return chief, await county.envelope(SEAT_E, message)  # type: ignore[arg-type]


async def _open(county: County, known: dict[str, Any], ready: Any) -> str:
    chief, envelope = ready
    opened = await county.gateway.opening.open(chief, envelope)
    if opened.opened.attachments is None:
        raise AssertionError("nothing was opened")
    return str(envelope)


async def _after_open(county: County, known: dict[str, Any], acknowledged: Any, found: Found) -> None:
    [message] = await _referrals(county, known)
    [name] = await county.store.logs()
    chief, envelope = await _before_open(county, known)

    async def state() -> DeliveryState:
        rows = await county.store.deliveries_of(message)  # type: ignore[arg-type]
        return next(d.state for d in rows if d.envelope == envelope)

    logged = await _logged(county, name, "opened", envelope)
    if acknowledged is not None:
        found.lost += not logged or await state() is not DeliveryState.OPENED
    if bool(logged) != (await state() is DeliveryState.OPENED):
        found.half.append("the log and the delivery differ on whether it was opened")
    await county.gateway.opening.open(chief, envelope)
    await workers.repair(county.gateway)
    receipts = await county.store.receipts_of(message)  # type: ignore[arg-type]
    opened = [r for r in receipts if r.envelope == envelope and r.kind is ReceiptKind.OPENED]
    found.half += ["no receipt of the opening"] * (not opened)
    found.doubled += max(0, len(opened) - 1)


# --- upload ----------------------------------------------------------------------------------------------------------


async def _pdf() -> AsyncIterator[bytes]:
    for number in range(PIECES):
        yield (b"%PDF-1.7\n" if not number else b"") + bytes([97 + number]) * PIECE
        await asyncio.sleep(0)


async def _before_upload(county: County, known: dict[str, Any]) -> Any:
    return await _signed(county, known, "al-sos")


async def _upload(county: County, known: dict[str, Any], worker: Any) -> str:
    row = await county.gateway.attachments.add(worker, known["draft"], "a.pdf", Category.SOCIAL, _pdf())
    return str(row.id)


async def _after_upload(county: County, known: dict[str, Any], acknowledged: Any, found: Found) -> None:
    worker = await _before_upload(county, known)
    standing = [str(row.id) for row in await county.store.attachments_of(known["draft"])]
    found.lost += acknowledged is not None and acknowledged not in standing
    found.doubled += max(0, len(standing) - 1)
    await _upload(county, known, worker)
    rows = await county.store.attachments_of(known["draft"])
    for row in rows:
        await _blob(county, row, found)
        _, plain = await county.gateway.attachments.read(worker, known["draft"], row.id)
        size = sum([len(piece) async for piece in plain])
        found.half += ["a file was cut"] * (size != PIECES * PIECE + 9)
    await swept(county, found, {row.blob for row in rows})


async def swept(county: County, found: Found, named: set[str]) -> None:
    """An hour later nothing lies in the blob folder but what rows name (real files carry the machine's time)."""
    before = county.clock.now()
    county.clock.set(Instant(time.time_ns() // 1000 + 2 * HOUR))
    await workers.sweep(county.gateway, lambda at: county.keyring.shred.sweep(older_than=Instant(0)))
    county.clock.set(before)
    folder = county.gateway.ports.blobs._folder  # type: ignore[attr-defined]
    there = {path.name for path in folder.rglob("*") if path.is_file()}
    if there != named:
        found.half.append(f"{len(there - named)} files that nothing names, {len(named - there)} named and gone")


# --- publish ---------------------------------------------------------------------------------------------------------


async def _published(county: County) -> tuple[int, int]:
    """Leaves in the log, and the size of the newest checkpoint."""
    [name] = await county.store.logs()
    last = await county.store.last_checkpoint(name)
    return await county.store.log_size(name), last.size if last else 0


async def _publish(county: County, known: dict[str, Any], _: None) -> tuple[int, int]:
    await workers.publish(county.gateway)
    return await _published(county)


async def _after_publish(county: County, known: dict[str, Any], acknowledged: Any, found: Found) -> None:
    size, signed = await _published(county)
    found.lost += (size, signed) < tuple(acknowledged or (known["leaves"], 0)) or size < known["leaves"]
    found.half += ["not all is published"] * (size != signed)


SCENES: dict[str, Scene] = {
    "send": Scene("prepared", _before_send, lambda c, k, r: _send(c, k, r), _after_send),
    "deliver": Scene("sent", _nothing, _deliver, _after_deliver),
    "open": Scene("delivered", _before_open, _open, _after_open),
    "upload": Scene("prepared", _before_upload, _upload, _after_upload),
    "publish": Scene("delivered", _nothing, _publish, _after_publish),
}


# --- a day in one process, for the power to fail in ------------------------------------------------------------------

TOLD = "told"


async def day(stage: Stage, folder: Path, at: int) -> None:
    """Uploads, a message, its delivery, its opening, the log published in between; each acknowledgement is written down."""
    async with opened(folder, at) as (county, known):
        descriptor = os.open(folder / TOLD, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

        def tell(**what: Any) -> None:
            os.write(descriptor, (json.dumps(what) + "\n").encode())

        async def walk(_: str) -> None:
            worker = await _before_send(county, known)
            tell(upload=await _upload(county, known, worker))
            tell(sent=await _send(county, known, worker))
            tell(published=await _publish(county, known, None))
            tell(delivered=await _deliver(county, known, None))
            await _before_send(county, known)
            tell(opened=await _open(county, known, await _before_open(county, known)))
            tell(upload=await _upload(county, known, worker))
            tell(published=await _publish(county, known, None))

        await stage.serve(walk)
        os.close(descriptor)


async def settle_day(stage: Stage, folder: Path, at: int, told: list[str]) -> None:
    """After the power came back: all that had been told is there, and whatever is there is whole."""
    async with opened(folder, at) as (county, known):

        async def look(_: str) -> Found:
            found = Found()
            await _logs(county, found, published=False)
            for line in told:
                [(kind, what)] = json.loads(line).items()
                found.lost += not await _stands(county, known, kind, what)
            await workers.repair(county.gateway)
            await workers.publish(county.gateway)
            found.doubled += max(0, len(await _referrals(county, known)) - 1)
            for row in await county.store.attachments_of(known["draft"]):
                await _blob(county, row, found)
            await _whole(county, known, found)
            county.clock.advance(2 * MINUTE)
            await county.deliver()
            await _send(county, known, await _signed(county, known, "al-sos"))
            await workers.publish(county.gateway)
            await _logs(county, found, published=True)
            return found

        await stage.serve(look)


async def _stands(county: County, known: dict[str, Any], kind: str, what: Any) -> bool:
    [name] = await county.store.logs()
    if kind == "upload":
        return what in [str(row.id) for row in await county.store.attachments_of(known["draft"])]
    if kind == "sent":
        return what in await _referrals(county, known)
    if kind == "published":
        return await _published(county) >= tuple(what)
    if not await _referrals(county, known):
        return False
    if kind == "delivered":
        return set(what) <= set(await _delivered(county, known))
    return bool(await _logged(county, name, "opened", what))


# --- one act after the other, as the test says -----------------------------------------------------------------------


async def hands(stage: Stage, folder: Path, at: int, reserve: int = 0) -> None:
    """A process whose acts the test orders by name, on a folder where the message is delivered."""
    async with opened(folder, at, reserve=reserve) as (county, known):
        worker, chief = await _signed(county, known, "al-sos"), await _before_open(county, known)

        async def act(order: str) -> Any:
            word, _, more = order.partition(" ")
            if word == "upload":
                return await _upload(county, known, worker)
            if word == "file":  # and taken out again: a draft holds twenty
                row = AttachmentId(await _upload(county, known, worker))
                return await county.gateway.attachments.remove(worker, known["draft"], row)
            if word == "draft":
                values = demo_referral(county.today)
                row = await county.gateway.drafts.create(
                    worker, ALVESTA, known["other"], "placement_referral", 1, values
                )
                return str(row.id)
            if word == "open":
                return await _open(county, known, chief)
            if word == "read":
                return len(await county.gateway.review.verify(sides=False)) and await _referrals(county, known)
            if word == "refuse":  # something that must reach the log even when nothing else is taken
                return await county.gateway.consents.withdraw(worker, ALVESTA, known["consent"])
            if word == "publish":
                return await _publish(county, known, None)
            if word == "limit":
                kind = getattr(resource, more.split()[0])
                hard = resource.getrlimit(kind)[1]
                resource.setrlimit(kind, (hard if more.split()[1] == "back" else int(more.split()[1]), hard))
                return None
            if word == "use":
                return {"files": len(os.listdir("/proc/self/fd")), "memory": _resident(), "space": _space()}
            raise AssertionError(f"no such order: {order}")

        await stage.serve(act)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def _space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * 4096


async def sweep(stage: Stage, folder: Path, at: int) -> None:
    """What the worker does every ten minutes."""
    async with opened(folder, at) as (county, _known):

        async def work(_: str) -> None:
            await workers.sweep(county.gateway, lambda at: county.keyring.shred.sweep(older_than=at))

        await stage.serve(work)
