"""``serve --access-log``: a file of a process, with all that can happen to files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.networks.programs import program
from tests.support.processes import OldClient, ServerProcess, run, serving
from tests.support.web import ask


def lines_of(*files: Path) -> list[dict[str, Any]]:
    text = "".join(file.read_text() for file in files)
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def visit(server: ServerProcess, text: str = "hola\n") -> None:
    """A client that has gone before this returns."""
    with OldClient(server.port) as client:
        client.ask(text)
        client.ask("DESCONEXION\n")
        while client.hear():
            pass


def wait_for_line(log: Path) -> None:
    while not lines_of(log):
        time.sleep(0.01)  # a file tells nobody that it has grown


def test_the_lines_are_there_when_the_server_has_ended(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    with serving("--access-log", str(log), "--name", "azul") as server:
        visit(server)
    (line,) = lines_of(log)
    assert (line["reason"], line["server"], line["messages_in"]) == ("disconnected", "azul", 2)
    assert log.stat().st_mode & 0o777 == 0o640 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_lines_are_appended(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    for _ in range(2):
        with serving("--access-log", str(log)) as server:
            visit(server)
    assert len(lines_of(log)) == 2


def test_a_dash_is_standard_output() -> None:
    with serving("--access-log", "-", "--quiet") as server:
        visit(server)
        server.process.send_signal(signal.SIGUSR1)  # there is nothing to reopen
    (line,) = [json.loads(line) for line in server.lines if line.startswith("{")]
    assert (line["messages_in"], line["reason"]) == (2, "disconnected")


def test_messages_are_counted_for_it_even_where_nobody_tells_them(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    with serving("--access-log", str(log), "--quiet") as server:
        visit(server)
    assert lines_of(log)[0]["messages_in"] == 2


def test_probes_are_there_when_asked_for(tmp_path: Path) -> None:
    for options, expected in (((), []), (("--access-log-probes",), ["probe"])):
        log = tmp_path / f"access{len(options)}.log"
        with serving("--access-log", str(log), *options) as server, OldClient(server.port):
            pass
        assert [line["reason"] for line in lines_of(log)] == expected


def test_logrotate_loses_no_line(tmp_path: Path) -> None:
    logrotate = program("logrotate")
    log = tmp_path / "access.log"
    with serving("--access-log", str(log)) as server:
        config = tmp_path / "logrotate.conf"
        config.write_text(
            f"{log} {{\n  rotate 9\n  su {_owner(tmp_path)}\n  postrotate\n"
            f"    kill -USR1 {server.process.pid}\n  endscript\n}}\n"
        )
        config.chmod(0o644)
        tmp_path.chmod(0o755)
        command = [logrotate, "--force", "--state", str(tmp_path / "state"), str(config)]
        for number in range(1, 4):
            visit(server, f"{number}\n")
            wait_for_line(log)  # it is written after the client has seen the end
            subprocess.run(command, check=True, capture_output=True)
            server.wait_for("archivo abierto de nuevo")
            server.lines.clear()
        visit(server, "4\n")
    rotated = [tmp_path / f"access.log.{number}" for number in (3, 2, 1)]
    found = lines_of(*rotated, log)
    assert [line["connection"] for line in found] == [1, 2, 3, 4]
    assert [len(lines_of(file)) for file in (*rotated, log)] == [1, 1, 1, 1]


def _owner(path: Path) -> str:
    return f"{path.owner()} {path.group()}"


def test_a_file_that_cannot_be_opened_again_leaves_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = folder / "access.log"
    with serving("--access-log", str(log)) as server:
        visit(server)
        moved = tmp_path / "moved"
        folder.rename(moved)
        server.process.send_signal(signal.SIGUSR1)
        server.wait_for("sigue el archivo anterior")
        visit(server)
    assert len(lines_of(moved / "access.log")) == 2


def test_a_full_disk_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.symlink_to("/dev/full")
    admin = tmp_path / "admin.sock"
    with serving("--access-log", str(log), "--admin", f"unix://{admin}") as server:
        for _ in range(3):
            visit(server)  # it serves as before
        while b"tcpecho_log_lines_dropped_total 3.0" not in ask(str(admin), "GET", "/metrics").body:
            pass  # a line that still waits would find the new file
        log.unlink()
        server.process.send_signal(signal.SIGUSR1)
        server.wait_for("archivo abierto de nuevo")
        visit(server)
        lost = int(server.wait_for(r"Registro de accesos: (\d) líneas? perdidas?")[1])
    # What had not been tried when the file was opened again is in the new one.
    assert [line["connection"] for line in lines_of(log)] == [1, 2, 3, 4][lost:]


def test_nobody_reads_and_nobody_waits(tmp_path: Path) -> None:
    fifo = tmp_path / "access.fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with serving("--access-log", str(fifo), "--quiet") as server:
            for _ in range(300):  # more than a pipe holds
                visit(server)
    finally:
        os.close(reader)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--access-log", "/dev/null/x"), 3, "no se puede escribir en /dev/null/x"),
        (("--access-log", "/"), 3, "Revisa --access-log"),
        (("--access-log-probes",), 2, "--access-log-probes necesita --access-log"),
    ],
)
def test_what_cannot_be_is_one_line(options: tuple[str, ...], code: int, said: str) -> None:
    done = run("serve", "--port", "0", *options)
    assert done.returncode == code
    assert said in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
