"""The command line as real processes: options, signals, descriptors, errors, exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pexpect
import pytest

from tcpecho_trio import __version__
from tests.processes import (
    PROGRAM,
    ROOT,
    OldClient,
    ServerProcess,
    at_terminal,
    exit_code,
    matched,
    run,
    serving,
)


def test_version() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout.decode()) == (0, f"tcpecho_trio, version {__version__}\n")


@pytest.mark.parametrize("command", [(), ("serve",), ("client",), ("demo",)])
def test_help_reads_well_in_both_languages(command: tuple[str, ...]) -> None:
    spanish = run(*command, "--help")
    assert spanish.returncode == 0
    assert spanish.stdout.decode().startswith("Uso: python -m tcpecho_trio")
    assert "Muestra esta ayuda" in spanish.stdout.decode()
    assert not re.search(r"\b(Usage|Options|default|Show)\b", spanish.stdout.decode())
    english = run(*command, "--help", env={"TCPECHO_LANG": "en"})
    assert english.stdout.decode().startswith("Usage: python -m tcpecho_trio")
    assert not re.search(r"[áéíóúñ¿]", english.stdout.decode())
    assert max(map(len, spanish.stdout.decode().splitlines())) <= 80


def test_the_language_comes_from_the_option_or_the_environment() -> None:
    assert b"Usage: " in run("serve", "--lang", "en", "--help").stdout
    assert b"Usage: " in run("serve", "--lang=en", "--help").stdout
    assert b"Usage: " in run("serve", "--help", env={"TCPECHO_SERVE_LANG": "en"}).stdout
    assert b"Uso: " in run("client", "--help", env={"TCPECHO_SERVE_LANG": "en"}).stdout
    assert run("serve", "--lang", "fr").returncode == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("serve", "--port", "70000"),
        ("serve", "--port", "x"),
        ("serve", "--dialect", "klingon"),
        ("serve", "--drain-timeout", "-1"),
        ("serve", "--nonsense"),
        ("client", "-m", "dos\nlíneas"),
        ("nonsense",),
    ],
)
def test_wrong_usage_is_code_2_and_says_where_the_help_is(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == b""
    first, hint = done.stderr.decode().splitlines()
    assert first.startswith("Error: ")
    assert hint.startswith("Prueba: python -m tcpecho_trio")


def test_no_command_shows_the_help() -> None:
    done = run()
    assert done.returncode == 2
    assert "Órdenes:" in done.stdout.decode()


def test_options_are_read_from_the_environment() -> None:
    with serving("--dialect", "echo") as server:
        done = run("client", "-m", "hola", env={"TCPECHO_CLIENT_PORT": str(server.port)})
        assert done.stdout == b"hola\n"


def test_a_taken_port_is_one_clear_line_and_code_1() -> None:
    with serving() as server:
        done = run("serve", "--port", str(server.port))
    assert done.returncode == 1
    assert done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f"Error: el puerto {server.port} de localhost ya está en uso.")
    assert "--port" in line


def test_nobody_listening_is_one_clear_line_and_code_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as placeholder:
        port = placeholder.getsockname()[1]
    done = run("client", "--port", str(port), "-m", "hola")
    assert done.returncode == 1
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


def test_a_server_that_leaves_is_said_at_once_at_the_prompt() -> None:
    with serving() as server, at_terminal("client", "--port", str(server.port)) as client:
        client.expect_exact("Ingresa un mensaje: ")
        server.type("cerrarservidor")
        client.expect_exact("Error: El servidor cerró la conexión.\r\n")
        assert exit_code(client) == 1
        assert server.finish() == 0


@pytest.mark.parametrize("how", ["Ctrl-C", "Ctrl-D"])
def test_ctrl_c_and_ctrl_d_leave_cleanly(how: str) -> None:
    with serving() as server, at_terminal("client", "--port", str(server.port)) as client:
        client.expect_exact("Ingresa un mensaje: ")
        client.sendintr() if how == "Ctrl-C" else client.sendeof()
        client.expect_exact("Solicitando desconexión del servidor...\r\n")
        client.expect_exact("Respuesta del servidor: Conexión cerrada\r\n")
        assert exit_code(client) == 0
        server.wait_for("Cliente solicitó desconexión")


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_and_exits_0(number: signal.Signals) -> None:
    server = ServerProcess()
    with OldClient(server.port) as old:
        assert old.ask("hola") == "HOLA"
        server.process.send_signal(number)
        assert old.hear() == ""
    assert server.finish() == 0
    assert any(f"señal {number.name}" in line for line in server.lines)
    assert server.lines[-1] == "Servidor detenido."


def test_a_second_signal_cuts_a_stuck_client_and_still_exits_0() -> None:
    server = ServerProcess("--drain-timeout", "3600", "--quiet")
    with socket.create_connection(("localhost", server.port)) as stuck:
        stuck.settimeout(0.3)
        with contextlib.suppress(TimeoutError):  # it never reads: the server stops reading too
            while True:
                stuck.sendall(b"hola\n" * 10_000)
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("Cerrando el servidor")
        server.process.send_signal(signal.SIGTERM)
        assert server.finish() == 0


@pytest.mark.parametrize("console", ["closed", "/dev/null", "a file", "a pipe that ends"])
def test_the_server_outlives_its_console(console: str, tmp_path: Path) -> None:
    script = " ".join(PROGRAM) + " serve --port 0"
    redirect = {
        "closed": "<&-",
        "/dev/null": "</dev/null",
        "a file": f"<{tmp_path / 'words'}",
        "a pipe that ends": "",
    }[console]
    (tmp_path / "words").write_text("listar\n")
    before = "echo listar | " if console == "a pipe that ends" else ""
    process = subprocess.Popen(
        ["bash", "-c", f"{before} exec {script} {redirect}"]
        if not before
        else ["bash", "-c", f"{before} {script}"],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        start_new_session=True,
    )
    assert process.stdout is not None
    with process.stdout:
        port = int(re.findall(rb"localhost:(\d+)", process.stdout.readline())[0])
        with OldClient(port) as old:
            assert old.ask("hola") == "HOLA"
            os.killpg(process.pid, signal.SIGTERM)
        rest = process.stdout.read()
    process.wait()
    assert b"Servidor detenido." in rest
    if console in ("closed", "/dev/null", "a file"):
        assert process.returncode == 0


def test_a_closed_standard_output_stops_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as placeholder:
        port = placeholder.getsockname()[1]
    script = f"exec {' '.join(PROGRAM)} serve --port {port} >&- 2>&- </dev/null"
    process = subprocess.Popen(["bash", "-c", script], cwd=ROOT)
    while True:
        try:
            with OldClient(port) as old:
                assert old.ask("hola") == "HOLA"
            break
        except ConnectionRefusedError:
            assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0


def test_a_console_that_cannot_be_read_does_not_stop_the_server() -> None:
    # What nohup(1) makes of a terminal: a standard input that is open for writing only.
    with socket.create_server(("127.0.0.1", 0)) as placeholder:
        port = placeholder.getsockname()[1]
    script = f"exec {' '.join(PROGRAM)} serve --port {port} 0>/dev/null"
    process = subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    with process.stdout as told:
        told.readline()
        assert "La consola no se puede leer" in told.readline().decode()
        with OldClient(port) as old:
            assert old.ask("hola") == "HOLA"
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0


@pytest.mark.parametrize("command", ["serve", "client"])
def test_a_host_that_is_no_name_at_all_is_one_clear_line(command: str) -> None:
    arguments = ("-m", "hola") if command == "client" else ()
    done = run(command, "--host", "a..b", *arguments)
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line == "Error: no se encuentra el servidor «a..b». Revisa --host."


def test_a_full_disk_is_one_clear_line() -> None:
    with serving() as server, open("/dev/full", "wb") as full:  # noqa: PTH123
        client = [*PROGRAM, "client", "--port", str(server.port), "-m", "hola"]
        done = subprocess.run(
            client,
            stdout=full,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            check=False,
        )
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("Error: no se puede leer la entrada o escribir la salida: ")


def test_letters_that_the_screen_lacks_are_escaped() -> None:
    done = run("demo", env={"PYTHONIOENCODING": "latin-1"})
    assert done.returncode == 0
    assert b"\\u2502" in done.stdout


def test_seconds_that_are_no_number_are_wrong_usage() -> None:
    assert run("serve", "--drain-timeout", "nan").returncode == 2


def test_messages_are_read_from_the_environment_one_a_line() -> None:
    with serving() as server:
        messages = {"TCPECHO_CLIENT_MESSAGE": "hola servidor\nadiós"}
        done = run("client", "--port", str(server.port), env=messages)
    assert done.stdout.decode() == "HOLA SERVIDOR\nADIÓS\n"


def test_fewer_replies_than_messages_are_an_error() -> None:
    with serving() as server:
        done = run("client", "--port", str(server.port), "-m", "DESCONEXION", "-m", "hola")
    assert done.stdout.decode() == "Conexión cerrada\n"
    assert done.returncode == 1
    assert done.stderr.decode() == "Error: El servidor cerró la conexión sin responder a todo.\n"


def test_an_ipv6_address_is_written_in_brackets() -> None:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("there is no IPv6 here")
    server = subprocess.Popen(
        [*PROGRAM, "serve", "--host", "::1", "--port", "0", "--no-console"],
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert server.stdout is not None
    with server.stdout as told:
        assert re.search(rb"activo en \[::1\]:\d+ ", told.readline())
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0


def test_out_of_descriptors_the_clients_it_has_are_served_and_the_log_is_calm() -> None:
    limited = ["bash", "-c", f"ulimit -n 40; exec {' '.join(PROGRAM)} serve --port 0 --no-console"]
    server = subprocess.Popen(
        limited, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, stdin=subprocess.DEVNULL
    )
    assert server.stdout is not None
    port = int(re.findall(rb"localhost:(\d+)", server.stdout.readline())[0])
    with contextlib.ExitStack() as clients:
        first = clients.enter_context(OldClient(port))
        assert first.ask("hola") == "HOLA"
        for _ in range(60):
            clients.enter_context(OldClient(port))
        while "No se pueden aceptar" not in (line := server.stdout.readline().decode()):
            assert line
        assert first.ask("sigo aquí") == "SIGO AQUÍ"
    with OldClient(port) as later:
        assert later.ask("hola") == "HOLA"
    server.send_signal(signal.SIGTERM)
    out, err = server.communicate()
    assert server.returncode == 0
    assert err == b""
    assert out.count(b"No se pueden aceptar") == 0  # once in ten seconds


def test_a_journal_whose_reader_left_stops_nothing() -> None:
    with serving() as server:
        assert server.process.stdout is not None
        server.process.stdout.close()
        for _ in range(3):
            with OldClient(server.port) as old:
                assert old.ask("hola") == "HOLA"
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait() == 0


def test_the_journal_as_json() -> None:
    with serving("--log-format", "json") as server:
        with OldClient(server.port) as old:
            assert old.ask("hola") == "HOLA"
        server.wait_for("closed")
        server.type("listar")
        server.process.send_signal(signal.SIGTERM)
        out, err = server.process.communicate()
        assert err.decode() in ("", "No hay clientes conectados.\n")
    events = [json.loads(line) for line in [*server.lines, *out.decode().splitlines()]]
    names = [event["event"] for event in events]
    assert names == [
        "listening",
        "connected",
        "received",
        "replied",
        "closed",
        "draining",
        "stopped",
    ]


def test_quiet_tells_no_messages_and_no_console_reads_no_words() -> None:
    with serving("--quiet", "--no-console", "--lang", "en") as server:
        server.type("cerrarservidor")
        with OldClient(server.port) as old:
            assert old.ask("hola") == "HOLA"
        assert server.stop() == 0
    assert [line.partition(" ")[0] for line in server.lines] == ["TCP", "Closing", "Server"]


def test_a_job_in_the_background_of_a_terminal_is_not_stopped() -> None:
    # An interactive shell with job control: the server must not read while in the background.
    shell = pexpect.spawn("bash", ["--norc", "-i"], encoding="utf-8", cwd=ROOT, timeout=20)
    shell.sendline("PS1='$ '")
    shell.sendline(f"{' '.join(PROGRAM)} serve --port 0 &")
    shell.expect(r"activo en localhost:(\d+)")
    with OldClient(int(matched(shell))) as old:
        shell.sendline("echo still-a-shell-$((1+1))")
        shell.expect_exact("still-a-shell-2")
        assert old.ask("hola") == "HOLA"
    shell.sendline("kill %1; wait %1; echo rc=$?")
    shell.expect_exact("rc=0")
    shell.close(force=True)


def test_the_demo_passes() -> None:
    done = run("demo")
    assert done.returncode == 0
    assert "Las dos pruebas del ejercicio pasaron." in done.stdout.decode()
