"""Commands that stand in for a neighbour, on this computer only (docs/sdk-simulator.md, docs/link.md).

Why this exists: who builds a client of SDK needs a message service long before anybody is approved for one; and Link
has none that a machine may ask at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from gateway.clirun import Wiring, run
from gateway.errors import SetupError


@click.group()
def simulate() -> None:
    """Låtsade grannar för den som bygger och provar; bara den här datorn, inget sparas."""


@simulate.command("sdk")
@click.option(
    "--client",
    "clients",
    multiple=True,
    required=True,
    metavar="ID=ORGANISATION#FUNKTION[,…]",
    help="En klient och dess funktionsadresser, t.ex. kommun=0203:kommun.example#sdk:inkorg:kommun.",
)
@click.option(
    "--keys", type=click.Path(file_okay=False, path_type=Path), required=True, help="Katalog för klienternas nycklar."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8090, show_default=True)
@click.pass_context
def simulate_sdk(context: click.Context, clients: tuple[str, ...], keys: Path, port: int) -> None:
    """En meddelandetjänst med SDK:s API, adressbok och en motpart som gör som man ber den."""
    wiring: Wiring = context.obj["wiring"]

    async def work() -> None:
        await wiring.simulate_sdk(_clients(clients), keys, port, lambda line: click.echo(line))

    run(work())


@simulate.command("link")
@click.option(
    "--inboxes",
    type=click.Choice(["SHARED_MUNICIPALITY", "PER_ADMINISTRATION"]),
    default="PER_ADMINISTRATION",
    show_default=True,
    help="En inkorg för hela kommunen (som i dag), eller en för varje förvaltning.",
)
@click.option(
    "--user", "users", multiple=True, required=True, metavar="NAMN=FÖRVALTNING/ENHET", help="En användare i Link."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8091, show_default=True)
@click.pass_context
def simulate_link(context: click.Context, inboxes: str, users: tuple[str, ...], port: int) -> None:
    """En låtsad Cosmic Link: inkorgar, fördelning för hand, läsning tre gånger om dagen (docs/link.md)."""
    wiring: Wiring = context.obj["wiring"]

    async def work() -> None:
        await wiring.simulate_link(inboxes, users, port, lambda line: click.echo(line))

    run(work())


def _clients(given: tuple[str, ...]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in given:
        name, _, listed = one.partition("=")
        addresses = [address.strip() for address in listed.split(",")]
        # The name is a file's name as well.
        plain = name.replace("-", "").isalnum() and name.isascii() and name not in found
        if not plain or not all(_is_address(address) for address in addresses):
            raise SetupError(
                "a client is not given as ID=ORGANISATION#FUNCTION",
                swedish=f"Klienten {one[:80]} går inte att förstå.",
                next_step="Skriv till exempel --client kommun=0203:kommun.example#sdk:inkorg:kommun.",
            )
        found[name] = addresses
    return found


def _is_address(address: str) -> bool:
    organisation, _, function = address.partition("#")
    return organisation.startswith("0203:") and bool(function)
