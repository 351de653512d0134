"""Slow, stuck and many clients of the endpoint: bounded, and nobody else's trouble."""

from __future__ import annotations

import contextlib
import re
import resource
import signal
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tcpecho_trio.admin import service
from tcpecho_trio.admin.http import WRITE_TIME
from tests.cluster.machines import machines
from tests.support.processes import (
    AT_ONCE,
    PATIENCE,
    PROGRAM,
    OldClient,
    ServerProcess,
    ending_well,
)
from tests.support.victim import Victim, processor_time
from tests.support.web import Conversation, Web, ask, events

Where = int | str


class Target(Victim):
    """A server process with the endpoint, which has to be alive and well afterwards."""

    where: Where

    def healthy(self) -> bool:
        return ask(self.where, "GET", "/healthz").status == 200


@contextlib.contextmanager
def target(*options: str, path: Path | None = None) -> Iterator[Target]:
    url = f"unix://{path}" if path is not None else "http://127.0.0.1:0"
    victim = Target("--admin", url, *options)
    try:
        name = victim.wait_for("admin_listening")["listener"]
        victim.where = str(path) if path is not None else int(name.rpartition(":")[2])
        yield victim
        if victim.process.poll() is None:
            victim.check()
            assert victim.healthy()
            victim.process.send_signal(signal.SIGTERM)
            before = time.monotonic()
            assert victim.finish() == 0
            assert time.monotonic() - before < AT_ONCE
    finally:
        victim.close()


