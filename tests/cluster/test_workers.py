"""Workers that are killed, hang, cannot be started, or lose their supervisor."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cluster.fleet import (
    assert_ends,
    assert_no_orphans,
    children_of,
    crowd,
    fleet,
    guardian_of,
    install,
    is_alive,
    waiting,
)
from tests.support.processes import PATIENCE, PROGRAM, ROOT

INSPECT = ("--dialect", "inspect", "--quiet")

DEADLY = [
    signal.SIGKILL,
    signal.SIGSEGV,
    signal.SIGABRT,
    signal.SIGALRM,
    signal.SIGUSR2,
    signal.SIGBUS,
    signal.SIGQUIT,
]


async def test_a_worker_that_is_killed_costs_its_own_clients_only() -> None:
    with fleet(*INSPECT, processes=3) as server:
        async with crowd(server, 200) as talkers:
            broken = 0
            for killed in DEADLY:
                pids = server.pids()
                worker = next(iter(pids))
                there = [talker for talker in talkers if talker.worker == worker]
                os.kill(pids[worker], killed)
                died = await waiting(
                    server.wait_for, "worker_died", lambda e, pid=pids[worker]: e["pid"] == pid
                )
                assert died["signal"] == killed.name
                assert died["lost"] == len(there)
                await waiting(server.wait_for_count, "worker_ready", 3 + DEADLY.index(killed) + 1)
                for talker in there:
                    await talker.wait_for(1_000_000)
                    talker.worker = -1  # its number is another one's now
                broken += len(there)
                for talker in talkers:
                    await talker.wait_for(2)
                    # A reset, or an end where a reply was due: it depends on what was unread.
                    assert talker.ended in (("",) if talker.worker > 0 else ("broken", "closed"))
            assert broken > 0
            assert len({talker.number for talker in talkers}) == len(talkers)


@pytest.mark.parametrize("harmless", [signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
async def test_what_a_terminal_sends_to_every_process_is_no_business_of_workers(
    harmless: signal.Signals,
) -> None:
    with fleet(*INSPECT) as server:
        async with crowd(server, 20) as talkers:
            for pid in server.pids().values():
                os.kill(pid, harmless)
            for talker in talkers:
                await talker.wait_for(10)
                assert not talker.ended
        assert server.events("worker_died") == []


async def test_a_sigterm_to_a_worker_replaces_it_and_closes_on_its_clients_orderly() -> None:
    with fleet(*INSPECT) as server:
        async with crowd(server, 50) as talkers:
            worker, pid = next(iter(server.pids().items()))
            os.kill(pid, signal.SIGTERM)
            await waiting(server.wait_for, "worker_ended", lambda event: event["pid"] == pid)
            for talker in talkers:
                await talker.wait_for(1_000_000 if talker.worker == worker else 10)
                assert talker.ended == ("closed" if talker.worker == worker else "")
        names = [event["event"] for event in server.events()]
        assert names.index("worker_replaced") < names.index("worker_ended")
        assert len(server.pids()) == 2


def test_a_worker_that_hangs_is_killed_and_replaced() -> None:
    with fleet(*INSPECT) as server:
        hung, well = server.pids().values()
        os.kill(hung, signal.SIGSTOP)
        told = server.wait_for("worker_hung")
        assert told["pid"] == hung
        assert told["seconds"] > 9
        died = server.wait_for("worker_died")
        assert (died["pid"], died["signal"]) == (hung, "SIGKILL")
        server.wait_for_count("worker_ready", 3)
        assert well in server.pids().values()


async def test_while_a_worker_hangs_the_other_one_serves_all_newcomers() -> None:
    with fleet(*INSPECT) as server:
        (_, hung), (other, _) = server.pids().items()
        os.kill(hung, signal.SIGSTOP)
        async with crowd(server, 30) as talkers:
            for talker in talkers:
                assert talker.worker == other or server.events("worker_hung")
                await talker.wait_for(2)
        os.kill(hung, signal.SIGKILL)
        await waiting(server.wait_for, "worker_died")


def test_a_supervisor_that_was_stopped_gives_its_workers_another_ten_seconds() -> None:
    with fleet(*INSPECT) as server:
        before = server.pids()
        os.kill(server.process.pid, signal.SIGSTOP)
        time.sleep(12)  # the period itself is what is tested
        os.kill(server.process.pid, signal.SIGCONT)
        server.check()
        assert server.events("worker_hung") == []
        assert server.pids() == before


@pytest.mark.parametrize("killed", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_supervisor_that_dies_ends_its_workers_within_the_drain_timeout(
    killed: signal.Signals,
) -> None:
    with fleet(*INSPECT, "--drain-timeout", "5") as server:
        async with crowd(server, 20) as talkers:
            for talker in talkers:
                await talker.wait_for(2)
            os.kill(server.process.pid, killed)
            for talker in talkers:
                await talker.wait_for(1_000_000)
                assert talker.ended == "closed"
        await waiting(server.process.wait)
        await waiting(assert_no_orphans, server)


HANGING = """
import os, signal
def hang(*_):
    while True: pass
