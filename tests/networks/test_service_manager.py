"""Started as systemd starts a service: sockets that are open already, and somebody to tell.

No systemd is needed for it: a few lines do what it does with descriptors and environment.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.networks.backend import ask, backend, connect, leave
from tests.networks.programs import program
from tests.networks.test_unix_programs import connect_unix
from tests.support.processes import PROGRAM, ROOT
from tests.support.victim import PATIENCE

LAUNCHER = """\
import fcntl, os, sys
high = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in sys.argv[1].split(',')]
for number, fd in enumerate(high, 3):
    os.dup2(fd, number)
    os.close(fd)
os.environ.update(LISTEN_FDS=str(len(high)), LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""
"""What a service manager does between fork and exec (sd_listen_fds(3))."""


def launching(descriptors: Sequence[int]) -> list[str]:
    """The command that starts the program with these descriptors from 3 on."""
    return [sys.executable, "-c", LAUNCHER, ",".join(map(str, descriptors)), *PROGRAM]


def test_sockets_that_are_open_already_are_served(tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(path))
        unix.listen()
        descriptors = (tcp.fileno(), unix.fileno())
        with backend(program=launching(descriptors), pass_fds=descriptors) as server:
            assert server.port == tcp.getsockname()[1]
            with connect(server.port) as client:
                assert ask(client, "hola") == "HOLA"
                leave(client)
            with connect_unix(path) as client:
                assert ask(client, "hola") == "HOLA"
                leave(client)
        addresses = [event["listener"] for event in server.events("listening")]
        assert addresses == [f"127.0.0.1:{server.port}", f"unix://{path}"]
    assert path.exists()  # it is the service manager's


def test_a_restart_refuses_nobody_where_the_socket_stays_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp, contextlib.ExitStack() as waiting:
        command, descriptors = launching([tcp.fileno()]), [tcp.fileno()]
        with backend(program=command, pass_fds=descriptors) as first:
            with connect(first.port) as client:
                assert ask(client, "hola") == "HOLA"
                leave(client)
            assert first.stop() == 0
        early = [waiting.enter_context(connect(first.port)) for _ in range(10)]
        for client in early:
            client.sendall(b"hola\n")  # nobody is there
        with backend(program=command, pass_fds=descriptors):
            for client in early:
                assert client.recv(100) == b"HOLA\n"
                client.close()


@pytest.mark.parametrize("what", ["a file", "a socket that does not listen"])
def test_a_descriptor_that_is_no_listening_socket_is_one_clear_line(
    tmp_path: Path, what: str
) -> None:
    with socket.socket() as idle, (tmp_path / "file").open("w") as file:
        descriptor = file.fileno() if what == "a file" else idle.fileno()
        done = subprocess.run(
            [*launching([descriptor]), "serve"],
            pass_fds=[descriptor],
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=PATIENCE,
        )
    assert (done.returncode, done.stdout) == (3, "")
    (line,) = done.stderr.splitlines()
    assert "LISTEN_FDS" in line


@pytest.mark.parametrize("abstract", [False, True])
def test_the_service_manager_hears_that_it_is_ready_alive_and_stopping(
    tmp_path: Path, abstract: bool
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(PATIENCE)
        if abstract:
            manager.bind("")  # the kernel chooses a name (unix(7), autobind)
            address = "@" + manager.getsockname()[1:].decode()
        else:
            address = str(tmp_path / "notify")
            manager.bind(address)
        told = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "100000"}
        with backend(env={**os.environ, **told}) as server:
            assert manager.recv(100) == b"READY=1"
            for _ in range(3):
                assert manager.recv(100) == b"WATCHDOG=1"
            server.process.send_signal(signal.SIGTERM)
            while (state := manager.recv(100)) == b"WATCHDOG=1":
                pass
            assert state == b"STOPPING=1"
            assert server.finish() == 0


def test_systemd_starts_it_with_the_first_client(tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    process = subprocess.Popen(
        [program("systemd-socket-activate"), "-l", str(path), *PROGRAM, "serve", "--no-console"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        assert process.stderr is not None
        assert process.stdout is not None
        assert re.match("Listening on", process.stderr.readline())
        with connect_unix(path) as client:
            assert ask(client, "hola") == "HOLA"
            leave(client)
        assert f"unix://{path}" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.communicate()
