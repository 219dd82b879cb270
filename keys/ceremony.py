"""Acts that make keys: an administration, a member, an inbox, one more member. Each returns rows, and commits nothing.

Why this exists: a key that is in use but not logged would be a reader nobody sees. So the rows of a key act go into the
caller's transaction together with its audit entry, and every public half gets a signed record.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

from gateway.model.base import AdministrationId, Instant, UserId
from gateway.model.directory import Inbox
from gateway.model.identity import User
from gateway.model.keys import InboxWrap, KeyLabel, KeyRecord, KeyRecordKind, MemberKey
from gateway.ports import Ceremony, Change, Insert, Store
from keys import suites
from keys.channelkeys import HOLD, OUT, ChannelKeys, channel_owner, channel_public, new_secret
from keys.hierarchy import Hierarchy
from keys.memberkeys import MemberKeys, inbox_public, inbox_wrap_info, member_aad, wrap_entry
from keys.records import Records

FIRST_EPOCH: Final = 1


class Ceremonies:
    """The KeyMaker port."""

    def __init__(
        self, store: Store, hierarchy: Hierarchy, records: Records, members: MemberKeys, channels: ChannelKeys
    ) -> None:
        self._store = store
        self._hierarchy = hierarchy
        self._records = records
        self._members = members
        self._channels = channels

    async def administration(self, administration: AdministrationId, *, at: Instant) -> Ceremony:
        """K1 keys, as rows. The signing record needs them committed: it is `signing`, the next act."""
        rows = self._hierarchy.make(administration, at=at)
        return Ceremony(tuple(Insert(row) for row in rows), None)

    async def signing(self, administration: AdministrationId, *, by: str, at: Instant) -> Ceremony:
        """The record of S of an administration whose K1 keys are committed."""
        public = suites.signing_public(await self._records.signing_seed(administration))
        record, changes = await self._records.make(
            administration,
            KeyRecordKind.SIGNING,
            administration,
            public,
            epoch=FIRST_EPOCH,
            by=by,
            approval="bootstrap",
            at=at,
        )
        return Ceremony(changes, record)

    async def channels(self, administration: AdministrationId, *, by: str, at: Instant) -> Ceremony:
        """`out`, `hold` and the intake key of an administration whose signing record is committed."""
        changes: list[Change] = []
        for name in (OUT, HOLD):
            secret = new_secret()
            record, made = await self._records.make(
                administration,
                KeyRecordKind.CHANNEL,
                channel_owner(administration, name),
                channel_public(secret),
                epoch=FIRST_EPOCH,
                by=by,
                approval="bootstrap",
                at=at,
            )
            row = await self._channels.row(administration, name, secret, record.id, FIRST_EPOCH, at)
            changes += [*made, Insert(row)]
        record, made = await self._records.make(
            administration,
            KeyRecordKind.INTAKE,
            administration,
            suites.signing_public(await self._records.signing_seed(administration, intake=True)),
            epoch=FIRST_EPOCH,
            by=by,
            approval="bootstrap",
            at=at,
        )
        return Ceremony((*changes, *made), record)

    async def member(self, user: User, *, by: str, at: Instant) -> Ceremony:
        """K2 of a user, made with the user."""
        seed = secrets.token_bytes(32)
        record, changes = await self._records.make(
            user.administration,
            KeyRecordKind.MEMBER,
            user.id,
            suites.public_octets(seed),
            epoch=FIRST_EPOCH,
            by=by,
            approval="user",
            at=at,
        )
        key = await self._hierarchy.get(user.administration, KeyLabel.MEMBERS)
        row = MemberKey(
            administration=user.administration,
            user=user.id,
            epoch=FIRST_EPOCH,
            record=record.id,
            wrapped=suites.wrap_gcm(key, seed, member_aad(user.administration, user.id, FIRST_EPOCH)),
            created_at=at,
        )
        return Ceremony((*changes, Insert(row)), record)

    async def inbox(self, inbox: Inbox, members: Sequence[UserId], *, by: str, at: Instant) -> Ceremony:
        """Epoch 1 of an inbox, wrapped to its first members; their member keys must be committed."""
        secret = secrets.token_bytes(32)
        wraps = [await self._wrap(inbox, FIRST_EPOCH, secret, user) for user in members]
        record, changes = await self._records.make(
            inbox.administration,
            KeyRecordKind.INBOX,
            inbox.id,
            inbox_public(secret),
            epoch=FIRST_EPOCH,
            wraps=[entry for _, entry in wraps],
            by=by,
            approval="bootstrap",
            at=at,
        )
        return Ceremony((*changes, *(Insert(row) for row, _ in wraps)), record)

    async def admit(self, inbox: Inbox, user: UserId, *, by: UserId, at: Instant) -> Ceremony:
        """Wrap the inbox's newest epoch to one more member, through the wrap of `by`, who is present."""
        newest = await self._records.newest(KeyRecordKind.INBOX, inbox.id)
        opened = await self._members.open(inbox.id, newest.epoch, by)
        row, entry = await self._wrap(inbox, newest.epoch, opened.secret, user)
        record, changes = await self._records.make(
            inbox.administration,
            KeyRecordKind.INBOX,
            inbox.id,
            newest.public_key,
            epoch=newest.epoch,
            revision=newest.revision + 1,
            wraps=[*newest.wraps, entry],
            by=by,
            approval=by,
            at=at,
        )
        extra: list[Change] = [Insert(row)]
        return Ceremony((*changes, *extra), record)

    async def _wrap(self, inbox: Inbox, epoch: int, secret: bytes, user: UserId) -> tuple[InboxWrap, str]:
        member: KeyRecord = await self._records.newest(KeyRecordKind.MEMBER, user)
        info = inbox_wrap_info(inbox.administration, inbox.id, epoch, member)
        wrapped = suites.HPKE.encrypt(secret, suites.public_key(member.public_key), info=info)
        row = InboxWrap(
            administration=inbox.administration,
            inbox=inbox.id,
            epoch=epoch,
            user=user,
            member_record=member.id,
            wrapped=wrapped,
        )
        return row, wrap_entry(member, wrapped)
