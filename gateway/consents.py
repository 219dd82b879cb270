"""Consents: recorded by the case worker, sealed as facts, an interval with a scope, withdrawable at any time.

Why this exists: consent lifts secrecy between authorities (OSL 12:2, 10:1) only for the parties, categories, purposes
and the time it names. It is not the GDPR basis. A withdrawal looks forward: no new disclosure rests on it, what is
queued is cancelled in the same transaction, recipients are told without content; what was opened is untouched.
"""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from gateway.arrival import OUTSIDE
from gateway.audit import AuditAction, Auditor
from gateway.cases import Cases
from gateway.compose import validate
from gateway.decide import AccessAction
from gateway.deliver import stopped_in_hand
from gateway.deliver import withdrawn as told_withdrawn
from gateway.errors import ConflictError, NotFoundError
from gateway.forms import FormCatalogue
from gateway.integrity import Integrity
from gateway.model.base import DAY, AdministrationId, CaseId, ConsentId, InboxId, Instant
from gateway.model.carrying import BY_HAND
from gateway.model.classes import Category, ConsentTerms, Exchange, Purpose
from gateway.model.identity import User
from gateway.model.log import LogEntry
from gateway.model.path import Consent, Delivery, Message
from gateway.ports import Change, Clock, Insert, Store, Update, Vault, Work
from gateway.rights import Rights, Standing
from gateway.sessions import Signed
from gateway.states import CONSENT, DELIVERY, ConsentEvent, ConsentState, DeliveryEvent, DeliveryState, step

STOCKHOLM = ZoneInfo("Europe/Stockholm")
WITHDRAW_TRIES = 5
MOST_SHARED = 16
#: Who recorded a consent that a sender outside told.
_CANCELLABLE = frozenset({DeliveryState.QUEUED, DeliveryState.ATTEMPTING})
#: Who is told of a withdrawal: those who have it. Somebody whom it never reached must not learn of the case this way.
_TOLD = frozenset({DeliveryState.DELIVERED, DeliveryState.OPENED})


