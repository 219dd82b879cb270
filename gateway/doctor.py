"""What a gateway stands on, looked at and never touched: each finding says what is wrong and what to do.

Why this exists: most nights something beside the program is wrong (a full disk, a file that somebody moved, a clock),
and the program's own error names only what it met first. The doctor looks at everything it can, also while the gateway
serves and also when it cannot start, and changes nothing: no lock is taken, no schema brought up to date, no file made.

Rules: a finding names files, settings, ids of authorities and numbers; never a person, never content, never a secret.
"""

from __future__ import annotations

import importlib.metadata
import platform
import sqlite3
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway import logs
from gateway.backup import horizon
from gateway.backupports import StoreTools
from gateway.errors import GatewayError
from gateway.health import MOST_RESERVED
from gateway.model.base import MINUTE, SECOND, Instant
from gateway.settings import Settings
from gateway.usecases import Gateway

PACKAGES: Final = ("gateway", "adapters", "keys", "policies")
#: What a fault is asked about first.
LIBRARIES: Final = (
    "aiohttp",
    "alembic",
    "asyncpg",
    "cedarpy",
    "cryptography",
    "prometheus-client",
    "pydantic",
    "sqlalchemy",
    "structlog",
    "tzdata",
)
OLDEST_PYTHON: Final = (3, 11)


class Level(StrEnum):
    """How bad it is: as it should be, worth knowing, worth mending soon, wrong."""

    OK = "ok"
    NOTE = "obs"
    WARNING = "varning"
    WRONG = "fel"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    area: str
    level: Level
    swedish: str
    next_step: str = ""

    def as_dict(self) -> dict[str, str]:
        return {"area": self.area, "level": str(self.level), "detail": self.swedish, "next_step": self.next_step}


class MachineLook(Protocol):
    """What the machine says of itself (adapters/machine.py)."""

    def space(self) -> Mapping[str, tuple[int, int]]: ...
    def clock_synchronised(self) -> bool | None: ...
    def file_system(self, path: Path) -> str: ...
    def core_dumps(self) -> bool: ...
    def swap(self) -> bool: ...
    def open_files(self) -> int: ...


def good(area: str, swedish: str) -> Finding:
    return Finding(area, Level.OK, swedish)


def wrong(area: str, swedish: str, next_step: str, level: Level = Level.WRONG) -> Finding:
    return Finding(area, level, swedish, next_step)


def of_error(area: str, error: GatewayError) -> Finding:
    """An error met while looking."""
    return Finding(area, Level.WRONG, error.swedish, error.next_step)


def unreadable(area: str, bug: Exception) -> Finding:
    """A look that ended in an unexpected way: its kind and place, never its text."""
    place = logs.where(bug)[-1:]
    return Finding(
        area,
        Level.WRONG,
        f"Det gick inte att läsa färdigt ({type(bug).__name__} i {', '.join(place)}).",
        "Kör 'sambud audit verify'. Skicka ett supportpaket ('sambud support-bundle') till den som hjälper dig.",
    )


def exit_code(findings: Iterable[Finding]) -> int:
    """1 when something is wrong, else 0: warnings are for the morning."""
    return int(any(found.level is Level.WRONG for found in findings))


# --- the program -----------------------------------------------------------------------------------------------------


def versions() -> dict[str, str]:
    """Program, Python and libraries."""
    found = {"sambud": _version("sambud") or "utcheckning", "python": platform.python_version()}
    found["sqlite"] = sqlite3.sqlite_version
    found |= {name: _version(name) or "saknas" for name in LIBRARIES}
    return found


def program() -> list[Finding]:
    """Python, the four packages, the time zones."""
    area = "program"
    told = versions()
    findings = [good(area, f"sambud {told['sambud']}, Python {told['python']}, SQLite {told['sqlite']}")]
    if sys.version_info < OLDEST_PYTHON:
        findings.append(wrong(area, "Python är för gammal.", "Installera Python 3.11 eller nyare."))
    owners = importlib.metadata.packages_distributions()
    foreign = {name: set(owners.get(name, ())) - {"sambud"} for name in PACKAGES}
    for name, others in foreign.items():
        if others:
            findings.append(
                wrong(
                    area,
                    f"Paketet {name} kommer också från {', '.join(sorted(others))}: fel kod kan köras.",
                    "Installera sambud i en egen virtuell miljö, utan andra paket.",
                )
            )
    try:
        ZoneInfo("Europe/Stockholm")
    except ZoneInfoNotFoundError:
        findings.append(wrong(area, "Tidszonen Europe/Stockholm saknas.", "Installera paketet tzdata."))
    return findings


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


# --- settings, files, machine ----------------------------------------------------------------------------------------


