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
from zoneinfo import ZoneInfo

from gateway.audit import AuditAction, Auditor
from gateway.cases import Cases
from gateway.compose import validate
from gateway.decide import AccessAction
from gateway.errors import ConflictError, NotFoundError
from gateway.forms import FormCatalogue
from gateway.integrity import Integrity
from gateway.model.base import CaseId, ConsentId, InboxId, Instant
from gateway.model.classes import Category, ConsentTerms, Exchange, Purpose
from gateway.model.path import Consent, Delivery, Notice
from gateway.ports import Change, Clock, Insert, Store, Update, Vault, Work
from gateway.rights import Rights
from gateway.sessions import Signed
from gateway.states import CONSENT, DELIVERY, ConsentEvent, ConsentState, DeliveryEvent, DeliveryState, step

STOCKHOLM = ZoneInfo("Europe/Stockholm")
WITHDRAW_TRIES = 5
_CANCELLABLE = frozenset({DeliveryState.QUEUED, DeliveryState.ATTEMPTING})


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

        Raises:
            InvalidFormError: every fault at once; nothing was recorded.
            NotFoundError, ForbiddenError: not your case, or not your task.
        """
        standing = await self._rights.act(signed, inbox, AccessAction.RECORD_CONSENT)
        await self._cases.find(inbox, case)
        now = self._clock.now()
        today = datetime.fromtimestamp(now / 1_000_000, STOCKHOLM).date()
        validate(self._forms.get("consent", 1), values, today=today)
        terms = terms_of(values)
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
        await self._store.commit(Work(expects=standing.facts, changes=(Insert(consent),), entries=(entry,)))
        return consent

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
            now = self._clock.now()
            terms = await self.terms(consent)
            withdrawn = dataclasses.replace(
                consent,
                state=step(CONSENT, consent.state, ConsentEvent.WITHDRAW),
                withdrawn_at=now,
                version=consent.version + 1,
            )
            withdrawn = await self._sealed(withdrawn, terms)
            resting = await self._store.deliveries_resting_on(consent_id)
            changes: list[Change] = [Update(withdrawn)]
            cancelled = 0
            for delivery in resting:
                if delivery.state in _CANCELLABLE:
                    changes.append(Update(_cancelled(delivery, now)))
                    cancelled += 1
                else:
                    changes.append(Insert(_told(delivery, consent, now)))
            entry = await self._auditor.entry(
                AuditAction.CONSENT_WITHDRAWN,
                administration=consent.administration,
                actor=signed.user,
                role=standing.role,
                object=consent.id,
                case=consent.case,
                outcome=str(withdrawn.state),
                detail={"cancelled": cancelled},
            )
            try:
                await self._store.commit(Work(expects=standing.facts, changes=tuple(changes), entries=(entry,)))
            except ConflictError:
                continue  # a worker moved one of the deliveries: look again
            return withdrawn
        raise ConflictError(
            "deliveries kept moving during the withdrawal",
            swedish="Återkallelsen hann inte registreras.",
            next_step="Försök igen genast. Inget har ändrats.",
        )

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
        return ConsentTerms(
            purposes=tuple(Purpose(value) for value in opened["purposes"]),
            exchanges=tuple(Exchange(*pair) for pair in opened["exchanges"]),
            categories=tuple(Category(value) for value in opened["categories"]),
            given_by=opened["given_by"],
            manner=opened["manner"],
            informed_points=tuple(opened["informed_points"]),
            excluded=opened["excluded"],
        )

    async def _sealed(self, consent: Consent, terms: ConsentTerms) -> Consent:
        plaintext = json.dumps(
            {
                "purposes": terms.purposes,
                "exchanges": [(exchange.sender, exchange.recipient) for exchange in terms.exchanges],
                "categories": terms.categories,
                "given_by": terms.given_by,
                "manner": terms.manner,
                "informed_points": terms.informed_points,
                "excluded": terms.excluded,
            },
            ensure_ascii=False,
        ).encode()
        sealed = await self._vault.seal_field(consent.administration, _context(consent), plaintext)
        return await self._integrity.sign(dataclasses.replace(consent, sealed=sealed))


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


def _told(delivery: Delivery, consent: Consent, now: Instant) -> Notice:
    return Notice(
        administration=delivery.administration,
        id=str(uuid.uuid4()),
        inbox=delivery.inbox,
        kind="consent_withdrawn",
        case=consent.case,
        created_at=now,
    )
