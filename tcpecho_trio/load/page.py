"""The report as one HTML page that needs nothing else: no network, no script; readable on paper."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from tcpecho_trio.display import shown
from tcpecho_trio.load.histogram import value_of
from tcpecho_trio.load.plots import Axis, Curve, linear, logarithmic, plot
from tcpecho_trio.load.report import Report
from tcpecho_trio.load.table import (
    counts,
    knee,
    latencies,
    milliseconds,
    notes,
    number,
    ramp,
    setup,
    wrong_replies,
)
from tcpecho_trio.load.timeline import Row
from tcpecho_trio.texts import LANGUAGES, Texts

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1c1f24; background: #fff;
  max-width: 820px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; }
h2 { font-size: 1.05rem; margin: 1.8rem 0 .3rem; }
.when, figcaption { color: #5a6270; font-size: .87rem; }
pre { background: #f4f5f7; padding: .8rem 1rem; overflow-x: auto; font-size: .87rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(7rem, 1fr));
  gap: .6rem; margin: 1rem 0; }
.cards div { border: 1px solid #d5d9e0; border-radius: 6px; padding: .5rem .8rem; }
.cards b { display: block; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
.cards .bad b { color: #b3261e; }
.cards span { color: #5a6270; font-size: .8rem; }
.note { border-left: 3px solid #c9ced6; padding-left: .8rem; }
figure { margin: 0; overflow-x: auto; break-inside: avoid; }
svg { width: 100%; height: auto; }
svg text { font: 11px system-ui, sans-serif; fill: #444b57; }
svg .grid { stroke: #e3e6eb; }
svg polyline { fill: none; stroke-width: 1.8; }
svg .bad { fill: #c62828; }
table { border-collapse: collapse; font-size: .87rem; margin: .8rem 0; }
td, th { padding: .2rem .9rem .2rem 0; vertical-align: top; text-align: left;
  overflow-wrap: anywhere; }
td:first-child, th { color: #5a6270; font-weight: normal; }
.figures { font-variant-numeric: tabular-nums; break-inside: avoid; }
.figures tr { border-bottom: 1px solid #e3e6eb; }
.figures td + td, .figures th + th { text-align: right; padding: .2rem 0 .2rem 1.1rem; }
@media (max-width: 640px) { svg { min-width: 620px; }
  .figures td + td, .figures th + th { padding-left: .45rem; } .figures { font-size: .78rem; } }
@media print { body { margin: 0; max-width: none; font-size: 12px; }
  h2 { break-after: avoid; margin-top: 1.1rem; } svg { width: 76%; } }
"""

LONGEST_COMMAND = 4000
"""Characters of the command line that are shown."""

BLUE, ORANGE, GREY = "#1f5fbf", "#c2600a", "#7a828f"

SHARES = ((1, "0"), (10, "90 %"), (100, "99 %"), (1000, "99.9 %"), (10_000, "99.99 %"))
"""Ticks of the percentiles: 1 / (1 - share)."""


def page(report: Report, texts: Texts) -> str:
    """The whole page."""
    words = texts.load
    language = next(name for name, known in LANGUAGES.items() if known is texts)
    title = words.title.format(address=shown(report.address))
    parts = [
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        f'<p class="when">{escape(_sentence(setup(report, texts)))}<br>',
        f"{escape(_when(report, texts))}</p>",
        _cards(report, texts),
        *(f'<p class="note">{escape(note)}</p>' for note in notes(report, texts)),
        _figure(words.page_percentiles, _percentiles(report, texts)),
        _figure(words.page_latency, _latency(report.rows, texts)),
        _figure(words.page_throughput, _throughput(report.rows, texts)),
        f"<h2>{escape(words.page_figures)}</h2>",
        _table(counts(report, texts)),
        *(f"<pre>{escape(line)}</pre>" for line in wrong_replies(report, texts)),
        _table(latencies(report, texts), head=True),
    ]
    if report.steps:
        parts.append(_table(ramp(report, texts), head=True))
        parts += [f"<p>{escape(line)}</p>" for line in knee(report, texts)]
    if report.arguments:
        command = shlex.join(("python", "-m", "tcpecho_trio", *report.arguments))
        parts.append(f"<h2>{escape(words.page_command)}</h2>")
        parts.append(f"<pre>{escape(shown(command, LONGEST_COMMAND))}</pre>")
    parts.append(f"<h2>{escape(words.page_options)}</h2>{_options(report)}")
    parts.append("</body></html>\n")
    return "\n".join(parts)


