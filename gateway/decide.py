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
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from gateway.errors import ForbiddenError, RefusedError
from gateway.model.base import DecisionId, Fact, InboxId, Instant, fact
from gateway.model.classes import Category, ConsentTerms, Exchange, ItemClass, PrivacyClass, Purpose, Stage
from gateway.model.directory import Inbox, InboxKind
from gateway.model.path import Consent
from gateway.states import CaseState, ConsentState

#: Evaluations between two turns of the event loop: one evaluation holds the interpreter lock for about 0.2 ms.
BATCH: Final = 8
MEMO: Final = 4096


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
    READ_LOG = "read_log"
    APPLY_DIRECTORY = "apply_directory"


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


class Policy(Protocol):
    """The rules. An evaluation error is a deny."""

    @property
    def digest(self) -> str:
        """SHA-256 of all policy texts, hexadecimal: which rules a decision was taken under."""

    def access(self, request: AccessRequest) -> Ruling: ...
    def disclosure(self, requests: Sequence[DisclosureRequest]) -> list[Ruling]: ...


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
            reason=_reason(worst, addressee.inbox, lacking, protected=act.protected),
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
                return _advice(addition, statuses, inbox, lacking)
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
    # A later refusal or withdrawal by the same person is not outdone by an older consent: rows are newest first,
    # and an older one that was never withdrawn still covers what it covers.
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


CATEGORY_SWEDISH: Final[Mapping[Category, str]] = {
    Category.ADMIN: "administrativa uppgifter",
    Category.NEED: "behov",
    Category.SOCIAL: "sociala förhållanden",
    Category.ADDICTION: "skadligt bruk",
    Category.HEALTH: "hälsa",
    Category.MEDICATION: "läkemedel",
    Category.HOUSING_WORK: "boende och sysselsättning",
    Category.ECONOMY: "ekonomi",
    Category.CHILDREN: "barn",
    Category.OFFENCES: "lagöverträdelser",
    Category.IDENTITY: "identitet",
}


def _listed(lacking: Iterable[ItemClass]) -> str:
    names = sorted({CATEGORY_SWEDISH[item.category] for item in lacking})
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} och {names[-1]}"


def _reason(status: ConsentStatus, inbox: Inbox, lacking: Sequence[ItemClass], *, protected: bool) -> str:
    """Why a recipient gets nothing, as a colleague would say it. D7 is the text for a refused or withdrawn consent."""
    what = _listed(lacking)
    if protected:
        return f"Personen har skyddade personuppgifter. Inget skickas till {inbox.name} utan särskild prövning (OSL 21 kap. 3 §)."
    texts = {
        ConsentStatus.REFUSED: f"Personen har sagt nej till att uppgifter lämnas till {inbox.name} (OSL 12 kap. 2 §, 26 kap. 1 §).",
        ConsentStatus.WITHDRAWN: f"Samtycket har återkallats. Uppgifter får inte lämnas till {inbox.name} (OSL 12 kap. 2 §, 26 kap. 1 §).",
        ConsentStatus.EXPIRED: f"Samtycket har gått ut och gäller inte längre för {inbox.name}.",
        ConsentStatus.NOT_YET_VALID: f"Samtycket har inte börjat gälla än för {inbox.name}.",
        ConsentStatus.WRONG_PARTY: f"Samtycket omfattar inte {inbox.name}.",
        ConsentStatus.WRONG_DIRECTION: f"Samtycket gäller bara åt andra hållet, inte till {inbox.name}.",
        ConsentStatus.WRONG_PURPOSE: f"Samtycket gäller ett annat syfte än det här utskicket till {inbox.name}.",
        ConsentStatus.WRONG_CATEGORY: f"Samtycket omfattar inte uppgifter om {what} till {inbox.name}.",
        ConsentStatus.NONE: f"Det finns inget samtycke till att uppgifter om {what} lämnas till {inbox.name} (OSL 26 kap. 1 §).",
        ConsentStatus.COVERS: f"Uppgifter om {what} får inte lämnas till {inbox.name} i det här läget.",
    }
    return texts[status]


def _advice(
    addition: Sequence[Added], statuses: Iterable[ConsentStatus], inbox: Inbox, lacking: Sequence[ItemClass]
) -> tuple[str, str]:
    what = _listed(lacking)
    swedish = {
        Added.CONSENT: f"Be den enskilde om ett samtycke som omfattar {inbox.name} och uppgifter om {what} (OSL 12 kap. 2 §).",
        Added.AFFIRMATION: "Be en delegat pröva om uppgifterna behövs för nödvändig vård (OSL 26 kap. 9 §).",
        Added.MATCH: f"Vänta tills remissgruppen har föreslagit {inbox.name}.",
        Added.BED: "Vänta tills en plats är erbjuden och inskrivningsdagen är bestämd.",
        Added.RELEASE: "Be den som får pröva skyddade personuppgifter att släppa utskicket för hand (OSL 21 kap. 3 §).",
    }
    english = {
        Added.CONSENT: f"Ask the person for a consent that names {inbox.name} and these categories (OSL 12:2).",
        Added.AFFIRMATION: "Ask a delegate whether this is needed for necessary care (OSL 26:9).",
        Added.MATCH: f"Wait until the board has proposed {inbox.name}.",
        Added.BED: "Wait until a bed is offered and the admission date is set.",
        Added.RELEASE: "Ask whoever may assess protected identities to release it by hand (OSL 21:3).",
    }
    refused = {ConsentStatus.REFUSED, ConsentStatus.WITHDRAWN} & set(statuses)
    tail = " Ett nej ska respekteras: rådgör annars utan att röja vem det gäller." if refused else ""
    return (
        " ".join(swedish[added] for added in addition) + tail + " Utkastet är kvar.",
        " ".join(english[added] for added in addition) + " The draft is kept.",
    )


DEFAULT_DENY_WITHDRAWN: Final = Ruling(Outcome.DENY, "D7", "OSL 12 kap. 2 §", "")
