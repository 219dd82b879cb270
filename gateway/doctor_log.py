"""The doctor's look at key store and log: do they belong together, and is the newest of the log what was signed.

Why this exists: reading a log of years through takes minutes, and most trouble shows at its edge: the newest
checkpoint, the tree over the tiles (log n of them give its root), the newest leaves and side rows. `audit verify`
looks at all.
"""

from __future__ import annotations

from typing import Final

from gateway.doctor import Finding, Level, good, wrong
from gateway.errors import GatewayError, IntegrityError
from gateway.health import LONGEST_LAG
from gateway.model.base import MINUTE
from gateway.notes import parse_checkpoint
from gateway.tiles import HASH, WIDTH, TileReader
from gateway.tree import leaf_hash, root_at
from gateway.usecases import Gateway

SIDES_LOOKED_AT: Final = 8


async def pair(gateway: Gateway) -> list[Finding]:
    """Whether key store and message store belong together: what the log's rows were locked with must be there."""
    area, ports = "nyckellager", gateway.ports
    for name in reversed(await ports.store.logs()):
        size = await ports.store.log_size(name)
        for number in {size - 1, 0}:
            for side in await ports.store.sides(name, number, number + 1):
                if not side.sealed:
                    continue
                try:
                    await ports.shred.get(side.shred_key)
                except IntegrityError:
                    return [
                        wrong(
                            area,
                            "Nyckellagret och databasen hör inte ihop: en nyckel som databasen behöver finns inte.",
                            "Starta inte. Lägg tillbaka det nyaste nyckellagret som hör till databasen.",
                        )
                    ]
    return [good(area, "Nyckellagret hör till databasen.")]


async def log_quickly(gateway: Gateway, *, running: bool) -> list[Finding]:
    """The newest checkpoint, the tree over the tiles, and the newest leaves; `audit verify` looks at all."""
    findings = []
    for name in await gateway.ports.store.logs():
        faults = await _faults(gateway, name)
        if faults:
            findings.append(
                wrong(
                    "logg",
                    f"Loggen {name}: {'; '.join(faults)}.",
                    "Ändra inget. Kör 'sambud audit verify' och kontakta säkerhetsansvarig.",
                )
            )
            continue
        size = await gateway.ports.store.log_size(name)
        findings.append(good("logg", f"Loggen {name}: {size} blad, den nyaste kontrollpunkten stämmer."))
    state = await gateway.health.log_state()
    if state.lag > LONGEST_LAG:
        waited = f"{state.unpublished} blad har väntat i {state.lag // MINUTE} minuter på en kontrollpunkt"
        findings.append(
            wrong(
                "logg",
                f"{waited}.",
                "Läs driftloggen: publiceringen står stilla."
                if running
                else "De publiceras när gatewayen startar. Låt den inte stå.",
                Level.WRONG if running else Level.WARNING,
            )
        )
    return findings


async def log_wholly(gateway: Gateway) -> list[Finding]:
    """Every leaf, as `audit verify` does."""
    findings = []
    for report in await gateway.review.verify():
        if report.exit_code == 1:
            told = f"Loggen {report.log} är ändrad: {len(report.faults)} fel."
            findings.append(wrong("logg", told, "Ändra inget. Kontakta säkerhetsansvarig."))
        else:
            findings.append(good("logg", f"Loggen {report.log} är genomläst: {report.leaves} blad, inga fel."))
    return findings


async def _faults(gateway: Gateway, name: str) -> list[str]:
    store, vault, tiles = gateway.ports.store, gateway.ports.vault, gateway.ports.tiles
    newest = await store.last_checkpoint(name)
    size = await store.log_size(name)
    if newest is None:
        return []  # it waits for its first; `log_state` says for how long
    faults = []
    try:
        head = parse_checkpoint(newest.note)
        signed = vault.check_note(newest.note, await vault.note_key(name))
        if not signed or (head.size, head.root, head.origin) != (newest.size, newest.root, name):
            faults.append("den nyaste kontrollpunkten är inte den som signerades")
        if newest.size > size:
            faults.append(f"blad efter {size} saknas")
        reader = TileReader(tiles, name, newest.size)
        if root_at(reader.hash_at, newest.size) != newest.root:
            faults.append("hashträdet ger en annan rot än kontrollpunkten")
        faults += await _newest_leaves(gateway, name, reader, newest.size, size)
    except (GatewayError, ValueError) as trouble:
        faults.append(f"hashträdet går inte att läsa ({type(trouble).__name__})")
    return faults


async def _newest_leaves(gateway: Gateway, name: str, reader: TileReader, covered: int, size: int) -> list[str]:
    faults = []
    tile = reader.tile(0, (covered - 1) // WIDTH)
    first = (covered - 1) // WIDTH * WIDTH
    leaves = await gateway.ports.store.leaves(name, first, size)
    for row in leaves:
        at = (row.number - first) * HASH
        if leaf_hash(row.leaf) != row.hash or (row.number < covered and tile[at : at + HASH] != row.hash):
            faults.append(f"blad {row.number} är inte det som loggades")
    texts = {row.number: row.leaf for row in leaves}
    for side in await gateway.ports.store.sides(name, max(first, size - SIDES_LOOKED_AT), size):
        try:
            holds = not side.sealed or await gateway.auditor.holds(side, texts[side.number])
        except (IntegrityError, ValueError, KeyError):
            holds = False
        if not holds:
            faults.append(f"sidoraden till blad {side.number} är inte den som loggades")
    return faults
