"""Triage: a registrator says where held mail goes, by its outside alone and with a signed act; a worker places it.

Why this exists: somebody must send on what names no function, and nobody should read the whole municipality's mail to
do it (the shared inbox of Cosmic Link). So a registrator sees when, by which way, from whom and how large, and chooses;
the administration's signature over that choice is the permit; the worker opens with channel key `hold`, takes it in
for the chosen inbox as if it had come there, and destroys the held copy's key (security-decisions S4).

Rules (docs/channels.md §3.2): the order is logged before anything is opened; the arrival lies in one place at every
moment; what a chosen inbox cannot have waits again, with the reason.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from gateway import failpoints
from gateway.alarms import Alarms
from gateway.arrival import Released
from gateway.audit import AuditAction, Auditor
from gateway.decide import AccessAction
from gateway.directory import Directory, Snapshot
from gateway.envelope import rejected
from gateway.errors import ConflictError, DecisionStaleError, EnvelopeError, GatewayError, NotFoundError, RecipientError
from gateway.holding import Holding, choice_of, ordered_like
from gateway.intake import Intake
from gateway.integrity import Integrity
from gateway.model.base import EnvelopeId, InboxId
from gateway.model.directory import Inbox, InboxKind
from gateway.model.keys import EnvelopeWrap
from gateway.model.log import LogEntry
from gateway.model.path import Arrival, Envelope, Held
from gateway.neighbours import Reason
from gateway.ports import Clock, Delete, Sealer, ShredKeys, Store, Update, Work
from gateway.rights import Rights, Standing
from gateway.sessions import Signed
from gateway.states import HELD, HeldEvent, HeldState, step
from gateway.unforeseen import Strikes
from gateway.windows import Windows

MOST_SHOWN: Final = 200
BATCH: Final = 20
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Desk:
    """What one registrator's inbox holds: what waits, and what was ordered and is on its way."""

    inbox: Inbox
    waiting: Sequence[Held]
    ordered: Sequence[Held]


