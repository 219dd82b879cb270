"""The doctor's look at what configured channels need on this machine: programs, packages, the scanner's socket.

Why this exists: a gateway that was copied to a new machine starts with what pip brought, and lacks what the
distribution brings; that shows when the first mail comes in. Nothing is started and nobody is asked.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from gateway.doctor import Finding, good, wrong
from gateway.settings import Settings

AREA: Final = "program"
_PAGES: Final = ("typst", "pypdf")
_SDK: Final = ("lxml",)
_INSTALL: Final = "Kör om ./sambud, eller installera om från requirements.lock."


def programs(
    settings: Settings,
    *,
    which: Callable[[str], str | None] = shutil.which,
    package: Callable[[str], object | None] = find_spec,
) -> list[Finding]:
    """What is missing for the ways that the settings name. `which` and `package` find a program and a package."""
    findings = []
    if settings.smime_keys:
        if which("openssl"):
            findings.append(good(AREA, "openssl finns: säker e-post kan läsas."))
        else:
            said = "Programmet openssl saknas: utan det kan säker e-post inte läsas."
            findings.append(wrong(AREA, said, "Installera Debians paket openssl."))
    pages = _PAGES if settings.smime_keys or settings.sdk_url else ()
    missing = [name for name in (*pages, *(_SDK if settings.sdk_url else ())) if package(name) is None]
    if missing:
        said = f"Det som SDK och säker e-post gör blanketter med saknas: {', '.join(missing)}."
        findings.append(wrong(AREA, said, _INSTALL))
    elif pages:
        findings.append(good(AREA, "Det som blanketter görs till PDF med finns."))
    if settings.clamd.startswith("/") and not Path(settings.clamd).exists():
        said = f"Skannerns uttag {settings.clamd} finns inte: bilagor väntar i karantän."
        findings.append(wrong(AREA, said, "Starta clamd (Debian: clamav-daemon), eller rätta SAMBUD_CLAMD."))
    return findings
