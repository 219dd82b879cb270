"""The command line: begin a gateway, apply a directory, serve, verify, show. Swedish, with ids and never content.

Why this exists: an operator at night needs one word per act and one sentence when it fails. The commands speak to a
`Wiring` that `gateway.__main__` builds, so nothing here knows a database or a server.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar

import click

from gateway.demo import DemoDesk, Walk, demo_directory, demo_password, prepare
from gateway.errors import GatewayError, InvalidFormError, SetupError
from gateway.factors import new_password, totp_uri
from gateway.model.base import InboxId, UserId
from gateway.model.identity import Role, User
from gateway.register import Credential
from gateway.settings import Settings, load
from gateway.usecases import Gateway

T = TypeVar("T")


class Wiring(Protocol):
    """What puts a gateway together; `gateway.__main__` has the only one."""

    def opened(
        self, settings: Settings, *, create: bool = False, skew: Callable[[], int] | None = None
    ) -> AbstractAsyncContextManager[Gateway]:
        """A gateway over the settings' store. `skew` adds microseconds to the clock (the demo)."""

    async def serve(
        self, settings: Settings, gateway: Gateway, ready: Callable[[str], None], demo: DemoDesk | None = None
    ) -> None:
        """Serve until a signal ends it; with `demo`, also the page that signs in as any of its functions."""

    def create_root(self, path: Path) -> None: ...
    def fingerprints(self, gateway: Gateway) -> Coroutine[Any, Any, dict[str, str]]: ...


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", type=click.Path(path_type=Path), help="Inställningsfil (TOML).")
@click.option("--data", "data_dir", type=click.Path(path_type=Path), help="Datakatalog; vinner över SAMBUD_DATA_DIR.")
@click.pass_context
def main(context: click.Context, config: Path | None, data_dir: Path | None) -> None:
    """Sambud: säkra meddelanden mellan myndigheter."""
    context.ensure_object(dict)
    context.obj["load"] = lambda **more: load(
        config=config, overrides={**({"data_dir": data_dir} if data_dir else {}), **more}
    )


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; an expected error becomes one sentence and exit code 3."""
    try:
        return asyncio.run(work)
    except InvalidFormError as invalid:
        for fault in invalid.faults:
            click.echo(f"  {fault.swedish}", err=True)
        _fail(invalid)
    except GatewayError as error:
        _fail(error)
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(error: GatewayError) -> NoReturn:
    click.echo(f"Fel: {error.swedish} {error.next_step}".rstrip(), err=True)
    sys.exit(3)


def _settings(context: click.Context, **overrides: Any) -> Settings:
    try:
        settings: Settings = context.obj["load"](**overrides)
    except SetupError as error:
        _fail(error)
    return settings


@main.command()
@click.pass_context
def init(context: click.Context) -> None:
    """Skapa en ny gateway: rotnyckel, databas och loggens första blad."""
    settings = _settings(context)
    wiring: Wiring = context.obj["wiring"]

    async def work() -> None:
        if not settings.root_key_file.exists():
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
        click.echo(f"Rotnyckeln ligger i {settings.root_key_file}: säkerhetskopiera den för sig, aldrig med data.")

    _run(work())


@main.command()
@click.pass_context
def serve(context: click.Context) -> None:
    """Starta gatewayen. Den lyssnar bara på den egna datorn än så länge."""
    settings = _settings(context)
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

    _run(work())


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
    settings = _settings(context)
    wiring: Wiring = context.obj["wiring"]

    async def work() -> None:
        text = file.read_text("utf-8")
        async with wiring.opened(settings) as gateway:
            for difference in await gateway.register.dry_run(text):
                click.echo(str(difference))
            if dry_run:
                click.echo("Inget har ändrats.")
                return
            applied = await gateway.register.apply(text, passwords=_new_password, by="directory")
            await gateway.integrator.flush()
            for inbox in applied.waiting:
                click.echo(f"! {inbox} saknar två medlemmar: ingen kan läsa den än.")
            if applied.credentials:
                _hand_out(applied.credentials, credentials)

    _run(work())


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
    settings = _settings(context)
    wiring: Wiring = context.obj["wiring"]

    async def work() -> None:
        async with wiring.opened(settings) as gateway:
            for found in await gateway.ports.store.users():
                await gateway.integrity.check(found)
                click.echo(f"{found.login}\t{found.title}\t{', '.join(found.roles)}\t{found.state}")

    _run(work())


@user.command("add")
@click.argument("login")
@click.option("--administration", required=True, help="Myndighet, t.ex. vaxjo.nav.")
@click.option("--title", required=True, help="Funktion, inte namn.")
@click.option("--role", "roles", multiple=True, required=True, type=click.Choice([str(role) for role in Role]))
@click.pass_context
def add_user(context: click.Context, login: str, administration: str, title: str, roles: tuple[str, ...]) -> None:
    """Lägg till en användare. Inkorgar får den först när en medlem släpper in den."""
    settings = _settings(context)
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

    _run(work())


@main.group()
def inbox() -> None:
    """Inkorgar."""


@inbox.command("members")
@click.argument("inbox_id")
@click.pass_context
def inbox_members(context: click.Context, inbox_id: str) -> None:
    """Visa vilka som läser en inkorg, och vem som släppte in dem."""
    settings = _settings(context)
    wiring: Wiring = context.obj["wiring"]

    async def work() -> None:
        async with wiring.opened(settings) as gateway:
            users = {found.id: found.login for found in await gateway.ports.store.users()}
            for row in await gateway.members.members(InboxId(inbox_id)):
                by = "adressboken" if row.bootstrap else users.get(UserId(row.admitted_by), "–")
                click.echo(f"{users.get(row.user, row.user)}\t{row.role}\t{row.state}\tinsläppt av {by}")

    _run(work())


@inbox.command("propose")
@click.argument("inbox_id")
@click.argument("login")
@click.pass_context
def propose_member(context: click.Context, inbox_id: str, login: str) -> None:
    """Föreslå en medlem. En medlem som finns måste släppa in den."""
    settings = _settings(context)
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

    _run(work())


@main.group()
def audit() -> None:
    """Loggen."""


@audit.command("verify")
@click.option("--json", "as_json", is_flag=True, help="Skriv rapporten som JSON.")
@click.pass_context
def verify_log(context: click.Context, as_json: bool) -> None:
    """Kontrollera loggen. Slutkod 0 hel, 1 ändrad, 2 ofullständig, 3 går inte att köra."""
    settings = _settings(context)
    wiring: Wiring = context.obj["wiring"]

    async def work() -> int:
        async with wiring.opened(settings) as gateway:
            reports = await gateway.review.verify()
        if as_json:
            click.echo(json.dumps([report.as_dict() for report in reports], indent=2))
        for report in reports if not as_json else []:
            told = {0: "hel", 1: "ÄNDRAD", 2: "ofullständig"}[report.exit_code]
            click.echo(f"{report.log}: {told}, {report.leaves} blad, {report.checkpoints} kontrollpunkter")
            for line in [*report.faults, *report.missing]:
                click.echo(f"  {line}")
        return max((report.exit_code for report in reports), default=2)

    sys.exit(_run(work()))


@audit.command("prove")
@click.argument("number", type=int)
@click.option("--log", "log_name", default="", help="Loggens namn; annars årets.")
@click.pass_context
def prove_leaf(context: click.Context, number: int, log_name: str) -> None:
    """Skriv ett bevis (C2SP tlog-proof) för en rad i loggen."""
    settings = _settings(context)
    wiring: Wiring = context.obj["wiring"]

    async def work() -> None:
        async with wiring.opened(settings) as gateway:
            await gateway.integrator.flush()
            name = log_name or gateway.auditor.origin(gateway.ports.clock.now())
            click.echo(await gateway.review.prove(name, number), nl=False)

    _run(work())


@audit.command("key")
@click.pass_context
def log_key(context: click.Context) -> None:
    """Skriv nyckeln som andra kontrollerar loggens signatur med (vkey)."""
    settings = _settings(context)
    wiring: Wiring = context.obj["wiring"]

    async def work() -> None:
        async with wiring.opened(settings) as gateway:
            for name in await gateway.ports.store.logs():
                click.echo(await gateway.ports.vault.note_key(name))

    _run(work())


@main.command()
@click.pass_context
def doctor(context: click.Context) -> None:
    """Kontrollera det gatewayen står på. Varje rad säger vad som kan göras."""
    settings = _settings(context)
    wiring: Wiring = context.obj["wiring"]

    async def work() -> int:
        async with wiring.opened(settings) as gateway:
            click.echo("ok  rotnyckeln öppnar databasen, schemat är aktuellt")
            bad = 0
            for administration, name in (await wiring.fingerprints(gateway)).items():
                anchored = "förankrad i inställningarna" if administration in settings.anchors else "inte förankrad"
                click.echo(f"ok  {administration}: signeringsnyckel {name[:16]}…, {anchored}")
            for report in await gateway.review.verify():
                bad += report.exit_code == 1
                click.echo(f"{'ok ' if not report.exit_code else 'FEL'} loggen {report.log}: {report.leaves} blad")
            return 1 if bad else 0

    sys.exit(_run(work()))


@main.command()
@click.option("--once", is_flag=True, help="Gå vägen en gång och avsluta.")
@click.option("--port", type=int, default=8080, show_default=True)
@click.option("--data", "data", type=click.Path(path_type=Path), help="Datakatalog för demon; annars en tillfällig.")
@click.pass_context
def demo(context: click.Context, once: bool, port: int, data: Path | None) -> None:
    """Visa hela vägen med en påhittad adressbok, och lämna gatewayen i gång."""
    wiring: Wiring = context.obj["wiring"]
    with tempfile.TemporaryDirectory(prefix="sambud-demo-") as scratch:
        root = Path(scratch)
        settings = _settings(
            context, data_dir=data or root / "data", root_key_file=root / "root" / "k0", port=port, host="127.0.0.1"
        )
        _run(_demo(wiring, settings, once=once))


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


@main.group()
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

    report = _run(work())
    for line in report.lines():
        click.echo(line)
    if target is not None:
        target.write_text(json.dumps(report.as_dict(), indent=2) + "\n", "utf-8")