if "TCPECHO_TRIO_WORKER" in os.environ:
    signal.signal(signal.SIGUSR2, hang)
"""
"""A module that Python imports by itself, so that a worker can be made to hang."""


@pytest.mark.parametrize("trouble", [signal.SIGSTOP, signal.SIGUSR2], ids=["stopped", "busy"])
def test_a_worker_that_hangs_when_its_supervisor_dies_does_not_outlive_it_for_long(
    trouble: signal.Signals, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(HANGING)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with fleet(*INSPECT, "--drain-timeout", "1", env=env) as server:
        guardian = guardian_of(server)
        for pid in server.pids().values():
            os.kill(pid, trouble)
        server.process.kill()
        server.process.wait()
        assert_no_orphans(server)
        assert_ends(guardian)


def test_a_guardian_that_was_killed_has_a_successor_for_the_next_workers() -> None:
    with fleet(*INSPECT, "--drain-timeout", "1") as server:
        first = guardian_of(server)
        os.kill(first, signal.SIGKILL)
        assert_ends(first)
        server.check()
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("workers_replaced")
        server.wait_for_count("worker_ended", 2)
        second = guardian_of(server)
        assert second != first
        for pid in server.pids().values():
            os.kill(pid, signal.SIGSTOP)
        server.process.kill()
        server.process.wait()
        assert_no_orphans(server)
        assert_ends(second)


@pytest.mark.parametrize("shell", ["/bin/sh", "/nowhere/sh"])
def test_a_server_that_ends_leaves_no_guardian_and_can_do_without(shell: str) -> None:
    code = (
        "import sys\n"
        "from tcpecho_trio.cluster import guardian\n"
        f"guardian.SHELL = {shell!r}\n"
        "from tcpecho_trio.cli import main\n"
        "sys.exit(main())\n"
    )
    with fleet(*INSPECT, program=[sys.executable, "-bb", "-c", code]) as server:
        children = children_of(server.process.pid)
        assert len(children) == (3 if shell == "/bin/sh" else 2)
        assert server.stop() == 0
        for child in children:
            assert_ends(child)


def test_a_worker_that_had_not_begun_ends_with_its_supervisor_too() -> None:
    """However early: the process table is looked at, not what the journal says."""
    for delay in (0.0, 0.05, 0.15, 0.3):
        process = subprocess.Popen(
            [*PROGRAM, "serve", "--port", "0", "--processes", "4", "--no-console"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
        )
        deadline = time.monotonic() + PATIENCE
        while not (children := children_of(process.pid)):
            assert time.monotonic() < deadline
        time.sleep(delay)  # any moment of its start will do: these four
        children |= children_of(process.pid)
        process.kill()
        process.wait()
        while any(map(is_alive, children)):
            assert time.monotonic() < deadline, children
            time.sleep(0.01)  # nobody tells us: they are not our children


# What cannot be started

BROKEN = """
import sys
from tcpecho_trio.cli import supervisor_process as module
before = module.worker_command
module.worker_command = lambda arguments: {command}
sys.argv[0] = "tcpecho-trio"
from tcpecho_trio.cli import main
sys.exit(main())
"""


def with_workers(command: str, *options: str) -> subprocess.CompletedProcess[bytes]:
    """The server, whose workers are another command."""
    code = BROKEN.format(command=command)
    arguments = ["serve", "--port", "0", "--processes", "2", "--lang", "en", *options]
    return subprocess.run(
        [sys.executable, "-bb", "-c", code, *arguments],
        capture_output=True,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        check=False,
    )


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("['/nowhere/python']", "no such file"),
        ("['/dev/null']", "permission denied"),
        ("['true']", "exit code 0"),
        ("['sh', '-c', 'echo broken >&2; exit 7']", "broken"),
        ("['sh', '-c', 'kill -9 $$']", "SIGKILL"),
        ("['bash', '-c', 'echo hola >&$TCPECHO_TRIO_WORKER; sleep 60']", "hola"),
        ("before(('serve', '--no-such-option'))", "no-such-option"),
    ],
)
def test_if_no_worker_can_be_started_one_line_says_why(command: str, reason: str) -> None:
    done = with_workers(command)
    line, *more = done.stderr.decode().splitlines()
    assert more == []
    assert line.startswith("Error: no process of the server could be started: ")
    assert reason in line.lower() or reason in line
    assert done.returncode == 3


def test_a_server_that_ends_before_it_is_ready_never_says_that_it_is(tmp_path: Path) -> None:
    code = BROKEN.format(command="['sleep', '60']")
    options = ("--processes", "2", "--drain-timeout", "0", "--no-console", "--log-format", "json")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)
        server = subprocess.Popen(
            [
                *(sys.executable, "-bb", "-c", code, "serve", "--port", "0", *options),
                *("--admin", f"unix://{tmp_path / 'admin.sock'}"),
            ],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "NOTIFY_SOCKET": manager.getsockname()},
        )
        deadline = time.monotonic() + PATIENCE
        while len(children_of(server.pid)) < 3:
            assert time.monotonic() < deadline
        server.send_signal(signal.SIGTERM)
        assert manager.recv(100) == b"STOPPING=1"
        out, _ = server.communicate()
        assert server.returncode == 0
        assert [json.loads(line)["event"] for line in out.splitlines()] == ["draining", "stopped"]
        manager.setblocking(False)
        with pytest.raises(BlockingIOError):
            manager.recv(100)


def test_who_cannot_be_replaced_is_tried_again_and_again(tmp_path: Path) -> None:
    program = tmp_path / "program"
    install(program)
    code = BROKEN.format(command=f"[{str(program)!r}, *before(arguments)[1:]]")
    with fleet(*INSPECT, program=[sys.executable, "-bb", "-c", code]) as server:
        program.unlink()
        os.kill(server.pids()[1], signal.SIGKILL)
        first, second = server.wait_for_count("worker_not_started", 2)[:2]
        assert "No such file" in first["error"]
        assert second["seconds"] > first["seconds"]
        with server.connect() as client:  # the other one serves
            client.sendall(b"hola\n")
            assert client.recv(5) == b"HOLA\n"
        install(program)
        server.wait_for_count("worker_ready", 3)


def test_a_worker_that_dies_at_once_is_replaced_after_a_growing_pause() -> None:
    with fleet(*INSPECT) as server:
        ready = 2
        for _ in range(3):
            pid = server.pids()[1]
            os.kill(pid, signal.SIGKILL)
            ready += 1
            server.wait_for_count("worker_ready", ready)
        assert [event["lost"] for event in server.events("worker_died")] == [0, 0, 0]


def test_a_variable_that_is_none_of_ours_is_one_clear_line() -> None:
    done = subprocess.run(
        [*PROGRAM, "serve", "--port", "0", "--processes", "2"],
        env={**os.environ, "TCPECHO_TRIO_WORKER": "99"},
        capture_output=True,
        cwd=ROOT,
        check=False,
    )
    assert done.stderr.decode().count("\n") == 1
    assert "TCPECHO_TRIO_WORKER" in done.stderr.decode()
    assert done.returncode == 3


@pytest.mark.parametrize("count", ["0", "-1", "65", "x", "1.5", ""])
def test_so_many_processes_there_cannot_be(count: str) -> None:
    done = subprocess.run(
        [*PROGRAM, "serve", "--processes", count, "--lang", "en"],
        capture_output=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 2
    assert b"auto, or a whole number from 1 to 64" in done.stderr


def test_auto_is_one_for_each_processor_that_may_be_used() -> None:
    command = ["taskset", "-c", "0", *PROGRAM]
    with fleet(*INSPECT, processes=1) as server:
        assert len(server.pids()) == 1
    with fleet(*INSPECT, "--processes", "auto", program=command) as server:
        assert len(server.pids()) == 1


def test_a_worker_has_no_descriptor_that_it_does_not_need() -> None:
    with fleet(*INSPECT) as server, contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(server.connect())
        for pid in server.pids().values():
            targets = [str(f.readlink()) for f in Path(f"/proc/{pid}/fd").iterdir()]
            assert len([t for t in targets if "memfd" in t]) == 1
            assert not [t for t in targets if "pidfd" in t]
            environ = Path(f"/proc/{pid}/environ").read_bytes()
            assert b"NOTIFY_SOCKET" not in environ


async def test_nothing_of_the_crowd_is_left_in_the_slots_of_a_dead_worker() -> None:
    """Its places are free again: a limit that it had filled is not full any more."""
    with fleet(*INSPECT, "--max-connections", "5") as server:
        async with crowd(server, 5) as talkers:
            for talker in talkers:
                await talker.wait_for(1)
            for pid in server.pids().values():
                os.kill(pid, signal.SIGKILL)
            await waiting(server.wait_for_count, "worker_ready", 4)
        async with crowd(server, 4) as talkers:
            for talker in talkers:
                await talker.wait_for(2)
                assert not talker.ended
