"""Text that would like to be obeyed by a terminal or believed by a log's reader."""

from __future__ import annotations

import os
import signal
import socket
import subprocess

import pexpect
import pytest

from tests.support.naive_model import upper
from tests.support.processes import PROGRAM, ROOT, OldClient, at_terminal, matched, serving
from tests.support.victim import Victim, attacked

ATTACKS = {
    "clears the screen once it is upper case": b"\x1b[2j",
    "sets the clipboard (OSC 52)": b"\x1b]52;c;aG9sYQ==\x07",
    "an 8-bit control sequence": b"\x9b2J",
    "the same in UTF-8": "\x9b2J".encode(),
    "reorders what is read": "\u202eabc".encode(),
    "forges a log line": b'\r\n{"event": "stopped"}',
    "buries its neighbours": ("e" + "\u0301" * 5000).encode(),
    "is long": b"x" * 5000,
}
attacks = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)


@attacks
def test_it_is_echoed_faithfully(server: Victim, attack: bytes) -> None:
    # The fixture looks at the log: every value printable, none longer than 200 characters.
    assert server.ask(attack + b"\n") == upper(attack) + b"\n"


def test_it_is_logged_escaped_and_cut(way: str) -> None:
    with attacked(way=way) as server:
        for attack in ATTACKS.values():
            server.ask(attack + b"\n")
        assert server.stop() == 0
        told = [event["text"] for event in server.events("received")]
    assert r"\x1b[2j" in told
    assert r"\u202eabc" in told
    assert "x" * 199 + "…" in told


def test_the_narration_for_people_is_escaped_too() -> None:
    with serving() as server:
        with OldClient(server.port) as old:
            for attack in ATTACKS.values():
                old.socket.sendall(attack + b"\n")
        server.wait_for("terminada")
        assert server.stop() == 0
    for line in server.lines:
        assert line.isprintable()
        assert len(line) < 300


@attacks
def test_our_client_shows_it_escaped_at_a_terminal(server: Victim, attack: bytes) -> None:
    message = attack.replace(b"\n", b" ")
    with at_terminal(
        "client", "--port", str(server.port), "-m", message.decode("latin-1")
    ) as child:
        child.expect(pexpect.EOF)
        shown = str(child.before).replace("\r\n", "")
    assert shown.isprintable()
    assert len(shown) <= 200


def test_a_stopped_terminal_does_not_stop_the_server() -> None:
    with at_terminal("serve", "--port", "0") as terminal:
        terminal.expect(r"localhost:(\d+) ")
        port = int(matched(terminal))
        terminal.send("\x13")  # Ctrl-S
        with OldClient(port) as old:
            for number in range(500):  # far more than a terminal's buffer holds
                assert old.ask(f"{'x' * 100}{number}\n").endswith(f"{number}\n")
        with OldClient(port) as old:
            assert old.ask("sigo") == "SIGO"


def test_a_full_log_pipe_does_not_stop_the_server() -> None:
    with serving() as server:  # which reads nothing of the journal meanwhile
        with OldClient(server.port) as old:
            for number in range(2000):
                assert old.ask(f"{'x' * 100}{number}\n").endswith(f"{number}\n")
        with OldClient(server.port) as old:
            assert old.ask("sigo") == "SIGO"


def test_a_reader_that_leaves_does_not_stop_the_server() -> None:
    server = f"exec {' '.join(PROGRAM)} serve --port 0 --no-console"
    pipeline = subprocess.Popen(
        ["bash", "-c", f"{{ echo $BASHPID >&2; {server}; }} | head -1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    assert pipeline.stdout is not None
    assert pipeline.stderr is not None
    pid = int(pipeline.stderr.readline())
    port = int(pipeline.stdout.readline().decode().rpartition(":")[2].partition(" ")[0])
    for _ in range(3):
        with OldClient(port) as old:
            assert old.ask("hola") == "HOLA"
    os.kill(pid, signal.SIGTERM)
    assert pipeline.communicate() == (b"", b"")


def test_a_full_disk_under_the_log_does_not_stop_the_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as placeholder:
        port = placeholder.getsockname()[1]
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        server = subprocess.Popen(
            [*PROGRAM, "serve", "--port", str(port), "--no-console"], stdout=full, cwd=ROOT
        )
    while True:
        try:
            with OldClient(port) as old:
                assert old.ask("hola") == "HOLA"
            break
        except ConnectionRefusedError:
            assert server.poll() is None
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 0