def _when(report: Report, texts: Texts) -> str:
    found: dict[str, Any] = report.as_json()
    when = datetime.fromtimestamp(report.began, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return texts.load.page_when.format(when=when, version=found["version"], **found["system"])


def _cards(report: Report, texts: Texts) -> str:
    words = texts.load
    cards = [
        (words.row_rate, number(report.rate, texts), ""),
        ("p50, ms", milliseconds(report.p50, texts), ""),
        ("p99, ms", milliseconds(report.p99, texts), ""),
        ("max, ms", milliseconds(report.max, texts), ""),
        (words.row_replies, texts.number(report.replies), ""),
        (words.row_errors, texts.number(report.error_count), "bad" if report.error_count else ""),
    ]
    return (
        '<div class="cards">'
        + "".join(
            f'<div class="{kind}"><b>{escape(value)}</b><span>{escape(name)}</span></div>'
            for name, value, kind in cards
        )
        + "</div>"
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _table(rows: Iterable[Sequence[str]], *, head: bool = False) -> str:
    """Rows of cells; figures to the right."""
    lines = []
    for place, row in enumerate(rows):
        kind = "th" if head and not place else "td"
        lines.append("".join(f"<{kind}>{escape(cell)}</{kind}>" for cell in row))
    return '<table class="figures">' + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _figure(title: str, svg: str) -> str:
    return f"<h2>{escape(title)}</h2><figure>{svg}</figure>" if svg else ""


def _percentiles(report: Report, texts: Texts) -> str:
    """Latency over 1 / (1 - share): the tail has as much room as the middle."""
    words = texts.load
    curves, total = [], report.latency.total
    if not total:
        return ""
    kinds = [(words.since_due, report.latency, BLUE, "")]
    if report.settings.open_loop or report.settings.churn:
        kinds.append((words.since_sent, report.service, ORANGE, "6 3"))
    else:
        kinds = [(words.since_sent, report.latency, BLUE, "")]
    lowest, highest = float("inf"), 0.0
    for name, found, colour, dashes in kinds:
        points, seen = [], 0
        for index, count in found.items():
            value = max(value_of(index) / 1e6, 1e-4)
            lowest, highest = min(lowest, value), max(highest, value)
            points.append((max(1.0, total / max(1, total - seen)), value))
            seen += count
            points.append((max(1.0, total / max(1, total - seen)), value))
        curves.append(Curve(name, colour, _thinned(points), dashes))
    last = next((i for i, (share, _) in enumerate(SHARES) if share >= total), len(SHARES) - 1)
    ticks = SHARES[: max(2, last + 1)]
    across = Axis(1, ticks[-1][0], ticks, logarithmic=True)
    up = logarithmic(lowest, highest, lambda value: f"{value:g} ms")
    return plot(words.page_percentiles, across, up, curves, below="")


def _latency(rows: Sequence[Row], texts: Texts) -> str:
    words = texts.load
    answered = [row for row in rows if row.latencies.total]
    if not answered:
        return ""

    def curve(name: str, colour: str, share: float, dashes: str) -> Curve:
        points = [
            (row.start + row.seconds / 2, max(row.latencies.quantile(share) * 1e3, 1e-4))
            for row in answered
        ]
        return Curve(name, colour, points, dashes)

    curves = [
        curve("max", GREY, 1.0, "2 3"),
        curve("p99", ORANGE, 0.99, "6 3"),
        curve("p50", BLUE, 0.5, ""),
    ]
    values = [value for one in curves for _, value in one.points]
    up = logarithmic(min(values), max(values), lambda value: f"{value:g} ms")
    return plot(words.page_latency, _time(rows), up, curves, below=words.page_seconds)


def _throughput(rows: Sequence[Row], texts: Texts) -> str:
    words = texts.load
    if not rows:
        return ""
    points = [(row.start + row.seconds / 2, row.rate) for row in rows]
    up = linear(max(rate for _, rate in points), lambda value: number(round(value), texts))
    most = max(row.errors for row in rows)
    bars = [
        (row.start, row.start + row.seconds, row.errors / most / 2) for row in rows if row.errors
    ]
    curves = [Curve(words.row_rate, BLUE, points)]
    return plot(
        words.page_throughput,
        _time(rows),
        up,
        curves,
        below=words.page_seconds,
        bars=bars,
        bars_name=f"{words.row_errors} (max {texts.number(most)})",
    )


def _time(rows: Sequence[Row]) -> Axis:
    end = rows[-1].start + rows[-1].seconds
    axis = linear(end, lambda value: f"{value:g}")
    return Axis(0, max(end, 1e-3), [tick for tick in axis.ticks if tick[0] <= end * 1.001])


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most some two thousand points: a plot has no more pixels."""
    step = max(1, len(points) // 2000)
    return [*points[::step], *points[-1:]]


def _options(report: Report) -> str:
    options = report.as_json()["options"]
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(shown(_value(value)))}</td></tr>"
        for name, value in options.items()
        if value not in (None, "", False)
    )
    return f"<table>{rows}</table>"


def _value(value: object) -> str:
    if isinstance(value, list):
        return " – ".join(map(_value, dict.fromkeys(value)))
    return f"{value:.12g}" if isinstance(value, float) else str(value)
