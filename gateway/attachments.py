"""Attachments: checked, sealed and durable while they stream in; opened only through an envelope that names them.

Why this exists: a file must never lie readable anywhere on the way. The first octets decide its type, the name is
checked before a byte is read, and what is stored is ciphertext under a key of its own that only the payloads of the
recipients who may have the file will hold (docs/envelope.md).

Rules: what a function takes is its policy's to say (`gateway.filepolicy`), by content and never by what the sender
calls it; both looks of `gateway.screening` are taken at what was sealed, before a row names it; no verdict, no file.
"""

from __future__ import annotations

import codecs
import dataclasses
import functools
import hashlib
import json
import secrets
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.audit import AuditAction, Auditor
from gateway.decide import AccessAction
from gateway.drafts import Drafts
from gateway.errors import InvalidRequestError, NotFoundError
from gateway.filepolicy import FilePolicy, Takes
from gateway.filetypes import SNIFF_BYTES, TEXT, Fault, FileRefusedError, check_name, media_type_of
from gateway.model.base import MINUTE, AdministrationId, AttachmentId, DraftId, Fact, Instant
from gateway.model.classes import Category
from gateway.model.directory import Inbox
from gateway.model.path import Attachment, AttachmentState, Channel, Draft, FileVerdict
from gateway.ports import AttachmentKey, AttachmentSealer, Blobs, Clock, Delete, Insert, Store, Work, Worksheets
from gateway.quarantine import Quarantine, by_member
from gateway.rights import Rights, Standing
from gateway.screening import Screening, Verdict
from gateway.sessions import Signed

