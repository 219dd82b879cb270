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

from bench.child import answer, quiet
from bench.pictures import picture
from bench.wire import PIECE, Wire, request
from gateway.errors import GatewayError

SENT: Final = "/api/v1/messages/direct"
OPENINGS: Final = 50  # of one session, before the reader takes the next: a window covers 60


class Client:
    """Answers the run's questions about one server at a time."""

    def __init__(self) -> None:
        self._key = ed25519.Ed25519PrivateKey.generate()

    async def key(self) -> str:
        return self._key.public_key().public_bytes_raw().hex()

    async def post(
        self,
        port: int,
        path: str,
        bodies: list[Any],
        tokens: list[str],
        connections: int,
        secure: bool = False,
        sign: bool = False,
        pause: float = 0.0,
    ) -> dict[str, Any]:
        """Seconds until every body was accepted (201), over `connections` connections at once; and each one's own."""
        requests: list[list[bytes]] = [[] for _ in range(connections)]
        for place, body in enumerate(bodies):
            octets = json.dumps(body, ensure_ascii=False).encode()
            extra = f"X-Signature: {self._key.sign(octets).hex()}\r\n" if sign else ""
            token = tokens[place % connections % len(tokens)] if tokens else ""
            requests[place % connections].append(request("POST", path, token=token, body=octets, headers=extra))
        wires = [await Wire.open(port, secure=secure) for _ in range(connections)]
        times: list[float] = []
        try:
            started = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for wire, own in zip(wires, requests, strict=True):
                    group.create_task(_talk(wire, own, times, pause))
            return {"seconds": time.perf_counter() - started, "times": times}
        finally:
            for wire in wires:
                wire.close()

    async def get(self, port: int, path: str, token: str, count: int, cookie: str = "", holds: str = "") -> list[float]:
        """Milliseconds of each of `count` gets, one after the other; each answer must be 200 and hold `holds`."""
        headers = f"Cookie: {cookie}={token}\r\n" if cookie else ""
        asked = request("GET", path, token="" if cookie else token, headers=headers)
        wire = await Wire.open(port)
        times = []
        try:
            for _ in range(count):
                began = time.perf_counter()
                found = (await wire.ask(asked)).require(200)
                times.append((time.perf_counter() - began) * 1000)
                if holds.encode() not in found.body:
                    raise GatewayError("the answer is not the one that is measured")
        finally:
            wire.close()
        return times

    async def sign_in(self, port: int, people: list[list[str]], every_s: float) -> list[float]:
        """Milliseconds of each sign-in; one begins every `every_s` seconds."""
        times: list[float] = []
        async with asyncio.TaskGroup() as group:
            for login, password, code in people:
                group.create_task(_sign_in(port, login, password, code, times))
                await asyncio.sleep(every_s)
        return times

    async def cycle(
        self, port: int, bodies: list[list[Any]], senders: list[str], readers: list[list[str]], inbox: str
    ) -> float:
        """Seconds for whole ways: sent, delivered, found in the inbox, opened; one worker for each list of bodies."""
        workers = [
            await _Worker.ready(port, own, sender, tokens, inbox)
            for own, sender, tokens in zip(bodies, senders, readers, strict=True)
        ]
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for worker in workers:
                group.create_task(worker.work())
        return time.perf_counter() - started

    async def upload(self, port: int, tokens: list[str], drafts: list[str], size: int, secure: bool = False) -> float:
        """Seconds to put a file of `size` octets into each draft, all at once; a session for each."""
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for token, draft in zip(tokens, drafts, strict=False):
                path = f"/api/v1/drafts/{draft}/attachments"
                group.create_task(_upload(port, token, path, size, secure))
        return time.perf_counter() - started

    async def file_cycle(self, port: int, sender: str, reader: str, draft: str, inbox: str, size: int) -> float:
        """Seconds for a file's whole way: uploaded, sent, delivered, found, its message opened, downloaded."""
        wire = await Wire.open(port)
        started = time.perf_counter()
        await _upload(port, sender, f"/api/v1/drafts/{draft}/attachments", size, False)
        body = json.dumps({"draft": draft, "recipients": [inbox]}).encode()
        sent = (await wire.ask(request("POST", "/api/v1/messages", token=sender, body=body))).require(201)
        opened = await _opened(wire, inbox, sent.json()["message"], reader)
        path = f"/api/v1/envelopes/{opened['envelope']}/attachments/{opened['attachments'][0]['id']}"
        await _download(port, reader, path, size, False)
        spent = time.perf_counter() - started
        wire.close()
        return spent

    async def put(self, port: int, path: str, size: int, secure: bool = False) -> float:
        """Seconds to send `size` octets as the same form to a server that asks for nothing else."""
        started = time.perf_counter()
        await _upload(port, "", path, size, secure)
        return time.perf_counter() - started

    async def download(self, port: int, tokens: list[str], paths: list[str], size: int, secure: bool = False) -> float:
        """Seconds to get every path, all at once, a session for each; each must be `size` octets and whole."""
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for token, path in zip(tokens, paths, strict=False):
                group.create_task(_download(port, token, path, size, secure))
        return time.perf_counter() - started


