"""Sends, backups, gallring and restores in any order: what stands is a prefix of what was acknowledged, and what was
deleted does not come back (catalogue D13, D16; security-decisions §4(c), H3, H11)."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.audit import AuditAction
from gateway.backup import Made, destroy_due
from gateway.errors import BackupError, EnvelopeError
from gateway.model.base import DAY, MessageId, ShredKeyId
from gateway.model.keys import EnvelopeWrap
from gateway.notes import parse_checkpoint
from tests.county import SEAT_E, County
from tests.faults.tally import tally
from tests.site import Site

pytestmark = pytest.mark.slow

ACTS = st.one_of(
    st.just(("send", 0)),
    st.just(("send", 0)),
    st.just(("backup", 0)),
    st.tuples(st.just("gallra"), st.integers(0, 9)),
    st.just(("month", 0)),
    st.tuples(st.sampled_from(["living", "newest", "any"]), st.integers(0, 9)),
)


@dataclass
class Kept:
    """A backup, and what was true when it was made."""

    made: Made
    acknowledged: list[MessageId]
    gone: set[MessageId]
    lineage: set[int]


@dataclass
class History:
    """A gateway that lives through acts, and what must be true of it."""

    site: Site
    acknowledged: list[MessageId] = field(default_factory=list)
    gone: set[MessageId] = field(default_factory=set)
    lineage: set[int] = field(default_factory=set)  # backups of the history that the gateway lives in
    kept: list[Kept] = field(default_factory=list)
    restores: int = 0
    months: int = 0
    refused: int = 0

    async def act(self, name: str, which: int) -> None:
        if name == "send":
            await self._send()
        elif name == "backup":
            made = await self.site.back_up()
            self.lineage = self.lineage | {len(self.kept)}
            self.kept.append(Kept(made, list(self.acknowledged), set(self.gone), self.lineage))
            self.site.clock.advance(1)
        elif name == "gallra" and self.acknowledged:
            await self._gallra(self.acknowledged[which % len(self.acknowledged)])
        elif name == "month" and self.months < 2:  # the consents that the messages rest on last for three
            self.months += 1
            self.site.clock.advance(36 * DAY)
            destroy_due(self.site.tools, self.site.epochs, at=self.site.clock.now())
        elif name in ("living", "newest", "any"):
            await self._restore(name, which % len(self.kept))

    async def _send(self) -> None:
        async with self.site.county() as county:
            worker = await county.sign_in("al-sos")
            self.acknowledged.append(await self.site.send(county, worker))
            await county.deliver()
            await county.gateway.integrator.flush()

    async def _gallra(self, message: MessageId) -> None:
        async with self.site.county() as county:
            await county.keyring.shred.destroy(await _keys_of(county, message))
        self.gone.add(message)

    async def _restore(self, name: str, which: int) -> None:
        chosen = self.kept[which]
        if name == "living":
            if which not in self.lineage:
                return  # the living key store is of another history; its own *.sbk is what the documents ask for
            await self.site.restore(chosen.made.messages, living_keys=self.site.data / "keys.db")
            gone = set(self.gone)
        else:
            other = self.kept[-1] if name == "newest" else self.kept[(which * 7) % len(self.kept)]
            alive = {key.file.name[-14:-6] for key in self.site.tools.keys.epochs(self.site.epochs)}
            usable = any(one in alive for one in [_epoch_of(other)])
            same = which in other.lineage or other is chosen
            before = self.site.stored()
            if not (usable and same):
                with pytest.raises(BackupError):
                    await self.site.restore(chosen.made.messages, other.made.keys)
                assert self.site.stored() == before
                assert not (self.site.folder / f"restored-{self.site.restores}").exists()
                self.refused += 1
                return
            await self.site.restore(chosen.made.messages, other.made.keys)
            gone = set(other.gone)
        self.restores += 1
        self.acknowledged, self.lineage = list(chosen.acknowledged), set(chosen.lineage)
        self.gone = gone & set(self.acknowledged)

    async def check(self) -> tuple[int, int]:
        """(acknowledged and not there or not readable, deleted and readable): both must be none."""
        assert self.site.stored() == set(self.acknowledged)
        lost = back = 0
        async with self.site.county() as county:
            for report in await county.gateway.review.verify():
                assert report.faults == []
                assert report.missing == []
            chief = await county.sign_in("ek-chef")
            for message in self.acknowledged:
                try:
                    await county.open(chief, SEAT_E, message)
                    back += message in self.gone
                except EnvelopeError:
                    lost += message not in self.gone
        return lost, back


def _epoch_of(kept: Kept) -> str:
    """The first letters of the recipient of a key store's backup."""
    from gateway.archive import begin

    with kept.made.keys.open("rb") as file:
        return begin(file).slots[0].recipient.hex()[:8]


