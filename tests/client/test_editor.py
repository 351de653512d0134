"""The client's editor as a person sees it: real processes on an emulated terminal."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tcpecho_trio.dialects import ADMIN
from tests.support.processes import PROGRAM, WITHOUT_EXTRA, ServerProcess, serving
from tests.support.screens import (
    CTRL_C,
    CTRL_D,
    CTRL_U,
    CTRL_Z,
    ENTER,
    LEFT,
    PROMPT,
    TAB,
    UP,
    Screen,
    client_screen,
    screen,
)

REPLY = "Respuesta del servidor:"
LEAVING = "Solicitando desconexión del servidor..."
FAREWELL = f"{REPLY} Conexión cerrada"


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with serving("--host", "127.0.0.1", "--quiet") as running:
        yield running


@contextmanager
def at_double(*options: str) -> Iterator[tuple[Screen, socket.socket]]:
    """The client at its prompt, and the other end of its connection: we are the server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with client_screen(port, *options) as client, listener.accept()[0] as connection:
            client.see_prompt()
            yield client, connection


def test_the_conversation_of_the_exercise(server: ServerProcess) -> None:
    with client_screen(server.port) as client:
        client.see_prompt()
        client.press("hola servidor", ENTER)
        client.see_prompt(after=f"{REPLY} HOLA SERVIDOR")
        client.press("DESCONEXION", ENTER)
        assert client.end() == 0
        assert client.lines == [
            f"Cliente conectado al servidor en 127.0.0.1:{server.port}",
            f"{PROMPT} hola servidor",
            f"{REPLY} HOLA SERVIDOR",
            f"{PROMPT} DESCONEXION",
            LEAVING,
            FAREWELL,
        ]
        # A terminal that answers questions late would answer them to the shell.
        assert "\x1b[6n" not in client.raw


def test_a_line_is_edited_before_it_is_sent(server: ServerProcess) -> None:
    with client_screen(server.port) as client:
        client.see_prompt()
        client.press("hla", LEFT, LEFT, "o")
        client.see_prompt("hola")
        client.press(ENTER)
        client.see_prompt(after=f"{REPLY} HOLA")


def test_any_letter_can_be_typed(server: ServerProcess) -> None:
    with client_screen(server.port) as client:
        client.see_prompt()
        client.press("año €")
        client.see_prompt("año €")
        client.press(" 日本", LEFT, "ß", ENTER)
        client.see_prompt(after=f"{REPLY} AÑO € 日SS本")


def test_a_line_wider_than_the_screen_and_longer_than_a_terminals(server: ServerProcess) -> None:
    with client_screen(server.port) as client:
        client.see_prompt()
        client.press("0123456789" * 10)
        client.see(f"{PROMPT} {'0123456789' * 6}", "0123456789" * 4, client.lines[-1])
        client.press(ENTER)
        client.see_prompt(after="6789" + "0123456789" * 4)
        client.paste("x" * 5000)  # a terminal's own line ends at 4096 bytes, termios(3)
        client.press(ENTER)
        client.see_prompt(after="X" * (199 - 56 - 80) + "…")


def test_what_was_sent_is_found_again_in_the_next_run(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "not yet there"))
    with client_screen(server.port) as client:
        client.see_prompt()
        client.press("uno", ENTER)
        client.see_prompt(after=f"{REPLY} UNO")
        client.press("dós", ENTER)
        client.see_prompt(after=f"{REPLY} DÓS")
        client.press(CTRL_D)
        assert client.end() == 0
    with client_screen(server.port) as client:
        client.see_prompt()
        client.press(UP)
        client.see_prompt("dós")
        client.press(UP)
        client.see_prompt("uno")
        client.press(ENTER)
        client.see_prompt(after=f"{REPLY} UNO")
    (file,) = (tmp_path / "not yet there").rglob("history")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == "uno\ndós\nuno\n"


