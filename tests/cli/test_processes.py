"""Servers and clients as processes: signals, standard descriptors, limits of the system."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
from pathlib import Path

import pexpect
import pytest

from tcpecho_trio.cli.server_process import SPARE_DESCRIPTORS, room_for_connections
from tests.support.ports import free_ports
from tests.support.processes import (
    PATIENCE,
    PROGRAM,
    ROOT,
    OldClient,
    ServerProcess,
    matched,
    run,
    serving,
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_and_exits_0(number: signal.Signals) -> None:
    server = ServerProcess()
    with OldClient(server.port) as old:
        assert old.ask("hola") == "HOLA"
        server.process.send_signal(number)
        assert old.hear() == ""
    assert server.finish() == 0
    assert any(f"señal {number.name}" in line for line in server.lines)
    assert server.lines[-1] == "Servidor detenido: 1 cliente atendido, 0 cortados."


SIGNALLED = """\
import contextlib, os, signal, sys, trio
real = trio.open_signal_receiver
def kill():
    os.kill(os.getpid(), signal.SIGTERM)
@contextlib.contextmanager
def receiver(*numbers):
    if {when!r} == "before":
        kill()
    with real(*numbers) as arriving:
        yield arriving
        if {when!r} == "as it closes":
            kill()
    if {when!r} == "after":
        kill()
trio.open_signal_receiver = receiver
from tcpecho_trio.cli import main
sys.exit(main(["serve", "--port", "0", "--no-console"]))
"""


@pytest.mark.parametrize("when", ["before", "as it closes", "after"])
def test_no_signal_is_lost_however_early_it_comes_and_none_kills_however_late(when: str) -> None:
    with subprocess.Popen(
        [*PROGRAM[:-2], "-c", SIGNALLED.format(when=when)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    ) as server:
        assert server.stdout is not None
        if when != "before":
            assert b"activo" in server.stdout.readline()
            server.send_signal(signal.SIGTERM)
        _, said = server.communicate(timeout=PATIENCE)
        assert (server.returncode, said) == (0, b"")


def test_a_closed_standard_output_stops_nothing() -> None:
    (port,) = free_ports(1)
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
    (port,) = free_ports(1)
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
    assert done.returncode == 3
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


@pytest.mark.parametrize(
    "arguments", [("--help",), ("--version",), (), ("demo",), ("lab-certs", "DIR")], ids=str
)
@pytest.mark.parametrize("how", ["a full disk", "a reader that left"])
def test_output_that_cannot_be_written_is_no_bug_of_ours(
    arguments: tuple[str, ...], how: str, tmp_path: Path
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    full = os.open("/dev/full", os.O_WRONLY)
    done = subprocess.run(
        [*PROGRAM, *(word.replace("DIR", str(tmp_path)) for word in arguments)],
        stdout=full if how == "a full disk" else writing,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        check=False,
    )
    os.close(full)
    os.close(writing)
    assert done.returncode == 1
    if how == "a full disk":
        (line,) = done.stderr.decode().splitlines()
        assert line.startswith("Error: no se puede leer la entrada o escribir la salida: ")
    else:
        assert done.stderr == b""


def test_wrong_usage_that_nobody_can_be_told_is_code_2_all_the_same() -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        wrong = [*PROGRAM, "serve", "--port", "x"]
        assert subprocess.run(wrong, stderr=full, cwd=ROOT, check=False).returncode == 2


@pytest.mark.parametrize("name", ["", "a b", "x" * 70])
def test_a_name_that_nobody_can_have_is_no_bug_of_ours(name: str, tmp_path: Path) -> None:
    done = run("lab-certs", str(tmp_path / "lab"), "--name", name)
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("Error: no se puede certificar un nombre así: ")


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
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(
        "Error: el servidor cerró la conexión "
    )  # before it had "hola", or after


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
    shell = pexpect.spawn("bash", ["--norc", "-i"], encoding="utf-8", cwd=ROOT, timeout=PATIENCE)
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


def test_too_few_descriptors_to_begin_with_are_one_clear_line() -> None:
    limited = f"ulimit -n 6; exec {' '.join(PROGRAM)} serve --port 0"
    done = subprocess.run(["bash", "-c", limited], capture_output=True, cwd=ROOT, check=False)
    assert done.returncode == 3
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("Error: no se puede ")


def test_an_empty_host_is_wrong_usage() -> None:
    assert run("serve", "--host", "").returncode == 2


def test_descriptors_are_kept_for_what_is_not_a_client() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        assert room_for_connections() == hard - SPARE_DESCRIPTORS
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
