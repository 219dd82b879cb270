"""Every state machine of the gateway, as tables (domain.md §3.1, §3.4; RFC 3464 §2.3.3 for deliveries).

Why this exists: a state that is changed in one place by one table can be drawn, tested row by row and trusted.
`step` is the only way to change a state; what is not a row is refused and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, TypeVar

from gateway.errors import IllegalTransitionError


class CaseState(StrEnum):
    INVESTIGATING = "investigating"
    REQUESTED = "requested"
    RECEIVED = "received"
    COMPLETION_REQUESTED = "completion_requested"
    MATCHED = "matched"
    NOT_MATCHED = "not_matched"


class CaseEvent(StrEnum):
    SEND_REQUEST = "send_request"
    ACKNOWLEDGE = "acknowledge"
    ASK_COMPLETION = "ask_completion"
    RESUBMIT = "resubmit"
    MATCH = "match"
    REFUSE = "refuse"
    REVOKE_MATCH = "revoke_match"
    SEND_STAGE_2 = "send_stage_2"
    RESEND = "resend"
    # Undone within the undo time: the case is what it was before the sending.
    UNDO_REQUEST = "undo_request"
    UNDO_COMPLETION = "undo_completion"
    UNDO_RENEWAL = "undo_renewal"


class DeliveryState(StrEnum):
    QUEUED = "queued"
    ATTEMPTING = "attempting"
    IN_TRANSIT = "in_transit"
    DELIVERED = "delivered"
    OPENED = "opened"
    RELAYED = "relayed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class DeliveryEvent(StrEnum):
    CLAIMED = "claimed"
    ACCEPTED = "accepted"
    HANDED_OVER = "handed_over"
    DELAYED = "delayed"
    LEASE_LOST = "lease_lost"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    READ = "read"
    RELAYED = "relayed"


class ConsentState(StrEnum):
    GIVEN = "given"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"


class ConsentEvent(StrEnum):
    WITHDRAW = "withdraw"
    EXPIRE = "expire"
    SUPERSEDE = "supersede"


class AnswerState(StrEnum):
    PROPOSED = "proposed"
    CONFIRMED = "confirmed"
    DISAGREED = "disagreed"


class AnswerEvent(StrEnum):
    CONFIRM = "confirm"
    DISAGREE = "disagree"


class TaskState(StrEnum):
    OPEN = "open"
    DONE = "done"


class TaskEvent(StrEnum):
    CLOSE = "close"
    REOPEN = "reopen"


class QuarantineState(StrEnum):
    WAITING = "waiting"
    RELEASED = "released"
    REFUSED = "refused"


class QuarantineEvent(StrEnum):
    RELEASE = "release"
    REFUSE = "refuse"
    HOLD = "hold"


class HeldState(StrEnum):
    WAITING = "waiting"
    ORDERED = "ordered"
    PLACED = "placed"
    FORWARDED = "forwarded"


class HeldEvent(StrEnum):
    ORDER = "order"
    PLACE = "place"
    GIVE_BACK = "give_back"
    SHRED = "shred"


class RecallState(StrEnum):
    REQUESTED = "requested"
    UPHELD = "upheld"
    DECLINED = "declined"
    INCIDENT = "incident"


class HandOverState(StrEnum):
    WAITING = "waiting"
    TAKEN = "taken"
    DONE = "done"
    FAILED = "failed"


class HandOverEvent(StrEnum):
    SETTLE = "settle"
    GIVE_UP = "give_up"


class RecallEvent(StrEnum):
    UPHOLD = "uphold"
    DECLINE = "decline"


CASE: Final[Mapping[tuple[CaseState, CaseEvent], CaseState]] = {
    (CaseState.INVESTIGATING, CaseEvent.SEND_REQUEST): CaseState.REQUESTED,
    (CaseState.REQUESTED, CaseEvent.ACKNOWLEDGE): CaseState.RECEIVED,
    (CaseState.RECEIVED, CaseEvent.ASK_COMPLETION): CaseState.COMPLETION_REQUESTED,
    (CaseState.COMPLETION_REQUESTED, CaseEvent.RESUBMIT): CaseState.RECEIVED,
    (CaseState.RECEIVED, CaseEvent.MATCH): CaseState.MATCHED,
    (CaseState.RECEIVED, CaseEvent.REFUSE): CaseState.NOT_MATCHED,
    (CaseState.NOT_MATCHED, CaseEvent.RESUBMIT): CaseState.RECEIVED,
    (CaseState.MATCHED, CaseEvent.REVOKE_MATCH): CaseState.RECEIVED,
    # A new stage is an act of the case worker, not a new state of the matching (design.md §2).
    (CaseState.MATCHED, CaseEvent.SEND_STAGE_2): CaseState.MATCHED,
    # What never arrived (cancelled, failed, expired) may be sent again.
    (CaseState.REQUESTED, CaseEvent.RESEND): CaseState.REQUESTED,
    (CaseState.RECEIVED, CaseEvent.RESEND): CaseState.RECEIVED,
    (CaseState.REQUESTED, CaseEvent.UNDO_REQUEST): CaseState.INVESTIGATING,
    (CaseState.RECEIVED, CaseEvent.UNDO_COMPLETION): CaseState.COMPLETION_REQUESTED,
    (CaseState.RECEIVED, CaseEvent.UNDO_RENEWAL): CaseState.NOT_MATCHED,
}

DELIVERY: Final[Mapping[tuple[DeliveryState, DeliveryEvent], DeliveryState]] = {
    (DeliveryState.QUEUED, DeliveryEvent.CLAIMED): DeliveryState.ATTEMPTING,
    (DeliveryState.QUEUED, DeliveryEvent.CANCELLED): DeliveryState.CANCELLED,
    (DeliveryState.QUEUED, DeliveryEvent.TIMED_OUT): DeliveryState.EXPIRED,
    # By hand nothing is claimed: a member takes it out, or says that it cannot be done (docs/channels.md §2.6).
    (DeliveryState.QUEUED, DeliveryEvent.HANDED_OVER): DeliveryState.IN_TRANSIT,
    (DeliveryState.QUEUED, DeliveryEvent.REFUSED): DeliveryState.FAILED,
    (DeliveryState.IN_TRANSIT, DeliveryEvent.CANCELLED): DeliveryState.CANCELLED,
    (DeliveryState.ATTEMPTING, DeliveryEvent.ACCEPTED): DeliveryState.DELIVERED,
    (DeliveryState.ATTEMPTING, DeliveryEvent.DELAYED): DeliveryState.QUEUED,
    (DeliveryState.ATTEMPTING, DeliveryEvent.LEASE_LOST): DeliveryState.QUEUED,  # crashed: try again
    (DeliveryState.ATTEMPTING, DeliveryEvent.REFUSED): DeliveryState.FAILED,
    (DeliveryState.ATTEMPTING, DeliveryEvent.TIMED_OUT): DeliveryState.EXPIRED,
    (DeliveryState.ATTEMPTING, DeliveryEvent.CANCELLED): DeliveryState.CANCELLED,
    # Outside: the neighbour took it for transport, and its receipt says the rest (docs/channels.md §2.1).
    (DeliveryState.ATTEMPTING, DeliveryEvent.HANDED_OVER): DeliveryState.IN_TRANSIT,
    (DeliveryState.IN_TRANSIT, DeliveryEvent.ACCEPTED): DeliveryState.DELIVERED,
    (DeliveryState.IN_TRANSIT, DeliveryEvent.REFUSED): DeliveryState.FAILED,
    (DeliveryState.IN_TRANSIT, DeliveryEvent.TIMED_OUT): DeliveryState.EXPIRED,
    # A receipt may come after we had given up: what arrived has arrived.
    (DeliveryState.FAILED, DeliveryEvent.ACCEPTED): DeliveryState.DELIVERED,
    (DeliveryState.EXPIRED, DeliveryEvent.ACCEPTED): DeliveryState.DELIVERED,
    (DeliveryState.DELIVERED, DeliveryEvent.READ): DeliveryState.OPENED,
    # A registrator forwarded it unread; whoever gets it has a delivery of its own (RFC 3464 §2.3.3: "relayed").
    (DeliveryState.DELIVERED, DeliveryEvent.RELAYED): DeliveryState.RELAYED,
}

CONSENT: Final[Mapping[tuple[ConsentState, ConsentEvent], ConsentState]] = {
    (ConsentState.GIVEN, ConsentEvent.WITHDRAW): ConsentState.WITHDRAWN,
    (ConsentState.GIVEN, ConsentEvent.EXPIRE): ConsentState.EXPIRED,
    (ConsentState.GIVEN, ConsentEvent.SUPERSEDE): ConsentState.SUPERSEDED,
}

ANSWER: Final[Mapping[tuple[AnswerState, AnswerEvent], AnswerState]] = {
    (AnswerState.PROPOSED, AnswerEvent.CONFIRM): AnswerState.CONFIRMED,
    (AnswerState.PROPOSED, AnswerEvent.DISAGREE): AnswerState.DISAGREED,
}

TASK: Final[Mapping[tuple[TaskState, TaskEvent], TaskState]] = {
    (TaskState.OPEN, TaskEvent.CLOSE): TaskState.DONE,
    (TaskState.DONE, TaskEvent.REOPEN): TaskState.OPEN,
}

#: What is to be said waits; what is to be carried begins when somebody takes it out.
HAND_OVER: Final[Mapping[tuple[HandOverState, HandOverEvent], HandOverState]] = {
    (HandOverState.WAITING, HandOverEvent.SETTLE): HandOverState.DONE,
    (HandOverState.TAKEN, HandOverEvent.SETTLE): HandOverState.DONE,
    (HandOverState.TAKEN, HandOverEvent.GIVE_UP): HandOverState.FAILED,
    # It had come back, and arrived after all: what has arrived has arrived.
    (HandOverState.FAILED, HandOverEvent.SETTLE): HandOverState.DONE,
}

#: INCIDENT is an end from the start: what was opened is not asked back, it is a matter for the officer.
QUARANTINE: Final[Mapping[tuple[QuarantineState, QuarantineEvent], QuarantineState]] = {
    (QuarantineState.WAITING, QuarantineEvent.RELEASE): QuarantineState.RELEASED,
    (QuarantineState.WAITING, QuarantineEvent.REFUSE): QuarantineState.REFUSED,
    # A file whose verdict is gone, or counts no more, is looked at again.
    (QuarantineState.RELEASED, QuarantineEvent.REFUSE): QuarantineState.REFUSED,
    (QuarantineState.RELEASED, QuarantineEvent.HOLD): QuarantineState.WAITING,
}
#: What nobody here was named for. A registrator orders, the worker places it; only then does its key go.
HELD: Final[Mapping[tuple[HeldState, HeldEvent], HeldState]] = {
    (HeldState.WAITING, HeldEvent.ORDER): HeldState.ORDERED,
    (HeldState.ORDERED, HeldEvent.PLACE): HeldState.PLACED,
    # The chosen inbox cannot take it: it waits again, with the reason, for another choice.
    (HeldState.ORDERED, HeldEvent.GIVE_BACK): HeldState.WAITING,
    (HeldState.PLACED, HeldEvent.SHRED): HeldState.FORWARDED,
}
RECALL: Final[Mapping[tuple[RecallState, RecallEvent], RecallState]] = {
    (RecallState.REQUESTED, RecallEvent.UPHOLD): RecallState.UPHELD,
    (RecallState.REQUESTED, RecallEvent.DECLINE): RecallState.DECLINED,
}

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)


def step(table: Mapping[tuple[S, E], S], state: S, event: E) -> S:
    """The state after `event`.

    Raises:
        IllegalTransitionError: the table has no such row; nothing was changed.
    """
    try:
        return table[state, event]
    except KeyError:
        raise IllegalTransitionError(
            f"'{event}' is not possible in state '{state}'",
            swedish=f"Det går inte att göra '{event}' när läget är '{state}'.",
            next_step="Läs om ärendet: någon annan kan ha ändrat det. Inget har ändrats.",
        ) from None
