"""Alarms about what somebody did past the gateway: one log entry each, and never a flood.

Why this exists: a row that decides and does not verify is refused wherever it is read, by whoever happens to read it.
The reader's answer stays the ordinary one; that somebody wrote to the database must reach the log all the same. So must
it that a connection to a neighbour is not safe any more: somebody may stand between.

Rule: the same row, or channel, raises at most one entry a minute in one process, so that a stranger who keeps asking
cannot fill the log (security-decisions H2).
"""

from __future__ import annotations

from typing import TypeVar

from gateway.audit import AuditAction, Auditor
from gateway.errors import IntegrityError
from gateway.integrity import Integrity
from gateway.model.base import GATEWAY, MINUTE, DecidingRow, Instant
from gateway.model.identity import User
from gateway.model.log import LogEntry
from gateway.model.path import Channel
from gateway.ports import Clock, Store, Work

D = TypeVar("D", bound=DecidingRow)

_MOST_REMEMBERED = 4096


class Alarms:
    """Checks deciding rows and writes the alarm of those that fail."""

    def __init__(self, store: Store, integrity: Integrity, auditor: Auditor, clock: Clock) -> None:
        self._store = store
        self._integrity = integrity
        self._auditor = auditor
        self._clock = clock
        self._raised: dict[tuple[str, tuple[str | int, ...]], Instant] = {}

    async def checked(self, row: D, *, actor: User | None = None) -> D:
        """`row` itself when its MAC holds.

        Raises:
            IntegrityError: it does not, and the alarm is in the log. Refuse; never repair in silence.
        """
        try:
            return await self._integrity.check(row)
        except IntegrityError:
            await self.altered(row, actor=actor)
            raise

    async def altered(self, row: DecidingRow, *, actor: User | None = None) -> None:
        """Log that `row` does not verify. The entry names table and key, never what the fields say."""
        if self._raised_lately((row.TABLE, row.key)):
            return
        entry = await self._auditor.entry(
            AuditAction.ALARM,
            # The row's own field may name an administration that does not exist, so the row's owner is not trusted.
            administration=actor.administration if actor else GATEWAY,
            actor=actor,
            role="+".join(actor.roles) if actor else "",
            object="/".join(str(part) for part in row.key),
            case=None,
            outcome="integrity-failure",
            detail={"table": row.TABLE},
        )
        await self._store.commit(Work(entries=(entry,)))

    async def insecure(self, channel: Channel) -> None:
        """Log that nothing can be sent over a channel, because its connection cannot be made safe."""
        if self._raised_lately(("channel", (str(channel),))):
            return
        entry = await self._auditor.entry(
            AuditAction.ALARM,
            administration=GATEWAY,
            actor=None,
            role="worker",
            object=str(channel),
            case=None,
            outcome="insecure-way",
        )
        await self._store.commit(Work(entries=(entry,)))

    async def set_aside(self, what: str) -> None:
        """Log that a delivery or an arrival met a bug each time it was tried, and waits for a person (by its id)."""
        await self._store.commit(Work(entries=(await self.of_what_is_set_aside(what),)))

    async def of_what_is_set_aside(self, what: str) -> LogEntry:
        """The same, to be committed with what sets it aside."""
        return await self._auditor.entry(
            AuditAction.ALARM,
            administration=GATEWAY,
            actor=None,
            role="worker",
            object=what,
            case=None,
            outcome="set-aside",
        )

    def _raised_lately(self, about: tuple[str, tuple[str | int, ...]]) -> bool:
        """Whether this was told less than a minute ago; if not, it is told now."""
        now = self._clock.now()
        if now - self._raised.get(about, Instant(-MINUTE)) < MINUTE:
            return True
        if len(self._raised) >= _MOST_REMEMBERED:
            self._raised = {seen: at for seen, at in self._raised.items() if now - at < MINUTE}
        self._raised[about] = now
        return False
