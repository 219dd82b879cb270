"""K1: five independent keys for each administration, wrapped by K0 with their label in the AAD.

Why this exists: what the members' keys open, what signs, what indexes and what seals the log's side rows must be
able to live in different processes, so they are different random keys, never derived from one another. The gateway's
own administration has L, the log key, as well.
"""

from __future__ import annotations

import secrets
from typing import Final

from gateway.envelope import ctx, u16, u32
from gateway.errors import IntegrityError, SetupError
from gateway.model.base import GATEWAY, AdministrationId, Instant
from gateway.model.keys import AdministrationKey, KeyLabel
from gateway.ports import Store
from keys import suites

FIRST_EPOCH: Final = 1


class Hierarchy:
    """Opens K1 keys when they are first needed and keeps them in memory."""

    def __init__(self, root: bytes, store: Store) -> None:
        self._root = root
        self._store = store
        self._open: dict[tuple[AdministrationId, KeyLabel], bytes] = {}
        self._derived: dict[tuple[AdministrationId, KeyLabel, str], bytes] = {}

    def make(self, administration: AdministrationId, *, at: Instant) -> tuple[AdministrationKey, ...]:
        """New K1 keys of an administration, as rows; in use once the rows are committed and `get` is called."""
        labels = [label for label in KeyLabel if label is not KeyLabel.LOG or administration == GATEWAY]
        return tuple(
            AdministrationKey(
                administration=administration,
                label=label,
                epoch=FIRST_EPOCH,
                wrapped=suites.lock(self._root, secrets.token_bytes(32), _aad(administration, label, FIRST_EPOCH)),
                created_at=at,
            )
            for label in labels
        )

    def unwrap(self, row: AdministrationKey) -> bytes:
        """The key of a row.

        Raises:
            SetupError: this root key does not open it: it is the wrong one, or the row was changed.
        """
        return unwrapped(self._root, row)

    async def get(self, administration: AdministrationId, label: KeyLabel) -> bytes:
        """K1.<label> of an administration.

        Raises:
            IntegrityError: the administration has no such key.
        """
        key = self._open.get((administration, label))
        if key is None:
            for row in await self._store.administration_keys(administration):
                self._open[administration, row.label] = self.unwrap(row)
            key = self._open.get((administration, label))
        if key is None:
            raise suites.broken("administration key")
        return key

    async def derived(self, administration: AdministrationId, label: KeyLabel, use: str) -> bytes:
        """A key for one use, from K1.<label>; kept, because HKDF on every row would cost."""
        key = self._derived.get((administration, label, use))
        if key is None:
            key = suites.derive(await self.get(administration, label), f"{label}/{use}")
            self._derived[administration, label, use] = key
        return key


def unwrapped(root: bytes, row: AdministrationKey) -> bytes:
    """The key of a row, under a root key that is at hand without a gateway (backups). Raises as `Hierarchy.unwrap`."""
    try:
        return suites.unlock(
            root, row.wrapped, _aad(row.administration, row.label, row.epoch), what="administration key"
        )
    except IntegrityError as fault:
        raise SetupError(
            "the root key does not open this store",
            swedish="Rotnyckeln hör inte till den här databasen.",
            next_step="Ange rätt fil i SAMBUD_ROOT_KEY_FILE. Inget har ändrats.",
        ) from fault


def _aad(administration: AdministrationId, label: KeyLabel, epoch: int) -> bytes:
    return ctx("k1", u16(suites.SUITE_ID), administration.encode(), label.encode(), u32(epoch))
