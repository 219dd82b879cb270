"""What hand-overs are called on pages: points of the checklist, ways of handing over, what must be said.

Why this exists: whoever stands with a closed envelope in hand reads a sentence, not a code. The codes are
`gateway.carried`'s and `gateway.model.carrying`'s; a code without a word here fails a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from adapters.http.web.words import N_
from gateway.carried import Check
from gateway.collaboration import LinkStatus, Trouble
from gateway.model.carrying import Manner, Obstacle
from gateway.model.path import Channel

CHECKS: Final[Mapping[Check, str]] = {
    Check.WHOLE: N_("Alla sidor och alla bilagor är med."),
    Check.ADDRESS: N_("Jag har läst mottagare och adress en gång till, och de stämmer."),
    Check.CLOSED: N_("Kuvertet var igenklistrat och utan uppgifter om personen på utsidan."),
    Check.HANDS: N_("Det gavs till mottagarens funktion, eller till posten eller budet med kvitto."),
    Check.ENTERED: N_("Det som står i Cosmic Link är samma text som här."),
    Check.ONCE: N_("Det finns ett enda ärende i Cosmic Link: ingen är kallad två gånger."),
}
MANNERS: Final[Mapping[Manner, str]] = {
    Manner.IN_PERSON: N_("Personligen"),
    Manner.REGISTERED_POST: N_("Rekommenderat brev"),
    Manner.COURIER: N_("Bud"),
    Manner.LINK: N_("Inlagt i Cosmic Link"),
    Manner.PHONE: N_("I telefon"),
}
OBSTACLES: Final[Mapping[Obstacle, str]] = {
    Obstacle.NOT_FOUND: N_("Mottagaren eller adressen finns inte."),
    Obstacle.REFUSED: N_("Mottagaren tog inte emot det."),
    Obstacle.RETURNED: N_("Det kom tillbaka, eller kom aldrig fram."),
    Obstacle.STOPPED: N_("Det ska inte lämnas. Utskriften är förstörd."),
}
#: What a party must be told: a heading, and what to say.
SAYINGS: Final[Mapping[str, tuple[str, str]]] = {
    "consent_withdrawn": (
        N_("Ring och säg att samtycket är återkallat"),
        N_(
            "Säg att samtycket i ärendet har återkallats, och att inget nytt får lämnas ut med stöd av det. "
            "Det som redan är läst påverkas inte."
        ),
    ),
    "answer_disagreed": (
        N_("Ring och säg att ni inte är överens"),
        N_("Säg att ni inte delar förslaget till svar i ärendet, och att det tas upp på nästa möte."),
    ),
    "recall_requested": (
        N_("Ring och begär tillbaka ett meddelande"),
        N_(
            "Säg att ni vill ha tillbaka meddelandet i ärendet, och att de inte ska öppna det. "
            "Deras registrator avgör vad som händer."
        ),
    ),
}
#: The way in words, on the page and where the sender follows the message.
WAYS: Final[Mapping[Channel, str]] = {
    Channel.HANDOVER: N_("Lämnas eller postas på papper"),
    Channel.LINK: N_("Läggs in i Cosmic Link för hand"),
}
#: How a case stands in Link, in words of our model (INF): what Link itself says is unknown; none is a label of it.
LINK_WORDS: Final[Mapping[LinkStatus | Trouble, str]] = {
    LinkStatus.CREATED: N_("Ärendet är upplagt i Cosmic Link."),
    LinkStatus.INVITED: N_("Ärendet är upplagt i Cosmic Link, och mottagarna är inbjudna."),
    LinkStatus.DISTRIBUTED: N_("Ärendet är fördelat till en mottagare i Cosmic Link."),
    LinkStatus.ACTIVE: N_("Ärendet pågår i Cosmic Link."),
    LinkStatus.DISCHARGE_READY: N_("Personen är anmäld som utskrivningsklar i Cosmic Link."),
    LinkStatus.DISCHARGED: N_("Personen är utskriven, enligt Cosmic Link."),
    LinkStatus.PLANNING: N_("En plan tas fram i Cosmic Link."),
    LinkStatus.PLAN_AGREED: N_("Planen är överenskommen i Cosmic Link."),
    LinkStatus.FOLLOW_UP: N_("Ärendet följs upp i Cosmic Link."),
    LinkStatus.CLOSED: N_("Ärendet är avslutat i Cosmic Link."),
    LinkStatus.CANCELLED: N_("Ärendet är avbrutet i Cosmic Link."),
    Trouble.AWAY: N_("Cosmic Link svarar inte just nu. Försök igen om en stund, eller titta där."),
    Trouble.BUSY: N_("Cosmic Link har för mycket att göra just nu. Vänta några sekunder och fråga igen."),
    Trouble.FORBIDDEN: N_(
        "Cosmic Link låter inte er funktion se det ärendet. Titta där, eller fråga er systemförvaltare."
    ),
    Trouble.SESSION: N_("Cosmic Link släppte inte in Sambud. Titta där, och säg till er systemförvaltare."),
    Trouble.NOT_FOUND: N_("Inget ärende med den referensen finns i Cosmic Link. Kontrollera referensen där."),
    Trouble.CLOSED: N_("Ärendet är avslutat i Cosmic Link."),
    Trouble.INVALID: N_("Det går inte att fråga med den referensen. Kontrollera den, eller titta i Cosmic Link."),
    Trouble.UNKNOWN: N_("Cosmic Link svarade något som Sambud inte känner igen. Titta där i stället."),
}
