"""Find a case: by its name, or by whom it concerns when there is a reason to ask.

Why this exists: a person rings, and the worker must find the case. The case's name is meaningless and free to search.
An identity number is not: it is matched exactly, against keyed marks of the worker's own administration only, with a
written purpose, logged before anything is looked up, and at most thirty times an hour (security-decisions H6). What is
written in messages is never searched; a protected person is never marked, so never found here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from gateway.audit import AuditAction, Auditor, year_of
from gateway.consents import STOCKHOLM
from gateway.decide import AccessAction
from gateway.errors import FieldError, InvalidFormError, TooManyAttemptsError
from gateway.model.base import HOUR, SECOND, AdministrationId, CaseId, InboxId, Instant
from gateway.model.path import Case, CaseParty
from gateway.model.queue import IdentityMark
from gateway.personid import IdKind, PersonId, PersonIdError, parse
from gateway.ports import Change, Clock, Insert, Store, Vault, Work
from gateway.rights import Rights
from gateway.sessions import Signed

AN_HOUR: Final = 30
MOST: Final = 50
MAX_PURPOSE: Final = 200
_NUMBER: Final = "identity_number"


class Search:
    """Exact search for cases that an inbox takes part in."""

    def __init__(self, store: Store, rights: Rights, vault: Vault, auditor: Auditor, clock: Clock) -> None:
        self._store = store
        self._rights = rights
        self._vault = vault
        self._auditor = auditor
        self._clock = clock

    async def reference(self, signed: Signed, inbox: InboxId, reference: str) -> list[Case]:
        """The case of that name, when the inbox takes part in it."""
        await self._rights.act(signed, inbox, AccessAction.LIST_INBOX)
        found = await self._store.case_by_reference(reference.strip().upper())
        return await self._ours(inbox, [found] if found else [])

    async def identity(self, signed: Signed, inbox: InboxId, value: object, purpose: str) -> list[Case]:
        """The cases of the inbox that concern this identity.

        Raises:
            InvalidFormError: the number is not one, or no purpose of at most 200 characters is written.
            TooManyAttemptsError: thirty searches in the last hour.
        """
        standing = await self._rights.act(signed, inbox, AccessAction.SEARCH_IDENTITY)
        now = self._clock.now()
        person = self._asked(value, purpose, now)
        administration = standing.inbox.administration
        actor = await self._vault.pseudonym(signed.user.administration, year_of(now), signed.user.id)
        done = await self._store.acts_of(actor, AuditAction.SEARCHED, since=Instant(now - HOUR), most=AN_HOUR)
        if done >= AN_HOUR:
            raise TooManyAttemptsError(
                "thirty identity searches in an hour",
                retry_after_s=HOUR // SECOND,
                swedish="Du har sökt på personnummer trettio gånger den senaste timmen.",
                next_step="Vänta en stund, eller sök på ärendets namn.",
            )
        entry = await self._auditor.entry(
            AuditAction.SEARCHED,
            administration=signed.user.administration,
            actor=signed.user,
            role=standing.role,
            object=str(inbox),
            case=None,
            outcome="permit",
            purpose=purpose.strip(),
        )
        await self._store.commit(Work(expects=standing.facts, entries=(entry,)))
        mark = await _mark(self._vault, administration, person)
        marks = await self._store.marks_of(administration, mark, limit=MOST)
        return await self._ours(inbox, await self._store.get_many(Case, [(row.case,) for row in marks]))

    def _asked(self, value: object, purpose: str, now: Instant) -> PersonId:
        today = datetime.fromtimestamp(now / 1_000_000, STOCKHOLM).date()
        faults = []
        person = PersonId(kind=IdKind.UNKNOWN)
        try:
            person = parse(value, today=today)
        except PersonIdError as wrong:
            faults = [FieldError(f"/{_NUMBER}", fault.kind, fault.swedish) for fault in wrong.faults]
        if not faults and person.kind is IdKind.UNKNOWN:
            faults = [FieldError(f"/{_NUMBER}", "missing", "Skriv det nummer som du söker.")]
        if not 1 <= len(purpose.strip()) <= MAX_PURPOSE:
            faults.append(FieldError("/purpose", "missing", f"Skriv varför du söker, med högst {MAX_PURPOSE} tecken."))
        if faults:
            raise InvalidFormError(
                "an identity search needs a number and a purpose",
                faults,
                swedish="Sökningen behöver ett riktigt nummer och ett skäl.",
                next_step="Rätta och sök igen. Inget har sökts.",
            )
        return person

    async def _ours(self, inbox: InboxId, cases: list[Case]) -> list[Case]:
        parties = await self._store.get_many(CaseParty, [(case.id, inbox) for case in cases])
        known = {party.case for party in parties}
        return [case for case in cases if case.id in known]


async def marked(
    store: Store, vault: Vault, administration: AdministrationId, case: CaseId, values: Mapping[str, Any]
) -> tuple[Change, ...]:
    """The mark that makes a case findable by whom it concerns; none for an unknown or a protected person."""
    if values.get("protected_identity") == "MARKED" or not isinstance(values.get(_NUMBER), Mapping):
        return ()
    kind, number = (str(values[_NUMBER].get(name, "")) for name in ("kind", "value"))
    if kind == IdKind.UNKNOWN or not number:
        return ()
    try:
        person = parse(values[_NUMBER], today=datetime.max.date())
    except PersonIdError:
        return ()  # what was checked when it was written needs no second check to be sent
    mark = await _mark(vault, administration, person)
    if await store.get(IdentityMark, administration, mark, case) is not None:
        return ()
    return (Insert(IdentityMark(administration=administration, mark=mark, case=case)),)


async def _mark(vault: Vault, administration: AdministrationId, person: PersonId) -> str:
    octets = f"{person.system}|{person.value}".encode()
    return (await vault.fingerprint(administration, "identity", octets)).hex()
