"""Compare the log with a checkpoint that somebody kept: printed, mailed, held by a witness.

Why this exists: whoever owns the database can cut the log's end, or put yesterday's whole copy in its place, and what
is left agrees with itself. Only what was known before shows it. So a kept checkpoint (a signed note, C2SP
tlog-checkpoint) is checked against the leaves, the newest checkpoint and the tiles that stand now (RFC 9162 §2.1.4).

Rule: a note that this gateway's key did not sign is no evidence, and is refused rather than reported as tampering.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gateway.errors import IntegrityError, InvalidRequestError
from gateway.notes import TreeHead, parse_checkpoint
from gateway.ports import Store, TileStore, Vault
from gateway.review import BLOCK, Report
from gateway.tiles import TileReader
from gateway.tree import CompactRange, consistency_proof, leaf_hash, verify_consistency


class Evidence:
    """Checkpoints from before against what stands now."""

    def __init__(self, store: Store, tiles: TileStore, vault: Vault) -> None:
        self._store = store
        self._tiles = tiles
        self._vault = vault

    async def compare(self, text: str) -> list[Report]:
        """One report for each log that the notes in `text` speak of; a fault names the range that is not what it was.

        Raises:
            InvalidRequestError: a note does not parse, or is not signed with this gateway's log key.
        """
        heads: dict[str, list[TreeHead]] = {}
        for note in notes_in(text):
            head = await self._signed(note)
            heads.setdefault(head.origin, []).append(head)
        return [
            await self._compare(origin, sorted(known, key=lambda head: head.size)) for origin, known in heads.items()
        ]

    async def _signed(self, note: str) -> TreeHead:
        try:
            head = parse_checkpoint(note)
            if self._vault.check_note(note, await self._vault.note_key(head.origin)):
                return head
        except ValueError:
            pass
        raise InvalidRequestError(
            "the file holds no checkpoint that this log's key signed",
            swedish="Filen innehåller ingen kontrollpunkt som den här loggens nyckel har signerat.",
            next_step="Spara kontrollpunkten som den skrevs ut, med alla rader. 'sambud audit key' visar nyckeln.",
        )

    async def _compare(self, origin: str, known: Sequence[TreeHead]) -> Report:
        report = Report(origin, leaves=await self._store.log_size(origin), checkpoints=len(known))
        growing, good = CompactRange(), 0
        for head in known:
            if head.size > report.leaves:
                report.fault(
                    f"leaves {max(report.leaves, good)} to {head.size - 1} were signed and are gone:"
                    " the log was cut or rolled back"
                )
                continue
            await self._grown(growing, origin, head.size)
            if growing.size != head.size or growing.root() != head.root:
                report.fault(f"leaves {good} to {head.size - 1} are not the ones that were signed")
            else:
                good = head.size
        await self._extends(report, known)
        return report

    async def _grown(self, growing: CompactRange, origin: str, size: int) -> None:
        while growing.size < size:
            leaves = await self._store.leaves(origin, growing.size, min(size, growing.size + BLOCK))
            if not leaves:
                return
            for leaf in leaves:
                growing.append(leaf_hash(leaf.leaf))

    async def _extends(self, report: Report, known: Sequence[TreeHead]) -> None:
        """Whether the newest checkpoint that stands here extends each known one, proven from the published tiles."""
        newest = await self._store.last_checkpoint(report.log)
        size = newest.size if newest else 0
        if newest is None or size < known[-1].size:
            report.fault(f"the newest checkpoint here is of size {size}, one of size {known[-1].size} was signed")
        reader = TileReader(self._tiles, report.log, size)
        for head in known:
            if newest is None or head.size > size:
                continue
            try:
                proof = consistency_proof(reader.hash_at, head.size, size)
            except IntegrityError:
                report.missing.append(f"tiles for a proof from size {head.size} to size {size}")
                continue
            if not verify_consistency(head.size, size, proof, head.root, newest.root):
                report.fault(f"the tree of size {size} does not extend the one of size {head.size}")


def notes_in(text: str) -> list[str]:
    """The signed notes in a text, one after the other: each is a text, an empty line, and lines of signatures."""
    blocks = [block for block in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n").strip()) if block.strip()]
    pairs = zip(blocks[::2], [*blocks[1::2], ""], strict=False)
    return [f"{head.strip()}\n\n{signatures.strip()}\n" for head, signatures in pairs] or [""]
