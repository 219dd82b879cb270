"""`sambud doctor` and `sambud support-bundle`: each trouble is named with what to do, and nothing on disk moves."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from adapters.machine import LocalMachine, holder_of
from adapters.sql.sqlite import SqliteStore
from gateway import doctor
from gateway.__main__ import SystemWiring
from gateway.bundle import FOLDER, safe_line
from gateway.cli import main
from gateway.doctor import Level
from gateway.settings import Settings, load, sources
from gateway.tree import leaf_hash
from tests import on_disk
from tests.clock import ManualClock
from tests.county import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole path on disk, its root key beside it; made once, copied by each test."""
    import asyncio

    folder = tmp_path_factory.mktemp("walked")

    async def make() -> None:
        made = await on_disk.make(folder / "data")
        async with made.process(folder / "data") as county:
            await county.gateway.integrator.flush()

    asyncio.run(make())
    (folder / "data").chmod(0o700)
    (folder / "root.key").write_text(f"sambud-root-1 {ROOT.hex()}\n")
    (folder / "root.key").chmod(0o400)
    return folder


@pytest.fixture
def place(walked: Path, tmp_path: Path) -> Path:
    shutil.copytree(walked, tmp_path / "gateway")
    return tmp_path / "gateway"


def environment(place: Path) -> dict[str, str]:
    return {"SAMBUD_DATA_DIR": str(place / "data"), "SAMBUD_ROOT_KEY_FILE": str(place / "root.key")}


def ask(place: Path, *arguments: str, **more: str) -> Result:
    """The command as an operator gives it."""
    runner = CliRunner(env={"SAMBUD_CONFIG": None, **environment(place), **more})
    return runner.invoke(main, list(arguments), obj={"wiring": SystemWiring()}, catch_exceptions=False)


def findings(place: Path, **more: str) -> tuple[dict[str, list[dict[str, str]]], Result]:
    """What is worse than a note, by area."""
    done = ask(place, "doctor", "--json", **more)
    found: dict[str, list[dict[str, str]]] = {}
    for one in json.loads(done.stdout)["findings"]:
        found.setdefault(one["area"], []).append(one)
    return found, done


def state(place: Path) -> dict[str, str]:
    return {
        str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest() + oct(path.stat().st_mode)
        for path in sorted(place.rglob("*"))
        if path.is_file() and path.suffix != ".db-shm"  # memory that readers share, no content
    }


def bad(found: dict[str, list[dict[str, str]]]) -> list[str]:
    return [f"{area}: {one['detail']}" for area, ones in found.items() for one in ones if one["level"] == "fel"]


def test_a_whole_gateway_that_stands_still_is_found_whole_and_left_as_it_was(place: Path) -> None:
    before = state(place)
    found, done = findings(place)
    assert bad(found) == []
    assert done.exit_code == 0
    assert {
        "program",
        "inställningar",
        "filer",
        "disk",
        "klocka",
        "databas",
        "nyckellager",
        "ankare",
        "logg",
        "kö",
    } <= set(found)
    assert state(place) == before
    text = ask(place, "doctor", "--verify")
    assert "genomläst" in text.stdout
    assert text.exit_code == 0
    assert state(place) == before


async def test_it_looks_while_a_gateway_serves_and_takes_no_lock(place: Path) -> None:
    store = await SqliteStore.open(place / "data" / "sambud.db", ManualClock())
    try:
        await store.check_writable()
        assert holder_of(place / "data" / "sambud.lock") > 0
        found = await SystemWiring().examine(load(environment=environment(place)))
        assert found.stopped is None
        told = {finding.swedish for finding in found.findings}
        assert any("En gateway kör" in text for text in told)
        assert any("svarar inte på port" in text for text in told)  # the store is open, nobody listens
        assert [one.swedish for one in found.findings if one.level is Level.WRONG and one.area != "process"] == []
        await store.check_writable()
    finally:
        await store.close()
    assert holder_of(place / "data" / "sambud.lock") == 0


def sql(text: str) -> Callable[[Path], None]:
    def change(place: Path) -> None:
        connection = sqlite3.connect(place / "data" / "sambud.db")
        connection.execute(text)
        connection.commit()
        connection.close()

    return change


