"""A server of several processes beside one of a single process."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks import measures
from benchmarks.servers import OURS, Running, Server, ours

PROCESSORS = (measures.SERVER_PROCESSOR, measures.LOAD_PROCESSOR)


def candidates() -> list[Server]:
    """One process; a supervisor with one and with two workers."""
    return [
        Server(OURS, ours("--quiet"), full=True),
        Server("--processes 1", ours("--quiet", "--processes", "1"), full=True),
        Server("--processes 2", ours("--quiet", "--processes", "2"), full=True),
    ]


def pairs(server: Server, seconds: float) -> dict[str, float]:
    """Messages a second of as many pairs of server and load as the server has workers.

    Each pair has a processor to itself: so on two processors one pair is measured on one of them,
    and two on both. A server that is one process counts as one worker.
    """
    program = measures.compiled("load", server)
    with Running(server, *PROCESSORS) as running, tempfile.TemporaryDirectory() as folder:
        request, reply = Path(folder, "request"), Path(folder, "reply")
        request.write_bytes(measures.line(64))
        reply.write_bytes(measures.line(64).upper())
        loads = []
        for processor, worker in zip(PROCESSORS, running.workers(), strict=False):
            os.sched_setaffinity(worker, {processor})
            command = [program, running.where, "50", "1", str(seconds), str(request), str(reply)]
            loads.append(
                subprocess.Popen(
                    ["taskset", "-c", str(processor), *command, "0"],
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
        results = [json.loads(load.communicate()[0].splitlines()[-1]) for load in loads]
    return {"messages_per_second": sum(one["messages"] / one["seconds"] for one in results)}


def worker_memory(server: Server) -> float:
    """Private KiB of the largest of its processes that serve, idle (proc(5), smaps_rollup)."""
    with Running(server, measures.SERVER_PROCESSOR) as running:
        return max(map(running.private_of, running.workers()))


def start(server: Server) -> dict[str, float]:
    """Milliseconds from its start until it says where it listens: all of its workers are ready."""
    began = time.monotonic()
    with Running(server, *PROCESSORS):
        return {"ready_ms": (time.monotonic() - began) * 1000}