class Consents:
    """The use cases about consents, and the checked reading of them for decisions."""

    def __init__(
        self,
        store: Store,
        rights: Rights,
        cases: Cases,
        forms: FormCatalogue,
        vault: Vault,
        integrity: Integrity,
        auditor: Auditor,
        clock: Clock,
    ) -> None:
        self._store = store
        self._rights = rights
        self._cases = cases
        self._forms = forms
        self._vault = vault
        self._integrity = integrity
        self._auditor = auditor
        self._clock = clock

    async def record(
        self, signed: Signed, inbox: InboxId, case: CaseId, values: Mapping[str, object], *, refused: bool = False
    ) -> Consent:
        """Record a consent that was given (form `consent` v1), or that it was asked for and refused.

        A later no is not outdone by an earlier yes: what the refusal speaks of is withdrawn in the same transaction,
        whole consents at a time, and what is queued on them is cancelled. Record what still holds as a new consent.

        Raises:
            InvalidFormError: every fault at once; nothing was recorded.
            NotFoundError, ForbiddenError: not your case, or not your task.
            ConflictError: deliveries moved under every one of five tries; try again, nothing was recorded.
        """
        standing = await self._rights.act(signed, inbox, AccessAction.RECORD_CONSENT)
        await self._cases.find(inbox, case)
        today = datetime.fromtimestamp(self._clock.now() / 1_000_000, STOCKHOLM).date()
        form = self._forms.get("consent", 1)
        # A no holds whatever was told before it, so for a refusal only the answers about the no itself are checked.
        told = {"informed_points": list(form.fields["informed_points"].all)} if refused else {}
        validate(form, {**values, **told}, today=today)
        terms = terms_of(values)
        for _ in range(WITHDRAW_TRIES):
            now = self._clock.now()
            consent = Consent(
                administration=standing.inbox.administration,
                id=ConsentId(str(uuid.uuid4())),
                case=case,
                state=ConsentState.REFUSED if refused else ConsentState.GIVEN,
                valid_from=_midnight(date.fromisoformat(str(values["valid_from"]))),
                valid_to=_midnight(date.fromisoformat(str(values["valid_to"])) + timedelta(days=1)),
                recorded_by=signed.user.id,
                recorded_at=now,
            )
            consent = await self._sealed(consent, terms)
            entry = await self._auditor.entry(
                AuditAction.CONSENT_REFUSED if refused else AuditAction.CONSENT_RECORDED,
                administration=consent.administration,
                actor=signed.user,
                role=standing.role,
                object=consent.id,
                case=case,
                outcome=str(consent.state),
            )
            changes, entries = await self._outdated(standing, case, terms, now) if refused else ([], [])
            work = Work(expects=standing.facts, changes=(Insert(consent), *changes), entries=(entry, *entries))
            try:
                await self._store.commit(work)
            except ConflictError:
                continue  # a worker moved one of the deliveries, or a colleague withdrew: look again
            return consent
        raise _moving("Samtycket hann inte antecknas.")

    async def withdraw(self, signed: Signed, inbox: InboxId, consent_id: ConsentId) -> Consent:
        """Withdraw a consent now (GDPR Art. 7(3)), and cancel in the same transaction what is still queued.

        Raises:
            IllegalTransitionError: it was withdrawn or has ended already.
            ConflictError: deliveries moved under every one of five tries; try again, nothing was changed.
        """
        standing = await self._rights.act(signed, inbox, AccessAction.WITHDRAW_CONSENT)
        for _ in range(WITHDRAW_TRIES):
            consent = await self._store.get(Consent, consent_id)
            if consent is None:
                raise NotFoundError("no such consent", swedish="Samtycket finns inte, eller är inte ert.")
            await self._cases.find(inbox, consent.case)
            await self._integrity.check(consent)
            withdrawn, changes, entry = await self._withdrawing(signed.user, standing.role, consent, self._clock.now())
            try:
                await self._store.commit(Work(expects=standing.facts, changes=tuple(changes), entries=(entry,)))
            except ConflictError:
                continue  # a worker moved one of the deliveries: look again
            return withdrawn
        raise _moving("Återkallelsen hann inte registreras.")

    async def _withdrawing(
        self, actor: User | None, role: str, consent: Consent, now: Instant
    ) -> tuple[Consent, list[Change], LogEntry]:
        """The withdrawn consent, and what goes with it: queued deliveries are cancelled, the others' inboxes told."""
        withdrawn = dataclasses.replace(
            consent,
            state=step(CONSENT, consent.state, ConsentEvent.WITHDRAW),
            withdrawn_at=now,
            version=consent.version + 1,
        )
        withdrawn = await self._sealed(withdrawn, await self.terms(consent))
        changes: list[Change] = [Update(withdrawn)]
        resting = await self._store.deliveries_resting_on(consent.id)
        for delivery in resting:
            if delivery.state in _CANCELLABLE:
                changes.append(Update(_cancelled(delivery, now)))
            elif delivery.state in _TOLD:
                changes.append(Insert(told_withdrawn(delivery, consent, now)))
            elif delivery.state is DeliveryState.IN_TRANSIT and delivery.channel in BY_HAND:
                message = await self._store.get(Message, delivery.message)
                changes += [Insert(stopped_in_hand(message, now))] if message is not None else []
        entry = await self._auditor.entry(
            AuditAction.CONSENT_WITHDRAWN,
            administration=consent.administration,
            actor=actor,
            role=role,
            object=consent.id,
            case=consent.case,
            outcome=str(withdrawn.state),
            detail={"cancelled": sum(delivery.state in _CANCELLABLE for delivery in resting)},
        )
        return withdrawn, changes, entry

    async def _outdated(
        self, standing: Standing, case: CaseId, refusal: ConsentTerms, now: Instant
    ) -> tuple[Sequence[Change], Sequence[LogEntry]]:
        """The withdrawal of every given consent that says yes to something that `refusal` says no to."""
        changes: list[Change] = []
        entries: list[LogEntry] = []
        for consent, terms in await self.of_case(case):
            if consent.state is ConsentState.GIVEN and _overlap(terms, refusal):
                _, gone, entry = await self._withdrawing(standing.signed.user, standing.role, consent, now)
                changes += gone
                entries.append(entry)
        return changes, entries

    async def list(self, signed: Signed, inbox: InboxId, case: CaseId) -> Sequence[tuple[Consent, ConsentTerms]]:
        """The consents of a case with their terms, newest first."""
        await self._rights.act(signed, inbox, AccessAction.READ_CONSENT)
        await self._cases.find(inbox, case)
        return await self.of_case(case)

    async def of_case(self, case: CaseId) -> Sequence[tuple[Consent, ConsentTerms]]:
        """The checked consents of a case, for a decision.

        Raises:
            IntegrityError: a consent row was changed past the gateway.
        """
        return [
            (consent, await self.terms(consent))
            for consent in [await self._integrity.check(row) for row in await self._store.consents_of(case)]
        ]

    async def under(self, rows: Sequence[Consent]) -> Sequence[tuple[Consent, ConsentTerms]]:
        """The same for consents found otherwise (those a delivery rests on)."""
        return [(await self._integrity.check(row), await self.terms(row)) for row in rows]

    async def terms(self, consent: Consent) -> ConsentTerms:
        """What a consent covers."""
        opened = json.loads(await self._vault.open_field(consent.administration, _context(consent), consent.sealed))
        return _terms(opened)

    async def ended_outside(self, case: CaseId, consent_id: str) -> tuple[Sequence[Change], Sequence[LogEntry]]:
        """What a withdrawal that a party outside tells of does here: to a consent that came from outside, in that case.

        Nothing for any other: nobody outside withdraws what was recorded here.
        """
        consent = await self._store.get(Consent, consent_id)
        if consent is None or consent.case != case or consent.recorded_by != OUTSIDE:
            return [], []
        await self._integrity.check(consent)
        if consent.state is not ConsentState.GIVEN:
            return [], []
        _, changes, entry = await self._withdrawing(None, "worker", consent, self._clock.now())
        return changes, [entry]

    async def mirrored(
        self, administration: AdministrationId, case: CaseId, shared: Sequence[Mapping[str, Any]]
    ) -> tuple[Change, ...]:
        """Rows for consents that a sender outside told with its form, so that our own disclosures can rest on them.

        They stand as the sender told them, recorded by nobody here; one that is known already stays as it is.
        What does not parse is left out: then nothing rests on it.
        """
        changes: Sequence[Change] = ()
        for told in shared[:MOST_SHARED]:
            try:
                consent, terms = _parsed(told, administration, case, self._clock.now())
            except (KeyError, TypeError, ValueError):
                continue
            if await self._store.get(Consent, consent.id) is None:
                changes = (*changes, Insert(await self._sealed(consent, terms)))
        return tuple(changes)

    async def _sealed(self, consent: Consent, terms: ConsentTerms) -> Consent:
        plaintext = json.dumps(_told_terms(terms), ensure_ascii=False).encode()
        sealed = await self._vault.seal_field(consent.administration, _context(consent), plaintext)
        return await self._integrity.sign(dataclasses.replace(consent, sealed=sealed))


