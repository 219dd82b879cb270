"""Notices by e-mail: what each user has chosen, and which mail is due to whom (docs/channels.md §9)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from gateway.model.base import InboxId, Instant, UserId, VersionedRow


class NoticeKind(StrEnum):
    """What a mail says; each is one sentence without content."""

    ARRIVED = "arrived"  # something new lies in the inbox
    UNFETCHED = "unfetched"  # nobody has opened it for long


class NoticeState(StrEnum):
    QUEUED = "queued"
    SENT = "sent"
    FAILED = "failed"  # the address takes nothing: its owner is told on the page of notices


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeChoice(VersionedRow):
    """How a user wants to be told. `sealed`: address, times, deputy, how many came back."""

    TABLE: ClassVar[str] = "notice_choice"
    KEY: ClassVar[tuple[str, ...]] = ("user",)

    user: UserId
    sealed: bytes
    changed_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeMail(VersionedRow):
    """The one mail that may be due to a user about an inbox; whatever happens until it goes is in it."""

    TABLE: ClassVar[str] = "notice_mail"
    KEY: ClassVar[tuple[str, ...]] = ("inbox", "user")

    inbox: InboxId
    user: UserId
    kind: NoticeKind
    state: NoticeState
    due_at: Instant
    sent_at: Instant  # the last one; 0: none yet
    attempts: int = 0
