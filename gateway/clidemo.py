"""The commands that need no gateway of one's own: the demo, and measuring beside references."""

from __future__ import annotations

import functools
import importlib
import json
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import click

from gateway.clirun import Wiring, run, settings_of
from gateway.demo import DemoDesk, Walk, demo_directory, demo_password, prepare
from gateway.demo_federated import HERE, THERE, FederatedWalk, Side, pinned, seen_from
from gateway.demo_outside import FUNCTIONS, MISSING, Outside, with_outside
from gateway.errors import SetupError
from gateway.register import Credential
from gateway.settings import Settings


@click.command()
@click.option("--once", is_flag=True, help="Gå vägen en gång och avsluta.")
@click.option("--federated", is_flag=True, help="Två gatewayer, Växjös och regionens, över en låtsad SDK-tjänst.")
@click.option("--port", type=int, default=8080, show_default=True)
@click.option("--data", "data", type=click.Path(path_type=Path), help="Datakatalog för demon; annars en tillfällig.")
@click.pass_context
def demo(context: click.Context, once: bool, federated: bool, port: int, data: Path | None) -> None:
    """Visa hela vägen med en påhittad adressbok, och lämna gatewayen i gång."""
    wiring: Wiring = context.obj["wiring"]
    with tempfile.TemporaryDirectory(prefix="sambud-demo-") as scratch:
        root = Path(scratch)
        if federated:
            run(_federated(wiring, context, root))
            return
        nobody: dict[str, Any] = {"sdk_url": "", "link_url": "", "smime_keys": None, "notice_sender": ""}
        settings = settings_of(
            context,
            data_dir=data or root / "data",
            root_key_file=root / "root" / "k0",
            port=port,
            host="127.0.0.1",
            **nobody,  # what is invented goes to nobody that the environment may name
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

    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(wiring.opened(settings, create=True, skew=lambda: skew[0]))
        await gateway.register.begin()
        await gateway.integrator.open_year()
        applied = await gateway.register.apply(with_outside(), passwords=demo_password, by="demo")
        credentials: dict[str, Credential] = {one.login: one for one in applied.credentials}
        click.echo("DEMO: påhittad adressbok, påhittade uppgifter, lösenord som inte är hemliga.")
        walk = Walk(gateway, credentials, click.echo, advance, lambda: wiring.reached(settings, gateway))
        outside: Outside | None = None
        try:
            arrive = await stack.enter_async_context(wiring.simulated_sdk({"demo": gateway}, gateway.ports.clock))
            outside = Outside(gateway, advance, arrive)
            walk.outside = functools.partial(outside.walk, say=click.echo)
        except SetupError:
            click.echo(MISSING)
        await walk.run()
        if once:
            click.echo("Klart.")
            return
        await prepare(gateway, walk.sign_in, click.echo)
        told: list[tuple[str, str]] = []
        if outside is not None:
            await outside.prepare(await walk.sign_in("al-sos"), click.echo)
            told = [(one.name, one.does) for one in FUNCTIONS]
        desk = DemoDesk(gateway, credentials, advance, told)

        def ready(address: str) -> None:
            click.echo(f"Öppna {address}/demo i en webbläsare på den här datorn. Avsluta med Ctrl-C.")

        await wiring.serve(settings, gateway, ready, desk)


async def _federated(wiring: Wiring, context: click.Context, root: Path) -> None:
    """Two gateways in folders of their own, walked once; nothing is left in progress afterwards."""
    skew = [0]

    def advance(microseconds: int) -> None:
        skew[0] += microseconds

    click.echo("DEMO: två gatewayer, påhittad adressbok, en låtsad meddelandetjänst på den här datorn.")
    async with AsyncExitStack() as stack:
        sides: dict[str, Side] = {}
        texts: dict[str, str] = {}
        for name, hosted in (("vaxjo", HERE), ("region", THERE)):
            folder = root / name
            settings = settings_of(
                context, data_dir=folder / "data", root_key_file=folder / "root" / "k0", log_name=f"{name}.example"
            )
            settings.data_dir.mkdir(mode=0o700, parents=True)
            settings.demo_mark.write_text("Det här är en demo. Den får inte tas i drift.\n", "utf-8")
            wiring.create_root(settings.root_key_file)
            gateway = await stack.enter_async_context(wiring.opened(settings, create=True, skew=lambda: skew[0]))
            await gateway.register.begin()
            await gateway.integrator.open_year()
            texts[name] = seen_from(hosted, demo_directory())
            applied = await gateway.register.apply(texts[name], passwords=demo_password, by="demo")
            sides[name] = Side(gateway, {one.login: one for one in applied.credentials})
        for name, other, theirs in (("vaxjo", "region", THERE), ("region", "vaxjo", HERE)):
            keys = await wiring.fingerprints(sides[other].gateway)
            text = pinned(texts[name], {one: keys[one] for one in theirs})
            await sides[name].gateway.register.apply(text, passwords=demo_password, by="demo")
        clock = sides["vaxjo"].gateway.ports.clock
        gateways = {name: side.gateway for name, side in sides.items()}
        await stack.enter_async_context(wiring.simulated_sdk(gateways, clock))
        await FederatedWalk(sides["vaxjo"], sides["region"], click.echo, advance).run()
    click.echo("Klart.")


@click.group()
def bench() -> None:
    """Mätningar på den här datorn, mot referenser i samma körning."""


SETS = {
    "path": "Mät vägen: mottagning, många samtidigt, start, filer, minne (P1, P2, P5–P7, P10–P12).",
    "inbox": "Mät inkorgens sidor med kort och lång historia (P8).",
    "growth": "Mät hur kostnader växer med historien, och kontroll av loggen (P8, P9, kurvor).",
    "peers": "Mät mot andras program, där de finns (P3, P4, P6): se bench/peers.sh.",
    "sdk": "Mät SDK-klienten mot en låtsad meddelandetjänst: 30 MB ut och in, tusen meddelanden i minuten (S6).",
    "channels": "Mät hur länge andra väntar när en granne är borta och 10 000 leveranser väntar på den (S5).",
    "soak": "Mät minne och öppna filer under halv last: två minuter, med --full en halvtimme (S7).",
    "all": "Mät allt.",
}


def _measuring(name: str, about: str) -> click.Command:
    @click.command(name, help=f"{about}\n\nHur och varför: docs/performance.md.")
    @click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Varv; minst fem.")
    @click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="Skriv allt som JSON hit.")
    @click.option("--svg", "picture", type=click.Path(dir_okay=False, path_type=Path), help="Rita en bild (SVG) hit.")
    @click.option("--peers", type=click.Path(file_okay=False, path_type=Path), help="Katalogen från bench/peers.sh.")
    @click.option("--full", is_flag=True, help="Ända till en miljon meddelanden; tar en halvtimme och 15 GB.")
    @click.option("--quick", is_flag=True, help="Visa bara att allt går att mäta.")
    @click.option("--write-docs", is_flag=True, help="Skriv in siffrorna i docs/performance.md.")
    def measure(
        rounds: int,
        target: Path | None,
        picture: Path | None,
        peers: Path | None,
        full: bool,
        quick: bool,
        write_docs: bool,
    ) -> None:
        report = run(_measured(name, rounds=rounds, quick=quick, full=full, peers=peers))
        for line in report.lines():
            click.echo(line)
        if target is not None:
            target.write_text(json.dumps(report.as_dict(), indent=2) + "\n", "utf-8")
        if picture is not None:
            picture.write_text(_bench("bench.picture").drawn(report), "utf-8")
        if write_docs:
            click.echo(f"Skrev {_bench('bench.documents').written(report)}.")

    return measure


for _name, _about in SETS.items():
    bench.add_command(_measuring(_name, _about))


@bench.command("slow")
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="Varv.")
@click.option("--quick", is_flag=True, help="Visa bara att allt går att mäta.")
def measure_slow(rounds: int, quick: bool) -> None:
    """Mät en ärlig anropares tid medan andra håller anslutningar öppna."""
    report = run(_bench("bench.slow").measure(rounds=rounds, quick=quick, say=lambda text: click.echo(text, err=True)))
    for line in report.lines():
        click.echo(line)


async def _measured(name: str, **asked: Any) -> Any:
    return await _bench("bench.run").measure(name, **asked, say=lambda text: click.echo(text, err=True))


def _bench(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as missing:
        if not (missing.name or "").startswith("bench"):
            raise
        raise SetupError(
            "the measurements are not part of the package",
            swedish="Mätningarna följer inte med det installerade paketet.",
            next_step="Kör './sambud bench path' i en utcheckning av källkoden.",
        ) from missing
