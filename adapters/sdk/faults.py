"""What can be wrong with an SDK message, as its receipt says it (B1.3.3 §5.3, C3.2.4).

Why this exists: a refused sender must be able to mend, and may read nothing of the content back: subjects hold more
than they should. So a fault is a reason, a detail, a place and a sentence of ours, never a value of theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.neighbours import Reason


class Why(StrEnum):
    """orsakskod"""

    STRUCTURE = "SV"
    RULE = "BV"
    SIGNATURE = "SIG"


class Detail(StrEnum):
    """detaljkod; any other text is accepted inbound (free text by schema)."""

    STRUCTURE = "structure"
    FORBIDDEN = "forbidden"
    TOO_LONG = "too-long"
    INVARIANT = "invariant"
    DUPLICATE = "duplicate"
    MULTIPLE = "multiple-matches"
    NOT_SUPPORTED = "not-supported"
    NOT_FOUND = "not-found"
    SECURITY = "security"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `place` is an XPath, or NA; `text` is ours and quotes nothing."""

    why: Why
    detail: str
    place: str
    text: str


class RejectedError(ValueError):
    """The message is refused; all faults that were found, at least one."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(f"{len(faults)} faults, the first is {faults[0].why}/{faults[0].detail}")
        self.faults = tuple(faults)


#: What our own refusal of an arrival is called in a receipt (B1.3.3 §5.3; the row's number beside it).
TOLD: Final[Mapping[Reason, Fault]] = {
    Reason.STRUCTURE: Fault(Why.STRUCTURE, Detail.STRUCTURE, "NA", "Meddelandet följer inte schemat."),  # 2
    Reason.MALWARE: Fault(Why.RULE, Detail.FORBIDDEN, "NA", "En fil stoppades av viruskontrollen."),  # 3
    Reason.TOO_LARGE: Fault(Why.RULE, Detail.TOO_LONG, "NA", "Meddelandet är större än 30 MB."),  # 4
    Reason.RULE: Fault(Why.RULE, Detail.INVARIANT, "NA", "Meddelandet bryter mot en regel."),  # 5
    Reason.DUPLICATE: Fault(Why.RULE, Detail.DUPLICATE, "NA", "Meddelandets id har använts förut."),  # 6
    Reason.TYPE: Fault(Why.RULE, Detail.NOT_SUPPORTED, "NA", "Filtypen tas inte emot."),  # 8
    Reason.NOT_FOUND: Fault(Why.RULE, Detail.NOT_FOUND, "NA", "Funktionsadressen finns inte."),  # 9
    Reason.REFUSED: Fault(Why.RULE, Detail.NOT_SUPPORTED, "NA", "Meddelandet hänvisar till ett som avvisats."),  # 11
    Reason.SIGNATURE: Fault(Why.SIGNATURE, Detail.SECURITY, "NA", "Signaturen stämmer inte."),  # 12
    Reason.UNTRUSTED: Fault(Why.RULE, Detail.SECURITY, "NA", "Avsändaren stämmer inte."),  # 13
    Reason.CERTIFICATE: Fault(Why.SIGNATURE, Detail.SECURITY, "NA", "Meddelandet är inte krypterat som det ska."),  # 14
}

_BY_DETAIL: Final[Mapping[str, Reason]] = {
    Detail.STRUCTURE: Reason.STRUCTURE,
    Detail.FORBIDDEN: Reason.MALWARE,
    Detail.TOO_LONG: Reason.TOO_LARGE,
    Detail.INVARIANT: Reason.RULE,
    Detail.DUPLICATE: Reason.DUPLICATE,
    Detail.MULTIPLE: Reason.DUPLICATE,
    Detail.NOT_SUPPORTED: Reason.TYPE,
    Detail.NOT_FOUND: Reason.NOT_FOUND,
    Detail.SECURITY: Reason.UNTRUSTED,
}
_BY_WHY: Final[Mapping[str, Reason]] = {
    Why.STRUCTURE: Reason.STRUCTURE,
    Why.RULE: Reason.RULE,
    Why.SIGNATURE: Reason.SIGNATURE,
}


def reason_of(why: str, detail: str) -> Reason:
    """A neighbour's codes in our words; an unknown detail falls back to its reason, an unknown reason to 'refused'."""
    if why == Why.SIGNATURE:
        return Reason.SIGNATURE
    return _BY_DETAIL.get(detail.strip().lower(), _BY_WHY.get(why, Reason.REFUSED))
