"""What the path needs from the outside, as Protocols: time, store, blobs, keys, policies.

Why this exists: arrows point to `gateway` only. Adapters, keys and policies implement these; `gateway.__main__` plugs
them in; tests use real implementations (the store in memory keeps the same contract as the SQL stores).

Rules: a Store changes only by `commit`, and one Work is one transaction with its audit entries in it. *Acknowledged
means durable, one visible copy, logged; not acknowledged means absent or whole.*
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from gateway.measures import UNMEASURED as UNMEASURED
from gateway.measures import Metrics as Metrics
from gateway.model import carrying, directory, identity, keys, log, notices, path, queue, systems
from gateway.model.base import (
    AdministrationId,
    AttachmentId,
    CaseId,
    ConsentId,
    DecisionId,
    DraftId,
    EnvelopeId,
    Fact,
    InboxId,
    Instant,
    KeyRecordId,
    MessageId,
    Row,
    ShredBatchId,
    ShredKeyId,
    UserId,
)
from gateway.states import DeliveryState, HandOverState, HeldState, QuarantineState

R = TypeVar("R", bound=Row)


class Clock(Protocol):
    """Time comes from here alone, so that tests can set it."""

    def now(self) -> Instant: ...


# --- store -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Insert:
    """Add a row. A row with the same key (or another unique column) makes the whole Work fail with ConflictError."""

    row: Row


@dataclass(frozen=True, slots=True)
class Update:
    """Replace a versioned row by one whose version is exactly one higher; else the Work fails with ConflictError."""

    row: Row  # a VersionedRow


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a row by key; removing what is not there is no error."""

    row: type[Row]
    key: tuple[str | int, ...]


Change = Insert | Update | Delete
#: Rows that hold what people write. Receipts, states, sessions, consents and the log are none of them.
CONTENT: Final = (path.Message, path.Draft, path.Attachment, queue.Worksheet)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One transaction: what it expects, what it changes, what it logs; all of it or nothing.

    The store checks `expects` under the transaction's own lock, applies `changes` in order, numbers `entries`
    and writes them with their side rows.
    """

    expects: tuple[Fact, ...] = ()
    changes: tuple[Change, ...] = ()
    entries: tuple[log.LogEntry, ...] = ()

    @property
    def brings_content(self) -> bool:
        """Whether it adds what people write; refused when only the disk's reserve is left, unlike the rest."""
        return any(not isinstance(change, Delete) and isinstance(change.row, CONTENT) for change in self.changes)


