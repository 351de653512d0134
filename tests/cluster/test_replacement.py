"""SIGHUP: new processes take the workers' places, and nobody is lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cluster.fleet import (
    Fleet,
    children_of,
    crowd,
    fleet,
    guardian_of,
    install,
    waiting,
)
from tests.support.certificates import Certificates
from tests.support.processes import AT_ONCE, PATIENCE, PROGRAM, ROOT

INSPECT = ("--dialect", "inspect", "--quiet")


def replace(server: Fleet, times: int = 1) -> None:
    """Have all workers replaced, and wait for it."""
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_count("workers_replaced", times)


@contextmanager
def load(server: Fleet, *options: str) -> Iterator[dict[str, Any]]:
    """The load generator, which compares every reply; its report, once the block has ended."""
    report: dict[str, Any] = {}
    # However slow the machine is, a reply that comes is no loss.
    command = ("load", f"127.0.0.1:{server.port}", *options, "--timeout", f"{PATIENCE:g}s")
    with subprocess.Popen(
        [*PROGRAM, *command, "--duration", "1h", "--json", "-"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # its live table
        cwd=ROOT,
    ) as generator:
        try:
            yield report
            generator.send_signal(signal.SIGINT)
            report |= json.loads(generator.communicate()[0])
        finally:
            generator.kill()


def losses(report: dict[str, Any]) -> dict[str, int]:
    """Everything that went wrong, but for what the generator was too late to send."""
    return {name: n for name, n in report["errors"].items() if n and name != "unsent"}


def test_500_newcomers_a_second_and_200_long_conversations_notice_nothing_of_replacements() -> None:
    """How many came a second is the machine's business; how many were lost is ours."""
    long = ("-c", "200", "--rate", "1000")
    short = ("-c", "64", "--churn", "--rate", "500")
    with fleet() as server:
        before = server.pids()
        with load(server, *long) as talkers:
            server.wait_for_count("connected", 50)  # the rest may only be counted
            with load(server, *short) as newcomers:
                server.wait_for("closed")
                replace(server)
                new = set(server.pids()) - set(before)
                while not new <= {event["worker"] for event in server.events("closed")}:
                    server.wait_for_more()
            assert server.events("worker_ended") == []  # the long conversations go on
        # When these are over, so are those who served them.
        server.wait_for_count("worker_ended", 2)
        assert losses(talkers) == losses(newcomers) == {}
        assert talkers["connects"] == 200
        assert talkers["replies"] > 200
        assert newcomers["connects"] >= newcomers["replies"] > 20
        assert set(server.pids().values()).isdisjoint(before.values())
        assert len(server.pids()) == 2
        assert server.events("worker_died") == []
        assert {event["worker"] for event in server.events("worker_replaced")} == set(before)


def test_newcomers_are_served_by_the_new_processes() -> None:
    with fleet(*INSPECT) as server:
        old = set(server.pids().values())
        replace(server)
        server.wait_for_count("worker_ended", 2)  # the old ones have heard of it
        for _ in range(20):
            assert server.report()["server"]["pid"] not in old


async def test_who_is_still_there_at_the_next_replacement_is_drained() -> None:
    with fleet(*INSPECT, processes=1) as server:
        async with crowd(server, 10) as talkers:
            await waiting(replace, server)
            async with crowd(server, 10) as others:
                for talker in (*talkers, *others):
                    await talker.wait_for(2)
                    assert not talker.ended
                await waiting(replace, server, 2)
                # The old process may have let some in before it heard of the first replacement.
                old = talkers[0].worker
                for talker in (*talkers, *others):
                    await talker.wait_for(1_000_000 if talker.worker == old else 2)
                    assert talker.ended == ("closed" if talker.worker == old else "")
                assert {talker.worker for talker in talkers} == {old}


def test_two_hang_ups_in_a_row_are_two_replacements_or_one() -> None:
    with fleet(*INSPECT) as server:
        old = server.pids()
        for _ in range(2):
            server.process.send_signal(signal.SIGHUP)
        server.wait_for("workers_replaced")
        server.wait_for_count("worker_ended", 2)
        assert set(server.pids().values()).isdisjoint(old.values())
        assert server.events("worker_died") == server.events("replacement_stopped") == []


def test_a_certificate_is_read_anew(tmp_path: Path, certificates: Certificates) -> None:
    certificate, key = (str(tmp_path / name) for name in ("cert.pem", "key.pem"))
    shutil.copy(certificates.files.certificate, certificate)
    shutil.copy(certificates.files.key, key)
    options = ("--listen", "tls://127.0.0.1:0", "--tls-cert", certificate, "--tls-key", key)

    def shown(server: Fleet) -> bytes | None:
        context = ssl.create_default_context(cafile=certificates.ca_file)
        with (
            socket.create_connection(("127.0.0.1", server.port)) as bare,
            context.wrap_socket(bare, server_hostname="localhost") as client,
        ):
            client.sendall(b"hola\n")
            assert client.recv(100) == b"HOLA\n"
            return client.getpeercert(binary_form=True)

    with fleet(*INSPECT, *options) as server:
        server.encrypt(ssl.create_default_context(cafile=certificates.ca_file))
        first = shown(server)
        renewed = certificates.issue("renewed")
        shutil.copy(renewed.certificate, certificate)
        shutil.copy(renewed.key, key)
        replace(server)
        server.wait_for_count("worker_ended", 2)  # the old ones have heard of it
        assert shown(server) != first
        before = server.pids()
        Path(certificate).write_text("nothing that OpenSSL can read\n")
        server.process.send_signal(signal.SIGHUP)
        stopped = server.wait_for("replacement_stopped")
        assert certificate in stopped["error"]
        assert server.pids() == before
        assert shown(server) not in (None, first)


