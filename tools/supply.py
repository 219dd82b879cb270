"""What we are made of, checked: `python tools/supply.py check build` after both locks are installed.

Why this exists: a package comes with its licence and with its faults, and both arrive by an upgrade that nobody reads.
So each run says of every package in the locks which licence it has (one that is not on the list ends the run), writes
the list of parts as CycloneDX, and asks whether a vulnerability is known.

Rules: a package without a licence we can name is a failure, not a guess. A vulnerability service that does not answer
is told as "not checked", never as "none known". A finding ends the run.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from license_expression import ExpressionError, get_spdx_licensing

ROOT: Final = Path(__file__).parent.parent
RUNTIME: Final = ROOT / "requirements.lock"
DEVELOPMENT: Final = ROOT / "requirements-dev.lock"
VENDORED: Final = ROOT / "adapters" / "http" / "static" / "vendor" / "VENDOR.json"
PIP_AUDIT_S: Final = 60

#: What an authority may run and pass on without opening its own code. Nothing that reaches into our files.
ALLOWED: Final = frozenset(
    {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "PSF-2.0", "Unicode-3.0", "Zlib"}
)
#: In tools alone, which nobody installs with the gateway: MPL-2.0 binds changes to its own files.
ALLOWED_IN_DEVELOPMENT: Final = ALLOWED | {"MPL-2.0"}

#: Older metadata has words where SPDX has names. Each is one spelling seen in a package of the locks.
SPELLINGS: Final[Mapping[str, str]] = {
    "apache 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd 2-clause license": "BSD-2-Clause",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "psfl": "PSF-2.0",
    "python software foundation license": "PSF-2.0",
}
#: No licence in the metadata, or one word for several licences: read in the licence file of the package, this version
#: or any later one with the same file (the file's first words are checked).
READ_BY_HAND: Final[Mapping[str, tuple[str, str]]] = {
    "axe-playwright-python": ("MIT AND MPL-2.0", "MIT License"),  # MPL-2.0 is axe-core, which it brings
    "cedarpy": ("Apache-2.0", "Apache License Version 2.0"),
    "jinja2": ("BSD-3-Clause", "Redistribution and use in source and binary forms"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A package of a lock, as it is installed here."""

    name: str
    version: str
    licence: str  # SPDX, or "" when nobody can tell


@functools.cache
def _spdx() -> Any:
    return get_spdx_licensing()  # reads 600 licences: once


def locked(lock: Path) -> dict[str, str]:
    """Names of a lock, normalised, with the marker that may leave a package out (PEP 508), "" for always."""
    found = {}
    for line in lock.read_text("utf-8").splitlines():
        if match := re.match(r"([A-Za-z0-9][A-Za-z0-9._-]*)==\S+(?:\s*;\s*(.+?))?\s*\\?$", line):
            found[normal(match[1])] = match[2] or ""
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def parts(lock: Path) -> tuple[list[Part], list[str]]:
    """The packages of `lock` that are installed, and the names of those that are not."""
    installed = {normal(found.name): found for found in importlib.metadata.distributions() if found.name}
    here, absent = [], []
    for name in locked(lock):
        if found := installed.get(name):
            here.append(Part(name=name, version=found.version, licence=licence_of(name, found)))
        else:
            absent.append(name)
    return here, absent


def licence_of(name: str, found: importlib.metadata.Distribution) -> str:
    """SPDX from License-Expression (PEP 639), else from the older fields, else what was read by hand; else ""."""
    if name in READ_BY_HAND:
        spdx, words = READ_BY_HAND[name]
        return spdx if words in _licence_text(found) else ""
    metadata = found.metadata
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classifiers = [
        line.rpartition("::")[2].strip()
        for line in metadata.get_all("Classifier") or ()
        if line.startswith("License ::") and not line.endswith("OSI Approved")
    ]
    field = str(metadata.get("License") or "")
    first = field.strip().splitlines()[0].strip() if field.strip() else ""
    for words in (first, *(classifiers if len(classifiers) == 1 else ())):
        spdx = SPELLINGS.get(words.lower(), words)
        if spdx in ALLOWED_IN_DEVELOPMENT or _known(spdx):
            return spdx
    return ""


def _known(expression: str) -> bool:
    """Whether it is SPDX: names known and put together rightly."""
    try:
        return bool(expression) and not _spdx().validate(expression).errors
    except ExpressionError:
        return False


def _licence_text(found: importlib.metadata.Distribution) -> str:
    for file in found.files or ():
        if re.search(r"dist-info/(?:licenses/)?LICEN[SC]E", str(file)):
            return " ".join(Path(str(file.locate())).read_text("utf-8", "replace").split())
    return ""


