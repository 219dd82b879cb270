"""The commands that need no gateway of one's own: the demo, and measuring beside references."""

from __future__ import annotations

import importlib
import json
import tempfile
from pathlib import Path
from typing import Any

import click

from gateway.clirun import Wiring, run, settings_of
from gateway.demo import DemoDesk, Walk, demo_directory, demo_password, prepare
from gateway.errors import SetupError
from gateway.register import Credential
from gateway.settings import Settings


@click.command()
@click.option("--once", is_flag=True, help="Gå vägen en gång och avsluta.")
@click.option("--port", type=int, default=8080, show_default=True)
@click.option("--data", "data", type=click.Path(path_type=Path), help="Datakatalog för demon; annars en tillfällig.")
@click.pass_context
def demo(context: click.Context, once: bool, port: int, data: Path | None) -> None:
    """Visa hela vägen med en påhittad adressbok, och lämna gatewayen i gång."""
    wiring: Wiring = context.obj["wiring"]
    with tempfile.TemporaryDirectory(prefix="sambud-demo-") as scratch:
        root = Path(scratch)
        settings = settings_of(
            context, data_dir=data or root / "data", root_key_file=root / "root" / "k0", port=port, host="127.0.0.1"
        )
        run(_demo(wiring, settings, once=once))


async def _demo(wiring: Wiring, settings: Settings, *, once: bool) -> None:
    if settings.data_dir.exists() and any(settings.data_dir.iterdir()):
        raise SetupError(
            "the demo's data directory is not empty",
            swedish=f"Katalogen {settings.data_dir} är inte tom.",
            next_step="Ange en ny katalog med --data, eller utelämna flaggan.",
        )
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.demo_mark.write_text("Det här är en demo. Den får inte tas i drift.\n", "utf-8")
    wiring.create_root(settings.root_key_file)
    skew = [0]

    def advance(microseconds: int) -> None:
        skew[0] += microseconds

    async with wiring.opened(settings, create=True, skew=lambda: skew[0]) as gateway:
        await gateway.register.begin()
        await gateway.integrator.open_year()
        applied = await gateway.register.apply(demo_directory(), passwords=demo_password, by="demo")
        credentials: dict[str, Credential] = {one.login: one for one in applied.credentials}
        click.echo("DEMO: påhittad adressbok, påhittade uppgifter, lösenord som inte är hemliga.")
        walk = Walk(gateway, credentials, click.echo, advance)
        await walk.run()
        if once:
            click.echo("Klart.")
            return
        await prepare(gateway, walk.sign_in, click.echo)
        desk = DemoDesk(gateway, credentials, advance)

        def ready(address: str) -> None:
            click.echo(f"Öppna {address}/demo i en webbläsare på den här datorn. Avsluta med Ctrl-C.")

        await wiring.serve(settings, gateway, ready, desk)


@click.group()
def bench() -> None:
    """Mätningar på den här datorn, mot referenser i samma körning."""


@bench.command("path")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Varv; minst fem.")
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="Skriv allt som JSON hit.")
@click.option("--quick", is_flag=True, help="Visa bara att allt går att mäta.")
def measure_path(rounds: int, target: Path | None, quick: bool) -> None:
    """Mät vägen: mottagning, processortid och minne (docs/performance.md)."""
    _measured("bench.path", rounds, target, quick)


@bench.command("inbox")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Varv; minst fem.")
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="Skriv allt som JSON hit.")
@click.option("--quick", is_flag=True, help="Visa bara att allt går att mäta.")
def measure_inbox(rounds: int, target: Path | None, quick: bool) -> None:
    """Mät sidan av en delad inkorg med kort och lång historia (docs/performance.md)."""
    _measured("bench.inbox", rounds, target, quick)


def _measured(module: str, rounds: int, target: Path | None, quick: bool) -> None:
    async def work() -> Any:
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as missing:
            raise SetupError(
                "the measurements are not part of the package",
                swedish="Mätningarna följer inte med det installerade paketet.",
                next_step="Kör './sambud bench path' i en utcheckning av källkoden.",
            ) from missing
        return await found.measure(rounds=rounds, quick=quick, say=lambda text: click.echo(text, err=True))

    report = run(work())
    for line in report.lines():
        click.echo(line)
    if target is not None:
        target.write_text(json.dumps(report.as_dict(), indent=2) + "\n", "utf-8")
