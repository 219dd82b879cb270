"""What a case system has at its message service: its messages under its own ids, and its conversations (ADR-0009).

Nothing here decides: what may be sent or opened is asked of memberships and rules at each act. These rows only say what
the client calls a thing, and what it has taken off its list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gateway.model.base import EnvelopeId, InboxId, Instant, MessageId, Row, UserId, VersionedRow


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemMessage(VersionedRow):
    """A message as a system knows it: one that it sent, under the id that it chose, or a received one that it let go.

    `envelope` is the recipient's. `fingerprint` is an HMAC of what was asked, so that a repeated call is told from
    another message under the same id. `sealed` holds what it said beside text and files, under the administration's
    keys. `gone` is that the system deleted it from its own list; members see it as before.
    """

    TABLE: ClassVar[str] = "system_message"
    KEY: ClassVar[tuple[str, ...]] = ("user", "id")

    user: UserId
    id: str
    inbox: InboxId
    message: MessageId
    envelope: EnvelopeId
    sent: bool
    gone: bool = False
    created_at: Instant
    fingerprint: bytes = b""
    sealed: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemThread(Row):
    """What a system calls a conversation, and which case that is: one row from each to the other.

    `name` is "conversation:" and the system's id with the case's id as `value`, or "case:" and the reverse.
    """

    TABLE: ClassVar[str] = "system_thread"
    KEY: ClassVar[tuple[str, ...]] = ("user", "name")

    user: UserId
    name: str
    value: str