def permitted(expression: str, allowed: Iterable[str]) -> bool:
    """Whether we may use what has this licence: one side of an OR, both of an AND; a WITH is a name of its own."""
    if not _known(expression):
        return False
    names = set(allowed)

    def holds(node: Any) -> bool:
        kind = type(node).__name__
        if kind == "AND":
            return all(holds(part) for part in node.args)
        if kind == "OR":
            return any(holds(part) for part in node.args)
        return str(node) in names

    return holds(_spdx().parse(expression))


def licence_faults(lock: Path, allowed: Iterable[str]) -> list[str]:
    """What keeps a lock's packages from being used; none is good."""
    here, absent = parts(lock)
    faults = [
        f"{part.name} {part.version}: {part.licence or 'no licence that can be named'} is not on the list"
        for part in here
        if not permitted(part.licence, allowed)
    ]
    markers = locked(lock)
    return faults + [
        f"{name}: in {lock.name} and not installed, so not checked" for name in absent if not markers[name]
    ]


def write_sbom(target: Path, version: str) -> int:
    """CycloneDX 1.6 of what the gateway runs with: packages with hashes and licences, and the vendored files.

    cyclonedx-py reads the lock; licences and vendored files, which a lock does not hold, are added here.
    """
    environment = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "sbom.json"
        options = ["--output-reproducible", "--short-PURLs", "--output-format", "JSON", "-o", str(made), str(RUNTIME)]
        subprocess.run(
            [
                sys.executable,
                "-m",
                "cyclonedx_py",
                "requirements",
                "--pyproject",
                str(ROOT / "pyproject.toml"),
                *options,
            ],
            check=True,
            capture_output=True,
            env=environment,
        )
        document = json.loads(made.read_text("utf-8"))
    licences = {part.name: part.licence for part in parts(RUNTIME)[0]}
    for component in document["components"]:
        component.pop("description", None)  # the line of the lock once more
        if licence := licences.get(normal(component["name"])):
            component["licenses"] = [{"expression": licence}]
    document["components"] += _vendored()
    document["metadata"]["component"]["version"] = version
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", "utf-8")
    return len(document["components"])


def _vendored() -> list[dict[str, Any]]:
    listed = json.loads(VENDORED.read_text("utf-8"))
    return [
        {
            "type": "file",
            "bom-ref": f"vendored-{one['file']}",
            "name": one["file"],
            "group": one["package"],
            "version": one["version"],
            "hashes": [{"alg": "SHA-256", "content": one["sha256"]}],
            "licenses": [{"expression": one["licence"]}],
        }
        for one in listed
        if not one["file"].endswith(".LICENSE")
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the vulnerability service knew."""

    findings: tuple[str, ...]
    checked: int
    asked: int

    def __str__(self) -> str:
        if self.findings:
            return "known vulnerabilities:\n  " + "\n  ".join(self.findings)
        if not self.checked:
            return f"vulnerabilities: NOT CHECKED, the service of the package index answered for 0 of {self.asked}"
        missing = "" if self.checked == self.asked else f"; {self.asked - self.checked} NOT CHECKED"
        return f"vulnerabilities: none known in {self.checked} packages{missing}"


def judged(report: str, asked: int) -> Judgement:
    """Read pip-audit's JSON; what is no JSON is no answer."""
    try:
        dependencies = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return Judgement(findings=(), checked=0, asked=asked)
    answered = [one for one in dependencies if "skip_reason" not in one]
    findings = tuple(
        f"{one['name']} {one['version']}: {found['id']}, mended in {', '.join(found['fix_versions']) or 'no version'}"
        for one in answered
        for found in one["vulns"]
    )
    return Judgement(findings=findings, checked=len(answered), asked=asked)


def vulnerabilities(lock: Path) -> Judgement:
    """Ask the package index's vulnerability service about every package of `lock`."""
    asked = len(locked(lock))
    try:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pip_audit",
                "-r",
                str(lock),
                "--disable-pip",
                "--progress-spinner",
                "off",
                "-f",
                "json",
            ],
            capture_output=True,
            text=True,
            timeout=PIP_AUDIT_S,
        )
    except subprocess.TimeoutExpired:
        return Judgement(findings=(), checked=0, asked=asked)
    return judged(done.stdout, asked)


def check(build: Path) -> int:
    """Everything, told in lines; 1 when something must be mended."""
    faults = licence_faults(RUNTIME, ALLOWED) + licence_faults(DEVELOPMENT, ALLOWED_IN_DEVELOPMENT)
    for fault in faults:
        print(f"licence: {fault}")
    if not faults:
        print(f"licences: all of {len(locked(RUNTIME))} and {len(locked(DEVELOPMENT))} packages are on the list")
    target = build / "sbom.cdx.json"
    print(f"parts: {write_sbom(target, project_version())} in {target}")
    known = vulnerabilities(RUNTIME)
    print(known)
    return 1 if faults or known.findings else 0


def project_version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"])


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] != "check":
        sys.exit("usage: python tools/supply.py check BUILD_FOLDER")
    sys.exit(check(Path(sys.argv[2])))
