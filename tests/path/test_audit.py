"""Audit: a changed row is named by its index; the log can be thinned; nothing in a leaf names anybody."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator

import pytest

from adapters.memory import MemoryStore, MemoryTiles
from gateway.model.log import AuditLeaf, AuditSide, Checkpoint
from gateway.notes import parse_proof
from gateway.tree import leaf_hash
from tests.clock import instant
from tests.county import County, a_county


@pytest.fixture
async def county() -> AsyncIterator[County]:
    async with a_county() as ready:
        worker = await ready.sign_in("al-sos")
        for _ in range(12):
            await ready.gateway.cases.open(worker, "alvesta.ifo.vuxen")  # type: ignore[arg-type]
        await ready.gateway.integrator.flush()
        yield ready


async def faults_of(county: County) -> list[str]:
    [report] = await county.gateway.review.verify()
    return [*report.faults, *report.missing]


async def test_a_whole_log_verifies(county: County) -> None:
    assert await faults_of(county) == []


async def test_any_changed_leaf_is_named_by_its_index(county: County) -> None:
    """Catalogue A01: change text, change text and hash, swap, insert, delete; every leaf in turn."""
    store = county.store
    assert isinstance(store, MemoryStore)
    leaves = store.all(AuditLeaf)
    cases = 0
    for leaf, other in zip(leaves, [*leaves[1:], leaves[0]], strict=True):
        forged = leaf.leaf.replace(b'"v":1', b'"v":2')
        changes = (
            dataclasses.replace(leaf, leaf=forged),
            dataclasses.replace(leaf, leaf=forged, hash=leaf_hash(forged)),
            dataclasses.replace(other, number=leaf.number),
        )
        for changed in changes:
            store.tamper(changed)
            assert any(f"leaf {leaf.number}:" in fault for fault in await faults_of(county)), changed.number
            store.tamper(leaf)
            cases += 1
        store.remove(AuditLeaf, *leaf.key)
        assert any(f"leaf {leaf.number} is missing" in fault for fault in await faults_of(county)) or (
            leaf.number == len(leaves) - 1
        )
        store.tamper(leaf)
        cases += 1
    assert await faults_of(county) == []
    print(f"A01: {cases} changed leaves found")
    assert cases >= 100


async def test_any_changed_side_row_is_named_by_its_index(county: County) -> None:
    store = county.store
    assert isinstance(store, MemoryStore)
    cases = 0
    for side in store.all(AuditSide):
        for changed in (
            dataclasses.replace(side, action="read"),
            dataclasses.replace(side, object="elsewhere"),
            dataclasses.replace(side, sealed=side.sealed[:-1] + bytes([side.sealed[-1] ^ 1])),
        ):
            store.tamper(changed)
            assert [f"leaf {side.number}: its side row is not the one that was logged"] == await faults_of(county)
            store.tamper(side)
            cases += 1
    print(f"A01: {cases} changed side rows found")
    assert await faults_of(county) == []


async def test_an_erased_side_row_leaves_the_tree_whole_and_is_reported(county: County) -> None:
    store = county.store
    assert isinstance(store, MemoryStore)
    side = store.all(AuditSide)[5]
    store.tamper(dataclasses.replace(side, sealed=b""))
    [report] = await county.gateway.review.verify()
    assert (report.exit_code, report.erased) == (0, 1)


async def test_a_damaged_tile_and_a_forged_checkpoint_are_found(county: County) -> None:
    store, tiles = county.store, county.gateway.ports.tiles
    assert isinstance(store, MemoryStore) and isinstance(tiles, MemoryTiles)
    [name] = await store.logs()
    for tile in [found for found in tiles.names(name) if found != "checkpoint"]:
        whole = tiles._tiles[name, tile]
        for damaged in (whole[:-1] + bytes([whole[-1] ^ 1]), whole[:-8], b""):
            tiles._tiles[name, tile] = damaged
            assert await faults_of(county), tile
        tiles._tiles[name, tile] = whole
    checkpoint = store.all(Checkpoint)[-1]
    for forged in (
        dataclasses.replace(checkpoint, root=bytes(32)),
        dataclasses.replace(checkpoint, note=checkpoint.note.replace(str(checkpoint.size), "3", 1)),
        dataclasses.replace(checkpoint, size=checkpoint.size + 5),
    ):
        store.remove(Checkpoint, *checkpoint.key)
        store.tamper(forged)
        assert await faults_of(county)
        store.remove(Checkpoint, *forged.key)
        store.tamper(checkpoint)
    assert await faults_of(county) == []


async def test_a_cut_tail_is_found(county: County) -> None:
    store = county.store
    assert isinstance(store, MemoryStore)
    [name] = await store.logs()
    size = await store.log_size(name)
    store.remove(AuditLeaf, name, size - 1)
    assert await faults_of(county)


async def test_a_crash_between_commit_and_checkpoint_loses_no_event(county: County) -> None:
    """The leaf is durable with its act; publishing goes on from the last checkpoint at the next start."""
    worker = await county.sign_in("vx-sos")
    for _ in range(3):
        await county.gateway.cases.open(worker, "vaxjo.vuxen.placering")  # type: ignore[arg-type]
    [before] = await county.gateway.review.verify()
    assert before.unpublished > 0 and before.exit_code == 0
    county.gateway.integrator._ranges.clear()  # a new process knows nothing
    await county.gateway.integrator.flush()
    [after] = await county.gateway.review.verify()
    assert (after.unpublished, after.exit_code) == (0, 0)
    assert after.leaves == before.leaves


async def test_a_tree_that_does_not_extend_the_signed_one_is_never_signed(county: County) -> None:
    from gateway.errors import IntegrityError

    store = county.store
    assert isinstance(store, MemoryStore)
    leaf = store.all(AuditLeaf)[2]
    forged = leaf.leaf.replace(b'"v":1', b'"v":2')
    store.tamper(dataclasses.replace(leaf, leaf=forged, hash=leaf_hash(forged)))
    await county.sign_in("vx-sos")
    county.gateway.integrator._ranges.clear()
    with pytest.raises(IntegrityError):
        await county.gateway.integrator.flush()


async def test_a_new_year_opens_with_the_last_checkpoint_of_the_old(county: County) -> None:
    county.clock.set(instant(2027, 1, 1, 0, 1))
    await county.gateway.integrator.open_year()
    await county.gateway.integrator.flush()
    old, new = await county.gateway.review.verify()
    assert (old.exit_code, new.exit_code, new.leaves) == (0, 0, 1)
    [side] = await county.store.sides(new.log, 0, 1)
    [leaf] = await county.store.leaves(new.log, 0, 1)
    event = await county.gateway.auditor.opened(side, leaf.leaf)
    last = await county.store.last_checkpoint(old.log)
    assert last is not None
    assert event.detail["previous"] == last.note


async def test_a_leaf_says_when_where_and_what_and_names_nobody(county: County) -> None:
    store = county.store
    assert isinstance(store, MemoryStore)
    users = await store.users()
    for leaf, side in zip(store.all(AuditLeaf), store.all(AuditSide), strict=True):
        said = json.loads(leaf.leaf)
        assert set(said) == {"v", "n", "t", "tenant", "action", "outcome", "policies", "detail_c"}
        text = leaf.leaf.decode()
        assert not any(user.id in text for user in users)
        assert not side.object or side.object not in text or side.object in (said["tenant"], "genesis")


async def test_a_proof_of_a_row_holds_on_its_own(county: County) -> None:
    [name] = await county.store.logs()
    proof = parse_proof(await county.gateway.review.prove(name, 7))
    vkey = await county.gateway.ports.vault.note_key(name)
    assert county.gateway.ports.vault.check_note(proof.checkpoint, vkey)
    assert not county.gateway.ports.vault.check_note(proof.checkpoint.replace("\n", "\n1", 1), vkey)
