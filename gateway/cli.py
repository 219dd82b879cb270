"""The command line: begin a gateway, apply a directory, serve, verify, show. Swedish, with ids and never content.

Why this exists: an operator at night needs one word per act and one sentence when it fails. The commands speak to a
`Wiring` that `gateway.__main__` builds, so nothing here knows a database or a server.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from gateway import clistore
from gateway.address_book import SHOWN, proposed, summary
from gateway.cliaudit import audit
from gateway.clichannels import channels
from gateway.clidemo import bench, demo
from gateway.clihealth import COMMANDS
from gateway.cliroot import root_key
from gateway.clirun import Wiring, run, settings_of
from gateway.clisimulate import simulate
from gateway.clisystems import systems
from gateway.errors import SetupError
from gateway.factors import new_password, totp_uri
from gateway.model.base import AdministrationId, InboxId, UserId
from gateway.model.identity import Role, User
from gateway.model.path import Channel
from gateway.plain import one_line
from gateway.settings import load, sources

#: What a person may be; a system is registered with its key (`gateway.systems`).
_ROLES: Final = [str(role) for role in Role if role is not Role.SYSTEM]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", type=click.Path(path_type=Path), help="Inställningsfil (TOML).")
@click.option("--data", "data_dir", type=click.Path(path_type=Path), help="Datakatalog; vinner över SAMBUD_DATA_DIR.")
@click.pass_context
def main(context: click.Context, config: Path | None, data_dir: Path | None) -> None:
    """Sambud: säkra meddelanden mellan myndigheter."""
    context.ensure_object(dict)
    given = {"data_dir": data_dir} if data_dir else {}
    context.obj["load"] = lambda **more: load(config=config, overrides={**given, **more})
    context.obj["sources"] = lambda: sources(config=config, overrides=given)


@main.command()
@click.pass_context
def init(context: click.Context) -> None:
    """Skapa en ny gateway: rotnyckel, databas och loggens första blad."""
    settings = settings_of(context)
    wiring: Wiring = context.obj["wiring"]

    async def work() -> None:
        new = not settings.root_key_file.exists()
        if new:
            if not settings.database and settings.database_file.exists():
                raise SetupError(
                    "the database exists and its root key is missing",
                    swedish=f"Databasen finns redan, men rotnyckeln {settings.root_key_file} saknas.",
                    next_step="Lägg tillbaka rotnyckeln från säkerhetskopian. Ingen ny nyckel har skapats.",
                )
            wiring.create_root(settings.root_key_file)
        async with wiring.opened(settings, create=True) as gateway:
            await gateway.register.begin()
            await gateway.integrator.open_year()
            await gateway.integrator.flush()
        click.echo(f"Gatewayen är skapad i {settings.data_dir}.")
        if new:
            click.echo(f"Rotnyckeln ligger i {settings.root_key_file}: säkerhetskopiera den för sig, aldrig med data.")

    run(work())


@main.command()
@click.pass_context
def serve(context: click.Context) -> None:
    """Starta gatewayen. Den lyssnar bara på den egna datorn än så länge."""
    settings = settings_of(context)
    wiring: Wiring = context.obj["wiring"]

    async def work() -> None:
        if settings.demo_mark.exists():
            raise SetupError(
                "a demo store is not served",
                swedish="Datakatalogen är gjord av demon och får inte tas i drift.",
                next_step="Skapa en egen gateway med 'sambud init' i en annan katalog.",
            )
        async with wiring.opened(settings) as gateway:
            if settings.totp_risk_decision:
                click.echo(f"Koder (TOTP) godtas för känsliga uppgifter enligt beslut {settings.totp_risk_decision}.")
            else:
                click.echo(
                    "Varning: koder (TOTP) öppnar känsliga uppgifter utan antecknat riskbeslut. "
                    "Anteckna beslutet i SAMBUD_TOTP_RISK_DECISION.",
                    err=True,
                )
            await wiring.serve(settings, gateway, _ready)

    run(work())


def _ready(address: str) -> None:
    click.echo(f"Gatewayen svarar på {address} (bara den här datorn). Avsluta med Ctrl-C.")


@main.group()
def directory() -> None:
    """Adressboken."""


@directory.command("apply")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Visa skillnaden och ändra inget.")
@click.option(
    "--credentials",
    type=click.Path(path_type=Path),
    help="Skriv nya användares första inloggning till denna fil (0600).",
)
@click.pass_context
def apply_directory(context: click.Context, file: Path, dry_run: bool, credentials: Path | None) -> None:
    """Läs in en adressboksfil (TOML)."""
    settings = settings_of(context)
    wiring: Wiring = context.obj["wiring"]

    async def work() -> None:
        text = file.read_text("utf-8")
        async with wiring.opened(settings) as gateway:
            for difference in await gateway.register.dry_run(text):
                click.echo(one_line(str(difference)))
            if dry_run:
                click.echo("Inget har ändrats.")
                return
            applied = await gateway.register.apply(text, passwords=_new_password, by="directory")
            await gateway.integrator.flush()
            for inbox in applied.waiting:
                click.echo(f"! {inbox} saknar två medlemmar: ingen kan läsa den än.")
            if applied.credentials:
                _hand_out(applied.credentials, credentials)

    run(work())


@directory.command("close-way")
@click.argument("inbox")
@click.argument("channel", type=click.Choice([str(one) for one in Channel if one is not Channel.LOCAL]))
@click.option("--confirm", "confirmed", is_flag=True, help="Stäng vägen; utan visas bara vad som är på väg.")
@click.pass_context
def close_way(context: click.Context, inbox: str, channel: str, confirmed: bool) -> None:
    """Ta bort en väg till en inkorg ur adressboken. En fil som läses in tar aldrig bort något."""
    settings = settings_of(context)
    wiring: Wiring = context.obj["wiring"]

    async def work() -> None:
        async with wiring.opened(settings) as gateway:
            leaving = await gateway.register.close_way(
                InboxId(inbox), Channel(channel), by="directory", confirmed=confirmed
            )
            click.echo(f"{leaving} försändelser är på väg den vägen, och går klart.")
            if not confirmed:
                click.echo("Inget har ändrats. Stäng vägen med --confirm.")
                return
            await gateway.integrator.flush()
            click.echo(f"Vägen till {one_line(inbox)} över {channel} är stängd.")

    run(work())


@directory.command("keys")
@click.pass_context
def show_keys(context: click.Context) -> None:
    """Visa våra myndigheters signeringsnycklar, så som den andra sidan skriver in dem i sin adressbok."""
    settings = settings_of(context)
    wiring: Wiring = context.obj["wiring"]

    async def work() -> None:
        async with wiring.opened(settings) as gateway:
            known, keys = await gateway.directory.current(), await wiring.fingerprints(gateway)
            for name, key in sorted(keys.items()):
                if not known.administration(AdministrationId(name)).outside:
                    click.echo(f'[[administration]]\nid = "{name}"\nsigning_key = "{key}"\n')
            click.echo("# Läs upp dem för den andra sidan i telefon: den som kan ändra en fil kan byta en nyckel.")

    run(work())


@directory.command("import-sdk")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--confirm", "word", default="", help="Inför det som visades; ordet står sist i det som visas.")
@click.option("--complete", is_flag=True, help="Filen är hel, fast mycket av den förra saknas.")
@click.option("--take", "taken", multiple=True, metavar="ADRESS", help="En adress som --propose ska skriva rader för.")
@click.option(
    "--propose",
    "proposal",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Skriv rader till en adressboksfil (TOML) hit, att fylla i.",
)
@click.pass_context
def import_sdk(
    context: click.Context, file: Path, word: str, complete: bool, taken: tuple[str, ...], proposal: Path | None
) -> None:
    """Läs in SDK:s adressbok (JSON) som kopia. Inga vägar ändras: det som inte stämmer visas."""
    settings = settings_of(context)
    wiring: Wiring = context.obj["wiring"]

    async def work() -> None:
        octets = file.read_bytes()
        async with wiring.opened(settings) as gateway:
            books = gateway.address_books
            compared = await books.compare(Channel.SDK, octets)
            for line in (*compared.concerns, *compared.happenings[:SHOWN]):
                click.echo(one_line(str(line)))
            click.echo(summary(compared))
            if proposal is not None:
                proposal.write_text(proposed(compared.listings, taken), "utf-8")
                click.echo(f"Fyll i {proposal} och läs in den med 'sambud directory apply {proposal} --dry-run'.")
            if not word:
                click.echo(f"Inget har ändrats. Inför med --confirm {compared.word}")
                return
            await books.read(Channel.SDK, octets, word, by="directory", complete=complete)
            await gateway.integrator.flush()
            click.echo("Adressboken är införd.")

    run(work())


def _new_password(_login: str) -> str:
    return new_password()


def _hand_out(made: Any, target: Path | None) -> None:
    """First credentials go to a file of the operator's choice, or are told once on the terminal."""
    lines = [f"{one.login}\t{one.password}\t{totp_uri(one.seed, one.login)}" for one in made]
    if target is None:
        click.echo("Nya användare (visas bara nu): användarnamn, lösenord, länk för kodappen")
        for line in lines:
            click.echo(line)
        return
    target.touch(mode=0o600, exist_ok=False)
    target.write_text("\n".join(lines) + "\n", "utf-8")
    click.echo(f"{len(lines)} nya användare: första inloggningen står i {target}.")


