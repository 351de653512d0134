"""The client in a pipe: byte-exact, both ways at once; it ends whatever goes wrong."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pexpect
import pytest

from tests.support.processes import PROGRAM, ROOT, run, serving

MEGABYTES = 48
BLOCK = b"".join(b"%07d hola, que tal\n" % number for number in range(40_000))  # a megabyte


def client(port: int, *options: str) -> list[str]:
    return [*PROGRAM, "client", "--port", str(port), *options]


@pytest.mark.parametrize("source", ["a pipe", "a file"])
def test_a_lot_goes_through_byte_for_byte(source: str, tmp_path: Path) -> None:
    blocks = [BLOCK] * MEGABYTES
    blocks[MEGABYTES // 2] = "ñandú €\n".encode() * 80_000 + b"\xff\n"
    expected = hashlib.blake2b()
    for block in blocks:
        expected.update(
            block.decode(errors="surrogateescape").upper().encode(errors="surrogateescape")
        )
    file = tmp_path / "text"
    if source == "a file":
        file.write_bytes(b"".join(blocks))
    else:
        file.touch()
    with serving("--quiet") as server, file.open("rb") as opened:
        process = subprocess.Popen(
            client(server.port),
            stdin=opened if source == "a file" else subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        assert process.stdout is not None

        def feed() -> None:
            if process.stdin is not None:
                with process.stdin as pipe:
                    for block in blocks:
                        pipe.write(block)

        feeding = threading.Thread(target=feed)
        feeding.start()
        with process.stdout as replies:
            received = hashlib.blake2b()
            while data := replies.read(1_000_000):
                received.update(data)
        feeding.join()
        assert process.wait() == 0
    assert received.digest() == expected.digest()


def test_a_reply_is_there_before_the_next_message_is_typed() -> None:
    with serving() as server:
        process = subprocess.Popen(
            client(server.port), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
        )
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(3):
            process.stdin.write(b"hola\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"HOLA\n"
        process.stdin.close()
        assert process.stdout.read() == b""
        process.stdout.close()
        assert process.wait() == 0


def test_a_person_who_watches_sees_lines_that_cannot_harm_the_terminal() -> None:
    with serving() as server:
        command = " ".join(client(server.port))
        script = f"printf 'hola\\n\\033[2j' | {command}"
        with pexpect.spawn("bash", ["-c", script], encoding="utf-8", cwd=ROOT) as screen:
            screen.expect_exact("HOLA\r\n\\x1b[2J\r\n")
            screen.expect(pexpect.EOF)


def test_a_server_that_leaves_early_is_one_line_and_code_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            peer, _ = listening.accept()
            with peer:
                peer.recv(5)
                peer.sendall(b"HOLA\n")

        serving_once = threading.Thread(target=serve)
        serving_once.start()
        done = run("client", "--port", str(listening.getsockname()[1]), stdin=BLOCK * 4)
        serving_once.join()
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("Error: ")
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("options", [(), ("--json",)], ids=str)
@pytest.mark.parametrize("stdin", ["", "hola\n"])
def test_a_closed_standard_output_is_trouble_when_a_reply_is_lost(
    stdin: str, options: tuple[str, ...]
) -> None:
    with serving() as server:
        script = f"printf '{stdin}' | {' '.join(client(server.port, *options))} >&-"
        done = subprocess.run(["bash", "-c", script], stderr=subprocess.PIPE, cwd=ROOT, check=False)
    lines = done.stderr.decode().splitlines()
    if stdin:
        assert done.returncode == 1
        (line,) = lines
        assert line.startswith("Error: no se puede leer la entrada o escribir la salida: ")
    else:
        assert (done.returncode, lines) == (0, [])


def test_a_full_disk_is_one_line_and_code_1() -> None:
    with serving() as server, open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(
            client(server.port),
            input=BLOCK,
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            check=False,
        )
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("Error: no se puede leer la entrada o escribir la salida: ")


def test_ctrl_c_while_nobody_reads_is_one_line_and_code_1() -> None:
    with serving("--quiet") as server:
        process = subprocess.Popen(
            client(server.port),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"hola\n")
        process.stdin.flush()
        assert process.stdout.read(5) == b"HOLA\n"

        def feed() -> None:
            assert process.stdin is not None
            try:
                for _ in range(100):
                    process.stdin.write(BLOCK)
            except BrokenPipeError:
                pass

        feeding = threading.Thread(target=feed)
        feeding.start()
        assert process.stdout.read(5)  # and now nobody reads any more
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        with process.stderr as errors:
            assert errors.read().decode() == "Error: Interrumpido.\n"
        assert process.wait() == 1
        feeding.join()
        process.stdout.close()
        with open(os.devnull, "wb"):  # noqa: PTH123
            process.stdin.close()


def test_a_progress_bar_is_for_a_person_who_sends_a_file(tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_bytes(BLOCK)
    with serving("--quiet") as server:
        command = " ".join(client(server.port))
        for redirection, shown in ((f"<{file} >{tmp_path}/out", True), (f"<{file}", False)):
            with pexpect.spawn(
                "bash", ["-c", f"{command} {redirection}"], encoding="utf-8", cwd=ROOT
            ) as screen:
                screen.expect(pexpect.EOF)
                assert ("Enviando" in screen.before) == shown
                assert ("100%" in screen.before) == shown
        piped = f"cat {file} | {command} >{tmp_path}/out"
        with pexpect.spawn("bash", ["-c", piped], encoding="utf-8", cwd=ROOT) as screen:
            screen.expect(pexpect.EOF)
            assert screen.before == ""
    assert (tmp_path / "out").read_bytes() == BLOCK.upper()