def without(name: str) -> Callable[[Path], None]:
    def change(place: Path) -> None:
        path = place / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def other_keys(place: Path) -> None:
    connection = sqlite3.connect(place / "data" / "keys.db")
    connection.execute("UPDATE shred_key SET id = 'x' || id")
    connection.commit()
    connection.close()


def other_root(place: Path) -> None:
    (place / "root.key").unlink()
    (place / "root.key").write_text(f"sambud-root-1 {'ab' * 32}\n")
    (place / "root.key").chmod(0o400)


def a_tile(place: Path) -> None:
    for path in (place / "data" / "log").rglob("tile/0/*"):
        for file in [path] if path.is_file() else path.iterdir():
            octets = bytearray(file.read_bytes())
            octets[5] ^= 1
            file.write_bytes(octets)


def leaf_hash_and_tile(place: Path) -> None:
    """Somebody who knows the format rewrites an old leaf, its hash and every tile; only the signed root tells."""
    connection = sqlite3.connect(place / "data" / "sambud.db")
    [name, octets] = connection.execute("SELECT log, leaf FROM audit_leaf WHERE number = 5").fetchone()
    forged = octets.replace(b"permit", b"denied") if b"permit" in octets else octets + b" "
    made = leaf_hash(forged)
    connection.execute("UPDATE audit_leaf SET leaf = ?, hash = ? WHERE log = ? AND number = 5", (forged, made, name))
    connection.commit()
    connection.close()
    files = [path for path in (place / "data" / "log").rglob("*") if path.is_file() and "tile/0" in path.as_posix()]
    assert files
    for path in files:
        tile = bytearray(path.read_bytes())
        if len(tile) > 6 * 32:
            tile[5 * 32 : 6 * 32] = made
            path.write_bytes(tile)


def garbage(place: Path) -> None:
    (place / "data" / "sambud.db").write_bytes(b"no database at all" * 500)


