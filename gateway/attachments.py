"""Attachments: checked, sealed and durable while they stream in; opened only through an envelope that names them.

Why this exists: a file must never lie readable anywhere on the way. The first octets decide its type, the name is
checked before a byte is read, and what is stored is ciphertext under a key of its own that only the payloads of the
recipients who may have the file will hold (docs/envelope.md).

Rules: a type outside the allow-list is refused by content, never by what the sender calls it; archives are refused;
no verdict, no attachment. Malware scanning is not here yet: the verdict is the type check.
"""

from __future__ import annotations

import codecs
import dataclasses
import hashlib
import json
import secrets
import unicodedata
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import puremagic

from gateway.audit import AuditAction, Auditor
from gateway.decide import AccessAction
from gateway.drafts import Drafts
from gateway.errors import AttachmentError, InvalidRequestError, NotFoundError
from gateway.model.base import MINUTE, AdministrationId, AttachmentId, DraftId, Fact, Instant
from gateway.model.classes import Category
from gateway.model.path import Attachment, AttachmentState
from gateway.ports import AttachmentKey, AttachmentSealer, Blobs, Clock, Delete, Insert, Store, Work, Worksheets
from gateway.rights import Rights
from gateway.sessions import Signed

MAX_ATTACHMENTS: Final = 20
#: The sweeper takes a blob that no row named for an hour. A process that was stopped in between names it too late.
NAMED_WITHIN: Final = 30 * MINUTE
MAX_NAME_BYTES: Final = 255
SNIFF_BYTES: Final = 4096
_COLUMN: Final = "sealed"
_TEXT: Final = "text/plain"
#: What may travel: content type by content -> the suffixes that it may be called by.
ALLOWED: Final = {
    "application/pdf": (".pdf",),
    "image/png": (".png",),
    "image/jpeg": (".jpg", ".jpeg"),
    _TEXT: (".txt",),
}
# Cc controls, Cf formats (bidi overrides among them), Zl/Zp separators, Cs lone surrogates (UAX #9; RFC 6266 §4.3).
_FORBIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn"})


@dataclass(frozen=True, slots=True)
class Stored:
    """An accepted attachment, what its key is and under which category the writer put it."""

    row: Attachment
    file: AttachmentKey
    category: Category


def check_name(name: str) -> str:
    """`name`, when it is safe to show, store and offer for download.

    Raises:
        AttachmentError: empty, over 255 octets, a path, or characters that control or reorder text.
    """
    trouble = ""
    if not name.strip() or name in {".", ".."}:
        trouble = "Filen saknar namn."
    elif any(unicodedata.category(character) in _FORBIDDEN_CATEGORIES for character in name):
        trouble = "Filnamnet innehåller osynliga tecken eller radbrytningar."
    elif len(name.encode()) > MAX_NAME_BYTES:
        trouble = "Filnamnet är för långt (högst 255 byte)."
    elif "/" in name or "\\" in name or ":" in name:
        trouble = "Filnamnet innehåller en sökväg."
    if trouble:
        raise AttachmentError(
            "the file name cannot be used", swedish=trouble, next_step="Byt namn på filen och ladda upp den igen."
        )
    return unicodedata.normalize("NFC", name)


