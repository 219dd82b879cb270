"""Channel keys: what a worker may open, and nothing else (docs/channels.md §4).

Why this exists: what leaves over SDK or by e-mail must be readable to the process that hands it over, hours after its
sender signed out. So it is sealed to a key of the channel, whose private half is wrapped by K1.c: a process that holds
K1.c reads what is leaving and opens no inbox; one that does not hold it sends nothing outside.
"""

from __future__ import annotations

import secrets
from typing import Final

from gateway.envelope import ctx, u16, u32
from gateway.model.base import AdministrationId, Instant, KeyRecordId
from gateway.model.keys import ChannelKey, KeyLabel, KeyRecordKind
from gateway.ports import Store
from keys import suites
from keys.hierarchy import Hierarchy
from keys.records import Records

OUT: Final = "out"
HOLD: Final = "hold"


def channel_owner(administration: AdministrationId, name: str) -> str:
    """How a channel key's record names its owner."""
    return f"{administration}/{name}"


def channel_public(secret: bytes) -> bytes:
    return suites.public_octets(suites.derive(secret, "kem"))


def new_secret() -> bytes:
    return secrets.token_bytes(32)


class ChannelKeys:
    """Opens channel keys under K1.c and keeps them in memory."""

    def __init__(self, store: Store, hierarchy: Hierarchy, records: Records) -> None:
        self._store = store
        self._hierarchy = hierarchy
        self._records = records
        self._open: dict[tuple[str, int], suites.PrivateKey] = {}

    async def row(
        self, administration: AdministrationId, name: str, secret: bytes, record: KeyRecordId, epoch: int, at: Instant
    ) -> ChannelKey:
        """The private half as it is kept."""
        owner = channel_owner(administration, name)
        key = await self._hierarchy.get(administration, KeyLabel.CHANNELS)
        return ChannelKey(
            administration=administration,
            owner=owner,
            epoch=epoch,
            record=record,
            wrapped=suites.wrap_gcm(key, secret, _aad(administration, owner, epoch)),
            created_at=at,
        )

    async def open(self, owner: str, epoch: int) -> suites.PrivateKey:
        """The private half of one epoch.

        Raises:
            IntegrityError: there is none, or row and record do not fit each other.
        """
        known = self._open.get((owner, epoch))
        if known is not None:
            return known
        row = await self._store.get(ChannelKey, owner, epoch)
        if row is None:
            raise suites.broken("channel key")
        record = await self._records.by_id(row.record)
        key = await self._hierarchy.get(row.administration, KeyLabel.CHANNELS)
        secret = suites.unwrap_gcm(key, row.wrapped, _aad(row.administration, owner, epoch), what="channel key")
        fits = (
            record.kind is KeyRecordKind.CHANNEL
            and record.owner == owner
            and record.epoch == epoch
            and record.administration == row.administration
            and record.public_key == channel_public(secret)
        )
        if not fits:
            raise suites.broken("channel key")
        opened = self._open[owner, epoch] = suites.private_key(suites.derive(secret, "kem"))
        return opened


def _aad(administration: AdministrationId, owner: str, epoch: int) -> bytes:
    return ctx("channel-key", u16(suites.SUITE_ID), administration.encode(), owner.encode(), u32(epoch))
