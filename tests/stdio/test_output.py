"""Writing all of it, to whatever is behind a descriptor, and never stopping the loop."""

from __future__ import annotations

import fcntl
import os
import pty
import socket
import tty
from io import FileIO
from pathlib import Path

import pytest
import trio

from tcpecho_trio.stdio.output import Output

MUCH = bytes(range(256)) * 4000  # far more than a pipe holds


@pytest.mark.parametrize("kind", ["a pipe", "a socket"])
async def test_a_slow_reader_gets_every_byte_and_stops_nobody(kind: str) -> None:
    if kind == "a pipe":
        reading, writing = os.pipe()
    else:
        reading, writing = (end.detach() for end in socket.socketpair())
    received = bytearray()

    async def write() -> None:
        with Output(writing) as output:
            await output.write(MUCH)
        os.close(writing)

    with FileIO(reading) as reader:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            await trio.testing.wait_all_tasks_blocked()  # the writer waits: the loop goes on
            while data := await trio.to_thread.run_sync(reader.read, 65536):
                received += data
    assert received == MUCH


@pytest.mark.parametrize("kind", ["a pipe", "a socket"])
async def test_the_descriptor_stays_as_others_share_it(kind: str) -> None:
    if kind == "a pipe":
        reading, writing = os.pipe()
    else:
        reading, writing = (end.detach() for end in socket.socketpair())
    with Output(writing) as output:
        await output.write(b"hola")
        assert not fcntl.fcntl(writing, fcntl.F_GETFL) & os.O_NONBLOCK
    assert os.read(reading, 10) == b"hola"
    os.write(writing, b"still open")
    os.close(reading)
    os.close(writing)


@pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="a pipe's size is Linux's")
@pytest.mark.parametrize("bulk", [True, False])
async def test_a_pipe_is_made_large_for_bulk_and_stays_as_it_is_for_a_log(bulk: bool) -> None:
    reading, writing = os.pipe()
    before = fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ)
    with Output(writing, bulk=bulk) as output:
        await output.write(b"hola")
        assert (fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ) > before) == bulk
    os.close(reading)
    os.close(writing)


async def test_a_file_is_written_where_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "out"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"before ")
    with Output(fd) as output:
        await output.write(MUCH)
    os.close(fd)
    assert path.read_bytes() == b"before " + MUCH


@pytest.mark.parametrize("kind", ["a pipe", "a socket", "a full disk"])
async def test_what_write_says_is_raised(kind: str) -> None:
    if kind == "a full disk":
        reading, writing = os.open("/dev/null", os.O_RDONLY), os.open("/dev/full", os.O_WRONLY)
    elif kind == "a pipe":
        reading, writing = os.pipe()
    else:
        reading, writing = (end.detach() for end in socket.socketpair())
    os.close(reading)
    with (
        Output(writing) as output,
        pytest.raises(OSError if kind == "a full disk" else BrokenPipeError),
    ):
        await output.write(MUCH)
    os.close(writing)


@pytest.mark.parametrize("blocking", [True, False])
async def test_where_nothing_can_be_opened_a_thread_writes(
    monkeypatch: pytest.MonkeyPatch, blocking: bool
) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, blocking)  # the other is what somebody may have done who shares it

    def refuse(*_: object) -> int:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr("tcpecho_trio.stdio.reopen.os.open", refuse)
        output = Output(writing)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(output.write, MUCH)
        await trio.testing.wait_all_tasks_blocked()
        with FileIO(reading) as reader:
            left = len(MUCH)
            while left:
                left -= len(await trio.to_thread.run_sync(reader.read, 65536))
    os.close(writing)
    assert left == 0


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system starts no more threads (pids cgroup, RLIMIT_NPROC)."""

    async def refuse(*_: object, **__: object) -> None:
        await trio.lowlevel.checkpoint()
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(trio.to_thread, "run_sync", refuse)


@pytest.mark.usefixtures("no_threads")
@pytest.mark.parametrize("bulk", [True, False])
async def test_a_file_is_written_where_no_thread_can_be_started(tmp_path: Path, bulk: bool) -> None:
    path = tmp_path / "out"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    with Output(fd, bulk=bulk) as output:
        await output.write(MUCH)
    os.close(fd)
    assert path.read_bytes() == MUCH


@pytest.mark.usefixtures("no_threads")
async def test_what_needs_a_thread_says_that_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr("tcpecho_trio.stdio.output.reopened", lambda *_, **__: None)
    with Output(writing) as output, pytest.raises(OSError, match="annot allocate memory"):
        await output.write(MUCH)
    os.close(reading)
    os.close(writing)


@pytest.mark.usefixtures("no_threads")
async def test_a_terminal_that_is_stopped_holds_up_nobody_and_shows_every_byte() -> None:
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    text = bytes(32 + number % 90 for number in range(200_000))
    received = bytearray()

    async def write() -> None:
        with Output(theirs) as output:
            await output.write(text)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await trio.testing.wait_all_tasks_blocked()  # nobody reads, and nothing is held up
        assert os.get_blocking(theirs)
        while len(received) < len(text):
            await trio.lowlevel.wait_readable(ours)
            received += os.read(ours, 65536)
    os.close(ours)
    os.close(theirs)
    assert received == text
