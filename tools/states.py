"""Draw docs/states.md from the transition tables in gateway/states.py.

Why this exists: a picture that is drawn by hand is wrong after the next change. Run it after changing a table; a test
holds that the document is what the tables say.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parent.parent))

from gateway import states

DOCUMENT: Final = Path(__file__).parent.parent / "docs" / "states.md"
HEAD: Final = """# States

Drawn from the tables in `gateway/states.py` by `tools/states.py`; a test holds that they agree. What is not an
arrow is refused and changes nothing. A case never becomes a decision on assistance here: that is made elsewhere,
whatever the board answers.
"""
TABLES: Final[Mapping[str, tuple[str, Mapping[tuple[StrEnum, StrEnum], StrEnum]]]] = {
    "Case": ("As far as the path goes today (domain: PlacementCase).", states.CASE),
    "Delivery": ("The way of one envelope to one inbox (RFC 3464 §2.3.3 for the words).", states.DELIVERY),
    "Consent": ("Withdrawal looks forward only (GDPR Art. 7(3)).", states.CONSENT),
    "Joint answer": ("One seat proposes, the other confirms or disagrees.", states.ANSWER),
    "Task": ("A received envelope as work.", states.TASK),
    "Hand-over": ("What a person says, and what a person carries.", states.HAND_OVER),
    "Held": (
        "What came to a collecting address, or to a closed inbox; sealed until it lies with a function.",
        states.HELD,
    ),
    "Quarantine": ("A file without a verdict; what got one at once has no row.", states.QUARANTINE),
    "Recall": ("Asked back before anybody opened it; an opened one is an incident from the start.", states.RECALL),
}
#: States that something may begin in, beside the first of its table.
ALSO: Final[Mapping[str, tuple[StrEnum, ...]]] = {
    "Consent": (states.ConsentState.REFUSED,),
    "Hand-over": (states.HandOverState.TAKEN,),
    "Recall": (states.RecallState.INCIDENT,),
}


def drawn() -> str:
    """The document."""
    parts = [HEAD]
    for name, (says, table) in TABLES.items():
        begins = [next(iter(table))[0], *ALSO.get(name, ())]
        arrows = [f"    [*] --> {state}" for state in begins]
        arrows += [f"    {state} --> {after}: {event}" for (state, event), after in table.items()]
        parts.append(f"\n## {name}\n\n{says}\n\n```mermaid\nstateDiagram-v2\n" + "\n".join(arrows) + "\n```\n")
    return "".join(parts)


if __name__ == "__main__":
    DOCUMENT.write_text(drawn(), "utf-8")
