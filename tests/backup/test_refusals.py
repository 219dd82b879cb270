"""What cannot be restored is refused in one Swedish sentence before anything is written, and nothing is left behind."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway import archive
from gateway.archive import Kind
from gateway.backup import Made, current_epoch, destroy_due, horizon
from gateway.errors import GatewayError, IntegrityError, SetupError, StoreFullError
from gateway.model.base import DAY, MINUTE
from gateway.model.keys import AdministrationKey
from gateway.model.log import Checkpoint
from gateway.unpacking import opened
from keys import suites
from keys.backups import BackupKeyring
from tests.county import ROOT
from tests.site import TOOLS, Site

pytestmark = pytest.mark.slow


@dataclass
class Pairs:
    """Two backups of one gateway with a message between them, and one of another gateway."""

    site: Site
    first: Made
    second: Made
    stranger: Site
    foreign: Made
    note: str  # the newest checkpoint, of after the second


@pytest.fixture(scope="module")
def pairs(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    async def made() -> Pairs:
        site = Site.copied(template, tmp_path_factory.mktemp("pairs") / "site")
        async with site.county() as county:
            worker = await county.sign_in("al-sos")
            await site.send(county, worker)
            first = await site.back_up()
            site.clock.advance(MINUTE)
            await site.send(county, worker)
            second = await site.back_up()
            await county.gateway.integrator.flush()
        note = (site.data / "log" / "sambud.example_audit_2026" / "checkpoint").read_text()
        stranger = Site(tmp_path_factory.mktemp("stranger"))
        await stranger.begin()
        return Pairs(site, first, second, stranger, await stranger.back_up(), note)

    return asyncio.run(made())


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    """A folder to restore to; what was refused must not have left anything there."""
    folder = tmp_path / "target"
    yield folder
    assert not folder.exists() or not any(folder.iterdir())


async def refused(site: Site, made: Made, target: Path, says: str, **changes: Any) -> GatewayError:
    plan = {"messages": made.messages, "keys": made.keys, **changes}
    with pytest.raises(GatewayError) as told:
        await site.restore(plan.pop("messages"), plan.pop("keys"), target, **plan)
    assert says in told.value.swedish
    assert told.value.next_step
    assert not (target / "sambud.db").exists()
    return told.value


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
async def test_a_half_written_backup_is_refused_before_a_key_is_used(
    pairs: Pairs, tmp_path: Path, target: Path, share: float
) -> None:
    """docs/backup.md §2: without its end mark a file is no backup, however much of it is there."""
    whole = pairs.second.messages.read_bytes()
    half = tmp_path / "half.sbm"
    half.write_bytes(whole[: int(len(whole) * share)])
    await refused(pairs.site, pairs.second, target, "inte hel", messages=half, secrets=())


@pytest.mark.parametrize("where", [3, 20, 60, 900, 5000, -20])
async def test_a_changed_octet_is_refused_even_when_the_end_mark_was_made_again(
    pairs: Pairs, tmp_path: Path, target: Path, where: int
) -> None:
    """The end mark finds accidents; the stream's own authentication finds an adversary."""
    octets = bytearray(pairs.second.messages.read_bytes())
    octets[where] ^= 1
    changed = tmp_path / "changed.sbm"
    changed.write_bytes(octets)
    await refused(pairs.site, pairs.second, target, "", messages=changed)
    changed.write_bytes(_ended(bytes(octets[: -archive.TRAILER])))
    if where > 0:
        await refused(pairs.site, pairs.second, target, "", messages=changed)


def _ended(octets: bytes) -> bytes:
    return octets + archive.END + len(octets).to_bytes(8) + hashlib.sha256(octets).digest()


