"""Small charts as SVG text, for a page that must stand alone: no library, no script, some kilobytes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from engines.training.report import Bins, Curve

SIDE: Final = 170
"""Pixels of the plot area's side; the colours come from the page's style."""
_LEFT, _TOP, _RIGHT, _BOTTOM = 34, 24, 10, 34
_TICKS: Final = (0.0, 0.5, 1.0)


def reliability(bins: Bins, title: str) -> str:
    """Said against found, a point for each bin of equal mass; on the diagonal is calibrated."""
    dots = "".join(f'<circle class="dot" cx="{_x(said)}" cy="{_y(found)}" r="3"/>' for said, found, _ in bins)
    line = _line([(said, found) for said, found, _ in bins], "curve")
    ideal = _line([(0.0, 0.0), (1.0, 1.0)], "ideal")
    return _frame(title, "probability said", "share found", ideal + line + dots)


def precision_recall(curve: Curve, title: str, base: float, marks: Sequence[tuple[str, float, float]]) -> str:
    """Precision over recall; dashed is what guessing gives, ``marks`` are (name, recall, precision)."""
    ideal = _line([(0.0, base), (1.0, base)], "ideal")
    drawn = "".join(
        f'<circle class="mark" cx="{_x(recall)}" cy="{_y(precision)}" r="4"><title>{escape(name)}</title>'
        f'</circle><text class="tag" x="{_x(recall) - 6}" y="{_y(precision) + 14}">{escape(name)}</text>'
        for name, recall, precision in marks
    )
    return _frame(title, "recall", "precision", ideal + _line(curve, "curve") + drawn)


def confusion(table: Sequence[Sequence[int]], names: Sequence[str], title: str) -> str:
    """Truth as rows, answers as columns; the shade is the share of the row."""
    cell, left, top = SIDE / len(names), 66, 40
    parts = []
    for i, row in enumerate(table):
        whole = sum(row) or 1
        parts.append(f'<text class="end" x="{left - 6}" y="{top + (i + 0.55) * cell:.0f}">{names[i]}</text>')
        middle = left + (i + 0.5) * cell
        parts.append(f'<text class="middle" x="{middle:.0f}" y="{top - 6}">{names[i]}</text>')
        for j, count in enumerate(row):
            share = count / whole
            x, y = left + j * cell, top + i * cell
            ink = "light" if share > 0.55 else "ink"
            parts.append(
                f'<rect class="cell" x="{x:.0f}" y="{y:.0f}" width="{cell - 2:.0f}" height="{cell - 2:.0f}"'
                f' fill-opacity="{0.06 + 0.94 * share:.2f}"/>'
                f'<text class="middle {ink}" x="{x + cell / 2:.0f}" y="{y + cell / 2:.0f}">{share:.0%}</text>'
                f'<text class="middle {ink} small" x="{x + cell / 2:.0f}" y="{y + cell / 2 + 13:.0f}">'
                f"{count}</text>"
            )
    head = f'<text class="title" x="{left}" y="14">{escape(title)}</text>'
    return _svg(left + SIDE + 8, top + SIDE + 8, title, head + "".join(parts))


def _frame(title: str, across: str, up: str, inside: str) -> str:
    width, height = _LEFT + SIDE + _RIGHT, _TOP + SIDE + _BOTTOM
    ticks = "".join(
        f'<text class="middle small" x="{_x(t)}" y="{_TOP + SIDE + 13}">{t:g}</text>'
        f'<text class="end small" x="{_LEFT - 4}" y="{_y(t) + 3}">{t:g}</text>'
        for t in _TICKS
    )
    middle = _TOP + SIDE / 2
    return _svg(
        width,
        height,
        title,
        f'<text class="title" x="{_LEFT}" y="14">{escape(title)}</text>'
        f'<rect class="box" x="{_LEFT}" y="{_TOP}" width="{SIDE}" height="{SIDE}"/>{ticks}'
        f'<text class="middle small" x="{_LEFT + SIDE / 2}" y="{height - 6}">{across}</text>'
        f'<text class="middle small" x="10" y="{middle}" transform="rotate(-90 10 {middle})">{up}</text>'
        f"{inside}",
    )


def _svg(width: float, height: float, title: str, inside: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" '
        f'aria-label="{escape(title, quote=True)}">{inside}</svg>'
    )


def _line(points: Sequence[tuple[float, float]], kind: str) -> str:
    path = " ".join(f"{_x(x)},{_y(y)}" for x, y in points)
    return f'<polyline class="{kind}" points="{path}"/>' if points else ""


def _x(value: float) -> float:
    return round(_LEFT + SIDE * value, 1)


def _y(value: float) -> float:
    return round(_TOP + SIDE * (1 - value), 1)
