"""Two gateways over SDK, written down: `python tools/federated_demo.py` makes docs/federated-demo.md anew.

Why this exists: that two authorities can agree on one answer without sharing a machine is easier to believe when one
can read what was said on the way, receipts and all. A test holds that the demo of today still says the same.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "federated-demo.md"


def told() -> str:
    """What `sambud demo --federated` says. Raises CalledProcessError: it did not go well."""
    command = [sys.executable, "-m", "gateway", "demo", "--federated"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180, check=True)
    return done.stdout


def plain(text: str) -> list[str]:
    """Its lines without what differs from one run to the next: ids, names of cases, times and counts."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", text)
    return re.sub(r"\d+", "0", text).strip().splitlines()


def rendered(text: str) -> str:
    return "\n".join(
        [
            "# Two gateways, one answer: the federated demo, as it went",
            "",
            "Made by `python tools/federated_demo.py`, never edited: what `./sambud demo --federated` says. Växjö's",
            "gateway hosts Växjö, Alvesta and Novus, the region's hosts Ekeliden; they know each other through a",
            "simulated message service on this machine (docs/sdk-simulator.md), and every form goes as PDF/A with its",
            "data inside (docs/channels.md §8).",
            f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, shared, Python {platform.python_version()}.",
            "",
            "```",
            *text.strip().splitlines(),
            "```",
            "",
        ]
    )


if __name__ == "__main__":
    DOCUMENT.write_text(rendered(told()), "utf-8")
    print(f"wrote {DOCUMENT.name}")
