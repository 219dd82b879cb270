"""What the API tells a case system, as frozen values; members that a newer gateway adds are passed over.

Why this exists: a case system should handle values with names and types, not dictionaries, and must go on working when
an answer has more in it than it knew of. Times are microseconds in UTC, as everywhere here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from gateway.model.base import AttachmentId, CaseId, ConsentId, DraftId, EnvelopeId, InboxId, Instant, MessageId, UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A value that came as an object of JSON."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """The members of `body` that this kind has; a list becomes a tuple."""
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(
            **{
                name: tuple(value) if isinstance(value, list) else value
                for name, value in body.items()
                if name in names
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Token(Told):
    token: str
    ends_at: Instant
    user: UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class Window(Told):
    """An inbox is open for reading until `ends_at`."""

    inbox: InboxId
    ends_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxTold(Told):
    id: InboxId
    name: str
    kind: str
    unit: str
    accepts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseTold(Told):
    id: CaseId
    reference: str
    owner: InboxId
    state: str
    matched_units: tuple[str, ...]
    opened_at: Instant
    changed_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageTold(Told):
    id: MessageId
    form_type: str
    sender: InboxId
    in_reply_to: str
    created_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryTold(Told):
    message: MessageId
    envelope: EnvelopeId
    inbox: InboxId
    state: str
    delivered_at: Instant | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseWhole:
    """A case with what was sent in it and how far it has come."""

    case: CaseTold
    parties: tuple[InboxId, ...]
    messages: tuple[MessageTold, ...]
    deliveries: tuple[DeliveryTold, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentTold(Told):
    id: ConsentId
    case: CaseId
    state: str
    valid_from: Instant
    valid_to: Instant
    purposes: tuple[str, ...]
    categories: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftTold(Told):
    id: DraftId
    version: int
    inbox: InboxId
    case: CaseId
    form_type: str
    form_version: int
    changed_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewTold(Told):
    """What one inbox would get; with `denied` nothing, and why."""

    inbox: InboxId
    stage: str
    denied: bool
    sent: tuple[str, ...]
    held_back: tuple[str, ...]
    warnings: tuple[str, ...]
    reason: str
    next_step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SentTold(Told):
    """Taken in; `repeated` when this call was answered before."""

    message: MessageId
    repeated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedTold(Told):
    envelope: EnvelopeId
    message: MessageId
    case: CaseId
    case_reference: str
    form_type: str
    sender: InboxId
    state: str
    delivered_at: Instant
    read: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTold(Told):
    id: AttachmentId
    name: str
    media_type: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedTold(Told):
    """A message as its reader may have it; `fields` are the answers."""

    envelope: EnvelopeId
    message: MessageId
    case: CaseId
    form_type: str
    form_version: int
    sender: InboxId
    fields: Mapping[str, Any]
    held_back: tuple[str, ...]
    files: tuple[FileTold, ...]
    signers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkTold(Told):
    """A line of a shared inbox. `claim_version` names a claim to take over; 0 when nobody has it."""

    envelope: EnvelopeId
    message: MessageId
    case: CaseId
    case_reference: str
    form_type: str
    sender: InboxId
    state: str
    received_at: Instant
    due_at: Instant | None
    holder: str
    claim_version: int
    waits: str
    overdue: bool