def test_a_history_that_cannot_be_kept_is_that_of_this_run(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null/nowhere")
    with client_screen(server.port) as client:
        client.see_prompt()
        client.press("uno", ENTER)
        client.see_prompt(after=f"{REPLY} UNO")
        client.press(UP)
        client.see_prompt("uno")


def test_tab_completes_the_words_of_the_dialect() -> None:
    with serving("--host", "127.0.0.1", "--dialect", "admin") as server:
        hint = "Palabras: LISTAR, APAGAR, DESCONEXION · Tab completa · ↑ repite · Ctrl-D sale"
        with client_screen(server.port, "--dialect", "admin") as client:
            client.see_prompt(hint=hint, after=ADMIN.greeting)
            client.press("li", TAB, ENTER, "x")
            client.see_prompt("x", hint=hint)
            assert client.lines[2:4] == [f"{PROMPT} LISTAR", f"{REPLY} Clientes conectados:"]
            client.press(CTRL_U, TAB)  # nothing typed: every word fits, one after the other
            client.see_prompt("LISTAR", hint=hint)
            client.press(TAB, TAB)
            client.see_prompt("DESCONEXION", hint=hint)
            client.press(TAB)  # and once around, what was typed
            client.see_prompt("", hint=hint)
            client.press("xy", TAB)
            client.see_prompt("xy", hint=hint)
            client.press(CTRL_U, TAB, TAB, ENTER)
            client.see(f"{PROMPT} APAGAR", LEAVING, f"{REPLY} Desconectado del servidor.")
            assert client.end() == 0


def test_a_message_appears_above_what_is_being_typed() -> None:
    with at_double() as (client, connection):
        client.press("half a mes")
        client.see_prompt("half a mes")
        connection.sendall(b"news\n")
        client.see_prompt("half a mes", after=f"{REPLY} news")
        connection.sendall("\x1b[2J\x1b]0;title\x07más\n".encode())
        client.see_prompt("half a mes", after=rf"{REPLY} \x1b[2J\x1b]0;title\x07más")
        client.press("sage", ENTER)
        assert connection.recv(1024) == b"half a message\n"
        connection.sendall(b"reply\n")
        client.see_prompt(after=f"{REPLY} reply")


def test_what_is_typed_before_the_reply_is_for_the_next_prompt() -> None:
    with at_double() as (client, connection):
        client.press("one", ENTER)
        assert connection.recv(1024) == b"one\n"
        client.press("tw")
        connection.sendall(b"ONE\n")
        client.see_prompt("tw", after=f"{REPLY} ONE")
        client.press("o", ENTER)
        assert connection.recv(1024) == b"two\n"
        assert client.lines.count("tw") == 0


def test_a_server_that_leaves_while_one_types() -> None:
    with at_double() as (client, connection):
        client.press("half a mes")
        client.see_prompt("half a mes")
        connection.shutdown(socket.SHUT_RDWR)
        assert client.end() == 1
        assert client.lines[-2:] == [
            f"{PROMPT} half a mes",
            "Error: el servidor cerró la conexión. Mira su consola, o conéctate otra vez.",
        ]


@pytest.mark.parametrize("key", [CTRL_C, CTRL_D])
def test_leaving_by_a_key(server: ServerProcess, key: str) -> None:
    with client_screen(server.port) as client:
        client.see_prompt()
        client.press(key)
        assert client.end() == 0
        assert client.lines[-3:] == [PROMPT, LEAVING, FAREWELL]


def test_ctrl_c_leaves_a_line_unsent_and_ctrl_d_does_not_leave_it() -> None:
    with at_double() as (client, connection):
        client.press("abc", LEFT, CTRL_D)  # deletes, as in every shell
        client.see_prompt("ab")
        client.press(CTRL_D, "x")  # at the end of the line there is nothing to delete
        client.see_prompt("abx")
        client.press(CTRL_C)
        assert connection.recv(1024) == b"DESCONEXION\n"
        client.see(f"{PROMPT} abx", LEAVING)
        client.press(CTRL_C)  # and a second one waits for nobody
        assert client.end() == 1
        assert client.lines[-2:] == [LEAVING, "Error: Interrumpido."]


def test_ctrl_c_while_waiting_for_a_reply() -> None:
    with at_double() as (client, connection):
        client.press("hola", ENTER)
        assert connection.recv(1024) == b"hola\n"
        client.press(CTRL_C)
        assert connection.recv(1024) == b"DESCONEXION\n"
        connection.sendall(b"bye\n")
        connection.shutdown(socket.SHUT_RDWR)
        assert client.end() == 0


@pytest.mark.parametrize("bracketed", [True, False])
def test_pasted_lines_are_sent_one_after_the_other(server: ServerProcess, bracketed: bool) -> None:
    with client_screen(server.port) as client:
        client.see_prompt()
        if bracketed:
            client.press("<>", LEFT)
            client.paste("uno\r\ndos\ntres\rcua")
            client.see_prompt("cua>", after=f"{REPLY} TRES")
            client.press("tro")
        else:
            client.press("<uno\rdos\rtres\rcuatro>")
            client.see_prompt("cuatro>", after=f"{REPLY} TRES")
        client.press(ENTER)
        client.see_prompt(after=f"{REPLY} CUATRO>")
        assert client.lines[1:-4] == [
            f"{PROMPT} <uno",
            f"{REPLY} <UNO",
            f"{PROMPT} dos",
            f"{REPLY} DOS",
            f"{PROMPT} tres",
            f"{REPLY} TRES",
        ]


def test_a_pasted_line_cannot_draw_on_the_screen(server: ServerProcess) -> None:
    with client_screen(server.port) as client:
        client.see_prompt()
        client.paste("first \x1b[2J\nsecond \x1b[2J\n")
        client.see_prompt(after=rf"{REPLY} SECOND \x1b[2J")
        assert client.lines[1:-3] == [
            f"{PROMPT} first ^[[2J",  # as prompt_toolkit shows it
            rf"{REPLY} FIRST \x1b[2J",
            rf"{PROMPT} second \x1b[2J",
        ]


def test_a_long_paste_can_be_interrupted() -> None:
    with at_double() as (client, connection):
        client.paste("line\r" * 1000)
        assert connection.recv(1024) == b"line\n"
        connection.sendall(b"LINE\n")
        assert connection.recv(1024) == b"line\n"
        client.press(CTRL_C)
        assert connection.recv(1024) == b"DESCONEXION\n"
        connection.shutdown(socket.SHUT_RDWR)
        assert client.end() == 0


def test_the_window_is_resized_while_one_types(server: ServerProcess) -> None:
    with client_screen(server.port, columns=40) as client:
        client.press("half")
        client.see_prompt("half", hint="Palabras: DESCONEXION · Tab completa · ↑")
        client.resize(80)
        client.see_prompt("half")
        client.press(" and half", ENTER)
        client.see_prompt(after=f"{REPLY} HALF AND HALF")


@contextmanager
def under_a_shell(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Screen, Callable[[], None]]]:
    """The client as a job of a shell, and how to continue it when it has been stopped."""
    monkeypatch.setenv("PS1", "shell: ")
    monkeypatch.delenv("ENV", raising=False)
    with screen(["sh", "-i"]) as shell:  # dash, where it is: it leaves the terminal's modes alone

        def sane_and_continue() -> None:
            shell.see("shell:")
            shell.press("stty sane; echo; echo sane\n")
            shell.see("sane", "shell:")
            shell.press("fg\n")

        shell.see("shell:")
        command = [*PROGRAM, "client", "--host", "127.0.0.1", "--port", str(port)]
        shell.press(shlex.join(command), "\n")
        shell.see_prompt()
        yield shell, sane_and_continue