@dataclass(frozen=True, slots=True)
class Committed:
    """Durable. `at` is the transaction's time, `numbers` the leaf numbers of the entries, in order."""

    at: Instant
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page of a list ended: the time and id of its last line."""

    at: Instant
    id: str


@dataclass(frozen=True, slots=True)
class QueueSigns:
    """The outbox from the outside: how many deliveries are in each state that asks for somebody's eye, counted no
    further than asked, and when the oldest one that waits was due."""

    deliveries: Mapping[str, int]
    oldest_due: Instant | None


class Store(Protocol):
    """Durable rows. Reads see committed state; lists are newest first unless said, at most `limit` (1..200) long."""

    async def commit(self, work: Work) -> Committed:
        """Do all of `work` in one durable transaction.

        Raises:
            DecisionStaleError: an expected fact moved, or its `valid_until` is not after the transaction's time.
            ConflictError: a key exists already, or an updated row has another version.
            StoreUnavailableError, StoreFullError: locked beyond 5 s, read-only, or no space; nothing was written.
        """

    async def until_broken(self) -> None:
        """Returns when this store will write no more: its disk failed, and only a new process may go on."""

    async def get(self, row: type[R], *key: str | int) -> R | None:
        """The row with that key."""

    async def get_many(self, row: type[R], keys: Sequence[tuple[str | int, ...]]) -> list[R]:
        """Those of the rows that exist, in the order asked for; one round trip."""

    async def claim_due(
        self, channel: path.Channel, *, now: Instant, lease_until: Instant, owner: str, limit: int
    ) -> list[path.Delivery]:
        """Move due QUEUED deliveries, oldest first, to ATTEMPTING under a lease; two workers never share one."""

    async def lapsed_leases(self, *, now: Instant, limit: int) -> list[path.Delivery]:
        """ATTEMPTING deliveries whose lease ended: the worker crashed or was cancelled."""

    async def postdated(self, channel: path.Channel, *, after: Instant, limit: int) -> list[path.Delivery]:
        """Deliveries whose next try or whose lease lies after an instant: dated by a clock that was set back since."""

    async def in_transit(self, channel: path.Channel, *, now: Instant, limit: int) -> list[path.Delivery]:
        """IN_TRANSIT deliveries of a channel whose `due_at` has come: the neighbour is asked about them."""

    # directory
    async def organisations(self) -> list[directory.Organisation]: ...
    async def administrations(self) -> list[directory.Administration]: ...
    async def units(self) -> list[directory.Unit]: ...
    async def inboxes(self) -> list[directory.Inbox]: ...
    async def boards(self) -> list[directory.Board]: ...
    async def routes(self) -> list[directory.Route]: ...

    # identity
    async def users(self) -> list[identity.User]: ...
    async def user_by_login(self, login: str) -> identity.User | None: ...
    async def sessions_of(self, user: UserId) -> list[identity.Session]: ...
    async def lapsed_windows(self, *, before: Instant, limit: int) -> list[identity.StepUpWindow]:
        """Windows of a second factor that ended before an instant, the oldest first."""

    async def lapsed_grants(self, *, before: Instant, limit: int) -> list[identity.ActGrant]:
        """Grants for one act, spent or not, that ended before an instant, the oldest first."""

    async def memberships_of(self, user: UserId) -> list[identity.Membership]: ...
    async def members_of(self, inbox: InboxId) -> list[identity.Membership]: ...

    # keys
    async def administration_keys(self, administration: AdministrationId) -> list[keys.AdministrationKey]: ...
    async def key_records(self, kind: keys.KeyRecordKind, owner: str) -> list[keys.KeyRecord]:
        """All records of one owner, oldest first (epoch, then revision)."""

    async def inbox_wraps(self, inbox: InboxId, epoch: int) -> list[keys.InboxWrap]: ...
    async def open_batches(self) -> list[keys.ShredBatch]: ...
    async def shred_keys_in_use(self, batch: ShredBatchId) -> set[ShredKeyId]:
        """Shred keys of the batch that a wrap, a side key or a side row refers to."""

    # cases, consents, drafts
    async def cases_of(self, inbox: InboxId, *, after: Cursor | None, limit: int) -> list[path.Case]:
        """Cases that the inbox owns or is party to, newest `opened_at` first."""

    async def parties_of(self, case: CaseId) -> list[path.CaseParty]: ...
    async def consents_of(self, case: CaseId) -> list[path.Consent]: ...
    async def drafts_of(self, inbox: InboxId, *, after: Cursor | None, limit: int) -> list[path.Draft]: ...
    async def attachments_of(self, draft: DraftId) -> list[path.Attachment]: ...

    # messages
    async def inbox_page(self, inbox: InboxId, *, after: Cursor | None, limit: int) -> list[path.InboxItem]:
        """Delivered or opened envelopes of an inbox (no sender copies), newest `delivered_at` first, without octets."""

    async def conversations_of(self, case: CaseId) -> list[path.Conversation]:
        """With whom outside this case is spoken of, and under which id."""

    async def notices_waiting(self, inbox: InboxId, *, limit: int) -> list[path.Notice]:
        """What an inbox is still to be told, oldest first."""

    async def notice_mails_due(self, *, now: Instant, limit: int) -> list[notices.NoticeMail]:
        """Mails to members that are queued and due, the oldest first."""

    async def system_messages(self, user: UserId, *, limit: int) -> list[systems.SystemMessage]:
        """What a system sent and has not let go, newest first."""

    async def arrivals_of(self, message: MessageId) -> list[path.Arrival]:
        """What came in as this message: one for each inbox that it was addressed to."""

    async def messages_of(self, case: CaseId, *, limit: int) -> list[path.Message]: ...
    async def envelopes_of(self, message: MessageId) -> list[path.Envelope]:
        """All envelopes of the message, with their octets."""

    async def deliveries_of(self, message: MessageId) -> list[path.Delivery]: ...
    async def deliveries_resting_on(self, consent: ConsentId) -> list[path.Delivery]: ...
    async def consents_under(self, envelope: EnvelopeId) -> list[path.Consent]:
        """The consents that the delivery of this envelope rests on."""

    async def receipts_of(self, message: MessageId) -> list[path.Receipt]: ...
    async def readings_of(self, envelope: EnvelopeId) -> list[path.Reading]: ...
    async def attachments_under(self, envelope: EnvelopeId) -> list[path.EnvelopeAttachment]: ...
    async def answers_of(self, case: CaseId) -> list[path.SeatAnswer]: ...
    async def opened_without_receipt(self, *, since: Instant, limit: int) -> list[path.Delivery]:
        """Deliveries OPENED after `since` whose OPENED receipt a crash kept from being written."""

    async def blobs_in_use(self, names: Sequence[str]) -> set[str]:
        """Those of the blob names that a row refers to."""

    async def quarantined(self, state: QuarantineState, *, limit: int) -> list[path.Quarantined]:
        """Files in quarantine in a state, newest first."""

    async def held(self, state: HeldState, *, limit: int) -> list[path.Held]:
        """What is held in a state, the longest first."""

    async def held_at(self, inbox: InboxId, state: HeldState, *, limit: int) -> list[path.Held]:
        """What a registrator's inbox holds in a state, the longest first."""

    async def held_in(self, channel: path.Channel, conversation: str, sender: InboxId) -> list[path.Held]:
        """What of one conversation with one sender is or was held, the longest first; at most 200."""

    # work
    async def open_tasks(self, inbox: InboxId, *, limit: int) -> list[queue.Task]:
        """The open tasks of an inbox, oldest first; what is done is never read for it."""

    async def done_tasks(self, inbox: InboxId, *, after: Cursor | None, limit: int) -> list[queue.Task]:
        """Done tasks, newest `changed_at` first."""

    async def done_count(self, inbox: InboxId, *, most: int) -> int:
        """How many are done, counted no further than `most`."""

    async def worksheets_of(self, inbox: InboxId, item: str) -> list[queue.Worksheet]:
        """All that members of the inbox wrote about an item, oldest first."""

    async def marks_of(self, administration: AdministrationId, mark: str, *, limit: int) -> list[queue.IdentityMark]:
        """The cases of an administration that carry this mark."""

    async def case_by_reference(self, reference: str) -> path.Case | None: ...

    async def recalls_page(
        self, administration: AdministrationId, *, after: Cursor | None, limit: int
    ) -> list[queue.Recall]:
        """Recalls that were asked of an administration, newest `requested_at` first."""

    async def register_page(
        self, administration: AdministrationId, *, after: Cursor | None, limit: int
    ) -> list[queue.RegisterLine]:
        """What the inboxes of an administration have received, newest first, without octets."""

    async def unopened_of(self, administration: AdministrationId, *, limit: int) -> list[path.Delivery]:
        """Deliveries that are delivered and not opened, oldest change first."""

    async def transport_page(
        self, *, state: str, message: str, after: Cursor | None, limit: int
    ) -> list[path.Delivery]:
        """Deliveries of the whole gateway, newest `changed_at` first; empty text filters nothing."""

    async def deliveries_to_carry(self, inbox: InboxId, *, limit: int) -> list[path.Delivery]:
        """What an inbox sent that waits for one of its people, or lies with one: by hand, oldest due first."""

    async def hand_overs_of(self, inbox: InboxId, state: HandOverState, *, limit: int) -> list[carrying.HandOver]:
        """The hand-overs of an inbox in one state, newest first."""

    async def ended_due(self, channel: path.Channel, *, now: Instant, limit: int) -> list[path.Delivery]:
        """Deliveries of a channel that have ended, whichever way, and whose `due_at` has come (gateway.closing)."""

    async def overdue(self, channel: path.Channel, *, now: Instant, limit: int) -> list[path.Delivery]:
        """QUEUED and IN_TRANSIT deliveries of a channel whose time to live has ended."""

    async def draft_sent_as(self, message: MessageId) -> path.Draft | None:
        """The draft that was sent as this message, while it can be taken back."""

    async def sent_drafts(self, *, before: Instant, limit: int) -> list[path.Draft]:
        """Drafts that were sent before an instant and still stand because they could be taken back."""

    # log
    async def sides_page(
        self, log: str, *, action: str, administration: str, object: str, before: int, limit: int
    ) -> list[log.AuditSide]:
        """Side rows with a number below `before`, newest first; empty text filters nothing."""

    async def acts_of(self, actor: bytes, action: str, *, since: Instant, most: int) -> int:
        """How many acts of a kind a pseudonym has in the log since an instant, counted no further than `most`."""

    async def log_size(self, log: str) -> int: ...
    async def leaves(self, log: str, start: int, end: int) -> list[log.AuditLeaf]:
        """Leaves start <= number < end, in order."""

    async def leaf_columns(self, log: str, start: int, end: int) -> Sequence[tuple[int, bytes, bytes]]:
        """Number, leaf and hash of each of those, for who reads a whole log: without an object for each."""

    async def sides(self, log: str, start: int, end: int) -> list[log.AuditSide]: ...
    async def last_checkpoint(self, log: str) -> log.Checkpoint | None: ...
    async def checkpoints(self, log: str) -> list[log.Checkpoint]:
        """All checkpoints, smallest size first."""

    async def logs(self) -> list[str]: ...

    # for operators
    async def queue_signs(self, *, most: int) -> QueueSigns:
        """Deliveries queued, attempting, failed and expired, each counted no further than `most`."""

    async def counts_by_reason(
        self, channel: path.Channel, state: DeliveryState, *, most: int
    ) -> list[path.ReasonCount]:
        """The deliveries of a channel in a state, by reason, counted no further than `most` in all."""

    async def unfetched(self, *, before: Instant, limit: int) -> list[path.Unfetched]:
        """Inboxes with an open task that came before an instant and whose envelope nobody has opened, oldest first."""

    async def listings(self, channel: path.Channel) -> list[directory.Listing]:
        """Every address of a channel's address book, those that are gone too, by address."""

    async def leaving_for(self, inbox: InboxId, channel: path.Channel, *, most: int) -> int:
        """How many deliveries to an inbox are queued, tried or in transit on a channel, counted no further than
        `most`."""

    async def reached_at(self, inbox: InboxId) -> Instant | None:
        """When something was last delivered to an inbox; None: never."""

    async def check_writable(self) -> None:
        """Go through a transaction as a commit does, and change nothing.

        Raises:
            StoreUnavailableError, StoreFullError: a commit would not go through now.
        """

    async def close(self) -> None: ...


