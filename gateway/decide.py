"""Decide: may this field go to that inbox, now? Asked of the policies for each recipient and item class.

Why this exists: a gateway that only checks who may *send* leaks by sending too much. So the question is asked per
recipient and per class of field; what is denied is held back, and a recipient who would get too little gets nothing.
The answer names the rule, its paragraph and what would have to change, because a tired case worker must be able to act
on a "no". The default is deny.

Rules: nothing here evaluates a rule (that is the Policy port's task) and nothing in `policies` knows a person: a
request holds only coded facts, so equal requests are equal values and one answer serves them all. A Decision carries
the versions of the facts it rests on; the commit re-reads them, and the commit is the moment that counts.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from gateway.advice import advice, reason
from gateway.errors import ForbiddenError
from gateway.model.base import DecisionId, InboxId, fact
from gateway.model.classes import Category, ConsentTerms, Exchange, ItemClass, PrivacyClass, Stage
from gateway.model.decision import (
    QUALIFYING_SUBSTANCES,
    AccessAction,
    AccessRequest,
    Added,
    Addressee,
    Affirmation,
    ConsentStatus,
    Decision,
    DisclosureRequest,
    OpeningAct,
    Outcome,
    RecipientDecision,
    Ruling,
    SendingAct,
)
from gateway.model.directory import Inbox
from gateway.model.path import Consent
from gateway.states import CaseState, ConsentState

#: Evaluations between two turns of the event loop: one evaluation holds the interpreter lock for about 0.2 ms.
BATCH: Final = 8
MEMO: Final = 4096


class Policy(Protocol):
    """The rules. An evaluation error is a deny."""

    @property
    def digest(self) -> str:
        """SHA-256 of all policy texts, hexadecimal: which rules a decision was taken under."""

    def access(self, request: AccessRequest) -> Ruling: ...
    def disclosure(self, requests: Sequence[DisclosureRequest]) -> list[Ruling]: ...


class Decider:
    """Asks the policies and puts the answers together."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        # The policies are a pure function of the request, and the set is loaded once: an answer may be kept.
        self._memo: OrderedDict[DisclosureRequest, Ruling] = OrderedDict()
        self._access: dict[AccessRequest, Ruling] = {}

    @property
    def policies(self) -> str:
        """The digest of the rules in force."""
        return self._policy.digest

    async def require_access(self, request: AccessRequest) -> Ruling:
        """Raises ForbiddenError unless the role may do it."""
        ruling = self._access.get(request)
        if ruling is None:
            ruling = self._policy.access(request)
            if len(self._access) < MEMO:
                self._access[request] = ruling
        if not ruling.permits:
            raise ForbiddenError(
                f"the role may not {request.action}",
                swedish="Din roll ger inte behörighet till det här.",
                next_step="Be en kollega med rätt uppdrag, eller kontakta den som sköter behörigheter.",
            )
        return ruling

    async def opening(self, act: OpeningAct) -> Decision:
        """Whether a member may open. Received and opened items are untouched by a withdrawal; unopened ones are not."""
        broken = [
            consent
            for consent, _ in act.consents
            if act.unopened and not (consent.state is ConsentState.GIVEN and act.at < consent.valid_to)
        ]
        recipient = RecipientDecision(
            inbox=InboxId(""),
            stage=Stage.S1,
            rulings={},
            denied=bool(broken),
            reason="Samtycket har återkallats eller gått ut innan meddelandet öppnades (OSL 12 kap. 2 §)."
            if broken
            else "",
            next_step="Registratorn har handlingen och avgör vad som händer. Kontakta avsändaren." if broken else "",
        )
        rulings = {} if not broken else {ItemClass(Stage.S1, PrivacyClass.P3, Category.SOCIAL): DEFAULT_DENY_WITHDRAWN}
        return Decision(
            id=DecisionId(str(uuid.uuid4())),
            at=act.at,
            policies=self._policy.digest,
            recipients=(dataclasses.replace(recipient, rulings=rulings),),
            facts=tuple(fact(consent, valid_until=consent.valid_to) for consent, _ in act.consents if act.unopened),
        )

    async def sending(self, act: SendingAct) -> Decision:
        """Decide for every recipient of an act of sending."""
        recipients = []
        used: dict[str, Consent] = {}
        for addressee in act.recipients:
            decided = await self._recipient(act, addressee)
            recipients.append(decided)
            used.update({consent.id: consent for consent in decided.consents})
        return Decision(
            id=DecisionId(str(uuid.uuid4())),
            at=act.at,
            policies=self._policy.digest,
            recipients=tuple(recipients),
            facts=(*act.facts, *(fact(consent, valid_until=consent.valid_to) for consent in used.values())),
        )

    async def _recipient(self, act: SendingAct, addressee: Addressee) -> RecipientDecision:
        classes = sorted(c for c in act.present if c.stage <= addressee.stage)
        standing = {category: consent_status(act, addressee, category) for category in {c.category for c in classes}}
        requests = {c: _request(act, addressee, c, standing[c.category][0]) for c in classes}
        answers = await self._ask(requests.values())
        rulings = {c: answers[request] for c, request in requests.items()}
        required = act.required.get(addressee.stage, frozenset())
        missing = [c for c in classes if c in required and not rulings[c].permits]
        only_administrative = all(c.category is Category.ADMIN for c, ruling in rulings.items() if ruling.permits)
        denied = bool(missing) or (only_administrative and any(c.category is not Category.ADMIN for c in classes))
        decided = RecipientDecision(
            inbox=addressee.inbox.id,
            stage=addressee.stage,
            rulings=rulings,
            denied=denied,
            consents=_rested_on(rulings, standing),
            warnings=_warnings(rulings, standing),
        )
        if not denied:
            return decided
        lacking = missing or [c for c in classes if not rulings[c].permits]
        worst = max((standing[c.category][0] for c in lacking), key=list(ConsentStatus).index)
        step = await self._next_step([requests[c] for c in lacking], addressee.inbox, lacking)
        return dataclasses.replace(
            decided,
            reason=reason(worst, addressee.inbox, lacking, protected=act.protected),
            next_step=step[0],
            next_step_english=step[1],
        )

    async def _ask(self, requests: Iterable[DisclosureRequest]) -> dict[DisclosureRequest, Ruling]:
        """Rulings for the requests; equal ones are asked once, and the loop gets its turn between batches."""
        answers: dict[DisclosureRequest, Ruling] = {}
        unknown = []
        for request in dict.fromkeys(requests):
            known = self._memo.get(request)
            if known is None:
                unknown.append(request)
            else:
                self._memo.move_to_end(request)
                answers[request] = known
        for start in range(0, len(unknown), BATCH):
            batch = unknown[start : start + BATCH]
            for request, ruling in zip(batch, self._policy.disclosure(batch), strict=True):
                answers[request] = self._memo[request] = ruling
                if len(self._memo) > MEMO:
                    self._memo.popitem(last=False)
            await asyncio.sleep(0)
        return answers

    async def _next_step(
        self, requests: Sequence[DisclosureRequest], inbox: Inbox, lacking: Sequence[ItemClass]
    ) -> tuple[str, str]:
        """The smallest addition that would permit all that is lacking: singles first, then pairs."""
        singles = [(added,) for added in Added]
        for addition in [*singles, *itertools.combinations(Added, 2)]:
            changed = [_with(request, addition) for request in requests]
            answers = await self._ask(changed)
            if all(answers[request].permits for request in changed):
                statuses = {request.consent for request in requests}
                return advice(addition, statuses, inbox, lacking)
        return (
            "Ta upp frågan med din chef. Det går att rådgöra utan att röja vem det gäller. Utkastet är kvar.",
            "Ask your manager. A consultation that does not identify the person is possible. The draft is kept.",
        )


