"""``python -m tcpecho_trio load``, as its users run it."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tcpecho_trio.cli import main
from tcpecho_trio.load.tally import KINDS
from tests.support.old_servers import OldServer, double
from tests.support.processes import PROGRAM, ROOT, ServerProcess, at_terminal, exit_code, run
from tests.support.processes import serving as serving_process


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with serving_process("--quiet", "--no-console") as running:
        yield running


def load(
    server: ServerProcess, *options: str, lang: str = "en"
) -> subprocess.CompletedProcess[bytes]:
    """A short load of that server."""
    short = () if {"--duration", "--messages", "--ramp"} & {*options} else ("--messages", "50")
    return run("load", f"127.0.0.1:{server.port}", "--lang", lang, "--quiet", *short, *options)


def lines(output: bytes) -> list[str]:
    return output.decode().splitlines()


# What it tells


def test_the_report_says_what_was_done_and_what_came_of_it(server: ServerProcess) -> None:
    done = load(server, "-c", "3")
    assert (done.returncode, done.stderr) == (0, b"")
    out = done.stdout.decode()
    assert out.startswith(
        f"Load of 127.0.0.1:{server.port}: 3 connections, closed loop, 64 bytes\n"
    )
    for name, value in (("messages sent", "50"), ("right replies", "50"), ("errors", "0")):
        assert any(line.split() == [*name.split(), value] for line in lines(done.stdout)), name
    assert "since due" not in out
    assert "each connection waits for its reply" in out.replace("\n", " ")


def test_the_report_is_in_spanish_by_default(server: ServerProcess) -> None:
    done = load(server, "--rate", "1k", lang="es")
    assert done.returncode == 0
    out = done.stdout.decode()
    assert out.startswith(
        f"Carga de 127.0.0.1:{server.port}: 1 conexión, bucle abierto, 1 000 mens"
    )
    assert "respuestas correctas" in out
    assert "desde su momento" in out
    assert "Bucle abierto: cada mensaje tenía su momento" in out


def test_no_line_of_the_report_is_wider_than_a_terminal(server: ServerProcess) -> None:
    for lang in ("es", "en"):
        done = load(server, "--ramp", "100:300:200ms", "-c", "3", lang=lang)
        assert max(map(len, lines(done.stdout)[1:])) <= 80


def test_json_has_the_keys_that_are_promised(server: ServerProcess) -> None:
    done = load(server, "--rate", "500", "-c", "2", "--json", "-")
    assert (done.returncode, done.stderr) == (0, b"")
    report = json.loads(done.stdout)
    assert {"sent", "replies", "errors", "seconds", "rate", "latency_ms", "service_ms"} <= {*report}
    assert set(report["errors"]) == set(KINDS)
    for latencies in ("latency_ms", "service_ms"):
        assert set(report[latencies]) == {"p50", "p90", "p99", "p999", "max"}
    assert report["sent"] == report["replies"] == 50
    assert report["mode"] == "open"
    assert report["options"]["rate"] == 500
    assert report["arguments"][:2] == ["load", f"127.0.0.1:{server.port}"]
    assert sum(row["replies"] for row in report["timeline"]) == 50


def test_the_table_goes_beside_json_unless_it_is_to_be_quiet(server: ServerProcess) -> None:
    address = f"127.0.0.1:{server.port}"
    done = run("load", address, "--messages", "3", "--json", "-", "--lang", "en")
    json.loads(done.stdout)
    assert b"right replies" in done.stderr


def test_what_happens_meanwhile_is_told_in_lines_without_a_terminal(server: ServerProcess) -> None:
    address = f"127.0.0.1:{server.port}"
    began = time.monotonic()
    done = run("load", address, "--duration", "2500ms", "--rate", "100", "--lang", "en")
    assert done.returncode == 0
    told = lines(done.stderr)
    assert 1 <= len(told) <= time.monotonic() - began  # one a second, however long it took
    for line in told:
        assert "/s · 1 connections · p50" in line
    assert b"\x1b" not in done.stderr


# Exit codes


def test_an_error_is_code_1_and_one_line(server: ServerProcess) -> None:
    done = load(server, "--expect", "echo")
    assert done.returncode == 1
    (line,) = lines(done.stderr)
    assert "not given one right reply: 50 wrong" in line
    assert "wrong reply on connection 0: expected 000000000000 hola" in done.stdout.decode()


@pytest.mark.parametrize(
    ("condition", "code"),
    [("errors>0", 0), ("p99>60s", 0), ("rate>1", 1), ("p50>0.001us", 1), ("service.max<1h", 2)],
)
def test_conditions_decide(server: ServerProcess, condition: str, code: int) -> None:
    done = load(server, "--fail-if", condition)
    assert done.returncode == code
    if code == 1:
        (line,) = lines(done.stderr)
        assert f"--fail-if {condition} (" in line


def test_errors_that_the_conditions_tolerate_are_no_failure() -> None:
    def close_after_one(peer: socket.socket) -> None:
        peer.sendall(peer.recv(1000).upper())

    with double(close_after_one) as port:
        options = ("--messages", "6", "--quiet", "--lang", "en")
        tolerant = run("load", f"127.0.0.1:{port}", *options, "--fail-if", "wrong>0")
        strict = run("load", f"127.0.0.1:{port}", *options)
    assert tolerant.returncode == 0
    assert strict.returncode == 1
    assert lines(strict.stderr)[0].startswith("Error: there were errors:")


def test_nobody_there_is_code_3() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        done = run("load", f"127.0.0.1:{free.getsockname()[1]}", "--lang", "en")
    assert (done.returncode, done.stdout) == (3, b"")
    (line,) = [line for line in lines(done.stderr) if line.startswith("Error:")]
    assert "nobody listens" in line


def test_a_full_server_is_code_3() -> None:
    with (
        serving_process("--max-connections", "1", "--quiet") as full,
        socket.create_connection(("127.0.0.1", full.port)) as occupant,
    ):
        occupant.sendall(b"hola\n")
        assert occupant.recv(10) == b"HOLA\n"
        done = load(full, "-c", "2")
    assert done.returncode == 3
    (line,) = lines(done.stderr)
    assert "does not serve us" in line


def test_a_server_that_never_answers_is_code_4() -> None:
    def listen(peer: socket.socket) -> None:
        while peer.recv(1000):
            pass

    with double(listen) as port:
        options = ("--duration", "100ms", "--timeout", "200ms", "--quiet", "--lang", "en")
        done = run("load", f"127.0.0.1:{port}", *options)
    assert done.returncode == 4
    assert "has not replied to anything in 0.2 s" in lines(done.stderr)[0]
    assert b"1 missing" in done.stdout


def test_the_exercises_own_server_is_loaded_without_lines() -> None:
    with OldServer() as old:
        done = run(
            "load", f"127.0.0.1:{old.port}", "--framing", "raw", "--messages", "40", "--quiet"
        )
    assert (done.returncode, done.stderr) == (0, b"")
    assert old.endings == ["left"]


# What it refuses


REFUSED: list[tuple[tuple[str, ...], str]] = [
    (("--rate", "0"), "a rate above 0"),
    (("--rate", "fast"), "a rate above 0"),
    (("--rate", "1e5"), "a rate above 0"),
    (("-c", "0"), "a number above 0"),
    (("-c", "ten"), "a number above 0"),
    (("--pipeline", "-1"), "a number above 0"),
    (("--messages", "0"), "a number above 0"),
    (("--duration", "0"), "a time, such as"),
    (("--duration", "10 parsecs"), "a time, such as"),
    (("--duration", "nan"), "a time, such as"),
    (("--duration", "9999999999999999999999999"), "a time, such as"),
    (("--warmup", "-1s"), "a time, such as"),
    (("--think", "soon"), "a time, such as"),
    (("--timeout", "0"), "a time, such as"),
    (("--size", "0"), "bytes from 1 to 16m"),
    (("--size", "64-"), "bytes from 1 to 16m"),
    (("--size", "4096-64"), "bytes from 1 to 16m"),
    (("--size", "17m"), "bytes from 1 to 16m"),
    (("--ramp", "1k:50k"), "FROM:TO:TIME"),
    (("--ramp", "50k:1k:10s"), "FROM:TO:TIME"),
    (("--ramp", "0:1k:10s"), "FROM:TO:TIME"),
    (("--fail-if", "p99"), "NAME, < or >"),
    (("--fail-if", "p99>20"), "NAME, < or >"),
    (("--fail-if", "beauty<3"), "NAME, < or >"),
    (("--fail-if", "rate>5%"), "NAME, < or >"),
    (("--expect", "lower"), "upper, echo, any"),
    (("--framing", "tape"), "line, raw"),
    (("--seed", "x"), "a whole number"),
    (("--file", "/nowhere"), "a file that can be read"),
    (("--compare", "/nowhere"), "a file that can be read"),
    (("--tls-cert", "pyproject.toml"), "--tls-cert and --tls-key"),
    (("--slo", "1s"), "--slo needs --ramp"),
    (("--leave", "ADIOS"), "--leave needs --framing raw"),
    (("--ramp", "1:2:1s", "--rate", "5"), "--rate and --ramp"),
    (("--ramp", "1:2:1s", "--duration", "5s"), "--ramp and --duration"),
    (("--rate", "5", "--think", "1s"), "--think is for the closed loop"),
    (("--think", "1s", "--pipeline", "2"), "--think and --pipeline"),
    (("--churn", "--pipeline", "2"), "--churn and --pipeline"),
    (("--churn", "--think", "1s"), "--churn and --think"),
    (("--framing", "raw", "--expect", "any", "--pipeline", "2"), "where one ends"),
    (("-m", "a\nb"), "one line for each -m"),
    (("-m", "", "--framing", "raw"), "an empty message"),
    (("-m", "x", "--file", "pyproject.toml"), "--message and --file"),
    (("-m", "x", "--size", "64"), "--size does not go with"),
    (("--file", "/dev/null"), "is empty"),
    (("--unix", "/x", "localhost:1"), "HOST:PORT and --unix"),
    (("host:port",), "HOST:PORT, such as"),
    (("localhost:0",), "HOST:PORT, such as"),
    (("localhost:70000",), "HOST:PORT, such as"),
    (("a", "b"), "b"),
    (("1.1.1.1:5000", "-c", "2"), "no private address"),
    (("1.1.1.1:5000", "--churn"), "no private address"),
    (("-c", "2m"), "1 to 1,000,000"),
    (("--json", "same", "--html", "same"), "two reports"),
    (("--json", "-", "--hdr", "-"), "two reports"),
    (("--html", "pyproject.toml", "--file", "pyproject.toml"), "two reports"),
    (("--compare", "pyproject.toml"), "no JSON report"),
]


@pytest.mark.parametrize(("options", "told"), REFUSED, ids=lambda value: " ".join(value))
def test_what_cannot_be_is_told_in_one_line(
    options: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["load", "--lang", "en", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    first, *rest = err.splitlines()
    assert told in first
    assert rest == [] or rest[0].startswith("Try: ")


def test_each_option_reads_its_environment_variable(server: ServerProcess) -> None:
    done = run(
        *("load", f"127.0.0.1:{server.port}", "--quiet"),
        env={
            "TCPECHO_LOAD_CONNECTIONS": "3",
            "TCPECHO_LOAD_MESSAGES": "9",
            "TCPECHO_LOAD_LANG": "en",
            "TCPECHO_LOAD_FAIL_IF": "errors>0\nwrong>0",
            "TCPECHO_LOAD_SIZE": "100-200",
        },
    )
    assert done.returncode == 0
    assert lines(done.stdout)[0].endswith("3 connections, closed loop, 100–200 bytes")


def test_more_connections_than_descriptors_is_one_line(server: ServerProcess) -> None:
    command = [*PROGRAM, "load", f"127.0.0.1:{server.port}", "-c", "500", "--lang", "en"]
    done = subprocess.run(
        ["sh", "-c", 'ulimit -n 300; exec "$0" "$@"', *command],
        capture_output=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 2
    (line,) = lines(done.stderr)
    assert "500 connections need 564 descriptors, and the limit is 300" in line


def test_a_soft_limit_of_descriptors_is_raised(server: ServerProcess) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 1000:
        pytest.skip("too few descriptors")
    done = subprocess.run(
        [
            *("sh", "-c", 'ulimit -S -n 100; exec "$0" "$@"'),
            *(*PROGRAM, "load", f"127.0.0.1:{server.port}", "-c", "300"),
            *("--messages", "300", "--quiet"),
        ],
        capture_output=True,
        cwd=ROOT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


# Where reports go


def test_reports_are_written_and_one_can_be_compared(server: ServerProcess, tmp_path: Path) -> None:
    names = {kind: str(tmp_path / f"r.{kind}") for kind in ("json", "html", "hdr")}
    options = [part for kind, name in names.items() for part in (f"--{kind}", name)]
    assert load(server, *options, "--duration", "1s", "-c", "2").returncode == 0
    assert Path(names["html"]).read_text().startswith("<!doctype html>")
    assert Path(names["hdr"]).read_text().startswith("#[")
    done = load(server, "--compare", names["json"], "--json", names["json"], "--duration", "1s")
    assert done.returncode == 0
    out = done.stdout.decode()
    assert f"Compared with {names['json']}" in out
    assert "not the same was asked for: connections" in out
    assert json.loads(Path(names["json"]).read_text())["options"]["connections"] == 1


@pytest.mark.parametrize("path", ["/nowhere/report", "/", "/dev/full"])
@pytest.mark.parametrize("kind", ["json", "html", "hdr"])
def test_a_report_that_cannot_be_written_is_one_line(
    server: ServerProcess, kind: str, path: str
) -> None:
    done = load(server, f"--{kind}", path)
    assert done.returncode in (1, 2)
    assert lines(done.stderr)[0].startswith("Error: ")
    assert path in lines(done.stderr)[0]
    assert b"Traceback" not in done.stderr
    if path == "/dev/full":
        assert b"right replies" in done.stdout  # what can be told is told


def test_nothing_is_left_behind_where_the_load_did_not_run(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        done = run("load", f"127.0.0.1:{port}", "--json", str(tmp_path / "r.json"))
    assert done.returncode == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [(), ("--json", "-")])
def test_a_full_standard_output_is_one_line(
    server: ServerProcess, options: tuple[str, ...]
) -> None:
    command = [*PROGRAM, "load", f"127.0.0.1:{server.port}", "--messages", "5", "--quiet", *options]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, cwd=ROOT, check=False)
    assert done.returncode == 1
    (line,) = lines(done.stderr)
    assert line.startswith("Error: ")


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "1>&- 2>&-", "<&-", "2>/dev/full"])
def test_standard_streams_may_be_closed(server: ServerProcess, closed: str, tmp_path: Path) -> None:
    report = tmp_path / "r.json"
    command = f'exec "$0" "$@" {closed}'
    options = ("--messages", "5", "--json", str(report))
    done = subprocess.run(
        ["sh", "-c", command, *PROGRAM, "load", f"127.0.0.1:{server.port}", *options],
        capture_output=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0
    assert json.loads(report.read_text())["replies"] == 5
    assert b"Traceback" not in done.stderr


def test_a_reader_that_leaves_is_no_traceback(server: ServerProcess) -> None:
    command = [*PROGRAM, "load", f"127.0.0.1:{server.port}", "--messages", "5", "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
    assert process.stdout
    process.stdout.close()
    assert process.stderr
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 1


def test_a_pipe_that_nobody_reads_does_not_stop_the_load(server: ServerProcess) -> None:
    """Standard error is full: what is told meanwhile is lost, and the load goes on."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writing, b"x" * 4096)
        os.set_blocking(writing, True)
        done = subprocess.run(
            [*PROGRAM, "load", f"127.0.0.1:{server.port}", "--duration", "1500ms", "--rate", "50"],
            stdout=subprocess.PIPE,
            stderr=writing,
            cwd=ROOT,
            check=False,
        )
    finally:
        os.close(reading)
        os.close(writing)
    assert done.returncode == 0
    assert "75" in done.stdout.decode()


