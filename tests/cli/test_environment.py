"""The program behaves the same whatever variables of Python's, or of the locale, are set."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.processes import PROGRAM, ROOT, run, serving
from tests.support.screens import ENTER, screen

REPLY = "Respuesta del servidor:"

ENVIRONMENTS = {
    "nothing": {},
    "unbuffered streams": {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"},
    "streams in ASCII": {"PYTHONIOENCODING": "ascii:strict"},
    "no UTF-8 at all": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "development": {"PYTHONDEVMODE": "1", "PYTHONASYNCIODEBUG": "1", "PYTHONWARNINGS": "error"},
    "no asserts, no docstrings": {"PYTHONOPTIMIZE": "2", "LC_ALL": "C", "PYTHONUTF8": "1"},
}


@pytest.fixture(params=ENVIRONMENTS, autouse=True)
def environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each environment, for every process that the test starts."""
    for name, value in ENVIRONMENTS[request.param].items():
        monkeypatch.setenv(name, value)
    return str(request.param)


def redirected(*arguments: str, out: str, err: str) -> subprocess.CompletedProcess[bytes]:
    script = f"exec {shlex.join([*PROGRAM, *arguments])} >{out} 2>{err}"
    return subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, check=False)


@pytest.mark.parametrize("argument", ["--help", "demo"])
def test_output_to_a_full_disk_is_one_line_and_code_1(argument: str) -> None:
    done = redirected(argument, out="/dev/full", err="/dev/stderr")
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("Error: no se puede leer la entrada o escribir la salida: ")


def test_an_error_that_nobody_can_be_told_keeps_its_code() -> None:
    assert redirected("serve", "--port", "x", out="/dev/full", err="/dev/full").returncode == 2
    nobody = ("client", "--host", "127.0.0.1", "--port", "1", "-m", "hola")
    assert redirected(*nobody, out="/dev/full", err="/dev/full").returncode == 3


def test_output_whose_reader_has_left_is_code_1_and_no_line() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*PROGRAM, "demo"], stdout=writing, stderr=subprocess.PIPE, cwd=ROOT, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_server_and_client_exchange_every_letter_and_end_well() -> None:
    with serving() as server:
        port = str(server.port)
        asked = run("client", "--port", port, "-m", "ñandú €")
        assert (asked.returncode, asked.stdout, asked.stderr) == (0, "ÑANDÚ €\n".encode(), b"")
        piped = run("client", "--port", port, stdin=b"\xff\xc3\xb1 \xed\xa0\x80\n")
        assert (piped.returncode, piped.stdout) == (0, b"\xff\xc3\x91 \xed\xa0\x80\n")
        told = run("client", "--port", port, "--json", "-m", "ñ")
        assert (told.returncode, told.stderr) == (0, b"")
        assert server.stop() == 0  # with nothing on its standard error
    assert server.lines[-1].startswith("Servidor detenido: ")


def test_wrong_usage_is_two_lines_and_code_2() -> None:
    done = run("client", "--dialect", "ñ\x1b")
    assert (done.returncode, done.stdout) == (2, b"")
    error, hint = done.stderr.split(b"\n", 1)
    assert error.startswith(b"Error: --dialect: ")
    assert hint.startswith(b"Prueba: ")


def test_ctrl_c_in_a_pipe_is_one_line_and_code_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = subprocess.Popen(
            [*PROGRAM, "client", "--host", "127.0.0.1", "--port", str(silent.getsockname()[1])],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
        connection, _ = silent.accept()
        with connection:
            client.send_signal(signal.SIGINT)
            _, err = client.communicate()
    assert (client.returncode, err) == (1, b"Error: Interrumpido.\n")


def test_a_person_is_answered_and_a_terminal_that_vanishes_ends_the_client_with_code_1(
    tmp_path: Path, terminal: str
) -> None:
    errors = tmp_path / "errors"
    with serving() as server:
        client = [*PROGRAM, "client", "--host", "127.0.0.1", "--port", str(server.port)]
        with screen(["bash", "-c", f"exec {shlex.join(client)} 2>{errors}"]) as seen:
            seen.press("hola", ENTER)
            seen.see_text(f"{REPLY} HOLA")
            assert seen.child.pid is not None
            seen.child.ptyproc.fileobj.close()  # type: ignore[attr-defined]
            seen.child.closed = True
            _, status = os.waitpid(seen.child.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 1
    (line,) = errors.read_bytes().splitlines()
    assert line.startswith(b"Error: ")
