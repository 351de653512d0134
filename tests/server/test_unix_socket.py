"""Unix sockets to listen on: their files, and who connects there."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tcpecho_trio.dialects import ADMIN, INSPECT
from tcpecho_trio.errors import CannotListen
from tcpecho_trio.server import Settings
from tcpecho_trio.server.endpoints import Endpoint, Scheme
from tcpecho_trio.server.unix_socket import listening_at
from tests.support.processes import ROOT
from tests.support.running import read_all, read_exactly, running_server


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A path that fits, however deep the tests' folder lies."""
    monkeypatch.chdir(tmp_path)
    return "echo.sock"


def leave_stale(path: str) -> None:
    """A socket's file as a killed process leaves it: nobody listens there any more."""
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(path)
        killed.listen()


def files() -> list[str]:
    return [file.name for file in Path().iterdir()]


def found(path: str) -> os.stat_result:
    return Path(path).lstat()


def mode_of(path: str) -> int:
    return stat.S_IMODE(found(path).st_mode)


def remove(path: str) -> None:
    Path(path).unlink()


async def ask(path: str, data: bytes) -> bytes:
    async with await trio.open_unix_socket(path) as stream:
        await stream.send_all(data)
        await stream.send_eof()
        return await read_all(stream)


# The file


async def test_the_file_is_there_while_somebody_listens_and_only_then(path: str) -> None:
    with listening_at(path, None) as listener:
        assert stat.S_ISSOCK(found(path).st_mode)
        assert files() == [path]
        async with await trio.open_unix_socket(path), await listener.accept():
            pass
    assert files() == []
    assert listener.socket.fileno() == -1


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
async def test_the_mode_is_what_was_asked_for_whatever_the_umask(path: str, mode: int) -> None:
    before = os.umask(0o077)
    try:
        with listening_at(path, mode):
            assert mode_of(path) == mode
    finally:
        os.umask(before)


async def test_without_a_mode_it_is_left_to_the_umask(path: str) -> None:
    before = os.umask(0o027)
    try:
        with listening_at(path, None):
            assert mode_of(path) == 0o750
    finally:
        os.umask(before)


async def test_the_name_appears_only_when_everything_is_ready(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    real = os.rename

    def rename(old: str, new: str) -> None:
        assert not Path(path).exists()
        seen.append(stat.S_IMODE(Path(old).stat().st_mode))
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(old)  # somebody listens already
        real(old, new)

    monkeypatch.setattr(os, "rename", rename)
    with listening_at(path, 0o620):
        assert seen == [0o620]


async def test_a_stale_file_is_replaced(path: str) -> None:
    leave_stale(path)
    with listening_at(path, None) as listener:
        async with await trio.open_unix_socket(path), await listener.accept():
            pass
    assert files() == []


def link_to_nothing(path: str) -> None:
    Path(path).symlink_to("precious")


def a_file(path: str) -> None:
    Path(path).write_text("precious")


def a_link(path: str) -> None:
    leave_stale("elsewhere")
    Path(path).symlink_to("elsewhere")


@pytest.mark.parametrize("make", [a_file, a_link, os.mkdir])
async def test_what_is_no_socket_is_never_replaced(path: str, make: Callable[[str], None]) -> None:
    make(path)
    before = found(path)
    with pytest.raises(OSError, match="in use") as caught, listening_at(path, None):
        pass
    assert caught.value.errno == errno.EADDRINUSE
    assert found(path) == before


async def test_two_cannot_listen_at_one_path(path: str) -> None:
    with listening_at(path, None):
        with pytest.raises(OSError, match="in use"), listening_at(path, None):
            pass
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)


RACER = """\
import sys
import time
import trio
from tcpecho_trio.server.unix_socket import listening_at

async def main():
    while line := sys.stdin.readline():
        path, begin = line.split()
        while time.monotonic() < float(begin):
            pass
        try:
            with listening_at(path, None):
                print("listening", flush=True)
                sys.stdin.readline()
        except OSError as error:
            print(error.strerror, flush=True)
            sys.stdin.readline()

trio.run(main)
"""


