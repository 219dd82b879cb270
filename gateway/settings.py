"""Settings: from the environment (SAMBUD_*), a TOML file, and defaults, in this order; each is documented here.

Why this exists: a gateway that starts with a misspelt setting starts with another meaning. So an unknown one is an
error that names the nearest known, and what would weaken the gateway (a root key among the data, an address that is not
loopback) is refused before anything is opened.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.errors import SetupError

PREFIX = "SAMBUD_"
#: Read by other parts than the settings: a test's failpoint, and what only the test runner asks for.
ELSEWHERE = frozenset({"FAILPOINT", "REQUIRE_PEERS", "TEST_POSTGRES_DSN", "TALLY", "CONFIG"})


class Settings(BaseModel):
    """What an operator may set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data_dir: Path = Field(description="Katalog för databas, nyckellager, bilagor och logg.")
    root_key_file: Path = Field(description="Rotnyckeln (K0). Måste ligga utanför data_dir.")
    database: str = Field(default="", description="Tom: SQLite i data_dir. Annars postgresql://…")
    host: str = Field(default="127.0.0.1", description="Adress att lyssna på. Bara loopback än så länge.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port att lyssna på.")
    socket: Path | None = Field(
        default=None, description="Uttag (Unix socket) för proxyn; bara där gäller X-Forwarded-For och -Proto."
    )
    public_url: str = Field(
        default="",
        pattern=r"^(https?://[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?(:[0-9]{1,5})?)?$",
        description="Adressen som användarna ser, till exempel https://sambud.example, utan snedstreck sist.",
    )
    metrics_port: int = Field(
        default=0, ge=0, le=65535, description="Port för mätvärden (/metrics) på den egna datorn; 0: ingen."
    )
    log_name: str = Field(default="sambud.example", pattern=r"^[a-z0-9][a-z0-9./-]{0,80}$", description="Loggens namn.")
    exchange_seconds: int = Field(
        default=5, ge=1, le=300, description="Hur ofta varje kanal tillfrågas om vad som kommit in, i sekunder."
    )
    step_up_minutes: int = Field(default=15, ge=5, le=30, description="Hur länge en kod räcker för att öppna.")
    attachment_max_bytes: int = Field(
        default=100_000_000, ge=1, le=1024**3, description="Största bilaga i byte (högst 1 GiB)."
    )
    attachment_policy: Path | None = Field(
        default=None, description="Fil (TOML) med vilka filer varje funktion tar emot; annars den som följer med."
    )
    clamd: str = Field(
        default="", description="Viruskontrollens uttag (/run/clamav/clamd.ctl) eller port (127.0.0.1:3310)."
    )
    disk_reserve_percent: int = Field(
        default=5, ge=0, le=50, description="Så mycket av disken lämnas åt loggen (högst 10 GiB)."
    )
    totp_window: int = Field(default=0, ge=0, le=1, description="Antal extra tidssteg för koder (0 eller 1).")
    wal_archive_days: int = Field(default=0, ge=0, description="Hur länge PostgreSQL:s WAL-arkiv sparas, dygn.")
    replica_lag_days: int = Field(
        default=0, ge=0, description="Hur långt efter en avsiktligt fördröjd replik är, dygn."
    )
    snapshot_days: int = Field(default=0, ge=0, description="Hur länge ögonblicksbilder av diskarna sparas, dygn.")
    totp_risk_decision: str = Field(
        default="", description="Beteckning på det beslut som godtar TOTP för känsliga uppgifter."
    )
    duty_phones: dict[str, str] = Field(
        default_factory=dict, description="Vem som nås på vilket nummer när gatewayen inte svarar."
    )
    unfetched_hours: int = Field(
        default=72,
        ge=1,
        le=24 * 366,
        description="Efter så många timmar räknas en oöppnad inkorg som ohämtad.",
    )
    sdk_url: str = Field(
        default="", pattern=r"^(https?://.{1,500}/)?$", description="Meddelandetjänstens adress (SDK API), med / sist."
    )
    sdk_token_url: str = Field(
        default="", pattern=r"^(https?://.{1,500})?$", description="Där meddelandetjänsten ger åtkomst (OAuth 2.0)."
    )
    sdk_client_id: str = Field(default="", description="Vem gatewayen är för meddelandetjänsten.")
    sdk_key_file: Path | None = Field(default=None, description="Privat nyckel (PEM) som vi visar att vi är den med.")
    sdk_algorithm: str = Field(default="RS256", pattern=r"^(RS|ES)256$", description="RS256 eller ES256.")
    sdk_scopes: str = Field(default="", description="Vad vi ber att få göra (scope), när tjänsten har andra namn.")
    sdk_certificate: Path | None = Field(
        default=None, description="Certifikat med nyckel (PEM) för ömsesidig TLS med meddelandetjänsten."
    )
    sdk_ca_file: Path | None = Field(default=None, description="Utfärdare av meddelandetjänstens certifikat (PEM).")
    link_url: str = Field(
        default="",
        pattern=r"^(https?://.{1,500})?$",
        description="Cosmic Links adress; bara mot simulatorn så länge leverantören inte har något gränssnitt.",
    )
    link_user: str = Field(default="", description="Vem gatewayen är för Cosmic Link: en användare för funktionen.")
    link_secret_file: Path | None = Field(default=None, description="Fil med användarens hemlighet hos Cosmic Link.")
    link_status: bool = Field(
        default=False,
        description="Låt den som lagt in ett ärende i Cosmic Link fråga hur det står där (L1); bara mot simulatorn.",
    )
    smtp_host: str = Field(default="", description="E-postservern som tar emot vår post, värd eller värd:port.")
    smtp_security: str = Field(
        default="starttls", pattern=r"^(starttls|tls|none)$", description="none bara till en server på samma dator."
    )
    smtp_ca_file: Path | None = Field(default=None, description="Utfärdare av e-postservrars certifikat (PEM).")
    smtp_user: str = Field(default="", description="Användarnamn hos e-postservern.")
    smtp_password_file: Path | None = Field(default=None, description="Fil med lösenordet dit.")
    smtp_name: str = Field(
        default="localhost", pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,250}$", description="Vad vi heter för e-postservern."
    )
    smtp_domains: dict[str, str] = Field(
        default_factory=dict, description="Domäner som nås direkt på en egen värd, alltid med kontrollerad TLS."
    )
    notice_sender: str = Field(
        default="", description="Avsändare av aviseringar till användarna; tom: inga aviseringar."
    )
    notice_domains: list[str] = Field(
        default_factory=list, description="Arbetsgivarnas e-postdomäner; alla andra adresser är privata."
    )
    smtp_bounce_address: str = Field(default="", description="Adressen som studsar och kvittenser kommer till.")
    smime_keys: Path | None = Field(default=None, description="Katalog med funktionernas nycklar och certifikat.")
    smime_partners: Path | None = Field(default=None, description="Katalog med mottagarnas certifikat.")
    smime_maildir: Path | None = Field(
        default=None, description="Maildir där e-postservern lägger post till funktionerna och till studsadressen."
    )
    smime_ca_file: Path | None = Field(default=None, description="Utfärdare som vi litar på för S/MIME (PEM).")
    backup_recipients: Path | None = Field(default=None, description="Fil med mottagarnas publika rader.")
    backup_epoch_keys: Path | None = Field(default=None, description="Katalog för epoknycklar, utanför data_dir.")
    shred_horizon_days: int = Field(default=0, ge=0, description="Hur länge andra kopior av nyckellagret lever, dygn.")
    anchors: dict[str, str] = Field(
        default_factory=dict, description="Fingeravtryck av myndigheternas signeringsnycklar."
    )

    @property
    def database_file(self) -> Path:
        return self.data_dir / "sambud.db"

    @property
    def keys_file(self) -> Path:
        return self.data_dir / "keys.db"

    @property
    def mail_dir(self) -> Path:
        """What the mail neighbour keeps between two turns."""
        return self.data_dir / "mail"

    @property
    def demo_mark(self) -> Path:
        """A file that says: this store was made by the demo; `serve` refuses it."""
        return self.data_dir / "DEMO"