def chosen(settings: Settings, sources: Mapping[str, str]) -> list[Finding]:
    """The settings that are not defaults, where each comes from, and what they weaken."""
    area = "inställningar"
    told = ", ".join(f"{name} ({source})" for name, source in sorted(sources.items()))
    findings = [good(area, f"Satta: {told or 'inga'}. Övriga har sitt förval.")]
    if not settings.totp_risk_decision:
        findings.append(
            wrong(
                area,
                "Koder (TOTP) öppnar känsliga uppgifter utan antecknat riskbeslut.",
                "Anteckna beslutet i SAMBUD_TOTP_RISK_DECISION.",
                Level.WARNING,
            )
        )
    if not settings.metrics_port:
        findings.append(
            wrong(
                area,
                "Inga mätvärden lämnas ut, så inget larmar.",
                "Sätt SAMBUD_METRICS_PORT (brukligt 9464).",
                Level.NOTE,
            )
        )
    if not settings.clamd:
        findings.append(
            wrong(
                area,
                "Ingen letar efter skadlig kod i bilagor: bara typ och uppbyggnad kontrolleras.",
                "Installera clamd på samma dator och sätt SAMBUD_CLAMD.",
                Level.WARNING,
            )
        )
    if settings.demo_mark.exists():
        findings.append(wrong(area, "Datakatalogen är gjord av demon.", "Skapa en egen med 'sambud init'."))
    return findings


def files(settings: Settings, machine: MachineLook) -> list[Finding]:
    """Who may read the data, and what it lies on."""
    area, folder = "filer", settings.data_dir
    if not folder.exists():
        return [wrong(area, f"Datakatalogen {folder} finns inte.", "Kör 'sambud init', eller ange rätt katalog.")]
    findings = []
    for path in (folder, settings.database_file, settings.keys_file):
        if path.exists() and path.stat().st_mode & 0o077:
            findings.append(
                wrong(
                    area,
                    f"{path} kan läsas av andra (rättigheter {path.stat().st_mode & 0o777:04o}).",
                    f"Kör: chmod {'0700' if path is folder else '0600'} {path}",
                    Level.WARNING,
                )
            )
    kind = machine.file_system(folder)
    if kind in _REMOTE:
        findings.append(
            wrong(
                area,
                f"Datakatalogen ligger på {kind}: där håller inte databasens lås.",
                "Flytta den till en lokal disk.",
            )
        )
    elif kind in _PASSING:
        findings.append(
            wrong(
                area,
                f"Datakatalogen ligger i minnet ({kind}) och försvinner vid omstart.",
                "Flytta den till en disk.",
                Level.WARNING,
            )
        )
    return findings or [good(area, f"Datakatalogen {folder} är ägarens egen, på lokal disk ({kind or 'okänt'}).")]


_REMOTE: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "fuse.sshfs", "fuse.s3fs", "afs"}
)
_PASSING: Final = frozenset({"tmpfs", "ramfs"})