@pytest.mark.parametrize("stale", [False, True], ids=["a new path", "a stale file"])
@pytest.mark.parametrize("count", [2, 4])
def test_of_processes_that_begin_at_once_one_listens_and_the_others_are_refused(
    path: str, stale: bool, count: int
) -> None:
    command = [sys.executable, "-c", RACER]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with contextlib.ExitStack() as stack:
        racers = [
            stack.enter_context(
                subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
                )
            )
            for _ in range(count)
        ]
        streams = [(racer.stdin, racer.stdout) for racer in racers if racer.stdin and racer.stdout]

        def tell(line: str) -> None:
            for said, _ in streams:
                said.write(line.encode())
                said.flush()

        for number in range(80):
            name = f"{number}{path}"
            if stale:
                leave_stale(name)
            tell(f"{name} {time.monotonic() + 0.002}\n")
            answers = sorted(heard.readline() for _, heard in streams)
            assert answers == [b"Address already in use\n"] * (count - 1) + [b"listening\n"]
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(name)
            tell("\n")
        for said, _ in streams:
            said.close()
    assert files() == []


@pytest.fixture
def lock(path: str) -> Path:
    """The lock file of that path, as somebody has left it."""
    file = Path(f"{path}.lock")
    file.touch()
    return file


async def test_a_lock_file_that_a_killed_process_has_left_is_no_lock(path: str, lock: Path) -> None:
    with listening_at(path, None):
        assert files() == [path]


