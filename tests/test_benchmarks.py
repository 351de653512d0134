"""The benchmarks run and write what docs/performance.md shows. What they measure is not tested."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT

PROCESSORS = {0, 1}  # the server's and the load's
usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


@pytest.mark.skipif(
    not (shutil.which("cc") and shutil.which("taskset")) or not usable >= PROCESSORS,
    reason="needs Linux, a C compiler and two processors",
)
@pytest.mark.parametrize(
    "only", ["messages", "connections", "alone", "newcomers", "tls", "ways", "processes"]
)
def test_a_short_run_writes_tables_json_and_a_plot(tmp_path: Path, only: str) -> None:
    short = ["--rounds", "1", "--seconds", "0.05", "--out", str(tmp_path), "--only", only]
    loads = ["--load", "10×32 B", "--load", "10×32 ñ"]
    named = ["--server", "C epoll", "--server", "asyncio P", "--server=--processes"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *short, *loads, *named],
        capture_output=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert "tcpecho_trio" in done.stdout.decode()
    results = json.loads((tmp_path / "results.json").read_text())["results"]
    assert results
    for rows in results.values():
        assert len(rows) >= (1 if only == "ways" else 2)
    if only == "messages":
        assert list(results) == ["10×32 B", "10×32 ñ"]
        assert (tmp_path / "cpu.svg").read_text().startswith("<svg")


@pytest.mark.skipif(
    not shutil.which("taskset") or not usable >= PROCESSORS,
    reason="needs Linux and two processors",
)
def test_the_client_is_compared_in_a_pipe_and_at_its_start() -> None:
    short = ["--pipe", "--megabytes", "1", "--start", "--rounds", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *short], capture_output=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    told = done.stdout.decode()
    assert told.count("tcpecho_trio  ") == 3
    for name in ("pipe → pipe", "import trio", "client -m hola", "MB_per_second"):
        assert name in told
    for name in ("ncat", "socat"):
        assert (name in told) == (shutil.which(name) is not None)


@pytest.mark.skipif(
    not (shutil.which("cc") and shutil.which("taskset")) or not usable >= PROCESSORS,
    reason="needs Linux, a C compiler and two processors",
)
def test_the_load_generator_is_measured() -> None:
    short = ["--load-generator", "--rounds", "1", "--seconds", "0.1", "--memory", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *short], capture_output=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    told = done.stdout.decode()
    assert told.count("load.c") == 4
    for title in ("generator late", "told / true ones", "SIGSTOP", "--fault delay", "memory"):
        assert title in told