@main.group()
def user() -> None:
    """Användare."""


@user.command("list")
@click.pass_context
def list_users(context: click.Context) -> None:
    """Visa användare: användarnamn, funktion, roller, läge."""
    settings = settings_of(context)
    wiring: Wiring = context.obj["wiring"]

    async def work() -> None:
        async with wiring.opened(settings) as gateway:
            for found in await gateway.ports.store.users():
                await gateway.integrity.check(found)
                told = (found.login, found.title, ", ".join(found.roles), found.state)
                click.echo("\t".join(map(one_line, told)))

    run(work())


@user.command("add")
@click.argument("login")
@click.option("--administration", required=True, help="Myndighet, t.ex. vaxjo.nav.")
@click.option("--title", required=True, help="Funktion, inte namn.")
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    type=click.Choice([str(role) for role in Role if role is not Role.SYSTEM]),
)
@click.pass_context
def add_user(context: click.Context, login: str, administration: str, title: str, roles: tuple[str, ...]) -> None:
    """Lägg till en användare. Inkorgar får den först när en medlem släpper in den."""
    settings = settings_of(context)
    wiring: Wiring = context.obj["wiring"]

    async def work() -> None:
        from gateway.directory_file import user_id
        from gateway.model.base import AdministrationId

        async with wiring.opened(settings) as gateway:
            new = User(
                administration=AdministrationId(administration),
                id=user_id(login),
                login=login,
                title=title,
                roles=tuple(sorted(roles)),
            )
            made = await gateway.register.create_user(new, _new_password(login), by="operator")
            await gateway.integrator.flush()
            _hand_out([made], None)

    run(work())