def shared(consent: Consent, terms: ConsentTerms) -> dict[str, Any]:
    """A consent as it goes along with a form to a party outside: what it covers and until when."""
    return {
        "id": consent.id,
        "valid_from": consent.valid_from,
        "valid_to": consent.valid_to,
        **_told_terms(terms),
    }


def _told_terms(terms: ConsentTerms) -> dict[str, Any]:
    return {
        "purposes": list(terms.purposes),
        "exchanges": [[exchange.sender, exchange.recipient] for exchange in terms.exchanges],
        "categories": list(terms.categories),
        "given_by": terms.given_by,
        "manner": terms.manner,
        "informed_points": list(terms.informed_points),
        "excluded": terms.excluded,
    }


def _terms(told: Mapping[str, Any]) -> ConsentTerms:
    return ConsentTerms(
        purposes=tuple(Purpose(value) for value in told["purposes"]),
        exchanges=tuple(Exchange(*pair) for pair in told["exchanges"]),
        categories=tuple(Category(value) for value in told["categories"]),
        given_by=told["given_by"],
        manner=told["manner"],
        informed_points=tuple(told["informed_points"]),
        excluded=told["excluded"],
    )


def _parsed(
    told: Mapping[str, Any], administration: AdministrationId, case: CaseId, now: Instant
) -> tuple[Consent, ConsentTerms]:
    """A consent that came with a form. Raises KeyError, TypeError, ValueError for what is none."""
    valid_from, valid_to = told["valid_from"], told["valid_to"]
    if type(valid_from) is not int or type(valid_to) is not int or not 0 < valid_from < valid_to <= now + 400 * DAY:
        raise ValueError("a consent is an interval, never open-ended")
    terms = _terms(told)
    if not all(
        isinstance(text, str) for text in (terms.given_by, terms.manner, terms.excluded, *terms.informed_points)
    ) or not all(isinstance(unit, str) for pair in terms.exchanges for unit in (pair.sender, pair.recipient)):
        raise TypeError("terms are texts")
    consent = Consent(
        administration=administration,
        id=ConsentId(str(uuid.UUID(told["id"]))),
        case=case,
        state=ConsentState.GIVEN,
        valid_from=Instant(valid_from),
        valid_to=Instant(valid_to),
        recorded_by=OUTSIDE,
        recorded_at=now,
    )
    return consent, terms