class Triage:
    """The use case of a registrator."""

    def __init__(
        self,
        store: Store,
        rights: Rights,
        windows: Windows,
        directory: Directory,
        integrity: Integrity,
        holding: Holding,
        sealer: Sealer,
        auditor: Auditor,
        clock: Clock,
    ) -> None:
        self._store = store
        self._rights = rights
        self._windows = windows
        self._directory = directory
        self._integrity = integrity
        self._holding = holding
        self._sealer = sealer
        self._auditor = auditor
        self._alarms = Alarms(store, integrity, auditor, clock)
        self._clock = clock

    async def desk(self, signed: Signed, registrator: InboxId) -> Desk:
        """What waits at a registrator's inbox, the longest first; the look is logged first.

        Raises:
            NotFoundError, ForbiddenError: not a registrator there.
        """
        standing = await self._rights.act(signed, registrator, AccessAction.READ_REGISTER)
        entry = await self._entry(AuditAction.REGISTER_READ, standing, registrator, "permit")
        await self._store.commit(Work(entries=(entry,)))
        found = {
            state: [
                await self._integrity.check(row)
                for row in await self._store.held_at(registrator, state, limit=MOST_SHOWN)
            ]
            for state in (HeldState.WAITING, HeldState.ORDERED)
        }
        return Desk(standing.inbox, found[HeldState.WAITING], found[HeldState.ORDERED])

    async def one(self, signed: Signed, envelope: EnvelopeId) -> Held:
        """One of them, from its outside.

        Raises:
            NotFoundError: no such, or not at an inbox of yours; one answer.
        """
        row, _ = await self._found(signed, envelope, AccessAction.READ_REGISTER)
        return row

    async def targets(self, signed: Signed, envelope: EnvelopeId) -> list[Inbox]:
        """The inboxes that may be chosen: of the administrations that the address serves, and that somebody reads."""
        row, standing = await self._found(signed, envelope, AccessAction.FORWARD)
        return await self._targets(standing.directory, row)

    async def together(self, row: Held) -> list[Held]:
        """What waits at the same inbox of the same conversation, `row` among it: it goes along. Read `row` by `one`."""
        return [
            await self._integrity.check(one)
            for one in await self._store.held_in(row.channel, row.conversation, row.sender)
            if one.inbox == row.inbox and one.state is HeldState.WAITING
        ]

    async def order(self, signed: Signed, envelope: EnvelopeId, to: InboxId) -> Held:
        """Say where a held arrival goes, and with it whatever waits of the same conversation.

        The same choice made twice is one. A worker carries it out: `Placing`.

        Raises:
            NotFoundError: no such, or not at an inbox of yours; one answer.
            RecipientError: `to` is none of `targets`; nothing moved.
            StepUpRequiredError: as for opening, though nothing is shown.
            IllegalTransitionError: it was placed already, or somebody chose another inbox.
            ConflictError: a colleague chose in this moment; read again.
        """
        row, standing = await self._found(signed, envelope, AccessAction.FORWARD)
        if row.state is not HeldState.WAITING and (row.to, row.ordered_by) == (to, signed.user.id):
            return row
        step(HELD, row.state, HeldEvent.ORDER)
        if to not in {box.id for box in await self._targets(standing.directory, row)}:
            raise RecipientError(
                "not an inbox that this address serves",
                swedish="Det går bara att fördela till en inkorg som adressen gäller för och som någon läser.",
                next_step="Välj en inkorg i listan. Meddelandet ligger kvar.",
            )
        now = self._clock.now()
        window = await self._windows.use(signed, standing.inbox, at=now)
        chosen = dataclasses.replace(
            row,
            to=to,
            ordered_by=signed.user.id,
            ordered_as=f"{standing.inbox.name}: {signed.user.title}",
            ordered_at=now,
        )
        order = await self._sealer.order(standing.inbox.administration, choice_of(chosen), at=now)
        chosen = dataclasses.replace(chosen, signer=order.signer, signature=order.signature)
        together = await self.together(row)
        following = [
            await self._integrity.sign(
                dataclasses.replace(ordered_like(one, chosen), changed_at=now, version=one.version + 1)
            )
            for one in together
        ]
        entries = [
            await self._entry(AuditAction.FORWARDED, standing, one.envelope, "ordered", to=to) for one in following
        ]
        await self._store.commit(
            Work(expects=standing.facts, changes=(*window, *map(Update, following)), entries=tuple(entries))
        )
        return next(one for one in following if one.envelope == envelope)

    async def _found(self, signed: Signed, envelope: EnvelopeId, action: AccessAction) -> tuple[Held, Standing]:
        row = await self._store.get(Held, envelope)
        if row is None:
            raise _absent()
        standing = await self._rights.act(signed, row.inbox, action, absent=_absent())
        return await self._alarms.checked(row, actor=signed.user), standing

    async def _targets(self, directory: Snapshot, row: Held) -> list[Inbox]:
        serves = {row.administration, *directory.collecting(row.channel, row.inbox)}
        found = [
            inbox
            for _, inbox in sorted(directory.inboxes.items())
            if inbox.administration in serves
            and inbox.id != row.inbox
            and not directory.is_outside(inbox)
            and (inbox.kind is not InboxKind.REGISTRATOR or inbox.administration != row.administration)
        ]
        return [inbox for inbox in found if not await self._holding.closed(inbox)]

    async def _entry(
        self, action: AuditAction, standing: Standing, target: str, outcome: str, **detail: str
    ) -> LogEntry:
        return await self._auditor.entry(
            action,
            administration=standing.inbox.administration,
            actor=standing.signed.user,
            role=standing.role,
            object=target,
            case=None,
            outcome=outcome,
            detail=detail,
        )


