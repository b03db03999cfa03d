"""Plots as SVG text: intervals, shares over a budget, a mix. Colours are CSS classes, so that a page has its theme."""

import math
from collections.abc import Sequence
from html import escape

from qcode_evals.statistics import Estimate

WIDTH = 540
_ROW, _LEFT, _RIGHT = 24, 190, 56


def _svg(height: int, parts: Sequence[str], label: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", dim: bool = False) -> str:
    style = ' class="dim"' if dim else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def intervals(rows: Sequence[tuple[str, str, Estimate]]) -> str:
    """A row each: name, what is said at its right end, the share with its interval; one scale from 0 to 100 %."""
    height = _ROW * len(rows) + 34
    span = WIDTH - _LEFT - _RIGHT
    parts = []
    for tick in range(0, 101, 25):
        x = _LEFT + span * tick / 100
        parts += [_line(x, 6, x, height - 24, "grid"), _text(x, height - 8, f"{tick} %", anchor="middle", dim=True)]
    for index, (name, said, share) in enumerate(rows):
        y = 18 + _ROW * index
        low, high, value = (_LEFT + span * part for part in (share.low, share.high, share.value))
        parts += [
            _text(_LEFT - 10, y + 4, name, anchor="end"),
            _line(low, y, high, y, "interval"),
            f'<circle cx="{value:.1f}" cy="{y}" r="5" class="point"/>',
            _text(WIDTH - _RIGHT + 10, y + 4, said, dim=True),
        ]
    return _svg(height, parts, "share resolved with its interval of 95 %")


def ticks(most: float) -> list[float]:
    """Round numbers from 0 to the first that is not below `most`, three to six of them."""
    if most <= 0:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(most))
    step = next(part * power for part in (0.2, 0.25, 0.5, 1.0, 2.0, 2.5) if most / (part * power) <= 5)
    return [step * number for number in range(math.ceil(round(most / step, 9)) + 1)]


def _short(number: float) -> str:
    """Thousands and millions by their letter."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if number >= 10 * size or number == size * round(number / size) > 0:
            return f"{number / size:g}{letter}"
    return f"{number:g}"


def within(values: Sequence[float], total: int, unit: str) -> str:
    """How many of `total` attempts had resolved their task within a budget; `values` are the budgets that they took."""
    height, bottom, left, right = 220, 176, 48, 24
    if not total or not any(values):
        return _svg(40, [_text(left, 24, f"nothing was resolved with {unit}", dim=True)], "no data")
    ordered = sorted(values)
    span, rise = WIDTH - left - right, bottom - 16
    shares, budgets = ticks(100 * len(ordered) / total), ticks(ordered[-1])
    top, most = shares[-1] / 100, budgets[-1]
    parts = []
    for share in shares:
        y = bottom - rise * share / shares[-1]
        parts += [
            _line(left, y, WIDTH - right, y, "grid"),
            _text(left - 8, y + 4, f"{share:g} %", anchor="end", dim=True),
        ]
    for budget in budgets:
        parts.append(_text(left + span * budget / most, bottom + 18, _short(budget), anchor="middle", dim=True))
    points = [f"{left},{bottom}"]
    for number, value in enumerate(ordered, start=1):
        x = left + span * value / most
        before, after = (bottom - rise * (count / total) / top for count in (number - 1, number))
        points += [f"{x:.1f},{before:.1f}", f"{x:.1f},{after:.1f}"]
    points.append(f"{WIDTH - right},{bottom - rise * len(ordered) / total / top:.1f}")
    parts.append(f'<polyline points="{" ".join(points)}" class="curve"/>')
    parts.append(_text(WIDTH - right, bottom + 36, unit, anchor="end", dim=True))
    return _svg(height, parts, f"share resolved within a budget of {unit}")


def mix(parts: Sequence[tuple[str, int]]) -> str:
    """One bar of all attempts by outcome, with a legend; the class of each part is its name."""
    total = sum(count for _, count in parts) or 1
    drawn, x = [], 0.0
    for index, (name, count) in enumerate(parts):
        width = WIDTH * count / total
        drawn.append(f'<rect x="{x:.1f}" y="0" width="{width:.1f}" height="30" class="part {escape(name)}"/>')
        column, row = index % 3, index // 3
        drawn.append(f'<rect x="{column * 180}" y="{44 + row * 24}" width="14" height="14" class="{escape(name)}"/>')
        drawn.append(_text(column * 180 + 22, 56 + row * 24, f"{name} {count} ({count / total:.0%})"))
        x += width
    return _svg(44 + 24 * ((len(parts) + 2) // 3), drawn, "outcomes")
