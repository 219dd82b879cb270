"""Quarantine: a file is let through by a row that says what it passed, never by the absence of one.

Why this exists: a scanner that is away must neither lose a file nor let it through, and somebody who can write to the
database must not let one through either. So what lets a file through is a verdict: a row with a MAC, about the digest
of the sealed octets. Without it a file is in quarantine, kept sealed and given to nobody. Nobody who works in the
background can read an inbox, so a verdict that is missing is asked for in the name of somebody who can read the file:
a writer, a recipient, or the worker that carries what leaves. It is asked for anew each time until it is there.

Rules (docs/channels.md §10): whoever gives out the octets of a file calls `require` first. A missing verdict costs a
look, in a log entry; it is never made up. The row of quarantine itself only tells operators what waits: which function,
how large and since when, never a name. What was refused stays as a row, so that it can be answered for, and its octets
go with the sweep.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.alarms import Alarms
from gateway.audit import AuditAction, Auditor
from gateway.decide import AccessAction
from gateway.errors import ConflictError, FileWaitsError
from gateway.filetypes import Fault, FileRefusedError
from gateway.integrity import Integrity, altered
from gateway.model.base import Instant
from gateway.model.directory import Inbox
from gateway.model.identity import User
from gateway.model.log import LogEntry
from gateway.model.path import Channel, FileVerdict, Look, Quarantined
from gateway.ports import AttachmentKey, Change, Clock, Insert, Store, Update, Work
from gateway.rights import Rights, Standing
from gateway.screening import Pieces, Screening, Verdict
from gateway.sessions import Signed
from gateway.states import QUARANTINE, QuarantineEvent, QuarantineState, step
from gateway.traffic import log_transport_read

MOST_SHOWN: Final = 200
#: Two who want the same file look at it at once: the second finds what the first wrote.
LOOK_TRIES: Final = 4


def waits() -> FileWaitsError:
    return FileWaitsError(
        "the file has no verdict yet",
        swedish="Viruskontrollen svarar inte, så filen kan inte lämnas ut än.",
        next_step="Filen är kvar, förseglad. Försök igen om en stund: den som sköter Sambud får larm.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """In whose name a file is looked at: a member in an inbox, or the worker that hands over for one (no user)."""

    inbox: Inbox
    role: str
    user: User | None = None
    channel: Channel = Channel.LOCAL  # told to operators when the file has to wait


def by_member(standing: Standing) -> Asker:
    return Asker(inbox=standing.inbox, role=standing.role, user=standing.signed.user)


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
        self._alarms = Alarms(store, integrity, auditor, clock)
        self._screening = screening
        self._auditor = auditor
        self._clock = clock

    async def begun(self, asker: Asker, file: AttachmentKey, verdict: Verdict) -> tuple[Change, ...]:
        """What goes with the row that names a new file: its verdict, or for want of one that it waits."""
        if verdict is Verdict.CLEAN:
            return (await self._verdict(asker, file, None),)
        return (Insert(await self._integrity.sign(self._held(asker, file, QuarantineState.WAITING))),)

    async def require(self, file: AttachmentKey, pieces: Pieces, asker: Asker) -> None:
        """Return only when the file may be given to people; a verdict that is missing is asked for now.

        Args:
            pieces: the plaintext, from octets that are held to `file.sealed_sha256` while they are read.

        Raises:
            FileWaitsError: no verdict; the file is kept as it is.
            FileRefusedError: it was refused, now or before.
            IntegrityError: a row about it was changed past the gateway; an alarm was raised.
        """
        for attempt in range(LOOK_TRIES):
            row = await self._store.get(FileVerdict, file.id)
            if row is not None:
                await self._alarms.checked(row, actor=asker.user)
                if row.sha256 != file.sealed_sha256:
                    await self._alarms.altered(row, actor=asker.user)
                    raise altered(row, "is about other octets")
                if self._counts(row):
                    return
            try:
                await self._looked_at(file, pieces, asker, row)
            except ConflictError:
                if attempt < LOOK_TRIES - 1:
                    continue
                raise
            return

    def _counts(self, row: FileVerdict) -> bool:
        """A look that was not set up then is taken once it is."""
        return (row.structure is Look.PASSED or not self._screening.examines) and (
            row.malware is Look.PASSED or not self._screening.scans
        )

    async def _looked_at(self, file: AttachmentKey, pieces: Pieces, asker: Asker, before: FileVerdict | None) -> None:
        """Take both looks and record what came of them; return only when both were passed."""
        held = await self._store.get(Quarantined, file.id)
        if held is not None:
            await self._alarms.checked(held, actor=asker.user)
            if held.state is QuarantineState.REFUSED:
                raise FileRefusedError(Fault.MALWARE)
        try:
            verdict = await self._screening.look(file.media_type, file.size, pieces)
        except FileRefusedError as refused:
            await self._refused(file, asker, held, refused.fault)
            raise
        if verdict is not Verdict.CLEAN:
            if held is None or held.state is QuarantineState.RELEASED:
                changes = await self._moved(asker, file, held, QuarantineEvent.HOLD)
                await self._store.commit(Work(changes=changes))
            raise waits()
        changes = (await self._verdict(asker, file, before),)
        if held is not None and held.state is QuarantineState.WAITING:
            changes += await self._moved(asker, file, held, QuarantineEvent.RELEASE)
        outcome = "clean" if self._screening.scans else "no-scanner"
        entry = await self._entry(AuditAction.FILE_RELEASED, file, asker, outcome)
        await self._store.commit(Work(changes=changes, entries=(entry,)))

    async def _refused(self, file: AttachmentKey, asker: Asker, held: Quarantined | None, fault: Fault) -> None:
        """Malware is refused for good. A structure is looked at again when asked: a child may have been out of time."""
        malware = fault is Fault.MALWARE
        changes = await self._moved(asker, file, held, QuarantineEvent.REFUSE) if malware else ()
        action = AuditAction.ALARM if malware else AuditAction.FILE_REFUSED
        await self._store.commit(Work(changes=changes, entries=(await self._entry(action, file, asker, str(fault)),)))

    async def _verdict(self, asker: Asker, file: AttachmentKey, before: FileVerdict | None) -> Change:
        row = FileVerdict(
            administration=asker.inbox.administration,
            attachment=file.id,
            sha256=file.sealed_sha256,
            structure=Look.PASSED if self._screening.examines else Look.NOT_SET_UP,
            malware=Look.PASSED if self._screening.scans else Look.NOT_SET_UP,
            at=self._clock.now(),
            version=before.version + 1 if before is not None else 1,
        )
        signed = await self._integrity.sign(row)
        return Insert(signed) if before is None else Update(signed)

    async def _moved(
        self, asker: Asker, file: AttachmentKey, held: Quarantined | None, event: QuarantineEvent
    ) -> tuple[Change, ...]:
        """The row that tells operators, moved; made where there is none."""
        if held is None:
            state = QuarantineState.REFUSED if event is QuarantineEvent.REFUSE else QuarantineState.WAITING
            return (Insert(await self._integrity.sign(self._held(asker, file, state))),)
        following = dataclasses.replace(
            held,
            state=step(QUARANTINE, held.state, event),
            changed_at=self._clock.now(),
            version=held.version + 1,
        )
        return (Update(await self._integrity.sign(following)),)

    def _held(self, asker: Asker, file: AttachmentKey, state: QuarantineState) -> Quarantined:
        now = self._clock.now()
        return Quarantined(
            administration=asker.inbox.administration,
            attachment=file.id,
            inbox=asker.inbox.id,
            channel=asker.channel,
            size=file.sealed_size,
            state=state,
            since=now,
            changed_at=now,
        )

    async def _entry(self, action: AuditAction, file: AttachmentKey, asker: Asker, outcome: str) -> LogEntry:
        return await self._auditor.entry(
            action,
            administration=asker.inbox.administration,
            actor=asker.user,
            role=asker.role,
            object=str(file.id),
            case=None,
            outcome=outcome,
            detail={"inbox": asker.inbox.id, "channel": str(asker.channel)},
        )

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
