"""Two runs beside each other: what has changed by more than the noise of both?

The noise is what the rows of a run's timeline differ by. Two samples of rows are compared with the
Mann-Whitney U test (Mann and Whitney, 1947): it asks whether the rows of one run tend to be larger,
and supposes nothing about how they are distributed. A change counts if chance would make such a
one once in a thousand times, and if it is larger than :data:`LEAST`. That is the noise within a
run. A machine that has changed between two runs is not seen by it.
"""

from __future__ import annotations

import enum
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tcpecho_trio.errors import LoadFailed, LoadRefused

FEWEST = 6
"""Rows of each run at least: with fewer no order of them would be rare enough."""

LEAST = 0.02
"""Share by which something must have changed: the percentiles are that exact."""

RARE = 3.29
"""Standard deviations of a normal distribution that are left once in a thousand times."""

LARGEST_REPORT = 64 * 1_048_576
"""Bytes of a report that is read."""

MEASURES = ("rate", "p50", "p99", "max")
"""What is compared, by its name in the timeline."""

IGNORED = {"duration", "seed", "portable"}
"""Options that may differ between two runs that are compared."""


class Verdict(enum.Enum):
    """What to think of a difference."""

    CHANGED = "more"
    NOISE = "noise"
    SHORT = "short"


@dataclass(frozen=True, slots=True)
class Difference:
    """A measure of two runs.

    Args:
      name: of :data:`MEASURES`, or ``errors``.
      before, now: its values; latencies in milliseconds.
      verdict: what to think of it.
    """

    name: str
    before: float
    now: float
    verdict: Verdict

    @property
    def change(self) -> float:
        """By which share it has grown."""
        if not self.before:
            return math.inf if self.now else 0.0
        return self.now / self.before - 1


def read_report(path: str) -> dict[str, Any]:
    """A JSON report of an earlier run.

    Raises:
      LoadFailed: it cannot be read.
      LoadRefused: it is something else.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(LARGEST_REPORT)
    except OSError as error:
        raise LoadFailed("load.cannot_read", path=path, reason=error) from error
    try:
        found = json.loads(data)
        differences(found, found)
        other_options(found, found)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise LoadRefused("load.bad_compare", path=path) from error
    if not isinstance(found, dict):
        raise LoadRefused("load.bad_compare", path=path)
    return found


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """Each measure of two reports (as JSON)."""
    result = []
    for name in MEASURES:
        rows = [
            [float(row[name]) for row in report["timeline"] if row["replies"] > 0]
            for report in (before, now)
        ]
        values = [
            float(report["rate"] if name == "rate" else report["latency_ms"][name])
            for report in (before, now)
        ]
        result.append(Difference(name, values[0], values[1], _verdict(rows[0], rows[1], values)))
    errors = [float(report["error_count"]) for report in (before, now)]
    verdict = Verdict.NOISE if errors[0] == errors[1] else Verdict.CHANGED
    result.append(Difference("errors", errors[0], errors[1], verdict))
    return result


def other_options(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The options in which two runs differ, so that they cannot well be compared."""
    first, second = before["options"], now["options"]
    names = sorted({*first, *second} - IGNORED)
    return [str(name) for name in names if first.get(name) != second.get(name)]


def _verdict(before: Sequence[float], now: Sequence[float], values: Sequence[float]) -> Verdict:
    if min(len(before), len(now)) < FEWEST:
        return Verdict.SHORT
    middle = [statistics.median(before), statistics.median(now)]
    small = all(abs(b - a) <= LEAST * max(a, b) for a, b in (middle, values))
    return Verdict.NOISE if small or abs(rank_sum(before, now)) < RARE else Verdict.CHANGED


def rank_sum(first: Sequence[float], second: Sequence[float]) -> float:
    """How far the second sample lies above the first, in standard deviations (U test)."""
    both = sorted(
        (value, which) for which, sample in enumerate((first, second)) for value in sample
    )
    count, ranks, ties, place = len(both), 0.0, 0.0, 0
    while place < count:
        end = place
        while end < count and both[end][0] == both[place][0]:
            end += 1
        rank = (place + 1 + end) / 2  # equal values share their ranks
        ranks += rank * sum(which for _, which in both[place:end])
        ties += (end - place) ** 3 - (end - place)
        place = end
    n, m = len(first), len(second)
    u = ranks - m * (m + 1) / 2
    spread = n * m / 12 * (count + 1 - ties / (count * (count - 1)))
    return (u - n * m / 2) / math.sqrt(spread) if spread > 0 else 0.0
