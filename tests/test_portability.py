"""Without what only POSIX has: the program's commands as real processes, from which it is hidden.

That is not Windows. It shows that nothing is imported or used where it is not needed, and that
each thing has another way.
"""

from __future__ import annotations

import contextlib
import os
import pkgutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import trio

import tcpecho_trio
from tcpecho_trio.stdio.reading_thread import ReadingThread
from tests.support import processes
from tests.support.certificates import Certificates
from tests.support.processes import ROOT, at_terminal, exit_code, run, serving

ELSEWHERE = [sys.executable, "-bb", "-m", "tests.support.elsewhere"]
HIDDEN = """\
from tests.support import elsewhere
elsewhere.hide()
"""


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PROGRAM", ELSEWHERE)


def python(code: str) -> str:
    """What the code prints where all of that is hidden."""
    command = [sys.executable, "-c", HIDDEN + code]
    return subprocess.run(command, capture_output=True, check=True, cwd=ROOT, text=True).stdout


def modules() -> Iterator[str]:
    for module in pkgutil.walk_packages(tcpecho_trio.__path__, "tcpecho_trio."):
        # The editor is imported only where there is a terminal that it can take over.
        if module.name not in ("tcpecho_trio.client.editor", "tcpecho_trio.__main__"):
            yield module.name


def test_it_is_hidden_from_us_and_from_nobody_else() -> None:
    assert python("""
from tcpecho_trio.server.pump import pump_exists
from tcpecho_trio.stdio.reading_thread import loop_can_wait
import fcntl, select, socket, signal
print(pump_exists(), loop_can_wait(), hasattr(select, "epoll"), hasattr(socket, "AF_UNIX"))
""").split() == ["False", "False", "True", "True"]


def test_every_module_can_be_imported() -> None:
    names = list(modules())
    assert len(names) > 40
    python("\n".join(f"import {name}" for name in names))


# serve


def test_a_server_talks_and_obeys_its_console(elsewhere: None) -> None:
    with serving() as server:
        done = run("client", "--port", str(server.port), "-m", "mañana")
        assert (done.returncode, done.stdout, done.stderr) == (0, "MAÑANA\n".encode(), b"")
        server.wait_for("Respuesta enviada: MAÑANA")
        server.type("listar")
        server.wait_for("No hay clientes")
        server.type("cerrarservidor")
        assert server.finish() == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_server_whose_console_is_being_read(elsewhere: None, how: int) -> None:
    with serving() as server:
        server.process.send_signal(how)
        assert server.finish() == 0


def test_a_server_goes_on_when_its_input_ends(elsewhere: None) -> None:
    with serving() as server:
        assert server.process.stdin
        server.process.stdin.close()
        done = run("client", "--port", str(server.port), "-m", "hola")
        assert (done.returncode, done.stdout) == (0, b"HOLA\n")
        server.process.stdin = None
        assert server.stop() == 0


def test_a_server_speaks_tls_and_a_hang_up_is_what_it_always_was(
    elsewhere: None, certificates: Certificates
) -> None:
    files = certificates.files
    with serving("--tls-cert", files.certificate, "--tls-key", files.key) as server:
        trust = ("--tls-ca", certificates.ca_file)
        done = run("client", "--port", str(server.port), *trust, "-m", "hola")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"HOLA\n", b"")
        server.process.send_signal(signal.SIGHUP)
        assert server.finish() == -signal.SIGHUP


@pytest.mark.parametrize(
    "arguments",
    [
        ("serve", "--unix", "echo.sock"),
        ("serve", "--listen", "unix:///tmp/echo.sock"),
        ("client", "--unix", "echo.sock", "-m", "hola"),
    ],
)
def test_unix_sockets_are_refused_in_one_line(elsewhere: None, arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    line, hint = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout) == (2, b"")
    assert line == "Error: Este sistema no tiene sockets Unix. Usa --host y --port."
    assert "--help" in hint


def test_the_library_refuses_unix_sockets_too() -> None:
    assert python("""
import trio
from tcpecho_trio.client import open_client
from tcpecho_trio.errors import TcpEchoError
from tcpecho_trio.server.unix_socket import listening_at

async def main():
    try:
        async with open_client(unix="echo.sock"):
            pass
    except TcpEchoError as error:
        print(type(error).__name__)
    try:
        with listening_at("echo.sock", None):
            pass
    except OSError as error:
        print(error.strerror)

trio.run(main)
""").splitlines() == ["CannotConnect", "Address family not supported by protocol"]


