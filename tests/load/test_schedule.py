"""When messages are due."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpecho_trio.load.schedule import Schedule

RATES = st.floats(0.1, 1e6)


@given(RATES, st.integers(0, 10**7))
def test_at_a_steady_rate_messages_are_due_at_equal_distances(rate: float, number: int) -> None:
    due = Schedule.steady(rate).due(number)
    assert math.isclose(due, number * 1e9 / rate, rel_tol=1e-9, abs_tol=1)


@given(st.floats(1, 1e5), st.floats(1, 1e5), st.floats(0.5, 100), st.lists(st.integers(0, 10**6)))
def test_the_messages_of_a_ramp_are_due_in_their_order(
    low: float, climb: float, seconds: float, numbers: list[int]
) -> None:
    ramp = Schedule.ramp(low, low + climb, seconds)
    dues = [ramp.due(number) for number in sorted(numbers)]
    assert dues == sorted(dues)
    assert all(ramp.due(number) < ramp.due(number + 1) for number in numbers)


@given(st.floats(1, 1e4), st.floats(0, 1e4), st.floats(2, 30))
def test_each_step_of_a_ramp_has_the_messages_of_its_rate(
    low: float, climb: float, seconds: float
) -> None:
    ramp = Schedule.ramp(low, low + climb, seconds)
    assert ramp.steps[0].rate == low
    assert math.isclose(ramp.steps[-1].rate, low + climb)
    assert math.isclose(ramp.seconds or 0, seconds, rel_tol=1e-6)
    for step, following in zip(ramp.steps, ramp.steps[1:], strict=False):
        assert step.end == following.start
        count = following.first - step.first
        assert abs(count - step.rate * (following.start - step.start) / 1e9) <= 1
        assert ramp.due(following.first) == following.start
        assert ramp.due(following.first - 1) < following.start


@pytest.mark.parametrize(("seconds", "steps"), [(0.5, 2), (5, 5), (30, 20), (600, 20)])
def test_a_ramp_has_steps_of_a_second_or_more_and_not_too_many(seconds: float, steps: int) -> None:
    assert len(Schedule.ramp(10, 1000, seconds).steps) == steps


def test_a_steady_rate_lasts_for_ever() -> None:
    assert Schedule.steady(10).seconds is None
