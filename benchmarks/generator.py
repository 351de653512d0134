"""The load generator: what a message costs it beside ``load.c``, how late it is, and whether what
it measures is true: ``python -m benchmarks --load-generator``.

The server is the one written in C on epoll, so that the generator is what is measured. But for the
costs, server and load run under a real-time policy (sched(7), SCHED_FIFO) where that is allowed, a
few seconds at a time: how late a generator is itself would else be how busy its machine is. The
costs do not, for a process that never yields leaves the network's work to the kernel's own threads,
which nobody counts.
"""

from __future__ import annotations

import json
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import measures
from benchmarks.measures import LOAD_PROCESSOR, SERVER_PROCESSOR
from benchmarks.servers import BUILD, Running, Server, available, ours, python

ECHO = Server("C epoll", [str(BUILD / "epoll")])

CONNECTIONS = (1, 10, 100, 1000)
SIZE = 64
"""Bytes of a message."""

RATE = 20_000
"""Messages a second of the open loop."""

KNOWN = Server("known delays", python("delays.py"))

DELAYED = 20
"""Connections to the server of known delays: each has a thread there."""

STALL = 0.2
"""Seconds that a server is stopped for, or that each reply is delayed."""


@dataclass(frozen=True)
class Generator:
    """A candidate: ours, or the one in C."""

    name: str
    connections: int


