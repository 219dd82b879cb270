"""What a run found: figures beside floor and goal, as one aligned table and as JSON.

Floors and goals are set before anything is measured, for two shared cores; a figure below its floor is told as that.
"""

from __future__ import annotations

import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Target:
    """A row that is promised: what it is, its unit, and between which figures it should lie."""

    row: str
    name: str
    what: str
    floor: float
    goal: float
    unit: str = "×"
    less_is_better: bool = False

    def outcome(self, figure: float) -> str:
        sign = -1 if self.less_is_better else 1
        if sign * figure >= sign * self.goal:
            return "mål"
        return "golv" if sign * figure >= sign * self.floor else "UNDER GOLV"


def _memory(name: str, what: str, floor: float, goal: float) -> Target:
    return Target("P7", name, f"minnestillväxt, {what}", floor, goal, "MiB", less_is_better=True)


TARGETS: Final = (
    Target("P1", "p1_r1", "mottagning, 16 klienter, av R1 (utan HTTP)", 0.6, 0.7),
    Target("P1", "p1_r0", "mottagning, 16 klienter, av R0 (samma rader rått)", 0.04, 0.05),
    Target("P1", "p1_sketch", "mottagning, 16 klienter, TLS, av den säkra skissen", 0.25, 0.5),
    Target("P2", "p2_r0", "mottagning, 1 klient, av R0", 0.08, 0.12),
    Target("P5", "p5_cpu", "processortid för en mottagning", 6, 4, "ms", less_is_better=True),
    _memory("one_up", "en stor fil upp", 64, 24),
    _memory("one_down", "en stor fil ned", 64, 24),
    _memory("many_up", "åtta filer samtidigt upp", 192, 96),
    _memory("many_down", "åtta filer samtidigt ned", 192, 96),
)
#: Absolute figures, for orientation: they move with the neighbours of the machine.
ORIENTATION: Final[Mapping[str, str]] = {
    "http_16": "mottagning över HTTP, 16 klienter, per sekund",
    "r1": "R1: samma väg utan HTTP, 16 samtidiga, per sekund",
    "r0_16": "R0: samma rader rått i lika stora grupper, per sekund",
    "https_16": "mottagning över TLS 1.3, 16 klienter, per sekund",
    "sketch": "den säkra skissen över TLS 1.3, 16 klienter, per sekund",
    "http_1": "mottagning över HTTP, 1 klient, per sekund",
    "r0_1": "R0: en mottagning per transaktion, per sekund",
    "group": "mottagningar per transaktion med 16 klienter",
    "rows": "rader i en mottagning",
    "one_up_mb_s": "en stor fil upp, MB/s",
    "one_down_mb_s": "en stor fil ned, MB/s",
    "many_up_mb_s": "åtta filer samtidigt upp, MB/s",
    "many_down_mb_s": "åtta filer samtidigt ned, MB/s",
}


@dataclass
class Report:
    """Figures of every round, by name."""

    quick: bool
    figures: dict[str, list[float]] = field(default_factory=dict)
    modules: list[list[Any]] = field(default_factory=list)

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
        rows = [("rad", "vad", "värde", "(min–max)", "golv", "mål", "utfall")]
        for target in TARGETS:
            figure = self.median(target.name)
            rows.append(
                (
                    target.row,
                    target.what,
                    f"{_number(figure)} {target.unit}",
                    self._spread(target.name),
                    _number(target.floor),
                    _number(target.goal),
                    target.outcome(figure),
                )
            )
        said += ["", *_aligned(rows)]
        all_ms = self.median("p5_cpu")
        rows = [("steg", "ms", "andel")]
        for step in ("compose", "decide", "seal", "store", "rest"):
            spent = self.median(f"step_{step}")
            rows.append((step, f"{spent:.2f}", f"{spent / max(all_ms, 1e-9):.0%}"))
        said += [
            "",
            "Processortid för en mottagning, steg för steg (rest: behörighet, ärende, slingan)",
            *_aligned(rows),
        ]
        rows = [("modul (profilerad)", "andel"), *((name, f"{share:.1%}") for name, share in self.modules)]
        said += ["", *_aligned(rows)]
        rows = [("till orientering", "värde", "(min–max)")]
        rows += [(what, _number(self.median(name)), self._spread(name)) for name, what in ORIENTATION.items()]
        return [*said, "", *_aligned(rows)]

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
            ],
            "figures": self.figures,
            "modules": self.modules,
        }

    def _spread(self, name: str) -> str:
        found = self.figures[name]
        return f"({_number(min(found))}–{_number(max(found))})"


def _number(figure: float) -> str:
    if figure >= 100:
        return f"{figure:.0f}"
    return f"{figure:.3g}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
