"""Care collaboration: what the gateway would ask of Cosmic Link or another discharge and SIP system (docs/link.md).

Why this exists: Link has no machine interface that is known of (UNK), and its one inbox for a whole municipality is
what this gateway must never need. So the operations stand here as a port of our own wording, tried against a simulator;
what is real today is a person who copies (`gateway.carrying`), and the port only tells that person where to look.

Rules: an envelope of Link names functions and kinds, never a person or a word of content (P0-P1); what it cannot decide
goes to triage, which sees the envelope and opens nothing; expected trouble is a `Refusal`, never an exception; every
operation that changes something is idempotent on our `client_ref`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from gateway.model.base import Instant


class CaseKind(StrEnum):
    """INF from lag 2017:612; how Link itself calls them is unknown."""

    INPATIENT_DISCHARGE = "INPATIENT_DISCHARGE"
    OUTPATIENT_SIP = "OUTPATIENT_SIP"
    EXCLUDED_OPT = "EXCLUDED_OPT"  # ÖPT/ÖRV follow LPT and LRV care plans, and are handled apart (V2)


class PlanType(StrEnum):
    """ "Two types of plans" (V2); our wording (INF)."""

    SIP = "SIP"
    DISCHARGE_PLAN = "DISCHARGE_PLAN"


class ActorKind(StrEnum):
    UNIT = "unit"
    CONTACT = "contact"  # fast vårdkontakt
    RELATIVE = "relative"


class LinkStatus(StrEnum):
    """States of the model (INF): the real labels are unknown, and none of these is shown as if it were one."""

    CREATED = "created"
    INVITED = "invited"
    DISTRIBUTED = "distributed"
    ACTIVE = "active"
    DISCHARGE_READY = "discharge_ready"
    DISCHARGED = "discharged"
    PLANNING = "planning"
    PLAN_AGREED = "plan_agreed"
    FOLLOW_UP = "follow_up"
    CLOSED = "closed"
    CANCELLED = "cancelled"


class Trouble(StrEnum):
    """Why an operation did not happen."""

    AWAY = "away"
    BUSY = "busy"  # 429: in `retry_after_s`
    FORBIDDEN = "forbidden"  # no SITHS, not a user there yet, not the named unit
    SESSION = "session"  # ended by idling
    NOT_FOUND = "not_found"
    CLOSED = "closed"  # the other side has closed the case
    INVALID = "invalid"
    UNKNOWN = "unknown"  # it answered, and not in words that are known here


@dataclass(frozen=True, slots=True)
class Refusal:
    """An operation that did not happen; nothing of it is left there. `code` is the other side's, for operators."""

    trouble: Trouble
    retry_after_s: int = 0
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkEnvelope:
    """What is known of a case before anybody may read it. `administration` is empty where Link does not say."""

    case: str
    kind: CaseKind
    inbox: str
    administration: str
    unit: str
    received: Instant
    masked: bool = False  # protected identity: only the named unit opens it


@dataclass(frozen=True, slots=True)
class Actor:
    kind: ActorKind
    name: str  # a function, or for a relative "närstående"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkMessage:
    id: str
    sender: str
    at: Instant
    text: str
    read_at: Instant | None = None  # people read at their times, three a day


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkCase:
    """A case as an actor in it sees it; `patient` may change when a reservnummer becomes a personnummer."""

    ref: str
    kind: CaseKind
    status: LinkStatus
    patient: str
    actors: Sequence[Actor]
    messages: Sequence[LinkMessage]
    plans: Sequence[tuple[PlanType, str]]
    version: int


class CareCollaborationPort(Protocol):
    """Operations on a collaboration system, by a person of `user` there."""

    async def list_new(self, inbox: str) -> Sequence[LinkEnvelope] | Refusal:
        """Everything that lies there, the newest first: no cursor, no push, and the same again and again."""

    async def open_case(
        self, client_ref: str, patient: str, kind: CaseKind, inviter: str, invitees: Sequence[Actor], reason: str
    ) -> str | Refusal:
        """Its reference; the one it got before for the same `client_ref`. `reason` is P0."""

    async def invite(self, client_ref: str, case: str, actor: Actor) -> int | Refusal: ...
    async def accept(self, client_ref: str, case: str, actor: str) -> int | Refusal: ...
    async def decline(self, client_ref: str, case: str, actor: str, reason: str) -> int | Refusal: ...
    async def post_message(self, client_ref: str, case: str, text: str) -> str | Refusal: ...
    async def get_case(self, case: str) -> LinkCase | Refusal: ...
    async def status(self, case: str, acting: str) -> LinkStatus | Refusal:
        """How a case stands, and nothing else of it (G6).

        Args:
            acting: the function (an inbox) for which this is asked. The other side is told the function and never the
                person: no published call has a place for one (UNK). Who it was stands in our log, before the call.
        """

    async def add_plan_note(self, client_ref: str, case: str, plan: PlanType, text: str) -> int | Refusal: ...
    async def agree_plan(self, client_ref: str, case: str) -> int | Refusal: ...
    async def close_case(self, client_ref: str, case: str, reason: str) -> int | Refusal: ...
    async def mark_distributed(self, client_ref: str, case: str, administration: str) -> int | Refusal:
        """What staff of the shared inbox do by hand today; the gateway never needs it."""
