"""Store: accept a sealed message in one durable transaction, or not at all.

Why this exists: *acknowledged means durable, one visible copy, logged*. So the message, its envelopes and wraps, the
deliveries, the case's next state, the decision, the idempotency record and the audit entries are one Work, and the
facts that the decision rests on are re-read inside it: an earlier withdrawal wins, a later one loses.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway import canonical, failpoints
from gateway.audit import AuditAction, Auditor
from gateway.bell import Bell
from gateway.cases import moved
from gateway.decide import Decision
from gateway.deliver import new_delivery_id
from gateway.errors import ConflictError, IdempotencyConflictError
from gateway.freshness import Freshness
from gateway.integrity import Integrity
from gateway.measures import Counted, Step, timed
from gateway.model.base import AdministrationId, InboxId, Instant, MessageId, fact
from gateway.model.path import (
    Case,
    CaseParty,
    Channel,
    DecisionRecord,
    Delivery,
    DeliveryConsent,
    Envelope,
    IdempotencyRecord,
)
from gateway.ports import UNMEASURED, Change, Insert, Metrics, Store, Update, Vault, Work
from gateway.rights import Standing
from gateway.seal import SealedMessage
from gateway.states import CaseEvent, DeliveryState


@dataclass(frozen=True, slots=True)
class Request:
    """A request that may come twice: its key, and the HMAC of what it asked for."""

    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the sender is told: the message and its deliveries. `repeated` when an earlier request was answered
    again."""

    message: MessageId
    repeated: bool


