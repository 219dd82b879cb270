"""Attachments as streams: Cobblestone-256 under a key of their own (docs/envelope.md §4.2).

Why this exists: a file of a gigabyte must pass in pieces, never lie readable, and never be released whole unless it is
whole. Decrypted pieces are authenticated one by one, but a cut file shows only at its end: so the last piece is held
back until length and SHA-256 of the ciphertext match what the payload says.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Final

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag

from gateway.envelope import MalformedError, ctx, rejected, u16, uuid_octets
from gateway.model.base import AdministrationId, AttachmentId
from gateway.ports import AttachmentKey
from keys import suites

#: Above this size a piece goes to a thread: the AEAD releases the interpreter lock, the event loop stays free.
INLINE: Final = 64 * 1024
#: Small pieces are gathered to this size, so that threads and writes get work worth their cost.
PIECE: Final = 256 * 1024


class StreamSealer:
    """The AttachmentSealer port."""

    def new_key(self) -> bytes:
        return bytes(Cobblestone256Encryptor.generate_key())

    async def seal(
        self, key: bytes, administration: AdministrationId, attachment: AttachmentId, chunks: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        encryptor = Cobblestone256Encryptor(key, _context(administration, attachment))
        async for piece in _gathered(chunks):
            yield await _work(encryptor.update, piece)
        yield bytes(encryptor.finalize())

    async def open(
        self, file: AttachmentKey, administration: AdministrationId, chunks: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        decryptor = Cobblestone256Decryptor(file.key, _context(administration, file.id))
        digest = hashlib.sha256()
        size = 0
        held = b""
        try:
            async for piece in _gathered(chunks):
                size += len(piece)
                if size > file.sealed_size:
                    raise MalformedError("the attachment is longer than its list says")
                digest.update(piece)
                plain = await _work(decryptor.update, piece)
                if held:
                    yield held
                held = plain
            last = bytes(decryptor.finalize())
        except (InvalidTag, ValueError) as fault:
            raise rejected(fault) from fault
        if size != file.sealed_size or digest.digest() != file.sealed_sha256:
            raise rejected("the attachment is not the one that was sent")
        yield held + last


async def _gathered(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same octets in pieces of at least PIECE, but for the last."""
    waiting: list[bytes] = []
    size = 0
    async for chunk in chunks:
        waiting.append(chunk)
        size += len(chunk)
        if size >= PIECE:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


async def _work(function: Callable[[bytes], bytes], piece: bytes) -> bytes:
    if len(piece) <= INLINE:
        return bytes(function(piece))
    return bytes(await asyncio.to_thread(function, piece))


def _context(administration: AdministrationId, attachment: AttachmentId) -> bytes:
    return ctx("att", u16(suites.SUITE_ID), administration.encode(), uuid_octets(attachment))
