"""What states, roles and kinds are called on pages, and which colour their tags have.

Why this exists: a state is a short English word in the tables; the reader needs the Swedish one, the same on every
page. A colour never stands alone: the word is always there (WCAG 2.2, 1.4.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from gateway.guard import What
from gateway.model.classes import PrivacyClass
from gateway.model.directory import InboxKind, SecrecyRegime
from gateway.model.identity import FactorKind, MembershipRole, MembershipState, Role
from gateway.model.path import Channel
from gateway.model.queue import Sheet
from gateway.states import AnswerState, CaseState, ConsentState, DeliveryState, RecallState
from gateway.worklist import View


def N_(text: str) -> str:
    """Marks a text for the catalogue; it is translated where it is shown."""
    return text


CASE: Final[Mapping[StrEnum, str]] = {
    CaseState.INVESTIGATING: N_("Utreds"),
    CaseState.REQUESTED: N_("Uppdrag skickat"),
    CaseState.RECEIVED: N_("Mottaget av remissgruppen"),
    CaseState.COMPLETION_REQUESTED: N_("Komplettering begärd"),
    CaseState.MATCHED: N_("Matchat"),
    CaseState.NOT_MATCHED: N_("Inte matchat"),
}
DELIVERY: Final[Mapping[StrEnum, str]] = {
    DeliveryState.QUEUED: N_("Väntar på leverans"),
    DeliveryState.ATTEMPTING: N_("Levereras"),
    DeliveryState.IN_TRANSIT: N_("På väg, väntar på kvittens"),
    DeliveryState.DELIVERED: N_("Levererat"),
    DeliveryState.OPENED: N_("Öppnat"),
    DeliveryState.RELAYED: N_("Vidarelämnat oläst"),
    DeliveryState.FAILED: N_("Kom inte fram"),
    DeliveryState.CANCELLED: N_("Avbrutet"),
    DeliveryState.EXPIRED: N_("Tiden gick ut"),
}
CONSENT: Final[Mapping[StrEnum, str]] = {
    ConsentState.GIVEN: N_("Samtycke finns"),
    ConsentState.REFUSED: N_("Samtycke nekat"),
    ConsentState.WITHDRAWN: N_("Återkallat"),
    ConsentState.EXPIRED: N_("Har gått ut"),
    ConsentState.SUPERSEDED: N_("Ersatt av ett nyare"),
}
ANSWER: Final[Mapping[StrEnum, str]] = {
    AnswerState.PROPOSED: N_("Föreslaget"),
    AnswerState.CONFIRMED: N_("Bekräftat"),
    AnswerState.DISAGREED: N_("Inte överens"),
}
ROLE: Final[Mapping[StrEnum, str]] = {
    Role.CASE_WORKER: N_("Socialsekreterare"),
    Role.DELEGATE: N_("Delegat"),
    Role.UNIT_MANAGER: N_("Enhetschef"),
    Role.COORDINATOR: N_("Samordnare"),
    Role.KEY_WORKER: N_("Kontaktperson på enheten"),
    Role.REGISTRATOR: N_("Registrator"),
    Role.CHILD_FAMILY_INTAKE: N_("Mottagning barn och familj"),
    Role.ANALYST: N_("Analytiker"),
    Role.AUDITOR: N_("Granskare"),
    Role.SYSTEM_ADMINISTRATOR: N_("Systemadministratör"),
    Role.SYSTEM: N_("System"),
}
INBOX: Final[Mapping[StrEnum, str]] = {
    InboxKind.CASEWORK: N_("Handläggning"),
    InboxKind.SEAT: N_("Plats i remissgruppen"),
    InboxKind.UNIT: N_("Enhet"),
    InboxKind.REGISTRATOR: N_("Registratur"),
    InboxKind.INTAKE: N_("Mottagning"),
}
MEMBER: Final[Mapping[StrEnum, str]] = {
    MembershipRole.MEMBER: N_("Medlem"),
    MembershipRole.DEPUTY: N_("Ersättare"),
    MembershipState.PENDING: N_("Väntar på att släppas in"),
    MembershipState.ACTIVE: N_("Aktiv"),
    MembershipState.REMOVED: N_("Borttagen"),
}
#: What a system may open in an inbox.
CLASS: Final[Mapping[StrEnum, str]] = {
    PrivacyClass.P0: N_("bara det som står i listan (klass P0)"),
    PrivacyClass.P1: N_("administrativa uppgifter (klass P1)"),
    PrivacyClass.P2: N_("namn och kontaktuppgifter (till och med klass P2)"),
    PrivacyClass.P3: N_("meddelanden om sociala förhållanden (till och med klass P3)"),
    PrivacyClass.P4: N_("också uppgifter om hälsa (till och med klass P4)"),
    PrivacyClass.P5: N_("också uppgifter om andra personer (till och med klass P5)"),
    PrivacyClass.P6: N_("skyddade personuppgifter (klass P6)"),
}
FACTOR: Final[Mapping[StrEnum, str]] = {
    FactorKind.PASSWORD: N_("lösenord"),
    FactorKind.TOTP: N_("kod"),
    FactorKind.KEY: N_("nyckel"),
}
VIEW: Final[Mapping[StrEnum, str]] = {
    View.ALL: N_("Alla öppna"),
    View.MINE: N_("Mina"),
    View.UNCLAIMED: N_("Ej tilldelade"),
    View.URGENT: N_("Akuta"),
    View.WAITING: N_("Väntar på svar"),
    View.OVERDUE: N_("Förfallna"),
    View.DONE: N_("Avslutade"),
}
SHEET: Final[Mapping[StrEnum, str]] = {
    Sheet.PRIORITY: N_("Prioritet"),
    Sheet.NOTE: N_("Anteckning"),
    Sheet.HAND_OVER: N_("Överlämning"),
    Sheet.DEPUTY: N_("Skäl från ersättare"),
}
RECALL: Final[Mapping[StrEnum, str]] = {
    RecallState.REQUESTED: N_("Väntar på er"),
    RecallState.UPHELD: N_("Får inte öppnas"),
    RecallState.DECLINED: N_("Får öppnas"),
    RecallState.INCIDENT: N_("Var redan öppnat: incident"),
}
#: What is newer than a writer's page; each takes who.
NEWER: Final[Mapping[StrEnum, str]] = {
    What.PROPOSED: N_("%(who)s har föreslagit ett svar."),
    What.CONFIRMED: N_("%(who)s har bekräftat svaret, och det är skickat."),
    What.DISAGREED: N_("%(who)s har sagt att ni inte är överens."),
    What.CLAIMED: N_("%(who)s har tagit ärendet."),
    What.WRITTEN: N_("Det finns ett nyare meddelande från %(who)s."),
}
#: Why a referral stands where it stands: the reasons of policies/priority.py.
REASON: Final[Mapping[str, str]] = {
    "LVM_INVESTIGATION": N_("LVM-utredning"),
    "ACCEPTS_TREATMENT": N_("godtar vård"),
    "CHILD_PERSPECTIVE": N_("barnperspektiv"),
    "LVM_27": N_("27 § LVM"),
    "EXTERNAL_NOW": N_("extern placering"),
}
#: What was just done, told once on the page that follows.
DONE: Final[Mapping[str, str]] = {
    "tagit": N_("Du har tagit ärendet."),
    "slappt": N_("Du har släppt ärendet."),
    "lamnat": N_("Ärendet är överlämnat."),
    "antecknat": N_("Anteckningen är sparad."),
    "foreslagit": N_("Förslaget är skickat till den andra platsen. Svaret går i väg när de har bekräftat."),
    "bekraftat": N_("Svaret är bekräftat och skickat."),
    "oense": N_("Ni är inte överens. Ärendet tas upp på nästa möte."),
    "skickat": N_("Meddelandet är skickat."),
    "avslutat": N_("Ärendet är avslutat i inkorgen."),
    "oppnat": N_("Ärendet är öppet igen."),
    "borttagen": N_("Medlemmen är borttagen och läser inte inkorgen längre."),
    "inslappt": N_("Medlemmen är insläppt och kan läsa inkorgen."),
    "vidare": N_("Meddelandet är lämnat vidare, oläst."),
    "fordelat": N_("Meddelandet är fördelat, oläst. Det ligger i inkorgen om några sekunder."),
    "avgjort": N_("Begäran är avgjord, och avsändaren får veta det."),
}
#: The titles of the forms, as their data files have them.
FORMS: Final = (
    N_("Uppdragsblankett"),
    N_("Samtycke"),
    N_("Återkoppling från remissgruppen"),
    N_("Meddelande i ärendet"),
)

#: The name of a tag's colour in Designsystemet: info, success, warning, danger, neutral.
COLOURS: Final[Mapping[StrEnum, str]] = {
    CaseState.INVESTIGATING: "neutral",
    CaseState.REQUESTED: "info",
    CaseState.RECEIVED: "info",
    CaseState.COMPLETION_REQUESTED: "warning",
    CaseState.MATCHED: "success",
    CaseState.NOT_MATCHED: "danger",
    DeliveryState.QUEUED: "info",
    DeliveryState.ATTEMPTING: "info",
    DeliveryState.IN_TRANSIT: "info",
    DeliveryState.DELIVERED: "success",
    DeliveryState.OPENED: "success",
    DeliveryState.RELAYED: "success",
    DeliveryState.FAILED: "danger",
    DeliveryState.CANCELLED: "neutral",
    DeliveryState.EXPIRED: "danger",
    ConsentState.GIVEN: "success",
    ConsentState.REFUSED: "danger",
    ConsentState.WITHDRAWN: "danger",
    ConsentState.EXPIRED: "warning",
    ConsentState.SUPERSEDED: "neutral",
    AnswerState.PROPOSED: "info",
    AnswerState.CONFIRMED: "success",
    AnswerState.DISAGREED: "warning",
    RecallState.REQUESTED: "warning",
    RecallState.UPHELD: "neutral",
    RecallState.DECLINED: "success",
    RecallState.INCIDENT: "danger",
}
CHANNEL: Final[Mapping[StrEnum, str]] = {
    Channel.LOCAL: N_("Inom Sambud"),
    Channel.SDK: N_("SDK"),
    Channel.SMIME: N_("Säker e-post"),
    Channel.LINK: N_("Cosmic Link, för hand"),
    Channel.HANDOVER: N_("Utskrift och överlämning"),
}
REGIME: Final[Mapping[StrEnum, str]] = {
    SecrecyRegime.OSL_25: N_("Hälso- och sjukvårdens sekretess gäller hos mottagaren (25 kap. OSL)."),
    SecrecyRegime.OSL_26: N_("Socialtjänstens sekretess gäller hos mottagaren (26 kap. OSL)."),
}
TABLES: Final[Mapping[str, tuple[type[StrEnum], Mapping[StrEnum, str]]]] = {
    "case_state": (CaseState, CASE),
    "delivery_state": (DeliveryState, DELIVERY),
    "consent_state": (ConsentState, CONSENT),
    "answer_state": (AnswerState, ANSWER),
    "role": (Role, ROLE),
    "inbox_kind": (InboxKind, INBOX),
    "member_role": (MembershipRole, MEMBER),
    "class_words": (PrivacyClass, CLASS),
    "member_state": (MembershipState, MEMBER),
    "factor": (FactorKind, FACTOR),
    "view": (View, VIEW),
    "sheet": (Sheet, SHEET),
    "recall_state": (RecallState, RECALL),
    "newer": (What, NEWER),
    "channel": (Channel, CHANNEL),
    "regime": (SecrecyRegime, REGIME),
}
