"""The commands as real processes: pipes, files, keys, signals, exit codes."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
from pathlib import Path

import pexpect
import pytest

from tests.support.ports import free_ports
from tests.support.processes import (
    PROGRAM,
    ROOT,
    at_terminal,
    exit_code,
    run,
    serving,
)


def test_no_command_shows_the_help() -> None:
    done = run()
    assert done.returncode == 2
    assert "Órdenes:" in done.stdout.decode()


def test_options_are_read_from_the_environment() -> None:
    with serving("--dialect", "echo") as server:
        done = run("client", "-m", "hola", env={"TCPECHO_CLIENT_PORT": str(server.port)})
        assert done.stdout == b"hola\n"


def test_nobody_listening_is_one_clear_line_and_code_3() -> None:
    (port,) = free_ports(1)
    done = run("client", "--port", str(port), "-m", "hola")
    assert done.returncode == 3
    (line,) = done.stderr.decode().splitlines()
    assert line == (
        f"Error: nadie escucha en localhost:{port}. ¿Está encendido el servidor?"
        f" python -m tcpecho_trio serve --port {port}"
    )


def test_one_shot_messages_print_their_replies_and_nothing_else() -> None:
    with serving("--dialect", "admin") as server:
        port = str(server.port)
        done = run("client", "--port", port, "--dialect", "admin", "-m", "hola", "-m", "LISTAR")
        assert re.fullmatch(
            rb"HOLA\nClientes conectados:\n127\.0\.0\.1:\d+\n", done.stdout.replace(b"[::1]", b"")
        )
        assert (done.returncode, done.stderr) == (0, b"")


def test_a_pipe_is_answered_to_its_last_byte() -> None:
    with serving() as server:
        text = ("ñandú €\n" * 50_000 + "DESCO").encode()
        done = run("client", "--port", str(server.port), stdin=text)
        assert done.stdout == text.decode().upper().encode()
        assert (done.returncode, done.stderr) == (0, b"")
        done = run("client", "--port", str(server.port), stdin=b"hola servidor\nDESCONEXION\n")
        assert done.stdout.decode() == "HOLA SERVIDOR\nConexión cerrada\n"
        assert done.returncode == 0


def test_a_file_and_nothing_at_all_as_input(tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text("hola\n" * 1000)
    with serving() as server, file.open() as text:
        client = [*PROGRAM, "client", "--port", str(server.port)]
        done = subprocess.run(client, stdin=text, capture_output=True, cwd=ROOT, check=True)
        assert done.stdout == b"HOLA\n" * 1000
        done = subprocess.run(
            client, stdin=subprocess.DEVNULL, capture_output=True, cwd=ROOT, check=True
        )
        assert done.stdout == b""


def test_a_reader_that_leaves_ends_the_client_in_silence() -> None:
    with serving() as server:
        script = f"yes | head -c 10000000 | {' '.join(PROGRAM)} client --port {server.port}"
        done = subprocess.run(
            ["bash", "-c", f"({script}; echo rc=$? >&2) | head -1"],
            capture_output=True,
            cwd=ROOT,
            check=True,
        )
        assert done.stdout == b"Y\n"
        assert done.stderr == b"rc=1\n"


@pytest.mark.usefixtures("terminal")
def test_a_server_that_leaves_is_said_at_once_at_the_prompt() -> None:
    with serving() as server, at_terminal("client", "--port", str(server.port)) as client:
        client.expect_exact("Ingresa un mensaje: ")
        server.type("cerrarservidor")
        client.expect_exact("Error: el servidor cerró la conexión. ")
        assert exit_code(client) == 1
        assert server.finish() == 0


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("how", ["Ctrl-C", "Ctrl-D"])
def test_ctrl_c_and_ctrl_d_leave_cleanly(how: str) -> None:
    with serving() as server, at_terminal("client", "--port", str(server.port)) as client:
        client.expect_exact("Ingresa un mensaje: ")
        client.sendintr() if how == "Ctrl-C" else client.sendeof()
        client.expect_exact("Solicitando desconexión del servidor...\r\n")
        client.expect_exact("Respuesta del servidor: Conexión cerrada\r\n")
        assert exit_code(client) == 0
        server.wait_for("Cliente solicitó desconexión")


@pytest.mark.usefixtures("terminal")
def test_a_second_ctrl_c_waits_for_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        with at_terminal("client", "--host", "127.0.0.1", "--port", port) as client:
            client.expect_exact("Ingresa un mensaje: ")
            client.sendintr()
            client.expect_exact("Solicitando desconexión")
            client.sendintr()
            client.expect(pexpect.EOF)


def test_ctrl_c_in_a_pipe_is_one_line_and_code_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        client = subprocess.Popen(
            [*PROGRAM, "client", "--host", "127.0.0.1", "--port", port],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
        connection, _ = silent.accept()
        with connection:
            client.send_signal(signal.SIGINT)
            _, err = client.communicate()
        assert (client.returncode, err.decode()) == (1, "Error: Interrumpido.\n")


def test_the_demo_passes() -> None:
    done = run("demo")
    assert done.returncode == 0
    assert "Las dos pruebas del ejercicio pasaron." in done.stdout.decode()
