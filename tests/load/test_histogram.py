"""Counts of latencies: as exact as promised, and none lost."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from tcpecho_trio.load.histogram import Histogram, bounds_of, index_of, new_counts, value_of

NANOSECONDS = st.one_of(st.integers(0, 5000), st.integers(0, 10**13))
VALUES = st.lists(NANOSECONDS, min_size=1, max_size=60)


def counted(values: list[int]) -> Histogram:
    counts = new_counts()
    for value in values:
        counts[index_of(value)] += 1
    return Histogram(counts)


@given(NANOSECONDS)
def test_a_value_lies_in_its_bucket_and_the_bucket_is_narrow(value: int) -> None:
    first, above = bounds_of(index_of(value))
    assert first <= value < above
    assert above - first <= max(1, value / 512)
    assert abs(value_of(index_of(value)) - value) <= value * 0.001


@given(NANOSECONDS)
def test_buckets_leave_no_gap_and_stand_in_order(value: int) -> None:
    index = index_of(value)
    _, above = bounds_of(index)
    assert index_of(above) == index + 1
    assert bounds_of(index + 1)[0] == above


@given(VALUES, st.floats(0.01, 1.0))
def test_a_quantile_is_the_one_of_the_sorted_values(values: list[int], share: float) -> None:
    rank = max(1, math.ceil(share * len(values)))
    exact = sorted(values)[rank - 1] / 1e9
    assert math.isclose(counted(values).quantile(share), exact, rel_tol=0.001, abs_tol=1e-9)


@given(VALUES, VALUES)
def test_adding_loses_nothing(first: list[int], second: list[int]) -> None:
    both = counted(first)
    both.quantile(0.5)  # what it remembers of its order must not outlive the addition
    both.add(counted(second))
    assert both.items() == counted(first + second).items()
    assert both.total == len(first) + len(second)


@given(VALUES)
def test_the_maximum_and_the_mean_are_those_of_the_values(values: list[int]) -> None:
    found = counted(values)
    assert math.isclose(found.maximum, max(values) / 1e9, rel_tol=0.001, abs_tol=1e-9)
    mean = sum(values) / len(values) / 1e9
    assert math.isclose(found.mean, mean, rel_tol=0.001, abs_tol=1e-9)


@given(VALUES, NANOSECONDS)
def test_what_is_above_a_limit_is_counted_to_the_accuracy_of_a_bucket(
    values: list[int], limit: int
) -> None:
    found = counted(values).above(limit / 1e9)
    assert found <= sum(value > limit for value in values)
    assert found >= sum(value > limit * 1.003 + 2 for value in values)


def test_without_values_everything_is_zero() -> None:
    nothing = Histogram()
    assert nothing.summary() == {"p50": 0, "p90": 0, "p99": 0, "p999": 0, "max": 0}
    assert (nothing.mean, nothing.above(0), len(nothing)) == (0, 0, 0)


def test_a_summary_is_in_milliseconds() -> None:
    summary = counted([1_000_000] * 90 + [20_000_000] * 10).summary()
    assert math.isclose(summary["p50"], 1, rel_tol=0.001)
    assert math.isclose(summary["p90"], 1, rel_tol=0.001)
    assert math.isclose(summary["p99"], 20, rel_tol=0.001)
    assert math.isclose(summary["max"], 20, rel_tol=0.001)