TROUBLES: dict[str, tuple[Callable[[Path], None], str, str, int]] = {
    "no root key": (without("root.key"), "lager", "saknas", 3),
    "another root key": (other_root, "lager", "hör inte till den här databasen", 3),
    "no key store": (without("data/keys.db"), "lager", "Nyckellagret", 3),
    "another key store": (other_keys, "nyckellager", "hör inte ihop", 1),
    "no database": (without("data/sambud.db"), "lager", "finns inte", 3),
    "no database but garbage": (garbage, "lager", "går inte att läsa", 3),
    "no data folder": (without("data"), "filer", "finns inte", 3),
    "no published log": (without("data/log"), "logg", "hashträdet går inte att läsa", 1),
    "an older schema": (sql("UPDATE alembic_version SET version_num='0001'"), "databas", "har schema 0001", 1),
    "a newer schema": (sql("UPDATE alembic_version SET version_num='9999'"), "databas", "har schema 9999", 1),
    "a leaf rewritten": (
        sql(
            "UPDATE audit_leaf SET leaf = CAST(leaf || x'20' AS BLOB) WHERE number = (SELECT max(number) FROM audit_leaf)"
        ),
        "logg",
        "är inte det som loggades",
        1,
    ),
    "a side row rewritten": (
        sql("UPDATE audit_side SET action='alarm' WHERE number = (SELECT max(number) FROM audit_side)"),
        "logg",
        "sidoraden",
        1,
    ),
    "a checkpoint rewritten": (sql("UPDATE checkpoint SET root = zeroblob(32)"), "logg", "kontrollpunkten", 1),
    "a tile rewritten": (a_tile, "logg", "Loggen", 1),
    "a leaf of another type": (
        sql("UPDATE audit_leaf SET leaf = 'text' WHERE number = (SELECT max(number) FROM audit_leaf)"),
        "lager",
        "gick inte att läsa färdigt",
        1,
    ),
    "a leaf, its hash and its tile rewritten": (leaf_hash_and_tile, "logg", "en annan rot än kontrollpunkten", 1),
    "leaves cut off": (
        sql("DELETE FROM audit_leaf WHERE number > (SELECT max(number) - 3 FROM audit_leaf)"),
        "logg",
        "saknas",
        1,
    ),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_each_trouble_is_named_with_what_to_do_and_nothing_is_changed(place: Path, name: str) -> None:
    change, area, says, code = TROUBLES[name]
    change(place)
    before = state(place)
    found, done = findings(place)
    hits = [one for one in found.get(area, ()) if one["level"] == "fel" and says in one["detail"]]
    assert hits, (bad(found), done.output)
    assert all(one["next_step"] for one in hits)
    assert done.exit_code == code
    assert state(place) == before
    if code == 3:
        assert done.stderr.startswith("Fel: ")


def test_a_database_that_was_not_closed_is_not_touched(place: Path) -> None:
    """Its newest rows lie in the write-ahead log; to read them, SQLite would have to make a file."""
    (place / "data" / "sambud.db-wal").write_bytes(b"x" * 100)
    before = state(place)
    found, done = findings(place)
    assert "stängdes inte" in bad(found)[0]
    assert done.exit_code == 3
    assert state(place) == before


def test_files_that_others_can_read_and_settings_that_are_wrong_are_told(place: Path) -> None:
    (place / "data" / "keys.db").chmod(0o644)
    found, _ = findings(place, SAMBUD_SNAPSHOT_DAYS="14", SAMBUD_WAL_ARCHIVE_DAYS="30")
    assert "chmod 0600" in found["filer"][0]["next_step"]
    assert "30 dygn" in found["gallring"][0]["detail"]
    found, done = findings(place, SAMBUD_PROT="1")
    assert (bad(found), done.exit_code) == (["inställningar: Inställningen prot är okänd. Menade du port?"], 3)


def test_each_setting_is_told_with_its_source_and_never_its_value(place: Path, tmp_path: Path) -> None:
    file = tmp_path / "sambud.toml"
    file.write_text('port = 8081\ntotp_risk_decision = "KS 2026-17"\n')
    told = sources(environment=environment(place) | {"SAMBUD_PORT": "8082"}, config=file, overrides={"host": "::1"})
    assert told == {
        "port": "miljön",
        "totp_risk_decision": f"filen {file}",
        "data_dir": "miljön",
        "root_key_file": "miljön",
        "host": "kommandoraden",
    }
    [one, *_] = doctor.chosen(load(environment=environment(place), config=file), told)
    assert "17" not in one.swedish


class FakeMachine(LocalMachine):
    """A machine in trouble."""

    def __init__(self, free: int, kind: str = "ext4", clock: bool | None = False) -> None:
        super().__init__({})
        self.free, self.kind, self.clock = free, kind, clock

    def space(self) -> dict[str, tuple[int, int]]:
        return {"data": (self.free, 100 * 10**9)}

    def clock_synchronised(self) -> bool | None:
        return self.clock

    def file_system(self, path: Path) -> str:
        return self.kind

    def core_dumps(self) -> bool:
        return True

    def swap(self) -> bool:
        return True

    def open_files(self) -> int:
        return 256


def test_the_machine_s_own_troubles_are_told(place: Path) -> None:
    settings: Settings = load(environment=environment(place))
    levels = [one.level for one in doctor.files(settings, FakeMachine(1, "nfs4"))]
    assert levels == [Level.WRONG]
    assert [one.level for one in doctor.files(settings, FakeMachine(1, "tmpfs"))] == [Level.WARNING]
    for free, level in ((4, Level.WRONG), (9, Level.WARNING), (50, Level.OK)):
        found = {one.area: one.level for one in doctor.surroundings(settings, FakeMachine(free * 10**9))}
        assert found == {"disk": level, "klocka": Level.WARNING, "minne": Level.NOTE, "gränser": Level.WARNING}


def test_what_the_kernel_says_of_file_systems_and_locks_is_read(tmp_path: Path) -> None:
    machine = LocalMachine({"data": tmp_path})
    assert machine.file_system(Path("/proc")) == "proc"
    assert machine.file_system(tmp_path) not in ("", "proc")
    assert machine.open_files() > 0
    assert holder_of(tmp_path / "nobody.lock") == 0


# --- the bundle ------------------------------------------------------------------------------------------------------

CANARIES = (
    "KANARIE",
    "199006022397",
    "19900602-2397",
    "kanarie@prov.example",
    "al-sos",
    "ek-chef",
    "Socialsekreterare",
    "alvesta.ifo.vuxen",
    "lugn-trappa",
    "sambud-root-1",
    ROOT.hex(),
    "hemligt-losen",
    "riskbeslut-KANARIE",
)


def opened(target: Path) -> dict[str, str]:
    with tarfile.open(target) as archive:
        members = {member.name.removeprefix(f"{FOLDER}/"): archive.extractfile(member) for member in archive}
        return {name: file.read().decode() for name, file in members.items() if file}


def test_the_bundle_says_why_each_file_is_there_and_holds_nothing_about_people(place: Path, tmp_path: Path) -> None:
    """A10 over the support bundle: canaries in the log, in settings and in the store's own words."""
    log = tmp_path / "log"
    lines = [
        json.dumps({"event": "refused", "code": "not-found", "correlation": "0b9c2f1e-7d34-4c1a-9f5e-2a6b8c0d1e2f"}),
        json.dumps(
            {
                "event": "KANARIE Prov Provsson 19900602-2397",
                "what": "Kanarie bor på Provgatan",
                "x": ["kanarie@prov.example"],
            }
        ),
        "Traceback (most recent call last): KANARIE 199006022397",
        json.dumps(["KANARIE"]),
        json.dumps(
            {"event": "unexpected", "method": "GET", "what": "KANARIE", "kind": "ValueError", "where": ["a.py:3"]}
        ),
        json.dumps({"event": "x", "token": "KANARIE", "password": "hemligt-losen", "KANARIE Prov": 199006022397}),
    ]
    log.write_text("\n".join(lines) + "\n")
    target = tmp_path / "bundle.tar.gz"
    done = ask(place, "support-bundle", str(target), "--log", str(log), SAMBUD_TOTP_RISK_DECISION="riskbeslut-KANARIE")
    assert done.exit_code == 0, done.output
    assert target.stat().st_mode & 0o777 == 0o600
    parts = opened(target)
    manifest = json.loads(parts["MANIFEST.json"])
    assert set(manifest) == set(parts) - {"MANIFEST.json"}
    assert all(one["why"] for one in manifest.values())
    for name, one in manifest.items():
        assert hashlib.sha256(parts[name].encode()).hexdigest() == one["sha256"]
    assert {"versions.json", "doctor.json", "settings.json", "counts.json", "log.jsonl"} <= set(parts)
    counts = json.loads(parts["counts.json"])
    assert counts["rows"]["delivery"]["opened"] >= 1
    assert counts["schema"]
    hits = [f"{name}: {canary}" for name, text in parts.items() for canary in CANARIES if canary in text]
    print(f"A10, support bundle: {len(parts)} files, {len(CANARIES)} canaries, {len(hits)} hits")
    assert hits == []
    assert '"correlation": "0b9c2f1e-7d34-4c1a-9f5e-2a6b8c0d1e2f"' in parts["log.jsonl"]
    assert '"kind": "ValueError", "where": ["a.py:3"]' in parts["log.jsonl"]
    assert len(parts["log.jsonl"].splitlines()) == len(lines)
    assert ask(place, "support-bundle", str(target)).exit_code == 3  # it never writes over another


def test_a_bundle_is_made_also_when_the_stores_cannot_be_looked_at(place: Path, tmp_path: Path) -> None:
    (place / "root.key").unlink()
    done = ask(place, "support-bundle", str(tmp_path / "b.tar.gz"), SAMBUD_DATABASE="")
    assert done.exit_code == 0
    parts = opened(tmp_path / "b.tar.gz")
    assert "saknas" in parts["doctor.json"]
    assert "counts.json" not in parts


def test_a_database_s_address_is_shown_without_user_password_and_host(place: Path) -> None:
    from gateway.bundle import shown

    settings = load(
        environment=environment(place)
        | {"SAMBUD_DATABASE": "postgresql://kalle:" + "hemligt" + "@db.kommun.example/s?sslmode=x"}
    )
    assert shown(settings, {})["database"]["value"] == "postgresql://[annan dator]"


@pytest.mark.parametrize("line", ["", "{", "null", "3", '"x"', "[]"])
def test_what_is_no_line_of_the_log_leaves_only_that_it_was_there(line: str) -> None:
    told: dict[str, Any] = json.loads(safe_line(line))
    assert set(told) == {"event", "length"}
