"""What the program returns to its shell, and what it says to whom: by kind of failure."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tcpecho_trio import errors
from tcpecho_trio.errors import TcpEchoError
from tests.support.processes import PROGRAM, ROOT, run

CODES = {
    "CannotStart": 3,
    "CannotListen": 3,
    "CannotRead": 3,
    "CannotLog": 3,
    "AdminError": 3,
    "ClusterError": 3,
    "CannotConnect": 3,
    "ServerFull": 3,
    "TooSlow": 4,
    "MessageRefused": 2,
    "LoadRefused": 2,
}
"""Kinds of errors that have a code of their own; every other is 1."""

SCRIPT = "import sys\nfrom tcpecho_trio.cli import main\nsys.exit(main())\n"
"""What pip makes of an entry point."""


def test_every_kind_of_error_has_the_code_that_is_documented() -> None:
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, Exception)]
    assert TcpEchoError in kinds
    for kind in kinds:
        if issubclass(kind, TcpEchoError):
            assert kind.exit_code == CODES.get(kind.__name__, 1), kind


def test_a_port_that_is_taken_is_one_line_and_code_3() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("serve", "--host", "127.0.0.1", "--port", str(port))
    assert (done.returncode, done.stdout) == (3, b"")
    (line,) = done.stderr.decode().splitlines()
    assert f"el puerto {port} de 127.0.0.1 ya está en uso" in line


def test_hints_name_the_program_as_it_was_called(tmp_path: Path) -> None:
    script = tmp_path / "mi-eco"
    script.write_text(SCRIPT)

    def complaint(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-bb", script, *arguments],
            capture_output=True,
            cwd=ROOT,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        return done.stderr.decode()

    assert complaint("serve", "--port", "x").endswith("\nPrueba: mi-eco serve --help\n")
    assert complaint("client", "--host", "127.0.0.1", "--port", "1", "-m", "hola").endswith(
        " mi-eco serve --port 1\n"
    )
    module = run("client", "--host", "127.0.0.1", "--port", "1", "-m", "hola").stderr.decode()
    assert module.endswith(" python -m tcpecho_trio serve --port 1\n")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("demo",), "no queda espacio en el disco."),
        (("--lang", "en", "demo"), "no space left on device."),
    ],
    ids=["Spanish", "English"],
)
def test_what_the_system_says_is_said_in_the_users_language(
    arguments: tuple[str, ...], reason: str
) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(
            [*PROGRAM, *arguments], stdout=full, stderr=subprocess.PIPE, cwd=ROOT, check=False
        )
    assert done.returncode == 1
    assert done.stderr.decode().endswith(f": {reason}\n")


def test_an_error_that_has_no_words_in_spanish_keeps_the_systems() -> None:
    from tcpecho_trio.texts import SPANISH

    strange = OSError(84, os.strerror(84))  # EILSEQ
    assert errors.system_words(strange, SPANISH) == os.strerror(84).lower()
