"""The Policy port over Cedar: `access.cedar` and `disclosure.cedar`, checked against the schema before anything starts.

Why this exists: lawyers must be able to read the rules, and a machine must be able to refuse a rule that does not make
sense. Two traps of the engine are closed here: a `forbid` whose evaluation fails is skipped by Cedar, so any evaluation
error is a deny; and a misspelt attribute would make a rule silently dead, so the set is validated and the program does
not start with one that is not.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cedarpy

from gateway.decide import AccessRequest, DisclosureRequest, Outcome, Ruling
from gateway.errors import SetupError

HERE: Final = Path(__file__).parent
DEFAULT: Final = Ruling(Outcome.DENY, "default", "", "")
FAILED: Final = Ruling(Outcome.DENY, "evaluation-error", "", "")
_ORDER: Final = list(Outcome)
_POLICY: Final = re.compile(r"(?P<notes>(?:@\w+\(\"[^\"]*\"\)\s*)+)(?P<effect>permit|forbid)\b")
_NOTE: Final = re.compile(r"@(\w+)\(\"([^\"]*)\"\)")


@dataclass(frozen=True, slots=True)
class Rule:
    """The annotations of one policy."""

    id: str
    effect: str
    law: str
    basis: str
    outcome: Outcome
    order: int


class CedarPolicy:
    """The rules in force."""

    def __init__(self, policies: str, schema: str) -> None:
        self._rules = rules_of(policies)
        checked = cedarpy.validate_policies(policies, schema)
        if not checked.validation_passed:
            faults = "; ".join(str(error) for error in checked.errors)
            raise SetupError(
                f"the policies do not fit their schema: {faults}",
                swedish="Reglerna för utlämnande är inte giltiga. Gatewayen startar inte med dem.",
                next_step="Rätta policyfilerna och starta igen.",
            )
        self._set = cedarpy.PolicySet.from_str(policies)
        self._entities = cedarpy.Entities.from_json_str("[]")
        self._digest = hashlib.sha256(f"{schema}\0{policies}".encode()).hexdigest()

    @classmethod
    def load(cls) -> CedarPolicy:
        """The rules that ship with the program.

        Raises:
            SetupError: they do not validate.
        """
        policies = "\n".join((HERE / name).read_text("utf-8") for name in ("access.cedar", "disclosure.cedar"))
        return cls(policies, (HERE / "schema.cedarschema").read_text("utf-8"))

    @property
    def digest(self) -> str:
        return self._digest

    @property
    def rules(self) -> Mapping[str, Rule]:
        """The rules by id, for documentation."""
        return self._rules

    def access(self, request: AccessRequest) -> Ruling:
        context = {
            "roles": sorted(request.roles),
            "member": request.member,
            "membership_role": request.membership_role,
            "inbox_kind": request.inbox_kind,
            "form_type": request.form_type,
        }
        asked = _asked("User", request.action, "Inbox", context)
        return self._ruling(cedarpy.is_authorized(asked, self._set, self._entities))

    def disclosure(self, requests: Sequence[DisclosureRequest]) -> list[Ruling]:
        asked = [_asked("Inbox", "disclose", "ItemClass", _facts(request)) for request in requests]
        return [self._ruling(result) for result in cedarpy.is_authorized_batch(asked, self._set, self._entities)]

    def _ruling(self, result: cedarpy.AuthzResult) -> Ruling:
        if result.diagnostics.errors:
            return FAILED
        found = [self._rules[rule] for rule in result.diagnostics.id_annotations_by_reason.values()]
        if not result.allowed:
            forbid = next((rule for rule in found if rule.effect == "forbid"), None)
            return Ruling(Outcome.DENY, forbid.id, forbid.law, forbid.basis) if forbid else DEFAULT
        rule = min(found, key=lambda rule: (_ORDER.index(rule.outcome), rule.order))
        return Ruling(rule.outcome, rule.id, rule.law, rule.basis)


def rules_of(policies: str) -> dict[str, Rule]:
    """The annotations of every policy.

    Raises:
        SetupError: a policy without @id, @law, @outcome or @order, or two with one id.
    """
    rules: dict[str, Rule] = {}
    annotated = 0
    for match in _POLICY.finditer(policies):
        notes = dict(_NOTE.findall(match["notes"]))
        annotated += 1
        if not {"id", "law", "outcome", "order"} <= notes.keys() or notes["id"] in rules:
            raise _unannotated()
        rules[notes["id"]] = Rule(
            notes["id"],
            match["effect"],
            notes["law"],
            notes.get("basis", ""),
            Outcome(notes["outcome"]),
            int(notes["order"]),
        )
    if annotated != len(re.findall(r"^\s*(?:permit|forbid)\s*\(", policies, re.MULTILINE)):
        raise _unannotated()
    return rules


def _unannotated() -> SetupError:
    return SetupError(
        "every policy needs its own @id, @law, @outcome and @order",
        swedish="En regel saknar beteckning eller lagrum. Gatewayen startar inte.",
        next_step="Rätta policyfilerna och starta igen.",
    )


def _asked(principal: str, action: str, resource: str, context: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "principal": f'{principal}::"asked"',
        "action": f'Action::"{action}"',
        "resource": f'{resource}::"asked"',
        "context": dict(context),
    }


def _facts(request: DisclosureRequest) -> dict[str, Any]:
    return {
        "form_type": request.form_type,
        "stage": str(request.stage),
        "privacy": str(request.privacy),
        "category": str(request.category),
        "purpose": str(request.purpose),
        "sender_kind": str(request.sender_kind),
        "recipient_kind": str(request.recipient_kind),
        "same_administration": request.same_administration,
        "matched": request.matched,
        "case_state": str(request.case_state),
        "bed_offered": request.bed_offered,
        "consent": str(request.consent),
        "abuse_ongoing": request.abuse_ongoing,
        "abuse_qualifies": request.abuse_qualifies,
        "necessity_written": request.necessity_written,
        "affirmed": request.affirmed,
        "protected": request.protected,
        "manual_release": request.manual_release,
    }
