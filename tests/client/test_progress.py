"""The progress bar, and the note while a server is starting: what a person at a terminal sees."""

from __future__ import annotations

import os
import shlex
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpecho_trio.cli.progress import ProgressBar
from tests.support.processes import PROGRAM, ServerProcess, run, serving
from tests.support.screens import CTRL_C, CTRL_Z, screen

BLOCK = b"".join(b"%07d hola, que tal\n" % number for number in range(40_000))  # a megabyte


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with serving("--host", "127.0.0.1", "--quiet") as running:
        yield running


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "text"
    path.write_bytes(BLOCK)
    return path


def command(port: int, file: Path, output: str) -> str:
    client = shlex.join([*PROGRAM, "client", "--host", "127.0.0.1", "--port", str(port)])
    return f"{client} <{file} >{output}"


@pytest.mark.parametrize("columns", [20, 80])
def test_the_bar_stays_on_one_line(
    server: ServerProcess, file: Path, tmp_path: Path, columns: int
) -> None:
    sending = command(server.port, file, f"{tmp_path}/out")
    with screen(["bash", "-c", sending], columns=columns) as shown:
        assert shown.end() == 0
        assert shown.raw.count("\r") > 3  # drawn several times
        assert len(shown.lines) == 1
        assert "Enviando" in shown.lines[0]
        assert "100%" in shown.lines[0]
        assert ("###" in shown.lines[0]) == (columns == 80)
        assert "\x1b" not in shown.raw
    assert (tmp_path / "out").read_bytes() == BLOCK.upper()


def test_a_stopped_bar_leaves_the_cursor_as_it_is(
    server: ServerProcess, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PS1", "shell: ")
    monkeypatch.delenv("ENV", raising=False)
    fifo = tmp_path / "out"
    os.mkfifo(fifo)  # read from below, but not to its end: so it is still sending when stopped
    with file.open("ab") as more:
        for _ in range(20):
            more.write(BLOCK)
    with screen(["sh", "-i"]) as shell:
        shell.see("shell:")
        shell.press(command(server.port, file, str(fifo)), "\n")
        with fifo.open("rb") as replies:
            assert replies.read(5) == BLOCK[:5]
            shell.see_somewhere("%")
            shell.press(CTRL_Z)
            shell.see("shell:")
            assert not shell.screen.cursor.hidden
            assert "\x1b[?25l" not in shell.raw
            shell.press("kill %1; fg\n")
            replies.read()


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_only_scrolls_gets_no_bar(
    server: ServerProcess, file: Path, tmp_path: Path, term: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    with screen(["bash", "-c", command(server.port, file, f"{tmp_path}/out")]) as shown:
        assert shown.end() == 0
        assert shown.raw == ""


@given(
    widths=st.lists(st.integers(1, 200), min_size=1, max_size=50),
    steps=st.lists(st.integers(0, 500)),
)
def test_no_bar_is_wider_than_its_terminal(widths: list[int], steps: list[int]) -> None:
    drawn: list[tuple[str, int]] = []
    width = iter(widths * (len(steps) + 1))
    now = 0

    def columns() -> int:
        nonlocal now
        now = next(width)
        return now

    bar = ProgressBar("Sending", 1000, lambda text: drawn.append((text, now)), columns)
    for step in steps:
        bar.add(step)
    for text, terminal in drawn:
        assert text[0] == "\r"
        assert len(text) - 1 <= max(1, terminal - 1)
        assert "\r" not in text[1:]
    assert len(drawn) <= 101


# Waiting for a server that is starting.


def test_at_a_terminal_waiting_for_the_server_is_said_once() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound, and not listening: refused
        port = reserved.getsockname()[1]
        options = ["--host", "127.0.0.1", "--port", str(port), "--connect-retry", "60"]
        with screen([*PROGRAM, "client", *options]) as shown:
            shown.see_somewhere(f"Aún no contesta nadie en 127.0.0.1:{port}; se insiste")
            reserved.listen()
            shown.see_prompt()
            assert shown.raw.count("Aún no contesta") == 1
            reserved.accept()[0].close()
            shown.end()


def test_ctrl_c_leaves_a_server_that_does_not_start() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = str(reserved.getsockname()[1])
        options = ["--host", "127.0.0.1", "--port", port, "--connect-retry", "60"]
        with screen([*PROGRAM, "client", *options]) as shown:
            shown.see_somewhere("Aún no contesta")
            shown.press(CTRL_C)
            assert shown.end() == 1
            assert shown.lines[-1].endswith("Error: Interrumpido.")  # behind the echoed ^C


def test_in_a_script_only_the_error_is_said() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        options = ["--host", "127.0.0.1", "--port", str(reserved.getsockname()[1])]
        done = run("client", *options, "-m", "hola", "--connect-retry", "0.3")
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1


def test_an_error_has_a_line_of_its_own_below_the_bar(server: ServerProcess, file: Path) -> None:
    with screen(["bash", "-c", command(server.port, file, "/dev/full")]) as shown:
        assert shown.end() == 1
        bar, error, *_ = shown.lines
        assert bar.startswith("Enviando [")
        assert error.startswith("Error: no se puede leer la entrada")


def test_a_bar_that_is_interrupted_ends_its_line(server: ServerProcess, file: Path) -> None:
    fifo = file.with_name("fifo")
    os.mkfifo(fifo)
    with file.open("ab") as more:
        for _ in range(20):
            more.write(BLOCK)
    sending = command(server.port, file, str(fifo))
    with screen(["bash", "-c", f"exec {sending}"]) as shown, fifo.open("rb") as replies:
        assert replies.read(5)
        shown.see_somewhere("%")
        shown.child.kill(signal.SIGINT)
        assert shown.end() == 1
        assert shown.lines[-1] == "Error: Interrumpido."