@main.group()
def inbox() -> None:
    """Inkorgar."""


@inbox.command("members")
@click.argument("inbox_id")
@click.pass_context
def inbox_members(context: click.Context, inbox_id: str) -> None:
    """Visa vilka som läser en inkorg, och vem som släppte in dem."""
    settings = settings_of(context)
    wiring: Wiring = context.obj["wiring"]

    async def work() -> None:
        async with wiring.opened(settings) as gateway:
            users = {found.id: found.login for found in await gateway.ports.store.users()}
            for row in await gateway.members.members(InboxId(inbox_id)):
                by = "adressboken" if row.bootstrap else users.get(UserId(row.admitted_by), "–")
                told = (users.get(row.user, row.user), row.role, row.state, f"insläppt av {by}")
                click.echo("\t".join(map(one_line, told)))

    run(work())


@inbox.command("propose")
@click.argument("inbox_id")
@click.argument("login")
@click.pass_context
def propose_member(context: click.Context, inbox_id: str, login: str) -> None:
    """Föreslå en medlem. En medlem som finns måste släppa in den."""
    settings = settings_of(context)
    wiring: Wiring = context.obj["wiring"]

    async def work() -> None:
        from gateway.directory_file import user_id
        from gateway.errors import NotFoundError
        from gateway.model.identity import MembershipRole

        async with wiring.opened(settings) as gateway:
            known = await gateway.directory.current()
            if inbox_id not in known.inboxes:
                raise NotFoundError("no such inbox", swedish="Inkorgen finns inte i adressboken.")
            await gateway.members.propose(known.inbox(inbox_id), user_id(login), MembershipRole.MEMBER, by=None)
            await gateway.integrator.flush()
            click.echo(f"{login} är föreslagen i {inbox_id} och väntar på att en medlem släpper in.")

    run(work())


main.add_command(audit)
main.add_command(channels)
main.add_command(systems)
for _command in (clistore.backup, clistore.backup_key, clistore.restore_store, clistore.migrate_store):
    main.add_command(_command)
main.add_command(demo)
main.add_command(bench)
main.add_command(root_key)
main.add_command(simulate)
for command in COMMANDS:
    main.add_command(command)