def media_type_of(name: str, head: bytes) -> str:
    """The type of a file by its first octets, which must agree with the suffix of its name.

    Raises:
        AttachmentError: a type that is not allowed, or a name that claims another.
    """
    suffix = "." + name.rpartition(".")[2].lower()
    found = _TEXT
    try:
        found = puremagic.from_string(head, mime=True) or _TEXT
    except (puremagic.PureError, ValueError):
        if b"\x00" in head:
            found = ""
    if found not in ALLOWED and suffix == ".txt" and b"\x00" not in head:
        found = _TEXT  # magic tables take short texts for all sorts of things; the UTF-8 check below decides
    if found not in ALLOWED or suffix not in ALLOWED[found]:
        raise AttachmentError(
            "the file type is not allowed",
            swedish="Filtypen tas inte emot.",
            next_step="Skicka som PDF, PNG, JPEG eller ren text (.txt). Utkastet och andra filer är kvar.",
        )
    return found


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
        auditor: Auditor,
        clock: Clock,
        *,
        max_bytes: int,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._rights = rights
        self._drafts = drafts
        self._sealer = sealer
        self._worksheets = worksheets
        self._auditor = auditor
        self._clock = clock
        self._max_bytes = max_bytes

    async def add(
        self, signed: Signed, draft_id: DraftId, name: str, category: Category, chunks: AsyncIterator[bytes]
    ) -> Attachment:
        """Check, seal and store one file of a draft.

        Args:
            chunks: the plaintext in pieces of any size; at most the configured size in all (100 MB by default).

        Raises:
            AttachmentError: bad name, refused type, too large, or a twenty-first file. Nothing of it is kept.
            StoreFullError: no space; nothing of it is kept.
        """
        name = check_name(name)
        draft = await self._drafts.find(signed, draft_id)
        standing = await self._rights.act(signed, draft.inbox, AccessAction.UPLOAD_ATTACHMENT)
        if len(await self._store.attachments_of(draft_id)) >= MAX_ATTACHMENTS:
            raise AttachmentError(
                "a draft holds at most 20 attachments",
                swedish="Högst 20 bilagor kan följa med.",
                next_step="Ta bort en bilaga, eller skicka resten i ett eget meddelande.",
            )
        file, blob = await sealed_file(
            self._sealer, self._blobs, draft.administration, name, chunks, max_bytes=self._max_bytes
        )
        named_by = Instant(self._clock.now() + NAMED_WITHIN)
        attachment = file.id
        row = Attachment(
            administration=draft.administration,
            id=attachment,
            draft=draft.id,
            inbox=draft.inbox,
            epoch=draft.epoch,
            state=AttachmentState.ACCEPTED,
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
            outcome="accepted",
        )
        # A crash before this commit leaves a blob that no row names: the worker sweeps it.
        expects = tuple(named_until(fact, named_by) for fact in standing.facts)
        await self._store.commit(Work(expects=expects, changes=(Insert(row),), entries=(entry,)))
        return row

    async def listed(self, signed: Signed, draft_id: DraftId) -> list[Stored]:
        """The attachments of a draft in an inbox of yours, for a page; oldest first."""
        await self._drafts.find(signed, draft_id)
        return await self.of_draft(signed, draft_id)

    async def remove(self, signed: Signed, draft_id: DraftId, attachment: AttachmentId) -> None:
        """Take a file out of a draft; the worker sweeps its blob. Removing it twice is no error."""
        row = await self._own(signed, draft_id, attachment)
        if row is not None:
            await self._store.commit(Work(changes=(Delete(Attachment, (row.id,)),)))

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
        return stored.file, self._sealer.open(stored.file, row.administration, self._blobs.read(row.blob))

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
        return Stored(row, file, Category(described["category"]))


async def sealed_file(
    sealer: AttachmentSealer,
    blobs: Blobs,
    administration: AdministrationId,
    name: str,
    chunks: AsyncIterator[bytes],
    *,
    max_bytes: int,
) -> tuple[AttachmentKey, str]:
    """Check, seal and store one file; gives its key and the name of its blob, which no row names yet.

    Raises:
        AttachmentError: bad name, refused type, or too large. Nothing of it is kept.
    """
    name = check_name(name)
    attachment = AttachmentId(str(uuid.uuid4()))
    blob = secrets.token_hex(16)  # random: a blob's name tells nothing
    key = sealer.new_key()
    plain = _Checked(chunks, name, max_bytes)
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

    def __init__(self, chunks: AsyncIterator[bytes], name: str, max_bytes: int) -> None:
        self._chunks = chunks
        self._name = name
        self._max_bytes = max_bytes
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
                raise AttachmentError(
                    "the file is empty", swedish="Filen är tom.", next_step="Kontrollera filen och försök igen."
                )
            self._decide_type(head)
            yield head
        self._check_text(b"", final=True)

    def _decide_type(self, head: bytes) -> None:
        self.media_type = media_type_of(self._name, head[:SNIFF_BYTES])
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._check_text(head)

    def _check_text(self, chunk: bytes, *, final: bool = False) -> None:
        if self.media_type != _TEXT:
            return
        try:
            text = self._decoder.decode(chunk, final)
        except UnicodeDecodeError:
            text = "\x00"
        if "\x00" in text:
            raise AttachmentError(
                "the text file is not UTF-8",
                swedish="Textfilen är inte ren text (UTF-8).",
                next_step="Spara filen som UTF-8 eller som PDF och ladda upp den igen.",
            )

    def _count(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.size > self._max_bytes:
            megabytes = self._max_bytes // 1_000_000
            raise AttachmentError(
                f"the file is larger than {self._max_bytes} octets",
                swedish=f"Filen är för stor (högst {megabytes} MB).",
                next_step="Dela upp eller komprimera dokumentet. Utkastet och andra filer är kvar.",
            )


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
