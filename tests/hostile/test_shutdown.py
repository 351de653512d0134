"""The end, whoever asks for it and whatever the clients do meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pexpect
import pytest

from tcpecho_trio.dialects import ADMIN
from tests.support.processes import (
    AT_ONCE,
    PROGRAM,
    ROOT,
    OldClient,
    at_terminal,
    exit_code,
    matched,
    run,
)
from tests.support.victim import PATIENCE, Victim, attacked, fill, read_all, read_exactly


def duration_of_end(server: Victim) -> float:
    """Seconds from now until the process has ended well."""
    start = time.monotonic()
    assert server.finish() == 0
    return time.monotonic() - start


def test_new_connections_are_refused_at_once(way: str) -> None:
    with attacked(way=way) as server, server.connect() as stuck:
        fill(stuck)
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("draining")
        with pytest.raises(ConnectionRefusedError):
            server.connect()
        server.stop()  # the second signal


def test_a_message_that_arrives_as_the_drain_begins_is_answered(way: str) -> None:
    with attacked(way=way) as server, server.connect() as line, server.connect() as unframed:
        for client in (line, unframed):
            client.sendall(b"hola")
            assert read_exactly(client, 4) == b"HOLA"
        server.process.send_signal(signal.SIGSTOP)
        server.process.send_signal(signal.SIGTERM)
        line.sendall(b"adios\n")
        unframed.sendall(b"DESCONEXION")
        server.process.send_signal(signal.SIGCONT)
        assert read_all(line) == b"ADIOS\n"
        assert read_all(unframed) == "Conexión cerrada".encode()
        line.close()
        unframed.close()
        assert server.finish() == 0
        (stopped,) = server.events("stopped")
        assert (stopped["served"], stopped["aborted"]) == (2, 0)


def test_whoever_is_connected_but_not_yet_accepted_as_the_drain_begins_is_answered(
    way: str,
) -> None:
    with attacked(way=way) as server, contextlib.ExitStack() as stack:
        server.process.send_signal(signal.SIGSTOP)
        clients = [stack.enter_context(server.connect()) for _ in range(200)]
        for client in clients:
            client.sendall(b"hola\n")
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGCONT)
        for client in clients:
            assert read_all(client) == b"HOLA\n"
            client.close()
        assert server.finish() == 0
        (stopped,) = server.events("stopped")
        assert (stopped["served"], stopped["aborted"]) == (200, 0)


def test_fifty_peers_that_never_read(way: str) -> None:
    with attacked("--drain-timeout", "1", "--quiet", way=way) as server:
        with contextlib.ExitStack() as stack:
            for _ in range(50):
                client = stack.enter_context(server.connect())
                client.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        client.send(b"hola\n" * 10_000)
            polite = stack.enter_context(server.connect())
            polite.sendall(b"hola\n")
            assert read_exactly(polite, 5) == b"HOLA\n"
            server.process.send_signal(signal.SIGTERM)
            assert read_all(polite) == b""
            polite.close()
            assert duration_of_end(server) < 1 + AT_ONCE
        (stopped,) = server.events("stopped")
        assert (stopped["served"], stopped["aborted"]) == (1, 50)


def test_zero_clients_are_waited_for_not_at_all(way: str) -> None:
    with attacked("--drain-timeout", "3600", way=way) as server:
        server.process.send_signal(signal.SIGTERM)
        assert duration_of_end(server) < AT_ONCE


def test_console_signal_and_remote_word_together_are_one_drain(way: str) -> None:
    admin = attacked("--dialect", "admin", way=way, greeting=ADMIN.greeting)
    with admin as server, server.connect() as client:
        server.process.send_signal(signal.SIGSTOP)
        client.sendall(b"DESCONEXION\n")
        assert server.process.stdin is not None
        server.process.stdin.write(b"cerrarservidor\n" * 3)
        server.process.stdin.flush()
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGCONT)
        assert read_all(client) == "SERVIDOR CERRÁNDOSE...\n".encode()
        client.close()
        assert server.finish() == 0
        for event in ("draining", "stopped"):
            assert len(server.events(event)) == 1
        assert server.events("cutting") == []


def test_a_second_signal_ends_it_within_a_second(way: str) -> None:
    with attacked("--drain-timeout", "3600", way=way) as server, server.connect() as stuck:
        fill(stuck)
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("draining")
        server.process.send_signal(signal.SIGINT)
        assert duration_of_end(server) < AT_ONCE
        assert server.events("stopped")[0]["aborted"] == 1


@pytest.mark.parametrize("stdin", ["a pipe", "a pipe at its end", "/dev/null", "a file", "closed"])
def test_whatever_standard_input_is_the_exit_code_is_0(stdin: str, tmp_path: Path) -> None:
    (tmp_path / "words").write_text("listar\n")
    redirects = {"/dev/null": "</dev/null", "a file": f"<{tmp_path / 'words'}", "closed": "<&-"}
    server = subprocess.Popen(
        ["bash", "-c", f"exec {' '.join(PROGRAM)} serve --port 0 {redirects.get(stdin, '')}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    assert server.stdout is not None
    assert server.stdin is not None
    if stdin == "a pipe at its end":
        server.stdin.close()
        server.stdin = None
    port = int(server.stdout.readline().decode().rpartition(":")[2].partition(" ")[0])
    with OldClient(port) as old:
        assert old.ask("hola") == "HOLA"
        server.send_signal(signal.SIGTERM)
        assert old.hear() == ""
    _, err = server.communicate(timeout=PATIENCE)
    assert (server.returncode, err) == (0, b"")


def test_at_a_terminal_the_exit_code_is_0() -> None:
    with at_terminal("serve", "--port", "0") as terminal:
        terminal.expect(r"localhost:(\d+) ")
        with OldClient(int(matched(terminal))) as old:
            assert old.ask("hola") == "HOLA"
            terminal.sendintr()
            assert old.hear() == ""
        terminal.expect_exact("1 cliente atendido, 0 cortados.")
        assert exit_code(terminal) == 0


def test_a_terminal_that_vanishes_takes_no_server_with_it() -> None:
    terminal = pexpect.spawn(
        "bash",
        ["-c", f"trap '' HUP; exec {' '.join(PROGRAM)} serve --port 0"],
        encoding="utf-8",
        cwd=ROOT,
        timeout=PATIENCE,
    )
    terminal.expect(r"localhost:(\d+) ")
    port = int(matched(terminal))
    os.close(terminal.child_fd)  # our end of it
    with OldClient(port) as old:
        assert old.ask("hola") == "HOLA"
        terminal.kill(signal.SIGTERM)
        assert old.hear() == ""
    assert terminal.wait() == 0


RESTARTED = """\
import os, sys
from tcpecho_trio.cli import main, server_process  # what takes long: once, for all of them
for _ in sys.stdin:
    if not (pid := os.fork()):
        sys.exit(main())
    print("pid", pid, flush=True)
    print("code", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""
"""The program, once more in a process of its own for each line of input."""


def test_twenty_restarts_with_clients_attached() -> None:
    with attacked() as first:
        port = first.port
    command = [*PROGRAM[:2], "-c", RESTARTED, "serve", "--port", str(port), "--no-console"]
    starter = subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )

    def end() -> None:
        """Leave nothing behind, whatever has failed."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(starter.pid, signal.SIGKILL)

    with starter, contextlib.ExitStack() as attached:
        attached.callback(end)
        assert starter.stdin is not None

        def read_until(*wanted: str) -> list[str]:
            """Lines until there is one with each of these."""
            assert starter.stdout is not None
            lines: list[str] = []
            while not all(any(word in line for line in lines) for word in wanted):
                lines.append(starter.stdout.readline())
                assert lines[-1], lines
                assert "code" in wanted or not lines[-1].startswith("code"), lines
            return lines

        for _ in range(20):
            starter.stdin.write("\n")
            starter.stdin.flush()
            told = read_until("pid", "activo")
            (pid,) = (int(line.split()[1]) for line in told if line.startswith("pid"))
            client = attached.enter_context(OldClient(port))
            assert client.ask("hola") == "HOLA"
            os.kill(pid, signal.SIGTERM)
            assert client.hear() == ""
            client.socket.shutdown(socket.SHUT_WR)  # so that nobody lingers
            assert read_until("code")[-1] == "code 0\n"
        _, err = starter.communicate(timeout=PATIENCE)
        assert (starter.returncode, err) == (0, "")


def test_a_port_already_taken(server: Victim) -> None:
    done = run("serve", "--host", "127.0.0.1", "--port", str(server.port))
    assert (done.returncode, done.stdout) == (3, b"")
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f"Error: el puerto {server.port} de ")
    assert "--port" in line
