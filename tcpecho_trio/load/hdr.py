"""The latencies of a load as an HdrHistogram log (hdrhistogram.org), for other tools.

One line for each row of the timeline, as HistogramLogReader of any language reads it; values are
nanoseconds. The percentile distribution of all of them follows, as the plotter for ``.hgrm`` files
reads it. Each of the two kinds of reader passes over the lines of the other kind.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TextIO

from tcpecho_trio.errors import LoadRefused
from tcpecho_trio.load.histogram import Histogram, value_of
from tcpecho_trio.load.report import Report

HIGHEST = 3_600_000_000_000
"""Nanoseconds that the histogram can hold: an hour. What is above counts as that."""

DIGITS = 3
"""Significant digits."""

PER_MS = 1e6


def check_library() -> None:
    """See to it that the library is there.

    Raises:
      LoadRefused: the extra is missing.
    """
    try:
        import hdrh.histogram  # noqa: F401
    except ModuleNotFoundError as error:
        raise LoadRefused("load.needs_hdr") from error


def write_log(report: Report, file: TextIO) -> None:
    """Write the log.

    Raises:
      OSError: it cannot be written.
    """
    began = report.began
    when = datetime.fromtimestamp(began, UTC).isoformat()
    file.write("#[tcpecho_trio load]\n#[Histogram log format version 1.3]\n")
    file.write(f"#[StartTime: {began:.3f} (seconds since epoch), {when}]\n")
    file.write(f"#[BaseTime: {began:.3f} (seconds since epoch)]\n")
    file.write(
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n'
    )
    for row in report.rows:
        encoded = _hdr(row.latencies).encode().decode("ascii")
        worst = row.latencies.maximum * 1e3
        file.write(f"{row.start:.3f},{row.seconds:.3f},{worst:.3f},{encoded}\n")
    _write_distribution(report.latency, file)


def _hdr(latencies: Histogram):  # type: ignore[no-untyped-def]  # the library has no types
    from hdrh.histogram import HdrHistogram

    result = HdrHistogram(1, HIGHEST, DIGITS)
    for index, count in latencies.items():
        result.record_value(min(HIGHEST, max(1, round(value_of(index)))), count)
    return result


def _write_distribution(latencies: Histogram, file: TextIO) -> None:
    """The percentiles in milliseconds, as HdrHistogram's outputPercentileDistribution does."""
    file.write("       Value     Percentile TotalCount 1/(1-Percentile)\n\n")
    seen, total = 0, latencies.total
    next_share, tick = 0.0, 5
    for index, count in latencies.items():
        seen += count
        share = seen / total
        value = value_of(index) / PER_MS
        if seen == total:
            file.write(f"{value:12.3f} {1.0:2.12f} {seen:10d}\n")
        elif share >= next_share:
            file.write(f"{value:12.3f} {share:2.12f} {seen:10d} {1 / (1 - share):14.2f}\n")
            half = 1.0
            while half / 2 >= 1 - share:
                half /= 2
            next_share = share + half / 2 / tick
    mean = latencies.mean * 1e3
    file.write(f"#[Mean    = {mean:12.3f}, StdDeviation   = {_deviation(latencies):12.3f}]\n")
    file.write(f"#[Max     = {latencies.maximum * 1e3:12.3f}, Total count    = {total:12d}]\n")
    file.write(f"#[Buckets = {28:12d}, SubBuckets     = {2048:12d}]\n")


def _deviation(latencies: Histogram) -> float:
    if not latencies.total:
        return 0.0
    mean = latencies.mean * 1e9
    squares = sum(n * (value_of(index) - mean) ** 2 for index, n in latencies.items())
    return float((squares / latencies.total) ** 0.5 / PER_MS)
