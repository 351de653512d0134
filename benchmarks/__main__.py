"""This server and its peers, side by side in one run: ``nox -s bench`` or
``python -m benchmarks``.

Each round measures every server once, in turn, so that a machine whose speed drifts is fair
to all. Server and load have a processor each. The figures are medians over the rounds; the
ratios are medians of the ratios within a round. CPU time per message is the figure that holds
on a noisy machine. Needs Linux, a C compiler and two processors; Go is measured where it is
installed.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from benchmarks import clients, measures, report
from benchmarks.servers import HERE, Running, Server, available, ours

OURS = "tcpecho_trio"
PLOTTED = ["10×32 B", "100×64 B", "pipelined 10×64 B×100", "bulk 1×64 KiB×4"]

COLUMNS = {
    "10×32 B": ("10×32 B", "cpu_us_per_message"),
    "100×64 B": ("100×64 B", "cpu_us_per_message"),
    "10×64 B×100": ("pipelined 10×64 B×100", "cpu_us_per_message"),
    "1×64 KiB×4": ("bulk 1×64 KiB×4", "cpu_us_per_message"),
    "p99 100×64 B": ("100×64 B", "p99"),
    "connections/s": ("connections", "connections_per_second"),
    "KiB idle": ("private KiB per idle connection", "KiB"),
}
"""The README's table: heading → measure and figure."""


class Named(Protocol):
    """A candidate: a server, or a client."""

    @property
    def name(self) -> str:
        """What it is called in the tables."""


Candidate = TypeVar("Candidate", bound=Named)


def rounds_of(
    title: str,
    measure: Callable[[Candidate], dict[str, float]],
    servers: Sequence[Candidate],
    rounds: int,
    leading: str,
) -> dict[str, dict[str, float]]:
    """Medians of every figure of every server, and the ratios of the leading figure."""
    samples: dict[str, list[dict[str, float]]] = defaultdict(list)
    for number in range(rounds):
        for server in servers:
            print(
                f"\r{title}: round {number + 1}/{rounds}, {server.name:40}", end="", file=sys.stderr
            )
            samples[server.name].append(measure(server))
    print(file=sys.stderr)
    rows = {
        name: {figure: statistics.median(s[figure] for s in own) for figure in own[0]}
        for name, own in samples.items()
    }
    base = samples[servers[0].name]
    for name, own in samples.items():
        pairs = zip(base, own, strict=True)
        rows[name]["ratio"] = statistics.median(
            a[leading] / b[leading] if b[leading] else math.inf for a, b in pairs
        )
    return rows


def compare_pipes(rounds: int, megabytes: int) -> None:
    """Print the pipe comparison: this client and the others that are installed."""
    for way in clients.WAYS:
        with clients.text(way, megabytes) as file:
            rows = rounds_of(
                f"{way}, {megabytes} MB",
                lambda client, way=way, file=file: clients.pipe(client, way, file),  # type: ignore[misc]
                clients.piping(),
                rounds,
                "seconds",
            )
        figures = ["seconds", "cpu_seconds", "MB_per_second", "MiB"]
        title = f"client in a pipe, {way}, {megabytes} MB"
        print(report.table(title, rows, "tcpecho_trio", figures), end="\n\n", flush=True)


def compare_starts(rounds: int) -> None:
    """Print what a client takes from nothing to its first reply, and what Trio takes of that."""
    with Running(Server("", ours("--quiet")), measures.SERVER_PROCESSOR) as server:
        for figure in ("cpu_ms", "wall_ms"):
            rows = rounds_of(
                f"start ({figure})",
                lambda client: clients.start(client, server.port),
                clients.starting(),
                rounds,
                figure,
            )
            first = next(iter(rows))
            print(report.table(f"start, {figure}", rows, first, [figure]), end="\n\n", flush=True)


