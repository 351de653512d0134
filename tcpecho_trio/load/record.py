"""What is written down of a load while it goes on: rows over time, totals, and steps of a ramp.

A row ends at each interval of the timeline, and where a step of a ramp does: none is in two steps.
All times are nanoseconds of the plan's clock.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from tcpecho_trio.load.histogram import Histogram
from tcpecho_trio.load.schedule import NEVER, Schedule, Step
from tcpecho_trio.load.tally import Tally
from tcpecho_trio.load.timeline import Row, Timeline


class Record:
    """Takes what has been counted out of the tally, again and again.

    Args:
      tally: what has been counted.
      schedule: when messages are due; None in a closed loop.
      seconds: how long the load will be, if that is known.

    Attributes:
      timeline: the rows.
      total_due, total_sent: latencies of the measured part, since due and since sent.
      measured_from: when that part began.
      row_at: when the next row ends.
      on_row: called with each row.
    """

    def __init__(self, tally: Tally, schedule: Schedule | None, seconds: float | None) -> None:
        self._tally, self._schedule = tally, schedule
        self.timeline = Timeline(seconds)
        self.total_due, self.total_sent = Histogram(), Histogram()
        self.measured_from, self.row_at = 0, NEVER
        self.on_row: Callable[[Row], None] | None = None
        self._started = self._row_from = 0
        self._sent_before = self._errors_before = 0  # at the last row
        count = 0 if schedule is None else len(schedule.steps)
        self._steps = [(Histogram(), 0.0) for _ in range(count)]

    def start(self, now: int) -> None:
        """The load begins now."""
        self._started = self.measured_from = self._row_from = now

    def start_measuring(self, now: int) -> None:
        """What counts begins now, and the counters of errors are new."""
        self.measured_from = self._row_from = now
        self._sent_before, self._errors_before = self._tally.sent, 0
        self.row_at = now + int(self.timeline.interval * 1e9)

    def end_row(self, now: int, *, counted: bool, stepped: bool) -> None:
        """Write down what has happened since the last row.

        Args:
          now: the time.
          counted: whether it counts; else it is forgotten.
          stepped: whether it belongs to a step of the ramp.
        """
        tally = self._tally
        due, service = tally.take()
        errors = sum(tally.errors.values())
        if counted and now > self._row_from:
            self.total_due.add(due)
            self.total_sent.add(service)
            row = Row(
                (self._row_from - self.measured_from) / 1e9,
                (now - self._row_from) / 1e9,
                tally.sent - self._sent_before,
                due,
                errors - self._errors_before,
                tally.connections,
            )
            self.timeline.add(row)
            if stepped and self._schedule is not None:
                self._add_to_step(self._schedule, row)
            if self.on_row is not None:
                self.on_row(row)
        self._row_from, self._sent_before, self._errors_before = now, tally.sent, errors
        self.row_at = now + int(self.timeline.interval * 1e9)
        for step in () if self._schedule is None else self._schedule.steps:
            if step.end is not None and now < self._started + step.end:
                self.row_at = min(self.row_at, self._started + step.end)
                break

    def _add_to_step(self, schedule: Schedule, row: Row) -> None:
        starts = [self._started + step.start for step in schedule.steps]
        number = bisect_right(starts, self._row_from) - 1
        latencies, seconds = self._steps[number]
        latencies.add(row.latencies)
        self._steps[number] = (latencies, seconds + row.seconds)

    def steps(self) -> list[tuple[Step, Histogram, float]]:
        """Each rate that there was, the latencies of the replies that came then, and seconds."""
        if self._schedule is None:
            return []
        return [(step, *self._steps[number]) for number, step in enumerate(self._schedule.steps)]