async def _keys_of(county: County, message: MessageId) -> list[ShredKeyId]:
    wraps = [await county.store.get(EnvelopeWrap, one.id) for one in await county.store.envelopes_of(message)]
    return [wrap.shred_key for wrap in wraps if wrap is not None]


def _lived(template: Path, folder: Path, acts: Sequence[tuple[str, int]]) -> None:
    async def live() -> tuple[int, int, History]:
        history = History(Site.copied(template, folder))
        for name, which in acts:
            await history.act(name, which)
        return (*await history.check(), history)

    try:
        lost, back, history = asyncio.run(live())
        tally("D13", cases=1, acknowledged_lost=lost, half=back)
        print(f"{len(acts)} acts: {history.restores} restores, {history.refused} refused")
        assert (lost, back) == (0, 0)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


#: Every order that matters, once each, whatever hypothesis draws.
ORDERS: list[list[tuple[str, int]]] = [
    [("send", 0), ("backup", 0), ("gallra", 0), ("send", 0), ("living", 0), ("send", 0)],
    [("send", 0), ("gallra", 0), ("backup", 0), ("send", 0), ("backup", 0), ("living", 0), ("newest", 0)],
    [("send", 0), ("backup", 0), ("gallra", 0), ("month", 0), ("newest", 0), ("living", 0)],
]


def lives(least: int, most: int) -> st.SearchStrategy[list[tuple[str, int]]]:
    """Acts after a message and its backup, so that there is something to restore from the first act on."""
    drawn = st.lists(ACTS, min_size=least, max_size=most)
    return drawn.map(lambda acts: [("send", 0), ("backup", 0), *acts])


@pytest.mark.parametrize("acts", ORDERS, ids=lambda acts: "-".join(name for name, _ in acts))
def test_each_order_of_backup_gallring_and_restore_keeps_the_promises(
    template: Path, tmp_path: Path, acts: list[tuple[str, int]]
) -> None:
    """D13, D16: any message backup with the newest key store; deleted stays deleted, at the latest after the horizon."""
    _lived(template, tmp_path / "life", acts)


@settings(max_examples=4, suppress_health_check=list(HealthCheck))
@given(acts=lives(3, 6))
def test_any_sequence_of_acts_leaves_a_prefix_of_what_was_acknowledged(
    template: Path, tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, int]]
) -> None:
    """D13, drawn by hypothesis."""
    _lived(template, tmp_path_factory.mktemp("life") / secrets.token_hex(4), acts)


@pytest.mark.full
@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(acts=lives(3, 14))
def test_a_hundred_longer_sequences(
    template: Path, tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, int]]
) -> None:
    """D13, the campaign."""
    _lived(template, tmp_path_factory.mktemp("life") / secrets.token_hex(4), acts)


async def test_the_first_leaf_after_a_restore_names_the_last_checkpoint_and_what_was_lost(
    template: Path, tmp_path: Path
) -> None:
    """H3: a new origin; its first leaf holds the last known checkpoint and the lost range. Sessions are over."""
    site = Site.copied(template, tmp_path / "site")
    async with site.county() as county:
        await county.sign_in("al-sos")
        made = await site.back_up()
        kept = await county.store.log_size("sambud.example/audit/2026")
        await site.send(county, await county.sign_in("al-sos"))
        await county.gateway.integrator.flush()
    note = (site.data / "log" / "sambud.example_audit_2026" / "checkpoint").read_text()
    done = await site.restore(made.messages, made.keys, checkpoint=note)
    size = parse_checkpoint(note).size
    assert (done.gap.start, done.gap.until, done.gap.lost) == (kept, size, size - kept)
    assert done.sessions >= 1
    connection = sqlite3.connect(site.data / "sambud.db")
    assert {row[0] for row in connection.execute("SELECT state FROM session")} == {"ended"}
    connection.close()
    async with site.county() as county:
        await county.gateway.auditor.load()
        assert county.gateway.auditor.origin(site.clock.now()) == done.log
        assert done.log.startswith("sambud.example/audit/2026-")
        [leaf] = await county.store.leaves(done.log, 0, 1)
        [side] = await county.store.sides(done.log, 0, 1)
        event = await county.gateway.auditor.opened(side, leaf.leaf)
        assert event.action == AuditAction.RESTORED
        assert event.detail["previous"] == note
        assert (event.detail["lost_from"], event.detail["lost_until"]) == (kept, size)
        before = await county.store.log_size("sambud.example/audit/2026")
        await site.send(county, await county.sign_in("al-sos"))
        assert await county.store.log_size("sambud.example/audit/2026") == before == kept
