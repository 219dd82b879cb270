"""The command `sambud system`: register a case system, see when keys end, replace a key, propose it for an inbox.

Why this exists: who connects a case system has its public key in a file and sits at the machine. What a system may open
is still a member's to let it (docs/sdk-server.md): this command proposes, as every import does.

Rules: a private key is never read; a key that is shown is a digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from gateway.clirun import Wiring, run, settings_of
from gateway.doctor_channels import day
from gateway.errors import InvalidRequestError, NotFoundError
from gateway.model.base import DAY, AdministrationId, Instant
from gateway.model.classes import PrivacyClass
from gateway.model.identity import MembershipRole, User
from gateway.plain import one_line
from gateway.systems import Registered
from gateway.usecases import Gateway

MAX_KEY: Final = 16 * 1024  # octets of a file
_CEILINGS: Final = [str(one) for one in PrivacyClass if one is not PrivacyClass.P6]
_key = click.option(
    "--key",
    "key_file",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="PEM eller JWK.",
)
_days = click.option(
    "--days", default=365, show_default=True, type=click.IntRange(1, 731), help="Hur länge den gäller."
)


@click.group("system")
def systems() -> None:
    """System som använder SDK API:et: registrera, byta nyckel, föreslå för en inkorg."""


@systems.command("list")
@click.pass_context
def list_systems(context: click.Context) -> None:
    """Visa system: id, funktion, förvaltning, läge, nyckelns sista dag, inkorgar med högsta klass."""
    settings, wiring = settings_of(context), _wiring(context)

    async def work() -> None:
        async with wiring.opened(settings) as gateway:
            for one in await gateway.systems.listed():
                rows = await gateway.ports.store.memberships_of(one.user.id)
                inboxes = ", ".join(f"{row.inbox} ({row.state}, {row.ceiling})" for row in rows)
                told = (*_line(one), inboxes or "inga inkorgar")
                click.echo("\t".join(map(one_line, told)))

    run(work())


@systems.command("add")
@click.argument("client_id")
@click.option("--administration", required=True, help="Förvaltning, t.ex. alvesta.ifo.")
@click.option("--title", required=True, help="Systemets funktion, inte ett namn.")
@_key
@_days
@click.pass_context
def add_system(
    context: click.Context, client_id: str, administration: str, title: str, key_file: Path, days: int
) -> None:
    """Registrera ett system. Det läser inget förrän en medlem har släppt in det i en inkorg."""
    settings, wiring = settings_of(context), _wiring(context)

    async def work() -> None:
        async with wiring.opened(settings) as gateway:
            made = await gateway.systems.add(
                client_id,
                title=title,
                administration=AdministrationId(administration),
                key=_read(gateway, key_file),
                ends_at=_end(gateway, days),
                by="operator",
            )
            await gateway.integrator.flush()
            click.echo("\t".join(map(one_line, _line(made))))

    run(work())


@systems.command("key")
@click.argument("client_id")
@_key
@_days
@click.pass_context
def replace_key(context: click.Context, client_id: str, key_file: Path, days: int) -> None:
    """Byt ett systems nyckel. Den förra slutar gälla genast, den nya gäller efter 24 timmar."""
    settings, wiring = settings_of(context), _wiring(context)

    async def work() -> None:
        async with wiring.opened(settings) as gateway:
            system = await _system(gateway, client_id)
            key, ends = _read(gateway, key_file), _end(gateway, days)
            made = await gateway.systems.replace(system.id, key=key, ends_at=ends, by="operator")
            await gateway.integrator.flush()
            click.echo(f"{one_line(system.login)}: den nya nyckeln gäller från {day(made.usable_from)}.")

    run(work())


@systems.command("propose")
@click.argument("client_id")
@click.argument("inbox")
@click.option("--ceiling", default="P2", show_default=True, type=click.Choice(_CEILINGS), help="Högsta klass.")
@click.option("--risk-decision", default="", help="Riskbeslutets beteckning; krävs över P2.")
@click.pass_context
def propose(context: click.Context, client_id: str, inbox: str, ceiling: str, risk_decision: str) -> None:
    """Föreslå ett system för en inkorg. En medlem släpper in det, på sidan Medlemmar."""
    settings, wiring = settings_of(context), _wiring(context)

    async def work() -> None:
        async with wiring.opened(settings) as gateway:
            system = await _system(gateway, client_id)
            found = (await gateway.directory.current()).inboxes.get(inbox)
            if found is None:
                raise NotFoundError("no such inbox", swedish="Inkorgen finns inte i adressboken.")
            await gateway.members.propose(
                found,
                system.id,
                MembershipRole.MEMBER,
                by=None,
                ceiling=PrivacyClass(ceiling),
                risk_decision=risk_decision,
            )
            await gateway.integrator.flush()
            click.echo(f"Föreslaget. En medlem i {one_line(found.name)} släpper in det, på sidan Medlemmar.")

    run(work())


def _wiring(context: click.Context) -> Wiring:
    wiring: Wiring = context.obj["wiring"]
    return wiring


def _line(one: Registered) -> tuple[str, ...]:
    user = one.user
    return (user.login, user.title, user.administration, str(user.state), f"till {day(one.ends_at)}")


def _end(gateway: Gateway, days: int) -> Instant:
    return Instant(gateway.ports.clock.now() + days * DAY)


def _read(gateway: Gateway, file: Path) -> Mapping[str, Any]:
    try:
        if file.stat().st_size > MAX_KEY:
            raise ValueError("too large")
        return gateway.ports.assertions.read_key(file.read_bytes())
    except (OSError, ValueError):
        raise InvalidRequestError(
            "the key file cannot be used",
            swedish="Filen är ingen publik nyckel.",
            next_step="Ange en publik RSA-nyckel (minst 2 048 bitar) eller P-256-nyckel, som PEM eller JWK.",
        ) from None


async def _system(gateway: Gateway, client_id: str) -> User:
    found = await gateway.ports.store.user_by_login(client_id.strip().casefold())
    if found is None or not found.is_system:
        raise NotFoundError("no such system", swedish="Systemet finns inte.", next_step="Se 'sambud system list'.")
    return await gateway.integrity.check(found)
