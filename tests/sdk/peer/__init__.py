"""Prism, from npm, serving the SDK API's own description: it judges every request and every answer (package.json)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).parent
PROGRAM = HERE / "node_modules" / "@stoplight" / "prism-cli" / "dist" / "index.js"
OFFICIAL = HERE.parent.parent / "data" / "sdk" / "sdk-api-restful.yml"
HOW = "run `npm ci --prefix tests/sdk/peer` (Debian nodejs and npm)"


@dataclass
class Prism:
    """A running Prism: where it listens, and what it has said."""

    address: str
    log: Path
    _read: int = 0

    def said(self) -> str:
        """What it logged since it was asked last."""
        text = self.log.read_text("utf-8")
        new, self._read = text[self._read :], len(text)
        return new


def violations(said: str) -> list[str]:
    """What a request or an answer broke, in Prism's words, each once."""
    return sorted(set(re.findall(r"Violation: (.+)", said)))


def corrected(folder: Path) -> Path:
    """The official file with its one misplaced rule where it was meant: `required` beside a $ref, one level too deep.

    OpenAPI 3.0 ignores what stands beside a $ref; Prism does not, and asks for a `type` in the attributes.
    """
    file: dict[str, Any] = yaml.safe_load(OFFICIAL.read_text("utf-8"))
    for name in ("messageDef", "messageCreateDef"):
        schema = file["components"]["schemas"][name]
        schema["required"] = schema["properties"]["attributes"].pop("required")
    target = folder / "corrected.yml"
    target.write_text(yaml.safe_dump(file, sort_keys=False), "utf-8")
    return target


@contextmanager
def serving(description: Path, folder: Path, upstream: str = "") -> Iterator[Prism]:
    """Prism as the service, answering with the description's examples; with `upstream`, between a client and that."""
    if shutil.which("node") is None or not PROGRAM.exists():
        if os.environ.get("SAMBUD_REQUIRE_PEERS") == "1":
            pytest.fail(HOW)
        pytest.skip(f"no peer for the SDK API: {HOW}")
    log = folder / f"prism-{description.stem}-{'proxy' if upstream else 'mock'}.log"
    asked = ["proxy", description, upstream, "--errors"] if upstream else ["mock", description]
    with (
        log.open("wb") as out,
        subprocess.Popen(
            ["node", PROGRAM, *asked, "--host", "127.0.0.1", "--port", "0"], stdout=out, stderr=out
        ) as process,
    ):
        try:
            yield Prism(_listening(process, log), log)
        finally:
            process.terminate()


def _listening(process: subprocess.Popen[bytes], log: Path) -> str:
    until = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < until:
        if found := re.search(r"Prism is listening on (http://\S+)", log.read_text("utf-8")):
            return found[1]
        time.sleep(0.05)
    pytest.fail(f"Prism does not answer: {log.read_text('utf-8')}")
