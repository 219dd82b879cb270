"""The priority order of the board (S004 §5.2.3-5.2.4, domain.md §4): a proposal that people decide on.

a. LVM investigation and accepts treatment; b. a child perspective to consider (not merely "has children"); c. care
under 27 § LVM, then external placement; d. time in the queue. Cost is no input. The rule's version is kept with each
ranking.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.ports import Assessment

RULE: Final = "1"


class BoardPriority:
    """The Priority port: from the fields of a `placement_referral` as the seat got them."""

    def assess(self, fields: Mapping[str, object]) -> Assessment:
        """Class and reasons. A field that was held back counts as not so: the seat sees what was not lent to it."""
        lvm = fields.get("lvm_investigation") is True
        accepts = fields.get("accepts_treatment") == "YES"
        child = fields.get("child_perspective") in ("CONSIDER", "URGENT")
        lvm27 = fields.get("request_kind") == "LVM27" or fields.get("legal_ground") == "LVM_27"
        external = fields.get("external_now") is True
        reasons: list[str] = []
        if lvm and accepts:
            reasons += ["LVM_INVESTIGATION", "ACCEPTS_TREATMENT"]
        if child:
            reasons.append("CHILD_PERSPECTIVE")
        if lvm27:
            reasons.append("LVM_27")
        if external:
            reasons.append("EXTERNAL_NOW")
        first = 1 if lvm and accepts else 2 if child else 3 if lvm27 or external else 4
        second = 1 if first == 3 and not lvm27 else 0  # INF: LVM 27 § before external placement, per the prose
        urgent = fields.get("urgency") == "URGENT" or fields.get("child_perspective") == "URGENT"
        return Assessment((first, second), tuple(reasons), urgent, RULE)