def test_a_new_program_that_does_not_start_changes_nothing(tmp_path: Path) -> None:
    program = tmp_path / "program"
    install(program)
    code = (
        "import sys\n"
        "from tcpecho_trio.cli import supervisor_process as module\n"
        "before = module.worker_command\n"
        f"module.worker_command = lambda a: [{str(program)!r}, *before(a)[1:]]\n"
        "sys.argv[0] = 'tcpecho-trio'\n"
        "from tcpecho_trio.cli import main\n"
        "sys.exit(main())\n"
    )
    with fleet(*INSPECT, program=[sys.executable, "-bb", "-c", code]) as server:
        before = server.pids()
        program.unlink()
        program.write_text("#!/bin/sh\necho 'Error: half installed' >&2; exit 1\n")
        program.chmod(0o755)
        server.process.send_signal(signal.SIGHUP)
        assert server.wait_for("replacement_stopped")["error"] == "half installed"
        assert server.pids() == before
        server.check()
        program.unlink()
        install(program)
        replace(server)
        server.wait_for_count("worker_ended", 2)
        assert set(server.pids().values()).isdisjoint(before.values())


async def test_a_drain_in_the_middle_of_a_replacement_ends_all_of_them() -> None:
    with fleet(*INSPECT, processes=3) as server:
        async with crowd(server, 30) as talkers:
            server.process.send_signal(signal.SIGHUP)
            await waiting(server.wait_for, "worker_replaced")
            assert await waiting(server.stop) == 0
            for talker in talkers:
                await talker.wait_for(1_000_000)
                assert talker.ended == "closed"
        (stopped,) = server.events("stopped")
        assert stopped["served"] == len(talkers)
        assert stopped["aborted"] == 0
        assert server.events("worker_died") == []


async def test_a_hang_up_during_a_drain_changes_nothing() -> None:
    with fleet(*INSPECT, "--drain-timeout", "60") as server:
        with server.connect() as silent:
            silent.sendall(b"x" * 100_000_0)  # asks, and does not read: the drain waits for it
            server.process.send_signal(signal.SIGTERM)
            await waiting(server.wait_for, "draining")
            server.process.send_signal(signal.SIGHUP)
            while silent.recv(65536):
                pass
        assert await waiting(server.finish) == 0
        assert server.events("worker_replaced") == []
        assert len(server.events("worker_ready")) == 2


def test_the_second_signal_ends_at_once() -> None:
    with fleet("--quiet", "--drain-timeout", "600", "--write-timeout", "0") as server:
        stuck = [server.connect() for _ in range(4)]
        for client in stuck:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(AT_ONCE)
            try:
                client.settimeout(0.2)
                while True:
                    client.sendall(b"x" * 1_000_000)
            except TimeoutError:
                pass  # it cannot answer any more: nobody reads
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("draining")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(AT_ONCE) == 0
        server.finish()
        assert len(server.events("cutting")) == 1
        assert server.events("stopped")[0]["aborted"] == 4
        for client in stuck:
            client.close()


def test_numbers_go_on_from_one_worker_to_the_next() -> None:
    with fleet(*INSPECT, processes=2) as server:
        numbers = []
        for times in range(1, 4):
            numbers += [server.report()["connection"] for _ in range(20)]
            replace(server, times)
        numbers += [server.report()["connection"] for _ in range(20)]
        assert len(set(numbers)) == len(numbers)


def test_a_rolled_server_serves_nobody_by_a_worker_without_a_place() -> None:
    """After ten replacements there are as many processes as after none."""
    with fleet(*INSPECT, processes=1) as server:
        for times in range(1, 11):
            replace(server, times)
        server.wait_for_count("worker_ended", 10)
        (pid,) = server.pids().values()
        assert children_of(server.process.pid) == {pid, guardian_of(server)}
        targets = [str(f.readlink()) for f in Path(f"/proc/{server.process.pid}/fd").iterdir()]
        assert len([t for t in targets if re.match("pipe|anon|socket", t)]) < 20


def test_the_directory_in_which_it_was_started_is_that_of_its_workers(tmp_path: Path) -> None:
    with fleet("--unix", "echo.sock", *INSPECT, "--host", "127.0.0.1") as server:
        try:
            assert (ROOT / "echo.sock").is_socket()
            for pid in server.pids().values():
                assert os.readlink(f"/proc/{pid}/cwd") == str(ROOT)  # noqa: PTH115
        finally:
            assert server.stop() == 0
        assert not (ROOT / "echo.sock").exists()
