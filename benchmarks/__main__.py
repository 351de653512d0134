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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from benchmarks import clients, generator, goals, measures, processes, report
from benchmarks.servers import (
    HERE,
    OURS,
    UVLOOP_TUNED,
    Running,
    Server,
    available,
    in_a_cluster,
    ours,
    peers,
    tls_peers,
    ways,
)

QUICK = [
    *("uvloop Protocol", UVLOOP_TUNED, "asyncio streams", "Go, one processor", "Trio tutorial"),
]
"""The peers that a quick run measures, besides this server in all its ways."""
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
"""The table of docs/performance.md: heading → measure and figure."""


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
    ratios = {"ratio": leading, "ratio p99": "p99"}
    for name, own in samples.items():
        for ratio, figure in ratios.items():
            if ratio == "ratio" or (figure in own[0] and figure != leading):
                rows[name][ratio] = statistics.median(
                    a[figure] / b[figure] if b[figure] else math.nan
                    for a, b in zip(base, own, strict=True)
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


@dataclass(frozen=True)
class Suite:
    """One table: candidates and what is measured of each.

    Args:
      kind: for the option ``--only``.
      title: of the table.
      candidates: the first is the one that the others are compared with.
      measure: a candidate, for so many seconds.
      figures: what is shown; the first leads.
      rounds: how many, if not as many as asked for.
      descriptors: how many files it needs.
    """

    kind: str
    title: str
    candidates: Callable[[], list[Server]]
    measure: Callable[[Server, float], dict[str, float]]
    figures: tuple[str, ...]
    rounds: int | None = None
    descriptors: int = 0


def talking(
    kind: str, title: str, load: measures.Load, candidates: Callable[[], list[Server]]
) -> Suite:
    """Messages under one load."""
    return Suite(
        kind,
        title,
        candidates,
        lambda server, seconds: measures.messages(server, load, seconds),
        ("cpu_us_per_message", "messages_per_second", "p50", "p99", "max"),
        descriptors=load.idle + load.connections + 100,
    )


def suites(loads: Sequence[str]) -> Iterator[Suite]:
    """All tables, in their order."""
    connecting = ("cpu_us_per_connection", "connections_per_second", "p50", "p99", "max")
    for name in loads:
        load = measures.LOADS[name]
        yield talking("messages", name, load, only_ours if load.idle else peers)
    yield Suite("connections", "connections", peers, measures.connections, connecting)
    yield Suite(
        "alone",
        "a connection that comes alone",
        peers,
        lambda server, _: measures.alone(server),
        ("cpu_us_per_connection",),
    )
    yield Suite(
        "newcomers", "a newcomer while 500 talk", peers, measures.newcomers, ("p50", "p99", "max")
    )
    yield Suite(
        "memory",
        "private KiB per idle connection",
        peers,
        lambda server, _: {"KiB": measures.idle_memory(server)},
        ("KiB",),
        rounds=1,
    )
    for name in loads:
        if name in PLOTTED:
            yield talking("tls", f"TLS, {name}", measures.LOADS[name], tls_peers)
    yield Suite("tls", "TLS, full handshakes", tls_peers, measures.connections, connecting)
    yield Suite(
        "tls",
        "TLS, private KiB per idle connection",
        tls_peers,
        lambda server, _: {"KiB": measures.idle_memory(server)},
        ("KiB",),
        rounds=1,
    )
    cluster = measures.LOADS["1000×64 B"]
    yield talking("cluster", "in a cluster, 1000×64 B", cluster, in_a_cluster)
    for name in loads:
        if name in PLOTTED:
            yield talking("ways", f"ways to serve, {name}", measures.LOADS[name], ways)
    yield Suite(
        "ways",
        "a scrape a second, 1000 clients",
        lambda: [server for server in ways() if server.name == "--admin"],
        lambda server, _: measures.scrapes(server),
        ("cpu_percent", "bytes"),
        descriptors=measures.SCRAPED_CONNECTIONS + 100,
    )
    yield talking(
        "processes",
        "several processes on one processor, 100×64 B",
        measures.LOADS["100×64 B"],
        processes.candidates,
    )
    yield Suite(
        "processes",
        "a pair of server and load for each processor",
        processes.candidates,
        processes.pairs,
        ("messages_per_second",),
    )
    yield Suite(
        "processes",
        "until all processes are ready",
        processes.candidates,
        lambda server, _: processes.start(server),
        ("ready_ms",),
    )
    yield Suite(
        "processes",
        "private KiB of a process that serves",
        processes.candidates,
        lambda server, _: {"KiB": processes.worker_memory(server)},
        ("KiB",),
        rounds=1,
    )


def chosen(server: Server, options: argparse.Namespace) -> bool:
    """Whether a candidate is to be measured."""
    if options.server:
        return any(text in server.name for text in options.server)
    if options.quick:
        return server.name in QUICK or (server.full and "same work" not in server.name)
    return True


def only_ours() -> list[Server]:
    """Where nobody else is measured."""
    return peers()[:1]


KINDS = [
    *("messages", "connections", "alone", "newcomers", "memory", "tls", "cluster", "ways"),
    "processes",
]


def main() -> None:
    """Measure what the options ask for, print tables, write JSON and SVG."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="counted time of one load")
    parser.add_argument("--load", action="append", choices=list(measures.LOADS), metavar="NAME")
    parser.add_argument("--server", action="append", metavar="TEXT", help="servers named like this")
    parser.add_argument("--only", choices=KINDS, action="append", help="again for more (all)")
    parser.add_argument("--quick", action="store_true", help="two minutes: the chief peers, once")
    parser.add_argument("--pipe", action="store_true", help="only the client in a pipe")
    parser.add_argument("--megabytes", type=int, default=500, help="how much goes through a pipe")
    parser.add_argument("--start", action="store_true", help="only the client's start")
    parser.add_argument("--load-generator", action="store_true", help="only the load generator")
    parser.add_argument("--memory", type=float, default=600.0, help="seconds of its last table")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    if options.pipe or options.start:  # printed, and not among the servers' results
        if options.pipe:
            compare_pipes(options.rounds, options.megabytes)
        if options.start:
            compare_starts(2 * options.rounds)  # they are short
        return
    if options.load_generator:
        generator.measure(options.rounds, options.seconds, options.memory)
        return
    if options.quick:
        options.rounds, options.seconds = 1, 0.4
        options.load = options.load or PLOTTED
        options.only = options.only or [kind for kind in KINDS if kind != "memory"]
    descriptors = measures.raise_descriptor_limit()
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "results.json"
    system = (
        f"{platform.platform()}, {platform.python_implementation()} {platform.python_version()}"
    )
    results: report.Results = {}
    if file.exists() and (options.only or options.load):  # a part is measured again
        results = json.loads(file.read_text())["results"]

    for suite in suites(options.load or list(measures.LOADS)):
        if options.only and suite.kind not in options.only:
            continue
        if suite.descriptors > descriptors:
            print(f"{suite.title}: needs more than {descriptors} descriptors (ulimit -n), left out")
            continue
        first, *others = suite.candidates()
        wanted = [server for server in others if chosen(server, options)]
        rows = rounds_of(
            suite.title,
            lambda server, suite=suite: suite.measure(server, options.seconds),  # type: ignore[misc]
            available([first, *wanted]),
            suite.rounds or options.rounds,
            suite.figures[0],
        )
        results[suite.title] = rows
        print(report.table(suite.title, rows, first.name, list(suite.figures)), end="\n\n")
        sys.stdout.flush()
        saved = {"system": system, "rounds": options.rounds, "results": results}
        file.write_text(json.dumps(saved, ensure_ascii=False, indent=1) + "\n")

    reached = goals.table(results)
    print(reached)
    (options.out / "goals.md").write_text(reached)
    if {measure for measure, _ in COLUMNS.values()} <= results.keys():
        (options.out / "table.md").write_text(report.markdown(results, COLUMNS))
    titles = [*PLOTTED, *(f"TLS, {name}" for name in PLOTTED)]
    plotted = {title: results[title] for title in titles if title in results}
    if plotted:
        (options.out / "cpu.svg").write_text(report.plot(plotted, OURS, "cpu_us_per_message"))
    print(f"written to {options.out}")


main()
