"""The root key as a file of its own: made where somebody else than the gateway's user keeps it.

Why this exists: `init` makes a root key that the gateway's user owns. Where a service manager hands the key over, it
belongs to root and must exist before the first start, and nobody should have to know how such a file is written.
"""

from __future__ import annotations

from pathlib import Path

import click

from gateway.clirun import Wiring, fail
from gateway.errors import GatewayError


@click.group("root-key")
def root_key() -> None:
    """Rotnyckeln (K0)."""


@root_key.command("create")
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_context
def create_root_key(context: click.Context, file: Path) -> None:
    """Skapa en ny rotnyckel i FILE (0400). En fil som finns skrivs aldrig över."""
    wiring: Wiring = context.obj["wiring"]
    try:
        wiring.create_root(file)
    except GatewayError as error:
        fail(error)
    click.echo(f"Rotnyckeln ligger i {file}: säkerhetskopiera den för sig, aldrig med data.")
