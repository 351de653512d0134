"""Plots as SVG, made by hand: three curves do not need a plotting library.

Each curve has a dash pattern of its own, so that it is told apart on grey paper, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 14, 12, 36
"""The margins, with room for the labels of the axes."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Curve:
    """A line of a plot.

    Args:
      name: as the legend calls it.
      colour: of the line.
      points: x and y, in the order of x.
      dashes: SVG's stroke-dasharray; empty for a solid line.
    """

    name: str
    colour: str
    points: Sequence[Point]
    dashes: str = ""


@dataclass(frozen=True, slots=True)
class Axis:
    """One direction of a plot.

    Args:
      low, high: the values at its ends.
      ticks: values, and how they are written.
      logarithmic: whether each power of ten has the same room.
    """

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """From 0 to 1."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high = math.log10(low), math.log10(high)
            value = math.log10(max(value, self.low))
        share = (value - low) / (high - low) if high > low else 0.5
        return min(1.0, max(0.0, share))


def linear(high: float, write: Callable[[float], str], low: float = 0.0) -> Axis:
    """From 0, with four to eight round ticks."""
    span = max(high - low, 1e-9)
    step = 10.0 ** math.floor(math.log10(span / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 8)
    top = math.ceil(high / step - 1e-9) * step or step
    count = round((top - low) / step)
    return Axis(low, top, [(low + n * step, write(low + n * step)) for n in range(count + 1)])


def logarithmic(low: float, high: float, write: Callable[[float], str]) -> Axis:
    """Whole powers of ten around the values."""
    first = math.floor(math.log10(max(low, 1e-6)))
    last = max(first + 1, math.ceil(math.log10(max(high, 1e-6)) - 1e-9))
    ticks = [(10.0**n, write(10.0**n)) for n in range(first, last + 1)]
    return Axis(10.0**first, 10.0**last, ticks, logarithmic=True)


def plot(
    title: str,
    across: Axis,
    up: Axis,
    curves: Sequence[Curve],
    *,
    below: str,
    bars: Sequence[tuple[float, float, float]] = (),
    bars_name: str = "",
) -> str:
    """An SVG element.

    Args:
      title: what it shows, for those who cannot see it.
      across: the axis of what the curves depend on.
      up: the axis of their values.
      curves: the lines.
      below: what the axis across measures.
      bars: red bars: from x to x, and how high, from 0 to 1.
      bars_name: what they are.
    """
    inner, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(value: float) -> float:
        return round(LEFT + across.place(value) * inner, 1)

    def y(value: float) -> float:
        return round(TOP + (1 - up.place(value)) * tall, 1)

    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" xmlns="http://www.w3.org/2000/svg"'
    parts = [f'{head} role="img" aria-label="{escape(title)}">']
    for value, text in up.ticks:
        parts.append(
            f'<line class="grid" x1="{LEFT}" y1="{y(value)}" x2="{WIDTH - RIGHT}" y2="{y(value)}"/>'
            f'<text x="{LEFT - 6}" y="{y(value) + 4}" text-anchor="end">{escape(text)}</text>'
        )
    for value, text in across.ticks:
        anchor = "end" if x(value) > WIDTH - RIGHT - 20 else "middle"
        parts.append(
            f'<text x="{x(value)}" y="{HEIGHT - BOTTOM + 15}" text-anchor="{anchor}">'
            f"{escape(text)}</text>"
        )
    parts.append(
        f'<text x="{LEFT + inner}" y="{HEIGHT - 4}" text-anchor="end">{escape(below)}</text>'
    )
    for start, end, share in bars:
        height = max(2.0, share * tall)
        parts.append(
            f'<rect class="bad" x="{x(start)}" width="{max(2.0, x(end) - x(start)):.1f}"'
            f' y="{TOP + tall - height:.1f}" height="{height:.1f}"/>'
        )
    for curve in curves:
        path = " ".join(f"{x(px)},{y(py)}" for px, py in curve.points)
        dashes = f' stroke-dasharray="{curve.dashes}"' if curve.dashes else ""
        parts.append(f'<polyline points="{path}" stroke="{curve.colour}"{dashes}/>')
    parts.append(_legend(curves, bars_name if bars else ""))
    parts.append("</svg>")
    return "".join(parts)


def _legend(curves: Sequence[Curve], bars_name: str) -> str:
    parts, place = [], LEFT + 10
    for curve in curves:
        dashes = f' stroke-dasharray="{curve.dashes}"' if curve.dashes else ""
        parts.append(
            f'<line x1="{place}" y1="{HEIGHT - 8}" x2="{place + 24}" y2="{HEIGHT - 8}"'
            f' stroke="{curve.colour}"{dashes} stroke-width="2"/>'
            f'<text x="{place + 30}" y="{HEIGHT - 4}">{escape(curve.name)}</text>'
        )
        place += 44 + 7 * len(curve.name)
    if bars_name:
        parts.append(
            f'<rect class="bad" x="{place}" y="{HEIGHT - 13}" width="12" height="9"/>'
            f'<text x="{place + 18}" y="{HEIGHT - 4}">{escape(bars_name)}</text>'
        )
    return "".join(parts)