def run(where: str, *options: str, policy: Sequence[str]) -> dict[str, Any]:
    """One load of ours, on its own processor, under a scheduling policy; its report."""
    command = [sys.executable, "-m", "tcpecho_trio", "load", where, *options, "--json", "-"]
    pinned = ["taskset", "-c", str(LOAD_PROCESSOR), *policy]
    done = subprocess.run(
        [*pinned, *command, "--quiet", "--lang", "en"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def real_time() -> list[str]:
    """What gives a command precedence over everything else, if that is allowed."""
    command = ["chrt", "-f", "1"]
    try:
        allowed = subprocess.run([*command, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return []
    return [] if allowed.returncode else command


def undisturbed(server: Server) -> Server:
    """The same server, with precedence over everything else."""
    return replace(server, command=[*real_time(), *server.command])


class NothingAnswered(Exception):
    """Not one message was answered in the time: the machine was too busy."""


def cost(generator: Generator, seconds: float) -> dict[str, float]:
    """CPU µs a message, messages a second and core, and messages a second.

    Where nothing is answered in the time, it is measured for longer.
    """
    measured = cost_in_c if generator.name.startswith("load.c") else cost_of_ours
    while True:
        try:
            return measured(generator, seconds)
        except NothingAnswered:
            seconds *= 2


def cost_of_ours(generator: Generator, seconds: float) -> dict[str, float]:
    """The same of our own generator."""
    with Running(ECHO, SERVER_PROCESSOR) as server:
        report = run(
            f"127.0.0.1:{server.port}",
            *("-c", str(generator.connections)),
            *("--size", str(SIZE), "--warmup", "0.3s", "--duration", f"{seconds}s"),
            policy=(),
        )
    return figures(report["generator"]["cpu_seconds"], report["replies"], report["rate"])


def cost_in_c(generator: Generator, seconds: float) -> dict[str, float]:
    """The same of the generator in C."""
    program = measures.compiled("load", ECHO)
    with (
        Running(ECHO, SERVER_PROCESSOR) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        request, reply = Path(folder, "request"), Path(folder, "reply")
        request.write_bytes(measures.line(SIZE))
        reply.write_bytes(measures.line(SIZE).upper())
        counts = [str(generator.connections), "1", str(seconds)]
        pinned = ["taskset", "-c", str(LOAD_PROCESSOR)]
        command = [*pinned, program, str(server.port), *counts]
        with subprocess.Popen(
            [*command, str(request), str(reply)], stdout=subprocess.PIPE, text=True
        ) as load:
            clock = (~load.pid << 3) | 2  # as in Running.cpu()
            assert load.stdout is not None
            assert load.stdout.readline() == "warm\n"
            before = time.clock_gettime(clock)
            assert load.stdout.readline() == "done\n"
            cpu = time.clock_gettime(clock) - before
            result = json.loads(load.stdout.readline())
    return figures(cpu, result["messages"], result["messages"] / result["seconds"])


def figures(seconds: float, messages: int, rate: float) -> dict[str, float]:
    """As they are shown.

    Raises:
      NothingAnswered: there is nothing to show.
    """
    if not messages:
        raise NothingAnswered
    cpu = seconds * 1e6 / messages
    return {
        "cpu_us_per_message": cpu,
        "messages_per_core": 1e6 / cpu,
        "messages_per_second": rate,
    }


def costs(rounds: int, seconds: float) -> Iterator[tuple[str, dict[str, dict[str, float]]]]:
    """Ours and the one in C in turn; medians, and the median of the ratios within a round."""
    for connections in CONNECTIONS:
        ours_ = Generator("tcpecho_trio load", connections)
        both = (ours_, replace(ours_, name="load.c"))
        samples = [[cost(each, seconds) for each in both] for _ in range(rounds)]
        rows = {
            each.name: {
                figure: statistics.median(sample[place][figure] for sample in samples)
                for figure in samples[0][0]
            }
            for place, each in enumerate(both)
        }
        for place, each in enumerate(both):
            rows[each.name]["ratio"] = statistics.median(
                sample[0]["cpu_us_per_message"] / sample[place]["cpu_us_per_message"]
                for sample in samples
            )
        yield f"generator, {connections}×{SIZE} B", rows


def lateness(connections: int, seconds: float) -> dict[str, float]:
    """How late the generator is itself in an open loop, in milliseconds."""
    with Running(undisturbed(ECHO), SERVER_PROCESSOR) as server:
        report = run(
            f"127.0.0.1:{server.port}",
            *("-c", str(connections), "--rate", str(RATE), "--duration", f"{seconds}s"),
            policy=real_time(),
        )
    late: dict[str, float] = report["generator"]["late_ms"]
    return {**late, "latency p50": report["latency_ms"]["p50"]}


def known_delays(seconds: float) -> dict[str, float]:
    """Percentiles as the generator tells them, by what the server knows of the same replies."""
    with tempfile.NamedTemporaryFile() as file:
        server_ = replace(KNOWN, command=[*KNOWN.command, file.name])
        with Running(undisturbed(server_), SERVER_PROCESSOR) as server:
            report = run(
                f"127.0.0.1:{server.port}",
                *("-c", str(DELAYED), "--duration", f"{seconds}s"),
                policy=real_time(),
            )
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(10)
        true = sorted(int(line) / 1e6 for line in Path(file.name).read_text().split())
    if len(true) != report["replies"]:
        raise RuntimeError(f"{len(true)} delays, {report['replies']} replies")
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "max": 1.0}
    told = report["service_ms"]
    return {
        name: told[name] / true[max(0, -int(-share * len(true) // 1) - 1)]
        for name, share in shares.items()
    }


def stalled() -> dict[str, float]:
    """What the report says, in milliseconds, of a server that is stopped for 200 ms in a second.

    In an open loop one message in five is due meanwhile; the last of them waits hardly at all.
    """
    with Running(undisturbed(ECHO), SERVER_PROCESSOR) as server:
        pauses: list[float] = []

        def stop() -> None:
            time.sleep(1.0)
            began = time.perf_counter()
            server.process.send_signal(signal.SIGSTOP)
            time.sleep(STALL)
            server.process.send_signal(signal.SIGCONT)
            pauses.append(1e3 * (time.perf_counter() - began))

        stopping = threading.Thread(target=stop)
        stopping.start()
        where = f"127.0.0.1:{server.port}"
        report = run(where, "-c", "10", "--rate", "1k", "--duration", "2s", policy=real_time())
        stopping.join()
    found: dict[str, float] = report["latency_ms"]
    return {"stall": pauses[0], "max": found["max"], "p99": found["p99"], "p90": found["p90"]}


def delayed() -> dict[str, float]:
    """What the report says of our own server, told to delay each reply by 200 ms."""
    server_ = Server("", ours("--quiet", "--fault", f"delay:{STALL * 1e3:g}ms"))
    with Running(undisturbed(server_), SERVER_PROCESSOR) as server:
        where = f"127.0.0.1:{server.port}"
        report = run(where, "-c", "10", "--duration", "2s", policy=real_time())
    found: dict[str, float] = report["latency_ms"]
    return {"delay": STALL * 1e3, **found}


def memory(seconds: float) -> dict[str, float]:
    """KiB of the generator after a tenth of its time, and at the end."""
    with Running(ECHO, SERVER_PROCESSOR) as server:
        where = f"127.0.0.1:{server.port}"
        options = ["-c", "100", "--rate", "2k", "--duration", f"{seconds}s", "--quiet"]
        command = [sys.executable, "-m", "tcpecho_trio", "load", where, *options]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as load:
            time.sleep(max(1.5, seconds / 10))
            early = resident(load.pid)
            late = early
            while load.poll() is None:
                late = resident(load.pid) or late
                time.sleep(seconds / 100)
    return {"early": early, "late": late, "growth": late / early}


def resident(pid: int) -> float:
    """KiB of memory that a process occupies now; 0 when it has ended (proc(5), statm)."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * resource.getpagesize() / 1024


def show(title: str, rows: dict[str, dict[str, float]]) -> None:
    """Print a table."""
    names: Sequence[str] = list(next(iter(rows.values())))
    print(title + "\n  " + f"{'':22}" + "".join(f"{name:>20}" for name in names))
    for name, row in rows.items():
        print(f"  {name:22}" + "".join(f"{row[figure]:>20,.3f}" for figure in names))
    print(flush=True)


def measure(rounds: int, seconds: float, memory_seconds: float) -> None:
    """Measure all of it, and print the tables."""
    measures.raise_descriptor_limit()
    available([ECHO])
    policy = "undisturbed" if real_time() else "on a processor that others use, too"
    for title, rows in costs(rounds, seconds):
        show(title, rows)
    late = {f"{n} connections": lateness(n, seconds) for n in CONNECTIONS[1:]}
    show(f"generator late at {RATE:,} messages/s, ms ({policy})", late)
    found = [known_delays(4 * seconds) for _ in range(rounds)]
    show(
        f"percentiles told / true ones ({policy})",
        {"worst of the rounds": {name: worst(found, name) for name in found[0]}},
    )
    show(f"a stall of 200 ms, ms ({policy})", {"SIGSTOP": stalled()})
    show(f"a delay of 200 ms, ms ({policy})", {"--fault delay": delayed()})
    show(f"memory over {memory_seconds:g} s, KiB", {"100 connections": memory(memory_seconds)})


def worst(found: Sequence[dict[str, float]], name: str) -> float:
    """The ratio that is farthest from 1."""
    return max((each[name] for each in found), key=lambda ratio: abs(ratio - 1))
