"""Synapse: the Matrix server that public bodies run, over SQLite, with rooms of two that are not encrypted.

A message goes its way when the recipient's sync has shown it and a read receipt is stored. Synapse checks the sender's
token and the room's rules and keeps a signed event; it does not seal.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
import urllib.parse
from pathlib import Path
from typing import Any, Final

from bench.peers.process import Server, free_port
from bench.wire import Wire, request

NAME: Final = "bench.example"
API: Final = "/_matrix/client/v3"
_PLENTY: Final = {"per_second": 100_000, "burst_count": 100_000}
SYNC: Final = json.dumps(
    {"presence": {"types": []}, "room": {"ephemeral": {"types": []}, "state": {"lazy_load_members": True}}}
)


def installed(peers: Path) -> bool:
    return any(peers.glob("synapse/lib/python*/site-packages/synapse"))


async def start(peers: Path, folder: Path) -> Server:
    port = free_port()
    listener = {
        "bind_addresses": ["127.0.0.1"],
        "port": port,
        "type": "http",
        "tls": False,
        "resources": [{"names": ["client"], "compress": False}],
    }
    logging = {
        "version": 1,
        "handlers": {"out": {"class": "logging.StreamHandler"}},
        "root": {"level": "WARNING", "handlers": ["out"]},
    }
    (folder / "log.yaml").write_text(json.dumps(logging), "utf-8")
    settings: dict[str, Any] = {
        "server_name": NAME,
        "listeners": [listener],
        "database": {"name": "sqlite3", "args": {"database": str(folder / "homeserver.db")}},
        "media_store_path": str(folder / "media"),
        "log_config": str(folder / "log.yaml"),
        "signing_key_path": str(folder / "signing.key"),
        "pid_file": str(folder / "synapse.pid"),
        "registration_shared_secret": secrets.token_hex(16),
        "macaroon_secret_key": secrets.token_hex(16),
        "form_secret": secrets.token_hex(16),
        "report_stats": False,
        "trusted_key_servers": [],
        "federation_domain_whitelist": [],
        "enable_registration": True,
        "enable_registration_without_verification": True,
        "bcrypt_rounds": 4,
        "presence": {"enabled": False},
    }
    for limit in ("rc_message", "rc_registration", "rc_joins_per_room"):
        settings[limit] = _PLENTY
    settings["rc_login"] = {"address": _PLENTY, "account": _PLENTY, "failed_attempts": _PLENTY}
    settings["rc_joins"] = {"local": _PLENTY, "remote": _PLENTY}
    settings["rc_invites"] = {"per_room": _PLENTY, "per_user": _PLENTY, "per_issuer": _PLENTY}
    (folder / "homeserver.yaml").write_text(json.dumps(settings), "utf-8")  # JSON is YAML
    argv = [str(peers / "synapse/bin/python"), "-m", "synapse.app.homeserver", "-c", "homeserver.yaml"]
    quiet = asyncio.subprocess.DEVNULL
    made = await asyncio.create_subprocess_exec(*argv, "--generate-keys", cwd=folder, stdout=quiet, stderr=quiet)
    await made.wait()
    return await Server.start("synapse", port, argv, folder)


class SynapseClient:
    """Rooms of two, one for each worker."""

    def __init__(self) -> None:
        self._rooms: list[_Room] = []

    async def synapse_ready(self, port: int, workers: int) -> None:
        self._rooms = [await _Room.made(port) for _ in range(workers)]

    async def synapse_cycle(self, count: int, octets: int) -> float:
        """Seconds for `count` whole ways: sent, seen in a sync, read receipt stored."""
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for room in self._rooms:
                group.create_task(room.work(count // len(self._rooms), octets))
        return time.perf_counter() - started


class _Room:
    def __init__(self, wire: Wire, sender: str, reader: str, room: str, since: str) -> None:
        self._wire = wire
        self._sender = sender
        self._reader = reader
        self._room = room
        self._since = since

    @classmethod
    async def made(cls, port: int) -> _Room:
        wire = await Wire.open(port)
        sender, reader = await _user(wire), await _user(wire)
        body = json.dumps({"preset": "private_chat", "invite": [reader["user_id"]]}).encode()
        room = (await wire.ask(request("POST", f"{API}/createRoom", token=sender["token"], body=body))).require(200)
        name = urllib.parse.quote(room.json()["room_id"])
        (await wire.ask(request("POST", f"{API}/rooms/{name}/join", token=reader["token"], body=b"{}"))).require(200)
        first = (await wire.ask(_sync(reader["token"], ""))).require(200).json()
        return cls(wire, sender["token"], reader["token"], name, first["next_batch"])

    async def work(self, count: int, octets: int) -> None:
        for _ in range(count):
            body = json.dumps({"msgtype": "m.text", "body": secrets.token_hex(octets // 2)}).encode()
            path = f"{API}/rooms/{self._room}/send/m.room.message/{secrets.token_hex(8)}"
            sent = (await self._wire.ask(request("PUT", path, token=self._sender, body=body))).require(200)
            event = sent.json()["event_id"]
            found = await self._wire.until(_sync(self._reader, self._since), event.encode())
            self._since = found.json()["next_batch"]
            path = f"{API}/rooms/{self._room}/receipt/m.read/{urllib.parse.quote(event)}"
            (await self._wire.ask(request("POST", path, token=self._reader, body=b"{}"))).require(200)


async def _user(wire: Wire) -> dict[str, str]:
    asked = {
        "auth": {"type": "m.login.dummy"},
        "username": f"u{secrets.token_hex(6)}",
        "password": secrets.token_hex(12),
    }
    made = (await wire.ask(request("POST", f"{API}/register", body=json.dumps(asked).encode()))).require(200).json()
    return {"user_id": made["user_id"], "token": made["access_token"]}


def _sync(token: str, since: str) -> bytes:
    asked = {"timeout": "0", "filter": SYNC} | ({"since": since} if since else {})
    return request("GET", f"{API}/sync?{urllib.parse.urlencode(asked)}", token=token)
