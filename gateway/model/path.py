"""What travels: cases, consents, drafts, attachments, messages, envelopes, deliveries, receipts (design.md §2).

Clear columns are a closed list: ids, organisations, inboxes, form type, state, times, padded size, channel
(security-decisions S7). Whatever else a row must carry stands in a `sealed` field.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final

from gateway.model.base import (
    AdministrationId,
    AttachmentId,
    CaseId,
    ConsentId,
    DecidingRow,
    DecisionId,
    DeliveryId,
    DraftId,
    EnvelopeId,
    InboxId,
    Instant,
    KeyRecordId,
    MessageId,
    ReceiptId,
    Row,
    UserId,
    VersionedRow,
)
from gateway.states import AnswerState, CaseState, ConsentState, DeliveryState, HeldState, QuarantineState

#: How many ways to one recipient a sender can permit.
MAX_WAYS: Final = 4


class Channel(StrEnum):
    """How an envelope reaches its recipient (docs/channels.md §1)."""

    LOCAL = "local"
    SDK = "sdk"
    SMIME = "smime"
    LINK = "link"  # Cosmic Link, by hand
    HANDOVER = "handover"  # printed and carried or posted


class Origin(StrEnum):
    """Where the content came from; the sealer is always a gateway organisation (security-decisions H8)."""

    LOCAL = "local"
    SDK = "sdk-mk"
    SMIME = "smime"
    LINK = "link"
    PAPER = "paper"


class AttachmentState(StrEnum):
    UPLOADING = "uploading"
    QUARANTINED = "quarantined"
    ACCEPTED = "accepted"
    REFUSED = "refused"


class Look(StrEnum):
    """What became of one of the looks at a file (docs/channels.md §10)."""

    PASSED = "passed"
    NOT_SET_UP = "not-set-up"  # nobody looks in this way here; it counts only for as long as that is so


class ReceiptKind(StrEnum):
    DELIVERED = "delivered"
    OPENED = "opened"


@dataclass(frozen=True, slots=True)
class Way:
    """One way that the sender permits: a channel, and the function's address there; empty for a private address."""

    channel: Channel
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case(DecidingRow):
    """One person's matter as both sides may name it: `reference` is a speakable case name without meaning.

    `owner` is the case worker's inbox. `matched_units` is coordination state (P1): unit ids, in their order. State and
    match decide where stage 2 may go (D3), so the row carries a MAC.
    """

    TABLE: ClassVar[str] = "case_file"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: CaseId
    reference: str
    owner: InboxId
    state: CaseState
    before: str = ""  # the state before the last event, so that a sending can be undone
    matched_units: tuple[str, ...] = ()
    stage_2_at: Instant | None = None  # when stage 2 was last sent
    opened_at: Instant
    changed_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseParty(Row):
    """An inbox that takes part in a case, so that its members find it. `administration` is the inbox's.

    `opened_at` repeats the case's own, so that a page of a long list costs what the page costs.
    """

    TABLE: ClassVar[str] = "case_party"
    KEY: ClassVar[tuple[str, ...]] = ("case", "inbox")

    case: CaseId
    inbox: InboxId
    since: Instant
    opened_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent(DecidingRow):
    """A consent as the sender's administration holds it. What it covers stands in `sealed` (ConsentTerms)."""

    TABLE: ClassVar[str] = "consent"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: ConsentId
    case: CaseId
    state: ConsentState
    valid_from: Instant
    valid_to: Instant
    recorded_by: UserId
    recorded_at: Instant
    withdrawn_at: Instant | None = None
    sealed: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft(VersionedRow):
    """A form being written: sealed under the inbox's worksheet key, so it survives the session.

    `sent_as` names the message while it can still be taken back; then the draft returns, else it is swept.
    """

    TABLE: ClassVar[str] = "draft"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: DraftId
    inbox: InboxId
    epoch: int
    user: UserId
    case: CaseId
    form_type: str
    form_version: int
    sent_as: MessageId | None = None
    created_at: Instant
    changed_at: Instant
    sealed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment(VersionedRow):
    """A file sealed once at upload under its own key AK.

    `sealed` holds AK, name, type, category and plaintext size, under the inbox epoch's work key.
    """

    TABLE: ClassVar[str] = "attachment"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: AttachmentId
    draft: DraftId
    inbox: InboxId
    epoch: int
    state: AttachmentState
    blob: str  # random name in the blob store
    size: int  # octets of ciphertext
    sha256: bytes  # of the ciphertext
    created_at: Instant
    sealed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined(DecidingRow):
    """A file that is given to nobody until a scanner has spoken of it: the function where it lies, never its name.

    `inbox` is the writer's for an upload, the recipient's for an arrival; `channel` is the one that it came by.
    """

    TABLE: ClassVar[str] = "quarantined"
    KEY: ClassVar[tuple[str, ...]] = ("attachment",)

    attachment: AttachmentId
    inbox: InboxId
    channel: Channel
    size: int  # octets of ciphertext
    state: QuarantineState
    since: Instant
    changed_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class FileVerdict(DecidingRow):
    """That a file may be given to people: which looks it passed. A file without such a row is in quarantine.

    `sha256` is that of the sealed octets, so that the verdict is about these and no others. `administration` is that of
    the function where they were looked at.
    """

    TABLE: ClassVar[str] = "file_verdict"
    KEY: ClassVar[tuple[str, ...]] = ("attachment",)

    attachment: AttachmentId
    sha256: bytes  # of the ciphertext
    structure: Look
    malware: Look
    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Message(Row):
    """What one act of sending made. One Message has one Envelope per recipient and one for the sender.

    `document` is the blinded commitment that dual signatures name; empty when the form has none.
    """

    TABLE: ClassVar[str] = "message"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: MessageId
    case: CaseId
    form_type: str
    form_version: int
    sender: InboxId
    origin: Origin
    decision: DecisionId
    in_reply_to: MessageId | None = None
    document: bytes = b""
    created_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope(Row):
    """A sealed projection of a Message for exactly one inbox; `octets` is the whole SBD1 envelope.

    `administration` is the recipient's. `sender_copy` marks the sender's own complete envelope.
    """

    TABLE: ClassVar[str] = "envelope"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: EnvelopeId
    message: MessageId
    case: CaseId
    inbox: InboxId
    sender_copy: bool
    transcript: bytes  # TH, 32 octets
    created_at: Instant
    octets: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvelopeAttachment(Row):
    """That an envelope's manifest names a blob: which files an inbox can fetch."""

    TABLE: ClassVar[str] = "envelope_attachment"
    KEY: ClassVar[tuple[str, ...]] = ("envelope", "attachment")

    envelope: EnvelopeId
    attachment: AttachmentId
    blob: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery(VersionedRow):
    """The way of one Envelope to its recipient. Status is derived from here and from receipts, never set by hand.

    `lease_until` and `lease_owner` stand while a worker tries. `expires_at` is the form's time to live.
    """

    TABLE: ClassVar[str] = "delivery"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: DeliveryId
    envelope: EnvelopeId
    message: MessageId
    inbox: InboxId
    channel: Channel
    state: DeliveryState
    attempts: int = 0
    due_at: Instant
    lease_until: Instant | None = None
    lease_owner: str = ""
    expires_at: Instant
    delivered_at: Instant | None = None
    changed_at: Instant
    reference: str = ""  # what the neighbour calls it
    reason: str = ""  # a code of docs/channels.md §2.2: why it is where it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation(Row):
    """Which case a conversation with a party outside belongs to: another party's with the same id is another."""

    TABLE: ClassVar[str] = "conversation"
    KEY: ClassVar[tuple[str, ...]] = ("channel", "id", "party")

    channel: Channel
    id: str
    party: InboxId
    case: CaseId


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival(Row):
    """That a neighbour handed us a message: unique by its id there, so that it comes in once.

    `fingerprint` is an HMAC of what came, under the administration's K1.i: the same id with other content is refused.
    `answer` is the code that the neighbour was told, empty when it was taken. `references` is what the sender called
    the matter, sealed under the administration's keys: it goes back with an answer (SDK, B1.3.3 §4.3.2.3).
    """

    TABLE: ClassVar[str] = "arrival"
    KEY: ClassVar[tuple[str, ...]] = ("channel", "id")

    channel: Channel
    id: str
    inbox: InboxId
    message: MessageId
    fingerprint: bytes
    answer: str
    at: Instant
    references: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held(DecidingRow):
    """What came in and waits for a registrator to say where to (docs/channels.md §3.2), sealed to channel key `hold`.

    `inbox` is the registrator's, who sees this row and holds no key; `addressed` the inbox that the address names, the
    registrator's own when it is a collecting address. From the order on: `to`, who chose it and when, and the signature
    of the owner's administration over that choice. `reason` says why it came back from a choice that could not be.
    """

    TABLE: ClassVar[str] = "held"
    KEY: ClassVar[tuple[str, ...]] = ("envelope",)

    envelope: EnvelopeId
    inbox: InboxId
    addressed: InboxId
    channel: Channel
    arrival: str
    sender: InboxId
    conversation: str
    known: bool  # we have spoken in this conversation before
    size: int  # octets as they came
    files: int
    state: HeldState
    since: Instant
    changed_at: Instant
    to: InboxId | None = None
    ordered_by: UserId | None = None
    ordered_as: str = ""  # the function, as the recipient is told it
    ordered_at: Instant | None = None
    signer: KeyRecordId | None = None
    signature: bytes = b""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryConsent(Row):
    """That a delivery rests on a consent: withdrawal cancels what is queued and refuses what is unopened."""

    TABLE: ClassVar[str] = "delivery_consent"
    KEY: ClassVar[tuple[str, ...]] = ("delivery", "consent")

    delivery: DeliveryId
    consent: ConsentId


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt(Row):
    """A signed statement of the recipient's administration about one envelope, by transcript; kept byte for byte."""

    TABLE: ClassVar[str] = "receipt"
    KEY: ClassVar[tuple[str, ...]] = ("envelope", "kind")

    id: ReceiptId
    envelope: EnvelopeId
    message: MessageId
    inbox: InboxId
    kind: ReceiptKind
    at: Instant
    transcript: bytes
    signer: KeyRecordId
    octets: bytes  # the signed statement and its signature, as sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading(VersionedRow):
    """That a member has opened an envelope, and when first and last."""

    TABLE: ClassVar[str] = "reading"
    KEY: ClassVar[tuple[str, ...]] = ("envelope", "user")

    envelope: EnvelopeId
    user: UserId
    first_at: Instant
    last_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRecord(Row):
    """A decision to disclose, as taken: `sealed` holds rules, item classes, parties, basis and facts (K1.i)."""

    TABLE: ClassVar[str] = "decision"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: DecisionId
    case: CaseId
    at: Instant
    outcome: str
    policies: str  # digest of the policy set
    sealed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatAnswer(VersionedRow):
    """The joint answer of a board: who proposed, who is to confirm, what both signed (design.md §2).

    `document` is the blinded commitment; `proposal` the message seat -> other seat; `answer` the one that left.
    """

    TABLE: ClassVar[str] = "seat_answer"
    KEY: ClassVar[tuple[str, ...]] = ("proposal",)

    proposal: MessageId
    case: CaseId
    request: MessageId  # the referral that is answered
    proposer: InboxId
    confirmer: InboxId
    state: AnswerState
    document: bytes
    endorsement: bytes
    answer: MessageId | None = None
    proposed_by: UserId
    decided_by: UserId | None = None
    changed_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice(VersionedRow):
    """Something an inbox is to be told, without content. `about` is the id of what it is about, where there is one."""

    TABLE: ClassVar[str] = "notice"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: str
    inbox: InboxId
    kind: str
    case: CaseId
    about: str = ""
    state: str = "pending"
    created_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyRecord(Row):
    """The answer to a request that carried an Idempotency-Key; kept 30 days.

    `fingerprint` is an HMAC of the canonical request under K1.i, `answer` the ids that were given, as canonical JSON.
    """

    TABLE: ClassVar[str] = "idempotency"
    KEY: ClassVar[tuple[str, ...]] = ("inbox", "idempotency_key")

    inbox: InboxId
    idempotency_key: str
    fingerprint: bytes
    answer: str
    created_at: Instant


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How many deliveries of a channel stand in a state for one reason (a code of docs/channels.md §2.2)."""

    channel: Channel
    state: DeliveryState
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class Unfetched:
    """An inbox in which work lies that nobody has opened, how much, and since when."""

    inbox: InboxId
    count: int
    oldest: Instant


@dataclass(frozen=True, slots=True)
class InboxItem:
    """One line of an inbox, read without opening anything."""

    envelope: EnvelopeId
    message: MessageId
    case: CaseId
    case_reference: str
    form_type: str
    form_version: int
    sender: InboxId
    sender_administration: AdministrationId
    inbox: InboxId
    delivery: DeliveryId
    state: DeliveryState
    delivered_at: Instant
