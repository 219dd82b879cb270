"""What every command shares: the wiring it is given, settings read with one sentence for trouble, an end with a code.

Why this exists: an operator at night needs one sentence when a command fails, whichever command it is.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar

import click

from gateway.backupports import StoreTools
from gateway.client import Client
from gateway.demo import DemoDesk
from gateway.errors import GatewayError, InvalidFormError, SetupError
from gateway.examination import Examination
from gateway.plain import one_line
from gateway.ports import Blobs, Clock, TileStore
from gateway.settings import Settings
from gateway.usecases import Gateway

T = TypeVar("T")
LONGEST = 1_000  # characters of a sentence on the terminal


class Wiring(Protocol):
    """What puts a gateway together; `gateway.__main__` has the only one."""

    def opened(
        self,
        settings: Settings,
        *,
        create: bool = False,
        skew: Callable[[], int] | None = None,
        unfinished: bool = False,
    ) -> AbstractAsyncContextManager[Gateway]:
        """A gateway over the settings' store. `skew` adds microseconds to the clock (the demo); `unfinished` also opens
        a store that a restore or a move has not ended with."""

    async def serve(
        self, settings: Settings, gateway: Gateway, ready: Callable[[str], None], demo: DemoDesk | None = None
    ) -> None:
        """Serve until a signal ends it; with `demo`, also the page that signs in as any of its functions."""

    def reached(self, settings: Settings, gateway: Gateway) -> AbstractAsyncContextManager[Callable[[], Client]]:
        """Makes clients that reach the API over HTTP, on a free port of loopback, while the context lasts."""

    def channels(self, settings: Settings) -> AbstractAsyncContextManager[tuple[Gateway, str]]:
        """A gateway that only reads, with its neighbours connected and not yet asked, beside one that may be serving;
        and that one's numbers, empty when it tells none."""

    def simulated_sdk(
        self, gateways: Mapping[str, Gateway], clock: Clock
    ) -> AbstractAsyncContextManager[Callable[[str, str, str], None]]:
        """Connects gateways through a simulated message service on loopback, while the context lasts; gives what lets
        its counterpart write (to, subject, text).

        Raises:
            SetupError: the packages for SDK are not installed.
        """

    async def simulate_sdk(
        self, clients: Mapping[str, Sequence[str]], keys: Path, port: int, say: Callable[[str], None]
    ) -> None:
        """A simulated message service on `port` until it is ended; tells what each client must know.

        Raises:
            SetupError: the port is taken, or a key can be neither read nor made.
        """

    async def simulate_link(self, inboxes: str, users: Sequence[str], port: int, say: Callable[[str], None]) -> None:
        """A simulated Cosmic Link on `port` until it is ended. Raises SetupError as `simulate_sdk`."""

    def store_tools(self) -> StoreTools:
        """What backup, restore and moving a store stand on."""

    def blobs(self, settings: Settings) -> Blobs: ...
    def tiles(self, settings: Settings) -> TileStore: ...
    def clock(self) -> Clock: ...

    async def examine(self, settings: Settings, *, verify: bool = False) -> Examination:
        """Everything the doctor looks at behind the settings; nothing is changed."""

    def create_root(self, path: Path) -> None: ...
    def fingerprints(self, gateway: Gateway) -> Coroutine[Any, Any, dict[str, str]]: ...


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; an expected error becomes one sentence and exit code 3."""
    try:
        return asyncio.run(work)
    except InvalidFormError as invalid:
        for fault in invalid.faults:
            click.echo(f"  {fault.swedish}", err=True)
        fail(invalid)
    except GatewayError as error:
        fail(error)
    except KeyboardInterrupt:
        sys.exit(130)


def fail(error: GatewayError) -> NoReturn:
    click.echo(one_line(f"Fel: {error.swedish} {error.next_step}".rstrip(), LONGEST), err=True)
    sys.exit(3)


def settings_of(context: click.Context, **overrides: Any) -> Settings:
    try:
        settings: Settings = context.obj["load"](**overrides)
    except SetupError as error:
        fail(error)
    return settings
