"""How a field is classed: privacy class, stage, consent category (domain.md §5, §6.0).

An ItemClass is what the gate is asked about, per recipient: many fields share one, and what is denied is held back.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PrivacyClass(StrEnum):
    P0 = "P0"  # form type, organisations, status codes
    P1 = "P1"  # administrative
    P2 = "P2"  # identity and contact
    P3 = "P3"  # social circumstances (OSL 26:1)
    P4 = "P4"  # health (OSL 25:1)
    P5 = "P5"  # another person
    P6 = "P6"  # protected identity


class Stage(StrEnum):
    S1 = "S1"  # what the board sees to match
    S2 = "S2"  # added for the chosen unit
    S3 = "S3"  # added when a bed is offered and an admission date is set


class Category(StrEnum):
    """Consent category; ADMIN needs none."""

    ADMIN = "ADMIN"
    NEED = "NEED"
    SOCIAL = "SOCIAL"
    ADDICTION = "ADDICTION"
    HEALTH = "HEALTH"
    MEDICATION = "MEDICATION"
    HOUSING_WORK = "HOUSING_WORK"
    ECONOMY = "ECONOMY"
    CHILDREN = "CHILDREN"
    OFFENCES = "OFFENCES"
    IDENTITY = "IDENTITY"


class Purpose(StrEnum):
    """What a consent may be for (domain.md §6.2), and so what an act of sending is for."""

    PLACEMENT_MATCHING = "PLACEMENT_MATCHING"
    STUDY_VISIT = "STUDY_VISIT"
    UNIT_COOPERATION = "UNIT_COOPERATION"
    TRANSFER = "TRANSFER"
    HOME_PLANNING = "HOME_PLANNING"
    SIP = "SIP"
    VIDEO_MEETING = "VIDEO_MEETING"
    FOLLOW_UP_QUALITY = "FOLLOW_UP_QUALITY"


@dataclass(frozen=True, slots=True, order=True)
class ItemClass:
    """The class of a field: at which stage it is sent, how private it is, which consent category covers it."""

    stage: Stage
    privacy: PrivacyClass
    category: Category


@dataclass(frozen=True, slots=True, order=True)
class Exchange:
    """A direction that a consent states: FROM one unit TO another. Units, never whole organisations."""

    sender: str  # unit id
    recipient: str  # unit id


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentTerms:
    """What a consent covers; stands sealed in the Consent row (security-decisions S7).

    IDENTITY is covered by any consent that names the party and PLACEMENT_MATCHING, from stage 2 on: a chosen unit
    cannot receive a person without a name. It is not a category the person ticks (domain.md §6.0).
    """

    purposes: tuple[Purpose, ...]
    exchanges: tuple[Exchange, ...]
    categories: tuple[Category, ...]
    given_by: str
    manner: str
    informed_points: tuple[str, ...] = ()
    excluded: str = ""
