"""Review: verify the log, prove a row, read events. The reviewer sees functions and acts, never content.

Why this exists: a log that only its keeper can check proves nothing. `verify` compares leaves, tiles, checkpoints and
side rows, and names the first index where they differ; `prove` gives a text that programs of others can check.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.audit import AuditAction, Auditor, Event, log_order
from gateway.decide import AccessAction
from gateway.errors import FieldError, IntegrityError, InvalidFormError, NotFoundError
from gateway.grants import Grants
from gateway.model.base import GATEWAY, Instant
from gateway.model.identity import Act
from gateway.model.log import AuditSide, Checkpoint
from gateway.notes import parse_checkpoint, proof_text
from gateway.ports import Store, TileStore, Vault, Work
from gateway.rights import Rights
from gateway.sessions import Signed
from gateway.tilecheck import higher, widths
from gateway.tiles import HASH, WIDTH, TileReader, bundle, bundle_name, tile_name, unbundle
from gateway.tree import CompactRange, inclusion_proof, leaf_hashes, root_of

BLOCK: Final = 4 * WIDTH  # leaves read at once
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

    def __init__(
        self, store: Store, tiles: TileStore, vault: Vault, auditor: Auditor, rights: Rights, grants: Grants
    ) -> None:
        self._grants = grants
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
        heads = _Heads(report, self._vault, await self._vault.note_key(name), await self._store.checkpoints(name))
        newest = await self._store.last_checkpoint(name)
        tiles = _Tiles(self._tiles, name, newest.size if newest else 0)
        growing = CompactRange()
        size = await self._store.log_size(name)
        for start in range(0, size, BLOCK):
            end = min(size, start + BLOCK)
            rows = await self._store.leaf_columns(name, start, end)
            absent = _first_absent([row[0] for row in rows], start, end)
            if absent is not None:
                report.fault(f"leaf {absent} is missing")
                return report
            leaves = [row[1] for row in rows]
            hashes = leaf_hashes(leaves)
            _check_hashes(report, start, [row[2] for row in rows], hashes)
            if sides:
                await self._check_sides(report, start, leaves, await self._store.sides(name, start, end))
            heads.check(growing, hashes)
            tiles.check(start, leaves, hashes)
        heads.check_rest(size)
        report.leaves = growing.size
        report.unpublished = size - (newest.size if newest else 0)
        await self._check_published(report, name, newest)
        tiles.check_above()
        for fault in tiles.faults:
            report.fault(fault)
        report.missing += tiles.missing
        return report

    async def _check_sides(
        self, report: Report, start: int, leaves: Sequence[bytes], sides: Sequence[AuditSide]
    ) -> None:
        by_number = {side.number: side for side in sides}
        for number, leaf in enumerate(leaves, start):
            await self._check_side(report, number, leaf, by_number.get(number))

    async def _check_side(self, report: Report, number: int, leaf: bytes, side: AuditSide | None) -> None:
        if side is None or not side.sealed:
            report.erased += 1
            return
        try:
            holds = await self._auditor.holds(side, leaf)
        except (IntegrityError, ValueError, KeyError):
            holds = False
        if not holds:
            report.fault(f"leaf {number}: its side row is not the one that was logged")

    async def _check_published(self, report: Report, name: str, newest: Checkpoint | None) -> None:
        if newest is None:
            if report.leaves:
                report.missing.append("no checkpoint yet")
            return
        if not await self._shows_a_checkpoint(name):
            report.missing.append("checkpoint file")

    async def _shows_a_checkpoint(self, name: str) -> bool:
        """Whether the published file is one of the signed checkpoints, octet for octet; a moment's lag is none."""
        published = (self._tiles.read(name, "checkpoint") or b"").decode(errors="replace")
        try:
            row = await self._store.get(Checkpoint, name, parse_checkpoint(published).size)
        except ValueError:
            return False
        return row is not None and row.note == published

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
        export: bool = False,
    ) -> list[Event]:
        """Events of one log for a reviewer, newest first, by act, administration and object; logged first.

        With `export` the rows leave the gateway: that is logged too, and spends a grant (`permit_export`).

        Raises:
            ActCodeRequiredError: no code was given for the export, or it is used or over; nothing was read.
            InvalidFormError: `object` is no id. What was typed is not logged then.
        """
        if object and not ID.fullmatch(object):
            raise _no_id()
        await self._rights.without_inbox(signed, AccessAction.READ_LOG)
        changes = (await self._grants.spend(signed, Act.EXPORT, name),) if export else ()
        entry = await self._auditor.entry(
            AuditAction.LOG_READ,
            administration=GATEWAY,
            actor=signed.user,
            role=signed.role,
            object=name,
            case=None,
            outcome="permit",
            purpose="export" if export else "",
            detail={
                "sought_action": action,
                "sought_administration": administration,
                "sought_object": object,
                "limit": limit,
            },
        )
        await self._store.commit(Work(changes=changes, entries=(entry,)))
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

    async def permit_export(self, signed: Signed, name: str, code: str) -> Instant:
        """Use a fresh code for taking rows of one log out, once; until when.

        Raises:
            SignInError, TooManyAttemptsError: as for every code; nothing was permitted.
        """
        await self._rights.without_inbox(signed, AccessAction.READ_LOG)
        return await self._grants.give(signed, Act.EXPORT, [name], code, administration=GATEWAY)

    async def logs(self, signed: Signed) -> dict[str, str]:
        """The names of the logs by their year (and number, after a restore), the newest first."""
        await self._rights.without_inbox(signed, AccessAction.READ_LOG)
        names = sorted(await self._store.logs(), key=log_order, reverse=True)
        return {name.rpartition("/")[2]: name for name in names}

    async def checkpoint(self, signed: Signed) -> list[str]:
        """The newest checkpoint of every log, as signed notes."""
        await self._rights.without_inbox(signed, AccessAction.READ_LOG)
        newest = [await self._store.last_checkpoint(name) for name in await self._store.logs()]
        return [row.note for row in newest if row is not None]


