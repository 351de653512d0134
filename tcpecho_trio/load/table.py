"""The report for people: plain text, as wide as a narrow terminal."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tcpecho_trio.display import shown
from tcpecho_trio.load.compare import Verdict, differences, other_options
from tcpecho_trio.load.histogram import Histogram
from tcpecho_trio.load.report import LATE, Report
from tcpecho_trio.texts import Texts

PERCENTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0))

WIDTH = 78
"""Columns of a paragraph: what fits into every terminal."""


def table(report: Report, texts: Texts, columns: int = WIDTH) -> list[str]:
    """The lines of the report; its paragraphs fit into a terminal with so many columns."""
    words = texts.load
    lines = [words.title.format(address=shown(report.address)) + ": " + setup(report, texts), ""]
    lines += _aligned(counts(report, texts))
    lines += [f"  {line}" for line in wrong_replies(report, texts)]
    lines += ["", *grid(latencies(report, texts))]
    if report.steps:
        lines += ["", *grid(ramp(report, texts))]
        lines += [f"  {line}" for line in knee(report, texts)]
    for note in notes(report, texts):
        lines += ["", *_paragraph(note, columns)]
    return lines


def setup(report: Report, texts: Texts) -> str:
    """What was asked for, in a line."""
    settings, words = report.settings, texts.load
    parts = [_counted(words.setup_connections, settings.connections, texts)]
    if settings.ramp is not None:
        low, high = (number(rate, texts) for rate in (settings.ramp.low, settings.ramp.high))
        parts.append(words.setup_ramp.format(low=low, high=high))
    elif settings.rate is not None:
        parts.append(words.setup_open.format(rate=number(settings.rate, texts)))
    else:
        parts.append(words.setup_closed)
    if settings.texts:
        parts.append(_counted(words.setup_texts, len(settings.texts), texts))
    else:
        least, most = settings.size
        size = texts.number(least) + ("" if least == most else f"–{texts.number(most)}")
        one, many = words.setup_size
        parts.append((one if most == 1 else many).format(size=size))
    if settings.pipeline > 1:
        parts.append(words.setup_pipeline.format(count=texts.number(settings.pipeline)))
    if settings.churn:
        parts.append(words.setup_churn)
    if settings.think:
        parts.append(words.setup_think.format(seconds=settings.think))
    return ", ".join(parts)


def notes(report: Report, texts: Texts) -> Iterator[str]:
    """What has to be known to read the figures."""
    settings, words = report.settings, texts.load
    if report.interrupted:
        yield words.warn_interrupted
    late = report.lateness.quantile(0.99)
    if not report.kept_rate and settings.rate is not None:
        yield words.warn_rate.format(
            sent=number(report.sent, texts),
            asked=number(settings.rate * (settings.limit or 0), texts),
            late=milliseconds(late, texts),
        )
    elif late > LATE:
        yield words.warn_late.format(late=milliseconds(late, texts))
    if report.warmup.get("errors"):
        errors = report.warmup["errors"]
        if isinstance(errors, Mapping):
            yield words.warn_warmup.format(errors=told_errors(errors, texts))
    if settings.texts and settings.expect != "any":
        yield words.about_same_text
    if settings.expect == "any":
        yield words.about_any
    yield words.about_open if settings.open_loop else words.about_closed


def told_errors(errors: Mapping[str, int], texts: Texts) -> str:
    """The errors that there were: ``3 wrong, 1 missing``."""
    kinds = texts.load.kinds
    return ", ".join(f"{texts.number(n)} {kinds[kind]}" for kind, n in errors.items() if n)


def number(value: float, texts: Texts) -> str:
    """A number as one writes it in this language, without decimals if it is large."""
    if value == int(value) or value >= 100:
        return texts.number(round(value))
    text = f"{value:.3g}" if value >= 1e-4 else f"{value:.6f}"
    return text.replace(".", texts.load.decimal)


def milliseconds(seconds: float, texts: Texts) -> str:
    """A latency with three digits or so."""
    value = seconds * 1e3
    if value >= 1000:
        return texts.number(round(value))
    decimals = 3 if value < 10 else 2 if value < 100 else 1
    return f"{value:.{decimals}f}".replace(".", texts.load.decimal)


def counts(report: Report, texts: Texts) -> Iterator[tuple[str, str]]:
    """Names and figures: how many messages, errors, seconds."""
    words = texts.load
    yield words.row_sent, texts.number(report.sent)
    yield words.row_replies, texts.number(report.replies)
    if report.cut:
        yield words.row_cut, texts.number(report.cut)
    told = told_errors(report.errors, texts)
    yield words.row_errors, texts.number(report.error_count) + (f"  ({told})" if told else "")
    yield words.row_rate, number(report.rate, texts)
    yield words.row_seconds, number(report.seconds, texts)
    if report.replies:
        cpu = report.cpu_seconds * 1e6 / report.replies
        yield words.row_cpu, f"{cpu:.2f}".replace(".", words.decimal)


def latencies(report: Report, texts: Texts) -> list[list[str]]:
    """Rows of cells: which latency, and its percentiles; the first row names them."""
    words = texts.load
    rows: list[tuple[str, Histogram]] = [(words.since_due, report.latency)]
    if report.service is not report.latency and (
        report.settings.open_loop or report.settings.churn
    ):
        rows.append((words.since_sent, report.service))
    else:
        rows = [(words.since_sent, report.service)]
    rows += [(words.connecting, report.connecting), (words.handshaking, report.handshaking)]
    rows.append((words.lateness, report.lateness))
    cells = [[words.column_ms, *(name for name, _ in PERCENTILES)]]
    for name, found in rows:
        if found.total:
            values = [milliseconds(found.quantile(share), texts) for _, share in PERCENTILES]
            cells.append([name, *values])
    return cells


def ramp(report: Report, texts: Texts) -> list[list[str]]:
    """Rows of cells: the steps of a ramp, and whether each was good."""
    words = texts.load
    cells = [[words.ramp_title, words.ramp_replies, words.ramp_p99, ""]]
    cells += [
        [
            number(round(step.rate), texts),
            number(round(step.replies), texts),
            milliseconds(step.p99, texts),
            "✓" if step.good else "✗",
        ]
        for step in report.steps
    ]
    return cells


def knee(report: Report, texts: Texts) -> Iterator[str]:
    """What a ramp has found."""
    words, slo = texts.load, milliseconds(report.settings.slo, texts)
    if report.knee is None:
        yield words.no_knee.format(slo=slo)
        return
    yield words.knee.format(slo=slo, rate=number(round(report.knee), texts))
    if report.steps[-1].good:
        yield words.knee_above


def wrong_replies(report: Report, texts: Texts) -> Iterator[str]:
    """The first wrong replies, made safe for a terminal."""
    for sample in report.samples:
        yield texts.load.wrong_sample.format(
            connection=sample.connection,
            expected=shown(sample.expected, 60),
            received=shown(sample.received, 60),
        )


def grid(cells: Sequence[Sequence[str]]) -> list[str]:
    """Rows under each other: the first column to the left, the others to the right."""
    widths = [max(len(row[place]) for row in cells) for place in range(len(cells[0]))]
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(max(width, 8 if cell else width))
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def _aligned(rows: Iterable[tuple[str, str]]) -> list[str]:
    found = list(rows)
    width = max(len(name) for name, _ in found)
    return [f"  {name:{width}}  {value}" for name, value in found]


def _counted(forms: tuple[str, str], count: int, texts: Texts) -> str:
    one, many = forms
    return (one if count == 1 else many).format(count=texts.number(count))


def _paragraph(text: str, columns: int = WIDTH) -> list[str]:
    return textwrap.wrap(text, max(1, min(WIDTH, columns)))


def comparison(
    before: Mapping[str, Any], now: Mapping[str, Any], path: str, texts: Texts
) -> list[str]:
    """An earlier run beside this one."""
    words = texts.load
    names = {"rate": words.row_rate, "errors": words.row_errors}
    verdicts = {
        Verdict.CHANGED: words.compare_more,
        Verdict.NOISE: words.compare_noise,
        Verdict.SHORT: words.compare_short,
    }
    cells = [["", words.compare_before, words.compare_now, words.compare_change, ""]]
    for found in differences(before, now):
        values = [found.before, found.now]
        if found.name in names:
            told = [number(value, texts) for value in values]
        else:
            told = [milliseconds(value / 1e3, texts) + " ms" for value in values]
        change = "–" if math.isinf(found.change) else f"{found.change * 100:+.1f} %"
        cells.append(
            [
                names.get(found.name, found.name),
                *told,
                change.replace(".", words.decimal),
                verdicts[found.verdict],
            ]
        )
    lines = [words.compare_title.format(path=shown(path)), *grid(cells)]
    if others := other_options(before, now):
        lines += _paragraph(words.compare_other.format(names=", ".join(map(shown, others))))
    return lines
