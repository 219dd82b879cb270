"""Key records: which public key is whose, signed by the administration and chained, so that a planted row is refused.

Why this exists: somebody who can write to the database could otherwise add an inbox epoch of his own, and everything
sealed from then on would be readable to him. So sealing and opening use only records whose signature, chain and place
as the newest hold. The first signing record of an administration signs itself; its fingerprint is trusted because the
settings name it (anchors), or, without an anchor, because the wrapped private half under K0 matches it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.envelope import ctx, u16, u32, u64, uuid_octets
from gateway.model.base import AdministrationId, Instant, KeyRecordId
from gateway.model.keys import KeyHead, KeyLabel, KeyRecord, KeyRecordKind
from gateway.ports import Change, Insert, Store, Update
from keys import suites
from keys.hierarchy import Hierarchy

_LABEL: Final = b"sambud/v1/key-record\x00"


def record_octets(record: KeyRecord) -> bytes:
    """What the signature of a record covers: all of it but the signature."""
    return ctx(
        "key-record",
        record.administration.encode(),
        uuid_octets(record.id),
        record.kind.encode(),
        record.owner.encode(),
        u32(record.epoch),
        u32(record.revision),
        u16(record.suite),
        record.public_key,
        "\n".join(record.wraps).encode(),
        record.added_by.encode(),
        record.approval.encode(),
        record.previous.encode(),
        u64(record.created_at),
        uuid_octets(record.signer),
    )


def record_hash(record: KeyRecord) -> str:
    return hashlib.sha256(record_octets(record) + record.signature).hexdigest()


def fingerprint(public: bytes) -> str:
    """How settings and people name a signing key: SHA-256, hexadecimal."""
    return hashlib.sha256(public).hexdigest()


class Records:
    """Makes and checks key records."""

    def __init__(self, store: Store, hierarchy: Hierarchy, anchors: Mapping[str, str]) -> None:
        self._store = store
        self._hierarchy = hierarchy
        self._anchors = anchors
        #: newest checked record of (kind, owner), valid while the head row is the same
        self._newest: dict[tuple[KeyRecordKind, str], tuple[KeyHead, KeyRecord]] = {}
        self._checked: dict[KeyRecordId, KeyRecord] = {}
        #: S and the intake key, expanded; their seeds stay open in the hierarchy for as long
        self._signing: dict[tuple[AdministrationId, bool], suites.SigningKey] = {}

    async def make(
        self,
        administration: AdministrationId,
        kind: KeyRecordKind,
        owner: str,
        public: bytes,
        *,
        epoch: int,
        revision: int = 1,
        wraps: Sequence[str] = (),
        by: str,
        approval: str,
        at: Instant,
    ) -> tuple[KeyRecord, tuple[Change, ...]]:
        """A signed record and the rows that make it the newest of its owner."""
        head = await self._store.get(KeyHead, kind, owner)
        previous = await self.newest(kind, owner) if head is not None else None
        identifier = KeyRecordId(str(uuid.uuid4()))
        first_signing = kind is KeyRecordKind.SIGNING and head is None
        signer = identifier if first_signing else (await self.signing(administration)).id
        record = KeyRecord(
            administration=administration,
            id=identifier,
            kind=kind,
            owner=owner,
            epoch=epoch,
            revision=revision,
            suite=suites.SUITE_ID,
            public_key=public,
            wraps=tuple(wraps),
            added_by=by,
            approval=approval,
            previous=record_hash(previous) if previous else "",
            created_at=at,
            signer=signer,
            signature=b"",
        )
        record = dataclasses.replace(record, signature=await self.sign_octets(administration, record_octets(record)))
        if head is None:
            row: Change = Insert(
                KeyHead(administration=administration, kind=kind, owner=owner, epoch=epoch, record=record.id)
            )
        else:
            row = Update(dataclasses.replace(head, epoch=epoch, record=record.id, version=head.version + 1))
        return record, (Insert(record), row)

    async def sign_octets(self, administration: AdministrationId, octets: bytes) -> bytes:
        """The signature of S over the record `octets`."""
        return await self.sign(administration, _LABEL + hashlib.sha256(octets).digest())

    async def sign(self, administration: AdministrationId, octets: bytes, *, intake: bool = False) -> bytes:
        """The signature of S, or of the intake key, over `octets`, which start with a label of their use."""
        key = self._signing.get((administration, intake))
        if key is None:
            key = suites.signing_key(await self.signing_seed(administration, intake=intake))
            self._signing[administration, intake] = key
        return key.sign(octets)

    async def signing_seed(self, administration: AdministrationId, *, intake: bool = False) -> bytes:
        """S: its Ed25519 seed. The intake key's lies under K1.c, so that what takes in needs no K1.s."""
        label = KeyLabel.CHANNELS if intake else KeyLabel.SIGNING
        return await self._hierarchy.derived(administration, label, "ed25519")

    async def signing(self, administration: AdministrationId, *, intake: bool = False) -> KeyRecord:
        """The administration's own newest signing record, or that of its intake key."""
        return await self.newest(KeyRecordKind.INTAKE if intake else KeyRecordKind.SIGNING, administration)

    async def head(self, kind: KeyRecordKind, owner: str) -> KeyHead:
        """The head row of an owner; a decision rests on it.

        Raises:
            IntegrityError: the owner has no key.
        """
        head = await self._store.get(KeyHead, kind, owner)
        if head is None:
            raise suites.broken("key head")
        return head

    async def newest(self, kind: KeyRecordKind, owner: str) -> KeyRecord:
        """The newest record of an owner, after its whole chain was checked.

        Raises:
            IntegrityError: a record was planted, altered, removed, or the head points elsewhere.
        """
        return (await self.newest_with_head(kind, owner))[1]

    async def newest_with_head(self, kind: KeyRecordKind, owner: str) -> tuple[KeyHead, KeyRecord]:
        """The same, with the head row that named it: a decision that uses the record rests on this very head.

        Raises:
            IntegrityError: as `newest`.
        """
        head = await self.head(kind, owner)
        known = self._newest.get((kind, owner))
        if known is not None and known[0] == head:
            return known
        chain = await self._store.key_records(kind, owner)
        await self._check_chain(kind, owner, chain)
        last = chain[-1]
        if last.id != head.record or last.epoch != head.epoch or last.administration != head.administration:
            raise suites.broken("key head")
        self._newest[kind, owner] = (head, last)
        return head, last

    async def by_id(self, identifier: KeyRecordId) -> KeyRecord:
        """A record that is part of its owner's checked chain, newest or not."""
        known = self._checked.get(identifier)
        if known is not None:
            return known
        record = await self._store.get(KeyRecord, identifier)
        if record is None:
            raise suites.broken("key record")
        await self.newest(record.kind, record.owner)
        if identifier not in self._checked:
            raise suites.broken("key record")
        return self._checked[identifier]

    async def chain(self, record: KeyRecord) -> Sequence[KeyRecord]:
        """The checked chain of the owner of a record, oldest first."""
        return [await self.by_id(one.id) for one in await self._store.key_records(record.kind, record.owner)]

    async def _check_chain(self, kind: KeyRecordKind, owner: str, chain: Sequence[KeyRecord]) -> None:
        if not chain:
            raise suites.broken("key record")
        before: KeyRecord | None = None
        for record in chain:
            await self._check(record, before)
            before = record
        for record in chain:
            self._checked[record.id] = record

    async def _check(self, record: KeyRecord, before: KeyRecord | None) -> None:
        fits = (
            record.suite == suites.SUITE_ID
            and record.previous == (record_hash(before) if before else "")
            and (record.epoch, record.revision) > ((before.epoch, before.revision) if before else (0, 0))
            and (before is None or record.administration == before.administration)
            and (before is None or record.epoch > before.epoch or record.public_key == before.public_key)
        )
        if not fits:
            raise suites.broken("key record")
        if record.kind is KeyRecordKind.SIGNING and before is None:
            await self._check_anchor(record)
            public = record.public_key
        else:
            signer = before if record.kind is KeyRecordKind.SIGNING and before else await self.by_id(record.signer)
            if signer.kind is not KeyRecordKind.SIGNING or signer.administration != record.administration:
                raise suites.broken("key record")
            public = signer.public_key
        octets = _LABEL + hashlib.sha256(record_octets(record)).digest()
        if not suites.verifies(public, record.signature, octets):
            raise suites.broken("key record")

    async def _check_anchor(self, record: KeyRecord) -> None:
        """The first S of an administration: named by the settings, or the public half of what K0 holds."""
        anchor = self._anchors.get(record.administration)
        if (
            record.owner != record.administration
            or record.signer != record.id
            or record.public_key in suites.SMALL_ORDER
        ):
            raise suites.broken("signing key record")
        if anchor is not None:
            if fingerprint(record.public_key) != anchor:
                raise suites.broken("signing key record")
        elif record.public_key != suites.signing_public(await self.signing_seed(record.administration)):
            raise suites.broken("signing key record")