async def test_the_wrong_key_the_wrong_kind_and_another_gateways_files_are_refused(
    pairs: Pairs, tmp_path: Path, target: Path
) -> None:
    """Each with its own sentence: the operator must know which of the five things on the table is the wrong one."""
    site, made = pairs.site, pairs.second
    TOOLS.keys.create(tmp_path / "other.key")
    await refused(
        site, made, target, "Ingen av de angivna nycklarna", secrets=(TOOLS.keys.secret(tmp_path / "other.key"),)
    )
    await refused(site, made, target, "Ingen av de angivna nycklarna", epoch_secrets=())
    await refused(site, made, target, "förväxlade", messages=made.keys, keys=made.messages)
    await refused(site, made, target, "Rotnyckeln hör inte till", root=bytes(32))
    await refused(site, made, target, "hör till gatewayen", gateway="annan.example")
    foreign = tuple(TOOLS.keys.secret(key.file) for key in TOOLS.keys.epochs(pairs.stranger.epochs))
    shutil.copy(pairs.foreign.keys, tmp_path / "foreign.sbk")
    later = {"keys": tmp_path / "foreign.sbk", "epoch_secrets": foreign}
    told = await refused(site, pairs.first, target, "", **later)
    assert "äldre" in told.swedish or "inte signerad" in told.swedish
    await refused(site, made, target, "går inte att läsa", messages=tmp_path / "nothing.sbm")


async def test_a_key_store_older_than_the_messages_is_refused(pairs: Pairs, target: Path) -> None:
    """§4(c): message store first, key store after; the other way round messages would be lost."""
    await refused(pairs.site, pairs.second, target, "äldre än meddelandelagret", keys=pairs.first.keys)


async def test_a_living_key_store_of_another_gateway_is_refused(pairs: Pairs, target: Path) -> None:
    """A keys.db bears no name, so its keys must be those that the messages ask for."""
    foreign = pairs.stranger.data / "keys.db"
    await refused(pairs.site, pairs.second, target, "hör inte till", keys=None, living_keys=foreign)


async def test_a_key_store_of_another_history_is_refused(template: Path, tmp_path: Path, target: Path) -> None:
    """A restore began another history in between: its later key store lacks keys of the abandoned one."""
    site = Site.copied(template, tmp_path / "site")
    first = await site.back_up()
    async with site.county() as county:
        await site.send(county, await county.sign_in("al-sos"))
    abandoned = await site.back_up()
    await site.restore(first.messages, first.keys)
    site.clock.advance(DAY)
    other = await site.back_up()
    await refused(site, abandoned, target, "annan historia", keys=other.keys)
    await site.restore(abandoned.messages, abandoned.keys)
    assert len(site.stored()) == 1


async def test_a_newer_schema_is_refused(pairs: Pairs, target: Path) -> None:
    """A backup of a later version restores with that version only."""
    site = dataclasses.replace(pairs.site, tools=dataclasses.replace(TOOLS, schemas=lambda: frozenset({"0001"})))
    await refused(site, pairs.second, target, "nyare version")


async def test_a_target_that_is_not_empty_is_refused_and_left_as_it_was(pairs: Pairs, tmp_path: Path) -> None:
    """Restore never writes over anything."""
    target = tmp_path / "used"
    target.mkdir()
    (target / "note.txt").write_text("mine")
    with pytest.raises(SetupError, match="not empty"):
        await pairs.site.restore(pairs.second.messages, pairs.second.keys, target)
    assert [path.name for path in target.iterdir()] == ["note.txt"]


async def test_of_two_restores_at_once_one_is_refused_and_one_is_whole(pairs: Pairs, tmp_path: Path) -> None:
    """One folder, one restore: the second says so and touches nothing."""
    target = tmp_path / "target"
    site, made = pairs.site, pairs.second
    both = await asyncio.gather(
        site.restore(made.messages, made.keys, target),
        site.restore(made.messages, made.keys, target),
        return_exceptions=True,
    )
    assert sorted(type(one).__name__ for one in both) == ["Restored", "SetupError"]
    async with site.county(target) as county:
        assert [report.faults for report in await county.gateway.review.verify()] == [[], []]