class Placing:
    """The worker: carries out what registrators ordered."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        integrity: Integrity,
        holding: Holding,
        intake: Intake,
        shred: ShredKeys,
        auditor: Auditor,
        clock: Clock,
    ) -> None:
        self._store = store
        self._directory = directory
        self._integrity = integrity
        self._holding = holding
        self._intake = intake
        self._shred = shred
        self._auditor = auditor
        self._alarms = Alarms(store, integrity, auditor, clock)
        self._strikes = Strikes()
        self._clock = clock

    async def run_once(self) -> int:
        """Place what was ordered, the longest first, and end the keys of what is placed; returns how many moved."""
        moved = 0
        for row in await self._store.held(HeldState.ORDERED, limit=BATCH):
            moved += await self._guarded(row)
        for row in await self._store.held(HeldState.PLACED, limit=BATCH):
            await self._shredded(await self._alarms.checked(row))
            moved += 1
        return moved

    async def _guarded(self, row: Held) -> int:
        """Trouble of one stays with it."""
        try:
            await self._place(await self._alarms.checked(row))
        except (ConflictError, DecisionStaleError):
            log.info("held mail moved while it was placed")
        except EnvelopeError:
            await self._give_back(row, Reason.SIGNATURE)
            return 1
        except GatewayError as trouble:
            log.warning("held mail is not placed yet", code=trouble.code)
        except Exception as bug:  # see gateway/unforeseen.py
            if self._strikes.last(row.envelope, bug):
                await self._alarms.set_aside(row.envelope)
                await self._give_back(row, Reason.FAULT)
                return 1
        else:
            return 1
        return 0

    async def _place(self, row: Held) -> None:
        arrived = await self._holding.arrived(row)
        directory = await self._directory.current()
        arrival = await self._store.get(Arrival, row.channel, row.arrival)
        if arrival is None or row.to is None or row.to not in directory.inboxes:
            raise rejected("held mail without its arrival, or for no inbox")
        failpoints.reached("held.opened")
        now = self._clock.now()
        entry = await self._entry(AuditAction.PLACED, row, "placed")
        released = Released(
            arrival.fingerprint, await self._holding.placed(row, now), (entry,), {"forwarded_by": row.ordered_as}
        )
        reason = await self._intake.release(arrived, directory.inbox(row.sender), directory.inbox(row.to), released)
        if reason is not Reason.NONE:
            await self._give_back(row, reason)
            return
        failpoints.reached("held.placed")

    async def _give_back(self, row: Held, reason: Reason) -> None:
        """It waits again: the chosen inbox cannot have it."""
        following = dataclasses.replace(
            row,
            state=step(HELD, row.state, HeldEvent.GIVE_BACK),
            changed_at=self._clock.now(),
            to=None,
            ordered_by=None,
            ordered_as="",
            ordered_at=None,
            signer=None,
            signature=b"",
            reason=str(reason),
            version=row.version + 1,
        )
        entry = await self._entry(AuditAction.NOT_DELIVERED, row, str(reason))
        await self._store.commit(Work(changes=(Update(await self._integrity.sign(following)),), entries=(entry,)))

    async def _shredded(self, row: Held) -> None:
        """End the held copy: its key first, so that a crash between leaves a row that says it is to be done again."""
        wrap = await self._store.get(EnvelopeWrap, row.envelope)
        if wrap is not None:
            await self._shred.destroy([wrap.shred_key])
        failpoints.reached("held.shredded")
        following = dataclasses.replace(
            row,
            state=step(HELD, row.state, HeldEvent.SHRED),
            changed_at=self._clock.now(),
            version=row.version + 1,
        )
        changes = (
            Update(await self._integrity.sign(following)),
            Delete(EnvelopeWrap, (row.envelope,)),
            Delete(Envelope, (row.envelope,)),
        )
        await self._store.commit(Work(changes=changes))

    async def _entry(self, action: AuditAction, row: Held, outcome: str) -> LogEntry:
        return await self._auditor.entry(
            action,
            administration=row.administration,
            actor=None,
            role="worker",
            object=row.envelope,
            case=None,
            outcome=outcome,
            detail={"inbox": row.inbox, "to": row.to or "", "channel": str(row.channel)},
        )


def _absent() -> NotFoundError:
    return NotFoundError("no such held mail", swedish="Meddelandet finns inte, eller är inte ert att fördela.")