def test_stopped_and_continued_at_the_prompt(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    with under_a_shell(server.port, monkeypatch) as (shell, sane_and_continue):
        shell.press("hal")
        shell.see_prompt("hal")
        os.kill(os.tcgetpgrp(shell.child.child_fd), signal.SIGSTOP)
        sane_and_continue()
        shell.see_prompt("hal")
        assert not shell.echoes()
        shell.press(CTRL_Z)
        shell.see("shell:")
        assert shell.echoes()
        assert not shell.screen.cursor.hidden
        sane_and_continue()
        shell.see_prompt("hal")
        shell.press(LEFT, "o", ENTER)
        shell.see_prompt(after=f"{REPLY} HAOL")
        shell.press(CTRL_D)
        shell.see(LEAVING, FAREWELL, "shell:")


def test_stopped_and_continued_while_waiting_for_a_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with (
            under_a_shell(port, monkeypatch) as (shell, sane_and_continue),
            listener.accept()[0] as connection,
        ):
            shell.press("one", ENTER)
            assert connection.recv(1024) == b"one\n"
            shell.press(CTRL_Z)
            sane_and_continue()
            shell.become_quiet()
            shell.press("two")
            connection.sendall(b"ONE\n")
            shell.see_prompt("two", after=f"{REPLY} ONE")
            assert "two" not in shell.lines


def test_ctrl_z_where_nobody_could_continue_changes_nothing(server: ServerProcess) -> None:
    with client_screen(server.port) as client:  # no shell: an orphaned process group
        client.see_prompt()
        client.press("ho", CTRL_Z, "la", ENTER)
        client.see_prompt(after=f"{REPLY} HOLA")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back(server: ServerProcess, number: signal.Signals) -> None:
    with client_screen(server.port) as client:
        client.see_prompt()
        client.child.kill(number)
        assert client.end() == 1
        assert client.lines[-1] == "Error: Interrumpido."


@pytest.mark.parametrize("hang_up", ["obeyed", "ignored"])
def test_a_terminal_that_vanishes_ends_the_client(
    server: ServerProcess, tmp_path: Path, hang_up: str
) -> None:
    errors = tmp_path / "errors"
    command = [*PROGRAM, "client", "--host", "127.0.0.1", "--port", str(server.port)]
    trap = "trap '' HUP; " if hang_up == "ignored" else ""
    with screen(["bash", "-c", f"{trap}exec {shlex.join(command)} 2>{errors}"]) as client:
        client.see_prompt()
        client.press("half")
        client.see_prompt("half")
        assert client.child.pid is not None
        client.child.ptyproc.fileobj.close()  # type: ignore[attr-defined]
        client.child.closed = True
        _, status = os.waitpid(client.child.pid, 0)
        assert os.waitstatus_to_exitcode(status) == 1
        (line,) = errors.read_text().splitlines()
        assert line.startswith("Error: ")


COLOUR = re.compile(r"\x1b\[[\d;]*\b[349][0-8]\b[\d;]*m")


def test_colour_unless_it_is_not_wanted(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client_screen(server.port) as client:
        client.see_prompt()
        assert COLOUR.search(client.raw)
    monkeypatch.setenv("NO_COLOR", "1")
    with client_screen(server.port) as client:
        client.see_prompt()
        assert not COLOUR.search(client.raw)


@pytest.mark.parametrize("without", ["a terminal's name", "a capable terminal", "the extra"])
def test_without_an_editor_lines_are_plain(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch, without: str
) -> None:
    program = PROGRAM
    if without == "a terminal's name":
        monkeypatch.delenv("TERM")
    elif without == "a capable terminal":
        monkeypatch.setenv("TERM", "dumb")
    else:
        program = WITHOUT_EXTRA
    with screen([*program, "client", "--host", "127.0.0.1", "--port", str(server.port)]) as client:
        client.see(PROMPT)
        client.press("hola", ENTER)
        client.see(f"{PROMPT} hola", f"{REPLY} HOLA", PROMPT)
        client.press(CTRL_D)
        assert client.end() == 0
        assert client.lines[-3:] == [PROMPT, LEAVING, FAREWELL]
        assert "\x1b" not in client.raw


def test_no_editor_is_loaded_where_nobody_types(server: ServerProcess) -> None:
    command = [PROGRAM[0], "-X", "importtime", *PROGRAM[1:], "client", "--port", str(server.port)]
    for options, typed in ((["-m", "hola"], b""), ([], b"hola\n")):
        done = subprocess.run([*command, *options], input=typed, capture_output=True, check=True)
        assert done.stdout == b"HOLA\n"
        assert b"tcpecho_trio.client.stream" in done.stderr
        assert b"prompt_toolkit" not in done.stderr
