"""How a load went over time: a row for each interval, and never more than a few hundred.

When there are too many rows, each two neighbours become one, and from then on a row covers twice
the time. So a load of a day keeps as much as one of a minute.
"""

from __future__ import annotations

from dataclasses import dataclass

from tcpecho_trio.load.histogram import Histogram

MOST_ROWS = 240
"""Rows that are kept: more than a plot has pixels for, some 10 KiB each at worst."""

SHORTEST = 0.1
"""Seconds of a row at least: below that there is not enough in it."""

LONGEST = 1.0
"""Seconds of a row at first, at most."""


@dataclass(slots=True)
class Row:
    """What happened in an interval.

    Args:
      start: when it began, in seconds since the measured part of the load began.
      seconds: how long it was.
      sent: messages sent in it.
      latencies: of the replies that came in it, since their messages were due.
      errors: how many there were.
      connections: how many there were at its end.
    """

    start: float
    seconds: float
    sent: int
    latencies: Histogram
    errors: int
    connections: int

    @property
    def rate(self) -> float:
        """Replies a second."""
        return self.latencies.total / self.seconds if self.seconds > 0 else 0.0

    def join(self, later: Row) -> None:
        """Take in the row that follows."""
        self.seconds += later.seconds
        self.sent += later.sent
        self.latencies.add(later.latencies)
        self.errors += later.errors
        self.connections = later.connections


class Timeline:
    """The rows so far.

    Args:
      seconds: how long the load will be, if that is known.
    """

    def __init__(self, seconds: float | None) -> None:
        self.interval = LONGEST if seconds is None else min(LONGEST, max(SHORTEST, seconds / 50))
        """Seconds between two looks at the counters."""
        self.rows: list[Row] = []
        self._width = 1
        self._joined = 0

    def add(self, row: Row) -> None:
        """What has happened since the last look."""
        short = bool(self.rows) and row.seconds < self.interval / 2  # the last one
        if self._joined or short:
            self.rows[-1].join(row)
        else:
            self.rows.append(row)
        self._joined = (self._joined + 1) % self._width
        if len(self.rows) > MOST_ROWS and not self._joined:
            self._halve()

    def _halve(self) -> None:
        """Join each two neighbours."""
        rows = self.rows
        if len(rows) % 2:  # the last one waits for its neighbour
            self._joined = self._width
        for first, second in zip(rows[::2], rows[1::2], strict=False):
            first.join(second)
        self.rows = rows[::2]
        self._width *= 2
