"""deploy/systemd: verified by systemd; what the service may not do, the server does not need."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.cli.test_access_log_file import wait_for_line
from tests.deploy.files import DEPLOY, check, tool
from tests.networks.backend import ask, connect, leave
from tests.networks.test_service_manager import launching
from tests.support.processes import run
from tests.support.victim import PATIENCE, Victim

FOLDER = DEPLOY / "systemd"
SERVICE = (FOLDER / "tcpecho.service").read_text()
DROP_INS = {
    file.name: file.read_text() for file in FOLDER.glob("*.conf") if file.name != "logrotate.conf"
}
"""What may be added to the service, by the files' names."""

EXPOSURE = 25
"""Tenths of systemd's exposure level that the service may have, out of a hundred."""


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with programs that are here: only then can they be verified."""
    for file in FOLDER.glob("tcpecho.*"):
        text = file.read_text().replace("/opt/tcpecho/bin/tcpecho-trio", "/bin/true")
        (tmp_path / file.name).write_text(text)
    folder = tmp_path / "tcpecho.service.d"
    folder.mkdir()
    for name, text in DROP_INS.items():
        (folder / name).write_text(text)
    return tmp_path


def test_systemd_has_nothing_to_say_about_the_units(units: Path) -> None:
    files = [units / "tcpecho.socket", units / "tcpecho.service"]
    # The page that Documentation= names is the package's own.
    assert check("systemd-analyze", "verify", "--man=no", *files) == ""


def test_a_slip_in_a_unit_would_be_noticed(units: Path) -> None:
    file = units / "tcpecho.service"
    file.write_text(file.read_text().replace("ProtectHome=", "ProtectHomes="))
    done = subprocess.run(
        [tool("systemd-analyze"), "verify", "--man=no", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ProtectHomes" in done.stderr


def test_the_service_is_hardened(units: Path) -> None:
    said = check(
        *("systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE}"),
        units / "tcpecho.service",
    )
    level = float(re.findall(r"Overall exposure level for \S+: ([\d.]+)", said)[0])
    assert level * 10 <= EXPOSURE


def test_every_option_that_it_sets_exists() -> None:
    text = "".join((SERVICE, *DROP_INS.values()))
    variables = re.findall(r"^Environment=TCPECHO_SERVE_(\w+)=", text, re.MULTILINE)
    known = run("serve", "--help").stdout.decode()
    assert len(variables) >= 4
    for variable in variables:
        assert re.search(rf"--{variable.lower().replace('_', '-')}\b", known), variable


def test_it_has_more_time_to_end_than_the_drain_takes() -> None:
    known = run("serve", "--help").stdout.decode()
    drain = re.findall(r"--drain-timeout\W.*?por defecto:\s+([\d.]+)", known, re.DOTALL)[0]
    assert int(re.findall(r"^TimeoutStopSec=(\d+)$", SERVICE, re.MULTILINE)[0]) > float(drain)


def allowed_calls() -> set[str]:
    """System calls that the service may make, as systemd knows its own names for groups."""
    found: set[str] = set()
    for value in re.findall(r"^SystemCallFilter=(.*)$", SERVICE, re.MULTILINE):
        names = {name for word in value.lstrip("~").split() for name in _calls(word)}
        found = found - names if value.startswith("~") else found | names
    return found


def _calls(word: str) -> set[str]:
    if not word.startswith("@"):
        return {word}
    said = check("systemd-analyze", "syscall-filter", word)
    words = re.findall(r"^    (@?[\w-]+)", said, re.MULTILINE)
    return {name for inner in words for name in _calls(inner)}


@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["one", "several"])
def test_the_server_makes_no_system_call_that_the_service_forbids(
    tmp_path: Path, processes: tuple[str, ...]
) -> None:
    strace = tool("strace")
    allowed = allowed_calls()
    trace = tmp_path / "trace"
    options = (
        *processes,
        *("--no-console", "--access-log", str(tmp_path / "access.log")),
        *("--admin", f"unix://{tmp_path / 'admin.sock'}"),
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        command = launching([listening.fileno()])
        traced = [strace, "-f", "-qq", "-o", str(trace), *command]
        victim = Victim(*options, program=traced, pass_fds=[listening.fileno()])
        try:
            visit(victim)
            with socket.socket(socket.AF_UNIX) as admin:
                admin.connect(str(tmp_path / "admin.sock"))
                admin.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert admin.recv(15) == b"HTTP/1.1 200 OK"
            (pid,) = _children(victim.process.pid)
            os.kill(pid, signal.SIGUSR1)
            victim.wait_for("access_log_reopened")
            os.kill(pid, signal.SIGTERM)
            assert victim.process.wait(PATIENCE) == 0
        finally:
            victim.close()
    made = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.MULTILINE))
    assert {"epoll_pwait2", "epoll_wait", "epoll_pwait"} & made
    assert made - allowed == set()


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def test_logrotate_understands_its_file(tmp_path: Path) -> None:
    file = tmp_path / "logrotate.conf"
    file.write_text((FOLDER / "logrotate.conf").read_text())
    file.chmod(0o644)  # it obeys no file that others may write, as a checkout may be
    said = check("logrotate", "--debug", "--state", tmp_path / "state", file)
    assert "error" not in said
    assert "Handling 1 logs" in said


def test_logrotate_turns_the_log_over_and_no_line_is_lost(tmp_path: Path) -> None:
    logrotate = (FOLDER / "logrotate.conf").read_text()
    tool("logrotate")
    log = tmp_path / "access.log"
    victim = Victim("--access-log", str(log))
    try:
        (reopen,) = re.findall(r"^\s+systemctl kill .*$", logrotate, re.MULTILINE)
        words = shlex.split(reopen)
        assert words[-1] == "tcpecho.service"
        assert "--signal=USR1" in words
        text = logrotate.replace("/var/log/tcpecho/access.log", str(log))
        file = tmp_path / "logrotate.conf"
        file.write_text(text.replace(reopen, f"kill -USR1 {victim.process.pid}"))
        file.chmod(0o644)
        for _ in range(2):
            visit(victim)
            wait_for_line(log)
            if not (tmp_path / "access.log.1").exists():
                check("logrotate", "--force", "--state", tmp_path / "state", file)
                victim.wait_for("access_log_reopened")
        assert victim.stop() == 0
    finally:
        victim.close()
    files = (tmp_path / "access.log.1", log)
    assert [json.loads(file.read_text())["connection"] for file in files] == [1, 2]


def visit(victim: Victim) -> None:
    with connect(victim.port) as client:
        assert ask(client, "hola") == "HOLA"
        leave(client)