# client


def test_a_pipe_gets_back_all_that_is_put_into_it(elsewhere: None) -> None:
    text = "una línea de texto\n" * 50_000
    with serving("--quiet") as server:
        done = run("client", "--port", str(server.port), stdin=text.encode())
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == text.upper()


@pytest.mark.parametrize("options", [("--json",), ("--framing", "raw")])
def test_lines_of_a_pipe_are_asked_one_by_one(elsewhere: None, options: tuple[str, ...]) -> None:
    with serving() as server:
        done = run("client", "--port", str(server.port), *options, stdin=b"hola\nadios\n")
    assert (done.returncode, done.stderr) == (0, b"")
    assert [line for line in (b"HOLA", b"ADIOS") if line not in done.stdout] == []


def test_a_client_leaves_with_its_server_although_nothing_comes_from_its_pipe(
    elsewhere: None,
) -> None:
    with serving() as server:
        client = subprocess.Popen(
            [*ELSEWHERE, "client", "--port", str(server.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
        assert client.stdin
        client.stdin.write(b"hola\n")
        client.stdin.flush()
        server.wait_for("Respuesta enviada: HOLA")
        assert server.stop() == 0
        assert client.stdout
        assert client.stdout.read() == b"HOLA\n"
        assert client.wait() == 1  # it may have wanted to say more
        for stream in (client.stdin, client.stdout, client.stderr):
            assert stream
            stream.close()


def test_a_person_talks_at_a_prompt_without_an_editor(elsewhere: None) -> None:
    with serving() as server, at_terminal("client", "--port", str(server.port)) as child:
        child.expect("Ingresa un mensaje: ")
        child.sendline("hola servidor")
        child.expect("Respuesta del servidor: HOLA SERVIDOR")
        child.expect("Ingresa un mensaje: ")
        child.sendline("DESCONEXION")
        child.expect("Conexión cerrada")
        assert exit_code(child) == 0


@pytest.mark.parametrize(("how", "code"), [("the server", 1), ("Ctrl-C", 0), ("Ctrl-D", 0)])
def test_a_prompt_can_be_left(elsewhere: None, how: str, code: int) -> None:
    with serving() as server, at_terminal("client", "--port", str(server.port)) as child:
        child.expect("Ingresa un mensaje: ")
        if how == "the server":
            server.type("cerrarservidor")
        elif how == "Ctrl-C":
            child.sendintr()
        else:
            child.sendeof()
        assert exit_code(child) == code


# demo


def test_the_demo_plays(elsewhere: None) -> None:
    done = run("demo")
    assert (done.returncode, done.stderr) == (0, b"")
    assert "HOLA SERVIDOR" in done.stdout.decode()


# The thread that reads, in this process


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


async def test_a_read_that_is_cancelled_loses_nothing(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    thread = ReadingThread(reading, 100)
    for _ in range(3):
        with trio.move_on_after(0):
            await thread.read()
            raise AssertionError("nothing was there")
    os.write(writing, b"hola")
    assert await thread.read() == b"hola"
    os.write(writing, b"adios")
    os.close(writing)
    assert await thread.read() == b"adios"
    assert await thread.read() == b""


async def test_what_goes_wrong_in_the_thread_is_raised(pipe: tuple[int, int]) -> None:
    _, writing = pipe
    thread = ReadingThread(writing, 100)
    for _ in range(2):
        with pytest.raises(OSError, match="Bad file descriptor"):
            await thread.read()


def test_a_thread_may_outlast_its_run(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    delivered = threading.Event()

    async def main() -> None:
        thread = ReadingThread(reading, 100)
        real = thread._deliver

        def deliver(*arguments: Any) -> None:
            real(*arguments)
            delivered.set()

        thread._deliver = deliver  # type: ignore[assignment,method-assign]
        with trio.move_on_after(0):
            await thread.read()

    trio.run(main)
    os.write(writing, b"too late")
    assert delivered.wait(20)
