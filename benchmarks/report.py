"""Results as a table for people and as a plot (SVG) for the documentation."""

from __future__ import annotations

import math
from html import escape

Results = dict[str, dict[str, dict[str, float]]]
"""measure → server → figure → median."""

COLOURS = {True: "#0b7285", False: "#adb5bd"}


def table(title: str, rows: dict[str, dict[str, float]], first: str, figures: list[str]) -> str:
    """One measure of all servers, and the first server's ratios to each.

    The ratios are those of the leading figure, and of p99 where that is another one.
    """
    ratios = [name for name in ("ratio", "ratio p99") if name in next(iter(rows.values()))]
    heads = "".join(f"{name:>24}" for name in figures) + "".join(f"{name:>12}" for name in ratios)
    lines = [title, f"  {'':30}{heads}"]
    for server, row in rows.items():
        cells = "".join(f"{number(row[name], ',.3f'):>24}" for name in figures)
        cells += "".join(f"{number(row[name], '.2f'):>12}" for name in ratios)
        lines.append(f"  {server:30}{cells}")
    lines.append(f"  (ratio: {first} / the server in that row, median over the rounds)")
    return "\n".join(lines)


def number(value: float, how: str) -> str:
    """A number as it is printed; a dash where there is none."""
    return "–" if math.isnan(value) else format(value, how)


def markdown(measures: Results, columns: dict[str, tuple[str, str]]) -> str:
    """A table of the chosen columns: heading → measure and figure."""
    servers = list(next(iter(measures.values())))
    lines = [
        "| server | " + " | ".join(columns) + " |",
        "|---|" + "--:|" * len(columns),
    ]
    for server in servers:
        cells = []
        for measure, figure in columns.values():
            value = measures[measure][server][figure]
            cells.append(number(value, ",.0f" if value >= 1000 else ".2f"))
        lines.append(f"| {server} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def plot(measures: Results, ours: str, figure: str) -> str:
    """Horizontal bars of one figure, a panel for each measure; shorter is better."""
    parts: list[str] = []
    y = 44
    for title, rows in measures.items():
        parts.append(f'<text x="10" y="{y}" font-weight="bold">{escape(title)}</text>')
        y += 8
        # A bar beyond four times ours is cut, and has an arrow: the others shall be seen.
        known = {name: row for name, row in rows.items() if not math.isnan(row[figure])}
        longest = min(4 * rows[ours][figure], max(row[figure] for row in known.values()))
        for server, row in sorted(known.items(), key=lambda item: item[1][figure]):
            width = 380 * min(1, row[figure] / longest)
            cut = " →" if row[figure] > longest else ""
            y += 18
            bar = COLOURS[server == ours]
            parts += [
                f'<text x="215" y="{y}" text-anchor="end">{escape(server)}</text>',
                f'<rect x="225" y="{y - 11}" width="{width:.1f}" height="13" fill="{bar}"/>',
                f'<text x="{230 + width:.1f}" y="{y}">{row[figure]:,.2f}{cut}</text>',
            ]
        y += 34

    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="680" height="{y}"'
        f' style="font: 12px sans-serif"><rect width="100%" height="100%" fill="white"/>'
        f'<text x="10" y="14">CPU µs of the server per message; shorter is better</text>'
        + "\n".join(parts)
        + "</svg>\n"
    )
