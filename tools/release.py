"""Make a release: `python tools/release.py dist` writes dist/sambud-VERSION.tar.gz and its SHA-256.

Why this exists: who installs a release must be able to make it again from the same commit and get the same octets, or a
changed build cannot be told from an honest one. So every time in it is that of the commit (SOURCE_DATE_EPOCH), names
are sorted, owners are nobody's, and the builder is a pinned package of requirements-dev.lock, run without a network.

The archive holds wheel, requirements.lock, install.sh, sambudctl, units, SBOM, documents, and SHA256SUMS of all.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tools.supply import write_sbom

ROOT = Path(__file__).parent.parent
FILES = ("requirements.lock", "LICENSE", "deploy/install.sh", "deploy/sambudctl", "deploy/sambud.toml")
FOLDERS = ("deploy/systemd", "deploy/proxy", "deploy/container", "deploy/monitoring", "deploy/mail")
DOCUMENTS = ("operations.md", "CHANGELOG.md", "SECURITY.md", "backup.md")


def commit_time() -> int:
    """SOURCE_DATE_EPOCH, else when the commit was made."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        return int(os.environ["SOURCE_DATE_EPOCH"])
    shown = subprocess.run(
        ["git", "show", "-s", "--format=%ct", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return int(shown.stdout)


def build_wheel(into: Path, epoch: int) -> Path:
    """The wheel, by the installed hatchling; no build environment is fetched."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)],
        cwd=ROOT,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
        capture_output=True,
    )
    [wheel] = into.glob("sambud-*.whl")
    return wheel


def gather(folder: Path, epoch: int) -> None:
    """Everything a release holds, as files, with SHA256SUMS last."""
    folder.mkdir(parents=True)
    wheel = build_wheel(folder, epoch)
    for name in FILES:
        shutil.copy(ROOT / name, folder / Path(name).name)
    for name in FOLDERS:
        if (ROOT / name).exists():
            shutil.copytree(ROOT / name, folder / Path(name).name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "doc").mkdir()
    for name in DOCUMENTS:
        if (ROOT / "docs" / name).exists():
            shutil.copy(ROOT / "docs" / name, folder / "doc" / name)
    write_sbom(folder / "sbom.cdx.json", wheel.name.split("-")[1])
    sums = [f"{_sha256(path)}  {path.relative_to(folder)}\n" for path in sorted(folder.rglob("*")) if path.is_file()]
    (folder / "SHA256SUMS").write_text("".join(sums), "utf-8")


def pack(folder: Path, target: Path, epoch: int) -> None:
    """A tar.gz in which nothing depends on who packed it, where or when."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(folder.rglob("*")):
            entry = archive.gettarinfo(path, str(path.relative_to(folder.parent)))
            entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = epoch, 0, 0, "", ""
            entry.mode = 0o755 if path.is_dir() or path.name in ("install.sh", "sambudctl") else 0o644
            with path.open("rb") if path.is_file() else io.BytesIO() as content:
                archive.addfile(entry, content if path.is_file() else None)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file, gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=epoch) as packed:
        packed.write(plain.getvalue())


def make(into: Path) -> Path:
    epoch = commit_time()
    with tempfile.TemporaryDirectory() as work:
        first = Path(work) / "release"
        gather(first, epoch)
        [wheel] = first.glob("sambud-*.whl")
        folder = first.rename(Path(work) / f"sambud-{wheel.name.split('-')[1]}")
        target = into / f"{folder.name}.tar.gz"
        pack(folder, target, epoch)
    return target


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    made = make(Path(sys.argv[1] if len(sys.argv) > 1 else "dist"))
    print(f"{_sha256(made)}  {made}")
