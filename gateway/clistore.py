"""Commands around a store: backup, the keys of backups, restore, moving to PostgreSQL.

Why this exists: these are typed by an operator who is in a hurry or afraid. Each says what it did in a line or two,
with the figures that he will be asked for.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from gateway.backup import EPOCH_LIVES, Source, back_up, current_epoch, destroy_due
from gateway.clirun import Wiring, run, settings_of
from gateway.errors import SetupError
from gateway.model.base import DAY
from gateway.moving import move, refuse_moved
from gateway.restore import MARK, Plan, Restored, restore
from gateway.settings import Settings


def refuse_unfinished(settings: Settings) -> None:
    """Raises SetupError when the data folder is half restored, or its database has moved elsewhere."""
    if (settings.data_dir / MARK).exists():
        raise SetupError(
            "the data folder is half restored",
            swedish="Datakatalogen är inte färdigt återställd: en återställning avbröts.",
            next_step="Kör samma 'sambud restore' igen. Gatewayen startar inte innan.",
        )
    if not settings.database:
        refuse_moved(settings.data_dir)


@click.command("backup")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.pass_context
def backup(context: click.Context, folder: Path) -> None:
    """Säkerhetskopiera till FOLDER medan gatewayen går: meddelandelagret först, nyckellagret efter."""
    settings = settings_of(context)
    wiring: Wiring = context.obj["wiring"]

    async def work() -> None:
        refuse_unfinished(settings)
        tools, started = wiring.store_tools(), time.monotonic()
        recipients, epochs = _keys_of(settings)
        source = Source(
            database=settings.database,
            database_file=settings.database_file,
            keys_file=settings.keys_file,
            root=tools.keys.root(settings.root_key_file, data_dir=settings.data_dir),
            gateway=settings.log_name,
            program=program(),
            blobs=wiring.blobs(settings),
            tiles=wiring.tiles(settings),
        )
        found = tools.keys.recipients(recipients)
        made = await back_up(tools, source, folder, recipients=found, epochs=epochs, clock=wiring.clock())
        rows = sum(rows for _, rows, _ in made.manifest.tables)
        click.echo(f"Meddelandelagret: {made.messages.name}, {rows} rader, {made.manifest.files[0]} filer.")
        click.echo(f"Nyckellagret: {made.keys.name}, {made.key_count} nycklar.")
        for log in made.manifest.logs:
            click.echo(f"Loggen {log.origin}: {log.leaves} blad, kontrollpunkt {log.size}.")
        if made.manifest.gone:
            click.echo(f"! {len(made.manifest.gone)} bilagor saknas på disken: kör 'sambud doctor'.", err=True)
        click.echo(f"Klart på {time.monotonic() - started:.1f} s.")

    run(work())


def _keys_of(settings: Settings) -> tuple[Path, Path]:
    if settings.backup_recipients is None or settings.backup_epoch_keys is None:
        raise SetupError(
            "no recipients or no folder of epoch keys",
            swedish="Säkerhetskopior är inte inställda.",
            next_step="Ange SAMBUD_BACKUP_RECIPIENTS och SAMBUD_BACKUP_EPOCH_KEYS; se docs/operations.md.",
        )
    return settings.backup_recipients, settings.backup_epoch_keys


@click.group("backup-key")
def backup_key() -> None:
    """Nycklar för säkerhetskopior."""


@backup_key.command("create")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_context
def create_key(context: click.Context, file: Path) -> None:
    """Skapa en mottagarnyckel: den privata halvan i FILE (förvara den offline), den publika raden skrivs ut."""
    wiring: Wiring = context.obj["wiring"]

    async def work() -> None:
        click.echo(wiring.store_tools().keys.create(file))
        click.echo(f"Den privata nyckeln ligger i {file}. Flytta den från den här datorn.", err=True)

    run(work())


@backup_key.command("rotate")
@click.pass_context
def rotate_keys(context: click.Context) -> None:
    """Gör nästa epoknyckel när det är dags, och förstör dem som är 35 dygn gamla."""
    settings = settings_of(context)
    wiring: Wiring = context.obj["wiring"]

    async def work() -> None:
        tools, now = wiring.store_tools(), wiring.clock().now()
        _, folder = _keys_of(settings)
        destroyed = destroy_due(tools, folder, at=now)
        current_epoch(tools, folder, at=now)
        for key in tools.keys.epochs(folder):
            days = -(-(EPOCH_LIVES - (now - key.created)) // DAY)
            click.echo(f"{key.file.name}: förstörs om {days} dygn")
        click.echo(f"{destroyed} förstörda.")

    run(work())


@click.command("restore")
@click.argument("messages", type=click.Path(path_type=Path))
@click.argument("keys", type=click.Path(path_type=Path), required=False)
@click.option("--data", "data_dir", type=click.Path(path_type=Path), help="Tom katalog att återställa till.")
@click.option("--key", "secrets", multiple=True, type=click.Path(path_type=Path), help="Mottagarens privata nyckel.")
@click.option("--epoch-keys", type=click.Path(path_type=Path), help="Katalog med epoknycklar; annars inställningen.")
@click.option("--living-keys", type=click.Path(path_type=Path), help="En keys.db som överlevt, i stället för *.sbk.")
@click.option("--checkpoint", type=click.Path(path_type=Path), help="Loggens nyaste kända kontrollpunkt.")
@click.option("--drill", is_flag=True, help="Öva: återställ till en tillfällig katalog, kontrollera och ta bort.")
@click.pass_context
def restore_store(
    context: click.Context,
    messages: Path,
    keys: Path | None,
    data_dir: Path | None,
    secrets: tuple[Path, ...],
    epoch_keys: Path | None,
    living_keys: Path | None,
    checkpoint: Path | None,
    drill: bool,
) -> None:
    """Återställ MESSAGES (*.sbm) och KEYS (*.sbk) till en tom katalog. Allt kontrolleras innan något skrivs."""
    settings = settings_of(context, **({"data_dir": data_dir} if data_dir else {}))
    wiring: Wiring = context.obj["wiring"]

    async def work() -> None:
        started = time.monotonic()
        with _chosen(settings, drill) as chosen:
            done = await _restored(wiring, chosen, messages, keys, living_keys, secrets, epoch_keys, checkpoint)
            _tell(done, chosen, drill)
        click.echo(f"Klart på {time.monotonic() - started:.1f} s.")

    run(work())


@contextmanager
def _chosen(settings: Settings, drill: bool) -> Iterator[Settings]:
    """The settings as they are, or those of a drill: a folder that goes away again, and SQLite whatever the engine."""
    if not drill:
        yield settings
        return
    parent = settings.data_dir.parent if settings.data_dir.parent.is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="sambud-drill-", dir=parent))
    try:
        yield settings.model_copy(update={"data_dir": folder, "database": ""})
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _restored(
    wiring: Wiring,
    settings: Settings,
    messages: Path,
    keys: Path | None,
    living: Path | None,
    secrets: tuple[Path, ...],
    epoch_keys: Path | None,
    checkpoint: Path | None,
) -> Restored:
    if (keys is None) == (living is None):
        raise SetupError(
            "one key store is needed",
            swedish="Ange ett nyckellager: antingen en *.sbk, eller --living-keys med den keys.db som överlevt.",
            next_step="Det nyaste nyckellagret är alltid rätt. Inget har ändrats.",
        )
    tools = wiring.store_tools()
    folder = epoch_keys or settings.backup_epoch_keys
    epochs = [tools.keys.secret(key.file) for key in tools.keys.epochs(folder)] if folder else []
    plan = Plan(
        messages=messages,
        keys=keys,
        living_keys=living,
        secrets=tuple(tools.keys.secret(path) for path in secrets),
        epoch_secrets=tuple(epochs),
        root=tools.keys.root(settings.root_key_file, data_dir=settings.data_dir),
        gateway=settings.log_name,
        database=settings.database,
        data_dir=settings.data_dir,
        checkpoint=_read(checkpoint) if checkpoint else "",
    )
    places = (lambda: wiring.blobs(settings), lambda: wiring.tiles(settings))
    return await restore(tools, plan, places, lambda: wiring.opened(settings, unfinished=True))


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError) as trouble:
        raise SetupError(
            f"{path} cannot be read",
            swedish=f"Filen {path} går inte att läsa.",
            next_step="Ange en kontrollpunkt som text. Inget har ändrats.",
        ) from trouble


def _tell(done: Restored, settings: Settings, drill: bool) -> None:
    rows = sum(rows for _, rows, _ in done.manifest.tables)
    where = "en tillfällig katalog, som tas bort" if drill else str(settings.data_dir)
    click.echo(f"Återställt till {where}: {rows} rader, {done.manifest.files[0]} filer.")
    click.echo(f"Nycklar: {done.wraps} behövs, {done.without_key} saknas.")
    if done.without_key:
        click.echo("! Det vars nyckel saknas går inte att läsa: det är gallrat, eller nyckellagret är äldre.", err=True)
    click.echo(f"Nycklar till det som gått förlorat: {done.pruned} raderade.")
    click.echo(f"Avslutade inloggningar: {done.sessions}. Leveranser som görs om: {done.leases}.")
    if done.manifest.gone:
        click.echo(f"! {len(done.manifest.gone)} bilagor fanns inte när kopian gjordes.", err=True)
    gap = done.gap
    if gap.lost is None:
        click.echo(f"! Hur mycket som gått förlorat efter blad {gap.start} i {gap.log} är okänt: ange --checkpoint.")
    else:
        click.echo(f"Förlorat: {gap.lost} blad, {gap.start} till {gap.until} i {gap.log}.")
    click.echo(f"Ny logg: {done.log}. Den gamla fortsätter aldrig.")


@click.command("migrate-store")
@click.option("--to", "dsn", required=True, help="postgresql://… till en tom databas.")
@click.pass_context
def migrate_store(context: click.Context, dsn: str) -> None:
    """Flytta en SQLite-databas till PostgreSQL. Gatewayen ska vara stoppad; avbruten flytt fortsätter där den var."""
    settings = settings_of(context)
    wiring: Wiring = context.obj["wiring"]

    async def work() -> None:
        if settings.database:
            raise SetupError(
                "the settings name a PostgreSQL database already",
                swedish="Inställningarna anger redan en PostgreSQL-databas.",
                next_step="Ta bort SAMBUD_DATABASE under flytten. Inget har ändrats.",
            )
        far = settings.model_copy(update={"database": dsn})
        moved = await move(
            wiring.store_tools(),
            settings.database_file,
            dsn,
            lambda: wiring.opened(far, unfinished=True),
            lambda text: click.echo(text, err=True),
        )
        click.echo(
            f"Flyttat: {moved.rows} rader i {moved.tables} tabeller, lika på båda sidor ({moved.seconds:.1f} s)."
        )
        click.echo(f"Loggen är hel: {moved.leaves} blad. Ange nu SAMBUD_DATABASE; datakatalogen används som förut.")

    run(work())


def program() -> str:
    """The version that a backup names."""
    try:
        return importlib.metadata.version("sambud")
    except importlib.metadata.PackageNotFoundError:
        return "source"
