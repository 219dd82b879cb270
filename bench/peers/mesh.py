"""mesh-sandbox: the national message exchange of the NHS as its makers give it out for testing, over its file store.

It checks the sender's token and keeps messages in files; it seals nothing, syncs nothing, has no rules and no log.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from pathlib import Path
from typing import Any, Final

from bench.peers.process import Server, free_port
from bench.wire import Wire, request

SENDER: Final = "X26ABC1"
READER: Final = "X26ABC2"
PILE: Final = "X26ABC3"  # takes what is only sent: a listing shows at most 500 that nobody has fetched
KEY: Final = "bench"
PASSWORD: Final = "password"  # what the sandbox's own mailboxes have
MESSAGES: Final = "/messageexchange/{}/{}"


def installed(peers: Path) -> bool:
    return any(peers.glob("mesh/lib/python*/site-packages/mesh_sandbox"))


async def start(peers: Path, folder: Path) -> Server:
    port = free_port()
    environment = {
        "AUTH_MODE": "full",
        "STORE_MODE": "file",
        "SHARED_KEY": KEY,
        "MAILBOXES_DATA_DIR": str(folder / "mailboxes"),
    }
    argv = [str(peers / "mesh/bin/python"), "-m", "uvicorn", "mesh_sandbox.api:app", "--host", "127.0.0.1"]
    argv += ["--port", str(port), "--no-access-log", "--log-level", "warning"]
    return await Server.start("mesh-sandbox", port, argv, folder, environment)


class MeshClient:
    """Its protocol, over bare streams."""

    async def mesh_send(self, port: int, count: int, octets: int, connections: int) -> float:
        """Seconds for `count` messages, from `connections` connections at once."""
        wires = [await Wire.open(port) for _ in range(connections)]
        sent = [_sending(secrets.token_bytes(octets // 2).hex().encode(), PILE) for _ in range(count)]
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for place, wire in enumerate(wires):
                group.create_task(_send(wire, sent[place::connections]))
        spent = time.perf_counter() - started
        for wire in wires:
            wire.close()
        return spent

    async def mesh_cycle(self, port: int, count: int, octets: int, workers: int) -> float:
        """Seconds for `count` whole ways: sent, listed, fetched, acknowledged."""
        wires = [await Wire.open(port) for _ in range(workers)]
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for wire in wires:
                group.create_task(_cycle(wire, count // workers, octets))
        spent = time.perf_counter() - started
        for wire in wires:
            wire.close()
        return spent


def _headers(mailbox: str) -> str:
    nonce, at = secrets.token_hex(16), time.strftime("%Y%m%d%H%M", time.gmtime())
    digest = hmac.digest(KEY.encode(), f"{mailbox}:{nonce}:1:{PASSWORD}:{at}".encode(), "sha256").hex()
    return f"Authorization: NHSMESH {mailbox}:{nonce}:1:{at}:{digest}\r\nAccept-Encoding: identity\r\n"


def _sending(body: bytes, to: str) -> bytes:
    headers = _headers(SENDER) + f"Mex-To: {to}\r\nMex-WorkflowID: TEST_WORKFLOW\r\n"
    path = MESSAGES.format(SENDER, "outbox")
    return request("POST", path, body=body, headers=headers, kind="application/octet-stream")


async def _send(wire: Wire, sent: list[bytes]) -> None:
    for octets in sent:
        (await wire.ask(octets)).require(202)


async def _cycle(wire: Wire, count: int, octets: int) -> None:
    for _ in range(count):
        body = secrets.token_bytes(octets // 2).hex().encode()
        answer: dict[str, Any] = (await wire.ask(_sending(body, READER))).require(202).json()
        identifier = answer.get("message_id") or answer["messageID"]
        listing = request("GET", MESSAGES.format(READER, "inbox"), headers=_headers(READER))
        await wire.until(listing, identifier.encode())
        one = MESSAGES.format(READER, f"inbox/{identifier}")
        found = (await wire.ask(request("GET", one, headers=_headers(READER)))).require(200)
        if found.body != body:
            raise ValueError("mesh-sandbox gave another message back")
        (await wire.ask(request("PUT", f"{one}/status/acknowledged", headers=_headers(READER)))).require(200)
