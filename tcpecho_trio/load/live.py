"""What is seen while a load runs, drawn by a thread of its own.

The engine only hands over rows. A terminal that nobody reads (Ctrl-S) or a full pipe stops the
thread's drawing and nothing else: it writes to a descriptor that does not block, and gives up when
it is told to. At a terminal that can move its cursor a few lines are drawn anew, with rich if it is
there; elsewhere a line is added now and then.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import threading
import time
from collections import deque

from tcpecho_trio.load.settings import LoadSettings
from tcpecho_trio.load.table import milliseconds, number
from tcpecho_trio.load.timeline import Row
from tcpecho_trio.stdio.reopen import reopened
from tcpecho_trio.texts import Texts

SPARKS = " ▁▂▃▄▅▆▇█"
"""Heights of the spark line."""

SPARK_ROWS = 40
"""Rows that it shows."""

FEWEST_SECONDS = 1.0
"""Seconds between two lines where they stay."""

ERRORS = 6
"""Which of the figures tells the errors, from 1."""

MOST_LINES = 20
"""Such lines of a load that is not long."""

MOST_SECONDS = 10.0
"""Seconds between two lines of a load that is."""

NARROWEST, GAP = 8, 2
"""Columns of a figure at least, so that it stays in its place when it grows, and beside it."""

JOIN = 1.0
"""Seconds that the thread gets to end."""

STOPPED = 1.5
"""Seconds that a wait of one takes only if the process was stopped (Ctrl-Z) meanwhile."""

PIECE = 512
"""Bytes written at a time: a pipe that is writable has room for them (PIPE_BUF, pipe(7))."""


class LiveView:
    """Shows how a load is going.

    Args:
      settings: of the load.
      texts: the language.
      fd: where to write, standard error for example.
      draw: whether there is a terminal there that can move its cursor.
    """

    def __init__(self, settings: LoadSettings, texts: Texts, fd: int, *, draw: bool) -> None:
        self._texts, self._fd, self._draw = texts, fd, draw
        self._limit = settings.limit
        self._rows: deque[Row] = deque(maxlen=SPARK_ROWS)
        self._changed, self._stopped = threading.Event(), threading.Event()
        self._notice = texts.load.live_connecting
        self._errors = 0
        self._worst = 0.0
        self._drawn = 0  # lines that are on the screen
        self._own: int | None = None
        self._console: object = None
        self._thread = threading.Thread(target=self._run, name="load live view", daemon=True)

    def __enter__(self) -> LiveView:
        self._own = reopened(self._fd, os.O_WRONLY)
        with contextlib.suppress(RuntimeError):  # no thread can be had: then nothing is shown
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._changed.set()
        if self._thread.ident is not None:
            self._thread.join(JOIN)
        if self._own is not None and not self._thread.is_alive():
            os.close(self._own)

    def add(self, row: Row) -> None:
        """A row of the timeline; it costs the engine next to nothing."""
        self._rows.append(row)
        self._errors += row.errors
        self._notice = ""
        self._changed.set()

    def stopping(self) -> None:
        """The load is being ended."""
        self._notice = self._texts.load.live_stopping
        self._changed.set()

    # The thread.

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # nobody sees it: then it is not shown
            if self._draw:
                self._run_drawing()
            else:
                self._run_lines()

    def _run_drawing(self) -> None:
        while not self._stopped.is_set():
            lines = self._frame()
            self._write(self._back() + "".join(f"{line}\n" for line in lines))
            self._drawn = len(lines)
            began = time.monotonic()
            self._changed.wait(1.0)
            if time.monotonic() - began > STOPPED:  # the shell has written below what we had drawn
                self._drawn = 0
            self._changed.clear()
        self._write(self._back(), last=True)

    def _run_lines(self) -> None:
        pause = min(MOST_SECONDS, max(FEWEST_SECONDS, (self._limit or 0) / MOST_LINES))
        shown = time.monotonic() - pause + FEWEST_SECONDS
        noticed = ""
        while not self._stopped.is_set():
            self._changed.wait(1.0)
            self._changed.clear()
            if self._notice == self._texts.load.live_stopping != noticed:
                noticed = self._notice
                self._write(f"{noticed}\n")
            if self._rows and time.monotonic() - shown >= pause:
                shown = time.monotonic()
                self._write(self._line(self._rows[-1]) + "\n")

    def _back(self) -> str:
        """Back to the first line that is drawn, and all of it erased (ECMA-48: CUU, ED)."""
        return f"\x1b[{self._drawn}A\r\x1b[J" if self._drawn else ""

    def _write(self, text: str, *, last: bool = False) -> None:
        fd = self._fd if self._own is None else self._own
        data = text.encode("utf-8", "replace")
        until = time.monotonic() + JOIN / 2
        while data and not (self._stopped.is_set() and not last) and time.monotonic() < until:
            _, writable, _ = select.select([], [fd], [], 0.1)
            if writable:
                with contextlib.suppress(BlockingIOError):
                    data = data[os.write(fd, data[:PIECE]) :]
            elif not last:
                until = time.monotonic() + JOIN / 2

    # What is shown.

    def _figures(self, row: Row) -> dict[str, str]:
        texts, latencies = self._texts, row.latencies
        self._worst = max(self._worst, latencies.maximum)
        elapsed = row.start + row.seconds
        left = "–" if self._limit is None else f"{max(0.0, self._limit - elapsed):.0f} s"
        return {
            "elapsed": f"{elapsed:.0f}",
            "rate": number(round(row.rate), texts),
            "connections": texts.number(row.connections),
            "p50": milliseconds(latencies.quantile(0.5), texts),
            "p99": milliseconds(latencies.quantile(0.99), texts),
            "max": milliseconds(self._worst, texts),
            "errors": texts.number(self._errors),
            "left": left,
        }

    def _line(self, row: Row) -> str:
        return self._texts.load.live_line.format(**self._figures(row))

    def _frame(self) -> list[str]:
        """The lines to draw, none wider than the terminal."""
        rows = list(self._rows)
        if not rows:
            return [self._notice[: self._size()[0]]]
        words, figures = self._texts.load, self._figures(rows[-1])
        cells = [
            (words.live_rate, f"{figures['rate']}/s"),
            (words.live_connections, figures["connections"]),
            ("p50", f"{figures['p50']} ms"),
            ("p99", f"{figures['p99']} ms"),
            ("max", f"{figures['max']} ms"),
            (words.live_errors, figures["errors"]),
            (words.live_left, figures["left"]),
        ]
        spark = sparks([row.rate for row in rows])
        columns, most = self._size()
        groups = packed(cells, columns)
        try:
            lines = _with_rich(groups, spark, self._notice, columns, errors=bool(self._errors))
        except ModuleNotFoundError:
            lines = ["  ".join(f"{name} {value}" for name, value in group) for group in groups]
            lines += [spark, *([self._notice] if self._notice else [])]
            lines = [line[:columns] for line in lines]
        return lines[:most]

    def _size(self) -> tuple[int, int]:
        """Columns and lines that may be written to. The last ones stay free: some terminals wrap
        in that column, and all of them scroll in that line.
        """
        try:
            found = os.get_terminal_size(self._fd)
        except OSError:
            return 79, 23
        return max(1, (found.columns or 80) - 1), max(1, (found.lines or 24) - 1)


def packed(cells: list[tuple[str, str]], columns: int) -> list[list[tuple[str, str]]]:
    """The cells in as many groups as are needed, so that each fits into a line."""
    groups: list[list[tuple[str, str]]] = [[]]
    room = columns
    for name, value in cells:
        width = max(len(name), len(value), NARROWEST)
        if width > room and groups[-1]:
            groups.append([])
            room = columns
        groups[-1].append((name.rjust(width), value.rjust(width)))
        room -= width + GAP
    return groups


def sparks(values: list[float]) -> str:
    """A line of bars, as high as the values are large."""
    most = max(values, default=0.0)
    if most <= 0:
        return SPARKS[0] * len(values)
    return "".join(SPARKS[round(value / most * (len(SPARKS) - 1))] for value in values)


def _with_rich(
    groups: list[list[tuple[str, str]]], spark: str, notice: str, columns: int, *, errors: bool
) -> list[str]:
    """The same in colours; NO_COLOR is respected.

    Raises:
      ModuleNotFoundError: rich is not installed.
    """
    from rich.console import Console
    from rich.text import Text

    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=columns, highlight=False)

    def line(text: Text) -> None:
        console.print(text, no_wrap=True, overflow="ellipsis")

    gap, seen = " " * GAP, 0
    for group in groups:
        line(Text(gap.join(name for name, _ in group), style="dim"))
        figures = Text()
        for _, value in group:
            seen += 1
            bad = errors and seen == ERRORS
            figures.append(("" if not figures else gap) + value, "bold red" if bad else "bold")
        line(figures)
    line(Text(spark[-columns:], style="cyan"))
    if notice:
        line(Text(notice, style="yellow"))
    return out.getvalue().splitlines()
