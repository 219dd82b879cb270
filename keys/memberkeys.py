"""K2 and K3: a member's key opens the inbox epochs that were wrapped to it; a bounded memory keeps what is open.

Why this exists: nobody but a member of an inbox gets to its epoch secret K3, and from K3 two keys are derived, never
one value for both: the X-Wing seed that opens wraps ('kem'), and the worksheet key ('work'). In a standard inbox the
key service opens K2 by policy, under K1.m; callers come here after the membership was checked.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag

from gateway.envelope import ctx, u16, u32
from gateway.model.base import AdministrationId, InboxId, UserId
from gateway.model.keys import InboxWrap, KeyLabel, KeyRecord, KeyRecordKind, MemberKey
from gateway.ports import Store
from keys import suites
from keys.hierarchy import Hierarchy
from keys.records import Records

KEPT: Final = 256


@dataclass(frozen=True, slots=True)
class InboxKey:
    """An opened inbox epoch: what opens wraps, and what seals worksheet rows."""

    secret: bytes
    kem: suites.PrivateKey
    work: bytes


def inbox_key(secret: bytes) -> InboxKey:
    """The two keys of an epoch secret."""
    return InboxKey(secret, suites.private_key(suites.derive(secret, "kem")), suites.derive(secret, "work"))


def inbox_public(secret: bytes) -> bytes:
    return suites.public_octets(suites.derive(secret, "kem"))


def member_aad(administration: AdministrationId, user: str, epoch: int) -> bytes:
    """What binds a wrapped K2 to its place."""
    return ctx("k2", u16(suites.SUITE_ID), administration.encode(), user.encode(), u32(epoch))


def inbox_wrap_info(administration: AdministrationId, inbox: InboxId, epoch: int, member: KeyRecord) -> bytes:
    """`info` of a K3 wrap: suite, administration, inbox, epoch, hash of the member's public key and record id."""
    digest = hashlib.sha256(member.public_key).digest()
    return ctx(
        "inbox-wrap",
        u16(suites.SUITE_ID),
        administration.encode(),
        inbox.encode(),
        u32(epoch),
        member.id.encode(),
        digest,
    )


def wrap_entry(member: KeyRecord, wrapped: bytes) -> str:
    """How an inbox record names one wrap: member record id = SHA-256 of the wrap."""
    return f"{member.id}={hashlib.sha256(wrapped).hexdigest()}"


class MemberKeys:
    """Opens inbox epochs as a member."""

    def __init__(self, store: Store, hierarchy: Hierarchy, records: Records) -> None:
        self._store = store
        self._hierarchy = hierarchy
        self._records = records
        self._kept: OrderedDict[tuple[InboxId, int, UserId, bytes], InboxKey] = OrderedDict()

    async def open(self, inbox: InboxId, epoch: int, user: UserId) -> InboxKey:
        """K3 of an epoch, through the wrap of `user`.

        Raises:
            IntegrityError: there is no wrap for this user, or wrap, member key or record do not verify.
        """
        wrap = await self._store.get(InboxWrap, inbox, epoch, user)
        if wrap is None:
            raise suites.broken("inbox wrap")
        record = await self._epoch_record(inbox, epoch, wrap)
        name = (inbox, epoch, user, hashlib.sha256(wrap.wrapped).digest())
        known = self._kept.get(name)
        if known is not None:
            self._kept.move_to_end(name)
            return known
        opened = inbox_key(await self._unwrap(wrap, record))
        if inbox_public(opened.secret) != record.public_key:
            raise suites.broken("inbox wrap")
        self._kept[name] = opened
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return opened

    async def _epoch_record(self, inbox: InboxId, epoch: int, wrap: InboxWrap) -> KeyRecord:
        """The newest record of the epoch, which must name this very wrap."""
        newest = await self._records.newest(KeyRecordKind.INBOX, inbox)
        if newest.epoch != epoch:
            of_epoch = [row for row in await self._store.key_records(KeyRecordKind.INBOX, inbox) if row.epoch == epoch]
            if not of_epoch:
                raise suites.broken("inbox key record")
            newest = await self._records.by_id(of_epoch[-1].id)
        entry = f"{wrap.member_record}={hashlib.sha256(wrap.wrapped).hexdigest()}"
        if entry not in newest.wraps or newest.administration != wrap.administration:
            raise suites.broken("inbox wrap")
        return newest

    async def _unwrap(self, wrap: InboxWrap, record: KeyRecord) -> bytes:
        member = await self._records.by_id(wrap.member_record)
        if member.kind is not KeyRecordKind.MEMBER or member.owner != wrap.user:
            raise suites.broken("member key record")
        row = await self._store.get(MemberKey, wrap.user, member.epoch)
        if row is None:
            raise suites.broken("member key")
        key = await self._hierarchy.get(row.administration, KeyLabel.MEMBERS)
        seed = suites.unwrap_gcm(
            key, row.wrapped, member_aad(row.administration, row.user, row.epoch), what="member key"
        )
        info = inbox_wrap_info(record.administration, wrap.inbox, wrap.epoch, member)
        try:
            return suites.HPKE.decrypt(wrap.wrapped, suites.private_key(seed), info=info)
        except (InvalidTag, ValueError) as fault:
            raise suites.broken("inbox wrap") from fault
