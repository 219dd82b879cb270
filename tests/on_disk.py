"""A county on a real SQLite file, walked some way, whose files a test may copy and open again as a new process would."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from adapters.blobs.folder import FolderBlobs, FolderTiles
from adapters.sql.sqlite import SqliteStore
from gateway.forms.demo import demo_referral
from gateway.model.base import Instant
from gateway.model.classes import Category
from gateway.sessions import Signed
from keys.keyring import Keyring
from tests.clock import ManualClock
from tests.county import ALVESTA, ROOT, SEAT_E, SEAT_N, UNIT_E, County, a_county, plugged


@dataclass
class Made:
    """A county on disk, and what its rows are called."""

    folder: Path
    now: Instant
    seeds: dict[str, bytes]
    signed: dict[str, Signed] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    @asynccontextmanager
    async def process(self, folder: Path) -> AsyncIterator[County]:
        """A gateway that starts now over the files in `folder`."""
        clock = ManualClock(self.now)
        store = await SqliteStore.open(folder / "sambud.db", clock)
        keyring = Keyring(ROOT, store, clock, folder / "keys.db")
        try:
            await keyring.start(create=False)
            gateway = plugged(keyring, store, clock, FolderBlobs(folder / "blobs"), FolderTiles(folder / "log"))
            yield County(gateway, keyring, clock, store, self.seeds)
        finally:
            await keyring.close()
            await store.close()


async def make(folder: Path) -> Made:
    """Referral, joint answer, stage 2 with a file, drafts with files in two cases, and a consent that ended."""
    clock = ManualClock()
    store = await SqliteStore.open(folder / "sambud.db", clock, create=True)
    try:
        return await _walked(folder, clock, store)
    finally:
        await store.close()


async def _walked(folder: Path, clock: ManualClock, store: SqliteStore) -> Made:
    blobs, tiles = FolderBlobs(folder / "blobs"), FolderTiles(folder / "log")

    async def pdf(letter: bytes) -> AsyncIterator[bytes]:
        yield b"%PDF-1.7\n" + letter * 40_000

    async with a_county(store, clock=clock, blobs=blobs, tiles=tiles, keys_db=folder / "keys.db") as county:
        gateway = county.gateway
        worker = await county.sign_in("al-sos")
        case, consent = await county.consented_case(worker)
        sent = await county.send_referral(worker, case.id)
        await county.deliver()
        ekeliden, novus = await county.sign_in("ek-chef"), await county.sign_in("no-chef")
        await county.open(ekeliden, SEAT_E, sent.message)
        proposal = await gateway.answers.propose(ekeliden, SEAT_E, sent.message, county.answer())
        await county.deliver()
        await gateway.answers.confirm(novus, SEAT_N, proposal.message)
        values = demo_referral(county.today)
        draft = await gateway.drafts.create(worker, ALVESTA, case.id, "placement_referral", 1, values)
        await gateway.attachments.add(worker, draft.id, "a.pdf", Category.SOCIAL, pdf(b"a"))
        second = await gateway.sending.send_draft(worker, draft.id, [UNIT_E])
        await county.deliver()
        await county.step_up(ekeliden, UNIT_E)
        other_case, other_consent = await county.consented_case(worker)
        drafts, files = [], []
        for target, letter in ((other_case, b"b"), (other_case, b"c"), (case, b"d")):
            row = await gateway.drafts.create(worker, ALVESTA, target.id, "placement_referral", 1, values)
            file = await gateway.attachments.add(worker, row.id, "b.pdf", Category.SOCIAL, pdf(letter))
            drafts.append(row)
            files.append(file)
        ended = await county.consented_case(worker)
        await gateway.consents.withdraw(worker, ALVESTA, ended[1].id)
        stranger = await county.sign_in("vx-sos")
        envelope = await county.envelope(UNIT_E, second.message)
        opened = await gateway.opening.open(ekeliden, envelope)
        return Made(
            folder,
            clock.now(),
            county.seeds,
            {"al-sos": worker, "ek-chef": ekeliden, "no-chef": novus, "vx-sos": stranger},
            {
                "first": await county.envelope(SEAT_E, sent.message),
                "seat_n": await county.envelope(SEAT_N, sent.message),
                "second": envelope,
                "attachment": opened.opened.attachments[0].id,
                "draft": drafts[0].id,
                "other_draft": drafts[1].id,
                "foreign_draft": drafts[2].id,
                "file": files[0].id,
                "other_file": files[1].id,
                "case": case.id,
                "other_case": other_case.id,
                "consent": consent.id,
                "other_consent": other_consent.id,
                "ended_consent": ended[1].id,
                "ended_case": ended[0].id,
                "worker": worker.user.id,
                "chief": ekeliden.user.id,
                "stranger": stranger.user.id,
                "worker_session": worker.session.id,
                "chief_session": ekeliden.session.id,
                "stranger_session": stranger.session.id,
            },
        )
