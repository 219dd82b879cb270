"""Questions to the rules and their answers: requests, rulings, decisions.

A request holds only coded facts, so equal requests are equal values and one answer serves them all. A Decision carries
the versions of the facts it rests on; the commit re-reads them, and the commit is the moment that counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.errors import RefusedError
from gateway.model.base import DecisionId, Fact, InboxId, Instant
from gateway.model.classes import Category, ConsentTerms, ItemClass, Purpose, Stage
from gateway.model.directory import Inbox, InboxKind
from gateway.model.path import Consent
from gateway.states import CaseState


class AccessAction(StrEnum):
    """What a signed-in user may want to do; access.cedar says which roles may."""

    OPEN_CASE = "open_case"
    WRITE_DRAFT = "write_draft"
    UPLOAD_ATTACHMENT = "upload_attachment"
    SEND = "send"
    LIST_INBOX = "list_inbox"
    READ = "read"
    RECORD_CONSENT = "record_consent"
    WITHDRAW_CONSENT = "withdraw_consent"
    READ_CONSENT = "read_consent"
    PROPOSE_ANSWER = "propose_answer"
    CONFIRM_ANSWER = "confirm_answer"
    ADMIT_MEMBER = "admit_member"
    WORK_TASK = "work_task"
    WRITE_NOTE = "write_note"
    RECALL = "recall"
    CARRY = "carry"
    FORWARD = "forward"
    DECIDE_RECALL = "decide_recall"
    READ_REGISTER = "read_register"
    SEARCH_IDENTITY = "search_identity"
    READ_LOG = "read_log"
    READ_TRANSPORT = "read_transport"
    APPLY_DIRECTORY = "apply_directory"
    MANAGE_USERS = "manage_users"


class Outcome(StrEnum):
    """In the order in which one of several permits is reported."""

    DUTY_SEND = "DUTY_SEND"
    ALLOW = "ALLOW"
    NEEDS_AFFIRM = "NEEDS_AFFIRM"
    MANUAL = "MANUAL"
    DENY = "DENY"


class ConsentStatus(StrEnum):
    """How the case's consents stand to one (sender unit, recipient unit, category, purpose, time); best first."""

    COVERS = "covers"
    WRONG_CATEGORY = "wrong_category"
    WRONG_PURPOSE = "wrong_purpose"
    WRONG_DIRECTION = "wrong_direction"
    WRONG_PARTY = "wrong_party"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    REFUSED = "refused"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRequest:
    """A user's coded standing towards one act. Attributes that do not apply keep their defaults."""

    action: AccessAction
    roles: frozenset[str]
    member: bool = False
    membership_role: str = ""
    inbox_kind: str = ""
    form_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisclosureRequest:
    """One question: this class of field, to this kind of recipient, under these facts."""

    form_type: str
    stage: Stage
    privacy: str
    category: Category
    purpose: Purpose
    sender_kind: InboxKind
    recipient_kind: InboxKind
    same_administration: bool
    matched: bool  # the recipient's unit is one that the board proposed
    case_state: CaseState
    bed_offered: bool
    consent: ConsentStatus
    abuse_ongoing: bool
    abuse_qualifies: bool  # alcohol, narcotics or volatile solvents: OSL 26:9 names no other
    necessity_written: bool
    affirmed: bool  # by a delegate who is not the writer
    protected: bool
    manual_release: bool


@dataclass(frozen=True, slots=True)
class Ruling:
    """The answer of the policies, with the rule that gave it."""

    outcome: Outcome
    rule: str
    law: str
    basis: str

    @property
    def permits(self) -> bool:
        return self.outcome is not Outcome.DENY


@dataclass(frozen=True, slots=True, kw_only=True)
class Affirmation:
    """What a delegate stated so that OSL 26:9 may be used (D4). Absent facts are False."""

    abuse_ongoing: bool = False
    substances: frozenset[str] = frozenset()
    necessity_written: bool = False
    affirmed: bool = False
    manual_release: bool = False


QUALIFYING_SUBSTANCES: Final = frozenset({"ALCOHOL", "NARCOTICS", "SOLVENTS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressee:
    """A recipient and the stage whose fields it may be sent."""

    inbox: Inbox
    stage: Stage
    matched: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SendingAct:
    """Everything that a decision to send rests on.

    `required` holds, per stage, the item classes of the fields that the form requires there.
    """

    sender: Inbox
    recipients: tuple[Addressee, ...]
    form_type: str
    present: frozenset[ItemClass]
    required: Mapping[Stage, frozenset[ItemClass]]
    purpose: Purpose
    case_state: CaseState
    consents: tuple[tuple[Consent, ConsentTerms], ...]
    affirmation: Affirmation = Affirmation()
    protected: bool = False
    bed_offered: bool = False
    facts: tuple[Fact, ...] = ()
    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningAct:
    """What opening a delivered envelope rests on: while unopened, the consents that its delivery rested on."""

    unopened: bool
    consents: tuple[tuple[Consent, ConsentTerms], ...]
    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientDecision:
    """What one recipient may get, and if nothing, why and what would help."""

    inbox: InboxId
    stage: Stage
    rulings: Mapping[ItemClass, Ruling]
    denied: bool
    consents: tuple[Consent, ...] = ()
    warnings: tuple[str, ...] = ()
    reason: str = ""
    next_step: str = ""
    next_step_english: str = ""

    @property
    def permitted(self) -> frozenset[ItemClass]:
        return frozenset() if self.denied else frozenset(c for c, ruling in self.rulings.items() if ruling.permits)

    @property
    def held_back(self) -> frozenset[ItemClass]:
        return frozenset(self.rulings) - self.permitted

    @property
    def outcome(self) -> Outcome:
        """What the recipient as a whole got: DENY, or the permit that asked most of people."""
        permits = [self.rulings[item].outcome for item in self.permitted]
        return max(permits, key=list(Outcome).index) if permits else Outcome.DENY

    @property
    def rules(self) -> tuple[str, ...]:
        return tuple(sorted({ruling.rule for ruling in self.rulings.values()}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A decision and the facts it rests on; the commit refuses when one of them moved."""

    id: DecisionId
    at: Instant
    policies: str
    recipients: tuple[RecipientDecision, ...]
    facts: tuple[Fact, ...]

    @property
    def rules(self) -> tuple[str, ...]:
        return tuple(sorted({rule for recipient in self.recipients for rule in recipient.rules}))

    @property
    def permits(self) -> bool:
        return not any(recipient.denied for recipient in self.recipients)

    def require_permit(self) -> None:
        """Raises RefusedError, with the first denied recipient's reason and next step."""
        for recipient in self.recipients:
            if recipient.denied:
                raise RefusedError(
                    f"disclosure to {recipient.inbox} denied by {', '.join(recipient.rules)}",
                    swedish=recipient.reason,
                    next_step=recipient.next_step,
                )


class Added(StrEnum):
    """The facts that somebody can bring about; the search for a next step adds these and no others."""

    CONSENT = "consent"
    AFFIRMATION = "affirmation"
    MATCH = "match"
    BED = "bed"
    RELEASE = "release"
