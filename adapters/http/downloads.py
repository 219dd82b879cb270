"""A file as a download, for pages and the API alike: streamed, never shown by the browser, and never cut in silence."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import quote

from aiohttp import web

from adapters.http.routes import Call
from gateway.ports import AttachmentKey


def disposition(name: str) -> str:
    """The header that offers a file under its name, whatever signs it has (RFC 6266 §4.3, RFC 8187)."""
    return f"attachment; filename*=UTF-8''{quote(name, safe='')}"


async def download(call: Call, file: AttachmentKey, pieces: AsyncIterator[bytes]) -> web.StreamResponse:
    """Send `pieces`; a fault in them closes the connection before the announced length is reached."""
    response = web.StreamResponse(
        headers={
            "Content-Type": "application/octet-stream",
            "Content-Length": str(file.size),
            "Content-Disposition": disposition(file.name),
            "Content-Security-Policy": "default-src 'none'; sandbox",
        }
    )
    await response.prepare(call.request)
    try:
        async for piece in pieces:
            await response.write(piece)
    except BaseException:
        if call.request.transport is not None:
            call.request.transport.abort()
        raise
    await response.write_eof()
    return response
