"""What a run found: figures beside floor and goal, as one aligned table and as JSON.

Rules: only what was measured is told; a row whose peer is not installed says what would bring it.
"""

from __future__ import annotations

import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.targets import CURVES, ORIENTATION, STEPS, TARGETS


@dataclass
class Report:
    """Figures of every round, by name; and curves: for each size of history, figures by name."""

    quick: bool
    figures: dict[str, list[float]] = field(default_factory=dict)
    modules: list[list[Any]] = field(default_factory=list)
    curves: dict[int, dict[str, float]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)  # peer: what would bring it

    def add(self, found: Mapping[str, float]) -> None:
        for name, figure in found.items():
            self.figures.setdefault(name, []).append(figure)

    def median(self, name: str) -> float:
        return statistics.median(self.figures[name])

    def lines(self) -> list[str]:
        """The report as text."""
        machine = f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}"
        said = ["", f"{machine}. Median av varven; spridning inom parentes."]
        if self.quick:
            said.append("--quick: visar att allt går att mäta. Siffrorna säger inget.")
        for table in (self._rows(), self._steps(), self._modules(), self._curves(), self._orientation()):
            if len(table) > 1:
                said += ["", *aligned(table)]
        return said

    def as_dict(self) -> dict[str, Any]:
        """The report for a machine: every figure of every round."""
        return {
            "python": sys.version.split()[0],
            "quick": self.quick,
            "rows": [
                {
                    "row": target.row,
                    "name": target.name,
                    "figure": self.median(target.name),
                    "unit": target.unit,
                    "floor": target.floor,
                    "goal": target.goal,
                    "outcome": target.outcome(self.median(target.name)),
                }
                for target in TARGETS
                if target.name in self.figures
            ],
            "figures": self.figures,
            "modules": self.modules,
            "curves": {str(size): found for size, found in self.curves.items()},
            "missing": self.missing,
        }

    def _rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = [("rad", "vad", "värde", "(min–max)", "golv", "mål", "utfall")]
        for target in TARGETS:
            if target.name in self.figures:
                figure = self.median(target.name)
                value, outcome = f"{number(figure)} {target.unit}", target.outcome(figure)
                spread = self.spread(target.name)
            elif target.peer in self.missing:
                value, spread, outcome = "saknas:", self.missing[target.peer], "ej mätt"
            else:
                continue
            rows.append((target.row, target.what, value, spread, number(target.floor), number(target.goal), outcome))
        return rows

    def _steps(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = [("steg i en mottagning", "ms", "andel")]
        if "p5_cpu" in self.figures:
            whole = max(self.median("p5_cpu"), 1e-9)
            for step in STEPS:
                spent = self.median(f"step_{step}")
                rows.append((step, f"{spent:.2f}", f"{spent / whole:.0%}"))
        return rows

    def _modules(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = [("modul (profilerad)", "andel")]
        return rows + [(name, f"{share:.1%}") for name, share in self.modules]

    def _curves(self) -> list[tuple[str, ...]]:
        if not self.curves:
            return []
        sizes = sorted(self.curves)
        rows: list[tuple[str, ...]] = [
            ("kostnad vid så många meddelanden", *(f"{size:,}".replace(",", " ") for size in sizes))
        ]
        for name, (what, _) in CURVES.items():
            if all(name in self.curves[size] for size in sizes):
                rows.append((what, *(number(self.curves[size][name]) for size in sizes)))
        return rows

    def _orientation(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = [("till orientering", "värde", "(min–max)")]
        for name, (what, _) in ORIENTATION.items():
            if name in self.figures:
                rows.append((what, number(self.median(name)), self.spread(name)))
        return rows

    def spread(self, name: str) -> str:
        found = self.figures[name]
        return f"({number(min(found))}–{number(max(found))})"


def number(figure: float) -> str:
    if figure >= 100:
        return f"{figure:.0f}"
    return f"{figure:.3g}" if figure >= 0.001 else "0"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def p99(times: Sequence[float]) -> float:
    """The 99th percentile; of few figures, close to the greatest."""
    return statistics.quantiles(times, n=100, method="inclusive")[98]
