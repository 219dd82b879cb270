"""A collaboration system that behaves as Link is known to, and is uncertain where nobody knows (docs/link.md §4).

Why this exists: no test environment of Link can be reached, and what breaks a routine there is how people meet it: one
inbox for a municipality, a distribution by hand that takes days or goes wrong, reading three times a day, an identity
that changes. So those are what it does. States are ours (INF); nothing in here is an official label.

Rules: time comes from outside; the same `client_ref` twice is once; what is refused changes nothing; what was handed
over is forgotten after `kept` (design of the retention setting), so that no copy outlives its use.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from adapters.link import rules
from gateway.collaboration import (
    Actor,
    ActorKind,
    CaseKind,
    LinkCase,
    LinkEnvelope,
    LinkMessage,
    LinkStatus,
    PlanType,
    Refusal,
    Trouble,
)
from gateway.model.base import DAY, MINUTE, Instant
from gateway.ports import Clock

NEVER_YET: Final = Instant(0)
IDLE: Final = 15 * MINUTE
CALLS_A_SECOND: Final = 5
RETRY_AFTER_S: Final = 5  # "try again in 5 seconds" (V2)
SHARED: Final = "kommunen"
LONGEST: Final = 4_000


class Inboxes(StrEnum):
    """The two configurations (cosmic-link.md §7)."""

    SHARED_MUNICIPALITY = "SHARED_MUNICIPALITY"  # V3: every member of the pool can read
    PER_ADMINISTRATION = "PER_ADMINISTRATION"  # what the project waits for


class NotDoneError(Exception):
    """A refusal on its way out of an operation."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.trouble)
        self.refusal = refusal


@dataclass(slots=True)
class User:
    """A user there: which administration, and since when. Without SITHS nobody comes in."""

    administration: str
    unit: str
    siths: bool = True
    from_: Instant = NEVER_YET
    seen: Instant = NEVER_YET


@dataclass(slots=True)
class Held:
    """A case as it is kept: whose it is meant to be, whose inbox it lies in, when that changes."""

    case: LinkCase
    administration: str
    unit: str
    received: Instant
    masked: bool
    distributed: str = ""
    distributed_at: Instant = NEVER_YET
    reader: str = ""  # the one unit that may open a protected identity
    ready_at: Instant | None = None
    admitted_at: Instant | None = None
    ended_at: Instant | None = None


@dataclass(slots=True)
class Faults:
    """What is set for the next calls."""

    away_until: Instant = NEVER_YET
    shape: str = "app"  # which of the three shapes errors have: gateway, app, fhir
    duplicates: int = 1  # how often each envelope stands in a list
    distribution_us: int = 0  # how long the distribution by hand takes
    wrong_administration: str = ""  # where the next distribution goes by mistake