def surroundings(settings: Settings, machine: MachineLook) -> list[Finding]:
    """Room, clock, limits."""
    findings = []
    for free, size in machine.space().values():
        told = f"{free / 1e9:.1f} av {size / 1e9:.1f} GB är ledigt ({100 * free // max(size, 1)} procent)"
        if free < min(size * settings.disk_reserve_percent // 100, MOST_RESERVED):
            findings.append(wrong("disk", f"Bara loggens reserv är kvar: {told}.", "Gör plats eller utöka disken."))
        elif free < size // 10:
            findings.append(wrong("disk", f"Disken börjar ta slut: {told}.", "Gör plats.", Level.WARNING))
        else:
            findings.append(good("disk", f"{told[0].upper()}{told[1:]}."))
    synchronised = machine.clock_synchronised()
    if synchronised:
        findings.append(good("klocka", "Klockan är synkroniserad."))
    elif synchronised is None:
        findings.append(wrong("klocka", "Det går inte att se om klockan är synkroniserad.", "", Level.NOTE))
    else:
        findings.append(
            wrong(
                "klocka",
                "Klockan är inte synkroniserad: koder kan nekas och loggens tider bli fel.",
                "Installera chrony, eller se till att värddatorn sköter klockan.",
                Level.WARNING,
            )
        )
    if machine.core_dumps():
        findings.append(
            wrong(
                "minne",
                "En minnesutskrift vid krasch (core) skulle kunna innehålla nycklar.",
                "Kör tjänsten med LimitCORE=0 (den systemd-enhet som följer med gör det).",
                Level.NOTE,
            )
        )
    if machine.swap():
        findings.append(
            wrong(
                "minne",
                "Datorn har växlingsminne (swap) dit nycklar kan skrivas.",
                "Kryptera det, eller kör tjänsten med MemorySwapMax=0.",
                Level.NOTE,
            )
        )
    if machine.open_files() < 1024:
        findings.append(
            wrong("gränser", f"Bara {machine.open_files()} filer får vara öppna.", "Höj LimitNOFILE.", Level.WARNING)
        )
    return findings


def process(holder: int, port: int, answer: Sequence[tuple[str, str]] | None) -> list[Finding]:
    """What a gateway that runs says of itself; None when nobody answers."""
    findings = [good("process", f"En gateway kör (process {holder}).")]
    if answer is None:
        then = "Startar den? Läs annars driftloggen, och starta om den."
        return [*findings, wrong("process", f"Gatewayen svarar inte på port {port}.", then)]
    if not answer:
        findings.append(good("process", "Gatewayen säger att den kan ta emot och öppna."))
    return [*findings, *(wrong("process", said, then) for said, then in answer)]


# --- the stores ------------------------------------------------------------------------------------------------------


async def work_at_hand(gateway: Gateway) -> list[Finding]:
    """The outbox: what stands still."""
    signs = await gateway.ports.store.queue_signs(most=10_000)
    told = ", ".join(f"{count} {_STATES[state]}" for state, count in signs.deliveries.items() if count)
    now = gateway.ports.clock.now()
    if signs.oldest_due is not None and now - signs.oldest_due > 15 * MINUTE:
        waited = (now - signs.oldest_due) // MINUTE
        return [
            wrong(
                "kö",
                f"En leverans har väntat i {waited} minuter ({told}).",
                "Kör gatewayen? Läs annars driftloggen efter 'delivery delayed'.",
            )
        ]
    return [good("kö", f"Inget väntar för länge ({told or 'kön är tom'}).")]


_STATES: Final = {"queued": "i kö", "attempting": "på väg", "failed": "misslyckade", "expired": "utgångna"}


def anchored(fingerprints: Mapping[str, str], anchors: Mapping[str, str]) -> list[Finding]:
    """Whether trust in each authority's signing key begins in the settings."""
    findings = []
    for administration, name in sorted(fingerprints.items()):
        if administration in anchors:
            findings.append(good("ankare", f"{administration}: signeringsnyckel {name[:16]}…, förankrad"))
        else:
            findings.append(
                wrong(
                    "ankare",
                    f"{administration}: signeringsnyckel {name[:16]}… är inte förankrad i inställningarna.",
                    f'Skriv under [anchors] i inställningsfilen: "{administration}" = "{name}"',
                    Level.NOTE,
                )
            )
    return findings


def copies(settings: Settings, tools: StoreTools, now: Instant) -> list[Finding]:
    """When what was shredded is gone everywhere: the longest-lived copy decides (security-decisions H11)."""
    area = "gallring"
    others = {
        "andra kopior av nyckellagret": settings.shred_horizon_days,
        "WAL-arkiv": settings.wal_archive_days,
        "replik": settings.replica_lag_days,
        "ögonblicksbilder": settings.snapshot_days,
    }
    told = ", ".join(f"{name} {number} dygn" for name, number in others.items() if number)
    try:
        days, overdue = horizon(tools, settings.backup_epoch_keys, max(others.values()), at=now)
    except (GatewayError, OSError) as trouble:
        said = trouble.swedish if isinstance(trouble, GatewayError) else "Epoknycklarna går inte att läsa."
        return [wrong(area, said, "Kontrollera SAMBUD_BACKUP_EPOCH_KEYS.")]
    said = f"Gallrat är borta överallt efter {days} dygn ({told or 'inga andra kopior angivna'})."
    findings = [Finding(area, Level.NOTE, said)]
    if overdue:
        said = f"{overdue} epoknycklar är äldre än 35 dygn: gallrat kan komma tillbaka ur kopiorna."
        findings.append(wrong(area, said, "Kör 'sambud backup-key rotate'."))
    if settings.backup_epoch_keys is None or settings.backup_recipients is None:
        said = "Säkerhetskopior är inte inställda."
        findings.append(wrong("kopior", said, "Se docs/operations.md, Backup and restore.", Level.WARNING))
    return findings


def as_json(findings: Sequence[Finding], *, at: datetime | None = None) -> dict[str, Any]:
    """The whole look, for programs."""
    moment = (at or datetime.now(UTC)).replace(microsecond=0)
    return {"at": moment.isoformat(), "findings": [found.as_dict() for found in findings], "exit": exit_code(findings)}


def age(microseconds: int) -> str:
    """A time span as people say it."""
    return str(timedelta(seconds=microseconds // SECOND))
