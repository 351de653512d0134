"""When is each message of an open loop due? Arithmetic only.

Messages are numbered from 0. At a rate they are due at equal distances, whatever the server does;
a ramp climbs in steps, each with a rate of its own. Times are nanoseconds since the load began.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

NEVER = 1 << 80
"""Later than any clock, in nanoseconds."""

MOST_STEPS = 20
"""Steps of a ramp: so finely is the knee found."""

SHORTEST_STEP = 1.0
"""Seconds of a step, where the ramp has them: a p99 of less says little."""


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the load with one rate.

    Args:
      start: when it begins, in nanoseconds.
      first: the number of the first message that is due in it.
      rate: messages a second.
      end: when it ends; None for never.
    """

    start: int
    first: int
    rate: float
    end: int | None = None


class Schedule:
    """Which message is due when.

    Args:
      rates: rates, and for how many seconds each; the last one may be None, for ever.
    """

    def __init__(self, rates: list[tuple[float, float | None]]) -> None:
        steps: list[Step] = []
        start, first = 0, 0
        for rate, seconds in rates:
            end = None if seconds is None else start + int(seconds * 1e9)
            steps.append(Step(start, first, rate, end))
            if end is not None:
                # The first message of the next step is due at its beginning, so this one's last
                # message is the last that is due before it.
                first += max(1, -int(-(end - start) * rate // 1e9))
                start = end
        self.steps = tuple(steps)
        self._firsts = [step.first for step in steps]

    @classmethod
    def steady(cls, rate: float) -> Schedule:
        """One rate, for ever."""
        return cls([(rate, None)])

    @classmethod
    def ramp(cls, low: float, high: float, seconds: float) -> Schedule:
        """From one rate to another in equal steps."""
        count = max(2, min(MOST_STEPS, int(seconds / SHORTEST_STEP)))
        climb = (high - low) / (count - 1)
        return cls([(low + number * climb, seconds / count) for number in range(count)])

    def due(self, number: int) -> int:
        """When this message is due."""
        steps = self.steps
        step = steps[0] if len(steps) == 1 else steps[bisect_right(self._firsts, number) - 1]
        return step.start + int((number - step.first) * 1e9 / step.rate)

    @property
    def seconds(self) -> float | None:
        """How long it is; None for ever."""
        end = self.steps[-1].end
        return None if end is None else end / 1e9