async def test_a_checkpoint_that_the_backup_does_not_give_raises_the_alarm(pairs: Pairs, target: Path) -> None:
    """H3: same size, same signature, another root: the backup is not of that history."""
    site, made = pairs.site, pairs.second
    async with site.county() as county:
        rows = await county.store.checkpoints("sambud.example/audit/2026")
        name, size = rows[0].log, rows[0].size
        from gateway.notes import checkpoint_text

        forged = await county.keyring.vault.sign_note(name, checkpoint_text(name, size, bytes(32)))
    told = await refused(site, made, target, "Larm", checkpoint=forged)
    assert isinstance(told, IntegrityError)
    await refused(site, made, target, "inte signerad", checkpoint=pairs.note.replace("example", "exempel"))
    await refused(site, made, target, "inte signerad", checkpoint="no checkpoint")


async def test_a_log_that_was_altered_before_the_backup_is_not_put_into_service(
    template: Path, tmp_path: Path, target: Path
) -> None:
    """A backup keeps what it is given; the restore must not sign an altered log into the new one."""
    site = Site.copied(template, tmp_path / "site")
    connection = sqlite3.connect(site.data / "sambud.db")
    connection.execute("UPDATE audit_leaf SET leaf = CAST(leaf || x'20' AS BLOB) WHERE number = 5")
    connection.commit()
    connection.close()
    made = await site.back_up()
    await refused(site, made, target, "Loggen i säkerhetskopian")


async def test_a_backup_that_a_stranger_made_with_the_public_key_is_refused(
    pairs: Pairs, tmp_path: Path, target: Path
) -> None:
    """§4: whoever knows a recipient's public key can seal rows of his own, but only the holder of K0 can sign them."""

    class Forger(BackupKeyring):
        def signer(self, root: bytes, log_key: AdministrationKey) -> tuple[bytes, Callable[[bytes], bytes]]:
            seed = bytes(range(1, 33))
            return suites.signing_public(seed), lambda octets: suites.sign(seed, octets)

    forging = dataclasses.replace(TOOLS, keys=Forger())
    forger = dataclasses.replace(pairs.site, folder=tmp_path / "forger", data=pairs.site.data, tools=forging)
    forger.folder.mkdir()
    shutil.copy(pairs.site.folder / "recipients", forger.folder / "recipients")
    forged = await forger.back_up()
    living = {"keys": None, "living_keys": pairs.site.data / "keys.db"}
    await refused(pairs.site, pairs.second, target, "inte signerad", messages=forged.messages, **living)


async def test_a_full_target_disk_is_told_and_nothing_is_left(pairs: Pairs, tmp_path: Path) -> None:
    """Backup and restore onto one MiB: refused for lack of room before, and cleaned up when it fills meanwhile."""
    small = tmp_path / "small"
    small.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small]).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        with pytest.raises(StoreFullError):
            await pairs.site.restore(pairs.second.messages, pairs.second.keys, small / "data")
        assert list(small.iterdir()) == []
        with pytest.raises(StoreFullError):
            await _backed_up_to(pairs.site, small / "backups")
        assert not any((small / "backups").glob("*"))
    finally:
        subprocess.run(["umount", small], check=True)


async def _backed_up_to(site: Site, folder: Path) -> None:
    from gateway.backup import back_up

    await back_up(site.tools, site.source(), folder, recipients=site.recipients, epochs=site.epochs, clock=site.clock)


