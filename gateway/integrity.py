"""Rows that decide carry a MAC; this writes it and checks it on every read that decides (security-decisions S3).

Why this exists: somebody who can write to the database must not become a reader by planting a session, a
membership, a factor, a route or a consent. What is MACed is the whole row: table, key, version, every field.
Not promised: an old row put back whole, with its old MAC, passes; the log shows such a rollback.
"""

from __future__ import annotations

import dataclasses
import hmac
import json
from typing import Final, TypeVar

from gateway.errors import IntegrityError
from gateway.model.base import LATER, DecidingRow
from gateway.ports import Vault

_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
_NAMES: Final[dict[type[DecidingRow], tuple[str, ...]]] = {}
#: Fields that came later, and the value at which the MAC leaves them out: rows from before must go on to verify.
_LATER: Final[dict[type[DecidingRow], dict[str, object]]] = {}
D = TypeVar("D", bound=DecidingRow)


def mac_input(row: DecidingRow) -> bytes:
    """What the MAC of `row` covers: its table and every field but the MAC itself, in one canonical order.

    A field that a later version added (`LATER`) is left out while it has its default, so that rows written before it
    existed still verify. Nobody gains by it: any other value is covered, and so is that it stood there.
    """
    fields: dict[str, object] = {}
    names, later = _names(type(row)), _LATER[type(row)]
    for name in names:
        value = getattr(row, name)
        if name in later and value == later[name]:
            continue
        fields[name] = {"hex": value.hex()} if isinstance(value, bytes) else value
    return _ENCODER.encode([row.TABLE, fields]).encode()


def _names(kind: type[DecidingRow]) -> tuple[str, ...]:
    """The fields under the MAC, looked up once for each kind of row."""
    found = _NAMES.get(kind)
    if found is None:
        fields = [field for field in dataclasses.fields(kind) if field.name != "mac"]
        _LATER[kind] = {field.name: field.default for field in fields if LATER in field.metadata}
        found = _NAMES[kind] = tuple(field.name for field in fields)
    return found


class Integrity:
    """Writes and checks the MACs of deciding rows."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def sign(self, row: D) -> D:
        """`row` with the MAC that fits it. Call last, when every other field is final."""
        return dataclasses.replace(row, mac=await self._vault.mac(row.administration, mac_input(row)))

    async def check(self, row: D) -> D:
        """`row` itself, when its MAC holds.

        Raises:
            IntegrityError: somebody changed the row past the gateway. Refuse and alarm; never repair in silence.
        """
        expected = await self._vault.mac(row.administration, mac_input(row))
        if not hmac.compare_digest(expected, row.mac):
            raise altered(row, "does not carry a valid MAC")
        return row


def altered(row: DecidingRow, why: str) -> IntegrityError:
    """What is raised for a row that somebody changed past the gateway; `why` is for the log."""
    return IntegrityError(
        f"{row.TABLE} row {why}",
        swedish="En uppgift som styr behörighet har ändrats utanför systemet.",
        next_step="Inget har lämnats ut. Kontakta den som ansvarar för säkerheten.",
    )
