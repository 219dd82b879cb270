"""A gateway on real files, with its backups: a data folder, keys kept elsewhere, and restores into new folders."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from adapters.blobs.folder import FolderBlobs, FolderTiles
from adapters.sql.sqlite import SqliteStore
from gateway.__main__ import SystemWiring
from gateway.backup import Made, Source, back_up
from gateway.backupports import Recipient, StoreTools
from gateway.forms.demo import demo_referral
from gateway.model.base import MessageId
from gateway.restore import Plan, Restored, restore
from gateway.sending import Submission
from gateway.sessions import Signed
from gateway.usecases import Gateway
from keys.keyring import Keyring
from keys.shredding import ShredKeyStore
from tests.clock import ManualClock
from tests.county import ALVESTA, DEMO_DIRECTORY, ROOT, County, password_of, plugged

LOG_NAME = "sambud.example"
TOOLS = dataclasses.replace(
    SystemWiring().store_tools(), prune_keys=lambda gateway: cast(ShredKeyStore, gateway.ports.shred).prune()
)


@dataclass
class Site:
    """Where one gateway lives. `data` changes when it is restored."""

    folder: Path
    clock: ManualClock = field(default_factory=ManualClock)
    seeds: dict[str, bytes] = field(default_factory=dict)
    data: Path = Path()
    restores: int = 0
    tools: StoreTools = TOOLS

    def __post_init__(self) -> None:
        self.data = self.data if self.data != Path() else self.folder / "data"

    @property
    def out(self) -> Path:
        return self.folder / "backups"

    @property
    def epochs(self) -> Path:
        return self.folder / "epochs"

    @property
    def offline(self) -> Path:
        return self.folder / "offline" / "recipient.key"

    @asynccontextmanager
    async def county(self, data: Path | None = None, *, create: bool = False) -> AsyncIterator[County]:
        """A gateway process over the data folder."""
        at = data or self.data
        at.mkdir(parents=True, exist_ok=True)
        store = await SqliteStore.open(at / "sambud.db", self.clock, create=create)
        keyring = Keyring(ROOT, store, self.clock, at / "keys.db")
        try:
            await keyring.start(create=create)
            gateway = plugged(keyring, store, self.clock, FolderBlobs(at / "blobs"), FolderTiles(at / "log"))
            await gateway.auditor.load()
            yield County(gateway, keyring, self.clock, store, self.seeds)
        finally:
            await keyring.close()
            await store.close()

    @asynccontextmanager
    async def gateway(self, data: Path) -> AsyncIterator[Gateway]:
        async with self.county(data) as county:
            yield county.gateway

    async def begin(self) -> None:
        """Directory, users, a recipient's key."""
        public = self.tools.keys.create(self.offline)
        (self.folder / "recipients").write_text(public + "\n")
        async with self.county(create=True) as county:
            await county.gateway.register.begin()
            await county.gateway.integrator.open_year()
            applied = await county.gateway.register.apply(DEMO_DIRECTORY, passwords=password_of, by="test")
            self.seeds |= {one.login: one.seed for one in applied.credentials}
            await county.gateway.integrator.flush()

    def kept(self) -> None:
        """Write down what a copy of this site's folder needs to go on."""
        told = {"at": self.clock.now(), "seeds": {k: v.hex() for k, v in self.seeds.items()}}
        (self.folder / "site.json").write_text(json.dumps(told))

    @classmethod
    def copied(cls, template: Path, folder: Path) -> Site:
        """A site of its own, as the template stood."""
        shutil.copytree(template, folder)
        told = json.loads((folder / "site.json").read_text())
        seeds = {login: bytes.fromhex(seed) for login, seed in told["seeds"].items()}
        return cls(folder, ManualClock(told["at"]), seeds)

    def source(self, **changes: Any) -> Source:
        told: dict[str, Any] = {
            "database": "",
            "database_file": self.data / "sambud.db",
            "keys_file": self.data / "keys.db",
            "root": ROOT,
            "gateway": LOG_NAME,
            "program": "test",
            "blobs": FolderBlobs(self.data / "blobs"),
            "tiles": FolderTiles(self.data / "log"),
        }
        return Source(**{**told, **changes})

    @property
    def recipients(self) -> list[Recipient]:
        return self.tools.keys.recipients(self.folder / "recipients")

    async def back_up(self, **changes: Any) -> Made:
        return await back_up(
            self.tools,
            self.source(**changes),
            self.out,
            recipients=self.recipients,
            epochs=self.epochs,
            clock=self.clock,
        )

    def plan(self, messages: Path, keys: Path | None, data: Path, **changes: Any) -> Plan:
        told: dict[str, Any] = {
            "messages": messages,
            "keys": keys,
            "living_keys": None,
            "secrets": (self.tools.keys.secret(self.offline),),
            "epoch_secrets": tuple(self.tools.keys.secret(key.file) for key in self.tools.keys.epochs(self.epochs)),
            "root": ROOT,
            "gateway": LOG_NAME,
            "database": "",
            "data_dir": data,
        }
        return Plan(**{**told, **changes})

    async def restore(
        self, messages: Path, keys: Path | None = None, data: Path | None = None, **changes: Any
    ) -> Restored:
        """Restore to a folder of its own and live there from now on, or to `data` and stay where we are."""
        self.restores += 1
        target = data or self.folder / f"restored-{self.restores}"
        places = (lambda: FolderBlobs(target / "blobs"), lambda: FolderTiles(target / "log"))
        done = await restore(
            self.tools, self.plan(messages, keys, target, **changes), places, lambda: self.gateway(target)
        )
        if data is None:
            self.data = target
        return done

    async def send(self, county: County, worker: Signed) -> MessageId:
        """A referral in a case of its own, acknowledged."""
        case, _ = await county.consented_case(worker)
        submission = Submission(
            case=case.id,
            form_type="placement_referral",
            form_version=1,
            values=demo_referral(county.today),
            recipients=("remissgrupp",),
        )
        sent = await county.gateway.sending.send(worker, ALVESTA, submission, idempotency_key=f"key-{case.id}")
        return sent.message

    def stored(self) -> set[str]:
        """The ids of all messages in the data folder's database."""
        connection = sqlite3.connect(self.data / "sambud.db")
        try:
            return {row[0] for row in connection.execute("SELECT id FROM message")}
        finally:
            connection.close()
