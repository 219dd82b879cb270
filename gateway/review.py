"""Review: verify the log, prove a row, read events. The reviewer sees functions and acts, never content.

Why this exists: a log that only its keeper can check proves nothing. `verify` compares leaves, tiles, checkpoints and
side rows, and names the first index where they differ; `prove` gives a text that programs of others can check.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.audit import AuditAction, Auditor, Event
from gateway.decide import AccessAction
from gateway.errors import FieldError, IntegrityError, InvalidFormError, NotFoundError
from gateway.model.base import GATEWAY
from gateway.model.log import AuditLeaf, AuditSide, Checkpoint
from gateway.notes import parse_checkpoint, proof_text
from gateway.ports import Store, TileStore, Vault, Work
from gateway.rights import Rights
from gateway.sessions import Signed
from gateway.tiles import HASH, WIDTH, TileReader, bundle_name, tile_name, unbundle
from gateway.tree import CompactRange, inclusion_proof, leaf_hash

BLOCK = WIDTH
MAX_FAULTS = 100
ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}")


@dataclass(slots=True)
class Report:
    """What verifying a log found. Exit code: 0 ok, 1 tampered, 2 incomplete."""

    log: str
    leaves: int = 0
    checkpoints: int = 0
    unpublished: int = 0
    erased: int = 0
    faults: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        return 1 if self.faults else 2 if self.missing else 0

    def fault(self, text: str) -> None:
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(text)

    def as_dict(self) -> dict[str, Any]:
        return {
            "log": self.log,
            "leaves": self.leaves,
            "checkpoints": self.checkpoints,
            "unpublished": self.unpublished,
            "erased": self.erased,
            "faults": self.faults,
            "missing": self.missing,
            "exit_code": self.exit_code,
        }


class Review:
    """Verify, prove, read."""

    def __init__(self, store: Store, tiles: TileStore, vault: Vault, auditor: Auditor, rights: Rights) -> None:
        self._store = store
        self._tiles = tiles
        self._vault = vault
        self._auditor = auditor
        self._rights = rights

    async def verify(self, *, sides: bool = True) -> list[Report]:
        """Every log of this gateway, checked from the first leaf on; memory stays bounded."""
        return [await self._verify(name, sides=sides) for name in await self._store.logs()]

    async def _verify(self, name: str, *, sides: bool) -> Report:
        report = Report(name)
        checkpoints = {row.size: row for row in await self._store.checkpoints(name)}
        vkey = await self._vault.note_key(name)
        growing = CompactRange()
        size = await self._store.log_size(name)
        last_good = 0
        for start in range(0, size, BLOCK):
            end = min(size, start + BLOCK)
            leaves = {row.number: row for row in await self._store.leaves(name, start, end)}
            side_rows = {row.number: row for row in await self._store.sides(name, start, end)} if sides else {}
            for number in range(start, end):
                leaf = leaves.get(number)
                if leaf is None:
                    report.fault(f"leaf {number} is missing")
                    return report
                self._check_leaf(report, leaf)
                if sides:
                    await self._check_side(report, leaf, side_rows.get(number))
                growing.append(leaf_hash(leaf.leaf))
                checkpoint = checkpoints.pop(growing.size, None)
                if checkpoint is not None:
                    last_good = self._check_checkpoint(report, checkpoint, growing.root(), vkey, last_good)
        for checkpoint in checkpoints.values():
            report.fault(f"a checkpoint of size {checkpoint.size} covers leaves that are gone (there are {size})")
        report.leaves = growing.size
        newest = await self._store.last_checkpoint(name)
        report.unpublished = size - (newest.size if newest else 0)
        await self._check_tiles(report, name, newest)
        return report

    def _check_leaf(self, report: Report, leaf: AuditLeaf) -> None:
        if leaf_hash(leaf.leaf) != leaf.hash:
            report.fault(f"leaf {leaf.number}: the row's text and hash differ")

    async def _check_side(self, report: Report, leaf: AuditLeaf, side: AuditSide | None) -> None:
        if side is None or not side.sealed:
            report.erased += 1
            return
        try:
            holds = await self._auditor.holds(side, leaf.leaf)
        except (IntegrityError, ValueError, KeyError):
            holds = False
        if not holds:
            report.fault(f"leaf {leaf.number}: its side row is not the one that was logged")

    def _check_checkpoint(self, report: Report, row: Checkpoint, root: bytes, vkey: str, last_good: int) -> int:
        report.checkpoints += 1
        try:
            head = parse_checkpoint(row.note)
        except ValueError:
            report.fault(f"the checkpoint of size {row.size} does not parse")
            return last_good
        signed = self._vault.check_note(row.note, vkey) and head.origin == row.log
        if not signed or (head.size, head.root) != (row.size, row.root):
            report.fault(f"the checkpoint of size {row.size} is not the one that was signed")
            return last_good
        if head.root != root:
            report.fault(f"leaves {last_good} to {row.size - 1} are not the ones that were signed")
            return last_good
        return row.size

    async def _check_tiles(self, report: Report, name: str, newest: Checkpoint | None) -> None:
        if newest is None:
            if report.leaves:
                report.missing.append("no checkpoint yet")
            return
        published = self._tiles.read(name, "checkpoint")
        if published is None or not self._vault.check_note(published.decode(), await self._vault.note_key(name)):
            report.missing.append("checkpoint file")
        reader = TileReader(self._tiles, name, newest.size)
        for index in range((newest.size + WIDTH - 1) // WIDTH):
            await self._check_tile(report, name, reader, index, newest.size)

    async def _check_tile(self, report: Report, name: str, reader: TileReader, index: int, size: int) -> None:
        width = min(WIDTH, size - index * WIDTH)
        try:
            tile = reader.tile(0, index)
        except IntegrityError:
            report.missing.append(tile_name(0, index, width))
            return
        rows = await self._store.leaves(name, index * WIDTH, index * WIDTH + width)
        bundle = self._tiles.read(name, bundle_name(index, width)) or self._tiles.read(name, bundle_name(index))
        try:
            bundled = unbundle(bundle or b"")[:width]
        except ValueError:
            bundled = []
        if not bundled:
            report.missing.append(bundle_name(index, width))
        for at, row in enumerate(rows):
            if tile[at * HASH : at * HASH + HASH] != leaf_hash(row.leaf):
                report.fault(f"leaf {row.number}: row and tile differ")
            if at < len(bundled) and bundled[at] != row.leaf:
                report.fault(f"leaf {row.number}: row and entry bundle differ")

    async def prove(self, name: str, number: int) -> str:
        """A tlog-proof of one leaf under the newest checkpoint.

        Raises:
            NotFoundError: no such leaf is published yet.
        """
        newest = await self._store.last_checkpoint(name)
        leaves = await self._store.leaves(name, number, number + 1)
        if newest is None or not leaves or number >= newest.size:
            raise NotFoundError("no such published leaf", swedish="Loggraden finns inte eller är inte publicerad än.")
        reader = TileReader(self._tiles, name, newest.size)
        path = inclusion_proof(reader.hash_at, number, newest.size)
        return proof_text(leaves[0].leaf, number, path, newest.note)

    async def events(self, signed: Signed, name: str, *, start: int, limit: int) -> list[Event]:
        """Events of one log for a reviewer, from a leaf number on; the reading itself is logged first."""
        await self._rights.without_inbox(signed, AccessAction.READ_LOG)
        entry = await self._auditor.entry(
            AuditAction.LOG_READ,
            administration=GATEWAY,
            actor=signed.user,
            role=signed.role,
            object=name,
            case=None,
            outcome="permit",
            detail={"start": start, "limit": limit},
        )
        await self._store.commit(Work(entries=(entry,)))
        end = min(start + max(1, min(limit, 200)), await self._store.log_size(name))
        leaves = {row.number: row for row in await self._store.leaves(name, start, end)}
        return [
            await self._auditor.opened(side, leaves[side.number].leaf)
            for side in await self._store.sides(name, start, end)
        ]

    async def search(
        self,
        signed: Signed,
        name: str,
        *,
        action: str = "",
        administration: str = "",
        object: str = "",
        before: int | None = None,
        limit: int = 50,
        purpose: str = "",
    ) -> list[Event]:
        """Events of one log for a reviewer, newest first, by act, administration and object; logged first.

        `purpose` is logged too: "export" when the rows leave the gateway.

        Raises:
            InvalidFormError: `object` is no id. What was typed is not logged then.
        """
        if object and not ID.fullmatch(object):
            raise _no_id()
        await self._rights.without_inbox(signed, AccessAction.READ_LOG)
        entry = await self._auditor.entry(
            AuditAction.LOG_READ,
            administration=GATEWAY,
            actor=signed.user,
            role=signed.role,
            object=name,
            case=None,
            outcome="permit",
            purpose=purpose,
            detail={
                "sought_action": action,
                "sought_administration": administration,
                "sought_object": object,
                "limit": limit,
            },
        )
        await self._store.commit(Work(entries=(entry,)))
        size = await self._store.log_size(name)
        sides = await self._store.sides_page(
            name,
            action=action,
            administration=administration,
            object=object,
            before=size if before is None else min(before, size),
            limit=max(1, min(limit, 200)),
        )
        found = []
        for side in sides:
            [leaf] = await self._store.leaves(name, side.number, side.number + 1)
            found.append(await self._auditor.opened(side, leaf.leaf))
        return found

    async def logs(self, signed: Signed) -> dict[int, str]:
        """The names of the logs by their year, the newest first."""
        await self._rights.without_inbox(signed, AccessAction.READ_LOG)
        names = {int(name.rpartition("/")[2]): name for name in await self._store.logs()}
        return dict(sorted(names.items(), reverse=True))

    async def checkpoint(self, signed: Signed) -> list[str]:
        """The newest checkpoint of every log, as signed notes."""
        await self._rights.without_inbox(signed, AccessAction.READ_LOG)
        newest = [await self._store.last_checkpoint(name) for name in await self._store.logs()]
        return [row.note for row in newest if row is not None]


def _no_id() -> InvalidFormError:
    text = "Ett id har bara bokstäverna a till z, siffror och . _ : / -, högst 200 tecken."
    return InvalidFormError(
        "that is no id of an object",
        [FieldError("/objekt", "id", text)],
        swedish=text,
        next_step="Kopiera id:t ur en rad i loggen.",
    )