@dataclass
class Simulator:
    """One Link for a county."""

    clock: Clock
    inboxes: Inboxes = Inboxes.SHARED_MUNICIPALITY
    kept: int = 30 * DAY
    users: dict[str, User] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    log: list[tuple[Instant, str, str, str]] = field(default_factory=list)  # when, user, operation, what came of it
    _cases: dict[str, Held] = field(default_factory=dict)
    _done: dict[tuple[str, str], object] = field(default_factory=dict)  # (user, client_ref) -> the answer it got
    _calls: list[Instant] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    # --- who may -----------------------------------------------------------------------------------------------------

    def add_user(self, name: str, administration: str, unit: str, *, siths: bool = True) -> None:
        """A new user: usable the next day, when the nightly synchronisation has run."""
        made = self.clock.now()
        self.users[name] = User(administration, unit, siths, rules.next_night(made), rules.next_night(made))

    def sign_in(self, name: str) -> Refusal | None:
        """Begin a session; None when it began."""
        user = self.users.get(name)
        if user is None or not user.siths or self.clock.now() < user.from_:
            return Refusal(Trouble.FORBIDDEN, code="403")
        user.seen = self.clock.now()
        return None

    def call(self, name: str, operation: str, work: Callable[[User], object], client_ref: str = "") -> object:
        """One call of a user, with everything that may meet it; what is refused changes nothing and is logged too."""
        now = self.clock.now()
        known = self._done.get((name, client_ref)) if client_ref else None
        try:
            user = self._admitted(name, now)
            if known is None:
                known = work(user)
                if client_ref:
                    self._done[name, client_ref] = known
            answer: object = known
        except NotDoneError as refused:
            answer = refused.refusal
        outcome = answer.trouble if isinstance(answer, Refusal) else "done"
        self.log.append((now, name, operation, str(outcome)))
        return answer

    def _admitted(self, name: str, now: Instant) -> User:
        if now < self.faults.away_until:
            raise NotDoneError(Refusal(Trouble.AWAY, code="503"))
        self._calls = [at for at in self._calls if at > now - 1_000_000]
        if len(self._calls) >= CALLS_A_SECOND:
            raise NotDoneError(Refusal(Trouble.BUSY, RETRY_AFTER_S, "429"))
        self._calls.append(now)
        user = self.users.get(name)
        if user is None or not user.siths or now < user.from_:
            raise NotDoneError(Refusal(Trouble.FORBIDDEN, code="403"))
        if now > user.seen + IDLE:
            raise NotDoneError(Refusal(Trouble.SESSION, code="401"))
        user.seen = now
        self._forget(now)
        return user

    def _forget(self, now: Instant) -> None:
        """What has ended is kept no longer than the retention setting."""
        self._cases = {
            ref: held for ref, held in self._cases.items() if held.ended_at is None or now < held.ended_at + self.kept
        }

    # --- the inboxes -------------------------------------------------------------------------------------------------

    def arrive(
        self,
        kind: CaseKind,
        administration: str,
        unit: str,
        patient: str,
        *,
        text: str = "",
        protected: bool = False,
        says_administration: bool = True,
    ) -> str:
        """A case that the region opens and that is meant for an administration; its reference."""
        now = self.clock.now()
        ref = f"LINK-{next(self._numbers):05d}"
        sent = LinkMessage(id=f"{ref}-1", sender="regionen", at=now, text=text, read_at=rules.read_at(now))
        case = LinkCase(
            ref=ref,
            kind=kind,
            status=LinkStatus.INVITED,
            patient=patient,
            actors=(Actor(ActorKind.UNIT, "regionen"), Actor(ActorKind.UNIT, unit)),
            messages=(sent,) if text else (),
            plans=(),
            version=1,
        )
        named = administration if says_administration else ""
        held = Held(case, named, unit if says_administration else "", now, protected, reader=unit if protected else "")
        held.distributed_at = Instant(now + self.faults.distribution_us)
        held.distributed = self.faults.wrong_administration or administration
        self.faults.wrong_administration = ""
        self._cases[ref] = held
        return ref

    def list_new(self, user: User, inbox: str) -> tuple[LinkEnvelope, ...]:
        """Everything in an inbox, the newest first, each as often as the fault says; nothing is ever marked as seen."""
        if self.inboxes is Inboxes.SHARED_MUNICIPALITY:
            if inbox != SHARED:
                raise NotDoneError(Refusal(Trouble.NOT_FOUND, code="404"))
        elif inbox != user.administration:
            raise NotDoneError(Refusal(Trouble.FORBIDDEN, code="403"))
        there = [held for held in self._cases.values() if inbox in (SHARED, held.administration)]
        there.sort(key=lambda held: (-held.received, held.case.ref))
        return tuple(self._envelope(held, inbox) for held in there for _ in range(self.faults.duplicates))

    def _envelope(self, held: Held, inbox: str) -> LinkEnvelope:
        return LinkEnvelope(
            case=held.case.ref,
            kind=held.case.kind,
            inbox=inbox,
            administration=held.administration,
            unit="" if held.masked else held.unit,
            received=held.received,
            masked=held.masked,
        )

    def mark_distributed(self, user: User, ref: str, administration: str) -> int:
        held = self._held(ref)
        held.distributed, held.distributed_at = administration, self.clock.now()
        return self._moved(held, LinkStatus.DISTRIBUTED)

    def may_open(self, user: User, held: Held) -> bool:
        """The flaw and its remedy: in the shared inbox every member of the pool reads what nobody has distributed."""
        if held.reader:
            return user.unit == held.reader
        if self.inboxes is Inboxes.PER_ADMINISTRATION:
            return user.administration == held.administration or user.unit in {a.name for a in held.case.actors}
        waits = self.clock.now() < held.distributed_at
        return waits or user.administration == held.distributed or user.unit in {a.name for a in held.case.actors}

    # --- a case ------------------------------------------------------------------------------------------------------

    def open_case(self, user: User, patient: str, kind: CaseKind, invitees: tuple[Actor, ...]) -> str:
        if kind is CaseKind.EXCLUDED_OPT or not patient or not invitees:
            raise NotDoneError(Refusal(Trouble.INVALID, code="400"))
        ref = f"LINK-{next(self._numbers):05d}"
        actors = (Actor(ActorKind.UNIT, user.unit), *invitees)
        case = LinkCase(
            ref=ref,
            kind=kind,
            status=LinkStatus.INVITED,
            patient=patient,
            actors=actors,
            messages=(),
            plans=(),
            version=1,
        )
        self._cases[ref] = Held(case, user.administration, user.unit, self.clock.now(), masked=False)
        return ref

    def get_case(self, user: User, ref: str) -> LinkCase:
        return self._mine(user, ref).case

    def invite(self, user: User, ref: str, actor: Actor) -> int:
        held = self._open(user, ref)
        if actor not in held.case.actors:
            held.case = dataclasses.replace(held.case, actors=(*held.case.actors, actor))
        return self._moved(held, held.case.status)

    def accept(self, user: User, ref: str) -> int:
        return self._moved(self._open(user, ref), LinkStatus.ACTIVE)

    def decline(self, user: User, ref: str, actor: str) -> int:
        held = self._open(user, ref)
        held.case = dataclasses.replace(held.case, actors=tuple(a for a in held.case.actors if a.name != actor))
        return self._moved(held, held.case.status)

    def post_message(self, user: User, ref: str, text: str) -> str:
        held, now = self._open(user, ref), self.clock.now()
        if not 0 < len(text) <= LONGEST:
            raise NotDoneError(Refusal(Trouble.INVALID, code="400"))
        identifier = f"{ref}-{len(held.case.messages) + 1}"
        sent = LinkMessage(id=identifier, sender=user.unit, at=now, text=text, read_at=rules.read_at(now))
        held.case = dataclasses.replace(held.case, messages=(*held.case.messages, sent))
        self._moved(held, held.case.status)
        return identifier

    def add_plan_note(self, user: User, ref: str, plan: PlanType, text: str) -> int:
        held = self._open(user, ref)
        held.case = dataclasses.replace(held.case, plans=(*held.case.plans, (plan, text)))
        return self._moved(held, LinkStatus.PLANNING)

    def agree_plan(self, user: User, ref: str) -> int:
        held = self._open(user, ref)
        if not held.case.plans:
            raise NotDoneError(Refusal(Trouble.INVALID, code="400"))
        return self._moved(held, LinkStatus.PLAN_AGREED)

    def close_case(self, user: User, ref: str) -> int:
        return self.close(ref, self._open(user, ref))

    # --- what the other side does ------------------------------------------------------------------------------------

    def close(self, ref: str, held: Held | None = None) -> int:
        """Closed, also by the other side while we have something unsent."""
        held = held or self._held(ref)
        held.ended_at = self.clock.now()
        return self._moved(held, LinkStatus.CLOSED)

    def admit(self, ref: str) -> Instant:
        """Admitted to hospital: until when the notice of admission is sent."""
        held = self._held(ref)
        held.admitted_at = self.clock.now()
        return Instant(held.admitted_at + rules.NOTICE_WITHIN)

    def ready(self, ref: str) -> tuple[Instant, Instant]:
        """Ready to be discharged: until when SIP is called, and from when payment may begin."""
        held = self._held(ref)
        held.ready_at = self.clock.now()
        self._moved(held, LinkStatus.DISCHARGE_READY)
        return rules.call_by(held.ready_at), rules.payment_from(held.ready_at)

    def merge(self, old: str, new: str) -> int:
        """A reservnummer becomes a personnummer, late: in every case that has it."""
        changed = 0
        for held in self._cases.values():
            if held.case.patient == old:
                held.case = dataclasses.replace(held.case, patient=new)
                self._moved(held, held.case.status)
                changed += 1
        return changed

    # --- details -----------------------------------------------------------------------------------------------------

    def _held(self, ref: str) -> Held:
        held = self._cases.get(ref)
        if held is None:
            raise NotDoneError(Refusal(Trouble.NOT_FOUND, code="404"))
        return held

    def _mine(self, user: User, ref: str) -> Held:
        held = self._held(ref)
        if not self.may_open(user, held):
            raise NotDoneError(Refusal(Trouble.FORBIDDEN, code="403"))
        return held

    def _open(self, user: User, ref: str) -> Held:
        held = self._mine(user, ref)
        if held.case.status in (LinkStatus.CLOSED, LinkStatus.CANCELLED):
            raise NotDoneError(Refusal(Trouble.CLOSED, code="409"))
        return held

    def _moved(self, held: Held, status: LinkStatus) -> int:
        held.case = dataclasses.replace(held.case, status=status, version=held.case.version + 1)
        return held.case.version
