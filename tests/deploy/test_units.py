"""The systemd units: they are understood, they confine what they should, and one file confines all (security.md 7.4)."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
UNITS = ROOT / "deploy" / "systemd"
SERVICES = ("sambud.service", "sambud-backup.service")
#: 1.3 is seen with 252 where it runs, 1.5 offline; the scale ends at 10. Asking for the clock costs 0.4 of it.
MOST_EXPOSED = 1.7


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        if os.environ.get("SAMBUD_REQUIRE_PEERS"):
            pytest.fail(f"{name} is missing: install the package systemd")
        pytest.skip(f"{name} is missing: the package systemd brings it")
    return found


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A root folder with the units where install.sh puts them, and something to execute."""
    system = tmp_path / "usr/local/lib/systemd/system"
    for folder in ("sambud-.service.d", "sambud.service.d"):
        (system / folder).mkdir(parents=True)
        shutil.copy(UNITS / "sambud-.service.d" / "confinement.conf", system / folder)
    for unit in UNITS.glob("sambud*.*"):
        if unit.suffix in (".service", ".timer"):
            shutil.copy(unit, system)
    program = tmp_path / "opt/sambud/current/bin/sambud"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    own = Path("/usr/lib/systemd/system")
    shutil.copytree(own, tmp_path / "usr/lib/systemd/system", symlinks=True)
    return tmp_path


@pytest.mark.slow
def test_systemd_understands_every_line_of_the_units(machine: Path) -> None:
    """`systemd-analyze verify` says nothing; an unknown word in a unit is only a warning, and then it confines nothing."""
    analyze = tool("systemd-analyze")
    names = [*SERVICES, "sambud-backup.timer"]
    done = subprocess.run(
        [analyze, "verify", f"--root={machine}", "--man=no", "--recursive-errors=no", *names],
        capture_output=True,
        text=True,
        timeout=60,
    )
    ours = [line for line in done.stderr.splitlines() if "sambud" in line or "confinement" in line]
    assert not ours
    unit = machine / "usr/local/lib/systemd/system/sambud.service"
    unit.write_text(unit.read_text() + "ProtectSystm=strict\n")
    broken = subprocess.run(
        [analyze, "verify", f"--root={machine}", "--man=no", "--recursive-errors=no", "sambud.service"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "ProtectSystm" in broken.stderr, "the tool was not looking"


@pytest.mark.slow
@pytest.mark.parametrize("service", SERVICES)
def test_the_services_are_as_little_exposed_as_was_measured(machine: Path, service: str) -> None:
    analyze = tool("systemd-analyze")
    done = subprocess.run(
        [analyze, "security", "--offline=yes", f"--root={machine}", "--no-pager", service],
        capture_output=True,
        text=True,
        timeout=60,
    )
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stderr
    print(f"{service}: exposure {found[1]}")
    assert float(found[1]) <= MOST_EXPOSED


def lines(path: Path) -> dict[str, list[str]]:
    """Keys of [Service] with all their values."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ProtectSystem", "strict"),
        ("PrivateTmp", "yes"),
        ("NoNewPrivileges", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("SystemCallFilter", "@system-service"),
        ("LimitCORE", "0"),
        ("MemorySwapMax", "0"),
        ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6"),
        ("IPAddressDeny", "any"),
        ("IPAddressAllow", "localhost"),
        ("CapabilityBoundingSet", ""),
        ("User", "sambud"),
        ("LoadCredential", "root.key:/etc/sambud/root.key"),
    ],
)
def test_the_confinement_keeps_what_the_specification_asks_for(key: str, value: str) -> None:
    """security.md 7.4, line by line."""
    assert value in lines(UNITS / "sambud-.service.d" / "confinement.conf").get(key, [])


@pytest.mark.parametrize("service", SERVICES)
def test_no_service_loosens_what_all_are_confined_by(service: str) -> None:
    """What stands in a unit beside its drop-in would be set aside by it or set it aside; neither should be guessed."""
    confined = lines(UNITS / "sambud-.service.d" / "confinement.conf")
    assert not set(lines(UNITS / service)) & set(confined)


def test_the_root_key_is_handed_over_and_its_folder_is_away() -> None:
    confined = lines(UNITS / "sambud-.service.d" / "confinement.conf")
    assert "SAMBUD_ROOT_KEY_FILE=%d/root.key" in confined["Environment"]
    assert "-/etc/sambud" in confined["InaccessiblePaths"]


def test_every_unit_that_is_installed_exists_and_none_is_forgotten() -> None:
    script = (ROOT / "deploy" / "install.sh").read_text("utf-8")
    for unit in UNITS.iterdir():
        assert unit.name in script, unit.name


@pytest.mark.parametrize("script", ["install.sh", "sambudctl"])
def test_the_scripts_are_posix_shell(script: str) -> None:
    """Debian's /bin/sh is dash; it reads them without running them."""
    text = (ROOT / "deploy" / script).read_text("utf-8")
    assert text.startswith("#!/bin/sh\n")
    subprocess.run(["/bin/sh", "-n", str(ROOT / "deploy" / script)], check=True, timeout=30)
    assert not re.search(r"\[\[|\bfunction\b|<<<|\blocal [a-z]|\bdeclare\b", text)


def test_settings_that_the_example_names_exist() -> None:
    """Each line of the example, once its comment sign is taken away, is a setting with a value it takes."""
    from gateway.settings import Settings

    example = (ROOT / "deploy" / "sambud.toml").read_text("utf-8")
    parser = configparser.ConfigParser()
    parser.read_string("[all]\n" + "\n".join(re.findall(r"^# (\w+ = .*)$", example, re.MULTILINE)))
    assert len(parser["all"]) >= 3
    assert set(parser["all"]) <= set(Settings.model_fields)


def test_commands_that_an_operator_is_told_to_type_exist() -> None:
    """docs/operations.md: a runbook that names a command which is gone is found here, not at night."""
    from gateway.cli import main

    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    named = set(re.findall(r"sambudctl ([a-z][a-z-]+)", text))
    assert named >= {"init", "doctor", "directory", "audit"}
    assert named <= set(main.commands)
