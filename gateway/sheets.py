"""What members add about a case: rows sealed under the inbox's work key, and the notes among them.

Why this exists: priorities, notes and reasons are facts about a person, so they are content (security-decisions S7).
They are sealed to the inbox that wrote them: the other seat of a board has another key, and nothing here is ever sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.audit import AuditAction, Auditor
from gateway.decide import AccessAction
from gateway.errors import ConflictError, InvalidRequestError, NotFoundError, StepUpRequiredError
from gateway.model.base import MINUTE, CaseId, InboxId, Instant, UserId
from gateway.model.identity import User
from gateway.model.path import CaseParty
from gateway.model.queue import Sheet, Worksheet
from gateway.ports import Clock, Insert, Store, Work, Worksheets
from gateway.rights import Rights, Standing
from gateway.sessions import Signed
from gateway.windows import Windows

MAX_NOTE: Final = 4000
NOTE_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Note:
    """What a member wrote to the others of the inbox."""

    sheet: Sheet
    user: UserId
    title: str
    at: Instant
    text: str


class Sheets:
    """Makes and opens worksheet rows."""

    def __init__(self, store: Store, worksheets: Worksheets, clock: Clock) -> None:
        self._store = store
        self._worksheets = worksheets
        self._clock = clock

    def now(self) -> Instant:
        return self._clock.now()

    async def row(
        self, standing: Standing, item: str, sheet: Sheet, told: Mapping[str, object], *, number: int | None = None
    ) -> Worksheet:
        """A sealed row to insert; without a number it is the next of its kind, and a conflict means "again"."""
        inbox = standing.inbox.id
        if number is None:
            rows = await self._store.worksheets_of(inbox, item)
            number = max((row.number + 1 for row in rows if row.sheet is sheet), default=0)
        epoch = await self._worksheets.epoch(inbox)
        sealed = await self._worksheets.seal(
            inbox,
            epoch,
            standing.signed.user.id,
            item=item,
            version=number,
            column=str(sheet),
            plaintext=json.dumps(told, ensure_ascii=False).encode("utf-8", "surrogatepass"),
        )
        return Worksheet(
            administration=standing.inbox.administration,
            inbox=inbox,
            item=item,
            sheet=sheet,
            number=number,
            epoch=epoch,
            user=standing.signed.user.id,
            created_at=self._clock.now(),
            sealed=sealed,
        )

    async def told(self, standing: Standing, row: Worksheet) -> Mapping[str, object]:
        """What a row holds. Raises IntegrityError when it was altered or moved."""
        plaintext = await self._worksheets.open(
            row.inbox,
            row.epoch,
            standing.signed.user.id,
            item=row.item,
            version=row.number,
            column=str(row.sheet),
            sealed=row.sealed,
        )
        told: Mapping[str, object] = json.loads(plaintext)
        return told

    async def deputy(self, standing: Standing, case: CaseId, reason: str) -> Insert:
        """The row that says why a deputy acted; commit it with the act."""
        return Insert(await self.row(standing, case, Sheet.DEPUTY, {"text": text_of(reason)}))


class Notes:
    """Internal notes about a case, for the members of one inbox."""

    def __init__(self, store: Store, rights: Rights, windows: Windows, sheets: Sheets, auditor: Auditor) -> None:
        self._store = store
        self._rights = rights
        self._windows = windows
        self._sheets = sheets
        self._auditor = auditor

    async def read(self, signed: Signed, inbox: InboxId, case: CaseId) -> list[Note]:
        """The notes, hand-overs and deputies' reasons about a case, oldest first; reading them is logged first.

        Raises:
            NotFoundError: the inbox takes no part in the case.
            StepUpRequiredError: no window is open for the inbox.
        """
        standing = await self._standing(signed, inbox, case)
        rows = await self._store.worksheets_of(inbox, case)
        if not rows:
            return []
        await self._log(AuditAction.NOTES_READ, standing, case, ())
        return [
            Note(
                row.sheet,
                row.user,
                await self._title(row.user),
                row.created_at,
                str((await self._sheets.told(standing, row))["text"]),
            )
            for row in rows
        ]

    async def write(self, signed: Signed, inbox: InboxId, case: CaseId, text: str) -> None:
        """Write a note; it never leaves this inbox.

        Raises:
            InvalidRequestError: empty, or longer than 4,000 characters.
            NotFoundError: the inbox takes no part in the case.
            StepUpRequiredError: no window is open for the inbox.
        """
        standing = await self._standing(signed, inbox, case)
        told = {"text": text_of(text)}
        if await self._just_written(standing, case, told):
            return
        for attempt in range(NOTE_TRIES):
            row = await self._sheets.row(standing, case, Sheet.NOTE, told)
            try:
                await self._log(AuditAction.NOTE_WRITTEN, standing, case, (Insert(row),))
            except ConflictError:
                if attempt == NOTE_TRIES - 1:
                    raise
                continue  # a colleague wrote in the same moment: the next number
            return

    async def _just_written(self, standing: Standing, case: CaseId, told: Mapping[str, object]) -> bool:
        """Whether the member wrote the same words within the last minute: a double press, not a second note."""
        rows = await self._store.worksheets_of(standing.inbox.id, case)
        mine = [row for row in rows if row.sheet is Sheet.NOTE and row.user == standing.signed.user.id]
        if not mine or mine[-1].created_at + MINUTE <= self._sheets.now():
            return False
        return await self._sheets.told(standing, mine[-1]) == told

    async def _standing(self, signed: Signed, inbox: InboxId, case: CaseId) -> Standing:
        standing = await self._rights.act(signed, inbox, AccessAction.WRITE_NOTE)
        if await self._store.get(CaseParty, case, inbox) is None:
            raise NotFoundError("no such case", swedish="Ärendet finns inte, eller är inte ert.")
        if await self._windows.current(signed, standing.inbox) is None:
            raise StepUpRequiredError(
                "a fresh factor is needed",
                swedish="Ange en ny kod för att läsa i den här inkorgen.",
                next_step="Skriv koden från din app. Den gäller i inkorgen en kvart.",
            )
        return standing

    async def _log(self, action: AuditAction, standing: Standing, case: CaseId, changes: tuple[Insert, ...]) -> None:
        entry = await self._auditor.entry(
            action,
            administration=standing.inbox.administration,
            actor=standing.signed.user,
            role=standing.role,
            object=case,
            case=case,
            outcome="done",
        )
        await self._store.commit(Work(expects=standing.facts, changes=changes, entries=(entry,)))

    async def _title(self, user: UserId) -> str:
        found = await self._store.get(User, user)
        return found.title if found else ""


def text_of(text: str) -> str:
    """A note's text, trimmed.

    Raises:
        InvalidRequestError: empty, or longer than 4,000 characters.
    """
    text = text.strip()
    if not 1 <= len(text) <= MAX_NOTE:
        raise InvalidRequestError(
            "a note has 1 to 4,000 characters",
            swedish=f"Anteckningen ska ha 1–{MAX_NOTE} tecken.",
            next_step="Skriv om texten. Inget har sparats.",
        )
    return text
