"""A limit of memory (``ulimit -v``): as many clients as have room whatever they do, and no end."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tcpecho_trio.dialects import SERVER_FULL
from tcpecho_trio.server import memory
from tcpecho_trio.server.close_reason import CloseReason
from tests.hostile.test_fairness import FLOODER
from tests.hostile.test_memory import FLOODS
from tests.support.processes import PATIENCE, PROGRAM
from tests.support.running import read_exactly as read_exactly_from
from tests.support.running import running_server
from tests.support.victim import Victim, read_all, read_exactly, short_of

LEFT = 30 * 1024
"""KiB that the limit leaves beside what the server begins with."""

FLOODERS = 300

HERE = ("--host", "127.0.0.1")  # a name would be looked up in a thread, whose stack counts, too

PROC = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="there is no /proc")


def size(pid: int, what: str = "VmSize") -> int:
    """KiB of memory that a process has asked for, now or (``VmPeak``) at most (proc(5))."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(rf"{what}:\s+(\d+) kB", status)[0])


@pytest.fixture(scope="module")
def beginning() -> int:
    """What a server begins with."""
    server = Victim(*HERE)
    try:
        return size(server.process.pid)
    finally:
        server.close()


@contextlib.contextmanager
def flooding(port: int, word: str) -> Iterator[None]:
    with subprocess.Popen(
        [sys.executable, "-c", FLOODER, str(port), str(FLOODERS), word], stdout=subprocess.PIPE
    ) as flood:
        try:
            assert flood.stdout is not None
            assert flood.stdout.readline() == b"flooding\n"
            yield
        finally:
            flood.kill()


def asked(port: int) -> bytes:
    """What a newcomer is answered."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        client.sendall(b"hola\n")
        client.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):  # too many are being refused
            return read_all(client)
    return b""


@PROC
@pytest.mark.parametrize("kind", ["text that grows", "words", "lists", "reports"])
def test_whatever_floods_a_server_that_is_short_of_memory_it_serves_on(
    kind: str, way: str, beginning: int
) -> None:
    dialect, unit, greeting = FLOODS[kind]
    limit = beginning + LEFT
    options = (*HERE, "--dialect", dialect, "--drain-timeout", "1", "--quiet")
    server = Victim(
        *(*options, *(("--portable",) if way == "portable" else ())),
        greeting=greeting,
        program=short_of(f"ulimit -v {limit}", PROGRAM),
    )
    try:
        with server.connect() as polite:
            with flooding(server.port, (unit * 20).decode().strip()):
                for _ in range(10):
                    polite.sendall(b"hola\n")
                    assert read_exactly(polite, 5) == b"HOLA\n"
                assert asked(server.port) in (SERVER_FULL.encode(), b"")
            polite.sendall(b"adios\n")
            assert read_exactly(polite, 6) == b"ADIOS\n"
        assert size(server.process.pid, "VmPeak") < limit
        assert server.events("crashed") == []
        while not asked(server.port).endswith(b"HOLA\n"):
            pass  # the last of them are still being let go
        assert server.stop() == 0
    finally:
        server.close()


def limits(monkeypatch: pytest.MonkeyPatch, **some: int) -> None:
    def getrlimit(which: int) -> tuple[int, int]:
        for name, limit in some.items():
            if getattr(resource, name) == which:
                return limit, limit
        return resource.RLIM_INFINITY, resource.RLIM_INFINITY

    monkeypatch.setattr(resource, "getrlimit", getrlimit)


def test_without_a_limit_there_is_room_for_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    limits(monkeypatch)
    assert memory.room_for_clients() == sys.maxsize


@PROC
@pytest.mark.parametrize(
    ("name", "used"), [("RLIMIT_AS", ["VmSize"]), ("RLIMIT_DATA", ["VmData", "VmStk"])]
)
def test_the_room_is_what_the_limit_leaves(
    name: str, used: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = sum(size(os.getpid(), part) for part in used) * 1024
    limits(monkeypatch, **{name: now + memory.RESERVE + 100 * memory.CLIENT})
    assert 80 <= memory.room_for_clients() <= 101  # this process lives
    limits(monkeypatch, **{name: 1})
    assert memory.room_for_clients() == 1


async def test_beyond_some_refusals_under_way_newcomers_are_reset(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tcpecho_trio.server.admission.room_for_clients", lambda: 1)
    monkeypatch.setattr("tcpecho_trio.server.admission.REFUSALS", 2)
    async with running_server() as server, await server.connect() as first:
        await first.send_all(b"hola\n")
        assert await read_exactly_from(first, 5) == b"HOLA\n"
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(2):
                refused = await stack.enter_async_context(await server.connect())
                assert await read_exactly_from(refused, 5) == b"ERROR"  # and it stays
            beyond = await stack.enter_async_context(await server.connect())
            with pytest.raises(trio.BrokenResourceError):
                await beyond.receive_some()
            told = await server.told.wait_for("refused")
            assert told[0]["reason"] == "full"
            assert server.registry.close_reasons[CloseReason.FULL] == 3
        await first.send_all(b"adios\n")
        assert await read_exactly_from(first, 6) == b"ADIOS\n"