def terms_of(values: Mapping[str, object]) -> ConsentTerms:
    """The terms in a validated `consent` form."""

    def texts(name: str) -> list[str]:
        listed = values.get(name, ())
        return [str(item) for item in listed] if isinstance(listed, list | tuple) else []

    parties = values["parties"]
    pairs = parties if isinstance(parties, list | tuple) else []
    return ConsentTerms(
        purposes=tuple(Purpose(value) for value in texts("purpose")),
        exchanges=tuple(Exchange(str(pair["from"]), str(pair["to"])) for pair in pairs),
        categories=tuple(Category(value) for value in texts("data_categories")),
        given_by=str(values["given_by"]),
        manner=str(values["manner"]),
        informed_points=tuple(texts("informed_points")),
        excluded=str(values.get("excluded", "")),
    )


def _overlap(given: ConsentTerms, refused: ConsentTerms) -> bool:
    """Whether one says yes to something that the other says no to: same direction, same purpose, same category."""
    return all(
        set(yes) & set(no)
        for yes, no in (
            (given.exchanges, refused.exchanges),
            (given.purposes, refused.purposes),
            (given.categories, refused.categories),
        )
    )


def _moving(swedish: str) -> ConflictError:
    return ConflictError(
        "deliveries kept moving during the withdrawal",
        swedish=swedish,
        next_step="Försök igen genast. Inget har ändrats.",
    )


def _context(consent: Consent) -> str:
    return f"{consent.TABLE}|{consent.id}|{consent.version}|sealed"


def _midnight(day: date) -> Instant:
    """The first instant of a local calendar day: dates in forms are Swedish days."""
    return Instant(int(datetime(day.year, day.month, day.day, tzinfo=STOCKHOLM).timestamp()) * 1_000_000)


def _cancelled(delivery: Delivery, now: Instant) -> Delivery:
    return dataclasses.replace(
        delivery,
        state=step(DELIVERY, delivery.state, DeliveryEvent.CANCELLED),
        lease_until=None,
        lease_owner="",
        changed_at=now,
        version=delivery.version + 1,
    )
