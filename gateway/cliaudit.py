"""The commands of the log: verify, compare with a kept checkpoint, mend what is published, prove a row."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from gateway.clirun import Wiring, run, settings_of
from gateway.errors import SetupError
from gateway.evidence import Evidence
from gateway.fsck import Fsck, Mended
from gateway.review import Report


@click.group()
def audit() -> None:
    """Loggen."""


@audit.command("verify")
@click.option("--json", "as_json", is_flag=True, help="Skriv rapporten som JSON.")
@click.option(
    "--against",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Fil med kontrollpunkter som sparats tidigare: visar om loggen har kapats eller backats.",
)
@click.pass_context
def verify_log(context: click.Context, as_json: bool, files: tuple[Path, ...]) -> None:
    """Kontrollera loggen. Slutkod 0 hel, 1 ändrad, 2 ofullständig, 3 går inte att köra."""
    settings = settings_of(context)
    wiring: Wiring = context.obj["wiring"]

    async def work() -> int:
        kept = [_text(file) for file in files]
        async with wiring.opened(settings) as gateway:
            reports = await gateway.review.verify()
            evidence = Evidence(gateway.ports.store, gateway.ports.tiles, gateway.ports.vault)
            compared = [report for text in kept for report in await evidence.compare(text)]
        if as_json:
            told = [report.as_dict() for report in reports]
            click.echo(json.dumps([*told, *({**report.as_dict(), "against": True} for report in compared)], indent=2))
            return _worst([*reports, *compared])
        for report in reports:
            _say(report, f"{report.leaves} blad, {report.checkpoints} kontrollpunkter")
        for report in compared:
            _say(report, f"jämförd med {report.checkpoints} sparade kontrollpunkter")
        return _worst([*reports, *compared])

    sys.exit(run(work()))


def _worst(reports: list[Report]) -> int:
    """A log that was changed outweighs one that is incomplete."""
    codes = {report.exit_code for report in reports} or {2}
    return 1 if 1 in codes else max(codes)


def _say(report: Report, figures: str) -> None:
    told = {0: "hel", 1: "ÄNDRAD", 2: "ofullständig"}[report.exit_code]
    click.echo(f"{report.log}: {told}, {figures}")
    for line in [*report.faults, *report.missing]:
        click.echo(f"  {line}")


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as trouble:
        raise SetupError(
            f"{file} cannot be read as text",
            swedish=f"Filen {file} går inte att läsa som text.",
            next_step="Ange en fil med en eller flera kontrollpunkter, som 'sambud audit checkpoint' skriver dem.",
        ) from trouble


@audit.command("checkpoint")
@click.pass_context
def newest_checkpoint(context: click.Context) -> None:
    """Skriv varje loggs senaste kontrollpunkt. Spara utskriften på annan plats: 'verify --against' jämför med den."""
    settings = settings_of(context)
    wiring: Wiring = context.obj["wiring"]

    async def work() -> None:
        async with wiring.opened(settings) as gateway:
            await gateway.integrator.flush()
            for name in await gateway.ports.store.logs():
                newest = await gateway.ports.store.last_checkpoint(name)
                if newest is not None:
                    click.echo(newest.note)

    run(work())


@audit.command("fsck")
@click.option("--dry-run", is_flag=True, help="Visa bara vad som är fel.")
@click.pass_context
def mend(context: click.Context, dry_run: bool) -> None:
    """Bygg om skadade eller saknade filer i den publicerade loggen. Loggens rader ändras aldrig.

    Slutkod 0 hel eller lagad, 1 raderna är inte de som signerades, 2 något är fel och bara visat.
    """
    settings = settings_of(context)
    wiring: Wiring = context.obj["wiring"]

    async def work() -> int:
        async with wiring.opened(settings) as gateway:
            fsck = Fsck(gateway.ports.store, gateway.ports.tiles, gateway.ports.vault)
            found = await fsck.run(write=not dry_run)
        for log in found:
            _say_mended(log)
        if any(log.refused for log in found):
            return 1
        return 2 if any(log.found and not log.written for log in found) else 0

    sys.exit(run(work()))


def _say_mended(log: Mended) -> None:
    if log.refused:
        click.echo(f"{log.log}: inget har ändrats, för de {log.leaves} första bladen är inte de som signerades.")
        click.echo("  Kör 'sambud audit verify' och kontakta säkerhetsansvarig.")
        return
    done = "ombyggda" if log.written else "att bygga om"
    click.echo(
        f"{log.log}: {log.leaves} blad, {len(log.missing)} filer saknades, {len(log.damaged)} var skadade, {done}"
    )
    for name in [*log.missing, *log.damaged]:
        click.echo(f"  {name}")
    for name in log.strays:
        click.echo(f"  {name} hör inte till loggen och är kvar")


@audit.command("prove")
@click.argument("number", type=int)
@click.option("--log", "log_name", default="", help="Loggens namn; annars årets.")
@click.pass_context
def prove_leaf(context: click.Context, number: int, log_name: str) -> None:
    """Skriv ett bevis (C2SP tlog-proof) för en rad i loggen."""
    settings = settings_of(context)
    wiring: Wiring = context.obj["wiring"]

    async def work() -> None:
        async with wiring.opened(settings) as gateway:
            await gateway.integrator.flush()
            name = log_name or gateway.auditor.origin(gateway.ports.clock.now())
            click.echo(await gateway.review.prove(name, number), nl=False)

    run(work())


@audit.command("key")
@click.pass_context
def log_key(context: click.Context) -> None:
    """Skriv nyckeln som andra kontrollerar loggens signatur med (vkey)."""
    settings = settings_of(context)
    wiring: Wiring = context.obj["wiring"]

    async def work() -> None:
        async with wiring.opened(settings) as gateway:
            for name in await gateway.ports.store.logs():
                click.echo(await gateway.ports.vault.note_key(name))

    run(work())