async def test_a_disk_that_fills_while_it_is_restored_leaves_nothing(
    pairs: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The room was there when it was asked for: what was written is removed all the same."""
    small = tmp_path / "small"
    small.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", small]).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    monkeypatch.setattr("gateway.restore.SPARE", -(10**9))  # as if the room had been there
    try:
        with pytest.raises(GatewayError):
            await pairs.site.restore(pairs.second.messages, pairs.second.keys, small / "data")
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)


async def test_a_gateway_does_not_start_with_the_key_store_of_another_or_with_an_older_one(
    pairs: Pairs, tmp_path: Path
) -> None:
    """S5: a message store beside the wrong key store is told at the start, not when somebody opens."""
    site = pairs.site
    for name, keys in {"foreign": pairs.stranger.data / "keys.db", "old": site.folder.parent / "none"}.items():
        data = tmp_path / name
        shutil.copytree(site.data, data)
        if keys.exists():
            shutil.copy(keys, data / "keys.db")
        else:  # an older copy: the newest batch is not in it
            connection = sqlite3.connect(data / "keys.db")
            newest = sqlite3.connect(data / "sambud.db").execute(
                "SELECT id FROM shred_batch WHERE state = 'open' ORDER BY created_at DESC LIMIT 1"
            )
            connection.execute("DELETE FROM shred_key WHERE batch = ?", newest.fetchone())
            connection.commit()
            connection.close()
        with pytest.raises(SetupError, match="key store lacks"):
            async with site.county(data):
                pass


async def test_a_gateway_over_a_half_restored_folder_does_not_start(tmp_path: Path) -> None:
    from gateway.clistore import refuse_unfinished
    from gateway.settings import load

    data = tmp_path / "data"
    data.mkdir()
    settings = load(environment={"SAMBUD_DATA_DIR": str(data), "SAMBUD_ROOT_KEY_FILE": str(tmp_path / "k0")})
    refuse_unfinished(settings)
    for mark in ("RESTORING", "MOVED"):
        (data / mark).touch()
        with pytest.raises(SetupError):
            refuse_unfinished(settings)
        (data / mark).unlink()


async def test_epoch_keys_are_made_weekly_and_destroyed_on_day_35(tmp_path: Path, pairs: Pairs) -> None:
    """H11: the horizon is the largest of what lives; past day 35 a key store's backup is noise."""
    folder, at = tmp_path / "epochs", pairs.site.clock.now()
    first = current_epoch(TOOLS, folder, at=at)
    assert current_epoch(TOOLS, folder, at=at + 6 * DAY).file == first.file  # type: ignore[arg-type]
    second = current_epoch(TOOLS, folder, at=at + 7 * DAY)  # type: ignore[arg-type]
    assert second.file != first.file
    assert first.file.stat().st_mode & 0o777 == 0o400
    assert horizon(TOOLS, folder, 0, at=at) == (42, 0)
    assert horizon(TOOLS, folder, 90, at=at)[0] == 90
    assert horizon(TOOLS, folder, 0, at=at + 35 * DAY)[1] == 1  # type: ignore[arg-type]
    assert destroy_due(TOOLS, folder, at=at + 35 * DAY) == 1  # type: ignore[arg-type]
    assert [key.file for key in TOOLS.keys.epochs(folder)] == [second.file]


async def test_the_files_hold_no_text_of_the_database(pairs: Pairs) -> None:
    """C12: nothing in a backup can be read without its key: no id, no name, no shred key."""
    connection = sqlite3.connect(pairs.site.data / "keys.db")
    keys = [row[0] for row in connection.execute("SELECT key FROM shred_key")]
    connection.close()
    for made in (pairs.first, pairs.second):
        for path in (made.messages, made.keys):
            octets = path.read_bytes()
            assert b"placement_referral" not in octets
            assert b"vaxjo" not in octets
            assert not any(key in octets for key in keys)
    package = opened(pairs.second.messages, Kind.MESSAGES, (TOOLS.keys.secret(pairs.site.offline),))
    from gateway.unpacking import Rows

    plain = b"".join(
        archive.encode_row(row) for event in package.events(TOOLS.keys) if isinstance(event, Rows) for row in event.rows
    )
    assert b"placement_referral" in plain
    assert not any(key in plain for key in keys)
    assert ROOT not in plain


def test_a_checkpoint_row_is_what_the_manifest_names(pairs: Pairs) -> None:
    """§4: the log's origin, size and signed root at the time stand in the manifest."""
    [log] = pairs.second.manifest.logs
    assert log.origin == "sambud.example/audit/2026"
    connection = sqlite3.connect(pairs.site.data / "sambud.db")
    notes = {row[0] for row in connection.execute(f"SELECT note FROM {Checkpoint.TABLE}")}
    connection.close()
    assert log.note in notes