class Blobs(Protocol):
    """Sealed attachments: create-only, durable before `put` returns."""

    async def put(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        """Write, fsync, link create-only, fsync the folder. An exception from `chunks` leaves nothing behind."""

    def read(self, name: str) -> AsyncIterator[bytes]:
        """The octets in pieces of at most 256 KiB. Raises NotFoundError."""

    async def size(self, name: str) -> int:
        """Octets of a blob. Raises NotFoundError."""

    async def delete(self, name: str) -> None: ...
    async def names(self, *, before: Instant) -> list[str]:
        """Blobs published before an instant: a younger one may belong to a commit that is on its way."""

    async def check_writable(self) -> None:
        """Write and remove a file. Raises StoreUnavailableError, StoreFullError."""


class TileStore(Protocol):
    """Where the log's tiles and checkpoint are published (C2SP tlog-tiles paths such as `tile/0/000.p/5`)."""

    def read(self, log: str, name: str) -> bytes | None: ...
    def write(self, log: str, name: str, octets: bytes) -> None:
        """Write, fsync, rename. Overwriting with other octets is allowed for `checkpoint` only."""

    def replace(self, log: str, name: str, octets: bytes) -> None:
        """The same, whatever stands there: for `gateway.fsck`, which has computed it from signed leaves."""

    def names(self, log: str) -> list[str]: ...


# --- keys ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ShredKey:
    """32 random octets that lock one wrap (or the side rows of one scope); deleting it is gallring."""

    id: ShredKeyId
    batch: ShredBatchId
    key: bytes


class ShredKeys(Protocol):
    """The key store: a batch is durable here before any of its keys is used (security-decisions §4(c))."""

    async def take(self, count: int) -> list[ShredKey]:
        """Fresh keys. Their batches stand OPEN in the message store; an accept expects that as a Fact."""

    async def batch(self, batch: ShredBatchId) -> keys.ShredBatch:
        """The batch row as inserted, for the Fact."""

    async def get(self, key: ShredKeyId) -> bytes:
        """Raises IntegrityError when it is gone: shredded, or lost without a leaf (an alarm)."""

    async def destroy(self, ids: Sequence[ShredKeyId]) -> None: ...
    async def until_broken(self) -> None:
        """As of `Store`."""

    async def check(self) -> None:
        """Read from the key store. Raises StoreUnavailableError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentKey:
    """What a payload carries of an attachment: enough to open its blob."""

    id: AttachmentId
    key: bytes  # AK
    name: str
    media_type: str
    size: int  # octets of plaintext
    sealed_size: int
    sealed_sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsement:
    """One authority's signature over a document commitment (design.md §2: the two-seat answer)."""

    administration: AdministrationId
    signer: KeyRecordId
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A projection ready to be sealed for one inbox. `body` is the payload's content, JSON without floats.

    `document_blind` is set when `document` is: it travels inside the payload, so both parties can recompute the
    commitment and nobody else can guess the content.
    """

    envelope: EnvelopeId
    message: MessageId
    sender: directory.Inbox
    recipient: directory.Inbox
    sender_copy: bool
    origin: path.Origin
    form_type: str
    form_version: int
    created: Instant
    decision: DecisionId
    not_after: Instant
    body: Mapping[str, object]
    attachments: tuple[AttachmentKey, ...] = ()
    siblings: tuple[tuple[EnvelopeId, bytes], ...] = ()
    document: bytes = b""
    document_blind: bytes = b""
    endorsements: tuple[Endorsement, ...] = ()
    ways: tuple[path.Way, ...] = ()
    hold: bool = False  # for nobody yet: sealed to the channel key `hold` of the recipient's administration

    @property
    def sealer(self) -> AdministrationId:
        """Whose gateway signs: the sender's for what was written here, the recipient's own for what came in."""
        return self.sender.administration if self.origin is path.Origin.LOCAL else self.recipient.administration

    @property
    def keeper(self) -> AdministrationId:
        """Whose key opens it: the recipient's, or the sealer's own channel key while it is on its way out."""
        return self.sealer if self.ways else self.recipient.administration


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A sealed envelope and its locked wrap, and the facts both rest on (key epoch, open batch)."""

    octets: bytes
    transcript: bytes
    wrap: keys.EnvelopeWrap
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What an envelope held, after every check of docs/envelope.md that needs no form."""

    form_version: int
    body: Mapping[str, object]
    attachments: tuple[AttachmentKey, ...]
    siblings: tuple[tuple[EnvelopeId, bytes], ...]
    document: bytes
    document_blind: bytes
    endorsements: tuple[Endorsement, ...]


class Sealer(Protocol):
    """Seal, then sign what is sealed (security-decisions S2)."""

    async def seal(self, letter: Letter) -> Sealed:
        """Raises IntegrityError when the recipient's newest key record does not verify, ValueError above 1 MiB."""

    def commit_document(self, content: Mapping[str, object]) -> tuple[bytes, bytes]:
        """A fresh blinded commitment to `content`: (commitment, blind)."""

    def check_document(self, content: Mapping[str, object], commitment: bytes, blind: bytes) -> None:
        """Raises EnvelopeError when the commitment is to something else."""

    async def endorse(self, administration: AdministrationId, document: bytes) -> Endorsement: ...
    async def order(self, administration: AdministrationId, choice: Sequence[str], *, at: Instant) -> Endorsement:
        """The administration's signature over where held mail goes (docs/channels.md §3.2): all that `choice` names."""

    async def check_order(self, order: Endorsement, choice: Sequence[str], *, at: Instant) -> None:
        """Raises EnvelopeError unless `order` is its administration's signature over this very choice."""

    async def check_endorsement(self, endorsement: Endorsement, document: bytes, *, at: Instant) -> None: ...

    async def own_key(self, administration: AdministrationId, public_key: bytes) -> str:
        """What `check_outside` is to hold a signature of an administration of ours to (SHA-256, hexadecimal).

        That of `public_key` when it is or was its signing key, else that of the key it has now.
        """

    def check_outside(
        self, public_key: bytes, signature: bytes, administration: AdministrationId, document: bytes, pinned: str
    ) -> bool:
        """Whether a signature of an authority outside is under the key that `pinned` (SHA-256, hexadecimal) names.

        False when nothing is pinned. Raises EnvelopeError when the signature does not hold, or another key is pinned.
        """

    async def receipt(self, envelope: path.Envelope, kind: path.ReceiptKind, *, at: Instant) -> path.Receipt:
        """A receipt signed by the recipient's administration over the envelope's transcript."""

    async def check_receipt(self, receipt: path.Receipt) -> None:
        """Raises EnvelopeError unless the receipt is the one its signer made."""


class Opener(Protocol):
    async def verify(self, envelope: path.Envelope, message: path.Message) -> None:
        """All checks that need no secret: limits, suite, recipient, sealer's record, signatures, body digest.

        The rows must say what the header says. Raises EnvelopeError (one outward error).
        """

    async def open(self, envelope: path.Envelope, wrap: keys.EnvelopeWrap, user: UserId) -> Opened:
        """Open as `user`, a member; after the audit event is durable. Raises EnvelopeError, one for every cause."""

    async def open_leaving(self, envelope: path.Envelope, wrap: keys.EnvelopeWrap, way: path.Way) -> Opened:
        """Open what leaves by `way`, with the channel key of its sealer; after `dispatched` is durable.

        Raises EnvelopeError for an envelope to an inbox, and for a way that its header does not list.
        """

    async def open_held(self, envelope: path.Envelope, wrap: keys.EnvelopeWrap) -> Opened:
        """Open what is held, with the channel key `hold`; after the registrator's order is durable.

        Raises EnvelopeError for everything else, and when it does not verify.
        """


class AttachmentSealer(Protocol):
    """Attachments are sealed once, at upload, in a stream (Cobblestone-256)."""

    def new_key(self) -> bytes: ...
    def seal(
        self, key: bytes, administration: AdministrationId, attachment: AttachmentId, chunks: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]: ...
    def open(
        self, file: AttachmentKey, administration: AdministrationId, chunks: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """Plaintext; the last piece is held back until length and SHA-256 match, else EnvelopeError."""


class Worksheets(Protocol):
    """Rows that members write: AES-256-GCM-SIV under the inbox epoch's work key (security-decisions S7)."""

    async def epoch(self, inbox: InboxId) -> int: ...
    async def seal(
        self, inbox: InboxId, epoch: int, user: UserId, *, item: str, version: int, column: str, plaintext: bytes
    ) -> bytes: ...
    async def open(
        self, inbox: InboxId, epoch: int, user: UserId, *, item: str, version: int, column: str, sealed: bytes
    ) -> bytes:
        """Raises IntegrityError when the row was altered or moved."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """A proposal of priority: people decide (domain.md §4). `reasons` are codes; `rule` names the rule's version."""

    rank: tuple[int, int]  # class 1-4 and place within it; lower comes first
    reasons: tuple[str, ...]
    urgent: bool
    rule: str


class Priority(Protocol):
    """The priority order of the board, computed by each seat from its own envelope."""

    def assess(self, fields: Mapping[str, object]) -> Assessment: ...


class Vault(Protocol):
    """Small secrets and authenticity under an administration's own keys."""

    async def mac(self, administration: AdministrationId, octets: bytes) -> bytes:
        """HMAC-SHA256 under a key derived from K1.i for rows that decide; 32 octets."""

    async def fingerprint(self, administration: AdministrationId, purpose: str, octets: bytes) -> bytes:
        """HMAC-SHA256 under another key derived from K1.i for `purpose`: request fingerprints, blind indexes."""

    async def seal_field(self, administration: AdministrationId, context: str, plaintext: bytes) -> bytes:
        """AES-256-GCM-SIV under K1.i; `context` (table, key, version, column) is AAD: TOTP seeds, consent terms."""

    async def open_field(self, administration: AdministrationId, context: str, sealed: bytes) -> bytes: ...
    async def pseudonym(self, administration: AdministrationId, year: int, user: UserId) -> bytes:
        """HMAC under P of that year (from K1.a): 16 octets."""

    async def seal_side(
        self, administration: AdministrationId, shred_key: ShredKeyId, context: str, plaintext: bytes
    ) -> bytes:
        """Side rows: under HKDF(K1.a, shred key), so that deleting either erases."""

    async def open_side(
        self, administration: AdministrationId, shred_key: ShredKeyId, context: str, sealed: bytes
    ) -> bytes: ...
    async def sign_note(self, origin: str, text: str) -> str:
        """A C2SP signed note: `text`, blank line, signature line under L with key name `origin`."""

    async def note_key(self, origin: str) -> str:
        """The verifier key (vkey) of L for `origin`."""

    def check_note(self, note: str, vkey: str) -> bool:
        """Whether `note` bears a signature that holds under `vkey`."""

    def hash_password(self, password: str) -> bytes:
        """Argon2id (19 MiB, t=2, p=1) as a PHC string. Blocks about 50 ms: call in a thread."""

    def check_password(self, password: str, phc: bytes) -> bool: ...


@dataclass(frozen=True, slots=True)
class Ceremony:
    """Rows that a key act makes, to be committed with its audit entry."""

    changes: tuple[Change, ...]
    record: keys.KeyRecord | None


class KeyMaker(Protocol):
    """Acts that make keys. Each returns rows; the caller commits them with the act's other rows in one Work."""

    async def administration(self, administration: AdministrationId, *, at: Instant) -> Ceremony:
        """K1 keys of a new administration; commit them before the next act."""

    async def signing(self, administration: AdministrationId, *, by: str, at: Instant) -> Ceremony:
        """The signing record of an administration whose K1 keys are committed."""

    async def member(self, user: identity.User, *, by: str, at: Instant) -> Ceremony: ...
    async def inbox(self, inbox: directory.Inbox, members: Sequence[UserId], *, by: str, at: Instant) -> Ceremony:
        """Epoch 1, wrapped to the first members (their member keys must be committed)."""

    async def channels(self, administration: AdministrationId, *, by: str, at: Instant) -> Ceremony:
        """The channel keys `out` and `hold` and the intake key of an administration whose signing record stands."""

    async def admit(self, inbox: directory.Inbox, user: UserId, *, by: UserId, at: Instant) -> Ceremony:
        """Wrap every epoch that `by` can open to `user`; a new revision of each record, approved by `by`."""


class Assertions(Protocol):
    """What systems prove themselves with (RFC 7523); everything here raises ValueError for what is not sound."""

    def public_key(self, key: Mapping[str, Any]) -> bytes:
        """A public key (JWK) as it is kept."""

    def read_key(self, octets: bytes) -> Mapping[str, Any]:
        """The public key in a file (PEM or JWK), as a JWK; a private one is refused."""

    def issuer(self, assertion: str) -> str:
        """Whom an assertion says it is of; nothing is checked yet."""

    def claims(self, assertion: str, key: bytes) -> Mapping[str, Any]:
        """What an assertion says, once its signature holds under a kept key."""


# --- the machine -----------------------------------------------------------------------------------------------------


class Machine(Protocol):
    """What the gateway runs on, for those who watch it."""

    def space(self) -> Mapping[str, tuple[int, int]]:
        """Octets (free, in all) by place."""

    def clock_synchronised(self) -> bool | None:
        """Whether the machine's clock is; None where nobody says."""


class UnknownMachine:
    """A machine that says nothing of itself: tests, and a gateway without one."""

    def space(self) -> Mapping[str, tuple[int, int]]:
        return {}

    def clock_synchronised(self) -> bool | None:
        return None
