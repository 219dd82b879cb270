"""The log checked on demand, and what others need to check it themselves: checkpoints and verifier keys.

Why this exists: a reviewer without a terminal must be able to say "check it now" and see when it was last done. A check
reads the whole log, so one runs at a time, within a bound, and whoever asks meanwhile gets its answer. The last
result is kept in memory only: it proves nothing to anybody but the one who asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.audit import AuditAction, Auditor, log_order
from gateway.decide import AccessAction
from gateway.integrator import Integrator
from gateway.model.base import GATEWAY, Instant
from gateway.ports import Clock, Store, Vault, Work
from gateway.review import Report, Review
from gateway.rights import Rights
from gateway.sessions import Signed

LONGEST_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Inspected:
    """What a check found. Without reports it did not end in time: then the command line does it."""

    at: Instant
    reports: Sequence[Report]
    ended: bool = True

    @property
    def exit_code(self) -> int:
        """0 whole, 1 changed, 2 incomplete, 3 it did not end in time."""
        if not self.ended:
            return 3
        found = {report.exit_code for report in self.reports}
        return 1 if 1 in found else max(found, default=2)


@dataclass(frozen=True, slots=True)
class Anchor:
    """A log's newest signed checkpoint, and the key that its signature is checked with."""

    log: str
    note: str
    vkey: str
    size: int
    at: Instant


class Inspection:
    """Checks the log for a reviewer."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        review: Review,
        integrator: Integrator,
        rights: Rights,
        auditor: Auditor,
        clock: Clock,
    ) -> None:
        self._store = store
        self._vault = vault
        self._review = review
        self._integrator = integrator
        self._rights = rights
        self._auditor = auditor
        self._clock = clock
        self._running = asyncio.Lock()
        self._last: Inspected | None = None

    async def last(self, signed: Signed) -> Inspected | None:
        """The last check since this process began. Raises ForbiddenError for all but reviewers."""
        await self._rights.without_inbox(signed, AccessAction.READ_LOG)
        return self._last

    async def run(self, signed: Signed, *, longest_s: float = LONGEST_S) -> Inspected:
        """Check every log now; logged first. Who asks while a check runs gets that one's answer.

        Raises:
            ForbiddenError: not a reviewer; the try is logged.
        """
        await self._rights.without_inbox(signed, AccessAction.READ_LOG)
        waited = self._running.locked()
        async with self._running:
            if waited and self._last is not None:
                return self._last
            await self._log(signed)
            await self._integrator.flush()
            self._last = await self._checked(longest_s)
            return self._last

    async def anchors(self, signed: Signed) -> list[Anchor]:
        """The newest checkpoint of every log, newest log first."""
        await self._rights.without_inbox(signed, AccessAction.READ_LOG)
        found = []
        for name in sorted(await self._store.logs(), key=log_order, reverse=True):
            row = await self._store.last_checkpoint(name)
            if row is not None:
                found.append(Anchor(name, row.note, await self._vault.note_key(name), row.size, row.at))
        return found

    async def _checked(self, longest_s: float) -> Inspected:
        try:
            async with asyncio.timeout(longest_s):
                reports = await self._review.verify()
        except TimeoutError:
            return Inspected(self._clock.now(), (), ended=False)
        return Inspected(self._clock.now(), tuple(reports))

    async def _log(self, signed: Signed) -> None:
        entry = await self._auditor.entry(
            AuditAction.LOG_VERIFIED,
            administration=GATEWAY,
            actor=signed.user,
            role=signed.role,
            object="",
            case=None,
            outcome="permit",
        )
        await self._store.commit(Work(entries=(entry,)))
