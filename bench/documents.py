"""`--write-docs`: the figures of a run into docs/performance.md, whose words stay written by hand.

Why this exists: a figure that somebody copied is a figure that somebody forgot to copy. What a run measured replaces
what docs/performance.json knew of those rows, the rest stays with its own date; the tables between the document's
markers are made from that file, and a test holds that they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench.report import Report, number
from bench.targets import CURVES, ORIENTATION, STEPS, TARGETS
from gateway.errors import InvalidRequestError

DOCS: Final = Path(__file__).parent.parent / "docs"
DOCUMENT: Final = DOCS / "performance.md"
FIGURES: Final = DOCS / "performance.json"
OUTCOMES: Final = {"mål": "goal", "golv": "floor", "UNDER GOLV": "**below the floor**"}


def written(report: Report) -> Path:
    """Put a report's figures into the documents.

    Raises:
        InvalidRequestError: it was only to show that everything can be measured.
    """
    if report.quick:
        raise InvalidRequestError(
            "figures of --quick say nothing",
            swedish="Siffror från --quick säger inget och skrivs inte in.",
            next_step="Kör utan --quick.",
        )
    found = json.loads(FIGURES.read_text("utf-8")) if FIGURES.exists() else {"figures": {}, "curves": {}}
    day = datetime.now(UTC).date().isoformat()
    for name, figures in report.figures.items():
        found["figures"][name] = {
            "median": report.median(name),
            "least": min(figures),
            "most": max(figures),
            "rounds": len(figures),
            "day": day,
        }
    if report.curves:
        found["curves"] = {str(size): values for size, values in sorted(report.curves.items())}
    FIGURES.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", "utf-8")
    DOCUMENT.write_text(rendered(DOCUMENT.read_text("utf-8"), found), "utf-8")
    return DOCUMENT


def rendered(document: str, found: dict[str, Any]) -> str:
    """The document with its tables made from `found`."""
    tables = {
        "rows": _rows(found["figures"]),
        "steps": _steps(found["figures"]),
        "curves": _curves(found["curves"]),
        "orientation": _orientation(found["figures"]),
    }
    for name, lines in tables.items():
        block = "\n".join([f"<!-- figures: {name} -->", *lines, f"<!-- end: {name} -->"])
        before, mark, rest = document.partition(f"<!-- figures: {name} -->")
        _, end, after = rest.partition(f"<!-- end: {name} -->")
        if not (mark and end):
            raise ValueError(f"docs/performance.md has no place for {name}")
        document = before + block + after
    return document


def _rows(figures: dict[str, Any]) -> Iterator[str]:
    yield from _head("row", "figure (min–max)", "floor", "goal", "", "rounds", "day")
    for target in TARGETS:
        one = figures.get(target.name)
        if one is None:
            yield _line(target.row, target.english, "not measured", target.floor, target.goal, "", "", "")
            continue
        figure = f"{number(one['median'])} {target.unit}".strip() + f" ({_spread(one)})"
        outcome = OUTCOMES[target.outcome(one["median"])]
        yield _line(
            target.row, target.english, figure, target.floor, target.goal, outcome, str(one["rounds"]), one["day"]
        )


def _line(row: str, what: str, figure: str, floor: float, goal: float, *rest: str) -> str:
    return _cells(f"{row} {what}", figure, number(floor), number(goal), *rest)


def _steps(figures: dict[str, Any]) -> Iterator[str]:
    yield from _head("step", "ms", "share")
    whole = figures.get("p5_cpu", {}).get("median", 0) or 1
    for step in STEPS:
        if f"step_{step}" in figures:
            spent = figures[f"step_{step}"]["median"]
            yield _cells(step, f"{spent:.2f}", f"{spent / whole:.0%}")


def _curves(curves: dict[str, dict[str, float]]) -> Iterator[str]:
    sizes = sorted(curves, key=int)
    yield from _head("cost at so many messages", *(f"{int(size):,}" for size in sizes))
    for name, (_, english) in CURVES.items():
        if sizes and all(name in curves[size] for size in sizes):
            yield _cells(english, *(number(curves[size][name]) for size in sizes))


def _orientation(figures: dict[str, Any]) -> Iterator[str]:
    yield from _head("for orientation", "median (min–max)")
    for name, (_, english) in ORIENTATION.items():
        if name in figures:
            yield _cells(english, f"{number(figures[name]['median'])} ({_spread(figures[name])})")


def _spread(one: dict[str, float]) -> str:
    return f"{number(one['least'])}–{number(one['most'])}"


def _head(*names: str) -> Sequence[str]:
    return _cells(*names), _cells(*("---" for _ in names))


def _cells(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":  # the tables anew from the file, after a change of words or targets
    DOCUMENT.write_text(rendered(DOCUMENT.read_text("utf-8"), json.loads(FIGURES.read_text("utf-8"))), "utf-8")
