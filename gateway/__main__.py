"""The only file that knows everybody: settings become adapters, keys and policies, and those become a gateway.

Adapters are imported inside the functions that make them, so that a command that needs no server does not load one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway import cli, clistore, logs, workers
from gateway.backupports import StoreTools
from gateway.client import Client
from gateway.collaboration import CareCollaborationPort
from gateway.demo import DemoDesk
from gateway.errors import GatewayError, SetupError, StoreUnavailableError
from gateway.examination import Examination, Looks, examine
from gateway.measures import Counted
from gateway.model.base import HOUR, MINUTE, Instant
from gateway.model.keys import KeyRecordKind
from gateway.model.path import Channel
from gateway.neighbours import Neighbour
from gateway.ports import UNMEASURED, Blobs, Clock, Metrics, Store, TileStore
from gateway.screening import Screening
from gateway.sessions import SessionRules
from gateway.settings import Settings
from gateway.usecases import Gateway, Options, Ports, build

if TYPE_CHECKING:
    from adapters.machine import LocalMachine


class SystemClock:
    """The machine's time, with the demo's shift."""

    def __init__(self, skew: Callable[[], int] | None = None) -> None:
        self._skew = skew

    def now(self) -> Instant:
        return Instant(time.time_ns() // 1000 + (self._skew() if self._skew else 0))


class SystemWiring:
    """Builds a gateway from settings."""

    def __init__(self) -> None:
        self._keyrings: dict[int, Any] = {}

    @asynccontextmanager
    async def opened(
        self,
        settings: Settings,
        *,
        create: bool = False,
        skew: Callable[[], int] | None = None,
        unfinished: bool = False,
    ) -> AsyncIterator[Gateway]:
        from keys.keyring import Keyring
        from keys.roots import read_root

        clock, metrics = SystemClock(skew), _metrics(settings)
        root = read_root(settings.root_key_file, data_dir=settings.data_dir)
        if create:  # PostgreSQL keeps its rows elsewhere; keys, blobs and the log still lie here
            settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not unfinished:
            clistore.refuse_unfinished(settings)
        store = await _store(settings, clock, metrics, create=create, unfinished=unfinished)
        keyring = Keyring(root, store, clock, settings.keys_file, settings.anchors)
        try:
            await keyring.start(create=create)
            ports = _ports(keyring, store, self.blobs(settings), self.tiles(settings), clock, settings, metrics)
            gateway = build(ports, _options(settings), owner=f"{os.uname().nodename}/{os.getpid()}")
            self._keyrings[id(gateway)] = keyring
            await gateway.auditor.load()
            yield gateway
        finally:
            await keyring.close()
            await store.close()

    async def serve(
        self, settings: Settings, gateway: Gateway, ready: Callable[[str], None], demo: DemoDesk | None = None
    ) -> None:
        from adapters.http import ops
        from adapters.http.address import Names
        from adapters.http.api import ROUTES
        from adapters.http.server import application, listening
        from adapters.http.web import NAV, PAGES
        from adapters.http.web.demo import DEMO_PAGES
        from adapters.http.web.frame import Web
        from adapters.sdk import server
        from adapters.supervisor import READY, STOPPING, keep_alive, tell

        keyring = self._keyrings[id(gateway)]
        routes = (*ROUTES, *server.routes(), *PAGES, *ops.ROUTES, *(DEMO_PAGES if demo else ()))
        renderer = Web(gateway, routes, NAV, desk=demo, duty_phones=settings.duty_phones)
        app = application(gateway, routes, renderer, names=Names(settings.public_url))
        with suppress(GatewayError):  # the worker tries again each second, and says what is wrong
            await workers.keep_published(gateway)
        gateway.freshness.arm()
        loop = asyncio.get_running_loop()
        logs.watch_loop(loop)
        async with (
            _watched(settings, gateway, routes),
            _neighbours(settings, gateway),
            listening(app, settings.host, settings.port, unix=settings.socket) as address,
        ):
            stop = asyncio.Event()
            for name in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(name, stop.set)
            ready(address)  # from here on, a signal ends it in good order
            tell(READY)
            async with asyncio.TaskGroup() as group:
                working = group.create_task(
                    workers.run(
                        gateway,
                        lambda at: keyring.shred.sweep(older_than=at),
                        exchange_every_s=float(settings.exchange_seconds),
                    )
                )
                living = group.create_task(keep_alive())
                broken = [group.create_task(part.until_broken()) for part in (gateway.ports.store, keyring.shred)]
                ended = group.create_task(stop.wait())
                await asyncio.wait((ended, *broken), return_when=asyncio.FIRST_COMPLETED)
                tell(STOPPING)
                gateway.health.drain()
                for task in (working, living, ended, *broken):
                    task.cancel()
        if any(not task.cancelled() for task in broken):
            raise StoreUnavailableError(
                "the disk failed: only a new process knows what it kept",
                swedish="Disken svarade med ett fel, så gatewayen avslutas. Allt som kvitterats finns kvar.",
                next_step="Tjänsten startar om av sig själv. Kontrollera disken och kör 'sambud audit verify'.",
            )
        await gateway.sign_in.tell_refusals()
        await workers.publish(gateway)

    @asynccontextmanager
    async def reached(self, settings: Settings, gateway: Gateway) -> AsyncIterator[Callable[[], Client]]:
        from adapters.http.api import ROUTES
        from adapters.http.client_transport import clients
        from adapters.http.server import application, listening

        async with listening(application(gateway, ROUTES), settings.host, 0) as address, clients(address) as new:
            yield new

    @asynccontextmanager
    async def simulated_sdk(
        self, gateways: Mapping[str, Gateway], clock: Clock
    ) -> AsyncIterator[Callable[[str, str, str], None]]:
        try:
            from adapters.sdk.connect import simulated
            from adapters.sdk.simulator import Simulator
        except ImportError as missing:
            raise SetupError(
                "the packages for SDK are not installed",
                swedish="Paketen för SDK saknas.",
                next_step="Installera sambud[sdk].",
            ) from missing

        service = Simulator(clock)

        def arrive(to: str, label: str, text: str) -> None:
            service.arrive(to, label=label, text=text)

        addresses = {name: await _own_addresses(gateway) for name, gateway in gateways.items()}
        async with simulated(addresses, service, clock) as neighbours:
            for name, gateway in gateways.items():
                gateway.channels.connect(neighbours[name])
            yield arrive

    async def simulate_sdk(
        self, clients: Mapping[str, Sequence[str]], keys: Path, port: int, say: Callable[[str], None]
    ) -> None:
        from adapters.sdk.connect import offered

        async with offered(clients, keys, port, SystemClock()) as lines:
            for line in lines:
                say(line)
            await asyncio.Event().wait()

    async def simulate_link(self, inboxes: str, users: Sequence[str], port: int, say: Callable[[str], None]) -> None:
        from adapters.link.connect import offered

        async with offered(inboxes, users, port, SystemClock()) as lines:
            for line in lines:
                say(line)
            await asyncio.Event().wait()

    def blobs(self, settings: Settings) -> Blobs:
        from adapters.blobs.folder import FolderBlobs

        return FolderBlobs(settings.data_dir / "blobs", reserve_percent=settings.disk_reserve_percent)

    def tiles(self, settings: Settings) -> TileStore:
        from adapters.blobs.folder import FolderTiles

        return FolderTiles(settings.data_dir / "log")

    def clock(self) -> Clock:
        return SystemClock()

    def store_tools(self) -> StoreTools:
        from adapters.sql.migrate import schemas
        from adapters.sql.snapshot import snapshot
        from adapters.sql.sqlite import idle
        from adapters.sql.targets import mover, target
        from keys.backups import BackupKeyring
        from keys.keyfile import KeyStoreFile

        return StoreTools(
            keys=BackupKeyring(),
            snapshot=snapshot,
            target=target,
            key_file=KeyStoreFile,
            idle=idle,
            mover=mover,
            schemas=schemas,
            prune_keys=lambda gateway: self._keyrings[id(gateway)].shred.prune(),
        )

    async def examine(self, settings: Settings, *, verify: bool = False) -> Examination:
        from adapters.machine import holder_of
        from adapters.neighbour import numbers, readiness

        looks = Looks(
            machine=_machine(settings),
            holder=holder_of(settings.database_file.with_suffix(".lock")),
            readiness=lambda: readiness(settings.host, settings.port),
            numbers=lambda: numbers(settings.metrics_port),
            looked=lambda: self._looked(settings),
            connected=lambda gateway: _neighbours(settings, gateway),
            fingerprints=self.fingerprints,
            tools=self.store_tools(),
        )
        return await examine(settings, looks, verify=verify)

    @asynccontextmanager
    async def channels(self, settings: Settings) -> AsyncIterator[tuple[Gateway, str]]:
        from adapters.neighbour import numbers

        async with self._looked(settings) as (gateway, _), _neighbours(settings, gateway):
            yield gateway, await numbers(settings.metrics_port) if settings.metrics_port else ""

    @asynccontextmanager
    async def _looked(self, settings: Settings) -> AsyncIterator[tuple[Gateway, Any]]:
        """A gateway over stores that can only be read, beside one that may be serving."""
        from adapters.blobs.folder import FolderBlobs, FolderTiles
        from keys.keyring import Keyring
        from keys.roots import read_root

        clock = SystemClock()
        root = read_root(settings.root_key_file, data_dir=settings.data_dir)
        store = await _looking(settings)
        keyring = Keyring(root, store, clock, settings.keys_file, settings.anchors)
        try:
            await keyring.look()
            blobs = FolderBlobs(settings.data_dir / "blobs", make=False)
            tiles = FolderTiles(settings.data_dir / "log", make=False)
            gateway = build(_ports(keyring, store, blobs, tiles, clock, settings), _options(settings))
            self._keyrings[id(gateway)] = keyring
            yield gateway, store
        finally:
            await keyring.close()
            await store.close()

    def create_root(self, path: Path) -> None:
        from keys.roots import create_root

        create_root(path)

    async def fingerprints(self, gateway: Gateway) -> dict[str, str]:
        """The signing key of every administration, as settings name it."""
        from keys.records import fingerprint

        keyring = self._keyrings[id(gateway)]
        found = {}
        for row in await gateway.ports.store.administrations():
            record = await keyring.records.newest(KeyRecordKind.SIGNING, row.administration)
            found[str(row.administration)] = fingerprint(record.public_key)
        return found


async def _own_addresses(gateway: Gateway, channel: Channel = Channel.SDK) -> list[str]:
    """Under which addresses neighbours write to the inboxes that this gateway hosts."""
    directory = await gateway.directory.current()
    own = [inbox for inbox in directory.inboxes.values() if not directory.is_outside(inbox)]
    ways = [route for inbox in own for route in directory.ways_to(inbox.id)]
    return [route.address for route in ways if route.channel is channel]


@asynccontextmanager
async def _neighbours(settings: Settings, gateway: Gateway) -> AsyncIterator[None]:
    """Whom the settings connect this gateway with, while it serves; and what makes papers for who carries them."""
    from adapters.documents.pdf import PdfDocuments

    gateway.printing.connect(PdfDocuments())
    async with AsyncExitStack() as stack:
        if settings.sdk_url:
            gateway.channels.connect(await stack.enter_async_context(_sdk(settings, gateway)))
        if settings.smime_keys:
            from adapters.documents.makers import kept
            from adapters.smtp.connect import connected

            documents = PdfDocuments(makers=await stack.enter_async_context(kept()))
            gateway.channels.connect(connected(settings, gateway.directory, documents, gateway.ports.clock))
        if settings.notice_sender:
            from adapters.smtp.connect import notices

            gateway.noticing.connect(notices(settings, gateway.ports.clock), place=settings.public_url)
        if settings.link_status and not settings.link_url:
            raise SetupError(
                "SAMBUD_LINK_STATUS without SAMBUD_LINK_URL",
                swedish="Frågor till Cosmic Link är påslagna, men ingen adress är angiven.",
                next_step="Ange SAMBUD_LINK_URL och SAMBUD_LINK_USER, eller ta bort SAMBUD_LINK_STATUS.",
            )
        if settings.link_url:
            neighbour, port = await stack.enter_async_context(_link(settings, gateway))
            gateway.channels.connect(neighbour)
            if settings.link_status:
                gateway.linked.connect(port)
        yield


@asynccontextmanager
async def _link(settings: Settings, gateway: Gateway) -> AsyncIterator[tuple[Neighbour, CareCollaborationPort]]:
    from adapters.link.connect import connected

    secret = settings.link_secret_file.read_text("utf-8").strip() if settings.link_secret_file else ""
    inboxes = await _own_addresses(gateway, Channel.LINK)
    async with connected(url=settings.link_url, user=settings.link_user, secret=secret, inboxes=inboxes) as found:
        yield found


@asynccontextmanager
async def _sdk(settings: Settings, gateway: Gateway) -> AsyncIterator[Neighbour]:
    from adapters.sdk.connect import connected

    if settings.sdk_key_file is None or not settings.sdk_token_url or not settings.sdk_client_id:
        raise SetupError(
            "SDK is set up in part",
            swedish="SDK är bara delvis inställt.",
            next_step="Ange SAMBUD_SDK_TOKEN_URL, SAMBUD_SDK_CLIENT_ID och SAMBUD_SDK_KEY_FILE, eller ta bort SDK_URL.",
        )
    async with connected(
        url=settings.sdk_url,
        token_url=settings.sdk_token_url,
        client_id=settings.sdk_client_id,
        key_file=settings.sdk_key_file,
        algorithm=settings.sdk_algorithm,
        scopes=settings.sdk_scopes,
        certificate=settings.sdk_certificate,
        authorities=settings.sdk_ca_file,
        addresses=await _own_addresses(gateway),
        clock=gateway.ports.clock,
    ) as neighbour:
        yield neighbour


@asynccontextmanager
async def _watched(settings: Settings, gateway: Gateway, routes: Sequence[Any]) -> AsyncIterator[None]:
    """The numbers on their own port, while the gateway serves."""
    from adapters.metrics.prometheus import PrometheusMetrics

    metrics = gateway.ports.metrics
    logs.configure(told=lambda kind: metrics.count(Counted.REDACTIONS, kind))
    if not isinstance(metrics, PrometheusMetrics):
        yield
        return
    from adapters.http.server import listening
    from adapters.http.web.assets import TEMPLATE
    from adapters.metrics.server import application

    metrics.know([*(route.path for route in routes), TEMPLATE])
    async with listening(application(metrics, gateway.health), "127.0.0.1", settings.metrics_port):
        yield


def _ports(
    keyring: Any,
    store: Store,
    blobs: Blobs,
    tiles: TileStore,
    clock: Clock,
    settings: Settings,
    metrics: Metrics = UNMEASURED,
) -> Ports:
    from keys.assertions import JoseAssertions
    from policies import attachments
    from policies.engine import CedarPolicy
    from policies.priority import BoardPriority

    return Ports(
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
        screening=_screening(settings),
        files=attachments.load(settings.attachment_policy),
        metrics=metrics,
        machine=_machine(settings),
    )


def _screening(settings: Settings) -> Screening:
    """A child process that looks into files, and the scanner that the settings name."""
    from adapters.documents.examiner import ChildExaminer

    if not settings.clamd:
        return Screening(ChildExaminer())
    from adapters.scan.clamd import Clamd

    return Screening(ChildExaminer(), Clamd(settings.clamd))


def _options(settings: Settings) -> Options:
    return Options(
        log_name=settings.log_name,
        attachment_max_bytes=settings.attachment_max_bytes,
        rules=SessionRules(window=settings.step_up_minutes * MINUTE),
        totp_window=settings.totp_window,
        reserve_percent=settings.disk_reserve_percent,
        unfetched_after=settings.unfetched_hours * HOUR,
    )


async def _looking(settings: Settings) -> Any:
    if settings.database:
        try:
            from adapters.sql.looking_postgres import LookingPostgres
        except ImportError as missing:
            raise _no_driver() from missing
        return await LookingPostgres.open(settings.database)
    from adapters.sql.looking import LookingSqlite

    return LookingSqlite.open(settings.database_file)


def _metrics(settings: Settings) -> Metrics:
    if not settings.metrics_port:
        return UNMEASURED
    from adapters.metrics.prometheus import PrometheusMetrics

    return PrometheusMetrics(store="postgresql" if settings.database else "sqlite")


def _machine(settings: Settings) -> LocalMachine:
    from adapters.machine import LocalMachine

    return LocalMachine({"data": settings.data_dir})


async def _store(settings: Settings, clock: SystemClock, metrics: Metrics, *, create: bool, unfinished: bool) -> Store:
    if settings.database:
        try:
            from adapters.sql.postgres import PostgresStore
        except ImportError as missing:
            raise _no_driver() from missing
        return await PostgresStore.open(settings.database, clock, metrics=metrics, unfinished=unfinished)
    from adapters.sql.sqlite import SqliteStore

    return await SqliteStore.open(
        settings.database_file,
        clock,
        create=create,
        reserve_percent=settings.disk_reserve_percent,
        metrics=metrics,
    )


def _no_driver() -> SetupError:
    return SetupError(
        "the PostgreSQL driver is not installed",
        swedish="Drivrutinen för PostgreSQL saknas.",
        next_step="Installera paketet asyncpg (sambud[postgres]).",
    )


def main() -> None:
    """The command `sambud`."""
    logs.configure()
    logs.catch_what_nobody_caught()
    cli.main(obj={"wiring": SystemWiring()}, prog_name="sambud")


if __name__ == "__main__":
    main()
