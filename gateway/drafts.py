"""Drafts: what a case worker is writing, sealed under the inbox's worksheet key, so that no session end loses a word.

A draft is never validated when it is saved: half a form is what a draft is. It belongs to the inbox, so a colleague
can go on with it; every save needs the version that was read, so nobody overwrites another's words unseen.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from gateway.audit import AuditAction, Auditor
from gateway.cases import Cases
from gateway.decide import AccessAction
from gateway.errors import ConflictError, InvalidRequestError, NotFoundError
from gateway.forms import FormCatalogue
from gateway.model.base import HOUR, CaseId, DraftId, InboxId, Instant, MessageId
from gateway.model.path import Attachment, Draft, FileVerdict
from gateway.ports import Change, Clock, Cursor, Delete, Insert, Store, Update, Work, Worksheets
from gateway.rights import Rights, Standing
from gateway.sessions import Signed
from gateway.sweeping import SWEPT_AT_ONCE, remove

MAX_DRAFT_BYTES = 1024 * 1024
AMEND_TRIES = 5
_COLUMN = "sealed"


@dataclass(frozen=True, slots=True)
class OpenDraft:
    """A draft and its values."""

    draft: Draft
    values: Mapping[str, object]


class PartConflictError(ConflictError):
    """A part of a draft was saved by somebody else in between; `kept` is the draft as it is now."""

    def __init__(self, kept: OpenDraft) -> None:
        super().__init__(
            "this part of the draft was saved by somebody else",
            swedish="Någon annan har sparat den här delen efter att du öppnade den.",
            next_step="Jämför och välj vilka svar som ska gälla. Det du har skrivit står kvar.",
        )
        self.kept = kept


class Drafts:
    """Save, read and throw away drafts."""

    def __init__(
        self,
        store: Store,
        rights: Rights,
        cases: Cases,
        forms: FormCatalogue,
        worksheets: Worksheets,
        auditor: Auditor,
        clock: Clock,
    ) -> None:
        self._store = store
        self._rights = rights
        self._cases = cases
        self._forms = forms
        self._worksheets = worksheets
        self._auditor = auditor
        self._clock = clock

    async def create(
        self,
        signed: Signed,
        inbox: InboxId,
        case: CaseId,
        form_type: str,
        form_version: int,
        values: Mapping[str, object],
    ) -> Draft:
        """Begin a draft.

        Raises:
            UnknownFormError: no such form or version.
            NotFoundError: the inbox or the case is not yours.
            InvalidRequestError: the values take more than 1 MiB.
        """
        form = self._forms.get(form_type, form_version)
        standing = await self._rights.act(signed, inbox, AccessAction.WRITE_DRAFT)
        await self._cases.find(inbox, case)
        now = self._clock.now()
        draft = Draft(
            administration=standing.inbox.administration,
            id=DraftId(str(uuid.uuid4())),
            inbox=inbox,
            epoch=await self._worksheets.epoch(inbox),
            user=signed.user.id,
            case=case,
            form_type=form.id,
            form_version=form.version,
            created_at=now,
            changed_at=now,
            sealed=b"",
        )
        draft = await self._seal(signed, draft, values)
        await self._store.commit(Work(expects=standing.facts, changes=(Insert(draft),)))
        return draft

    async def save(self, signed: Signed, draft: DraftId, version: int, values: Mapping[str, object]) -> Draft:
        """Replace the values of a draft that was read at `version`.

        Raises:
            ConflictError: somebody saved in between; read again. Your values are still with you.
        """
        current, standing = await self._find(signed, draft)
        unsent(current)
        if current.version != version:
            raise ConflictError(
                "the draft was saved by somebody else",
                swedish="Någon annan har sparat utkastet efter att du öppnade det.",
                next_step="Läs in utkastet igen och för över dina ändringar.",
            )
        following = dataclasses.replace(current, version=version + 1, changed_at=self._clock.now())
        following = await self._seal(signed, following, values)
        await self._store.commit(Work(expects=standing.facts, changes=(Update(following),)))
        return following

    async def amend(
        self, signed: Signed, draft: DraftId, names: Collection[str], part: Mapping[str, object], *, seen: str
    ) -> OpenDraft:
        """Replace the answers `names` by `part`; other parts are left alone, so two may write in different ones.

        Args:
            seen: `digest_of` the part that the writer began from.

        Raises:
            PartConflictError: this part was saved by somebody in between, with other answers. It has what is kept.
            ConflictError: the draft was sent.
        """
        for attempt in range(AMEND_TRIES):
            current, standing = await self._find(signed, draft)
            unsent(current)
            before = await self.values(signed, current)
            kept = {name: before[name] for name in names if name in before}
            wanted = {name: part[name] for name in names if name in part}
            if digest_of(kept) not in (seen, digest_of(wanted)):
                raise PartConflictError(OpenDraft(current, before))
            merged = {**{name: value for name, value in before.items() if name not in names}, **wanted}
            if merged == before:
                return OpenDraft(current, before)
            following = dataclasses.replace(current, version=current.version + 1, changed_at=self._clock.now())
            following = await self._seal(signed, following, merged)
            try:
                await self._store.commit(Work(expects=standing.facts, changes=(Update(following),)))
            except ConflictError:
                if attempt == AMEND_TRIES - 1:
                    raise
                continue  # another part was saved in the same moment
            return OpenDraft(following, merged)
        raise AssertionError("unreachable")  # pragma: no cover

    async def open(self, signed: Signed, draft: DraftId) -> OpenDraft:
        """Read a draft. The reading is logged durably before the values leave."""
        current, standing = await self._find(signed, draft)
        entry = await self._auditor.entry(
            AuditAction.DRAFT_OPENED,
            administration=current.administration,
            actor=signed.user,
            role=standing.role,
            object=current.id,
            case=current.case,
            outcome="done",
        )
        await self._store.commit(Work(expects=standing.facts, entries=(entry,)))
        return OpenDraft(current, await self.values(signed, current))

    async def values(self, signed: Signed, draft: Draft) -> Mapping[str, object]:
        """The values of a draft whose use is logged by the caller in its own act (sending it)."""
        plaintext = await self._worksheets.open(
            draft.inbox,
            draft.epoch,
            signed.user.id,
            item=_item(draft),
            version=draft.version,
            column=_COLUMN,
            sealed=draft.sealed,
        )
        values: Mapping[str, object] = json.loads(plaintext)
        return values

    async def list(self, signed: Signed, inbox: InboxId, *, after: Cursor | None, limit: int) -> list[Draft]:
        await self._rights.act(signed, inbox, AccessAction.WRITE_DRAFT)
        return await self._store.drafts_of(inbox, after=after, limit=limit)

    async def discard(self, signed: Signed, draft: DraftId) -> None:
        """Throw a draft away with its attachments' rows; the worker sweeps the blobs that nothing names any more."""
        current, standing = await self._find(signed, draft)
        unsent(current)
        files = await self._store.attachments_of(draft)
        gone = [Delete(row, (file.id,)) for file in files for row in (Attachment, FileVerdict)]
        changes = (Delete(Draft, (current.id,)), *gone)
        await self._store.commit(Work(expects=standing.facts, changes=changes))

    async def sent(self, signed: Signed, draft: Draft, message: MessageId, values: Mapping[str, object]) -> Change:
        """The draft as it stands while its message can be taken back: out of the lists, and whole."""
        following = dataclasses.replace(draft, sent_as=message, version=draft.version + 1, changed_at=self._clock.now())
        return Update(await self._seal(signed, following, values))

    async def returned(self, signed: Signed, message: MessageId) -> Change | None:
        """The change that gives the draft of a taken-back message back; None when there is none to give."""
        row = await self._store.draft_sent_as(message)
        if row is None:
            return None
        values = await self.values(signed, row)
        following = dataclasses.replace(row, sent_as=None, version=row.version + 1, changed_at=self._clock.now())
        return Update(await self._seal(signed, following, values))

    async def sweep(self) -> int:
        """Remove drafts whose undo time is long over; returns how many. Their files belong to the envelopes now."""
        before = Instant(self._clock.now() - HOUR)
        return await remove(self._store, await self._store.sent_drafts(before=before, limit=SWEPT_AT_ONCE))

    async def find(self, signed: Signed, draft: DraftId) -> Draft:
        """The draft, when it stands in an inbox of yours."""
        return (await self._find(signed, draft))[0]

    async def _find(self, signed: Signed, draft: DraftId) -> tuple[Draft, Standing]:
        current = await self._store.get(Draft, draft)
        if current is None:
            raise _absent()
        standing = await self._rights.act(signed, current.inbox, AccessAction.WRITE_DRAFT, absent=_absent())
        return current, standing

    async def _seal(self, signed: Signed, draft: Draft, values: Mapping[str, object]) -> Draft:
        plaintext = json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
        if len(plaintext) > MAX_DRAFT_BYTES:
            raise InvalidRequestError(
                "the draft is larger than 1 MiB",
                swedish="Texten är för stor för en blankett (högst 1 MiB).",
                next_step="Korta texten, eller bifoga den som fil. Den senast sparade versionen är kvar.",
            )
        sealed = await self._worksheets.seal(
            draft.inbox,
            draft.epoch,
            signed.user.id,
            item=_item(draft),
            version=draft.version,
            column=_COLUMN,
            plaintext=plaintext,
        )
        return dataclasses.replace(draft, sealed=sealed)


def digest_of(part: Mapping[str, object]) -> str:
    """Names the answers of a part as they are, so that a page can say what it began from."""
    text = json.dumps(part, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def unsent(draft: Draft) -> None:
    """Raises ConflictError when the draft was sent."""
    if draft.sent_as is not None:
        raise ConflictError(
            "the draft was sent",
            swedish="Utkastet är redan skickat.",
            next_step="Ångra utskicket i ärendet om tiden inte har gått ut, och ändra sedan.",
        )


def _item(draft: Draft) -> str:
    """What the sealed values belong to: they cannot be moved to another person's case, nor to another form."""
    return f"{draft.id}|{draft.case}|{draft.form_type}|{draft.form_version}"


def _absent() -> NotFoundError:
    return NotFoundError("no such draft", swedish="Utkastet finns inte, eller är inte ert.")
