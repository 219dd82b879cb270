"""Quarantine: files that no scanner has spoken of yet, and those it has refused (docs/channels.md §10).

Why this exists: a scanner that is away must neither lose a file nor let it through. Such a file is kept sealed and
given to nobody. Nobody who works in the background can read it, so the verdict comes in the session of somebody who
can: when a sender sends or reads the file of a draft, when a recipient opens it. It is asked for anew each time until
it is there.

Rules: a row here keeps a file from everybody until it says `released`; the row says which function, how large and since
when, never a name. What was refused stays as a row, so that it can be answered for, and its octets go with the sweep.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

from gateway.audit import AuditAction, Auditor
from gateway.decide import AccessAction
from gateway.errors import FileWaitsError
from gateway.filetypes import Fault, FileRefusedError
from gateway.integrity import Integrity
from gateway.model.base import AdministrationId, AttachmentId, Instant
from gateway.model.directory import Inbox
from gateway.model.path import Channel, Quarantined
from gateway.ports import Clock, Insert, Store, Update, Work
from gateway.rights import Rights
from gateway.screening import Pieces, Screening, Verdict
from gateway.sessions import Signed
from gateway.states import QUARANTINE, QuarantineEvent, QuarantineState, step
from gateway.traffic import log_transport_read

MOST_SHOWN: Final = 200


def waits() -> FileWaitsError:
    return FileWaitsError(
        "the file has no verdict yet",
        swedish="Viruskontrollen svarar inte, så filen kan inte lämnas ut än.",
        next_step="Filen är kvar, förseglad. Försök igen om en stund: den som sköter Sambud får larm.",
    )


class Quarantine:
    """Keeps files from everybody until there is a verdict."""

    def __init__(
        self,
        store: Store,
        rights: Rights,
        integrity: Integrity,
        screening: Screening,
        auditor: Auditor,
        clock: Clock,
    ) -> None:
        self._store = store
        self._rights = rights
        self._integrity = integrity
        self._screening = screening
        self._auditor = auditor
        self._clock = clock

    async def row(self, inbox: Inbox, file: AttachmentId, size: int, channel: Channel) -> Insert:
        """The change that puts a file without a verdict in quarantine; goes with the row that names the file."""
        now = self._clock.now()
        row = Quarantined(
            administration=inbox.administration,
            attachment=file,
            inbox=inbox.id,
            channel=channel,
            size=size,
            state=QuarantineState.WAITING,
            since=now,
            changed_at=now,
        )
        return Insert(await self._integrity.sign(row))

    async def require(
        self, file: AttachmentId, pieces: Pieces, *, signed: Signed, administration: AdministrationId, role: str
    ) -> None:
        """Return only when the file may be given to people; a verdict that is missing is asked for now.

        Raises:
            FileWaitsError: no verdict; nothing was changed.
            FileRefusedError: it was refused, now or before.
            IntegrityError: the row was changed past the gateway.
        """
        row = await self._store.get(Quarantined, file)
        if row is None:
            return
        await self._integrity.check(row)
        if row.state is QuarantineState.RELEASED:
            return
        if row.state is QuarantineState.REFUSED:
            raise FileRefusedError(Fault.MALWARE)
        try:
            verdict = await self._screening.scan(pieces)
        except FileRefusedError:
            await self._moved(row, QuarantineEvent.REFUSE, signed, administration, role)
            raise
        if verdict is not Verdict.CLEAN:
            raise waits()
        await self._moved(row, QuarantineEvent.RELEASE, signed, administration, role)

    async def _moved(
        self,
        row: Quarantined,
        event: QuarantineEvent,
        signed: Signed,
        administration: AdministrationId,
        role: str,
    ) -> None:
        refused = event is QuarantineEvent.REFUSE
        following = dataclasses.replace(
            row,
            state=step(QUARANTINE, row.state, event),
            changed_at=self._clock.now(),
            version=row.version + 1,
        )
        action = AuditAction.ALARM if refused else AuditAction.FILE_RELEASED
        entry = await self._auditor.entry(
            action,
            administration=administration,
            actor=signed.user,
            role=role,
            object=str(row.attachment),
            case=None,
            outcome="malware" if refused else "clean",
            detail={"inbox": row.inbox, "channel": str(row.channel)},
        )
        signed_row = await self._integrity.sign(following)
        await self._store.commit(Work(changes=(Update(signed_row),), entries=(entry,)))

    async def listed(self, signed: Signed) -> Sequence[Quarantined]:
        """What waits and what was refused, newest first: for whoever operates or reviews the gateway.

        Raises:
            ForbiddenError: neither; the try is logged.
        """
        await self._rights.without_inbox(signed, AccessAction.READ_TRANSPORT)
        await log_transport_read(self._auditor, self._store, signed, "quarantine")
        found = [
            row
            for state in (QuarantineState.WAITING, QuarantineState.REFUSED)
            for row in await self._store.quarantined(state, limit=MOST_SHOWN)
        ]
        return [await self._integrity.check(row) for row in found]

    async def waiting(self, *, most: int) -> tuple[int, Instant | None]:
        """How many files wait, counted no further than `most`, and since when the oldest does."""
        found = await self._store.quarantined(QuarantineState.WAITING, limit=most)
        return len(found), min((row.since for row in found), default=None)

    async def scanner_answers(self) -> bool | None:
        """Whether the scanner would give a verdict now; None where none is set up."""
        return await self._screening.scanner.answers() if self._screening.scans else None
