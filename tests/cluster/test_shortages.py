"""A server of several processes that the system gives less: it serves whom it can, and goes on."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tcpecho_trio.dialects import SERVER_FULL
from tests.cluster.fleet import Fleet, fleet
from tests.hostile.test_memory_limit import HERE, PROC, size
from tests.hostile.test_shortages import NO_PROCESSES, NO_THREADS, TRY
from tests.support.processes import PATIENCE, PROGRAM, ROOT
from tests.support.victim import read_exactly, short_of

CLIENTS = 100

LEFT = 15 * 1024
"""KiB that a limit of memory leaves beside what a worker begins with: room for a few clients."""


def answers(server: Fleet) -> list[bytes]:
    """What so many clients are answered that come at once and stay until all have been."""
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), PATIENCE))
            for _ in range(CLIENTS)
        ]
        for client in clients:
            client.sendall(b"hola\n")
        found = []
        for client in clients:
            answer = b""
            with contextlib.suppress(ConnectionError):  # too many are being refused
                answer = client.recv(1000)
            found.append(answer)
        return found


def check_life(server: Fleet) -> None:
    """Crowds come and go; all processes are replaced; newcomers are served."""
    for times in (1, 2):
        found = answers(server)
        assert set(found) <= {b"HOLA\n", SERVER_FULL.encode(), b""}
        assert found.count(b"HOLA\n") >= 2
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_count("workers_replaced", times)
    while answers(server)[0] != b"HOLA\n":
        pass  # the last of the refused are still being let go
    assert server.stop() == 0
    for name in ("crashed", "worker_died", "worker_said", "worker_not_started", "unraisable"):
        assert server.events(name) == []


@pytest.mark.parametrize(
    "shortage",
    ["ulimit -n 40", NO_THREADS, "exec 2>/dev/full"],
    ids=["descriptors", "threads", "room for errors"],
)
def test_short_of_something_all_processes_serve_on(shortage: str) -> None:
    with fleet(*HERE, "--quiet", program=short_of(shortage, PROGRAM)) as server:
        check_life(server)


@PROC
def test_short_of_memory_all_processes_take_whom_they_have_room_for() -> None:
    with fleet(*HERE, "--quiet") as server:
        beginning = max(size(pid) for pid in server.pids().values())
    limit = f"ulimit -v {beginning + LEFT}"
    with fleet(*HERE, "--quiet", program=short_of(limit, PROGRAM)) as server:
        assert SERVER_FULL.encode() in answers(server)
        check_life(server)


def test_without_room_for_a_process_one_line_says_so() -> None:
    """RLIMIT_NPROC, as a container's limit of processes."""
    tried = short_of(NO_PROCESSES, [PROGRAM[0], "-c", TRY])
    if subprocess.run(tried, capture_output=True, check=False).returncode:
        pytest.skip("this user, here, cannot be kept from it")
    command = [*PROGRAM, "serve", *HERE, "--port", "0", "--processes", "2", "--lang", "en"]
    done = subprocess.run(
        short_of(NO_PROCESSES, command), capture_output=True, cwd=ROOT, check=False
    )
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("Error: no process of the server could be started: ")
    assert done.returncode == 3


def test_readers_of_events_that_take_all_descriptors_cost_nothing_for_good(tmp_path: Path) -> None:
    """Those of the supervisor: a worker that dies meanwhile is replaced when they have gone."""
    admin = str(tmp_path / "admin.sock")
    options = (*HERE, "--quiet", "--admin", f"unix://{admin}")
    with fleet(*options, program=short_of("ulimit -n 36", PROGRAM)) as server:
        with contextlib.ExitStack() as stack:
            for _ in range(40):
                reader = stack.enter_context(socket.socket(socket.AF_UNIX))
                reader.connect(admin)
                reader.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            server.wait_for("accept_failed", lambda event: "worker" not in event)
            os.kill(server.pids()[1], signal.SIGKILL)
            server.wait_for("worker_not_started")
            assert server.ask(b"hola\n") == b"HOLA\n"  # by the other one
        server.wait_for_count("worker_ready", 3)
        server.check()


def test_a_full_disk_costs_lines_of_the_access_log_and_nothing_else() -> None:
    with fleet("--access-log", "/dev/full", "--quiet") as server:
        with server.connect() as client:
            for _ in range(20):
                client.sendall(b"hola\n")
                assert read_exactly(client, 5) == b"HOLA\n"
        for _ in range(20):
            assert server.ask(b"hola\n") == b"HOLA\n"
        assert server.stop() == 0
        assert server.events("worker_died") == []
        told = [json.loads(line)["event"] for line in server.lines]
        assert "stopped" in told
