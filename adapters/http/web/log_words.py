"""What the log's acts, outcomes and details are called on pages, and what the check's findings mean.

Why this exists: the log keeps short English codes that never change; a reviewer reads Swedish. What has no word here is
shown as its code, so a new code is odd to read but never hidden.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from adapters.http.web.words import MEMBER, N_, ROLE
from gateway.audit import AuditAction

ACTIONS: Final[Mapping[str, str]] = {
    AuditAction.YEAR_OPENED: N_("Årets logg började"),
    AuditAction.HEARTBEAT: N_("Livstecken från loggen"),
    AuditAction.SIGNED_IN: N_("Loggade in"),
    AuditAction.SIGN_IN_FAILED: N_("Misslyckad inloggning"),
    AuditAction.SESSION_ENDED: N_("Inloggning avslutad"),
    AuditAction.STEPPED_UP: N_("Angav kod för att läsa, skriva ut eller ta ut"),
    AuditAction.STEP_UP_FAILED: N_("Fel kod för att läsa, skriva ut eller ta ut"),
    AuditAction.ACCESS_REFUSED: N_("Nekad åtkomst"),
    AuditAction.CASE_OPENED: N_("Öppnade ett ärende"),
    AuditAction.DRAFT_OPENED: N_("Öppnade ett utkast"),
    AuditAction.ATTACHMENT_ADDED: N_("Bifogade en fil"),
    AuditAction.FILE_REFUSED: N_("En fil togs inte emot"),
    AuditAction.FILE_RELEASED: N_("En fil släpptes ur karantän"),
    AuditAction.CONSENT_RECORDED: N_("Antecknade samtycke"),
    AuditAction.CONSENT_REFUSED: N_("Antecknade nekat samtycke"),
    AuditAction.CONSENT_WITHDRAWN: N_("Antecknade återkallat samtycke"),
    AuditAction.DECIDED: N_("Prövade om något får lämnas ut"),
    AuditAction.SENT: N_("Skickade"),
    AuditAction.TAKEN_BACK: N_("Ångrade en sändning"),
    AuditAction.DISPATCHED: N_("Lämnade gatewayen"),
    AuditAction.HANDED_TO_NEIGHBOUR: N_("Togs emot av kanalen för transport"),
    AuditAction.RECEIVED: N_("Kom in utifrån"),
    AuditAction.ARRIVAL_REFUSED: N_("Något utifrån togs inte emot"),
    AuditAction.ANNOUNCED: N_("Talade om för en part utanför"),
    AuditAction.RETRIED: N_("Försökte igen"),
    AuditAction.DELIVERED: N_("Levererades"),
    AuditAction.NOT_DELIVERED: N_("Kom inte fram"),
    AuditAction.LINK_ASKED: N_("Frågade Cosmic Link hur ett ärende står"),
    AuditAction.PRINTED: N_("Öppnade för utskrift och överlämning"),
    AuditAction.CARRIED: N_("Lämnade över för hand"),
    AuditAction.OPENED: N_("Öppnade ett meddelande"),
    AuditAction.ATTACHMENT_READ: N_("Läste en bifogad fil"),
    AuditAction.ANSWER_PROPOSED: N_("Föreslog ett svar"),
    AuditAction.ANSWER_CONFIRMED: N_("Bekräftade ett svar"),
    AuditAction.ANSWER_DISAGREED: N_("Höll inte med om ett svar"),
    AuditAction.KEY_RECORDED: N_("Nyckel registrerad"),
    AuditAction.SYSTEM_LET_GO: N_("Ett system tog bort ett meddelande ur sin lista"),
    AuditAction.USER_CREATED: N_("Användare skapad"),
    AuditAction.USER_DISABLED: N_("Användare avstängd"),
    AuditAction.USER_ENABLED: N_("Användare öppnad igen"),
    AuditAction.USER_UNLOCKED: N_("Konto upplåst"),
    AuditAction.FACTOR_REPLACED: N_("Lösenord eller kodapp utbytt"),
    AuditAction.MEMBER_PROPOSED: N_("Medlem föreslagen"),
    AuditAction.MEMBER_ADMITTED: N_("Medlem insläppt"),
    AuditAction.MEMBER_REMOVED: N_("Medlem borttagen"),
    AuditAction.DIRECTORY_APPLIED: N_("Adressbok införd"),
    AuditAction.QUEUE_LISTED: N_("Läste arbetslistan"),
    AuditAction.CLAIMED: N_("Tog en uppgift"),
    AuditAction.RELEASED: N_("Släppte en uppgift"),
    AuditAction.HANDED_OVER: N_("Lämnade över en uppgift"),
    AuditAction.TASK_CLOSED: N_("Avslutade en uppgift"),
    AuditAction.TASK_REOPENED: N_("Öppnade en uppgift igen"),
    AuditAction.NOTE_WRITTEN: N_("Skrev en intern anteckning"),
    AuditAction.NOTES_READ: N_("Läste interna anteckningar"),
    AuditAction.DEPUTY_ACTED: N_("Ersättare trädde in"),
    AuditAction.RECALL_REQUESTED: N_("Begärde återtagande"),
    AuditAction.RECALL_DECIDED: N_("Besvarade begärt återtagande"),
    AuditAction.HELD: N_("Togs emot och väntar på fördelning"),
    AuditAction.PLACED: N_("Lades i den inkorg som registratorn valde"),
    AuditAction.FORWARDED: N_("Registrator skickade vidare oläst"),
    AuditAction.REGISTER_READ: N_("Läste registratorns lista"),
    AuditAction.TRANSPORT_READ: N_("Läste leveranser"),
    AuditAction.LOG_READ: N_("Läste loggen"),
    AuditAction.LOG_VERIFIED: N_("Kontrollerade loggen"),
    AuditAction.USERS_READ: N_("Läste användare"),
    AuditAction.SEARCHED: N_("Sökte efter ett ärende"),
    AuditAction.RESTORED: N_("Återställde gatewayen från en säkerhetskopia"),
    AuditAction.NOTIFIED: N_("Skickade en avisering"),
    AuditAction.NOTICES_CHOSEN: N_("Ändrade sina aviseringar"),
    AuditAction.ALARM: N_("Larm"),
    AuditAction.SWEPT: N_("Städade bort det som inget behöver"),
}
OUTCOMES: Final[Mapping[str, str]] = {
    "permit": N_("Tillåtet"),
    "deny": N_("Nekat"),
    "done": N_("Klart"),
    "accepted": N_("Mottaget"),
    "applied": N_("Infört"),
    "way-closed": N_("Väg stängd"),
    "opened": N_("Öppnat"),
    "delivered": N_("Levererat"),
    "cancelled": N_("Avbrutet"),
    "expired": N_("Tiden gick ut"),
    "failed": N_("Kom inte fram"),
    "requested": N_("Begärt"),
    "disagreed": N_("Inte överens"),
    "consent-ended": N_("Samtycket gäller inte längre"),
    "given": N_("Samtycke finns"),
    "refused": N_("Samtycke nekat"),
    "withdrawn": N_("Återkallat"),
    "user-changed": N_("Användare ändrad"),
    "signing": N_("Signeringsnyckel"),
    "sign-in-delayed": N_("Många fel i rad, nästa försök får vänta"),
    "bulk-opening": N_("Ovanligt många öppnade på kort tid"),
    "sent": N_("Skickat"),
    "not-wanted": N_("Behövdes inte längre"),
    "set-aside": N_("Ställt åt sidan efter fel i systemet"),
    "insecure-way": N_("Ingen säker förbindelse, inget skickades"),
    "clean": N_("Inget skadligt hittades"),
    "no-scanner": N_("Ingen viruskontroll är inställd"),
    "malware": N_("Skadlig kod"),
    "envelope-rejected": N_("Kuvertet gick inte att lita på"),
    "integrity-failure": N_("En rad har ändrats utanför systemet"),
}
#: Outcomes that a reviewer should see at once.
LOUD: Final = frozenset(
    {"deny", "bulk-opening", "insecure-way", "set-aside", "envelope-rejected", "integrity-failure", "failed", "expired"}
)
DETAILS: Final[Mapping[str, str]] = {
    "role": N_("Funktion"),
    "object": N_("Objekt"),
    "case": N_("Ärende"),
    "basis": N_("Grund"),
    "purpose": N_("Ändamål"),
    "action": N_("Händelse"),
    "administration": N_("Myndighet"),
    "sought_action": N_("Sökte händelse"),
    "sought_administration": N_("Sökte myndighet"),
    "sought_object": N_("Sökte objekt"),
    "limit": N_("Antal rader"),
    "start": N_("Från rad"),
    "act": N_("Vad koden gällde"),
    "sessions": N_("Antal inloggningar"),
    "member": N_("Medlem"),
    "bootstrap": N_("Inkorgens första medlem"),
    "kind": N_("Slag"),
    "table": N_("Tabell"),
    "changes": N_("Antal ändringar"),
}
#: What a check says (`gateway.review`), and its Swedish.
FINDINGS: Final = (
    (re.compile(r"leaf (?P<n>\d+) is missing"), N_("Rad %(n)s saknas.")),
    (
        re.compile(r"leaf (?P<n>\d+): the row's text and hash differ"),
        N_("Rad %(n)s: radens text och kontrollsumma stämmer inte överens."),
    ),
    (
        re.compile(r"leaf (?P<n>\d+): its side row is not the one that was logged"),
        N_("Rad %(n)s: uppgifterna vid sidan av raden är inte de som loggades."),
    ),
    (
        re.compile(r"a checkpoint of size (?P<n>\d+) covers leaves that are gone \(there are (?P<m>\d+)\)"),
        N_("En kontrollpunkt omfattar %(n)s rader, men det finns bara %(m)s: rader är borta."),
    ),
    (
        re.compile(r"the checkpoint of size (?P<n>\d+) does not parse"),
        N_("Kontrollpunkten vid rad %(n)s går inte att läsa."),
    ),
    (
        re.compile(r"the checkpoint of size (?P<n>\d+) is not the one that was signed"),
        N_("Kontrollpunkten vid rad %(n)s är inte den som signerades."),
    ),
    (
        re.compile(r"leaves (?P<n>\d+) to (?P<m>\d+) are not the ones that were signed"),
        N_("Raderna %(n)s till %(m)s är inte de som signerades."),
    ),
    (re.compile(r"leaf (?P<n>\d+): row and tile differ"), N_("Rad %(n)s skiljer sig från det publicerade trädet.")),
    (
        re.compile(r"leaf (?P<n>\d+): row and entry bundle differ"),
        N_("Rad %(n)s skiljer sig från den publicerade raden."),
    ),
    (re.compile(r"no checkpoint yet"), N_("Det finns ingen kontrollpunkt än.")),
    (re.compile(r"checkpoint file"), N_("Filen med den senaste kontrollpunkten saknas.")),
)


def action_word(action: str) -> str:
    """The act in Swedish; its code when it has no word."""
    return ACTIONS.get(action, action)


def outcome_word(outcome: str) -> str:
    return OUTCOMES.get(outcome, outcome)


def function_words(role: str, text: Callable[[str], str]) -> str:
    """A logged function, such as `unit_manager+coordinator/member`, in words."""
    known = {str(key): word for key, word in (*ROLE.items(), *MEMBER.items())}
    known |= {"gateway": N_("Sambud självt"), "worker": N_("Sambud självt"), "operator": N_("Driften")}
    known |= {"init": N_("Vid starten"), "directory": N_("Adressboken")}
    acting, _, within = role.partition("/")
    words = [text(known[one]) if one in known else one for one in acting.split("+") if one]
    told = ", ".join(words)
    return f"{told} ({text(known.get(within, within)).lower()})" if within else told


def finding(text: str, translate: Callable[..., str]) -> str:
    """A finding of the check, for the reader; a file of the published log that is missing has its path as name."""
    for pattern, told in FINDINGS:
        if match := pattern.fullmatch(text):
            values = match.groupdict()
            return translate(told, **values) if values else translate(told)
    return translate(N_("Filen %(name)s i den publicerade loggen saknas."), name=text)
