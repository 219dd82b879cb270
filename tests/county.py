"""The demo county, ready to walk: directory applied, users with codes, and the acts of the path in short words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from adapters.memory import MemoryBlobs, MemoryStore, MemoryTiles
from gateway.factors import code_for
from gateway.forms.demo import demo_answer, demo_consent, demo_referral
from gateway.model.base import MINUTE, CaseId, EnvelopeId, InboxId, MessageId
from gateway.model.path import Case, Consent
from gateway.opening import OpenedMessage
from gateway.ports import UNMEASURED, Blobs, Metrics, Store, TileStore
from gateway.register import Credential
from gateway.screening import Screening
from gateway.sessions import Signed
from gateway.store import Accepted
from gateway.usecases import Gateway, Options, Ports, build
from keys.assertions import JoseAssertions
from keys.keyring import Keyring
from policies import attachments
from policies.engine import CedarPolicy
from policies.priority import BoardPriority
from tests.clock import ManualClock

ROOT = bytes(range(32))
DEMO_DIRECTORY = (Path(__file__).parent.parent / "gateway" / "demo_directory.toml").read_text("utf-8")
ALVESTA = InboxId("alvesta.ifo.vuxen")
VAXJO = InboxId("vaxjo.vuxen.placering")
SEAT_E = InboxId("seat.ekeliden")
SEAT_N = InboxId("seat.novus")
UNIT_E = InboxId("ekeliden.enhet")
UNIT_N = InboxId("novus.enhet")


def password_of(login: str) -> str:
    return f"lugn-trappa-vinge-{login[::-1]}-kaffekopp"


@dataclass
class County:
    """A gateway with the demo directory, and shortcuts that keep tests readable."""

    gateway: Gateway
    keyring: Keyring
    clock: ManualClock
    store: Store
    seeds: dict[str, bytes] = field(default_factory=dict)

    @property
    def today(self) -> date:
        return datetime.fromtimestamp(self.clock.now() / 1_000_000, UTC).date()

    async def sign_in(self, login: str) -> Signed:
        """Sign in with the next unused code: time moves half a minute."""
        self.clock.advance(MINUTE // 2)
        code = code_for(self.seeds[login], self.clock.now())
        done = await self.gateway.sign_in.sign_in(login, password_of(login), code)
        return await self.gateway.sessions.authenticate(done.token)

    async def step_up(self, signed: Signed, inbox: InboxId) -> None:
        self.clock.advance(MINUTE // 2)
        code = code_for(self.seeds[signed.user.login], self.clock.now())
        directory = await self.gateway.directory.current()
        await self.gateway.windows.open(signed, directory.inbox(inbox), code)

    async def permit_print(self, signed: Signed, inbox: InboxId, delivery: str) -> None:
        """The code that a print asks for."""
        self.clock.advance(MINUTE // 2)
        code = code_for(self.seeds[signed.user.login], self.clock.now())
        await self.gateway.printing.permit(signed, inbox, delivery, code)

    async def consented_case(self, signed: Signed, inbox: InboxId = ALVESTA, **changes: Any) -> tuple[Case, Consent]:
        case = await self.gateway.cases.open(signed, inbox)
        values = {**demo_consent(self.today), **changes}
        return case, await self.gateway.consents.record(signed, inbox, case.id, values)

    async def send_referral(
        self,
        signed: Signed,
        case: CaseId,
        recipients: tuple[str, ...] = ("remissgrupp",),
        inbox: InboxId = ALVESTA,
        key: str = "",
        undo_seconds: int = 0,
        **changes: Any,
    ) -> Accepted:
        values: Mapping[str, Any] = {**demo_referral(self.today), **changes}
        draft = await self.gateway.drafts.create(signed, inbox, case, "placement_referral", 1, values)
        return await self.gateway.sending.send_draft(
            signed, draft.id, recipients, idempotency_key=key, undo_seconds=undo_seconds
        )

    async def deliver(self) -> None:
        while await self.gateway.outbox.run_once():
            pass

    async def envelope(self, inbox: InboxId, message: MessageId) -> EnvelopeId:
        return next(e.id for e in await self.store.envelopes_of(message) if e.inbox == inbox)

    async def open(self, signed: Signed, inbox: InboxId, message: MessageId) -> OpenedMessage:
        return await self.gateway.opening.open(signed, await self.envelope(inbox, message))

    def answer(self, **changes: Any) -> dict[str, Any]:
        return {**demo_answer(self.today), **changes}


def plugged(
    keyring: Keyring,
    store: Store,
    clock: ManualClock,
    blobs: Blobs,
    tiles: TileStore,
    options: Options | None = None,
    metrics: Metrics = UNMEASURED,
    screening: Screening | None = None,
) -> Gateway:
    """A gateway over these parts, with the policies that ship."""
    return build(
        Ports(
            store=store,
            blobs=blobs,
            tiles=tiles,
            clock=clock,
            policy=CedarPolicy.load(),
            sealer=keyring.sealer,
            opener=keyring.opener,
            attachments=keyring.attachments,
            worksheets=keyring.worksheets,
            vault=keyring.vault,
            shred=keyring.shred,
            maker=keyring.maker,
            assertions=JoseAssertions(),
            priority=BoardPriority(),
            metrics=metrics,
            screening=screening or Screening(),
            files=attachments.load(),
        ),
        options,
    )


@asynccontextmanager
async def a_county(
    store: Store | None = None,
    *,
    clock: ManualClock | None = None,
    blobs: Blobs | None = None,
    tiles: TileStore | None = None,
    keys_db: Path | None = None,
    options: Options | None = None,
    directory: str = DEMO_DIRECTORY,
    metrics: Metrics = UNMEASURED,
    screening: Screening | None = None,
) -> AsyncIterator[County]:
    clock = clock or ManualClock()
    kept = store or MemoryStore(clock)
    keyring = Keyring(ROOT, kept, clock, keys_db)
    await keyring.start(create=True)
    gateway = plugged(keyring, kept, clock, blobs or MemoryBlobs(), tiles or MemoryTiles(), options, metrics, screening)
    county = County(gateway, keyring, clock, kept)
    await gateway.register.begin()
    await gateway.integrator.open_year()
    applied = await gateway.register.apply(directory, passwords=password_of, by="test")
    county.seeds = {credential.login: credential.seed for credential in _each(applied.credentials)}
    try:
        yield county
    finally:
        await keyring.close()


def _each(credentials: Any) -> list[Credential]:
    return list(credentials)
