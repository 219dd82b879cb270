"""Carrying: what no machine brings, a person of the sender's inbox brings and says so (docs/channels.md §2.6).

Why this exists: the last way that always works is paper in somebody's hand, and it is the one that nobody can check. So
it gets the same order as every other way (the log first, the consents re-read, only what the sender signed), a
checklist, and a row with a MAC that says who said what. And what a party must be told, that a consent ended or that
something is asked back, waits for a person until a person says that it was said.

Rules: nothing has left while it waits; no machine says "delivered" here; what has arrived has arrived.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.aftermath import Aftermath
from gateway.audit import AuditAction, Auditor
from gateway.carried import Said, checked, checked_saying, sealed_words, words_of
from gateway.decide import AccessAction
from gateway.deliver import moved_delivery, undelivered, withdrawn_on_the_way
from gateway.directory import Directory
from gateway.integrity import Integrity
from gateway.loads import Load, Loads, absent
from gateway.model.base import InboxId, Instant
from gateway.model.carrying import BY_HAND, MESSAGE, HandOver, Obstacle
from gateway.model.path import Case, Delivery, Notice
from gateway.neighbours import Reason, Telling, Told
from gateway.ports import Change, Clock, Insert, Store, Update, Vault, Work
from gateway.rights import Rights, Standing
from gateway.sessions import Signed
from gateway.states import HAND_OVER, DeliveryEvent, DeliveryState, HandOverEvent, HandOverState, step
from gateway.ways import Ways

MOST: Final = 200
REASONS: Final = {
    Obstacle.NOT_FOUND: Reason.NOT_FOUND,
    Obstacle.REFUSED: Reason.REFUSED,
    Obstacle.RETURNED: Reason.UNREACHABLE,
    Obstacle.STOPPED: Reason.REFUSED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ToCarry:
    """What people of an inbox have to do, and what they did last."""

    loads: Sequence[Load]
    sayings: Sequence[tuple[HandOver, Case]]
    done: Sequence[tuple[HandOver, Case]]


class Carrying:
    """The use cases of whoever carries."""

    def __init__(
        self,
        store: Store,
        rights: Rights,
        integrity: Integrity,
        vault: Vault,
        directory: Directory,
        loads: Loads,
        aftermath: Aftermath,
        auditor: Auditor,
        clock: Clock,
    ) -> None:
        self._store = store
        self._rights = rights
        self._integrity = integrity
        self._vault = vault
        self._directory = directory
        self._loads = loads
        self._aftermath = aftermath
        self._auditor = auditor
        self._clock = clock
        self._ways = Ways(store, integrity, clock)

    # --- looking -----------------------------------------------------------------------------------------------------

    async def waiting(self, signed: Signed, inbox: InboxId) -> ToCarry:
        """What waits for the people of an inbox: messages, things to say; and what they said last."""
        await self._rights.act(signed, inbox, AccessAction.CARRY)
        now = self._clock.now()
        waiting = await self._store.deliveries_to_carry(inbox, limit=MOST)
        due = [row for row in waiting if row.state is DeliveryState.IN_TRANSIT or row.due_at <= now]
        sayings = await self._store.hand_overs_of(inbox, HandOverState.WAITING, limit=MOST)
        done = await self._store.hand_overs_of(inbox, HandOverState.DONE, limit=20)
        return ToCarry(
            loads=[await self._loads.load(row) for row in due],
            sayings=[(row, await self._loads.case(row)) for row in sayings],
            done=[(row, await self._loads.case(row)) for row in done],
        )

    async def find(self, signed: Signed, inbox: InboxId, delivery: str) -> Load:
        """One message that `inbox` carries, also after it was handed over.

        Raises:
            NotFoundError: no such delivery by hand of what this inbox sent.
        """
        await self._rights.act(signed, inbox, AccessAction.CARRY)
        return await self._loads.found(inbox, delivery)

    async def saying(self, signed: Signed, inbox: InboxId, notice: str) -> tuple[HandOver, Case]:
        """One thing to say. Raises NotFoundError."""
        await self._rights.act(signed, inbox, AccessAction.CARRY)
        row = await self._store.get(HandOver, notice)
        if row is None or row.inbox != inbox or row.what == MESSAGE:
            raise absent()
        return await self._integrity.check(row), await self._loads.case(row)

    async def said(self, row: HandOver) -> tuple[str, str]:
        """To which function it was given, and the reference; empty until it was. Check first that the caller may."""
        words = await words_of(self._vault, row)
        return words.get("given_to", ""), words.get("reference", "")

    # --- a message ---------------------------------------------------------------------------------------------------

    async def hand_over(self, signed: Signed, inbox: InboxId, delivery: str, said: Said) -> HandOver:
        """Record that it was handed over. What has arrived has arrived, also when a consent ended meanwhile: then the
        party is to be told of that.

        Raises:
            NotFoundError: nothing that was taken out.
            InvalidFormError: a point of the checklist, the time, the function or the reference is missing.
            IllegalTransitionError: it was settled already.
        """
        standing = await self._rights.act(signed, inbox, AccessAction.CARRY)
        load = await self._loads.found(inbox, delivery)
        if load.hand_over is None:
            raise absent()
        checked(said, load.delivery.channel, since=load.hand_over.created_at, now=self._clock.now())
        settled = await self._settle(standing, load, DeliveryEvent.ACCEPTED, Reason.NONE, said)
        return settled or load.hand_over

    async def give_up(self, signed: Signed, inbox: InboxId, delivery: str, why: Obstacle) -> Delivery:
        """Record that it could not, or shall not, be handed over; a reason about the way goes on to the next one.

        Raises:
            NotFoundError: no such delivery.
            IllegalTransitionError: it was settled already.
        """
        standing = await self._rights.act(signed, inbox, AccessAction.CARRY)
        load = await self._loads.found(inbox, delivery)
        event = DeliveryEvent.CANCELLED if why is Obstacle.STOPPED else DeliveryEvent.REFUSED
        await self._settle(standing, load, event, REASONS[why], None, why)
        return (await self._loads.found(inbox, delivery)).delivery

    # --- something to say --------------------------------------------------------------------------------------------

    async def say(self, signed: Signed, inbox: InboxId, notice: str, said: Said) -> HandOver:
        """Record that a party was told; only now does the notice count as told.

        Raises:
            NotFoundError: nothing of the kind to say.
            InvalidFormError: how, when or to which function is missing.
            IllegalTransitionError: it was said already.
        """
        standing = await self._rights.act(signed, inbox, AccessAction.CARRY)
        row, case = await self.saying(signed, inbox, notice)
        now = self._clock.now()
        checked_saying(said, since=row.created_at, now=now)
        settled = await self._settled(standing, row, HandOverEvent.SETTLE, str(said.manner), said)
        pending = await self._store.get(Notice, notice)
        changes: list[Change] = [Update(settled)]
        if pending is not None:
            changes.append(Update(dataclasses.replace(pending, state="told", version=pending.version + 1)))
        entry = await self._auditor.entry(
            AuditAction.ANNOUNCED,
            administration=row.administration,
            actor=signed.user,
            role=standing.role,
            object=row.id,
            case=case.id,
            outcome="told-by-hand",
            detail={"kind": row.what, "manner": str(said.manner)},
        )
        await self._store.commit(Work(expects=standing.facts, changes=tuple(changes), entries=(entry,)))
        return settled

    # --- in time -----------------------------------------------------------------------------------------------------

    async def run_once(self) -> int:
        """End what nobody carried within its form's time to live; returns how many."""
        ended = 0
        for channel in BY_HAND:
            for row in await self._store.overdue(channel, now=self._clock.now(), limit=MOST):
                load = await self._loads.load(row)
                await self._settle(None, load, DeliveryEvent.TIMED_OUT, Reason.UNREACHABLE, None)
                ended += 1
        return ended

    # --- details -----------------------------------------------------------------------------------------------------

    async def stop(self, standing: Standing, load: Load) -> None:
        """End a delivery whose consent has ended, before anything has left."""
        await self._settle(standing, load, DeliveryEvent.CANCELLED, Reason.REFUSED, None)

    async def _settle(
        self,
        standing: Standing | None,
        load: Load,
        event: DeliveryEvent,
        reason: Reason,
        said: Said | None,
        why: Obstacle | None = None,
    ) -> HandOver | None:
        """The end of a delivery by hand, with what follows from it, in one transaction; the clock's when no person."""
        now = self._clock.now()
        envelope = await self._loads.envelope(load.delivery)
        following = dataclasses.replace(moved_delivery(load.delivery, event, now), reason=str(reason))
        changes: list[Change] = []
        expects = standing.facts if standing is not None else ()
        if said is not None:
            following = dataclasses.replace(following, delivered_at=Instant(min(said.handed_at, now)))
            changes += withdrawn_on_the_way(following, await self._loads.consents(envelope), now)
        else:
            after = await self._ways.after(following, envelope, Told(Telling.REFUSED, reason))
            changes += after.changes if after is not None else ()
            expects = (*expects, *(after.facts if after is not None else ()))
            if after is None:
                sender = (await self._directory.current()).inbox(load.message.sender)
                changes.append(Insert(undelivered(sender, load.message, now)))
        row = load.hand_over
        if row is not None and (said is not None or row.state is HandOverState.TAKEN):
            end = HandOverEvent.SETTLE if said is not None else HandOverEvent.GIVE_UP
            row = await self._settled(standing, row, end, str(said.manner) if said else str(why or "expired"), said)
            changes.append(Update(row))
        entry = await self._loads.entry(
            AuditAction.CARRIED if said is not None else AuditAction.NOT_DELIVERED,
            standing,
            load,
            str(said.manner) if said is not None else str(why or reason),
            envelope,
        )
        await self._store.commit(Work(expects=tuple(expects), changes=(Update(following), *changes), entries=(entry,)))
        await self._aftermath.ended(following)
        return row

    async def _settled(
        self, standing: Standing | None, row: HandOver, event: HandOverEvent, manner: str, said: Said | None
    ) -> HandOver:
        settled = dataclasses.replace(
            row,
            state=step(HAND_OVER, row.state, event),
            settled_by=standing.signed.user.id if standing is not None else None,
            settled_at=self._clock.now(),
            handed_at=said.handed_at if said is not None else None,
            manner=manner,
            version=row.version + 1,
        )
        words = dict(await words_of(self._vault, row))
        if said is not None:
            words |= {"given_to": said.given_to.strip(), "reference": said.reference.strip()}
        sealed = await sealed_words(self._vault, settled, words) if words else b""
        return await self._integrity.sign(dataclasses.replace(settled, sealed=sealed))
