"""The first minute of a restored gateway: its log is checked, what was lost is written down, nobody is signed in.

Why this exists: an old log that went on after a restore would be two logs under one name, and a witness would see a
rollback. So a new one begins, and its first leaf says from what (security-decisions H3). A session from before may
belong to somebody who has left since; a lease from before belongs to a worker that is gone.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from gateway.audit import AuditAction, log_order
from gateway.deliver import moved_delivery
from gateway.errors import BackupError, IntegrityError
from gateway.model.base import GATEWAY, Instant
from gateway.notes import TreeHead, parse_checkpoint
from gateway.ports import Change, Update, Work
from gateway.states import DeliveryEvent
from gateway.tree import CompactRange
from gateway.usecases import Gateway

BLOCK = 1024
FAR = Instant(2**62)
AT_ONCE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class LogGap:
    """What the restored log lacks: leaves from..until of a log; `until` is None when nobody knows."""

    log: str
    start: int
    until: int | None
    note: str  # the last checkpoint that is known

    @property
    def lost(self) -> int | None:
        return None if self.until is None else max(0, self.until - self.start)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    log: str
    gap: LogGap
    sessions: int
    leases: int


async def settle(gateway: Gateway, backup: str, checkpoint: str, *, keys_missing: int) -> Settled:
    """Steps 8 and 9 of docs/backup.md §6.

    Raises:
        IntegrityError: the restored log was altered, or is not the one that the checkpoint was made of.
        BackupError: the checkpoint is not this gateway's.
    """
    await _whole_log(gateway)
    gap = await _gap(gateway, checkpoint)
    await gateway.integrator.flush()  # what the backup holds is published under its own name, and is a prefix of it
    ended = [change for user in await gateway.ports.store.users() for change in await _sessions(gateway, user.id)]
    leases = await _leases(gateway)
    log = await gateway.auditor.begin_again(gateway.ports.clock.now())
    entry = await gateway.auditor.entry(
        AuditAction.RESTORED,
        administration=GATEWAY,
        actor=None,
        role="operator",
        object=backup,
        case=None,
        outcome="restored",
        detail={
            "previous": gap.note,
            "previous_log": gap.log,
            "lost_from": gap.start,
            "lost_until": "unknown" if gap.until is None else gap.until,
            "sessions": len(ended),
            "leases": len(leases),
            "keys_missing": keys_missing,
        },
    )
    await gateway.ports.store.commit(Work(changes=(*ended, *leases), entries=(entry,)))
    await gateway.integrator.flush()
    return Settled(log=log, gap=gap, sessions=len(ended), leases=len(leases))


async def _whole_log(gateway: Gateway) -> None:
    for report in await gateway.review.verify():
        if report.faults:
            raise IntegrityError(
                f"the restored log {report.log} was altered: {report.faults[0]}",
                swedish="Loggen i säkerhetskopian stämmer inte med sina signaturer: den är ändrad.",
                next_step="Använd en äldre kopia och kontakta säkerhetsansvarig. Inget har lämnats kvar.",
            )


async def _gap(gateway: Gateway, checkpoint: str) -> LogGap:
    store = gateway.ports.store
    logs = sorted(await store.logs(), key=log_order)
    newest = logs[-1]
    size = await store.log_size(newest)
    last = await store.last_checkpoint(newest)
    ours = last.note if last else ""
    if not checkpoint:
        return LogGap(log=newest, start=size, until=None, note=ours)
    head = await _known(gateway, checkpoint, newest)
    if head.origin in logs:
        kept = await store.log_size(head.origin)
        if head.size <= kept:
            await _extends(gateway, head)
            if log_order(head.origin) < log_order(newest) or head.size < size:
                return LogGap(log=newest, start=size, until=None, note=ours)  # older than what we have
            return LogGap(log=newest, start=size, until=head.size, note=checkpoint)
        return LogGap(log=head.origin, start=kept, until=head.size, note=checkpoint)
    return LogGap(log=head.origin, start=0, until=head.size, note=checkpoint)


async def _known(gateway: Gateway, checkpoint: str, newest: str) -> TreeHead:
    """The tree that a checkpoint from outside names, when this gateway signed it."""
    try:
        head = parse_checkpoint(checkpoint)
        mine = head.origin.rpartition("/")[0] == newest.rpartition("/")[0]
        signed = mine and gateway.ports.vault.check_note(checkpoint, await gateway.ports.vault.note_key(head.origin))
    except ValueError:
        signed = False
    if not signed:
        raise BackupError(
            "the checkpoint is not signed by this gateway",
            swedish="Kontrollpunkten är inte signerad av den här gatewayen.",
            next_step="Ange filen 'checkpoint' ur loggen eller från vittnet, oförändrad. Inget har lämnats kvar.",
        )
    return head


async def _extends(gateway: Gateway, head: TreeHead) -> None:
    growing = CompactRange()
    while growing.size < head.size:
        end = min(head.size, growing.size + BLOCK)
        for leaf in await gateway.ports.store.leaves(head.origin, growing.size, end):
            growing.append(leaf.hash)
    if growing.root() != head.root:
        raise IntegrityError(
            f"the restored log {head.origin} is not the one that was signed with {head.size} leaves",
            swedish="Larm: loggen i säkerhetskopian är en annan än den som kontrollpunkten signerar.",
            next_step="Behåll alla filer som de är och kontakta säkerhetsansvarig. Inget har lämnats kvar.",
        )


async def _sessions(gateway: Gateway, user: str) -> tuple[Change, ...]:
    rows = await gateway.ports.store.sessions_of(user)  # type: ignore[arg-type]
    return await gateway.sessions.ending([row.id for row in rows])


async def _leases(gateway: Gateway) -> list[Change]:
    """Deliveries that somebody was trying: due again now, first in the queue. Ids stay, so a repeat is recognised."""
    now = gateway.ports.clock.now()
    changes: list[Change] = []
    for delivery in await gateway.ports.store.lapsed_leases(now=FAR, limit=AT_ONCE):
        back = moved_delivery(delivery, DeliveryEvent.LEASE_LOST, now)
        changes.append(Update(dataclasses.replace(back, due_at=now)))
    return changes