def load(
    *,
    environment: Mapping[str, str] | None = None,
    config: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """The settings of this process.

    Args:
        overrides: from the command line; they win.

    Raises:
        SetupError: unknown, missing or impossible settings; nothing was opened.
    """
    values = {name: value for name, (value, _) in _gathered(environment, config, overrides).items()}
    for name in values:
        if name not in Settings.model_fields:
            near = difflib.get_close_matches(name, Settings.model_fields, n=1)
            hint = f" Menade du {near[0]}?" if near else ""
            raise SetupError(
                f"unknown setting {name}",
                swedish=f"Inställningen {name} är okänd.{hint}",
                next_step="Rätta den. Gatewayen startar inte med okända inställningar.",
            )
    try:
        settings = Settings.model_validate(values)
    except ValidationError as invalid:
        told = ", ".join(str(fault["loc"][0]) for fault in invalid.errors(include_input=False))
        raise SetupError(
            f"settings are missing or impossible: {told}",
            swedish=f"Inställningar saknas eller är orimliga: {told}.",
            next_step="Se docs/operations.md för vad varje inställning betyder.",
        ) from None
    _check_loopback(settings.host)
    _check_named(settings)
    _check_apart(settings)
    return settings


def sources(
    *,
    environment: Mapping[str, str] | None = None,
    config: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Where each setting that is no default comes from, in Swedish; never what it says.

    Raises:
        SetupError: the file cannot be read.
    """
    return {name: source for name, (_, source) in _gathered(environment, config, overrides).items()}


def _gathered(
    environment: Mapping[str, str] | None, config: Path | None, overrides: Mapping[str, Any] | None
) -> dict[str, tuple[Any, str]]:
    """Every setting that somebody made: its value and its source, the last one winning."""
    environment = os.environ if environment is None else environment
    chosen = config or (Path(environment[f"{PREFIX}CONFIG"]) if f"{PREFIX}CONFIG" in environment else None)
    found: dict[str, tuple[Any, str]] = {}
    if chosen is not None:
        found |= {name: (value, f"filen {chosen}") for name, value in _file(chosen).items()}
    for name, value in environment.items():
        if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in ELSEWHERE:
            found[name.removeprefix(PREFIX).lower()] = (value, "miljön")
    return found | {name: (value, "kommandoraden") for name, value in (overrides or {}).items()}


def _file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as trouble:
        raise SetupError(
            f"{path} cannot be read as TOML",
            swedish=f"Inställningsfilen {path} går inte att läsa.",
            next_step="Rätta filen eller ange en annan med --config.",
        ) from trouble


def _check_loopback(host: str) -> None:
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise SetupError(
            f"{host} is not a loopback address",
            swedish="Gatewayen lyssnar bara på den egna datorn än så länge.",
            next_step="Använd 127.0.0.1 och en omvänd proxy på samma dator.",
        )


def _check_named(settings: Settings) -> None:
    if settings.socket is not None and not settings.public_url:
        raise SetupError(
            "a socket without a public address",
            swedish="SAMBUD_SOCKET är satt, men inte SAMBUD_PUBLIC_URL.",
            next_step="Ange adressen som användarna ser, till exempel https://sambud.example.",
        )


def _check_apart(settings: Settings) -> None:
    """Before anything is opened, and before `init` would write a key where it must not lie."""
    if settings.root_key_file.resolve().is_relative_to(settings.data_dir.resolve()):
        raise SetupError(
            "the root key lies in the data directory",
            swedish=f"Rotnyckeln {settings.root_key_file} ligger i datakatalogen.",
            next_step="Flytta den till en katalog som inte säkerhetskopieras med data, eller ange en sådan.",
        )
    if settings.backup_epoch_keys and settings.backup_epoch_keys.resolve().is_relative_to(settings.data_dir.resolve()):
        raise SetupError(
            "the epoch keys lie in the data directory",
            swedish="Epoknycklarna (SAMBUD_BACKUP_EPOCH_KEYS) ligger i datakatalogen.",
            next_step="Ange en katalog som varken säkerhetskopieras eller ligger bland data.",
        )
