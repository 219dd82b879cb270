"""A release can be made again, octet for octet (security.md row S03), and holds what an installation needs."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.slow

MAKE = "import sys; from pathlib import Path; from tools.release import make; print(make(Path(sys.argv[1])))"


def made(into: Path, **otherwise: str) -> Path:
    """A release, made by a process of its own."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000", "PYTHONPATH": str(ROOT), **otherwise}
    done = subprocess.run(
        [sys.executable, "-c", MAKE, str(into)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def test_a_release_made_twice_is_the_same_and_holds_everything(tmp_path: Path) -> None:
    """Row S03: another day, place, mask, order of hashing and home; the same octets."""
    first = made(tmp_path / "a")
    second = made(tmp_path / "b", TZ="Asia/Tokyo", PYTHONHASHSEED="7", HOME=str(tmp_path), LC_ALL="C")
    assert first.read_bytes() == second.read_bytes()

    (tmp_path / "out").mkdir()
    # As an operator unpacks it; `filter` of tarfile came with Python 3.11.4, and Debian bookworm has 3.11.2.
    subprocess.run(["tar", "-xf", str(first), "-C", str(tmp_path / "out")], check=True, timeout=60)
    [folder] = (tmp_path / "out").iterdir()
    sums = dict(line.split("  ")[::-1] for line in (folder / "SHA256SUMS").read_text().splitlines())
    present = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {"SHA256SUMS"}
    assert set(sums) == present
    for name, digest in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    needed = {"install.sh", "sambudctl", "sambud.toml", "requirements.lock", "sbom.cdx.json", "doc/operations.md"}
    assert needed | {"systemd/sambud.service", "proxy/sambud.conf", "container/Containerfile"} <= present

    [wheel] = folder.glob("*.whl")
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"gateway", "adapters", "keys", "policies"}


def test_the_wheel_holds_every_file_that_the_packages_have(tmp_path: Path) -> None:
    """A template, rule or style sheet that is missing would be seen by the first user, not by us."""
    from tools.release import build_wheel

    names = set(zipfile.ZipFile(build_wheel(tmp_path, 1700000000)).namelist())
    listed = subprocess.run(
        ["git", "ls-files", "-z", "gateway", "adapters", "keys", "policies"], cwd=ROOT, capture_output=True, check=True
    )
    wanted = {name for name in listed.stdout.decode().split("\0") if name}
    if not wanted:
        pytest.skip("not a git checkout")
    assert wanted <= names
