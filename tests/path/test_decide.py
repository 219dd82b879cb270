"""Decide: each row of the disclosure table, the default, and what a denied sender is told."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.decide import (
    AccessAction,
    AccessRequest,
    Addressee,
    Affirmation,
    ConsentStatus,
    Decider,
    Decision,
    DisclosureRequest,
    OpeningAct,
    Outcome,
    Ruling,
    SendingAct,
)
from gateway.errors import ForbiddenError, RefusedError, SetupError
from gateway.model.base import AdministrationId, CaseId, ConsentId, InboxId, Instant, UnitId, UserId
from gateway.model.classes import Category, ConsentTerms, Exchange, ItemClass, PrivacyClass, Purpose, Stage
from gateway.model.directory import Inbox, InboxKind
from gateway.model.path import Consent
from gateway.states import CaseState, ConsentState
from policies.engine import HERE, CedarPolicy

POLICY = CedarPolicy.load()
NOW = Instant(1_000_000)
NEED = ItemClass(Stage.S1, PrivacyClass.P3, Category.NEED)
HEALTH = ItemClass(Stage.S1, PrivacyClass.P4, Category.HEALTH)
ADMIN = ItemClass(Stage.S1, PrivacyClass.P1, Category.ADMIN)
NAME = ItemClass(Stage.S2, PrivacyClass.P2, Category.IDENTITY)

ASKED = DisclosureRequest(
    form_type="placement_referral",
    stage=Stage.S1,
    privacy=PrivacyClass.P3,
    category=Category.NEED,
    purpose=Purpose.PLACEMENT_MATCHING,
    sender_kind=InboxKind.CASEWORK,
    recipient_kind=InboxKind.SEAT,
    same_administration=False,
    matched=False,
    case_state=CaseState.INVESTIGATING,
    bed_offered=False,
    consent=ConsentStatus.COVERS,
    abuse_ongoing=False,
    abuse_qualifies=False,
    necessity_written=False,
    affirmed=False,
    protected=False,
    manual_release=False,
)


def ask(**changes: object) -> Ruling:
    [ruling] = POLICY.disclosure([dataclasses.replace(ASKED, **changes)])  # type: ignore[arg-type]
    return ruling


class Counting:
    """The real policy, with a count of what it was asked."""

    def __init__(self) -> None:
        self.asked: list[DisclosureRequest] = []
        self.batches: list[int] = []

    @property
    def digest(self) -> str:
        return POLICY.digest

    def access(self, request: AccessRequest) -> Ruling:
        return POLICY.access(request)

    def disclosure(self, requests: Sequence[DisclosureRequest]) -> list[Ruling]:
        self.asked += requests
        self.batches.append(len(requests))
        return POLICY.disclosure(requests)


# --- the rows --------------------------------------------------------------------------------------------------------


def test_d0_a_protected_person_is_never_sent_unless_released_by_hand() -> None:
    """OSL 21:3."""
    assert ask(protected=True) == Ruling(Outcome.DENY, "D0", "OSL 21 kap. 3 §, 22 kap. 1-2 §§", "")
    assert ask(protected=True, manual_release=True).permits
    assert not ask(protected=True, same_administration=True).permits


def test_d1_the_same_board_may_match_without_consent_and_name_only_to_the_matched_unit() -> None:
    """SoL 14:7."""
    base = {"same_administration": True, "consent": ConsentStatus.NONE}
    assert ask(**base).rule == "D1"
    assert ask(**base, recipient_kind=InboxKind.UNIT).rule == "D1"
    assert not ask(**base, stage=Stage.S2).permits
    assert not ask(**base, stage=Stage.S2, matched=True).permits  # a seat is not the unit
    assert ask(**base, stage=Stage.S2, matched=True, recipient_kind=InboxKind.UNIT).rule == "D1"
    assert not ask(**base, stage=Stage.S3, matched=True, recipient_kind=InboxKind.UNIT).permits
    assert ask(**base, stage=Stage.S3, matched=True, bed_offered=True, recipient_kind=InboxKind.UNIT).permits
    # A registrator forwards within the board, unread (gateway.forwarding): stage 1 only, never over the border.
    assert ask(**base, sender_kind=InboxKind.REGISTRATOR).rule == "D1"
    assert not ask(**base, sender_kind=InboxKind.REGISTRATOR, stage=Stage.S2, matched=True).permits
    assert not ask(**base, sender_kind=InboxKind.REGISTRATOR, recipient_kind=InboxKind.REGISTRATOR).permits
    assert not ask(sender_kind=InboxKind.REGISTRATOR, consent=ConsentStatus.NONE, same_administration=False).permits
    assert not ask(**base, sender_kind=InboxKind.INTAKE).permits
    assert not ask(**base, recipient_kind=InboxKind.INTAKE).permits
    assert not ask(consent=ConsentStatus.NONE).permits  # another administration


def test_d2_the_board_gets_stage_one_without_identity_on_consent() -> None:
    """OSL 12:2."""
    assert ask().rule == "D2"
    assert not ask(stage=Stage.S2).permits
    assert not ask(category=Category.IDENTITY).permits
    assert not ask(purpose=Purpose.SIP).permits
    assert not ask(sender_kind=InboxKind.SEAT).permits
    assert not ask(recipient_kind=InboxKind.UNIT).permits


@pytest.mark.parametrize("status", [status for status in ConsentStatus if status is not ConsentStatus.COVERS])
def test_a_consent_that_does_not_cover_permits_nothing(status: ConsentStatus) -> None:
    for recipient in (InboxKind.SEAT, InboxKind.UNIT):
        assert not ask(
            consent=status, recipient_kind=recipient, matched=True, case_state=CaseState.MATCHED, stage=Stage.S1
        ).permits
    assert not ask(consent=status, form_type="board_response", sender_kind=InboxKind.SEAT).permits


def test_d3_stage_two_goes_to_the_matched_unit_only_and_stage_three_with_a_bed() -> None:
    base = {"recipient_kind": InboxKind.UNIT, "matched": True, "case_state": CaseState.MATCHED}
    assert ask(**base).rule == "D3"
    assert ask(**base, stage=Stage.S2, category=Category.IDENTITY).rule == "D3"
    assert not ask(**base, stage=Stage.S3).permits
    assert ask(**base, stage=Stage.S3, bed_offered=True).rule == "D3"
    assert not ask(**(base | {"matched": False})).permits
    assert not ask(**(base | {"case_state": CaseState.RECEIVED})).permits


def test_d4_necessary_care_needs_ongoing_qualifying_abuse_necessity_and_a_delegate() -> None:
    """OSL 26:9; not for gambling, doping or medicines alone."""
    base = {
        "consent": ConsentStatus.REFUSED,
        "abuse_ongoing": True,
        "abuse_qualifies": True,
        "necessity_written": True,
        "affirmed": True,
    }
    assert ask(**base) == Ruling(Outcome.NEEDS_AFFIRM, "D4", "OSL 26 kap. 9 § 2", "OSL_26_9")
    for missing in ("abuse_ongoing", "abuse_qualifies", "necessity_written", "affirmed"):
        assert not ask(**(base | {missing: False})).permits
    assert not ask(**base, stage=Stage.S2).permits
    assert not ask(**base, sender_kind=InboxKind.SEAT).permits


def test_d34_a_named_party_may_answer_in_the_direction_of_the_consent() -> None:
    base = {"form_type": "board_response", "sender_kind": InboxKind.SEAT, "recipient_kind": InboxKind.CASEWORK}
    assert ask(**base).rule == "D34"
    assert not ask(**base, stage=Stage.S2).permits
    assert ask(form_type="case_message", recipient_kind=InboxKind.INTAKE).rule == "D34"


def test_d35_what_names_nobody_may_go_to_anybody() -> None:
    base = {"consent": ConsentStatus.NONE, "category": Category.ADMIN, "recipient_kind": InboxKind.INTAKE}
    assert ask(**base, privacy=PrivacyClass.P0).rule == "D35"
    assert ask(**base, privacy=PrivacyClass.P1).rule == "D35"
    assert not ask(**base, privacy=PrivacyClass.P2).permits


def test_the_default_is_deny() -> None:
    assert ask(consent=ConsentStatus.NONE) == Ruling(Outcome.DENY, "default", "", "")


def test_of_several_permits_the_first_in_order_is_reported() -> None:
    affirmed = {"abuse_ongoing": True, "abuse_qualifies": True, "necessity_written": True, "affirmed": True}
    assert ask(**affirmed).rule == "D2"  # ALLOW before NEEDS_AFFIRM
    assert ask(**affirmed, same_administration=True).rule == "D1"  # then table order


# --- the engine ------------------------------------------------------------------------------------------------------


def _texts() -> tuple[str, str]:
    policies = "\n".join((HERE / name).read_text("utf-8") for name in ("access.cedar", "disclosure.cedar"))
    return policies, (HERE / "schema.cedarschema").read_text("utf-8")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("context.protected &&", "context.protekted &&"),
        ('@law("OSL 12 kap. 2 §") @basis', "@basis"),
        ('@id("D2")', '@id("D1")'),
        ("context.matched &&", "context.matched == 1 &&"),
    ],
)
def test_a_rule_that_does_not_make_sense_keeps_the_gateway_from_starting(old: str, new: str) -> None:
    policies, schema = _texts()
    assert old in policies
    with pytest.raises(SetupError):
        CedarPolicy(policies.replace(old, new, 1), schema)


def test_an_evaluation_error_is_a_deny_even_beside_a_permit() -> None:
    """Cedar skips a forbid that fails, and would allow."""
    policies, schema = _texts()
    extra = (
        '@id("X1") @law("") @outcome("DENY") @order("99")\n'
        'forbid (principal, action == Action::"disclose", resource)\n'
        "when { 9223372036854775807 + (if context.matched then 1 else 1) > 0 };\n"
    )
    broken = CedarPolicy(policies + extra, schema)
    [ruling] = broken.disclosure([ASKED])
    assert ruling == Ruling(Outcome.DENY, "evaluation-error", "", "")


@pytest.mark.parametrize(
    ("action", "roles", "kind", "form_type", "allowed"),
    [
        (AccessAction.OPEN_CASE, {"case_worker"}, "casework", "", True),
        (AccessAction.OPEN_CASE, {"case_worker"}, "seat", "", False),
        (AccessAction.OPEN_CASE, {"unit_manager"}, "casework", "", False),
        (AccessAction.RECORD_CONSENT, {"case_worker"}, "casework", "", True),
        (AccessAction.RECORD_CONSENT, {"delegate"}, "casework", "", False),
        (AccessAction.READ_CONSENT, {"delegate"}, "casework", "", True),
        (AccessAction.SEND, {"case_worker"}, "casework", "placement_referral", True),
        (AccessAction.SEND, {"unit_manager"}, "seat", "placement_referral", False),
        (AccessAction.SEND, {"key_worker"}, "unit", "case_message", True),
        (AccessAction.SEND, {"registrator"}, "registrator", "case_message", False),
        (AccessAction.READ, {"unit_manager"}, "seat", "", True),
        (AccessAction.READ, {"registrator"}, "registrator", "", False),
        (AccessAction.READ, {"system_administrator", "case_worker"}, "casework", "", False),
        (AccessAction.READ, {"auditor", "case_worker"}, "casework", "", False),
        (AccessAction.PROPOSE_ANSWER, {"coordinator"}, "seat", "", True),
        (AccessAction.PROPOSE_ANSWER, {"case_worker"}, "seat", "", False),
        (AccessAction.CONFIRM_ANSWER, {"unit_manager"}, "unit", "", False),
        (AccessAction.READ_LOG, {"auditor"}, "", "", True),
        (AccessAction.READ_LOG, {"case_worker", "system_administrator"}, "", "", False),
        (AccessAction.APPLY_DIRECTORY, {"system_administrator"}, "", "", True),
    ],
)
async def test_roles_may_what_the_table_says(
    action: AccessAction, roles: set[str], kind: str, form_type: str, allowed: bool
) -> None:
    decider = Decider(POLICY)
    request = AccessRequest(action=action, roles=frozenset(roles), member=True, inbox_kind=kind, form_type=form_type)
    if allowed:
        assert (await decider.require_access(request)).permits
    else:
        with pytest.raises(ForbiddenError):
            await decider.require_access(request)
    if action not in (AccessAction.READ_LOG, AccessAction.APPLY_DIRECTORY):
        with pytest.raises(ForbiddenError):
            await decider.require_access(dataclasses.replace(request, member=False))


# --- decisions -------------------------------------------------------------------------------------------------------


def an_inbox(unit: str, kind: InboxKind, administration: str = "region.hsv") -> Inbox:
    return Inbox(
        administration=AdministrationId(administration),
        id=InboxId(f"{unit}.{kind}"),
        unit=UnitId(unit),
        name=f"Inkorgen {unit}",
        kind=kind,
        accepts=("placement_referral",),
    )


def a_consent(
    state: ConsentState = ConsentState.GIVEN,
    *,
    exchanges: tuple[tuple[str, str], ...] = (("vuxen", "ekeliden"),),
    categories: tuple[Category, ...] = (Category.NEED, Category.HEALTH),
    purposes: tuple[Purpose, ...] = (Purpose.PLACEMENT_MATCHING,),
    valid: tuple[int, int] = (0, 2_000_000),
) -> tuple[Consent, ConsentTerms]:
    row = Consent(
        administration=AdministrationId("vaxjo.nav"),
        id=ConsentId("c1"),
        case=CaseId("case"),
        state=state,
        valid_from=Instant(valid[0]),
        valid_to=Instant(valid[1]),
        recorded_by=UserId("u"),
        recorded_at=Instant(0),
    )
    terms = ConsentTerms(
        purposes=purposes,
        exchanges=tuple(Exchange(*pair) for pair in exchanges),
        categories=categories,
        given_by="INDIVIDUAL",
        manner="ORAL",
    )
    return row, terms


def an_act(**changes: object) -> SendingAct:
    seat = an_inbox("ekeliden", InboxKind.SEAT)
    act = SendingAct(
        sender=an_inbox("vuxen", InboxKind.CASEWORK, "vaxjo.nav"),
        recipients=(Addressee(inbox=seat, stage=Stage.S1, matched=False),),
        form_type="placement_referral",
        present=frozenset({ADMIN, NEED, HEALTH, NAME}),
        required={Stage.S1: frozenset({ADMIN, NEED})},
        purpose=Purpose.PLACEMENT_MATCHING,
        case_state=CaseState.INVESTIGATING,
        consents=(a_consent(),),
        at=NOW,
    )
    return dataclasses.replace(act, **changes)  # type: ignore[arg-type]


async def decided(**changes: object) -> Decision:
    return await Decider(POLICY).sending(an_act(**changes))


async def test_a_covered_recipient_gets_its_stage_and_the_decision_names_the_consent_with_its_end() -> None:
    decision = await decided()
    [recipient] = decision.recipients
    assert recipient.permitted == {ADMIN, NEED, HEALTH}
    assert NAME not in recipient.rulings
    assert [(f.row, f.key, f.valid_until) for f in decision.facts] == [(Consent, ("c1",), 2_000_000)]
    decision.require_permit()


async def test_a_held_back_field_does_not_stop_the_message() -> None:
    decision = await decided(consents=(a_consent(categories=(Category.NEED,)),))
    [recipient] = decision.recipients
    assert not recipient.denied
    assert recipient.held_back == {HEALTH}


async def test_a_denied_required_field_denies_the_recipient() -> None:
    decision = await decided(consents=(a_consent(categories=(Category.HEALTH,)),))
    with pytest.raises(RefusedError) as refused:
        decision.require_permit()
    assert "behov" in refused.value.swedish
    assert "OSL 12 kap. 2 §" in refused.value.next_step


async def test_a_recipient_who_would_get_only_administrative_fields_gets_nothing() -> None:
    decision = await decided(consents=(), required={Stage.S1: frozenset({ADMIN})})
    assert decision.recipients[0].denied


@pytest.mark.parametrize(
    ("consent", "words"),
    [
        (a_consent(exchanges=(("vuxen", "novus"),)), "omfattar inte"),
        (a_consent(exchanges=(("ekeliden", "vuxen"),)), "andra hållet"),
        (a_consent(purposes=(Purpose.SIP,)), "annat syfte"),
        (a_consent(categories=(Category.ECONOMY,)), "omfattar inte uppgifter om"),
        (a_consent(valid=(2_000_000, 3_000_000)), "inte börjat gälla"),
        (a_consent(valid=(0, NOW)), "gått ut"),
        (a_consent(ConsentState.EXPIRED), "gått ut"),
        (a_consent(ConsentState.WITHDRAWN), "återkallats"),
        (a_consent(ConsentState.REFUSED), "sagt nej"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_each_way_a_consent_falls_short_is_said_in_its_own_words(
    consent: tuple[Consent, ConsentTerms], words: str
) -> None:
    [recipient] = (await decided(consents=(consent,))).recipients
    assert recipient.denied
    assert words in recipient.reason
    assert recipient.next_step.endswith("Utkastet är kvar.")
    assert recipient.next_step_english


async def test_no_consent_at_all_says_so_and_asks_for_one() -> None:
    [recipient] = (await decided(consents=())).recipients
    assert "inget samtycke" in recipient.reason
    assert recipient.next_step.startswith("Be den enskilde om ett samtycke")


async def test_the_next_step_is_the_smallest_change_that_would_permit() -> None:
    """A single where a single is enough; a pair where it is not."""
    unit = Addressee(inbox=an_inbox("ekeliden", InboxKind.UNIT), stage=Stage.S2, matched=False)
    required = {Stage.S2: frozenset({ADMIN, NEED, NAME})}
    [covered] = (await decided(recipients=(unit,), required=required)).recipients
    assert covered.next_step.startswith("Vänta tills remissgruppen")
    [bare] = (await decided(recipients=(unit,), required=required, consents=())).recipients
    assert "samtycke" in bare.next_step and "Vänta tills remissgruppen" in bare.next_step
    abuse = Affirmation(abuse_ongoing=True, substances=frozenset({"ALCOHOL"}))
    [affirm] = (await decided(consents=(), affirmation=abuse)).recipients
    assert affirm.next_step.startswith("Be den enskilde")  # a consent comes before an affirmation


async def test_a_protected_person_needs_release_by_hand() -> None:
    [recipient] = (await decided(protected=True)).recipients
    assert "skyddade personuppgifter" in recipient.reason
    assert "släppa utskicket för hand" in recipient.next_step


async def test_gambling_doping_and_medicines_alone_never_qualify() -> None:
    stated = {"abuse_ongoing": True, "necessity_written": True, "affirmed": True}
    for substances, permitted in (
        ({"GAMBLING"}, False),
        ({"DOPING", "MEDICINES"}, False),
        ({"GAMBLING", "ALCOHOL"}, True),
    ):
        act = Affirmation(**stated, substances=frozenset(substances))  # type: ignore[arg-type]
        assert (await decided(consents=(), affirmation=act)).permits == permitted


async def test_equal_questions_are_asked_once_in_batches_of_at_most_eight() -> None:
    policy = Counting()
    decider = Decider(policy)
    seats = tuple(
        Addressee(inbox=an_inbox("ekeliden", InboxKind.SEAT), stage=Stage.S1, matched=False) for _ in range(5)
    )
    present = frozenset(ItemClass(Stage.S1, privacy, category) for privacy in PrivacyClass for category in Category)
    await decider.sending(an_act(recipients=seats, present=present))
    assert len(policy.asked) == len(set(policy.asked)) == len(present)
    assert max(policy.batches) <= 8
    await decider.sending(an_act(recipients=seats, present=present))
    assert len(policy.asked) == len(present)


async def test_an_unopened_item_follows_its_consent_and_an_opened_one_does_not() -> None:
    """TF 2:9: received is received; D7 for the members."""
    decider = Decider(POLICY)
    withdrawn = a_consent(ConsentState.WITHDRAWN)
    (await decider.opening(OpeningAct(unopened=True, consents=(a_consent(),), at=NOW))).require_permit()
    (await decider.opening(OpeningAct(unopened=False, consents=(withdrawn,), at=NOW))).require_permit()
    refused = await decider.opening(OpeningAct(unopened=True, consents=(withdrawn,), at=NOW))
    assert refused.rules == ("D7",)
    with pytest.raises(RefusedError, match="D7"):
        refused.require_permit()


FACTS = st.fixed_dictionaries(
    {
        "stage": st.sampled_from(Stage),
        "privacy": st.sampled_from(PrivacyClass),
        "category": st.sampled_from(Category),
        "purpose": st.sampled_from(Purpose),
        "form_type": st.sampled_from(["placement_referral", "board_response", "case_message"]),
        "sender_kind": st.sampled_from(InboxKind),
        "recipient_kind": st.sampled_from(InboxKind),
        "same_administration": st.booleans(),
        "matched": st.booleans(),
        "case_state": st.sampled_from(CaseState),
        "bed_offered": st.booleans(),
        "abuse_ongoing": st.booleans(),
        "abuse_qualifies": st.booleans(),
        "necessity_written": st.booleans(),
        "affirmed": st.booleans(),
        "protected": st.booleans(),
        "manual_release": st.booleans(),
    }
)


@given(FACTS, st.sampled_from(ConsentStatus))
def test_taking_a_consent_away_never_adds_a_permit(facts: dict[str, object], status: ConsentStatus) -> None:
    if ask(**facts, consent=status).permits:
        assert ask(**facts, consent=ConsentStatus.COVERS).permits


@given(FACTS, st.sampled_from(ConsentStatus))
def test_protection_without_release_permits_nothing_whatever_else(
    facts: dict[str, object], status: ConsentStatus
) -> None:
    assert not ask(**(facts | {"protected": True, "manual_release": False}), consent=status).permits


@given(FACTS, st.sampled_from(ConsentStatus))
def test_later_stages_never_reach_anybody_but_a_matched_unit(facts: dict[str, object], status: ConsentStatus) -> None:
    asked = facts | {"stage": Stage.S2, "category": Category.IDENTITY, "matched": False}
    assert not ask(**asked, consent=status).permits