@pytest.fixture(params=["tcp", "unix"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "admin.sock" if request.param == "unix" else None


def descriptors(victim: Victim) -> int:
    return len(list(Path(f"/proc/{victim.process.pid}/fd").iterdir()))


def test_five_hundred_event_streams_are_bounded() -> None:
    with target() as victim, contextlib.ExitStack() as stack:
        before, memory = descriptors(victim), victim.memory()
        statuses = []
        for _ in range(500):
            web = stack.enter_context(Web(victim.where))
            web.send("GET", "/events")
            statuses.append(web.head().status)
        assert statuses.count(200) == 64
        assert statuses.count(503) == 500 - 64
        assert descriptors(victim) - before <= 260
        assert victim.memory() - memory < 30 << 20
        victim.check()
        assert victim.healthy()


def test_half_requests_give_way_to_whole_ones() -> None:
    with target() as victim, contextlib.ExitStack() as stack:
        before = descriptors(victim)
        for number in range(400):
            web = stack.enter_context(Web(victim.where))
            web.socket.sendall((b"", b"G", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")[number % 3])
        assert victim.healthy()
        assert descriptors(victim) - before <= 260
        victim.check()


def test_readers_that_stop_hold_up_neither_messages_nor_the_end(path: Path | None) -> None:
    with (
        target("--drain-timeout", "1", "--quiet", path=path) as victim,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(30):
            web = stack.enter_context(Web(victim.where))
            web.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            web.send("GET", "/events")
        for _ in range(10):  # the same request over and over, and no answer is ever read
            web = stack.enter_context(Web(victim.where))
            web.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            web.socket.settimeout(0.01)
            with contextlib.suppress(OSError):
                while True:
                    web.socket.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
        memory = victim.memory()
        with OldClient(victim.port) as client:
            for number in range(500):
                assert client.ask(f"hola {number}\n") == f"HOLA {number}\n"
        assert victim.memory() - memory < 20 << 20
        assert victim.healthy()


def test_conversations_that_do_not_read_do_not_hold_up_the_drain(path: Path | None) -> None:
    with target("--drain-timeout", "1", path=path) as victim, contextlib.ExitStack() as stack:

        def fill(web: Conversation) -> None:
            web.socket.settimeout(2)  # nothing moves: it is not just a busy machine
            with contextlib.suppress(OSError):
                while True:
                    web.say("x" * 60_000 + "\n")

        webs = [stack.enter_context(Conversation(victim.where)) for _ in range(5)]
        with ThreadPoolExecutor(len(webs)) as threads:
            list(threads.map(fill, webs))
        victim.process.send_signal(signal.SIGTERM)
        assert victim.finish() == 0
        assert re.findall(r'"aborted": (\d+)', victim.lines[-1].decode())[0] == "5"


def test_whatever_is_said_there_is_no_bug_of_ours() -> None:
    said = [
        b"",
        b"\r\n\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"PUT / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000,
        b"GET /" + b"x" * 100_000,
        b"POST /api/drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n"
        + b"x" * 99999,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /%00%1b%ff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n",
        (
            b"GET / HTTP/1.1\r\nHost: localhost\r\n"
            b"Authorization: Bearer \xff\r\nCookie: \xff=;;=\r\n\r\n"
        ),
        b"CONNECT evil.example:80 HTTP/1.1\r\nHost: evil.example:80\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \xff\r\n\r\n" + b"\xff" * 1000,
    ]
    with target() as victim:
        for piece in said:
            with Web(victim.where) as web:
                with contextlib.suppress(OSError):
                    web.socket.sendall(piece)
                    web.socket.shutdown(socket.SHUT_WR)
                web.socket.settimeout(PATIENCE)
                answer = b""
                with contextlib.suppress(ConnectionResetError):
                    while data := web.socket.recv(65536):
                        answer += data
                assert not answer.startswith(b"HTTP/1.1 500"), (piece, answer)
        assert victim.events("unraisable") == []
        assert victim.events("draining") == []
        assert victim.healthy()


def test_hundreds_of_short_connections_leave_nothing_behind() -> None:
    with target() as victim:
        for _ in range(3):  # what is allocated once
            victim.healthy()
        before = descriptors(victim)
        for number in range(400):
            with Web(victim.where) as web:
                if number % 3:
                    web.socket.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                if number % 3 == 2:
                    web.socket.recv(1)
        end = time.monotonic() + PATIENCE
        while descriptors(victim) > before + 2 and time.monotonic() < end:
            victim.healthy()
        assert descriptors(victim) <= before + 2


def test_out_of_descriptors_the_clients_are_served_and_it_recovers() -> None:
    with target() as victim:
        resource.prlimit(victim.process.pid, resource.RLIMIT_NOFILE, (40, 40))
        with contextlib.ExitStack() as stack:
            client = stack.enter_context(OldClient(victim.port))
            assert client.ask("hola\n") == "HOLA\n"
            for _ in range(60):
                stack.enter_context(Web(victim.where))
            victim.wait_for("accept_failed")
            before = processor_time(victim.process.pid)
            assert client.ask("hola\n") == "HOLA\n"
            assert processor_time(victim.process.pid) - before < 5
        assert victim.healthy()


def test_events_are_told_while_messages_flood() -> None:
    with target("--quiet") as victim, events(victim.where) as stream:
        with OldClient(victim.port) as client:
            client.socket.sendall(b"hola\n" * 20_000)
            received = 0
            while received < 100_000:
                received += len(client.socket.recv(1 << 16))
        names = {name for name, _ in (next(stream) for _ in range(60))}
        assert {"connected", "received", "replied"} <= names


async def test_whoever_vanishes_while_we_send_is_gone_as_soon_as_whoever_does_not_read() -> None:
    """Their acknowledgements are missed for as long as a reader may take (tcp(7))."""
    (listener,) = await service._open(["127.0.0.1"], 0)
    async with listener:
        port = listener.socket.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            async with await listener.accept() as stream:
                timeout = stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                assert timeout == WRITE_TIME * 1000
                assert stream.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="cables are those of network namespaces")
def test_a_reader_whose_cable_is_cut_is_let_go(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("abc\n")
    with machines("server", "reader") as (here, there):
        where = here.address

        class There(ServerProcess):
            program = (*here.within, *PROGRAM)

        admin = ("--admin", f"http://{where}:0", "--admin-token-file", str(token))
        with ending_well(There("--host", where, *admin, "--no-console")) as server:
            port = int(server.wait_for(r"http://[\d.]+:(\d+)")[1])
            with there.connect(where, port) as reader:
                head = f"GET /events HTTP/1.1\r\nHost: {where}:{port}\r\nAuthorization: Bearer abc"
                reader.sendall(head.encode() + b"\r\n\r\n")
                told = b""
                while b"event: sample" not in told:
                    told += reader.recv(4096)
                open_files = Path(f"/proc/{server.process.pid}/fd")
                before, end = len(list(open_files.iterdir())), time.monotonic() + PATIENCE
                there.cut()
                while len(list(open_files.iterdir())) == before:  # by TCP itself, a quarter hour
                    assert time.monotonic() < end
                    time.sleep(0.1)  # it takes WRITE_TIME in real time
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait() == 0  # it has warned that the token goes in the clear
