"""Results as a table for people and as a plot (SVG) for the README."""

from __future__ import annotations

from html import escape

Results = dict[str, dict[str, dict[str, float]]]
"""measure → server → figure → median."""

COLOURS = {True: "#0b7285", False: "#adb5bd"}


def table(title: str, rows: dict[str, dict[str, float]], first: str, figures: list[str]) -> str:
    """One measure of all servers, and the first server's ratio to each (first figure)."""
    lines = [title, f"  {'':30}" + "".join(f"{name:>24}" for name in figures) + f"{'ratio':>10}"]
    for server, row in rows.items():
        cells = "".join(f"{row[name]:>24,.3f}" for name in figures)
        lines.append(f"  {server:30}{cells}{row['ratio']:>10.2f}")
    lines.append(f"  (ratio: {first} / the server in that row, median over the rounds)")
    return "\n".join(lines)


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
            cells.append(f"{value:,.0f}" if value >= 1000 else f"{value:.2f}")
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
        longest = min(4 * rows[ours][figure], max(row[figure] for row in rows.values()))
        for server, row in sorted(rows.items(), key=lambda item: item[1][figure]):
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
