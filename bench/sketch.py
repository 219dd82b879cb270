"""The secure sketch: the least that could be called secure and durable. A bare handler behind TLS 1.3.

Why this exists: it is the upper bound for a gateway in this language on this machine. It checks a signature, wraps a
fresh key with HPKE, seals the body with AES-GCM and commits with others in a group; it has no rules, no schema, no
roles, no receipts, no log, one envelope and one row.
"""

from __future__ import annotations

import asyncio
import queue
import secrets
import sqlite3
import sys
import threading
import uuid
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench import tls
from bench.child import answer, quiet
from bench.raw import PRAGMAS
from keys import suites

GROUP: Final = 64
Job = tuple[tuple[Any, ...], asyncio.Future[None]]


class Sketch:
    """One recipient key, one trusted sender, one writer thread."""

    def __init__(self, path: Path) -> None:
        self._recipient = suites.public_key(suites.public_octets(secrets.token_bytes(32)))
        self._sender: ed25519.Ed25519PublicKey | None = None
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._path = path
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    async def trust(self, key: str) -> None:
        self._sender = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))

    async def accept(self, request: web.Request) -> web.Response:
        octets = await request.read()
        try:
            if self._sender is None:
                return web.Response(status=503)
            self._sender.verify(bytes.fromhex(request.headers["X-Signature"]), octets)
        except (InvalidSignature, KeyError, ValueError):
            return web.Response(status=403)
        name = str(uuid.uuid4())
        key, nonce = secrets.token_bytes(32), secrets.token_bytes(12)
        sealed = nonce + AESGCM(key).encrypt(nonce, octets, name.encode())
        wrap = suites.HPKE.encrypt(key, self._recipient, info=name.encode())
        future: asyncio.Future[None] = self._loop.create_future()
        self._jobs.put(((name, wrap, sealed), future))
        await future
        return web.json_response({"message": name}, status=201)

    def stop(self) -> None:
        self._jobs.put(None)
        self._thread.join()

    def _write(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None)
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("CREATE TABLE message (id TEXT PRIMARY KEY, wrap BLOB, sealed BLOB)")
        while (first := self._jobs.get()) is not None:
            group = [first]
            while len(group) < GROUP and not self._jobs.empty():
                following = self._jobs.get()
                if following is None:
                    self._jobs.put(None)
                    break
                group.append(following)
            connection.execute("BEGIN IMMEDIATE")
            for row, _ in group:
                connection.execute("INSERT INTO message VALUES (?, ?, ?)", row)
            connection.execute("COMMIT")
            for _, future in group:
                self._loop.call_soon_threadsafe(future.set_result, None)
        connection.close()


async def main(folder: Path) -> None:
    sketch = Sketch(folder / "sketch.db")
    app = web.Application()
    app.router.add_post("/accept", sketch.accept)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls.server(folder / "tls.pem")).start()

        async def port() -> int:
            return int(runner.addresses[0][1])

        await answer({"port": port, "trust": sketch.trust})
    finally:
        await runner.cleanup()
        sketch.stop()


if __name__ == "__main__":
    quiet()
    asyncio.run(main(Path(sys.argv[1])))
