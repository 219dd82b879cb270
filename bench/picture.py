"""The report as one picture (SVG): how far each row is from its floor and its goal, and the growth curves.

Rows have different units, so each bar says figure against goal, on a logarithmic scale: to the right of the goal's line
is better than promised, whether more or less is better in that row. Curves are drawn against their first point.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final
from xml.sax.saxutils import escape

from bench.report import Report, number
from bench.targets import CURVES, TARGETS, Target

WIDTH: Final = 980
LEFT: Final = 430  # where bars begin
RIGHT: Final = 130  # room for the figure behind a bar
LINE: Final = 22
LEAST, MOST = 0.1, 10.0  # of the goal: what lies outside is drawn at the edge
COLOURS: Final = {"mål": "#1a7f4b", "golv": "#b07a00", "UNDER GOLV": "#b3261e"}
CURVE: Final = 190  # height of the plot
PENS: Final = ("#1a7f4b", "#b07a00", "#b3261e", "#1f5fa8", "#6b3fa0", "#555555")


def drawn(report: Report) -> str:
    """The SVG as text."""
    rows = [target for target in TARGETS if target.name in report.figures]
    top = 60 + LINE * len(rows)
    curves = len(report.curves) > 1
    height = top + 40 + (CURVE + 80 if curves else 0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
        ' font-family="sans-serif" font-size="12">',
        "<title>Sambud: mätta rader mot golv och mål</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(
            16, 24, "Mätta rader mot golv (streck) och mål (heldragen linje); längre till höger är bättre", bold=True
        ),
        *(part for place, target in enumerate(rows) for part in _bar(report, target, 50 + LINE * place)),
        f'<line x1="{_x(1):.1f}" y1="38" x2="{_x(1):.1f}" y2="{top - 10}" stroke="#222222"/>',
        *(_curves(report, top + 20) if curves else ()),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _x(of_goal: float) -> float:
    """Where a share of the goal lies."""
    bounded = min(max(of_goal, LEAST), MOST)
    return LEFT + (WIDTH - LEFT - RIGHT) * math.log(bounded / LEAST) / math.log(MOST / LEAST)


def _of_goal(target: Target, figure: float) -> float:
    return target.goal / figure if target.less_is_better else figure / target.goal


def _bar(report: Report, target: Target, y: int) -> Iterator[str]:
    figure = report.median(target.name)
    outcome = target.outcome(figure)
    end, floor = _x(_of_goal(target, figure)), _x(_of_goal(target, target.floor))
    yield _text(16, y + 11, f"{target.row}  {target.what}"[:68])
    yield f'<rect x="{LEFT}" y="{y}" width="{max(end - LEFT, 1):.1f}" height="14" fill="{COLOURS[outcome]}"/>'
    yield (
        f'<line x1="{floor:.1f}" y1="{y - 2}" x2="{floor:.1f}" y2="{y + 16}" stroke="#222222" stroke-dasharray="3 2"/>'
    )
    yield _text(end + 6, y + 11, f"{number(figure)} {target.unit} ({outcome.lower()})")


def _curves(report: Report, top: int) -> Iterator[str]:
    """Cost against the first size, by size of history; both axes logarithmic."""
    sizes = sorted(report.curves)
    yield _text(16, top, "Kostnad vid växande historia, mot den kortaste (1 = lika)", bold=True)
    left, right, base = 60, WIDTH - 330, top + 20 + CURVE
    names = [name for name in CURVES if all(name in report.curves[size] for size in sizes)]
    most = max(report.curves[size][name] / report.curves[sizes[0]][name] for size in sizes for name in names)
    span = math.log2(max(most, 2)) + 1  # from a half upwards

    def place(size: int, share: float) -> tuple[float, float]:
        x = left + (right - left) * math.log(size / sizes[0]) / math.log(sizes[-1] / sizes[0])
        return x, base - CURVE * min(max((math.log2(max(share, 0.01)) + 1) / span, 0), 1)

    for share in (0.5, 1.0, 2.0, 4.0, 8.0):
        y = place(sizes[0], share)[1]
        if math.log2(share) + 1 <= span:
            yield f'<line x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#dddddd"/>'
            yield _text(24, y + 4, number(share))
    for size in sizes:
        yield _text(place(size, 1)[0] - 20, base + 18, f"{size:,}".replace(",", " "))
    for pen, name in zip(PENS, names, strict=False):
        points = [place(size, report.curves[size][name] / report.curves[sizes[0]][name]) for size in sizes]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        yield f'<polyline points="{line}" fill="none" stroke="{pen}" stroke-width="2"/>'
    for row, (pen, name) in enumerate(zip(PENS, names, strict=False)):
        y = top + 34 + LINE * row
        yield f'<rect x="{right + 30}" y="{y - 9}" width="14" height="10" fill="{pen}"/>'
        yield _text(right + 52, y, CURVES[name][0])


def _text(x: float, y: float, text: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="#222222"{weight}>{escape(text)}</text>'