#: The sweeper takes a blob that no row named for an hour. A process that was stopped in between names it too late.
NAMED_WITHIN: Final = 30 * MINUTE
_COLUMN: Final = "sealed"


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that goes along: what its key is, where its octets lie, and under which category the writer put it.

    `owner` is the administration under which it was sealed: where it was uploaded, or where it came in.
    """

    blob: str
    owner: AdministrationId
    file: AttachmentKey
    category: Category


class Attachments:
    """Take files into drafts."""

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        rights: Rights,
        drafts: Drafts,
        sealer: AttachmentSealer,
        worksheets: Worksheets,
        screening: Screening,
        quarantine: Quarantine,
        policy: FilePolicy,
        auditor: Auditor,
        clock: Clock,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._rights = rights
        self._drafts = drafts
        self._sealer = sealer
        self._worksheets = worksheets
        self._screening = screening
        self._quarantine = quarantine
        self._policy = policy
        self._auditor = auditor
        self._clock = clock

    async def add(
        self, signed: Signed, draft_id: DraftId, name: str, category: Category, chunks: AsyncIterator[bytes]
    ) -> Attachment:
        """Check, seal and store one file of a draft.

        Args:
            chunks: the plaintext in pieces of any size; at most what the function's policy says (100 MB by default).

        Raises:
            FileRefusedError: bad name, refused type or structure, malware, too large, or one too many. Nothing of it is
                kept; what its content was refused for is logged.
            StoreFullError: no space; nothing of it is kept.
        """
        name = check_name(name)
        draft = await self._drafts.find(signed, draft_id)
        standing = await self._rights.act(signed, draft.inbox, AccessAction.UPLOAD_ATTACHMENT)
        takes = self.taken_by(standing.inbox)
        if len(await self._store.attachments_of(draft_id)) >= takes.max_files:
            swedish = f"Högst {takes.max_files} bilagor kan följa med."
            raise FileRefusedError(Fault.TOO_MANY, swedish=swedish)
        try:
            file, blob, verdict = await screened_file(
                self._sealer, self._blobs, self._screening, draft.administration, name, chunks, takes
            )
        except FileRefusedError as refused:
            await self._refused(standing, draft, refused)
            raise
        clean = verdict is Verdict.CLEAN
        named_by = Instant(self._clock.now() + NAMED_WITHIN)
        attachment = file.id
        row = Attachment(
            administration=draft.administration,
            id=attachment,
            draft=draft.id,
            inbox=draft.inbox,
            epoch=draft.epoch,
            state=AttachmentState.ACCEPTED if clean else AttachmentState.QUARANTINED,
            blob=blob,
            size=file.sealed_size,
            sha256=file.sealed_sha256,
            created_at=self._clock.now(),
            sealed=await self._worksheets.seal(
                draft.inbox,
                draft.epoch,
                signed.user.id,
                item=_item(attachment, draft.id, blob, file.sealed_size, file.sealed_sha256),
                version=1,
                column=_COLUMN,
                plaintext=_describe(file, category),
            ),
        )
        entry = await self._auditor.entry(
            AuditAction.ATTACHMENT_ADDED,
            administration=draft.administration,
            actor=signed.user,
            role=standing.role,
            object=attachment,
            case=draft.case,
            outcome=str(row.state),
        )
        changes = (Insert(row), *await self._quarantine.begun(by_member(standing), file, verdict))
        # A crash before this commit leaves a blob that no row names: the worker sweeps it.
        expects = tuple(named_until(fact, named_by) for fact in standing.facts)
        await self._store.commit(Work(expects=expects, changes=changes, entries=(entry,)))
        return row

    def taken_by(self, inbox: Inbox) -> Takes:
        """What a function takes."""
        return self._policy.of(inbox)

    async def released(self, standing: Standing, files: Sequence[Stored]) -> None:
        """Return only when every file of a draft may leave; a verdict that is missing is asked for now.

        Raises:
            FileWaitsError, FileRefusedError: one may not; nothing was sent, the draft is kept.
        """
        for stored in files:
            plain = functools.partial(self._plain, stored.file, stored.owner, stored.blob)
            await self._quarantine.require(stored.file, plain, by_member(standing))

    async def _refused(self, standing: Standing, draft: Draft, refused: FileRefusedError) -> None:
        """Slips of the hand are told and forgotten; what a file holds is logged, and malware is an alarm (X10)."""
        if refused.fault in (Fault.NAME, Fault.EMPTY, Fault.TOO_LARGE):
            return
        action = AuditAction.ALARM if refused.fault is Fault.MALWARE else AuditAction.FILE_REFUSED
        entry = await self._auditor.entry(
            action,
            administration=draft.administration,
            actor=standing.signed.user,
            role=standing.role,
            object=draft.id,
            case=draft.case,
            outcome=str(refused.fault),
            detail={"inbox": draft.inbox, "channel": str(Channel.LOCAL)},
        )
        await self._store.commit(Work(entries=(entry,)))

    def _plain(self, file: AttachmentKey, owner: AdministrationId, blob: str) -> AsyncIterator[bytes]:
        return self._sealer.open(file, owner, self._blobs.read(blob))

    async def listed(self, signed: Signed, draft_id: DraftId) -> list[Stored]:
        """The attachments of a draft in an inbox of yours, for a page; oldest first."""
        await self._drafts.find(signed, draft_id)
        return await self.of_draft(signed, draft_id)

    async def remove(self, signed: Signed, draft_id: DraftId, attachment: AttachmentId) -> None:
        """Take a file out of a draft; the worker sweeps its blob. Removing it twice is no error."""
        row = await self._own(signed, draft_id, attachment)
        if row is not None:
            await self._store.commit(Work(changes=(Delete(Attachment, (row.id,)), Delete(FileVerdict, (row.id,)))))

    async def read(
        self, signed: Signed, draft_id: DraftId, attachment: AttachmentId
    ) -> tuple[AttachmentKey, AsyncIterator[bytes]]:
        """A file of a draft as its writers read it: its description and its plaintext as a stream; logged first."""
        row = await self._own(signed, draft_id, attachment)
        if row is None:
            raise NotFoundError("no such attachment", swedish="Bilagan finns inte, eller är inte er.")
        draft = await self._drafts.find(signed, draft_id)
        standing = await self._rights.act(signed, row.inbox, AccessAction.READ)
        stored = await self._open(signed, row)
        await self.released(standing, [stored])
        entry = await self._auditor.entry(
            AuditAction.ATTACHMENT_READ,
            administration=row.administration,
            actor=signed.user,
            role=standing.role,
            object=row.id,
            case=draft.case,
            outcome="permit",
        )
        await self._store.commit(Work(expects=standing.facts, entries=(entry,)))
        return stored.file, self._plain(stored.file, stored.owner, stored.blob)

    async def _own(self, signed: Signed, draft_id: DraftId, attachment: AttachmentId) -> Attachment | None:
        draft = await self._drafts.find(signed, draft_id)
        await self._rights.act(signed, draft.inbox, AccessAction.UPLOAD_ATTACHMENT)
        row = await self._store.get(Attachment, attachment)
        return row if row is not None and row.draft == draft.id and draft.sent_as is None else None

    async def of_draft(self, signed: Signed, draft_id: DraftId) -> list[Stored]:
        """The attachments of a draft with their keys, for sealing; oldest first."""
        return [await self._open(signed, row) for row in await self._store.attachments_of(draft_id)]

    async def _open(self, signed: Signed, row: Attachment) -> Stored:
        described = json.loads(
            await self._worksheets.open(
                row.inbox,
                row.epoch,
                signed.user.id,
                item=_item(row.id, row.draft, row.blob, row.size, row.sha256),
                version=row.version,
                column=_COLUMN,
                sealed=row.sealed,
            )
        )
        file = AttachmentKey(
            id=row.id,
            key=bytes.fromhex(described["key"]),
            name=described["name"],
            media_type=described["type"],
            size=described["size"],
            sealed_size=row.size,
            sealed_sha256=row.sha256,
        )
        return Stored(row.blob, row.administration, file, Category(described["category"]))


async def screened_file(
    sealer: AttachmentSealer,
    blobs: Blobs,
    screening: Screening,
    administration: AdministrationId,
    name: str,
    chunks: AsyncIterator[bytes],
    takes: Takes,
) -> tuple[AttachmentKey, str, Verdict]:
    """Check, seal, store and screen one file; gives its key and the name of its blob, which no row names yet.

    It is screened as it was stored, at the disk's pace: no caller who sends slowly holds a scanner.

    Raises:
        FileRefusedError: bad name, refused type or structure, malware, or too large. Nothing of it is kept.
    """
    file, blob = await sealed_file(sealer, blobs, administration, name, chunks, takes)
    try:
        verdict = await screening.look(
            file.media_type, file.size, lambda: sealer.open(file, administration, blobs.read(blob))
        )
    except FileRefusedError:
        await blobs.delete(blob)
        raise
    return file, blob, verdict


async def sealed_file(
    sealer: AttachmentSealer,
    blobs: Blobs,
    administration: AdministrationId,
    name: str,
    chunks: AsyncIterator[bytes],
    takes: Takes,
) -> tuple[AttachmentKey, str]:
    """Check, seal and store one file; gives its key and the name of its blob, which no row names yet.

    Raises:
        FileRefusedError: bad name, refused type, or too large. Nothing of it is kept.
    """
    name = check_name(name)
    attachment = AttachmentId(str(uuid.uuid4()))
    blob = secrets.token_hex(16)  # random: a blob's name tells nothing
    key = sealer.new_key()
    plain = _Checked(chunks, name, takes)
    sealed = _Measured(sealer.seal(key, administration, attachment, plain.pieces()))
    await blobs.put(blob, sealed.pieces())
    file = AttachmentKey(
        id=attachment,
        key=key,
        name=name,
        media_type=plain.media_type,
        size=plain.size,
        sealed_size=sealed.size,
        sealed_sha256=sealed.digest.digest(),
    )
    return file, blob


def named_until(fact: Fact, instant: Instant) -> Fact:
    """`fact`, and not later than `instant`."""
    return dataclasses.replace(fact, valid_until=min(fact.valid_until or instant, instant))


def _item(attachment: AttachmentId, draft: DraftId, blob: str, size: int, sha256: bytes) -> str:
    """What a file's key belongs to: it cannot be moved to another draft, nor made to name other octets."""
    return f"{attachment}|{draft}|{blob}|{size}|{sha256.hex()}"


