"""Render docs/reliability.md from the counts of fault tests.

    SAMBUD_TALLY=ci.json   ./sambud test          # or pytest tests/faults
    SAMBUD_TALLY=full.json ./sambud test --full
    python tools/reliability.py --ci ci.json --full full.json

The newest count of each row is kept in docs/reliability.json, so a run of a few rows updates those and leaves the rest.
Without arguments the document is drawn again from what is kept.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.faults.tally import ROWS  # noqa: E402  (the checkout is put on the path first)

KEPT = ROOT / "docs" / "reliability.json"
DOCUMENT = ROOT / "docs" / "reliability.md"
HEAD = """# Reliability

What happens when something breaks, counted. The invariant is the same in every row: **acknowledged ⇒ durable, one
visible copy, logged; not acknowledged ⇒ absent or whole, never half.** *Lost* counts acknowledged acts that were not
there afterwards, *doubled* acts that were there twice, *half* anything incomplete that a reader could meet. All three
must be 0; a test is red when one is not. *N, each run* is what `bash .ci/run` injects every time, *N, full* the
longest campaign with `./sambud test --full`. Rendered by `tools/reliability.py` from the counts of those runs; a row
with – has not been run so.

| row | fault | how it is injected | N, each run | N, full | lost | doubled | half | when, where |
|---|---|---|---|---|---|---|---|---|
"""


def drawn() -> str:
    """The document, from what is kept."""
    kept = _kept()
    return HEAD + "".join(_line(row, kept["ci"].get(row), kept["full"].get(row)) for row in sorted(ROWS)) + _notes(kept)


def _line(row: str, ci: dict[str, Any] | None, full: dict[str, Any] | None) -> str:
    runs = [run for run in (ci, full) if run]
    figures = [
        str(sum(run[what] for run in runs)) if runs else "–" for what in ("acknowledged_lost", "doubled", "half")
    ]
    when = f"{runs[-1]['date']}, {runs[-1]['machine']}" if runs else "–"
    counted = [f"{run['cases']:,}".replace(",", " ") if run else "–" for run in (ci, full)]
    return "| " + " | ".join([row, ROWS[row].fault, ROWS[row].how, *counted, *figures, when]) + " |\n"


def _notes(kept: dict[str, Any]) -> str:
    notes = []
    for row in sorted(ROWS):
        for name in ("ci", "full"):
            note = kept[name].get(row, {}).get("note")
            if note:
                notes.append(f"- {row}, {'each run' if name == 'ci' else 'full'}: {note}.\n")
    return "\n## What the counts are made of\n\n" + "".join(notes) if notes else ""


def _kept() -> dict[str, Any]:
    return json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {"ci": {}, "full": {}}


def keep(name: str, run: dict[str, Any]) -> None:
    """Put the rows of one run in place of what was kept of them."""
    kept = _kept()
    for row, found in run["rows"].items():
        kept[name][row] = {**found, "date": run["date"], "machine": run["machine"]}
    rows = {part: {row: kept[part][row] for row in sorted(kept[part])} for part in ("ci", "full")}
    parts = [
        f' "{part}": {{\n'
        + ",\n".join(
            f"  {json.dumps(row)}: {json.dumps(found, ensure_ascii=False)}" for row, found in kept_rows.items()
        )
        + "\n }"
        for part, kept_rows in rows.items()
    ]
    KEPT.write_text("{\n" + ",\n".join(parts) + "\n}\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ci", type=Path, help="counts of an ordinary run")
    parser.add_argument("--full", type=Path, help="counts of a run with --full")
    chosen = parser.parse_args()
    for name in ("ci", "full"):
        path: Path | None = getattr(chosen, name)
        if path is not None:
            keep(name, json.loads(path.read_text("utf-8")))
    DOCUMENT.write_text(drawn(), "utf-8")


if __name__ == "__main__":
    main()