# --- consents --------------------------------------------------------------------------------------------------------


def consent_status(act: SendingAct, addressee: Addressee, category: Category) -> tuple[ConsentStatus, Consent | None]:
    """How the consents of the case stand to one recipient and category; the best of them counts."""
    found: list[tuple[ConsentStatus, Consent]] = [
        (_status(act, addressee, category, consent, terms), consent) for consent, terms in act.consents
    ]
    if not found:
        return ConsentStatus.NONE, None
    order = list(ConsentStatus).index
    # A later no is not outdone by an earlier yes: recording a refusal withdraws what it speaks of (gateway.consents).
    return min(found, key=lambda pair: order(pair[0]))


def _status(
    act: SendingAct, addressee: Addressee, category: Category, consent: Consent, terms: ConsentTerms
) -> ConsentStatus:
    if consent.state is ConsentState.REFUSED:
        return ConsentStatus.REFUSED
    if consent.state is ConsentState.WITHDRAWN:
        return ConsentStatus.WITHDRAWN
    if consent.state is not ConsentState.GIVEN or act.at >= consent.valid_to:
        return ConsentStatus.EXPIRED
    if act.at < consent.valid_from:
        return ConsentStatus.NOT_YET_VALID
    wanted = Exchange(act.sender.unit, addressee.inbox.unit)
    if wanted not in terms.exchanges:
        reverse = Exchange(addressee.inbox.unit, act.sender.unit)
        return ConsentStatus.WRONG_DIRECTION if reverse in terms.exchanges else ConsentStatus.WRONG_PARTY
    if act.purpose not in terms.purposes:
        return ConsentStatus.WRONG_PURPOSE
    if category not in (Category.ADMIN, Category.IDENTITY) and category not in terms.categories:
        return ConsentStatus.WRONG_CATEGORY
    return ConsentStatus.COVERS


