"""The commands that look: `doctor` says what is wrong and what to do, `support-bundle` packs it for somebody else.

Why this exists: whoever is woken at night needs one command that looks at everything; whoever is asked for help needs
the same facts without a single name, number or sentence about people in them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from gateway import bundle, doctor
from gateway.clirun import Wiring, fail, run
from gateway.doctor import Finding, Level
from gateway.doctor_programs import programs
from gateway.errors import SetupError
from gateway.examination import Examination
from gateway.settings import Settings

MARKS = {Level.OK: "ok ", Level.NOTE: "obs", Level.WARNING: "OBS", Level.WRONG: "FEL"}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Skriv allt som JSON.")
@click.option("--verify", is_flag=True, help="Läs hela loggen, inte bara det nyaste.")
@click.pass_context
def doctor_command(context: click.Context, as_json: bool, verify: bool) -> None:
    """Kontrollera allt gatewayen står på. Ändrar inget. Slutkod 0 bra, 1 något är fel, 3 gick inte att se allt."""
    _, examined = _examined(context, verify=verify)
    findings = examined.findings
    if as_json:
        click.echo(json.dumps(doctor.as_json(findings), indent=2, ensure_ascii=False))
    else:
        for found in findings:
            click.echo(_line(found))
    if examined.stopped is not None:
        fail(examined.stopped)
    sys.exit(doctor.exit_code(findings))


@click.command("support-bundle")
@click.argument("target", metavar="FIL.tar.gz", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--log", "log_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Driftloggen.")
@click.option("--lines", default=2000, show_default=True, type=click.IntRange(1, 100_000), help="Loggens sista rader.")
@click.pass_context
def support_bundle(context: click.Context, target: Path, log_file: Path | None, lines: int) -> None:
    """Packa det som behövs för att felsöka: inga personuppgifter, inget innehåll, inga användarnamn."""
    settings, examined = _examined(context, verify=False)
    parts = bundle.parts(settings, _sources(context), examined, _tail(log_file, lines) if log_file else None)
    try:
        bundle.write(target, parts)
    except FileExistsError:
        fail(
            SetupError(
                f"{target} exists",
                swedish=f"Filen {target} finns redan.",
                next_step="Ange en ny fil. Inget har skrivits.",
            )
        )
    except OSError as trouble:
        fail(
            SetupError(
                f"{target} cannot be written: {trouble.strerror}",
                swedish=f"Filen {target} går inte att skriva.",
                next_step="Kontrollera katalogen, rättigheterna och diskutrymmet.",
            )
        )
    click.echo(f"{target}: {len(parts)} filer. Läs MANIFEST.json innan du lämnar den vidare.")


def _examined(context: click.Context, *, verify: bool) -> tuple[Settings | None, Examination]:
    """Look at everything; settings that cannot be read end it early, and are a finding like others."""
    wiring: Wiring = context.obj["wiring"]
    findings = doctor.program()
    try:
        settings: Settings = context.obj["load"]()
        findings += doctor.chosen(settings, _sources(context))
        findings += programs(settings)
    except SetupError as trouble:
        findings.append(doctor.of_error("inställningar", trouble))
        return None, Examination(findings=tuple(findings), stopped=trouble)

    async def work() -> Examination:
        return await wiring.examine(settings, verify=verify)

    found = run(work())
    return settings, bundle.with_findings(found, (*findings, *found.findings))


def _sources(context: click.Context) -> dict[str, str]:
    sources: dict[str, str] = context.obj["sources"]()
    return sources


def _line(found: Finding) -> str:
    then = f" {found.next_step}" if found.next_step else ""
    return f"{MARKS[found.level]}  {found.area}: {found.swedish}{then}"


def _tail(path: Path, lines: int) -> list[str]:
    """The last lines of a text file, however long it is."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - lines * 2048))
        return file.read().decode("utf-8", "replace").splitlines()[-lines:]


COMMANDS: tuple[Any, ...] = (doctor_command, support_bundle)
