"""What the system has no more of: descriptors, threads, room on the disk. Serving goes on."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.support.processes import PATIENCE, PROGRAM, ROOT, OldClient, matched
from tests.support.victim import short_of

NO_THREADS = "ulimit -s 140000000000"
"""Each thread gets a stack of that many KiB (pthread_create(3)), more than there are addresses: so
none can be started, as when the system has no more of them."""

NO_PROCESSES = (
    "ulimit -u 1; [ $UID != 0 ] || set -- setpriv --reuid=$((100000 + $$)) --clear-groups"
    ' --inh-caps=+dac_override --ambient-caps=+dac_override --securebits=+no_setuid_fixup "$@"'
)
"""No process and no thread can be started (RLIMIT_NPROC, getrlimit(2)). The limit does not bind
root, who therefore becomes another user, whom nobody else is, and who may still read the code."""


@pytest.fixture(params=[NO_THREADS, NO_PROCESSES], ids=["threads", "processes"])
def without(request: pytest.FixtureRequest) -> str:
    """What a shell says before a server starts that can start neither threads nor processes."""
    shortage = str(request.param)
    tried = subprocess.run(
        short_of(shortage, [sys.executable, "-c", TRY]), capture_output=True, check=False
    )
    if tried.returncode:
        pytest.skip(f"this user, here, cannot be kept from it: {tried.stderr.decode()}")
    return shortage


TRY = """\
import threading
try:
    threading.Thread(target=print).start()
except RuntimeError:
    pass
else:
    raise SystemExit("a thread was started")
"""


@contextlib.contextmanager
def limited(limit: str, *options: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server to which the shell gives less."""
    command = (*PROGRAM, "serve", "--host", "127.0.0.1", "--port", "0", "--no-console", *options)
    with subprocess.Popen(
        short_of(limit, command),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, **variables},
    ) as server:
        try:
            yield server
        finally:
            server.kill()


def port_of(server: subprocess.Popen[bytes]) -> int:
    assert server.stdout is not None
    return int(server.stdout.readline().decode().rpartition(":")[2].partition(" ")[0])


def test_descriptors_exhausted_under_a_service_manager(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        manager = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)
        server = stack.enter_context(
            limited(
                *("ulimit -n 40", "--quiet"),
                NOTIFY_SOCKET=manager.getsockname(),
                WATCHDOG_USEC="100000",
            )
        )
        port = port_of(server)
        assert manager.recv(100) == b"READY=1"
        first = stack.enter_context(OldClient(port))
        assert first.ask("hola") == "HOLA"
        others = [  # more than can be accepted
            socket.create_connection(("127.0.0.1", port), PATIENCE) for _ in range(100)
        ]
        for _ in range(10):
            assert manager.recv(100) == b"WATCHDOG=1"
            assert first.ask("sigo") == "SIGO"
        server.send_signal(signal.SIGTERM)
        while (said := manager.recv(100)) == b"WATCHDOG=1":
            pass
        assert said == b"STOPPING=1"
        for client in [*others, first.socket]:
            client.close()
        _, err = server.communicate(timeout=PATIENCE)
        assert (server.returncode, err) == (0, b"")


def test_without_threads_a_pipe_gets_the_whole_journal(without: str) -> None:
    with limited(without) as server:
        with OldClient(port_of(server)) as old:
            for _ in range(3):
                assert old.ask("hola") == "HOLA"
        server.send_signal(signal.SIGTERM)
        out, err = server.communicate(timeout=PATIENCE)
        assert (server.returncode, err) == (0, b"")
    assert out.count(b"Mensaje recibido: hola\n") == 3


def test_without_threads_a_file_gets_the_whole_journal(without: str, tmp_path: Path) -> None:
    told = tmp_path / "journal"
    with limited(f"exec >{told}; {without}", "--log-format", "json") as server:
        while not told.exists() or b"\n" not in told.read_bytes():
            os.sched_yield()
            assert server.poll() is None
        port = int(json.loads(told.read_text())["listener"].rpartition(":")[2])
        with OldClient(port) as old:
            assert old.ask("hola") == "HOLA"
        server.send_signal(signal.SIGTERM)
        assert server.communicate(timeout=PATIENCE) == (b"", b"")
        assert server.returncode == 0
    events = [json.loads(line)["event"] for line in told.read_text().splitlines()]
    assert events == [
        *("listening", "connected", "received", "replied"),
        *("closed", "draining", "stopped"),
    ]


def test_without_threads_a_terminal_shows_the_journal(without: str) -> None:
    bash, *script = short_of(without, [*PROGRAM, "serve", "--host", "127.0.0.1", "--port", "0"])
    terminal = pexpect.spawn(bash, script, encoding="utf-8", cwd=ROOT, timeout=PATIENCE)
    terminal.expect(r"127.0.0.1:(\d+) ")
    with OldClient(int(matched(terminal))) as old:
        assert old.ask("hola") == "HOLA"
        terminal.expect_exact("Respuesta enviada: HOLA")
    terminal.sendline("cerrarservidor")
    terminal.expect_exact("Servidor detenido: ")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


@pytest.mark.parametrize("command", ["serve", "client"])
def test_a_name_that_cannot_be_looked_up_without_a_thread_is_one_line_and_code_3(
    command: str, without: str
) -> None:
    arguments = {"serve": ("--port", "0"), "client": ("-m", "hola")}[command]
    program = short_of(without, [*PROGRAM, command, "--host", "localhost", *arguments])
    done = subprocess.run(program, capture_output=True, cwd=ROOT, check=False)
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("Error: ")
    assert done.returncode == 3
