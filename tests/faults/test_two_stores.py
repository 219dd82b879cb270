"""The message store and the key store are two files: whatever becomes of one of them, no message is without its key, and
what was shredded stays shredded."""

from __future__ import annotations

import itertools
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from adapters.blobs.folder import FolderBlobs, FolderTiles
from adapters.sql.sqlite import SqliteStore
from gateway import workers
from gateway.errors import DecisionStaleError, EnvelopeError, GatewayError
from gateway.model.base import HOUR, MINUTE, Instant
from gateway.model.keys import EnvelopeWrap, ShredBatch, ShredBatchState
from gateway.ports import Committed, Work
from tests.clock import ManualClock
from tests.county import a_county
from tests.faults import scenes, strace
from tests.faults.images import Image
from tests.faults.process import child
from tests.faults.tally import tally

SEED = 20260304
KILLS = 6


async def unopenable(folder: Path, at: int) -> tuple[int, list[str]]:
    """How many envelopes there are, and those that do not open for want of a key."""
    async with scenes.opened(folder, at) as (county, known):
        missing, count = [], 0
        for case in (known["case"], known["other"]):
            for message in await county.store.messages_of(case, limit=50):
                for envelope in await county.store.envelopes_of(message.id):
                    wrap = await county.store.get(EnvelopeWrap, envelope.id)
                    assert wrap is not None
                    count += 1
                    members = await county.store.members_of(envelope.inbox)
                    try:
                        await county.keyring.opener.open(envelope, wrap, members[0].user)
                    except EnvelopeError:
                        missing.append(str(envelope.id))
        return count, missing


def copied(source: Path, target: Path, names: tuple[str, ...]) -> None:
    for name in names:
        for path in source.glob(f"{name}*"):
            if not path.name.endswith(("-shm", ".lock")):
                shutil.copy(path, target / path.name)


@pytest.mark.slow
async def test_any_older_message_store_opens_with_a_newer_key_store_and_shredded_stays_shredded(
    images: dict[str, Image], tmp_path: Path
) -> None:
    """Security catalogue D16: three backups of each store, in every order; the legal ones leave no message without key."""
    names = ("prepared", "sent", "delivered")
    cases, lost = 0, 0
    for old, new in itertools.product(range(3), repeat=2):
        folder = tmp_path / f"{old}-{new}"
        folder.mkdir()
        shutil.copytree(images[names[old]].folder / "log", folder / "log")
        copied(images[names[old]].folder, folder, ("sambud.db", "known.json"))
        copied(images[names[new]].folder, folder, ("keys.db",))
        count, missing = await unopenable(folder, images["delivered"].at + MINUTE)
        assert count == (3 if old else 0)
        cases += 1
        if new >= old:  # message store first, key store after: security-decisions §4(c)
            lost += len(missing)
    # Gallring: the key goes from the newest key store; no backup of the message store brings the message back.
    shredded = tmp_path / "shredded"
    shutil.copytree(images["delivered"].folder, shredded)
    async with scenes.opened(shredded, images["delivered"].at + MINUTE) as (county, known):
        [message] = await scenes._referrals(county, known)
        envelope = (await county.store.envelopes_of(message))[0]  # type: ignore[arg-type]
        wrap = await county.store.get(EnvelopeWrap, envelope.id)
        assert wrap is not None
        await county.keyring.shred.destroy([wrap.shred_key])
    for old in ("sent", "delivered"):
        folder = tmp_path / f"restored-{old}"
        folder.mkdir()
        shutil.copytree(images[old].folder / "log", folder / "log")
        copied(images[old].folder, folder, ("sambud.db", "known.json"))
        copied(shredded, folder, ("keys.db",))
        _, missing = await unopenable(folder, images["delivered"].at + 2 * MINUTE)
        cases += 1
        lost += missing != [str(envelope.id)]
    tally("D16", cases=cases, acknowledged_lost=lost, note="shredded stays shredded in each restore")
    assert lost == 0


@pytest.mark.slow
async def test_a_kill_while_keys_are_made_or_swept_leaves_no_message_without_its_key(
    images: dict[str, Image], tmp_path: Path
) -> None:
    """Security catalogue D16: the sweeper, killed at any call, started again; every message still opens."""
    strace.needed()
    image = images["delivered"]
    at = image.at + 3 * HOUR
    folder = image.copied(tmp_path / "look")
    log = tmp_path / "calls"
    with child(scenes.sweep, folder, at) as process:
        with strace.attached(process, log, "-y", "-e", f"trace={strace.CALLS}"):
            assert process.go().kind == "done"
        places = strace.places(log, folder, process.threads)
        process.end()
    chosen = random.Random(SEED).sample(places, min(KILLS, len(places)))
    without = 0
    for number, place in enumerate(chosen):
        folder = image.copied(tmp_path / f"{number}")
        kill = strace.injecting(place, "signal=KILL")
        with (
            child(scenes.sweep, folder, at) as process,
            strace.attached(process, log, *kill, thread=place.thread),
        ):
            assert process.go().kind == "died"
        with child(scenes.sweep, folder, at + MINUTE) as process:
            assert process.go().kind == "done"
            process.end()
        without += len((await unopenable(folder, at + 2 * MINUTE))[1])
    tally("D16", cases=len(chosen), acknowledged_lost=without)
    assert (without, len(chosen)) == (0, min(KILLS, len(places)))