class Acceptance:
    """The last step of sending."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        integrity: Integrity,
        auditor: Auditor,
        freshness: Freshness,
        bell: Bell,
        *,
        metrics: Metrics = UNMEASURED,
    ) -> None:
        self._store = store
        self._bell = bell
        self._vault = vault
        self._integrity = integrity
        self._auditor = auditor
        self._freshness = freshness
        self._metrics = metrics

    async def request(self, administration: AdministrationId, key: str, asked: Any) -> Request | None:
        """The fingerprint of what is asked; None without a key."""
        if not key:
            return None
        return Request(key, await self._vault.fingerprint(administration, "request", canonical.dumps(asked)))

    async def answered(self, inbox: InboxId, request: Request | None) -> Accepted | None:
        """The answer that this request got before, if it came before.

        Raises:
            IdempotencyConflictError: the key was used for something else; the first request stands.
        """
        if request is None:
            return None
        known = await self._store.get(IdempotencyRecord, inbox, request.key)
        if known is None:
            return None
        if known.fingerprint != request.fingerprint:
            raise IdempotencyConflictError(
                "the idempotency key was used for another request",
                swedish="Samma nyckel har redan använts för något annat.",
                next_step="Det första utskicket gäller. Använd en ny nyckel för ett nytt utskick.",
            )
        self._metrics.count(Counted.ACCEPTS, "repeated")
        return Accepted(MessageId(json.loads(known.answer)["message"]), repeated=True)

    async def accept(
        self,
        standing: Standing,
        sealed: SealedMessage,
        decision: Decision,
        case: Case,
        *,
        event: CaseEvent | None,
        matched_units: tuple[str, ...] | None = None,
        request: Request | None,
        due_at: Instant,
        extra: Sequence[Change] = (),
        action: AuditAction = AuditAction.SENT,
    ) -> Accepted:
        """Commit everything that sending made.

        Raises:
            DecisionStaleError: a consent, membership, route, key epoch or the case moved since the decision.
            ConflictError: the same, for a row that this act changes.
            LogBehindError: the log is not being published; nothing is accepted under it.
        """
        await self._freshness.require()
        with timed(self._metrics, Step.STORE):
            accepted = await self._accepted(
                standing, sealed, decision, case, event, matched_units, request, due_at, extra, action
            )
        if not accepted.repeated:
            self._metrics.count(Counted.ACCEPTS, "new")
        return accepted

    async def _accepted(
        self,
        standing: Standing,
        sealed: SealedMessage,
        decision: Decision,
        case: Case,
        event: CaseEvent | None,
        matched_units: tuple[str, ...] | None,
        request: Request | None,
        due_at: Instant,
        extra: Sequence[Change],
        action: AuditAction,
    ) -> Accepted:
        message = sealed.message
        changes: list[Change] = [Insert(message)]
        changes += [Insert(envelope) for envelope in sealed.envelopes]
        changes += [Insert(wrap) for wrap in sealed.wraps]
        changes += [Insert(file) for file in sealed.files]
        for envelope in sealed.envelopes:
            if not envelope.sender_copy:
                changes += await self._delivery(envelope, sealed, decision, case, due_at)
        changes.append(Insert(await self._record(decision, message.administration, case)))
        if event is not None:
            following = await moved(self._integrity, case, event, at=message.created_at, matched_units=matched_units)
            changes.append(Update(following))
        changes += extra
        if request is not None:
            changes.append(Insert(_answer(message.administration, standing.inbox.id, request, message.id, decision.at)))
        entries = [
            await self._auditor.entry(
                logged,
                administration=message.administration,
                actor=standing.signed.user,
                role=standing.role,
                object=message.id,
                case=case.id,
                outcome="permit",
                policies=decision.rules,
                detail={"decision": decision.id, "transcripts": [e.transcript.hex() for e in sealed.envelopes]},
            )
            for logged in (AuditAction.DECIDED, action)
        ]
        expects = dict.fromkeys((*standing.facts, *decision.facts, *sealed.facts))
        if event is None:
            expects[fact(case)] = None
        failpoints.reached("send.before_commit")
        while True:
            try:
                await self._store.commit(Work(expects=tuple(expects), changes=tuple(changes), entries=tuple(entries)))
                break
            except ConflictError:
                repeated = await self.answered(standing.inbox.id, request)  # the same request won in parallel
                if repeated is not None:
                    return repeated
                fewer = await self._unmet(changes)
                if len(fewer) == len(changes):
                    raise
                changes = fewer  # somebody else's first message made the recipient a party meanwhile
        failpoints.reached("send.after_commit")
        self._bell.ring()
        return Accepted(message.id, repeated=False)

    async def _unmet(self, changes: Sequence[Change]) -> list[Change]:
        """The changes without parties that are parties by now: that an inbox takes part is true however often it is
        said, and the first time stands. Everything else that two acts both change is a conflict as ever."""
        found: list[Change] = []
        for change in changes:
            party = change.row if isinstance(change, Insert) and isinstance(change.row, CaseParty) else None
            if party is None or await self._store.get(CaseParty, party.case, party.inbox) is None:
                found.append(change)
        return found

    async def refused(self, standing: Standing, decision: Decision, case: Case) -> None:
        """Log a refusal: it is audited like a permit, and nothing else is written."""
        entry = await self._auditor.entry(
            AuditAction.DECIDED,
            administration=standing.inbox.administration,
            actor=standing.signed.user,
            role=standing.role,
            object=decision.id,
            case=case.id,
            outcome="deny",
            policies=decision.rules,
        )
        await self._store.commit(Work(entries=(entry,)))

    async def _delivery(
        self, envelope: Envelope, sealed: SealedMessage, decision: Decision, case: Case, due_at: Instant
    ) -> list[Change]:
        delivery = Delivery(
            administration=envelope.administration,
            id=new_delivery_id(),
            envelope=envelope.id,
            message=envelope.message,
            inbox=envelope.inbox,
            channel=sealed.channels.get(envelope.id, Channel.LOCAL),
            state=DeliveryState.QUEUED,
            due_at=due_at,
            expires_at=sealed.not_after,
            changed_at=envelope.created_at,
        )
        changes: list[Change] = [Insert(delivery)]
        decided = next(found for found in decision.recipients if found.inbox == envelope.inbox)
        for consent in decided.consents:
            changes.append(
                Insert(DeliveryConsent(administration=consent.administration, delivery=delivery.id, consent=consent.id))
            )
        if await self._store.get(CaseParty, case.id, envelope.inbox) is None:
            changes.append(
                Insert(
                    CaseParty(
                        administration=envelope.administration,
                        case=case.id,
                        inbox=envelope.inbox,
                        since=envelope.created_at,
                        opened_at=case.opened_at,
                    )
                )
            )
        return changes

    async def _record(self, decision: Decision, administration: AdministrationId, case: Case) -> DecisionRecord:
        """The decision as taken: rules and classes per recipient, sealed (they tell of what the form holds)."""
        told = {
            "recipients": [
                {
                    "inbox": recipient.inbox,
                    "stage": str(recipient.stage),
                    "rulings": [
                        [str(item.stage), str(item.privacy), str(item.category), ruling.rule, str(ruling.outcome)]
                        for item, ruling in sorted(recipient.rulings.items())
                    ],
                    "consents": [consent.id for consent in recipient.consents],
                    "warnings": list(recipient.warnings),
                }
                for recipient in decision.recipients
            ]
        }
        context = f"{DecisionRecord.TABLE}|{decision.id}|sealed"
        return DecisionRecord(
            administration=administration,
            id=decision.id,
            case=case.id,
            at=decision.at,
            outcome="permit",
            policies=decision.policies,
            sealed=await self._vault.seal_field(administration, context, canonical.dumps(told)),
        )


def _answer(
    administration: AdministrationId, inbox: InboxId, request: Request, message: MessageId, at: Instant
) -> IdempotencyRecord:
    return IdempotencyRecord(
        administration=administration,
        inbox=inbox,
        idempotency_key=request.key,
        fingerprint=request.fingerprint,
        answer=json.dumps({"message": message}),
        created_at=at,
    )