class _Worker:
    """Sends a message, waits until it lies in the inbox, opens it; then the next."""

    def __init__(self, wire: Wire, requests: Sequence[bytes], readers: Sequence[str], inbox: str) -> None:
        self._wire = wire
        self._requests = requests
        self._readers = readers
        self._inbox = inbox

    @classmethod
    async def ready(cls, port: int, bodies: list[Any], sender: str, readers: list[str], inbox: str) -> _Worker:
        requests = [
            request("POST", SENT, token=sender, body=json.dumps(body, ensure_ascii=False).encode()) for body in bodies
        ]
        return cls(await Wire.open(port), requests, readers, inbox)

    async def work(self) -> None:
        for number, octets in enumerate(self._requests):
            message = (await self._wire.ask(octets)).require(201).json()["message"]
            await _opened(self._wire, self._inbox, message, self._readers[number // OPENINGS])
        self._wire.close()


async def _opened(wire: Wire, inbox: str, message: str, reader: str) -> Any:
    """Wait until the message lies in the inbox, and open it as the reader."""
    page = request("GET", f"/api/v1/inboxes/{inbox}/messages?limit=16", token=reader)
    lines = (await wire.until(page, message.encode())).json()["messages"]
    envelope = next(line["envelope"] for line in lines if line["message"] == message)
    return (await wire.ask(request("POST", f"/api/v1/envelopes/{envelope}/open", token=reader))).require(200).json()


async def _talk(wire: Wire, requests: Sequence[bytes], times: list[float], pause: float) -> None:
    for octets in requests:
        began = time.perf_counter()
        (await wire.ask(octets)).require(201)
        times.append((time.perf_counter() - began) * 1000)
        if pause:
            await asyncio.sleep(pause)


async def _sign_in(port: int, login: str, password: str, code: str, times: list[float]) -> None:
    wire = await Wire.open(port)
    body = json.dumps({"login": login, "password": password, "code": code}).encode()
    try:
        began = time.perf_counter()
        (await wire.ask(request("POST", "/api/v1/sessions", body=body))).require(201)
        times.append((time.perf_counter() - began) * 1000)
    finally:
        wire.close()


async def _upload(port: int, token: str, path: str, size: int, secure: bool) -> None:
    mark = secrets.token_hex(16)
    before = (
        f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="bild.png"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    after = f"\r\n--{mark}--\r\n".encode()
    wire = await Wire.open(port, secure=secure)
    try:
        wire.writer.write(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: multipart/form-data; boundary={mark}\r\n"
            f"Content-Length: {len(before) + size + len(after)}\r\n\r\n".encode()
        )
        head, tail = picture(size)
        wire.writer.write(before + head)
        piece, left = secrets.token_bytes(PIECE), size - len(head) - len(tail)
        while left:
            wire.writer.write(piece[:left])
            left -= min(left, PIECE)
            await wire.writer.drain()
        wire.writer.write(tail + after)
        (await wire.answer()).require(201)
    finally:
        wire.close()


async def _download(port: int, token: str, path: str, size: int, secure: bool) -> None:
    wire = await Wire.open(port, secure=secure)
    try:
        wire.writer.write(request("GET", path, token=token))
        await wire.swallow(size)
    finally:
        wire.close()


async def main() -> None:
    client = Client()
    asked = (client.key, client.post, client.get, client.sign_in, client.cycle)
    files = (client.upload, client.put, client.download, client.file_cycle)
    await answer({method.__name__: method for method in (*asked, *files)})


if __name__ == "__main__":
    quiet()
    asyncio.run(main())
