"""Everything of this package under one roof, as the ports that the gateway asks for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gateway.model.base import GATEWAY
from gateway.model.keys import KeyLabel
from gateway.ports import Clock, Store
from keys.attachments import StreamSealer
from keys.ceremony import Ceremonies
from keys.channelkeys import ChannelKeys
from keys.hierarchy import Hierarchy
from keys.memberkeys import MemberKeys
from keys.records import Records
from keys.sealing import EnvelopeOpener, EnvelopeSealer
from keys.shredding import ShredKeyStore
from keys.vault import KeyVault
from keys.worksheets import InboxWorksheets


class Keyring:
    """The keys of one gateway.

    Args:
        root: K0, 32 octets.
        store: the message store.
        keys_db: the file of the shred keys; None keeps them in memory (tests only).
        anchors: administration id -> SHA-256 of its first signing key, from the settings.
    """

    def __init__(
        self, root: bytes, store: Store, clock: Clock, keys_db: Path | None, anchors: Mapping[str, str] | None = None
    ) -> None:
        self._store = store
        self.hierarchy = Hierarchy(root, store)
        self.records = Records(store, self.hierarchy, anchors or {})
        self.shred = ShredKeyStore(keys_db, store, clock)
        self.members = MemberKeys(store, self.hierarchy, self.records)
        self.sealer = EnvelopeSealer(self.records, self.shred, clock)
        self.channels = ChannelKeys(store, self.hierarchy, self.records)
        self.opener = EnvelopeOpener(self.records, self.members, self.channels, self.shred)
        self.attachments = StreamSealer()
        self.worksheets = InboxWorksheets(self.records, self.members)
        self.vault = KeyVault(self.hierarchy, self.shred)
        self.maker = Ceremonies(store, self.hierarchy, self.records, self.members, self.channels)

    async def start(self, *, create: bool = False) -> None:
        """Open the key store and, on a store that has keys, prove that K0 is the right one.

        Raises:
            SetupError: wrong root key, or the key store is missing or newer.
        """
        if not create and await self._store.administration_keys(GATEWAY):
            await self.hierarchy.get(GATEWAY, KeyLabel.LOG)
        await self.shred.start(create=create)

    async def look(self) -> None:
        """The same proof without writing anything: for what only looks, beside a gateway that serves.

        Raises:
            SetupError: wrong root key, or the key store is missing.
        """
        if await self._store.administration_keys(GATEWAY):
            await self.hierarchy.get(GATEWAY, KeyLabel.LOG)
        await self.shred.look()

    async def close(self) -> None:
        await self.shred.close()
