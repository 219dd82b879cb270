"""The client: many keep-alive connections on bare streams, in a process of its own.

Why this exists: a comfortable client uses as much processor as the server and hides it. This one writes requests that
were made before the clock started, and reads a status line and as many octets as were announced. Connections are open,
TLS is agreed and sessions are signed in beforehand.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Sequence
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ed25519

from bench import tls
from bench.child import answer, quiet
from gateway.errors import GatewayError

UPLOAD_PIECE: Final = 256 * 1024
HEAD: Final = b"%PDF-1.7\n% a file to measure, not a document\n"


class Client:
    """Answers the run's questions."""

    def __init__(self) -> None:
        self._key = ed25519.Ed25519PrivateKey.generate()

    async def key(self) -> str:
        return self._key.public_key().public_bytes_raw().hex()

    async def post(
        self, port: int, path: str, bodies: list[Any], tokens: list[str], connections: int, secure: bool, sign: bool
    ) -> float:
        """Seconds until every body was accepted (201), over `connections` connections at once."""
        requests: list[list[bytes]] = [[] for _ in range(connections)]
        for place, body in enumerate(bodies):
            octets = json.dumps(body, ensure_ascii=False).encode()
            extra = f"X-Signature: {self._key.sign(octets).hex()}\r\n" if sign else ""
            token = tokens[place % connections % len(tokens)] if tokens else ""
            head = (
                f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{extra}"
                f"Content-Type: application/json\r\nContent-Length: {len(octets)}\r\n\r\n"
            )
            requests[place % connections].append(head.encode() + octets)
        context = tls.client() if secure else None
        open_now = [await asyncio.open_connection("127.0.0.1", port, ssl=context) for _ in range(connections)]
        try:
            started = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for (reader, writer), own in zip(open_now, requests, strict=True):
                    group.create_task(_talk(reader, writer, own))
            return time.perf_counter() - started
        finally:
            for _, writer in open_now:
                writer.close()

    async def upload(self, port: int, tokens: list[str], drafts: list[str], size: int) -> float:
        """Seconds to put a file of `size` octets into each draft, all at once; a session for each."""
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for token, draft in zip(tokens, drafts, strict=False):
                group.create_task(_upload(port, token, f"/api/v1/drafts/{draft}/attachments", size))
        return time.perf_counter() - started

    async def download(self, port: int, tokens: list[str], paths: list[str], size: int) -> float:
        """Seconds to get every path, all at once, a session for each; each must be `size` octets and whole."""
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for token, path in zip(tokens, paths, strict=False):
                group.create_task(_download(port, token, path, size))
        return time.perf_counter() - started


async def _talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, requests: Sequence[bytes]) -> None:
    for request in requests:
        writer.write(request)
        status, length = await _head(reader)
        body = await reader.readexactly(length)
        _require(status, 201, body)


async def _head(reader: asyncio.StreamReader) -> tuple[int, int]:
    head = await reader.readuntil(b"\r\n\r\n")
    _, _, rest = head.lower().partition(b"content-length:")
    return int(head[9:12]), int(rest.partition(b"\r\n")[0] or 0)


async def _upload(port: int, token: str, path: str, size: int) -> None:
    mark = secrets.token_hex(16)
    before = (
        f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="matning.pdf"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    after = f"\r\n--{mark}--\r\n".encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: multipart/form-data; boundary={mark}\r\n"
            f"Content-Length: {len(before) + size + len(after)}\r\n\r\n".encode()
        )
        writer.write(before + HEAD)
        piece, left = secrets.token_bytes(UPLOAD_PIECE), size - len(HEAD)
        while left:
            writer.write(piece[:left])
            left -= min(left, UPLOAD_PIECE)
            await writer.drain()
        writer.write(after)
        status, length = await _head(reader)
        _require(status, 201, await reader.readexactly(length))
    finally:
        writer.close()


async def _download(port: int, token: str, path: str, size: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        status, length = await _head(reader)
        if status != 200:
            _require(status, 200, await reader.readexactly(length))
        got = 0
        while got < length and (piece := await reader.read(UPLOAD_PIECE)):
            got += len(piece)
        if (length, got) != (size, size):
            raise GatewayError(f"{got} of {length} octets came, {size} were sent")
    finally:
        writer.close()


def _require(status: int, wanted: int, body: bytes) -> None:
    if status != wanted:
        raise GatewayError(f"the server answered {status}: {body[:300].decode('utf-8', 'replace')}")


async def main() -> None:
    client = Client()
    await answer({"key": client.key, "post": client.post, "upload": client.upload, "download": client.download})


if __name__ == "__main__":
    quiet()
    asyncio.run(main())
