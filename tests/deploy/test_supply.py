"""What we are made of: licences, parts, known faults (security.md rows S01 to S03), and what an index may not slip in."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tools.supply import (
    ALLOWED,
    ALLOWED_IN_DEVELOPMENT,
    DEVELOPMENT,
    RUNTIME,
    judged,
    licence_faults,
    locked,
    permitted,
    write_sbom,
)

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.slow

# --- S02: licences ---------------------------------------------------------------------------------------------------


def test_every_package_of_the_locks_has_a_licence_on_the_list() -> None:
    """Row S02. What only tools use may be MPL-2.0 as well; what runs with the gateway may not."""
    assert licence_faults(RUNTIME, ALLOWED) == []
    assert licence_faults(DEVELOPMENT, ALLOWED_IN_DEVELOPMENT) == []
    assert len(locked(RUNTIME)) > 25


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ("License-Expression: GPL-3.0-or-later", "GPL-3.0-or-later"),
        ("License-Expression: AGPL-3.0-only", "AGPL-3.0-only"),
        ("License-Expression: LGPL-2.1-only", "LGPL-2.1-only"),
        ("License-Expression: MIT AND GPL-2.0-only", "GPL-2.0-only"),
        ("License-Expression: MIT AND Unheard-Of", "Unheard-Of"),
        ("Classifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)", "no licence"),
        ("License: see the web", "no licence"),
        ("", "no licence"),
    ],
)
def test_a_package_that_turns_gpl_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metadata: str, said: str
) -> None:
    """Row S02: an upgrade brings another licence; nobody has to notice it."""
    info = tmp_path / "newcomer-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: newcomer\nVersion: 1.0\n{metadata}\n\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    lock = tmp_path / "some.lock"
    lock.write_text("newcomer==1.0 \\\n    --hash=sha256:00\n")
    [fault] = licence_faults(lock, ALLOWED)
    assert "newcomer 1.0" in fault
    assert said in fault


def test_a_package_that_is_locked_and_not_here_is_not_taken_for_good(tmp_path: Path) -> None:
    lock = tmp_path / "some.lock"
    lock.write_text(
        "not-here==1.0 \\\n    --hash=sha256:00\nelsewhere==1 ; sys_platform == 'win32' \\\n    --hash=sha256:00\n"
    )
    [fault] = licence_faults(lock, ALLOWED)
    assert fault.startswith("not-here")


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("MIT", True),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only AND MIT", False),
        ("(GPL-3.0-only OR Apache-2.0) AND BSD-3-Clause", True),
        ("Apache-2.0 WITH LLVM-exception", False),
        ("MPL-2.0", False),
        ("", False),
        ("Apache License", False),
    ],
)
def test_one_side_of_an_or_is_enough_and_both_sides_of_an_and_are_needed(expression: str, holds: bool) -> None:
    """SPDX annex D: licence expressions."""
    assert permitted(expression, ALLOWED) is holds


def test_the_list_of_parts_names_every_package_with_hashes_and_licence_and_every_vendored_file(tmp_path: Path) -> None:
    """CycloneDX 1.6, as cyclonedx-py makes and checks it."""
    target = tmp_path / "sbom.cdx.json"
    count = write_sbom(target, "0.1.0")
    document = json.loads(target.read_text())
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    packages = {part["name"]: part for part in document["components"] if part["type"] == "library"}
    assert {name.lower().replace("_", "-") for name in packages} == set(locked(RUNTIME))
    for part in packages.values():
        assert part["externalReferences"][0]["hashes"], part["name"]
    without = {name for name, part in packages.items() if "licenses" not in part}
    assert without <= {name for name, marker in locked(RUNTIME).items() if marker}
    assert [part["name"] for part in document["components"] if "htmx" in part["name"]]
    assert count == len(document["components"])


# --- known vulnerabilities -------------------------------------------------------------------------------------------

CLEAN = {"name": "aiohttp", "version": "3.14.5", "vulns": []}
FOUND = {"name": "aiohttp", "version": "3.9.0", "vulns": [{"id": "PYSEC-2024-24", "fix_versions": ["3.9.2"]}]}
AWAY = {"name": "aiohttp", "skip_reason": "Dependency not found and could not be audited: aiohttp (3.14.5)"}


@pytest.mark.parametrize(
    ("report", "findings", "says"),
    [
        (json.dumps({"dependencies": [CLEAN], "fixes": []}), 0, "none known in 1 packages"),
        (json.dumps({"dependencies": [FOUND, CLEAN], "fixes": []}), 1, "PYSEC-2024-24, mended in 3.9.2"),
        (json.dumps({"dependencies": [AWAY], "fixes": []}), 0, "NOT CHECKED"),
        (json.dumps({"dependencies": [AWAY, CLEAN], "fixes": []}), 0, "1 NOT CHECKED"),
        ("", 0, "NOT CHECKED"),
        ("Traceback", 0, "NOT CHECKED"),
        ("[]", 0, "NOT CHECKED"),
    ],
    ids=["clean", "finding", "away", "half-away", "empty", "broken", "other-shape"],
)
def test_a_service_that_does_not_answer_is_never_told_as_nothing_known(report: str, findings: int, says: str) -> None:
    asked = max(1, report.count('"name"'))
    judgement = judged(report, asked)
    assert len(judgement.findings) == findings
    assert says in str(judgement)


# --- S01: what an index may not slip in ------------------------------------------------------------------------------


def a_wheel(folder: Path, *, name: str = "parts", version: str = "1.0", body: str = "", needs: str = "") -> Path:
    """A small wheel, written by hand."""
    folder.mkdir(exist_ok=True)
    target = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(f"{name}.py", body)
        needed = f"Requires-Dist: {needs}\n" if needs else ""
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return target


def a_lock(folder: Path, *wheels: Path) -> None:
    lines = []
    for wheel in wheels:
        name, version = wheel.name.split("-")[:2]
        lines.append(f"{name}=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
    (folder / "requirements.lock").write_text("".join(lines))


def installs(house: Path, **settings: str) -> tuple[bool, str, list[str]]:
    """Start the launcher as it is, with a pip that sees only what `settings` name; whether it came to the command."""
    (house / "gateway").mkdir(exist_ok=True)
    (house / "gateway" / "__main__.py").write_text("print('started')\n")
    (house / "sambud").write_bytes((ROOT / "sambud").read_bytes())
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(house),
        "SAMBUD_PYTHON": sys.base_prefix + "/bin/python3",
        "PIP_CONFIG_FILE": "/dev/null",
        **settings,
    }
    done = subprocess.run(
        ["sh", str(house / "sambud"), "demo"], env=environment, cwd="/", capture_output=True, text=True, timeout=120
    )
    packages = sorted(path.name for path in house.glob(".venv/lib/*/site-packages/*.py"))
    return "started" in done.stdout, done.stdout + done.stderr, packages


@contextmanager
def an_index(folder: Path) -> Iterator[str]:
    """A package index on loopback, in the simple form (PEP 503)."""
    handler = partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


def test_packages_of_the_lock_are_installed_from_a_folder(tmp_path: Path) -> None:
    """The case that must work, or the six that must not would prove nothing."""
    a_lock(tmp_path, a_wheel(tmp_path / "wheels"))
    started, said, packages = installs(tmp_path, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path / "wheels"))
    assert started, said
    assert packages == ["parts.py"]


def test_a_package_with_a_changed_hash_is_not_installed(tmp_path: Path) -> None:
    """Row S01, 1 of 6: the same name and version, other octets."""
    a_lock(tmp_path, a_wheel(tmp_path / "wheels"))
    a_wheel(tmp_path / "wheels", body="print('ours now')\n")
    started, said, packages = installs(tmp_path, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path / "wheels"))
    assert not started
    assert "DO NOT MATCH THE HASHES" in said
    assert "gick inte att installera" in said
    assert packages == []


def test_an_index_that_is_not_ours_gets_nothing_in(tmp_path: Path) -> None:
    """Row S01, 2 of 6: somebody's index is asked first and has a package of that name and version."""
    a_lock(tmp_path, a_wheel(tmp_path / "wheels"))
    theirs = a_wheel(tmp_path / "index", body="print('ours now')\n")
    page = tmp_path / "index" / "parts" / "index.html"
    page.parent.mkdir()
    page.write_text(f'<!doctype html><a href="../{theirs.name}">{theirs.name}</a>')
    with an_index(tmp_path / "index") as address:
        started, said, packages = installs(tmp_path, PIP_INDEX_URL=address)
    assert not started
    assert "DO NOT MATCH THE HASHES" in said
    assert packages == []


