"""What this server shall reach, as ratios within one run, and what it has reached."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.report import Results, number
from benchmarks.servers import OURS, UVLOOP_TUNED

CPU = "cpu_us_per_message"
SMALL = ("10×32 B", "100×64 B")
PIPELINED, BULK = "pipelined 10×64 B×100", "bulk 1×64 KiB×4"
UVLOOP, GO = "uvloop Protocol", "Go, one processor"


@dataclass(frozen=True)
class Goal:
    """A figure of one server, divided by that of another.

    Args:
      title: of the measure.
      over: the server whose figure is divided.
      under: the one by whose it is divided; empty for a figure that has its own bound.
      figure: which.
      bound: what the ratio shall not exceed, or not fall below.
      at_least: whether it shall not fall below it.
    """

    title: str
    over: str
    under: str
    figure: str
    bound: float
    at_least: bool = False

    def measured(self, results: Results) -> float:
        """The ratio; not a number where one of the two was not measured."""
        rows = results.get(self.title, {})
        if self.over not in rows or (self.under and self.under not in rows):
            return math.nan
        over = rows[self.over]
        if not self.under:
            return over[self.figure]
        under = rows[self.under]
        # The ratios are medians of the ratios within a round, where the machine was the same.
        ratio = "ratio p99" if self.figure == "p99" else "ratio"
        if self.figure in (CPU, "cpu_us_per_connection", "KiB", "p50", "p99") and over.get(ratio):
            return under[ratio] / over[ratio]
        return over[self.figure] / under[self.figure]


def goals() -> Iterator[Goal]:
    """All of them."""
    for name in (*SMALL, PIPELINED, BULK):
        yield Goal(name, OURS, UVLOOP, CPU, 1.0)
    for name, bound in zip((*SMALL, PIPELINED, BULK), (1.0, 1.0, 0.6, 1.0), strict=True):
        for uvloop in (UVLOOP, UVLOOP_TUNED):
            yield Goal(f"TLS, {name}", OURS, uvloop, CPU, bound)
    for name, bound in zip((*SMALL, BULK), (1.25, 1.25, 1.0), strict=True):
        yield Goal(f"TLS, {name}", OURS, GO, CPU, bound)
    yield Goal("TLS, 100×64 B", OURS, UVLOOP, "p99", 1.2)
    yield Goal("TLS, full handshakes", OURS, UVLOOP, "connections_per_second", 0.95, at_least=True)
    yield Goal("TLS, private KiB per idle connection", OURS, UVLOOP, "KiB", 1.1)
    ways = {
        "--dialect inspect": 1.10,
        "--proxy-protocol required": 1.10,
        "--unix": 1.10,
        "--access-log": 1.05,
        "the journal on": 1.08,
        "--admin": 1.02,
        "--admin, its page open": 1.10,
    }
    for way, bound in ways.items():
        for name in (*SMALL, PIPELINED, BULK):
            yield Goal(f"ways to serve, {name}", way, OURS, CPU, bound)
    for name in (*SMALL, PIPELINED, BULK):
        yield Goal(f"ways to serve, {name}", "--portable", "Trio tutorial", CPU, 1.0)
    for member in (f"{OURS} --cluster", f"{OURS} --cluster, Redis away"):
        yield Goal("in a cluster, 1000×64 B", member, OURS, CPU, 1.02)
    yield Goal("a scrape a second, 1000 clients", "--admin", "", "cpu_percent", 1.0)
    rate = "connections_per_second"
    yield Goal("connections", OURS, "asyncio streams", rate, 1.2, at_least=True)
    alone = "a connection that comes alone"
    yield Goal(alone, OURS, "asyncio streams", "cpu_us_per_connection", 0.9)
    for figure in ("p50", "p99"):
        yield Goal("a newcomer while 500 talk", OURS, GO, figure, 1.2)
    two = "--processes 2"
    yield Goal("several processes on one processor, 100×64 B", two, OURS, CPU, 1.05)
    messages, pairs = "messages_per_second", "a pair of server and load for each processor"
    yield Goal(pairs, two, "--processes 1", messages, 1.9, at_least=True)
    yield Goal("until all processes are ready", two, "", "ready_ms", 600)
    yield Goal("private KiB of a process that serves", two, "", "KiB", 12 * 1024)


def table(results: Results) -> str:
    """Each goal beside what was measured; a dash where it was not."""
    lines = ["| measure | ratio | measured | goal | reached |", "|---|---|--:|--:|---|"]
    for goal in goals():
        value = goal.measured(results)
        reached = value >= goal.bound if goal.at_least else value <= goal.bound
        of = f"{goal.over} / {goal.under}" if goal.under else goal.over
        lines.append(
            f"| {goal.title} | {of}, {goal.figure} | {number(value, '.2f')} | "
            f"{'≥' if goal.at_least else '≤'} {goal.bound:.2f} | "
            f"{'–' if math.isnan(value) else 'yes' if reached else 'no'} |"
        )
    return "\n".join(lines) + "\n"