# --- the sweeper against a paused accept -----------------------------------------------------------------------------


class Pausing(SqliteStore):
    """A store that lets a test come between a decision and its commit."""

    meanwhile: Any = None

    async def commit(self, work: Work) -> Committed:
        pause, self.meanwhile = self.meanwhile, None
        if pause is not None and not await pause(work):
            self.meanwhile = pause
        return await super().commit(work)


async def paused_county(folder: Path, clock: ManualClock) -> Pausing:
    store = await Pausing.open(folder / "sambud.db", clock, create=True)
    assert isinstance(store, Pausing)
    return store


@pytest.mark.slow
@pytest.mark.parametrize("left", [0, 3, 200])
@pytest.mark.parametrize("hours", [0.5, 2, 30])
async def test_a_sweep_while_an_accept_is_paused_never_takes_the_key_of_what_is_then_accepted(
    tmp_path: Path, left: int, hours: float
) -> None:
    """Security catalogue D17: the batch is closed first, and the accept that holds its keys fails, or its keys stay."""
    clock = ManualClock()
    store = await paused_county(tmp_path, clock)
    try:
        async with a_county(
            store,
            clock=clock,
            keys_db=tmp_path / "keys.db",
            blobs=FolderBlobs(tmp_path / "blobs"),
            tiles=FolderTiles(tmp_path / "log"),
        ) as county:
            worker = await county.sign_in("al-sos")
            case, _ = await county.consented_case(worker)
            shred = county.keyring.shred
            await shred.take(max(0, len(shred._pool) - left))
            swept = 0

            async def meanwhile(work: Work) -> bool:
                nonlocal swept
                if not any(type(change.row).__name__ == "Message" for change in work.changes if hasattr(change, "row")):
                    return False
                clock.advance(int(hours * HOUR))
                swept = await shred.sweep(older_than=Instant(clock.now() - HOUR))
                return True

            store.meanwhile = meanwhile
            unexpected = False
            try:
                sent = await county.send_referral(worker, case.id)
            except DecisionStaleError:
                accepted = None
            except GatewayError as other:  # the session or the consent is over by now: refused is refused
                accepted = None
                unexpected = other.status not in (401, 409)
            else:
                accepted = sent.message
            without = 0
            for message in await store.messages_of(case.id, limit=50):
                for envelope in await store.envelopes_of(message.id):
                    wrap = await store.get(EnvelopeWrap, envelope.id)
                    members = await store.members_of(envelope.inbox)
                    assert wrap is not None
                    try:
                        await county.keyring.opener.open(envelope, wrap, members[0].user)
                    except EnvelopeError:
                        without += 1
            print(f"{left} keys left, {hours} h: swept {swept}, accepted {accepted is not None}")
            tally("D17", cases=1, acknowledged_lost=without)
            assert (without, unexpected) == (0, False)
            batches = await store.open_batches()
            assert all(isinstance(b, ShredBatch) and b.state is ShredBatchState.OPEN for b in batches)
    finally:
        await store.close()


@pytest.mark.slow
@pytest.mark.parametrize("minutes", [1, 29, 31, 61, 600])
async def test_a_file_whose_row_comes_too_late_is_refused_rather_than_named_without_its_blob(
    tmp_path: Path, minutes: int
) -> None:
    """Security catalogue D17: the sweeper takes a blob that no row named for an hour; a row that comes after must not
    name it."""
    clock = ManualClock(Instant(time.time_ns() // 1000))
    store = await paused_county(tmp_path, clock)
    try:
        async with a_county(
            store,
            clock=clock,
            keys_db=tmp_path / "keys.db",
            blobs=FolderBlobs(tmp_path / "blobs"),
            tiles=FolderTiles(tmp_path / "log"),
        ) as county:
            worker = await county.sign_in("al-sos")
            case, _ = await county.consented_case(worker)
            values = scenes.demo_referral(county.today)
            draft = await county.gateway.drafts.create(worker, scenes.ALVESTA, case.id, "placement_referral", 1, values)

            async def meanwhile(work: Work) -> bool:
                if not any(type(c.row).__name__ == "Attachment" for c in work.changes if hasattr(c, "row")):
                    return False
                clock.advance(minutes * MINUTE)
                await workers.sweep(county.gateway, lambda at: county.keyring.shred.sweep(older_than=at))
                return True

            store.meanwhile = meanwhile
            try:
                await county.gateway.attachments.add(worker, draft.id, "a.pdf", scenes.Category.SOCIAL, scenes._pdf())
                accepted = True
            except DecisionStaleError:
                accepted = False
            dangling = 0
            for row in await store.attachments_of(draft.id):
                found = scenes.Found()
                await scenes._blob(county, row, found)
                dangling += len(found.half)
            tally("D17", cases=1, half=dangling)
            assert dangling == 0
            assert accepted == (minutes < 30)
    finally:
        await store.close()