async def test_while_another_process_begins_there_nobody_else_does(path: str, lock: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    other = os.open(lock, os.O_RDWR)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(OSError, match="in use"), listening_at(path, None):
        pass
    assert files() == [lock.name]  # which is not ours to remove
    os.close(other)


async def test_a_lock_file_that_its_owner_removes_in_the_same_moment_is_no_lock(
    path: str, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")
    real = fcntl.flock
    others: list[int] = []

    def flock(fd: int, how: int) -> None:
        if not others:  # the file that we have opened goes, and another server has a new one
            lock.unlink()
            others.append(os.open(lock, os.O_RDWR | os.O_CREAT))
            real(others[0], fcntl.LOCK_EX)
        real(fd, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="in use"), listening_at(path, None):
        pass
    os.close(others[0])


async def test_a_link_in_place_of_the_lock_file_is_not_followed(path: str) -> None:
    link_to_nothing(f"{path}.lock")
    with listening_at(path, None):
        assert "precious" not in files()


async def test_a_file_system_without_locks_is_no_obstacle(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with listening_at(path, None):
        assert files() == [path]


async def test_a_full_backlog_means_that_somebody_is_there(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(path)
        busy.listen(0)
        with socket.socket(socket.AF_UNIX) as waiting:
            waiting.connect(path)
            with pytest.raises(OSError, match="in use"), listening_at(path, None):
                pass


async def test_a_successors_file_is_not_removed(path: str) -> None:
    with listening_at(path, None):
        remove(path)
        leave_stale(path)
        successor = found(path).st_ino
    assert found(path).st_ino == successor


async def test_a_file_that_somebody_has_removed_is_no_trouble(path: str) -> None:
    with listening_at(path, None):
        remove(path)


async def test_whatever_fails_leaves_nothing_behind(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no(*_: object) -> None:
        raise OSError(errno.EPERM, "no")

    for step in ("chmod", "rename"):
        with monkeypatch.context() as patched:
            patched.setattr(os, step, no)
            with pytest.raises(OSError, match="no"), listening_at(path, 0o600):
                pass
        assert files() == []
    with pytest.raises(FileNotFoundError), listening_at("nowhere/echo.sock", None):
        pass


# The server behind it


def at(path: str, **rest: object) -> Settings:
    return Settings(listen=(Endpoint(Scheme.UNIX, path=path),), **rest)  # type: ignore[arg-type]


async def test_a_server_answers_there_and_removes_the_file(path: str) -> None:
    async with running_server(at(path, unix_mode=0o600)) as server:
        assert mode_of(path) == 0o600
        assert server.told.named("listening") == [{"listener": f"unix://{path}"}]
        assert await ask(path, b"hola\n" * 10_000) == b"HOLA\n" * 10_000
    assert files() == []


async def test_tcp_and_unix_are_one_server(path: str) -> None:
    both = (Endpoint(Scheme.TCP, "127.0.0.1", 0), Endpoint(Scheme.UNIX, path=path))
    async with running_server(Settings(listen=both, dialect=ADMIN)) as server:
        async with await server.connect() as client:
            await read_exactly(client, len(ADMIN.greeting.encode()))
            listing = (await ask(path, b"LISTAR\n")).decode()
        assert "127.0.0.1:" in listing
        assert "unix:" in listing


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="SO_PEERCRED is Linux's")
async def test_a_peer_is_called_by_its_process_and_is_on_this_machine(path: str) -> None:
    async with running_server(at(path, dialect=INSPECT)):
        report = json.loads(await ask(path, b"INFORME\n"))
        assert report["client"].startswith(f"unix:{os.getpid()}/")
        assert report["local"] == f"unix:{path}"


async def test_whoever_is_at_the_door_when_the_drain_begins_is_answered(path: str) -> None:
    async with running_server(at(path)) as server:
        late = [socket.socket(socket.AF_UNIX) for _ in range(10)]
        for client in late:
            client.connect(path)  # without a checkpoint
            client.sendall(b"hola\n")
        server.lifecycle.drain()
        for client in late:
            async with trio.SocketStream(trio.socket.from_stdlib_socket(client)) as stream:
                assert await read_all(stream) == b"HOLA\n"
    assert files() == []


async def test_whoever_may_connect_may_shut_the_server_down(path: str) -> None:
    async with running_server(at(path, dialect=ADMIN)) as server:
        assert "SERVIDOR CERRÁNDOSE" in (await ask(path, b"DESCONEXION\n")).decode()
        await server.lifecycle.wait_stopped()


async def test_a_path_where_somebody_listens_is_said_with_what_to_do(path: str) -> None:
    async with running_server(at(path)):
        with pytest.RaisesGroup(
            pytest.RaisesExc(CannotListen, match=f"{path} already.*another"), flatten_subgroups=True
        ):
            async with running_server(at(path)):
                pass
        assert await ask(path, b"hola") == b"HOLA"


async def test_a_path_that_cannot_be_is_said_with_what_to_do() -> None:
    with pytest.RaisesGroup(
        pytest.RaisesExc(CannotListen, match="nowhere.*no such file"),
        flatten_subgroups=True,
    ):
        async with running_server(at("nowhere/echo.sock")):
            pass


async def test_an_endpoint_that_fails_closes_those_before_it(path: str) -> None:
    endpoints = (Endpoint(Scheme.UNIX, path=path), Endpoint(Scheme.UNIX, path="no/where"))
    with pytest.RaisesGroup(CannotListen, flatten_subgroups=True):
        async with running_server(Settings(listen=endpoints)):
            pass
    assert files() == []


@pytest.mark.parametrize("abstract", [False, True])
async def test_a_unix_socket_that_was_opened_for_us_is_served(path: str, abstract: bool) -> None:
    if abstract and not sys.platform.startswith("linux"):
        pytest.skip("abstract names are Linux's")
    opened = trio.socket.socket(socket.AF_UNIX)
    with socket.socket(fileno=os.dup(opened.fileno())) as same:
        same.bind("" if abstract else path)
    opened.listen()
    address = opened.getsockname()
    settings = Settings(dialect=INSPECT)
    async with running_server(settings, listeners=[trio.SocketListener(opened)]) as server:
        (told,) = server.told.named("listening")
        name = rf"\x00{address[1:].decode()}" if abstract else path
        assert told["listener"] == f"unix://{name}"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(address)
            client.setblocking(False)
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(client))
            await stream.send_all(b"INFORME\n")
            assert json.loads(await stream.receive_some())["local"] == f"unix:{name}"
