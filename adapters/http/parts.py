"""The parts of a form with files, one after the other, as a stream; what is no such form is a refusal and not a bug.

Why this exists: aiohttp's reader answers octets that are no multipart with half a dozen kinds of exception, and reads
parts inside parts. A form of ours has a few plain parts (RFC 7578 §4), so anything else is the sender's fault: 400.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.errors import InvalidRequestError

MOST: Final = 40  # 20 files (design.md §2), and the fields beside them
SHORT: Final = 512  # octets looked at of a field beside the files
PIECE: Final = 64 * 1024


class Part:
    """One part, read once."""

    def __init__(self, reader: BodyPartReader) -> None:
        self._reader = reader
        self.name = reader.name or ""
        self.filename = reader.filename or ""

    async def text(self, most: int = SHORT) -> str:
        """The beginning of a field, without the white space around it; the rest is passed over."""
        with _refused():
            return (await self._reader.read_chunk(most)).decode("utf-8", "replace").strip()

    async def pieces(self) -> AsyncIterator[bytes]:
        """The octets of a file."""
        while piece := await self._piece():
            yield piece

    async def _piece(self) -> bytes:
        with _refused():
            return await self._reader.read_chunk(PIECE)


class Parts:
    """The parts of one request."""

    def __init__(self, reader: MultipartReader) -> None:
        self._reader = reader
        self._count = 0

    @classmethod
    async def of(cls, request: web.Request) -> Parts:
        """Raises InvalidRequestError when the request has no such form."""
        if request.content_type != "multipart/form-data":
            raise _no_form()
        with _refused():
            return cls(await request.multipart())

    async def next(self) -> Part | None:
        """The next part, after passing over what is left of the one before; None after the last.

        Raises:
            InvalidRequestError: no part, a part with parts in it, or more parts than a form of ours has.
        """
        with _refused():
            found = await self._reader.next()
        self._count += 1
        if found is None:
            return None
        if not isinstance(found, BodyPartReader) or self._count > MOST:
            raise _no_form()
        with _refused():
            return Part(found)


@contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except (ValueError, AssertionError, RuntimeError, HttpProcessingError):
        raise _no_form() from None


def _no_form() -> InvalidRequestError:
    return InvalidRequestError(
        "no form with files",
        swedish="Formuläret med filer kom inte fram som det skulle.",
        next_step="Skicka multipart/form-data med fälten och filerna som enkla delar. Inget mer har sparats.",
    )