def _describe(file: AttachmentKey, category: Category) -> bytes:
    return json.dumps(
        {
            "key": file.key.hex(),
            "name": file.name,
            "type": file.media_type,
            "size": file.size,
            "category": category,
        },
        ensure_ascii=False,
    ).encode()


class _Checked:
    """Plaintext on its way to the sealer: sniffed, counted, and for text checked to be UTF-8."""

    def __init__(self, chunks: AsyncIterator[bytes], name: str, takes: Takes) -> None:
        self._chunks = chunks
        self._name = name
        self._takes = takes
        self.media_type = ""
        self.size = 0

    async def pieces(self) -> AsyncIterator[bytes]:
        head = b""
        async for chunk in self._chunks:
            self._count(chunk)
            if self.media_type:
                self._check_text(chunk)
                yield chunk
                continue
            head += chunk
            if len(head) >= SNIFF_BYTES:
                self._decide_type(head)
                yield head
        if not self.media_type:
            if not head:
                raise FileRefusedError(Fault.EMPTY)
            self._decide_type(head)
            yield head
        self._check_text(b"", final=True)

    def _decide_type(self, head: bytes) -> None:
        self.media_type = media_type_of(self._name, head[:SNIFF_BYTES], self._takes.types)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._check_text(head)

    def _check_text(self, chunk: bytes, *, final: bool = False) -> None:
        if self.media_type != TEXT:
            return
        try:
            text = self._decoder.decode(chunk, final)
        except UnicodeDecodeError:
            text = "\x00"
        if "\x00" in text:
            raise FileRefusedError(Fault.NOT_TEXT)

    def _count(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.size > self._takes.max_bytes:
            megabytes = self._takes.max_bytes // 1_000_000
            raise FileRefusedError(Fault.TOO_LARGE, swedish=f"Filen är för stor (högst {megabytes} MB).")


class _Measured:
    """Ciphertext on its way to the blob store: counted and hashed."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self.size = 0
        self.digest = hashlib.sha256()

    async def pieces(self) -> AsyncIterator[bytes]:
        async for chunk in self._chunks:
            self.size += len(chunk)
            self.digest.update(chunk)
            yield chunk


def category_of(text: str) -> Category:
    """The category that a writer chose for a file.

    Raises:
        InvalidRequestError: no such category.
    """
    try:
        return Category(text)
    except ValueError:
        raise InvalidRequestError(
            "no such consent category",
            swedish="Uppgiftstypen för bilagan finns inte.",
            next_step=f"Välj en av {', '.join(c for c in Category if c is not Category.ADMIN)}.",
        ) from None