class _Heads:
    """Compares the checkpoints of a log with its growing tree."""

    def __init__(self, report: Report, vault: Vault, vkey: str, rows: Sequence[Checkpoint]) -> None:
        self._report = report
        self._vault = vault
        self._vkey = vkey
        self._waiting = deque(sorted(rows, key=lambda row: row.size))
        self._last_good = 0

    def check(self, growing: CompactRange, hashes: Sequence[bytes]) -> None:
        """Let the tree grow by `hashes`, and stop at every checkpoint on the way."""
        at = 0
        while self._waiting and self._waiting[0].size <= growing.size + len(hashes) - at:
            row = self._waiting.popleft()
            upto = at + row.size - growing.size
            growing.extend(hashes[at:upto])
            at = max(at, upto)
            self._last_good = self._one(row, growing.root())
        growing.extend(hashes[at:])

    def check_rest(self, size: int) -> None:
        """Every checkpoint must have had its leaves."""
        for row in self._waiting:
            self._report.fault(f"a checkpoint of size {row.size} covers leaves that are gone (there are {size})")

    def _one(self, row: Checkpoint, root: bytes) -> int:
        report = self._report
        report.checkpoints += 1
        try:
            head = parse_checkpoint(row.note)
        except ValueError:
            report.fault(f"the checkpoint of size {row.size} does not parse")
            return self._last_good
        signed = self._vault.check_note(row.note, self._vkey) and head.origin == row.log
        if not signed or (head.size, head.root) != (row.size, row.root):
            report.fault(f"the checkpoint of size {row.size} is not the one that was signed")
            return self._last_good
        if head.root != root:
            report.fault(f"leaves {self._last_good} to {row.size - 1} are not the ones that were signed")
            return self._last_good
        return row.size


