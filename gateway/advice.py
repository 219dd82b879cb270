"""What a denied sender is told: why, under which paragraph, and the smallest thing that would help.

Why this exists: a "no" that does not say what to do next becomes a fax. The texts are Swedish as a good colleague would
say them; the English next step is for those who build against the gateway.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from gateway.model.classes import Category, ItemClass
from gateway.model.decision import Added, ConsentStatus
from gateway.model.directory import Inbox

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


def reason(status: ConsentStatus, inbox: Inbox, lacking: Sequence[ItemClass], *, protected: bool) -> str:
    """Why a recipient gets nothing, as a colleague would say it. D7 is the text for a refused or withdrawn consent."""
    what = _listed(lacking)
    if protected:
        return (
            "Personen har skyddade personuppgifter. "
            f"Inget skickas till {inbox.name} utan särskild prövning (OSL 21 kap. 3 §)."
        )
    texts = {
        ConsentStatus.REFUSED: (
            f"Personen har sagt nej till att uppgifter lämnas till {inbox.name} (OSL 12 kap. 2 §, 26 kap. 1 §)."
        ),
        ConsentStatus.WITHDRAWN: (
            f"Samtycket har återkallats. Uppgifter får inte lämnas till {inbox.name} (OSL 12 kap. 2 §, 26 kap. 1 §)."
        ),
        ConsentStatus.EXPIRED: f"Samtycket har gått ut och gäller inte längre för {inbox.name}.",
        ConsentStatus.NOT_YET_VALID: f"Samtycket har inte börjat gälla än för {inbox.name}.",
        ConsentStatus.WRONG_PARTY: f"Samtycket omfattar inte {inbox.name}.",
        ConsentStatus.WRONG_DIRECTION: f"Samtycket gäller bara åt andra hållet, inte till {inbox.name}.",
        ConsentStatus.WRONG_PURPOSE: f"Samtycket gäller ett annat syfte än det här utskicket till {inbox.name}.",
        ConsentStatus.WRONG_CATEGORY: f"Samtycket omfattar inte uppgifter om {what} till {inbox.name}.",
        ConsentStatus.NONE: (
            f"Det finns inget samtycke till att uppgifter om {what} lämnas till {inbox.name} (OSL 26 kap. 1 §)."
        ),
        ConsentStatus.COVERS: f"Uppgifter om {what} får inte lämnas till {inbox.name} i det här läget.",
    }
    return texts[status]


def advice(
    addition: Sequence[Added], statuses: Iterable[ConsentStatus], inbox: Inbox, lacking: Sequence[ItemClass]
) -> tuple[str, str]:
    what = _listed(lacking)
    swedish = {
        Added.CONSENT: (
            f"Be den enskilde om ett samtycke som omfattar {inbox.name} och uppgifter om {what} (OSL 12 kap. 2 §)."
        ),
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