Standing = Mapping[Category, tuple[ConsentStatus, Consent | None]]


def _rested_on(rulings: Mapping[ItemClass, Ruling], standing: Standing) -> tuple[Consent, ...]:
    used: dict[str, Consent] = {}
    for item, ruling in rulings.items():
        status, consent = standing[item.category]
        if ruling.basis == "CONSENT_OSL_12_2" and status is ConsentStatus.COVERS and consent is not None:
            used[consent.id] = consent
    return tuple(used.values())


def _warnings(rulings: Mapping[ItemClass, Ruling], standing: Standing) -> tuple[str, ...]:
    uncovered = any(
        ruling.rule == "D1" and standing[item.category][0] is not ConsentStatus.COVERS
        for item, ruling in rulings.items()
    )
    return ("Samtycke saknas. Vårdkedjan utgår från samtycke även inom samma nämnd.",) if uncovered else ()


# --- questions and advice --------------------------------------------------------------------------------------------


def _request(act: SendingAct, addressee: Addressee, item: ItemClass, consent: ConsentStatus) -> DisclosureRequest:
    affirmation = act.affirmation
    return DisclosureRequest(
        form_type=act.form_type,
        stage=item.stage,
        privacy=item.privacy,
        category=item.category,
        purpose=act.purpose,
        sender_kind=act.sender.kind,
        recipient_kind=addressee.inbox.kind,
        same_administration=act.sender.administration == addressee.inbox.administration,
        matched=addressee.matched,
        case_state=act.case_state,
        bed_offered=act.bed_offered,
        consent=consent,
        abuse_ongoing=affirmation.abuse_ongoing,
        abuse_qualifies=bool(affirmation.substances & QUALIFYING_SUBSTANCES),
        necessity_written=affirmation.necessity_written,
        affirmed=affirmation.affirmed,
        protected=act.protected,
        manual_release=affirmation.manual_release,
    )


def _with(request: DisclosureRequest, addition: Sequence[Added]) -> DisclosureRequest:
    """`request` as if the added facts were so."""
    changes: dict[str, object] = {}
    if Added.CONSENT in addition:
        changes["consent"] = ConsentStatus.COVERS
    if Added.AFFIRMATION in addition:
        changes |= {"affirmed": True, "necessity_written": True}
    if Added.MATCH in addition:
        changes |= {"matched": True, "case_state": CaseState.MATCHED}
    if Added.BED in addition:
        changes["bed_offered"] = True
    if Added.RELEASE in addition:
        changes["manual_release"] = True
    return dataclasses.replace(request, **changes)  # type: ignore[arg-type]


DEFAULT_DENY_WITHDRAWN: Final = Ruling(Outcome.DENY, "D7", "OSL 12 kap. 2 §", "")

__all__ = [
    "AccessAction",
    "AccessRequest",
    "Added",
    "Addressee",
    "Affirmation",
    "ConsentStatus",
    "Decider",
    "Decision",
    "DisclosureRequest",
    "OpeningAct",
    "Outcome",
    "Policy",
    "RecipientDecision",
    "Ruling",
    "SendingAct",
    "consent_status",
]
