"""What members write about a case between messages: rows sealed under the inbox epoch's work key.

AES-256-GCM-SIV with inbox, item, version and column as AAD: a row that is altered, moved to another item or put back
from an earlier version does not open.
"""

from __future__ import annotations

from gateway.envelope import ctx, u32
from gateway.model.base import InboxId, UserId
from gateway.model.keys import KeyRecordKind
from keys import suites
from keys.memberkeys import MemberKeys
from keys.records import Records


class InboxWorksheets:
    """The Worksheets port."""

    def __init__(self, records: Records, members: MemberKeys) -> None:
        self._records = records
        self._members = members

    async def epoch(self, inbox: InboxId) -> int:
        return (await self._records.newest(KeyRecordKind.INBOX, inbox)).epoch

    async def seal(
        self, inbox: InboxId, epoch: int, user: UserId, *, item: str, version: int, column: str, plaintext: bytes
    ) -> bytes:
        key = await self._members.open(inbox, epoch, user)
        return suites.lock(key.work, plaintext, _aad(inbox, item, version, column))

    async def open(
        self, inbox: InboxId, epoch: int, user: UserId, *, item: str, version: int, column: str, sealed: bytes
    ) -> bytes:
        key = await self._members.open(inbox, epoch, user)
        return suites.unlock(key.work, sealed, _aad(inbox, item, version, column), what="worksheet row")


def _aad(inbox: InboxId, item: str, version: int, column: str) -> bytes:
    return ctx("worksheet", inbox.encode(), item.encode(), u32(version), column.encode())