def main() -> None:
    """Measure what the options ask for, print tables, write JSON and SVG."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="counted time of one load")
    parser.add_argument("--load", action="append", choices=list(measures.LOADS), metavar="NAME")
    parser.add_argument("--server", action="append", metavar="TEXT", help="servers named like this")
    parser.add_argument(
        "--only", choices=["messages", "connections", "newcomers", "memory", "narration"]
    )
    parser.add_argument("--pipe", action="store_true", help="only the client in a pipe")
    parser.add_argument("--megabytes", type=int, default=500, help="how much goes through a pipe")
    parser.add_argument("--start", action="store_true", help="only the client's start")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    if options.pipe or options.start:  # printed, and not among the servers' results
        if options.pipe:
            compare_pipes(options.rounds, options.megabytes)
        if options.start:
            compare_starts(2 * options.rounds)  # they are short
        return
    descriptors = measures.raise_descriptor_limit()

    servers = available(
        lambda name: not options.server or name == OURS or any(t in name for t in options.server)
    )
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "results.json"
    system = (
        f"{platform.platform()}, {platform.python_implementation()} {platform.python_version()}"
    )
    results: report.Results = {}
    if file.exists() and (options.only or options.load):  # a part is measured again
        results = json.loads(file.read_text())["results"]

    def show(title: str, rows: dict[str, dict[str, float]], figures: list[str]) -> None:
        results[title] = rows
        print(report.table(title, rows, next(iter(rows)), figures), end="\n\n", flush=True)
        saved = {"system": system, "rounds": options.rounds, "results": results}
        file.write_text(json.dumps(saved, ensure_ascii=False, indent=1) + "\n")

    if options.only in (None, "messages"):
        for name in options.load or measures.LOADS:
            load = measures.LOADS[name]
            if load.idle + load.connections + 100 > descriptors:
                print(f"{name}: needs more than {descriptors} descriptors (ulimit -n), left out\n")
                continue
            rows = rounds_of(
                name,
                lambda server, load=load: measures.messages(server, load, options.seconds),  # type: ignore[misc]
                servers if not load.idle else servers[:1],
                options.rounds,
                "cpu_us_per_message",
            )
            show(name, rows, ["cpu_us_per_message", "messages_per_second", "p50", "p99", "max"])
    if options.only in (None, "connections"):
        rows = rounds_of(
            "connections",
            lambda server: measures.connections(server, options.seconds),
            servers,
            options.rounds,
            "cpu_us_per_connection",
        )
        figures = ["cpu_us_per_connection", "connections_per_second", "p50", "p99", "max"]
        show("connections", rows, figures)
    if options.only in (None, "newcomers"):
        rows = rounds_of(
            "a newcomer while 500 talk",
            lambda server: measures.newcomers(server, options.seconds),
            servers,
            options.rounds,
            "p50",
        )
        show("a newcomer while 500 talk", rows, ["p50", "p99", "max"])
    if options.only in (None, "memory"):
        rows = rounds_of(
            "private KiB per idle connection",
            lambda server: {"KiB": measures.idle_memory(server)},
            servers,
            1,
            "KiB",
        )
        show("private KiB per idle connection", rows, ["KiB"])
    if options.only in (None, "narration"):
        telling = [
            Server("told on a console", ours(), full=True),
            Server("--quiet", ours("--quiet"), full=True),
        ]
        rows = rounds_of(
            "narration, 100×64 B",
            lambda server: measures.messages(server, measures.LOADS["100×64 B"], options.seconds),
            telling,
            options.rounds,
            "messages_per_second",
        )
        show("narration, 100×64 B", rows, ["messages_per_second", "cpu_us_per_message"])

    if {measure for measure, _ in COLUMNS.values()} <= results.keys():
        (options.out / "table.md").write_text(report.markdown(results, COLUMNS))
    plotted = {title: results[title] for title in PLOTTED if title in results}
    if plotted:
        (options.out / "cpu.svg").write_text(report.plot(plotted, OURS, "cpu_us_per_message"))
    print(f"written to {options.out}")


main()