def test_a_dependency_that_nobody_locked_is_not_fetched(tmp_path: Path) -> None:
    """Row S01, 3 of 6: a typo or a newcomer among the needs of a locked package."""
    a_lock(tmp_path, a_wheel(tmp_path / "wheels", needs="partz"))
    a_wheel(tmp_path / "wheels", name="partz", body="print('nearly the same name')\n")
    started, said, packages = installs(tmp_path, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path / "wheels"))
    assert not started
    assert "partz" in said
    assert packages == []


def test_a_source_package_is_never_built_on_the_machine(tmp_path: Path) -> None:
    """Row S01, 4 of 6: building runs the package's own code, before anybody could look at it."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    source = wheels / "parts-1.0.tar.gz"
    ran = f"open({str(tmp_path / 'ran')!r}, 'w').close()\n"
    files = {
        "PKG-INFO": "Metadata-Version: 2.1\nName: parts\nVersion: 1.0\n",
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "own"\nbackend-path = ["."]\n',
        "own.py": ran,  # a builder of its own: pip needs nothing else to run it
    }
    with tarfile.open(source, "w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"parts-1.0/{name}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    (tmp_path / "requirements.lock").write_text(f"parts==1.0 --hash=sha256:{digest}\n")
    started, _, packages = installs(tmp_path, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(wheels))
    assert not started
    assert packages == []
    assert not (tmp_path / "ran").exists()


def test_a_version_that_is_gone_from_the_index_is_not_replaced_by_another(tmp_path: Path) -> None:
    """Row S01, 5 of 6: withdrawn, and a newer one stands in its place."""
    a_lock(tmp_path, a_wheel(tmp_path / "wheels"))
    (tmp_path / "wheels" / "parts-1.0-py3-none-any.whl").unlink()
    a_wheel(tmp_path / "wheels", version="1.0.1")
    started, said, packages = installs(tmp_path, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path / "wheels"))
    assert not started
    assert "parts==1.0" in said
    assert packages == []


def test_a_line_of_the_lock_without_a_hash_is_not_installed(tmp_path: Path) -> None:
    """Row S01, 6 of 6: an edit of the lock that lost what it is for."""
    a_wheel(tmp_path / "wheels")
    (tmp_path / "requirements.lock").write_text("parts==1.0\n")
    started, said, packages = installs(tmp_path, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path / "wheels"))
    assert not started
    assert "parts==1.0" in said
    assert packages == []