# Ctrl-C


def start(server: ServerProcess, *options: str, **how: Any) -> subprocess.Popen[bytes]:
    command = [*PROGRAM, "load", f"127.0.0.1:{server.port}", "--lang", "en", *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
    return subprocess.Popen(command, cwd=ROOT, **pipes)


def test_ctrl_c_ends_early_with_a_full_report(server: ServerProcess) -> None:
    process = start(server, "--duration", "1h", "-c", "4")
    assert process.stderr
    process.stderr.readline()  # a second of it is over
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 0
    assert b"Ended early" in out
    assert b"right replies" in out
    assert b"Traceback" not in err


def test_a_second_ctrl_c_ends_at_once() -> None:
    def answer_once(peer: socket.socket) -> None:
        peer.sendall(peer.recv(1000).upper())
        while peer.recv(1000):
            pass

    with double(answer_once) as port:
        command = [*PROGRAM, "load", f"127.0.0.1:{port}", "--lang", "en", "--timeout", "1h"]
        process = subprocess.Popen(
            [*command, "--duration", "1h"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
        assert process.stderr
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert b"Ending" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 1
    assert out == b""
    assert err.splitlines()[-1] == b"Error: Interrupted."


def test_ctrl_c_while_nobody_has_answered_yet() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        process = subprocess.Popen(
            [*PROGRAM, "load", f"127.0.0.1:{port}", "--lang", "en", "--timeout", "1h", "--tls"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
        peer, _ = listening.accept()
        with peer:
            assert peer.recv(1)  # it is shaking hands
            process.send_signal(signal.SIGINT)
            _, err = process.communicate()
    assert process.returncode == 1
    assert err.splitlines()[-1] == b"Error: Interrupted."


# At a terminal


def test_a_terminal_shows_how_it_goes_and_then_the_report(server: ServerProcess) -> None:
    options = ("--duration", "1h", "--rate", "200", "--lang", "en")
    with at_terminal("load", f"127.0.0.1:{server.port}", *options) as child:
        child.expect("rate")
        child.expect("p99")
        child.sendintr()
        child.expect("right replies")
        assert exit_code(child) == 0


@pytest.mark.parametrize("columns", [1, 20, 40, 200])
def test_a_terminal_may_be_narrow(server: ServerProcess, columns: int) -> None:
    child = pexpect.spawn(
        PROGRAM[0],
        [*PROGRAM[1:], "load", f"127.0.0.1:{server.port}", "--duration", "1s", "--rate", "50"],
        encoding="utf-8",
        cwd=ROOT,
        timeout=120,
        dimensions=(24, columns),
    )
    child.expect("respuestas correctas")
    assert exit_code(child) == 0


def test_a_dumb_terminal_gets_plain_lines(server: ServerProcess) -> None:
    environment = {**os.environ, "TERM": "dumb"}
    child = pexpect.spawn(
        PROGRAM[0],
        [*PROGRAM[1:], "load", f"127.0.0.1:{server.port}", "--duration", "1h", "--rate", "50"],
        encoding="utf-8",
        cwd=ROOT,
        timeout=120,
        env=environment,
    )
    child.expect("conexiones · p50")
    assert "\x1b" not in str(child.before)
    child.sendintr()
    child.expect("respuestas correctas")
    assert "\x1b" not in str(child.before)
    assert exit_code(child) == 0


def test_a_terminal_that_nobody_reads_does_not_stop_the_load(
    server: ServerProcess, tmp_path: Path
) -> None:
    """Ctrl-S at the terminal: the report file shows that the load went on."""
    report = tmp_path / "r.json"
    command = [
        *(*PROGRAM[1:], "load", f"127.0.0.1:{server.port}", "--json", str(report)),
        *("--duration", "2s", "--rate", "100"),
    ]
    child = pexpect.spawn(PROGRAM[0], command, encoding="utf-8", cwd=ROOT, timeout=120)
    child.delaybeforesend = None
    child.expect("p99")
    child.send("\x13")
    while not report.exists() or not report.read_text().endswith("}\n"):
        assert child.isalive()
    child.send("\x11")
    child.expect("respuestas correctas")
    assert exit_code(child) == 0
    assert json.loads(report.read_text())["replies"] == 200


def test_without_the_extra_it_runs_and_only_the_log_is_refused(server: ServerProcess) -> None:
    without = (
        "import sys\nfor name in ('rich', 'rich.console', 'hdrh', 'hdrh.histogram'):\n"
        "    sys.modules[name] = None\n"
        "from tcpecho_trio.cli import main\nsys.exit(main())\n"
    )
    options = ["load", f"127.0.0.1:{server.port}", "--duration", "1s", "--rate", "50"]
    child = pexpect.spawn(
        sys.executable, ["-c", without, *options], encoding="utf-8", cwd=ROOT, timeout=120
    )
    child.expect("p99")
    child.expect("respuestas correctas")
    assert exit_code(child) == 0
    done = subprocess.run(
        [sys.executable, "-c", without, *options, "--hdr", "x", "--lang", "en"],
        capture_output=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 2
    (line,) = lines(done.stderr)
    assert "the extra load is missing" in line
