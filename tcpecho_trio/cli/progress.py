"""A progress bar on standard error: one line that is drawn over and over.

click's own bar hides the cursor, and leaves it hidden when the process is stopped or killed; it
also wraps on a narrow terminal. This one needs nothing of a terminal but the carriage return.
"""

from __future__ import annotations

import os
from collections.abc import Callable

BAR = 36
"""Columns of the bar where there is room."""

SHORTEST_BAR = 5
"""Columns below which the percentage alone says more."""


class ProgressBar:
    """How much of something has been moved.

    Args:
      label: what is going on.
      size: bytes in all.
      write: puts text on the terminal at once.
      columns: how wide the terminal is now.
    """

    def __init__(
        self,
        label: str,
        size: int,
        write: Callable[[str], None],
        columns: Callable[[], int],
    ) -> None:
        self._label = label
        self._size = size
        self._write = write
        self._columns = columns
        self._moved = 0
        self._percent = -1

    def add(self, count: int) -> None:
        """So many bytes more have been moved; drawn when a percent is full."""
        self._moved += count
        percent = min(100, 100 * self._moved // self._size)
        if percent != self._percent:
            self._percent = percent
            # The last column stays free: a terminal may wrap when something is written there.
            width = max(1, self._columns() - 1)
            self._write("\r" + self._line(width)[:width].ljust(width))

    def _line(self, width: int) -> str:
        text = f"{self._label} {self._percent:3}%"
        bar = min(BAR, width - len(text) - len(" []"))
        if bar < SHORTEST_BAR:
            return text
        done = "#" * (bar * self._percent // 100)
        return f"{self._label} [{done.ljust(bar, '-')}] {self._percent:3}%"


def terminal_columns(fd: int) -> int:
    """How wide the terminal behind a descriptor is; 80 where it does not say."""
    try:
        return os.get_terminal_size(fd).columns or 80
    except OSError:
        return 80