class _Tiles:
    """Compares the published tiles and entry bundles of a log with its rows, a tile at a time."""

    def __init__(self, tiles: TileStore, log: str, size: int) -> None:
        self._tiles = tiles
        self._log = log
        self._size = size  # leaves of the newest checkpoint: what is published
        self._above: list[bytes] = []  # the roots of full tiles, 32 octets for 256 leaves
        self.faults: list[str] = []
        self.missing: list[str] = []

    def check(self, start: int, leaves: Sequence[bytes], hashes: Sequence[bytes]) -> None:
        """Every tile that these leaves fill; the first of them begins a tile."""
        for at in range(0, len(leaves), WIDTH):
            width = min(WIDTH, self._size - start - at)
            if width > 0:
                self._one((start + at) // WIDTH, leaves[at : at + width], hashes[at : at + width])

    def check_above(self) -> None:
        """The tiles above level 0, from the full ones below them."""
        for name, octets in higher(self._above, widths(self._tiles.names(self._log))):
            stands = self._tiles.read(self._log, name)
            if stands is None:
                self.missing.append(name)
            elif stands != octets:
                self.faults.append(f"{name} is not the tree's")

    def _one(self, index: int, leaves: Sequence[bytes], hashes: Sequence[bytes]) -> None:
        if len(hashes) == WIDTH:
            self._above.append(root_of(hashes))
        first, width = index * WIDTH, len(leaves)
        try:
            tile = TileReader(self._tiles, self._log, self._size).tile(0, index)
        except IntegrityError:
            self.missing.append(tile_name(0, index, width))
            return
        bundled = self._bundled(index, leaves)
        if len(self._tiles.read(self._log, tile_name(0, index, width)) or b"") > width * HASH:
            self.faults.append(f"{tile_name(0, index, width)} holds more than the tree")
        if tile != b"".join(hashes):
            for at in range(width):
                if tile[at * HASH : at * HASH + HASH] != hashes[at]:
                    self.faults.append(f"leaf {first + at}: row and tile differ")
        if bundled != leaves:
            for number, (leaf, octets) in enumerate(zip(leaves, bundled, strict=False), first):
                if octets != leaf:
                    self.faults.append(f"leaf {number}: row and entry bundle differ")

    def _bundled(self, index: int, leaves: Sequence[bytes]) -> Sequence[bytes]:
        """The leaves of a bundle; taken apart only when it is not what the rows give."""
        width = len(leaves)
        found = self._tiles.read(self._log, bundle_name(index, width)) or self._tiles.read(
            self._log, bundle_name(index)
        )
        if found is not None and found == bundle(leaves):
            return leaves
        try:
            bundled = unbundle(found or b"")
        except ValueError:
            bundled = []
        if len(bundled) < width:
            self.missing.append(bundle_name(index, width))
        elif len(bundled) > width and self._tiles.read(self._log, bundle_name(index, width)) == found:
            self.faults.append(f"{bundle_name(index, width)} holds more than the tree")
        return bundled[:width]


def _first_absent(numbers: Sequence[int], start: int, end: int) -> int | None:
    """The first number that has no row; rows come in the order of their numbers."""
    if len(numbers) == end - start:
        return None
    there = set(numbers)
    return next(number for number in range(start, end) if number not in there)


def _check_hashes(report: Report, start: int, stored: Sequence[bytes], hashes: Sequence[bytes]) -> None:
    if stored != hashes:
        for number, (kept, hash_) in enumerate(zip(stored, hashes, strict=True), start):
            if kept != hash_:
                report.fault(f"leaf {number}: the row's text and hash differ")


def _no_id() -> InvalidFormError:
    text = "Ett id har bara bokstäverna a till z, siffror och . _ : / -, högst 200 tecken."
    return InvalidFormError(
        "that is no id of an object",
        [FieldError("/objekt", "id", text)],
        swedish=text,
        next_step="Kopiera id:t ur en rad i loggen.",
    )
