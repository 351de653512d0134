"""Unix sockets to listen on: their files, and who connects there."""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tcpecho_trio.dialects import ADMIN, INSPECT
from tcpecho_trio.errors import CannotListen
from tcpecho_trio.server import Settings
from tcpecho_trio.server.endpoints import Endpoint, Scheme
from tcpecho_trio.server.unix_socket import listening_at
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
            pytest.RaisesExc(CannotListen, match=f"{path}.*--unix"), flatten_subgroups=True
        ):
            async with running_server(at(path)):
                pass
        assert await ask(path, b"hola") == b"HOLA"


async def test_a_path_that_cannot_be_is_said_with_what_to_do() -> None:
    with pytest.RaisesGroup(
        pytest.RaisesExc(CannotListen, match="nowhere.*no such file.*--unix"),
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
