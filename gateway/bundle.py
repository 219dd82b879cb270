"""What goes to somebody who helps: facts about the machine and the program, and nothing about people.

Why this exists: a fault is often found by somebody who must not see what the gateway holds. So each file is made here
from what is safe to begin with (versions, findings, counts by state, numbers), the log's lines go through the wall once
more, and the manifest says of every file why it is there. A test puts canaries everywhere and reads the bundle.

Rules: the file is made new, readable by its owner alone. No login, no name, no text of a form, no secret, no address.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from gateway import doctor
from gateway.doctor import Finding
from gateway.examination import Examination
from gateway.redaction import redacted_fields, redacted_value
from gateway.settings import Settings

#: Settings whose value is nobody's business: where the key lies is said by the doctor when it is wrong.
WITHHELD: Final = frozenset({"root_key_file", "anchors", "duty_phones", "totp_risk_decision", "public_url"})
FOLDER: Final = "sambud-support"


@dataclass(frozen=True, slots=True)
class Part:
    """One file of the bundle."""

    name: str
    why: str
    octets: bytes


def with_findings(found: Examination, findings: Sequence[Finding]) -> Examination:
    """The same examination with all findings in it."""
    return dataclasses.replace(found, findings=tuple(findings))


def parts(
    settings: Settings | None, sources: Mapping[str, str], found: Examination, log_lines: Sequence[str] | None
) -> list[Part]:
    """Every file of the bundle, the manifest first."""
    made = [
        _json("versions.json", "Vilken version av program, Python och bibliotek som kör", doctor.versions()),
        _json("doctor.json", "Vad doctor såg, med vad som kan göras", doctor.as_json(found.findings)),
    ]
    if settings is not None:
        told = shown(settings, sources)
        made.append(_json("settings.json", "Vilka inställningar som gäller och varifrån; hemliga är utelämnade", told))
    if found.counts is not None:
        why = "Hur många rader i varje läge (räknat till 100 000 per tabell), och databasens schema"
        made.append(_json("counts.json", why, {"schema": found.schema, "rows": found.counts}))
    if found.metrics:
        made.append(Part("metrics.txt", "Gatewayens mätvärden just nu", found.metrics.encode()))
    if log_lines is not None:
        text = "".join(f"{safe_line(line)}\n" for line in log_lines)
        made.append(Part("log.jsonl", "Driftloggens sista rader, rensade en gång till", text.encode()))
    manifest = {part.name: {"why": part.why, "sha256": hashlib.sha256(part.octets).hexdigest()} for part in made}
    octets = (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode()
    return [Part("MANIFEST.json", "Vad varje fil är och varför den är med", octets), *made]


def shown(settings: Settings, sources: Mapping[str, str]) -> dict[str, Any]:
    """Each setting as it may be shown, and where it comes from."""
    told: dict[str, Any] = {}
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if name in WITHHELD:
            value = "[utelämnat]" if value else ""
        elif name == "database":
            value = _without_secrets(value)
        told[name] = {"value": str(value) if isinstance(value, Path) else value, "from": sources.get(name, "förval")}
    return told


def safe_line(line: str) -> str:
    """A line of the log through the wall once more; what is no line of ours keeps nothing but the fact that it was."""
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        return json.dumps({"event": "not a line of the gateway's log", "length": len(line)})
    return json.dumps(_only_words(redacted_fields(event)), ensure_ascii=False)


def write(target: Path, made: Sequence[Part]) -> None:
    """Write the bundle, create-only, mode 0600.

    Raises:
        FileExistsError: nothing was written.
        OSError: nothing is left behind.
    """
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            for part in made:
                info = tarfile.TarInfo(f"{FOLDER}/{part.name}")
                info.size, info.mode = len(part.octets), 0o600
                archive.addfile(info, io.BytesIO(part.octets))
    except BaseException:
        target.unlink(missing_ok=True)
        raise


#: What our own lines hold: codes, ids, places in the code. A sentence or a name in a line is somebody's, and stays.
_FIELD: Final = re.compile(r"[a-z_]{1,40}")
_WORD: Final = re.compile(r"[a-z0-9_.:/{}+-]{1,120}|[a-z ,'-]{1,80}|\d{4}-\d\d-\d\dT[\d:.]+Z")
_CLASS: Final = re.compile(r"[A-Za-z_]{1,60}")
#: Fields that name a class of errors or of the database's answers.
_CLASSES: Final = frozenset({"kind", "cause", "name"})


def _only_words(value: Any, field: str = "") -> Any:
    if isinstance(value, str):
        known = _WORD.fullmatch(value) or (field in _CLASSES and _CLASS.fullmatch(value))
        return value if known or value in _METHODS else f"[{len(value)} tecken]"
    if isinstance(value, list):
        return [_only_words(item, field) for item in value]
    if isinstance(value, dict):
        return {
            name if _FIELD.fullmatch(name) else f"[{len(name)} tecken]": _only_words(item, name)
            for name, item in value.items()
        }
    return value


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})


def _without_secrets(dsn: str) -> str:
    """A database's address without user, password and parameters."""
    if not dsn:
        return ""
    parts_ = urlsplit(dsn)
    place = "lokal" if (parts_.hostname or "") in ("", "localhost", "127.0.0.1", "::1") else "annan dator"
    return urlunsplit((parts_.scheme, f"[{place}]", "", "", ""))


def _json(name: str, why: str, value: Any) -> Part:
    return Part(name, why, (json.dumps(redacted_value(value), indent=2, ensure_ascii=False) + "\n").encode())
