"""Counts of latencies, in buckets that are never wider than 0.2 % of what they hold.

The buckets are those of an HdrHistogram (hdrhistogram.org): 512 to each power of two. So any
latency, from a nanosecond to hours, is kept to three digits in a few thousand counters, however
many there are; and two histograms can be added without a loss.

The hot loop of a load counts by itself, because a call would cost as much as the counting::

    counts[((shift := SHIFT[value.bit_length()]) << 9) + (value >> shift)] += 1
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

BITS = 9
"""Each power of two has 2**9 buckets, so that a bucket is at most 1/512 of its values wide."""

SHIFT = tuple(max(0, bits - BITS - 1) for bits in range(128))
"""How many of the lowest bits a value with so many bits loses."""

Counts = defaultdict[int, int]
"""How many values there are in each bucket, by the bucket's index."""


def new_counts() -> Counts:
    """Nothing counted yet."""
    return defaultdict(int)


def index_of(value: int) -> int:
    """The bucket of a value, which must not be negative."""
    shift = SHIFT[value.bit_length()]
    return (shift << BITS) + (value >> shift)


def bounds_of(index: int) -> tuple[int, int]:
    """The first value of a bucket, and the first one above it."""
    shift = max(0, (index >> BITS) - 1)
    first = (index - (shift << BITS)) << shift
    return first, first + (1 << shift)


def value_of(index: int) -> float:
    """The middle of a bucket: the value that its values are taken for."""
    first, above = bounds_of(index)
    return (first + above - 1) / 2


class Histogram:
    """How often each latency occurred; values are nanoseconds, and results are seconds.

    Args:
      counts: what has been counted, by bucket. It is copied.
    """

    __slots__ = ("_buckets", "_counts", "total")

    def __init__(self, counts: Mapping[int, int] | Iterable[tuple[int, int]] = ()) -> None:
        self._counts: dict[int, int] = dict(counts)
        self._buckets: list[int] | None = None
        self.total = sum(self._counts.values())

    def __len__(self) -> int:
        return self.total

    def items(self) -> list[tuple[int, int]]:
        """Buckets and their counts, from the smallest values up."""
        return [(index, self._counts[index]) for index in self._sorted()]

    def add(self, other: Histogram) -> None:
        """Count what the other one has counted, too."""
        counts = self._counts
        for index, count in other._counts.items():
            counts[index] = counts.get(index, 0) + count
        self.total += other.total
        self._buckets = None

    def quantile(self, share: float) -> float:
        """The latency within which that share of all of them lies; 0 where there are none."""
        rank = max(1, -int(-share * self.total // 1))  # rounded up
        for index in self._sorted():
            rank -= self._counts[index]
            if rank <= 0:
                return value_of(index) / 1e9
        return 0.0

    @property
    def maximum(self) -> float:
        """The longest latency."""
        return value_of(self._sorted()[-1]) / 1e9 if self._counts else 0.0

    @property
    def mean(self) -> float:
        """The average latency."""
        if not self.total:
            return 0.0
        return sum(value_of(index) * n for index, n in self._counts.items()) / self.total / 1e9

    def above(self, seconds: float) -> int:
        """How many latencies were longer, to the accuracy of a bucket."""
        last = index_of(round(seconds * 1e9))
        return sum(count for index, count in self._counts.items() if index > last)

    def summary(self) -> dict[str, float]:
        """The usual percentiles in milliseconds; the names are an interface."""
        return {
            "p50": round(self.quantile(0.5) * 1e3, 6),
            "p90": round(self.quantile(0.9) * 1e3, 6),
            "p99": round(self.quantile(0.99) * 1e3, 6),
            "p999": round(self.quantile(0.999) * 1e3, 6),
            "max": round(self.maximum * 1e3, 6),
        }

    def _sorted(self) -> list[int]:
        if self._buckets is None:
            self._buckets = sorted(self._counts)
        return self._buckets
