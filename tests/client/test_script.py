"""The client in a script: exit codes, JSON, time limits, old servers, completion in a shell."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading

import pytest

from tests.support.old_servers import OldServer, occupied
from tests.support.processes import PROGRAM, ROOT, run, serving

CLIENT = [*PROGRAM, "client", "--host", "127.0.0.1", "--port"]


def port_of(listening: socket.socket) -> str:
    return str(listening.getsockname()[1])


def ask(port: int | str, *options: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return run("client", "--host", "127.0.0.1", "--port", str(port), *options, stdin=stdin)


def complaint(done: subprocess.CompletedProcess[bytes]) -> str:
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("Error: ")
    return line


def errors_of(done: subprocess.CompletedProcess[bytes]) -> list[str | None]:
    """The `error` of each JSON object."""
    return [json.loads(line).get("error") for line in done.stdout.splitlines()]


# Exit codes: what a health check looks at.


def test_a_health_check_is_0_when_the_server_answers_and_3_when_nobody_listens() -> None:
    with serving() as server:
        done = ask(server.port, "-m", "hola", "--timeout", "10")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"HOLA\n", b"")
    done = ask(server.port, "-m", "hola", "--timeout", "10")
    assert (done.returncode, done.stdout) == (3, b"")
    assert "serve --port" in complaint(done)


@pytest.mark.parametrize("options", [(), ("--json",), ("--framing", "raw")], ids=str)
def test_a_server_that_does_not_answer_in_time_is_code_4(options: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel connects, nobody talks
        done = ask(port_of(silent), "-m", "hola", "--timeout", "1", *options)
    assert done.returncode == 4
    if options == ("--json",):
        assert errors_of(done) == ["TooSlow"]
    else:
        assert done.stdout == b""
    assert "no responde en 1 s" in complaint(done)


def test_a_stream_has_the_time_limit_for_each_reply_and_not_for_its_input() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = ask(port_of(silent), "--timeout", "0.05", stdin=b"hola\n")
        assert (done.returncode, "--timeout" in complaint(done)) == (4, True)
    with serving() as server:
        process = subprocess.Popen(
            [*PROGRAM, "client", "--port", str(server.port), "--timeout", "2"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        assert process.stdin is not None
        process.stdin.write(b"hola\n")
        process.stdin.flush()
        with pytest.raises(subprocess.TimeoutExpired):  # nothing is typed, and nothing is due
            process.wait(3)
        assert process.communicate(b"adios\n")[0] == b"HOLA\nADIOS\n"
        assert process.returncode == 0


@pytest.mark.parametrize("value", ["0", "-1", "nan", "x"])
def test_a_time_limit_that_is_none_is_wrong_usage(value: str) -> None:
    assert ask(1, "-m", "hola", "--timeout", value).returncode == 2


def test_a_server_that_is_starting_is_waited_for() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        client = subprocess.Popen(
            [*CLIENT, port_of(reserved), "--connect-retry", "60", "-m", "hola"],
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        reserved.listen()
        peer, _ = reserved.accept()
        with peer:
            assert peer.recv(100) == b"hola\n"
            peer.sendall(b"HOLA\n")
            peer.shutdown(socket.SHUT_WR)
            assert client.communicate()[0] == b"HOLA\n"
    assert client.returncode == 0


# JSON.


def test_json_is_one_object_a_reply() -> None:
    with serving("--dialect", "admin") as server:
        listing = ("-m", "ñandú", "-m", "LISTAR", "--json", "--dialect", "admin")
        replies = [json.loads(line) for line in ask(server.port, *listing).stdout.splitlines()]
        assert [sorted(reply) for reply in replies] == [["milliseconds", "received", "sent"]] * 2
        assert [reply["sent"] for reply in replies] == ["ñandú", "LISTAR"]
        assert replies[0]["received"] == "ÑANDÚ"
        assert replies[1]["received"].startswith("Clientes conectados:\n127.0.0.1:")
        assert all(0 < reply["milliseconds"] < 60_000 for reply in replies)


def test_json_of_piped_lines_keeps_bytes_that_are_not_utf_8() -> None:
    with serving() as server:
        done = ask(server.port, "--json", stdin=b"uno\r\n\n\xff\xe2\ndos")
        assert done.returncode == 0
        done.stdout.decode("ascii")  # a lone surrogate is written as an escape
        replies = [json.loads(line) for line in done.stdout.splitlines()]
    assert [reply["sent"] for reply in replies] == ["uno", "", "\udcff\udce2", "dos"]
    assert [reply["received"] for reply in replies] == ["UNO", "", "\udcff\udce2", "DOS"]
    original = replies[2]["received"].encode("utf-8", "surrogateescape")
    assert original == b"\xff\xe2"


def test_json_after_a_leaving_word_has_nobody_to_ask() -> None:
    with serving() as server:
        done = ask(server.port, "--json", "-m", "DESCONEXION", "-m", "hola")
    farewell, lost = map(json.loads, done.stdout.splitlines())
    assert farewell["received"] == "Conexión cerrada"
    assert (lost["sent"], lost["received"], lost["error"]) == ("hola", None, "ServerLeft")
    assert done.returncode == 1
    assert "cerró la conexión" in complaint(done)


# Servers that know no lines.


def test_each_message_and_each_piped_line_is_one_message() -> None:
    with OldServer() as server:
        done = ask(server.port, "--framing", "raw", "-m", "hola", "-m", "adiós")
        assert (done.returncode, done.stdout.decode()) == (0, "HOLA\nADIÓS\n")
        done = ask(server.port, "--framing", "raw", "--json", stdin=b"uno\nDESCONEXION\n")
        assert (done.returncode, json.loads(done.stdout)["received"]) == (0, "UNO")
    assert server.chunks == [
        *(b"hola", "adiós".encode(), b"DESCONEXION"),
        *(b"uno", b"DESCONEXION"),
    ]
    assert server.endings == ["left", "left"]


def test_a_blank_message_is_wrong_usage_and_so_is_a_blank_line_but_the_others_go_on() -> None:
    done = ask(1, "--framing", "raw", "-m", "hola", "-m", "  ")
    assert done.returncode == 2
    assert "en blanco" in complaint(done)
    with OldServer() as server:
        done = ask(server.port, "--framing", "raw", stdin=b"uno\n\ndos\n")
        assert (done.returncode, done.stdout) == (2, b"UNO\nDOS\n")
        told, error = done.stderr.decode().splitlines()
        assert told.startswith("Línea 2 sin enviar: ")
        assert error.startswith("Error: líneas de la entrada sin enviar: 1.")
        assert server.chunks == [b"uno", b"dos", b"DESCONEXION"]
        done = ask(server.port, "--framing", "raw", "--json", stdin=b"uno\n\ndos\n")
        assert errors_of(done) == [None, "MessageRefused", None]


def test_waiting_for_our_turn_is_said_beside_the_replies() -> None:
    with OldServer() as server:
        with occupied(server) as somebody:
            client = subprocess.Popen(
                [*CLIENT, str(server.port), "--framing", "raw", "-m", "hola"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=ROOT,
            )
            assert client.stderr is not None
            assert client.stderr.readline().decode().startswith("Esperando turno")
            assert somebody.fileno() > 0
        assert client.communicate() == (b"HOLA\n", b"")
    assert client.returncode == 0


def test_a_server_that_says_nothing_more_does_not_hold_a_finished_client() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            peer, _ = listening.accept()
            with peer:
                peer.sendall(peer.recv(1024).upper())
                assert peer.recv(1024) == b"DESCONEXION"
                assert peer.recv(1024) == b""  # it has waited 2 s for a close, and closes

        server = threading.Thread(target=serve)
        server.start()
        done = ask(port_of(listening), "--framing", "raw", "-m", "hola")
        server.join()
    assert (done.returncode, done.stdout) == (0, b"HOLA\n")


# Completion.


def completions(shell: str, words: list[str]) -> str:
    """What click's script for a shell gets, as a user with these words on the line sees it."""
    line = " ".join(words)
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from tcpecho_trio.cli import main; sys.exit(main())"],
        env={
            **os.environ,
            "_TCPECHO_TRIO_COMPLETE": f"{shell}_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": words[-1] if shell == "fish" else str(len(words) - 1),
        },
        capture_output=True,
        cwd=ROOT,
        check=True,
        text=True,
    )
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_options_and_dialects(shell: str) -> None:
    for words, expected in (
        (["tcpecho-trio", ""], {"serve", "client", "demo"}),
        (["tcpecho-trio", "client", "--fra"], {"--framing"}),
        (["tcpecho-trio", "client", "--framing", ""], {"line", "raw"}),
        (["tcpecho-trio", "serve", "--dialect", "a"], {"admin"}),
    ):
        found = completions(shell, words)
        for name in expected:
            assert name in found, (words, found)
    assert "salutation" not in completions(shell, ["tcpecho-trio", "serve", "--dialect", "a"])


def test_a_shell_completes_what_stands_behind_an_equals_sign() -> None:
    before = ["tcpecho-trio", "serve"]
    # bash makes it three words and replaces the last; the others replace the one that there is.
    assert completions("bash", [*before, "--dialect", "=", "sa"]) == "plain,salutation\n"
    assert "plain,inspect\n" in completions("bash", [*before, "--dialect", "="])
    assert completions("bash", [*before, "--dialect=sa"]) == "plain,--dialect=salutation\n"
    assert completions("zsh", [*before, "--dialect=sa"]) == "plain\n--dialect=salutation\n_\n"
    assert completions("fish", [*before, "--dialect=sa"]) == "plain,--dialect=salutation\n"
    assert "plain,--portable" in completions("fish", [*before, "--dialect=standard", "--por"])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_names_the_console_script_and_its_variable(shell: str) -> None:
    done = run(env={"_TCPECHO_TRIO_COMPLETE": f"{shell}_source"})
    assert done.returncode == 0
    assert f"_TCPECHO_TRIO_COMPLETE={shell}_complete" in done.stdout.decode()
    assert "tcpecho-trio" in done.stdout.decode()
